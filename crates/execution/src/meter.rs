//! A bound on what a tracer records.

use revm::Inspector;
use revm::context_interface::{ContextError, ContextTr};
use revm::interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter};

/// About what a recorded step takes beside its stack and memory, and a recorded call beside its data.
const ENTRY_BYTES: usize = 256;

/// Counts what the tracer beside it keeps, and stops the EVM when that is too much. Stacks are counted here; the data
/// of calls and memory are counted by the tracers themselves.
#[derive(Debug)]
pub(crate) struct Meter {
    /// True if the tracer keeps every step.
    pub(crate) steps: bool,
    /// Bytes that may still be recorded.
    left: Option<usize>,
}

impl Meter {
    pub(crate) const fn new(steps: bool, limit: usize) -> Self {
        Self { steps, left: Some(limit) }
    }

    /// True once the EVM was stopped.
    pub(crate) const fn exceeded(&self) -> bool {
        self.left.is_none()
    }

    fn record(&mut self, bytes: usize) {
        self.left = self.left.and_then(|left| left.checked_sub(bytes));
    }
}

impl<CTX: ContextTr> Inspector<CTX> for Meter {
    fn step(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        if self.steps {
            let stack = interp.stack.len().saturating_mul(32);
            self.record(ENTRY_BYTES.saturating_add(stack));
        }
        if self.exceeded() {
            *context.error() = Err(ContextError::Custom("the trace is too large".to_owned()));
            interp.halt_fatal();
        }
    }

    fn call(&mut self, _: &mut CTX, _: &mut CallInputs) -> Option<CallOutcome> {
        self.record(ENTRY_BYTES);
        None
    }

    fn create(&mut self, _: &mut CTX, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.record(ENTRY_BYTES);
        None
    }
}
