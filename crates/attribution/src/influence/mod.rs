//! What each training record did for an answer: `∂F/∂wᵢ`, positive where the record helped.
//!
//! `F` is a weighted sum of log-probabilities of answers at the trained parameters, `F(θ_T) = Σ_q ω_q log p(y_q | x_q; θ_T)`, and `w` are the
//! weights of the records in training, all 1. Training is a deterministic function of `w`, so the derivative exists and is computed, not estimated.
//!
//! # The function that is differentiated
//! Step `t` takes the batch `B` with `N` target tokens (`N` does not depend on `w`). With `hᵢ(θ) = ∇ nllᵢ(θ)`:
//!
//! ```text
//! g  = Σ_{i ∈ B} (wᵢ / N) hᵢ(θ)
//! m' = β₁ m + (1 − β₁) g                 m̂ = m' k₁,  k₁ = 1 / (1 − β₁ᵗ)
//! v' = β₂ v + (1 − β₂) g²                v̂ = v' k₂,  k₂ = 1 / (1 − β₂ᵗ)
//! θ' = ρ θ − η m̂ / r                     r = √(v̂ + ε),  ρ = 1 − η λ
//! ```
//!
//! # Backwards: [`replay()`]
//! Let `λθ, λm, λv` be the derivatives of `F` by the state after the step (at the end `∇F(θ_T), 0, 0`). The derivatives by `m'` and `v'` through
//! every path, by the batch gradient, and by the state before the step, are
//!
//! ```text
//! μ  = λm − λθ η k₁ / r
//! ν  = λv + λθ η m̂ k₂ / (2 r³)
//! u  = (1 − β₁) μ + 2 (1 − β₂) g ν       = ∂F/∂g
//! ∂F/∂wᵢ += (u · hᵢ) / N
//! λθ ← ρ λθ + Σ_{i ∈ B} (wᵢ / N) ∇²nllᵢ u
//! λm ← β₁ μ
//! λv ← β₂ ν
//! ```
//!
//! One step costs one dual pass (`hᵢ` and `∇²nllᵢ u` together) over its batch, about two training steps. Any number of answers is one vector `∇F`, so the
//! exact credit of every record for a whole epoch of answers costs one replay.
//!
//! # Forwards: [`tangents()`]
//! For a group `c` of records, `τ_c = dθ_T / dw_c` (all weights of the group moving together) obeys the differentiated step, started from zero:
//!
//! ```text
//! ġ  = Σ_{i ∈ B ∩ c} hᵢ / N + Σ_{i ∈ B} (wᵢ / N) ∇²nllᵢ θ̇
//! ṁ' = β₁ ṁ + (1 − β₁) ġ
//! v̇' = β₂ v̇ + 2 (1 − β₂) g ġ
//! θ̇' = ρ θ̇ − η k₁ ṁ' / r + η m̂ k₂ v̇' / (2 r³)
//! ```
//!
//! and `∂F/∂w_c = ∇F · τ_c`. It costs one replay per group, once; then an answer costs one dot product per group.
//!
//! # What an adaptive optimiser does to influence
//! With `ε = 0` a step does not change when every gradient is multiplied by the same number, so by Euler's theorem `Σᵢ wᵢ ∂F/∂wᵢ = 0` but for the start: what one
//! record gains others lose. An `ε` that is large against `v̂` makes the step proportional to the gradient; then the influences add up to
//! what training did for the answer, and a group's influence is what its absence would cost. The recipe chooses `ε` with that in mind.
//!
//! # Precision
//! Adjoints, tangents and credits are `f64` in a stated order over derivatives that the model returns in `f32` bit for bit, so a result is the same bytes on any machine. While it
//! goes back, a replay recomputes every record's gradient at every step and compares their sum with the transcript bit for bit: a finished replay has verified the training.
//!
//! Estimates that need no replay are in [`Index`]; what others do is in [`baselines`].

mod adjoint;
mod answer;
pub mod baselines;
mod checkpoint;
mod dual_pass;
mod error;
mod head;
mod index;
mod linear;
mod objective;
mod replay;
mod state;
mod tangents;

pub use adjoint::{Adjoint, Tangent};
pub use answer::{AnswerGradient, answer_gradient};
pub use error::Error;
pub use head::HeadInfluence;
pub use index::{Index, IndexInputs};
pub use objective::Objective;
pub use replay::{CHECKPOINT_EVERY, ReplayOptions, replay, replay_each, replay_hashed, replay_step};
pub use state::ReplayState;
pub use tangents::{Tangents, tangents};

#[cfg(test)]
mod tests;
