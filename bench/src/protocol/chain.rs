//! A chain in memory: blocks of the executor with one transaction each.

use std::collections::BTreeMap;

use alloy_consensus::transaction::Recovered;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, keccak256};
use alloy_sol_types::SolCall;
use anyhow::{Context, Result, bail};
use openledger_execution::{
    BlockEnv, Election, Genesis, GenesisRole, GenesisStake, Governance, MAX_TRANSACTION_GAS, MapState,
    execute_block,
};
use openledger_types::abi::{
    BatchPost, Charge, DatanetRef, IDatanets, IEscrow, IModels, ISettlement, Modality, Terms, Use,
};
use openledger_types::addresses::{DATANETS, ESCROW, MODELS, SETTLEMENT};
use openledger_types::amount::{ONE_OPEN, SUPPLY};
use openledger_types::batch::{Payout, payout_tree};
use openledger_types::split::FeeSplit;

pub(super) const CHAIN_ID: u64 = 7;
pub(super) const VALIDATOR: u8 = 1;
pub(super) const OPERATOR: u8 = 2;
pub(super) const VERIFIER: u8 = 3;
pub(super) const DEVELOPER: u8 = 4;
pub(super) const PAYER: u8 = 5;

pub(super) fn account(n: u8) -> Address {
    Address::repeat_byte(n)
}

pub(super) fn open(amount: u64) -> U256 {
    U256::from(amount) * ONE_OPEN
}

pub(super) fn hash(n: u64) -> B256 {
    keccak256(n.to_be_bytes())
}

/// What a call took and returned to the log.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) gas: u64,
}

/// State, block and nonces.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) state: MapState,
    pub(super) env: BlockEnv,
    nonces: BTreeMap<Address, u64>,
    /// What votes of this chain are bound to.
    pub(super) vote_domain: Vec<u8>,
}

impl Chain {
    /// A validator, an operator and a verifier with 100,000 OPEN each; ten accounts with a million.
    pub(super) fn new(signer: Address) -> Result<Self> {
        Self::with(signer, &[])
    }

    /// With other governed numbers.
    pub(super) fn with(signer: Address, numbers: &[(&str, u64)]) -> Result<Self> {
        let roles = [GenesisRole::Validator, GenesisRole::Operator, GenesisRole::Verifier];
        let stakes: Vec<_> = roles
            .into_iter()
            .zip(1..)
            .map(|(role, n)| GenesisStake { account: account(n), role, amount: open(100_000) })
            .collect();
        let mut alloc: BTreeMap<_, _> = (1..=10).map(|n| (account(n), open(1_000_000))).collect();
        alloc.insert(signer, open(1_000_000));
        let given = alloc.values().fold(open(300_000), |sum, amount| sum + *amount);
        alloc.insert(account(99), SUPPLY - given);
        let windows = [
            ("verify_window", 4),
            ("reveal_window", 4),
            ("challenge_window", 0),
            ("move_window", 6),
            ("unbonding_seconds", 1_800),
            ("withdrawal_delay", 60),
            ("settle_grace", 60),
            ("appeal_window", 5),
        ];
        let genesis = Genesis {
            chain_id: CHAIN_ID,
            timestamp: 1_800_000_000,
            gas_limit: 60_000_000,
            base_fee: 1_000_000_000,
            alloc,
            validators: Vec::new(),
            election: Election::default(),
            stakes,
            vesting: vec![openledger_execution::GenesisVesting {
                account: account(9),
                amount: open(1_000),
                start: 1_800_000_000,
                cliff: 1_800_000_000,
                end: 1_900_000_000,
            }],
            params: windows
                .iter()
                .chain(numbers)
                .map(|(name, value)| ((*name).to_owned(), U256::from(*value)))
                .collect(),
            governance: Governance {
                voting_delay: 1,
                voting_period: 5,
                late_quorum_extension: 1,
                timelock_seconds: 10,
                proposal_threshold: open(1),
                ..Governance::default()
            },
        };
        let mut genesis = genesis;
        if let Some(rest) = genesis.alloc.get_mut(&account(99)) {
            *rest -= open(1_000);
        }
        let env = BlockEnv {
            chain_id: CHAIN_ID,
            number: 1,
            timestamp: genesis.timestamp + 1,
            beneficiary: account(0xbe),
            gas_limit: genesis.gas_limit,
            base_fee: genesis.base_fee,
            prevrandao: hash(1),
            parent_hash: hash(0),
        };
        Ok(Self {
            state: MapState::new(genesis.state_writes()?),
            env,
            nonces: BTreeMap::new(),
            vote_domain: genesis.vote_domain(),
        })
    }

    /// The next transaction of an account.
    pub(super) fn tx(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        input: Bytes,
    ) -> Recovered<TxEnvelope> {
        let nonce = self.nonces.entry(from).or_default();
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: *nonce,
            gas_limit: MAX_TRANSACTION_GAS,
            max_fee_per_gas: u128::from(self.env.base_fee),
            to: TxKind::Call(to),
            value,
            input,
            ..TxEip1559::default()
        };
        *nonce += 1;
        Recovered::new_unchecked(tx.into_signed(Signature::test_signature()).into(), from)
    }

    /// Executes a block and moves to the next; gas of each of its transactions, all of which must succeed.
    pub(super) fn block(&mut self, txs: &[Recovered<TxEnvelope>]) -> Result<Vec<u64>> {
        let outcome = execute_block(&self.env, txs, &self.state).context("executing a block")?;
        if let Some(failed) = outcome.receipts.iter().position(|receipt| !receipt.status()) {
            bail!("transaction {failed} of block {} failed", self.env.number);
        }
        self.state.apply(outcome.writes);
        if self.state.total_balance() != SUPPLY {
            bail!("the balances no longer add up to the supply");
        }
        self.pass(1);
        Ok(outcome.transactions.iter().map(|tx| tx.gas_used).collect())
    }

    /// Lets blocks of a second pass.
    pub(super) fn pass(&mut self, blocks: u64) {
        for _ in 0..blocks {
            let hash = hash(self.env.number);
            self.state.set_block_hash(self.env.number, hash);
            self.env.parent_hash = hash;
            self.env.number += 1;
            self.env.timestamp += 1;
        }
    }

    /// Unix seconds of the block that calls are in.
    pub(super) fn now(&self) -> u64 {
        self.env.timestamp
    }

    /// Lets so many seconds pass in one block.
    pub(super) fn jump(&mut self, seconds: u64) {
        self.pass(1);
        self.env.timestamp += seconds;
    }

    pub(super) fn send<C: SolCall>(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        call: &C,
    ) -> Result<Sent> {
        let tx = self.tx(from, to, value, call.abi_encode().into());
        let gas = self.block(&[tx]).with_context(|| C::SIGNATURE.to_owned())?;
        Ok(Sent { gas: gas.first().copied().unwrap_or_default() })
    }
}

/// Datanet, version, base model and adapter number 1; a payer with a deposit and 16 keys for the operator.
pub(super) fn open_market(chain: &mut Chain) -> Result<()> {
    let developer = account(DEVELOPER);
    let terms = Terms { train: Use::Allow, infer: Use::Allow, crawl: Use::Deny };
    let zero = U256::ZERO;
    let create = IDatanets::createCall {
        name: "notes".into(),
        license: "MIT".into(),
        modality: Modality::Text,
        terms,
    };
    chain.send(developer, DATANETS, zero, &create)?;
    let version = IDatanets::publishVersionCall {
        datanet: U256::ONE,
        manifestHash: hash(1),
        recordsRoot: hash(2),
        records: 10,
        clusters: 8,
    };
    chain.send(developer, DATANETS, zero, &version)?;
    let base = IModels::registerBaseCall { name: "tiny".into(), license: "MIT".into(), fileHash: hash(3) };
    chain.send(developer, MODELS, zero, &base)?;
    chain.send(developer, MODELS, zero, &IModels::commitTrainingCall { manifestHash: hash(4) })?;
    let adapter = IModels::publishAdapterCall {
        base: U256::ONE,
        manifestHash: hash(4),
        adapterHash: hash(5),
        transcriptHash: hash(6),
        datanets: vec![DatanetRef { datanet: U256::ONE, version: 1 }],
        inputPrice: U256::ONE,
        outputPrice: U256::ONE,
    };
    chain.send(developer, MODELS, open(1), &adapter)?;
    chain.send(account(PAYER), ESCROW, open(10_000), &IEscrow::depositCall {})?;
    for key in 0..KEYS {
        chain.send(account(PAYER), ESCROW, zero, &authorise(key))?;
    }
    Ok(())
}

/// Keys that a batch charges.
pub(super) const KEYS: u64 = 16;

pub(super) fn authorise(key: u64) -> IEscrow::authoriseCall {
    let (key, operator) = (hash(1_000 + key), account(OPERATOR));
    IEscrow::authoriseCall { key, operator, cap: open(500), expiresAt: u64::MAX }
}

/// A batch with so many answers, settled at this time, which charges an OPEN to every key and pays what its split leaves to contributors.
pub(super) fn batch(
    settled_at: u64,
    epoch: u64,
    receipts: u32,
    payouts: impl Fn(&FeeSplit, U256) -> Vec<Payout>,
) -> (BatchPost, Vec<Payout>) {
    let fees = open(KEYS);
    let split = FeeSplit::GENESIS;
    let payouts = payouts(&split, fees);
    let post = BatchPost {
        epoch,
        adapter: U256::ONE,
        receiptsRoot: hash(10),
        receipts,
        steps: 1,
        fees,
        totals: split.split(fees).totals(U256::ZERO),
        payoutsRoot: payout_tree(&payouts).root(),
        payouts: u32::try_from(payouts.len()).unwrap_or(u32::MAX),
        fileHash: hash(11),
        settledAt: settled_at,
        charges: (0..KEYS).map(|key| Charge { key: hash(1_000 + key), amount: open(1) }).collect(),
    };
    (post, payouts)
}

/// Gas of posting a batch with so many answers.
pub(super) fn post_gas(receipts: u32) -> Result<u64> {
    let mut chain = Chain::new(account(50))?;
    open_market(&mut chain)?;
    // What keys and operator write for the first time is not what posting costs.
    for epoch in 0..2 {
        let (post, _) = batch(chain.now(), epoch, receipts, super::gas::payouts);
        let sent =
            chain.send(account(OPERATOR), SETTLEMENT, U256::ZERO, &ISettlement::postCall { batch: post })?;
        if epoch == 1 {
            return Ok(sent.gas);
        }
    }
    bail!("a batch was posted twice")
}
