//! `openledger serve` as a process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

use crate::process;

/// A server that ends with this.
pub(super) struct Server {
    child: Child,
    pub(super) url: String,
    pub(super) key: String,
    pub(super) base: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // There is nobody to tell where it cannot be ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// Starts it and waits until it listens.
    pub(super) fn start(
        program: Option<PathBuf>,
        folder: &Path,
        base: &Path,
        adapters: &Path,
        threads: usize,
    ) -> Result<Self> {
        let beside = std::env::current_exe()?.with_file_name("openledger");
        let program = match program {
            Some(program) => program,
            None if beside.exists() => beside,
            None => crate::chain::build()?,
        };
        let mut child = Command::new(&program)
            .arg("--home")
            .arg(folder.join("home"))
            .args(["--json", "--threads", &threads.to_string(), "serve", "--gateway", "127.0.0.1:0"])
            .args(["--base".as_ref(), base.as_os_str(), "--adapters".as_ref(), adapters.as_os_str()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let said = process::said(&mut child, "serve")?;
        let text = |field: &str| {
            said[field].as_str().map(str::to_owned).with_context(|| format!("serve said {said}"))
        };
        let base = said["models"][0].as_str().context("the base is served")?.to_owned();
        Ok(Self { child, url: text("gateway")?, key: text("api_key")?, base })
    }

    /// Bytes of memory that it has.
    pub(super) fn memory(&self) -> Result<u64> {
        process::memory_bytes(self.child.id().into())
    }
}
