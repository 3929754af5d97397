//! Challenges over the chain: challenger, operator and judges, each in its role, down to one step.

use alloy_primitives::{I256, U256, keccak256};
use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_types::abi::{BatchStatus, Challenge, ChallengeStatus, ISettlement};
use openledger_types::batch::BatchFile;
use openledger_worker::Progress;
use openledger_worker::claim::claim_batch;
use openledger_worker::dispute::{Case, Challenger, Defender, States};
use openledger_worker::verify::Act;

use crate::batches::Epoch;
use crate::eventually::eventually;
use crate::world::{STAKE, STEPS, World, aside, open};

/// OPEN that a challenger holds: the bond, and something for gas.
const PURSE: u64 = 101;

/// For how long an operator defends its batches.
const DEFENDED: std::time::Duration = std::time::Duration::from_secs(240);

/// Lets the operator of an epoch defend what it posts.
pub(crate) async fn defend(world: &World, client: &Client, epoch: &Epoch) {
    let (url, folders, wallet) = (client.url().to_owned(), world.folders.clone(), epoch.operator.clone());
    let (machine, from) = (world.machine.clone(), client.block_number().await.unwrap());
    aside(async move {
        let until = std::time::Instant::now() + DEFENDED;
        let client = Client::connect(&url).await.unwrap();
        let mut role = Defender::new(client, folders, machine, wallet, Progress::silent(), from);
        while std::time::Instant::now() < until {
            role.next().await.unwrap();
        }
    });
}

/// The case of whoever denies the settlement.
async fn against(world: &World, client: &Client, batch: U256, file: &BatchFile) -> Case {
    let (folders, machine, silent) = (&world.folders, &world.machine, Progress::silent());
    Case::against_settlement(client, folders, machine, batch, file, &silent).await.unwrap()
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
    world.hold(true);
    let batch = epoch.post(world, &client, &file).await;

    let challenger = world.person(&client, open(PURSE)).await;
    let (folders, machine, silent) = (&world.folders, &world.machine, Progress::silent());
    let found = Case::find(&client, folders, machine, batch, &silent).await.unwrap();
    let (case, difference) = found.unwrap();
    assert_eq!((case.false_step, difference.field.as_str()), (2, "answers[2].response.text"));
    let dispute = Challenger::open(&client, &world.folders, &world.machine, &challenger, case).await.unwrap();
    world.hold(false);
    let end = dispute.play(&silent).await.unwrap();
    assert_eq!(end, ChallengeStatus::ChallengerWon);
    let judged = judged(&client, &dispute).await;
    assert_eq!((judged.low, judged.high), (2, 3));
    assert_eq!((judged.upheldStake, judged.refutedStake > U256::ZERO), (U256::ZERO, true));
    let decided = client.settlement().batch(batch).await.unwrap();
    epoch.check_undone(world, &client, &decided).await;
    // The judges share a part of the bond, and keep nothing back. Who guessed the same has none of it, and loses stake.
    world.judges_are_paid(&client, dispute.challenge()).await;
    assert!(judged.refutedStake > open(STAKE) * U256::from(world.verifiers.len()), "the guess counts");
    eventually("the punishment of who guessed", async || {
        let is_it = |act: &Act| matches!(act, Act::StepPunished(id, who, wei) if *id == dispute.challenge() && *who == world.lazy && !wei.is_zero());
        world.did(is_it).then_some(())
    })
    .await;
    for verifier in &world.verifiers {
        assert_eq!(client.staking().staker(*verifier).await.unwrap().stake, open(STAKE));
    }
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
    world.hold(true);
    let batch = epoch.post(world, &client, &file).await;

    let challenger = world.person(&client, open(PURSE)).await;
    let case = against(world, &client, batch, &file).await;
    let dispute = Challenger::open(&client, &world.folders, &world.machine, &challenger, case).await.unwrap();
    world.hold(false);
    assert_eq!(dispute.play(&Progress::silent()).await.unwrap(), ChallengeStatus::ChallengerWon);
    // After two answers, their gradients and the replay.
    assert_eq!(judged(&client, &dispute).await.low as usize, 2 + 2 + STEPS);
    let decided = client.settlement().batch(batch).await.unwrap();
    epoch.check_undone(world, &client, &decided).await;
}

/// The operator's moves of a replay whose states are another's from `lie` steps of the batch on.
async fn lie_from(world: &World, client: &Client, epoch: &Epoch, batch: U256, file: &BatchFile, lie: u32) {
    let (folders, machine, silent) = (&world.folders, &world.machine, Progress::silent());
    let posted = client.settlement().batch(batch).await.unwrap();
    let states = States::load(client, folders, machine, &posted, file, &silent).await.unwrap();
    let (url, operator) = (client.url().to_owned(), epoch.operator.clone());
    aside(async move {
        let client = Client::connect(&url).await.unwrap();
        loop {
            let id = client.settlement().call(&ISettlement::challengeCountCall {}).await.unwrap();
            let read = client.settlement().call(&ISettlement::challengeOfCall { id }).await;
            match read {
                Ok(read) if read.batch == batch && read.status == ChallengeStatus::Bisecting => {
                    let middle = read.low.midpoint(read.high);
                    let right = states.after(middle).unwrap();
                    let state = if middle > lie { keccak256(right) } else { right };
                    let call = ISettlement::bisectCall { challenge: id, state };
                    client.settlement().transact(&operator, &call).await.unwrap();
                }
                Ok(read) if read.batch == batch && read.status == ChallengeStatus::Judging => break,
                _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn d16_a_shifted_attribution_is_bisected_to_the_step_of_the_replay_that_differs() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve(world, &client, 2).await;
    let mut file = epoch.settle(world, &client).await;
    // What a contributor's records did is said to be a little more, from the tenth step of the replay on.
    file.credits[0].influence_wei += I256::ONE;
    world.hold(true);
    let batch = epoch.post(world, &client, &file).await;
    let lie = 2 + 2 + 10;
    lie_from(world, &client, &epoch, batch, &file, lie).await;

    let challenger = world.person(&client, open(PURSE)).await;
    let (folders, machine, silent) = (&world.folders, &world.machine, Progress::silent());
    let (case, difference) = Case::find(&client, folders, machine, batch, &silent).await.unwrap().unwrap();
    assert_eq!(difference.field, "credits[0].influence_wei");
    assert_eq!(case.false_step as usize, 2 + 2 + STEPS, "of an honest replay only the payouts are false");
    let dispute = Challenger::open(&client, folders, machine, &challenger, case).await.unwrap();
    world.hold(false);
    assert_eq!(dispute.play(&silent).await.unwrap(), ChallengeStatus::ChallengerWon);
    let judged = judged(&client, &dispute).await;
    assert_eq!((judged.low, judged.high), (lie, lie + 1), "one step of the replay");
    assert_eq!((judged.upheldStake, judged.refutedStake > U256::ZERO), (U256::ZERO, true));
    // The judges began at the state that both sides agree on, which stands in the corpus, and took it through one step.
    let blobs = Blobs::open(folders.corpus()).unwrap();
    assert!(blobs.exists(judged.lowState));
    let decided = client.settlement().batch(batch).await.unwrap();
    world.judges_are_paid(&client, dispute.challenge()).await;
    epoch.check_undone(world, &client, &decided).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d26_who_denies_a_right_step_of_the_replay_pays_its_operator() {
    let (world, client, _turn) = World::enter().await;
    // The gradient of the first answer, and the sixth step of the replay.
    for false_step in [2, 2 + 2 + 5] {
        let epoch = Epoch::serve(world, &client, 2).await;
        let file = epoch.settle(world, &client).await;
        defend(world, &client, &epoch).await;
        world.hold(true);
        let batch = epoch.post(world, &client, &file).await;
        let griefer = world.person(&client, open(PURSE)).await;
        let case = Case { false_step, ..against(world, &client, batch, &file).await };
        let (folders, machine) = (&world.folders, &world.machine);
        let dispute = Challenger::open(&client, folders, machine, &griefer, case).await.unwrap();
        world.hold(false);
        assert_eq!(dispute.play(&Progress::silent()).await.unwrap(), ChallengeStatus::OperatorWon);
        let judged = judged(&client, &dispute).await;
        assert_eq!((judged.low, judged.high), (false_step, false_step + 1));
        world.judges_are_paid(&client, dispute.challenge()).await;
        assert_eq!(world.decided(&client, batch).await.status, BatchStatus::Finalised);
        claim_batch(&client, &epoch.operator, &file, batch, None).await.unwrap();
        world.settlement_holds(&client, epoch.settlement_before).await;
        world.check_conservation(&client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn d26_who_challenges_an_honest_batch_pays_its_operator() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve(world, &client, 2).await;
    let file = epoch.settle(world, &client).await;
    defend(world, &client, &epoch).await;
    world.hold(true);
    let batch = epoch.post(world, &client, &file).await;

    let griefer = world.person(&client, open(PURSE)).await;
    let case = Case { false_step: 0, ..against(world, &client, batch, &file).await };
    let dispute = Challenger::open(&client, &world.folders, &world.machine, &griefer, case).await.unwrap();
    world.hold(false);
    let operator_before = client.balance(epoch.operator.address()).await.unwrap();
    assert_eq!(dispute.play(&Progress::silent()).await.unwrap(), ChallengeStatus::OperatorWon);
    let gained = client.balance(epoch.operator.address()).await.unwrap() - operator_before;
    // Half of the bond, less gas: the other half is for those who judged.
    assert!(gained > open(49) && gained <= open(50), "{gained}");
    world.judges_are_paid(&client, dispute.challenge()).await;
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
    world.hold(true);
    let batch = epoch.post(world, &client, &file).await;
    let challenger = world.person(&client, open(PURSE)).await;
    let case = against(world, &client, batch, &file).await;
    let dispute = Challenger::open(&client, &world.folders, &world.machine, &challenger, case).await.unwrap();
    world.hold(false);
    assert_eq!(dispute.play(&Progress::silent()).await.unwrap(), ChallengeStatus::ChallengerWon);
    let decided = client.settlement().batch(batch).await.unwrap();
    epoch.check_undone(world, &client, &decided).await;
}
