//! Blocks that this node voted against, and why.

use alloy_consensus::Header;
use alloy_primitives::B256;
use std::{
    collections::VecDeque,
    fmt::Debug,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

/// Refusals that are kept.
const KEPT: usize = 64;

/// A block that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedBlock {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// What is wrong with it.
    pub reason: String,
}

/// The newest refusals of this process, and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    count: AtomicU64,
    last: Mutex<VecDeque<RefusedBlock>>,
}

impl Refused {
    pub(crate) fn add(&self, block: RefusedBlock) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut last = self.last.lock().expect("no code panics with this lock");
        if last.len() == KEPT {
            last.pop_front();
        }
        last.push_back(block);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The oldest first.
    pub(crate) fn last(&self) -> Vec<RefusedBlock> {
        self.last.lock().expect("no code panics with this lock").iter().cloned().collect()
    }
}

/// The fields in which a header is not what execution gives; `None` if there are none.
pub(crate) fn difference(header: &Header, expected: &Header) -> Option<String> {
    let mut found = Vec::new();
    let mut compare = |name: &str, got: &dyn Debug, expected: &dyn Debug| {
        let (got, expected) = (format!("{got:?}"), format!("{expected:?}"));
        if got != expected {
            found.push(format!("its {name} is {got}, execution gives {expected}"));
        }
    };
    compare("stateRoot", &header.state_root, &expected.state_root);
    compare("receiptsRoot", &header.receipts_root, &expected.receipts_root);
    compare("transactionsRoot", &header.transactions_root, &expected.transactions_root);
    compare("gasUsed", &header.gas_used, &expected.gas_used);
    compare("miner", &header.beneficiary, &expected.beneficiary);
    compare("timestamp", &header.timestamp, &expected.timestamp);
    compare("baseFeePerGas", &header.base_fee_per_gas, &expected.base_fee_per_gas);
    compare("gasLimit", &header.gas_limit, &expected.gas_limit);
    compare("extraData", &header.extra_data, &expected.extra_data);
    if found.is_empty() && header != expected {
        found.push(format!("its header is {header:?}, execution gives {expected:?}"));
    }
    (!found.is_empty()).then(|| found.join("; "))
}
