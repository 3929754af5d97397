//! Slots as Solidity numbers and packs them.

use alloy_primitives::{Address, U256, address, uint};
use openledger_types::addresses::OPEN;

use super::{World, account};
use crate::{List, Mapping, Place, Slot, Text};

fn written(world: &World) -> Vec<(U256, U256)> {
    world.storage.slots.iter().filter(|((a, _), _)| *a == OPEN).map(|((_, s), v)| (*s, *v)).collect()
}

#[test]
fn a_mapping_keeps_a_value_at_the_hash_of_key_and_slot() {
    let mut world = World::new();
    let mapping: Mapping<u64, Slot<U256>> = Mapping::new(OPEN, 0);
    mapping.at(1).set(&mut world.storage, U256::from(5)).unwrap();
    // keccak256(abi.encode(1, 0))
    let slot = uint!(0xada5013122d395ba3c54772283fb069b10426056ef8ca54750cb9bb552a59e7d_U256);
    assert_eq!(written(&world), [(slot, U256::from(5))]);
}

#[test]
fn packed_values_fill_a_word_from_its_low_end() {
    let mut world = World::new();
    let slot: Slot<(Address, u64, bool)> = Slot::new(OPEN, 3);
    let value = (address!("00112233445566778899aabbccddeeff00112233"), 0x0102_0304_0506_0708, true);
    slot.set(&mut world.storage, value).unwrap();
    let word = uint!(0x00000001010203040506070800112233445566778899aabbccddeeff00112233_U256);
    assert_eq!(written(&world), [(U256::from(3), word)]);
    assert_eq!(slot.get(&mut world.storage).unwrap(), value);
}

#[test]
fn a_short_text_is_one_word_and_a_long_one_lies_at_the_hash_of_its_slot() {
    let mut world = World::new();
    let short = Text::at(OPEN, U256::from(1));
    short.init(&mut world.storage, "abc").unwrap();
    let word = uint!(0x6162630000000000000000000000000000000000000000000000000000000006_U256);
    assert_eq!(written(&world), [(U256::from(1), word)]);
    let long = Text::at(OPEN, U256::ZERO);
    let text = "x".repeat(33);
    long.init(&mut world.storage, &text).unwrap();
    let data = uint!(0x290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563_U256);
    let slots: Vec<_> = written(&world).into_iter().map(|(slot, _)| slot).collect();
    assert_eq!(slots, [U256::ZERO, U256::ONE, data, data + U256::ONE]);
    assert_eq!(world.storage.slots[&(OPEN, U256::ZERO)], U256::from(67));
    for length in [0, 1, 31, 32, 33, 63, 64, 65, 128] {
        let text = "é".repeat(length / 2);
        let place = Text::at(OPEN, U256::from(100 + length));
        place.init(&mut world.storage, &text).unwrap();
        assert_eq!(place.get(&mut world.storage).unwrap(), text);
    }
    assert_eq!(long.get(&mut world.storage).unwrap(), text);
}

#[test]
fn a_list_packs_two_halves_into_a_word() {
    let mut world = World::new();
    let list: List<u128> = List::at(OPEN, U256::ONE);
    list.init(&mut world.storage, [1, 2, 3]).unwrap();
    // keccak256(uint256(1))
    let data = uint!(0xb10e2d527612073b26eecdfd717e6a320cf44b4afac2b0732d9fcbe2b7fa0cf6_U256);
    let two = (U256::from(2) << 128) | U256::ONE;
    assert_eq!(written(&world), [(U256::ONE, U256::from(3)), (data, two), (data + U256::ONE, U256::from(3))]);
    assert_eq!(list.get(&mut world.storage).unwrap(), [1, 2, 3]);
    let words: List<U256> = List::at(OPEN, U256::from(2));
    words.init(&mut world.storage, [U256::MAX, U256::ZERO, U256::ONE]).unwrap();
    assert_eq!(words.get(&mut world.storage).unwrap(), [U256::MAX, U256::ZERO, U256::ONE]);
}

#[test]
fn an_address_reads_back_from_a_mapping_of_mappings() {
    let mut world = World::new();
    let owners: Mapping<Address, Mapping<u32, Slot<Address>>> = Mapping::new(OPEN, 9);
    owners.at(account(1)).at(2).set(&mut world.storage, account(3)).unwrap();
    assert_eq!(owners.at(account(1)).at(2).get(&mut world.storage).unwrap(), account(3));
    assert_eq!(owners.at(account(2)).at(1).get(&mut world.storage).unwrap(), Address::ZERO);
}
