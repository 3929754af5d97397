//! The serve role: answers that are paid for.
//!
//! One answer passes through these steps, and each is safe to be killed in:
//! 1. *accept* ([`Operator::accept`]): the adapter exists, the conversation fits, the key's authorisation and the payer's
//!    deposit cover the highest fee the answer can have, and that fee is reserved. Nothing is written.
//! 2. *generate*: among the rows of the scheduler, whose steps everybody shares. Pieces go out as they are made.
//! 3. *attribute* ([`attribute`]): aside, one answer at a time and on threads of its own, so that no row waits for it: what the adapter explained, an estimate of whose data did, and verbatim spans.
//! 4. *sign and store*: the receipt gets the next sequence number of the epoch and adapter; the whole answer is on the disk,
//!    synchronised, before anybody is told that it is final.
//! 5. *settle* (elsewhere): the batch is posted; [`Operator::mark_posted`] then moves its answers out of what is unsettled.
//!
//! # What always holds
//! - Of a key's authorisation, what the chain says is spent, what is stored and unsettled, and what is reserved together never
//!   exceed the cap; of a payer's deposit likewise. A fee is never above its reservation.
//! - What is reserved and unsettled of all payers together never exceeds what the operator risks ([`Limits::unpaid`]).
//! - The answers stored for an epoch and adapter have the sequence numbers `0..n`, each once. They are derived from the files
//!   at start, so a crash can neither skip nor repeat one.
//! - After [`Operator::set_epoch`] returns, no answer of an earlier epoch appears.
//! - A payer pays for what was delivered: a stream that is left early is charged up to the last piece handed over, as if that
//!   had been its `max_tokens` (which re-executes to the same tokens); so is one that nobody reads for long; an answer that was to be delivered whole and was left costs nothing.

mod adapter;
mod answer;
mod ask;
mod attribution;
mod error;
mod evidence;
mod ledger;
mod payments;
mod serve;
mod store;

pub use adapter::ServedAdapter;
pub use answer::{Accepted, Delivery, Whole};
pub use ask::{Ask, Limits, in_the_models_words};
pub use attribution::{Estimate, Evidence, Unit, attribute, summarise};
pub use error::{PaymentProblem, PaymentRequired, ServeError};
pub use evidence::EvidenceSource;
pub use openledger_serve::{Logprobs, Piece};
pub use payments::{Lookup, Payments, PaymentsError, Standing};
pub use serve::{Operator, Pending, Settings};
pub use store::{AnswerStore, StoreError};

#[cfg(test)]
mod tests;
