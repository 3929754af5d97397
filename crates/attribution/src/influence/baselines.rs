//! What others do, to be compared with: each scores records for an answer's gradient `q = ∇ log p`, positive where a record is said to help.
//!
//! `gᵢ` is the gradient of record `i`'s loss at the trained parameters ([`final_gradients`]).

use openledger_model::LoraLayout;
use openledger_train::Run;

use super::{
    Index, IndexInputs,
    error::{Result, same_length},
    linear::{Lower, dot, gram},
};

/// Records whose gradients are computed between two reports of progress.
const AT_ONCE: usize = 8;

/// Gradients of every record that the run visits, at `theta`. `progress` is told `(records done, records in all)`.
///
/// # Errors
/// [`super::Error::Train`].
pub fn final_gradients(
    run: &Run,
    theta: &[f32],
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Option<Vec<f32>>>> {
    let mut all = vec![None; run.records()];
    let visited: Vec<u32> =
        (0..run.records()).filter(|&r| run.record(r).is_some()).map(|r| r as u32).collect();
    for (done, part) in visited.chunks(AT_ONCE).enumerate() {
        for (&record, grad) in part.iter().zip(run.gradients(theta, part)?) {
            all[record as usize] = Some(grad.grad);
        }
        progress((done * AT_ONCE + part.len()).min(visited.len()), visited.len());
    }
    Ok(all)
}

fn score_each(gradients: &[Option<Vec<f32>>], q: &[f32], score: impl Fn(&[f32]) -> f64) -> Result<Vec<f64>> {
    let one = |g: &Option<Vec<f32>>| match g {
        Some(g) => same_length("parameters of a gradient", g.len(), q.len()).map(|()| score(g)),
        None => Ok(0.0),
    };
    gradients.iter().map(one).collect()
}

/// `−gᵢ · q`.
///
/// # Errors
/// [`super::Error::Length`].
pub fn gradient_dot(gradients: &[Option<Vec<f32>>], q: &[f32]) -> Result<Vec<f64>> {
    score_each(gradients, q, |g| -dot(g, q))
}

/// `−gᵢ · q / (|gᵢ| |q|)`, 0 where a gradient vanishes.
///
/// # Errors
/// [`super::Error::Length`].
pub fn gradient_cosine(gradients: &[Option<Vec<f32>>], q: &[f32]) -> Result<Vec<f64>> {
    let length = dot(q, q);
    score_each(gradients, q, |g| {
        let product = dot(g, g) * length;
        if product > 0.0 { -dot(g, q) / product.sqrt() } else { 0.0 }
    })
}

/// The empirical Fisher at the trained parameters, exact: `−[(G Gᵀ + λI)⁻¹ G q]ᵢ` with plain inner products, `λ` being `damping` times the mean diagonal.
///
/// # Errors
/// Those of [`Index::build`].
pub fn empirical_fisher(gradients: &[Option<Vec<f32>>], damping: f64) -> Result<Index> {
    Index::build(IndexInputs {
        transcript: alloy_primitives::B256::ZERO,
        gradients,
        displacement: &[],
        metric: &[],
        damping,
    })
}

/// DataInf (Kwon, Wu, Wu, Zou: *DataInf: Efficiently Estimating Data Influence in LoRA-tuned LLMs and Diffusion Models*, arXiv 2310.00902).
///
/// The inverse of the mean of `gᵢ gᵢᵀ + λI` is replaced by the mean of the inverses, matrix by matrix; every `A` and `B` of an adapted map is a
/// layer `l` of its own. With `L_l,ij = g_l,i · g_l,j` and `L_l,i = g_l,i · q_l`:
///
/// ```text
/// λ_l = 0.1 · (1 / (n d_l)) Σᵢ L_l,ii          d_l = parameters of the layer
/// sₖ  = Σ_l (1 / λ_l) ( (1 / n) Σᵢ L_l,i L_l,ik / (λ_l + L_l,ii) − L_l,k )
/// ```
///
/// which is the paper's influence on the loss with `∇ log p` in place of the loss's gradient and so the sign in which positive helps.
#[derive(Debug)]
pub struct DataInf<'a> {
    gradients: &'a [Option<Vec<f32>>],
    layers: Vec<Layer>,
    parameters: usize,
}

#[derive(Debug)]
struct Layer {
    range: std::ops::Range<usize>,
    damping: f64,
    gram: Lower,
}

/// The paper's own multiple of the mean squared entry.
const DATAINF_DAMPING: f64 = 0.1;

impl<'a> DataInf<'a> {
    /// Computes the dot products of all pairs once.
    ///
    /// # Errors
    /// [`super::Error::Length`] when a gradient does not fit the layout.
    pub fn new(layout: &LoraLayout, gradients: &'a [Option<Vec<f32>>]) -> Result<Self> {
        for gradient in gradients.iter().flatten() {
            same_length("parameters of a gradient", gradient.len(), layout.len())?;
        }
        let ranges = layout.blocks().iter().flat_map(|b| [b.a.clone(), b.b.clone()]);
        let layer = |range: std::ops::Range<usize>| {
            let rows: Vec<&[f32]> = gradients.iter().flatten().map(|g| &g[range.clone()]).collect();
            let gram = gram(&rows);
            let damping = DATAINF_DAMPING * gram.mean_diagonal() / range.len() as f64;
            Layer { range, damping, gram }
        };
        Ok(Self { gradients, layers: ranges.map(layer).collect(), parameters: layout.len() })
    }

    /// Scores of every record; 0 for one that training never took.
    ///
    /// # Errors
    /// [`super::Error::Length`].
    pub fn scores(&self, q: &[f32]) -> Result<Vec<f64>> {
        same_length("parameters of an answer's gradient", q.len(), self.parameters)?;
        let rows: Vec<usize> =
            self.gradients.iter().enumerate().filter_map(|(i, g)| g.as_ref().map(|_| i)).collect();
        let n = rows.len();
        let mut scores = vec![0.0; self.gradients.len()];
        // A layer whose gradients all vanish, as those of A do while B is zero, says nothing.
        for layer in self.layers.iter().filter(|l| l.damping > 0.0) {
            let q = &q[layer.range.clone()];
            let with: Vec<f64> =
                self.gradients.iter().flatten().map(|g| dot(&g[layer.range.clone()], q)).collect();
            let damped: Vec<f64> =
                with.iter().enumerate().map(|(i, l)| l / (layer.damping + layer.gram.get(i, i))).collect();
            let mixed = layer.gram.times(&damped);
            for (k, &record) in rows.iter().enumerate() {
                scores[record] += (mixed[k] / n as f64 - with[k]) / layer.damping;
            }
        }
        Ok(scores)
    }
}
