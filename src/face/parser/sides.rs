//! Left and right told apart by where they are, since networks and annotators both mix them up.

use super::super::labels::SIDED;
use candle_core::{Result, Tensor};

/// Tells left from right by position: eyes, brows and ears of one kind are pooled, split where their columns divide
/// into two groups, and the group at the viewer's right becomes the subject's left. A single group keeps the side that
/// most of its probability says. `p` [19, H, W].
pub(super) fn repair_sides(p: &Tensor) -> Result<Tensor> {
    let (c, h, w) = p.dims3()?;
    let mut values = p.flatten_all()?.to_vec1::<f32>()?;
    for (l, r) in SIDED {
        let (l, r) = (usize::from(l), usize::from(r));
        let (at_l, at_r) = (l * h * w, r * h * w);
        let mut columns = vec![0f64; w];
        let mut mass = [0f64; 2];
        for i in 0..h * w {
            let (a, b) = (values[at_l + i], values[at_r + i]);
            // Stray probability far from any eye must not move the split.
            if a + b > 0.3 {
                columns[i % w] += f64::from(a + b);
                mass[0] += f64::from(a);
                mass[1] += f64::from(b);
            }
        }
        let split = split_column(&columns);
        for i in 0..h * w {
            let both = values[at_l + i] + values[at_r + i];
            let is_left = match split {
                Some(split) => (i % w) as f64 >= split,
                None => mass[0] >= mass[1],
            };
            (values[at_l + i], values[at_r + i]) = if is_left { (both, 0.0) } else { (0.0, both) };
        }
    }
    Tensor::from_vec(values, (c, h, w), p.device())
}

/// The column between two groups of mass, or none when there is one group (or nothing).
fn split_column(columns: &[f64]) -> Option<f64> {
    let total: f64 = columns.iter().sum();
    if total <= 0.0 {
        return None;
    }
    let centre = |range: std::ops::Range<usize>| {
        let mass: f64 = columns[range.clone()].iter().sum();
        let moment: f64 = range.map(|x| columns[x] * x as f64).sum();
        (moment / mass.max(1e-9), mass)
    };
    let mut split = centre(0..columns.len()).0;
    let mut centres = (0.0, 0.0);
    // Two means in one dimension; a few rounds settle.
    for _ in 0..8 {
        let at = (split.ceil() as usize).min(columns.len());
        let ((a, mass_a), (b, mass_b)) = (centre(0..at), centre(at..columns.len()));
        if mass_a.min(mass_b) < 0.05 * total {
            return None;
        }
        centres = (a, b);
        split = (a + b) / 2.0;
    }
    // Closer than an eighth of the crop is one part, split by chance.
    (centres.1 - centres.0 > columns.len() as f64 / 8.0).then_some(split)
}

#[cfg(test)]
mod tests {
    use super::super::super::labels::CLASS_COUNT;
    use super::*;
    use candle_core::Device;

    #[test]
    fn sides_follow_position_not_the_network() {
        let (h, w) = (16, 32);
        let mut p = vec![0f32; CLASS_COUNT * h * w];
        let mut put = |class: usize, x0: usize| {
            for y in 6..10 {
                for x in x0..x0 + 4 {
                    p[(class * h + y) * w + x] = 0.9;
                }
            }
        };
        // Both eyes called "left"; brows exchanged; one ear only.
        put(4, 6);
        put(4, 20);
        put(6, 6);
        put(7, 20);
        put(9, 1);
        let p = Tensor::from_vec(p, (CLASS_COUNT, h, w), &Device::Cpu).unwrap();
        let r = repair_sides(&p).unwrap().to_vec3::<f32>().unwrap();
        assert_eq!((r[5][7][7], r[4][7][7]), (0.9, 0.0));
        assert_eq!((r[4][7][21], r[5][7][21]), (0.9, 0.0));
        assert_eq!((r[7][7][7], r[6][7][21]), (0.9, 0.9));
        assert_eq!((r[9][7][2], r[8][7][2]), (0.9, 0.0));
    }
}
