//! From logits to a token, the same on every machine.
//!
//! Of the logit `l` of a token that the prompt and answer so far have `n > 0` times, the answer `c` times, is made, in `f64` in this order:
//! `l·1000/r` if `l > 0`, else `l·r/1000`, with `r` the repetition penalty; then, if `c > 0`, less `(p + f·c)/1000` with `p` and `f` the
//! presence and frequency penalties; rounded to `f32`. A response format then leaves the tokens that it allows.
//!
//! Temperature 0 takes the largest, among equals the smallest id. Otherwise, with `T` the temperature in thousandths, `m` the largest:
//!
//! 1. token `i` weighs `w_i = floor(exp(((l_i - m) * 1000) / T) * 2^40)`, computed in `f64` from left to right with
//!    `libm`'s `exp`, which is plain additions and multiplications in one order;
//! 2. tokens with `1000 * w_i < M * 2^40` are left out, `M` the least probability in thousandths; so is what weighs nothing;
//! 3. tokens are ordered by weight descending, then by id ascending; the first `K` stay, if `K` is not 0;
//! 4. the nucleus is the shortest head of them with `1000 * sum(head) >= P * sum(all of them)`, `P` in thousandths;
//! 5. the draw is `u`, the first eight bytes, little-endian, of `BLAKE3(derive key "openledger serve draw 1", seed as u64-le ‖ position as u64-le)`;
//!    the token is the first whose running sum is above `floor(u * sum(head) / 2^64)`.
//!
//! From step 2 on everything is integers, so no order of additions can matter.

mod logprobs;
mod order;
mod penalties;

pub use logprobs::{Logprobs, MAX_TOP_LOGPROBS};
pub(crate) use penalties::Seen;

use openledger_types::receipt::Sampling;

use crate::{Error, format};
pub(crate) use order::Order;

/// A whole, in thousandths.
pub const WHOLE_MILLI: u32 = 1000;
/// Highest temperature in thousandths: the range of the OpenAI API.
pub const MAX_TEMPERATURE_MILLI: u32 = 2000;
/// Highest presence or frequency penalty in thousandths, and less its negative: the range of the OpenAI API.
pub const MAX_PENALTY_MILLI: i32 = 2000;
/// Range of the repetition penalty in thousandths.
const REPETITION_MILLI: (u32, u32) = (100, 10_000);
/// Most stop sequences: the OpenAI API takes four.
pub const MAX_STOPS: usize = 16;
/// Longest stop sequence, bytes.
pub const MAX_STOP_BYTES: usize = 256;

/// Weight of the likeliest token. A vocabulary of 2^20 tokens of this weight adds up to 2^60.
const UNIT: f64 = (1u64 << 40) as f64;
/// `exp` of less than this times [`UNIT`] is below one: `ln 2^-40` and a margin.
const WEIGHTLESS: f64 = -28.0;

/// Names the generator of draws; another rule would be another name.
const DRAW_CONTEXT: &str = "openledger serve draw 1";

/// Checks that every number of a request is in range.
///
/// # Errors
/// [`Error::Sampling`] naming the first that is not, [`Error::Stop`], [`Error::ResponseFormat`].
pub fn validate(sampling: &Sampling) -> Result<(), Error> {
    let within = |what, got: i64, least: i64, most: i64| {
        if (least..=most).contains(&got) { Ok(()) } else { Err(Error::Sampling { what, got, least, most }) }
    };
    let penalty = i64::from(MAX_PENALTY_MILLI);
    let whole = i64::from(WHOLE_MILLI);
    within(
        "temperature in thousandths",
        sampling.temperature_milli.into(),
        0,
        i64::from(MAX_TEMPERATURE_MILLI),
    )?;
    within("top_p in thousandths", sampling.top_p_milli.into(), 1, whole)?;
    within("max_tokens", sampling.max_tokens.into(), 1, u32::MAX.into())?;
    within("min_p in thousandths", sampling.min_p_milli.into(), 0, whole)?;
    within("presence_penalty in thousandths", sampling.presence_penalty_milli.into(), -penalty, penalty)?;
    within("frequency_penalty in thousandths", sampling.frequency_penalty_milli.into(), -penalty, penalty)?;
    within(
        "repetition_penalty in thousandths",
        sampling.repetition_penalty_milli.into(),
        REPETITION_MILLI.0.into(),
        REPETITION_MILLI.1.into(),
    )?;
    if sampling.stop.len() > MAX_STOPS {
        return Err(Error::Stop {
            problem: format!("there are {}; accepted are at most {MAX_STOPS}", sampling.stop.len()),
        });
    }
    for stop in &sampling.stop {
        if stop.is_empty() || stop.len() > MAX_STOP_BYTES {
            let problem = format!("one has {} bytes; accepted are 1 to {MAX_STOP_BYTES}", stop.len());
            return Err(Error::Stop { problem });
        }
    }
    format::validate(&sampling.response_format)
}

/// The token at `position` of the answer, given the logits there, among those that `allowed` has.
///
/// # Errors
/// [`Error::NotFinite`] when a logit is not a number.
///
/// # Panics
/// On no logits at all, and where none is allowed.
pub(crate) fn choose(
    sampling: &Sampling,
    position: u64,
    logits: &[f32],
    allowed: impl Fn(u32) -> bool,
) -> Result<u32, Error> {
    assert!(!logits.is_empty(), "a vocabulary has at least one token");
    if logits.iter().any(|logit| !logit.is_finite()) {
        return Err(Error::NotFinite { position });
    }
    let likeliest = largest(logits, &allowed);
    if sampling.temperature_milli == 0 {
        return Ok(token(likeliest));
    }
    let mut order = Order::new(weights(logits, logits[likeliest], sampling, allowed));
    if sampling.top_k > 0 {
        order.truncate(usize::try_from(sampling.top_k).unwrap_or(usize::MAX));
    }
    let sum = nucleus(&mut order, sampling.top_p_milli);
    let drawn = (u128::from(draw(sampling.seed, position)) * u128::from(sum)) >> 64;
    let mut running = 0u128;
    let mut at = 0;
    loop {
        let (weight, id) = order.get(at).expect("the draw is below the sum of the nucleus");
        running += u128::from(weight);
        if running > drawn {
            return Ok(id);
        }
        at += 1;
    }
}

fn largest(logits: &[f32], allowed: impl Fn(u32) -> bool) -> usize {
    let mut best: Option<usize> = None;
    for (id, logit) in logits.iter().enumerate() {
        if best.is_none_or(|best| *logit > logits[best]) && allowed(token(id)) {
            best = Some(id);
        }
    }
    best.expect("some token is allowed")
}

fn token(index: usize) -> u32 {
    u32::try_from(index).expect("a vocabulary has fewer than 2^32 tokens")
}

fn weights(
    logits: &[f32],
    largest: f32,
    sampling: &Sampling,
    allowed: impl Fn(u32) -> bool,
) -> Vec<(u64, u32)> {
    let temperature = f64::from(sampling.temperature_milli);
    let least = (u64::from(sampling.min_p_milli) * (1 << 40)).max(1);
    logits
        .iter()
        .enumerate()
        .filter_map(|(id, logit)| {
            let distance = (f64::from(*logit) - f64::from(largest)) * 1000.0 / temperature;
            if distance < WEIGHTLESS || !allowed(token(id)) {
                return None;
            }
            let weight = (libm::exp(distance) * UNIT) as u64;
            (weight * u64::from(WHOLE_MILLI) >= least).then_some((weight, token(id)))
        })
        .filter(|(weight, _)| *weight > 0)
        .collect()
}

/// The weight of the nucleus.
fn nucleus(order: &mut Order, top_p_milli: u32) -> u64 {
    let all = order.sum();
    if top_p_milli >= WHOLE_MILLI {
        return all;
    }
    let wanted = u128::from(top_p_milli) * u128::from(all);
    let mut sum = 0u64;
    let mut at = 0;
    while let Some((weight, _)) = order.get(at) {
        sum += weight;
        if u128::from(sum) * u128::from(WHOLE_MILLI) >= wanted {
            break;
        }
        at += 1;
    }
    sum
}

fn draw(seed: u64, position: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(DRAW_CONTEXT);
    hasher.update(&seed.to_le_bytes());
    hasher.update(&position.to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
