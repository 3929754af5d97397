use super::*;
use crate::tests::fixtures::{account, call, transfer};
use alloy_primitives::{Address, Bytes, TxKind, U256, b256, keccak256};

const TO: Address = Address::repeat_byte(9);

fn transfers(count: u64) -> Vec<TxEnvelope> {
    (0..count).map(|nonce| transfer(&account(1), nonce, TO, 1)).collect()
}

#[test]
fn a_message_has_the_form_it_had() {
    let transactions = transfers(2);
    let messages = messages(transactions.iter());
    assert_eq!(messages.len(), 1);
    assert_eq!(decode(&messages[0]).unwrap(), transactions);
    assert_eq!(
        keccak256(&messages[0]),
        b256!("0x00db590980b8b781d56fecd253567adc8f727adc4c20996e6ad9dbe3f08b9a14"),
        "validators of earlier versions would not understand"
    );
}

#[test]
fn no_message_is_longer_than_the_bound_and_none_loses_a_transaction() {
    let mut transactions = transfers(1_500);
    let input = Bytes::from(vec![1; MAX_TRANSACTION_BYTES - 200]);
    transactions.push(call(&account(1), 1_500, TxKind::Call(TO), U256::ZERO, input, 10_000_000));
    transactions.extend(transfers(3));
    let messages = messages(transactions.iter());
    assert!(messages.len() > 2 && messages.iter().all(|message| message.len() <= MAX_MESSAGE_BYTES));
    let heard: Vec<_> = messages.iter().flat_map(|message| decode(message).unwrap()).collect();
    assert_eq!(heard, transactions);
}

#[test]
fn what_is_no_message_is_refused() {
    let message = messages(transfers(2).iter()).remove(0);
    assert!(decode(&message[..message.len() - 1]).is_err());
    let mut false_length = message.clone();
    false_length[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(decode(&false_length).is_err());
    assert!(decode(&vec![0; MAX_MESSAGE_BYTES + 1]).is_err());
    let mut followed = message;
    followed.extend([0, 0, 0, 0]);
    assert!(decode(&followed).is_err());
}
