mod calls;
mod client;
mod filters;
mod home;
mod rpc;
mod trace;
mod transactions;
