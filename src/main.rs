//! The `vitruvian` program: parse the command line, run a command or open the window, return an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use vitruvian::{cli::Cli, commands, weights::DeviceKind};

/// Keeps large tensor buffers instead of giving them back to the system after each operation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Milliseconds for which freed memory is kept before the system gets it back. With the default of 10, a network's
/// buffers went back after every layer, and a sixth of a training run was spent on getting fresh pages.
const KEEP_FREED_MS: std::ffi::c_long = 1000;
/// `mi_option_purge_delay` in mimalloc.h, which the crate does not name.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;

/// 0 when all went well, 1 when something failed (told on stderr), 2 for a command line that makes no sense.
fn main() -> ExitCode {
    // SAFETY: sets a number in the allocator; any value is allowed, and no other thread runs yet.
    unsafe { libmimalloc_sys::mi_option_set(PURGE_DELAY, KEEP_FREED_MS) };
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            message.print().ok(); // a closed pipe leaves nobody to tell
            return ExitCode::from(if message.use_stderr() { 2 } else { 0 });
        }
    };
    let result = match cli.command {
        Some(command) => commands::run(command, cli.device),
        None => open_window(cli.photo, cli.device),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            commands::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(feature = "gui"))]
fn open_window(_: Option<std::path::PathBuf>, _: DeviceKind) -> anyhow::Result<()> {
    anyhow::bail!(
        "This vitruvian was built without its window (feature gui). See `vitruvian --help` for the commands"
    )
}

#[cfg(feature = "gui")]
fn open_window(photo: Option<std::path::PathBuf>, device: DeviceKind) -> anyhow::Result<()> {
    vitruvian::ui::run(vitruvian::ui::Options { photo, device })
}
