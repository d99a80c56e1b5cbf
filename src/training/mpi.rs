//! Ranks that are processes, joined by MPI: what `--ranks` of a training under `mpirun` runs on.

use candle_core::{Result, bail};
use mpi::collective::SystemOperation;
use mpi::environment::Universe;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator as _, CommunicatorCollectives as _};

use crate::nn::norms::sync::AllReduce;

/// All processes that `mpirun` started. MPI ends when it is dropped.
pub struct World {
    _universe: Universe,
}

impl World {
    /// Joins the others.
    ///
    /// # Errors
    /// If MPI is running in this process already.
    pub fn join() -> anyhow::Result<Self> {
        let universe = mpi::initialize();
        let universe = universe.ok_or_else(|| anyhow::anyhow!("MPI was started twice"))?;
        Ok(Self {
            _universe: universe,
        })
    }

    /// The number of this process.
    pub fn rank(&self) -> usize {
        usize::try_from(SimpleCommunicator::world().rank()).unwrap_or(0)
    }

    /// The number of this process among those on the same machine: which of its cards it takes.
    #[cfg(feature = "nccl")]
    pub fn local_rank(&self) -> usize {
        let local = SimpleCommunicator::world().split_shared(0);
        usize::try_from(local.rank()).unwrap_or(0)
    }

    /// Gives every process the bytes of the first.
    #[cfg(feature = "nccl")]
    pub fn broadcast(&self, bytes: &mut [u8]) {
        use mpi::traits::Root as _;
        SimpleCommunicator::world()
            .process_at_rank(0)
            .broadcast_into(bytes);
    }

    /// What sums over the processes.
    pub fn reduce(&self) -> Processes {
        Processes
    }

    /// Ends all processes: one that has failed would leave the others waiting for it.
    pub fn abort(&self) -> ! {
        SimpleCommunicator::world().abort(1)
    }
}

/// The sum over all processes. Only called from the thread that joined.
pub struct Processes;

impl AllReduce for Processes {
    fn ranks(&self) -> usize {
        usize::try_from(SimpleCommunicator::world().size()).unwrap_or(1)
    }

    fn sum(&self, values: &mut [f64]) -> Result<()> {
        if values.iter().any(|v| !v.is_finite()) {
            // Passed on, it would spoil every rank's network; the caller stops all of them.
            bail!(
                "a value that is no number was to be summed over the ranks: lower the learning rate"
            );
        }
        let sent = values.to_vec();
        SimpleCommunicator::world().all_reduce_into(&sent[..], values, SystemOperation::sum());
        Ok(())
    }
}
