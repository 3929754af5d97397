use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use openledger_model::{Adapter, Pool, Target};
use openledger_types::receipt::{FinishReason, ResponseFormat, Sampling};

use super::fair::Fair;
use super::{Job, Scheduler, Settings, Tenant, Tokens};
use crate::tests::{GREEDY, WARM, adapter_of, engine, prompt, whole};
use crate::{AdapterLimits, Adapters, Engine, Error, Generation, Lease, Piece};

const A: Tenant = B256::repeat_byte(0xa);
const B: Tenant = B256::repeat_byte(0xb);

fn scheduler(threads: usize, settings: Settings) -> Scheduler {
    let aside = Pool::new(1).expect("a thread starts");
    Scheduler::start(engine(threads), aside, settings).expect("a thread starts")
}

fn small() -> Settings {
    Settings { rows: 4, waiting: 60, of_tenant: 64, step_tokens: 12, ..Settings::default() }
}

fn job(engine: &Engine, adapter: Option<&Arc<Adapter>>, sampling: &Sampling) -> Job {
    Job {
        adapter: adapter.map(|adapter| Lease::held(name_of(adapter), adapter.clone())),
        prompt: prompt(engine),
        sampling: sampling.clone(),
        logprobs: None,
    }
}

fn submit(scheduler: &Scheduler, tenant: Tenant, sampling: &Sampling) -> Tokens {
    scheduler.submit(tenant, job(scheduler.engine(), None, sampling)).expect("it is accepted")
}

async fn piece(tokens: &mut Tokens) -> Piece {
    tokens.next().await.expect("there is more").expect("the row goes on")
}

/// Adapters of different ranks, layers and targets.
fn adapters(engine: &Engine) -> Vec<Option<Arc<Adapter>>> {
    use Target::{Down, Gate, K, O, Q, Up, V};
    let made = [
        adapter_of(engine, 1, 2, 1, &[Q, V]),
        adapter_of(engine, 2, 8, 0, &[Q, K, V, O]),
        adapter_of(engine, 3, 1, 3, &[Down]),
        adapter_of(engine, 4, 16, 2, &[Q, K, V, O, Gate, Up, Down]),
    ];
    std::iter::once(None).chain(made.into_iter().map(|adapter| Some(Arc::new(adapter)))).collect()
}

#[tokio::test]
async fn many_rows_with_different_adapters_have_the_bytes_of_each_alone() {
    for threads in [1, 2] {
        let scheduler = scheduler(threads, small());
        let engine = scheduler.engine();
        let adapters = adapters(engine);
        let mut running = vec![];
        for adapter in &adapters {
            let penalised = Sampling { repetition_penalty_milli: 1500, ..WARM };
            let in_json = Sampling { response_format: ResponseFormat::JsonObject, ..WARM };
            for sampling in [GREEDY, WARM, penalised, in_json] {
                let tokens = scheduler.submit(A, job(engine, adapter.as_ref(), &sampling)).expect("it fits");
                running.push((whole(engine, adapter.as_ref(), &sampling), tokens));
            }
        }
        let mut distinct = std::collections::BTreeSet::new();
        for (alone, tokens) in running {
            let together = tokens.whole().await.expect("it is answered");
            distinct.insert(together.tokens.clone());
            assert_eq!(together, alone);
        }
        assert!(distinct.len() > 8, "the adapters change the answers");
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % sides) as usize
    }
}

/// Adapters by folder, in room for two of them, replaced under their name while requests run.
struct Churn {
    scheduler: Scheduler,
    registry: Adapters,
    folder: tempfile::TempDir,
    /// What each of the names stands for now.
    named: Vec<B256>,
    versions: BTreeMap<B256, Arc<Adapter>>,
    alone: BTreeMap<(B256, usize, usize), Generation>,
}

fn name_of(adapter: &Adapter) -> B256 {
    let bytes: Vec<u8> = adapter.theta().iter().flat_map(|x| x.to_le_bytes()).collect();
    B256::from(*blake3::hash(&bytes).as_bytes())
}

impl Churn {
    const NAMES: usize = 3;

    fn new(threads: usize) -> Self {
        let scheduler =
            scheduler(threads, Settings { buffer: 3, patience: Duration::from_secs(600), ..small() });
        let shape = scheduler.engine().model().config().clone();
        let limits = AdapterLimits { registered: 1000, bytes: 200_000 };
        let registry = Adapters::start(shape, limits, name_of).expect("a thread starts");
        scheduler.watch(&registry);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut churn = Self {
            scheduler,
            registry,
            folder,
            named: vec![B256::ZERO; Self::NAMES],
            versions: BTreeMap::new(),
            alone: BTreeMap::new(),
        };
        for name in 0..Self::NAMES {
            churn.replace(name, name as u8);
        }
        churn
    }

    fn replace(&mut self, name: usize, seed: u8) {
        let engine = self.scheduler.engine();
        let (rank, layer) = ([1, 2, 4, 8][usize::from(seed) % 4], usize::from(seed) % 3);
        let targets = [&Target::ALL[..], &[Target::Q, Target::V], &[Target::Down]][usize::from(seed) % 3];
        let adapter = adapter_of(engine, seed, rank, layer, targets);
        let hash = name_of(&adapter);
        let folder = self.folder.path().join(hash.to_string());
        openledger_model::save_peft(&folder, engine.model().config(), &adapter, "tiny")
            .expect("it is written");
        self.registry.register(hash, folder).expect("there is room");
        self.versions.insert(hash, Arc::new(adapter));
        let old = std::mem::replace(&mut self.named[name], hash);
        if !self.named.contains(&old) {
            self.registry.unregister(old);
        }
    }

    fn prompts(&self) -> [Vec<u32>; 3] {
        let encode = |text: &str| self.scheduler.engine().tokenizer().encode(text).expect("it has tokens");
        [encode("x"), prompt(self.scheduler.engine()), encode(&"a longer prompt ".repeat(8))]
    }

    fn sampling(which: usize) -> Sampling {
        let stop = vec!["q".into(), "zz".into()];
        [
            Sampling::greedy(9),
            WARM,
            Sampling { stop, frequency_penalty_milli: 300, seed: 3, ..WARM },
            Sampling { top_k: 5, max_tokens: 40, ..WARM },
        ][which]
            .clone()
    }

    fn alone(&mut self, adapter: B256, prompt: usize, sampling: usize) -> Generation {
        let (engine, prompts) = (self.scheduler.engine().clone(), self.prompts());
        let with = self.versions.get(&adapter).cloned();
        let made = self.alone.entry((adapter, prompt, sampling)).or_insert_with(|| {
            let sampling = Self::sampling(sampling);
            engine.generate(with.as_ref(), &prompts[prompt], &sampling, |_| {}).expect("it answers")
        });
        made.clone()
    }
}

/// Rows that come, go, are cancelled, read slowly, and whose adapters are evicted and replaced: none gets a token of another adapter.
#[tokio::test]
async fn churn_never_mixes_adapters() {
    for threads in [1, 2] {
        let mut churn = Churn::new(threads);
        let mut dice = Dice(threads as u64);
        let prompts = churn.prompts();
        let (mut finished, mut cancelled, mut seed) = (0, 0, 10u8);
        let mut running: Vec<(B256, usize, usize, Vec<u32>, Tokens)> = vec![];
        for _ in 0..400 {
            match dice.throw(8) {
                0..=2 if running.len() < 24 => {
                    let adapter = match dice.throw(4) {
                        3 => B256::ZERO,
                        name => churn.named[name],
                    };
                    let (at, sampling, tenant) = (dice.throw(3), dice.throw(4), dice.throw(5) as u8);
                    let lease = (!adapter.is_zero())
                        .then(|| churn.registry.lease(adapter).expect("it is registered"));
                    let job = Job {
                        adapter: lease,
                        prompt: prompts[at].clone(),
                        sampling: Churn::sampling(sampling),
                        logprobs: None,
                    };
                    let tokens =
                        churn.scheduler.submit(B256::repeat_byte(tenant), job).expect("it is accepted");
                    running.push((adapter, at, sampling, vec![], tokens));
                }
                3 if !running.is_empty() => {
                    let gone = running.swap_remove(dice.throw(running.len() as u64));
                    let alone = churn.alone(gone.0, gone.1, gone.2);
                    assert!(alone.tokens.starts_with(&gone.3), "a cancelled row has the head of its answer");
                    cancelled += 1;
                }
                4 if dice.throw(4) == 0 => {
                    seed = seed.wrapping_add(1);
                    churn.replace(dice.throw(Churn::NAMES as u64), seed);
                }
                _ if !running.is_empty() => {
                    let at = dice.throw(running.len() as u64);
                    let (adapter, prompt, sampling, tokens, stream) = &mut running[at];
                    match tokio::time::timeout(Duration::from_millis(20), stream.next()).await {
                        // It waits for an adapter that finds no room until rows that nobody reads go on.
                        Err(_) => {}
                        // A version that was replaced before it was loaded is gone.
                        Ok(Some(Err(Error::Adapter { .. }))) => drop(running.swap_remove(at)),
                        Ok(Some(Err(error))) => panic!("{error}"),
                        Ok(Some(Ok(piece))) => {
                            tokens.push(piece.token);
                            if piece.finish_reason.is_some() {
                                let (adapter, prompt, sampling) = (*adapter, *prompt, *sampling);
                                let (_, _, _, tokens, _) = running.swap_remove(at);
                                assert_eq!(tokens, churn.alone(adapter, prompt, sampling).tokens);
                                finished += 1;
                            }
                        }
                        Ok(None) => panic!("an answer ended without an end"),
                    }
                }
                _ => {}
            }
        }
        let mut rest = tokio::task::JoinSet::new();
        for (adapter, prompt, sampling, mut tokens, mut stream) in running {
            rest.spawn(async move {
                while let Some(event) = stream.next().await {
                    match event {
                        Ok(piece) => tokens.push(piece.token),
                        Err(Error::Adapter { .. }) => break,
                        Err(error) => panic!("{error}"),
                    }
                }
                (adapter, prompt, sampling, tokens)
            });
        }
        let everybody = async {
            let mut ended = vec![];
            while let Some(row) = rest.join_next().await {
                ended.push(row.expect("no row failed"));
            }
            ended
        };
        let ended = tokio::time::timeout(Duration::from_secs(120), everybody).await;
        for (adapter, prompt, sampling, tokens) in ended.expect("every row that is read ends") {
            let alone = churn.alone(adapter, prompt, sampling);
            assert!(alone.tokens.starts_with(&tokens));
            finished += usize::from(alone.tokens == tokens);
        }
        assert!(finished > 10 && cancelled > 10, "{finished} finished, {cancelled} cancelled");
    }
}

#[tokio::test]
async fn a_long_prompt_does_not_stop_who_is_decoding() {
    let scheduler = scheduler(1, small());
    let engine = scheduler.engine();
    let mut decoding = submit(&scheduler, A, &Sampling { max_tokens: 200, ..WARM });
    piece(&mut decoding).await;
    let prompt = engine.tokenizer().encode(&"long ".repeat(120)).expect("it has tokens");
    let steps = prompt.len() / small().step_tokens;
    let mut long = scheduler
        .submit(B, Job { adapter: None, prompt: prompt.clone(), sampling: GREEDY, logprobs: None })
        .expect("it fits");
    // Every step computes at most its budget of the prompt, so the other row drew a token at least as often.
    let mut drawn = 0;
    let first = loop {
        tokio::select! {
            biased;
            first = long.next() => break first.expect("there is more").expect("the row goes on"),
            _ = piece(&mut decoding) => drawn += 1,
        }
    };
    assert!(drawn >= steps.min(40), "{drawn} tokens while a prompt of {} was computed", prompt.len());
    let alone = engine.generate(None, &prompt, &GREEDY, |_| {}).expect("it answers");
    assert_eq!(first.token, alone.tokens[0]);
}

#[tokio::test]
async fn who_floods_the_queue_does_not_keep_the_others_waiting() {
    let settings = Settings { rows: 1, ..small() };
    let scheduler = scheduler(1, settings);
    let short = Sampling { max_tokens: 6, ..WARM };
    let mut order = vec![];
    let (ends, mut ended) = tokio::sync::mpsc::channel(16);
    for (number, tenant) in [A, B, A, A, A, A, A, A, B].into_iter().enumerate() {
        let tokens = submit(&scheduler, tenant, &short);
        let ends = ends.clone();
        tokio::spawn(async move {
            tokens.whole().await.expect("it is answered");
            ends.send(number).await.expect("somebody counts");
        });
    }
    drop(ends);
    while let Some(number) = ended.recv().await {
        order.push(number);
    }
    let place = |number| order.iter().position(|n| *n == number).expect("all are answered");
    assert!(place(1) <= 2, "B waits for what ran and at most one more: {order:?}");
    assert!(place(8) <= 4, "and so with its second: {order:?}");
}

#[test]
fn service_is_counted_and_nobody_saves_it_up() {
    let mut fair = Fair::default();
    let next = |fair: &mut Fair<u32>| {
        let (tenant, item) = fair.next(|_| true).expect("somebody waits");
        fair.charge(tenant, 100);
        fair.leave(tenant);
        item
    };
    for item in 0..6 {
        fair.push(A, item);
    }
    assert_eq!([next(&mut fair), next(&mut fair), next(&mut fair)], [0, 1, 2]);
    // Who comes late neither pays for the past nor is paid for it: they take turns.
    fair.push(B, 10);
    fair.push(B, 11);
    fair.push(B, 12);
    let order: Vec<u32> = (0..6).map(|_| next(&mut fair)).collect();
    assert_eq!(order, [3, 10, 4, 11, 5, 12]);
    assert!(fair.next(|_| true).is_none());
    // What is not ready is passed over, within a tenant and among them.
    for (tenant, item) in [(A, 20), (A, 21), (B, 30)] {
        fair.push(tenant, item);
    }
    assert_eq!(fair.next(|item| *item != 20).map(|(_, item)| item), Some(21));
    assert_eq!(fair.next(|item| *item != 20).map(|(_, item)| item), Some(30));
    assert!(fair.next(|item| *item != 20).is_none());
}

#[tokio::test]
async fn places_are_bounded_and_a_tenant_has_its_share() {
    let settings = Settings { rows: 1, waiting: 3, of_tenant: 3, ..small() };
    let scheduler = scheduler(1, settings);
    let mut places: Vec<_> = (0..3).map(|_| scheduler.join(A).expect("there is a place")).collect();
    assert!(matches!(
        scheduler.join(A),
        Err(Error::Busy { present: 3, of_tenant: true, retry_after_s: 1.. })
    ));
    places.push(scheduler.join(B).expect("what is left is for others"));
    assert!(matches!(scheduler.join(B), Err(Error::Busy { present: 4, of_tenant: false, .. })));
    places.pop();
    assert_eq!(scheduler.present(), 3);
    drop(places);
    let Err(Error::Busy { retry_after_s, .. }) =
        (0..9).map(|_| scheduler.join(A)).collect::<Result<Vec<_>, _>>()
    else {
        panic!("nine are too many")
    };
    assert_eq!(
        retry_after_s, 1,
        "places were freed at once, so it is measured that they are soon free again"
    );
}

#[tokio::test]
async fn who_leaves_makes_room_at_once() {
    let scheduler = scheduler(1, Settings { rows: 1, ..small() });
    let long = Sampling { max_tokens: 900, ..WARM };
    let mut running = submit(&scheduler, A, &long);
    piece(&mut running).await;
    let waiting = submit(&scheduler, A, &long);
    let next = submit(&scheduler, A, &Sampling { max_tokens: 2, ..WARM });
    drop(waiting);
    drop(running);
    let began = Instant::now();
    next.whole().await.expect("it is answered");
    assert!(began.elapsed() < Duration::from_secs(5), "900 tokens were not drawn for nobody");
}

#[tokio::test]
async fn a_slow_reader_holds_up_nobody_and_is_cut_in_the_end() {
    let patience = Duration::from_millis(300);
    let settings = Settings { rows: 2, buffer: 4, patience, ..small() };
    let scheduler = scheduler(1, settings);
    let mut slow = submit(&scheduler, A, &Sampling { max_tokens: 400, ..WARM });
    piece(&mut slow).await;
    let other = submit(&scheduler, B, &Sampling { max_tokens: 60, ..WARM });
    assert_eq!(other.whole().await.expect("it is answered").tokens.len(), 60);
    tokio::time::sleep(patience * 3).await;
    let mut got = vec![];
    let end = loop {
        match slow.next().await.expect("an end is said") {
            Ok(piece) => got.push(piece.token),
            Err(error) => break error,
        }
    };
    assert!(matches!(end, Error::Unread { .. }), "{end}");
    assert_eq!(got.len(), 4, "no more than the buffer was made for it");

    // Who reads on in time gets everything.
    let sampling = Sampling { max_tokens: 30, ..WARM };
    let mut late = submit(&scheduler, A, &sampling);
    let mut got = vec![];
    while let Some(event) = late.next().await {
        got.push(event.expect("the row goes on").token);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(got, whole(scheduler.engine(), None, &sampling).tokens);
}

#[tokio::test]
async fn an_adapter_that_does_not_load_fails_its_own_request_alone() {
    let scheduler = scheduler(1, small());
    let shape = scheduler.engine().model().config().clone();
    let registry = Adapters::start(shape, AdapterLimits::default(), name_of).expect("a thread starts");
    scheduler.watch(&registry);
    let hash = B256::repeat_byte(5);
    registry.register(hash, "nowhere").expect("there is room");
    let other = submit(&scheduler, A, &GREEDY);
    let mut bad = job(scheduler.engine(), None, &GREEDY);
    bad.adapter = Some(registry.lease(hash).expect("it is registered"));
    let refused = scheduler.submit(A, bad).expect("it is taken").whole().await.expect_err("it does not load");
    assert!(matches!(refused, Error::Adapter { .. }), "{refused}");
    assert_eq!(other.whole().await.expect("it is answered").finish_reason, FinishReason::Length);
    let bad = Job { prompt: vec![1_000_000], ..job(scheduler.engine(), None, &GREEDY) };
    let refused = scheduler.submit(A, bad).expect("it is taken").whole().await.expect_err("no such token");
    assert!(matches!(refused, Error::Model(_)), "{refused}");
}

#[tokio::test]
async fn the_end_of_a_scheduler_is_told() {
    let scheduler = scheduler(1, small());
    let tokens = submit(&scheduler, A, &Sampling { max_tokens: 900, ..WARM });
    drop(scheduler);
    assert!(matches!(tokens.whole().await, Err(Error::Stopped)));
}

#[tokio::test]
async fn logprobs_are_given_where_they_are_asked_for() {
    let scheduler = scheduler(1, small());
    let job = Job { logprobs: Some(2), ..job(scheduler.engine(), None, &GREEDY) };
    let mut tokens = scheduler.submit(A, job).expect("it is accepted");
    let piece = piece(&mut tokens).await;
    let logprobs = piece.logprobs.expect("they were asked for");
    assert_eq!(logprobs.top.len(), 2);
    assert_eq!(logprobs.top[0], (piece.token, logprobs.drawn), "greedy takes the likeliest");
    assert!(logprobs.drawn < 0.0 && logprobs.top[1].1 <= logprobs.drawn);
}

#[tokio::test]
async fn a_prompt_that_came_before_is_not_computed_again_and_gives_the_same_bytes() {
    let scheduler = scheduler(1, small());
    let engine = scheduler.engine();
    let mut registry = prometheus_client::registry::Registry::default();
    scheduler.register_metrics(&mut registry);
    let cached = || {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("it is written");
        let line = text.lines().find_map(|line| line.strip_prefix("prompt_tokens_cached_total "));
        line.expect("it is counted").parse::<usize>().expect("a number")
    };
    let adapters: Vec<Arc<Adapter>> = adapters(engine).into_iter().flatten().take(2).collect();
    let text = "a prompt of some length that is asked again and again, with another end every time: ";
    let before = engine.tokenizer().encode(text).expect("it has tokens");
    let pages = before.len() / openledger_model::Pages::POSITIONS * openledger_model::Pages::POSITIONS;
    assert!(pages > 32);
    let mut expected = 0;
    // The first of each adapter and tenant computes it, nobody else does.
    for (tenant, adapter, hit) in
        [(A, 0, false), (A, 0, true), (A, 1, false), (B, 0, false), (B, 0, true), (A, 1, true), (A, 0, true)]
    {
        let prompt =
            [before.clone(), vec![u32::from(tenant[0]), adapter as u32, expected as u32 % 200]].concat();
        let mut job = job(engine, Some(&adapters[adapter]), &WARM);
        job.prompt = prompt.clone();
        let together =
            scheduler.submit(tenant, job).expect("it is accepted").whole().await.expect("an answer");
        let alone = engine.generate(Some(&adapters[adapter]), &prompt, &WARM, |_| {}).expect("an answer");
        assert_eq!(together, alone);
        expected += if hit { pages } else { 0 };
        assert_eq!(cached(), expected, "{tenant} {adapter}");
    }
}

#[test]
fn kept_prefixes_are_bounded_and_the_longest_unused_goes_first() {
    use super::prefix::{Prefixes, Root};
    let engine = engine(1);
    let mut kept = Prefixes::new(4);
    let root = Root::new(B256::ZERO, A);
    let session = |tokens: &[u32]| {
        let mut session = engine.alone(None).expect("a session");
        session.feed(tokens).expect("it fits");
        session
    };
    let tokens = |seed: u32| (0..70).map(|at| (at * 7 + seed) % 250).collect::<Vec<u32>>();
    let found =
        |kept: &mut Prefixes, seed| kept.find(root, &tokens(seed)).map_or(0, |prefix| prefix.positions());
    for seed in [1, 2] {
        kept.keep(root, &tokens(seed), &session(&tokens(seed)));
    }
    assert_eq!((found(&mut kept, 2), found(&mut kept, 1), kept.pages()), (64, 64, 4));
    kept.keep(root, &tokens(3), &session(&tokens(3)));
    assert_eq!((kept.pages(), found(&mut kept, 1), found(&mut kept, 2), found(&mut kept, 3)), (4, 64, 0, 64));
    assert!(kept.find(Root::new(B256::ZERO, B), &tokens(3)).is_none(), "another tenant");
    assert!(kept.find(Root::new(B256::repeat_byte(1), A), &tokens(3)).is_none(), "another adapter");
    let short = &tokens(3)[..64];
    assert_eq!(
        kept.find(root, short).map(|prefix| prefix.positions()),
        Some(32),
        "one token is left to compute"
    );
}

#[tokio::test]
async fn a_request_that_needs_many_pages_waits_for_them_and_is_not_overtaken() {
    let model = engine(1);
    let page =
        openledger_model::Pages::new(model.model().config(), 1 << 30).expect("a page fits").page_bytes();
    let settings = Settings { row_bytes: 12 * page, prefix_bytes: 0, ..small() };
    let scheduler = scheduler(1, settings);
    let long = Sampling { max_tokens: 300, ..WARM };
    let first = submit(&scheduler, A, &long);
    let second = submit(&scheduler, A, &long);
    let short = submit(&scheduler, A, &Sampling { max_tokens: 2, ..WARM });
    let (first, second, short) = tokio::join!(first.whole(), second.whole(), short.whole());
    assert_eq!(first.expect("an answer"), second.expect("an answer"));
    short.expect("an answer");
    let most = Sampling { max_tokens: 900, ..WARM };
    let refused = scheduler.submit(A, job(scheduler.engine(), None, &most));
    assert!(matches!(refused, Err(Error::Memory { limit: 12, .. })), "{refused:?}");
}
