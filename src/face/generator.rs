//! The compact generator: a mask, the face's own style and the pixels around the edit become a new picture.
//!
//! After MaskGAN (Lee et al. 2020): a spatial-aware style encoder reads photo and mask, its codes condition the
//! network that renders the target mask. It differs in two ways. Codes belong to class regions, as in SEAN (Zhu et
//! al. 2020), and become scale and shift of normalisations through the share of each class at each place. And pixels
//! outside the hole are given, so that an edit fits its surroundings. The network adds to a base picture, the mask
//! painted with each class's colour plane ([`super::style`]). Trained by `vitruvian train generator`.

use super::blend::meet_surroundings;
use super::labels::CLASS_COUNT;
use super::parser::plain::positions;
use super::style::{self, ClassColours, NUMBERS};
use crate::nn::activation::Activation;
use crate::nn::blocks::{Conv, EPS, Linear, ResidualBlock};
use crate::nn::norm::modulated_norm;
use crate::nn::resize::upsample_nearest2x;
use crate::nn::shuffle::pixel_unshuffle;
use crate::raster::{Grid, Rgb, tensor_to_rgb};
use candle_core::{DType, Device, Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

/// Side of the photo that styles are read from, in pixels.
pub const STYLE_SIDE: usize = 256;
/// Length of a class's style code.
const CODE: usize = 64;
/// Channels of the embedded target mask at full resolution.
const EMBEDDING: usize = 6;
/// Channels at 1/2, 1/4, 1/8 and 1/16.
const WIDTHS: [usize; 4] = [32, 64, 128, 192];
/// Modulated blocks at 1/16.
const MIDDLE_BLOCKS: usize = 4;
const GROUPS: usize = 8;
const ACT: Activation = Activation::LeakyRelu(0.2);
/// Channels of a window's pixels: photo, hole, base, x, y, zoom.
pub const PIXELS: usize = 10;

/// The style of a face: a code and colour statistics for each class.
#[derive(Clone, Debug)]
pub struct StyleCodes {
    /// [1, 19, CODE].
    codes: Tensor,
    colours: ClassColours,
}

impl StyleCodes {
    /// Takes `share` (0 … 1) of `other`'s style for the classes that `takes` names; both need not have them.
    pub fn mixed(&self, other: &Self, share: f32, takes: impl Fn(u8) -> bool) -> Result<Self> {
        let mut shares = [0f32; CLASS_COUNT];
        let mut colours = self.colours;
        for (id, s) in shares.iter_mut().enumerate() {
            let theirs = other.colours[id];
            if !takes(id as u8) || theirs.share == 0.0 {
                continue;
            }
            *s = share.clamp(0.0, 1.0);
            let mine = if colours[id].share > 0.0 {
                colours[id]
            } else {
                theirs
            };
            let lerp = |a: f32, b: f32| a + (b - a) * *s;
            let mut mix = mine;
            for k in 0..3 {
                mix.mean[k] = lerp(mine.mean[k], theirs.mean[k]);
                mix.deviation[k] = lerp(mine.deviation[k], theirs.deviation[k]);
                for axis in 0..2 {
                    mix.slope[axis][k] = lerp(mine.slope[axis][k], theirs.slope[axis][k]);
                }
            }
            colours[id] = mix;
        }
        let shares = Tensor::from_slice(&shares, (1, CLASS_COUNT, 1), self.codes.device())?;
        let difference = (&other.codes - &self.codes)?;
        let codes = (&self.codes + difference.broadcast_mul(&shares)?)?;
        Ok(Self { codes, colours })
    }
}

/// What the style encoder reads, for a batch.
pub struct StyleInput {
    /// [N, 3, 256, 256] in [−1, 1].
    pub photo: Tensor,
    /// Share of each class in blocks of 4 × 4: [N, 19, 64, 64].
    pub shares: Tensor,
    /// Colour statistics [N, 19, NUMBERS].
    pub numbers: Tensor,
}

/// What the renderer reads, for a batch of windows of side S, a multiple of 16.
pub struct WindowInput {
    /// [N, 10, S, S]: photo (0 in the hole), hole, base picture, x, y, zoom.
    pub pixels: Tensor,
    /// Target classes [N, S, S], row after row.
    pub labels: Vec<u8>,
}

struct StyleEncoder {
    enter: Conv,
    block: ResidualBlock,
    down: Conv,
    deep: ResidualBlock,
    first: Linear,
    second: Linear,
    class_embedding: Tensor,
    absent: Tensor,
}

const STYLE_WIDTH: usize = 32;
const STYLE_DEEP: usize = 48;

impl StyleEncoder {
    fn new(vb: VarBuilder) -> Result<Self> {
        let features = STYLE_WIDTH + STYLE_DEEP + NUMBERS;
        let small = Init::Randn {
            mean: 0.0,
            stdev: 0.1,
        };
        Ok(Self {
            enter: Conv::new(48 + CLASS_COUNT, STYLE_WIDTH, 3, 1, vb.pp("enter"))?,
            block: ResidualBlock::new(STYLE_WIDTH, GROUPS, ACT, vb.pp("block"))?,
            down: Conv::new(STYLE_WIDTH, STYLE_DEEP, 3, 2, vb.pp("down"))?,
            deep: ResidualBlock::new(STYLE_DEEP, GROUPS, ACT, vb.pp("deep"))?,
            first: Linear::new(features, 96, 1.0, vb.pp("first"))?,
            second: Linear::new(96, CODE, 1.0, vb.pp("second"))?,
            class_embedding: vb.get_with_hints((CLASS_COUNT, CODE), "class_embedding", small)?,
            absent: vb.get_with_hints((CLASS_COUNT, CODE), "absent", small)?,
        })
    }

    /// [N, 19, CODE]; a class of which `present` [N, 19, 1] is 0 gets its learned code.
    fn forward(&self, input: &StyleInput, present: &Tensor) -> Result<Tensor> {
        let n = input.photo.dim(0)?;
        let xs = Tensor::cat(
            &[pixel_unshuffle(&input.photo, 4)?, input.shares.clone()],
            1,
        )?;
        let fine = self.block.forward(&self.enter.forward(&xs)?)?;
        let deep = self.deep.forward(&self.down.forward(&fine)?)?;
        let pooled = |f: &Tensor, shares: &Tensor| -> Result<Tensor> {
            let (shares, f) = (shares.flatten_from(2)?, f.flatten_from(2)?);
            let sums = shares.matmul(&f.transpose(1, 2)?.contiguous()?)?;
            sums.broadcast_div(&(shares.sum_keepdim(2)? + 1e-3)?)
        };
        let coarse = crate::nn::pool::avg_pool2d(&input.shares, 2, 2)?;
        let parts = [
            pooled(&fine, &input.shares)?,
            pooled(&deep, &coarse)?,
            input.numbers.clone(),
        ];
        let features = Tensor::cat(&parts, 2)?.reshape((n * CLASS_COUNT, ()))?;
        let hidden = ACT.apply(&self.first.forward(&features)?)?;
        let codes = self
            .second
            .forward(&hidden)?
            .reshape((n, CLASS_COUNT, CODE))?;
        let codes = codes.broadcast_add(&self.class_embedding.unsqueeze(0)?)?;
        let absent = self.absent.unsqueeze(0)?.broadcast_mul(&(1.0 - present)?)?;
        codes.broadcast_mul(present)? + absent
    }
}

/// Scale and shift of a normalisation, from codes and class shares.
struct Modulation(Linear);

impl Modulation {
    fn new(channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self(Linear::new(CODE, 2 * channels, 0.2, vb)?))
    }

    /// codes [N, 19, CODE], shares [N, 19, H, W] → [N, 2C, H, W].
    fn map(&self, codes: &Tensor, shares: &Tensor) -> Result<Tensor> {
        let (n, classes, h, w) = shares.dims4()?;
        let rows = self
            .0
            .forward(&codes.reshape((n * classes, CODE))?)?
            .reshape((n, classes, ()))?;
        let map = rows
            .transpose(1, 2)?
            .contiguous()?
            .matmul(&shares.flatten_from(2)?)?;
        map.reshape((n, (), h, w))
    }
}

/// A residual block whose normalisations follow the style.
struct StyledBlock {
    modulation1: Modulation,
    conv1: Conv,
    modulation2: Modulation,
    conv2: Conv,
}

impl StyledBlock {
    fn new(channels: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            modulation1: Modulation::new(channels, vb.pp("modulation1"))?,
            conv1: Conv::new(channels, channels, 3, 1, vb.pp("conv1"))?,
            modulation2: Modulation::new(channels, vb.pp("modulation2"))?,
            conv2: Conv::scaled(channels, channels, 3, 1, 0.3, vb.pp("conv2"))?,
        })
    }

    fn forward(&self, xs: &Tensor, codes: &Tensor, shares: &Tensor) -> Result<Tensor> {
        let ys = modulated_norm(xs, &self.modulation1.map(codes, shares)?, GROUPS, EPS, ACT)?;
        let ys = self.conv1.forward(&ys)?;
        let ys = modulated_norm(&ys, &self.modulation2.map(codes, shares)?, GROUPS, EPS, ACT)?;
        xs + self.conv2.forward(&ys)?
    }
}

struct Up {
    lateral: Conv,
    block: StyledBlock,
}

/// The network.
pub struct Generator {
    style: StyleEncoder,
    embedding: Tensor,
    stem: Conv,
    downs: Vec<Conv>,
    middle: Vec<StyledBlock>,
    ups: Vec<Up>,
    narrow: Conv,
    fine: Conv,
    last: Conv,
    /// Mean colour of each class over the training faces, [19, 3]; not trained.
    class_means: Tensor,
}

impl Generator {
    /// Builds the network from `vb`.
    pub fn new(vb: VarBuilder) -> Result<Self> {
        let w = WIDTHS;
        let render = vb.pp("render");
        let inputs = 4 * (PIXELS + EMBEDDING);
        let downs = (1..4)
            .map(|i| Conv::new(w[i - 1], w[i], 3, 2, render.pp("downs").pp(i)))
            .collect::<Result<_>>()?;
        let middle = (0..MIDDLE_BLOCKS)
            .map(|i| StyledBlock::new(w[3], render.pp("middle").pp(i)))
            .collect::<Result<_>>()?;
        let ups = (0..3)
            .rev()
            .map(|i| {
                let vb = render.pp("ups").pp(i);
                let lateral = Conv::new(w[i + 1], w[i], 1, 1, vb.pp("lateral"))?;
                Ok(Up {
                    lateral,
                    block: StyledBlock::new(w[i], vb.pp("block"))?,
                })
            })
            .collect::<Result<_>>()?;
        let spread = Init::Randn {
            mean: 0.0,
            stdev: 0.5,
        };
        Ok(Self {
            style: StyleEncoder::new(vb.pp("style"))?,
            embedding: render.get_with_hints((CLASS_COUNT, EMBEDDING), "embedding", spread)?,
            stem: Conv::new(inputs, w[0], 3, 1, render.pp("stem"))?,
            downs,
            middle,
            ups,
            narrow: Conv::new(w[0], 16, 1, 1, render.pp("narrow"))?,
            fine: Conv::new(16, 16, 3, 1, render.pp("fine"))?,
            last: Conv::scaled(16, 3, 3, 1, 0.2, render.pp("last"))?,
            class_means: vb.get_with_hints((CLASS_COUNT, 3), "class_means", Init::Const(0.0))?,
        })
    }

    /// The shipped network.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Self::new(vb)
    }

    fn device(&self) -> &Device {
        self.embedding.device()
    }

    /// Style codes [N, 19, CODE] of a batch; `present` [N, 19, 1] is 0 for classes without pixels.
    pub fn codes(&self, input: &StyleInput, present: &Tensor) -> Result<Tensor> {
        self.style.forward(input, present)
    }

    /// Pictures [N, 3, S, S], near [−1, 1], of windows in the style of `codes` [N, 19, CODE].
    pub fn forward(&self, input: &WindowInput, codes: &Tensor) -> Result<Tensor> {
        let (n, _, s, _) = input.pixels.dims4()?;
        let ids = Tensor::from_iter(input.labels.iter().map(|&l| u32::from(l)), self.device())?;
        let embedded = self
            .embedding
            .index_select(&ids, 0)?
            .reshape((n, s, s, EMBEDDING))?;
        let embedded = embedded.permute((0, 3, 1, 2))?.contiguous()?;
        let xs = Tensor::cat(&[&input.pixels, &embedded], 1)?;
        let shares: Vec<Tensor> = [2, 4, 8, 16]
            .into_iter()
            .map(|block| class_shares(&input.labels, n, s, block, self.device()))
            .collect::<Result<_>>()?;
        let mut ys = self.stem.forward(&pixel_unshuffle(&xs, 2)?)?;
        let mut skips = vec![ys.clone()];
        for down in &self.downs {
            ys = down.forward(&ACT.apply(&ys)?)?;
            skips.push(ys.clone());
        }
        for block in &self.middle {
            ys = block.forward(&ys, codes, &shares[3])?;
        }
        for (i, up) in self.ups.iter().enumerate() {
            let level = 2 - i;
            ys = (upsample_nearest2x(&up.lateral.forward(&ys)?)? + &skips[level])?;
            ys = up.block.forward(&ys, codes, &shares[level])?;
        }
        let ys = upsample_nearest2x(&ACT.apply(&self.narrow.forward(&ys)?)?)?;
        let ys = self.last.forward(&ACT.apply(&self.fine.forward(&ys)?)?)?;
        // The network's change to the base picture.
        input.pixels.narrow(1, 4, 3)? + ys
    }

    /// Mean colour of each class, for classes that a face does not have.
    pub fn fallback(&self) -> Result<[[f32; 3]; CLASS_COUNT]> {
        let rows = self.class_means.to_dtype(DType::F32)?.to_vec2::<f32>()?;
        let mut out = [[0f32; 3]; CLASS_COUNT];
        for (o, row) in out.iter_mut().zip(rows) {
            if let [r, g, b] = row[..] {
                *o = [r, g, b];
            }
        }
        Ok(out)
    }

    /// The style of an aligned crop: photo and mask, both 256².
    pub fn style(&self, photo: &Rgb, mask: &Grid<u8>) -> Result<StyleCodes> {
        let fits = |w: usize, h: usize| w == STYLE_SIDE && h == STYLE_SIDE;
        if !fits(photo.width, photo.height) || !fits(mask.width, mask.height) {
            bail!("a style is read from a photo and a mask of {STYLE_SIDE}²");
        }
        let planes = style::planes_of(photo);
        let colours = style::class_colours(&planes, &mask.data, STYLE_SIDE);
        let numbers: Vec<f32> = colours.iter().flat_map(|c| c.numbers()).collect();
        let present: Vec<f32> = colours
            .iter()
            .map(|c| f32::from(u8::from(c.share > 0.0)))
            .collect();
        let input = StyleInput {
            photo: Tensor::from_vec(planes, (1, 3, STYLE_SIDE, STYLE_SIDE), self.device())?,
            shares: class_shares(&mask.data, 1, STYLE_SIDE, 4, self.device())?,
            numbers: Tensor::from_vec(numbers, (1, CLASS_COUNT, NUMBERS), self.device())?,
        };
        let present = Tensor::from_vec(present, (1, CLASS_COUNT, 1), self.device())?;
        Ok(StyleCodes {
            codes: self.codes(&input, &present)?,
            colours,
        })
    }

    /// Renders a window of the crop: `photo`, `target` and `hole` (1 = may change) are S × S, S a multiple of 16;
    /// `window_in_crop` is (x0, y0, x1, y1) in the unit square. Pixels outside the hole come back as they are.
    pub fn render(
        &self,
        style: &StyleCodes,
        photo: &Rgb,
        target: &Grid<u8>,
        hole: &Grid<u8>,
        window_in_crop: [f32; 4],
    ) -> Result<Rgb> {
        let s = photo.width;
        let fits = |w: usize, h: usize| w == s && h == s;
        if s == 0
            || !s.is_multiple_of(16)
            || !fits(s, photo.height)
            || !fits(target.width, target.height)
            || !fits(hole.width, hole.height)
        {
            bail!(
                "a window is a square whose side is a multiple of 16; photo, target and hole have the same size"
            );
        }
        let planes = style::planes_of(photo);
        let hole_plane: Vec<f32> = hole
            .data
            .iter()
            .map(|&h| f32::from(u8::from(h > 0)))
            .collect();
        let base = style::base_picture(
            &style.colours,
            &self.fallback()?,
            &target.data,
            s,
            window_in_crop,
        );
        let values = window_pixels(&planes, &hole_plane, &base, s);
        let pixels = Tensor::from_vec(values, (1, PIXELS - 3, s, s), self.device())?;
        let pixels = Tensor::cat(&[pixels, place(&[window_in_crop], s, self.device())?], 1)?;
        let out = self.forward(
            &WindowInput {
                pixels,
                labels: target.data.clone(),
            },
            &style.codes,
        )?;
        let mut rgb = tensor_to_rgb(&out.squeeze(0)?)?;
        meet_surroundings(&mut rgb, photo, target, hole);
        for (i, &h) in hole.data.iter().enumerate() {
            if h == 0 {
                rgb.data[3 * i..3 * i + 3].copy_from_slice(&photo.data[3 * i..3 * i + 3]);
            }
        }
        Ok(rgb)
    }
}

/// The first seven channels of a window: photo with an empty hole, hole, base picture.
pub fn window_pixels(planes: &[f32], hole: &[f32], base: &[f32], side: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(7 * side * side);
    for plane in planes.chunks_exact(side * side) {
        out.extend(plane.iter().zip(hole).map(|(v, h)| v * (1.0 - h)));
    }
    out.extend_from_slice(hole);
    out.extend_from_slice(base);
    out
}

/// The last three channels: position in the crop and zoom, [N, 3, S, S].
pub fn place(windows: &[[f32; 4]], side: usize, device: &Device) -> Result<Tensor> {
    // Zoom 0 is a window of 256² that shows the whole crop.
    let zoom = |w: &[f32; 4]| (side as f32 / (STYLE_SIDE as f32 * (w[2] - w[0]).max(1e-3))).log2();
    let zooms: Vec<f32> = windows.iter().map(zoom).collect();
    let zooms = Tensor::from_vec(zooms, (windows.len(), 1, 1, 1), device)?;
    let zooms = zooms.broadcast_as((windows.len(), 1, side, side))?;
    Tensor::cat(&[positions(windows, side, device)?, zooms.contiguous()?], 1)
}

/// Share of each class in blocks of `block`² pixels of label maps [N, S, S]: [N, 19, S / block, S / block].
pub fn class_shares(
    labels: &[u8],
    n: usize,
    side: usize,
    block: usize,
    device: &Device,
) -> Result<Tensor> {
    let small = side / block;
    let unit = 1.0 / (block * block) as f32;
    let mut out = vec![0f32; n * CLASS_COUNT * small * small];
    for (i, &id) in labels.iter().enumerate() {
        let (sample, y, x) = (i / (side * side), i / side % side / block, i % side / block);
        let id = (id as usize).min(CLASS_COUNT - 1);
        out[((sample * CLASS_COUNT + id) * small + y) * small + x] += unit;
    }
    Tensor::from_vec(out, (n, CLASS_COUNT, small, small), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_nn::VarMap;

    #[test]
    fn only_the_hole_changes_and_the_size_is_bounded() {
        let vars = VarMap::new();
        let generator =
            Generator::load(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu)).unwrap();
        let count: usize = vars.all_vars().iter().map(|v| v.elem_count()).sum();
        assert!(count <= 12_000_000, "{count} parameters");
        let photo = Rgb::new(STYLE_SIDE, STYLE_SIDE, [90, 120, 200]);
        let mask = Grid::new(STYLE_SIDE, STYLE_SIDE, 1u8);
        let style = generator.style(&photo, &mask).unwrap();
        let window = Rgb::new(64, 64, [90, 120, 200]);
        let mut hole = Grid::new(64, 64, 0u8);
        (20..40).for_each(|y| hole.row_mut(y)[20..40].fill(1));
        let target = Grid::new(64, 64, 10u8);
        let out = generator
            .render(&style, &window, &target, &hole, [0.25, 0.25, 0.5, 0.5])
            .unwrap();
        for y in 0..64 {
            for x in 0..64 {
                let is_hole = (20..40).contains(&y) && (20..40).contains(&x);
                assert!(is_hole || out.get(x, y) == Some([90, 120, 200]));
            }
        }
        assert_ne!(out.get(30, 30), Some([90, 120, 200]));
        assert!(
            generator
                .render(
                    &style,
                    &Rgb::new(60, 60, [0; 3]),
                    &target,
                    &hole,
                    [0.0, 0.0, 1.0, 1.0]
                )
                .is_err()
        );
    }

    #[test]
    fn a_full_share_of_another_style_is_that_style() {
        let vars = VarMap::new();
        let generator =
            Generator::load(VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu)).unwrap();
        let mask = Grid::new(STYLE_SIDE, STYLE_SIDE, 13u8);
        let a = generator
            .style(&Rgb::new(STYLE_SIDE, STYLE_SIDE, [20, 20, 20]), &mask)
            .unwrap();
        let b = generator
            .style(&Rgb::new(STYLE_SIDE, STYLE_SIDE, [200, 150, 90]), &mask)
            .unwrap();
        let row = |s: &StyleCodes, id: usize| s.codes.to_vec3::<f32>().unwrap()[0][id].clone();
        let mixed = a.mixed(&b, 1.0, |id| id == 13).unwrap();
        row(&mixed, 13)
            .iter()
            .zip(row(&b, 13))
            .for_each(|(x, y)| assert!((x - y).abs() < 1e-6));
        assert_eq!(row(&mixed, 1), row(&a, 1));
        assert_eq!(
            a.mixed(&b, 0.0, |_| true).unwrap().colours[13].mean,
            a.colours[13].mean
        );
    }
}
