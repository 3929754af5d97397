#![doc = include_str!("../README.md")]

pub mod influence;
pub mod retrieval;
pub mod settle;
pub mod spans;
