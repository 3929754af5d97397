#![doc = include_str!("../README.md")]

mod config;
mod engine;
mod error;
mod gguf;
mod kernel;
mod lora;
mod loss;
mod model;
mod pool;
mod session;
mod tokenizer;

pub use config::Config;
pub use error::Error;
pub use lora::{Adapter, Block, Half, Lora, LoraConfig, LoraLayout, Target, init, load_peft, save_peft};
pub use loss::{Dual, Grad, Prefix, Record, Sample};
pub use model::Model;
pub use pool::Pool;
pub use session::Session;
pub use tokenizer::{Message, Role, Tokenizer};
