//! Answers that rest on sources: who is paid for them, and operators who lie about them.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use openledger_client::{Client, Wallet};
use openledger_types::abi::{BatchStatus, ChallengeStatus, IDatanets, ISettlement, Terms, Use};
use openledger_types::batch::{BatchFile, PayoutKind};
use openledger_types::receipt::{Answer, Message, Retrieval, Role};
use openledger_worker::Progress;
use openledger_worker::claim::claim_batch;
use openledger_worker::dispute::{Case, Challenger};
use openledger_worker::operator::Ask;
use openledger_worker::sources::Passage;
use openledger_worker::verify::{Act, Verdict, verify_answer};

use crate::batches::Epoch;
use crate::eventually::eventually;
use crate::lies::check_caught;
use crate::world::{World, open};

/// Words of the records; each question has some of them.
const WORDS: [&str; 5] = ["amber and birch", "cloud or delta", "ember, fjord", "glade", "heron and iris"];

/// A question that asks for this many sources.
fn sourced(top_k: u32) -> impl Fn(usize, Ask) -> Ask {
    move |number, ask| {
        let content = format!("Tell me of {} and {number}", WORDS[number % WORDS.len()]);
        Ask { messages: vec![Message { role: Role::User, content }], top_k_sources: Some(top_k), ..ask }
    }
}

fn retrieval(answer: &Answer) -> &Retrieval {
    answer.request.retrieval.as_ref().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paid_answer_with_sources_pays_those_that_helped_and_they_claim_it() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve_with(world, &client, 4, sourced(3)).await;
    let fees: U256 = epoch.answers.iter().map(|answer| answer.receipt.fee).sum();
    assert!(epoch.answers.iter().all(|answer| retrieval(answer).sources.len() == 3));
    let file = epoch.settle(world, &client).await;

    // What each cluster should have, from the answers' documents alone.
    let mut expected: BTreeMap<u32, U256> = BTreeMap::new();
    for (answer, weight) in file.answers.iter().zip(&file.weights) {
        let together = answer.attribution.retrieved_micronats();
        assert_eq!(weight.retrieved_micronats, together);
        assert_eq!(weight.retrieved_wei.is_zero(), together <= 0);
        let pool = answer.receipt.fee * U256::from(40) / U256::from(100);
        assert!(weight.explained_wei + weight.retrieved_wei <= pool);
        let mut left = weight.retrieved_wei;
        let helped: i64 = answer.attribution.sources.iter().map(|source| source.nanonats.max(0)).sum();
        for (source, credit) in retrieval(answer).sources.iter().zip(&answer.attribution.sources) {
            if together > 0 {
                // To a unit: the rest of the division goes to the largest remainders.
                let part = weight.retrieved_wei * U256::from(credit.nanonats.max(0)) / U256::from(helped);
                *expected.entry(source.cluster).or_default() += part;
                left -= part;
            }
        }
        assert!(left < U256::from(3) || together <= 0, "everything is divided");
    }
    let paid: U256 = file.credits.iter().map(|credit| credit.retrieved_wei).sum();
    assert!(!paid.is_zero(), "some source helped: {:?}", file.weights);
    for credit in &file.credits {
        let expected = expected.get(&credit.cluster).copied().unwrap_or_default();
        assert!(credit.retrieved_wei - expected <= U256::from(4), "{credit:?} and {expected}");
    }

    let batch = epoch.post(world, &client, &file).await;
    let posted = world.decided(&client, batch).await;
    assert_eq!((posted.status, posted.fees), (BatchStatus::Finalised, fees));
    assert_eq!(world.verdicts(batch), vec![Verdict::Equal { batch: Some(batch) }; 3]);
    let best = file.credits.iter().max_by_key(|credit| credit.retrieved_wei).unwrap().contributor;
    let of_best = |amount: fn(&openledger_types::batch::ClusterCredit) -> U256| -> U256 {
        file.credits.iter().filter(|credit| credit.contributor == best).map(amount).sum()
    };
    let before = client.balance(best).await.unwrap();
    let claimed = claim_batch(&client, &epoch.operator, &file, batch, None).await.unwrap();
    let payout = claimed.iter().find(|p| p.account == best && p.role == PayoutKind::Contributor).unwrap();
    assert_eq!(payout.amount, of_best(|credit| credit.paid + credit.retrieved_wei));
    let of_base: U256 =
        claimed.iter().filter(|p| p.account == best && p.role == PayoutKind::Base).map(|p| p.amount).sum();
    assert_eq!(client.balance(best).await.unwrap() - before, payout.amount + of_base);
    world.settlement_holds(&client, epoch.settlement_before).await;
    // Who agrees without computing what the sources did is found out.
    eventually("the punishment of who did not look", async || {
        world
            .did(|act| matches!(act, Act::Punished(id, who, _) if *id == batch && *who == world.lazy))
            .then_some(())
    })
    .await;
    world.check_conservation(&client).await;
}

/// Posts a batch with this lie in the second of two answers with two sources each.
async fn check(lie: impl FnOnce(&World, &mut Answer), in_file: impl FnOnce(&mut BatchFile), field: &str) {
    let (world, client, _turn) = World::enter().await;
    let mut epoch = Epoch::serve_with(world, &client, 2, sourced(2)).await;
    let mut answer = epoch.answers[1].clone();
    lie(world, &mut answer);
    epoch.sign(&client, &mut answer);
    epoch.answers[1] = answer;
    let mut file = epoch.settle(world, &client).await;
    in_file(&mut file);
    let batch = epoch.post(world, &client, &file).await;
    check_caught(world, &client, &epoch, batch, field).await;
}

fn honest_file(_: &mut BatchFile) {}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_not_found_is_caught() {
    let lie = |world: &World, answer: &mut Answer| {
        // An accomplice's record in place of the best one, in request and credit.
        let sources = &mut answer.request.retrieval.as_mut().unwrap().sources;
        let records = world.adapter.set.records().iter();
        let other = records.rev().find(|r| sources.iter().all(|source| source.record != r.record)).unwrap();
        (sources[0].record, sources[0].cluster) = (other.record, other.cluster);
        let credit = &mut answer.attribution.sources[0];
        (credit.record, credit.contributor) = (other.record, other.contributor);
    };
    check(lie, honest_file, "answers[1].request.retrieval.sources[0]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_was_left_out_is_caught() {
    let (world, client, _turn) = World::enter().await;
    // Prompt, answer and credit are those of one source; two were asked for.
    let mut epoch = Epoch::serve_with(world, &client, 2, sourced(1)).await;
    let mut answer = epoch.answers[1].clone();
    answer.request.retrieval.as_mut().unwrap().top_k = 2;
    epoch.sign(&client, &mut answer);
    epoch.answers[1] = answer;
    let file = epoch.settle(world, &client).await;
    let batch = epoch.post(world, &client, &file).await;
    check_caught(world, &client, &epoch, batch, "answers[1].request.retrieval.sources.length").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_of_sources_that_was_not_computed_is_caught() {
    // Who skips Shapley's value and says something likely: everybody alike.
    let lie = |_: &World, answer: &mut Answer| {
        for credit in &mut answer.attribution.sources {
            credit.nanonats = 250_000_000;
        }
    };
    check(lie, honest_file, "answers[1].attribution.sources[0]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credit_shifted_from_one_source_to_the_other_is_caught() {
    let lie = |_: &World, answer: &mut Answer| {
        let sources = &mut answer.attribution.sources;
        let (first, second) = (sources[0].nanonats, sources[1].nanonats);
        (sources[0].nanonats, sources[1].nanonats) = (second, first);
        (sources[0].share_ppm, sources[1].share_ppm) = (sources[1].share_ppm, sources[0].share_ppm);
    };
    check(lie, honest_file, "answers[1].attribution.sources[0]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retrieval_credit_that_does_not_follow_from_the_answers_is_caught() {
    let lie = |file: &mut BatchFile| {
        let credit = file.credits.iter_mut().max_by_key(|credit| credit.retrieved_wei).unwrap();
        credit.retrieved_wei += U256::ONE;
    };
    check(|_, _| (), lie, "credits[").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_there_is_not_is_caught() {
    let lie = |_: &World, answer: &mut Answer| {
        answer.request.retrieval.as_mut().unwrap().block = u64::MAX;
    };
    check(lie, honest_file, "answers[1].request.retrieval.block").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_source_is_bisected_to_its_answer_and_the_operator_pays() {
    let (world, client, _turn) = World::enter().await;
    let mut epoch = Epoch::serve_with(world, &client, 3, sourced(2)).await;
    let mut answer = epoch.answers[2].clone();
    answer.attribution.sources[1].nanonats += 1;
    epoch.sign(&client, &mut answer);
    epoch.answers[2] = answer;
    let file = epoch.settle(world, &client).await;
    crate::disputes::defend(world, &client, &epoch).await;
    world.hold(true);
    let batch = epoch.post(world, &client, &file).await;
    let challenger = world.person(&client, open(101)).await;
    let (folders, machine, silent) = (&world.folders, &world.machine, Progress::silent());
    let (case, difference) = Case::find(&client, folders, machine, batch, &silent).await.unwrap().unwrap();
    assert_eq!(
        (case.false_step, difference.field.as_str()),
        (2, "answers[2].attribution.sources[1].nanonats")
    );
    let dispute = Challenger::open(&client, folders, machine, &challenger, case).await.unwrap();
    world.hold(false);
    assert_eq!(dispute.play(&silent).await.unwrap(), ChallengeStatus::ChallengerWon);
    let call = ISettlement::challengeOfCall { id: dispute.challenge() };
    let judged = client.settlement().call(&call).await.unwrap();
    assert_eq!((judged.low, judged.high), (2, 3), "one answer with its sources");
    let decided = client.settlement().batch(batch).await.unwrap();
    world.judges_are_paid(&client, dispute.challenge()).await;
    epoch.check_undone(world, &client, &decided).await;
}

/// Sets the terms of inference of one record.
async fn set_terms(world: &World, client: &Client, passage: &Passage, infer: Use) {
    let of = |(_, contribution): &&(Wallet, U256)| *contribution == passage.contribution;
    let (wallet, contribution) = world.contributors.iter().find(of).unwrap();
    let terms = Terms { train: Use::Allow, infer, crawl: Use::Deny };
    let call = IDatanets::setRecordTermsCall { contribution: *contribution, record: passage.place, terms };
    client.datanets().transact(wallet, &call).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_may_not_be_used_for_inference_is_cited_no_more() {
    let (world, client, _turn) = World::enter().await;
    let library = &world.served.sources.as_ref().unwrap().library;
    let before = Epoch::serve_with(world, &client, 1, sourced(1)).await;
    let cited = &retrieval(&before.answers[0]).sources[0];
    let passage = library.passage(cited).unwrap();
    set_terms(world, &client, passage, Use::Deny).await;
    let epoch = Epoch::serve_with(world, &client, 1, sourced(1)).await;
    let next = &retrieval(&epoch.answers[0]).sources[0];
    assert_ne!(next.record, cited.record);

    // Verifiers know what could be cited when; whoever cites it afterwards is caught.
    let file = epoch.settle(world, &client).await;
    let batch = epoch.post(world, &client, &file).await;
    assert_eq!(world.decided(&client, batch).await.status, BatchStatus::Finalised);
    claim_batch(&client, &epoch.operator, &file, batch, None).await.unwrap();
    let mut late = before;
    let mut answer = late.answers[0].clone();
    answer.request.retrieval.as_mut().unwrap().block = retrieval(&epoch.answers[0]).block;
    late.sign(&client, &mut answer);
    late.answers[0] = answer;
    let file = late.settle(world, &client).await;
    let batch = late.post(world, &client, &file).await;
    check_caught(world, &client, &late, batch, "answers[0].request.retrieval.sources[0]").await;
    set_terms(world, &client, passage, Use::Allow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_record_is_neither_cited_nor_paid() {
    let (world, client, _turn) = World::enter_drawn().await;
    let library = &world.served.sources.as_ref().unwrap().library;
    let (wallet, contribution) = world.contributors.last().unwrap();
    let own = |record| {
        let mut passages = library.passages().iter();
        passages.any(|passage| passage.record == record && passage.contribution == *contribution)
    };
    let wanted = library.passages().iter().find(|passage| passage.contribution == *contribution).unwrap();
    let about = |_, ask| {
        let content = wanted.text.chars().take(60).collect();
        Ask { messages: vec![Message { role: Role::User, content }], top_k_sources: Some(2), ..ask }
    };
    let mut epoch = Epoch::serve_with(world, &client, 1, about).await;
    assert!(own(retrieval(&epoch.answers[0]).sources[0].record));
    client
        .datanets()
        .transact(wallet, &IDatanets::withdrawCall { contribution: *contribution })
        .await
        .unwrap();
    let mut after = Epoch::serve_with(world, &client, 1, about).await;
    let cited = &retrieval(&after.answers[0]).sources;
    assert!(!cited.is_empty() && !cited.iter().any(|source| own(source.record)), "{cited:?}");

    // Both are what they should be, and the answer before pays what it cited no more.
    for answer in [&epoch.answers[0], &after.answers[0]] {
        let (folders, machine, silent) = (&world.folders, &world.machine, Progress::silent());
        let verdict = verify_answer(&client, folders, machine, answer, &silent).await.unwrap();
        assert_eq!(verdict, Verdict::Equal { batch: None });
    }
    epoch.answers.append(&mut after.answers);
    let file = epoch.settle(world, &client).await;
    assert!(file.payouts.iter().all(|payout| payout.account != wallet.address()));
    let gone = file.credits.iter().filter(|credit| own(credit.record));
    assert!(gone.clone().count() > 0 && gone.clone().all(|credit| credit.retrieved_wei.is_zero()));
    let shared: U256 = file.credits.iter().map(|credit| credit.retrieved_wei).sum();
    let claimable: U256 = file.weights.iter().map(|weight| weight.retrieved_wei).sum();
    assert!(shared <= claimable);
}
