//! Trainings on several processes: what `--ranks` does under `mpirun`; and what `--device` does to them.

use anyhow::Result;

use crate::training::Ranks;
use crate::weights::DeviceKind;

/// How a training is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    /// One of the processes that `mpirun` started, not alone.
    pub is_ranked: bool,
    /// What is computed on; with several processes each takes a card of its own.
    pub device: DeviceKind,
}

/// Runs `work` in this process alone or, if asked to, as one of the processes that `mpirun` started.
///
/// # Errors
/// What `work` says; a program built without MPI, CUDA or NCCL where it is asked for.
pub fn run(place: Place, work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    match place.is_ranked {
        true => on_ranks(place.device, work),
        false => work(&Ranks::alone().on(place.device.open(0)?)),
    }
}

/// One process that fails ends all of them: the others would wait for it.
#[cfg(feature = "mpi")]
fn on_ranks(device: DeviceKind, work: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    let world = crate::training::mpi::World::join()?;
    let ranks = match device {
        DeviceKind::Cuda => on_cards(&world),
        DeviceKind::Metal => Err(anyhow::anyhow!(
            "Several processes share NVIDIA cards or the CPU, not Metal. Leave out --device or --ranks"
        )),
        DeviceKind::Cpu => Ok(Ranks::new(
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
    let device = DeviceKind::Cuda.open(world.local_rank())?;
    let cards = crate::training::nccl::Cards::join(world, &device)?;
    Ok(Ranks::new(world.rank(), std::sync::Arc::new(cards)).on(device))
}

#[cfg(all(feature = "mpi", not(feature = "nccl")))]
fn on_cards(_: &crate::training::mpi::World) -> Result<Ranks> {
    anyhow::bail!(
        "This vitruvian was built without NCCL. Build it with `cargo build --release --features nccl`, or leave out --device"
    )
}

#[cfg(not(feature = "mpi"))]
fn on_ranks(_: DeviceKind, _: impl FnOnce(&Ranks) -> Result<()>) -> Result<()> {
    anyhow::bail!(
        "This vitruvian was built without MPI. Build it with `cargo build --release --features mpi`, see scripts/test-mpi"
    )
}
