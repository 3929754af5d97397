#![doc = include_str!("../README.md")]

mod adapters;
mod answering;
mod engine;
mod error;
mod format;
mod metrics;
mod sampling;
mod scheduler;
mod stop;
mod text;
mod verify;

pub use adapters::{AdapterHash, AdapterLimits, Adapters, Lease};
pub use answering::{Outcome, Piece};
pub use engine::{Engine, Generation};
pub use error::Error;
pub use format::MAX_SCHEMA_BYTES;
pub use sampling::{
    Logprobs, MAX_PENALTY_MILLI, MAX_STOP_BYTES, MAX_STOPS, MAX_TEMPERATURE_MILLI, MAX_TOP_LOGPROBS,
    WHOLE_MILLI, validate,
};
pub use scheduler::{Aside, Job, Place, Scheduler, Settings, Tenant, Tokens, Turn};
pub use text::TextStream;
pub use verify::{FirstDifference, Reexecution};

#[cfg(test)]
mod tests;
