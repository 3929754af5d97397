use std::sync::atomic::AtomicU64;

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

/// Seconds at which a load is counted: from an adapter in the page cache to one on a slow disk.
const LOAD_BUCKETS: [f64; 9] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0, 5.0];
/// Seconds at which a step is counted: from one row of a small model to a long chunk of a prompt.
const STEP_BUCKETS: [f64; 9] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];
/// Seconds at which the wait for the first token is counted.
const FIRST_TOKEN_BUCKETS: [f64; 9] = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 10.0, 60.0];

type Level = Gauge<u64, AtomicU64>;

/// What an operator watches of adapters; cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct AdapterMetrics {
    pub(crate) registered: Level,
    pub(crate) resident: Level,
    pub(crate) resident_bytes: Level,
    pub(crate) loads: Counter,
    pub(crate) failures: Counter,
    pub(crate) evictions: Counter,
    pub(crate) load_seconds: Histogram,
}

impl Default for AdapterMetrics {
    fn default() -> Self {
        Self {
            registered: Level::default(),
            resident: Level::default(),
            resident_bytes: Level::default(),
            loads: Counter::default(),
            failures: Counter::default(),
            evictions: Counter::default(),
            load_seconds: Histogram::new(LOAD_BUCKETS),
        }
    }
}

impl AdapterMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("adapters_registered", "Adapters that can be asked for", self.registered.clone());
        registry.register("adapters_resident", "Adapters in memory", self.resident.clone());
        registry.register_with_unit(
            "adapters_resident",
            "Memory that adapters take",
            Unit::Bytes,
            self.resident_bytes.clone(),
        );
        registry.register("adapter_loads", "Adapters brought into memory", self.loads.clone());
        registry.register(
            "adapter_load_failures",
            "Adapters that could not be loaded",
            self.failures.clone(),
        );
        registry.register("adapter_evictions", "Adapters dropped to make room", self.evictions.clone());
        registry.register_with_unit(
            "adapter_load",
            "Time to read, check and pack an adapter",
            Unit::Seconds,
            self.load_seconds.clone(),
        );
    }
}

/// What an operator watches of requests; cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct RequestMetrics {
    pub(crate) running: Level,
    pub(crate) waiting: Level,
    pub(crate) paused: Level,
    pub(crate) refused: Counter,
    pub(crate) finished: Counter,
    pub(crate) cancelled: Counter,
    pub(crate) failed: Counter,
    pub(crate) prompt_tokens: Counter,
    pub(crate) cached_tokens: Counter,
    pub(crate) completion_tokens: Counter,
    pub(crate) step_seconds: Histogram,
    pub(crate) first_token_seconds: Histogram,
}

impl Default for RequestMetrics {
    fn default() -> Self {
        Self {
            running: Level::default(),
            waiting: Level::default(),
            paused: Level::default(),
            refused: Counter::default(),
            finished: Counter::default(),
            cancelled: Counter::default(),
            failed: Counter::default(),
            prompt_tokens: Counter::default(),
            cached_tokens: Counter::default(),
            completion_tokens: Counter::default(),
            step_seconds: Histogram::new(STEP_BUCKETS),
            first_token_seconds: Histogram::new(FIRST_TOKEN_BUCKETS),
        }
    }
}

impl RequestMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let levels = [
            ("requests_running", "Requests that share the steps", &self.running),
            ("requests_waiting", "Requests that wait for a row or their adapter", &self.waiting),
            ("requests_paused", "Running requests whose reader is behind", &self.paused),
        ];
        for (name, help, level) in levels {
            registry.register(name, help, level.clone());
        }
        let counters = [
            ("requests_refused", "Requests told to come again", &self.refused),
            ("requests_finished", "Requests answered to their end", &self.finished),
            ("requests_cancelled", "Requests whose reader left or stopped reading", &self.cancelled),
            ("requests_failed", "Requests that failed", &self.failed),
            ("prompt_tokens", "Tokens of prompts computed", &self.prompt_tokens),
            ("prompt_tokens_cached", "Tokens of prompts taken from the prefix cache", &self.cached_tokens),
            ("completion_tokens", "Tokens drawn", &self.completion_tokens),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register_with_unit(
            "step",
            "Time of a step of all rows",
            Unit::Seconds,
            self.step_seconds.clone(),
        );
        registry.register_with_unit(
            "first_token",
            "Time from a request's start to its first token",
            Unit::Seconds,
            self.first_token_seconds.clone(),
        );
    }
}
