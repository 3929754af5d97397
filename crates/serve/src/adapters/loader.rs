use std::{
    io,
    path::Path,
    sync::{Arc, PoisonError},
    thread,
    time::Instant,
};

use alloy_primitives::B256;
use openledger_model::{Adapter, load_peft};

use super::{Shared, Slot, State};

pub(super) fn start(shared: Arc<Shared>) -> io::Result<()> {
    thread::Builder::new().name("adapters".into()).spawn(move || run(&shared)).map(|_detached| ())
}

fn run(shared: &Shared) {
    while let Some((hash, folder)) = next(shared) {
        let began = Instant::now();
        let loaded = load(shared, hash, &folder);
        shared.metrics.load_seconds.observe(began.elapsed().as_secs_f64());
        match loaded {
            Ok((adapter, bytes)) => keep(shared, hash, Arc::new(adapter), bytes),
            Err(problem) => fail(shared, hash, &problem),
        }
        shared.wake();
    }
}

/// The next adapter that somebody still waits for; `None` at the end.
fn next(shared: &Shared) -> Option<(B256, std::path::PathBuf)> {
    let mut state = shared.state();
    loop {
        if state.closed {
            return None;
        }
        while let Some(hash) = state.to_load.pop_front() {
            let Some(entry) = state.entries.get_mut(&hash) else { continue };
            if !matches!(entry.slot, Slot::Wanted(_)) {
                continue;
            }
            if entry.leases == 0 {
                entry.slot = Slot::Absent;
                continue;
            }
            return Some((hash, entry.folder.clone()));
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

fn load(shared: &Shared, hash: B256, folder: &Path) -> Result<(Adapter, u64), String> {
    let adapter = load_peft(folder, &shared.shape).map_err(|error| error.to_string())?;
    let got = (shared.hash)(&adapter);
    if got != hash {
        return Err(format!("its folder {} holds adapter {got}", folder.display()));
    }
    let bytes = adapter.bytes() as u64;
    let limit = shared.limits.bytes;
    if bytes > limit {
        return Err(format!("it takes {bytes} bytes of memory; all adapters together have {limit}"));
    }
    Ok((adapter, bytes))
}

/// Waits for room if another adapter was let in above the budget already.
fn keep(shared: &Shared, hash: B256, adapter: Arc<Adapter>, bytes: u64) {
    let mut state = shared.state();
    loop {
        shared.make_room(&mut state, bytes);
        if state.resident_bytes <= shared.limits.bytes || state.closed {
            break;
        }
        state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let State { entries, resident, resident_bytes, .. } = &mut *state;
    let Some(entry) = entries.get_mut(&hash) else { return };
    let slot = Slot::Resident { adapter: adapter.clone(), bytes };
    if let Slot::Wanted(cells) = std::mem::replace(&mut entry.slot, slot) {
        for cell in cells {
            cell.give(adapter.clone());
        }
    }
    resident.insert(hash);
    *resident_bytes += bytes;
    shared.metrics.loads.inc();
    // Where nobody waits for it any more it may have to go at once.
    shared.make_room(&mut state, 0);
}

fn fail(shared: &Shared, hash: B256, problem: &str) {
    shared.metrics.failures.inc();
    let mut state = shared.state();
    let Some(entry) = state.entries.get_mut(&hash) else { return };
    if let Slot::Wanted(cells) = std::mem::replace(&mut entry.slot, Slot::Absent) {
        for cell in cells {
            cell.fail(problem);
        }
    }
}
