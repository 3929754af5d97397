//! How a fee is shared between the roles of an answer.

use alloy_primitives::U256;
use serde::{Deserialize, Serialize};

use crate::abi::RoleTotals;
use crate::amount::{PPM, ppm_of};

/// The governed parts of a fee, in parts per million; they add up to a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeSplit {
    /// To contributors, by influence; what influence leaves unexplained to the base pool.
    pub contributors_ppm: u32,
    /// To who served the answer.
    pub operator_ppm: u32,
    /// To who trained the adapter.
    pub developer_ppm: u32,
    /// To validators, by stake.
    pub validators_ppm: u32,
    /// To the treasury, with what rounding leaves.
    pub treasury_ppm: u32,
    /// Burnt.
    pub burn_ppm: u32,
}

/// The parts do not add up to 1,000,000.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the fee split adds up to {got} ppm, not 1000000")]
pub struct SplitError {
    /// What they add up to.
    pub got: u64,
}

/// A fee by role, wei. The treasury's part holds the rounding remainder, so the parts add up to the fee exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FeeParts {
    /// Contributors and base pool together.
    pub contributors: U256,
    /// Operator.
    pub operator: U256,
    /// Developer.
    pub developer: U256,
    /// Validators.
    pub validators: U256,
    /// Treasury, with the rounding remainder.
    pub treasury: U256,
    /// Burnt.
    pub burn: U256,
    /// How much of the treasury's part is the rounding remainder (below 6 wei for one fee).
    pub rounding: U256,
}

impl FeeSplit {
    /// The split at genesis.
    pub const GENESIS: Self = Self {
        contributors_ppm: 400_000,
        operator_ppm: 300_000,
        developer_ppm: 150_000,
        validators_ppm: 60_000,
        treasury_ppm: 40_000,
        burn_ppm: 50_000,
    };

    /// Checks that the parts make a whole.
    ///
    /// # Errors
    /// [`SplitError`] with what they add up to.
    pub fn check(&self) -> Result<(), SplitError> {
        let got = [
            self.contributors_ppm,
            self.operator_ppm,
            self.developer_ppm,
            self.validators_ppm,
            self.treasury_ppm,
            self.burn_ppm,
        ]
        .iter()
        .map(|ppm| u64::from(*ppm))
        .sum();
        if got == u64::from(PPM) { Ok(()) } else { Err(SplitError { got }) }
    }

    /// Splits one fee. Every part is rounded down; the treasury takes what that leaves.
    ///
    /// # Panics
    /// If the parts do not make a whole; [`FeeSplit::check`] them first.
    pub fn split(&self, fee: U256) -> FeeParts {
        self.check().expect("a fee split is checked where it is read");
        let contributors = ppm_of(fee, self.contributors_ppm);
        let operator = ppm_of(fee, self.operator_ppm);
        let developer = ppm_of(fee, self.developer_ppm);
        let validators = ppm_of(fee, self.validators_ppm);
        let burn = ppm_of(fee, self.burn_ppm);
        let treasury = fee - contributors - operator - developer - validators - burn;
        let rounding = treasury - ppm_of(fee, self.treasury_ppm);
        FeeParts { contributors, operator, developer, validators, treasury, burn, rounding }
    }
}

impl std::ops::AddAssign for FeeParts {
    fn add_assign(&mut self, other: Self) {
        self.contributors += other.contributors;
        self.operator += other.operator;
        self.developer += other.developer;
        self.validators += other.validators;
        self.treasury += other.treasury;
        self.burn += other.burn;
        self.rounding += other.rounding;
    }
}

impl FeeParts {
    /// The totals a batch posts, with the contributors' part divided into what influence paid and the base pool.
    ///
    /// # Panics
    /// If `base` is more than the contributors' part.
    pub fn totals(&self, base: U256) -> RoleTotals {
        RoleTotals {
            contributors: self
                .contributors
                .checked_sub(base)
                .expect("the base pool is part of the contributors' part"),
            base,
            operator: self.operator,
            developer: self.developer,
            validators: self.validators,
            treasury: self.treasury,
            burn: self.burn,
        }
    }
}
