use super::*;
use crate::{Config, Model};

fn adapter(config: &Config) -> Adapter {
    let lora = LoraConfig { rank: 3, alpha: 6.0, first_layer: 1, targets: Target::ALL.to_vec() };
    let layout = LoraLayout::new(config, &lora).unwrap();
    let mut uniform = Uniform::new([3; 32]);
    let theta = (0..layout.len()).map(|_| uniform.next()).collect();
    Adapter::new(config, lora, theta).unwrap()
}

#[test]
fn blocks_cover_the_parameters_in_the_stated_order() {
    let (model, _) = Model::tiny(1);
    let lora = LoraConfig { rank: 2, alpha: 4.0, first_layer: 2, targets: vec![Target::Q, Target::Down] };
    let layout = LoraLayout::new(model.config(), &lora).unwrap();
    let mut at = 0;
    for block in layout.blocks() {
        assert_eq!((block.a.start, block.b.start), (at, block.a.end));
        at = block.b.end;
    }
    assert_eq!(at, layout.len());
    for index in 0..layout.len() {
        let (block, which, entry) = layout.locate(index).unwrap();
        let start = if which == Half::A { block.a.start } else { block.b.start };
        assert_eq!(start + entry, index);
    }
    assert!(layout.locate(layout.len()).is_none());
    assert_eq!(layout.find(3, Target::Down).unwrap().layer, 3);
    assert!(layout.find(1, Target::Q).is_none() && layout.find(3, Target::V).is_none());
}

#[test]
fn the_start_is_a_stated_function_of_the_seed() {
    let (model, _) = Model::tiny(1);
    let lora = LoraConfig { rank: 4, alpha: 8.0, first_layer: 3, targets: vec![Target::Q] };
    let layout = LoraLayout::new(model.config(), &lora).unwrap();
    let theta = init(model.config(), &layout, [0; 32]);
    let block = &layout.blocks()[0];
    assert!(theta[block.b.clone()].iter().all(|x| *x == 0.0));
    assert!(theta[block.a.clone()].iter().all(|x| x.abs() < 0.125));
    assert_eq!(
        theta[..3].iter().map(|x| x.to_bits()).collect::<Vec<_>>(),
        [3183764375, 1011364792, 3126149248]
    );
    assert_eq!(theta, init(model.config(), &layout, [0; 32]));
    assert_ne!(theta, init(model.config(), &layout, [1; 32]));
}

#[test]
fn an_adapter_survives_peft_files() {
    let (model, _) = Model::tiny(1);
    let adapter = adapter(model.config());
    let dir = tempfile::tempdir().unwrap();
    save_peft(dir.path(), model.config(), &adapter, "tiny").unwrap();
    let again = load_peft(dir.path(), model.config()).unwrap();
    assert_eq!((again.config(), again.theta()), (adapter.config(), adapter.theta()));
}

#[test]
fn rows_of_queries_stand_in_hugging_face_order_in_the_file() {
    let (model, _) = Model::tiny(1);
    let adapter = adapter(model.config());
    let dir = tempfile::tempdir().unwrap();
    save_peft(dir.path(), model.config(), &adapter, "tiny").unwrap();
    let bytes = std::fs::read(dir.path().join("adapter_model.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let layout = LoraLayout::new(model.config(), adapter.config()).unwrap();
    let tensor = tensors.tensor("base_model.model.model.layers.2.self_attn.q_proj.lora_B.weight").unwrap();
    let block = layout.find(2, Target::Q).unwrap();
    // Heads are 16 wide: row 16 + 1 there is the second pair's first element, row 16 + 8 the first pair's second.
    for (theirs, ours) in [(0, 0), (17, 18), (24, 17), (31, 31), (63, 63)] {
        let value = f32::from_le_bytes(tensor.data()[theirs * 12..][..4].try_into().unwrap());
        assert_eq!(value, adapter.theta()[block.b.start + ours * 3], "row {theirs}");
    }
}

#[test]
fn rslora_is_lora_with_a_larger_alpha() {
    let (model, _) = Model::tiny(1);
    let dir = tempfile::tempdir().unwrap();
    save_peft(dir.path(), model.config(), &adapter(model.config()), "tiny").unwrap();
    let path = dir.path().join("adapter_config.json");
    let plain = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, plain.replace("\"use_rslora\": false", "\"use_rslora\": true")).unwrap();
    let scale = load_peft(dir.path(), model.config()).unwrap().config().scale();
    assert!((scale - 6.0 / 3f32.sqrt()).abs() < 1e-6, "{scale}");
}

#[test]
fn a_refusal_says_what_would_help() {
    let (model, _) = Model::tiny(1);
    let dir = tempfile::tempdir().unwrap();
    save_peft(dir.path(), model.config(), &adapter(model.config()), "tiny").unwrap();
    let path = dir.path().join("adapter_config.json");
    let good = std::fs::read_to_string(&path).unwrap();
    let refused = || load_peft(dir.path(), model.config()).unwrap_err().to_string();
    for (from, to, said) in [
        ("\"use_dora\": false", "\"use_dora\": true", "DoRA"),
        ("\"init_lora_weights\": true", "\"init_lora_weights\": \"pissa\"", "path_initial_model"),
        ("\"init_lora_weights\": true", "\"init_lora_weights\": \"olora\"", "olora"),
        ("\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", "modules_to_save"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        std::fs::write(&path, bad).unwrap();
        assert!(refused().contains(said), "{}", refused());
    }
    std::fs::write(&path, good).unwrap();
    std::fs::rename(dir.path().join("adapter_model.safetensors"), dir.path().join("adapter_model.bin"))
        .unwrap();
    assert!(refused().contains("pickle"), "{}", refused());
}

#[test]
fn what_is_not_computed_here_is_refused() {
    let (model, _) = Model::tiny(1);
    let dir = tempfile::tempdir().unwrap();
    save_peft(dir.path(), model.config(), &adapter(model.config()), "tiny").unwrap();
    let path = dir.path().join("adapter_config.json");
    let good = std::fs::read_to_string(&path).unwrap();
    for (from, to) in [
        ("\"use_dora\": false", "\"use_dora\": true"),
        ("\"bias\": \"none\"", "\"bias\": \"all\""),
        ("\"LORA\"", "\"IA3\""),
        ("q_proj", "lm_head"),
        ("\"r\": 3", "\"r\": 4"),
        ("\"r\": 3", "\"r\": 0"),
        ("[\n    1,", "[\n    0,"),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good, "{from}");
        std::fs::write(&path, bad).unwrap();
        assert!(load_peft(dir.path(), model.config()).is_err(), "{to}");
    }
    std::fs::write(&path, good).unwrap();
    std::fs::write(dir.path().join("adapter_model.safetensors"), b"\xff\xff\xff\xff\xff\xff\xff\x7f{}")
        .unwrap();
    assert!(load_peft(dir.path(), model.config()).is_err());
}
