#![doc = include_str!("../README.md")]

mod config;
mod decode;
mod encoder;
mod engine;
mod error;
mod gguf;
mod hub;
mod kernel;
mod lora;
mod loss;
mod model;
mod pool;
mod tensors;
mod tokenizer;

pub use config::Config;
pub use decode::{Feed, KeptPrefix, Logits, Pages, Row, Session};
pub use encoder::{Encoder, EncoderConfig};
pub use engine::Dropout;
pub use error::Error;
pub use lora::{Adapter, Block, Half, Lora, LoraConfig, LoraLayout, Target, init, load_peft, save_peft};
pub use loss::{Dual, Grad, Prefix, Record, Sample};
pub use model::{Model, checkpoint_sha256};
pub use pool::Pool;
pub use tokenizer::{Message, Role, Tokenizer};
