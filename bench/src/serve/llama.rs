//! llama.cpp as a process that takes measurements by lines; `llama.c` is that process.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::kernels::Case;
use crate::cost::Cost;
use crate::report::note;

/// Where the source package lies when it is unpacked in the bench's folder.
const FOLDER: &str = "llama_cpp_python-0.3.36/vendor/llama.cpp";

/// Formats that the checkpoint is measured in: as shipped, and made from that.
const FORMATS: [&str; 3] = ["q4_1", "q8_0", "bf16"];

/// One model in one format.
pub(super) struct Llama {
    pub(super) format: &'static str,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Drop for Llama {
    fn drop(&mut self) {
        // It ends by itself when its input does; there is nobody to tell where it cannot be ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A process for each format; none where llama.cpp has not been built.
pub(super) fn start(home: &Path, model: &Path, threads: usize) -> Result<Vec<Llama>> {
    let source = home.join(FOLDER);
    let libraries = source.join("build/bin");
    if !libraries.join("libllama.so").exists() {
        note(format!("no llama.cpp in {}: its figures are left out (see bench/README.md)", source.display()));
        return Ok(Vec::new());
    }
    let program = home.join("llama");
    compile(&source, &libraries, &program)?;
    FORMATS
        .iter()
        .map(|format| {
            let path = in_format(home, &program, model, format)?;
            let mut child = Command::new(&program)
                .args([path.as_os_str(), threads.to_string().as_ref()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .with_context(|| format!("starting {}", program.display()))?;
            let to = child.stdin.take().context("a process without input")?;
            let from = BufReader::new(child.stdout.take().context("a process without output")?);
            Ok(Llama { format, child, to, from })
        })
        .collect()
}

fn compile(source: &Path, libraries: &Path, program: &Path) -> Result<()> {
    let code = program.with_extension("c");
    fs::write(&code, include_str!("llama.c"))?;
    let rpath = format!("-Wl,-rpath,{}", libraries.canonicalize()?.display());
    let status = Command::new("cc")
        .arg("-O2")
        .arg(&code)
        .args(["-I".as_ref(), source.join("include").as_os_str()])
        .args(["-I".as_ref(), source.join("ggml/include").as_os_str()])
        .args(["-L".as_ref(), libraries.as_os_str()])
        .args([rpath.as_str(), "-lllama", "-lggml", "-lggml-base", "-o"])
        .arg(program)
        .status()
        .context("running cc")?;
    ensure!(status.success(), "cc could not build {}", code.display());
    Ok(())
}

fn in_format(home: &Path, program: &Path, model: &Path, format: &str) -> Result<PathBuf> {
    if format == FORMATS[0] {
        return Ok(model.into());
    }
    let path = home.join(format!("llama-{format}.gguf"));
    if !path.exists() {
        let partial = path.with_extension("partial");
        let status = Command::new(program)
            .arg("quantise")
            .args([model, &partial])
            .arg(format)
            .status()
            .with_context(|| format!("running {}", program.display()))?;
        ensure!(status.success(), "llama.cpp could not write {format}");
        fs::rename(&partial, &path)?;
    }
    Ok(path)
}

impl Llama {
    pub(super) fn measure(&mut self, case: Case) -> Result<Cost> {
        match case {
            Case::Prefill { tokens } => writeln!(self.to, "prefill {tokens}")?,
            Case::Decode { rows, steps } => {
                writeln!(self.to, "decode {rows} {steps} {}", super::kernels::KNOWN)?
            }
        }
        self.to.flush()?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        let (wall, cpu) =
            line.trim().split_once(' ').with_context(|| format!("{} said {line:?}", self.format))?;
        Ok(Cost { wall: wall.parse()?, cpu: cpu.parse()? })
    }
}
