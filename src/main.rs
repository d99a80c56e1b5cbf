//! The `vitruvian` program: parse the command line, run a command or open the window, return an exit code.

/// Keeps large tensor buffers instead of giving them back to the system after each operation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {}
