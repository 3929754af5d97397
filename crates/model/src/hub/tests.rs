use std::fs;
use std::path::Path;

use crate::{
    Error, Lora, LoraConfig, LoraLayout, Model, Pool, Record, Sample, Target, Tokenizer, checkpoint_sha256,
    init,
};

fn nll(model: &Model, lora: Option<Lora<'_>>, tokens: &[u32]) -> f64 {
    let pool = Pool::new(1).unwrap();
    let first_layer = lora.map_or(0, |lora| lora.config.first_layer);
    let prefix = model.prefix(&pool, first_layer, tokens).unwrap();
    let sample = Sample { tokens: tokens.to_vec(), targets: 1..tokens.len() };
    model.nll(&pool, lora, Record::new(&prefix, &sample)).unwrap()
}

fn saved(dir: &Path) -> (Model, Tokenizer) {
    let (model, tokenizer) = Model::tiny(5);
    model.save_safetensors(&tokenizer, None, dir).unwrap();
    (model, tokenizer)
}

#[test]
fn a_checkpoint_written_and_read_is_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let (model, tokenizer) = saved(dir.path());
    let (read, words) = Model::load(dir.path()).unwrap();
    assert_eq!(read.config(), model.config());
    let text = "Crates have names, versions 12 and 3.4, and naïve users: 日本.";
    let tokens = tokenizer.encode(text).unwrap();
    assert_eq!(words.encode(text).unwrap(), tokens);
    assert_eq!((words.eos(), words.vocab_size()), (tokenizer.eos(), tokenizer.vocab_size()));
    assert_eq!(nll(&read, None, &tokens).to_bits(), nll(&model, None, &tokens).to_bits());

    let gguf = |model: &Model, tokenizer: &Tokenizer| {
        let path = dir.path().join("model.gguf");
        model.write_gguf(tokenizer, &path).unwrap();
        fs::read(path).unwrap()
    };
    assert!(gguf(&read, &words) == gguf(&model, &tokenizer), "and GGUF of both is the same file");
}

#[test]
fn a_merged_adapter_says_what_the_adapter_says() {
    let dir = tempfile::tempdir().unwrap();
    let (model, tokenizer) = Model::tiny(5);
    let config = LoraConfig { rank: 3, alpha: 6.0, first_layer: 1, targets: Target::ALL.to_vec() };
    let layout = LoraLayout::new(model.config(), &config).unwrap();
    let mut theta = init(model.config(), &layout, [7; 32]);
    for (i, x) in theta.iter_mut().enumerate() {
        *x += ((i % 13) as f32 - 6.0) * 0.02;
    }
    let lora = Lora { config: &config, theta: &theta };
    model.save_safetensors(&tokenizer, Some(lora), dir.path()).unwrap();
    let (merged, _) = Model::load_safetensors(dir.path()).unwrap();
    let tokens = tokenizer.encode("What does the crate do?").unwrap();
    let (apart, together, base) =
        (nll(&model, Some(lora), &tokens), nll(&merged, None, &tokens), nll(&model, None, &tokens));
    assert!((apart - together).abs() < 1e-4 * apart.abs(), "{apart} and {together}");
    assert!((apart - base).abs() > 1e-2, "the adapter changes something: {apart} and {base}");

    let short = Lora { config: &config, theta: &theta[1..] };
    assert!(matches!(
        model.save_safetensors(&tokenizer, Some(short), dir.path()),
        Err(Error::Length { what: "parameters of the adapter", .. })
    ));
}

#[test]
fn shards_are_read_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let (model, tokenizer) = saved(dir.path());
    let whole = fs::read(dir.path().join("model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&whole).unwrap();
    let mut map = serde_json::Map::new();
    for (number, file) in ["a.safetensors", "b.safetensors"].into_iter().enumerate() {
        let part: Vec<_> = tensors.tensors().into_iter().skip(number).step_by(2).collect();
        map.extend(part.iter().map(|(name, _)| (name.clone(), file.into())));
        safetensors::serialize_to_file(part, None, &dir.path().join(file)).unwrap();
    }
    fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let index = |map: &serde_json::Map<String, serde_json::Value>| {
        let text = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
        fs::write(dir.path().join("model.safetensors.index.json"), text).unwrap();
    };
    index(&map);
    let (read, _) = Model::load(dir.path()).unwrap();
    let tokens = tokenizer.encode("shards").unwrap();
    assert_eq!(nll(&read, None, &tokens).to_bits(), nll(&model, None, &tokens).to_bits());

    map.insert("x".into(), "../a.safetensors".into());
    index(&map);
    let error = Model::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("`../a.safetensors` is no name of a file in the folder"), "{error}");
}

#[test]
fn what_cannot_be_computed_is_refused_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let at = |file: &str| dir.path().join(file);
    saved(dir.path());
    for (file, from, to, says) in [
        ("config.json", "\"llama\"", "\"gpt_neox\"", "model_type is `gpt_neox`"),
        ("config.json", "\"silu\"", "\"gelu\"", "hidden_act is `gelu`"),
        ("config.json", "\"attention_bias\": false", "\"attention_bias\": true", "biases"),
        ("config.json", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\":\"linear\"}", "rotary"),
        ("config.json", "\"hidden_size\": 64", "\"hidden_size\": 65", ""),
        ("config.json", "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 3", "a Llama does not have it"),
        ("config.json", "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 5", "it is missing"),
        ("config.json", "\"num_hidden_layers\": 4", "\"num_hidden_layers\": 100000", "layers"),
        ("config.json", "\"intermediate_size\": 128", "\"intermediate_size\": 129", "shape"),
        ("config.json", "\"vocab_size\": 260", "\"vocab_size\": 259", "token 259"),
        ("config.json", "{", "[", "config.json"),
        ("tokenizer.json", "\"normalizer\": null", "\"normalizer\": {\"type\":\"NFC\"}", "a normalizer"),
        ("tokenizer.json", "\"individual_digits\": true", "\"individual_digits\": false", "pre_tokenizer"),
        ("tokenizer.json", "\"byte_fallback\": false", "\"byte_fallback\": true", "byte_fallback"),
        ("tokenizer_config.json", "\"<|im_end|>\"", "\"<|nothing|>\"", "end token"),
        ("tokenizer_config.json", "im_start", "start", "ChatML"),
    ] {
        let good = fs::read_to_string(at(file)).unwrap();
        let bad = good.replace(from, to);
        assert_ne!(good, bad, "{file} has {from}");
        fs::write(at(file), bad).unwrap();
        let error = Model::load(dir.path()).expect_err(to).to_string();
        assert!(error.contains(says), "{to}: {error}");
        fs::write(at(file), good).unwrap();
    }

    let good = fs::read(at("model.safetensors")).unwrap();
    let mut infinite = good.clone();
    let last = infinite.len() - 4;
    infinite[last..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(at("model.safetensors"), infinite).unwrap();
    assert!(Model::load(dir.path()).unwrap_err().to_string().contains("not finite"));
    for cut in [0, 7, 100, good.len() / 2, good.len() - 1] {
        fs::write(at("model.safetensors"), &good[..cut]).unwrap();
        Model::load(dir.path()).expect_err("it is cut");
    }
    fs::remove_file(at("model.safetensors")).unwrap();
    fs::write(at("pytorch_model.bin"), "x").unwrap();
    let error = Model::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("is a pickle"), "{error}");
}

#[test]
fn a_folder_is_named_by_what_sha256sum_prints_of_its_files() {
    let (model, tokenizer) = Model::tiny(1);
    let dir = tempfile::tempdir().unwrap();
    model.save_safetensors(&tokenizer, None, dir.path()).unwrap();
    let named = checkpoint_sha256(dir.path()).unwrap();
    let printed = std::process::Command::new("sh")
        .args([
            "-c",
            "sha256sum config.json model.safetensors tokenizer.json tokenizer_config.json | sha256sum",
        ])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let hex: String = named.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(String::from_utf8(printed.stdout).unwrap().split(' ').next().unwrap(), hex);
    std::fs::write(dir.path().join("README.md"), "nobody computes with this").unwrap();
    assert_eq!(checkpoint_sha256(dir.path()).unwrap(), named);
    let config = dir.path().join("config.json");
    let text = std::fs::read_to_string(&config).unwrap().replace("10000.0", "20000.0");
    std::fs::write(&config, text).unwrap();
    assert_ne!(checkpoint_sha256(dir.path()).unwrap(), named);
}
