//! A scenario from a seed.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use openledger_chain::{
    ConsensusKey,
    simulate::{Alteration, Byzantine, Event, Link, Scenario},
};
use openledger_execution::{Election, Genesis, GenesisRole, GenesisStake, Governance, ValidatorSeat};
use openledger_types::{
    abi::{IOpen, IStaking, StakeRole},
    addresses::{BURN, OPEN, STAKING},
    amount::{ONE_OPEN, SUPPLY},
};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};
use std::{collections::BTreeMap, ops::RangeInclusive, time::Duration};

const CHAIN_ID: u64 = 20_260;
/// Stakes of validators, OPEN.
const LEAST_STAKE: u64 = 10_000;
const MOST_STAKE: u64 = 12_000;
/// What a validator has for fees, OPEN.
const FEES: u64 = 100;
/// Blocks that everybody has to finalise once all is healed.
const BLOCKS_AFTER: u64 = 10;
/// How long that may take. A view without its leader takes under three seconds, and up to a third of the leaders is
/// Byzantine.
const PATIENCE: Duration = Duration::from_secs(120);

fn milliseconds(rng: &mut StdRng, range: RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

/// The scenario of a seed.
pub(crate) fn scenario(seed: u64) -> Scenario {
    let mut rng = StdRng::seed_from_u64(seed);
    let validators = rng.random_range(4..=10);
    let changes = Changes::draw(&mut rng, validators);
    let members = validators + changes.joins + usize::from(changes.rotates);
    let byzantine = byzantine(&mut rng, validators, changes.leaves);
    let healed = milliseconds(&mut rng, 3_000..=8_000);
    let link = Link {
        latency: milliseconds(&mut rng, 2..=80),
        jitter: milliseconds(&mut rng, 0..=40),
        lost_permille: rng.random_range(0..=50),
    };
    let events = events(&mut rng, members, &byzantine, healed, link);
    let accounts: usize = rng.random_range(3..=6);
    let mut scenario = network(seed, validators, members - validators, accounts);
    scenario.genesis.election =
        Election { epoch_blocks: rng.random_range(6..=10), least_seats: rng.random_range(3..=4) };
    // What changes at the end of an epoch comes into force at the end of the next.
    scenario.blocks_after = 3 * scenario.genesis.election.epoch_blocks;
    scenario.transactions = transactions(&mut rng, members, &byzantine, accounts);
    for (account, calls) in changes.calls(&mut rng, validators, &byzantine, &scenario.keys) {
        let home = honest(&mut rng, members, &byzantine);
        // Somewhere among the others of that member, in the order of their nonces.
        let mut at = 0;
        for (nonce, (value, call)) in (0..).zip(calls) {
            at = rng.random_range(at..=scenario.transactions.len());
            let call = sign(&account, nonce, TxKind::Call(STAKING), value, call, 500_000);
            scenario.transactions.insert(at, (home, call));
            at += 1;
        }
    }
    scenario.pace = milliseconds(&mut rng, 20..=300);
    Scenario { byzantine, healed, link, events, ..scenario }
}

/// Validators without a fault on good links, and accounts without a transaction.
#[cfg(test)]
pub(crate) fn quiet(seed: u64, validators: usize, accounts: usize) -> Scenario {
    network(seed, validators, 0, accounts)
}

/// Who comes, goes and takes another key. Members that are no validators follow from the start.
struct Changes {
    leaves: usize,
    joins: usize,
    rotates: bool,
}

/// An account with the values and data of its calls to the staking module.
type Calls = (PrivateKeySigner, Vec<(U256, Bytes)>);

impl Changes {
    fn draw(rng: &mut StdRng, validators: usize) -> Self {
        Self {
            leaves: rng.random_range(0..=(validators - 4).min(2)),
            joins: rng.random_range(0..=1),
            rotates: rng.random(),
        }
    }

    /// What the accounts of validators and spare members do.
    fn calls(
        &self,
        rng: &mut StdRng,
        validators: usize,
        byzantine: &BTreeMap<usize, Byzantine>,
        keys: &[[u8; 32]],
    ) -> Vec<Calls> {
        let mut order: Vec<usize> =
            (0..validators).filter(|member| !byzantine.contains_key(member)).collect();
        order.shuffle(rng);
        let mut order = order.into_iter();
        let mut spare = validators..keys.len();
        let key = |member: usize, account: &PrivateKeySigner| {
            let key = ConsensusKey::from_bytes(keys[member]);
            (key.public_bytes(), key.prove(CHAIN_ID, account.address()))
        };
        let mut all = Vec::new();
        for member in order.by_ref().take(self.leaves) {
            let leave = if rng.random() {
                IStaking::startUnbondingCall {}.abi_encode()
            } else {
                IStaking::deregisterKeyCall {}.abi_encode()
            };
            all.push((validator(member), vec![(U256::ZERO, leave.into())]));
        }
        for member in spare.by_ref().take(self.joins) {
            let account = validator(member);
            let (key, proof) = key(member, &account);
            // IPv4, as the others have it; simulated links need none.
            let ip = FixedBytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
            let stake = IStaking::stakeCall { role: StakeRole::Validator }.abi_encode();
            let register = IStaking::registerKeyCall { key, proof, ip, port: 1 }.abi_encode();
            let amount = open(rng.random_range(LEAST_STAKE..=MOST_STAKE));
            all.push((account, vec![(amount, stake.into()), (U256::ZERO, register.into())]));
        }
        if let (Some(member), Some(other)) = (order.next().filter(|_| self.rotates), spare.next()) {
            let account = validator(member);
            let (key, proof) = key(other, &account);
            let rotate = IStaking::rotateKeyCall { key, proof }.abi_encode();
            all.push((account, vec![(U256::ZERO, rotate.into())]));
        }
        all
    }
}

/// Members of which the first are validators of the genesis, each with an account that has staked or can.
fn network(seed: u64, validators: usize, spare: usize, accounts: usize) -> Scenario {
    let keys: Vec<[u8; 32]> =
        (1..=validators + spare).map(|number| [u8::try_from(number).expect("few members"); 32]).collect();
    let seat = |(member, key): (usize, &[u8; 32])| ValidatorSeat {
        account: validator(member).address(),
        consensus_key: ConsensusKey::from_bytes(*key).public_hex(),
    };
    let role = GenesisRole::Validator;
    let stakes: Vec<_> = (0..validators)
        .map(|member| GenesisStake { account: validator(member).address(), role, amount: stake(member) })
        .collect();
    let staked = stakes.iter().fold(U256::ZERO, |sum, stake| sum + stake.amount);
    let purse = |member: usize| if member < validators { open(FEES) } else { open(FEES + MOST_STAKE) };
    let purses: BTreeMap<Address, U256> =
        (0..validators + spare).map(|member| (validator(member).address(), purse(member))).collect();
    let left = SUPPLY - staked - purses.values().fold(U256::ZERO, |sum, purse| sum + *purse);
    let share = left / U256::from(accounts);
    let mut alloc: BTreeMap<Address, U256> =
        (0..accounts).map(|number| (account(number).address(), share)).collect();
    *alloc.entry(account(0).address()).or_default() += left - share * U256::from(accounts);
    alloc.extend(purses);
    Scenario {
        seed,
        genesis: Genesis {
            chain_id: CHAIN_ID,
            timestamp: 0,
            gas_limit: 30_000_000,
            base_fee: 1_000_000_000,
            alloc,
            validators: (0..validators).zip(&keys).map(seat).collect(),
            election: Election { epoch_blocks: 10, least_seats: 3 },
            stakes,
            vesting: Vec::new(),
            params: BTreeMap::new(),
            governance: Governance::default(),
        },
        keys,
        byzantine: BTreeMap::new(),
        link: Link { latency: Duration::from_millis(10), jitter: Duration::from_millis(5), lost_permille: 0 },
        events: Vec::new(),
        healed: Duration::from_secs(2),
        blocks_after: BLOCKS_AFTER,
        patience: PATIENCE,
        transactions: Vec::new(),
        pace: Duration::from_millis(100),
        watched: vec![BURN],
        minted: None,
    }
}

/// As many as the network bears when the others have left.
fn byzantine(rng: &mut StdRng, validators: usize, leaves: usize) -> BTreeMap<usize, Byzantine> {
    let most = (validators - leaves - 1) / 3;
    let mut order: Vec<usize> = (0..validators).collect();
    order.shuffle(rng);
    order.truncate(rng.random_range(0..=most));
    order
        .into_iter()
        .map(|member| {
            let kind = match rng.random_range(0..6) {
                0 => Byzantine::Conflicting,
                1 => Byzantine::Nullifying,
                2 => Byzantine::Silent,
                3 => Byzantine::Twins,
                _ => Byzantine::Altering(Alteration::ALL[rng.random_range(0..Alteration::ALL.len())]),
            };
            (member, kind)
        })
        .collect()
}

fn events(
    rng: &mut StdRng,
    members: usize,
    byzantine: &BTreeMap<usize, Byzantine>,
    healed: Duration,
    link: Link,
) -> Vec<(Duration, Event)> {
    let end = u64::try_from(healed.as_millis()).expect("some seconds");
    let mut events = Vec::new();
    let pairs = |of: &[usize]| -> Vec<(usize, usize)> {
        of.iter()
            .flat_map(|from| (0..members).map(|to| (*from, to)))
            .filter(|(from, to)| from != to)
            .collect()
    };
    let mut order: Vec<usize> = (0..members).collect();
    for _ in 0..rng.random_range(0..=2) {
        let (at, until) = (milliseconds(rng, 500..=end - 1_000), milliseconds(rng, 500..=end));
        order.shuffle(rng);
        let part = &order[..rng.random_range(1..members)];
        let across = pairs(part).into_iter().filter(|(_, to)| !part.contains(to));
        for (from, to) in across {
            for (from, to) in [(from, to), (to, from)] {
                events.push((at, Event::Link { from, to, link: Link::CUT }));
                events.push((until.max(at), Event::Link { from, to, link }));
            }
        }
    }
    if rng.random_bool(0.5) {
        let at = milliseconds(rng, 0..=end - 1_000);
        let slow = Link {
            latency: milliseconds(rng, 50..=600),
            jitter: milliseconds(rng, 0..=200),
            lost_permille: rng.random_range(0..=400),
        };
        order.shuffle(rng);
        let slowed = &order[..rng.random_range(1..=members)];
        events.extend(pairs(slowed).into_iter().map(|(from, to)| (at, Event::Link { from, to, link: slow })));
    }
    let honest: Vec<usize> = (0..members).filter(|member| !byzantine.contains_key(member)).collect();
    let mut crash = |rng: &mut StdRng, member: usize, at: Duration| {
        let until = (at + milliseconds(rng, 100..=4_000)).min(healed);
        events.push((at, Event::Crash(member)));
        events.push((until, Event::Restart(member)));
    };
    if rng.random_ratio(1, 8) {
        let at = milliseconds(rng, 500..=end - 500);
        for member in &honest {
            crash(rng, *member, at);
        }
    } else {
        let mut order = honest;
        order.shuffle(rng);
        order.truncate(rng.random_range(0..=4));
        for member in order {
            let at = milliseconds(rng, 200..=end - 500);
            crash(rng, member, at);
        }
    }
    events.push((healed, Event::Heal));
    // Stable: what is drawn first happens first at one moment.
    events.sort_by_key(|(at, _)| *at);
    events
}

/// The account of a member that is a validator or becomes one.
pub(crate) fn validator(member: usize) -> PrivateKeySigner {
    account(100 + member)
}

/// What a validator of the genesis has staked.
pub(crate) fn stake(member: usize) -> U256 {
    open(LEAST_STAKE + 100 * member as u64)
}

fn open(amount: u64) -> U256 {
    U256::from(amount) * ONE_OPEN
}

fn honest(rng: &mut StdRng, members: usize, byzantine: &BTreeMap<usize, Byzantine>) -> usize {
    let honest: Vec<usize> = (0..members).filter(|member| !byzantine.contains_key(member)).collect();
    honest[rng.random_range(0..honest.len())]
}

fn account(number: usize) -> PrivateKeySigner {
    let byte = u8::try_from(number + 1).expect("few accounts");
    PrivateKeySigner::from_bytes(&B256::repeat_byte(byte)).expect("a small number is a valid key")
}

/// Transactions of all accounts, each account's to one honest member.
fn transactions(
    rng: &mut StdRng,
    members: usize,
    byzantine: &BTreeMap<usize, Byzantine>,
    accounts: usize,
) -> Vec<(usize, TxEnvelope)> {
    let mut all = Vec::new();
    for from in 0..accounts {
        let home = honest(rng, members, byzantine);
        for nonce in 0..rng.random_range(4..=12) {
            all.push((home, transaction(rng, from, nonce, accounts)));
        }
    }
    all
}

/// Transfers of the first accounts to nobody in particular, in turn to these members.
#[cfg(test)]
pub(crate) fn transfers(accounts: usize, each: u64, homes: &[usize]) -> Vec<(usize, TxEnvelope)> {
    let from = |number: usize| (0..each).map(move |nonce| (number, nonce));
    (0..accounts)
        .flat_map(from)
        .map(|(number, nonce)| {
            let to = TxKind::Call(Address::repeat_byte(0x55));
            (homes[number % homes.len()], sign(&account(number), nonce, to, U256::ONE, Bytes::new(), 50_000))
        })
        .collect()
}

fn transaction(rng: &mut StdRng, from: usize, nonce: u64, accounts: usize) -> TxEnvelope {
    let other = account(rng.random_range(0..accounts)).address();
    let value = U256::from(rng.random_range(1..=1_000_000_000_u64));
    let (to, value, input, gas_limit) = match rng.random_range(0..5) {
        0 => (TxKind::Create, U256::ZERO, contract(rng), 300_000),
        1 => {
            let call = IOpen::transferCall { to: other, value }.abi_encode();
            (TxKind::Call(OPEN), U256::ZERO, call.into(), 300_000)
        }
        2 => {
            let call = IStaking::delegateCall { delegatee: other }.abi_encode();
            (TxKind::Call(STAKING), U256::ZERO, call.into(), 300_000)
        }
        // To an account that need not be there yet.
        3 => (TxKind::Call(Address::from(rng.random::<[u8; 20]>())), value, Bytes::new(), 50_000),
        _ => (TxKind::Call(other), value, Bytes::new(), 21_000),
    };
    sign(&account(from), nonce, to, value, input, gas_limit)
}

/// Init code that stores a word and leaves it as the code of the contract.
fn contract(rng: &mut StdRng) -> Bytes {
    let word: [u8; 32] = rng.random();
    // PUSH32 word, DUP1, PUSH0, SSTORE, PUSH0, MSTORE, PUSH1 31, PUSH1 1, RETURN: all but the first byte of the word, so
    // that the code does not begin with 0xef but by chance.
    let code = [&[0x7f][..], &word, &[0x80, 0x5f, 0x55, 0x5f, 0x52, 0x60, 31, 0x60, 1, 0xf3]].concat();
    code.into()
}

/// A signed transaction that pays well.
fn sign(
    from: &PrivateKeySigner,
    nonce: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
    gas_limit: u64,
) -> TxEnvelope {
    let transaction = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value,
        input,
        ..TxEip1559::default()
    };
    let signature = from.sign_hash_sync(&transaction.signature_hash()).expect("a local key signs");
    transaction.into_signed(signature).into()
}
