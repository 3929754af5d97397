//! Scores of `dattri` for the same head: a Python process reads the problem from a folder and leaves one file of scores per method there, which later runs take as they are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use openledger_train::head::{Head, HeadRecipe};
use serde_json::json;

use super::data::Split;
use super::methods::Method;
use crate::report::{Report, note};

const SCRIPT: &str = include_str!("dattri.py");

/// What `dattri` says; nothing where it is not installed.
pub(super) fn scores(
    split: &Split,
    head: &Head,
    queries: &[usize],
    recipe: HeadRecipe,
    home: &Path,
    python: &Path,
    report: &mut Report,
) -> Result<Vec<Method>> {
    let name = blake3::hash(
        &[split.hash.as_bytes(), &queries.len().to_le_bytes(), &recipe.l2_ppb.to_le_bytes()].concat(),
    );
    let folder = home.join("dattri").join(&name.to_hex()[..16]);
    let done = folder.join("methods.json");
    if !done.exists() {
        if !python.exists() {
            note(
                "dattri is missing, so nothing is compared with it; get it with: python3 -m venv target/dattri/venv && \
                 target/dattri/venv/bin/pip install torch dattri==0.3.0 (over 6 GB), or name a Python that has it with --python",
            );
            return Ok(Vec::new());
        }
        report.phase("dattri", || compute(split, head, queries, recipe, &folder, python))?;
    }
    let names: Vec<(String, f64)> =
        serde_json::from_slice(&fs::read(&done)?).with_context(|| format!("reading {}", done.display()))?;
    names
        .into_iter()
        .map(|(name, seconds)| {
            let bytes = fs::read(folder.join(format!("{name}.f32")))?;
            let (got, needed) = (bytes.len(), 4 * queries.len() * split.train.len());
            ensure!(got == needed, "{name}: {got} bytes of scores, {needed} are needed");
            let score = |b: &[u8]| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            let by_query = bytes
                .chunks_exact(4 * split.train.len())
                .map(|query| query.chunks_exact(4).map(score).collect())
                .collect();
            Ok(Method { name: format!("dattri_{name}"), by_query, seconds })
        })
        .collect()
}

fn compute(
    split: &Split,
    head: &Head,
    queries: &[usize],
    recipe: HeadRecipe,
    folder: &Path,
    python: &Path,
) -> Result<()> {
    fs::create_dir_all(folder)?;
    let floats =
        |values: &mut dyn Iterator<Item = f32>| values.flat_map(f32::to_le_bytes).collect::<Vec<_>>();
    let path = |name: &str| -> PathBuf { folder.join(name) };
    fs::write(path("train.f32"), floats(&mut split.features.iter().copied()))?;
    let asked = queries.iter().flat_map(|q| split.held_out_features(*q)).copied();
    fs::write(path("queries.f32"), floats(&mut { asked }))?;
    fs::write(path("theta.f32"), floats(&mut head.theta.iter().map(|t| *t as f32)))?;
    let problem = json!({
        "width": split.train.width(),
        "classes": split.train.classes(),
        "l2": recipe.l2_ppb as f64 * 1e-9,
        "train": (0..split.train.len()).map(|row| split.train.label(row)).collect::<Vec<_>>(),
        "queries": queries.iter().map(|q| split.held_out[*q]).collect::<Vec<_>>(),
    });
    fs::write(path("problem.json"), problem.to_string())?;
    fs::write(path("scores.py"), SCRIPT)?;
    let status =
        Command::new(python).arg(path("scores.py")).arg(folder).status().context("starting dattri")?;
    ensure!(status.success(), "dattri ended with {status}");
    Ok(())
}
