use std::fs;

use alloy_primitives::B256;

use super::{Blobs, Refs, content_hash};
use crate::CorpusError;

fn blobs() -> (tempfile::TempDir, Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(dir.path().join("blobs")).unwrap();
    (dir, blobs)
}

#[test]
fn what_was_put_is_read_back_under_its_hash() {
    let (_dir, blobs) = blobs();
    for bytes in [&b""[..], b"a", &[7; 200_000]] {
        let hash = blobs.put(bytes).unwrap();
        assert_eq!(hash, content_hash(bytes));
        assert!(blobs.exists(hash));
        assert_eq!(blobs.get(hash, 200_000).unwrap(), bytes);
        blobs.verify(hash).unwrap();
    }
}

#[test]
fn a_file_gets_the_name_its_bytes_would_get() {
    let (dir, blobs) = blobs();
    let file = dir.path().join("some file");
    fs::write(&file, vec![3; 150_000]).unwrap();
    assert_eq!(blobs.put_file(&file).unwrap(), content_hash(&vec![3; 150_000]));
    assert_eq!(blobs.put_file(&file).unwrap(), blobs.put(&vec![3; 150_000]).unwrap());
}

#[test]
fn damage_is_refused_by_name_and_healed_by_putting_again() {
    let (_dir, blobs) = blobs();
    let hash = blobs.put(b"a record").unwrap();
    for damage in [&b"a recorD"[..], b"a rec", b""] {
        fs::write(blobs.path(hash), damage).unwrap();
        let error = blobs.get(hash, 100).unwrap_err();
        assert!(error.to_string().contains(blobs.path(hash).to_str().unwrap()), "{error}");
        assert!(matches!(error, CorpusError::BlobCorrupt { expected, .. } if expected == hash));
        assert!(blobs.verify(hash).is_err());
    }
    blobs.put(b"a record").unwrap();
    assert_eq!(blobs.get(hash, 100).unwrap(), b"a record");
}

#[test]
fn a_blob_over_the_callers_limit_is_not_read() {
    let (_dir, blobs) = blobs();
    let hash = blobs.put(&[0; 11]).unwrap();
    assert!(matches!(blobs.get(hash, 10), Err(CorpusError::TooLarge { got: 11, limit: 10, .. })));
}

#[test]
fn a_removed_blob_is_missing() {
    let (_dir, blobs) = blobs();
    let hash = blobs.put(b"withdrawn").unwrap();
    assert!(blobs.remove(hash).unwrap());
    assert!(!blobs.remove(hash).unwrap());
    assert!(matches!(blobs.get(hash, 100), Err(CorpusError::BlobMissing { .. })));
}

#[test]
fn an_unfinished_write_of_a_killed_process_is_never_seen() {
    let (dir, blobs) = blobs();
    let hash = blobs.put(b"whole").unwrap();
    fs::write(dir.path().join("blobs/tmp/.tmpLEFT"), b"half").unwrap();
    let again = Blobs::open(dir.path().join("blobs")).unwrap();
    assert_eq!(again.get(hash, 10).unwrap(), b"whole");
    assert!(!again.exists(content_hash(b"half")));
}

#[test]
fn writers_of_the_same_blob_at_the_same_time_agree() {
    let (_dir, blobs) = blobs();
    let bytes = vec![9; 50_000];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| blobs.put(&bytes).unwrap());
        }
    });
    assert_eq!(blobs.get(content_hash(&bytes), 50_000).unwrap(), bytes);
}

#[test]
fn pointers_are_replaced_listed_and_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let refs = Refs::open(dir.path()).unwrap();
    assert_eq!(refs.get("datanet-1").unwrap(), None);
    refs.set("datanet-1", B256::repeat_byte(1)).unwrap();
    refs.set("datanet-1", B256::repeat_byte(2)).unwrap();
    refs.set("base", B256::repeat_byte(3)).unwrap();
    assert_eq!(refs.get("datanet-1").unwrap(), Some(B256::repeat_byte(2)));
    let names: Vec<_> = refs.list().unwrap().into_keys().collect();
    assert_eq!(names, ["base", "datanet-1"]);
    assert!(refs.remove("base").unwrap());
    assert!(!refs.remove("base").unwrap());
    fs::write(dir.path().join("torn"), "0x12").unwrap();
    assert!(matches!(refs.get("torn"), Err(CorpusError::BadRef { .. })));
}

#[test]
fn a_pointer_name_cannot_leave_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let refs = Refs::open(dir.path()).unwrap();
    for name in ["", "..", ".tmp", "a/b", "a\\b", "ä", &"x".repeat(129)] {
        assert!(matches!(refs.set(name, B256::ZERO), Err(CorpusError::BadRefName { .. })), "{name}");
    }
}
