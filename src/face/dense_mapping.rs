//! The dense mapping network: MaskGAN's generator as its authors published it, for those who have their checkpoint.
//!
//! Lee, Liu, Wu, Luo: MaskGAN, Towards Diverse and Interactive Facial Image Manipulation (CVPR 2020), section 3.1 and
//! the code at github.com/switchablenorms/CelebAMask-HQ. Layer names are those of `latest_net_G.pth`. A style encoder
//! reads a photo with its mask; its code sets scale and shift of the adaptive instance norms (AdaIN) in the
//! bottleneck of a network that turns the target mask into a picture. 89.7 M parameters, 142 GMAC at 512².
//!
//! Vitruvian's own generator is another one, [`super::generator`]. Left out: training, batches, and the look-up table
//! that could replace the first convolutions over one-hot masks.

use candle_core::{D, Device, Result, Tensor};
use candle_nn::VarBuilder;

use crate::nn::activation::Activation;
use crate::nn::conv::{Pad, conv_transpose2d, conv2d};
use crate::nn::norm::{group_norm, instance_norm};
use crate::nn::pad::reflection_pad2d;
use crate::raster::Grid;

/// Width of the first layer in the published network.
const NGF: usize = 64;
const CLASSES: usize = 19;
const BLOCKS: usize = 4;
/// Halvings from the picture to the bottleneck.
const HALVINGS: usize = 4;
/// Width of the encoders' features; does not follow `ngf`.
const FEATURES: usize = 64;
/// Variance added in the norms.
const EPS: f64 = 1e-5;

/// MaskGAN's generator.
#[derive(Clone, Debug)]
pub struct DenseMapping {
    first: Conv,
    down: Vec<Conv>,
    blocks: Vec<[Conv; 2]>,
    up: Vec<Conv>,
    last: Conv,
    enc_label: LabelEncoder,
    enc_style: StyleEncoder,
}

impl DenseMapping {
    /// The published size. Fails when a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Self::new(NGF, vb)
    }

    fn new(ngf: usize, vb: VarBuilder) -> Result<Self> {
        let model = vb.pp("model");
        let widths: Vec<usize> = (0..=HALVINGS).map(|i| ngf << i).collect();
        let inner = ngf << HALVINGS;
        let steps = || widths.iter().zip(widths.iter().skip(1));
        let down = steps()
            .enumerate()
            .map(|(i, (&from, &to))| Conv::new(from, to, 3, model.pp(4 + 3 * i)));
        let up = steps().rev().enumerate();
        let up = up.map(|(i, (&to, &from))| Conv::transposed(from, to, 3, model.pp(20 + 3 * i)));
        let blocks = (0..BLOCKS).map(|i| {
            let block = model.pp(16 + i).pp("conv_block");
            Ok([
                Conv::new(inner, inner, 3, block.pp("0.conv"))?,
                Conv::new(inner, inner, 3, block.pp("1.conv"))?,
            ])
        });
        Ok(Self {
            first: Conv::new(CLASSES, ngf, 7, model.pp(1))?,
            down: down.collect::<Result<_>>()?,
            blocks: blocks.collect::<Result<_>>()?,
            up: up.collect::<Result<_>>()?,
            last: Conv::new(ngf, 3, 7, model.pp(33))?,
            enc_label: LabelEncoder::new(vb.pp("enc_label"))?,
            enc_style: StyleEncoder::new(BLOCKS * 4 * inner, vb.pp("enc_style"))?,
        })
    }

    /// The style of `photo` [1, 3, H, W] in [-1, 1] with its one-hot `mask` [1, 19, H, W]: a code of 16,384 numbers,
    /// the shifts and scales of all AdaIN layers in order. H and W are multiples of 64.
    pub fn style(&self, photo: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (fea1, fea2) = self.enc_label.forward(mask)?;
        self.enc_style.forward(photo, &fea1, &fea2)
    }

    /// Draws the one-hot `mask` [1, 19, H, W] in a style: [1, 3, H, W] in [-1, 1]. H and W are multiples of 16.
    pub fn render(&self, mask: &Tensor, style: &Tensor) -> Result<Tensor> {
        let mut xs = self.first.reflected(mask, 3, 1)?;
        xs = instance_norm(&xs, EPS, Activation::Relu)?;
        for conv in &self.down {
            xs = instance_norm(&conv.zero_padded(&xs, 2)?, EPS, Activation::Relu)?;
        }
        let mut at = 0;
        for [conv0, conv1] in &self.blocks {
            let ys = conv0.reflected(&xs, 1, 1)?;
            let ys = adain(&ys, style, &mut at, Activation::Relu)?;
            let ys = conv1.reflected(&ys, 1, 1)?;
            xs = (xs + adain(&ys, style, &mut at, Activation::None)?)?;
        }
        for conv in &self.up {
            let ys = conv_transpose2d(&xs, &conv.weight, Some(&conv.bias), 2, 1, 1)?;
            xs = instance_norm(&ys, EPS, Activation::Relu)?;
        }
        self.last.reflected(&xs, 3, 1)?.tanh()
    }
}

/// Class ids as the network wants them: [1, 19, H, W], 1 in the plane of the pixel's class. Ids above 18 fail.
pub fn one_hot(mask: &Grid<u8>, device: &Device) -> Result<Tensor> {
    let (w, h) = (mask.width, mask.height);
    let mut planes = vec![0f32; CLASSES * w * h];
    for (i, &class) in mask.data.iter().enumerate() {
        match planes.get_mut(usize::from(class) * w * h + i) {
            Some(value) => *value = 1.0,
            None => candle_core::bail!(
                "a mask has the class id {class}, the last is {}",
                CLASSES - 1
            ),
        }
    }
    Tensor::from_vec(planes, (1, CLASSES, h, w), device)
}

/// Instance norm whose shift and scale are the next 2·C numbers of the style code, in this order.
fn adain(xs: &Tensor, style: &Tensor, at: &mut usize, act: Activation) -> Result<Tensor> {
    let channels = xs.dim(1)?;
    let shift = style.narrow(D::Minus1, *at, channels)?;
    let scale = style.narrow(D::Minus1, *at + channels, channels)?;
    *at += 2 * channels;
    group_norm(xs, &scale, &shift, channels, EPS, act)
}

#[derive(Clone, Debug)]
struct Conv {
    weight: Tensor,
    bias: Tensor,
}

impl Conv {
    fn new(inputs: usize, outputs: usize, kernel: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((outputs, inputs, kernel, kernel), "weight")?,
            bias: vb.get(outputs, "bias")?,
        })
    }

    fn transposed(inputs: usize, outputs: usize, kernel: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            weight: vb.get((inputs, outputs, kernel, kernel), "weight")?,
            bias: vb.get(outputs, "bias")?,
        })
    }

    fn apply(&self, xs: &Tensor, stride: usize, pad: usize) -> Result<Tensor> {
        conv2d(xs, &self.weight, Some(&self.bias), stride, Pad::all(pad))
    }

    fn zero_padded(&self, xs: &Tensor, stride: usize) -> Result<Tensor> {
        self.apply(xs, stride, 1)
    }

    fn reflected(&self, xs: &Tensor, px: usize, stride: usize) -> Result<Tensor> {
        self.apply(&reflection_pad2d(xs, px)?, stride, 0)
    }
}

/// Three convolutions from the picture's size to a quarter of it; both encoders start so.
fn stem(inputs: usize, vb: &VarBuilder) -> Result<[Conv; 3]> {
    let vb = vb.pp("model");
    Ok([
        Conv::new(inputs, FEATURES / 4, 7, vb.pp("0.conv"))?,
        Conv::new(FEATURES / 4, FEATURES / 2, 4, vb.pp("1.conv"))?,
        Conv::new(FEATURES / 2, FEATURES, 4, vb.pp("2.conv"))?,
    ])
}

/// Three convolutions from a quarter to a thirty-second.
fn halvings(vb: VarBuilder, first: usize) -> Result<[Conv; 3]> {
    let conv = |i: usize| Conv::new(FEATURES, FEATURES, 4, vb.pp(first + i).pp("conv"));
    Ok([conv(0)?, conv(1)?, conv(2)?])
}

/// Convolutions in a row with ReLU between them, but not behind the last.
fn chain(convs: &[Conv; 3], xs: &Tensor) -> Result<Tensor> {
    let mut ys = xs.clone();
    for (i, conv) in convs.iter().enumerate() {
        let is_full_size = conv.weight.dim(D::Minus1)? == 7;
        let (px, stride) = if is_full_size { (3, 1) } else { (1, 2) };
        let input = if i == 0 { ys } else { ys.relu()? };
        ys = conv.reflected(&input, px, stride)?;
    }
    Ok(ys)
}

/// What the mask says about where things are: features at a quarter and at a thirty-second of the size.
#[derive(Clone, Debug)]
struct LabelEncoder {
    model: [Conv; 3],
    model_last: [Conv; 3],
}

impl LabelEncoder {
    fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            model: stem(CLASSES, &vb)?,
            model_last: halvings(vb.pp("model_last"), 1)?,
        })
    }

    fn forward(&self, mask: &Tensor) -> Result<(Tensor, Tensor)> {
        let fea1 = chain(&self.model, mask)?; // [1, 64, H/4, W/4], before its ReLU
        let fea2 = chain(&self.model_last, &fea1.relu()?)?; // [1, 64, H/32, W/32]
        Ok((fea1, fea2))
    }
}

/// The spatial-aware style encoder: photo features, twice scaled and shifted by the label features, then pooled.
#[derive(Clone, Debug)]
struct StyleEncoder {
    model: [Conv; 3],
    sft1: SpatialTransform,
    model_middle: [Conv; 3],
    sft2: SpatialTransform,
    last: Conv,
}

impl StyleEncoder {
    fn new(code: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            model: stem(3, &vb)?,
            sft1: SpatialTransform::new(vb.pp("sft1"))?,
            model_middle: halvings(vb.pp("model_middle"), 0)?,
            sft2: SpatialTransform::new(vb.pp("sft2"))?,
            last: Conv::new(FEATURES, code, 1, vb.pp("model_last.1"))?,
        })
    }

    fn forward(&self, photo: &Tensor, fea1: &Tensor, fea2: &Tensor) -> Result<Tensor> {
        let xs = chain(&self.model, photo)?.relu()?;
        let xs = self.sft1.forward(&xs, fea1)?;
        let xs = chain(&self.model_middle, &xs)?.relu()?;
        let xs = self.sft2.forward(&xs, fea2)?;
        let pooled = xs.mean_keepdim(D::Minus1)?.mean_keepdim(D::Minus2)?;
        self.last.apply(&pooled, 1, 0)?.flatten_all()
    }
}

/// Spatial feature transform (Wang et al. 2018): scale and shift for each pixel, computed from other features.
#[derive(Clone, Debug)]
struct SpatialTransform {
    scale: [Conv; 2],
    shift: [Conv; 2],
}

impl SpatialTransform {
    fn new(vb: VarBuilder) -> Result<Self> {
        let conv = |name: &str| Conv::new(FEATURES, FEATURES, 1, vb.pp(name));
        Ok(Self {
            scale: [conv("SFT_scale_conv1")?, conv("SFT_scale_conv2")?],
            shift: [conv("SFT_shift_conv1")?, conv("SFT_shift_conv2")?],
        })
    }

    fn forward(&self, xs: &Tensor, features: &Tensor) -> Result<Tensor> {
        let two = |[first, second]: &[Conv; 2]| {
            let ys = Activation::LeakyRelu(0.1).apply(&first.apply(features, 1, 0)?)?;
            second.apply(&ys, 1, 0)
        };
        xs * two(&self.scale)? + two(&self.shift)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;
    use std::collections::HashMap;

    /// Names and shapes of the parameters in the order of the published file; the norms' buffers are left out.
    fn parameters(ngf: usize) -> Vec<(String, Vec<usize>)> {
        let mut all = Vec::new();
        let mut add = |name: String, weight: [usize; 4], outputs: usize| {
            all.push((format!("{name}.weight"), weight.to_vec()));
            all.push((format!("{name}.bias"), vec![outputs]));
        };
        let inner = ngf * 16;
        add("model.1".into(), [ngf, 19, 7, 7], ngf);
        for i in 0..4 {
            add(
                format!("model.{}", 4 + 3 * i),
                [ngf << (i + 1), ngf << i, 3, 3],
                ngf << (i + 1),
            );
        }
        for (block, conv) in (16..20).flat_map(|block| [(block, 0), (block, 1)]) {
            add(
                format!("model.{block}.conv_block.{conv}.conv"),
                [inner, inner, 3, 3],
                inner,
            );
        }
        for i in 0..4 {
            add(
                format!("model.{}", 20 + 3 * i),
                [inner >> i, inner >> (i + 1), 3, 3],
                inner >> (i + 1),
            );
        }
        add("model.33".into(), [3, ngf, 7, 7], 3);
        for (encoder, inputs) in [("enc_style", 3), ("enc_label", 19)] {
            add(format!("{encoder}.model.0.conv"), [16, inputs, 7, 7], 16);
            add(format!("{encoder}.model.1.conv"), [32, 16, 4, 4], 32);
            add(format!("{encoder}.model.2.conv"), [64, 32, 4, 4], 64);
            let (name, first) = if inputs == 3 {
                ("model_middle", 0)
            } else {
                ("model_last", 1)
            };
            (first..first + 3)
                .for_each(|i| add(format!("{encoder}.{name}.{i}.conv"), [64, 64, 4, 4], 64));
            if inputs == 3 {
                add(
                    "enc_style.model_last.1".into(),
                    [inner * 16, 64, 1, 1],
                    inner * 16,
                );
                for (sft, kind, i) in [1, 2].into_iter().flat_map(|sft| {
                    [("scale", 1), ("scale", 2), ("shift", 1), ("shift", 2)]
                        .map(|(kind, i)| (sft, kind, i))
                }) {
                    add(
                        format!("enc_style.sft{sft}.SFT_{kind}_conv{i}"),
                        [64, 64, 1, 1],
                        64,
                    );
                }
            }
        }
        all
    }

    /// Weights that Python can make as well: a sine of the element's and the parameter's number.
    fn sine_weights(ngf: usize) -> VarBuilder<'static> {
        let tensor = |(n, (name, shape)): (usize, (String, Vec<usize>))| {
            let count: usize = shape.iter().product();
            let n = n as f64;
            let values: Vec<f32> = (0..count)
                .map(|i| match shape.len() {
                    1 => 0.01 * (i as f64 + n).sin(),
                    _ => (0.1 * i as f64 + n).sin() / ((count / shape[0]) as f64).sqrt(),
                })
                .map(|value| value as f32)
                .collect();
            (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
        };
        let tensors: HashMap<String, Tensor> = parameters(ngf)
            .into_iter()
            .enumerate()
            .map(tensor)
            .collect();
        VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu)
    }

    /// Compares shape, mean and nine evenly spread values.
    #[track_caller]
    fn assert_close(got: &Tensor, len: usize, mean: f64, samples: [f64; 9], tolerance: f64) {
        let values = got.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values.len(), len);
        let got_mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / len as f64;
        assert!(
            (got_mean - mean).abs() < tolerance,
            "mean {got_mean}, not {mean}"
        );
        for (i, want) in samples.iter().enumerate() {
            let value = f64::from(values[i * (len - 1) / 8]);
            assert!(
                (value - want).abs() < tolerance,
                "sample {i} is {value}, not {want}"
            );
        }
    }

    /// The network as published, with a first width of 2 at 64², run in PyTorch 2 on the CPU with these weights; mask
    /// and photo by formula as below. Values differ in the last digits only: sums are in another order, and the sixth
    /// layer's instance norm over 4×4 pixels magnifies that a little.
    #[test]
    fn agrees_with_the_original() {
        let net = DenseMapping::new(2, sine_weights(2)).unwrap();
        let size = 64usize;
        let pixels = || (0..size * size).map(|i| (i / size, i % size));
        let label = |y: usize, x: usize| ((3 * y + 5 * x + x * y / 7) % 19) as u8;
        let grid = |data: Vec<u8>| {
            one_hot(
                &Grid {
                    width: size,
                    height: size,
                    data,
                },
                &Device::Cpu,
            )
            .unwrap()
        };
        let source = grid(pixels().map(|(y, x)| label(y, x)).collect());
        let target = grid(
            pixels()
                .map(|(y, x)| label(y, (x + size - 5) % size))
                .collect(),
        );
        let photo: Vec<f32> = (0..3)
            .flat_map(|c| {
                pixels().map(move |(y, x)| {
                    (0.1 * f64::from(c + 1) * y as f64 + 0.07 * x as f64).sin() as f32
                })
            })
            .collect();
        let photo = Tensor::from_vec(photo, (1, 3, size, size), &Device::Cpu).unwrap();

        let (fea1, fea2) = net.enc_label.forward(&source).unwrap();
        assert_eq!(
            (fea1.dims(), fea2.dims()),
            (&[1, 64, 16, 16][..], &[1, 64, 2, 2][..])
        );
        assert_close(
            &fea1,
            16384,
            0.000531972,
            [
                0.013163604,
                0.023751836,
                0.000142953,
                -0.014145546,
                -0.008056736,
                -0.002034027,
                0.007011152,
                0.017309681,
                0.002365401,
            ],
            1e-6,
        );
        assert_close(
            &fea2,
            256,
            0.000166176,
            [
                0.00807898,
                0.008505549,
                -0.004630929,
                -0.01084245,
                0.014516108,
                0.000506492,
                -0.01249719,
                0.006088662,
                0.004252704,
            ],
            1e-6,
        );
        let style = net.style(&photo, &source).unwrap();
        assert_close(
            &style,
            512,
            -0.00015119,
            [
                -0.002126241,
                -0.00910979,
                -0.007301771,
                0.00375479,
                0.010505981,
                0.004304358,
                -0.007522902,
                -0.010313605,
                -0.000253409,
            ],
            1e-6,
        );
        let picture = net.render(&target, &style).unwrap();
        assert_eq!(picture.dims(), [1, 3, 64, 64]);
        assert_close(
            &picture,
            12288,
            -0.135475802,
            [
                -0.136662632,
                -0.011720875,
                -0.581611037,
                0.469735891,
                0.846071303,
                0.697439373,
                -0.21392718,
                -0.605323195,
                -0.373152405,
            ],
            1e-4,
        );
    }

    #[test]
    fn has_the_published_size() {
        let count: usize = parameters(64)
            .iter()
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum();
        assert_eq!(count, 89_702_595);
        assert_eq!(parameters(64).len() + 16, 94); // the 16 are the buffers of the AdaIN layers, which hold nothing
    }

    #[test]
    fn ids_above_18_are_refused() {
        let grid = |class| Grid {
            width: 2,
            height: 1,
            data: vec![0, class],
        };
        assert!(one_hot(&grid(18), &Device::Cpu).is_ok());
        assert!(one_hot(&grid(19), &Device::Cpu).is_err());
        assert!(one_hot(&grid(255), &Device::Cpu).is_err());
    }
}
