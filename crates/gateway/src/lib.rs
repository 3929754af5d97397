#![doc = include_str!("../README.md")]

mod body;
mod chat;
mod completion;
mod cors;
mod error;
mod metrics;
mod models;
mod receipts;
mod request;
mod server;

pub use error::ApiError;
pub use request::{ChatRequest, ParameterError};
pub use server::{Gateway, GatewayError};

#[cfg(test)]
mod tests;
