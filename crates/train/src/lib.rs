#![doc = include_str!("../README.md")]

mod adapter;
mod error;
mod fit;
pub mod head;
mod held_out;
mod manifest;
mod optimiser;
mod order;
mod records;
mod run;
mod template;
mod trajectory;
mod transcript;

pub use adapter::{adapter_hash, save_adapter};
pub use error::{Error, Result};
pub use fit::{Options, Progress, Trained, Trial, train, trial, trial_seed};
pub use held_out::{HeldOut, Metrics};
pub use manifest::{DatanetVersion, Optimiser, Recipe, TrainManifest};
pub use openledger_types::seed::training_seed;
pub use optimiser::{Coefficients, State};
pub use order::{batches, held_out};
pub use records::{TrainingRecord, TrainingSet};
pub use run::Run;
pub use template::{Template, sample};
pub use trajectory::{Moment, Trajectory};
pub use transcript::{Header, Step, Transcript, TranscriptWriter};
