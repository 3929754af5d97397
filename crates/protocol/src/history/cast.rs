//! Who takes part in a history, and the numbers that it is drawn from.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;

/// How many take part.
pub(super) const MEMBERS: usize = 12;
pub(super) const OWNER: usize = 0;
pub(super) const DEVELOPER: usize = 1;
pub(super) const OPERATORS: &[usize] = &[2, 3];
pub(super) const VERIFIERS: &[usize] = &[4, 5, 6];
pub(super) const VALIDATORS: &[usize] = &[7, 8];
pub(super) const PAYERS: &[usize] = &[9, 10];
pub(super) const GOVERNOR: usize = 11;

/// Everybody who takes part, each with a key that signs.
#[derive(Debug)]
pub struct Cast {
    signers: Vec<PrivateKeySigner>,
    accounts: Vec<Address>,
}

impl Default for Cast {
    fn default() -> Self {
        Self::new()
    }
}

impl Cast {
    /// The same for every history.
    ///
    /// # Panics
    /// Never: the keys are below the order of the group.
    pub fn new() -> Self {
        let signers: Vec<_> = (1..=MEMBERS)
            .map(|n| {
                let key = B256::from(U256::from(0x4f50_454e_0000_u64.wrapping_add(n as u64)));
                PrivateKeySigner::from_bytes(&key).expect("a small number is a valid key")
            })
            .collect();
        let accounts = signers.iter().map(PrivateKeySigner::address).collect();
        Self { signers, accounts }
    }

    pub(super) fn account(&self, member: usize) -> Address {
        self.accounts[member]
    }

    pub(super) fn accounts(&self) -> &[Address] {
        &self.accounts
    }

    pub(super) fn member(&self, account: Address) -> Option<usize> {
        self.accounts.iter().position(|other| *other == account)
    }

    /// 65 bytes `r ‖ s ‖ v`.
    pub(super) fn sign(&self, member: usize, digest: B256) -> Bytes {
        let signature = self.signers[member].sign_hash_sync(&digest);
        signature.expect("a key in memory signs any digest").as_bytes().to_vec().into()
    }
}

/// Numbers that follow from a seed: keccak256 of seed and count.
#[derive(Debug)]
pub(super) struct Draws {
    seed: u64,
    count: u64,
}

impl Draws {
    pub(super) const fn new(seed: u64) -> Self {
        Self { seed, count: 0 }
    }

    /// A hash that no other draw of this history gives.
    pub(super) fn hash(&mut self) -> B256 {
        self.count += 1;
        keccak256([self.seed.to_be_bytes(), self.count.to_be_bytes()].concat())
    }

    /// A number below `limit`, which is not zero.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        let word = self.hash();
        let mut low = [0; 8];
        low.copy_from_slice(&word[..8]);
        u64::from_be_bytes(low) % limit
    }

    /// True in so many cases of a hundred.
    pub(super) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(super) fn pick<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        if of.is_empty() {
            return None;
        }
        let index = self.below(of.len() as u64) as usize;
        Some(of[index].clone())
    }

    /// Mostly one of the later entries.
    pub(super) fn recent<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        let back = self.below(4) as usize;
        let from = of.len().saturating_sub(if back == 0 { of.len() } else { 3 });
        self.pick(&of[from..])
    }
}
