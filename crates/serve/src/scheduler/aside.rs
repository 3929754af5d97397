use std::sync::Arc;

use openledger_model::Pool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where work runs that is not the drawing of tokens: what is computed of an answer after its end, and re-execution.
///
/// It has threads of its own, so that a step of the rows never queues behind it: the operating system shares the cores between the two, and a step takes
/// longer by that share and no more. One at a time works here; the others wait in the order in which they came. No result
/// depends on which threads computed it.
#[derive(Clone, Debug)]
pub struct Aside {
    pool: Pool,
    gate: Arc<Semaphore>,
}

impl Aside {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool, gate: Arc::new(Semaphore::new(1)) }
    }

    /// Its threads.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Waits until everybody who waited before is done.
    pub async fn turn(&self) -> Turn {
        let permit = self
            .gate
            .clone()
            .acquire_owned()
            .await
            .expect("the gate is never closed while somebody holds it");
        Turn { _permit: permit }
    }
}

/// The right to work aside, passed on when dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}
