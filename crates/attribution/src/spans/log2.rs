/// Fractional bits of [`log2_q32`].
pub(super) const FRACTION_BITS: u32 = 32;

/// `log2(x)` in units of 2⁻³², rounded down; 0 for `x = 0`.
///
/// The integer part is the place of the highest bit. Then the mantissa `m` in [1, 2) is squared once for each bit of
/// the fraction: if the square reaches 2 the bit is set and the square is halved. `m` holds 63 fractional bits and
/// each squaring truncates, which lowers the logarithm by less than 2⁻⁶¹ in all.
pub(super) fn log2_q32(x: u64) -> u64 {
    if x == 0 {
        return 0;
    }
    let whole = x.ilog2();
    let mut mantissa = u128::from(x) << (63 - whole);
    let mut fraction = 0_u64;
    for _ in 0..FRACTION_BITS {
        let square = (mantissa * mantissa) >> 63;
        let carry = square >> 64;
        fraction = (fraction << 1) | u64::from(carry != 0);
        mantissa = if carry != 0 { square >> 1 } else { square };
    }
    (u64::from(whole) << FRACTION_BITS) | fraction
}
