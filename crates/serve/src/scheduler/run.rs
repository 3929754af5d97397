use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use openledger_model::{Pages, Session};

use super::fair::Fair;
use super::prefix::Prefixes;
use super::row::{End, Phase, Request, Row};
use super::{Mail, Mailbox, Settings, Tenant};
use crate::answering::Drawn;
use crate::metrics::RequestMetrics;
use crate::{Engine, Error};

/// What a drawn token counts beside one of a prompt in a tenant's service: it takes a step of its own.
const DRAWN_WEIGHT: u64 = 2;
/// How soon a reader that was behind is looked after.
const PAUSE: Duration = Duration::from_millis(5);

/// The thread's own state.
pub(super) struct Run {
    engine: Engine,
    settings: Settings,
    mailbox: Arc<Mailbox>,
    metrics: RequestMetrics,
    waiting: Fair<Request>,
    /// Whose turn it is, for want of pages.
    next: Option<(Tenant, Request)>,
    rows: Vec<Row>,
    /// Rows whose readers are behind.
    paused: usize,
    pages: Pages,
    /// Pages that the rows can take.
    row_pages: usize,
    prefixes: Prefixes,
}

/// What a row does in a step.
struct Planned {
    row: usize,
    tokens: usize,
    decodes: bool,
}

impl Run {
    /// # Errors
    /// [`Error::Model`] when the memory for keys and values holds not even one page.
    pub(super) fn new(
        engine: Engine,
        settings: Settings,
        mailbox: Arc<Mailbox>,
        metrics: RequestMetrics,
    ) -> Result<Self, Error> {
        let pages =
            Pages::new(engine.model().config(), settings.row_bytes.saturating_add(settings.prefix_bytes))?;
        let prefix_pages = (settings.prefix_bytes / pages.page_bytes()).min(pages.limit());
        Ok(Self {
            engine,
            settings,
            mailbox,
            metrics,
            waiting: Fair::default(),
            next: None,
            rows: Vec::new(),
            paused: 0,
            row_pages: pages.limit() - prefix_pages,
            prefixes: Prefixes::new(prefix_pages),
            pages,
        })
    }

    /// Pages that one request can have at most.
    pub(super) fn row_pages(&self) -> usize {
        self.row_pages
    }

    /// Goes round until the last handle is gone.
    pub(super) fn run(mut self) {
        // Nobody waits for ever for a thread that is gone, however it went.
        let _closing = Closing(self.mailbox.clone());
        let mut idle = true;
        loop {
            // Without a row that can go on, nothing happens before something came; readers that are behind do not say when they read.
            let patience = match (idle, self.rows.is_empty()) {
                (false, _) => Some(Duration::ZERO),
                (true, false) => Some(PAUSE),
                (true, true) => None,
            };
            match self.mailbox.take(patience) {
                Mail::Closed => return,
                Mail::News(requests) => {
                    for request in requests {
                        self.waiting.push(request.tenant, request);
                    }
                }
            }
            self.waiting.retain(Request::is_wanted);
            if let Some((tenant, _)) = self.next.take_if(|(_, request)| !request.is_wanted()) {
                self.waiting.leave(tenant);
            }
            let phases = self.sweep();
            self.admit();
            let parts = self.plan(phases);
            self.metrics.running.set(self.rows.len() as u64);
            let waiting = self.waiting.waiting().count() + usize::from(self.next.is_some());
            self.metrics.waiting.set(waiting as u64);
            idle = parts.is_empty();
            if !idle {
                self.step(&parts);
            }
        }
    }

    /// Drops the rows that are over; what the others can do.
    fn sweep(&mut self) -> Vec<Phase> {
        let mut phases = Vec::with_capacity(self.rows.len());
        let mut at = 0;
        while at < self.rows.len() {
            match self.rows[at].phase(self.settings.patience) {
                Phase::Over(end) => {
                    let row = self.rows.remove(at);
                    row.keep(&mut self.prefixes);
                    self.waiting.leave(row.tenant);
                    let counter = match end {
                        End::Finished => &self.metrics.finished,
                        End::Cancelled => &self.metrics.cancelled,
                        End::Failed => &self.metrics.failed,
                    };
                    counter.inc();
                }
                phase => {
                    phases.push(phase);
                    at += 1;
                }
            }
        }
        let paused = phases.iter().filter(|phase| **phase == Phase::Paused).count();
        self.metrics.paused.set(paused as u64);
        self.paused = paused;
        phases
    }

    /// Begins requests while there are rows and pages for them. Whose turn it is waits for pages; nobody overtakes it.
    fn admit(&mut self) {
        let mut used: usize = self.rows.iter().map(|row| row.pages).sum();
        while self.rows.len() - self.paused < self.settings.rows {
            let Some((tenant, request)) = self.next.take().or_else(|| self.waiting.next(Request::is_ready))
            else {
                return;
            };
            if used + request.pages() > self.row_pages {
                self.next = Some((tenant, request));
                return;
            }
            match Row::open(&self.engine, &self.pages, &mut self.prefixes, &request) {
                Ok(session) => {
                    let row = Row::begin(&self.engine, session, request);
                    used += row.pages;
                    self.metrics.cached_tokens.inc_by(row.computed() as u64);
                    self.rows.push(row);
                }
                Err(error) => {
                    self.waiting.leave(tenant);
                    self.metrics.failed.inc();
                    request.fail(error);
                }
            }
        }
    }

    /// Every row that is decoding, then prompts: those of the tenants that were given least first, until the budget is used.
    fn plan(&mut self, mut phases: Vec<Phase>) -> Vec<Planned> {
        for row in &mut self.rows[phases.len()..] {
            phases.push(row.phase(self.settings.patience));
        }
        let mut parts: Vec<Planned> = phases
            .iter()
            .enumerate()
            .filter(|(_, phase)| **phase == Phase::Decode)
            .map(|(row, _)| Planned { row, tokens: 1, decodes: true })
            .collect();
        let mut budget = self.settings.step_tokens.saturating_sub(parts.len()).max(1);
        let mut prompts: Vec<(u64, usize, usize)> = phases
            .iter()
            .enumerate()
            .filter_map(|(row, phase)| match phase {
                Phase::Prompt { left } => Some((self.waiting.served(self.rows[row].tenant), row, *left)),
                _ => None,
            })
            .collect();
        prompts.sort_unstable();
        for (_, row, left) in prompts {
            let tokens = left.min(budget);
            if tokens == 0 {
                break;
            }
            budget -= tokens;
            parts.push(Planned { row, tokens, decodes: false });
        }
        parts.sort_unstable_by_key(|part| part.row);
        parts
    }

    fn step(&mut self, parts: &[Planned]) {
        let began = Instant::now();
        match self.compute(parts) {
            Ok(drawn) => {
                let mut drawn = drawn.into_iter();
                for part in parts {
                    self.advance(part, &mut drawn);
                }
            }
            // Whose fault it is shows when each runs alone; the others go on.
            Err(_) if parts.len() > 1 => {
                for part in parts {
                    self.step(std::slice::from_ref(part));
                }
                return;
            }
            Err(error) => self.rows[parts[0].row].fail(error),
        }
        self.metrics.step_seconds.observe(began.elapsed().as_secs_f64());
    }

    /// What was drawn of the rows whose logits were wanted, in their order.
    fn compute(&mut self, parts: &[Planned]) -> Result<Vec<Result<Drawn, Error>>, Error> {
        let mut parts = parts.iter().peekable();
        let (mut feeds, mut draws) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
        for (at, row) in self.rows.iter_mut().enumerate() {
            if let Some(part) = parts.next_if(|part| part.row == at) {
                let (feed, draw) = row.part(part.tokens).divide();
                feeds.push(feed);
                draws.push(draw);
            }
        }
        Ok(Session::run(&mut feeds, |row| draws[row.feed](row.logits))?)
    }

    fn advance(&mut self, part: &Planned, drawn: &mut impl Iterator<Item = Result<Drawn, Error>>) {
        let row = &mut self.rows[part.row];
        let (tenant, decoded) = (row.tenant, part.decodes);
        let prompt = if decoded { 0 } else { part.tokens as u64 };
        let mut completion = 0;
        if row.is_decoding() {
            if !decoded {
                row.keep(&mut self.prefixes);
            }
            if let Some(drawn) = drawn.next() {
                completion = 1;
                if let Some(waited) = row.take(drawn) {
                    self.metrics.first_token_seconds.observe(waited.as_secs_f64());
                }
            }
        }
        self.waiting.charge(tenant, prompt + DRAWN_WEIGHT * completion);
        self.metrics.prompt_tokens.inc_by(prompt);
        self.metrics.completion_tokens.inc_by(completion);
    }
}

/// Refuses what comes after the thread.
struct Closing(Arc<Mailbox>);

impl Drop for Closing {
    fn drop(&mut self) {
        let mut inbox = self.0.inbox();
        inbox.closed = true;
        inbox.requests.clear();
    }
}
