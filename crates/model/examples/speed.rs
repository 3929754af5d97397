//! Times of a training step, its tangent, a prefill and decoding: `cargo run -p openledger-model --example speed -- MODEL.gguf [THREADS]`.
//!
//! Where the system tells it (Linux), the CPU time of all threads stands beside the wall time: it is what counts on a machine that others use as well.

use std::{path::Path, sync::Arc, time::Instant};

use openledger_model::{
    Error, Feed, Logits, Lora, LoraConfig, LoraLayout, Message, Model, Pages, Pool, Record, Role, Sample,
    Session, Target, Tokenizer, init,
};

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (start, before) = (Instant::now(), cpu());
    let out = work();
    let wall = start.elapsed().as_secs_f64();
    let cpu = cpu()
        .zip(before)
        .map_or(String::new(), |(after, before)| format!(", {:.3} s of CPU", after - before));
    #[expect(clippy::print_stdout, reason = "its output is what this program is for")]
    {
        println!("{what}: {wall:.3} s{cpu}");
    }
    out
}

/// CPU seconds that all threads of this process have used.
fn cpu() -> Option<f64> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let nanoseconds = |task: std::io::Result<std::fs::DirEntry>| {
        let line = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<f64>().ok()
    };
    Some(tasks.filter_map(nanoseconds).sum::<f64>() / 1e9)
}

/// Perplexity of the served logits over that of the exact weights, on this file and on `src`.
fn perplexity(model: &Arc<Model>, tokenizer: &Tokenizer, pool: &Pool) -> Result<(), Error> {
    let tokens = tokenizer.encode(concat!(include_str!("../README.md"), include_str!("speed.rs")))?;
    let (mut exact, mut served) = (0.0, 0.0);
    for chunk in tokens.chunks(512).filter(|c| c.len() > 1) {
        let sample = Sample { tokens: chunk.to_vec(), targets: 1..chunk.len() };
        let prefix = model.prefix(pool, 0, chunk)?;
        exact += model.nll(pool, None, Record::new(&prefix, &sample))?;
        let mut session =
            Session::new(Arc::clone(model), None, pool.clone(), Pages::new(model.config(), 1 << 30)?)?;
        let mut feeds = [Feed { session: &mut session, tokens: chunk, logits: Logits::From(0) }];
        let losses = Session::run(&mut feeds, |row| {
            let Some(next) = chunk.get(row.index + 1) else { return 0.0 };
            let max = row.logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
            let sum: f64 = row.logits.iter().map(|z| f64::from(*z - max).exp()).sum();
            sum.ln() + f64::from(max - row.logits[*next as usize])
        })?;
        served += losses.iter().sum::<f64>();
    }
    let (count, difference) = (tokens.len() as f64, served - exact);
    timed(
        &format!(
            "{count} tokens, perplexity {:.4}, served {:.5} times that",
            (exact / count).exp(),
            (difference / count).exp()
        ),
        || (),
    );
    Ok(())
}

/// Decoding many rows at once, and a prompt.
fn batches(model: &Arc<Model>, pool: &Pool) -> Result<(), Error> {
    let pages = Pages::new(model.config(), 1 << 32)?;
    let session = || Session::new(Arc::clone(model), None, pool.clone(), pages.clone());
    let prompt: Vec<u32> = (0..512).map(|i| i * 37 % 40_000).collect();
    for _ in 0..2 {
        timed("prefill of 512 tokens", || session()?.feed(&prompt))?;
    }
    for rows in [1, 8, 32] {
        let mut sessions = (0..rows).map(|_| session()).collect::<Result<Vec<_>, _>>()?;
        for s in &mut sessions {
            s.feed(&prompt[..16])?;
        }
        timed(&format!("16 steps of {rows} rows"), || {
            for _ in 0..16 {
                let mut feeds: Vec<_> = (sessions.iter_mut())
                    .map(|session| Feed { session, tokens: &[7], logits: Logits::Last })
                    .collect();
                Session::run(&mut feeds, |row| row.logits[0])?;
            }
            Ok::<_, Error>(())
        })?;
    }
    Ok(())
}

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().unwrap_or_else(|| "base.gguf".into());
    let threads = arguments.next().and_then(|t| t.parse().ok()).unwrap_or(1);
    let (model, tokenizer) = timed("load", || Model::load(Path::new(&path)))?;
    let model = Arc::new(model);
    let pool = Pool::new(threads)?;

    let chat = tokenizer.chat(&[Message::new(Role::User, "What is the capital of France?")])?;
    let mut session =
        Session::new(Arc::clone(&model), None, pool.clone(), Pages::new(model.config(), 1 << 30)?)?;
    let mut logits = timed(&format!("prefill of {} tokens", chat.len()), || session.feed(&chat))?;
    let mut answer = Vec::new();
    timed("decode of up to 48 tokens", || {
        while answer.len() < 48 {
            let token =
                (0..logits.len()).fold(0, |best, i| if logits[i] > logits[best] { i } else { best }) as u32;
            if token == tokenizer.eos() {
                break;
            }
            answer.push(token);
            logits = session.feed(&[token])?;
        }
        Ok::<_, Error>(())
    })?;
    timed(&format!("{} tokens: {:?}", answer.len(), tokenizer.decode(&answer)), || ());

    perplexity(&model, &tokenizer, &pool)?;
    batches(&model, &pool)?;

    let text = std::iter::repeat_n(
        "The quick brown fox jumps over the lazy dog while 12 engineers measure it. ",
        60,
    )
    .collect::<String>();
    let tokens = tokenizer.encode(&text)?;
    let samples: Vec<Sample> =
        tokens.chunks(128).take(4).map(|t| Sample { tokens: t.to_vec(), targets: 1..t.len() }).collect();
    let config = LoraConfig { rank: 8, alpha: 16.0, first_layer: 22, targets: vec![Target::Q, Target::V] };
    let layout = LoraLayout::new(model.config(), &config)?;
    let theta = init(model.config(), &layout, [0; 32]);
    let lora = Lora { config: &config, theta: &theta };
    let sequences: Vec<&[u32]> = samples.iter().map(|s| &s.tokens[..]).collect();
    let prefixes = timed("prefix of 4 x 128 tokens into layer 22", || model.prefixes(&pool, 22, &sequences))?;
    let records: Vec<Record<'_>> =
        prefixes.iter().zip(&samples).map(|(prefix, sample)| Record::new(prefix, sample)).collect();
    timed("packing for the backward pass", || model.prepare_backward(&pool, 22));
    for _ in 0..2 {
        timed("nll of 4 x 128 tokens", || model.nll_batch(&pool, Some(lora), &records))?;
        timed("nll_grad of 4 x 128 tokens", || model.nll_grad_batch(&pool, lora, &records))?;
        for directions in [1, 6] {
            timed(&format!("nll_grad_tangents of 4 x 128 tokens along {directions}"), || {
                model.nll_grad_tangents_batch(&pool, lora, &vec![&theta[..]; directions], &records)
            })?;
        }
    }
    Ok(())
}
