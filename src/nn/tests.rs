//! Every kernel against candle's own operation, forward and backward, and against finite differences.
//!
//! Tolerances: sums of some thousand `f32` products in another order differ by about 1e-6 of their size; 2e-5 of
//! the largest value leaves room and still catches any wrong tap, border or index.

use super::activation::{Activation, prelu};
use super::conv::{Pad, conv_transpose2d, conv2d, depthwise_conv2d};
use super::norm::{group_norm, instance_norm, modulated_norm};
use super::pad::reflection_pad2d;
use super::pool::{avg_pool2d, max_pool2d};
use super::resize::{resize_bilinear, upsample_nearest2x};
use super::shuffle::{pixel_shuffle, pixel_unshuffle};
use candle_core::{DType, Device, Result, Tensor, Var};

pub(super) fn random(shape: &[usize], seed: u64) -> Var {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect();
    Var::from_vec(values, shape, &Device::Cpu).unwrap()
}

pub(super) fn largest(t: &Tensor) -> f64 {
    t.to_dtype(DType::F64)
        .unwrap()
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}

/// Compares values and all gradients of `ours` in f32 with `reference` in f64.
pub(super) fn compare(
    vars: &[Var],
    ours: impl Fn(&[Tensor]) -> Result<Tensor>,
    reference: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let inputs: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let doubles: Vec<Var> = vars
        .iter()
        .map(|v| Var::from_tensor(&v.to_dtype(DType::F64).unwrap()).unwrap())
        .collect();
    let double_inputs: Vec<Tensor> = doubles.iter().map(|v| v.as_tensor().clone()).collect();
    let (a, b) = (ours(&inputs).unwrap(), reference(&double_inputs).unwrap());
    assert_eq!(a.dims(), b.dims());
    let close = |a: &Tensor, b: &Tensor, what: &str| {
        let error = largest(&(a.to_dtype(DType::F64).unwrap() - b).unwrap());
        assert!(
            error <= 2e-5 * largest(b).max(1.0),
            "{what}: error {error}, largest {}",
            largest(b)
        );
    };
    close(&a, &b, "value");
    // A fixed random weighting of the outputs, so that every output has its own gradient.
    let weights = random(a.dims(), 99);
    let ga = (&a * weights.as_tensor())
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let gb = (&b * weights.to_dtype(DType::F64).unwrap())
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    for (i, (v, d)) in vars.iter().zip(&doubles).enumerate() {
        close(
            ga.get(v).unwrap(),
            gb.get(d).unwrap(),
            &format!("gradient {i}"),
        );
    }
}

/// candle's convolution with padding by hand; differentiable in all arguments.
fn plain_conv(t: &[Tensor], stride: usize, pad: Pad, groups: usize) -> Result<Tensor> {
    let xs = t[0]
        .pad_with_zeros(2, pad.top, pad.bottom)?
        .pad_with_zeros(3, pad.left, pad.right)?;
    xs.conv2d(&t[1], 0, stride, 1, groups)?
        .broadcast_add(&t[2].reshape((1, (), 1, 1))?)
}

#[test]
fn conv2d_agrees_with_candle() {
    // (n, ci, h, w, co, k, stride, pad): whole panels, odd sizes, tiny maps, tails, many channels.
    let cases = [
        (2, 3, 32, 32, 8, 3, 1, Pad::all(1)),
        (1, 5, 17, 13, 7, 3, 1, Pad::all(1)),
        (2, 70, 8, 8, 19, 3, 1, Pad::all(1)),
        (1, 130, 4, 4, 66, 3, 1, Pad::all(1)),
        (1, 4, 20, 24, 6, 7, 1, Pad::all(3)),
        (2, 6, 16, 16, 11, 1, 1, Pad::all(0)),
        (1, 33, 5, 7, 9, 1, 1, Pad::all(0)),
        (1, 3, 1, 1, 2, 1, 1, Pad::all(0)),
        (
            1,
            3,
            9,
            9,
            2,
            4,
            1,
            Pad {
                top: 0,
                bottom: 2,
                left: 1,
                right: 0,
            },
        ),
    ];
    for (n, ci, h, w, co, k, stride, pad) in cases {
        let vars = [
            random(&[n, ci, h, w], 1),
            random(&[co, ci, k, k], 2),
            random(&[co], 3),
        ];
        compare(
            &vars,
            |t| conv2d(&t[0], &t[1], Some(&t[2]), stride, pad),
            |t| plain_conv(t, stride, pad, 1),
        );
    }
}

/// candle's gradient of a strided convolution needs sizes that its transposed convolution restores exactly.
#[test]
fn strided_conv2d_agrees_with_candle() {
    let cases = [
        (1, 6, 33, 33, 8, 3, 2),
        (2, 4, 34, 18, 5, 4, 2),
        (1, 3, 31, 22, 4, 4, 3),
        (1, 8, 9, 9, 4, 1, 2),
        (1, 2, 65, 65, 3, 5, 4),
    ];
    for (n, ci, h, w, co, k, stride) in cases {
        let vars = [
            random(&[n, ci, h, w], 1),
            random(&[co, ci, k, k], 2),
            random(&[co], 3),
        ];
        compare(
            &vars,
            |t| conv2d(&t[0], &t[1], Some(&t[2]), stride, Pad::all(0)),
            |t| plain_conv(t, stride, Pad::all(0), 1),
        );
    }
}

/// Padded strides, where candle has no exact gradient: the identity ⟨g, ∂conv·d⟩ = finite difference, which is exact
/// for a function linear in each argument.
#[test]
fn padded_strides_agree_with_finite_differences() {
    for (h, w, k, stride, pad) in [
        (32, 32, 3, 2, Pad::all(1)),
        (16, 24, 4, 2, Pad::all(1)),
        (15, 14, 3, 2, Pad::same((15, 14), (3, 3), 2)),
        (12, 12, 1, 2, Pad::all(0)),
    ] {
        let vars = [
            random(&[2, 5, h, w], 1),
            random(&[6, 5, k, k], 2),
            random(&[6], 3),
        ];
        let inputs: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let f = |t: &[Tensor]| conv2d(&t[0], &t[1], Some(&t[2]), stride, pad).unwrap();
        let plain = plain_conv(&inputs, stride, pad, 1).unwrap();
        assert!(largest(&(f(&inputs) - plain).unwrap()) < 2e-5);
        let y = f(&inputs);
        let weights = random(y.dims(), 9);
        let loss = |y: &Tensor| (y * weights.as_tensor()).unwrap().sum_all().unwrap();
        let grads = loss(&y).backward().unwrap();
        for (i, v) in vars.iter().enumerate() {
            let d = random(v.dims(), 50 + i as u64);
            let mut moved = inputs.clone();
            moved[i] = (&inputs[i] + d.as_tensor()).unwrap();
            let numeric = (loss(&f(&moved)) - loss(&y))
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            let analytic = (grads.get(v).unwrap() * d.as_tensor())
                .unwrap()
                .sum_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert!(
                (numeric - analytic).abs() <= 2e-3 * analytic.abs().max(1.0),
                "argument {i}: {numeric} and {analytic}"
            );
        }
    }
}

#[test]
fn depthwise_conv2d_agrees_with_candle() {
    for (h, w, k, stride, pad) in [
        (32, 32, 3, 1, Pad::all(1)),
        (19, 7, 5, 1, Pad::all(2)),
        (33, 17, 3, 2, Pad::all(0)),
        (5, 5, 3, 1, Pad::all(1)),
        (7, 7, 5, 1, Pad::all(2)),
        (14, 14, 5, 1, Pad::all(2)),
        (23, 21, 5, 2, Pad::all(2)),
        // The same plane with other padding, and with that of the first again: padding is kept between planes.
        (32, 32, 3, 1, Pad::all(2)),
        (32, 32, 3, 1, Pad::all(1)),
    ] {
        let vars = [
            random(&[2, 5, h, w], 1),
            random(&[5, 1, k, k], 2),
            random(&[5], 3),
        ];
        compare(
            &vars,
            |t| depthwise_conv2d(&t[0], &t[1], Some(&t[2]), stride, pad),
            |t| plain_conv(t, stride, pad, 5),
        );
    }
}

#[test]
fn conv_transpose2d_agrees_with_candle() {
    for (h, w, k, stride, padding, output_padding) in [
        (9, 7, 3, 2, 1, 1),
        (8, 8, 4, 2, 1, 0),
        (6, 5, 2, 2, 0, 0),
        (5, 6, 3, 1, 1, 0),
    ] {
        let vars = [
            random(&[2, 6, h, w], 1),
            random(&[6, 5, k, k], 2),
            random(&[5], 3),
        ];
        let plain = |t: &[Tensor]| {
            t[0].conv_transpose2d(&t[1], padding, output_padding, stride, 1)?
                .broadcast_add(&t[2].reshape((1, (), 1, 1))?)
        };
        compare(
            &vars,
            |t| conv_transpose2d(&t[0], &t[1], Some(&t[2]), stride, padding, output_padding),
            plain,
        );
    }
}

fn plain_norm(xs: &Tensor, groups: usize) -> Result<Tensor> {
    let (n, c, h, w) = xs.dims4()?;
    let g = xs.reshape((n, groups, ()))?;
    let centred = g.broadcast_sub(&g.mean_keepdim(2)?)?;
    centred
        .broadcast_div(&(centred.sqr()?.mean_keepdim(2)? + 1e-5)?.sqrt()?)?
        .reshape((n, c, h, w))
}

#[test]
fn norms_agree_with_the_plain_formula() {
    let act = Activation::LeakyRelu(0.2);
    let vars = [
        random(&[2, 12, 9, 7], 1),
        random(&[12], 2),
        random(&[12], 3),
    ];
    let plain = |t: &[Tensor], groups| {
        let y = plain_norm(&t[0], groups)?
            .broadcast_mul(&t[1].reshape((1, 12, 1, 1))?)?
            .broadcast_add(&t[2].reshape((1, 12, 1, 1))?)?;
        y.relu()? - (y.neg()?.relu()? * f64::from(0.2f32))?
    };
    for groups in [1, 3, 12] {
        compare(
            &vars,
            |t| group_norm(&t[0], &t[1], &t[2], groups, 1e-5, act),
            |t| plain(t, groups),
        );
    }
    compare(
        &vars[..1],
        |t| instance_norm(&t[0], 1e-5, Activation::None),
        |t| plain_norm(&t[0], 12),
    );
    let vars = [random(&[2, 8, 6, 5], 4), random(&[2, 16, 6, 5], 5)];
    compare(
        &vars,
        |t| modulated_norm(&t[0], &t[1], 4, 1e-5, Activation::Relu),
        |t| {
            ((plain_norm(&t[0], 4)? * (t[1].narrow(1, 0, 8)? + 1.0)?)? + t[1].narrow(1, 8, 8)?)?
                .relu()
        },
    );
}

#[test]
fn planes_agree_with_candle() {
    let vars = [random(&[2, 3, 8, 6], 1)];
    compare(
        &vars,
        |t| upsample_nearest2x(&t[0]),
        |t| t[0].upsample_nearest2d(16, 12),
    );
    // candle divides the gradient of a maximum by the size of its window: the maximum over four slices does not.
    let slice = |t: &Tensor, y: usize, x: usize| {
        t.reshape((2, 3, 4, 2, 3, 2))?
            .narrow(3, y, 1)?
            .narrow(5, x, 1)?
            .reshape((2, 3, 4, 3))
    };
    compare(
        &vars,
        |t| max_pool2d(&t[0], 2, 2),
        |t| {
            slice(&t[0], 0, 0)?
                .maximum(&slice(&t[0], 0, 1)?)?
                .maximum(&slice(&t[0], 1, 0)?.maximum(&slice(&t[0], 1, 1)?)?)
        },
    );
    compare(
        &vars,
        |t| avg_pool2d(&t[0], 2, 2),
        |t| t[0].avg_pool2d_with_stride(2, 2),
    );
    compare(
        &vars,
        |t| Activation::LeakyRelu(0.1).apply(&t[0]),
        |t| t[0].relu()? - (t[0].neg()?.relu()? * f64::from(0.1f32))?,
    );
    let rows = |px: usize, n: usize| {
        let i: Vec<u32> = (1..=px)
            .rev()
            .chain(0..n)
            .chain((n - 1 - px..n - 1).rev())
            .map(|i| i as u32)
            .collect();
        Tensor::new(i, &Device::Cpu).unwrap()
    };
    compare(
        &vars,
        |t| reflection_pad2d(&t[0], 3),
        |t| {
            t[0].index_select(&rows(3, 8), 2)?
                .index_select(&rows(3, 6), 3)
        },
    );
    let four = [random(&[1, 8, 3, 5], 2)];
    compare(
        &four,
        |t| pixel_shuffle(&t[0], 2),
        |t| candle_nn::ops::pixel_shuffle(&t[0], 2),
    );
    compare(
        &vars,
        |t| pixel_unshuffle(&t[0], 2),
        |t| candle_nn::ops::pixel_unshuffle(&t[0], 2),
    );
    let slopes = [random(&[2, 3, 4, 5], 7), random(&[3], 8)];
    compare(
        &slopes,
        |t| prelu(&t[0], &t[1]),
        |t| {
            t[0].relu()?.sub(
                &t[0]
                    .neg()?
                    .relu()?
                    .broadcast_mul(&t[1].reshape((1, 3, 1, 1))?)?,
            )
        },
    );
}

/// candle has no backward for bilinear; the resize is linear, so finite differences are exact.
#[test]
fn bilinear_agrees_with_candle_and_finite_differences() {
    for (ho, wo, align) in [
        (16, 12, false),
        (16, 12, true),
        (5, 4, false),
        (9, 30, false),
    ] {
        let x = random(&[2, 3, 8, 6], 1);
        let y = resize_bilinear(&x, ho, wo, align).unwrap();
        let plain = x.upsample_bilinear2d(ho, wo, align).unwrap();
        assert!(largest(&(&y - plain).unwrap()) < 1e-5);
        let weights = random(y.dims(), 3);
        let grad = (&y * weights.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let d = random(x.dims(), 4);
        let moved =
            resize_bilinear(&(x.as_tensor() + d.as_tensor()).unwrap(), ho, wo, align).unwrap();
        let numeric = ((moved - y).unwrap() * weights.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        let analytic = (grad.get(&x).unwrap() * d.as_tensor())
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap();
        assert!(
            (numeric - analytic).abs() < 1e-3,
            "{numeric} and {analytic}"
        );
    }
}

#[test]
fn segmentation_loss_has_the_gradient_of_its_value() {
    let logits = random(&[2, 4, 3, 5], 1);
    let labels: Vec<u8> = (0..30).map(|i| [0, 1, 2, 255, 1, 3][i % 6]).collect();
    let value = |x: &Tensor| {
        let loss = super::losses::SegmentationLoss {
            labels: labels.clone(),
            weight: vec![0.5, 1.0, 2.0, 1.5],
            dice: 0.7,
        };
        super::losses::segmentation(x, loss).unwrap()
    };
    let loss = value(&logits);
    let grad = loss.backward().unwrap().get(&logits).unwrap().clone();
    let d = random(logits.dims(), 5);
    let at = |t: f64| {
        value(&(logits.as_tensor() + (d.as_tensor() * t).unwrap()).unwrap())
            .to_scalar::<f32>()
            .unwrap() as f64
    };
    let numeric = (at(1e-2) - at(-1e-2)) / 2e-2;
    let analytic = (grad * d.as_tensor())
        .unwrap()
        .sum_all()
        .unwrap()
        .to_scalar::<f32>()
        .unwrap() as f64;
    assert!(
        (numeric - analytic).abs() < 2e-4,
        "{numeric} and {analytic}"
    );
    // Cross-entropy alone against candle's.
    let all: Vec<u32> = (0..30).map(|i| (i % 4) as u32).collect();
    let ours = super::losses::SegmentationLoss {
        labels: all.iter().map(|&l| l as u8).collect(),
        weight: vec![1.0; 4],
        dice: 0.0,
    };
    let ours = super::losses::segmentation(&logits, ours)
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    let flat = logits
        .permute((0, 2, 3, 1))
        .unwrap()
        .reshape((30, 4))
        .unwrap();
    let theirs = candle_nn::loss::cross_entropy(&flat, &Tensor::new(all, &Device::Cpu).unwrap())
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!((ours - theirs).abs() < 1e-5, "{ours} and {theirs}");
}

#[test]
fn misfits_are_errors() {
    let x = random(&[1, 3, 8, 8], 1);
    assert!(conv2d(&x, &random(&[4, 2, 3, 3], 2), None, 1, Pad::all(1)).is_err());
    assert!(conv2d(&x, &random(&[4, 3, 11, 11], 2), None, 1, Pad::all(1)).is_err());
    assert!(
        group_norm(
            &x,
            &random(&[3], 1),
            &random(&[3], 2),
            2,
            1e-5,
            Activation::None
        )
        .is_err()
    );
    assert!(reflection_pad2d(&x, 8).is_err());
    assert!(max_pool2d(&x, 9, 1).is_err());
}
