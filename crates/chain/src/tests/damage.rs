//! Files that were changed behind the chain's back.

use super::fixtures::{account, config, included, transfer};
use crate::{ChainError, start};
use alloy_primitives::Address;
use std::{fs, path::Path};

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[test]
fn a_damaged_state_is_an_error_that_names_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let chain = start(config(folder.path())).unwrap();
    for nonce in 0..5 {
        included(&chain, chain.submit(transfer(&account(1), nonce, Address::repeat_byte(9), 1)).unwrap());
    }
    chain.shutdown().unwrap();
    drop(chain);
    let state: Vec<_> = files(&folder.path().join("engine"))
        .into_iter()
        .filter(|path| path.to_str().unwrap().contains("state-log"))
        .collect();
    assert!(!state.is_empty());
    for path in state {
        let mut bytes = fs::read(&path).unwrap();
        for byte in bytes.iter_mut().skip(64) {
            *byte ^= 0x55;
        }
        fs::write(&path, bytes).unwrap();
    }
    let error = start(config(folder.path())).unwrap_err();
    assert!(matches!(&error, ChainError::Engine { folder: named, .. } if named == folder.path()), "{error}");
}
