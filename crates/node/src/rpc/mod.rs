//! Ethereum JSON-RPC as geth answers it, over HTTP and WebSocket.
//!
//! `latest`, `safe`, `finalized` and `pending` all mean the finalised head: nothing else is ever shown.

mod blocks;
mod calls;
mod convert;
mod error;
mod fees;
mod logs;
mod methods;
mod subscribe;

pub(crate) use methods::serve;
