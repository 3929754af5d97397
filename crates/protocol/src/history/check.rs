//! The market that a history starts from, and what must hold after every call.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use openledger_types::abi::{ChallengeStatus, Vesting};
use openledger_types::addresses::{ESCROW, OPEN, SETTLEMENT, STAKING};
use openledger_types::amount::{ONE_OPEN, SUPPLY};

use super::cast::{Cast, DEVELOPER, Draws, GOVERNOR, OPERATORS, OWNER, PAYERS, VALIDATORS, VERIFIERS};
use super::{History, data, money, stakes};
use crate::params::PARAMS;
use crate::{Block, MapStorage, Result, Storage, escrow, open, params, settlement, staking};

/// Wei of every member at first.
const PURSE: u64 = 1_000_000;
/// Where the rest of the supply lies.
const BANK: Address = Address::repeat_byte(99);

impl<'c> History<'c> {
    /// A market with short windows, in which every role is taken.
    pub(super) fn new(cast: &'c Cast, seed: u64) -> Self {
        let block = Block { number: 100, timestamp: 1_000_000, chain_id: 7, randomness: B256::ZERO };
        let mut history = Self {
            cast,
            storage: MapStorage::new(block),
            draws: Draws::new(seed),
            operation: "",
            tallies: BTreeMap::new(),
            violation: None,
            keys: Vec::new(),
            flows: BTreeMap::new(),
            batches: Vec::new(),
            claimed: BTreeSet::new(),
            paid_verdicts: BTreeSet::new(),
            challenges: Vec::new(),
            step_verdicts: BTreeMap::new(),
            paid_steps: BTreeSet::new(),
            delegations: BTreeSet::new(),
            allowances: BTreeSet::new(),
            consumed: BTreeSet::new(),
            params: (0, Vec::new()),
            data: data::Data::default(),
            channels: Vec::new(),
            nodes: Default::default(),
        };
        history.found(seed).expect("the genesis of a history follows the rules");
        history.open_market();
        history.tallies.clear();
        history
    }

    fn found(&mut self, seed: u64) -> Result<()> {
        let windows = [
            ("verify_window", 30),
            ("reveal_window", 30),
            ("challenge_window", 4),
            ("appeal_window", 30),
            // Five who verify: all of them are asked at once, or two or one of them at first.
            ("verifiers_per_batch", if seed.is_multiple_of(3) { 16 } else { seed % 3 }),
            ("reward_seconds", 600),
            ("move_window", 30),
            ("withdrawal_delay", 60),
            ("settle_grace", 60),
            ("unbonding_seconds", 9_000),
        ];
        let storage = &mut self.storage;
        params::init(storage, windows.map(|(name, value)| (name, U256::from(value))))
            .expect("short windows are in their ranges");
        params::init_governor(storage, self.cast.account(GOVERNOR))?;
        let mut rest = SUPPLY;
        for account in self.cast.accounts() {
            let purse = U256::from(PURSE) * ONE_OPEN;
            storage.balances.insert(*account, purse);
            rest -= purse;
        }
        for (member, odd, length) in [(OWNER, 1, 400), (DEVELOPER, 5, 90_000)] {
            let vesting = Vesting {
                beneficiary: self.cast.account(member),
                amount: U256::from(1_000) * ONE_OPEN + U256::from(odd),
                released: U256::ZERO,
                start: 1_000_000,
                cliff: 1_000_020,
                end: 1_000_000 + length,
            };
            open::add_vesting(storage, &vesting).expect("the schedule of a history is one");
            let locked = open::locked(storage)?;
            storage.balances.insert(OPEN, locked);
            rest -= vesting.amount;
        }
        storage.balances.insert(BANK, rest);
        self.found_validators()
    }

    fn open_market(&mut self) {
        for member in [OPERATORS, VERIFIERS, VALIDATORS].concat() {
            let (role, amount) = stakes::offer(self, member).expect("the least stakes are governed numbers");
            self.call(member, STAKING, amount, openledger_types::abi::IStaking::stakeCall { role });
        }
        for payer in PAYERS {
            let amount = self.open(100, 300);
            let call = openledger_types::abi::IEscrow::depositCall {};
            let done = self.call(*payer, ESCROW, amount, call).is_some();
            money::deposited(self, done, *payer, amount);
            for operator in OPERATORS {
                let cap = self.open(50, 150);
                money::authorise(self, *payer, *operator, cap, 10_000_000);
            }
        }
        data::open_market(self);
    }

    /// Notes the first property that does not hold.
    pub(super) fn check(&mut self) {
        if let Err(error) = self.try_check() {
            self.violate(format!("the books cannot be read: {error}"));
        }
    }

    fn try_check(&mut self) -> Result<()> {
        let total = self.storage.total_balance();
        self.require(total == SUPPLY, || format!("all balances add up to {total}"));
        let supply = open::supply(&mut self.storage)?;
        self.require(supply.genesis == supply.burnt + supply.total, || {
            "burnt and supply are no whole".into()
        });
        let locked = open::locked(&mut self.storage)?;
        self.owes("OPEN", OPEN, locked)?;
        self.check_escrow()?;
        self.check_settlement()?;
        self.check_staking()?;
        self.check_votes()?;
        self.check_nodes()?;
        self.check_nets()?;
        self.check_channels()?;
        self.check_params()
    }

    fn owes(&mut self, name: &str, module: Address, owed: U256) -> Result<()> {
        let held = self.storage.balance(module)?;
        self.require(held == owed, || format!("{name} holds {held} wei and owes {owed}"));
        Ok(())
    }

    /// Escrow is solvent, and what a payer has less is what was charged to keys that it signed.
    fn check_escrow(&mut self) -> Result<()> {
        let mut charged: BTreeMap<Address, U256> = BTreeMap::new();
        for key in self.keys.clone() {
            let read = escrow::authorisation(&mut self.storage, key.key)?;
            let payer = self.account(key.payer);
            self.require(read.spent <= key.cap, || {
                format!("a key with a cap of {} was charged {}", key.cap, read.spent)
            });
            *charged.entry(payer).or_default() += read.spent;
        }
        let mut owed = U256::ZERO;
        for payer in self.cast.accounts() {
            let held = escrow::balance_of(&mut self.storage, *payer)?
                + escrow::withdrawal(&mut self.storage, *payer)?.0;
            owed += held;
            let (paid_in, paid_out) = self.flows.get(payer).copied().unwrap_or_default();
            let spent = charged.get(payer).copied().unwrap_or_default();
            self.require(paid_in == paid_out + held + spent, || {
                format!("{payer} paid {paid_in} in, has {held}, took {paid_out} out and signed for {spent}")
            });
        }
        self.owes("escrow", ESCROW, owed)
    }

    fn check_settlement(&mut self) -> Result<()> {
        let mut owed = U256::ZERO;
        for id in self.batches.iter().map(|batch| batch.id) {
            owed += settlement::held(&mut self.storage, id)?;
        }
        for id in &self.challenges {
            let read = settlement::challenge_of(&mut self.storage, *id)?;
            let open = [ChallengeStatus::Bisecting, ChallengeStatus::Choosing, ChallengeStatus::Judging];
            owed += if open.contains(&read.status) { read.bond } else { read.pot };
        }
        self.owes("settlement", SETTLEMENT, owed)
    }

    fn check_staking(&mut self) -> Result<()> {
        let (accounts, delegations) = (self.cast.accounts(), &self.delegations);
        let debts = self
            .storage
            .probe(|storage| staking::scaled_debts(storage, accounts, delegations.iter().copied()))?;
        let held = self.storage.balance(STAKING)? * ONE_OPEN;
        self.require(held == debts, || format!("staking holds {held} wei, scaled, and owes {debts}"));
        Ok(())
    }

    /// Once slashes are told to those whom they hit, every delegate has the stake of those who named it.
    fn check_votes(&mut self) -> Result<()> {
        let (accounts, delegations) = (self.cast.accounts(), &self.delegations);
        let wrong = self.storage.probe(|storage| {
            let mut expected: BTreeMap<Address, U256> = BTreeMap::new();
            for account in accounts {
                let staker = staking::staker(storage, *account)?;
                let bonded = staker.unbondingAt == 0;
                let delegate = staking::delegates(storage, *account)?;
                *expected.entry(delegate).or_default() += if bonded { staker.stake } else { U256::ZERO };
            }
            for (delegator, validator) in delegations {
                staking::refresh_votes(storage, *delegator, *validator)?;
                let delegate = staking::delegates(storage, *delegator)?;
                *expected.entry(delegate).or_default() +=
                    staking::delegation(storage, *delegator, *validator)?.stake;
            }
            let mut all = U256::ZERO;
            for account in accounts {
                let votes = staking::votes_of(storage, *account)?;
                all += votes;
                let stake = expected.get(account).copied().unwrap_or_default();
                if votes != stake {
                    return Ok(Some(format!("{account} has {votes} votes for {stake} wei at stake")));
                }
            }
            storage.block.number += 1;
            let now = U256::from(storage.block.number - 1);
            let total = staking::past_total_supply(storage, now)?;
            Ok((all != total).then(|| format!("delegates have {all} votes of {total}")))
        })?;
        if let Some(what) = wrong {
            self.violate(what);
        }
        Ok(())
    }

    /// Every number is in its range, the parts of a fee are a whole, and nothing moves but by a step an epoch.
    fn check_params(&mut self) -> Result<()> {
        let epoch = self.storage.block.timestamp / params::EPOCH_SECONDS;
        let mut values = Vec::with_capacity(PARAMS.len());
        for (index, spec) in PARAMS.iter().enumerate() {
            let value = params::get(&mut self.storage, params::param_name(spec.name))?;
            let in_range = value >= U256::from(spec.least) && value <= U256::from(spec.most);
            self.require(in_range, || format!("{} is {value}", spec.name));
            if let Some(before) = self.params.1.get(index).copied() {
                let most = if epoch == self.params.0 { 0 } else { spec.step };
                self.require(value.abs_diff(before) <= U256::from(most), || {
                    format!("{} went from {before} to {value}", spec.name)
                });
            }
            values.push(value);
        }
        let split = params::fee_split(&mut self.storage)?;
        self.require(split.check().is_ok(), || "the parts of a fee are no whole".into());
        self.params = (epoch, values);
        Ok(())
    }
}
