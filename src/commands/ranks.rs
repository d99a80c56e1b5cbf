//! Trainings on several processes: what `--ranks` does under `mpirun`; and on graphics cards, what `--cuda` does.

use anyhow::{Context as _, Result};
use candle_core::Device;

use crate::training::Ranks;

/// How a training is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// One of the processes that `mpirun` started, not alone.
    pub is_ranked: bool,
    /// On a graphics card, not on the CPU.
    pub on_cuda: bool,
}

/// Runs `work` in this process alone or, if asked to, as one of the processes that `mpirun` started.
///
/// # Errors
/// What `work` says; a program built without MPI, CUDA or NCCL where it is asked for.
pub fn run(place: Place, work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    match (place.is_ranked, place.on_cuda) {
        (true, on_cuda) => on_ranks(on_cuda, work),
        (false, false) => work(&Ranks::alone()),
        (false, true) => work(&Ranks::alone().on(card(0)?)),
    }
}

/// A graphics card, by number.
fn card(number: usize) -> Result<Device> {
    anyhow::ensure!(
        candle_core::utils::cuda_is_available(),
        "This vitruvian was built without CUDA. Build it with `cargo build --release --features cuda`, or leave out --cuda"
    );
    Device::new_cuda(number).with_context(|| format!("Failed to open graphics card {number}"))
}

/// One process that fails ends all of them: the others would wait for it.
#[cfg(feature = "mpi")]
fn on_ranks(on_cuda: bool, work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    let world = crate::training::mpi::World::join()?;
    let ranks = match on_cuda {
        true => on_cards(&world),
        false => Ok(Ranks::new(
            world.rank(),
            std::sync::Arc::new(world.reduce()),
        )),
    };
    let result = ranks.and_then(|ranks| work(&ranks));
    if let Err(error) = &result {
        super::print_error(&anyhow::anyhow!("rank {}: {error:#}", world.rank()));
        world.abort();
    }
    result
}

/// Ranks of one machine take its cards in turn.
#[cfg(feature = "nccl")]
fn on_cards(world: &crate::training::mpi::World) -> Result<Ranks> {
    let device = card(world.local_rank())?;
    let cards = crate::training::nccl::Cards::join(world, &device)?;
    Ok(Ranks::new(world.rank(), std::sync::Arc::new(cards)).on(device))
}

#[cfg(all(feature = "mpi", not(feature = "nccl")))]
fn on_cards(_: &crate::training::mpi::World) -> Result<Ranks> {
    anyhow::bail!(
        "This vitruvian was built without NCCL. Build it with `cargo build --release --features nccl`, or leave out --cuda"
    )
}

#[cfg(not(feature = "mpi"))]
fn on_ranks(_: bool, _: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    anyhow::bail!(
        "This vitruvian was built without MPI. Build it with `cargo build --release --features mpi`, see scripts/test-mpi"
    )
}
