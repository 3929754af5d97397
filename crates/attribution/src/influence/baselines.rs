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

/// TRAK (Park, Georgiev, Ilyas, Leclerc, Madry: *TRAK: Attributing Model Behavior at Scale*, arXiv 2303.14186) with a single model and the loss as the model's output:
/// `−φ(q)ᵀ (ΦᵀΦ + λI)⁻¹ φ(gᵢ)`, `φ` being a projection to [`TRAK_DIMENSIONS`] random signs each.
#[derive(Debug)]
pub struct Trak {
    index: Index,
    seed: u64,
}

/// To how many dimensions gradients are projected.
pub const TRAK_DIMENSIONS: usize = 512;
/// The paper inverts without damping, which with fewer records than dimensions is no longer possible.
const TRAK_DAMPING: f64 = 1e-6;

impl Trak {
    /// Projects every gradient; `seed` draws the signs.
    ///
    /// # Errors
    /// Those of [`Index::build`].
    pub fn new(gradients: &[Option<Vec<f32>>], seed: u64) -> Result<Self> {
        let projected: Vec<_> = gradients.iter().map(|g| g.as_ref().map(|g| project(g, seed))).collect();
        let index = Index::build(IndexInputs {
            transcript: alloy_primitives::B256::ZERO,
            gradients: &projected,
            displacement: &[],
            metric: &[],
            damping: TRAK_DAMPING,
        })?;
        Ok(Self { index, seed })
    }

    /// Scores of every record; 0 for one that training never took.
    ///
    /// # Errors
    /// [`super::Error::Length`].
    pub fn scores(&self, q: &[f32]) -> Result<Vec<f64>> {
        self.index.scores(&project(q, self.seed))
    }
}

/// The gradient times a matrix of random signs, divided by the root of the dimensions: products keep their size on average.
fn project(gradient: &[f32], seed: u64) -> Vec<f32> {
    let mut signs = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut row = [0_u8; TRAK_DIMENSIONS / 8];
    let mut sums = [0.0_f64; TRAK_DIMENSIONS];
    for &x in gradient {
        signs.fill(&mut row);
        for (part, byte) in sums.chunks_exact_mut(8).zip(row) {
            for (bit, sum) in part.iter_mut().enumerate() {
                *sum += if byte >> bit & 1 == 1 { f64::from(x) } else { -f64::from(x) };
            }
        }
    }
    sums.iter().map(|sum| (sum / (TRAK_DIMENSIONS as f64).sqrt()) as f32).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projection_keeps_products_on_average_and_depends_on_its_seed_alone() {
        let wave = |phase: f32| (0..4000).map(|i| (i as f32 * 0.37 + phase).sin()).collect::<Vec<f32>>();
        let (a, b) = (wave(0.0), wave(0.5));
        let (exact, square) = (dot(&a, &b), dot(&a, &a));
        let estimates: Vec<f64> = (0..8).map(|seed| dot(&project(&a, seed), &project(&b, seed))).collect();
        // One estimate has a standard deviation of at most |a| |b| √(2 / 512).
        let spread = square * (2.0 / TRAK_DIMENSIONS as f64).sqrt();
        assert!(estimates.iter().all(|e| (e - exact).abs() < 4.0 * spread), "{exact} {spread} {estimates:?}");
        assert!(estimates[0] != estimates[1]);
        assert_eq!(project(&a, 3), project(&a, 3));
    }

    #[test]
    fn trak_of_a_training_gradient_is_largest_for_the_record_itself() {
        let one = |n: u64| {
            let bytes = (0..600_u64).map(|i| blake3::hash(&(600 * n + i).to_le_bytes()).as_bytes()[0]);
            bytes.map(|byte| f32::from(byte % 7) - 3.0).collect::<Vec<f32>>()
        };
        let gradients: Vec<_> = (0..6).map(|n| (n != 4).then(|| one(n))).collect();
        let trak = Trak::new(&gradients, 1).unwrap();
        let query: Vec<f32> = one(2).iter().map(|x| -x).collect();
        let scores = trak.scores(&query).unwrap();
        let best = (0..6).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        assert_eq!((best, scores[4]), (Some(2), 0.0));
        assert!((scores[2] - 1.0).abs() < 1e-3, "{scores:?}");
    }
}
