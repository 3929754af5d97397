use super::*;
use crate::tests::fixtures::{account, transfer};
use alloy_consensus::transaction::SignerRecoverable;
use alloy_primitives::{Address, b256, keccak256};

fn sent(count: u64) -> Vec<TxEnvelope> {
    (0..count).map(|nonce| transfer(&account(1), nonce, Address::repeat_byte(9), 1)).collect()
}

fn written(path: &Path, transactions: &[TxEnvelope]) {
    let (journal, _) = Journal::open(path).unwrap();
    for transaction in transactions {
        journal.append(transaction);
    }
}

#[test]
fn what_was_added_is_there_after_opening_again_and_has_the_form_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waiting");
    let transactions = sent(3);
    written(&path, &transactions[..2]);
    written(&path, &transactions[2..]);
    let (journal, found) = Journal::open(&path).unwrap();
    assert_eq!(found, transactions);
    assert_eq!(
        keccak256(fs::read(&path).unwrap()),
        b256!("0x25358ff6f41b0d3d113736e6c1f9571302f20c178557d6f99004954b259f9bfa"),
        "files of earlier versions could not be read"
    );

    let waiting = transactions[1].clone().try_into_recovered().unwrap();
    journal.rewrite(|| vec![Arc::new(waiting)]);
    journal.append(&transactions[2]);
    drop(journal);
    assert_eq!(Journal::open(&path).unwrap().1, transactions[1..]);
}

#[test]
fn a_cut_or_damaged_end_costs_only_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("waiting");
    let transactions = sent(3);
    written(&path, &transactions);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(Journal::open(&path).unwrap().1, transactions[..2]);
    let mut changed = whole;
    let first = 4 + transactions[0].encode_2718_len();
    changed[first..first + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    fs::write(&path, &changed).unwrap();
    assert_eq!(Journal::open(&path).unwrap().1, transactions[..1]);
}
