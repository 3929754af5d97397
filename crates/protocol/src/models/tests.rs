mod tokens;

use alloy_primitives::{B256, U256};
use openledger_types::abi::{DatanetRef, IDatanets, IModels, Use};
use openledger_types::addresses::{MODELS, PARAMS, TREASURY};

use super::MAX_PRICE;
use alloy_sol_types::{SolCall, SolError};

use crate::layout::{Mapping, Slot};
use crate::params::param_name;
use crate::tests::{DEVELOPER, World, account, hash, open, publish, typed};

/// A base, a version of a Datanet that may be trained on and of one that may not, and a committed manifest.
fn world() -> (World, DatanetRef, DatanetRef) {
    let mut world = World::new();
    let allowed = world.create_datanet(Use::Limit);
    let denied = world.create_datanet(Use::Deny);
    let version = world.publish_version(allowed);
    world.publish_version(denied);
    let base = IModels::registerBaseCall { name: "tiny".into(), license: "MIT".into(), fileHash: hash(3) };
    assert_eq!(world.send(DEVELOPER, MODELS, base), U256::ONE);
    world.send(DEVELOPER, MODELS, IModels::commitTrainingCall { manifestHash: hash(4) });
    (world, DatanetRef { datanet: allowed, version }, DatanetRef { datanet: denied, version })
}

/// Expects this typed error of a call that pays the deployment fee.
fn refused<C: SolCall, E: SolError + std::fmt::Debug>(world: &mut World, from: u8, call: C) -> E {
    typed(&world.try_pay(from, MODELS, open(1), call).err().expect("the call is refused"))
}

#[test]
fn a_base_is_registered_once_by_its_file() {
    let (mut world, _, _) = world();
    let base = world.view(MODELS, IModels::baseCall { id: U256::ONE });
    assert_eq!((base.name.as_str(), base.license.as_str(), base.fileHash), ("tiny", "MIT", hash(3)));
    assert_eq!(world.view(MODELS, IModels::baseByHashCall { fileHash: hash(3) }), U256::ONE);
    let register = |name: &str, license: &str, file| IModels::registerBaseCall {
        name: name.into(),
        license: license.into(),
        fileHash: file,
    };
    let error: IModels::BaseExists = world.refused(9, MODELS, register("other", "MIT", hash(3)));
    assert_eq!(error.base, U256::ONE);
    let _: IModels::InvalidName = world.refused(9, MODELS, register("", "MIT", hash(9)));
    let _: IModels::InvalidLicense = world.refused(9, MODELS, register("other", "no", hash(9)));
    let _: IModels::UnknownBase = world.refused(9, MODELS, IModels::baseCall { id: U256::from(2) });
}

#[test]
fn an_adapter_is_published_after_the_block_of_its_manifest_by_who_committed_it() {
    let (mut world, allowed, _) = world();
    let call = publish(U256::ONE, hash(4), hash(5), vec![allowed.clone()]);
    let _: IModels::WrongFee = world.refused(DEVELOPER, MODELS, call.clone());
    let error: IModels::TrainingNotCommitted = refused(&mut world, DEVELOPER, call.clone());
    assert_eq!(error.manifestHash, hash(4));
    world.advance(1);
    let error: IModels::NotDeveloper = refused(&mut world, 9, call.clone());
    assert_eq!((error.caller, error.developer), (account(9), account(DEVELOPER)));
    let unknown = publish(U256::ONE, hash(9), hash(5), vec![allowed.clone()]);
    let _: IModels::TrainingNotCommitted = refused(&mut world, DEVELOPER, unknown);
    let again = IModels::commitTrainingCall { manifestHash: hash(4) };
    let _: IModels::TrainingExists = world.refused(9, MODELS, again);

    assert_eq!(world.pay(DEVELOPER, MODELS, open(1), call.clone()), U256::ONE);
    let adapter = world.view(MODELS, IModels::adapterCall { id: U256::ONE });
    assert_eq!(adapter.datanets, [allowed]);
    assert_eq!(
        (adapter.manifestHash, adapter.adapterHash, adapter.transcriptHash),
        (hash(4), hash(5), hash(6))
    );
    assert_eq!((adapter.inputPrice, adapter.outputPrice), (U256::from(10), U256::from(20)));
    assert_eq!((adapter.developer, adapter.retired), (account(DEVELOPER), false));
    assert_eq!(world.view(MODELS, IModels::adapterByHashCall { adapterHash: hash(5) }), U256::ONE);
    let error: IModels::AdapterExists = refused(&mut world, DEVELOPER, call);
    assert_eq!(error.adapter, U256::ONE);
}

#[test]
fn the_deployment_fee_is_paid_by_the_developer_goes_to_the_treasury_and_is_refused_when_it_is_not_the_one_in_force()
 {
    let (mut world, allowed, _) = world();
    world.advance(1);
    let values: Mapping<B256, Slot<U256>> = Mapping::new(PARAMS, 0);
    values.at(param_name("deployment_fee")).set(&mut world.storage, open(7)).unwrap();
    let call = publish(U256::ONE, hash(4), hash(5), vec![allowed]);
    for wrong in [U256::ZERO, open(7) - U256::ONE, open(7) + U256::ONE] {
        let error: IModels::WrongFee =
            typed(&world.try_pay(DEVELOPER, MODELS, wrong, call.clone()).err().unwrap());
        assert_eq!((error.fee, error.needed), (wrong, open(7)));
    }
    let before = [account(DEVELOPER), TREASURY, MODELS].map(|who| world.balance(who));
    world.pay(DEVELOPER, MODELS, open(7), call);
    let after = [account(DEVELOPER), TREASURY, MODELS].map(|who| world.balance(who));
    assert_eq!(after, [before[0] - open(7), before[1] + open(7), before[2]]);
    assert_eq!(world.balance(MODELS), U256::ZERO, "the module keeps nothing");
}

#[test]
fn an_adapter_rests_on_versions_that_may_be_trained_on() {
    let (mut world, allowed, denied) = world();
    world.advance(1);
    let with = |datanets| publish(U256::ONE, hash(4), hash(5), datanets);
    let _: IModels::NoDatanets = refused(&mut world, DEVELOPER, with(vec![]));
    let error: IModels::TooManyDatanets = refused(&mut world, DEVELOPER, with(vec![allowed.clone(); 33]));
    assert_eq!((error.count, error.limit), (U256::from(33), U256::from(32)));
    let error: IDatanets::TrainingDenied =
        refused(&mut world, DEVELOPER, with(vec![allowed.clone(), denied]));
    assert_eq!(error.datanet, U256::from(2));
    let unknown = DatanetRef { version: 2, ..allowed };
    let _: IDatanets::UnknownVersion = refused(&mut world, DEVELOPER, with(vec![unknown]));
    let unknown = DatanetRef { datanet: U256::from(3), ..allowed };
    let _: IDatanets::UnknownDatanet = refused(&mut world, DEVELOPER, with(vec![unknown]));
    let unknown = publish(U256::from(2), hash(4), hash(5), vec![allowed]);
    let _: IModels::UnknownBase = refused(&mut world, DEVELOPER, unknown);
}

#[test]
fn prices_have_a_limit_and_belong_to_the_developer() {
    let (mut world, allowed, _) = world();
    world.advance(1);
    let mut call = publish(U256::ONE, hash(4), hash(5), vec![allowed]);
    call.outputPrice = MAX_PRICE + U256::ONE;
    let _: IModels::PriceTooHigh = refused(&mut world, DEVELOPER, call.clone());
    call.outputPrice = MAX_PRICE;
    let adapter = world.pay(DEVELOPER, MODELS, open(1), call);
    let set = |price| IModels::setPriceCall { adapter, inputPrice: price, outputPrice: U256::from(7) };
    let _: IModels::NotOwner = world.refused(9, MODELS, set(U256::ONE));
    let error: IModels::PriceTooHigh = world.refused(DEVELOPER, MODELS, set(MAX_PRICE + U256::ONE));
    assert_eq!(error.limit, MAX_PRICE);
    world.send(DEVELOPER, MODELS, set(U256::from(3)));
    let read = world.view(MODELS, IModels::adapterCall { id: adapter });
    assert_eq!((read.inputPrice, read.outputPrice), (U256::from(3), U256::from(7)));
    let unknown = IModels::retireCall { adapter: U256::from(2) };
    let _: IModels::UnknownAdapter = world.refused(DEVELOPER, MODELS, unknown);
    world.send(DEVELOPER, MODELS, IModels::retireCall { adapter });
    assert!(world.view(MODELS, IModels::adapterCall { id: adapter }).retired);
}
