//! Several looks at one photo, and what is seen in all of them: the same picture at full and at half size, each also
//! mirrored.
//!
//! MultiPose was made for pictures of 256 pixels. Larger ones show it small people, but large people fall apart; half
//! the size shows it those. A mirrored look errs in other places than the plain one. The paper (Jin et al. 2020, §4)
//! tests at several scales too. No look shows more of the photo than the largest does.
//!
//! Looks are laid over each other in the largest one's pixels. Centres that expect the same person become one, at the
//! mean of what they expect; peaks of one joint that lie together become one candidate, the more trusted the more
//! looks see it. Left out: averaging of maps, which would need them at one size and blurs peaks that are off by a cell.

use candle_core::Result;

use super::candidates::{Candidate, Centre, MIN_SIZE_PX, Proposal, VOTE_SPREAD};
use super::keypoints::{MIRRORED, SIGMAS};
use crate::people::movenet::{FEATURES, STRIDE_PX};
use crate::people::multipose::{FoundBody, JOINTS, MultiPose, Planes, View};
use crate::raster::Rgb;

/// Sizes of the looks, over the longest side asked for.
const SCALES: [f64; 2] = [1.0, 0.5];
/// Peaks of a heat map below this are not looked at.
const MIN_PEAK: f32 = 0.04;
/// A candidate needs this much on the mean of the looks.
const MIN_SUPPORT: f32 = 0.06;
/// A peak is the highest in a window of this many cells each way.
const PEAK_RADIUS: usize = 1;
/// Peaks of one joint and one look, at most.
const MAX_OF_JOINT: usize = 64;
/// Centres of one look and of all together, at most, and the least probability of one.
const MAX_CENTRES: usize = 96;
const MIN_CENTRE_SCORE: f32 = 0.03;
/// Centres of different looks that expect people this alike speak of the same one.
const SAME_CENTRE: f32 = 0.3;
/// Of merged centres more alike than this the better stays.
const DOUBLE_CENTRE: f32 = 0.6;
/// How near peaks of one joint must lie to speak of one place, over the person's size.
const SAME_PLACE: f32 = 0.035;
/// Evidence below this leaves a joint where its centre expects it, with this trust.
const NO_EVIDENCE: f32 = 1e-3;
const EXPECTED_ALONE: f32 = 0.01;
/// Area of a person over that of its box (as xtcocotools).
const AREA_OVER_BOX: f32 = 0.53;

/// One look at a photo.
pub struct Look {
    pub planes: Planes,
    pub view: View,
    /// Whether the view shows the photo mirrored left to right.
    pub is_mirrored: bool,
    /// Width of the photo, in its pixels.
    pub photo_width: usize,
}

impl Look {
    /// All looks at a photo whose longer side becomes `side_px` pixels in the largest, which comes first.
    ///
    /// # Errors
    /// When the photo has no pixels.
    pub fn all(network: &MultiPose, photo: &Rgb, side_px: usize) -> Result<Vec<Self>> {
        let mirrored = photo.flipped();
        let mut looks = Vec::with_capacity(2 * SCALES.len());
        for scale in SCALES {
            let side_px = (scale * side_px as f64).round() as usize;
            looks.push(Self::plain(network, photo, side_px)?);
            looks.push(Self {
                is_mirrored: true,
                ..Self::plain(network, &mirrored, side_px)?
            });
        }
        Ok(looks)
    }

    /// The photo as it is, its longer side `side_px` pixels.
    ///
    /// # Errors
    /// When the photo has no pixels.
    pub fn plain(network: &MultiPose, photo: &Rgb, side_px: usize) -> Result<Self> {
        let view = View::of(photo, side_px)?;
        Ok(Self {
            planes: Planes::of(&network.maps(&view.xs)?)?,
            view,
            is_mirrored: false,
            photo_width: photo.width,
        })
    }

    /// The people of the network's own decoding of this look, in photo pixels.
    pub fn native(&self) -> Vec<FoundBody> {
        let there = self.planes.people().into_iter();
        let there = there.map(|body| body.through(&self.view.image_from_view));
        let width = self.photo_width as f32;
        let back = |body: FoundBody| match self.is_mirrored {
            true => mirrored(&body, width),
            false => body,
        };
        there.map(back).collect()
    }
}

/// A body in the same picture mirrored left to right, `width` wide.
fn mirrored(body: &FoundBody, width: f32) -> FoundBody {
    let [x0, y0, x1, y1] = body.bbox;
    FoundBody {
        joints: std::array::from_fn(|joint| {
            let other = MIRRORED
                .get(joint)
                .and_then(|&other| body.joints.get(other));
            let ([x, y], score) = other.copied().unwrap_or_default();
            ([width - x, y], score)
        }),
        bbox: [width - x1, y0, width - x0, y1],
        score: body.score,
    }
}

/// Centres and peaks of one look, in pixels shared by all.
struct Sight {
    centres: Vec<Centre>,
    /// By joint: places and scores.
    peaks: [Vec<([f32; 2], f32)>; JOINTS],
}

impl Sight {
    /// What one look shows, in the pixels of `main`'s view; `mirrored` is the photo's width where the look is mirrored.
    fn of(planes: &Planes, view: &View, mirrored: Option<usize>, main: &View) -> Self {
        let main_from_image = main.image_from_view.inverse();
        let place = |[x, y]: [f32; 2]| {
            let [x, y] = view.image_from_view.apply([f64::from(x), f64::from(y)]);
            let x = mirrored.map_or(x, |width| width as f64 - x);
            main_from_image.apply([x, y]).map(|v| v as f32)
        };
        let joint_there = |joint: usize| match mirrored {
            Some(_) => MIRRORED.get(joint).copied().unwrap_or(joint),
            None => joint,
        };
        let px = |v: f32| v * STRIDE_PX as f32;
        let seeds = planes.seeds(MAX_CENTRES, MIN_CENTRE_SCORE);
        let centres = seeds.iter().map(|seed| {
            let [top, left, bottom, right] = seed.bbox.map(px);
            let ([xa, y0], [xb, y1]) = (place([left, top]), place([right, bottom]));
            let expected = std::array::from_fn(|joint| {
                let there = seed.expected.get(joint_there(joint));
                let [y, x] = there.copied().unwrap_or_default();
                place([px(x), px(y)])
            });
            Centre {
                score: seed.score,
                bbox: [xa.min(xb), y0, xa.max(xb), y1],
                expected,
                decoded: expected.map(|at| (at, EXPECTED_ALONE)),
            }
        });
        let cells = (planes.h * planes.w).max(1);
        let (width, height) = view.content;
        let peaks = |joint: usize| -> Vec<([f32; 2], f32)> {
            let there = joint_there(joint);
            let heat = planes.heat.chunks_exact(cells).nth(there);
            let found = planes.peaks(heat.unwrap_or_default(), PEAK_RADIUS, MIN_PEAK);
            found
                .into_iter()
                .take(MAX_OF_JOINT)
                .map(|(cell, score)| (planes.exact(there, cell), score))
                // The fill beside the photo shows nobody.
                .filter(|([x, y], _)| *x <= width as f32 && *y <= height as f32)
                .map(|(at, score)| (place(at), score))
                .collect()
        };
        Self {
            centres: centres.collect(),
            peaks: std::array::from_fn(peaks),
        }
    }
}

/// How alike two poses are, 0 to 1: OKS by the smaller one's size.
pub(super) fn likeness(a: &[[f32; 2]; JOINTS], b: &[[f32; 2]; JOINTS], size: f32) -> f32 {
    let area = AREA_OVER_BOX * size.max(MIN_SIZE_PX).powi(2);
    let one = |((p, q), sigma): ((&[f32; 2], &[f32; 2]), f64)| {
        let square = (p[0] - q[0]).powi(2) + (p[1] - q[1]).powi(2);
        (-square / (2.0 * (2.0 * sigma as f32).powi(2) * area)).exp()
    };
    a.iter().zip(b).zip(SIGMAS).map(one).sum::<f32>() / JOINTS as f32
}

/// One centre for all that expect the same person, best first.
fn merge_centres(sights: &[Sight]) -> Vec<Centre> {
    let all: Vec<(usize, &Centre)> = sights
        .iter()
        .enumerate()
        .flat_map(|(look, sight)| sight.centres.iter().map(move |centre| (look, centre)))
        .collect();
    let merge = |own: &Centre| -> Centre {
        // Of each look the one that agrees best.
        let mut best: Vec<Option<(f32, &Centre)>> = vec![None; sights.len()];
        for (look, other) in &all {
            let size = own.size().min(other.size());
            let alike = likeness(&own.expected, &other.expected, size);
            let weight = alike * other.score;
            if let Some(slot) = best.get_mut(*look)
                && alike > SAME_CENTRE
                && slot.is_none_or(|(kept, _)| weight > kept)
            {
                *slot = Some((weight, other));
            }
        }
        let total: f32 = best.iter().flatten().map(|(weight, _)| weight).sum();
        let mut mean = Centre {
            score: (total / sights.len() as f32).min(1.0),
            bbox: [0.0; 4],
            expected: [[0.0; 2]; JOINTS],
            decoded: [([0.0; 2], EXPECTED_ALONE); JOINTS],
        };
        for (weight, other) in best.iter().flatten() {
            let share = weight / total.max(f32::MIN_POSITIVE);
            for (sum, value) in mean.bbox.iter_mut().zip(other.bbox) {
                *sum += share * value;
            }
            for (sum, value) in mean.expected.iter_mut().zip(other.expected) {
                *sum = [sum[0] + share * value[0], sum[1] + share * value[1]];
            }
        }
        mean
    };
    let mut merged: Vec<Centre> = all.iter().map(|(_, centre)| merge(centre)).collect();
    merged.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept: Vec<Centre> = Vec::new();
    for centre in merged {
        let is_new = kept.iter().all(|other| {
            let size = other.size().min(centre.size());
            likeness(&other.expected, &centre.expected, size) < DOUBLE_CENTRE
        });
        if is_new && kept.len() < MAX_CENTRES {
            kept.push(centre);
        }
    }
    kept
}

/// A place where a joint may be, and how sure all looks together are.
struct Spot {
    at: [f32; 2],
    support: f32,
    reach: f32,
}

fn square_distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// One spot for all peaks of a joint that lie together, surest first.
fn merge_peaks(sights: &[Sight], joint: usize, centres: &[Centre], unknown: f32) -> Vec<Spot> {
    let all: Vec<(usize, [f32; 2], f32)> = sights
        .iter()
        .enumerate()
        .flat_map(|(look, sight)| {
            let peaks = sight.peaks.get(joint).map_or(&[][..], Vec::as_slice);
            peaks.iter().map(move |(at, score)| (look, *at, *score))
        })
        .collect();
    let merge = |at: [f32; 2]| -> Spot {
        // The size of the person who expects this joint here most.
        let suits = |centre: &Centre| {
            let expected = centre.expected.get(joint).copied().unwrap_or_default();
            let unit = VOTE_SPREAD * centre.size();
            centre.score * (-0.5 * square_distance(at, expected) / (unit * unit)).exp()
        };
        let likeliest = centres.iter().map(|centre| (suits(centre), centre.size()));
        let likeliest = likeliest.max_by(|a, b| a.0.total_cmp(&b.0));
        let size = likeliest
            .filter(|(weight, _)| *weight > EXPECTED_ALONE)
            .map_or(unknown, |(_, size)| size);
        let reach = SAME_PLACE * size;
        let mut best = vec![0f32; sights.len()];
        let (mut sum, mut total) = ([0f32; 2], 0f32);
        for (look, other, score) in &all {
            let near = score * (-0.5 * square_distance(at, *other) / (reach * reach)).exp();
            if let Some(slot) = best.get_mut(*look) {
                *slot = slot.max(near);
            }
            sum = [sum[0] + near * other[0], sum[1] + near * other[1]];
            total += near;
        }
        let total = total.max(f32::MIN_POSITIVE);
        Spot {
            at: sum.map(|v| v / total),
            support: best.iter().sum::<f32>() / sights.len() as f32,
            reach,
        }
    };
    let mut spots: Vec<Spot> = all.iter().map(|(_, at, _)| merge(*at)).collect();
    spots.retain(|spot| spot.support >= MIN_SUPPORT);
    spots.sort_by(|a, b| b.support.total_cmp(&a.support));
    let mut kept: Vec<Spot> = Vec::new();
    for spot in spots {
        let is_new = kept.iter().all(|other| {
            square_distance(other.at, spot.at) > (2.0 * other.reach.min(spot.reach)).powi(2)
        });
        if is_new {
            kept.push(spot);
        }
    }
    kept
}

/// Candidates and centres of all looks at one photo in the pixels of the first, the largest. `None` without looks.
pub fn proposal(looks: &[Look]) -> Option<Proposal> {
    let main = looks.first()?;
    let sight = |look: &Look| {
        let mirrored = look.is_mirrored.then_some(look.photo_width);
        Sight::of(&look.planes, &look.view, mirrored, &main.view)
    };
    let sights: Vec<Sight> = looks.iter().map(sight).collect();
    Some(merged(&sights, &main.planes, &main.view))
}

/// Candidates and centres of a single look.
pub(super) fn single(planes: &Planes, view: &View) -> Proposal {
    merged(&[Sight::of(planes, view, None, view)], planes, view)
}

fn merged(sights: &[Sight], planes: &Planes, view: &View) -> Proposal {
    let mut centres = merge_centres(sights);
    let mut sizes: Vec<f32> = centres.iter().map(Centre::size).collect();
    sizes.sort_by(f32::total_cmp);
    let longer = view.content.0.max(view.content.1) as f32;
    let unknown = sizes.get(sizes.len() / 2).copied();
    let unknown = unknown.unwrap_or(0.15 * longer);
    let cells = planes.h * planes.w;
    let mut candidates = Vec::new();
    for joint in 0..JOINTS {
        let spots = merge_peaks(sights, joint, &centres, unknown);
        for centre in &mut centres {
            let expected = centre.expected[joint];
            let unit = VOTE_SPREAD * centre.size();
            let suits = spots.iter().map(|spot| {
                let square = square_distance(spot.at, expected);
                (spot.support * (-0.5 * square / (unit * unit)).exp(), spot)
            });
            let best = suits.max_by(|a, b| a.0.total_cmp(&b.0));
            centre.decoded[joint] = match best.filter(|(suits, _)| *suits > NO_EVIDENCE) {
                Some((suits, spot)) => (spot.at, suits.max(EXPECTED_ALONE)),
                None => (expected, EXPECTED_ALONE),
            };
        }
        for spot in spots {
            let [column, row] = spot
                .at
                .map(|v| (v / STRIDE_PX as f32).round().max(0.0) as usize);
            let cell = row.min(planes.h - 1) * planes.w + column.min(planes.w - 1);
            let feature = |plane: usize| planes.features.get(plane * cells + cell).copied();
            candidates.push(Candidate {
                joint,
                at: spot.at,
                score: spot.support,
                features: std::array::from_fn::<_, FEATURES, _>(|c| feature(c).unwrap_or(0.0)),
                votes: Vec::new(),
            });
        }
    }
    let mut proposal = Proposal {
        candidates,
        centres,
        size_px: view.content,
        image_from_view: view.image_from_view,
    };
    proposal.vote();
    proposal
}

#[cfg(test)]
#[path = "looks_tests.rs"]
mod tests;
