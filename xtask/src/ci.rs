//! Everything that must hold before a change lands, in the order that fails soonest.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::tidy;

pub(crate) fn run(offline: bool) -> Result<()> {
    let start = Instant::now();
    step("format", cargo(&["fmt", "--all", "--check"]))?;
    println!("== layout");
    tidy::run()?;
    step("lints", cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    // One set of features for all that follows: packages built one by one would bring their dependencies each anew.
    step("build", shell("conformance/build"))?;
    step("tests", cargo(&["test", "--workspace"]))?;
    step(
        "the same bits without optimisation",
        cargo(&[
            "test",
            "--profile",
            "unoptimised",
            "--lib",
            "-p",
            "openledger-model",
            "-p",
            "openledger-train",
            "-p",
            "openledger-attribution",
            "bytes_for_any",
        ]),
    )?;
    let mut docs = cargo(&["doc", "--workspace", "--no-deps"]);
    docs.env("RUSTDOCFLAGS", "-D warnings");
    step("documentation", docs)?;
    step("accuracy of attribution, small", bench(&["attribution", "--quick"])?)?;
    step("sources found and credited, small", bench(&["retrieval", "--quick"])?)?;
    step("gas, claims and histories, small", bench(&["protocol", "--quick", "--histories", "20"])?)?;
    step("churn over HTTP, small", bench(&["soak", "--quick"])?)?;
    if !offline {
        step("the whole flow and foreign clients", shell("conformance/run"))?;
    }
    println!("== all of it in {} s", start.elapsed().as_secs());
    Ok(())
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(args);
    command
}

/// The measuring binary, which was built beside this one.
fn bench(args: &[&str]) -> Result<Command> {
    let this = std::env::current_exe().context("where this program lies")?;
    let mut command = Command::new(this.with_file_name("openledger-bench"));
    command.args(args);
    Ok(command)
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(script);
    command
}

fn step(name: &str, mut command: Command) -> Result<()> {
    println!("== {name}");
    let start = Instant::now();
    let status = command.status().with_context(|| format!("starting {command:?}"))?;
    if !status.success() {
        bail!("{name} failed ({status}); again with: {command:?}");
    }
    println!("== {name}: {} s", start.elapsed().as_secs());
    Ok(())
}
