//! Whether a settled batch's claim about a contributor is what really happens without them.
//!
//! The credit of a batch is the derivative of training; an audit takes the difference itself: the adapter is trained again from the same manifest and seed with
//! weight 0 on the contributor's records, and the batch's answers are scored with both. `claimed` is what the batch credits the contributor's records with, signed and
//! before clipping; `measured` is the same sum with each answer's fall in log-probability in place of its derivative. The two differ by the curvature of training,
//! so a claim stands unless it has the wrong sign or is off by more than [`TOLERATED`] times over the whole 95 % interval of what was measured, which resamples the answers;
//! where they are fewer than `MIN_ANSWERS`, it reaches from what the batch would cost if all were as the least affected answer to the same of the most affected.
//! What is smaller on both sides than [`NEGLIGIBLE_PPM`] of what the adapter's influence could claim is not judged.

use alloy_primitives::{Address, B256, I256, U256, keccak256};
use alloy_sol_types::SolValue;
use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_model::{Lora, Record, Sample};
use openledger_train::{Options, Run, Trajectory, train};
use openledger_types::batch::BatchFile;
use openledger_types::receipt::Answer;

use crate::claim::load_batch;
use crate::error::compute;
use crate::lineage::Lineage;
use crate::{Folders, Machine, Progress, Result, WorkerError};

/// A claim may be so many times what was measured, or what was measured so many times the claim: leaving out is not the derivative.
pub const TOLERATED: f64 = 3.0;
/// Below this part of what influence could claim in the batch, nothing is judged.
pub const NEGLIGIBLE_PPM: u32 = 10_000;

const RESAMPLES: u64 = 2_000;
/// Fewer answers than this say too little of how much they vary to be resampled.
const MIN_ANSWERS: usize = 8;

/// What an audit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The claim is of the size and sign of what was measured.
    Stands,
    /// Both are too small to be judged.
    Negligible,
    /// The claim says that the contributor helped where they harmed, or the other way round.
    WrongSign,
    /// The claim is more than [`TOLERATED`] times too large or too small.
    WrongSize,
}

/// One contributor's claim beside what leaving them out does.
#[derive(Debug, Clone, PartialEq)]
pub struct Audit {
    /// The batch.
    pub batch: U256,
    /// The contributor.
    pub contributor: Address,
    /// Records of theirs that were left out.
    pub records: usize,
    /// Credit of the batch, wei.
    pub claimed: f64,
    /// What leaving them out costs the answers, wei.
    pub measured: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// By answer: nats that its log-probability falls by without them.
    pub falls: Vec<f64>,
    /// What follows.
    pub finding: Finding,
}

/// The contributor whom public randomness picks: `keccak256(abi.encode(entropy, batch))` modulo those with a credit in the batch, in the order of their addresses.
pub fn drawn(file: &BatchFile, batch: U256, entropy: B256) -> Option<Address> {
    let mut all: Vec<Address> = file.credits.iter().map(|credit| credit.contributor).collect();
    all.sort_unstable();
    all.dedup();
    let word = U256::from_be_bytes(keccak256((entropy, batch).abi_encode()).0);
    (!all.is_empty()).then(|| all[(word % U256::from(all.len())).to::<usize>()])
}

/// Audits a posted batch for one contributor; without one, for the one that the hash of the newest block draws.
///
/// # Errors
/// [`WorkerError::Chain`], [`WorkerError::Corpus`], [`WorkerError::Mismatch`] for a contributor without records in the adapter's training set, and failures of the machine.
pub async fn audit(
    client: &Client,
    folders: &Folders,
    machine: &Machine,
    batch: U256,
    contributor: Option<Address>,
    progress: &Progress,
) -> Result<Audit> {
    let blobs = Blobs::open(folders.corpus())?;
    let file = load_batch(client, &blobs, batch).await?;
    let contributor = match contributor {
        Some(contributor) => contributor,
        None => {
            let entropy = client.latest_header().await?.hash;
            drawn(&file, batch, entropy).ok_or_else(|| {
                WorkerError::mismatch(format!("batch {batch}"), "at least one credited contributor", "none")
            })?
        }
    };
    let lineage = Lineage::load(client, &blobs, file.adapter).await?;
    let (machine, progress) = (machine.clone(), progress.clone());
    compute(move || {
        let run = lineage.run(&machine, &progress)?;
        let trajectory = Trajectory::new(&run, lineage.transcript(&blobs, &run)?, None)?;
        let with = trajectory.last().theta.clone();
        let left_out = left_out(&lineage, contributor)?;
        let records = left_out.iter().filter(|weight| **weight == 0.0).count();
        let mut report = |step: openledger_train::Progress| {
            if let openledger_train::Progress::Step { done, total, .. } = step {
                progress.report("training without the contributor", done as u64, total as u64, "steps");
            }
        };
        let options = Options { weights: Some(&left_out), ..Options::default() };
        let without = train(&run, options, &mut report)?.state.theta;
        let falls = file
            .answers
            .iter()
            .map(|answer| Ok(log_p(&run, &with, answer)? - log_p(&run, &without, answer)?))
            .collect::<Result<Vec<_>>>()?;
        Ok(judge(&file, batch, contributor, records, falls))
    })
    .await
}

fn left_out(lineage: &Lineage, contributor: Address) -> Result<Vec<f32>> {
    let weights: Vec<f32> = lineage
        .set
        .records()
        .iter()
        .map(|record| if record.contributor == contributor { 0.0 } else { 1.0 })
        .collect();
    if weights.iter().all(|weight| *weight == 1.0) {
        let found = "none of the records that the adapter was trained on";
        return Err(WorkerError::mismatch(
            format!("contributor {contributor}"),
            "at least one record",
            found,
        ));
    }
    Ok(weights)
}

/// `log p` of an answer, nats.
fn log_p(run: &Run, theta: &[f32], answer: &Answer) -> Result<f64> {
    let (prompt, answer) = (&answer.request.prompt_tokens, &answer.response.tokens);
    let tokens = [prompt.as_slice(), answer].concat();
    let lora = Lora { config: run.lora(), theta };
    let prefix = run.model().prefix(run.pool(), lora.config.first_layer, &tokens)?;
    let sample = Sample { targets: prompt.len()..tokens.len(), tokens };
    Ok(-run.model().nll(run.pool(), Some(lora), Record::new(&prefix, &sample))?)
}

fn judge(file: &BatchFile, batch: U256, contributor: Address, records: usize, falls: Vec<f64>) -> Audit {
    let credits = file.credits.iter().filter(|credit| credit.contributor == contributor);
    let claimed = signed(credits.fold(I256::ZERO, |sum, credit| sum.saturating_add(credit.influence_wei)));
    let worth: Vec<f64> =
        file.weights.iter().zip(&falls).map(|(weight, nats)| f64::from(weight.wei_per_nat) * nats).collect();
    let measured = worth.iter().sum::<f64>();
    let interval = interval(&worth, batch);
    let cap = file.weights.iter().map(|weight| f64::from(weight.explained_wei)).sum::<f64>();
    let negligible = cap * f64::from(NEGLIGIBLE_PPM) / 1e6;
    let finding = finding(claimed, measured, interval, negligible);
    Audit { batch, contributor, records, claimed, measured, interval, falls, finding }
}

fn signed(wei: I256) -> f64 {
    let magnitude = f64::from(wei.unsigned_abs());
    if wei.is_negative() { -magnitude } else { magnitude }
}

fn finding(claimed: f64, measured: f64, (low, high): (f64, f64), negligible: f64) -> Finding {
    if claimed.abs() <= negligible && measured.abs() <= negligible {
        return Finding::Negligible;
    }
    // The claim as if positive.
    let (low, high) = if claimed < 0.0 { (-high, -low) } else { (low, high) };
    let claimed = claimed.abs();
    if high <= 0.0 {
        return if claimed > negligible { Finding::WrongSign } else { Finding::WrongSize };
    }
    if high * TOLERATED < claimed || claimed * TOLERATED < low { Finding::WrongSize } else { Finding::Stands }
}

/// The middle 95 % of the sum over resampled answers, or all that resampling could give where they are few.
fn interval(worth: &[f64], batch: U256) -> (f64, f64) {
    let count = worth.len() as f64;
    if worth.len() < MIN_ANSWERS {
        let least = worth.iter().copied().fold(f64::INFINITY, f64::min);
        let most = worth.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        return (count * least, count * most);
    }
    let draw = |resample: u64, answer: usize| {
        let word = U256::from_be_bytes(keccak256((batch, resample, U256::from(answer)).abi_encode()).0);
        worth[(word % U256::from(worth.len())).to::<usize>()]
    };
    let mut sums: Vec<f64> =
        (0..RESAMPLES).map(|resample| (0..worth.len()).map(|answer| draw(resample, answer)).sum()).collect();
    sums.sort_by(f64::total_cmp);
    let at = |part: f64| sums[(part * (sums.len() - 1) as f64).round() as usize];
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_stands_within_three_times_and_falls_beyond_or_with_the_wrong_sign() {
        let point = |measured: f64| (measured, measured);
        for (claimed, measured, expected) in [
            (100.0, 90.0, Finding::Stands),
            (100.0, 34.0, Finding::Stands),
            (100.0, 33.0, Finding::WrongSize),
            (100.0, 299.0, Finding::Stands),
            (100.0, 301.0, Finding::WrongSize),
            (100.0, -90.0, Finding::WrongSign),
            (-100.0, -90.0, Finding::Stands),
            (-100.0, 90.0, Finding::WrongSign),
            (-100.0, -301.0, Finding::WrongSize),
            (5.0, -5.0, Finding::Negligible),
            (5.0, 90.0, Finding::WrongSize),
            (0.0, 90.0, Finding::WrongSize),
            (0.0, -90.0, Finding::WrongSize),
        ] {
            assert_eq!(
                finding(claimed, measured, point(measured), 10.0),
                expected,
                "{claimed} for {measured}"
            );
        }
    }

    #[test]
    fn a_claim_is_refused_only_by_the_whole_interval() {
        assert_eq!(finding(100.0, -10.0, (-40.0, 50.0), 10.0), Finding::Stands);
        assert_eq!(finding(100.0, -10.0, (-40.0, -5.0), 10.0), Finding::WrongSign);
        assert_eq!(finding(100.0, 20.0, (10.0, 30.0), 10.0), Finding::WrongSize);
        assert_eq!(finding(100.0, 20.0, (10.0, 40.0), 10.0), Finding::Stands);
    }

    #[test]
    fn the_interval_holds_the_sum_and_is_the_widest_where_answers_are_few() {
        assert_eq!(interval(&[1.0, -2.0, 3.0], U256::from(1)), (-6.0, 9.0));
        let worth: Vec<f64> = (0..20).map(|i| f64::from(i % 5)).collect();
        let (low, high) = interval(&worth, U256::from(1));
        assert!(low < 40.0 && 40.0 < high && low > 20.0 && high < 60.0, "{low} {high}");
        assert_eq!(interval(&worth, U256::from(1)), (low, high));
    }
}
