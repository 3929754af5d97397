//! The layout of the house.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::layers;

/// Files longer than this are printed for the reviewer; nothing fails for its length alone.
const LONG_FILE: usize = 800;

pub(crate) fn run() -> Result<()> {
    let crates = layers::crates()?;
    let mut problems = Vec::new();
    layers::check(&crates, &mut problems);
    let mut lines: Vec<(usize, PathBuf)> = Vec::new();
    for krate in &crates {
        names(krate, &mut problems);
        readme(&krate.folder, &mut problems)?;
        for file in rust_files(&krate.folder)? {
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            lines.push((text.lines().count(), file.clone()));
            words(&file, &text, &mut problems);
        }
    }
    lines.sort_by(|a, b| b.cmp(a));
    for (count, file) in lines.iter().take_while(|(count, _)| *count > LONG_FILE) {
        println!("long file: {count} lines, {}", file.display());
    }
    if problems.is_empty() {
        println!("tidy: {} crates, {} files", crates.len(), lines.len());
        return Ok(());
    }
    bail!("{} problems:\n  {}", problems.len(), problems.join("\n  "))
}

fn names(krate: &layers::Crate, problems: &mut Vec<String>) {
    let folder = krate.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if folder != krate.name {
        problems.push(format!("{}: lies in a folder named {folder}", krate.name));
    }
}

fn readme(folder: &Path, problems: &mut Vec<String>) -> Result<()> {
    let path = folder.join("README.md");
    let root =
        [folder.join("src/lib.rs"), folder.join("src/main.rs")].into_iter().find(|path| path.is_file());
    if !path.is_file() {
        problems.push(format!("{}: has no README.md", folder.display()));
    } else if let Some(root) = root
        && !fs::read_to_string(&root)?.contains(r#"include_str!("../README.md")"#)
    {
        problems.push(format!("{}: its README.md is not its crate documentation", root.display()));
    }
    Ok(())
}

/// Words that say something was left undone. They are put together here so that this file does not hold them.
fn words(file: &Path, text: &str, problems: &mut Vec<String>) {
    let undone = [["TO", "DO"], ["FIX", "ME"], ["todo", "!("], ["unimplemented", "!("], ["#[ign", "ore"]]
        .map(|word| word.concat());
    for (number, line) in text.lines().enumerate() {
        if let Some(word) = undone.iter().find(|word| line.contains(word.as_str())) {
            problems.push(format!("{}:{}: {word}", file.display(), number + 1));
        }
    }
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("listing {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
