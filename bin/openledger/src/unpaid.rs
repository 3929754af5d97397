//! Answers that cost nothing: one key, which every price is covered for.

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::Authorisation;
use openledger_worker::operator::{Lookup, Payments, Standing};

/// Whom a serving machine answers without a chain: whoever has its key.
#[derive(Debug)]
pub(crate) struct Unpaid {
    /// Hash of the key.
    pub(crate) key: B256,
    /// The machine.
    pub(crate) operator: Address,
}

impl Payments for Unpaid {
    fn standing(&self, key: B256) -> Lookup<'_> {
        let authorisation = (key == self.key).then_some(Authorisation {
            payer: self.operator,
            operator: self.operator,
            cap: U256::MAX,
            spent: U256::ZERO,
            expiresAt: u64::MAX,
            revokedAt: 0,
        });
        Box::pin(async move { Ok(Standing { authorisation, balance: U256::MAX }) })
    }
}
