use alloy_primitives::{Address, B256, I256, U256};
use openledger_types::addresses::TREASURY;
use openledger_types::amount::{ONE_OPEN, SUPPLY};
use openledger_types::batch::{Payout, PayoutKind};
use openledger_types::split::FeeSplit;
use proptest::prelude::*;

use super::*;

const OPERATOR: Address = Address::repeat_byte(0xa1);
const DEVELOPER: Address = Address::repeat_byte(0xa2);
const RULES: Rules = Rules { split: FeeSplit::GENESIS, floor_micronats: 100_000, cluster_cap_ppm: 1_000_000 };

fn answer(fee: U256, explained_micronats: i64) -> AnswerFee {
    AnswerFee { fee, explained_micronats, retrieved_micronats: 0 }
}

fn cluster(number: u32, owner: u8, score_piconats: i128) -> ClusterScore {
    let record = B256::from(U256::from(number));
    ClusterScore {
        cluster: number,
        record,
        contributor: Address::repeat_byte(owner),
        length: 600,
        score_piconats,
        retrieved_wei: U256::ZERO,
    }
}

fn settled(answers: &[AnswerFee], clusters: &[ClusterScore]) -> Settlement {
    settle(weights(answers, &RULES).unwrap(), clusters, OPERATOR, &[(DEVELOPER, 1_000_000)]).unwrap()
}

fn total<'a>(payouts: impl IntoIterator<Item = &'a Payout>) -> U256 {
    payouts.into_iter().fold(U256::ZERO, |sum, p| sum + p.amount)
}

fn paid_to(settlement: &Settlement, owners: &[u8]) -> U256 {
    let owners: Vec<_> = owners.iter().map(|o| Address::repeat_byte(*o)).collect();
    total(settlement.payouts.iter().filter(|p| owners.contains(&p.account)))
}

/// Fees up to the whole supply over ten answers, and explained nats of either sign around the floor.
fn any_answers() -> impl Strategy<Value = Vec<AnswerFee>> {
    let fee = prop_oneof![
        Just(U256::ZERO),
        (1_u64..1000).prop_map(U256::from),
        any::<u64>().prop_map(U256::from),
        (0_u64..100_000_000).prop_map(|open| U256::from(open) * ONE_OPEN + U256::from(open % 7))
    ];
    let explained =
        prop_oneof![-5_000_000_i64..50_000_000, -200_000_i64..200_000, Just(i64::MIN), Just(i64::MAX)];
    prop::collection::vec((fee, explained).prop_map(|(fee, explained)| answer(fee, explained)), 1..10)
}

/// Clusters 0.. of owners 1 to 4 with scores from below a piconat's worth to the limit.
fn any_clusters() -> impl Strategy<Value = Vec<ClusterScore>> {
    let score = prop_oneof![
        Just(0_i128),
        -1_000_000_000_000_i128..1_000_000_000_000,
        -1_000_i128..1_000,
        -MAX_SCORE_PICONATS..=MAX_SCORE_PICONATS
    ];
    prop::collection::vec((1_u8..5, score), 1..40).prop_map(|entries| {
        let numbered = (0..).zip(entries);
        numbered.map(|(number, (owner, score))| cluster(number, owner, score)).collect()
    })
}

/// Answers with sources, and clusters that share what these may claim.
fn any_sourced() -> impl Strategy<Value = (Vec<AnswerFee>, Vec<ClusterScore>)> {
    let did = prop_oneof![-2_000_000_i64..20_000_000, -100_000_i64..100_000, Just(0), Just(i64::MAX)];
    let retrieved = prop::collection::vec((did, -5_i64..50), 10);
    (any_answers(), any_clusters(), retrieved).prop_map(|(mut answers, mut clusters, retrieved)| {
        for (answer, (did, _)) in answers.iter_mut().zip(&retrieved) {
            answer.retrieved_micronats = *did;
        }
        let weights = weights(&answers, &RULES).unwrap();
        let did: Vec<i64> = retrieved.iter().map(|(_, did)| *did).collect();
        for weight in &weights.answers {
            for (cluster, part) in clusters.iter_mut().zip(among_sources(weight.retrieved_wei, &did)) {
                cluster.retrieved_wei += part;
            }
        }
        (answers, clusters)
    })
}

proptest! {
    #[test]
    fn every_wei_of_the_fees_is_accounted_for((answers, clusters) in any_sourced()) {
        let settlement = settled(&answers, &clusters);
        for answer in &settlement.weights {
            prop_assert!(answer.retrieved_micronats > 0 || answer.retrieved_wei.is_zero());
        }
        let as_sources: U256 = settlement.credits.iter().fold(U256::ZERO, |sum, c| sum + c.retrieved_wei);
        let by_influence: U256 = settlement.credits.iter().fold(U256::ZERO, |sum, c| sum + c.paid);
        prop_assert_eq!(settlement.totals().contributors, as_sources + by_influence);
        let fees = answers.iter().fold(U256::ZERO, |sum, a| sum + a.fee);
        let parts = &settlement.parts;
        prop_assert_eq!(total(&settlement.payouts) + parts.validators + parts.treasury + parts.burn, fees);
        let totals = settlement.totals();
        prop_assert_eq!(
            totals.contributors + totals.base + totals.operator + totals.developer + totals.validators
                + totals.treasury + totals.burn,
            fees
        );
        let of = |role| total(settlement.payouts.iter().filter(|p| p.role == role));
        prop_assert_eq!(of(PayoutKind::Contributor), totals.contributors);
        prop_assert_eq!(of(PayoutKind::Base), totals.base);
        prop_assert_eq!(of(PayoutKind::Operator), totals.operator);
        prop_assert_eq!(of(PayoutKind::Developer), totals.developer);
    }

    #[test]
    fn influence_is_paid_where_it_helped_and_never_beyond_what_was_explained(
        answers in any_answers(),
        clusters in any_clusters(),
    ) {
        let cap = weights(&answers, &RULES).unwrap().cap;
        let settlement = settled(&answers, &clusters);
        prop_assert!(settlement.totals().contributors <= cap);
        for credit in &settlement.credits {
            let raw = if credit.influence_wei.is_negative() { U256::ZERO } else { credit.influence_wei.unsigned_abs() };
            prop_assert!(credit.paid <= raw);
        }
    }

    #[test]
    fn the_order_of_answers_and_clusters_changes_no_payout(
        (answers, shuffled_answers) in any_answers().prop_flat_map(|a| (Just(a.clone()), Just(a).prop_shuffle())),
        (clusters, shuffled) in any_clusters().prop_flat_map(|c| (Just(c.clone()), Just(c).prop_shuffle())),
    ) {
        let straight = settled(&answers, &clusters);
        let other = settled(&shuffled_answers, &shuffled);
        prop_assert_eq!(straight.payouts, other.payouts);
        prop_assert_eq!(straight.credits, other.credits);
    }

    #[test]
    fn dividing_clusters_among_several_accounts_pays_the_same_in_sum(
        answers in any_answers(),
        clusters in any_clusters(),
        moved in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut split = clusters.clone();
        for (cluster, moved) in split.iter_mut().zip(moved) {
            if moved && cluster.contributor == Address::repeat_byte(1) {
                cluster.contributor = Address::repeat_byte(9);
            }
        }
        let (honest, divided) = (settled(&answers, &clusters), settled(&answers, &split));
        prop_assert_eq!(paid_to(&honest, &[1]), paid_to(&divided, &[1, 9]));
        for owner in 2..5 {
            prop_assert_eq!(paid_to(&honest, &[owner]), paid_to(&divided, &[owner]));
        }
    }

    #[test]
    fn payouts_are_sorted_distinct_and_never_zero(answers in any_answers(), clusters in any_clusters()) {
        let payouts = settled(&answers, &clusters).payouts;
        prop_assert!(payouts.is_sorted_by(|a, b| (a.role, a.account) < (b.role, b.account)));
        prop_assert!(payouts.iter().all(|p| !p.amount.is_zero()));
    }

    #[test]
    fn piconats_round_to_the_nearest_integer(pico in -1_000_000_000_i64..1_000_000_000) {
        let nats = pico as f64 / 1e12;
        prop_assert_eq!(piconats(nats).unwrap(), i128::from(pico));
    }
}

#[test]
fn an_answer_that_the_adapter_made_less_likely_has_no_weight() {
    let answers = [answer(U256::from(100), 2_000_000), answer(U256::from(1_000_000), -5_000_000)];
    let weights = weights(&answers, &RULES).unwrap();
    assert_eq!(weights.ppb, [1_000_000_000, 0]);
    assert_eq!((weights.reference, weights.cap), (U256::from(20), U256::from(40)));
}

#[test]
fn a_worked_epoch_is_settled_to_the_wei() {
    // Pools of 40 and 80 wei; 2 nats and half the floor explained: 20 and 400 wei a nat, 40 and 40 wei claimable.
    let answers = [answer(U256::from(100), 2_000_000), answer(U256::from(200), 50_000)];
    let weights = weights(&answers, &RULES).unwrap();
    let numbers: Vec<_> = weights.answers.iter().map(|w| (w.wei_per_nat, w.explained_wei)).collect();
    assert_eq!(numbers, [(U256::from(20), U256::from(40)), (U256::from(400), U256::from(40))]);
    assert_eq!((weights.reference, weights.cap), (U256::from(400), U256::from(80)));
    assert_eq!(weights.ppb, [50_000_000, 1_000_000_000]);

    // 0.1, 0.06, -0.08 nats at 400 wei: 40, 24, -32 wei, within the cap; 120 - 64 = 56 wei of base pool by thirds.
    let clusters =
        [cluster(7, 1, 100_000_000_000), cluster(2, 2, 60_000_000_000), cluster(4, 1, -80_000_000_000)];
    let settlement = settle(weights, &clusters, OPERATOR, &[(DEVELOPER, 1_000_000)]).unwrap();
    let credits: Vec<_> = settlement.credits.iter().map(|c| (c.cluster, c.influence_wei, c.paid)).collect();
    let wei = |n: i64| I256::try_from(n).unwrap();
    assert_eq!(
        credits,
        [(2, wei(24), U256::from(24)), (4, wei(-32), U256::ZERO), (7, wei(40), U256::from(40))]
    );
    assert_eq!(settlement.base, U256::from(56));
    let payout = |role, owner, amount| Payout { role, account: owner, amount: U256::from(amount) };
    let (one, two) = (Address::repeat_byte(1), Address::repeat_byte(2));
    assert_eq!(
        settlement.payouts,
        [
            payout(PayoutKind::Contributor, one, 40),
            payout(PayoutKind::Contributor, two, 24),
            payout(PayoutKind::Base, one, 37),
            payout(PayoutKind::Base, two, 19),
            payout(PayoutKind::Operator, OPERATOR, 90),
            payout(PayoutKind::Developer, DEVELOPER, 45),
        ]
    );
}

#[test]
fn an_answer_with_sources_is_settled_to_the_wei() {
    // Pools of 40, 80 and 40 wei. Two nats by the adapter and three by sources: 24 wei are the sources', 16 influence may claim, 8 a nat. The second answer
    // the adapter made worse, half of the floor by sources: 40 wei, all theirs. The third its sources made worse.
    let sourced = |fee, explained, retrieved_micronats| AnswerFee {
        retrieved_micronats,
        ..answer(U256::from(fee), explained)
    };
    let answers = [
        sourced(100_u64, 2_000_000, 3_000_000),
        sourced(200, -1_000_000, 50_000),
        sourced(100, 4_000_000, -9_000_000),
    ];
    let weights = weights(&answers, &RULES).unwrap();
    let numbers: Vec<_> =
        weights.answers.iter().map(|w| [w.wei_per_nat, w.explained_wei, w.retrieved_wei]).collect();
    let wei = |numbers: [u64; 3]| numbers.map(U256::from);
    assert_eq!(numbers, [wei([8, 16, 24]), wei([0, 0, 40]), wei([10, 40, 0])]);
    assert_eq!((weights.ppb.as_slice(), weights.cap), (&[800_000_000, 0, 1_000_000_000][..], U256::from(56)));

    // The first answer's sources are clusters 2 and 4, twice as helpful, and 7, which did harm; the second's are 4 and a withdrawn one.
    let first = among_sources(U256::from(24), &[1_000_000_001, 2_000_000_002, -5]);
    assert_eq!(first, [U256::from(8), U256::from(16), U256::ZERO]);
    let second = among_sources(U256::from(40), &[1, 1]);
    let retrieved =
        |number, owner, retrieved_wei| ClusterScore { retrieved_wei, ..cluster(number, owner, 0) };
    let gone = ClusterScore { contributor: Address::ZERO, ..retrieved(5, 9, second[1]) };
    let clusters = [
        retrieved(2, 2, first[0]),
        retrieved(4, 1, first[1] + second[0]),
        gone,
        ClusterScore { score_piconats: 1_000_000_000_000, ..retrieved(7, 1, first[2]) },
    ];
    let settlement = settle(weights.clone(), &clusters, OPERATOR, &[(DEVELOPER, 1_000_000)]).unwrap();
    let paid: Vec<_> = settlement.credits.iter().map(|c| (c.cluster, c.paid, c.retrieved_wei)).collect();
    let paid_as = |cluster, paid, retrieved| (cluster, U256::from(paid), U256::from(retrieved));
    assert_eq!(
        paid,
        [paid_as(2, 0_u64, 8_u64), paid_as(4, 0, 36), paid_as(5, 0, 0), paid_as(7, 10, 0)],
        "who did harm is paid nothing, and nobody has what was the withdrawn one's"
    );
    // 160 wei less 44 as sources and 10 by influence.
    assert_eq!(settlement.base, U256::from(106));
    assert_eq!(settlement.totals().contributors, U256::from(54));
    let over = [retrieved(0, 1, U256::from(65))];
    let refused = settle(weights, &over, OPERATOR, &[(DEVELOPER, 1_000_000)]).unwrap_err();
    assert_eq!(refused, SettleError::Retrieved { limit: U256::from(64) });
}

#[test]
fn one_cluster_has_at_most_its_part_of_what_influence_may_claim() {
    let answers = [answer(U256::from(1_000), 1_000_000)];
    let rules = Rules { cluster_cap_ppm: 250_000, ..RULES };
    let clusters =
        [cluster(0, 1, 900_000_000_000), cluster(1, 2, 100_000_000_000), cluster(2, 3, 250_000_000_000)];
    let weights = weights(&answers, &rules).unwrap();
    assert_eq!((weights.cap, weights.cluster_cap), (U256::from(400), U256::from(100)));
    // 360, 40 and 100 wei by influence, in proportion 288, 32 and 80 of 400, a hundred at most; what is beyond goes to the
    // base pool, not to the others.
    let settlement = settle(weights, &clusters, OPERATOR, &[(DEVELOPER, 1_000_000)]).unwrap();
    let paid: Vec<_> = settlement.credits.iter().map(|c| c.paid).collect();
    assert_eq!(paid, [U256::from(100), U256::from(32), U256::from(80)]);
    assert_eq!(settlement.credits[0].influence_wei, I256::try_from(360).unwrap());
    assert_eq!(settlement.base, U256::from(188));
}

#[test]
fn influence_beyond_what_was_explained_is_scaled_down_in_proportion() {
    // Pool of 40 wei, all claimable, 40 wei a nat; 2 and 1 nats of influence share it 2 to 1.
    let settlement = settled(
        &[answer(U256::from(100), 1_000_000)],
        &[cluster(0, 1, 2_000_000_000_000), cluster(1, 2, 1_000_000_000_000)],
    );
    let paid: Vec<_> = settlement.credits.iter().map(|c| c.paid).collect();
    assert_eq!(paid, [U256::from(27), U256::from(13)]);
    assert_eq!(settlement.base, U256::ZERO);
}

#[test]
fn cutting_a_record_in_two_changes_no_part_of_the_base_pool() {
    let answers = [answer(U256::from(10_000_000), 0)];
    let whole = [cluster(0, 1, 0), cluster(1, 2, 0), ClusterScore { length: 300, ..cluster(2, 3, 0) }];
    let half = |number| ClusterScore { length: 300, ..cluster(number, 1, 0) };
    let cut = [half(0), whole[1], whole[2], half(3)];
    for owner in 1..4 {
        assert_eq!(
            paid_to(&settled(&answers, &whole), &[owner]),
            paid_to(&settled(&answers, &cut), &[owner])
        );
    }
    assert_eq!(paid_to(&settled(&answers, &whole), &[3]), U256::from(800_000));
}

#[test]
fn where_every_cluster_is_gone_the_contributors_part_is_the_treasurys() {
    let answers = [answer(U256::from(10_000_000), 500_000)];
    let gone = ClusterScore { contributor: Address::ZERO, ..cluster(0, 1, 2_000_000_000_000) };
    let empty = ClusterScore { length: 0, ..cluster(1, 1, 0) };
    for clusters in [&[][..], &[gone], &[gone, empty]] {
        let settlement = settled(&answers, clusters);
        assert_eq!((settlement.base, settlement.totals().contributors), (U256::from(4_000_000), U256::ZERO));
        let base: Vec<_> = settlement.payouts.iter().filter(|p| p.role == PayoutKind::Base).collect();
        assert_eq!(base.len(), 1);
        assert_eq!((base[0].account, base[0].amount), (TREASURY, settlement.base));
    }
}

#[test]
fn an_answer_that_the_adapter_made_worse_pays_only_the_base_pool() {
    let settlement = settled(&[answer(U256::from(1000), -3_000_000)], &[cluster(0, 1, 5_000_000_000_000)]);
    assert_eq!(settlement.totals().contributors, U256::ZERO);
    assert_eq!(settlement.base, U256::from(400));
}

#[test]
fn the_largest_amounts_fit() {
    let rules = Rules { split: FeeSplit::GENESIS, floor_micronats: 1, cluster_cap_ppm: 1_000_000 };
    let weights = weights(&[answer(SUPPLY, 1)], &rules).unwrap();
    let clusters: Vec<_> = (0..1000).map(|n| cluster(n, 1, MAX_SCORE_PICONATS)).collect();
    let settlement = settle(weights, &clusters, OPERATOR, &[(DEVELOPER, 1_000_000)]).unwrap();
    assert_eq!(settlement.base, U256::ZERO);
    assert_eq!(paid_to(&settlement, &[1]), settlement.parts.contributors);
}

#[test]
fn what_cannot_be_settled_is_refused() {
    let fee = answer(U256::from(100), 1);
    let check = |answers: &[AnswerFee], clusters: &[ClusterScore], expected: SettleError| {
        let result = weights(answers, &RULES)
            .and_then(|weights| settle(weights, clusters, OPERATOR, &[(DEVELOPER, 1_000_000)]));
        assert_eq!(result.unwrap_err(), expected);
    };
    check(&[answer(SUPPLY, 1), fee], &[], SettleError::Fees { answer: 1, limit: SUPPLY });
    check(&[answer(U256::MAX, 1), answer(U256::MAX, 1)], &[], SettleError::Fees { answer: 0, limit: SUPPLY });
    check(&[fee], &[cluster(3, 1, 0), cluster(3, 2, 0)], SettleError::DuplicateCluster { cluster: 3 });
    let over = MAX_SCORE_PICONATS + 1;
    check(
        &[fee],
        &[cluster(3, 1, -over)],
        SettleError::ClusterScore { cluster: 3, got: -over, limit: MAX_SCORE_PICONATS },
    );
    assert_eq!(weights(&[fee], &Rules { floor_micronats: 0, ..RULES }), Err(SettleError::ZeroFloor));
    for nats in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1.1e9] {
        assert!(matches!(piconats(nats), Err(SettleError::Score { .. })));
    }
    assert_eq!(piconats(0.5e-12), Ok(0));
    assert_eq!(piconats(1.5e-12), Ok(2));
}

#[test]
fn d45_a_withdrawn_cluster_is_paid_nothing_and_nobody_else_loses_by_it() {
    let answers = [answer(U256::from(10_000_000), 2_000_000)];
    let all =
        [cluster(0, 1, 400_000_000_000), cluster(1, 2, 300_000_000_000), cluster(2, 3, 200_000_000_000)];
    let mut without = all;
    without[1].contributor = Address::ZERO;
    let (before, after) = (settled(&answers, &all), settled(&answers, &without));
    assert!(after.payouts.iter().all(|payout| !payout.account.is_zero()));
    for owner in [1, 3] {
        assert!(paid_to(&after, &[owner]) >= paid_to(&before, &[owner]));
    }
    assert_eq!(total(&before.payouts), total(&after.payouts), "what it would have got is not lost");
}

#[test]
fn the_developers_part_follows_the_lineage_to_the_wei() {
    let lineage = [(DEVELOPER, 666_667), (OPERATOR, 333_333)];
    let fees = [answer(U256::from(1_000_003), 2_000_000)];
    let priced = weights(&fees, &RULES).unwrap();
    let whole = priced.parts.developer;
    let settlement = settle(priced.clone(), &[cluster(0, 1, 5)], OPERATOR, &lineage).unwrap();
    let developers: Vec<_> = settlement.payouts.iter().filter(|p| p.role == PayoutKind::Developer).collect();
    assert_eq!(developers.len(), 2);
    assert_eq!(total(developers.iter().copied()), whole);
    let error = settle(priced, &[cluster(0, 1, 5)], OPERATOR, &[]).unwrap_err();
    assert_eq!(error, SettleError::NoDevelopers);
}
