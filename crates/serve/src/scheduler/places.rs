use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{Settings, Tenant};
use crate::Error;
use crate::metrics::RequestMetrics;

/// Ends of requests that the rate is measured over.
const MEASURED: usize = 32;
/// What a refused request is told before anything was measured, s.
const FIRST_GUESS_S: u64 = 5;
/// Longest wait that a refused request is told, s.
const MAX_RETRY_AFTER_S: u64 = 120;

/// How many requests are present and at which rate they end.
#[derive(Clone, Debug)]
pub(super) struct Places {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limit: usize,
    limit_of_tenant: usize,
    metrics: RequestMetrics,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    present: usize,
    tenants: BTreeMap<Tenant, usize>,
    ends: VecDeque<Instant>,
}

impl Places {
    pub(super) fn new(settings: &Settings, metrics: RequestMetrics) -> Self {
        let limit = settings.rows.saturating_add(settings.waiting);
        Self {
            shared: Arc::new(Shared {
                limit,
                limit_of_tenant: settings.of_tenant.clamp(1, limit),
                metrics,
                counts: Mutex::default(),
            }),
        }
    }

    pub(super) fn join(&self, tenant: Tenant) -> Result<Place, Error> {
        let shared = &self.shared;
        let mut counts = shared.counts();
        let of_tenant = counts.tenants.get(&tenant).copied().unwrap_or(0);
        let full = counts.present >= shared.limit;
        if full || of_tenant >= shared.limit_of_tenant {
            let present = if full { counts.present } else { of_tenant };
            shared.metrics.refused.inc();
            let retry_after_s = counts.retry_after_s(Instant::now());
            return Err(Error::Busy { present, of_tenant: !full, retry_after_s });
        }
        counts.present += 1;
        *counts.tenants.entry(tenant).or_default() += 1;
        drop(counts);
        Ok(Place { shared: shared.clone(), tenant })
    }

    pub(super) fn present(&self) -> usize {
        self.shared.counts().present
    }
}

impl Shared {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// When half of those present will have ended, at the rate of the latest ends.
    fn retry_after_s(&self, now: Instant) -> u64 {
        let Some(first) = self.ends.front() else { return FIRST_GUESS_S };
        let seconds = now.duration_since(*first).as_secs_f64();
        let each = seconds / self.ends.len() as f64;
        let wait = (each * self.present.div_ceil(2) as f64).ceil();
        (wait as u64).clamp(1, MAX_RETRY_AFTER_S)
    }
}

/// A place among the requests that are present, given up when dropped.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    tenant: Tenant,
}

impl Place {
    /// Whose it is.
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.shared.counts();
        counts.present -= 1;
        if let Some(of_tenant) = counts.tenants.get_mut(&self.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                counts.tenants.remove(&self.tenant);
            }
        }
        if counts.ends.len() == MEASURED {
            counts.ends.pop_front();
        }
        counts.ends.push_back(Instant::now());
    }
}
