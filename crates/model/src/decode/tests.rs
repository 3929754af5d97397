use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::{
    Adapter, Error, Feed, Logits, Lora, LoraConfig, LoraLayout, Model, Pages, Pool, Record, Sample, Session,
    Target, init,
    kernel::{Isa, choose},
    lora::Uniform,
};

struct Bench {
    model: Arc<Model>,
    pool: Pool,
    pages: Pages,
    /// Adapters of different ranks and targets, and none.
    adapters: Vec<Option<Arc<Adapter>>>,
    /// One sequence for each adapter.
    tokens: Vec<Vec<u32>>,
}

impl Bench {
    fn new(threads: usize) -> Self {
        let (model, _) = Model::tiny(7);
        let mut uniform = Uniform::new([6; 32]);
        let mut adapter = |rank: usize, first_layer: usize, targets: &[Target]| {
            let config = LoraConfig { rank, alpha: 6.0, first_layer, targets: targets.to_vec() };
            let layout = LoraLayout::new(model.config(), &config).unwrap();
            let mut theta = init(model.config(), &layout, [5; 32]);
            for block in layout.blocks() {
                theta[block.b.clone()].fill_with(|| 0.3 * uniform.next());
            }
            Some(Arc::new(Adapter::new(model.config(), config, theta).unwrap()))
        };
        let adapters = vec![
            adapter(3, 2, &Target::ALL),
            None,
            adapter(8, 0, &[Target::Q, Target::V]),
            adapter(17, 1, &[Target::K, Target::O, Target::Down]),
        ];
        let mut uniform = Uniform::new([8; 32]);
        let tokens = [131, 9, 70, 33]
            .map(|n| (0..n).map(|_| ((uniform.next() + 1.0) * 129.9) as u32).collect::<Vec<_>>());
        let pages = Pages::new(model.config(), 1 << 20).unwrap();
        Self {
            model: Arc::new(model),
            pool: Pool::new(threads).unwrap(),
            pages,
            adapters,
            tokens: tokens.to_vec(),
        }
    }

    fn session(&self, i: usize) -> Session {
        let adapter = self.adapters[i].clone();
        Session::new(Arc::clone(&self.model), adapter, self.pool.clone(), self.pages.clone()).unwrap()
    }

    /// Logits after every token of a sequence, from one run of it alone.
    fn whole(&self, i: usize) -> Vec<Vec<f32>> {
        let mut session = self.session(i);
        rows(&mut [Feed { session: &mut session, tokens: &self.tokens[i], logits: Logits::From(0) }])
    }
}

fn rows(feeds: &mut [Feed<'_>]) -> Vec<Vec<f32>> {
    Session::run(feeds, |row| row.logits.to_vec()).unwrap()
}

/// Logits of all sequences after every token.
fn fingerprint(threads: usize) -> String {
    let bench = Bench::new(threads);
    let mut hash = Sha256::new();
    for i in 0..bench.tokens.len() {
        bench.whole(i).iter().flatten().for_each(|x| hash.update(x.to_le_bytes()));
    }
    hash.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// It changes only in a commit that says so.
const FINGERPRINT: &str = "9ee29a3afa53ab49";

#[test]
fn logits_are_the_same_bytes_for_any_threads_and_instruction_set() {
    // The last instruction set that the machine has stays chosen for the runs with more threads.
    for isa in [Isa::Portable, Isa::Avx2, Isa::Avx512] {
        if choose(isa) {
            assert_eq!(fingerprint(1), FINGERPRINT, "{isa:?}");
        }
    }
    for threads in 2..=3 {
        assert_eq!(fingerprint(threads), FINGERPRINT, "{threads} threads");
    }
}

#[test]
fn decoding_token_by_token_gives_the_bits_of_one_prefill() {
    let bench = Bench::new(2);
    for i in [0, 1] {
        let (tokens, whole) = (&bench.tokens[i], bench.whole(i));
        let mut single = bench.session(i);
        for (token, expected) in tokens.iter().zip(&whole) {
            assert!(single.feed(&[*token]).unwrap() == *expected, "position {}", single.position());
        }
    }
}

#[test]
fn a_session_goes_on_from_where_it_was_truncated() {
    let bench = Bench::new(1);
    let (tokens, whole) = (&bench.tokens[0], bench.whole(0));
    for cut in [1, 31, 32, 57, 64, 100] {
        let mut parts = bench.session(0);
        parts.feed(&tokens[..cut]).unwrap();
        assert!(parts.feed(&tokens[cut..]).unwrap() == whole[tokens.len() - 1], "cut at {cut}");
        parts.truncate(cut - 1);
        assert!(parts.feed(&tokens[cut - 1..cut]).unwrap() == whole[cut - 1], "truncated to {}", cut - 1);
    }
}

#[test]
fn a_run_of_prompts_and_single_tokens_with_any_adapters_has_the_bits_of_each_alone() {
    for threads in [1, 3] {
        let bench = Bench::new(threads);
        let whole: Vec<_> = (0..4).map(|i| bench.whole(i)).collect();
        let mut sessions: Vec<_> = (0..4).map(|i| bench.session(i)).collect();
        let mut uniform = Uniform::new([9; 32]);
        let mut draw = |below: usize| ((uniform.next() + 1.0) / 2.0 * below as f32) as usize;
        while sessions.iter().zip(&bench.tokens).any(|(s, t)| s.position() < t.len()) {
            let mut feeds = Vec::new();
            let mut expected = Vec::new();
            for (i, session) in sessions.iter_mut().enumerate() {
                let at = session.position();
                let left = &bench.tokens[i][at..];
                if left.is_empty() || draw(4) == 0 {
                    continue;
                }
                let tokens = &left[..if draw(2) == 0 { 1 } else { 1 + draw(left.len()) }];
                let (logits, first) = match draw(3) {
                    0 => (Logits::None, tokens.len()),
                    1 => (Logits::Last, tokens.len() - 1),
                    _ => (Logits::From(tokens.len() / 2), tokens.len() / 2),
                };
                expected.extend(whole[i][at + first..at + tokens.len()].iter().cloned());
                feeds.push(Feed { session, tokens, logits });
            }
            assert!(rows(&mut feeds) == expected, "{threads} threads");
        }
    }
}

#[test]
fn a_session_that_resumes_from_a_prefix_has_the_bits_of_one_that_computed_it() {
    let bench = Bench::new(2);
    let (tokens, whole) = (&bench.tokens[0], bench.whole(0));
    let mut first = bench.session(0);
    first.feed(&tokens[..100]).unwrap();
    let prefix = first.prefix(99);
    assert_eq!((prefix.positions(), prefix.pages()), (96, 3));
    drop(first);
    assert_eq!(bench.pages.used(), 3);
    for cut in [96, 70] {
        let mut again = bench.session(0);
        again.resume(&prefix).unwrap();
        again.truncate(cut);
        assert!(again.feed(&tokens[cut..]).unwrap() == whole[tokens.len() - 1], "from {cut}");
    }
    // Both go on within a page of the prefix, each in a copy of its own.
    let (mut left, mut right) = (bench.session(0), bench.session(0));
    for session in [&mut left, &mut right] {
        session.resume(&prefix).unwrap();
        session.truncate(70);
    }
    let together = rows(&mut [
        Feed { session: &mut left, tokens: &tokens[70..75], logits: Logits::Last },
        Feed { session: &mut right, tokens: &[1, 2], logits: Logits::None },
    ]);
    assert!(together[0] == whole[74]);
    assert!(left.feed(&tokens[75..90]).unwrap() == whole[89]);
    drop((left, right, prefix));
    assert_eq!(bench.pages.used(), 0);
}

#[test]
fn running_out_of_pages_leaves_every_session_as_it_was() {
    let bench = Bench::new(1);
    let page = bench.pages.page_bytes();
    let pages = Pages::new(bench.model.config(), 5 * page + 1).unwrap();
    assert_eq!((pages.limit(), pages.free()), (5, 5));
    let new = || Session::new(Arc::clone(&bench.model), None, bench.pool.clone(), pages.clone()).unwrap();
    let (mut a, mut b) = (new(), new());
    a.feed(&[1; 70]).unwrap();
    assert_eq!((a.pages(), pages.used()), (3, 3));
    let long = [2; 65];
    let failed = Session::run(
        &mut [
            Feed { session: &mut a, tokens: &[1], logits: Logits::Last },
            Feed { session: &mut b, tokens: &long, logits: Logits::Last },
        ],
        |_| (),
    );
    assert!(matches!(failed, Err(Error::Pages { needed: 3, free: 2 })), "{failed:?}");
    assert_eq!((a.position(), b.position(), pages.used()), (70, 0, 3));
    a.truncate(32);
    assert_eq!(pages.used(), 1);
    b.feed(&long).unwrap();
    drop(a);
    assert_eq!(pages.free(), 2);
    assert!(Pages::new(bench.model.config(), page - 1).is_err());
}

#[test]
fn the_loss_is_that_of_the_session_logits() {
    let bench = Bench::new(1);
    for i in [0, 1, 3] {
        let tokens = &bench.tokens[i];
        let sample = Sample { tokens: tokens.clone(), targets: 1..tokens.len() };
        let prefix = bench.model.prefix(&bench.pool, 0, tokens).unwrap();
        let lora = bench.adapters[i].as_ref().map(|a| Lora { config: a.config(), theta: a.theta() });
        let record = Record::new(&prefix, &sample);
        let losses = bench.model.nll_tokens(&bench.pool, lora, record).unwrap();
        for ((loss, row), token) in losses.iter().zip(bench.whole(i)).zip(&tokens[1..]) {
            let total: f64 = row.iter().map(|z| libm::exp(f64::from(*z))).sum();
            let served = libm::log(total) - f64::from(row[*token as usize]);
            assert!((loss - served).abs() < TOLERANCE * loss.max(1.0), "{loss} and {served}");
        }
    }
}

/// Of the loss of one token: inputs and weights of eight bits each are off by up to 0.4 % of the largest of a block.
const TOLERANCE: f64 = 0.05;

#[test]
fn what_a_session_cannot_take_is_refused() {
    let bench = Bench::new(1);
    let mut session = bench.session(1);
    assert!(matches!(session.feed(&[]), Err(Error::Length { .. })));
    assert!(matches!(session.feed(&[260]), Err(Error::Token { got: 260, limit: 260 })));
    assert!(matches!(session.feed(&[1; 1025]), Err(Error::Context { got: 1025, limit: 1024 })));
    session.feed(&[1; 40]).unwrap();
    assert!(session.resume(&session.prefix(40)).is_err(), "it is not empty");
    let (other, _) = Model::tiny(8);
    let other = Arc::new(other);
    let mut foreign = Session::new(other, None, bench.pool, bench.pages).unwrap();
    assert!(foreign.resume(&session.prefix(40)).is_err(), "another model");
    let mixed = Session::run(
        &mut [
            Feed { session: &mut session, tokens: &[1], logits: Logits::Last },
            Feed { session: &mut foreign, tokens: &[1], logits: Logits::Last },
        ],
        |_| (),
    );
    assert!(matches!(mixed, Err(Error::Adapter(_))));
    assert_eq!((session.position(), foreign.position()), (40, 0));
}
