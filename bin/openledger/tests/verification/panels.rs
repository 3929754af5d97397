//! Panels that are drawn, and larger ones that are asked about what they decided.

use alloy_primitives::{Address, U256};
use openledger_client::{Client, Filter};
use openledger_types::abi::{BatchStatus, ISettlement};
use openledger_types::amount::ppm_of;
use openledger_types::batch::BatchFile;
use openledger_worker::Progress;
use openledger_worker::claim::claim_batch;
use openledger_worker::dispute::Defender;
use openledger_worker::verify::Act;

use crate::batches::Epoch;
use crate::eventually::eventually;
use crate::world::{LIAR_STAKE, STAKE, World, aside, open};

/// What the operator has in bonds of appeals at most, OPEN.
const BONDS: u64 = 500;
/// Of so many draws one reaches liars alone, with all but one in ten thousand runs.
const DRAWS: u64 = 20;

/// Who was drawn for a batch first.
async fn first_panel(world: &World, client: &Client, batch: U256) -> Vec<Address> {
    eventually("a draw", async || {
        let seed = client.settlement().call(&ISettlement::seedCall { batch }).await.unwrap();
        (!seed.is_zero()).then_some(())
    })
    .await;
    let mut panel = Vec::new();
    for verifier in world.liars.iter().chain(&world.verifiers).copied() {
        if client.settlement().call(&ISettlement::isAssignedCall { batch, verifier }).await.unwrap() {
            panel.push(verifier);
        }
    }
    panel
}

/// Posts the same answers for one epoch after another until liars alone are drawn; returns all batches, that one last, with its panel.
async fn until_liars_are_drawn(
    world: &World,
    client: &Client,
    epoch: &mut Epoch,
) -> (Vec<(U256, BatchFile)>, Vec<Address>) {
    let mut batches = Vec::new();
    for number in 1..=DRAWS {
        let mut answers = epoch.answers.clone();
        for answer in &mut answers {
            answer.receipt.epoch = number;
            epoch.sign(client, answer);
        }
        epoch.answers = answers;
        let file = epoch.settle(world, client).await;
        let batch = epoch.post(world, client, &file).await;
        batches.push((batch, file));
        let panel = first_panel(world, client, batch).await;
        if !panel.is_empty() && panel.iter().all(|drawn| world.liars.contains(drawn)) {
            return (batches, panel);
        }
    }
    panic!("no draw of {DRAWS} reached liars alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn d23_what_a_panel_of_liars_decided_is_overturned_by_a_larger_one_that_the_operator_asks() {
    let (world, client, _turn) = World::enter_drawn().await;
    let mut epoch = Epoch::serve(world, &client, 1).await;
    let operator = epoch.operator.address();
    world.give(&client, operator, open(BONDS)).await;
    let (url, folders, machine) = (client.url().to_owned(), world.folders.clone(), world.machine.clone());
    let (wallet, from) = (epoch.operator.clone(), client.block_number().await.unwrap());
    aside(async move {
        let client = Client::connect(&url).await.unwrap();
        let role = Defender::new(client, folders, machine, wallet, Progress::silent(), from);
        role.appealing(open(BONDS)).run().await;
    });
    let (batches, panel) = until_liars_are_drawn(world, &client, &mut epoch).await;
    let batch = batches.last().unwrap().0;

    let decided = world.decided(&client, batch).await;
    assert_eq!(decided.status, BatchStatus::Finalised);
    assert!(decided.round >= 1, "a larger panel was asked");
    let read =
        async |round| client.settlement().call(&ISettlement::appealOfCall { batch, round }).await.unwrap();
    let (first, second) = (read(0).await, read(1).await);
    assert_eq!(first.agreeStake, U256::ZERO);
    assert_eq!(first.disagreeStake, open(LIAR_STAKE) * U256::from(panel.len()));
    assert_eq!((second.appellant, second.contestsPayment), (operator, false));
    assert!(decided.agreeStake > decided.disagreeStake);
    let settled = client
        .settlement()
        .events::<ISettlement::AppealSettled>(
            Filter::new().topic1(alloy_primitives::B256::from(batch)),
            decided.postedAt,
            client.block_number().await.unwrap(),
        )
        .await
        .unwrap();
    assert!(settled.iter().all(|event| event.data.returned == open(100) || event.data.round == 2));

    // Everybody of the first panel loses a hundredth, which is the appellant's as far as it does not exceed the bond.
    let slash = open(LIAR_STAKE) / U256::from(100);
    eventually("the punishment of the first panel", async || {
        let left = read(1).await.prize;
        (left == second.bond - slash * U256::from(panel.len())).then_some(())
    })
    .await;
    for liar in &panel {
        let left = client.staking().staker(*liar).await.unwrap().stake;
        assert!(left <= open(LIAR_STAKE) - slash, "{liar} has {left}");
    }
    for verifier in &world.verifiers {
        assert_eq!(client.staking().staker(*verifier).await.unwrap().stake, open(STAKE));
    }

    // Those who looked share half of the validators' part, to the wei.
    let pot = ppm_of(decided.totals.validators, 500_000);
    eventually("the verdicts' pay, to the wei", async || {
        let paid: Vec<U256> = world
            .acts()
            .into_iter()
            .filter_map(
                |(_, act)| if let Act::Paid(id, wei) = act { (id == batch).then_some(wei) } else { None },
            )
            .collect();
        let left = client.settlement().batch(batch).await.unwrap().pot;
        let sum = paid.iter().fold(U256::ZERO, |sum, wei| sum + *wei);
        (left.is_zero() && sum == pot).then_some(())
    })
    .await;

    // Whatever became of the batches before it, nothing stays behind.
    for (batch, file) in &batches {
        if world.decided(&client, *batch).await.status == BatchStatus::Finalised {
            claim_batch(&client, &epoch.operator, file, *batch, None).await.unwrap();
        }
    }
    world.settlement_holds(&client, epoch.settlement_before).await;
    world.check_conservation(&client).await;
}
