use super::{linear::Linear, *};
use crate::{
    gguf::{Kind, Matrix},
    kernel::Panels,
    lora::Uniform,
};

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

#[test]
fn floats_taken_from_blocks_have_the_bits_of_the_file() {
    let (input, output) = (64, 19);
    let mut uniform = Uniform::new([3; 32]);
    let kinds = [(Kind::Q4_0, 18), (Kind::Q4_1, 20), (Kind::Q8_0, 34), (Kind::F16, 2), (Kind::Bf16, 2)];
    for (kind, size) in kinds {
        let (elements, _) = kind.block();
        let count = input * output / elements * size;
        let mut bytes: Vec<u8> = (0..count).map(|_| (uniform.next() * 127.9 + 128.0) as u8).collect();
        // Scales and minima below one, of either sign.
        let halves = if kind == Kind::Q4_1 { 2 } else { 1 };
        for block in bytes.chunks_exact_mut(size) {
            block[..2 * halves].chunks_exact_mut(2).for_each(|half| half[1] &= 0xbb);
        }
        let decoded = kind.decode(&bytes);
        let linear = Linear::stack(input, &[Matrix { kind, bytes: bytes.into() }]);
        let rows: Vec<u32> = linear.rows(0, output).iter().map(|x| x.to_bits()).collect();
        assert_eq!(rows, decoded.iter().map(|x| x.to_bits()).collect::<Vec<_>>(), "{kind:?}");
        assert_eq!(linear.forward().data(), Panels::from_rows(&decoded, input, output).data(), "{kind:?}");
    }
}
