use alloy_primitives::U256;
use anyhow::Result;
use openledger_types::abi::IModels;
use openledger_types::amount::{format_open, parse_open};
use openledger_worker::develop::{self, register_base};
use serde_json::json;

use super::train;
use crate::args::ModelCommand;
use crate::base::Base;
use crate::connection::Connection;
use crate::home::Home;
use crate::local::{DEVELOPER, Local};
use crate::show::{Show, table};
use crate::stack::model_name;

pub(crate) async fn run(home: &Home, threads: usize, command: ModelCommand, show: &Show) -> Result<()> {
    let local = Local::open(home)?;
    let connection = Connection::open(home, &local).await?;
    let client = &connection.client;
    match command {
        ModelCommand::Base { base, name, license } => {
            let base = match base {
                Some(path) => Base::at(&path, name, license.unwrap_or_default())?,
                None => Base::of(home)?,
            };
            let machine =
                show.step("fetching the base model", base.load(home, threads, &show.progress())).await?;
            base.keep(home)?;
            let wallet = local.funded(client, DEVELOPER).await?;
            let id = register_base(client, &wallet, base.name(), base.license(), machine.base_hash).await?;
            show.line(format!("base model {id}: {}, SHA-256 {}", base.name(), machine.base_hash));
            show.result(&json!({ "base": id.to_string(), "name": base.name(), "sha256": machine.base_hash }));
        }
        ModelCommand::Train(args) => train::run(home, &local, client, threads, args, show).await?,
        ModelCommand::Transfer { adapter, to, from } => {
            let (wallet, to) = (local.unlock(&from)?, local.address(&to)?);
            let call = IModels::transferFromCall { from: wallet.address(), to, tokenId: U256::from(adapter) };
            client.models().transact(&wallet, &call).await?;
            show.line(format!("adapter {adapter} belongs to {to}, and with it the developer's income"));
            show.result(&json!({ "adapter": adapter.to_string(), "owner": to }));
        }
        ModelCommand::Retire { adapter, from } => {
            let call = IModels::retireCall { adapter: U256::from(adapter) };
            client.models().transact(&local.unlock(&from)?, &call).await?;
            show.line(format!("adapter {adapter} is retired"));
            show.result(&json!({ "adapter": adapter.to_string(), "retired": true }));
        }
        ModelCommand::Price { adapter, input_price, output_price, from } => {
            let wallet = local.unlock(&from)?;
            let call = IModels::setPriceCall {
                adapter: U256::from(adapter),
                inputPrice: parse_open(&input_price)?,
                outputPrice: parse_open(&output_price)?,
            };
            client.models().transact(&wallet, &call).await?;
            show.line(format!(
                "adapter {adapter}: {input_price} OPEN per prompt token, {output_price} per completion token"
            ));
            show.result(&json!({
                "adapter": adapter.to_string(), "input_wei": call.inputPrice.to_string(),
                "output_wei": call.outputPrice.to_string(),
            }));
        }
        ModelCommand::List => {
            let count = client.models().call(&IModels::adapterCountCall {}).await?;
            let head = ["id", "model", "OPEN/prompt token", "OPEN/completion token", "developer"];
            let mut rows = vec![head.map(str::to_owned).to_vec()];
            let mut list = Vec::new();
            let mut id = U256::from(1);
            while id <= count {
                let (adapter, name) = (client.models().adapter(id).await?, model_name(client, id).await?);
                rows.push(vec![
                    id.to_string(),
                    name.clone(),
                    format_open(adapter.inputPrice),
                    format_open(adapter.outputPrice),
                    adapter.developer.to_string(),
                ]);
                list.push(json!({
                    "adapter": id.to_string(), "model": name, "adapter_hash": adapter.adapterHash,
                    "input_wei": adapter.inputPrice.to_string(), "output_wei": adapter.outputPrice.to_string(),
                    "developer": adapter.developer, "retired": adapter.retired,
                }));
                id += U256::from(1);
            }
            show.line(table(&rows));
            show.result(&json!({ "adapters": list }));
        }
        ModelCommand::Show { adapter: id } => {
            let adapter = client.models().adapter(U256::from(id)).await?;
            let base = client.models().base(adapter.base).await?;
            let name = model_name(client, U256::from(id)).await?;
            let held_out = develop::held_out(&home.worker(), adapter.manifestHash);
            show.line(format!(
                "{name}\n  base        {} ({})\n  adapter     {}\n  manifest    {}\n  transcript  {}\n  developer   {}",
                base.name, base.fileHash, adapter.adapterHash, adapter.manifestHash, adapter.transcriptHash, adapter.developer
            ));
            if let Some(metrics) = held_out {
                show.line(format!(
                    "  held out    {:.3} nats per token on {} records, {:.3} with the base alone",
                    metrics.loss, metrics.records, metrics.base_loss
                ));
            }
            show.result(&json!({
                "adapter": id.to_string(), "model": name, "base": base.name, "base_sha256": base.fileHash,
                "adapter_hash": adapter.adapterHash, "manifest_hash": adapter.manifestHash,
                "transcript_hash": adapter.transcriptHash, "developer": adapter.developer, "held_out": held_out,
            }));
        }
    }
    connection.close().await
}
