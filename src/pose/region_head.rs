//! The learned head for the regions of face and hands.
//!
//! After ZoomNet (Jin et al. 2020, section 4.1): its body network predicts, beside the joints, four corners and the
//! centre of face and both hands, and the part networks look there. Ours does so from the features that Thunder saw
//! the body with. A region that the joints suggest by rule is the frame: features are sampled in and around it, joints
//! are measured in it, and the head says where corners and centre really are, and whether there is anything to see.
//! Regions may be turned, since the part networks want them upright. Left hands are read in a mirror, so one head
//! serves both.
//!
//! ZoomNet predicts heat maps; points in a frame can be learned from far fewer people. `train_zoom.rs` trains it.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::body::{Body, Guess, Look, Scored};
use super::face_region::face_by_rule;
use super::hand_region::hand_by_rule;
use super::keypoints::{BODY_KEYPOINTS, MIRRORED};
use crate::people::crop::Region;
use crate::people::movenet::{FEATURES, STRIDE_PX};

/// Samples of the features along each side of the frame.
const CELLS: usize = 4;
/// They spread over this many sides of it.
const REACH: f32 = 1.7;
/// Numbers that the head sees: sampled features, place and score of each joint, whether left was seen as right.
pub const INPUTS: usize = CELLS * CELLS * FEATURES + 3 * BODY_KEYPOINTS + 1;
/// Four corners and the centre, two numbers each, and the logit of there being something.
pub const OUTPUTS: usize = 2 * POINTS.len() + 1;
/// Values between the two layers.
const HIDDEN: usize = 32;
/// Corners from the upper left one clockwise, then the centre, in the frame's unit square.
const POINTS: [[f32; 2]; 5] = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.5, 0.5]];
/// What an output of 1 moves a point by, in sides of the frame.
const STEP: f32 = 0.5;
/// Joints farther off than this many sides of the frame are shown there.
const FARTHEST: f32 = 3.0;

/// Two layers for one kind of part.
struct PartHead {
    shift: Tensor,
    scale: Tensor,
    hidden: (Tensor, Tensor),
    places: (Tensor, Tensor),
    presence: (Tensor, Tensor),
}

/// The head with its weights.
pub struct RegionHead {
    face: PartHead,
    hand: PartHead,
}

/// The kinds of parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PartKind {
    Face,
    Hand,
}

impl PartKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Face, Self::Hand];

    /// Its name among the weights.
    pub fn name(self) -> &'static str {
        match self {
            Self::Face => "face",
            Self::Hand => "hand",
        }
    }
}

impl PartHead {
    fn load(vb: &VarBuilder) -> Result<Self> {
        let layer = |inputs: usize, outputs: usize, gain: f64, name: &str| {
            let stdev = gain * (2.0 / inputs as f64).sqrt();
            let init = Init::Randn { mean: 0.0, stdev };
            let vb = vb.pp(name);
            Ok::<_, candle_core::Error>((
                vb.get_with_hints((outputs, inputs), "weight", init)?,
                vb.get_with_hints(outputs, "bias", Init::Const(0.0))?,
            ))
        };
        Ok(Self {
            shift: vb.get_with_hints(INPUTS, "shift", Init::Const(0.0))?,
            scale: vb.get_with_hints(INPUTS, "scale", Init::Const(1.0))?,
            hidden: layer(INPUTS, HIDDEN, 1.0, "hidden")?,
            places: layer(HIDDEN, OUTPUTS - 1, 0.1, "places")?,
            presence: layer(HIDDEN, 1, 0.1, "presence")?,
        })
    }

    /// [N, INPUTS] -> [N, OUTPUTS]. `mask` [N, INPUTS], in training, hides some of them.
    fn forward(&self, xs: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        // Both were measured on the training data, and are not learned.
        let xs = xs
            .broadcast_sub(&self.shift.detach())?
            .broadcast_mul(&self.scale.detach())?;
        let linear = |xs: &Tensor, (weight, bias): &(Tensor, Tensor)| {
            xs.matmul(&weight.t()?)?.broadcast_add(bias)
        };
        let xs = match mask {
            Some(mask) => (xs * mask)?,
            None => xs,
        };
        let hidden = linear(&xs, &self.hidden)?.relu()?;
        let places = linear(&hidden, &self.places)?;
        Tensor::cat(&[places, linear(&hidden, &self.presence)?], 1)
    }
}

impl RegionHead {
    /// Builds the head from the tensors of `weights/zoom_regions.safetensors`, or fresh ones.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            face: PartHead::load(&vb.pp(PartKind::Face.name()))?,
            hand: PartHead::load(&vb.pp(PartKind::Hand.name()))?,
        })
    }

    /// Raw outputs [N, OUTPUTS] for inputs [N, INPUTS]. `mask` [N, INPUTS], in training, hides some of them.
    ///
    /// # Errors
    /// When the shape is another.
    pub fn forward(&self, kind: PartKind, xs: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        match kind {
            PartKind::Face => self.face.forward(xs, mask),
            PartKind::Hand => self.hand.forward(xs, mask),
        }
    }

    /// Says where a body's face and hands are, from how it was seen.
    ///
    /// # Errors
    /// When the features have another size.
    pub fn guess_parts(&self, look: &Look, body: &mut Body) -> Result<()> {
        let guess = |kind: PartKind, frame: Option<Region>| -> Result<Option<Guess>> {
            let frame = frame.filter(Region::is_usable);
            let guess = frame.map(|frame| self.guess(kind, look, &body.joints, &frame));
            Ok(guess.transpose()?.filter(|guess| guess.region.is_usable()))
        };
        let face = guess(PartKind::Face, face_by_rule(&body.joints))?;
        let [left, right] =
            [true, false].map(|is_left| guess(PartKind::Hand, hand_by_rule(&body.joints, is_left)));
        (body.face_guess, body.hand_guesses) = (face, [left?, right?]);
        Ok(())
    }

    /// How much the head trusts what it sees about the place of a part, the squares of some weights: to be kept small,
    /// so that it does not learn single people by heart.
    ///
    /// # Errors
    /// When the weights are no numbers.
    pub fn boldness(&self, kind: PartKind) -> Result<Tensor> {
        match kind {
            PartKind::Face => self.face.places.0.sqr()?.sum_all(),
            PartKind::Hand => self.hand.places.0.sqr()?.sum_all(),
        }
    }

    /// Where the part is that the rule has in `frame`.
    ///
    /// # Errors
    /// When the features have another size.
    pub fn guess(
        &self,
        kind: PartKind,
        look: &Look,
        joints: &[Scored; BODY_KEYPOINTS],
        frame: &Region,
    ) -> Result<Guess> {
        let xs = inputs(look, joints, frame)?;
        let xs = Tensor::from_vec(xs, (1, INPUTS), self.face.shift.device())?;
        let out = self.forward(kind, &xs, None)?.flatten_all()?.to_vec1()?;
        Ok(guess_of(&out, frame))
    }
}

/// What the head sees of a part that the rule has in `frame`.
///
/// # Errors
/// When the features have another size.
pub fn inputs(look: &Look, joints: &[Scored; BODY_KEYPOINTS], frame: &Region) -> Result<Vec<f32>> {
    let cells = look.cells;
    if look.features.len() != FEATURES * cells * cells || cells < 2 {
        bail!("{} numbers are no features", look.features.len());
    }
    let mut xs = Vec::with_capacity(INPUTS);
    for index in 0..CELLS * CELLS {
        let along = |i: usize| 0.5 + REACH * ((i as f32 + 0.5) / CELLS as f32 - 0.5);
        let point = frame.to_image(1, [along(index % CELLS), along(index / CELLS)]);
        let [x, y] = look.region.to_view(cells * STRIDE_PX, point);
        let place = [x, y].map(|v| v / STRIDE_PX as f32 - 0.5);
        xs.extend(sample(&look.features, cells, place));
    }
    for index in 0..BODY_KEYPOINTS {
        // In a mirror left is right.
        let (point, score) = joints[match frame.mirrored {
            true => MIRRORED[index],
            false => index,
        }];
        let [x, y] = frame.to_view(1, point);
        xs.extend([x, y].map(|v| (v - 0.5).clamp(-FARTHEST, FARTHEST)));
        xs.push(score);
    }
    xs.push(match look.region.mirrored == frame.mirrored {
        true => 1.0,
        false => -1.0,
    });
    Ok(xs)
}

/// Every plane's value at a place between cells; nothing beyond the crop.
fn sample(features: &[f32], cells: usize, [x, y]: [f32; 2]) -> [f32; FEATURES] {
    let mut found = [0.0; FEATURES];
    let limit = cells as f32 - 1.0;
    if !(-0.5..=limit + 0.5).contains(&x) || !(-0.5..=limit + 0.5).contains(&y) {
        return found;
    }
    let (x, y) = (x.clamp(0.0, limit), y.clamp(0.0, limit));
    let (left, top) = ((x as usize).min(cells - 2), (y as usize).min(cells - 2));
    let (u, v) = (x - left as f32, y - top as f32);
    for (value, plane) in found.iter_mut().zip(features.chunks_exact(cells * cells)) {
        let at = |dy: usize, dx: usize| plane[(top + dy) * cells + left + dx];
        *value = (1.0 - v) * ((1.0 - u) * at(0, 0) + u * at(0, 1))
            + v * ((1.0 - u) * at(1, 0) + u * at(1, 1));
    }
    found
}

/// The outputs that would say that the part is in `region`: corners and centre.
pub fn target(region: &Region, frame: &Region) -> [f32; OUTPUTS - 1] {
    let mut out = [0.0; OUTPUTS - 1];
    for (slot, point) in out.as_chunks_mut::<2>().0.iter_mut().zip(POINTS) {
        let place = frame.to_view(1, region.to_image(1, point));
        *slot = [0, 1].map(|axis| ((place[axis] - point[axis]) / STEP).clamp(-8.0, 8.0));
    }
    out
}

/// The upright square that suits corners and centre best, and the score.
pub fn guess_of(out: &[f32], frame: &Region) -> Guess {
    let mut points = POINTS;
    for (point, moved) in points.iter_mut().zip(out.as_chunks::<2>().0) {
        *point = [0, 1].map(|axis| point[axis] + STEP * moved[axis]);
    }
    let [a, b, c, d, middle] = points;
    let mean = |axis: usize| 0.125 * (a[axis] + b[axis] + c[axis] + d[axis]) + 0.5 * middle[axis];
    let center = [mean(0), mean(1)];
    let right = [0, 1].map(|axis| 0.5 * (b[axis] - a[axis] + c[axis] - d[axis]));
    let down = [0, 1].map(|axis| 0.5 * (d[axis] - a[axis] + c[axis] - b[axis]));
    // Up is a quarter turn from right.
    let up = [0.5 * (right[1] - down[0]), -0.5 * (right[0] + down[1])];
    let side = up[0].hypot(up[1]).clamp(0.2, 5.0);
    let tip = frame.to_image(1, [center[0] + up[0], center[1] + up[1]]);
    let center = frame.to_image(1, center);
    let up = [tip[0] - center[0], tip[1] - center[1]];
    let logit = out.get(OUTPUTS - 1).copied().unwrap_or_default();
    Guess {
        region: Region::with_up(center, side * frame.side, up).mirrored(frame.mirrored),
        score: 1.0 / (1.0 + (-logit).exp()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(mirrored: bool) -> Region {
        Region::with_up([60.0, 50.0], 20.0, [0.3, -1.0]).mirrored(mirrored)
    }

    #[test]
    fn corners_and_centre_say_where_a_region_is() {
        for mirrored in [false, true] {
            let frame = frame(mirrored);
            let region = Region::with_up([66.0, 41.0], 27.0, [-0.5, -1.0]).mirrored(mirrored);
            let mut out = target(&region, &frame).to_vec();
            out.push(2.0);
            let found = guess_of(&out, &frame);
            let apart = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
            assert!(
                apart(found.region.center, region.center) < 1e-3,
                "{found:?}"
            );
            assert!(apart(found.region.axis, region.axis) < 1e-4, "{found:?}");
            assert!((found.region.side - region.side).abs() < 1e-3);
            assert!(found.region.mirrored == mirrored && (found.score - 0.8808).abs() < 1e-4);
        }
        assert_eq!(
            target(&frame(true), &frame(true)).map(f32::round),
            [0.0; 10]
        );
    }

    #[test]
    fn a_left_hand_is_read_as_a_right_one_in_a_mirror() {
        // A crop of 8 cells; every plane grows to the right. In the mirrored photo it grows to the left.
        let cells = 8;
        let plane: Vec<f32> = (0..cells * cells).map(|i| (i % cells) as f32).collect();
        let back: Vec<f32> = plane.iter().map(|v| 7.0 - v).collect();
        let look = |plane: &[f32]| Look {
            features: plane.repeat(FEATURES),
            cells,
            region: Region::upright([50.0, 50.0], 100.0),
        };
        let mut joints = [([0.0f32; 2], 0.1f32); BODY_KEYPOINTS];
        for (index, joint) in joints.iter_mut().enumerate() {
            *joint = (
                [3.0 * index as f32, 40.0 + index as f32],
                0.05 * index as f32,
            );
        }
        let mirrored: [Scored; BODY_KEYPOINTS] = std::array::from_fn(|index| {
            let ([x, y], score) = joints[MIRRORED[index]];
            ([100.0 - x, y], score)
        });
        let left = Region::upright([70.0, 50.0], 20.0).mirrored(true);
        let right = Region::upright([30.0, 50.0], 20.0);
        let a = inputs(&look(&plane), &joints, &left).unwrap();
        let b = inputs(&look(&back), &mirrored, &right).unwrap();
        assert_eq!(a.len(), INPUTS);
        let furthest = a[..INPUTS - 1]
            .iter()
            .zip(&b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(furthest < 1e-4, "{furthest}");
        // All that differs is that one was seen the wrong way round.
        assert_eq!((a[INPUTS - 1], b[INPUTS - 1]), (-1.0, 1.0));
        let empty = Look {
            features: vec![0.0; 5],
            ..look(&plane)
        };
        assert!(inputs(&empty, &joints, &left).is_err());
    }
}
