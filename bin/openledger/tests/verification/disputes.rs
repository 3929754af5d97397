//! Challenges over the chain: challenger, operator and judges, each in its role, down to one step.

use alloy_primitives::U256;
use openledger_client::Client;
use openledger_types::abi::{BatchStatus, Challenge, ChallengeStatus, ISettlement};
use openledger_worker::Progress;
use openledger_worker::claim::claim_batch;
use openledger_worker::dispute::{Case, Challenger, Defender};

use crate::batches::Epoch;
use crate::world::{World, aside, open};

/// OPEN that a challenger holds: the bond, and something for gas.
const PURSE: u64 = 101;

/// Lets the operator of an epoch defend what it posts.
async fn defend(world: &World, client: &Client, epoch: &Epoch) {
    let (url, folders, wallet) = (client.url().to_owned(), world.folders.clone(), epoch.operator.clone());
    let from = client.block_number().await.unwrap();
    aside(async move {
        let mut role = Defender::new(Client::connect(&url).await.unwrap(), folders, wallet, from);
        while role.next().await.unwrap().is_empty() {}
    });
}

async fn judged(client: &Client, dispute: &Challenger) -> Challenge {
    let call = ISettlement::challengeOfCall { id: dispute.challenge() };
    client.settlement().call(&call).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_answer_is_bisected_to_its_step_and_the_operator_pays() {
    let (world, client, _turn) = World::enter().await;
    let mut epoch = Epoch::serve(world, &client, 4).await;
    let mut answer = epoch.answers[2].clone();
    answer.response.text.push('!');
    epoch.sign(&client, &mut answer);
    epoch.answers[2] = answer;
    let file = epoch.settle(world, &client).await;
    defend(world, &client, &epoch).await;
    let batch = epoch.post(world, &client, &file).await;

    let challenger = world.person(&client, open(PURSE)).await;
    let (folders, machine, silent) = (&world.folders, &world.machine, Progress::silent());
    let found = Case::find(&client, folders, machine, batch, &silent).await.unwrap();
    let (case, difference) = found.unwrap();
    assert_eq!((case.false_step, difference.field.as_str()), (2, "answers[2].response.text"));
    let dispute = Challenger::open(&client, &challenger, case).await.unwrap();
    let end = dispute.play(&silent).await.unwrap();
    assert_eq!(end, ChallengeStatus::ChallengerWon);
    let judged = judged(&client, &dispute).await;
    assert_eq!((judged.low, judged.high), (2, 3));
    assert_eq!((judged.upheldStake, judged.refutedStake > U256::ZERO), (U256::ZERO, true));
    let decided = client.settlement().batch(batch).await.unwrap();
    epoch.check_undone(world, &client, &decided).await;
    // The bond is back with as much again, less what the moves cost in gas.
    let holds = client.balance(challenger.address()).await.unwrap();
    assert!(holds > open(PURSE + 99) && holds <= open(PURSE + 100), "{holds}");
}

#[tokio::test(flavor = "multi_thread")]
async fn false_payouts_are_bisected_to_the_settlement_and_the_operator_pays() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve(world, &client, 2).await;
    let mut file = epoch.settle(world, &client).await;
    file.payouts[0].account = epoch.operator.address();
    defend(world, &client, &epoch).await;
    let batch = epoch.post(world, &client, &file).await;

    let challenger = world.person(&client, open(PURSE)).await;
    // Whoever measured otherwise what a contributor did denies the settlement without executing it again.
    let case = Case::against_settlement(&client, batch, &file).await.unwrap();
    let dispute = Challenger::open(&client, &challenger, case).await.unwrap();
    assert_eq!(dispute.play(&Progress::silent()).await.unwrap(), ChallengeStatus::ChallengerWon);
    assert_eq!(judged(&client, &dispute).await.low, 2);
    let decided = client.settlement().batch(batch).await.unwrap();
    epoch.check_undone(world, &client, &decided).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d26_who_challenges_an_honest_batch_pays_its_operator() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve(world, &client, 2).await;
    let file = epoch.settle(world, &client).await;
    defend(world, &client, &epoch).await;
    let batch = epoch.post(world, &client, &file).await;

    let griefer = world.person(&client, open(PURSE)).await;
    let case = Case { false_step: 0, ..Case::against_settlement(&client, batch, &file).await.unwrap() };
    let dispute = Challenger::open(&client, &griefer, case).await.unwrap();
    let operator_before = client.balance(epoch.operator.address()).await.unwrap();
    assert_eq!(dispute.play(&Progress::silent()).await.unwrap(), ChallengeStatus::OperatorWon);
    let gained = client.balance(epoch.operator.address()).await.unwrap() - operator_before;
    assert!(gained > open(99) && gained <= open(100), "{gained}");
    assert!(client.balance(griefer.address()).await.unwrap() < open(1));

    assert_eq!(world.decided(&client, batch).await.status, BatchStatus::Finalised);
    claim_batch(&client, &epoch.operator, &file, batch, None).await.unwrap();
    world.settlement_holds(&client, epoch.settlement_before).await;
    world.check_conservation(&client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_does_not_answer_a_challenge_loses_it() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve(world, &client, 2).await;
    let file = epoch.settle(world, &client).await;
    let batch = epoch.post(world, &client, &file).await;
    let challenger = world.person(&client, open(PURSE)).await;
    let case = Case::against_settlement(&client, batch, &file).await.unwrap();
    let dispute = Challenger::open(&client, &challenger, case).await.unwrap();
    assert_eq!(dispute.play(&Progress::silent()).await.unwrap(), ChallengeStatus::ChallengerWon);
    let decided = client.settlement().batch(batch).await.unwrap();
    epoch.check_undone(world, &client, &decided).await;
}
