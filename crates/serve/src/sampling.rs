//! From logits to a token, the same on every machine.
//!
//! Temperature 0 takes the largest logit, among equals the smallest id. Otherwise, with `T` the temperature in
//! thousandths, `m` the largest logit and `P` the nucleus in thousandths:
//!
//! 1. token `i` weighs `w_i = floor(exp(((l_i - m) * 1000) / T) * 2^40)`, computed in `f64` from left to right with
//!    `libm`'s `exp`, which is plain additions and multiplications in one order;
//! 2. tokens are ordered by weight descending, then by id ascending;
//! 3. the nucleus is the shortest head of that order with `1000 * sum(head) >= P * sum(all)`;
//! 4. the draw is `u`, the first eight bytes, little-endian, of `BLAKE3(derive key "openledger serve draw 1", seed as u64-le ‖ position as u64-le)`;
//!    the token is the first whose running sum is above `floor(u * sum(head) / 2^64)`.
//!
//! From step 2 on everything is integers, so no order of additions can matter.

use openledger_types::receipt::Sampling;

use crate::Error;

/// A whole, in thousandths.
pub const WHOLE_MILLI: u32 = 1000;

/// Highest temperature in thousandths: the range of the OpenAI API.
pub const MAX_TEMPERATURE_MILLI: u32 = 2000;

/// Weight of the likeliest token. A vocabulary of 2^20 tokens of this weight adds up to 2^60.
const UNIT: f64 = (1u64 << 40) as f64;

/// Names the generator of draws; another rule would be another name.
const DRAW_CONTEXT: &str = "openledger serve draw 1";

/// Checks that every number of a request is in range.
///
/// # Errors
/// [`Error::Sampling`] naming the first that is not.
pub fn validate(sampling: &Sampling) -> Result<(), Error> {
    let within = |what, got: u32, least: u32, most: u32| {
        if (least..=most).contains(&got) {
            Ok(())
        } else {
            Err(Error::Sampling { what, got: got.into(), least: least.into(), most: most.into() })
        }
    };
    within("temperature in thousandths", sampling.temperature_milli, 0, MAX_TEMPERATURE_MILLI)?;
    within("top_p in thousandths", sampling.top_p_milli, 1, WHOLE_MILLI)?;
    within("max_tokens", sampling.max_tokens, 1, u32::MAX)
}

/// The token at `position` of the answer, given the logits there.
///
/// # Errors
/// [`Error::NotFinite`] when a logit is not a number.
///
/// # Panics
/// On no logits at all.
pub fn choose(sampling: &Sampling, position: u64, logits: &[f32]) -> Result<u32, Error> {
    assert!(!logits.is_empty(), "a vocabulary has at least one token");
    if logits.iter().any(|logit| !logit.is_finite()) {
        return Err(Error::NotFinite { position });
    }
    let likeliest = largest(logits);
    if sampling.temperature_milli == 0 {
        return Ok(token(likeliest));
    }
    let weights = ordered_weights(logits, logits[likeliest], sampling.temperature_milli);
    let all: u64 = weights.iter().map(|(weight, _)| weight).sum();
    let (head, sum) = nucleus(&weights, all, sampling.top_p_milli);
    let drawn = (u128::from(draw(sampling.seed, position)) * u128::from(sum)) >> 64;
    let mut running = 0u128;
    for (weight, id) in head {
        running += u128::from(*weight);
        if running > drawn {
            return Ok(*id);
        }
    }
    unreachable!("the draw is below the sum of the nucleus");
}

fn largest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (id, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = id;
        }
    }
    best
}

fn token(index: usize) -> u32 {
    u32::try_from(index).expect("a vocabulary has fewer than 2^32 tokens")
}

fn ordered_weights(logits: &[f32], largest: f32, temperature_milli: u32) -> Vec<(u64, u32)> {
    let temperature = f64::from(temperature_milli);
    let mut weights: Vec<(u64, u32)> = logits
        .iter()
        .enumerate()
        .map(|(id, logit)| {
            let distance = f64::from(*logit) - f64::from(largest);
            let weight = libm::exp(distance * 1000.0 / temperature) * UNIT;
            (weight as u64, token(id))
        })
        .filter(|(weight, _)| *weight > 0)
        .collect();
    weights.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    weights
}

fn nucleus(weights: &[(u64, u32)], all: u64, top_p_milli: u32) -> (&[(u64, u32)], u64) {
    let wanted = u128::from(top_p_milli) * u128::from(all);
    let mut sum = 0u64;
    for (index, (weight, _)) in weights.iter().enumerate() {
        sum += weight;
        if u128::from(sum) * u128::from(WHOLE_MILLI) >= wanted {
            return (&weights[..=index], sum);
        }
    }
    (weights, sum)
}

fn draw(seed: u64, position: u64) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key(DRAW_CONTEXT);
    hasher.update(&seed.to_le_bytes());
    hasher.update(&position.to_le_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
