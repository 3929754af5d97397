use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use openledger_attribution::retrieval::Context;
use openledger_serve::{Engine, Job, Lease, Logprobs, Outcome, Piece, Place, Tokens};
use openledger_types::receipt::{Answer, Request, Response, SourceCredit};
use tokio::sync::mpsc;

use super::attribution::attribute;
use super::serve::{Parts, Reservation, blocking, random_salt};
use super::{Operator, ServeError, ServedAdapter};
use crate::sources::credit;

/// Pieces that are handed over and not taken.
const HANDED_OVER: usize = 16;

/// A question that is paid for and has a place among those in progress. Dropping it gives up both.
pub struct Accepted {
    pub(super) operator: Operator,
    pub(super) adapter: Arc<ServedAdapter>,
    pub(super) lease: Lease,
    pub(super) request: Request,
    pub(super) context: Option<Context>,
    pub(super) logprobs: Option<u8>,
    pub(super) reservation: Reservation,
    pub(super) place: Place,
    pub(super) issued_at: u64,
}

impl std::fmt::Debug for Accepted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accepted")
            .field("adapter", &self.adapter.name)
            .field("request", &self.request)
            .field("issued_at", &self.issued_at)
            .finish_non_exhaustive()
    }
}

/// What a stream hands over.
#[derive(Debug)]
pub enum Delivery {
    /// The next token of the answer; its text may be empty.
    Piece(Piece),
    /// The answer whole, stored and signed. The last of a stream that ends well.
    Done(Box<Answer>),
    /// Why there will be no answer. The last of a stream that does not.
    Failed(ServeError),
}

/// An answer delivered whole.
#[derive(Debug)]
pub struct Whole {
    /// The answer, stored and signed.
    pub answer: Answer,
    /// How likely each of its tokens was, where that was asked for.
    pub logprobs: Vec<(u32, Logprobs)>,
}

/// What an answer needs from its first token to its receipt.
struct Work {
    operator: Operator,
    adapter: Arc<ServedAdapter>,
    lease: Lease,
    request: Request,
    context: Option<Context>,
    reservation: Reservation,
    issued_at: u64,
    /// Given up when the answer is stored: what is computed of it afterwards counts as in progress.
    _place: Place,
}

impl Accepted {
    /// What is asked, as the receipt will name it.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The adapter that answers.
    pub fn adapter(&self) -> &ServedAdapter {
        &self.adapter
    }

    /// When it was accepted, unix seconds: the receipt's `issuedAt`.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// Makes the answer and delivers it whole. Dropping the future before it is stored cancels it; nothing is charged then.
    ///
    /// # Errors
    /// Every [`ServeError`] that is not the asker's.
    pub async fn whole(self) -> Result<Whole, ServeError> {
        let (work, mut pieces) = self.begin()?;
        let (mut tokens, mut logprobs) = (Vec::new(), Vec::new());
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            tokens.push(piece.token);
            logprobs.extend(piece.logprobs.map(|logprobs| (piece.token, logprobs)));
        }
        let left = Arc::new(AtomicBool::new(false));
        let _leaving = SetOnDrop(left.clone());
        let answer = work.conclude(tokens, move || !left.load(Ordering::Acquire)).await?;
        Ok(Whole { answer, logprobs })
    }

    /// Makes the answer and hands over its text as it grows. Dropping the receiver ends the answer at the last piece handed over, which is
    /// charged; before the first piece nothing is. So does not reading for as long as the scheduler's patience.
    pub fn stream(self) -> mpsc::Receiver<Delivery> {
        let (sender, receiver) = mpsc::channel(HANDED_OVER);
        let patience = self.operator.scheduler().patience();
        tokio::spawn(async move {
            let last = match self.hand_over(&sender, patience).await {
                Ok(answer) => Delivery::Done(Box::new(answer)),
                Err(error) => Delivery::Failed(error),
            };
            if sender.send_timeout(last, patience).await.is_err() {
                tracing::debug!("the asker left before the end; what was delivered is stored and charged");
            }
        });
        receiver
    }

    /// Hands over pieces until the end, or until nobody takes them; then stores what was handed over.
    async fn hand_over(
        self,
        sender: &mpsc::Sender<Delivery>,
        patience: Duration,
    ) -> Result<Answer, ServeError> {
        let (work, mut pieces) = self.begin()?;
        let mut tokens = Vec::new();
        loop {
            let next = tokio::select! {
                next = pieces.next() => next,
                () = sender.closed() => break,
            };
            let Some(piece) = next else { break };
            let piece = match piece {
                Ok(piece) => piece,
                Err(openledger_serve::Error::Unread { .. }) => break,
                Err(error) => return Err(error.into()),
            };
            let token = piece.token;
            if sender.send_timeout(Delivery::Piece(piece), patience).await.is_err() {
                break;
            }
            tokens.push(token);
        }
        drop(pieces);
        work.conclude(tokens, || true).await
    }

    fn begin(self) -> Result<(Work, Tokens), ServeError> {
        let Self { operator, adapter, lease, request, context, logprobs, reservation, place, issued_at } =
            self;
        let job = Job {
            adapter: Some(lease.clone()),
            prompt: request.prompt_tokens.clone(),
            sampling: request.sampling.clone(),
            logprobs,
        };
        let tokens = operator.scheduler().submit(place.tenant(), job)?;
        Ok((
            Work { operator, adapter, lease, request, context, reservation, issued_at, _place: place },
            tokens,
        ))
    }
}

impl Work {
    /// From the tokens to a stored answer, unless by then `wanted` says that nobody waits for it. Computes aside, so that no
    /// row waits for it.
    async fn conclude(
        self,
        tokens: Vec<u32>,
        wanted: impl Fn() -> bool + Send + 'static,
    ) -> Result<Answer, ServeError> {
        if tokens.is_empty() {
            return Err(ServeError::Cancelled);
        }
        let turn = self.operator.scheduler().aside().turn().await;
        blocking(move || {
            let _turn = turn;
            if wanted() { self.store(tokens, wanted) } else { Err(ServeError::Cancelled) }
        })
        .await?
    }

    fn store(mut self, tokens: Vec<u32>, wanted: impl Fn() -> bool) -> Result<Answer, ServeError> {
        let scheduler = self.operator.scheduler();
        let engine = scheduler.engine().on(scheduler.aside().pool().clone());
        if !Outcome::of(engine.tokenizer(), &self.request.sampling, &tokens).ended {
            // Who leaves early asked for this much: the receipt then says what re-execution gives.
            self.request.sampling.max_tokens =
                u32::try_from(tokens.len()).expect("an answer is shorter than max_tokens");
        }
        let outcome = Outcome::of(engine.tokenizer(), &self.request.sampling, &tokens);
        let evidence = self.operator.evidence(&self.adapter)?;
        let attribution = attribute(
            &engine,
            &*self.lease.wait()?,
            &evidence,
            random_salt(),
            &self.request.prompt_tokens,
            &tokens,
            self.sources(&engine, &tokens)?,
        )?;
        if !wanted() {
            return Err(ServeError::Cancelled);
        }
        let Outcome { text, finish_reason, .. } = outcome;
        let response = Response { salt: random_salt(), tokens, text, finish_reason };
        let Self { operator, adapter, request, reservation, issued_at, .. } = self;
        operator.finalise(Parts { adapter, request, response, attribution, reservation, issued_at })
    }

    /// What the sources of the prompt did for the answer.
    fn sources(&self, engine: &Engine, tokens: &[u32]) -> Result<Vec<SourceCredit>, ServeError> {
        let (Some(context), Some(retrieval), Some(sources)) =
            (&self.context, &self.request.retrieval, &self.adapter.sources)
        else {
            return Ok(Vec::new());
        };
        let credited =
            credit(engine, context, tokens).map_err(|error| ServeError::Attribution(error.to_string()))?;
        Ok(sources.library.credits(retrieval, &credited.nanonats))
    }
}

/// Says that whoever waited is gone.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
