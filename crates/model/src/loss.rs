//! The loss of samples, its gradient and its Hessian-vector product.
//!
//! The loss of a sample is the **sum** over its target positions of `-log p(token | tokens before it)`, in nats. Normalising is the caller's.

use std::ops::Range;

use crate::{Error, Lora, Model, Pool};

/// Tokens and which of them are predicted and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The whole sequence.
    pub tokens: Vec<u32>,
    /// Positions whose token is counted; starts at 1 or later, since the first token has nothing before it.
    pub targets: Range<usize>,
}

/// Hidden states entering a layer for every token of a sequence. While the layers before it are frozen they never change, so training computes them once.
#[derive(Clone, Debug, PartialEq)]
pub struct Prefix {
    pub(crate) first_layer: usize,
    pub(crate) tokens: usize,
    /// `tokens x d_model`, row-major.
    pub(crate) hidden: Vec<f32>,
}

impl Prefix {
    /// The layer these states enter.
    #[must_use]
    pub fn first_layer(&self) -> usize {
        self.first_layer
    }

    /// Number of tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// The states, `tokens x d_model`, row-major.
    #[must_use]
    pub fn hidden(&self) -> &[f32] {
        &self.hidden
    }
}

/// A sample with the prefix of its tokens.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// From [`Model::prefix`] of the sample's tokens, at or before the adapter's first layer.
    pub prefix: &'a Prefix,
    /// What is predicted.
    pub sample: &'a Sample,
}

/// Loss of a sample and its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Grad {
    /// Sum of `-log p` over the targets, in nats, added in the order of positions.
    pub loss: f64,
    /// `∂loss/∂θ`.
    pub grad: Vec<f32>,
}

/// Loss and gradient of a sample with their derivatives along a direction `u` in parameter space.
#[derive(Clone, Debug, PartialEq)]
pub struct Dual {
    /// As [`Grad::loss`], the same bits.
    pub loss: f64,
    /// `u · ∂loss/∂θ`.
    pub loss_dot: f64,
    /// As [`Grad::grad`], the same bits.
    pub grad: Vec<f32>,
    /// `∂²loss/∂θ² · u`.
    pub grad_dot: Vec<f32>,
}

impl Model {
    /// Hidden states of `tokens` entering `first_layer`, through the base model alone.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::Context`], [`Error::Shape`] when the model has no such layer.
    pub fn prefix(&self, pool: &Pool, first_layer: usize, tokens: &[u32]) -> Result<Prefix, Error> {
        unimplemented!("{pool:?} {first_layer} {tokens:?}")
    }

    /// [`Self::prefix`] of many sequences at once.
    ///
    /// # Errors
    /// As [`Self::prefix`].
    pub fn prefixes(&self, pool: &Pool, first_layer: usize, sequences: &[&[u32]]) -> Result<Vec<Prefix>, Error> {
        unimplemented!("{pool:?} {first_layer} {sequences:?}")
    }

    /// Loss of one sample: the sum of [`Self::nll_tokens`] in order.
    ///
    /// # Errors
    /// As [`Self::nll_batch`].
    pub fn nll(&self, pool: &Pool, lora: Option<Lora<'_>>, record: Record<'_>) -> Result<f64, Error> {
        Ok(self.nll_tokens(pool, lora, record)?.iter().sum())
    }

    /// `-log p` of each target in nats, in order of positions.
    ///
    /// # Errors
    /// As [`Self::nll_batch`].
    pub fn nll_tokens(&self, pool: &Pool, lora: Option<Lora<'_>>, record: Record<'_>) -> Result<Vec<f64>, Error> {
        Ok(self.nll_batch(pool, lora, &[record])?.remove(0))
    }

    /// [`Self::nll_tokens`] of many records; the result of a record does not depend on the others.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::Context`], [`Error::Length`] or [`Error::Adapter`] when a record, its prefix and the adapter do not fit together.
    pub fn nll_batch(&self, pool: &Pool, lora: Option<Lora<'_>>, records: &[Record<'_>]) -> Result<Vec<Vec<f64>>, Error> {
        unimplemented!("{pool:?} {lora:?} {records:?}")
    }

    /// Loss of one sample and its gradient.
    ///
    /// # Errors
    /// As [`Self::nll_batch`].
    pub fn nll_grad(&self, pool: &Pool, lora: Lora<'_>, record: Record<'_>) -> Result<Grad, Error> {
        Ok(self.nll_grad_batch(pool, lora, &[record])?.remove(0))
    }

    /// [`Self::nll_grad`] of many records; the result of a record does not depend on the others.
    ///
    /// # Errors
    /// As [`Self::nll_batch`].
    pub fn nll_grad_batch(&self, pool: &Pool, lora: Lora<'_>, records: &[Record<'_>]) -> Result<Vec<Grad>, Error> {
        unimplemented!("{pool:?} {lora:?} {records:?}")
    }

    /// Loss and gradient of one sample with their exact derivatives along `u` (forward-mode tangents through the forward and the backward pass).
    ///
    /// # Errors
    /// As [`Self::nll_batch`]; [`Error::Length`] when `u` has another length than `θ`.
    pub fn nll_grad_tangent(&self, pool: &Pool, lora: Lora<'_>, u: &[f32], record: Record<'_>) -> Result<Dual, Error> {
        Ok(self.nll_grad_tangent_batch(pool, lora, u, &[record])?.remove(0))
    }

    /// [`Self::nll_grad_tangent`] of many records along the same `u`; the result of a record does not depend on the others.
    ///
    /// # Errors
    /// As [`Self::nll_grad_tangent`].
    pub fn nll_grad_tangent_batch(
        &self,
        pool: &Pool,
        lora: Lora<'_>,
        u: &[f32],
        records: &[Record<'_>],
    ) -> Result<Vec<Dual>, Error> {
        unimplemented!("{pool:?} {lora:?} {u:?} {records:?}")
    }
}
