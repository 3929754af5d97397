use alloy_primitives::{B256, U256};
use openledger_types::abi::IParams;
use openledger_types::addresses::PARAMS as MODULE;
use openledger_types::split::FeeSplit;

use super::{PARAMS, ParamError, fee_split, init, param_name};
use crate::tests::World;
use crate::{Block, MapStorage};

fn empty() -> MapStorage {
    MapStorage::new(Block { number: 0, timestamp: 0, chain_id: 7, randomness: B256::ZERO })
}

#[test]
fn the_defaults_are_within_their_ranges_and_split_fees_as_the_types_say() {
    for spec in PARAMS {
        assert!(spec.name.is_ascii() && spec.name.len() <= 32, "{}", spec.name);
        assert!(spec.least <= spec.default && spec.default <= spec.most, "{}", spec.name);
        assert_eq!(PARAMS.iter().filter(|other| other.name == spec.name).count(), 1);
    }
    let mut storage = empty();
    init(&mut storage, []).unwrap();
    assert_eq!(fee_split(&mut storage).unwrap(), FeeSplit::GENESIS);
}

#[test]
fn overrides_are_held_to_names_ranges_and_a_whole_split() {
    let check = |overrides: &[(&str, u64)]| {
        init(&mut empty(), overrides.iter().map(|(name, value)| (*name, U256::from(*value)))).err()
    };
    assert_eq!(check(&[("verify_window", 7)]), None);
    assert_eq!(check(&[("burn_ppm", 40_000), ("treasury_ppm", 50_000)]), None);
    assert_eq!(check(&[("tax_ppm", 7)]), Some(ParamError::Unknown("tax_ppm".into())));
    assert_eq!(check(&[("burn_ppm", 40_000)]), Some(ParamError::Split { got: U256::from(990_000) }));
    assert!(matches!(check(&[("verify_window", 0)]), Some(ParamError::OutOfRange { least: 1, .. })));
}

#[test]
fn every_number_is_read_by_name_and_in_the_stated_order() {
    let mut world = World::new();
    let all = world.view(MODULE, IParams::allCall {});
    assert_eq!(all.names.len(), PARAMS.len());
    assert_eq!(all.names[6], param_name("verify_window"));
    assert_eq!(
        (all.values[6], all.least[6], all.most[6]),
        (U256::from(4), U256::from(1), U256::from(100_000))
    );
    for (name, value) in all.names.into_iter().zip(all.values) {
        assert_eq!(world.view(MODULE, IParams::getCall { name }), value);
    }
    let error: IParams::UnknownParam = world.refused(1, MODULE, IParams::getCall { name: B256::ZERO });
    assert_eq!(error.name, B256::ZERO);
}
