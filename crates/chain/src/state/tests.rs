use super::*;
use alloy_primitives::{address, b256};

const HOLDER: Address = address!("00000000000000000000000000000000000000aa");

fn sample() -> StateWrites {
    let mut writes = StateWrites::default();
    let code = Bytes::from((0..200).collect::<Vec<u8>>());
    let account = AccountState { nonce: 3, balance: U256::from(7), code_hash: keccak256(&code) };
    writes.accounts.insert(HOLDER, Some(account));
    writes.accounts.insert(Address::ZERO, None);
    writes.storage.insert((HOLDER, U256::from(1)), U256::MAX);
    writes.storage.insert((HOLDER, U256::from(2)), U256::ZERO);
    writes.codes.insert(keccak256(&code), code);
    writes
}

#[test]
fn entries_read_back_as_what_was_written() {
    let writes = sample();
    let stored: std::collections::BTreeMap<_, _> = entries(&writes).into_iter().collect();
    let account = stored[&account_key(HOLDER)].as_ref().map(decode_account);
    assert_eq!(account, writes.accounts[&HOLDER]);
    assert_eq!(stored[&account_key(Address::ZERO)], None);
    assert_eq!(stored[&slot_key(HOLDER, U256::from(1))].as_ref().map(decode_slot), Some(U256::MAX));
    assert_eq!(stored[&slot_key(HOLDER, U256::from(2))], None);

    let (hash, code) = writes.codes.first_key_value().unwrap();
    let first = stored[&code_key(*hash, 0)].clone().unwrap();
    let rest = code_rest(*hash, &first).unwrap();
    let values: Vec<_> =
        std::iter::once(first).chain(rest.iter().map(|key| stored[key].clone().unwrap())).collect();
    assert_eq!(join_code(*hash, &values).unwrap(), *code);
    assert!(join_code(*hash, &values[..1]).is_err());
    assert!(join_code(B256::ZERO, &values).is_err());
}

#[test]
fn an_account_with_nothing_has_no_entry() {
    let mut writes = StateWrites::default();
    writes.accounts.insert(HOLDER, Some(AccountState::default()));
    assert_eq!(entries(&writes), [(account_key(HOLDER), None)]);
}

#[test]
fn the_entries_are_as_they_were() {
    let bytes: Vec<u8> = entries(&sample())
        .into_iter()
        .flat_map(|(key, value)| {
            [key.to_vec(), value.map(|value| value.to_vec()).unwrap_or_default()].concat()
        })
        .collect();
    assert_eq!(
        keccak256(bytes),
        b256!("0xf4fb43222b8c5f2023b36255eaa7acdadc2ee9a3325959f871e8b121f56e7001"),
        "every state root changes with this"
    );
}
