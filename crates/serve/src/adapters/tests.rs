use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use alloy_primitives::B256;
use openledger_model::{Adapter, save_peft};
use tempfile::TempDir;

use super::{AdapterLimits, Adapters};
use crate::tests::{adapter, engine};
use crate::{Engine, Error, Lease};

/// Names an adapter of these tests: the seed that it was made of shows in its parameters.
fn name(adapter: &Adapter) -> B256 {
    let bytes: Vec<u8> = adapter.theta().iter().flat_map(|x| x.to_le_bytes()).collect();
    B256::from(*blake3::hash(&bytes).as_bytes())
}

/// Adapters on the disk.
struct Shelf {
    engine: Engine,
    folder: TempDir,
    adapters: Adapters,
}

impl Shelf {
    /// With room for so many adapters.
    fn new(room: u64) -> Self {
        let engine = engine(1);
        let bytes = adapter(&engine, 0).bytes() as u64;
        let limits = AdapterLimits { registered: 50, bytes: room * bytes };
        let adapters =
            Adapters::start(engine.model().config().clone(), limits, name).expect("a thread starts");
        Self { engine, folder: tempfile::tempdir().expect("a temporary folder"), adapters }
    }

    fn add(&self, seed: u8) -> B256 {
        let made = adapter(&self.engine, seed);
        let folder = self.folder.path().join(seed.to_string());
        save_peft(&folder, self.engine.model().config(), &made, "tiny").expect("the adapter is written");
        let hash = name(&made);
        self.adapters.register(hash, folder).expect("there is room");
        hash
    }

    fn lease(&self, hash: B256) -> Lease {
        self.adapters.lease(hash).expect("it is registered")
    }
}

#[test]
fn an_adapter_is_loaded_when_it_is_wanted_and_checked_against_its_hash() {
    let shelf = Shelf::new(4);
    let (first, second) = (shelf.add(1), shelf.add(2));
    assert_eq!(shelf.adapters.resident().0, 0, "nothing is read before somebody asks");
    let lease = shelf.lease(first);
    assert_eq!(name(&lease.wait().expect("it loads")), first);
    let again = shelf.lease(first).adapter().expect("it is in memory").expect("at once");
    assert!(Arc::ptr_eq(&again, &lease.wait().expect("it is there")));
    // The folder of one now holds the other.
    shelf.adapters.register(second, shelf.folder.path().join("1")).expect("it is known");
    let refused = shelf.lease(second).wait().expect_err("it is another adapter");
    assert!(refused.to_string().contains(&first.to_string()), "{refused}");
    shelf.adapters.register(second, shelf.folder.path().join("2")).expect("it is known");
    assert_eq!(name(&shelf.lease(second).wait().expect("a failure is not for ever")), second);
    let missing = B256::repeat_byte(9);
    assert!(matches!(shelf.adapters.lease(missing), Err(Error::UnknownAdapter { hash }) if hash == missing));
    assert!(shelf.adapters.unregister(first) && !shelf.adapters.unregister(first));
    assert_eq!(name(&lease.wait().expect("who holds it keeps it")), first);
}

#[test]
fn memory_is_bounded_and_the_longest_unused_goes_first() {
    let shelf = Shelf::new(2);
    let hashes: Vec<B256> = (1..=4).map(|seed| shelf.add(seed)).collect();
    let load = |at: usize| drop(shelf.lease(hashes[at]).wait().expect("it loads"));
    load(0);
    load(1);
    load(0);
    load(2);
    let resident =
        |shelf: &Shelf| hashes.iter().map(|hash| shelf.adapters.is_resident(*hash)).collect::<Vec<_>>();
    assert_eq!(resident(&shelf), [true, false, true, false]);
    shelf.adapters.pin(hashes[0], true).expect("it is known");
    load(1);
    load(3);
    assert_eq!(resident(&shelf), [true, false, false, true], "what is pinned stays");
}

#[test]
fn nobody_waits_behind_adapters_that_are_always_in_use() {
    let shelf = Shelf::new(2);
    let hashes: Vec<B256> = (1..=4).map(|seed| shelf.add(seed)).collect();
    let held: Vec<Lease> = hashes[..2].iter().map(|hash| shelf.lease(*hash)).collect();
    for lease in &held {
        lease.wait().expect("it loads");
    }
    let third = shelf.lease(hashes[2]);
    third.wait().expect("one more is let in");
    let fourth = shelf.lease(hashes[3]);
    std::thread::sleep(Duration::from_millis(50));
    assert!(fourth.adapter().expect("it waits").is_none(), "another would be above the bound");
    drop(third);
    fourth.wait().expect("there is room again");
    drop((held, fourth));
    assert!(shelf.adapters.resident().0 <= 2);
}

#[test]
fn one_load_serves_everybody_who_waits_and_wakes_once_it_is_there() {
    let shelf = Shelf::new(4);
    let hash = shelf.add(1);
    let woken = Arc::new(Mutex::new(0));
    let count = woken.clone();
    shelf.adapters.on_ready(move || *count.lock().expect("nobody panicked") += 1);
    let leases: Vec<Lease> = (0..8).map(|_| shelf.lease(hash)).collect();
    let first = leases[0].wait().expect("it loads");
    assert!(leases.iter().all(|lease| Arc::ptr_eq(&first, &lease.wait().expect("the same"))));
    for _ in 0..200 {
        if *woken.lock().expect("nobody panicked") > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(*woken.lock().expect("nobody panicked"), 1);
}

#[test]
fn no_more_are_registered_than_the_limit_says() {
    let shelf = Shelf::new(1);
    for number in 0..50u64 {
        shelf
            .adapters
            .register(B256::from(alloy_primitives::U256::from(number)), "nowhere")
            .expect("there is room");
    }
    let more = shelf.adapters.register(B256::repeat_byte(7), "nowhere");
    assert!(matches!(more, Err(Error::TooManyAdapters { limit: 50 })));
    let missing = shelf.lease(B256::ZERO).wait().expect_err("there is no such folder");
    assert!(missing.to_string().contains("nowhere"), "{missing}");
}
