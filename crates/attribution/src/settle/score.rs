use super::SettleError;

/// Largest magnitude of a score: 10⁹ nats. A thousand times what the longest answers of a batch could explain at
/// weight one, and small enough that every product of a settlement fits 256 bits.
pub const MAX_SCORE_PICONATS: i128 = 1_000_000_000_000_000_000_000;

const PICONATS_PER_NAT: f64 = 1e12;
const MAX_SCORE_NATS: f64 = 1e9;

/// Nats, as the replay returns them, to piconats: `nats * 10^12` in double precision, then to the nearest integer,
/// ties to even. Both are exactly specified operations, so every machine gets the same integer.
///
/// # Errors
/// [`SettleError::Score`] for what is not finite or above [`MAX_SCORE_PICONATS`] in magnitude.
pub fn piconats(nats: f64) -> Result<i128, SettleError> {
    if !nats.is_finite() || nats.abs() > MAX_SCORE_NATS {
        return Err(SettleError::Score { got: nats, limit: MAX_SCORE_NATS });
    }
    Ok((nats * PICONATS_PER_NAT).round_ties_even() as i128)
}
