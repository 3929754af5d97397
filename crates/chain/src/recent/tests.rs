use super::*;
use crate::state::account_key;
use alloy_primitives::Address;

fn value(byte: u8) -> Option<Value> {
    Some(Value::new([byte; 72]))
}

#[test]
fn a_reader_sees_its_height_whatever_was_applied_since() {
    let key = account_key(Address::ZERO);
    let recent = Recent::default();
    // Created by block 1, changed by 3; the store holds what 3 wrote, or still what 1 wrote.
    recent.note(1, BTreeMap::from([(key, None)]));
    recent.note(2, BTreeMap::new());
    recent.note(3, BTreeMap::from([(key, value(1))]));
    for stored in [value(1), value(3)] {
        let at = |number| recent.at(number, &[key], vec![stored.clone()]).unwrap().remove(0);
        assert_eq!(at(0), None);
        assert_eq!(at(1), value(1));
        assert_eq!(at(2), value(1));
        assert_eq!(at(3), stored);
    }
}

#[test]
fn heights_further_back_than_is_kept_are_refused() {
    let recent = Recent::default();
    for number in 1..=KEPT + 10 {
        recent.note(number, BTreeMap::new());
    }
    assert_eq!(recent.oldest(KEPT + 10), 10);
    assert!(recent.at(10, &[], Vec::new()).is_some());
    assert!(recent.at(9, &[], Vec::new()).is_none());
}

#[test]
fn only_the_head_is_readable_before_anything_was_applied() {
    assert_eq!(Recent::default().oldest(7), 7);
}
