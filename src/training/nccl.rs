//! Ranks with a graphics card each, joined by NCCL: tensors on the cards are summed from card to card.
//!
//! Processes are still started by `mpirun`, which also carries NCCL's id to all of them; numbers that lie in main memory
//! are summed by MPI as before. **Never run on a card**: it is written after NCCL's documentation and candle's own
//! example of several processes, and only its types are checked (`scripts/check-cuda`). Left out: bf16 and f16, and
//! several cards in one process.

use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::nccl::safe::{Comm, Id, ReduceOp};
use candle_core::cuda_backend::{CudaDType, CudaStorage};
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, bail};

use super::mpi::{Processes, World};
use crate::nn::norms::sync::AllReduce;

/// Bytes of NCCL's id.
const ID_BYTES: usize = 128;

/// The cards of all processes.
pub struct Cards {
    processes: Processes,
    comm: Mutex<Held>,
}

/// NCCL's handle, which is a raw pointer.
struct Held(Comm);

// SAFETY: NCCL lets any thread use a communicator, as long as one does at a time; the mutex around it sees to that.
unsafe impl Send for Held {}

impl Cards {
    /// Joins the others with this process's card.
    ///
    /// # Errors
    /// If the device is no CUDA card or NCCL does not start, in every process at the latest when it waits for the rest.
    pub fn join(world: &World, device: &Device) -> anyhow::Result<Self> {
        let device = device.as_cuda_device()?;
        let failed = |error| anyhow::anyhow!("Failed to start NCCL: {error:?}");
        let mut bytes = [0u8; ID_BYTES];
        if world.rank() == 0 {
            let id = Id::new().map_err(failed)?;
            bytes = id.internal().map(|c| c as u8);
        }
        world.broadcast(&mut bytes);
        let id = Id::uninit(bytes.map(|b| b as c_char));
        let processes = world.reduce();
        let ranks = processes.ranks();
        let comm = Comm::from_rank(device.cuda_stream(), world.rank(), ranks, id);
        Ok(Self {
            processes,
            comm: Mutex::new(Held(comm.map_err(failed)?)),
        })
    }
}

impl AllReduce for Cards {
    fn ranks(&self) -> usize {
        self.processes.ranks()
    }

    fn sum(&self, values: &mut [f64]) -> Result<()> {
        self.processes.sum(values)
    }

    fn sum_tensor(&self, values: &Tensor) -> Result<Tensor> {
        match values.device() {
            Device::Cuda(_) => values.contiguous()?.apply_op1_no_bwd(&Sum(self)),
            _ => self.processes.sum_tensor(values),
        }
    }
}

/// The sum over all cards.
struct Sum<'a>(&'a Cards);

impl Sum<'_> {
    fn of<T>(&self, from: &CudaStorage, layout: &Layout) -> Result<CudaStorage>
    where
        T: CudaDType
            + candle_core::cuda_backend::cudarc::nccl::safe::NcclType
            + candle_core::cuda_backend::cudarc::driver::DeviceRepr
            + candle_core::cuda_backend::cudarc::driver::ValidAsZeroBits,
    {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("only what lies in one piece is summed over cards");
        };
        let device = from.device.clone();
        let from = from.as_cuda_slice::<T>()?.slice(start..end);
        let mut to = device.alloc_zeros::<T>(end - start)?;
        let comm = self.0.comm.lock().unwrap_or_else(PoisonError::into_inner);
        let summed = comm.0.all_reduce(&from, &mut to, &ReduceOp::Sum);
        if let Err(error) = summed {
            bail!("another rank has stopped, or its card has: {error:?}");
        }
        Ok(CudaStorage::wrap_cuda_slice(to, device))
    }
}

impl CustomOp1 for Sum<'_> {
    fn name(&self) -> &'static str {
        "sum-over-cards"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        bail!("only tensors on a card are summed over cards")
    }

    fn cuda_fwd(&self, from: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage as _;
        let sum = match from.dtype() {
            DType::F32 => self.of::<f32>(from, layout)?,
            DType::F64 => self.of::<f64>(from, layout)?,
            dtype => bail!("{dtype:?} is not summed over cards, f32 and f64 are"),
        };
        Ok((sum, layout.shape().clone()))
    }
}
