//! Trainings on several processes: what `--ranks` does under `mpirun`.

use anyhow::Result;

use crate::training::Ranks;

/// Runs `work` in this process alone or, if asked to, as one of the processes that `mpirun` started.
///
/// # Errors
/// What `work` says; a program built without MPI.
pub fn run(is_ranked: bool, work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    match is_ranked {
        true => on_ranks(work),
        false => work(&Ranks::alone()),
    }
}

/// One process that fails ends all of them: the others would wait for it.
#[cfg(feature = "mpi")]
fn on_ranks(work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    let world = crate::training::mpi::World::join()?;
    let ranks = Ranks::new(world.rank(), std::sync::Arc::new(world.reduce()));
    let result = work(&ranks);
    if let Err(error) = &result {
        super::print_error(&anyhow::anyhow!("rank {}: {error:#}", ranks.rank()));
        world.abort();
    }
    result
}

#[cfg(not(feature = "mpi"))]
fn on_ranks(_: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    anyhow::bail!(
        "This vitruvian was built without MPI. Build it with `cargo build --release --features mpi`, see scripts/test-mpi"
    )
}
