//! The loss of samples, its gradient and its Hessian-vector product.
//!
//! The loss of a sample is the **sum** over its target positions of `-log p(token | tokens before it)`, in nats. Normalising is the caller's.

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    Error, Lora, Model, Pool,
    engine::{Dropout, Gradient, Losses, Packed, Pass, Sequence, gather},
    kernel::Buf,
};

/// Rows of a group of records whose products are computed together: enough that weights are read seldom, few enough that activations stay near.
const GROUP_ROWS: usize = 512;

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
    /// Which entries the adapter does not see, if any are dropped.
    pub dropout: Option<Dropout>,
}

impl<'a> Record<'a> {
    /// A sample with its prefix, of which the adapter sees everything.
    #[must_use]
    pub fn new(prefix: &'a Prefix, sample: &'a Sample) -> Self {
        Self { prefix, sample, dropout: None }
    }
}

/// Loss of a sample and its gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct Grad {
    /// Sum of `-log p` over the targets, in nats, added in the order of positions.
    pub loss: f64,
    /// `∂loss/∂θ`.
    pub grad: Vec<f32>,
}

/// Loss and gradient of a sample with their derivatives along directions `u` in parameter space.
#[derive(Clone, Debug, PartialEq)]
pub struct Dual {
    /// As [`Grad::loss`], the same bits.
    pub loss: f64,
    /// By direction, `u · ∂loss/∂θ`.
    pub loss_dots: Vec<f64>,
    /// As [`Grad::grad`], the same bits.
    pub grad: Vec<f32>,
    /// By direction, `∂²loss/∂θ² · u`.
    pub grad_dots: Vec<Vec<f32>>,
}

impl Model {
    /// Hidden states of `tokens` entering `first_layer`, through the base model alone.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::Context`], [`Error::Length`] for no tokens, [`Error::Shape`] when the model has no such layer.
    pub fn prefix(&self, pool: &Pool, first_layer: usize, tokens: &[u32]) -> Result<Prefix, Error> {
        Ok(self.prefixes(pool, first_layer, &[tokens])?.remove(0))
    }

    /// [`Self::prefix`] of many sequences at once.
    ///
    /// # Errors
    /// As [`Self::prefix`].
    pub fn prefixes(
        &self,
        pool: &Pool,
        first_layer: usize,
        sequences: &[&[u32]],
    ) -> Result<Vec<Prefix>, Error> {
        if first_layer > self.config.layers {
            return Err(Error::Shape { what: "first layer", got: first_layer, limit: self.config.layers });
        }
        for tokens in sequences {
            self.check_tokens(tokens)?;
        }
        let d = self.config.d_model;
        self.weights.prepare_forward(pool, 0..first_layer, false);
        Ok(in_groups(
            pool,
            sequences,
            |s| s.len(),
            |split, group| {
                let pass = self.pass(split, group.iter().map(|s| (s.len(), None)), None, &[]);
                let mut x = Buf::scratch(pass.rows() * d);
                for (row, token) in x.chunks_exact_mut(d).zip(group.iter().copied().flatten()) {
                    self.weights.embed(*token, row);
                }
                for layer in 0..first_layer {
                    pass.layer(layer, &mut x, false);
                }
                let rows = pass.sequences.iter().map(|s| &x[s.rows.start * d..s.rows.end * d]);
                rows.zip(group)
                    .map(|(rows, s)| Prefix { first_layer, tokens: s.len(), hidden: rows.to_vec() })
                    .collect()
            },
        ))
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
    pub fn nll_tokens(
        &self,
        pool: &Pool,
        lora: Option<Lora<'_>>,
        record: Record<'_>,
    ) -> Result<Vec<f64>, Error> {
        Ok(self.nll_batch(pool, lora, &[record])?.remove(0))
    }

    /// [`Self::nll_tokens`] of many records; the result of a record does not depend on the others.
    ///
    /// # Errors
    /// [`Error::Token`], [`Error::Context`], [`Error::Length`] or [`Error::Adapter`] when a record, its prefix and the adapter do not fit together.
    pub fn nll_batch(
        &self,
        pool: &Pool,
        lora: Option<Lora<'_>>,
        records: &[Record<'_>],
    ) -> Result<Vec<Vec<f64>>, Error> {
        let lora = lora.map(|l| Packed::new(&self.config, l)).transpose()?;
        self.check_records(lora.as_ref(), records)?;
        self.prepare(pool, records);
        Ok(in_groups(
            pool,
            records,
            |r| r.prefix.tokens,
            |split, group| {
                let pass = self.pass(split, group.iter().map(stretch), lora.as_ref(), &[]);
                let mut x = self.stack(&pass, group);
                for layer in group[0].prefix.first_layer..self.config.layers {
                    pass.layer(layer, &mut x, false);
                }
                let (rows, targets) = predicted(&pass, group);
                let losses = Losses::compute(
                    self,
                    split,
                    &gather(&x, self.config.d_model, rows.into_iter()),
                    &targets,
                    false,
                );
                let mut rest = &losses.value[..];
                let mut take = |r: &Record<'_>| {
                    let (own, others) = rest.split_at(r.sample.targets.len());
                    rest = others;
                    own.to_vec()
                };
                group.iter().map(&mut take).collect()
            },
        ))
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
    pub fn nll_grad_batch(
        &self,
        pool: &Pool,
        lora: Lora<'_>,
        records: &[Record<'_>],
    ) -> Result<Vec<Grad>, Error> {
        let duals = self.differentiate(pool, lora, &[], records)?;
        Ok(duals.into_iter().map(|d| Grad { loss: d.loss, grad: d.grad }).collect())
    }

    /// Loss and gradient of one sample with their exact derivatives along `u` (forward-mode tangents through the forward and the backward pass).
    ///
    /// # Errors
    /// As [`Self::nll_batch`]; [`Error::Length`] when `u` has another length than `θ`.
    pub fn nll_grad_tangent(
        &self,
        pool: &Pool,
        lora: Lora<'_>,
        u: &[f32],
        record: Record<'_>,
    ) -> Result<Dual, Error> {
        Ok(self.nll_grad_tangents_batch(pool, lora, &[u], &[record])?.remove(0))
    }

    /// [`Self::nll_grad_tangent`] of many records along the same directions, which share the work on the values: `K` of them cost `1 + K` gradients. The result
    /// of a record along a direction does not depend on the other records and directions.
    ///
    /// # Errors
    /// As [`Self::nll_grad_tangent`].
    pub fn nll_grad_tangents_batch(
        &self,
        pool: &Pool,
        lora: Lora<'_>,
        directions: &[&[f32]],
        records: &[Record<'_>],
    ) -> Result<Vec<Dual>, Error> {
        self.differentiate(pool, lora, directions, records)
    }

    fn differentiate(
        &self,
        pool: &Pool,
        lora: Lora<'_>,
        directions: &[&[f32]],
        records: &[Record<'_>],
    ) -> Result<Vec<Dual>, Error> {
        let packed = Packed::new(&self.config, lora)?;
        let directions = directions
            .iter()
            .map(|u| Packed::new(&self.config, Lora { config: lora.config, theta: u }))
            .collect::<Result<Vec<_>, _>>()?;
        self.check_records(Some(&packed), records)?;
        self.prepare(pool, records);
        self.weights.prepare_backward(pool, packed.first_layer());
        let planes = 1 + directions.len();
        Ok(in_groups(
            pool,
            records,
            |r| r.prefix.tokens * planes,
            |split, group| {
                let pass = self.pass(split, group.iter().map(stretch), Some(&packed), &directions);
                self.differentiate_group(&pass, &packed, group)
            },
        ))
    }

    fn differentiate_group(&self, pass: &Pass<'_>, packed: &Packed, group: &[Record<'_>]) -> Vec<Dual> {
        let (d, rows, first) = (self.config.d_model, pass.rows(), packed.first_layer());
        let directions = pass.directions.len();
        let mut x = self.stack(pass, group);
        for layer in group[0].prefix.first_layer..first {
            pass.layer(layer, &mut x, false);
        }
        let kept: Vec<_> =
            (first..self.config.layers).filter_map(|layer| pass.layer(layer, &mut x, true)).collect();

        let (picked, targets) = predicted(pass, group);
        let all: Vec<usize> =
            (0..x.len() / d / rows).flat_map(|plane| picked.iter().map(move |r| plane * rows + r)).collect();
        let losses = Losses::compute(self, pass.split, &gather(&x, d, all.iter().copied()), &targets, true);
        let mut dx = Buf::scratch_zeros(x.len());
        for (row, source) in all.iter().zip(losses.dx.chunks_exact(d)) {
            dx[row * d..(row + 1) * d].copy_from_slice(source);
        }

        let mut grads: Vec<Gradient> =
            group.iter().map(|_| Gradient::zeros(packed.layout().len(), directions)).collect();
        for (layer, kept) in (first..self.config.layers).zip(&kept).rev() {
            pass.layer_backward(layer, kept, &mut dx, layer == first, &mut grads);
        }
        let mut at = 0;
        let mut one = |(record, grad): (&Record<'_>, Gradient)| {
            let own = at..at + record.sample.targets.len();
            at = own.end;
            Dual {
                loss: losses.value[own.clone()].iter().sum(),
                loss_dots: losses.tangents.iter().map(|l| l[own.clone()].iter().sum()).collect(),
                grad: grad.value,
                grad_dots: grad.tangents,
            }
        };
        group.iter().zip(grads).map(&mut one).collect()
    }

    fn prepare(&self, pool: &Pool, records: &[Record<'_>]) {
        if let Some(first) = records.first() {
            self.weights.prepare_forward(pool, first.prefix.first_layer..self.config.layers, true);
        }
    }

    /// A pass over sequences of the given lengths, each from position 0, with what is dropped of them.
    fn pass<'a>(
        &'a self,
        split: usize,
        stretches: impl Iterator<Item = (usize, Option<Dropout>)>,
        lora: Option<&'a Packed>,
        directions: &'a [Packed],
    ) -> Pass<'a> {
        let mut end = 0;
        let sequence = |(length, dropout)| {
            let rows = end..end + length;
            end = rows.end;
            Sequence { rows, lora, dropout }
        };
        let sequences = stretches.map(sequence).collect();
        Pass { model: self, sequences, directions, split }
    }

    /// Prefixes of a group as the rows of a pass; their tangents are zero.
    fn stack(&self, pass: &Pass<'_>, group: &[Record<'_>]) -> Buf {
        let d = self.config.d_model;
        let mut x = Buf::scratch_zeros((1 + pass.directions.len()) * pass.rows() * d);
        for (sequence, record) in pass.sequences.iter().zip(group) {
            x[sequence.rows.start * d..sequence.rows.end * d].copy_from_slice(&record.prefix.hidden);
        }
        x
    }

    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<(), Error> {
        if tokens.is_empty() {
            return Err(Error::Length { what: "tokens of a sequence (at least one)", got: 0, expected: 1 });
        }
        if tokens.len() > self.config.context {
            return Err(Error::Context { got: tokens.len(), limit: self.config.context });
        }
        match tokens.iter().find(|t| **t as usize >= self.config.vocab) {
            Some(t) => Err(Error::Token { got: *t, limit: self.config.vocab }),
            None => Ok(()),
        }
    }

    fn check_records(&self, lora: Option<&Packed>, records: &[Record<'_>]) -> Result<(), Error> {
        for Record { prefix, sample, dropout } in records {
            if let Some(got) = dropout.map(|d| d.ppm).filter(|got| *got > Dropout::MAX_PPM) {
                let limit = Dropout::MAX_PPM as usize;
                return Err(Error::Shape { what: "dropout (10^-6)", got: got as usize, limit });
            }
            self.check_tokens(&sample.tokens)?;
            if prefix.tokens != sample.tokens.len() {
                return Err(Error::Length {
                    what: "tokens of the prefix",
                    got: prefix.tokens,
                    expected: sample.tokens.len(),
                });
            }
            let floats = prefix.tokens * self.config.d_model;
            if prefix.hidden.len() != floats {
                return Err(Error::Length {
                    what: "floats of the prefix",
                    got: prefix.hidden.len(),
                    expected: floats,
                });
            }
            let Range { start, end } = sample.targets;
            if start == 0 || start >= end || end > sample.tokens.len() {
                return Err(Error::Adapter(format!(
                    "targets {start}..{end} of {} tokens; they start at 1 or later",
                    sample.tokens.len()
                )));
            }
            if prefix.first_layer != records[0].prefix.first_layer {
                return Err(Error::Length {
                    what: "first layer of a prefix",
                    got: prefix.first_layer,
                    expected: records[0].prefix.first_layer,
                });
            }
            if let Some(first) = lora.map(Packed::first_layer).filter(|first| prefix.first_layer > *first) {
                return Err(Error::Adapter(format!(
                    "a prefix into layer {} skips adapted layer {first}",
                    prefix.first_layer
                )));
            }
        }
        Ok(())
    }
}

fn stretch(record: &Record<'_>) -> (usize, Option<Dropout>) {
    (record.prefix.tokens, record.dropout)
}

/// Rows whose logits predict a target (the one before it), and the targets.
fn predicted(pass: &Pass<'_>, group: &[Record<'_>]) -> (Vec<usize>, Vec<u32>) {
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (sequence, record) in pass.sequences.iter().zip(group) {
        let range = record.sample.targets.clone();
        rows.extend(range.clone().map(|t| sequence.rows.start + t - 1));
        targets.extend_from_slice(&record.sample.tokens[range]);
    }
    (rows, targets)
}

/// Hands contiguous groups of items to the threads of a pool and returns the results in order. `work` gets the number of tasks it may split products into:
/// one when there are groups enough for every thread.
fn in_groups<T: Sync, R: Send>(
    pool: &Pool,
    items: &[T],
    rows: impl Fn(&T) -> usize,
    work: impl Fn(usize, &[T]) -> Vec<R> + Sync,
) -> Vec<R> {
    let threads = pool.threads();
    let total: usize = items.iter().map(&rows).sum();
    let wanted = total.div_ceil(GROUP_ROWS).next_multiple_of(threads).min(items.len());
    let mut groups: Vec<&[T]> = Vec::new();
    let (mut start, mut seen) = (0, 0);
    for (i, item) in items.iter().enumerate() {
        seen += rows(item);
        if seen * wanted >= total * (groups.len() + 1) {
            groups.push(&items[start..=i]);
            start = i + 1;
        }
    }
    if start < items.len() {
        groups.push(&items[start..]);
    }
    let split = if groups.len() < threads { threads } else { 1 };
    pool.install(|| groups.into_par_iter().flat_map_iter(|group| work(split, group)).collect())
}
