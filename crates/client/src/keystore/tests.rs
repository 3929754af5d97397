use std::fs;

use alloy_primitives::address;

use super::*;
use crate::wallet::KeyError;

/// The key of the format's own test vectors.
const SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
const ADDRESS: Address = address!("008aeeda4d805471df9b2a5b0f38a0c3bcba786b");
const PASSWORD: &str = "testpassword";

/// The format's own test vector. It states no address.
const VECTOR_PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},
"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2",
"kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},
"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;

/// Written by ethers 6.
const FILE_OF_ETHERS: &str = r#"{"address":"008aeeda4d805471df9b2a5b0f38a0c3bcba786b","id":"9c8e7643-32b0-409b-91b0-b6b4ffa4d869","version":3,
"Crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6acd0c7e60f99c4fa29fd87ace140bd9"},
"ciphertext":"8f04d278c5e8c22cf9c59d765cfa105aca59fc62815a1ffb55c3c883f78c52cb","kdf":"scrypt",
"kdfparams":{"salt":"1b2ba0d36f731ac44936f81e88f67afb4db62461e4aa17368631d46488a905d2","n":8192,"dklen":32,"p":1,"r":8},
"mac":"cb5981db9416df052f398796a82573aa9c0023679187da5cfb55298b50d09186"}}"#;

fn keystore() -> (tempfile::TempDir, Keystore) {
    let dir = tempfile::tempdir().unwrap();
    let keystore = Keystore::open(dir.path().join("keys")).unwrap();
    (dir, keystore)
}

#[test]
fn a_stored_key_comes_back_with_its_password_and_no_other() {
    let (_dir, keystore) = keystore();
    for strength in [Strength::Light, Strength::Standard] {
        let name = format!("{strength:?}");
        let wallet = keystore.create(&name, "open sesame", strength).unwrap();
        assert_eq!(keystore.unlock(&name, "open sesame").unwrap(), wallet);
        assert_eq!(keystore.address(&name).unwrap(), wallet.address());
        let wrong = keystore.unlock(&name, "open sesame ").unwrap_err();
        assert!(matches!(wrong, KeystoreError::WrongPassword { .. }), "{wrong}");
    }
}

#[test]
fn files_of_other_programs_unlock() {
    let (_dir, keystore) = keystore();
    for (file, json, stated) in [
        ("pbkdf2.json", VECTOR_PBKDF2, None),
        ("UTC--2016-03-22T12-57-55.9Z--008aeeda", FILE_OF_ETHERS, Some(ADDRESS)),
    ] {
        fs::write(keystore.dir().join(file), json).unwrap();
        let name = file.trim_end_matches(".json");
        assert_eq!(keystore.unlock(name, PASSWORD).unwrap().address(), ADDRESS, "{name}");
        assert_eq!(keystore.address(name).ok(), stated);
    }
    assert_eq!(keystore.list().unwrap().len(), 2);
}

#[test]
fn an_imported_key_is_that_key() {
    let (_dir, keystore) = keystore();
    for (name, secret) in [("plain", SECRET.to_owned()), ("prefixed", format!("0x{SECRET}\n"))] {
        let wallet = keystore.import(name, &secret, PASSWORD, Strength::Light).unwrap();
        assert_eq!(wallet.address(), ADDRESS);
    }
    let known: Vec<_> = keystore.list().unwrap().into_iter().map(|a| (a.name, a.address)).collect();
    assert_eq!(known, [("plain".to_owned(), Some(ADDRESS)), ("prefixed".to_owned(), Some(ADDRESS))]);
    for (secret, expected) in [
        (&SECRET[1..], KeyError::Malformed { got: 63 }),
        (&"0".repeat(64), KeyError::OutOfRange),
        (&"f".repeat(64), KeyError::OutOfRange),
        (&"x".repeat(64), KeyError::Malformed { got: 64 }),
    ] {
        let error = keystore.import("bad", secret, PASSWORD, Strength::Light).unwrap_err();
        assert!(matches!(error, KeystoreError::Key(got) if got == expected));
    }
    assert_eq!(keystore.list().unwrap().len(), 2, "a refused key leaves no file");
}

#[test]
fn a_name_that_is_taken_is_not_overwritten() {
    let (_dir, keystore) = keystore();
    let first = keystore.create("alice", PASSWORD, Strength::Light).unwrap();
    let again = keystore.create("alice", "another", Strength::Light).unwrap_err();
    assert!(matches!(again, KeystoreError::NameTaken { .. }), "{again}");
    // Also when it is taken after it was looked for.
    let late = keystore.store("alice", &Wallet::random(), "another", Strength::Light).unwrap_err();
    assert!(matches!(late, KeystoreError::NameTaken { .. }), "{late}");
    assert_eq!(keystore.unlock("alice", PASSWORD).unwrap(), first);
    assert_eq!(fs::read_dir(keystore.dir()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let (_dir, keystore) = keystore();
    assert!(keystore.unlock("alice", "").unwrap_err().to_string().ends_with("it holds no keys yet"));
    for name in ["bob", "alice"] {
        keystore.create(name, PASSWORD, Strength::Light).unwrap();
    }
    assert!(keystore.unlock("carol", "").unwrap_err().to_string().ends_with("it holds: alice, bob"));
}

#[test]
fn a_name_cannot_leave_the_folder() {
    let (_dir, keystore) = keystore();
    for name in ["", ".", "..", "../a", "a/b", "a\\b", ".hidden", "a.json", "a b", "ä", &"a".repeat(101)] {
        let error = keystore.create(name, PASSWORD, Strength::Light).unwrap_err();
        assert!(matches!(error, KeystoreError::InvalidName { .. }), "{name:?}: {error}");
    }
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let (_dir, keystore) = keystore();
    keystore.create("alice", PASSWORD, Strength::Light).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&keystore.find("alice").unwrap()), 0o600);
    assert_eq!(mode(keystore.dir()), 0o700);
}

#[test]
fn a_file_that_is_no_usable_keystore_is_refused_without_work() {
    let (_dir, keystore) = keystore();
    let path = keystore.dir().join("bad.json");
    let cases = [
        ("not json".to_owned(), "expected"),
        (FILE_OF_ETHERS.replace("\"version\":3", "\"version\":1"), "version 1"),
        (FILE_OF_ETHERS.replace("aes-128-ctr", "aes-256-gcm"), "aes-256-gcm"),
        (FILE_OF_ETHERS.replace("\"kdf\":\"scrypt\"", "\"kdf\":\"argon2\""), "argon2"),
        (FILE_OF_ETHERS.replace("\"n\":8192", "\"n\":8191"), "N=8191"),
        (FILE_OF_ETHERS.replace("\"n\":8192", "\"n\":1099511627776"), "N=1099511627776"),
        (FILE_OF_ETHERS.replace("\"r\":8", "\"r\":4294967295"), "r=4294967295"),
        (FILE_OF_ETHERS.replace("\"p\":1", "\"p\":4294967295"), "p=4294967295"),
        (FILE_OF_ETHERS.replace("\"n\":8192", "\"n\":0"), "N=0"),
        (FILE_OF_ETHERS.replace("\"dklen\":32", "\"dklen\":16"), "16 bytes"),
        (VECTOR_PBKDF2.replace("\"c\":262144", "\"c\":4000000000"), "4000000000 rounds"),
        (VECTOR_PBKDF2.replace("hmac-sha256", "hmac-md5"), "hmac-md5"),
        (FILE_OF_ETHERS.replace("f78c52cb", "f78c52"), "32 bytes"),
        (format!("{FILE_OF_ETHERS}{}", " ".repeat(70_000)), "larger than any keystore"),
    ];
    for (json, says) in cases {
        fs::write(&path, json).unwrap();
        let error = keystore.unlock("bad", PASSWORD).unwrap_err();
        assert!(
            matches!(error, KeystoreError::Malformed { .. }) && error.to_string().contains(says),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_states_another_account_is_refused() {
    let (_dir, keystore) = keystore();
    keystore.create("alice", PASSWORD, Strength::Light).unwrap();
    let path = keystore.find("alice").unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["address"] = "008aeeda4d805471df9b2a5b0f38a0c3bcba786b".into();
    fs::write(&path, json.to_string()).unwrap();
    let error = keystore.unlock("alice", PASSWORD).unwrap_err();
    assert!(matches!(error, KeystoreError::AddressMismatch { stated: ADDRESS, .. }), "{error}");
}
