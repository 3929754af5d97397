//! PyTorch with PEFT as a process that takes a step for each line; `peft.py` is that process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use openledger_model::{Adapter, Model, Tokenizer, save_peft};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::report::note;

/// What to do where it is missing.
const HOW_TO_INSTALL: &str = "there is no PEFT, so nothing is compared with it; get it with: python3 -m venv target/peft/venv && \
    target/peft/venv/bin/pip install torch==2.15.0 transformers==5.23.0 peft==0.21.2 (over 6 GB), or name a Python that has it with --python";

/// The process.
pub(super) struct Peft {
    pub(super) versions: Value,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// One step there.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    /// CPU seconds of the losses alone.
    pub(super) forward: f64,
    /// CPU seconds of losses and gradients.
    pub(super) step: f64,
    /// Nats.
    pub(super) loss: f64,
    /// Most memory so far, bytes.
    pub(super) memory: u64,
}

impl Drop for Peft {
    fn drop(&mut self) {
        // It ends by itself when its input does; there is nobody to tell where it cannot be ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Peft {
    /// Starts it on the same base, adapter and sequences; `None` where it is not installed.
    pub(super) fn start(
        home: &Path,
        python: &Path,
        (model, tokenizer): (&Model, &Tokenizer),
        adapter: &Adapter,
        sequences: &[&[u32]],
        threads: usize,
    ) -> Result<Option<Self>> {
        if !python.exists() {
            note(HOW_TO_INSTALL);
            return Ok(None);
        }
        let folder = home.join("peft");
        if !folder.join("model/model.safetensors").exists() {
            note("writing the base as a folder of safetensors");
            model.save_safetensors(tokenizer, None, &folder.join("model.partial"))?;
            fs::rename(folder.join("model.partial"), folder.join("model"))?;
        }
        save_peft(&folder.join("adapter"), model.config(), adapter, "model")?;
        fs::write(folder.join("case.json"), json!({ "tokens": sequences }).to_string())?;
        let script = folder.join("peft_step.py");
        fs::write(&script, include_str!("peft.py"))?;
        let mut child = Command::new(python)
            .args([script.as_os_str(), folder.as_os_str(), threads.to_string().as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", python.display()))?;
        let to = child.stdin.take().context("a process without input")?;
        let mut from = BufReader::new(child.stdout.take().context("a process without output")?);
        let versions = line(&mut from)?;
        Ok(Some(Self { versions, child, to, from }))
    }

    pub(super) fn step(&mut self) -> Result<Step> {
        writeln!(self.to, "step")?;
        self.to.flush()?;
        line(&mut self.from)
    }
}

fn line<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<T> {
    let mut text = String::new();
    from.read_line(&mut text)?;
    serde_json::from_str(&text).with_context(|| format!("PEFT said {text:?}"))
}
