//! Keys and values of prompts that came before.
//!
//! A node stands for one page of tokens after the pages before it. Its key is `BLAKE3(key of the page before ‖ tokens as u32-le)`, the first one's
//! "page before" being `BLAKE3(derive key "openledger serve prefix 1", adapter hash ‖ tenant)`: other bytes of an adapter, or another tenant, never
//! meet a node, so nothing stale is served and nobody can find out by the clock what another has asked.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use openledger_model::{KeptPrefix, Pages, Session};

use super::Tenant;

const CONTEXT: &str = "openledger serve prefix 1";

type Key = [u8; 32];

/// Whose prefixes: they are never shared between tenants nor between adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Root(Key);

impl Root {
    /// The base alone is the zero hash.
    pub(super) fn new(adapter: B256, tenant: Tenant) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(adapter.as_slice());
        hasher.update(tenant.as_slice());
        Self(*hasher.finalize().as_bytes())
    }

    fn keys<'a>(self, tokens: &'a [u32]) -> impl Iterator<Item = (Key, Key)> + 'a {
        let mut before = self.0;
        tokens.chunks_exact(Pages::POSITIONS).map(move |page| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(&before);
            for token in page {
                hasher.update(&token.to_le_bytes());
            }
            let key = *hasher.finalize().as_bytes();
            (std::mem::replace(&mut before, key), key)
        })
    }
}

/// A bounded number of pages, the longest unused dropped first.
#[derive(Debug)]
pub(super) struct Prefixes {
    nodes: BTreeMap<Key, Node>,
    limit: usize,
    /// Counts uses.
    clock: u64,
}

#[derive(Debug)]
struct Node {
    /// Everything up to and with this page.
    prefix: KeptPrefix,
    before: Key,
    /// Nodes that follow on this one.
    after: usize,
    used: u64,
}

impl Prefixes {
    /// Keeps at most `limit` pages.
    pub(super) fn new(limit: usize) -> Self {
        Self { nodes: BTreeMap::new(), limit, clock: 0 }
    }

    /// The longest known prefix that leaves at least one token of the prompt, whose logits are wanted.
    pub(super) fn find(&mut self, root: Root, prompt: &[u32]) -> Option<KeptPrefix> {
        self.clock += 1;
        let mut found = None;
        for (_, key) in root.keys(&prompt[..prompt.len().saturating_sub(1)]) {
            let Some(node) = self.nodes.get_mut(&key) else { break };
            node.used = self.clock;
            found = Some(key);
        }
        found.map(|key| self.nodes[&key].prefix.clone())
    }

    /// Keeps what a session has computed of these tokens.
    pub(super) fn keep(&mut self, root: Root, tokens: &[u32], session: &Session) {
        self.clock += 1;
        let computed = &tokens[..tokens.len().min(session.position())];
        for (page, (before, key)) in root.keys(computed).enumerate().take(self.limit) {
            if let Some(node) = self.nodes.get_mut(&key) {
                node.used = self.clock;
                continue;
            }
            if self.nodes.len() >= self.limit && !self.drop_one() {
                return;
            }
            let prefix = session.prefix((page + 1) * Pages::POSITIONS);
            if let Some(node) = self.nodes.get_mut(&before) {
                node.after += 1;
            } else if page > 0 {
                // The page before was dropped to make room for this one.
                return;
            }
            self.nodes.insert(key, Node { prefix, before, after: 0, used: self.clock });
        }
    }

    /// Pages that are kept.
    #[cfg(test)]
    pub(super) fn pages(&self) -> usize {
        self.nodes.len()
    }

    /// Drops the longest unused page that nothing follows on and that is not of this very use.
    fn drop_one(&mut self) -> bool {
        let clock = self.clock;
        let last = self
            .nodes
            .iter()
            .filter(|(_, node)| node.after == 0 && node.used < clock)
            .min_by_key(|(_, node)| node.used)
            .map(|(key, _)| *key);
        let Some(node) = last.and_then(|key| self.nodes.remove(&key)) else { return false };
        if let Some(before) = self.nodes.get_mut(&node.before) {
            before.after -= 1;
        }
        true
    }
}
