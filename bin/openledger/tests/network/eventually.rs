//! Waiting for what happens elsewhere.

use std::time::{Duration, Instant};

/// For anything that should happen; most of it takes a second.
const WAIT: Duration = Duration::from_secs(300);

pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(start.elapsed() < WAIT, "waited {WAIT:?} for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
