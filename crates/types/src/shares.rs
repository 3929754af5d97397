//! Scores to integer shares that add up exactly.

use alloy_primitives::U256;

use crate::amount::PPM;

/// Divides `total` in proportion to `weights` by the largest-remainder method: every part is rounded down, then the
/// units left go one each to the largest remainders, the earlier entry first among equals. The parts add up to `total`
/// exactly unless all weights are zero, when all parts are zero and the whole of `total` is left to the caller.
///
/// # Panics
/// If a product `total * weight` or the sum of the weights does not fit 256 bits.
pub fn apportion(total: U256, weights: &[U256]) -> Vec<U256> {
    let sum = weights
        .iter()
        .fold(U256::ZERO, |sum, w| sum.checked_add(*w).expect("weights add up within 256 bits"));
    if sum.is_zero() {
        return vec![U256::ZERO; weights.len()];
    }
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let product = total.checked_mul(*weight).expect("a total times a weight fits 256 bits");
        let (part, remainder) = product.div_rem(sum);
        parts.push(part);
        remainders.push((remainder, index));
    }
    let left = total - parts.iter().fold(U256::ZERO, |sum, part| sum + part);
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    let left = usize::try_from(left).expect("rounding leaves fewer units than there are parts");
    for (_, index) in remainders.into_iter().take(left) {
        parts[index] += U256::from(1);
    }
    parts
}

/// Parts per million in proportion to `weights`, with `unattributed` as one more weight. Together they add up to
/// exactly 1,000,000; if every weight is zero, all of it is unattributed.
pub fn ppm_shares(weights: &[U256], unattributed: U256) -> (Vec<u32>, u32) {
    let mut all = weights.to_vec();
    all.push(unattributed);
    let mut parts: Vec<u32> = apportion(U256::from(PPM), &all)
        .into_iter()
        .map(|part| u32::try_from(part).expect("a part of a million fits 32 bits"))
        .collect();
    let rest = parts.pop().expect("the unattributed part was pushed above");
    let paid: u32 = parts.iter().sum();
    (parts, if paid == 0 && rest == 0 { PPM } else { rest })
}
