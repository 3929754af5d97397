//! Adapters as PEFT's `save_pretrained` writes them: `adapter_config.json` and `adapter_model.safetensors`.
//!
//! Hugging Face orders the rows of a query or key head as two halves, GGUF as neighbouring pairs; rows of `B` are moved accordingly, so that PEFT on the Hugging
//! Face model computes the same function.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

use super::{Adapter, Block, Half, LoraConfig, LoraLayout, Target};
use crate::{
    Config, Error, hub,
    tensors::{Floats, Tensors, json, map},
};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";
const PICKLE: &str = "adapter_model.bin";
const MAX_CONFIG: u64 = 1 << 20;
const MAX_WEIGHTS: u64 = 1 << 30;

/// The fields of `adapter_config.json` that decide what is computed.
#[derive(Serialize, Deserialize)]
struct PeftConfig {
    peft_type: String,
    r: usize,
    lora_alpha: f32,
    target_modules: Vec<String>,
    #[serde(default)]
    layers_to_transform: Option<Vec<usize>>,
    #[serde(default)]
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    task_type: Option<String>,
    #[serde(default)]
    inference_mode: bool,
    #[serde(default)]
    lora_dropout: f32,
    #[serde(default = "no_bias")]
    bias: String,
    #[serde(default)]
    fan_in_fan_out: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default = "usual_start")]
    init_lora_weights: serde_json::Value,
    #[serde(default)]
    modules_to_save: Option<Vec<String>>,
    #[serde(default)]
    rank_pattern: serde_json::Map<String, serde_json::Value>,
    #[serde(default)]
    alpha_pattern: serde_json::Map<String, serde_json::Value>,
}

fn no_bias() -> String {
    "none".into()
}

fn usual_start() -> serde_json::Value {
    true.into()
}

impl PeftConfig {
    /// The first thing in it that this crate does not compute, and what would help.
    fn unsupported(&self) -> Option<String> {
        // These starts change the base model's weights, which the adapter's file does not hold.
        let start = self.init_lora_weights.as_str().is_some_and(|s| s != "gaussian");
        [
            (self.peft_type != "LORA", format!("peft_type is {}; only LORA is computed here", self.peft_type)),
            (self.bias != "none", format!("bias is {}; only `none` is computed here", self.bias)),
            (self.fan_in_fan_out, "fan_in_fan_out is for layers that a Llama does not have".into()),
            (
                self.use_dora,
                "use_dora: DoRA scales every output by a norm of base and adapter together, which is not computed here; train plain LoRA or rsLoRA"
                    .into(),
            ),
            (
                start,
                format!(
                    "init_lora_weights {}: this start changes the weights of the base, which the adapter's files do not hold; convert it to plain LoRA with PEFT's \
                     save_pretrained(path_initial_model_for_weight_conversion=...)",
                    self.init_lora_weights
                ),
            ),
            (
                self.modules_to_save.as_ref().is_some_and(|m| !m.is_empty()),
                "modules_to_save replaces whole modules of the base, which all adapters share here; train without it"
                    .into(),
            ),
            (!self.rank_pattern.is_empty(), "rank_pattern: only one rank for all layers is computed here".into()),
            (!self.alpha_pattern.is_empty(), "alpha_pattern: only one alpha for all layers is computed here".into()),
        ]
        .into_iter()
        .find_map(|(found, what)| found.then_some(what))
    }

    /// Numerator of the scale `alpha / r`. rsLoRA scales by `alpha / √r`, which is that of plain LoRA with `alpha · √r`.
    fn alpha(&self) -> f32 {
        if self.use_rslora { self.lora_alpha * (self.r as f32).sqrt() } else { self.lora_alpha }
    }
}

/// Writes `adapter_config.json` and `adapter_model.safetensors` into `dir` as PEFT reads them. `base_name` is what PEFT shows as the base model.
///
/// # Errors
/// [`Error::Io`] when a file cannot be written; [`Error::Adapter`] when the adapter is for a model of another shape.
pub fn save_peft(dir: &Path, model: &Config, adapter: &Adapter, base_name: &str) -> Result<(), Error> {
    adapter.check(model)?;
    let lora = adapter.config();
    let config = PeftConfig {
        peft_type: "LORA".into(),
        r: lora.rank,
        lora_alpha: lora.alpha,
        target_modules: lora.targets.iter().map(ToString::to_string).collect(),
        layers_to_transform: Some((lora.first_layer..model.layers).collect()),
        base_model_name_or_path: Some(base_name.into()),
        task_type: Some("CAUSAL_LM".into()),
        inference_mode: true,
        lora_dropout: 0.0,
        bias: no_bias(),
        fan_in_fan_out: false,
        use_dora: false,
        use_rslora: false,
        init_lora_weights: usual_start(),
        modules_to_save: None,
        rank_pattern: serde_json::Map::new(),
        alpha_pattern: serde_json::Map::new(),
    };
    let json = serde_json::to_vec_pretty(&config).expect("a plain structure becomes JSON");
    let layout = LoraLayout::new(model, lora)?;
    let mut tensors = Vec::new();
    for block in layout.blocks() {
        for which in [Half::A, Half::B] {
            let values = &adapter.theta()[range(block, which)];
            let values = match order(model, block.target, which) {
                None => values.to_vec(),
                Some(order) => order
                    .into_iter()
                    .flat_map(|row| &values[row * lora.rank..(row + 1) * lora.rank])
                    .copied()
                    .collect(),
            };
            let shape = shape(model, lora.rank, block.target, which);
            tensors.push((name(block, which), Floats::new(shape, move || values.clone())));
        }
    }
    let weights = safetensors::serialize(tensors, None).map_err(|e| Error::Adapter(e.to_string()))?;
    fs::create_dir_all(dir).map_err(Error::io(dir))?;
    for (file, bytes) in [(CONFIG, json), (WEIGHTS, weights)] {
        let path = dir.join(file);
        fs::write(&path, bytes).map_err(Error::io(&path))?;
    }
    Ok(())
}

/// Reads an adapter that PEFT or [`save_peft`] wrote, in F32, F16 or BF16; LoRA, or rsLoRA, whose scale becomes that of LoRA with another alpha.
///
/// # Errors
/// [`Error::Io`], [`Error::FileTooLarge`], and [`Error::Adapter`] for anything this crate cannot compute exactly.
pub fn load_peft(dir: &Path, model: &Config) -> Result<Adapter, Error> {
    let peft: PeftConfig = json(dir, CONFIG, MAX_CONFIG).map_err(of_adapter)?;
    if let Some(what) = peft.unsupported() {
        return Err(Error::Adapter(format!("{CONFIG}: {what}")));
    }
    let alpha = peft.alpha();
    let mut targets =
        peft.target_modules.iter().map(|t| t.parse()).collect::<Result<Vec<Target>, Error>>()?;
    targets.sort_unstable();
    let layers = peft.layers_to_transform.unwrap_or_else(|| (0..model.layers).collect());
    let first_layer = layers.first().copied().unwrap_or(0);
    if !layers.iter().copied().eq(first_layer..model.layers) {
        return Err(Error::Adapter(format!(
            "{CONFIG}: layers {layers:?}; expected all from one on, up to {}",
            model.layers - 1
        )));
    }
    let config = LoraConfig { rank: peft.r, alpha, first_layer, targets };
    let layout = LoraLayout::new(model, &config)?;

    if !dir.join(WEIGHTS).exists() && dir.join(PICKLE).exists() {
        return Err(Error::Adapter(format!(
            "{PICKLE} is a pickle, which can execute anything when it is read; save the adapter with safe_serialization=True to get {WEIGHTS}"
        )));
    }
    let bytes = map(dir, WEIGHTS, MAX_WEIGHTS)?;
    let mut tensors = Tensors::default();
    tensors.add(WEIGHTS, &bytes).map_err(of_adapter)?;
    let expected = 2 * layout.blocks().len();
    if tensors.len() != expected {
        return Err(Error::Length { what: "tensors of the adapter", got: tensors.len(), expected });
    }
    let mut theta = vec![0.0; layout.len()];
    for block in layout.blocks() {
        for which in [Half::A, Half::B] {
            let shape = shape(model, config.rank, block.target, which);
            let tensor = tensors.take(&name(block, which), &shape).map_err(of_adapter)?;
            let values = tensor.kind.decode(&tensor.bytes);
            let to = &mut theta[range(block, which)];
            match order(model, block.target, which) {
                None => to.copy_from_slice(&values),
                Some(order) => {
                    for (row, from) in order.into_iter().zip(values.chunks_exact(config.rank)) {
                        to[row * config.rank..(row + 1) * config.rank].copy_from_slice(from);
                    }
                }
            }
        }
    }
    Adapter::new(model, config, theta)
}

/// What is wrong with a file, as something that is wrong with the adapter.
fn of_adapter(error: Error) -> Error {
    match error {
        Error::Checkpoint { .. } | Error::Tensor { .. } => Error::Adapter(error.to_string()),
        other => other,
    }
}

fn range(block: &Block, which: Half) -> std::ops::Range<usize> {
    match which {
        Half::A => block.a.clone(),
        Half::B => block.b.clone(),
    }
}

fn name(block: &Block, which: Half) -> String {
    let which = match which {
        Half::A => "lora_A",
        Half::B => "lora_B",
    };
    format!(
        "base_model.model.model.layers.{}.{}.{}.{which}.weight",
        block.layer,
        block.target.module(),
        block.target
    )
}

fn shape(model: &Config, rank: usize, target: Target, which: Half) -> Vec<usize> {
    let (input, output) = target.dims(model);
    match which {
        Half::A => vec![rank, input],
        Half::B => vec![output, rank],
    }
}

/// For each row as Hugging Face orders them, the row here; none where the orders agree.
fn order(model: &Config, target: Target, which: Half) -> Option<Vec<usize>> {
    match which {
        Half::A => None,
        Half::B => hub::rotary_order(model, target),
    }
}
