mod calls;
mod client;
mod filters;
mod home;
mod proof;
mod rpc;
mod trace;
mod transactions;
