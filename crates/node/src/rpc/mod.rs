//! Ethereum JSON-RPC as geth answers it, over HTTP and WebSocket.
//!
//! `latest`, `safe`, `finalized` and `pending` all mean the finalised head: nothing else is ever shown.

mod args;
mod blocks;
mod calls;
mod checkpoint;
mod convert;
mod deadline;
mod debug;
mod error;
mod fees;
mod filters;
mod logs;
mod methods;
mod pool;
mod proof;
mod server;
mod simulate;
mod subscribe;
mod telemetry;

pub use server::RpcLimits;
pub(crate) use server::serve;

/// The methods without the server.
#[cfg(test)]
pub(crate) fn test_module(chain: openledger_chain::ChainHandle) -> jsonrpsee::Methods {
    methods::module(methods::Rpc::new(chain)).expect("every method is registered once").into()
}
