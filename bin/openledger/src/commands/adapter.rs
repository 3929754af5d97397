//! Adapters as folders: in from PEFT, out to PEFT or merged into their base.

use std::path::{Path, PathBuf};

use alloy_primitives::U256;
use anyhow::{Context, Result, ensure};
use openledger_corpus::blob::Blobs;
use openledger_model::{Adapter, load_peft, save_peft};
use openledger_train::{Metrics, adapter_hash};
use openledger_worker::{Machine, develop, lineage::Lineage};
use serde_json::json;

use crate::args::AdapterCommand;
use crate::base::Base;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::Local;
use crate::shelf::check_name;
use crate::show::{Show, table};

pub(crate) async fn run(home: &Home, threads: usize, command: AdapterCommand, show: &Show) -> Result<()> {
    match command {
        AdapterCommand::Export { adapter, to, merged, base } => {
            let base = chosen(home, base.as_deref())?;
            let machine = base.load(home, threads, &show.progress()).await?;
            let (read, held_out) = match adapter.parse::<u64>() {
                Ok(id) => show.step("exporting", published(home, &machine, U256::from(id), show)).await?,
                Err(_no_number) => (read(&adapter_folder(home, &adapter)?, &machine)?, None),
            };
            export(&machine, base.name(), read, &to, merged)?;
            if let Some(metrics) = held_out {
                let path = to.join("metrics.json");
                std::fs::write(&path, serde_json::to_vec_pretty(&metrics)?)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
            let what = if merged { "the base with the adapter merged into it" } else { "a PEFT adapter" };
            show.line(format!("{} holds {what}", to.display()));
            show.result(&json!({ "folder": to, "merged": merged }));
        }
        AdapterCommand::Import { folder, name, base } => {
            let machine = chosen(home, base.as_deref())?.load(home, threads, &show.progress()).await?;
            let own = folder.canonicalize().with_context(|| format!("cannot open {}", folder.display()))?;
            let name = match name {
                Some(name) => name,
                None => own.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned(),
            };
            check_name(&name)?;
            let adapter = read(&own, &machine)?;
            let hash = adapter_hash(adapter.config(), adapter.theta());
            keep(home, &machine, &adapter, &name)?;
            let lora = adapter.config();
            show.line(format!(
                "{name}: rank {}, scale {}, {} of layers {} to {}, hash {hash}; `openledger serve` serves it",
                lora.rank,
                lora.scale(),
                lora.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                lora.first_layer,
                machine.model.config().layers - 1
            ));
            show.result(&json!({ "name": name, "adapter_hash": hash, "parameters": adapter.theta().len() }));
        }
        AdapterCommand::List => {
            let mut rows = vec![["name", "folder"].map(str::to_owned).to_vec()];
            let mut list = Vec::new();
            for (name, folder) in imported(home)? {
                list.push(json!({ "name": name, "folder": folder }));
                rows.push(vec![name, folder.display().to_string()]);
            }
            show.line(table(&rows));
            show.result(&json!({ "imported": list }));
        }
    }
    Ok(())
}

fn chosen(home: &Home, given: Option<&Path>) -> Result<Base> {
    match given {
        Some(path) => Base::at(path, None, String::new()),
        None => Base::of(home),
    }
}

/// A published adapter by its number, out of the worker's files or made again from its transcript, and how it does on held-out records if it was trained here.
async fn published(
    home: &Home,
    machine: &Machine,
    id: U256,
    show: &Show,
) -> Result<(Adapter, Option<Metrics>)> {
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let adapter = async {
        let blobs = Blobs::open(home.worker().corpus())?;
        let lineage = Lineage::load(&connection.client, &blobs, id).await?;
        let held_out = develop::held_out(&home.worker(), lineage.adapter.manifestHash);
        let adapter = develop::adapter(&home.worker(), machine, &lineage, &show.progress()).await?;
        anyhow::Ok((adapter, held_out))
    }
    .await;
    connection.close().await?;
    adapter
}

/// The folder that a path or the name of an imported adapter means.
fn adapter_folder(home: &Home, given: &str) -> Result<PathBuf> {
    let (path, imported) = (PathBuf::from(given), home.imported().join(given));
    if path.is_dir() {
        return Ok(path);
    }
    ensure!(
        check_name(given).is_ok() && imported.is_dir(),
        "'{given}' is no adapter: give the number of a published one (`openledger model list`), the name of an imported one \
         (`openledger adapter list`), or a folder as PEFT writes it"
    );
    Ok(imported)
}

fn read(folder: &Path, machine: &Machine) -> Result<Adapter> {
    load_peft(folder, machine.model.config())
        .with_context(|| format!("cannot use the adapter in {}", folder.display()))
}

fn export(machine: &Machine, base: &str, adapter: Adapter, to: &Path, merged: bool) -> Result<()> {
    let filled = to.read_dir().is_ok_and(|mut entries| entries.next().is_some());
    ensure!(!filled, "{} is not empty; name a folder that is, or that does not exist", to.display());
    if merged {
        machine.model.save_safetensors(&machine.tokenizer, Some(adapter.lora()), to)?;
    } else {
        save_peft(to, machine.model.config(), &adapter, base)?;
    }
    Ok(())
}

/// Writes an adapter among the imported ones, whole or not at all; one of the same name is replaced.
fn keep(home: &Home, machine: &Machine, adapter: &Adapter, name: &str) -> Result<()> {
    let to = home.imported().join(name);
    let (partial, old) =
        (home.imported().join(format!(".{name}.new")), home.imported().join(format!(".{name}.old")));
    for left in [&partial, &old] {
        if left.exists() {
            std::fs::remove_dir_all(left).with_context(|| format!("cannot remove {}", left.display()))?;
        }
    }
    save_peft(&partial, machine.model.config(), adapter, name)?;
    let failed = || format!("cannot write {}", to.display());
    if to.exists() {
        std::fs::rename(&to, &old).with_context(failed)?;
    }
    std::fs::rename(&partial, &to).with_context(failed)?;
    if old.exists() {
        std::fs::remove_dir_all(&old).with_context(failed)?;
    }
    Ok(())
}

fn imported(home: &Home) -> Result<Vec<(String, PathBuf)>> {
    let folder = home.imported();
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = || format!("cannot list {}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(failed)? {
        let path = entry.with_context(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if check_name(&name).is_ok() {
            found.push((name, path));
        }
    }
    found.sort();
    Ok(found)
}
