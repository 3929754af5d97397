//! What is done to rows: norms, rotary embedding, softmax, SwiGLU and cross-entropy, with their backward passes and the tangents of both.
//!
//! Each function is compiled for every instruction set from one body of plain operations, none of which the compiler may fuse or reorder. In the formulas below a
//! dot marks the tangent (`ẋ`), and `Σ` is [`sum`]: sixteen lanes by index modulo 16, each ascending, then the tree `l[i] += l[i + 8], 4, 2, 1`.

use super::{BLOCK, Isa, blocks::SMALLEST, isa};

/// Defines a function once and compiles it for each instruction set.
macro_rules! vectorised {
    ($($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }
            match isa() {
                // SAFETY: the instruction set was detected on this machine.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    )*};
}

const LANES: usize = 16;

#[inline(always)]
fn tree(mut lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] = join(lanes[i], lanes[i + width]);
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ f(a, b)` in the stated order.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let b = &b[..a.len()];
    let mut lanes = [0f32; LANES];
    let (ac, bc) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (ar, br) = (ac.remainder(), bc.remainder());
    for (a, b) in ac.zip(bc) {
        for i in 0..LANES {
            lanes[i] += f(a[i], b[i]);
        }
    }
    for i in 0..ar.len() {
        lanes[i] += f(ar[i], br[i]);
    }
    tree(lanes, |x, y| x + y)
}

/// A bfloat16 in `f32`, exactly.
#[inline(always)]
fn wide(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

/// `Σ a b` in sixteen lanes of fused multiply-adds, then the tree.
#[inline(always)]
fn fused_sum(a: &[u16], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    let mut lanes = [0f32; LANES];
    let (ac, bc) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (ar, br) = (ac.remainder(), bc.remainder());
    for (a, b) in ac.zip(bc) {
        for i in 0..LANES {
            lanes[i] = wide(a[i]).mul_add(b[i], lanes[i]);
        }
    }
    for i in 0..ar.len() {
        lanes[i] = wide(ar[i]).mul_add(br[i], lanes[i]);
    }
    tree(lanes, |x, y| x + y)
}

/// `Σ (a b + c d)` in the stated order.
#[inline(always)]
fn sum_two(a: &[f32], b: &[f32], c: &[f32], d: &[f32]) -> f32 {
    let n = a.len();
    let (b, c, d) = (&b[..n], &c[..n], &d[..n]);
    let mut lanes = [0f32; LANES];
    let whole = n / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        let (a, b, c, d) = (&a[at..at + LANES], &b[at..at + LANES], &c[at..at + LANES], &d[at..at + LANES]);
        for i in 0..LANES {
            lanes[i] += a[i] * b[i] + c[i] * d[i];
        }
    }
    for at in whole..n {
        lanes[at - whole] += a[at] * b[at] + c[at] * d[at];
    }
    tree(lanes, |x, y| x + y)
}

/// The largest element; `-∞` of an empty row.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let max = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = x.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for i in 0..LANES {
            lanes[i] = max(lanes[i], chunk[i]);
        }
    }
    for i in 0..rest.len() {
        lanes[i] = max(lanes[i], rest[i]);
    }
    tree(lanes, max)
}

/// `eˣ` for `x` clamped to [-87, 88], within 2 units in the last place (relative error below 1.8·10⁻⁷).
///
/// `x = n ln 2 + r` with `|r| ≤ ln 2 / 2`, and a polynomial of degree 7 in `r` (coefficients of Cephes `expf`); `ln 2` is split so that `n · LN2_HIGH` is exact.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    const LN2_HIGH: f32 = 355.0 / 512.0;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 leaves no bits for a fraction: the sum's low bits are the rounded integer.
    const ROUND: f32 = 12_582_912.0;
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = x * LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * LN2_HIGH;
    let r = r - n * LN2_LOW;
    let p = 1.987_569_1e-4 * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let y = p * (r * r) + r + 1.0;
    // The low byte of the shifted sum is n in two's complement; the shift drops everything above it.
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    y * power
}

#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `1 / sqrt(mean(x²) + ε)`.
#[inline(always)]
fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    let mean = sum(x, x, |a, b| a * b) / x.len() as f32;
    1.0 / (mean + eps).sqrt()
}

vectorised! {
    /// `x *= s`.
    fn scale(x: &mut [f32], s: f32) {
        for x in x {
            *x *= s;
        }
    }

    /// LoRA of one row with `A` and `B` in bfloat16: `h = s · A n` with rows of `A` as long as `n`, then `y_o ← fma(B[r, o], h_r, y_o)` with `r` ascending and rows
    /// of `B` as long as `y`. The sum over `n` runs in sixteen lanes of fused multiply-adds.
    fn low_rank(a: &[u16], b: &[u16], s: f32, n: &[f32], h: &mut [f32], y: &mut [f32]) {
        for (h, row) in h.iter_mut().zip(a.chunks_exact(n.len())) {
            *h = s * fused_sum(row, n);
        }
        let width = y.len();
        for (h, row) in h.iter().zip(b.chunks_exact(width)) {
            for i in 0..width {
                y[i] = wide(row[i]).mul_add(*h, y[i]);
            }
        }
    }

    /// One row of inputs as blocks of signed bytes, as `blocks` states: values, scales `e`, `e Σ t` and `-128 Σ t`.
    fn quantise(x: &[f32], values: &mut [i8], scales: &mut [f32], sums: &mut [f32], biases: &mut [i32]) {
        // Adding 1.5 * 2^23 leaves no bits for a fraction: the sum's low bits are the rounded integer.
        const ROUND: f32 = 12_582_912.0;
        let (outs, _) = values.as_chunks_mut::<BLOCK>();
        for (b, out) in outs.iter_mut().enumerate() {
            let own = &x[b * BLOCK..x.len().min((b + 1) * BLOCK)];
            let mut block = [0f32; BLOCK];
            block[..own.len()].copy_from_slice(own);
            // As integers magnitudes keep their order, and what is not a number is above all.
            let mut largest = 0u32;
            for x in &block {
                largest = largest.max(x.to_bits() & 0x7fff_ffff);
            }
            let largest = f32::from_bits(largest);
            let (e, inverse) = if largest < SMALLEST { (0.0, 0.0) } else { (largest / 127.0, 127.0 / largest) };
            let mut sum = 0i32;
            for (t, x) in out.iter_mut().zip(&block) {
                *t = (x * inverse + ROUND).to_bits() as i8;
                sum += i32::from(*t);
            }
            scales[b] = e;
            sums[b] = e * sum as f32;
            biases[b] = -128 * sum;
        }
    }

    /// RMS norm: `y = x r w` with `r = 1 / sqrt(mean(x²) + ε)`.
    fn norm(x: &[f32], w: &[f32], eps: f32, y: &mut [f32]) {
        let n = y.len();
        let (x, w) = (&x[..n], &w[..n]);
        let r = inverse_rms(x, eps);
        for i in 0..n {
            y[i] = x[i] * r * w[i];
        }
    }

    /// Layer norm, in place: `x ← (x − μ) r w + b` with `μ = mean(x)` and `r = 1 / sqrt(mean((x − μ)²) + ε)`.
    fn layer_norm(x: &mut [f32], w: &[f32], b: &[f32], eps: f32) {
        let n = x.len();
        let (w, b) = (&w[..n], &b[..n]);
        let mean = sum(x, x, |a, _| a) / n as f32;
        for x in x.iter_mut() {
            *x -= mean;
        }
        let r = inverse_rms(x, eps);
        for i in 0..n {
            x[i] = x[i] * r * w[i] + b[i];
        }
    }

    /// `x ← x / ‖x‖`; what is all zero stays so.
    fn normalise(x: &mut [f32]) {
        let square = sum(x, x, |a, b| a * b);
        let inverse = if square > 0.0 { 1.0 / square.sqrt() } else { 0.0 };
        for x in x {
            *x *= inverse;
        }
    }

    /// Tangent of [`norm`]: `ẏ = (ẋ r + x ṙ) w` with `ṙ = -r³ mean(x ẋ)`.
    fn norm_tangent(x: &[f32], xt: &[f32], w: &[f32], eps: f32, yt: &mut [f32]) {
        let n = yt.len();
        let (x, xt, w) = (&x[..n], &xt[..n], &w[..n]);
        let r = inverse_rms(x, eps);
        let rt = -(r * r * r) * (sum(x, xt, |a, b| a * b) / n as f32);
        for i in 0..n {
            yt[i] = (xt[i] * r + x[i] * rt) * w[i];
        }
    }

    /// Backward of [`norm`], added: with `g = dy w`, `dx += r g - c x`, `c = r³ mean(g x)`. Leaves `g` in `dy`.
    fn norm_backward(x: &[f32], w: &[f32], eps: f32, dy: &mut [f32], dx: &mut [f32]) {
        let n = dx.len();
        let (x, w, g) = (&x[..n], &w[..n], &mut dy[..n]);
        for i in 0..n {
            g[i] *= w[i];
        }
        let r = inverse_rms(x, eps);
        let c = r * r * r * (sum(g, x, |a, b| a * b) / n as f32);
        for i in 0..n {
            dx[i] += r * g[i] - c * x[i];
        }
    }

    /// Tangent of [`norm_backward`], added, after it has left `g` in place of `dy`: `dẋ += ṙ g + r ġ - ċ x - c ẋ`,
    /// `ċ = 3 r² ṙ mean(g x) + r³ mean(ġ x + g ẋ)`.
    fn norm_backward_tangent(x: &[f32], xt: &[f32], w: &[f32], eps: f32, g: &[f32], dyt: &mut [f32], dxt: &mut [f32]) {
        let n = dxt.len();
        let (x, xt, w, g, gt) = (&x[..n], &xt[..n], &w[..n], &g[..n], &mut dyt[..n]);
        for i in 0..n {
            gt[i] *= w[i];
        }
        let r = inverse_rms(x, eps);
        let cube = r * r * r;
        let rt = -cube * (sum(x, xt, |a, b| a * b) / n as f32);
        let mean = sum(g, x, |a, b| a * b) / n as f32;
        let mean_t = sum_two(gt, x, g, xt) / n as f32;
        let c = cube * mean;
        let ct = 3.0 * (r * r) * rt * mean + cube * mean_t;
        for i in 0..n {
            dxt[i] += rt * g[i] + r * gt[i] - ct * x[i] - c * xt[i];
        }
    }

    /// Rotates the pairs `(x[2i], x[2i+1])` of every head by the angles whose cosines and sines are given; `direction` is 1 forward, -1 backward.
    fn rotate(x: &mut [f32], cos: &[f32], sin: &[f32], direction: f32) {
        let half = cos.len();
        let sin = &sin[..half];
        for head in x.chunks_exact_mut(2 * half) {
            for i in 0..half {
                let (a, b) = (head[2 * i], head[2 * i + 1]);
                let s = sin[i] * direction;
                head[2 * i] = a * cos[i] - b * s;
                head[2 * i + 1] = a * s + b * cos[i];
            }
        }
    }

    /// `p = softmax(s · scale)`, in place.
    fn softmax(s: &mut [f32], scale: f32) {
        for x in s.iter_mut() {
            *x *= scale;
        }
        let max = largest(s);
        for x in s.iter_mut() {
            *x = exp(*x - max);
        }
        let inverse = 1.0 / sum(s, s, |a, _| a);
        for x in s.iter_mut() {
            *x *= inverse;
        }
    }

    /// Tangent of [`softmax`]: `ṗ = p (ẋ - Σ p ẋ)` with `ẋ = ṡ · scale`, in place of `ṡ`.
    fn softmax_tangent(p: &[f32], st: &mut [f32], scale: f32) {
        let p = &p[..st.len()];
        for x in st.iter_mut() {
            *x *= scale;
        }
        let mean = sum(p, st, |a, b| a * b);
        for i in 0..st.len() {
            st[i] = p[i] * (st[i] - mean);
        }
    }

    /// Backward of [`softmax`]: `ds = p (dp - Σ p dp) · scale`, in place of `dp`.
    fn softmax_backward(p: &[f32], dp: &mut [f32], scale: f32) {
        let p = &p[..dp.len()];
        let mean = sum(p, dp, |a, b| a * b);
        for i in 0..dp.len() {
            dp[i] = p[i] * (dp[i] - mean) * scale;
        }
    }

    /// Tangent of [`softmax_backward`], to be called before it: `dṡ = (ṗ (dp - m) + p (dṗ - ṁ)) · scale`, `m = Σ p dp`, `ṁ = Σ (ṗ dp + p dṗ)`, in place of `dṗ`.
    fn softmax_backward_tangent(p: &[f32], pt: &[f32], dp: &[f32], dpt: &mut [f32], scale: f32) {
        let n = dpt.len();
        let (p, pt, dp) = (&p[..n], &pt[..n], &dp[..n]);
        let mean = sum(p, dp, |a, b| a * b);
        let mean_t = sum_two(pt, dp, p, dpt);
        for i in 0..n {
            dpt[i] = (pt[i] * (dp[i] - mean) + p[i] * (dpt[i] - mean_t)) * scale;
        }
    }

    /// `a = silu(g) u` with `silu(g) = g σ(g)`.
    fn swiglu(g: &[f32], u: &[f32], a: &mut [f32]) {
        let n = a.len();
        let (g, u) = (&g[..n], &u[..n]);
        for i in 0..n {
            a[i] = g[i] * sigmoid(g[i]) * u[i];
        }
    }

    /// Tangent of [`swiglu`]: `ȧ = silu'(g) ġ u + silu(g) u̇`, `silu'(g) = σ (1 + g (1 - σ))`.
    fn swiglu_tangent(g: &[f32], u: &[f32], gt: &[f32], ut: &[f32], at: &mut [f32]) {
        let n = at.len();
        let (g, u, gt, ut) = (&g[..n], &u[..n], &gt[..n], &ut[..n]);
        for i in 0..n {
            let s = sigmoid(g[i]);
            let slope = s * (1.0 + g[i] * (1.0 - s));
            at[i] = slope * gt[i] * u[i] + g[i] * s * ut[i];
        }
    }

    /// Backward of [`swiglu`]: `dg = da u silu'(g)`, `du = da silu(g)`.
    fn swiglu_backward(g: &[f32], u: &[f32], da: &[f32], dg: &mut [f32], du: &mut [f32]) {
        let n = da.len();
        let (g, u, dg, du) = (&g[..n], &u[..n], &mut dg[..n], &mut du[..n]);
        for i in 0..n {
            let s = sigmoid(g[i]);
            let slope = s * (1.0 + g[i] * (1.0 - s));
            dg[i] = da[i] * u[i] * slope;
            du[i] = da[i] * (g[i] * s);
        }
    }

    /// Tangent of [`swiglu_backward`]: `dġ = dȧ u silu' + da u̇ silu' + da u silu'' ġ`, `du̇ = dȧ silu + da silu' ġ`, `silu'' = σ (1 - σ) (2 + g (1 - 2σ))`.
    /// The arguments are pairs of rows `[g, u]` and `[ġ, u̇]`.
    fn swiglu_backward_tangent(gu: &[f32], gut: &[f32], da: &[f32], dat: &[f32], dgut: &mut [f32]) {
        let n = da.len();
        let (g, u) = gu.split_at(n);
        let (gt, ut) = gut.split_at(n);
        let (dgt, dut) = dgut.split_at_mut(n);
        let (u, ut, dut, dat) = (&u[..n], &ut[..n], &mut dut[..n], &dat[..n]);
        for i in 0..n {
            let s = sigmoid(g[i]);
            let slope = s * (1.0 + g[i] * (1.0 - s));
            let bend = s * (1.0 - s) * (2.0 + g[i] * (1.0 - 2.0 * s));
            dgt[i] = dat[i] * u[i] * slope + da[i] * ut[i] * slope + da[i] * u[i] * (bend * gt[i]);
            dut[i] = dat[i] * (g[i] * s) + da[i] * (slope * gt[i]);
        }
    }

    /// `max z` and `Σ exp(z - max)`, leaving the exponentials in place of the logits.
    fn exponentials(z: &mut [f32]) -> (f32, f32) {
        let max = largest(z);
        for x in z.iter_mut() {
            *x = exp(*x - max);
        }
        (max, sum(z, z, |a, _| a))
    }

    /// Tangent of the log-partition and of its gradient: with `m = Σ p ż`, puts `p (ż - m)` in place of `ż` and returns `m`.
    fn partition_tangent(p: &[f32], zt: &mut [f32]) -> f32 {
        let p = &p[..zt.len()];
        let mean = sum(p, zt, |a, b| a * b);
        for i in 0..zt.len() {
            zt[i] = p[i] * (zt[i] - mean);
        }
        mean
    }
}

/// `-log softmax(z)[target]` in nats; leaves `softmax(z)` in place of the logits.
pub(crate) fn cross_entropy(z: &mut [f32], target: usize) -> f64 {
    let picked = z[target];
    let (max, sum) = exponentials(z);
    scale(z, 1.0 / sum);
    libm::log(f64::from(sum)) + (f64::from(max) - f64::from(picked))
}

/// `x ← x Φ(x) = x (1 + erf(x / √2)) / 2`, in place.
pub(crate) fn gelu(x: &mut [f32]) {
    for x in x {
        *x = 0.5 * *x * (1.0 + libm::erff(*x * std::f32::consts::FRAC_1_SQRT_2));
    }
}
