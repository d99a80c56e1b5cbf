//! `vitruvian bench kernels`: how fast the CPU kernels are, beside candle's own on the same shapes.
//!
//! Each number is the median of repeated runs after a warm-up. `scripts/bench` puts PyTorch and onnxruntime beside
//! them. The number of threads is that of rayon (`RAYON_NUM_THREADS`).

use std::fmt;

use anyhow::Result;
use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use serde::Serialize;

use super::median_ms;
use crate::commands::{print, print_json};
use crate::nn::activation::{Activation, relu};
use crate::nn::conv::{Pad, conv_transpose2d, conv2d, depthwise_conv2d};
use crate::nn::norm::{group_norm, instance_norm};
use crate::nn::norms::{Norm, NormKind, Norms};
use crate::nn::resize::{resize_bilinear, upsample_nearest2x};

type Op = fn(&Tensor, &[Tensor]) -> candle_core::Result<Tensor>;

/// One operation on one shape.
struct Case {
    name: &'static str,
    /// Input [N, C, H, W].
    input: [usize; 4],
    /// Shapes of weights, which get gradients too.
    weights: &'static [&'static [usize]],
    /// Multiplications and additions of one forward pass; 0 where memory and not arithmetic is the limit.
    flop: f64,
    ours: Op,
    candle: Op,
}

const CASES: [Case; 15] = [
    Case {
        name: "conv 3x3 64>64 @256",
        input: [1, 64, 256, 256],
        weights: &[&[64, 64, 3, 3]],
        flop: conv_flop(64, 64, 9, 256),
        ours: |x, w| conv2d(x, &w[0], None, 1, Pad::all(1)),
        candle: |x, w| x.conv2d(&w[0], 1, 1, 1, 1),
    },
    Case {
        name: "conv 3x3 512>512 @32",
        input: [1, 512, 32, 32],
        weights: &[&[512, 512, 3, 3]],
        flop: conv_flop(512, 512, 9, 32),
        ours: |x, w| conv2d(x, &w[0], None, 1, Pad::all(1)),
        candle: |x, w| x.conv2d(&w[0], 1, 1, 1, 1),
    },
    Case {
        name: "conv 1x1 256>256 @64",
        input: [1, 256, 64, 64],
        weights: &[&[256, 256, 1, 1]],
        flop: conv_flop(256, 256, 1, 64),
        ours: |x, w| conv2d(x, &w[0], None, 1, Pad::all(0)),
        candle: |x, w| x.conv2d(&w[0], 0, 1, 1, 1),
    },
    Case {
        name: "conv 3x3 s2 64>128 @256",
        input: [1, 64, 256, 256],
        weights: &[&[128, 64, 3, 3]],
        flop: conv_flop(64, 128, 9, 128),
        ours: |x, w| conv2d(x, &w[0], None, 2, Pad::all(1)),
        candle: |x, w| x.conv2d(&w[0], 1, 2, 1, 1),
    },
    Case {
        name: "transposed 3x3 s2 128>64 @128",
        input: [1, 128, 128, 128],
        weights: &[&[128, 64, 3, 3]],
        flop: conv_flop(128, 64, 9, 128),
        ours: |x, w| conv_transpose2d(x, &w[0], None, 2, 1, 1),
        candle: |x, w| x.conv_transpose2d(&w[0], 1, 1, 2, 1),
    },
    Case {
        name: "depthwise 3x3 128 @64",
        input: [1, 128, 64, 64],
        weights: &[&[128, 1, 3, 3]],
        flop: conv_flop(1, 128, 9, 64),
        ours: |x, w| depthwise_conv2d(x, &w[0], None, 1, Pad::all(1)),
        candle: |x, w| x.conv2d(&w[0], 1, 1, 1, 128),
    },
    Case {
        name: "group norm 32 of 64 @256",
        input: [1, 64, 256, 256],
        weights: &[&[64], &[64]],
        flop: 0.0,
        ours: |x, w| group_norm(x, &w[0], &w[1], 32, 1e-5, Activation::None),
        candle: |x, w| {
            candle_nn::Module::forward(
                &candle_nn::GroupNorm::new(w[0].clone(), w[1].clone(), 64, 32, 1e-5)?,
                x,
            )
        },
    },
    Case {
        name: "instance norm 64 @256",
        input: [1, 64, 256, 256],
        weights: &[],
        flop: 0.0,
        ours: |x, _| instance_norm(x, 1e-5, Activation::None),
        candle: |x, _| {
            let (one, zero) = (
                Tensor::ones(64, x.dtype(), x.device())?,
                Tensor::zeros(64, x.dtype(), x.device())?,
            );
            candle_nn::Module::forward(&candle_nn::GroupNorm::new(one, zero, 64, 64, 1e-5)?, x)
        },
    },
    Case {
        name: "batch norm 64 @256",
        input: [1, 64, 256, 256],
        weights: &[&[64], &[64]],
        flop: 0.0,
        ours: |x, w| norm_layer(NormKind::Batch, false, w)?.forward(x),
        candle: |x, w| norm_layer(NormKind::Batch, false, w)?.forward_plain(x),
    },
    Case {
        name: "switch norm 64 @256",
        input: [1, 64, 256, 256],
        weights: &[&[64], &[64]],
        flop: 0.0,
        ours: |x, w| norm_layer(NormKind::Switch, false, w)?.forward(x),
        candle: |x, w| norm_layer(NormKind::Switch, false, w)?.forward_plain(x),
    },
    Case {
        name: "sparse, decided 64 @256",
        input: [1, 64, 256, 256],
        weights: &[&[64], &[64]],
        flop: 0.0,
        ours: |x, w| norm_layer(NormKind::SparseSwitch, true, w)?.forward(x),
        candle: |x, w| norm_layer(NormKind::SparseSwitch, true, w)?.forward_plain(x),
    },
    Case {
        name: "hard ratios 64 @256",
        input: [1, 64, 256, 256],
        weights: &[&[64], &[64]],
        flop: 0.0,
        ours: |x, w| norm_layer(NormKind::Hard, true, w)?.forward(x),
        candle: |x, w| norm_layer(NormKind::Hard, true, w)?.forward_plain(x),
    },
    Case {
        name: "nearest x2 64 @128",
        input: [1, 64, 128, 128],
        weights: &[],
        flop: 0.0,
        ours: |x, _| upsample_nearest2x(x),
        candle: |x, _| x.upsample_nearest2d(256, 256),
    },
    Case {
        name: "bilinear x2 64 @128",
        input: [1, 64, 128, 128],
        weights: &[],
        flop: 0.0,
        ours: |x, _| resize_bilinear(x, 256, 256, false),
        candle: |x, _| x.upsample_bilinear2d(256, 256, false),
    },
    Case {
        name: "ReLU 64 @256",
        input: [1, 64, 256, 256],
        weights: &[],
        flop: 0.0,
        ours: |x, _| relu(x),
        candle: |x, _| x.relu(),
    },
];

/// A layer in training with these scales and shifts; `is_decided` freezes switchable ones at ratios that differ for mean
/// (layer) and variance (batch).
fn norm_layer(kind: NormKind, is_decided: bool, w: &[Tensor]) -> candle_core::Result<Norm> {
    let channels = w[0].elem_count();
    let vector = |values: [f32; 3]| Tensor::new(&values, w[0].device());
    let shaped = |t: &Tensor| match kind.is_switchable() {
        true => t.reshape((1, channels, 1, 1)),
        false => Ok(t.clone()),
    };
    let buffer = match kind.is_switchable() {
        true => Tensor::zeros((1, channels, 1), DType::F32, w[0].device())?,
        false => Tensor::zeros(channels, DType::F32, w[0].device())?,
    };
    let flag = Tensor::zeros(1, DType::F32, w[0].device())?;
    let tensors = [
        ("weight", shaped(&w[0])?),
        ("bias", shaped(&w[1])?),
        ("mean_weight", vector([0.2, 0.6, 0.2])?),
        ("var_weight", vector([0.1, 0.3, 0.6])?),
        ("running_mean", buffer.copy()?),
        ("running_var", buffer),
        ("mean_fixed", flag.copy()?),
        ("var_fixed", flag.copy()?),
        ("radius", flag),
    ];
    let tensors = tensors.map(|(name, t)| (name.to_string(), t)).into();
    let vb = VarBuilder::from_tensors(tensors, DType::F32, w[0].device());
    let norms = Norms::new(kind, 1);
    let norm = norms.layer2d(channels, Activation::None, vb)?;
    norms.set_training(true);
    if is_decided {
        norms.harden()?;
    }
    Ok(norm)
}

const fn conv_flop(inputs: usize, outputs: usize, taps: usize, side: usize) -> f64 {
    (2 * inputs * outputs * taps * side * side) as f64
}

/// Milliseconds of one case; `None` where the operation does not exist.
#[derive(Serialize)]
struct Row {
    name: &'static str,
    gflop: f64,
    forward_ms: Option<f64>,
    forward_backward_ms: Option<f64>,
    candle_forward_ms: Option<f64>,
    candle_forward_backward_ms: Option<f64>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<30}", self.name)?;
        // Backward costs two forward passes more: to the input and to the weights.
        let columns = [
            (self.forward_ms, 1.0),
            (self.forward_backward_ms, 3.0),
            (self.candle_forward_ms, 1.0),
            (self.candle_forward_backward_ms, 3.0),
        ];
        for (ms, passes) in columns {
            match ms {
                Some(ms) if self.gflop > 0.0 => write!(
                    f,
                    " {ms:>8.2} ms {:>4.0} G/s",
                    passes * self.gflop / ms * 1e3
                )?,
                Some(ms) => write!(f, " {ms:>8.2} ms         ")?,
                None => write!(f, " {:>20}", "–")?,
            }
        }
        Ok(())
    }
}

/// Measures every case and prints a table, or JSON with `threads` and `rows`.
pub fn run(json: bool) -> Result<()> {
    let threads = rayon::current_num_threads();
    if !json {
        print(format_args!("{threads} threads, median times"));
        print(format_args!(
            "{:<30} {:>20} {:>20} {:>20} {:>20}",
            "", "forward", "with backward", "candle forward", "candle with backward"
        ));
    }
    let mut rows = Vec::new();
    for case in &CASES {
        let row = measure(case)?;
        if !json {
            print(&row);
        }
        rows.push(row);
    }
    if json {
        print_json(&serde_json::json!({ "threads": threads, "rows": rows }))?;
    }
    Ok(())
}

fn measure(case: &Case) -> Result<Row> {
    let device = Device::Cpu;
    let xs = Var::randn(0f32, 1., &case.input, &device)?;
    let weights = case
        .weights
        .iter()
        .map(|shape| Var::randn(0f32, 0.1, *shape, &device));
    let weights = weights.collect::<candle_core::Result<Vec<_>>>()?;
    let tracked: Vec<Tensor> = weights.iter().map(|var| var.as_tensor().clone()).collect();
    let plain: Vec<Tensor> = tracked.iter().map(Tensor::detach).collect();
    let forward = |op: Op| median_ms(|| op(&xs.as_detached_tensor(), &plain).map(drop));
    let both = |op: Op| median_ms(|| op(xs.as_tensor(), &tracked)?.backward().map(drop));
    Ok(Row {
        name: case.name,
        gflop: case.flop * 1e-9,
        forward_ms: forward(case.ours),
        forward_backward_ms: both(case.ours),
        candle_forward_ms: forward(case.candle),
        candle_forward_backward_ms: both(case.candle),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A case whose two sides compute different things would compare nothing.
    #[test]
    fn both_sides_of_each_case_compute_the_same() {
        for case in &CASES {
            let [n, c, h, w] = case.input;
            let xs = Tensor::randn(0f32, 1., (n, c, h / 8, w / 8), &Device::Cpu).unwrap();
            let weights: Vec<Tensor> = case
                .weights
                .iter()
                .map(|shape| Tensor::randn(0f32, 0.1, *shape, &Device::Cpu).unwrap())
                .collect();
            if case.name.starts_with("nearest") || case.name.starts_with("bilinear") {
                continue; // candle's side names the full output size
            }
            let (ours, candle) = (
                (case.ours)(&xs, &weights).unwrap(),
                (case.candle)(&xs, &weights).unwrap(),
            );
            assert_eq!(ours.dims(), candle.dims(), "{}", case.name);
            let difference = (ours - candle)
                .unwrap()
                .abs()
                .unwrap()
                .flatten_all()
                .unwrap()
                .max(0)
                .unwrap();
            assert!(
                difference.to_scalar::<f32>().unwrap() < 1e-3,
                "{}",
                case.name
            );
        }
    }
}
