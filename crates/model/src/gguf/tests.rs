use super::*;
use crate::{Error, Model};

fn sample() -> Vec<u8> {
    let mut w = Writer::default();
    w.text("a", "x");
    w.unsigned("b", 7);
    w.texts("c", ["p", "q"].into_iter());
    w.tensor("t", &[3], &[1.0, 2.0, 3.0]);
    w.finish()
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = sample();
    let file = File::parse(&bytes).unwrap();
    assert_eq!(file.text("a").unwrap(), "x");
    assert_eq!(file.unsigned("b").unwrap(), 7);
    assert_eq!(file.texts("c").unwrap(), ["p", "q"]);
    assert_eq!(file.vector("t", 3).unwrap(), [1.0, 2.0, 3.0]);
    assert!(matches!(file.vector("t", 4), Err(Error::Tensor { .. })));
    assert!(matches!(file.unsigned("zz"), Err(Error::Metadata { .. })));
}

#[test]
fn every_truncation_of_a_file_is_an_error() {
    let bytes = sample();
    let data = bytes.len() - 32 + 12;
    for n in 0..data {
        assert!(File::parse(&bytes[..n]).is_err(), "cut at {n} of {}", bytes.len());
    }
}

#[test]
fn no_changed_byte_of_a_model_file_makes_the_loader_panic() {
    let (model, tokenizer) = Model::tiny(1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiny.gguf");
    model.write_gguf(&tokenizer, &path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let mut state = 1u64;
    // The head of the file is where lengths, counts, shapes and names stand.
    for _ in 0..300 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (state >> 33) as usize % 9000;
        let old = bytes[at];
        bytes[at] = (state >> 24) as u8;
        drop(Model::parse_gguf(&bytes));
        bytes[at] = old;
    }
}

#[test]
fn halves_are_read_exactly() {
    for (bits, value) in [
        (0x3c00u16, 1.0),
        (0xc000, -2.0),
        (0x0001, 5.960_464_5e-8),
        (0x03ff, 6.097_555e-5),
        (0x7bff, 65504.0),
        (0x8000, -0.0),
    ] {
        let [low, high] = bits.to_le_bytes();
        assert_eq!(half(low, high).to_bits(), f32::to_bits(value), "{bits:x}");
    }
}

#[test]
fn floats_become_the_nearest_half() {
    for bits in (0..0x7c00u16).flat_map(|b| [b, b | 0x8000]) {
        let [low, high] = bits.to_le_bytes();
        assert_eq!(to_half(half(low, high)), bits);
    }
    for (value, bits) in [
        (1.0 + 1.0 / 2048.0, 0x3c00),
        (1.0 + 3.0 / 2048.0, 0x3c02),
        (65519.0, 0x7bff),
        (65520.0, 0x7c00),
        (2.98e-8, 0x0000),
        (2.99e-8, 0x0001),
        (-6.1e-5, 0x83ff),
        (f32::INFINITY, 0x7c00),
        (1e-42, 0),
    ] {
        assert_eq!(to_half(value), bits, "{value}");
    }
}

#[test]
fn quantised_blocks_are_decoded_as_stated() {
    use super::blocks::Kind;
    let mut q4_1 = vec![0x00, 0x38, 0x00, 0xbc];
    q4_1.extend((0..16).map(|i| i | (15 - i) << 4));
    let values = Kind::Q4_1.decode(&q4_1);
    assert_eq!((values[0], values[15], values[16], values[31]), (-1.0, 6.5, 6.5, -1.0));
    let mut q8 = vec![0x00, 0x38];
    q8.extend((0..32).map(|i| (i as i8 - 16) as u8));
    assert_eq!(Kind::Q8_0.decode(&q8)[0], -8.0);
    let mut q4_0 = vec![0x00, 0x38];
    q4_0.extend([0xf0; 16]);
    assert_eq!(Kind::Q4_0.decode(&q4_0)[..32], [[-4.0f32; 16], [3.5; 16]].concat()[..]);
    // d = 1/2, m = 1; scales 1, 2, 3, 4, 33, 50, 63, 16 and minima 5, 6, 7, 8, 48, 17, 0, 63.
    let (s, n) = ([1u8, 2, 3, 4, 33, 50, 63, 16], [5u8, 6, 7, 8, 48, 17, 0, 63]);
    let mut q4_k = vec![0x00, 0x38, 0x00, 0x3c];
    q4_k.extend((0..4).map(|j| s[j] | s[j + 4] >> 4 << 6));
    q4_k.extend((0..4).map(|j| n[j] | n[j + 4] >> 4 << 6));
    q4_k.extend((0..4).map(|j| s[j + 4] & 15 | (n[j + 4] & 15) << 4));
    q4_k.extend([0x31; 128]);
    let values = Kind::Q4K.decode(&q4_k);
    for j in 0..8 {
        let q = if j % 2 == 0 { 1.0 } else { 3.0 };
        let expected = 0.5 * f32::from(s[j]) * q - f32::from(n[j]);
        assert_eq!(values[32 * j..32 * (j + 1)], [expected; 32], "block {j}");
    }
}
