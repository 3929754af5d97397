use alloy_primitives::{Address, U256};
use openledger_types::abi::{DatanetRef, IModels};
use openledger_types::addresses::{MODELS, TREASURY};

use super::refused;
use crate::models::lineage::{MAX_DEPTH, MAX_SHARE};
use crate::tests::{DEVELOPER, World, account, hash, open};

const BUYER: u8 = 8;

/// A world with one adapter.
fn world() -> World {
    let mut world = World::new();
    let before = world.balance(TREASURY);
    assert_eq!(world.publish_adapter(), U256::ONE);
    assert_eq!(world.balance(TREASURY) - before, open(1), "the deployment fee goes to the treasury");
    world
}

fn owner(world: &mut World) -> Address {
    world.view(MODELS, IModels::ownerOfCall { tokenId: U256::ONE })
}

fn transfer(from: u8, to: Address) -> IModels::transferFromCall {
    IModels::transferFromCall { from: account(from), to, tokenId: U256::ONE }
}

fn income(world: &mut World, adapter: U256, time: u64) -> Vec<(Address, u32)> {
    let read = world.view(MODELS, IModels::incomeAtCall { adapter, time });
    read.accounts.into_iter().zip(read.parts).collect()
}

#[test]
fn an_adapter_is_its_developers_until_it_is_sold_and_income_price_and_end_go_with_it() {
    let mut world = world();
    assert_eq!(owner(&mut world), account(DEVELOPER));
    world.later(10);
    let sold_at = world.storage.block.timestamp;
    world.send(DEVELOPER, MODELS, transfer(DEVELOPER, account(BUYER)));
    assert_eq!(owner(&mut world), account(BUYER));
    let balance = |world: &mut World, n| world.view(MODELS, IModels::balanceOfCall { owner: account(n) });
    assert_eq!((balance(&mut world, DEVELOPER), balance(&mut world, BUYER)), (U256::ZERO, U256::ONE));
    assert_eq!(income(&mut world, U256::ONE, sold_at), [(account(DEVELOPER), 1_000_000)]);
    assert_eq!(income(&mut world, U256::ONE, sold_at + 1), [(account(BUYER), 1_000_000)]);
    let retire = IModels::retireCall { adapter: U256::ONE };
    let _: IModels::NotOwner = world.refused(DEVELOPER, MODELS, retire.clone());
    world.send(BUYER, MODELS, retire);
    let adapter = world.view(MODELS, IModels::adapterCall { id: U256::ONE });
    assert_eq!((adapter.developer, adapter.retired), (account(DEVELOPER), true));
}

#[test]
fn an_adapter_moves_as_erc_721_says() {
    let mut world = world();
    let error: IModels::ERC721InsufficientApproval =
        world.refused(BUYER, MODELS, transfer(DEVELOPER, account(BUYER)));
    assert_eq!((error.operator, error.tokenId), (account(BUYER), U256::ONE));
    let _: IModels::ERC721InvalidReceiver =
        world.refused(DEVELOPER, MODELS, transfer(DEVELOPER, Address::ZERO));
    let _: IModels::ERC721InvalidReceiver = world.refused(DEVELOPER, MODELS, transfer(DEVELOPER, MODELS));
    let error: IModels::ERC721IncorrectOwner =
        world.refused(DEVELOPER, MODELS, transfer(BUYER, account(BUYER)));
    assert_eq!(error.owner, account(DEVELOPER));
    let unknown = IModels::ownerOfCall { tokenId: U256::from(2) };
    let _: IModels::ERC721NonexistentToken = world.refused(1, MODELS, unknown);
    let _: IModels::ERC721InvalidOwner =
        world.refused(1, MODELS, IModels::balanceOfCall { owner: Address::ZERO });

    let approve = IModels::approveCall { to: account(BUYER), tokenId: U256::ONE };
    let _: IModels::ERC721InvalidApprover = world.refused(BUYER, MODELS, approve.clone());
    world.send(DEVELOPER, MODELS, approve);
    let approved = |world: &mut World| world.view(MODELS, IModels::getApprovedCall { tokenId: U256::ONE });
    assert_eq!(approved(&mut world), account(BUYER));
    let safe = IModels::safeTransferFrom_1Call {
        from: account(DEVELOPER),
        to: account(9),
        tokenId: U256::ONE,
        data: vec![1].into(),
    };
    world.send(BUYER, MODELS, safe);
    assert_eq!((owner(&mut world), approved(&mut world)), (account(9), Address::ZERO));
    world.send(9, MODELS, IModels::setApprovalForAllCall { operator: account(4), approved: true });
    let safe = IModels::safeTransferFrom_0Call { from: account(9), to: account(5), tokenId: U256::ONE };
    world.send(4, MODELS, safe);
    assert_eq!(owner(&mut world), account(5));
    for (id, known) in [([1, 255, 201, 167], true), ([0x80, 0xac, 0x58, 0xcd], true), ([255; 4], false)] {
        let call = IModels::supportsInterfaceCall { interfaceId: id.into() };
        assert_eq!(world.view(MODELS, call), known);
    }
    let uri = world.view(MODELS, IModels::tokenURICall { tokenId: U256::ONE });
    assert!(uri.starts_with("data:application/json,%7B%22name%22"), "{uri}");
}

/// Publishes an adapter on top of `parent`.
fn derive(world: &mut World, from: u8, parent: u64, share: u32) -> IModels::publishDerivedCall {
    let manifest = hash(100 + 10 * from + u8::try_from(parent).unwrap());
    world.send(from, MODELS, IModels::commitTrainingCall { manifestHash: manifest });
    world.advance(1);
    IModels::publishDerivedCall {
        parent: U256::from(parent),
        sharePpm: share,
        manifestHash: manifest,
        adapterHash: manifest,
        transcriptHash: hash(6),
        datanets: vec![DatanetRef { datanet: U256::ONE, version: 1 }],
        inputPrice: U256::ONE,
        outputPrice: U256::ONE,
    }
}

#[test]
fn an_adapter_on_an_adapter_shares_with_its_parent_as_declared_and_bounded() {
    let mut world = world();
    let royalty = |ppm| IModels::setRoyaltyCall { adapter: U256::ONE, ppm };
    let _: IModels::NotOwner = world.refused(9, MODELS, royalty(1));
    let error: IModels::InvalidShare = world.refused(DEVELOPER, MODELS, royalty(MAX_SHARE + 1));
    assert_eq!((error.least, error.most), (0, MAX_SHARE));
    world.send(DEVELOPER, MODELS, royalty(200_000));
    let mut call = derive(&mut world, 8, 1, 199_999);
    let error: IModels::InvalidShare = refused(&mut world, 8, call.clone());
    assert_eq!((error.ppm, error.least), (199_999, 200_000));
    call.sharePpm = 200_000;
    assert_eq!(world.pay(8, MODELS, open(1), call), U256::from(2));
    let call = derive(&mut world, 9, 2, 333_333);
    assert_eq!(world.pay(9, MODELS, open(1), call), U256::from(3));
    let lineage = world.view(MODELS, IModels::lineageCall { adapter: U256::from(3) });
    assert_eq!((lineage.parent, lineage.sharePpm, lineage.depth), (U256::from(2), 333_333, 2));
    let now = world.storage.block.timestamp + 1;
    assert_eq!(
        income(&mut world, U256::from(3), now),
        [(account(9), 666_667), (account(8), 266_667), (account(DEVELOPER), 66_666)]
    );
    assert_eq!(world.view(MODELS, IModels::adapterCall { id: U256::from(3) }).base, U256::ONE);
    // What was declared stays, whatever the parent asks for later; its owner's part moves with the token.
    world.send(DEVELOPER, MODELS, royalty(500_000));
    world.send(DEVELOPER, MODELS, transfer(DEVELOPER, account(BUYER)));
    let later = world.storage.block.timestamp + 1;
    assert_eq!(income(&mut world, U256::from(3), later)[2], (account(BUYER), 66_666));
    world.send(BUYER, MODELS, IModels::retireCall { adapter: U256::ONE });
    let call = derive(&mut world, 7, 1, 500_000);
    let _: IModels::ParentRetired = refused(&mut world, 7, call);
}

#[test]
fn a_lineage_has_a_limit() {
    let mut world = world();
    for parent in 1..=u64::from(MAX_DEPTH) {
        let call = derive(&mut world, 8, parent, 0);
        world.pay(8, MODELS, open(1), call);
    }
    let call = derive(&mut world, 8, u64::from(MAX_DEPTH) + 1, 0);
    let error: IModels::TooDeep = refused(&mut world, 8, call);
    assert_eq!((error.depth, error.limit), (MAX_DEPTH + 1, MAX_DEPTH));
}
