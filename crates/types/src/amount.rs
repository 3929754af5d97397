//! Amounts of OPEN. One OPEN is 10¹⁸ wei; every amount in the system is a whole number of wei.

use alloy_primitives::U256;

/// Decimal places of OPEN.
pub const DECIMALS: u8 = 18;

/// Wei in one OPEN.
pub const ONE_OPEN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);

/// Genesis supply: 1,000,000,000 OPEN, in wei.
pub const SUPPLY: U256 = U256::from_limbs([0x9fd0803ce8000000, 0x33b2e3c, 0, 0]);

/// Parts per million that make a whole.
pub const PPM: u32 = 1_000_000;

/// Why an amount could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AmountError {
    /// Not digits with at most one point.
    #[error("'{0}' is not an amount of OPEN: write digits with an optional point, as 12 or 0.5")]
    Malformed(String),
    /// More than 18 digits after the point.
    #[error("'{got}' has {digits} digits after the point; OPEN has 18")]
    TooPrecise {
        /// The text that was given.
        got: String,
        /// Its digits after the point.
        digits: usize,
    },
    /// More than all OPEN there is.
    #[error("'{0}' is more than the whole supply of 1000000000 OPEN")]
    TooLarge(String),
}

/// Reads a decimal amount of OPEN, as `12`, `0.5` or `1000.000000000000000001`, into wei.
///
/// # Errors
/// [`AmountError`] says what is wrong with the text.
pub fn parse_open(text: &str) -> Result<U256, AmountError> {
    let malformed = || AmountError::Malformed(text.to_owned());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || (text.contains('.') && fraction.is_empty()) || !digits(whole) || !digits(fraction)
    {
        return Err(malformed());
    }
    if fraction.len() > usize::from(DECIMALS) {
        return Err(AmountError::TooPrecise { got: text.to_owned(), digits: fraction.len() });
    }
    if whole.trim_start_matches('0').len() > 10 {
        return Err(AmountError::TooLarge(text.to_owned()));
    }
    let padded = format!("{whole}{fraction:0<18}");
    let wei = U256::from_str_radix(&padded, 10).map_err(|_parse| malformed())?;
    if wei > SUPPLY {
        return Err(AmountError::TooLarge(text.to_owned()));
    }
    Ok(wei)
}

/// Writes wei as a decimal amount of OPEN without trailing zeros: `1.5`, `0.000000000000000001`.
pub fn format_open(wei: U256) -> String {
    let (whole, fraction) = wei.div_rem(ONE_OPEN);
    if fraction.is_zero() {
        return whole.to_string();
    }
    let digits = format!("{:0>18}", fraction.to_string());
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// `floor(amount * ppm / 1,000,000)`.
///
/// # Panics
/// Never for amounts within the supply and parts within a whole: the product is below 2²⁵⁶.
pub fn ppm_of(amount: U256, ppm: u32) -> U256 {
    amount.checked_mul(U256::from(ppm)).expect("an amount within the supply times a ppm fits 256 bits")
        / U256::from(PPM)
}
