//! What a person sees: progress bars, tables, sentences. With `--json` it all goes to standard error, and standard output
//! holds the result alone.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use openledger_worker::{Progress, Step};

/// Prints steps with their times and bars for what takes long.
#[derive(Clone)]
pub(crate) struct Show {
    json: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    bars: BTreeMap<&'static str, ProgressBar>,
    times: Vec<(String, Duration)>,
}

impl Show {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, state: Arc::default() }
    }

    /// A line for a person. That nobody hears it ends nothing: where it goes may be a file on a full disk.
    pub(crate) fn line(&self, text: impl AsRef<str>) {
        let text = text.as_ref();
        drop(if self.json {
            writeln!(std::io::stderr(), "{text}")
        } else {
            writeln!(std::io::stdout(), "{text}")
        });
    }

    /// The result for a program, one JSON object on one line; nothing without `--json`.
    #[expect(clippy::print_stdout, reason = "this is where the binary speaks")]
    pub(crate) fn result(&self, value: &serde_json::Value) {
        if self.json {
            println!("{value}");
        }
    }

    /// A result that is a document, for a person and a program alike; on one line with `--json`.
    #[expect(clippy::print_stdout, reason = "this is where the binary speaks")]
    pub(crate) fn document(&self, value: &serde_json::Value) {
        if self.json {
            println!("{value}");
        } else {
            println!("{value:#}");
        }
    }

    /// What went wrong, with its causes; for a program an object with `error` too.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        drop(writeln!(std::io::stderr(), "error: {text}"));
        self.result(&serde_json::json!({ "error": text }));
    }

    /// Runs one step of a longer job under its name and notes how long it took.
    pub(crate) async fn step<T, E>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.line(format!("\n▸ {name}"));
        let start = Instant::now();
        let result = work.await;
        let took = start.elapsed();
        let mut state = self.state.lock().expect("no thread panics while it prints");
        for (_, bar) in std::mem::take(&mut state.bars) {
            bar.finish_and_clear();
        }
        state.times.push((name.to_owned(), took));
        drop(state);
        if result.is_ok() && took >= Duration::from_millis(500) {
            self.line(format!("  done in {:.1} s", took.as_secs_f64()));
        }
        result
    }

    /// The steps so far with their times.
    pub(crate) fn times(&self) -> Vec<(String, Duration)> {
        self.state.lock().expect("no thread panics while it prints").times.clone()
    }

    /// Where the worker reports to.
    pub(crate) fn progress(&self) -> Progress {
        let show = self.clone();
        Progress::new(move |step| show.report(&step))
    }

    fn report(&self, step: &Step) {
        let mut state = self.state.lock().expect("no thread panics while it prints");
        let bar = state.bars.entry(step.what).or_insert_with(|| {
            let style = ProgressStyle::with_template(
                "  {msg:<34} {bar:28} {pos}/{len}  {elapsed} gone, {eta} left  {prefix}",
            )
            .expect("the template is well formed");
            ProgressBar::new(step.total).with_style(style).with_message(step.what)
        });
        bar.set_length(step.total);
        bar.set_prefix(step.note.clone());
        bar.set_position(step.done);
        if step.done >= step.total {
            bar.finish_and_clear();
            state.bars.remove(step.what);
        }
    }
}

/// Columns padded to the widest cell; the first row is the head.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| {
                let numeric = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
                if numeric { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            })
            .collect();
        text.push_str("  ");
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
        if number == 0 {
            text.push_str("  ");
            text.push_str(&widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  "));
            text.push('\n');
        }
    }
    text
}
