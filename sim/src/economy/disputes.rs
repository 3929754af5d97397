//! Challenges: who wins, who pays, and whether the innocent suffer.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_sol_types::SolValue;
use openledger_protocol::settlement::step_commitment;
use openledger_types::abi::{BatchStatus, ChallengeStatus, ISettlement, IStaking, StakeRole};
use openledger_types::addresses::{SETTLEMENT, STAKING};
use openledger_types::batch::{Payout, PayoutKind, verdict_digest};
use rand::Rng;

use super::market::{Cluster, Market, Override, Posted, Settled, WORK, account, gain, open};
use super::nature::{Nature, split};
use super::plan::{Outcome, Play, largest, mean};

/// Judges who err do so this often.
const ERROR_RATE: f64 = 0.02;

/// An epoch of one honest payer, settled.
pub(crate) fn epoch_of(
    market: &mut Market,
    play: &Play,
    operator: Address,
    key: B256,
    answers: usize,
) -> Settled {
    let mut rng = play.rng("disputes");
    let nature = Nature::new(&mut rng, 6, 2);
    let clusters: Vec<Cluster> =
        (0..6).map(|number| Cluster { owner: account("contributor", number), length: 1_000 }).collect();
    let asked: Vec<_> = (0..answers).map(|_| nature.ask(&mut rng, key, open(2))).collect();
    let (answers, influence) = split(&asked);
    market.settle(operator, &answers, &clusters, &influence)
}

/// The payouts of an operator who keeps the contributors' part.
pub(crate) fn stolen(settled: &Settled, accomplice: Address) -> Vec<Payout> {
    let mut payouts = settled.settlement.payouts.clone();
    for payout in &mut payouts {
        if matches!(payout.role, PayoutKind::Contributor | PayoutKind::Base) {
            payout.account = accomplice;
        }
    }
    payouts
}

/// A judge, whether it says that the step is right, and what it met when it executed it.
type Judge = (Address, bool, B256);

/// Disputes a batch down to one step, which these judges decide by executing it.
pub(crate) fn dispute(
    market: &mut Market,
    posted: &Posted,
    operator: Address,
    challenger: Address,
    judges: &[(Address, bool)],
) -> U256 {
    let judges: Vec<Judge> = judges.iter().map(|(judge, upheld)| (*judge, *upheld, WORK)).collect();
    dispute_with(market, posted, operator, challenger, &judges)
}

/// Disputes a batch down to one step, which these judges decide; returns the challenge. The lie, if there is one, is in the last
/// step; a griefer denies every step.
fn dispute_with(
    market: &mut Market,
    posted: &Posted,
    operator: Address,
    challenger: Address,
    judges: &[Judge],
) -> U256 {
    let bond = market.param("challenge_bond");
    market.fund(challenger, bond);
    let batch = posted.id;
    let challenge = market.pay(challenger, SETTLEMENT, bond, ISettlement::challengeCall { batch });
    let lies = posted.claimed != posted.truth;
    loop {
        let state = market.view(SETTLEMENT, ISettlement::challengeOfCall { id: challenge });
        if state.status != ChallengeStatus::Bisecting {
            break;
        }
        let middle = keccak256((state.low, state.high).abi_encode());
        market.send(operator, SETTLEMENT, ISettlement::bisectCall { challenge, state: middle });
        market.send(challenger, SETTLEMENT, ISettlement::chooseCall { challenge, agrees: lies });
        market.pass_blocks(1);
    }
    for (judge, upheld, trace) in judges {
        let registered = market.view(STAKING, IStaking::stakerCall { account: *judge }).registeredAt;
        let commitment = step_commitment(*judge, registered, challenge, *upheld, *trace, B256::ZERO);
        market.send(*judge, SETTLEMENT, ISettlement::commitStepCall { challenge, commitment });
    }
    let windows = [market.param("verify_window"), market.param("reveal_window")];
    market.pass_blocks(windows[0].to::<u64>() + 1);
    for (judge, upheld, trace) in judges {
        let call =
            ISettlement::revealStepCall { challenge, upheld: *upheld, trace: *trace, salt: B256::ZERO };
        market.send(*judge, SETTLEMENT, call);
    }
    market.pass_blocks(windows[1].to::<u64>() + 1);
    market.send(challenger, SETTLEMENT, ISettlement::resolveCall { challenge });
    challenge
}

/// P6, third part: a judge who guesses how a dispute ends has less than one who executes the step, before anybody counts what
/// that costs.
pub(crate) fn guesser(play: &Play) -> Outcome {
    let overrides: &[Override] = if play.unprotected { &[("verifier_share", 0)] } else { &[] };
    let mut rng = play.rng("guesser");
    let mut market = Market::new(play.seed, overrides);
    let judges: Vec<Address> = (0..4).map(|number| account("judge", number)).collect();
    for judge in &judges {
        market.stake(*judge, StakeRole::Verifier, open(5_000));
    }
    let (working, guessing) = (judges[0], judges[3]);
    market.pass(2);
    let before = (market.wealth(working), market.wealth(guessing));
    for round in 0..play.scaled(20, 6) {
        let operator = account("operator", round);
        market.stake(operator, StakeRole::Operator, open(10_000));
        let key = market.payer(account("payer", round), operator, open(200));
        market.pass(2);
        let settled = epoch_of(&mut market, play, operator, key, 4);
        let lies = rng.random_bool(0.5);
        let payouts = match lies {
            true => stolen(&settled, account("accomplice", 0)),
            false => settled.settlement.payouts.clone(),
        };
        let posted = market.post(operator, 1, &settled, &payouts);
        let mut said: Vec<Judge> = judges.iter().map(|judge| (*judge, !lies, WORK)).collect();
        // Unprotected, the one that guesses is told what stands nowhere.
        if !play.unprotected {
            said[3] = (guessing, rng.random_bool(0.5), keccak256("a guess"));
        }
        let challenge = dispute_with(&mut market, &posted, operator, account("challenger", round), &said);
        for verifier in &judges {
            let claim = ISettlement::claimStepCall { challenge, verifier: *verifier };
            let _paid = market.try_send(*verifier, SETTLEMENT, &claim);
        }
        let punish = ISettlement::punishStepCall { challenge, verifier: guessing };
        let _punished = market.try_send(account("anybody", 0), SETTLEMENT, &punish);
    }
    let working_gain = gain(before.0, market.wealth(working));
    let guessing_gain = gain(before.1, market.wealth(guessing));
    Outcome::new(
        guessing_gain < working_gain,
        [("working_judge_gain_open", working_gain), ("guessing_judge_gain_open", guessing_gain)],
    )
}

/// P10: an honest challenger gains, a griefer loses, an honest operator is never worse off for being challenged.
pub(crate) fn challenges(play: &Play) -> Outcome {
    const VERIFIERS: usize = 12;
    let mut rng = play.rng("challenges");
    let mut market = Market::new(play.seed, &[]);
    let verifiers: Vec<Address> = (0..VERIFIERS).map(|number| account("verifier", number)).collect();
    for verifier in &verifiers {
        market.stake(*verifier, StakeRole::Verifier, open(rng.random_range(1_000..20_000)));
    }
    let stakes: Vec<U256> =
        verifiers.iter().map(|v| market.view(STAKING, IStaking::stakerCall { account: *v }).stake).collect();
    let total: U256 = stakes.iter().copied().sum();
    // Of the judges these many, from the first on, vote for whoever pays them: just below half of the stake, or above.
    let mut bought = Vec::new();
    let mut sum = U256::ZERO;
    for (verifier, stake) in verifiers.iter().zip(&stakes) {
        let limit = if play.unprotected { total } else { total * U256::from(45) / U256::from(100) };
        if sum + *stake <= limit {
            sum += *stake;
            bought.push(*verifier);
        }
    }
    market.pass(2);
    let (mut honest, mut griefer, mut defended) = (Vec::new(), Vec::new(), Vec::new());
    let mut slashed_innocent = 0;
    let rounds = play.scaled(12, 3);
    for round in 0..rounds {
        for lies in [true, false] {
            let number = round * 2 + usize::from(lies);
            let operator = account("operator", number);
            market.stake(operator, StakeRole::Operator, open(10_000));
            let key = market.payer(account("payer", number), operator, open(200));
            market.pass(2);
            let settled = epoch_of(&mut market, play, operator, key, rng.random_range(1..40));
            let payouts = match lies {
                true => stolen(&settled, account("accomplice", 0)),
                false => settled.settlement.payouts.clone(),
            };
            let posted = market.post(operator, 1, &settled, &payouts);
            let challenger = account(if lies { "challenger" } else { "griefer" }, round);
            let before =
                (market.wealth(challenger) + market.param("challenge_bond"), market.wealth(operator));
            let judges: Vec<(Address, bool)> = verifiers
                .iter()
                .map(|verifier| {
                    let right = !lies;
                    let upheld = if bought.contains(verifier) { !right } else { right };
                    (*verifier, upheld)
                })
                .collect();
            dispute(&mut market, &posted, operator, challenger, &judges);
            let gained = gain(before.0, market.wealth(challenger));
            if lies {
                honest.push(gained);
            } else {
                griefer.push(gained);
                defended.push(gain(before.1, market.wealth(operator)));
            }
        }
    }
    let innocent = play.scaled(100, 10);
    for number in 0..innocent {
        let operator = account("innocent", number);
        market.stake(operator, StakeRole::Operator, open(1_000));
        let key = market.payer(account("its payer", number), operator, open(200));
        market.pass(2);
        let settled = epoch_of(&mut market, play, operator, key, 2);
        let posted = market.post(operator, 1, &settled, &settled.settlement.payouts);
        let verdicts: Vec<_> = verifiers
            .iter()
            .map(|v| (*v, if rng.random_bool(ERROR_RATE) { wrong(&posted) } else { posted.truth }))
            .collect();
        market.verify(posted.id, &verdicts);
        if market.finalise(posted.id) != BatchStatus::Finalised {
            slashed_innocent += 1;
        }
    }
    let rate = f64::from(slashed_innocent) / innocent as f64;
    let holds = mean(&honest) > 0.0
        && largest(griefer.iter().copied()) < 0.0
        && defended.iter().all(|gained| *gained >= 0.0)
        && rate < 1e-3;
    Outcome::new(
        holds,
        [
            ("honest_challenger_gain_open", mean(&honest)),
            ("griefer_loss_open", -mean(&griefer)),
            ("challenged_honest_operator_gain_open", mean(&defended)),
            ("innocent_slash_rate", rate),
        ],
    )
}

/// A verdict of somebody who computed something else.
pub(crate) fn wrong(posted: &Posted) -> B256 {
    verdict_digest(B256::ZERO, B256::ZERO, posted.file_hash)
}
