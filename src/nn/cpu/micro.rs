//! The innermost loops of the convolutions.
//!
//! [`rows_by_16`] is a matrix micro-kernel whose right-hand rows are found through a table of offsets, so the
//! same loop serves every kernel size and stride without unfolding the picture (no im2col copy).
//! `dots` multiplies rows with rows, for the gradient of the weights.

/// Pixels that one call of [`rows_by_16`] computes.
pub const LANES: usize = 16;

/// Whether the fast kernels can run here.
pub fn has_avx2() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// Bounds that results are held within; NaN stays NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clamp {
    pub lo: f32,
    pub hi: f32,
}

impl Clamp {
    /// No bounds at all.
    pub const NONE: Self = Self {
        lo: f32::NEG_INFINITY,
        hi: f32::INFINITY,
    };

    /// The value within the bounds.
    #[inline]
    pub fn of(self, v: f32) -> f32 {
        let v = if v < self.lo { self.lo } else { v };
        if v > self.hi { self.hi } else { v }
    }
}

/// Where [`rows_by_16_to`] writes a row of 16 pixels for each output channel.
#[derive(Clone, Copy)]
pub struct Sink {
    /// The first pixel of the first channel.
    pub to: *mut f32,
    /// From one channel to the next.
    pub step: usize,
    /// Channels that exist.
    pub live: usize,
    /// Added to each channel; without it the sum goes on top of what is there.
    pub bias: Option<[f32; 6]>,
    pub clamp: Clamp,
}

/// As [`rows_by_16`], but adds and bounds the sums and puts them where they belong.
///
/// # Safety
/// As [`rows_by_16`]; `sink.to + r · sink.step` holds 16 values for every live channel, which nobody else touches.
#[inline]
pub unsafe fn rows_by_16_to<const MR: usize>(
    a: *const f32,
    b: *const f32,
    offsets: &[u32],
    avx2: bool,
    sink: &Sink,
) {
    #[cfg(target_arch = "x86_64")]
    if avx2 {
        // SAFETY: the caller checked the CPU and the bounds.
        return unsafe { rows_by_16_to_avx2::<MR>(a, b, offsets, sink) };
    }
    let mut acc = [[0f32; LANES]; MR];
    // SAFETY: promised by the caller.
    unsafe { rows_by_16(a, b, offsets, avx2, &mut acc) };
    for (r, row) in acc.iter().enumerate().take(sink.live) {
        for (j, v) in row.iter().enumerate() {
            // SAFETY: promised by the caller.
            unsafe {
                let to = sink.to.add(r * sink.step + j);
                *to = sink.clamp.of(v + sink.bias.map_or(*to, |bias| bias[r]));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn rows_by_16_to_avx2<const MR: usize>(
    a: *const f32,
    b: *const f32,
    offsets: &[u32],
    sink: &Sink,
) {
    use std::arch::x86_64::*;
    // SAFETY: bounds are promised by the caller of `rows_by_16_to`.
    unsafe {
        let mut lo = [_mm256_setzero_ps(); MR];
        let mut hi = [_mm256_setzero_ps(); MR];
        let mut a = a;
        for &offset in offsets {
            let row = b.add(offset as usize);
            let (b_lo, b_hi) = (_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(8)));
            for r in 0..MR {
                let w = _mm256_broadcast_ss(&*a.add(r));
                lo[r] = _mm256_fmadd_ps(w, b_lo, lo[r]);
                hi[r] = _mm256_fmadd_ps(w, b_hi, hi[r]);
            }
            a = a.add(MR);
        }
        let least = _mm256_set1_ps(sink.clamp.lo);
        let most = _mm256_set1_ps(sink.clamp.hi);
        for r in 0..MR {
            if r >= sink.live {
                break;
            }
            let to = sink.to.add(r * sink.step);
            let (add_lo, add_hi) = match &sink.bias {
                Some(bias) => {
                    let bias = _mm256_set1_ps(bias[r]);
                    (bias, bias)
                }
                None => (_mm256_loadu_ps(to), _mm256_loadu_ps(to.add(8))),
            };
            // Of two operands one of which is NaN max and min return the second.
            let bounded = |v| _mm256_min_ps(most, _mm256_max_ps(least, v));
            _mm256_storeu_ps(to, bounded(_mm256_add_ps(lo[r], add_lo)));
            _mm256_storeu_ps(to.add(8), bounded(_mm256_add_ps(hi[r], add_hi)));
        }
    }
}

/// `acc[r][j] = Σ_k a[k·MR + r] · b[offsets[k] + j]` for `r < MR`, `j < 16`.
///
/// # Safety
/// `a` holds `MR · offsets.len()` values and `b + offsets[k] + 15` is readable for every `k`.
#[inline]
pub unsafe fn rows_by_16<const MR: usize>(
    a: *const f32,
    b: *const f32,
    offsets: &[u32],
    avx2: bool,
    acc: &mut [[f32; LANES]; MR],
) {
    #[cfg(target_arch = "x86_64")]
    if avx2 {
        // SAFETY: the caller checked the CPU and the bounds.
        return unsafe { rows_by_16_avx2::<MR>(a, b, offsets, acc) };
    }
    let _ = avx2;
    *acc = [[0.0; LANES]; MR];
    for (k, &offset) in offsets.iter().enumerate() {
        for (r, row) in acc.iter_mut().enumerate() {
            for (j, v) in row.iter_mut().enumerate() {
                // SAFETY: promised by the caller.
                unsafe { *v += *a.add(k * MR + r) * *b.add(offset as usize + j) };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn rows_by_16_avx2<const MR: usize>(
    a: *const f32,
    b: *const f32,
    offsets: &[u32],
    acc: &mut [[f32; LANES]; MR],
) {
    use std::arch::x86_64::*;
    // SAFETY: bounds are promised by the caller of `rows_by_16`.
    unsafe {
        let mut lo = [_mm256_setzero_ps(); MR];
        let mut hi = [_mm256_setzero_ps(); MR];
        let mut a = a;
        for &offset in offsets {
            let row = b.add(offset as usize);
            let (b_lo, b_hi) = (_mm256_loadu_ps(row), _mm256_loadu_ps(row.add(8)));
            for r in 0..MR {
                let w = _mm256_broadcast_ss(&*a.add(r));
                lo[r] = _mm256_fmadd_ps(w, b_lo, lo[r]);
                hi[r] = _mm256_fmadd_ps(w, b_hi, hi[r]);
            }
            a = a.add(MR);
        }
        for r in 0..MR {
            _mm256_storeu_ps(acc[r].as_mut_ptr(), lo[r]);
            _mm256_storeu_ps(acc[r].as_mut_ptr().add(8), hi[r]);
        }
    }
}

/// `acc[i][j] += Σ_segments Σ_q g[i·g_stride + seg.0 + q] · b[offsets[j] + seg.1 + q]`, `q < len`, for 4 × 3 pairs.
///
/// # Safety
/// All addressed elements are readable; `len` is a multiple of 8.
#[inline]
pub unsafe fn dots_4x3(
    g: [*const f32; 4],
    b: [*const f32; 3],
    segments: usize,
    g_step: usize,
    b_step: usize,
    len: usize,
    avx2: bool,
) -> [[f32; 3]; 4] {
    #[cfg(target_arch = "x86_64")]
    if avx2 {
        // SAFETY: the caller checked the CPU and the bounds.
        return unsafe { dots_4x3_avx2(g, b, segments, g_step, b_step, len) };
    }
    let _ = avx2;
    let mut acc = [[0f32; 3]; 4];
    for s in 0..segments {
        for q in 0..len {
            for (row, &gp) in acc.iter_mut().zip(&g) {
                for (v, &bp) in row.iter_mut().zip(&b) {
                    // SAFETY: promised by the caller.
                    unsafe { *v += *gp.add(s * g_step + q) * *bp.add(s * b_step + q) };
                }
            }
        }
    }
    acc
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dots_4x3_avx2(
    g: [*const f32; 4],
    b: [*const f32; 3],
    segments: usize,
    g_step: usize,
    b_step: usize,
    len: usize,
) -> [[f32; 3]; 4] {
    use std::arch::x86_64::*;
    // SAFETY: bounds are promised by the caller of `dots_4x3`.
    unsafe {
        let mut acc = [[_mm256_setzero_ps(); 3]; 4];
        for s in 0..segments {
            let (gs, bs) = (s * g_step, s * b_step);
            let mut q = 0;
            while q < len {
                let b0 = _mm256_loadu_ps(b[0].add(bs + q));
                let b1 = _mm256_loadu_ps(b[1].add(bs + q));
                let b2 = _mm256_loadu_ps(b[2].add(bs + q));
                for i in 0..4 {
                    let v = _mm256_loadu_ps(g[i].add(gs + q));
                    acc[i][0] = _mm256_fmadd_ps(v, b0, acc[i][0]);
                    acc[i][1] = _mm256_fmadd_ps(v, b1, acc[i][1]);
                    acc[i][2] = _mm256_fmadd_ps(v, b2, acc[i][2]);
                }
                q += 8;
            }
        }
        let mut out = [[0f32; 3]; 4];
        for i in 0..4 {
            for j in 0..3 {
                let v = acc[i][j];
                let half = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
                out[i][j] = _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps::<1>(pair, pair)));
            }
        }
        out
    }
}

/// `to[p·to_step + l] = clamp(bias + Σ_k weights[k] · from[offsets[k] + p·from_step + l])`, `p < P`, `l < 8`: one filter
/// over `P` panels of eight pixels, which lie `from_step` apart and go `to_step` apart. Many panels at a time keep the
/// core busy; one alone waits for each of its sums.
///
/// # Safety
/// `from + offsets[k] + p·from_step + 7` is readable for every `k` and `p`, `to + p·to_step + 7` writable.
#[inline]
pub unsafe fn filter<const P: usize>(
    (weights, offsets): (&[f32], &[u32]),
    (from, from_step): (*const f32, usize),
    (bias, clamp): (f32, Clamp),
    avx2: bool,
    (to, to_step): (*mut f32, usize),
) {
    #[cfg(target_arch = "x86_64")]
    if avx2 {
        let (from, to) = ((from, from_step), (to, to_step));
        // SAFETY: the caller checked the CPU and the bounds.
        return unsafe { filter_avx2::<P>((weights, offsets), from, (bias, clamp), to) };
    }
    let _ = avx2;
    for p in 0..P {
        for l in 0..8 {
            let mut sum = bias;
            for (&w, &offset) in weights.iter().zip(offsets) {
                // SAFETY: promised by the caller.
                sum += w * unsafe { *from.add(offset as usize + p * from_step + l) };
            }
            // SAFETY: promised by the caller.
            unsafe { *to.add(p * to_step + l) = clamp.of(sum) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn filter_avx2<const P: usize>(
    (weights, offsets): (&[f32], &[u32]),
    (from, from_step): (*const f32, usize),
    (bias, clamp): (f32, Clamp),
    (to, to_step): (*mut f32, usize),
) {
    use std::arch::x86_64::*;
    // SAFETY: bounds are promised by the caller of `filter`.
    unsafe {
        let mut acc = [_mm256_set1_ps(bias); P];
        for (&w, &offset) in weights.iter().zip(offsets) {
            let w = _mm256_set1_ps(w);
            let panels = from.add(offset as usize);
            for p in 0..P {
                acc[p] = _mm256_fmadd_ps(w, _mm256_loadu_ps(panels.add(p * from_step)), acc[p]);
            }
        }
        let (lo, hi) = (_mm256_set1_ps(clamp.lo), _mm256_set1_ps(clamp.hi));
        for p in 0..P {
            // Of two operands one of which is NaN these instructions return the second.
            let v = _mm256_min_ps(hi, _mm256_max_ps(lo, acc[p]));
            _mm256_storeu_ps(to.add(p * to_step), v);
        }
    }
}

/// `Σ_q g[q] · b[offsets[k] + q]` for `K` offsets at once, `q < len`.
///
/// # Safety
/// All addressed elements are readable; `len` is a multiple of 8.
#[inline]
pub unsafe fn dots_1xk<const K: usize>(
    g: *const f32,
    b: [*const f32; K],
    len: usize,
    avx2: bool,
) -> [f32; K] {
    #[cfg(target_arch = "x86_64")]
    if avx2 {
        // SAFETY: the caller checked the CPU and the bounds.
        return unsafe { dots_1xk_avx2::<K>(g, b, len) };
    }
    let _ = avx2;
    // SAFETY: promised by the caller.
    std::array::from_fn(|k| (0..len).map(|q| unsafe { *g.add(q) * *b[k].add(q) }).sum())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dots_1xk_avx2<const K: usize>(g: *const f32, b: [*const f32; K], len: usize) -> [f32; K] {
    use std::arch::x86_64::*;
    // SAFETY: bounds are promised by the caller of `dots_1xk`.
    unsafe {
        let mut acc = [_mm256_setzero_ps(); K];
        let mut q = 0;
        while q < len {
            let v = _mm256_loadu_ps(g.add(q));
            for k in 0..K {
                acc[k] = _mm256_fmadd_ps(v, _mm256_loadu_ps(b[k].add(q)), acc[k]);
            }
            q += 8;
        }
        let mut out = [0f32; K];
        for k in 0..K {
            let mut lanes = [0f32; 8];
            _mm256_storeu_ps(lanes.as_mut_ptr(), acc[k]);
            out[k] = lanes.iter().sum();
        }
        out
    }
}
