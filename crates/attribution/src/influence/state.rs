//! How far a replay is, as bytes that hash the same on any machine.
//!
//! ```text
//! "OLSTATE" 0x01  u64 steps left  u64 P  u64 n  3P f64 adjoint (θ, m, v)  n f64 credits
//! ```
//!
//! Little-endian; `P` parameters, `n` records. The BLAKE3 of these bytes names the state.

use alloy_primitives::B256;
use openledger_train::Run;

use super::{Adjoint, Objective};

const MAGIC: [u8; 8] = *b"OLSTATE\x01";
const HEAD: usize = 8 + 24;

/// A replay that has some steps left.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayState {
    /// Steps of the run that it has not gone back through.
    pub steps_left: usize,
    /// Derivatives of `F` by the state of the run before those that it has.
    pub adjoint: Adjoint,
    /// `∂F/∂wᵢ` of every record as far as it is known.
    pub credits: Vec<f64>,
}

impl ReplayState {
    /// Where a replay begins: after the last step.
    #[must_use]
    pub fn end_of(run: &Run, objective: &Objective) -> Self {
        Self {
            steps_left: run.steps(),
            adjoint: Adjoint::new(objective.gradient().to_vec()),
            credits: vec![0.0; run.records()],
        }
    }

    /// How many bytes a state of so many parameters and records takes.
    #[must_use]
    pub fn size(parameters: usize, records: usize) -> usize {
        HEAD + 8 * (3 * parameters + records)
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::size(self.adjoint.theta.len(), self.credits.len()));
        bytes.extend_from_slice(&self.head());
        for part in self.parts() {
            bytes.extend(part.iter().flat_map(|x| x.to_le_bytes()));
        }
        bytes
    }

    /// The state of these bytes; `None` if they are none of a run with so many parameters and records.
    #[must_use]
    pub fn decode(bytes: &[u8], parameters: usize, records: usize) -> Option<Self> {
        if bytes.len() != Self::size(parameters, records) || !bytes.starts_with(&MAGIC) {
            return None;
        }
        let word = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a range of eight bytes")) as usize
        };
        if word(16) != parameters || word(24) != records {
            return None;
        }
        let floats: Vec<f64> = bytes[HEAD..]
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().expect("a chunk of eight bytes")))
            .collect();
        let part = |i: usize| floats[i * parameters..(i + 1) * parameters].to_vec();
        Some(Self {
            steps_left: word(8),
            adjoint: Adjoint { theta: part(0), m: part(1), v: part(2) },
            credits: floats[3 * parameters..].to_vec(),
        })
    }

    /// The BLAKE3 of its bytes.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.head());
        let mut buffer = Vec::with_capacity(8 * 512);
        for part in self.parts().into_iter().flat_map(|part| part.chunks(512)) {
            buffer.clear();
            buffer.extend(part.iter().flat_map(|x| x.to_le_bytes()));
            hasher.update(&buffer);
        }
        B256::from(*hasher.finalize().as_bytes())
    }

    fn parts(&self) -> [&[f64]; 4] {
        [&self.adjoint.theta, &self.adjoint.m, &self.adjoint.v, &self.credits]
    }

    fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        head[..8].copy_from_slice(&MAGIC);
        let words = [self.steps_left, self.adjoint.theta.len(), self.credits.len()];
        for (place, word) in head[8..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&(word as u64).to_le_bytes());
        }
        head
    }
}
