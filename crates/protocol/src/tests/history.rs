//! Properties that hold over any history of calls: value is conserved, no payout is made twice, no payer is charged
//! above what they signed.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolStruct;
use openledger_types::abi::{
    ChallengeStatus, Charge, IEscrow, IOpen, IParams, ISettlement, IStaking, StakeRole, Vesting,
};
use openledger_types::addresses::{BURN, ESCROW, OPEN, PARAMS as MODULE, SETTLEMENT, STAKING};
use openledger_types::amount::SUPPLY;
use openledger_types::authorization::{CancelAuthorization, TransferWithAuthorization, open_domain};
use openledger_types::batch::Payout;
use proptest::prelude::*;

use super::{World, account, batch, claim_call, hash, open};
use crate::params::{PARAMS, ParamSpec};
use crate::{Storage, open as token, params, settlement, staking};

/// One call, or time passing. Accounts are 1 to 8; keys 1 to 6; amounts in thousandths of an OPEN with a few odd wei;
/// `back` says how many batches before the last.
#[derive(Debug, Clone)]
enum Step {
    Advance(u64),
    Later(u64),
    Transfer {
        from: u8,
        to: u8,
        amount: U256,
    },
    Burn {
        from: u8,
        amount: U256,
    },
    /// A transfer that the holder of a key has signed, or its cancellation.
    Authorization {
        nonce: u8,
        to: u8,
        amount: U256,
        cancel: bool,
    },
    Release,
    Deposit {
        from: u8,
        payer: u8,
        amount: U256,
    },
    RequestWithdrawal {
        payer: u8,
        amount: U256,
    },
    Withdraw {
        payer: u8,
    },
    Authorise {
        payer: u8,
        key: u8,
        operator: u8,
        cap: U256,
    },
    Revoke {
        payer: u8,
        key: u8,
    },
    Stake {
        from: u8,
        role: StakeRole,
        amount: U256,
    },
    StartUnbonding {
        from: u8,
    },
    Unstake {
        from: u8,
    },
    Delegate {
        from: u8,
        validator: u8,
        amount: U256,
    },
    Undelegate {
        from: u8,
        validator: u8,
        amount: U256,
    },
    WithdrawDelegation {
        from: u8,
        validator: u8,
    },
    ClaimDelegation {
        from: u8,
        validator: u8,
    },
    Commission {
        from: u8,
        ppm: u32,
    },
    Slash {
        account: u8,
        ppm: u32,
    },
    Unjail {
        from: u8,
    },
    NameDelegate {
        from: u8,
        to: u8,
    },
    RefreshVotes {
        from: u8,
        validator: u8,
    },
    ClaimReward {
        from: u8,
    },
    Post {
        operator: u8,
        epoch: u64,
        charges: Vec<(u8, U256)>,
        greed: U256,
    },
    Commit {
        verifier: u8,
        back: usize,
        agrees: bool,
    },
    Reveal {
        verifier: u8,
        back: usize,
        honest: bool,
    },
    /// Both verifiers, one after the other, as far as they may.
    Verify {
        back: usize,
        agrees: bool,
    },
    Finalise {
        back: usize,
    },
    Challenge {
        from: u8,
        back: usize,
    },
    /// The move that is due in the challenge this many before the last.
    Move {
        back: u64,
        agrees: bool,
    },
    Resolve {
        back: u64,
    },
    Punish {
        back: usize,
        verifier: u8,
    },
    ClaimAndStake {
        back: usize,
        line: usize,
    },
    /// Two governed numbers at once, by their places in the table.
    Schedule {
        names: [usize; 2],
        values: [U256; 2],
    },
    Claim {
        back: usize,
        line: usize,
    },
}

fn amount() -> impl Strategy<Value = U256> {
    (0_u64..40_000, 0_u64..7).prop_map(|(milli, wei)| open(milli) / U256::from(1_000) + U256::from(wei))
}

fn who() -> impl Strategy<Value = u8> {
    1_u8..=8
}

/// A governed number, and a value about its range.
fn param() -> impl Strategy<Value = (usize, U256)> {
    (0..PARAMS.len(), 0_u32..=110).prop_map(|(index, percent)| {
        let ParamSpec { least, most, .. } = PARAMS[index];
        (index, U256::from(least) + U256::from(most - least) * U256::from(percent) / U256::from(100))
    })
}

/// An account that is mostly a validator.
fn validator() -> impl Strategy<Value = u8> {
    prop_oneof![5 => Just(5_u8), 1 => who()]
}

/// A batch, mostly a recent one: how many before the last.
fn back() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0_usize), 2 => Just(1_usize), 1 => 0_usize..6]
}

fn step() -> impl Strategy<Value = Step> {
    let key = 1_u8..=6;
    let role = prop_oneof![Just(StakeRole::Validator), Just(StakeRole::Operator), Just(StakeRole::Verifier)];
    let verifier = || prop_oneof![8 => prop::sample::select(vec![4_u8, 5, 8]), 1 => who()];
    let charges = prop::collection::vec((1_u8..=3, amount().prop_map(|wei| wei / U256::from(9))), 1..3);
    prop_oneof![
        5 => (1_u64..3).prop_map(Step::Advance),
        1 => (1_u64..70).prop_map(Step::Later),
        1 => (who(), who(), amount()).prop_map(|(from, to, amount)| Step::Transfer { from, to, amount }),
        1 => (who(), amount()).prop_map(|(from, amount)| Step::Burn { from, amount }),
        1 => (1_u8..4, who(), amount(), prop::bool::weighted(0.2))
            .prop_map(|(nonce, to, amount, cancel)| Step::Authorization { nonce, to, amount, cancel }),
        1 => Just(Step::Release),
        2 => (who(), who(), amount()).prop_map(|(from, payer, amount)| Step::Deposit { from, payer, amount }),
        2 => (who(), amount()).prop_map(|(payer, amount)| Step::RequestWithdrawal { payer, amount }),
        2 => who().prop_map(|payer| Step::Withdraw { payer }),
        2 => (who(), key.clone(), 3_u8..=4, amount())
            .prop_map(|(payer, key, operator, cap)| Step::Authorise { payer, key, operator, cap }),
        1 => (who(), key).prop_map(|(payer, key)| Step::Revoke { payer, key }),
        2 => (who(), role, 0_u64..30_000)
            .prop_map(|(from, role, amount)| Step::Stake { from, role, amount: open(amount) }),
        1 => (1_u8..=50).prop_map(|from| Step::StartUnbonding { from }),
        1 => who().prop_map(|from| Step::Unstake { from }),
        4 => (who(), validator(), amount())
            .prop_map(|(from, validator, amount)| Step::Delegate { from, validator, amount }),
        2 => (who(), validator(), amount())
            .prop_map(|(from, validator, amount)| Step::Undelegate { from, validator, amount }),
        1 => (who(), validator()).prop_map(|(from, validator)| Step::WithdrawDelegation { from, validator }),
        1 => (who(), validator()).prop_map(|(from, validator)| Step::ClaimDelegation { from, validator }),
        1 => (validator(), 0_u32..600_000).prop_map(|(from, ppm)| Step::Commission { from, ppm }),
        1 => (who(), 0_u32..=500_000).prop_map(|(account, ppm)| Step::Slash { account, ppm }),
        1 => who().prop_map(|from| Step::Unjail { from }),
        1 => (who(), who()).prop_map(|(from, to)| Step::NameDelegate { from, to }),
        1 => (who(), validator()).prop_map(|(from, validator)| Step::RefreshVotes { from, validator }),
        1 => prop_oneof![Just(5), who()].prop_map(|from| Step::ClaimReward { from }),
        4 => (3_u8..=3, 0_u64..1_000, charges, prop_oneof![3 => Just(U256::ZERO), 1 => amount()])
            .prop_map(|(operator, epoch, charges, greed)| Step::Post { operator, epoch, charges, greed }),
        12 => (verifier(), back(), prop::bool::weighted(0.7))
            .prop_map(|(verifier, back, agrees)| Step::Commit { verifier, back, agrees }),
        14 => (verifier(), back(), prop::bool::weighted(0.95))
            .prop_map(|(verifier, back, honest)| Step::Reveal { verifier, back, honest }),
        5 => (back(), prop::bool::weighted(0.7)).prop_map(|(back, agrees)| Step::Verify { back, agrees }),
        8 => back().prop_map(|back| Step::Finalise { back }),
        14 => (back(), 0_usize..5).prop_map(|(back, line)| Step::Claim { back, line }),
        3 => (who(), back()).prop_map(|(from, back)| Step::Challenge { from, back }),
        8 => (0_u64..2, any::<bool>()).prop_map(|(back, agrees)| Step::Move { back, agrees }),
        3 => (0_u64..3).prop_map(|back| Step::Resolve { back }),
        2 => (back(), who()).prop_map(|(back, verifier)| Step::Punish { back, verifier }),
        2 => (back(), 3_usize..5).prop_map(|(back, line)| Step::ClaimAndStake { back, line }),
        2 => (param(), param()).prop_map(|(a, b)| Step::Schedule { names: [a.0, b.0], values: [a.1, b.1] }),
        1 => Just(Step::Later(86_400)),
    ]
}

/// A world with what the history has to be checked against.
struct History {
    world: World,
    payouts: BTreeMap<U256, Vec<Payout>>,
    claimed: BTreeSet<(U256, usize)>,
    /// What a verifier committed to.
    committed: BTreeMap<(U256, u8), bool>,
    /// Nonces of authorisations that were used or cancelled.
    consumed: BTreeSet<u8>,
}

/// A holder who signs.
fn signer() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&hash(0x42)).unwrap()
}

impl History {
    /// A market in which half of the roles are taken, so that most histories get somewhere.
    fn new() -> Self {
        let mut world = World::with_market();
        world.pay(8, STAKING, open(10_000), IStaking::stakeCall { role: StakeRole::Verifier });
        for payer in [6, 7] {
            world.pay(payer, ESCROW, open(200), IEscrow::depositCall {});
            world.authorise(payer, hash(payer - 5), 3, open(100));
        }
        params::init_governor(&mut world.storage, account(9)).unwrap();
        world.storage.transfer(account(99), signer().address(), open(100)).unwrap();
        world.vest(&Vesting {
            beneficiary: account(8),
            amount: open(1_000) + U256::from(1),
            released: U256::ZERO,
            start: 1_000_000,
            cliff: 1_000_020,
            end: 1_000_301,
        });
        world.advance(1);
        Self {
            world,
            payouts: BTreeMap::new(),
            claimed: BTreeSet::new(),
            committed: BTreeMap::new(),
            consumed: BTreeSet::new(),
        }
    }

    /// Makes the call; returns whether it succeeded.
    fn take(&mut self, step: &Step) -> bool {
        let zero = U256::ZERO;
        let world = &mut self.world;
        match step.clone() {
            Step::Advance(blocks) => {
                world.advance(blocks);
                true
            }
            Step::Later(seconds) => {
                world.later(seconds);
                true
            }
            Step::Transfer { from, to, amount } => world
                .try_pay(from, OPEN, zero, IOpen::transferCall { to: account(to), value: amount })
                .is_ok(),
            Step::Burn { from, amount } => {
                world.try_pay(from, OPEN, zero, IOpen::burnCall { value: amount }).is_ok()
            }
            Step::Authorization { nonce, to, amount, cancel } => {
                let done = self.authorization(nonce, to, amount, cancel);
                assert!(!done || self.consumed.insert(nonce), "authorisation {nonce} is used twice");
                done
            }
            Step::Release => world.try_pay(9, OPEN, zero, IOpen::releaseCall { vesting: U256::ONE }).is_ok(),
            Step::Deposit { from, payer, amount } => {
                world.try_pay(from, ESCROW, amount, IEscrow::depositForCall { payer: account(payer) }).is_ok()
            }
            Step::RequestWithdrawal { payer, amount } => {
                world.try_pay(payer, ESCROW, zero, IEscrow::requestWithdrawalCall { amount }).is_ok()
            }
            Step::Withdraw { payer } => world.try_pay(payer, ESCROW, zero, IEscrow::withdrawCall {}).is_ok(),
            Step::Authorise { payer, key, operator, cap } => {
                let expires = world.storage.block.timestamp + 200;
                let operator = account(operator);
                let call = IEscrow::authoriseCall { key: hash(key), operator, cap, expiresAt: expires };
                world.try_pay(payer, ESCROW, zero, call).is_ok()
            }
            Step::Revoke { payer, key } => {
                world.try_pay(payer, ESCROW, zero, IEscrow::revokeCall { key: hash(key) }).is_ok()
            }
            Step::Stake { from, role, amount } => {
                world.try_pay(from, STAKING, amount, IStaking::stakeCall { role }).is_ok()
            }
            Step::StartUnbonding { from } => {
                world.try_pay(from, STAKING, zero, IStaking::startUnbondingCall {}).is_ok()
            }
            Step::Unstake { from } => world.try_pay(from, STAKING, zero, IStaking::unstakeCall {}).is_ok(),
            Step::Delegate { from, validator, amount } => {
                let call = IStaking::delegateStakeCall { validator: account(validator) };
                world.try_pay(from, STAKING, amount, call).is_ok()
            }
            Step::Undelegate { from, validator, amount } => {
                let call = IStaking::undelegateStakeCall { validator: account(validator), amount };
                world.try_pay(from, STAKING, zero, call).is_ok()
            }
            Step::WithdrawDelegation { from, validator } => {
                let call = IStaking::withdrawDelegationCall { validator: account(validator) };
                world.try_pay(from, STAKING, zero, call).is_ok()
            }
            Step::ClaimDelegation { from, validator } => {
                let call = IStaking::claimDelegationRewardCall { validator: account(validator) };
                world.try_pay(from, STAKING, zero, call).is_ok()
            }
            Step::Commission { from, ppm } => {
                world.try_pay(from, STAKING, zero, IStaking::setCommissionCall { ppm }).is_ok()
            }
            Step::Slash { account: n, ppm } => {
                let amount = staking::slash(&mut world.storage, account(n), ppm).unwrap();
                world.storage.transfer(STAKING, BURN, amount).unwrap();
                true
            }
            Step::Unjail { from } => world.try_pay(from, STAKING, zero, IStaking::unjailCall {}).is_ok(),
            Step::NameDelegate { from, to } => {
                let call = IStaking::delegateCall { delegatee: account(to) };
                world.try_pay(from, STAKING, zero, call).is_ok()
            }
            Step::RefreshVotes { from, validator } => {
                let (delegator, validator) = (account(from), account(validator));
                let call = IStaking::refreshVotesCall { delegator, validator };
                world.try_pay(9, STAKING, zero, call).is_ok()
            }
            Step::ClaimReward { from } => {
                world.try_pay(from, STAKING, zero, IStaking::claimRewardCall {}).is_ok()
            }
            Step::Post { operator, epoch, charges, greed } => self.post(operator, epoch, &charges, greed),
            Step::Commit { verifier, back, agrees } => {
                let Some(id) = self.batch(back) else { return false };
                let call = self.world.verdict_call(verifier, id, agrees);
                let done = self.world.try_pay(verifier, SETTLEMENT, zero, call).is_ok();
                if done {
                    self.committed.insert((id, verifier), agrees);
                }
                done
            }
            Step::Reveal { verifier, back, honest } => {
                let Some(id) = self.batch(back) else { return false };
                let agrees = self.committed.get(&(id, verifier)).copied().unwrap_or(true);
                let digest = self.world.digest(id, agrees == honest);
                let call = ISettlement::revealVerdictCall { batch: id, digest, salt: hash(verifier) };
                self.world.try_pay(verifier, SETTLEMENT, zero, call).is_ok()
            }
            Step::Verify { back, agrees } => {
                self.take(&Step::Commit { verifier: 4, back, agrees });
                self.take(&Step::Commit { verifier: 8, back, agrees });
                self.world.advance(1);
                self.take(&Step::Reveal { verifier: 4, back, honest: true });
                self.take(&Step::Reveal { verifier: 8, back, honest: true });
                true
            }
            Step::Finalise { back } => {
                let Some(id) = self.batch(back) else { return false };
                let call = ISettlement::finaliseCall { batch: id };
                self.world.try_pay(9, SETTLEMENT, zero, call).is_ok()
            }
            Step::Claim { back, line } => self.batch(back).is_some_and(|id| self.claim(id, line)),
            Step::Challenge { from, back } => {
                let Some(batch) = self.batch(back) else { return false };
                let call = ISettlement::challengeCall { batch };
                self.world.try_pay(from, SETTLEMENT, open(100), call).is_ok()
            }
            Step::Move { back, agrees } => self.challenge(back).is_some_and(|id| self.make_move(id, agrees)),
            Step::Resolve { back } => {
                let Some(challenge) = self.challenge(back) else { return false };
                self.world.try_pay(9, SETTLEMENT, zero, ISettlement::resolveCall { challenge }).is_ok()
            }
            Step::Punish { back, verifier } => {
                let Some(batch) = self.batch(back) else { return false };
                let call = ISettlement::punishCall { batch, verifier: account(verifier) };
                self.world.try_pay(9, SETTLEMENT, zero, call).is_ok()
            }
            Step::Schedule { names, values } => {
                let names = names.map(|index| params::param_name(PARAMS[index].name)).to_vec();
                let call = IParams::scheduleCall { names, values: values.to_vec() };
                let done = world.try_pay(9, MODULE, zero, call).is_ok();
                self.check_params();
                done
            }
            Step::ClaimAndStake { back, line } => {
                let Some(id) = self.batch(back) else { return false };
                let claim = claim_call(id, &self.payouts[&id], line);
                let owner = (1..=8).find(|n| account(*n) == claim.account).unwrap();
                let ISettlement::claimCall { batch, index, role, amount, proof, .. } = claim;
                let validator = account(5);
                let call = ISettlement::claimAndStakeCall { batch, index, role, amount, proof, validator };
                let done = self.world.try_pay(owner, SETTLEMENT, zero, call).is_ok();
                assert!(!done || self.claimed.insert((id, line)), "line {line} of {id} is paid twice");
                done
            }
        }
    }

    fn authorization(&mut self, nonce: u8, to: u8, value: U256, cancel: bool) -> bool {
        let (signer, nonce, zero) = (signer(), hash(nonce), U256::ZERO);
        let (from, to) = (signer.address(), account(to));
        let sign = |digest| signer.sign_hash_sync(&digest).unwrap().as_bytes().to_vec().into();
        if cancel {
            let message = CancelAuthorization { authorizer: from, nonce };
            let signature = sign(message.eip712_signing_hash(&open_domain(7)));
            let call = IOpen::cancelAuthorization_1Call { authorizer: from, nonce, signature };
            return self.world.try_pay(9, OPEN, zero, call).is_ok();
        }
        let (after, before) = (zero, U256::from(1_000_200));
        let message =
            TransferWithAuthorization { from, to, value, validAfter: after, validBefore: before, nonce };
        let signature = sign(message.eip712_signing_hash(&open_domain(7)));
        let call = IOpen::transferWithAuthorization_1Call {
            from,
            to,
            value,
            validAfter: after,
            validBefore: before,
            nonce,
            signature,
        };
        self.world.try_pay(9, OPEN, zero, call).is_ok()
    }

    /// Every number is within its range and the parts of a fee make a whole.
    fn check_params(&mut self) {
        let all = self.world.view(MODULE, IParams::allCall {});
        for (index, value) in all.values.iter().enumerate() {
            assert!(*value >= all.least[index] && *value <= all.most[index], "{}", PARAMS[index].name);
        }
        assert_eq!(params::fee_split(&mut self.world.storage).unwrap().check(), Ok(()));
    }

    /// The challenge this many before the last.
    fn challenge(&mut self, back: u64) -> Option<U256> {
        let count = self.world.view(SETTLEMENT, ISettlement::challengeCountCall {});
        count.checked_sub(U256::from(back)).filter(|id| !id.is_zero())
    }

    fn make_move(&mut self, challenge: U256, agrees: bool) -> bool {
        let read = self.world.view(SETTLEMENT, ISettlement::challengeOfCall { id: challenge });
        let zero = U256::ZERO;
        match read.status {
            ChallengeStatus::Bisecting => {
                let call = ISettlement::bisectCall { challenge, state: hash(1) };
                self.world.try_pay(3, SETTLEMENT, zero, call).is_ok()
            }
            ChallengeStatus::Choosing => {
                let from = (1..=8).find(|n| account(*n) == read.challenger).unwrap();
                let call = ISettlement::chooseCall { challenge, agrees };
                self.world.try_pay(from, SETTLEMENT, zero, call).is_ok()
            }
            ChallengeStatus::Judging => {
                let now = self.world.storage.block.number;
                let registered = self.world.view(STAKING, IStaking::stakerCall { account: account(4) });
                let registered = registered.registeredAt;
                let salt = hash(4);
                if now > read.deadline {
                    let call = ISettlement::revealStepCall { challenge, upheld: agrees, salt };
                    return self.world.try_pay(4, SETTLEMENT, zero, call).is_ok();
                }
                let commitment = settlement::step_commitment(account(4), registered, challenge, agrees, salt);
                let call = ISettlement::commitStepCall { challenge, commitment };
                self.world.try_pay(4, SETTLEMENT, zero, call).is_ok()
            }
            _ => false,
        }
    }

    /// The batch this many before the last.
    fn batch(&self, back: usize) -> Option<U256> {
        self.payouts.keys().rev().nth(back).copied()
    }

    /// Posts these charges; with greed, under a tree that pays the first contributor that much more.
    fn post(&mut self, operator: u8, epoch: u64, charges: &[(u8, U256)], greed: U256) -> bool {
        let fees = charges.iter().fold(U256::ZERO, |sum, (_, amount)| sum + *amount);
        let (good, mut payouts) = batch(epoch, fees);
        payouts[0].amount += greed;
        let mut post = super::post_of(epoch, fees, good.totals, &payouts);
        post.charges =
            charges.iter().map(|(key, amount)| Charge { key: hash(*key), amount: *amount }).collect();
        let call = ISettlement::postCall { batch: post };
        match self.world.try_pay(operator, SETTLEMENT, U256::ZERO, call) {
            Ok(id) => {
                self.payouts.insert(id, payouts);
                true
            }
            Err(_) => false,
        }
    }

    fn claim(&mut self, id: U256, line: usize) -> bool {
        let Some(payouts) = self.payouts.get(&id) else { return false };
        let call = claim_call(id, payouts, line);
        let before = self.world.balance(call.account);
        if self.world.try_pay(9, SETTLEMENT, U256::ZERO, call.clone()).is_err() {
            return false;
        }
        assert_eq!(self.world.balance(call.account) - before, call.amount);
        assert!(self.claimed.insert((id, line)), "line {line} of batch {id} is paid twice");
        true
    }

    fn check(&mut self) {
        let world = &mut self.world;
        assert_eq!(world.storage.total_balance(), SUPPLY, "value is conserved");
        let locked = token::locked(&mut world.storage).unwrap();
        assert_eq!(world.balance(OPEN), locked, "OPEN holds what no schedule has released");

        let mut owed = U256::ZERO;
        for n in 1..=8 {
            let payer = account(n);
            owed += world.view(ESCROW, IEscrow::balanceOfCall { payer });
            owed += world.view(ESCROW, IEscrow::withdrawalCall { payer }).amount;
        }
        assert_eq!(world.balance(ESCROW), owed, "escrow holds deposits and set-aside withdrawals");

        let mut owed = U256::ZERO;
        for id in self.payouts.keys() {
            owed += settlement::held(&mut world.storage, *id).unwrap();
            owed += settlement::bond_held(&mut world.storage, *id).unwrap();
        }
        assert_eq!(world.balance(SETTLEMENT), owed, "settlement holds what batches still owe and bonds");

        let accounts: Vec<Address> = (1..=8).map(account).collect();
        let scaled = staking::scaled_debts(&mut world.storage.clone(), &accounts).unwrap();
        assert_eq!(world.balance(STAKING) * open(1), scaled, "staking holds stakes and rewards");
        let mut votes = U256::ZERO;
        for account in accounts {
            votes += world.view(STAKING, IStaking::getVotesCall { account });
        }
        world.advance(1);
        let now = U256::from(world.storage.block.number - 1);
        let total = world.view(STAKING, IStaking::getPastTotalSupplyCall { timepoint: now });
        world.storage.block.number -= 1;
        world.storage.block.timestamp -= 1;
        assert_eq!(votes, total, "the votes of all delegates are all votes");

        for n in 1..=7 {
            let key = world.view(ESCROW, IEscrow::authorisationCall { key: hash(n) });
            assert!(key.spent <= key.cap, "key {n} is charged above its cap");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn books_balance_after_every_step_of_any_history(steps in prop::collection::vec(step(), 60..120)) {
        let mut history = History::new();
        history.check();
        for step in &steps {
            let before = history.world.storage.clone();
            if !history.take(step) {
                assert_eq!(before, history.world.storage, "what is refused changes nothing: {step:?}");
            }
            history.check();
        }
    }
}

/// The random histories are worth something only if payments, refunds and frauds can be told apart.
#[test]
fn a_history_that_settles_refuses_and_pays_twice_in_vain() {
    let mut history = History::new();
    let post =
        |epoch, greed| Step::Post { operator: 3, epoch, charges: vec![(1, open(5)), (2, open(7))], greed };
    let verdicts = |agrees| {
        [
            Step::Commit { verifier: 4, back: 0, agrees },
            Step::Commit { verifier: 8, back: 0, agrees },
            Step::Advance(1),
            Step::Reveal { verifier: 4, back: 0, honest: true },
            Step::Reveal { verifier: 8, back: 0, honest: true },
            Step::Finalise { back: 0 },
        ]
    };
    let mut steps = vec![post(0, U256::ZERO)];
    steps.extend(verdicts(true));
    steps.extend([Step::Claim { back: 0, line: 0 }, Step::Claim { back: 0, line: 3 }]);
    steps.push(post(1, U256::ZERO));
    steps.extend(verdicts(false));
    steps.extend([post(2, open(8))]);
    steps.extend(verdicts(true));
    steps.extend([Step::ClaimReward { from: 5 }, Step::Claim { back: 0, line: 1 }]);
    for step in &steps {
        assert!(history.take(step), "{step:?}");
        history.check();
    }
    // Claimed already; refused; a line that pays more than its batch has left.
    for back in [2, 1, 0] {
        let refused = Step::Claim { back, line: 0 };
        assert!(!history.take(&refused), "{refused:?}");
        history.check();
    }
}
