use super::*;

fn manifest() -> TrainManifest {
    let datanet =
        DatanetVersion { datanet: U256::from(3), version: 2, manifest_hash: B256::repeat_byte(0x22) };
    let lora = LoraConfig { rank: 8, alpha: 16.0, first_layer: 22, targets: vec![Target::Q, Target::V] };
    let optimiser = Optimiser {
        lr_ppb: 1,
        beta1_ppm: 2,
        beta2_ppm: 3,
        eps_root_atto: 4,
        warmup_steps: 5,
        floor_ppm: 6,
        weight_decay_ppm: 0,
    };
    let recipe = Recipe {
        template: Template::Describe,
        lora,
        optimiser,
        steps: 7,
        records_per_step: 8,
        max_tokens: 9,
        dropout_ppm: 0,
        held_out_ppm: 0,
    };
    TrainManifest::new(B256::repeat_byte(0x11), vec![datanet], recipe).unwrap()
}

#[test]
fn a_manifest_has_one_encoding_and_one_hash() {
    let text = String::from_utf8(manifest().encode()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"format":"openledger-train/1","#,
            r#""base_sha256":"0x1111111111111111111111111111111111111111111111111111111111111111","#,
            r#""datanets":[{"datanet":"0x3","version":2,"#,
            r#""manifest_hash":"0x2222222222222222222222222222222222222222222222222222222222222222"}],"#,
            r#""recipe":{"template":"describe/1","#,
            r#""lora":{"rank":8,"alpha":16.0,"first_layer":22,"targets":["q_proj","v_proj"]},"#,
            r#""optimiser":{"lr_ppb":1,"beta1_ppm":2,"beta2_ppm":3,"eps_root_atto":4,"#,
            r#""warmup_steps":5,"floor_ppm":6},"steps":7,"records_per_step":8,"max_tokens":9}}"#
        )
    );
    assert_eq!(
        manifest().hash().to_string(),
        "0x34fa6cd73b8f870c7ee518e7e4f07fe13887047c258381cd681bd6b48b943a6c"
    );
    assert_eq!(TrainManifest::decode(text.as_bytes()).unwrap(), manifest());

    let mut decaying = manifest();
    decaying.recipe.optimiser.weight_decay_ppm = 7;
    let decayed = text.replace("\"floor_ppm\":6", "\"floor_ppm\":6,\"weight_decay_ppm\":7");
    assert_eq!(decaying.encode(), decayed.as_bytes());
    assert_eq!(TrainManifest::decode(decayed.as_bytes()).unwrap(), decaying);

    let mut dropping = manifest();
    (dropping.recipe.dropout_ppm, dropping.recipe.held_out_ppm) = (7, 8);
    let dropped = text.replace("\"max_tokens\":9", "\"max_tokens\":9,\"dropout_ppm\":7,\"held_out_ppm\":8");
    assert_eq!(dropping.encode(), dropped.as_bytes());
    assert_eq!(TrainManifest::decode(dropped.as_bytes()).unwrap(), dropping);
}

#[test]
fn a_manifest_that_is_not_canonical_or_out_of_range_is_refused() {
    let text = String::from_utf8(manifest().encode()).unwrap();
    let check = |from: &str, to: &str, says: &str| {
        let error = TrainManifest::decode(text.replace(from, to).as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "`{to}` says `{error}`, expected `{says}`");
    };
    check("{\"format\"", "{ \"format\"", "not in canonical encoding");
    check("openledger-train/1", "openledger-train/2", "expected `openledger-train/1`");
    check("\"steps\":7", "\"steps\":0", "steps is 0, accepted is 1 to 1000000");
    check("\"warmup_steps\":5", "\"warmup_steps\":8", "warm-up steps is 8, accepted is 0 to 7");
    check("\"eps_root_atto\":4", "\"eps_root_atto\":0", "eps inside the root");
    check("\"floor_ppm\":6", "\"floor_ppm\":6,\"weight_decay_ppm\":0", "not in canonical encoding");
    check(
        "\"floor_ppm\":6",
        "\"floor_ppm\":6,\"weight_decay_ppm\":1000001",
        "weight decay (10^-6) is 1000001",
    );
    check("\"max_tokens\":9", "\"max_tokens\":9,\"x\":1", "unknown field");
    check("\"max_tokens\":9", "\"max_tokens\":9,\"dropout_ppm\":900001", "dropout (10^-6) is 900001");
    check(
        "\"max_tokens\":9",
        "\"max_tokens\":9,\"held_out_ppm\":900001",
        "held-out records (10^-6) is 900001",
    );
    check("describe/1", "describe/9", "unknown variant");
    let long = vec![b' '; MAX_MANIFEST_BYTES + 1];
    assert!(matches!(TrainManifest::decode(&long), Err(Error::Length { .. })));
}

#[test]
fn the_demo_recipe_keeps_its_ranges() {
    Recipe::demo().validate().unwrap();
}
