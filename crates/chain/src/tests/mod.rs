mod checkpoint;
mod crash;
mod damage;
pub(crate) mod fixtures;
mod lifecycle;
mod membership;
mod network;
