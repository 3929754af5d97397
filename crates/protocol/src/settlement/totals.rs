//! Whether the totals of a batch are what the governed split makes of its fees.

use alloy_primitives::U256;
use openledger_types::abi::{ISettlement, RoleTotals};
use openledger_types::amount::PPM;
use openledger_types::split::FeeSplit;

use crate::error::{Result, revert};
use crate::math::{add, div_rem, mul, sum};

/// Checks that the totals add up to the fees, and that every role but the treasury has at most its part of the sum and
/// at least that less one wei per receipt, since every receipt is split alone and rounds down. The treasury, which takes
/// the remainder, then has what it must.
pub(super) fn check(fees: U256, totals: &RoleTotals, receipts: u32, split: &FeeSplit) -> Result<()> {
    let contributors = add(totals.contributors, totals.base)?;
    let bounded = [
        ("contributors", contributors, split.contributors_ppm),
        ("operator", totals.operator, split.operator_ppm),
        ("developer", totals.developer, split.developer_ppm),
        ("validators", totals.validators, split.validators_ppm),
        ("burn", totals.burn, split.burn_ppm),
    ];
    let whole = add(sum(bounded.iter().map(|(_, got, _)| *got))?, totals.treasury)?;
    if whole != fees {
        return Err(revert(ISettlement::TotalsMismatch { fees, totals: whole }));
    }
    for (role, got, ppm) in bounded {
        let most = div_rem(mul(fees, U256::from(ppm))?, U256::from(PPM))?.0;
        let least = most.saturating_sub(U256::from(receipts));
        if got < least || got > most {
            return Err(revert(ISettlement::SplitOutOfBounds { role: role.to_owned(), got, least, most }));
        }
    }
    Ok(())
}
