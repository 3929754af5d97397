//! The estimate that is ready when the answer is: first-order pulls, damped by their empirical Fisher, solved exactly in the dual.
//!
//! Let `G` (`n x P`) hold for each record how it pulled on the parameters, to first order and with the sign of its loss's gradient: its gradients summed over its visits in training, each
//! divided by Adam's root and multiplied by how far that step reaches ([`Trained::gradients`]). The estimate lets the curvature `GᵀG + λI` stand in
//! for what later steps did to a pull, so that records which say the same share it, and on an answer with gradient `q = ∇ log p`
//!
//! ```text
//! sᵢ = −κ [ G (GᵀG + λI)⁻¹ q ]ᵢ = −κ [ (K + λI)⁻¹ G q ]ᵢ           K = G Gᵀ
//! ```
//!
//! which needs only `n x n` algebra. `λ` is the damping times the mean of `K`'s diagonal; as it grows, `s` becomes the plain first-order sum. The scale `κ` makes nats of it: all
//! damped pulls together, `D = −Gᵀ a` with `a = (K + λI)⁻¹ 1`, should be the way that training went, so `κ = (Δ · D) / (D · D)` with
//! `Δ = θ_T − θ_0`, at least 0.
//!
//! With a metric `d` the inner products are taken in its coordinates: `G` and `q` are multiplied by `√d` and pulls are mapped back by it. With plain gradients
//! and `d = 1 / √(v̂_T + ε)` that is the empirical Fisher in Adam's metric; pulls carry the root already and take none.
//!
//! # File
//! ```text
//! "OLINFLU" 0x01  32 transcript hash  u64 P  u64 records  u64 rows  f64 damping  f64 κ  u8 preconditioned
//! [P f32 √d]  rows x u64 record  rows x P f32 G  rows (rows + 1) / 2 f64 Cholesky factor  32 BLAKE3 of all before
//! ```

use std::{fs::File, io::Read, path::Path};

use alloy_primitives::B256;
use openledger_train::{Run, Trained};

use super::{
    checkpoint::write_atomic,
    error::{Error, Result, same_length},
    linear::{Lower, dot, gram},
};

const MAGIC: &[u8; 8] = b"OLINFLU\x01";
const HEAD: usize = 8 + 32 + 5 * 8 + 1;
/// Gradients of a thousand records of a million parameters each.
const MAX_INDEX_BYTES: u64 = 4 << 30;

/// What an index is made from.
#[derive(Clone, Copy, Debug)]
pub struct IndexInputs<'a> {
    /// Which run, by its transcript's hash.
    pub transcript: B256,
    /// By record, its pull or the gradient of its loss; `None` for a record that training never took, whose influence is 0.
    pub gradients: &'a [Option<Vec<f32>>],
    /// `θ_T − θ_0`; empty leaves `κ = 1`.
    pub displacement: &'a [f32],
    /// `√d`; empty takes plain inner products.
    pub metric: &'a [f32],
    /// `λ` as a multiple of the mean of `K`'s diagonal.
    pub damping: f64,
}

/// The estimate tier of one adapter.
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    transcript: B256,
    parameters: usize,
    records: usize,
    damping: f64,
    scale: f64,
    metric: Vec<f32>,
    rows: Vec<usize>,
    gradients: Vec<f32>,
    factor: Lower,
}

impl Index {
    /// What the worker stores beside an adapter.
    ///
    /// # Errors
    /// Those of [`Self::build`]; [`Error::Length`] when the run was trained without keeping gradients or a transcript.
    pub fn of_run(run: &Run, trained: &Trained) -> Result<Self> {
        same_length("gradients kept in training", trained.gradients.len(), run.records())?;
        let transcript =
            trained.transcript.ok_or(Error::Length { what: "transcripts kept", got: 0, expected: 1 })?;
        let initial = run.initial();
        let displacement: Vec<f32> = trained.state.theta.iter().zip(&initial).map(|(a, b)| a - b).collect();
        Self::build(IndexInputs {
            transcript,
            gradients: &trained.gradients,
            displacement: &displacement,
            metric: &[],
            damping: DAMPING,
        })
    }

    /// Factors the damped Gram matrix once.
    ///
    /// # Errors
    /// [`Error::Length`] for no gradients or unequal lengths, [`Error::Range`] for a damping that is not above 0, [`Error::NotPositive`].
    pub fn build(inputs: IndexInputs<'_>) -> Result<Self> {
        if !(inputs.damping.is_finite() && inputs.damping > 0.0) {
            return Err(Error::Range { what: "damping", got: inputs.damping, expected: "above 0" });
        }
        let taken = || inputs.gradients.iter().enumerate().filter_map(|(i, g)| Some((i, g.as_ref()?)));
        let rows: Vec<usize> = taken().map(|(i, _)| i).collect();
        let Some((_, first)) = taken().next() else {
            return Err(Error::Length { what: "gradients, at least", got: 0, expected: 1 });
        };
        let parameters = first.len();
        for (what, length) in [
            ("entries of the metric", inputs.metric.len()),
            ("entries of the displacement", inputs.displacement.len()),
        ] {
            if length != 0 {
                same_length(what, length, parameters)?;
            }
        }
        let mut gradients = Vec::with_capacity(rows.len() * parameters);
        for (_, gradient) in taken() {
            same_length("parameters of a gradient", gradient.len(), parameters)?;
            gradients.extend_from_slice(gradient);
        }
        for row in gradients.chunks_exact_mut(parameters) {
            apply_metric(inputs.metric, row);
        }
        let slices: Vec<&[f32]> = gradients.chunks_exact(parameters).collect();
        let k = gram(&slices);
        let factor = k.clone().cholesky(inputs.damping * k.mean_diagonal())?;
        let scale = scale(&k, &factor, &slices, &inputs);
        Ok(Self {
            transcript: inputs.transcript,
            parameters,
            records: inputs.gradients.len(),
            damping: inputs.damping,
            scale,
            metric: inputs.metric.to_vec(),
            rows,
            gradients,
            factor,
        })
    }

    /// Estimated `∂ log p / ∂wᵢ` of every record, in nats, for an answer's `∇ log p`.
    ///
    /// # Errors
    /// [`Error::Length`] when the gradient is of another adapter.
    pub fn scores(&self, answer: &[f32]) -> Result<Vec<f64>> {
        same_length("parameters of an answer's gradient", answer.len(), self.parameters)?;
        let mut query = answer.to_vec();
        apply_metric(&self.metric, &mut query);
        let products: Vec<f64> =
            self.gradients.chunks_exact(self.parameters).map(|g| dot(g, &query)).collect();
        let solved = self.factor.solve(&products);
        let mut scores = vec![0.0; self.records];
        for (&record, x) in self.rows.iter().zip(solved) {
            scores[record] = -self.scale * x;
        }
        Ok(scores)
    }

    /// Which run it belongs to, by its transcript's hash.
    #[must_use]
    pub fn transcript(&self) -> B256 {
        self.transcript
    }

    /// Number of records, with or without a gradient.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records
    }

    /// `κ`.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: &Path) -> Result<()> {
        let mut bytes = Vec::with_capacity(
            HEAD + 4 * (self.gradients.len() + self.metric.len()) + 8 * self.factor.entries().len(),
        );
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(self.transcript.as_slice());
        for n in [self.parameters, self.records, self.rows.len()] {
            bytes.extend_from_slice(&(n as u64).to_le_bytes());
        }
        bytes.extend_from_slice(&self.damping.to_le_bytes());
        bytes.extend_from_slice(&self.scale.to_le_bytes());
        bytes.push(u8::from(!self.metric.is_empty()));
        bytes.extend(self.metric.iter().flat_map(|x| x.to_le_bytes()));
        bytes.extend(self.rows.iter().flat_map(|&r| (r as u64).to_le_bytes()));
        bytes.extend(self.gradients.iter().flat_map(|x| x.to_le_bytes()));
        bytes.extend(self.factor.entries().iter().flat_map(|x| x.to_le_bytes()));
        let hash = blake3::hash(&bytes);
        bytes.extend_from_slice(hash.as_bytes());
        write_atomic(path, &bytes)
    }

    /// Reads an index back, its hash checked.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Index`] for anything else than what [`Self::save`] wrote.
    pub fn load(path: &Path) -> Result<Self> {
        let problem = |problem: &str| Error::Index { path: path.to_owned(), problem: problem.into() };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(Error::io(path))?;
        file.take(MAX_INDEX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
        if bytes.len() as u64 > MAX_INDEX_BYTES {
            return Err(problem("it is larger than 4 GiB"));
        }
        if bytes.len() < HEAD + 32 || !bytes.starts_with(MAGIC) {
            return Err(problem("it does not begin with `OLINFLU` and version 1"));
        }
        let (body, hash) = bytes.split_at(bytes.len() - 32);
        if blake3::hash(body).as_bytes() != hash {
            return Err(problem("it does not hash to what is stored with it"));
        }
        Self::parse(body).ok_or_else(|| problem("its parts have other sizes than its header says"))
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let mut rest = &body[MAGIC.len()..];
        let transcript = B256::from_slice(take(&mut rest, 1, 32)?);
        let parameters = read_u64(&mut rest)?;
        let records = read_u64(&mut rest)?;
        let count = read_u64(&mut rest)?;
        let damping = read_f64(&mut rest)?;
        let scale = read_f64(&mut rest)?;
        let preconditioned = take(&mut rest, 1, 1)? == [1];
        let metric = floats(take(&mut rest, if preconditioned { parameters } else { 0 }, 4)?);
        let mut ids = take(&mut rest, count, 8)?;
        let mut rows = Vec::with_capacity(count);
        while !ids.is_empty() {
            rows.push(read_u64(&mut ids).filter(|&r| r < records)?);
        }
        let gradients = floats(take(&mut rest, count.checked_mul(parameters)?, 4)?);
        let entries = count.checked_mul(count.checked_add(1)?)? / 2;
        let mut packed = take(&mut rest, entries, 8)?;
        let mut factor = Vec::with_capacity(entries);
        while !packed.is_empty() {
            factor.push(read_f64(&mut packed)?);
        }
        let whole = rest.is_empty() && parameters > 0 && count > 0 && records <= body.len();
        let factor = Lower::new(count, factor).filter(|_| whole)?;
        Some(Self { transcript, parameters, records, damping, scale, metric, rows, gradients, factor })
    }
}

/// As a multiple of the mean diagonal. On the tiny model, in runs of one to ten epochs, correlation with replay was highest between 1 and 100 in the short
/// runs, where less damping fits noise, and hardly lower there in the long ones.
const DAMPING: f64 = 10.0;

fn apply_metric(metric: &[f32], row: &mut [f32]) {
    for (x, d) in row.iter_mut().zip(metric) {
        *x *= d;
    }
}

fn scale(k: &Lower, factor: &Lower, rows: &[&[f32]], inputs: &IndexInputs<'_>) -> f64 {
    if inputs.displacement.is_empty() {
        return 1.0;
    }
    // In the metric's coordinates the displacement is divided by √d, since pulls are multiplied by it.
    let way: Vec<f32> = match inputs.metric {
        [] => inputs.displacement.to_vec(),
        metric => inputs.displacement.iter().zip(metric).map(|(x, d)| x / d).collect(),
    };
    let a = factor.solve(&vec![1.0; k.len()]);
    let along: f64 = rows.iter().zip(&a).map(|(g, a)| -a * dot(g, &way)).sum();
    let square: f64 = k.times(&a).iter().zip(&a).map(|(x, y)| x * y).sum();
    if square > 0.0 { (along / square).max(0.0) } else { 0.0 }
}

fn take<'a>(rest: &mut &'a [u8], count: usize, size: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(count.checked_mul(size)?)?;
    *rest = tail;
    Some(head)
}

fn read_u64(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(take(rest, 1, 8)?.try_into().ok()?)).ok()
}

fn read_f64(rest: &mut &[u8]) -> Option<f64> {
    Some(f64::from_le_bytes(take(rest, 1, 8)?.try_into().ok()?))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}
