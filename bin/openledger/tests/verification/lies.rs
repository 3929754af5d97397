//! Every kind of lie that an operator can post.

use std::sync::Arc;

use alloy_primitives::{Address, U256};
use openledger_client::Client;
use openledger_corpus::blob::content_hash;
use openledger_model::{Adapter, load_peft};
use openledger_serve::{Engine, Outcome};
use openledger_types::batch::BatchFile;
use openledger_types::receipt::{Answer, encode_document};
use openledger_worker::operator::attribute;
use openledger_worker::settle::post_of;
use openledger_worker::verify::Verdict;

use crate::batches::{Epoch, now, publish};
use crate::world::{STEPS, World};

const ACCOMPLICE: Address = Address::repeat_byte(0xac);

/// Posts a batch with this lie in it and checks that every verifier who looks finds it where it is, and what follows from that.
async fn check(
    in_answer: impl FnOnce(&World, &Client, &Epoch, &mut Answer),
    in_file: impl FnOnce(&mut BatchFile),
    field: &str,
) {
    let (world, client, _turn) = World::enter().await;
    let mut epoch = Epoch::serve(world, &client, 2).await;
    let mut answer = epoch.answers[1].clone();
    in_answer(world, &client, &epoch, &mut answer);
    epoch.answers[1] = answer;
    let mut file = epoch.settle(world, &client).await;
    in_file(&mut file);
    let batch = epoch.post(world, &client, &file).await;
    check_caught(world, &client, &epoch, batch, field).await;
}

pub(crate) async fn check_caught(world: &World, client: &Client, epoch: &Epoch, batch: U256, field: &str) {
    let decided = world.decided(client, batch).await;
    let verdicts = world.verdicts(batch);
    assert_eq!(verdicts.len(), world.verifiers.len());
    for verdict in verdicts {
        let Verdict::Different(difference) = verdict else { panic!("a verifier found nothing") };
        assert!(difference.field.starts_with(field), "found in {difference}, the lie is in {field}");
    }
    assert_eq!((decided.agree, decided.disagree), (1, 3), "who does not look is led astray");
    epoch.check_undone(world, client, &decided).await;
}

fn honest_answer(_: &World, _: &Client, _: &Epoch, _: &mut Answer) {}

fn honest_file(_: &mut BatchFile) {}

/// An answer that some other adapter gives, or none, with everything else made for the adapter that was paid for.
fn answered_with(
    adapter: Option<&Arc<Adapter>>,
    world: &World,
    client: &Client,
    epoch: &Epoch,
    answer: &mut Answer,
) {
    let engine =
        Engine::new(world.machine.model.clone(), world.machine.tokenizer.clone(), world.machine.pool.clone());
    let prompt = &answer.request.prompt_tokens;
    let made = engine.generate(adapter, prompt, &answer.request.sampling, |_| {}).unwrap();
    assert_ne!(made.tokens, answer.response.tokens, "the adapters answer differently");
    say(world, epoch, &engine, answer, made.tokens);
    epoch.sign(client, answer);
}

/// Has the answer say these tokens, with counts and attribution that follow from them.
fn say(world: &World, epoch: &Epoch, engine: &Engine, answer: &mut Answer, tokens: Vec<u32>) {
    let said = Outcome::of(engine.tokenizer(), &answer.request.sampling, &tokens);
    let served = world.folders.adapter(world.adapter.adapter.manifestHash).join("peft");
    let served = load_peft(&served, world.machine.model.config()).unwrap();
    let prompt = &answer.request.prompt_tokens;
    let salt = answer.attribution.salt;
    answer.attribution =
        attribute(engine, &served, &epoch.evidence, salt, prompt, &tokens, Vec::new()).unwrap();
    answer.receipt.completionTokens = tokens.len() as u32;
    answer.response.text = said.text;
    answer.response.finish_reason = said.finish_reason;
    answer.response.tokens = tokens;
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_an_answer_of_another_adapter_is_caught() {
    let lie = |world: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        answered_with(Some(&world.other), world, client, epoch, answer);
    };
    check(lie, honest_file, "answers[1].response.tokens[").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_an_answer_of_the_base_model_alone_is_caught() {
    let lie = |world: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        answered_with(None, world, client, epoch, answer);
    };
    check(lie, honest_file, "answers[1].response.tokens[").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d13_one_forged_token_is_caught_where_it_stands() {
    let lie = |world: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        let engine = Engine::new(
            world.machine.model.clone(),
            world.machine.tokenizer.clone(),
            world.machine.pool.clone(),
        );
        let mut tokens = answer.response.tokens.clone();
        tokens[3] = (tokens[3] + 1) % 200;
        say(world, epoch, &engine, answer, tokens);
        epoch.sign(client, answer);
    };
    check(lie, honest_file, "answers[1].response.tokens[3]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_more_tokens_than_the_answer_has_are_caught() {
    let lie = |_: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        answer.receipt.completionTokens += 100;
        epoch.sign(client, answer);
    };
    check(lie, honest_file, "answers[1].receipt.completionTokens").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_a_prompt_longer_than_what_was_asked_is_caught() {
    let lie = |_: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        let last = *answer.request.prompt_tokens.last().unwrap();
        answer.request.prompt_tokens.extend([last; 20]);
        answer.receipt.promptTokens += 20;
        epoch.sign(client, answer);
    };
    check(lie, honest_file, "answers[1].request.prompt_tokens").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_a_price_that_the_adapter_never_had_is_caught() {
    let lie = |_: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        answer.receipt.outputPrice *= U256::from(2);
        epoch.sign(client, answer);
    };
    check(lie, honest_file, "answers[1].receipt (inputPrice, outputPrice)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d15_a_question_that_no_model_can_be_given_is_the_operators_fault() {
    let lie = |_: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        answer.request.sampling.temperature_milli = 1_000_000;
        epoch.sign(client, answer);
    };
    check(lie, honest_file, "answers[1].request and response").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d16_an_attribution_that_names_nobody_is_caught() {
    let lie = |_: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        answer.attribution.contributors.clear();
        answer.attribution.records.clear();
        answer.attribution.unattributed_ppm = 1_000_000;
        epoch.sign(client, answer);
    };
    check(lie, honest_file, "answers[1].attribution.contributors").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d16_an_attribution_shifted_to_an_accomplice_is_caught() {
    let lie = |_: &World, client: &Client, epoch: &Epoch, answer: &mut Answer| {
        answer.attribution.contributors[0].account = ACCOMPLICE;
        epoch.sign(client, answer);
    };
    check(lie, honest_file, "answers[1].attribution.contributors[0].account").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d16_credit_shifted_to_an_accomplice_with_payouts_that_follow_from_it_is_caught() {
    let lie = |file: &mut BatchFile| {
        let robbed = file.credits[0].contributor;
        for credit in &mut file.credits {
            if credit.contributor == robbed {
                credit.contributor = ACCOMPLICE;
            }
        }
        for payout in &mut file.payouts {
            if payout.account == robbed {
                payout.account = ACCOMPLICE;
            }
        }
    };
    check(honest_answer, lie, "credits[0].contributor").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d16_payouts_that_do_not_follow_from_the_credits_are_caught() {
    let lie = |file: &mut BatchFile| file.payouts[0].account = ACCOMPLICE;
    check(honest_answer, lie, "payouts[0].account").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payer_charged_for_the_answers_of_another_is_found_out() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve(world, &client, 2).await;
    let file = epoch.settle(world, &client).await;
    let mut post = post_of(&file, publish(world, &file), STEPS, now(&client).await);
    let moved = post.charges.pop().unwrap();
    post.charges[0].amount += moved.amount;
    let batch = client.settlement().post(&epoch.operator, post).await.unwrap();
    check_caught(world, &client, &epoch, batch, "charge of key").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_of_fewer_steps_than_the_training_has_is_caught() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve(world, &client, 1).await;
    let file = epoch.settle(world, &client).await;
    let post = post_of(&file, publish(world, &file), STEPS - 1, now(&client).await);
    let batch = client.settlement().post(&epoch.operator, post).await.unwrap();
    check_caught(world, &client, &epoch, batch, "batch.steps").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_file_is_the_operators_failure() {
    let (world, client, _turn) = World::enter().await;
    let epoch = Epoch::serve(world, &client, 1).await;
    let file = epoch.settle(world, &client).await;
    let hash = content_hash(&encode_document(&file));
    let post = post_of(&file, hash, STEPS, now(&client).await);
    let batch = client.settlement().post(&epoch.operator, post).await.unwrap();
    check_caught(world, &client, &epoch, batch, "batch file").await;
}
