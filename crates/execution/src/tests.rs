//! Whole blocks over a state in memory.

mod calls;
mod evm;
mod governance;
mod modules;
mod trace;
mod validators;

use std::collections::BTreeMap;

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use openledger_types::amount::{ONE_OPEN, SUPPLY};

use crate::{
    BlockEnv, BlockOutcome, Election, Genesis, GenesisRole, GenesisStake, Governance, MapState, build_block,
    execute_block,
};

pub(crate) const GWEI: u64 = 1_000_000_000;

/// Account number `n` of a test.
pub(crate) fn account(n: u8) -> Address {
    Address::repeat_byte(n)
}

/// OPEN in wei.
pub(crate) fn open(amount: u64) -> U256 {
    U256::from(amount) * ONE_OPEN
}

/// A genesis in which accounts 1 to 5 have 1,000,000 OPEN each, account 1 is a validator, 2 an operator and 3 a
/// verifier, and account 9 has the rest.
pub(crate) fn genesis() -> Genesis {
    let stakes: Vec<_> = [GenesisRole::Validator, GenesisRole::Operator, GenesisRole::Verifier]
        .into_iter()
        .zip(1..)
        .map(|(role, n)| GenesisStake { account: account(n), role, amount: open(100_000) })
        .collect();
    let mut alloc: BTreeMap<_, _> = (1..=5).map(|n| (account(n), open(1_000_000))).collect();
    let given = alloc.values().fold(open(300_000), |sum, amount| sum + *amount);
    alloc.insert(account(9), SUPPLY - given);
    Genesis {
        chain_id: 7,
        timestamp: 1_800_000_000,
        gas_limit: 36_000_000,
        base_fee: GWEI,
        alloc,
        validators: Vec::new(),
        election: Election::default(),
        stakes,
        vesting: Vec::new(),
        params: BTreeMap::new(),
        governance: Governance::default(),
    }
}

/// A chain of blocks over a state in memory, with the sum of balances checked after every block.
pub(crate) struct TestChain {
    pub(crate) state: MapState,
    pub(crate) env: BlockEnv,
    nonces: BTreeMap<Address, u64>,
}

impl TestChain {
    pub(crate) fn new() -> Self {
        Self::with(genesis())
    }

    pub(crate) fn with(genesis: Genesis) -> Self {
        let state = MapState::new(genesis.state_writes().unwrap());
        let env = BlockEnv {
            chain_id: genesis.chain_id,
            number: 1,
            timestamp: genesis.timestamp + 1,
            beneficiary: account(0xbe),
            gas_limit: genesis.gas_limit,
            base_fee: genesis.base_fee,
            prevrandao: B256::repeat_byte(7),
            parent_hash: genesis.hash(),
        };
        Self { state, env, nonces: BTreeMap::new() }
    }

    /// A transaction with the sender's next nonce.
    pub(crate) fn tx(
        &mut self,
        from: Address,
        to: impl Into<TxKind>,
        value: U256,
        input: impl Into<Bytes>,
    ) -> Recovered<TxEnvelope> {
        self.tx_with_gas(from, to, value, input, 5_000_000)
    }

    fn tx_with_gas(
        &mut self,
        from: Address,
        to: impl Into<TxKind>,
        value: U256,
        input: impl Into<Bytes>,
        gas_limit: u64,
    ) -> Recovered<TxEnvelope> {
        let nonce = self.nonces.entry(from).or_default();
        let tx = TxEip1559 {
            chain_id: self.env.chain_id,
            nonce: *nonce,
            gas_limit,
            max_fee_per_gas: u128::from(10 * GWEI),
            max_priority_fee_per_gas: u128::from(GWEI),
            to: to.into(),
            value,
            input: input.into(),
            ..TxEip1559::default()
        };
        *nonce += 1;
        sign(tx, from)
    }

    /// A block with one transaction of this gas limit; returns whether it succeeded with the outcome.
    pub(crate) fn send_with_gas(
        &mut self,
        from: Address,
        to: impl Into<TxKind>,
        value: U256,
        input: impl Into<Bytes>,
        gas_limit: u64,
    ) -> (bool, BlockOutcome) {
        let tx = self.tx_with_gas(from, to, value, input, gas_limit);
        let outcome = self.block(&[tx]);
        (outcome.receipts[0].status(), outcome)
    }

    /// Executes a block, applies it and moves to the next.
    pub(crate) fn block(&mut self, txs: &[Recovered<TxEnvelope>]) -> BlockOutcome {
        let outcome = execute_block(&self.env, txs, &self.state).unwrap();
        let built = build_block(&self.env, txs.iter().cloned(), &self.state).unwrap();
        assert_eq!(built.outcome, outcome, "the proposer and the verifier agree");
        assert_eq!(built.rejected, []);
        self.state.apply(outcome.writes.clone());
        assert_eq!(self.state.total_balance(), SUPPLY, "the sum of all balances is a constant");
        self.env.number += 1;
        self.env.timestamp += 1;
        outcome
    }

    /// A block with one transaction; returns whether it succeeded with the outcome.
    pub(crate) fn send(
        &mut self,
        from: Address,
        to: impl Into<TxKind>,
        value: U256,
        input: impl Into<Bytes>,
    ) -> (bool, BlockOutcome) {
        let tx = self.tx(from, to, value, input);
        let outcome = self.block(&[tx]);
        (outcome.receipts[0].status(), outcome)
    }

    pub(crate) fn balance(&self, address: Address) -> U256 {
        use crate::StateReader;
        self.state.account(address).unwrap().unwrap_or_default().balance
    }
}

/// A transaction as recovered from a signature; execution never looks at the signature itself.
pub(crate) fn sign<T>(tx: T, from: Address) -> Recovered<TxEnvelope>
where
    T: SignableTransaction<Signature>,
    TxEnvelope: From<alloy_consensus::Signed<T>>,
{
    Recovered::new_unchecked(tx.into_signed(Signature::test_signature()).into(), from)
}
