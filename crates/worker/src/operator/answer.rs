use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use openledger_serve::{Generation, Piece, Place};
use openledger_types::receipt::{Answer, Request, Response};
use tokio::sync::mpsc;

use super::attribution::attribute;
use super::serve::{Parts, Reservation, blocking, random_salt};
use super::{Operator, ServeError, ServedAdapter};

/// A question that is paid for and has a place in the queue. Dropping it gives up both.
pub struct Accepted {
    pub(super) operator: Operator,
    pub(super) adapter: Arc<ServedAdapter>,
    pub(super) request: Request,
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
    /// The next text of the answer; may be empty.
    Piece(String),
    /// The answer whole, stored and signed. The last of a stream that ends well.
    Done(Box<Answer>),
    /// Why there will be no answer. The last of a stream that does not.
    Failed(ServeError),
}

/// What answering needs besides the turn.
struct Work {
    operator: Operator,
    adapter: Arc<ServedAdapter>,
    request: Request,
    reservation: Reservation,
    issued_at: u64,
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
    pub async fn whole(self) -> Result<Answer, ServeError> {
        let left = Arc::new(AtomicBool::new(false));
        let _leaving = SetOnDrop(left.clone());
        let (work, place) = self.into_work();
        let turn = place.turn().await;
        blocking(move || {
            let _turn = turn;
            let gone = || left.load(Ordering::Acquire);
            let generation =
                work.generate(|_| if gone() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })?;
            if generation.refused {
                return Err(ServeError::Cancelled);
            }
            work.conclude(generation, || !gone())
        })
        .await?
    }

    /// Makes the answer and hands over its text as it grows. Dropping the receiver ends the answer at the last piece handed over, which is
    /// charged; before the first piece nothing is.
    ///
    /// The channel holds a whole answer, so a slow reader holds up nobody else.
    pub fn stream(self) -> mpsc::Receiver<Delivery> {
        let pieces = usize::try_from(self.request.sampling.max_tokens).unwrap_or(usize::MAX);
        let (sender, receiver) =
            mpsc::channel(pieces.saturating_add(1).min(tokio::sync::Semaphore::MAX_PERMITS));
        tokio::spawn(async move {
            let (work, place) = self.into_work();
            let turn = tokio::select! {
                turn = place.turn() => turn,
                () = sender.closed() => return,
            };
            let offer = sender.clone();
            let done = blocking(move || {
                let _turn = turn;
                let generation = work.generate(|piece| hand_over(&offer, piece))?;
                work.conclude(generation, || true)
            })
            .await
            .and_then(|answer| answer);
            let last = match done {
                Ok(answer) => Delivery::Done(Box::new(answer)),
                Err(error) => Delivery::Failed(error),
            };
            if sender.send(last).await.is_err() {
                tracing::debug!("the asker left before the end; what was delivered is stored and charged");
            }
        });
        receiver
    }

    fn into_work(self) -> (Work, Place) {
        let Self { operator, adapter, request, reservation, place, issued_at } = self;
        (Work { operator, adapter, request, reservation, issued_at }, place)
    }
}

impl Work {
    fn generate(&self, offer: impl FnMut(Piece<'_>) -> ControlFlow<()>) -> Result<Generation, ServeError> {
        let engine = self.operator.engine();
        let Request { prompt_tokens, sampling, .. } = &self.request;
        Ok(engine.generate(Some(&self.adapter.adapter), prompt_tokens, sampling, offer)?)
    }

    /// From the text to a stored answer, unless by then `wanted` says that nobody waits for it.
    fn conclude(mut self, generation: Generation, wanted: impl Fn() -> bool) -> Result<Answer, ServeError> {
        if generation.tokens.is_empty() || !wanted() {
            return Err(ServeError::Cancelled);
        }
        if generation.refused {
            // Who leaves early asked for this much: the receipt then says what re-execution gives.
            self.request.sampling.max_tokens =
                u32::try_from(generation.tokens.len()).expect("an answer is shorter than max_tokens");
        }
        let attribution = attribute(
            self.operator.engine(),
            &self.adapter.adapter,
            &self.adapter.evidence,
            random_salt(),
            &self.request.prompt_tokens,
            &generation.tokens,
        )?;
        if !wanted() {
            return Err(ServeError::Cancelled);
        }
        let Generation { tokens, text, finish_reason, refused: _ } = generation;
        let response = Response { salt: random_salt(), tokens, text, finish_reason };
        let Self { operator, adapter, request, reservation, issued_at } = self;
        operator.finalise(Parts { adapter, request, response, attribution, reservation, issued_at })
    }
}

fn hand_over(sender: &mpsc::Sender<Delivery>, piece: Piece<'_>) -> ControlFlow<()> {
    match sender.try_send(Delivery::Piece(piece.text.to_owned())) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_closed) => ControlFlow::Break(()),
    }
}

/// Says that whoever waited is gone.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}
