use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_primitives::{Address, B256, U256};
use openledger_attribution::influence::{Index, IndexInputs};
use openledger_attribution::spans::{Shard, Shards, SpanIndex};
use openledger_client::{ApiKey, Wallet, recover_receipt_signer};
use openledger_model::{Adapter, LoraConfig, LoraLayout, Model, Pool, Record, Sample, Target, init};
use openledger_serve::{AdapterLimits, Adapters, Engine, Scheduler};
use openledger_train::adapter_hash;
use openledger_types::abi::Authorisation;
use openledger_types::receipt::{Answer, FinishReason, Message, Role, Tier, document_hash};
use openledger_types::split::FeeSplit;
use proptest::prelude::*;
use tempfile::TempDir;

use super::ledger::{Ledger, NotReserved, Wanted};
use super::*;

mod sources;

const CHAIN_ID: u64 = 20_260;
const INPUT_PRICE: u64 = 1_000;
const OUTPUT_PRICE: u64 = 3_000;
const FAR: u64 = u64::MAX;

/// The escrow module in memory.
#[derive(Default)]
struct Escrow {
    keys: Mutex<BTreeMap<B256, Authorisation>>,
    balances: Mutex<BTreeMap<Address, U256>>,
}

impl Escrow {
    fn authorise(&self, key: &ApiKey, change: impl FnOnce(&mut Authorisation)) {
        let mut authorisation = Authorisation {
            payer: Address::repeat_byte(7),
            operator: Address::ZERO,
            cap: U256::from(10_000_000),
            spent: U256::ZERO,
            expiresAt: FAR,
            revokedAt: 0,
        };
        change(&mut authorisation);
        self.keys.lock().expect("nobody panicked").insert(key.hash(), authorisation);
    }

    fn deposit(&self, payer: Address, balance: u64) {
        self.balances.lock().expect("nobody panicked").insert(payer, U256::from(balance));
    }
}

impl Payments for Escrow {
    fn standing(&self, key: B256) -> Lookup<'_> {
        let authorisation = self.keys.lock().expect("nobody panicked").get(&key).cloned();
        let balances = self.balances.lock().expect("nobody panicked");
        let balance =
            authorisation.as_ref().and_then(|a| balances.get(&a.payer)).copied().unwrap_or_default();
        Box::pin(async move { Ok(Standing { authorisation, balance }) })
    }
}

/// An operator of the tiny model on a folder of its own.
struct House {
    folder: TempDir,
    wallet: Wallet,
    escrow: Arc<Escrow>,
    scheduler: Scheduler,
    key: ApiKey,
    operator: Operator,
}

impl House {
    fn new() -> Self {
        Self::with(Default::default())
    }

    fn with(settings: openledger_serve::Settings) -> Self {
        let (model, tokenizer) = Model::tiny(5);
        let pool = Pool::new(2).expect("threads start");
        let engine = Engine::new(Arc::new(model), Arc::new(tokenizer), pool);
        let aside = Pool::new(1).expect("a thread starts");
        let scheduler = Scheduler::start(engine, aside, settings).expect("a thread starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (wallet, escrow, key) = (Wallet::random(), Arc::new(Escrow::default()), ApiKey::generate());
        escrow.authorise(&key, |a| a.operator = wallet.address());
        escrow.deposit(Address::repeat_byte(7), 10_000_000);
        let operator = open(folder.path(), &wallet, &scheduler, &escrow).expect("an empty folder opens");
        operator.serve(served(scheduler.engine())).expect("the name is free");
        Self { folder, wallet, escrow, scheduler, key, operator }
    }

    /// What a restart of the program gives.
    fn reopen(&self) -> Result<Operator, StoreError> {
        let operator = open(self.folder.path(), &self.wallet, &self.scheduler, &self.escrow)?;
        operator.serve(served(self.scheduler.engine())).expect("the name is free");
        Ok(operator)
    }

    async fn answer(&self, max_tokens: u32) -> Answer {
        let answer = self.operator.answer(self.key.reveal(), "tiny", ask(max_tokens), |_| {}).await;
        answer.expect("the question is paid for")
    }

    async fn refusal(&self, model: &str, ask: Ask) -> ServeError {
        self.operator.accept(self.key.reveal(), model, ask).await.expect_err("the question is refused")
    }
}

fn open(
    folder: &Path,
    wallet: &Wallet,
    scheduler: &Scheduler,
    escrow: &Arc<Escrow>,
) -> Result<Operator, StoreError> {
    let settings = Settings {
        chain_id: CHAIN_ID,
        split: FeeSplit::GENESIS,
        folder: folder.to_owned(),
        limits: Limits { answer_tokens: 600, ..Limits::default() },
    };
    let shape = scheduler.engine().model().config().clone();
    let hash = |adapter: &Adapter| adapter_hash(adapter.config(), adapter.theta());
    let registry = Adapters::start(shape, AdapterLimits::default(), hash).expect("a thread starts");
    Operator::open(settings, wallet.clone(), scheduler.clone(), registry, escrow.clone())
}

fn ask(max_tokens: u32) -> Ask {
    Ask {
        messages: vec![Message { role: Role::User, content: "What does the Rust crate serde do?".into() }],
        temperature_milli: 800,
        top_p_milli: 950,
        seed: Some(11),
        max_tokens: Some(max_tokens),
        ..Ask::default()
    }
}

fn served(engine: &Engine) -> ServedAdapter {
    let lora = LoraConfig { rank: 2, alpha: 16.0, first_layer: 2, targets: vec![Target::Q, Target::V] };
    let shape = engine.model().config();
    let layout = LoraLayout::new(shape, &lora).expect("it fits the tiny model");
    let mut theta = init(shape, &layout, [3; 32]);
    for (index, parameter) in theta.iter_mut().enumerate() {
        *parameter += ((index % 11) as f32 - 5.0) * 0.04;
    }
    let adapter = Adapter::new(shape, lora, theta).expect("it fits the layout");
    let evidence = evidence(engine, &adapter);
    ServedAdapter {
        id: U256::from(1),
        name: "tiny".into(),
        base_hash: B256::repeat_byte(1),
        adapter_hash: B256::repeat_byte(2),
        datanets_root: B256::repeat_byte(3),
        input_price: U256::from(INPUT_PRICE),
        output_price: U256::from(OUTPUT_PRICE),
        developer: Address::repeat_byte(4),
        created_at: 1_700_000_000,
        adapter: Some(Arc::new(adapter)),
        evidence: EvidenceSource::held(evidence),
        sources: Some(sources::shelf()),
    }
}

/// Six records of three contributors.
fn evidence(engine: &Engine, adapter: &Adapter) -> Evidence {
    let texts = ["serde reads", "serde writes", "rayon threads", "rayon joins", "tokio waits", "tokio wakes"];
    let mut records = vec![];
    let mut gradients = vec![];
    let mut indexed = vec![];
    for (number, text) in texts.into_iter().enumerate() {
        let (hash, owner) = (B256::with_last_byte(number as u8), Address::with_last_byte(number as u8 / 2));
        let tokens = engine.tokenizer().encode(text).expect("a short text");
        let sample = Sample { targets: 1..tokens.len(), tokens: tokens.clone() };
        let prefix = engine
            .model()
            .prefix(engine.pool(), adapter.config().first_layer, &tokens)
            .expect("the tokens fit");
        let record = Record::new(&prefix, &sample);
        let gradient =
            engine.model().nll_grad(engine.pool(), adapter.lora(), record).expect("it has a gradient");
        gradients.push(Some(gradient.grad));
        records.push((hash, owner));
        indexed.push((hash, owner, tokens));
    }
    let index = Index::build(IndexInputs {
        transcript: B256::ZERO,
        gradients: &gradients,
        displacement: &[],
        metric: &[],
        damping: 0.1,
    });
    let shard = Shard { version: 0, index: SpanIndex::build(&indexed).expect("six records") };
    Evidence {
        estimate: Estimate::Fisher { index: index.expect("the gradients are independent"), records },
        spans: Some(Shards::new([shard]).expect("one shard")),
    }
}

#[tokio::test]
async fn a_paid_answer_is_signed_stored_and_re_executes_to_the_same_bytes() {
    let house = House::new();
    let answer = house.answer(20).await;
    let Answer { receipt, signature, request, response, attribution } = &answer;
    assert_eq!(receipt.fee, receipt.expected_fee().expect("a small fee"));
    assert_eq!(receipt.completionTokens as usize, response.tokens.len());
    assert_eq!(receipt.promptTokens as usize, request.prompt_tokens.len());
    assert_eq!(
        (receipt.requestHash, receipt.responseHash),
        (document_hash(request), document_hash(response))
    );
    assert_eq!(receipt.attributionHash, document_hash(attribution));
    let signer = recover_receipt_signer(receipt, signature, CHAIN_ID).expect("it is a signature");
    assert_eq!(signer, house.operator.address());
    let stored = house.operator.receipt(receipt.id(CHAIN_ID)).expect("the folder is readable");
    assert_eq!(stored.as_ref(), Some(&answer));

    let adapter = house.operator.adapter("tiny").expect("it is served");
    let difference = house.scheduler.engine().verify_generation(
        adapter.adapter.as_ref(),
        &request.prompt_tokens,
        &request.sampling,
        &response.tokens,
    );
    assert_eq!(difference.expect("it re-executes"), None);
    let again = attribute(
        house.scheduler.engine(),
        adapter.adapter.as_ref().expect("it is held"),
        &house.operator.evidence(&adapter).expect("it is in memory"),
        attribution.salt,
        &request.prompt_tokens,
        &response.tokens,
        Vec::new(),
    );
    assert_eq!(&again.expect("it attributes"), attribution);
    assert_eq!(attribution.tier, Tier::EmpiricalFisher);
    assert!(!attribution.contributors.is_empty());
    let shares: u32 = attribution.contributors.iter().map(|c| c.share_ppm).sum();
    assert_eq!(shares + attribution.unattributed_ppm, 1_000_000);
}

#[tokio::test]
async fn the_same_question_with_the_same_seed_gets_the_same_answer() {
    let house = House::new();
    let (first, second) = (house.answer(12).await, house.answer(12).await);
    assert_eq!(first.response.tokens, second.response.tokens);
    assert_eq!((first.receipt.sequence, second.receipt.sequence), (0, 1));
    assert_ne!(first.receipt.requestHash, second.receipt.requestHash, "every request has its own salt");
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_before_anything_is_reserved() {
    let house = House::new();
    assert!(matches!(
        house.refusal("medium", ask(5)).await,
        ServeError::ModelNotFound { model, served } if model == "medium" && served == ["tiny"]
    ));
    assert!(matches!(house.operator.accept("sk-123", "tiny", ask(5)).await, Err(ServeError::InvalidKey(_))));
    let empty = Ask { messages: vec![], ..ask(5) };
    let many = Ask { messages: vec![ask(5).messages[0].clone(); 257], ..ask(5) };
    let hot = Ask { temperature_milli: 2001, ..ask(5) };
    for (param, bad) in [
        ("messages", empty),
        ("messages", many),
        ("temperature", hot),
        ("max_tokens", ask(601)),
        ("max_tokens", ask(0)),
    ] {
        let refusal = house.refusal("tiny", bad).await;
        assert!(
            matches!(refusal, ServeError::InvalidRequest { param: named, .. } if named == param),
            "{refusal:?}"
        );
    }
    let long = Message { role: Role::User, content: "x".repeat(600) };
    let long = Ask { messages: vec![long], ..ask(600) };
    assert!(matches!(house.refusal("tiny", long).await, ServeError::ContextExceeded { limit: 1024, .. }));
    assert_eq!(house.operator.held(house.key.hash()), U256::ZERO);
    assert_eq!(house.scheduler.present(), 0);
}

#[tokio::test]
async fn a_key_that_does_not_cover_the_answer_is_told_what_is_missing() {
    let house = House::new();
    let (operator, payer) = (house.operator.address(), Address::repeat_byte(7));
    let prompt = house.answer(1).await.receipt.promptTokens;
    let spent = house.operator.held(house.key.hash());
    let needed = U256::from(u64::from(prompt) * INPUT_PRICE + 10 * OUTPUT_PRICE);
    let refused = async || match house.refusal("tiny", ask(10)).await {
        ServeError::Payment(missing) => *missing,
        other => panic!("{other:?}"),
    };
    let change = |change: &dyn Fn(&mut Authorisation)| {
        house.escrow.authorise(&house.key, |a| {
            a.operator = operator;
            change(a);
        });
    };
    for (problem, edit) in [
        (PaymentProblem::Revoked { at: 5 }, (&|a: &mut Authorisation| a.revokedAt = 5) as &dyn Fn(&mut _)),
        (PaymentProblem::Expired { at: 9 }, &|a: &mut Authorisation| a.expiresAt = 9),
        (PaymentProblem::OtherOperator { authorised: payer }, &|a: &mut Authorisation| a.operator = payer),
    ] {
        change(edit);
        let missing = refused().await;
        assert_eq!((missing.problem, missing.needed_wei, missing.payer), (problem, needed, Some(payer)));
    }
    change(&|a| a.cap = needed + spent - U256::from(1));
    let missing = refused().await;
    assert_eq!(missing.problem, PaymentProblem::CapTooSmall);
    assert_eq!(missing.available_wei, needed - U256::from(1), "what is unsettled is not available");
    change(&|_| {});
    house.escrow.deposit(payer, 0);
    let missing = refused().await;
    assert_eq!((missing.problem, missing.available_wei), (PaymentProblem::DepositTooSmall, U256::ZERO));
    assert!(missing.to_string().contains(&missing.escrow.to_string()), "{missing}");
    house.escrow.deposit(payer, (needed + spent).to::<u64>());
    house.operator.accept(house.key.reveal(), "tiny", ask(10)).await.expect("exactly enough is enough");
    let unknown = ApiKey::generate();
    let missing = house.operator.accept(unknown.reveal(), "tiny", ask(10)).await;
    let Err(ServeError::Payment(missing)) = missing else { panic!("{missing:?}") };
    assert_eq!((missing.problem, missing.payer), (PaymentProblem::UnknownKey, None));
}

#[tokio::test]
async fn what_is_reserved_cannot_be_spent_twice_and_comes_back() {
    let house = House::new();
    let payer = Address::repeat_byte(7);
    let first = house.operator.accept(house.key.reveal(), "tiny", ask(10)).await.expect("it is covered");
    let reserved = house.operator.held(house.key.hash());
    house.escrow.deposit(payer, (reserved * U256::from(2) - U256::from(1)).to::<u64>());
    let other = ApiKey::generate();
    house.escrow.authorise(&other, |a| a.operator = house.operator.address());
    for key in [&house.key, &other] {
        let second = house.operator.accept(key.reveal(), "tiny", ask(10)).await;
        assert!(matches!(second, Err(ServeError::Payment(_))), "a deposit is one for all keys of its payer");
    }
    drop(first);
    assert_eq!(house.operator.held(house.key.hash()), U256::ZERO);
    let answer = house.answer(10).await;
    assert_eq!(
        house.operator.held(house.key.hash()),
        answer.receipt.fee,
        "the fee takes the reservation's place"
    );
    assert!(answer.receipt.fee <= reserved);
}

#[tokio::test]
async fn a_restart_finds_every_answer_and_goes_on_counting() {
    let house = House::new();
    for _ in 0..3 {
        house.answer(4).await;
    }
    let torn = house.folder.path().join("unsettled").join("0xabc.json.part");
    std::fs::write(&torn, b"{\"receipt\":").expect("the folder is writable");
    let reopened = house.reopen().expect("the folder opens");
    assert!(!torn.exists(), "what a kill left half written is removed");
    assert_eq!(reopened.pending(), house.operator.pending());
    assert_eq!(reopened.held(house.key.hash()), house.operator.held(house.key.hash()));
    let next = reopened.answer(house.key.reveal(), "tiny", ask(4), |_| {}).await.expect("it is covered");
    assert_eq!(next.receipt.sequence, 3);
    let answers = reopened.answers(0, U256::from(1)).expect("the folder is readable");
    assert_eq!(answers.iter().map(|a| a.receipt.sequence).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(reopened.unsettled_receipts(house.key.hash()).len(), 4);
}

#[tokio::test]
async fn a_posted_batch_frees_its_fees_even_if_the_program_dies_in_between() {
    let house = House::new();
    let (adapter, key) = (U256::from(1), house.key.hash());
    let first = house.answer(4).await;
    assert!(matches!(
        house.operator.mark_posted(0, adapter, U256::from(9)),
        Err(StoreError::EpochOpen { epoch: 0, current: 0 })
    ));
    assert_eq!(house.operator.set_epoch(1), 1);
    assert_eq!(house.operator.set_epoch(0), 1, "epochs only go forward");
    let second = house.answer(4).await;
    assert_eq!((second.receipt.epoch, second.receipt.sequence), (1, 0), "every epoch counts from 0");

    // The mark is on the disk and the answer was not moved: as after a kill between the two.
    std::fs::write(house.folder.path().join("posted").join("0-1"), b"9").expect("the folder is writable");
    let reopened = house.reopen().expect("the folder opens");
    assert_eq!(reopened.held(key), second.receipt.fee);
    assert_eq!(reopened.pending().len(), 1);
    let id = first.receipt.id(CHAIN_ID);
    assert_eq!(
        reopened.receipt(id).expect("the folder is readable"),
        Some(first),
        "a settled receipt is still shown"
    );

    house.operator.set_epoch(2);
    house.operator.mark_posted(0, adapter, U256::from(9)).expect("marking twice changes nothing");
    reopened.set_epoch(2);
    reopened.mark_posted(1, adapter, U256::from(10)).expect("the epoch is over");
    assert_eq!((reopened.held(key), reopened.pending()), (U256::ZERO, vec![]));
    let third = house.reopen().expect("the folder opens");
    assert_eq!((third.epoch(), third.pending()), (2, vec![]), "an epoch that was posted is never continued");
}

#[tokio::test]
async fn what_is_answered_while_an_epoch_settles_belongs_to_the_next() {
    let house = House::new();
    assert_eq!((house.operator.end_epoch(), house.operator.epoch()), (vec![], 0), "an empty epoch goes on");
    house.answer(2).await;
    let ended = house.operator.end_epoch();
    assert_eq!(ended, house.operator.pending());
    assert_eq!(house.answer(2).await.receipt.epoch, 1);
    for batch in &ended {
        let answers = house.operator.answers(batch.epoch, batch.adapter).expect("the folder is readable");
        assert_eq!(answers.len(), batch.answers);
        house.operator.mark_posted(batch.epoch, batch.adapter, U256::from(1)).expect("the epoch is over");
    }
    assert_eq!(house.operator.pending().iter().map(|batch| batch.epoch).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_damaged_answer_is_named_and_nothing_is_guessed() {
    let house = House::new();
    let answer = house.answer(4).await;
    let path = house.folder.path().join("unsettled").join(format!("{}.json", answer.receipt.id(CHAIN_ID)));
    let good = std::fs::read_to_string(&path).expect("it is stored");
    for bad in [
        good.replace("\"finish_reason\":\"length\"", "\"finish_reason\":\"stop\""),
        good.replace("\"sequence\":0", "\"sequence\":1"),
        good[..good.len() / 2].to_owned(),
        format!("{good}\n"),
    ] {
        assert_ne!(bad, good);
        std::fs::write(&path, bad).expect("the folder is writable");
        let refused = house.reopen().expect_err("the file is damaged");
        assert!(matches!(&refused, StoreError::Damaged { path: named, .. } if *named == path), "{refused}");
    }
    std::fs::write(&path, good).expect("the folder is writable");
    house.reopen().expect("it is whole again");
}

#[tokio::test]
async fn who_leaves_a_stream_pays_for_what_was_delivered() {
    let house = House::new();
    let accepted = house.operator.accept(house.key.reveal(), "tiny", ask(500)).await.expect("it is covered");
    let mut pieces = accepted.stream();
    for _ in 0..3 {
        assert!(matches!(pieces.recv().await, Some(Delivery::Piece(_))));
    }
    drop(pieces);
    until(|| house.scheduler.present() == 0).await;
    let answers = house.operator.answers(0, U256::from(1)).expect("the folder is readable");
    let [answer] = answers.as_slice() else { panic!("{} answers", answers.len()) };
    let tokens = &answer.response.tokens;
    assert!((3..500).contains(&tokens.len()), "{} tokens", tokens.len());
    assert_eq!(answer.request.sampling.max_tokens as usize, tokens.len());
    assert_eq!(answer.response.finish_reason, FinishReason::Length);
    assert_eq!(house.operator.held(house.key.hash()), answer.receipt.fee);
    let adapter = house.operator.adapter("1").expect("it is served by its number too");
    let prompt = &answer.request.prompt_tokens;
    let same = house.scheduler.engine().verify_generation(
        adapter.adapter.as_ref(),
        prompt,
        &answer.request.sampling,
        tokens,
    );
    assert_eq!(same.expect("it re-executes"), None);
}

#[tokio::test]
async fn who_leaves_before_anything_was_delivered_pays_nothing() {
    let house = House::new();
    let whole = house.operator.accept(house.key.reveal(), "tiny", ask(500)).await.expect("it is covered");
    let left = tokio::time::timeout(Duration::ZERO, whole.whole()).await;
    assert!(left.is_err(), "500 tokens take longer");
    let waiting = house.operator.accept(house.key.reveal(), "tiny", ask(5)).await.expect("it is covered");
    drop(waiting.stream());
    until(|| house.scheduler.present() == 0).await;
    assert_eq!(house.operator.held(house.key.hash()), U256::ZERO);
    assert_eq!(house.operator.pending(), vec![]);
}

#[tokio::test]
async fn what_changes_the_tokens_is_in_the_receipt_and_re_executes() {
    let house = House::new();
    let free = house.answer(40).await.response.text;
    // Bytes that are no text are shown as replacement characters, which no stop sequence matches.
    let letters: Vec<char> = free.chars().collect();
    let pair = letters.windows(2).skip(3).find(|pair| !pair.contains(&char::REPLACEMENT_CHARACTER));
    let stop: String = pair.expect("the model writes letters, too").iter().collect();
    let ask = Ask { top_k: 50, min_p_milli: 5, stop: vec![stop.clone()], ..ask(40) };
    let answer =
        house.operator.answer(house.key.reveal(), "tiny", ask, |_| {}).await.expect("it is paid for");
    let sampling = &answer.request.sampling;
    assert_eq!((sampling.top_k, sampling.min_p_milli, &sampling.stop), (50, 5, &vec![stop.clone()]));
    assert!(!answer.response.text.contains(&stop));
    let adapter = house.operator.adapter("tiny").expect("it is served");
    let (prompt, tokens) = (&answer.request.prompt_tokens, &answer.response.tokens);
    let engine = house.scheduler.engine();
    let same = engine.verify_generation(adapter.adapter.as_ref(), prompt, sampling, tokens);
    assert_eq!(same.expect("it re-executes"), None);
    house.reopen().expect("and is read back from the disk");
}

#[tokio::test]
async fn an_adapter_on_the_disk_answers_as_the_one_in_memory() {
    let house = House::new();
    let in_memory = house.answer(12).await;
    let mut lazy = served(house.scheduler.engine());
    let adapter = lazy.adapter.take().expect("it is held");
    lazy.adapter_hash = adapter_hash(adapter.config(), adapter.theta());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shape = house.scheduler.engine().model().config();
    openledger_model::save_peft(folder.path(), shape, &adapter, "tiny").expect("it is written");
    house.operator.registry().register(lazy.adapter_hash, folder.path()).expect("there is room");
    let hash = lazy.adapter_hash;
    house.operator.serve(lazy).expect("it replaces the other");
    assert!(!house.operator.registry().is_resident(hash));
    let loaded = house.answer(12).await;
    assert_eq!(loaded.response.tokens, in_memory.response.tokens);
    assert_eq!(loaded.receipt.adapterHash, hash);
    assert!(house.operator.registry().is_resident(hash));
}

#[tokio::test]
async fn who_stops_reading_is_cut_and_pays_for_what_was_handed_over() {
    let house = House::with(openledger_serve::Settings {
        patience: Duration::from_millis(200),
        ..Default::default()
    });
    let accepted = house.operator.accept(house.key.reveal(), "tiny", ask(500)).await.expect("it is covered");
    let pieces = accepted.stream();
    until(|| house.scheduler.present() == 0).await;
    let answers = house.operator.answers(0, U256::from(1)).expect("the folder is readable");
    let [answer] = answers.as_slice() else { panic!("{} answers", answers.len()) };
    assert_eq!(answer.response.tokens.len(), pieces.len(), "what lies ready for the reader, and no more");
    assert!(pieces.len() < 32);
}

async fn until(done: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen within ten seconds");
}

fn unit(owner: u8, influence_nanonats: i64) -> Unit {
    Unit {
        record: Some(B256::repeat_byte(owner)),
        contributor: Address::repeat_byte(owner),
        influence_nanonats,
    }
}

#[test]
fn shares_are_of_what_the_adapter_explained() {
    let check = |explained_micronats, units: &[Unit], expected: &[(u8, u32)], unattributed| {
        let made = summarise(B256::ZERO, Tier::EmpiricalFisher, explained_micronats, units, vec![], vec![]);
        let shares: Vec<_> = made.contributors.iter().map(|c| (c.account.0[0], c.share_ppm)).collect();
        assert_eq!((shares.as_slice(), made.unattributed_ppm), (expected, unattributed));
    };
    // Half of 4 micronats is claimed, by two owners 3 to 1.
    check(4, &[unit(1, 500), unit(2, 1500)], &[(2, 375_000), (1, 125_000)], 500_000);
    // More is claimed than was explained: nothing is left, and the shares keep their proportion.
    check(1, &[unit(1, 500), unit(2, 1500)], &[(2, 750_000), (1, 250_000)], 0);
    // What hurt is shown and takes nothing from what the same owner's other data helped.
    check(4, &[unit(1, 2000), unit(1, -1900), unit(2, -5)], &[(1, 500_000), (2, 0)], 500_000);
    check(0, &[unit(1, 500)], &[(1, 0)], 1_000_000);
    check(-7, &[unit(1, 500)], &[(1, 0)], 1_000_000);
    check(4, &[], &[], 1_000_000);
}

proptest! {
    #[test]
    fn dividing_ones_records_over_two_names_gains_nothing(
        mine in prop::collection::vec(-1_000_000i64..1_000_000, 1..20),
        theirs in prop::collection::vec(-1_000_000i64..1_000_000, 0..20),
        explained in -1_000i64..10_000,
        cut in 0usize..20,
    ) {
        let share = |name_of: &dyn Fn(usize) -> u8| {
            let mut units: Vec<Unit> = mine.iter().enumerate().map(|(n, i)| unit(name_of(n), *i)).collect();
            units.extend(theirs.iter().map(|i| unit(9, *i)));
            let made = summarise(B256::ZERO, Tier::EmpiricalFisher, explained, &units, vec![], vec![]);
            let others = made.contributors.iter().find(|c| c.account.0[0] == 9).map_or(0, |c| c.share_ppm);
            1_000_000 - others - made.unattributed_ppm
        };
        let (one, two) = (share(&|_| 1), share(&|n| if n < cut { 1 } else { 2 }));
        prop_assert!(one.abs_diff(two) <= 2, "{one} and {two} differ by more than rounding");
    }

    /// Requests, answers and batches in any order: the chain can always charge what was answered.
    #[test]
    fn what_is_answered_can_always_be_charged(steps in prop::collection::vec((0u8..4, 0usize..3, 1u64..400), 1..80)) {
        let operator = Address::repeat_byte(1);
        let keys: Vec<B256> = (0..3).map(B256::with_last_byte).collect();
        // Keys 0 and 1 are one payer's, whose deposit is below their caps together.
        let payer_of = |key: usize| Address::with_last_byte(if key == 2 { 2 } else { 1 });
        let mut spent = [U256::ZERO; 3];
        let mut balances = BTreeMap::from([(payer_of(0), U256::from(1500)), (payer_of(2), U256::from(5000))]);
        let mut ledger = Ledger::default();
        let mut holds = vec![];
        let mut epoch = 0;
        for (step, (action, key, amount)) in steps.into_iter().enumerate() {
            match action {
                0 | 1 => {
                    let authorisation = Authorisation {
                        payer: payer_of(key), operator, cap: U256::from(1000), spent: spent[key], expiresAt: FAR, revokedAt: 0,
                    };
                    let standing = Standing { authorisation: Some(authorisation), balance: balances[&payer_of(key)] };
                    let wanted = Wanted { operator, key: keys[key], amount: U256::from(amount), now: 0, risk: U256::MAX };
                    if let Ok(hold) = ledger.reserve(ledger.settled(), &standing, wanted) {
                        holds.push((key, hold));
                    }
                }
                2 => if let Some((key, hold)) = holds.pop() {
                    let fee = hold.amount.min(U256::from(amount));
                    let receipt = receipt(keys[key], payer_of(key), epoch, fee);
                    ledger.record(B256::from(U256::from(step)), &receipt);
                    ledger.release(&hold);
                },
                _ => {
                    let answers = ledger.batches().get(&(epoch, U256::from(1))).cloned().unwrap_or_default();
                    epoch += 1;
                    ledger.raise_epoch(epoch);
                    for answer in answers {
                        let key = keys.iter().position(|k| *k == answer.key).expect("a known key");
                        spent[key] += answer.fee;
                        prop_assert!(spent[key] <= U256::from(1000), "a cap is exceeded");
                        let balance = balances.get_mut(&answer.payer).expect("a known payer");
                        prop_assert!(answer.fee <= *balance, "a deposit is exceeded");
                        *balance -= answer.fee;
                    }
                    let before = ledger.settled();
                    ledger.post((epoch - 1, U256::from(1)));
                    let nobody = Standing { authorisation: None, balance: U256::ZERO };
                    let wanted = Wanted { operator, key: keys[0], amount: U256::ZERO, now: 0, risk: U256::MAX };
                    prop_assert_eq!(ledger.reserve(before, &nobody, wanted), Err(NotReserved::Stale));
                }
            }
        }
    }
}

fn receipt(key: B256, payer: Address, epoch: u64, fee: U256) -> openledger_types::receipt::Receipt {
    openledger_types::receipt::Receipt {
        operator: Address::repeat_byte(1),
        payer,
        key,
        epoch,
        sequence: 0,
        adapter: U256::from(1),
        adapterHash: B256::ZERO,
        baseHash: B256::ZERO,
        datanetsRoot: B256::ZERO,
        requestHash: B256::ZERO,
        responseHash: B256::ZERO,
        attributionHash: B256::ZERO,
        promptTokens: 0,
        completionTokens: 0,
        inputPrice: U256::ZERO,
        outputPrice: U256::ZERO,
        fee,
        issuedAt: 0,
    }
}

#[test]
fn of_the_evidence_of_many_adapters_as_much_stays_open_as_the_limit_allows() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let (cache, opened) = (super::evidence::EvidenceCache::new(250), Arc::new(AtomicUsize::new(0)));
    let source = |bytes| {
        let opened = opened.clone();
        EvidenceSource::opened(bytes, move || {
            opened.fetch_add(1, Ordering::Relaxed);
            Ok(Evidence { estimate: Estimate::None, spans: None })
        })
    };
    let get = |adapter: u64, bytes| {
        cache.get(B256::from(U256::from(adapter)), &source(bytes)).expect("it opens");
        (opened.load(Ordering::Relaxed), cache.bytes())
    };
    assert_eq!(get(1, 100), (1, 100));
    assert_eq!(get(2, 100), (2, 200));
    assert_eq!(get(1, 100), (2, 200), "it is open");
    assert_eq!(get(3, 100), (3, 200), "there is room for two");
    assert_eq!(get(1, 100), (3, 200), "the second was used longest ago");
    assert_eq!(get(2, 100), (4, 200));
    assert_eq!(get(4, 1_000), (5, 1_000), "one that is larger than the limit is alone");
    for adapter in 10..10_010 {
        assert!(get(adapter, 1).1 <= 250);
    }
    let held = EvidenceSource::held(Evidence { estimate: Estimate::None, spans: None });
    cache.get(B256::ZERO, &held).expect("it is there");
    assert_eq!(get(10_009, 1), (10_005, 250));
}
