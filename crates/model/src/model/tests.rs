use super::*;

#[test]
fn a_model_written_and_loaded_again_is_the_same() {
    let (model, tokenizer) = Model::tiny(3);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    model.write_gguf(&tokenizer, &path).unwrap();
    let (again, words) = Model::load_gguf(&path).unwrap();
    assert_eq!(again.config(), model.config());
    assert_eq!(checkpoint::build(&again, &words), checkpoint::build(&model, &tokenizer));
}

#[test]
fn a_missing_file_is_named() {
    let error = Model::load_gguf(Path::new("nowhere.gguf")).unwrap_err();
    assert!(error.to_string().contains("nowhere.gguf"));
}
