//! The pointwise part of an LSTM cell as one operation: gates and old cell state in, new hidden and cell state out.
//!
//! Hochreiter & Schmidhuber 1997 with forget gate, in PyTorch's order of gates: input, forget, candidate, output. candle
//! would run some 30 operations over memory for each step forward and back. Elsewhere than on the CPU in f32 it does.

use super::cpu::slice;
use super::plane_op::is_ours;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

/// `gates` [N, 4H] before activation and `cell` [N, H] to (hidden, cell), each [N, H].
pub fn lstm_cell(gates: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor)> {
    let width = cell.dim(1)?;
    if is_ours(gates) {
        let both = gates.contiguous()?.apply_op2(&cell.contiguous()?, Cell)?;
        return Ok((both.narrow(1, 0, width)?, both.narrow(1, width, width)?));
    }
    let gate = |i: usize| gates.narrow(1, i * width, width);
    let (input, forget, output) = (
        candle_nn::ops::sigmoid(&gate(0)?)?,
        candle_nn::ops::sigmoid(&gate(1)?)?,
        candle_nn::ops::sigmoid(&gate(3)?)?,
    );
    let cell = ((forget * cell)? + (input * gate(2)?.tanh()?)?)?;
    Ok(((output * cell.tanh()?)?, cell))
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn tanh(x: f32) -> f32 {
    2.0 * sigmoid(2.0 * x) - 1.0
}

/// The four gates of unit `i` of one row, activated.
fn activated(gates: &[f32], width: usize, i: usize) -> [f32; 4] {
    [
        sigmoid(gates[i]),
        sigmoid(gates[width + i]),
        tanh(gates[2 * width + i]),
        sigmoid(gates[3 * width + i]),
    ]
}

struct Cell;
struct CellBackward;

impl CustomOp2 for Cell {
    fn name(&self) -> &'static str {
        "lstm-cell"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        gates_layout: &Layout,
        cell: &CpuStorage,
        cell_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, width) = cell_layout.shape().dims2()?;
        let (gates, cell) = (
            slice(gates, gates_layout, self.name())?,
            slice(cell, cell_layout, self.name())?,
        );
        let mut out = vec![0f32; n * 2 * width];
        for ((out, gates), cell) in out
            .chunks_exact_mut(2 * width)
            .zip(gates.chunks_exact(4 * width))
            .zip(cell.chunks_exact(width))
        {
            for i in 0..width {
                let [input, forget, candidate, output] = activated(gates, width, i);
                let new = forget * cell[i] + input * candidate;
                out[width + i] = new;
                out[i] = output * tanh(new);
            }
        }
        Ok((CpuStorage::F32(out), (n, 2 * width).into()))
    }

    fn bwd(
        &self,
        gates: &Tensor,
        cell: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let width = cell.dim(1)?;
        let all = gates.apply_op3_no_bwd(cell, &grad.contiguous()?, &CellBackward)?;
        Ok((
            Some(all.narrow(1, 0, 4 * width)?.contiguous()?),
            Some(all.narrow(1, 4 * width, width)?.contiguous()?),
        ))
    }
}

impl CustomOp3 for CellBackward {
    fn name(&self) -> &'static str {
        "lstm-cell-backward"
    }

    fn cpu_fwd(
        &self,
        gates: &CpuStorage,
        gates_layout: &Layout,
        cell: &CpuStorage,
        cell_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (n, width) = cell_layout.shape().dims2()?;
        let (gates, cell, grad) = (
            slice(gates, gates_layout, self.name())?,
            slice(cell, cell_layout, self.name())?,
            slice(grad, grad_layout, self.name())?,
        );
        let mut out = vec![0f32; n * 5 * width];
        for (((out, gates), cell), grad) in out
            .chunks_exact_mut(5 * width)
            .zip(gates.chunks_exact(4 * width))
            .zip(cell.chunks_exact(width))
            .zip(grad.chunks_exact(2 * width))
        {
            for i in 0..width {
                let [input, forget, candidate, output] = activated(gates, width, i);
                let squashed = tanh(forget * cell[i] + input * candidate);
                let by_cell = grad[width + i] + grad[i] * output * (1.0 - squashed * squashed);
                out[i] = by_cell * candidate * input * (1.0 - input);
                out[width + i] = by_cell * cell[i] * forget * (1.0 - forget);
                out[2 * width + i] = by_cell * input * (1.0 - candidate * candidate);
                out[3 * width + i] = grad[i] * squashed * output * (1.0 - output);
                out[4 * width + i] = by_cell * forget;
            }
        }
        Ok((CpuStorage::F32(out), (n, 5 * width).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// The same cell from candle's operations.
    fn reference(gates: &Tensor, cell: &Tensor) -> Tensor {
        let width = cell.dim(1).unwrap();
        let gate = |i: usize| gates.narrow(1, i * width, width).unwrap();
        let s = |t: Tensor| candle_nn::ops::sigmoid(&t).unwrap();
        let new = ((s(gate(1)) * cell).unwrap() + (s(gate(0)) * gate(2).tanh().unwrap()).unwrap())
            .unwrap();
        let hidden = (s(gate(3)) * new.tanh().unwrap()).unwrap();
        Tensor::cat(&[hidden, new], 1).unwrap()
    }

    #[test]
    fn values_and_gradients_are_those_of_single_operations() {
        let gates = Var::randn(0f32, 1.0, (3, 20), &Device::Cpu).unwrap();
        let cell = Var::randn(0f32, 1.0, (3, 5), &Device::Cpu).unwrap();
        let weight = Tensor::randn(0f32, 1.0, (3, 10), &Device::Cpu).unwrap();
        let (h, c) = lstm_cell(&gates, &cell).unwrap();
        let ours = Tensor::cat(&[h, c], 1).unwrap();
        let theirs = reference(&gates, &cell);
        let grads = [&ours, &theirs].map(|out| {
            let loss = (out * &weight).unwrap().sum_all().unwrap();
            loss.backward().unwrap()
        });
        let close = |a: &Tensor, b: &Tensor| {
            let worst = (a - b).unwrap().abs().unwrap().max_all().unwrap();
            assert!(worst.to_scalar::<f32>().unwrap() < 1e-5);
        };
        close(&ours, &theirs);
        close(grads[0].get(&gates).unwrap(), grads[1].get(&gates).unwrap());
        close(grads[0].get(&cell).unwrap(), grads[1].get(&cell).unwrap());
    }
}
