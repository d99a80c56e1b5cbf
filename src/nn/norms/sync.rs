//! Statistics and gradients summed over the ranks of a data-parallel run: what Sync SN and Sync BN need.
//!
//! A rank holds its share of the batch. Only the batch branch of a normalisation looks across samples, so only it is
//! summed: two values a channel forward and two backward. Everything else follows from gradients being summed, which
//! [`sum_gradients`] does for all parameters at once, the control parameters of SN among them.
//!
//! How the sum is made is the caller's: MPI (`training::mpi`) between processes, [`Team`] between threads, NCCL
//! (`training::nccl`) between graphics cards. A tensor is summed where it lies, by [`AllReduce::sum_tensor`]; the CPU
//! kernels of normalisations sum their own numbers, and on other devices [`over_ranks`] stands in candle's operations.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use candle_core::backend::BackendStorage as _;
use candle_core::backprop::GradStore;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, DType, Device, Layout, MetalStorage, Result, Shape, Tensor,
    Var, bail,
};

/// Sums over all ranks. Every rank calls it the same number of times, with as many values, in the same order.
pub trait AllReduce: Send + Sync {
    /// Number of ranks, at least one.
    fn ranks(&self) -> usize;

    /// Replaces `values` by their sums over all ranks.
    ///
    /// # Errors
    /// When another rank is gone.
    fn sum(&self, values: &mut [f64]) -> Result<()>;

    /// The sum of `values` over all ranks, in their type and on their device: by way of [`AllReduce::sum`], unless the
    /// ranks have a shorter one.
    ///
    /// # Errors
    /// When another rank is gone.
    fn sum_tensor(&self, values: &Tensor) -> Result<Tensor> {
        let mut sums = values
            .to_dtype(DType::F64)?
            .flatten_all()?
            .to_vec1::<f64>()?;
        self.sum(&mut sums)?;
        Tensor::from_vec(sums, values.shape(), &Device::Cpu)?
            .to_dtype(values.dtype())?
            .to_device(values.device())
    }
}

/// Gives its second input, which is the first summed over the ranks; its gradient is summed over them too.
struct OverRanks(Arc<dyn AllReduce>);

impl CustomOp2 for OverRanks {
    fn name(&self) -> &'static str {
        "over-ranks"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        sum: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Ok((sum.try_clone(layout)?, layout.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        sum: &CudaStorage,
        layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Ok((sum.try_clone(layout)?, layout.shape().clone()))
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        sum: &MetalStorage,
        layout: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        Ok((sum.try_clone(layout)?, layout.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(self.0.sum_tensor(&grad.contiguous()?)?), None))
    }
}

/// The sum of `values` over all ranks as a step of the computation: what depends on it anywhere reaches `values` in the
/// backward pass, if the loss of the whole is the sum of the ranks' losses.
///
/// # Errors
/// When another rank is gone.
pub fn over_ranks(values: &Tensor, reduce: &Arc<dyn AllReduce>) -> Result<Tensor> {
    let values = values.contiguous()?;
    let sum = reduce.sum_tensor(&values.detach())?;
    values.apply_op2(&sum, OverRanks(Arc::clone(reduce)))
}

/// Replaces the gradients of `vars` by their sums over all ranks, in one collective call. If each rank divides its
/// mean loss by the number of ranks, the result is the gradient of the mean loss of the whole batch.
///
/// # Errors
/// When another rank is gone.
pub fn sum_gradients(grads: &mut GradStore, vars: &[Var], reduce: &dyn AllReduce) -> Result<()> {
    let with_gradient: Vec<&Var> = vars.iter().filter(|v| grads.get(v).is_some()).collect();
    let mut flat = Vec::new();
    for var in &with_gradient {
        if let Some(grad) = grads.get(var) {
            // Cards are slow at f64, and sums of a few ranks need no more than f32 has.
            let dtype = match grad.device() {
                Device::Cpu => DType::F64,
                _ => DType::F32,
            };
            flat.push(grad.to_dtype(dtype)?.flatten_all()?);
        }
    }
    if flat.is_empty() {
        return Ok(());
    }
    let sums = reduce.sum_tensor(&Tensor::cat(&flat, 0)?)?;
    let mut start = 0;
    for var in &with_gradient {
        let sum = sums.narrow(0, start, var.elem_count())?;
        grads.insert(var, sum.reshape(var.shape())?.to_dtype(var.dtype())?);
        start += var.elem_count();
    }
    Ok(())
}

/// One rank among threads of this process.
pub struct Team {
    rank: usize,
    shared: Arc<Meeting>,
}

struct Meeting {
    ranks: usize,
    state: Mutex<Round>,
    changed: Condvar,
}

#[derive(Default)]
struct Round {
    /// Counts finished rounds.
    number: u64,
    brought: Vec<Option<Vec<f64>>>,
    total: Vec<f64>,
    is_broken: bool,
}

impl Team {
    /// Handles for `ranks` threads, one each. Dropping a handle tells the others that the rank is gone.
    pub fn new(ranks: usize) -> Vec<Self> {
        let shared = Arc::new(Meeting {
            ranks,
            state: Mutex::new(Round {
                brought: vec![None; ranks],
                ..Round::default()
            }),
            changed: Condvar::new(),
        });
        (0..ranks)
            .map(|rank| Self {
                rank,
                shared: Arc::clone(&shared),
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Round> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl AllReduce for Team {
    fn ranks(&self) -> usize {
        self.shared.ranks
    }

    fn sum(&self, values: &mut [f64]) -> Result<()> {
        let mut round = self.lock();
        let number = round.number;
        round.brought[self.rank] = Some(values.to_vec());
        if round.brought.iter().all(Option::is_some) {
            // In the order of ranks, so that a run can be repeated to the last bit.
            let parts: Vec<Vec<f64>> = round.brought.iter_mut().filter_map(Option::take).collect();
            if parts.iter().any(|part| part.len() != values.len()) {
                round.is_broken = true;
                self.shared.changed.notify_all();
                bail!("the ranks sum different things: they do not run the same network");
            }
            let mut total = vec![0.0; values.len()];
            for part in parts {
                total.iter_mut().zip(part).for_each(|(t, v)| *t += v);
            }
            round.total = total;
            round.number += 1;
            self.shared.changed.notify_all();
        }
        while round.number == number && !round.is_broken {
            round = self
                .shared
                .changed
                .wait(round)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if round.number == number {
            bail!("another rank has stopped, so this one cannot go on");
        }
        values.copy_from_slice(&round.total);
        Ok(())
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // A rank that has finished its work leaves too: nobody waits for it then.
        self.lock().is_broken = true;
        self.shared.changed.notify_all();
    }
}
