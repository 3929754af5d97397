//! Arithmetic on amounts that reverts where Solidity's would.

use alloy_primitives::U256;

use crate::error::{Result, overflow};

/// `a + b`.
pub(crate) fn add(a: U256, b: U256) -> Result<U256> {
    a.checked_add(b).ok_or_else(overflow)
}

/// `a - b`.
pub(crate) fn sub(a: U256, b: U256) -> Result<U256> {
    a.checked_sub(b).ok_or_else(overflow)
}

/// `a * b`.
pub(crate) fn mul(a: U256, b: U256) -> Result<U256> {
    a.checked_mul(b).ok_or_else(overflow)
}

/// `(a / b, a % b)`.
pub(crate) fn div_rem(a: U256, b: U256) -> Result<(U256, U256)> {
    Ok((a.checked_div(b).ok_or_else(overflow)?, a.checked_rem(b).ok_or_else(overflow)?))
}

/// The sum of amounts.
pub(crate) fn sum(amounts: impl IntoIterator<Item = U256>) -> Result<U256> {
    amounts.into_iter().try_fold(U256::ZERO, add)
}

/// An amount in half a slot. Every amount within the supply fits.
pub(crate) fn half(amount: U256) -> Result<u128> {
    u128::try_from(amount).map_err(|_too_large| overflow())
}
