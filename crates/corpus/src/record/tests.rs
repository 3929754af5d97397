use alloy_primitives::{B256, hex};
use proptest::prelude::*;

use super::{Provenance, Record, RecordLimits, derive_salt};
use crate::CorpusError;

fn source() -> Provenance {
    Provenance {
        name: "demo".into(),
        version: "1.0.0".into(),
        license: "MIT".into(),
        authors: vec!["Ada <ada@example.org>".into()],
        path: "README.md".into(),
    }
}

fn refused(text: &[u8]) -> CorpusError {
    Record::from_bytes(text, source(), B256::ZERO, &RecordLimits::default()).unwrap_err()
}

#[test]
fn the_encoding_and_hash_of_a_known_record_do_not_change() {
    let record = Record::new("Grüße", source(), B256::repeat_byte(0x11), &RecordLimits::default()).unwrap();
    let expected = concat!(
        "4f4c52454301",
        "07000000",
        "4772c3bcc39f65",
        "0400",
        "64656d6f",
        "0500",
        "312e302e30",
        "0300",
        "4d4954",
        "0100",
        "1500",
        "416461203c616461406578616d706c652e6f72673e",
        "0900",
        "524541444d452e6d64",
        "1111111111111111111111111111111111111111111111111111111111111111"
    );
    assert_eq!(hex::encode(record.encode()), expected);
    assert_eq!(
        hex::encode(record.hash()),
        "9d7e4d72031c00d57a8b1ff609f177d33fe38894a93d22900e840f880fd68797"
    );
}

#[test]
fn a_refused_text_says_what_it_is_and_what_is_allowed() {
    assert!(matches!(refused(b""), CorpusError::EmptyText));
    assert!(matches!(refused(b" \n\t\xe2\x80\x83"), CorpusError::EmptyText));
    assert!(matches!(refused(b"abc\xff"), CorpusError::NotUtf8 { at: 3, len: 4 }));
    let long = vec![b'a'; 65_537];
    assert!(matches!(refused(&long), CorpusError::TooLarge { got: 65_537, limit: 65_536, .. }));
    Record::from_bytes(&long[..65_536], source(), B256::ZERO, &RecordLimits::default()).unwrap();
}

#[test]
fn provenance_has_limits_and_a_known_licence() {
    let check = |change: &dyn Fn(&mut Provenance)| {
        let mut source = source();
        change(&mut source);
        Record::new("text", source, B256::ZERO, &RecordLimits::default()).unwrap_err()
    };
    assert!(matches!(check(&|s| s.license = "Mine".into()), CorpusError::UnknownLicense { .. }));
    assert!(matches!(check(&|s| s.name = "n".repeat(513)), CorpusError::TooLarge { got: 513, .. }));
    assert!(matches!(check(&|s| s.authors = vec![String::new(); 65]), CorpusError::TooLarge { got: 65, .. }));
}

#[test]
fn a_salt_differs_by_secret_place_and_text() {
    let base = derive_salt(B256::ZERO, "a", "bc");
    assert_eq!(base, derive_salt(B256::ZERO, "a", "bc"));
    assert_ne!(base, derive_salt(B256::ZERO, "ab", "c"));
    assert_ne!(base, derive_salt(B256::ZERO, "a", "bd"));
    assert_ne!(base, derive_salt(B256::repeat_byte(1), "a", "bc"));
}

proptest! {
    #[test]
    fn decoding_undoes_encoding(text in "\\PC{1,200}", name in "\\PC{0,40}", authors in prop::collection::vec("\\PC{0,20}", 0..5), salt: [u8; 32]) {
        prop_assume!(!text.trim().is_empty());
        let source = Provenance { name, authors, ..source() };
        let record = Record::new(text, source, salt.into(), &RecordLimits::default()).unwrap();
        prop_assert_eq!(&Record::decode(&record.encode(), &RecordLimits::default()).unwrap(), &record);
    }

    #[test]
    fn any_bytes_decode_to_a_record_with_that_encoding_or_not_at_all(mut bytes in prop::collection::vec(any::<u8>(), 0..200), flip in any::<prop::sample::Index>(), to: u8) {
        let limits = RecordLimits::default();
        drop(Record::decode(&bytes, &limits));
        bytes = Record::new("some text", source(), B256::ZERO, &limits).unwrap().encode();
        let at = flip.index(bytes.len());
        bytes[at] = to;
        if let Ok(record) = Record::decode(&bytes, &limits) {
            prop_assert_eq!(&record.encode(), &bytes);
        }
        let cut = flip.index(bytes.len());
        prop_assert!(Record::decode(&bytes[..cut], &limits).is_err());
    }
}
