//! Whose request is next: the virtual token counter of Sheng et al., "Fairness in Serving Large Language Models" (OSDI 2024).
//!
//! Every tenant has a counter of the service it was given. The next row goes to the waiting tenant with the smallest; a tenant that was away
//! comes back at no less than the smallest of those present, so nobody saves up service and nobody who comes late pays for the
//! past. Among one tenant's requests the first that can run is next.

use std::collections::{BTreeMap, VecDeque};

use super::Tenant;

/// Most absent tenants whose counters are remembered.
const MAX_ABSENT: usize = 10_000;

/// Waiting requests and how much service each tenant was given.
#[derive(Debug)]
pub(super) struct Fair<T> {
    tenants: BTreeMap<Tenant, Line<T>>,
    /// No present tenant has less; only grows.
    floor: u64,
}

#[derive(Debug)]
struct Line<T> {
    served: u64,
    waiting: VecDeque<T>,
    running: usize,
}

impl<T> Line<T> {
    fn is_present(&self) -> bool {
        self.running > 0 || !self.waiting.is_empty()
    }
}

impl<T> Default for Fair<T> {
    fn default() -> Self {
        Self { tenants: BTreeMap::new(), floor: 0 }
    }
}

impl<T> Fair<T> {
    pub(super) fn push(&mut self, tenant: Tenant, item: T) {
        self.raise_floor();
        let floor = self.floor;
        let line = self.tenants.entry(tenant).or_insert_with(|| Line {
            served: floor,
            waiting: VecDeque::new(),
            running: 0,
        });
        if !line.is_present() {
            line.served = line.served.max(floor);
        }
        line.waiting.push_back(item);
    }

    /// Takes the next request that is `ready`; its tenant counts as running until [`Self::leave`].
    pub(super) fn next(&mut self, mut ready: impl FnMut(&T) -> bool) -> Option<(Tenant, T)> {
        let mut order: Vec<(u64, Tenant)> = self
            .tenants
            .iter()
            .filter(|(_, line)| !line.waiting.is_empty())
            .map(|(tenant, line)| (line.served, *tenant))
            .collect();
        order.sort_unstable();
        for (_, tenant) in order {
            let line = self.tenants.get_mut(&tenant).expect("it was found among them");
            if let Some(at) = line.waiting.iter().position(&mut ready) {
                line.running += 1;
                return line.waiting.remove(at).map(|item| (tenant, item));
            }
        }
        None
    }

    /// Counts service.
    pub(super) fn charge(&mut self, tenant: Tenant, tokens: u64) {
        if let Some(line) = self.tenants.get_mut(&tenant) {
            line.served = line.served.saturating_add(tokens);
        }
    }

    /// The service a tenant was given.
    pub(super) fn served(&self, tenant: Tenant) -> u64 {
        self.tenants.get(&tenant).map_or(0, |line| line.served)
    }

    /// A running request of a tenant ended.
    pub(super) fn leave(&mut self, tenant: Tenant) {
        if let Some(line) = self.tenants.get_mut(&tenant) {
            line.running -= 1;
            let (served, gone) = (line.served, !line.is_present());
            if gone && !self.tenants.values().any(Line::is_present) {
                // Whoever comes next begins where the last one stopped.
                self.floor = self.floor.max(served);
            }
        }
        self.forget();
    }

    /// Takes out every waiting request that is not `wanted` any more.
    pub(super) fn retain(&mut self, mut wanted: impl FnMut(&T) -> bool) {
        for line in self.tenants.values_mut() {
            line.waiting.retain(&mut wanted);
        }
        self.forget();
    }

    /// Every waiting request.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &T> {
        self.tenants.values().flat_map(|line| &line.waiting)
    }

    fn raise_floor(&mut self) {
        let least = self.tenants.values().filter(|line| line.is_present()).map(|line| line.served).min();
        self.floor = self.floor.max(least.unwrap_or(0));
    }

    /// Forgets absent tenants whose counters say no more than the floor, and beyond a limit those who are owed most.
    fn forget(&mut self) {
        self.raise_floor();
        let floor = self.floor;
        self.tenants.retain(|_, line| line.is_present() || line.served > floor);
        let mut absent: Vec<(u64, Tenant)> = self
            .tenants
            .iter()
            .filter(|(_, line)| !line.is_present())
            .map(|(tenant, line)| (line.served, *tenant))
            .collect();
        if absent.len() > MAX_ABSENT {
            absent.sort_unstable();
            for (_, tenant) in &absent[..absent.len() - MAX_ABSENT] {
                self.tenants.remove(tenant);
            }
        }
    }
}
