//! Losses with an analytic gradient, computed together with the value in one pass.

use super::cpu::{slice, uninit};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// Weighted cross-entropy plus a dice term over the classes present, for label maps.
///
/// Cross-entropy is the mean over pixels weighted by `weight[label]`. Dice is `1 − 2Σpt / (Σp + Σt)`, averaged over
/// the foreground classes (1 …) that occur in the batch, times `dice`.
pub struct SegmentationLoss {
    /// Class of each pixel, [N·H·W]; 255 is left out.
    pub labels: Vec<u8>,
    /// One weight a class.
    pub weight: Vec<f32>,
    /// Weight of the dice term.
    pub dice: f32,
}

struct Op {
    loss: SegmentationLoss,
    gradient: Arc<Mutex<Vec<f32>>>,
}

/// Marks a pixel that no loss looks at.
pub const IGNORED: u8 = 255;

/// The loss of `logits` [N, C, H, W], a scalar. CPU and `f32` only.
pub fn segmentation(logits: &Tensor, loss: SegmentationLoss) -> Result<Tensor> {
    let (n, c, h, w) = logits.dims4()?;
    if loss.labels.len() != n * h * w || loss.weight.len() != c {
        bail!(
            "{} labels and {} class weights do not fit logits of {n}×{c}×{h}×{w}",
            loss.labels.len(),
            loss.weight.len()
        );
    }
    if let Some(bad) = loss
        .labels
        .iter()
        .find(|&&l| l != IGNORED && usize::from(l) >= c)
    {
        bail!("label {bad} is not one of {c} classes");
    }
    logits.contiguous()?.apply_op1(Op {
        loss,
        gradient: Arc::default(),
    })
}

impl CustomOp1 for Op {
    fn name(&self) -> &'static str {
        "segmentation-loss"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(logits, layout, self.name())?;
        let (_, c, h, w) = layout.shape().dims4()?;
        let s = h * w;
        let (labels, weight) = (&self.loss.labels, &self.loss.weight);
        let mut p = uninit(x.len());
        // Probabilities, row by row so that a row of all classes stays in cache.
        p.par_chunks_mut((c * s).max(1))
            .zip(x.par_chunks((c * s).max(1)))
            .for_each(|(p, x)| {
                let mut most = vec![0f32; w];
                let mut total = vec![0f32; w];
                for y in 0..h {
                    most.copy_from_slice(&x[y * w..][..w]);
                    for k in 1..c {
                        most.iter_mut()
                            .zip(&x[k * s + y * w..][..w])
                            .for_each(|(m, &v)| *m = m.max(v));
                    }
                    total.fill(0.0);
                    for k in 0..c {
                        let row = &mut p[k * s + y * w..][..w];
                        for (((o, &v), &m), t) in row
                            .iter_mut()
                            .zip(&x[k * s + y * w..][..w])
                            .zip(&most)
                            .zip(&mut total)
                        {
                            *o = (v - m).exp();
                            *t += *o;
                        }
                    }
                    for k in 0..c {
                        p[k * s + y * w..][..w]
                            .iter_mut()
                            .zip(&total)
                            .for_each(|(o, &t)| *o /= t);
                    }
                }
            });
        let total: f64 = labels
            .iter()
            .filter(|&&l| l != IGNORED)
            .map(|&l| weight[l as usize] as f64)
            .sum::<f64>()
            .max(1e-12);
        let mut value = 0f64;
        let (mut overlap, mut sizes, mut present) = (vec![0f64; c], vec![0f64; c], vec![false; c]);
        for (n, p) in p.chunks_exact(c * s).enumerate() {
            let labels = &labels[n * s..][..s];
            for (i, &l) in labels.iter().enumerate() {
                if l != IGNORED {
                    let (l, q) = (l as usize, p[l as usize * s + i]);
                    value -= weight[l] as f64 * (q.max(1e-12) as f64).ln();
                    overlap[l] += q as f64;
                    sizes[l] += 1.0;
                    present[l] = true;
                }
            }
            for k in 1..c {
                let plane = &p[k * s..][..s];
                sizes[k] +=
                    super::norm::sum_of(|i| if labels[i] == IGNORED { 0.0 } else { plane[i] }, s);
            }
        }
        value /= total;
        present[0] = false;
        let classes = present.iter().filter(|&&b| b).count().max(1) as f64;
        // ∂dice/∂p_k is `common[k]` everywhere and `common[k] + own[k]` where the label is k.
        let (mut common, mut own) = (vec![0f32; c], vec![0f32; c]);
        for k in 1..c {
            if present[k] {
                let scale = self.loss.dice as f64 / classes;
                value += scale * (1.0 - 2.0 * overlap[k] / sizes[k]);
                common[k] = (scale * 2.0 * overlap[k] / (sizes[k] * sizes[k])) as f32;
                own[k] = (-scale * 2.0 / sizes[k]) as f32;
            }
        }
        let inverse = (1.0 / total) as f32;
        p.par_chunks_mut((c * s).max(1))
            .zip(labels.par_chunks(s.max(1)))
            .for_each(|(p, labels)| {
                let mut dot = vec![0f32; w];
                for y in 0..h {
                    let labels = &labels[y * w..][..w];
                    dot.fill(0.0);
                    for k in 1..c {
                        dot.iter_mut()
                            .zip(&p[k * s + y * w..][..w])
                            .for_each(|(d, &q)| *d += q * common[k]);
                    }
                    for (x, &l) in labels.iter().enumerate() {
                        if l != IGNORED {
                            dot[x] += p[l as usize * s + y * w + x] * own[l as usize];
                        }
                    }
                    for k in 0..c {
                        let row = &mut p[k * s + y * w..][..w];
                        for ((q, &l), &d) in row.iter_mut().zip(labels).zip(&dot) {
                            if l == IGNORED {
                                *q = 0.0;
                                continue;
                            }
                            let mine = l as usize == k;
                            let dice = *q * (common[k] + if mine { own[k] } else { 0.0 } - d);
                            *q = weight[l as usize] * inverse * (*q - if mine { 1.0 } else { 0.0 })
                                + dice;
                        }
                    }
                }
            });
        if let Ok(mut kept) = self.gradient.lock() {
            *kept = p;
        }
        Ok((CpuStorage::F32(vec![value as f32]), Shape::from(())))
    }

    fn bwd(&self, arg: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let scale = grad.to_scalar::<f32>()?;
        let Ok(mut kept) = self.gradient.lock() else {
            bail!("the gradient of the segmentation loss was lost")
        };
        let mut gradient = std::mem::take(&mut *kept);
        if scale != 1.0 {
            gradient.iter_mut().for_each(|g| *g *= scale);
        }
        Ok(Some(Tensor::from_vec(gradient, arg.shape(), arg.device())?))
    }
}
