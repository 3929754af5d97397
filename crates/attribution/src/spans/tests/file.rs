use std::fs;

use proptest::prelude::*;

use super::*;

fn small() -> SpanIndex {
    SpanIndex::build(&sources(&[vec![1, 2, 3], vec![2, 3, 4]])).unwrap()
}

proptest! {
    #[test]
    fn an_index_survives_its_file(
        records in prop::collection::vec(prop::collection::vec(0_u32..65_535, 0..20), 1..6),
    ) {
        let index = SpanIndex::build(&sources(&records)).unwrap();
        let read = SpanIndex::decode(index.as_bytes().to_vec()).unwrap();
        prop_assert_eq!(read.records(), index.records());
        prop_assert_eq!(read, index);
    }

    #[test]
    fn hostile_bytes_are_refused_without_a_panic(
        place in 0_usize..400,
        byte in any::<u8>(),
        length in 0_usize..400,
        truncate in any::<bool>(),
    ) {
        let index = SpanIndex::build(&sources(&[vec![1, 2, 3, 4, 5, 6], vec![7, 8]])).unwrap();
        let mut bytes = index.as_bytes().to_vec();
        let place = place % bytes.len();
        bytes[place] ^= byte;
        if truncate {
            bytes.truncate(length);
        }
        if let Ok(index) = SpanIndex::decode(bytes) {
            index.attribute(&[1, 2, 3, 4, 5, 6, 7, 8], numbers).unwrap();
        }
    }
}

#[test]
fn a_file_is_opened_only_under_its_content_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spans.bin");
    let index = small();
    let hash = index.save(&path).unwrap();
    let opened = SpanIndex::open(&path, hash).unwrap();
    assert_eq!(opened, index);
    assert_eq!(opened.content_hash(), hash);
    assert_eq!(
        hash.to_string(),
        "0x36783ef8b18fac23e7c5c21c26f94de71e80824a025f6f2b37a3359bb2b85528",
        "the file format has changed"
    );
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let other = folder.path().join("altered.bin");
    fs::write(&other, &bytes).unwrap();
    assert!(
        matches!(SpanIndex::open(&other, hash), Err(SpanError::Hash { expected, .. }) if expected == hash)
    );
    fs::write(&other, []).unwrap();
    assert!(matches!(SpanIndex::open(&other, hash), Err(SpanError::Hash { .. })));
    assert!(matches!(SpanIndex::open(&folder.path().join("none"), hash), Err(SpanError::Io { .. })));
}

#[test]
fn what_does_not_fit_together_is_refused_and_named() {
    let check = |expected: &str, alter: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = small().as_bytes().to_vec();
        alter(&mut bytes);
        let error = SpanIndex::decode(bytes).unwrap_err().to_string();
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    };
    let text = layout::Layout::parse(small().as_bytes()).unwrap().unit_at(0);
    check("does not start with OLSPANS2", &|bytes| bytes[7] = b'1');
    check("ends in its header", &|bytes| bytes.truncate(63));
    check("header does not end with zeros", &|bytes| bytes[63] = 1);
    check("4194304", &|bytes| bytes[8..12].fill(0xff));
    check("at least one record", &|bytes| bytes[8] = 0);
    check("fewer units than records", &|bytes| bytes[12] = 1);
    check("its header says", &|bytes| bytes[12] = 9);
    check("its header says", &|bytes| bytes.truncate(bytes.len() - 1));
    check("its header says", &|bytes| bytes.push(0));
    check("a record does not end with zeros", &|bytes| bytes[64 + 63] = 1);
    check("start where the one before ends", &|bytes| bytes[128 + 52] = 3);
    check("records are longer than its text", &|bytes| bytes[128 + 56] = 4);
    check("where its text separates them", &|bytes| bytes[64 + 56] = 2);
    check("text is longer than its records", &|bytes| {
        bytes[128 + 56] = 2;
        bytes[text + 12..text + 14].fill(0xff);
    });
    check("separator within a record", &|bytes| bytes[text + 2..text + 4].fill(0xff));
    check("not followed by zeros", &|bytes| bytes[text + 16] = 1);
}
