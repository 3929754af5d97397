use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use alloy_primitives::B256;
use openledger_model::{Feed, Logits, Pages, Session};
use openledger_types::receipt::Sampling;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::prefix::{Prefixes, Root};
use super::tokens::{Event, Tokens};
use super::{Job, Mailbox, Settings, Tenant};
use crate::answering::{Answering, Drawn};
use crate::format::Format;
use crate::{Engine, Error, Lease};

/// A request that waits.
pub(super) struct Request {
    pub(super) tenant: Tenant,
    adapter: Option<Lease>,
    pub(super) prompt: Vec<u32>,
    pub(super) sampling: Sampling,
    format: Option<Format>,
    logprobs: Option<u8>,
    came: Instant,
    events: mpsc::Sender<Event>,
}

impl Request {
    pub(super) fn new(
        tenant: Tenant,
        job: Job,
        format: Option<Format>,
        settings: &Settings,
        mailbox: Arc<Mailbox>,
    ) -> (Self, Tokens) {
        let Job { adapter, prompt, sampling, logprobs } = job;
        let (events, receiver) = mpsc::channel(settings.buffer.max(1));
        let came = Instant::now();
        (
            Self { tenant, adapter, prompt, sampling, format, logprobs, came, events },
            Tokens::new(receiver, mailbox, settings.patience),
        )
    }

    /// Whether somebody waits for the answer.
    pub(super) fn is_wanted(&self) -> bool {
        !self.events.is_closed()
    }

    /// Whether it can run: its adapter is there, or never will be.
    pub(super) fn is_ready(&self) -> bool {
        self.adapter.as_ref().is_none_or(|lease| !matches!(lease.adapter(), Ok(None)))
    }

    fn root(&self) -> Root {
        Root::new(self.adapter.as_ref().map_or(B256::ZERO, Lease::hash), self.tenant)
    }

    /// Pages that its keys and values can take.
    pub(super) fn pages(&self) -> usize {
        pages(self.prompt.len(), self.sampling.max_tokens)
    }

    pub(super) fn fail(self, error: Error) {
        // Who is gone needs no reason.
        drop(self.events.try_send(Err(error)));
    }
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// So many tokens of the prompt are not computed yet.
    Prompt { left: usize },
    /// One token is to be fed.
    Decode,
    /// Nothing can be done before the reader has taken what is there.
    Paused,
    /// Everything is handed over, or nobody wants it.
    Over(End),
}

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Finished,
    Cancelled,
    Failed,
}

/// A request that runs.
pub(super) struct Row {
    pub(super) tenant: Tenant,
    /// Keeps the adapter from being dropped while it is used.
    _lease: Option<Lease>,
    session: Session,
    root: Root,
    prompt_tokens: usize,
    /// The prompt, then what was drawn.
    tokens: Vec<u32>,
    /// Pages that it can take at most.
    pub(super) pages: usize,
    answering: Answering,
    logprobs: Option<u8>,
    came: Instant,
    events: mpsc::Sender<Event>,
    /// What the reader has no room for.
    held: Option<Event>,
    paused: Option<Instant>,
    end: Option<End>,
}

/// What a row brings to a step.
pub(super) struct Part<'a> {
    pub(super) feed: Feed<'a>,
    answering: &'a Answering,
    logprobs: Option<u8>,
}

impl<'a> Part<'a> {
    /// What has to be given, and who draws from it.
    pub(super) fn divide(self) -> (Feed<'a>, impl Fn(&[f32]) -> Result<Drawn, Error> + Sync) {
        let (answering, top) = (self.answering, self.logprobs);
        (self.feed, move |logits: &[f32]| answering.draw(logits, top))
    }
}

impl Row {
    /// A session for a request, behind what is known of its prompt.
    pub(super) fn open(
        engine: &Engine,
        pages: &Pages,
        prefixes: &mut Prefixes,
        request: &Request,
    ) -> Result<Session, Error> {
        let adapter = request.adapter.as_ref().map_or(Ok(None), Lease::adapter)?;
        let mut session = engine.session(adapter, pages.clone())?;
        if let Some(prefix) = prefixes.find(request.root(), &request.prompt) {
            session.resume(&prefix)?;
        }
        Ok(session)
    }

    /// Begins to run a request in its session.
    pub(super) fn begin(engine: &Engine, session: Session, request: Request) -> Self {
        let root = request.root();
        let pages = request.pages();
        let Request { tenant, adapter, prompt, sampling, format, logprobs, came, events } = request;
        let answering = Answering::new(engine.tokenizer(), &prompt, &sampling, format);
        Self {
            tenant,
            _lease: adapter,
            session,
            root,
            prompt_tokens: prompt.len(),
            tokens: prompt,
            pages,
            answering,
            logprobs,
            came,
            events,
            held: None,
            paused: None,
            end: None,
        }
    }

    /// Tokens that need not be computed because a prefix held them.
    pub(super) fn computed(&self) -> usize {
        self.session.position()
    }

    /// Keeps what is computed for those who begin the same way.
    pub(super) fn keep(&self, prefixes: &mut Prefixes) {
        prefixes.keep(self.root, &self.tokens, &self.session);
    }

    /// What can be done with it now. Tries again to hand over what the reader had no room for.
    pub(super) fn phase(&mut self, patience: Duration) -> Phase {
        if let Some(held) = self.held.take() {
            self.hand_over(held);
        }
        if self.end.is_none() && self.events.is_closed() {
            self.end = Some(End::Cancelled);
        }
        if self.held.is_some() && self.paused.is_some_and(|since| since.elapsed() >= patience) {
            // The reader finds the channel closed after what it has not read.
            self.held = None;
            self.end = Some(End::Cancelled);
        }
        if let Some(end) = self.end
            && (self.held.is_none() || end == End::Cancelled)
        {
            return Phase::Over(end);
        }
        if self.held.is_some() {
            return Phase::Paused;
        }
        match self.tokens.len() - self.session.position() {
            1 => Phase::Decode,
            left => Phase::Prompt { left },
        }
    }

    /// Its next step over at most `most` tokens; the logits after the last that is known are wanted.
    pub(super) fn part(&mut self, most: usize) -> Part<'_> {
        let left = &self.tokens[self.session.position()..];
        let tokens = &left[..left.len().min(most)];
        let logits = if tokens.len() == left.len() { Logits::Last } else { Logits::None };
        Part {
            feed: Feed { session: &mut self.session, tokens, logits },
            answering: &self.answering,
            logprobs: self.logprobs,
        }
    }

    /// Whether the prompt is computed.
    pub(super) fn is_decoding(&self) -> bool {
        self.session.position() >= self.prompt_tokens
    }

    /// Takes what a step drew. Gives how long the request waited, if this was its first token.
    pub(super) fn take(&mut self, drawn: Result<Drawn, Error>) -> Option<Duration> {
        match drawn {
            Ok(drawn) => {
                let piece = self.answering.take(drawn);
                let first = piece.position == 0;
                self.tokens.push(piece.token);
                if piece.finish_reason.is_some() {
                    self.end = Some(End::Finished);
                }
                self.hand_over(Ok(piece));
                first.then(|| self.came.elapsed())
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    /// Ends it with a reason.
    pub(super) fn fail(&mut self, error: Error) {
        self.end = Some(End::Failed);
        self.hand_over(Err(error));
    }

    fn hand_over(&mut self, event: Event) {
        match self.events.try_send(event) {
            Ok(()) => self.paused = None,
            Err(TrySendError::Closed(_event)) => self.end = Some(End::Cancelled),
            Err(TrySendError::Full(event)) => {
                self.held = Some(event);
                self.paused.get_or_insert_with(Instant::now);
            }
        }
    }
}

/// Pages for a prompt and the longest answer to it; the last token drawn is never computed.
fn pages(prompt: usize, max_tokens: u32) -> usize {
    let answer = usize::try_from(max_tokens).unwrap_or(usize::MAX);
    prompt.saturating_add(answer).saturating_sub(1).div_ceil(Pages::POSITIONS)
}
