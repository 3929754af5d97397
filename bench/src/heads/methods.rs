use std::time::Instant;

use anyhow::Result;
use openledger_attribution::influence::{HeadInfluence, baselines};
use openledger_train::head::{Examples, Head, HeadRecipe};

use super::RECIPE;
use super::data::Split;
use crate::report::Report;
use crate::stats::SplitMix;

/// Damping of the empirical Fisher, as a multiple of its mean diagonal.
const FISHER_DAMPING: f64 = 1e-2;
const TRAK_SEED: u64 = 5;
const RANDOM_SEED: u64 = 2;

/// A method's predictions.
pub(super) struct Method {
    pub(super) name: String,
    /// By query and training example: the predicted rise of `-log p`, in any unit, when the example is left out.
    pub(super) by_query: Vec<Vec<f64>>,
    pub(super) seconds: f64,
}

/// Ours and those it is compared with.
pub(super) fn all(split: &Split, head: &Head, queries: &[usize], report: &mut Report) -> Result<Vec<Method>> {
    let asked = split.asked(queries)?;
    let objectives: Vec<Vec<f64>> = (0..queries.len())
        .map(|q| asked.gradient(q, &head.theta).into_iter().map(|g| -g).collect())
        .collect();
    let start = Instant::now();
    let exact = report.phase("exact", || {
        let influence = HeadInfluence::new(&split.train, RECIPE, None, head)?;
        objectives.iter().map(|o| Ok(influence.scores(o)?)).collect::<Result<Vec<_>>>()
    })?;
    let mut methods =
        vec![Method { name: "exact".into(), by_query: exact, seconds: start.elapsed().as_secs_f64() }];

    let singles: Vec<Vec<f32>> = objectives.iter().map(|o| o.iter().map(|x| *x as f32).collect()).collect();
    let gradients = gradients(&split.train, head);
    let mut add = |name: &str, scores: &dyn Fn() -> Result<Vec<Vec<f64>>>| -> Result<()> {
        let start = Instant::now();
        let by_query = report.phase(name, scores)?;
        methods.push(Method { name: name.into(), by_query, seconds: start.elapsed().as_secs_f64() });
        Ok(())
    };
    add("fisher", &|| {
        let fisher = baselines::empirical_fisher(&gradients, FISHER_DAMPING)?;
        singles.iter().map(|q| Ok(fisher.scores(q)?)).collect()
    })?;
    add("trak", &|| {
        let trak = baselines::Trak::new(&gradients, TRAK_SEED)?;
        singles.iter().map(|q| Ok(trak.scores(q)?)).collect()
    })?;
    add("gradcos", &|| singles.iter().map(|q| Ok(baselines::gradient_cosine(&gradients, q)?)).collect())?;
    add("graddot", &|| singles.iter().map(|q| Ok(baselines::gradient_dot(&gradients, q)?)).collect())?;
    add("random", &|| {
        let mut random = SplitMix(RANDOM_SEED);
        Ok(queries.iter().map(|_| (0..split.train.len()).map(|_| random.signed()).collect()).collect())
    })?;
    Ok(methods)
}

/// Scores for the mean of all held-out examples at a head fitted to other labels.
pub(super) fn for_all_held_out(
    split: &Split,
    train: &Examples,
    head: &Head,
    recipe: HeadRecipe,
) -> Result<Vec<(&'static str, Vec<f64>)>> {
    let rows: Vec<usize> = (0..split.held_out.len()).collect();
    let asked = split.asked(&rows)?;
    let mut objective = vec![0.0; head.theta.len()];
    for row in rows {
        let gradient = asked.gradient(row, &head.theta);
        objective.iter_mut().zip(gradient).for_each(|(o, g)| *o -= g);
    }
    let exact = HeadInfluence::new(train, recipe, None, head)?.scores(&objective)?;
    let dot = train.dots(&head.theta, &objective).into_iter().map(|s| -s).collect();
    Ok(vec![("exact", exact), ("graddot", dot)])
}

fn gradients(train: &Examples, head: &Head) -> Vec<Option<Vec<f32>>> {
    let single = |row| train.gradient(row, &head.theta).into_iter().map(|g| g as f32).collect();
    (0..train.len()).map(|row| Some(single(row))).collect()
}
