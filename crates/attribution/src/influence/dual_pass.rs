use openledger_model::{Dual, Lora, Record};
use openledger_train::{Moment, Run};

use super::error::{Error, Result};

/// Directions that share a pass: with six, one costs a little over half of what it does alone; more gain little and take memory.
pub(super) const TOGETHER: usize = 6;

/// Losses, gradients and Hessian products of a step's batch at the parameters before it, the gradients compared with the transcript bit for bit.
pub(super) fn dual_pass(
    run: &Run,
    step: usize,
    moment: &Moment,
    weights: Option<&[f32]>,
    directions: &[&[f32]],
) -> Result<Vec<Dual>> {
    if !directions.iter().copied().flatten().all(|x| x.is_finite()) {
        return Err(Error::NotFinite { what: "a direction of differentiation", step });
    }
    let batch = run.batch(step);
    let records: Vec<Record<'_>> = batch.iter().map(|&r| run.taken(step, r)).collect();
    let lora = Lora { config: run.lora(), theta: &moment.before.theta };
    let duals = run.model().nll_grad_tangents_batch(run.pool(), lora, directions, &records)?;
    let parts = batch.iter().zip(&duals).map(|(&r, d)| (weight(weights, r), d.loss, d.grad.as_slice()));
    let expected = run.combine(step, parts.filter(|(weight, ..)| *weight != 0.0));
    let got = &moment.step;
    if got.loss.to_bits() != expected.loss.to_bits() {
        return Err(Error::FalseStep {
            step,
            what: "the loss".into(),
            got: got.loss,
            expected: expected.loss,
        });
    }
    let differs = |(a, b): (&f32, &f32)| a.to_bits() != b.to_bits();
    if let Some(at) = got.gradient.iter().zip(&expected.gradient).position(differs) {
        let what = format!("gradient entry {at}");
        let (got, expected) = (got.gradient[at].into(), expected.gradient[at].into());
        return Err(Error::FalseStep { step, what, got, expected });
    }
    Ok(duals)
}

pub(super) fn weight(weights: Option<&[f32]>, record: u32) -> f32 {
    weights.map_or(1.0, |w| w[record as usize])
}
