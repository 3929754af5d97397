use alloy_primitives::U256;
use anyhow::{Result, ensure};
use openledger_client::Client;
use openledger_corpus::blob::Blobs;
use openledger_train::Recipe;
use openledger_types::amount::parse_open;
use openledger_worker::contribute::newest_version;
use openledger_worker::develop::{Plan, Prices, develop, register_base};
use serde_json::json;

use crate::args::TrainArgs;
use crate::base::Base;
use crate::home::Home;
use crate::local::Local;
use crate::show::Show;
use crate::stack::model_name;

pub(crate) async fn run(
    home: &Home,
    local: &Local,
    client: &Client,
    threads: usize,
    args: TrainArgs,
    show: &Show,
) -> Result<()> {
    let prices = Prices { input: parse_open(&args.input_price)?, output: parse_open(&args.output_price)? };
    let base = Base::of(home)?;
    let machine = show.step("loading the base model", base.load(home, threads, &show.progress())).await?;
    if args.qlora {
        machine.model.keep_quantised();
    }
    let datanet = U256::from(args.datanet);
    let newest = newest_version(client, &Blobs::open(home.worker().corpus())?, datanet).await?;
    let records = newest.map_or(0, |newest| newest.version.clusters.into());
    let recipe = recipe(base.recipe(machine.model.config()), &args, records)?;
    recipe.lora.validate(machine.model.config())?;
    let wallet = local.funded(client, &args.from).await?;
    register_base(client, &wallet, base.name(), base.license(), machine.base_hash).await?;
    let (folders, progress) = (home.worker(), show.progress());
    let plan = Plan { datanet, recipe, patience: args.patience, prices };
    let developed =
        show.step("training", develop(client, &folders, &wallet, &machine, plan, &progress)).await?;
    let name = model_name(client, developed.id).await?;
    if let Some(metrics) = developed.held_out {
        show.line(format!(
            "{} held-out records, {} tokens: {:.3} nats per token with the adapter, {:.3} with the base alone",
            metrics.records, metrics.tokens, metrics.loss, metrics.base_loss
        ));
    }
    show.line(format!("adapter {} is published as {name}; `openledger up` serves it", developed.id));
    show.result(&json!({
        "adapter": developed.id.to_string(), "model": name, "losses": developed.losses, "held_out": developed.held_out,
    }));
    Ok(())
}

/// The usual recipe with what was asked for instead. `records` are those of the Datanet's version, one of each cluster.
fn recipe(mut recipe: Recipe, args: &TrainArgs, records: u64) -> Result<Recipe> {
    let part = |what: &str, part: f64| {
        ensure!((0.0..=0.9).contains(&part), "{what} is {part}; accepted is 0 to 0.9");
        Ok((part * 1e6).round() as u32)
    };
    let of_one = |what: &str, value: f64| {
        ensure!((0.0..=1.0).contains(&value), "{what} is {value}; accepted is 0 to 1");
        Ok(value)
    };
    let lora = &mut recipe.lora;
    lora.rank = args.rank.unwrap_or(lora.rank);
    lora.alpha = args.alpha.unwrap_or(lora.alpha);
    lora.first_layer = args.first_layer.unwrap_or(lora.first_layer);
    if let Some(targets) = &args.targets {
        lora.targets = targets.clone();
        lora.targets.sort_unstable();
        lora.targets.dedup();
    }
    if let Some(lr) = args.lr {
        recipe.optimiser.lr_ppb = (of_one("--lr", lr)? * 1e9).round() as u64;
    }
    if let Some(decay) = args.weight_decay {
        recipe.optimiser.weight_decay_ppm = (of_one("--weight-decay", decay)? * 1e6).round() as u32;
    }
    recipe.records_per_step = args.batch.unwrap_or(recipe.records_per_step);
    recipe.max_tokens = args.max_tokens.unwrap_or(recipe.max_tokens);
    recipe.dropout_ppm = part("--dropout", args.dropout)?;
    recipe.held_out_ppm = part("--held-out", args.held_out)?;
    recipe.steps = args.steps.unwrap_or(recipe.steps);
    if let Some(epochs) = args.epochs {
        let held_out = (records * u64::from(recipe.held_out_ppm) / 1_000_000).min(records.saturating_sub(1));
        let taken = u64::from(epochs) * (records - held_out);
        recipe.steps =
            u32::try_from(taken.div_ceil(recipe.records_per_step.max(1).into())).unwrap_or(u32::MAX);
    }
    recipe.optimiser.warmup_steps = recipe.optimiser.warmup_steps.min(recipe.steps);
    recipe.validate()?;
    Ok(recipe)
}
