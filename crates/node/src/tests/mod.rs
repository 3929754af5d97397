mod client;
mod home;
mod rpc;
