//! What a piece of work costs.

use std::fs;
use std::time::Instant;

/// Seconds of one piece of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// From its begin to its end.
    pub(crate) wall: f64,
    /// Of all threads of the process: what counts on a machine that others use as well. The wall time where the system does not tell it.
    pub(crate) cpu: f64,
}

/// Does `work` and says what it cost.
pub(crate) fn cost<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Cost)> {
    let (start, before) = (Instant::now(), cpu());
    let result = work()?;
    Ok((result, since(start, before)))
}

/// Waits for `work` and says what it cost.
pub(crate) async fn cost_of<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(T, Cost)> {
    let (start, before) = (Instant::now(), cpu());
    let result = work.await?;
    Ok((result, since(start, before)))
}

fn since(start: Instant, before: Option<f64>) -> Cost {
    let wall = start.elapsed().as_secs_f64();
    Cost { wall, cpu: before.zip(cpu()).map_or(wall, |(before, after)| after - before) }
}

/// CPU seconds that all living threads of this process have used.
fn cpu() -> Option<f64> {
    let nanoseconds = |task: std::io::Result<fs::DirEntry>| {
        let line = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        line.split(' ').next()?.parse::<f64>().ok()
    };
    Some(fs::read_dir("/proc/self/task").ok()?.filter_map(nanoseconds).sum::<f64>() / 1e9)
}

/// Runnable tasks of the machine, averaged over the last minute; 0 where the system does not tell it.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|x| x.parse().ok()).unwrap_or(0.0)
}

/// Seconds to read `bytes` of memory once, from two buffers that are compared.
pub(crate) fn read(buffers: &(Vec<u8>, Vec<u8>)) -> anyhow::Result<Cost> {
    let (equal, cost) = cost(|| Ok(std::hint::black_box(&buffers.0) == std::hint::black_box(&buffers.1)))?;
    anyhow::ensure!(equal, "two equal buffers differ");
    Ok(cost)
}
