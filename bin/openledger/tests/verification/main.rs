//! Operators who lie, one test for each kind of lie, from paid answers to refunds; disputes to one step; verifiers who do not look. All on a chain
//! of real blocks with the tiny model: verifiers take their batches from the chain's events, fetch the file, execute it again, commit and reveal.
//!
//! The lie is put where a program that was changed would put it: between the answer and the batch, or between the batch and the post.

#![expect(clippy::unwrap_used, reason = "a test says by panicking what failed")]

mod batches;
mod disputes;
#[path = "../network/eventually.rs"]
mod eventually;
mod lies;
mod panels;
mod sources;
mod world;
