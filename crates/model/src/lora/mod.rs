//! LoRA: which matrices are adapted, where their parameters lie in the flat vector `θ`, and exchange with PEFT.
//!
//! An adapted matrix computes `y = W x + s · B (A x)` with `A: r x in`, `B: out x r` and `s = alpha / r`.

mod layout;
mod peft;
#[cfg(test)]
mod tests;

pub(crate) use layout::Uniform;
pub use layout::{Adapter, Block, Half, Lora, LoraConfig, LoraLayout, Target, init};
pub use peft::{load_peft, save_peft};
