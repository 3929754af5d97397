mod crash;
mod fixtures;
mod lifecycle;
mod network;
