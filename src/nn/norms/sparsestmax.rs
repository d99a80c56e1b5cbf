//! SparsestMax (Shao et al. 2019, "SSN: Learning sparse switchable normalization via SparsestMax"): a projection onto
//! the simplex that a growing circle pushes towards a corner.
//!
//! With `radius` 0 it is sparsemax (Martins & Astudillo 2016). A point inside the circle around the centre of its
//! face is pushed out to the circle; one that thereby leaves the simplex is projected onto the lower face, where the
//! same happens with the circle's section. Beyond √((K − 1)/K) only corners are left: exactly one choice.
//!
//! The published function divides by zero when values tie, which is how every layer starts. Here a point at the
//! centre of its face stays there while the circle leaves room, and goes to the first of the tied corners when not.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};

/// Closer to the centre of its face than this, a point has no direction to be pushed in.
const TIE: f64 = 1e-12;

/// `z` projected, and the Jacobian ∂pᵢ/∂zⱼ row by row.
pub fn sparsestmax_with_jacobian(z: &[f64], radius: f64) -> (Vec<f64>, Vec<f64>) {
    let k = z.len();
    let mut jacobian: Vec<f64> = (0..k * k)
        .map(|i| f64::from(u8::from(i / k == i % k)))
        .collect();
    let mut z = z.to_vec();
    let mut radius = radius;
    let mut above: Option<Vec<f64>> = None;
    // Each round lands on a lower face, so there are at most `k` of them.
    for _ in 0..k {
        let p = sparsemax(&z);
        let on: Vec<bool> = p.iter().map(|&v| v > 0.0).collect();
        let size = on.iter().filter(|&&on| on).count();
        jacobian = project_rows(&jacobian, &on, size);
        if size <= 1 {
            return (p, jacobian);
        }
        let centre: Vec<f64> = on
            .iter()
            .map(|&on| if on { 1.0 / size as f64 } else { 0.0 })
            .collect();
        if let Some(above) = &above {
            radius = (radius * radius - distance(&centre, above).powi(2))
                .max(0.0)
                .sqrt();
        }
        let rho = distance(&p, &centre);
        if rho >= radius {
            return (p, jacobian);
        }
        if rho < TIE {
            let reach = ((size - 1) as f64 / size as f64).sqrt();
            if radius < reach {
                return (p, jacobian);
            }
            let first = on.iter().position(|&on| on).unwrap_or(0);
            let corner = (0..k).map(|i| f64::from(u8::from(i == first))).collect();
            return (corner, vec![0.0; k * k]);
        }
        let q: Vec<f64> = p.iter().zip(&centre).map(|(p, u)| p - u).collect();
        jacobian = push_rows(&jacobian, &q, rho, radius);
        let pushed: Vec<f64> = centre
            .iter()
            .zip(&q)
            .map(|(u, q)| u + radius * q / rho)
            .collect();
        if pushed.iter().all(|&v| v >= 0.0) {
            let clamped = pushed.into_iter().map(|v| v.min(1.0)).collect();
            return (clamped, jacobian);
        }
        z = pushed;
        above = Some(centre);
    }
    (sparsemax(&z), jacobian)
}

/// Euclidean projection onto the simplex.
fn sparsemax(z: &[f64]) -> Vec<f64> {
    let mut sorted = z.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let (mut sum, mut tau) = (0.0, 0.0);
    for (i, v) in sorted.iter().enumerate() {
        sum += v;
        let count = (i + 1) as f64;
        if 1.0 + count * v > sum {
            tau = (sum - 1.0) / count;
        }
    }
    z.iter().map(|v| (v - tau).max(0.0)).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    sum.sqrt()
}

/// (diag(s) − s sᵀ / |s|) · jacobian, the derivative of sparsemax on the support `on`.
fn project_rows(jacobian: &[f64], on: &[bool], size: usize) -> Vec<f64> {
    let k = on.len();
    let mut out = vec![0.0; k * k];
    for column in 0..k {
        let mean: f64 = (0..k)
            .filter(|&i| on[i])
            .map(|i| jacobian[i * k + column])
            .sum::<f64>()
            / size as f64;
        for i in (0..k).filter(|&i| on[i]) {
            out[i * k + column] = jacobian[i * k + column] - mean;
        }
    }
    out
}

/// radius/ρ · (I − q qᵀ/ρ²) · jacobian, the derivative of the push onto the circle.
fn push_rows(jacobian: &[f64], q: &[f64], rho: f64, radius: f64) -> Vec<f64> {
    let k = q.len();
    let mut out = vec![0.0; k * k];
    for column in 0..k {
        let along: f64 = (0..k).map(|i| q[i] * jacobian[i * k + column]).sum::<f64>() / (rho * rho);
        for i in 0..k {
            out[i * k + column] = radius / rho * (jacobian[i * k + column] - q[i] * along);
        }
    }
    out
}

struct SparsestMax {
    radius: f64,
}

impl SparsestMax {
    fn at(&self, z: &Tensor) -> Result<(Vec<f64>, Vec<f64>)> {
        let z = z.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>()?;
        if z.iter().any(|v| !v.is_finite()) {
            bail!("the control parameters of a switchable normalisation are not finite: {z:?}");
        }
        Ok(sparsestmax_with_jacobian(&z, self.radius))
    }
}

impl CustomOp1 for SparsestMax {
    fn name(&self) -> &'static str {
        "sparsestmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("sparsestmax takes a contiguous vector");
        };
        let out = match storage {
            CpuStorage::F32(z) => {
                let z: Vec<f64> = z[start..end].iter().map(|&v| f64::from(v)).collect();
                let p = sparsestmax_with_jacobian(&z, self.radius).0;
                CpuStorage::F32(p.into_iter().map(|v| v as f32).collect())
            }
            CpuStorage::F64(z) => {
                CpuStorage::F64(sparsestmax_with_jacobian(&z[start..end], self.radius).0)
            }
            _ => bail!("sparsestmax takes f32 or f64"),
        };
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, z: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, jacobian) = self.at(z)?;
        let k = z.elem_count();
        let jacobian = Tensor::from_vec(jacobian, (k, k), &Device::Cpu)?.to_dtype(z.dtype())?;
        Ok(Some(
            grad.reshape((1, k))?
                .matmul(&jacobian)?
                .reshape(z.shape())?,
        ))
    }
}

/// SparsestMax of a vector `z` `[K]` with a circle of `radius`; differentiable. Computed on the CPU wherever `z` lives.
///
/// # Errors
/// If `z` is no vector of numbers.
pub fn sparsestmax(z: &Tensor, radius: f64) -> Result<Tensor> {
    let op = SparsestMax { radius };
    let here = z.to_device(&Device::Cpu)?;
    op.at(&here.detach())?;
    here.contiguous()?.apply_op1(op)?.to_device(z.device())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;

    /// Made with the published function, third decimal safe.
    #[test]
    fn agrees_with_the_published_function() {
        let a = [0.5, 0.3, 0.2];
        let b = [0.8, 0.6, 0.1];
        let rows: [(f64, [f64; 3], [f64; 3]); 14] = [
            (0.0, a, [0.5, 0.3, 0.2]),
            (0.2, a, [0.5, 0.3, 0.2]),
            (0.3, a, [0.5648, 0.2870, 0.1482]),
            (0.4, a, [0.6419, 0.2716, 0.0864]),
            (0.5, a, [0.7191, 0.2562, 0.0247]),
            (0.6, a, [0.8109, 0.1891, 0.0]),
            (0.7, a, [0.9021, 0.0979, 0.0]),
            (0.8, a, [0.9865, 0.0135, 0.0]),
            (0.8165, a, [1.0, 0.0, 0.0]),
            (0.0, b, [0.6, 0.4, 0.0]),
            (0.3, b, [0.7121, 0.2879, 0.0]),
            (0.5, b, [0.8536, 0.1464, 0.0]),
            (0.7, b, [0.9950, 0.0050, 0.0]),
            (0.7072, b, [1.0, 0.0, 0.0]),
        ];
        for (radius, z, expected) in rows {
            let (p, _) = sparsestmax_with_jacobian(&z, radius);
            for (p, e) in p.iter().zip(expected) {
                assert!((p - e).abs() < 6e-4, "r {radius}: {p} and {e}");
            }
        }
    }

    #[test]
    fn ties_stay_finite_and_end_in_one_choice() {
        for z in [
            vec![1.0; 3],
            vec![0.5, 0.5, 0.0],
            vec![0.25; 4],
            vec![2.0; 2],
        ] {
            for step in 0..=20 {
                let (p, j) = sparsestmax_with_jacobian(&z, f64::from(step) / 20.0);
                assert!(p.iter().chain(&j).all(|v| v.is_finite()), "{z:?} {p:?}");
                assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{p:?}");
            }
            let (p, _) = sparsestmax_with_jacobian(&z, 1.0);
            assert_eq!(p.iter().filter(|&&v| v == 1.0).count(), 1, "{p:?}");
        }
    }

    #[test]
    fn any_number_of_choices_is_one_hot_beyond_the_outer_circle() {
        let mut seed = 7u64;
        let mut random = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            (seed >> 40) as f64 / (1 << 23) as f64 - 1.0
        };
        for k in 2..7 {
            for _ in 0..50 {
                let z: Vec<f64> = (0..k).map(|_| random()).collect();
                let reach = ((k - 1) as f64 / k as f64).sqrt();
                let (p, _) = sparsestmax_with_jacobian(&z, reach + 1e-9);
                let best = z.iter().copied().fold(f64::MIN, f64::max);
                let at = z.iter().position(|&v| v == best).unwrap();
                assert!(p[at] > 1.0 - 1e-6, "{z:?} → {p:?}");
            }
        }
    }

    #[test]
    fn the_gradient_is_that_of_finite_differences() {
        let cases: [(&[f64], f64); 6] = [
            (&[0.5, 0.3, 0.2], 0.0),
            (&[0.5, 0.3, 0.2], 0.35),
            (&[0.5, 0.3, 0.2], 0.7),
            (&[0.8, 0.6, 0.1], 0.5),
            (&[0.3, 0.25, 0.25, 0.2], 0.55),
            (&[0.41, 0.3, 0.16, 0.1, 0.03], 0.6),
        ];
        for (z, radius) in cases {
            let var = Var::new(z, &Device::Cpu).unwrap();
            let weights: Vec<f64> = (0..z.len()).map(|i| (i as f64 * 1.7).sin()).collect();
            let w = Tensor::new(weights.as_slice(), &Device::Cpu).unwrap();
            let loss = (sparsestmax(var.as_tensor(), radius).unwrap() * w)
                .unwrap()
                .sum_all()
                .unwrap();
            let grad = loss.backward().unwrap();
            let grad = grad.get(&var).unwrap().to_vec1::<f64>().unwrap();
            let value = |z: &[f64]| -> f64 {
                let p = sparsestmax_with_jacobian(z, radius).0;
                p.iter().zip(&weights).map(|(p, w)| p * w).sum()
            };
            for i in 0..z.len() {
                let (mut up, mut down) = (z.to_vec(), z.to_vec());
                up[i] += 1e-6;
                down[i] -= 1e-6;
                let numeric = (value(&up) - value(&down)) / 2e-6;
                assert!(
                    (numeric - grad[i]).abs() < 1e-5,
                    "{z:?} r {radius} [{i}]: {numeric} and {}",
                    grad[i]
                );
            }
        }
    }

    #[test]
    fn broken_parameters_are_told() {
        let z = Tensor::new(&[f32::NAN, 1.0, 1.0], &Device::Cpu).unwrap();
        let message = sparsestmax(&z, 0.1).unwrap_err().to_string();
        assert!(message.contains("not finite"), "{message}");
    }
}
