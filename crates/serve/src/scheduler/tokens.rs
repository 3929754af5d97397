use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::Mailbox;
use crate::{Error, Generation, Piece};

/// What the thread hands over.
pub(super) type Event = Result<Piece, Error>;

/// An answer as it is made, token by token. Dropping it cancels the answer.
#[derive(Debug)]
pub struct Tokens {
    events: Option<mpsc::Receiver<Event>>,
    mailbox: Arc<Mailbox>,
    patience: Duration,
    over: bool,
}

impl Tokens {
    pub(super) fn new(events: mpsc::Receiver<Event>, mailbox: Arc<Mailbox>, patience: Duration) -> Self {
        Self { events: Some(events), mailbox, patience, over: false }
    }

    /// The next piece; `None` after the last, which says why the answer ends.
    ///
    /// # Errors
    /// Why there is no more of the answer; nothing follows.
    pub async fn next(&mut self) -> Option<Result<Piece, Error>> {
        if self.over {
            return None;
        }
        let event = match &mut self.events {
            Some(events) => match events.recv().await {
                Some(event) => event,
                None if self.mailbox.inbox().closed => Err(Error::Stopped),
                None => Err(Error::Unread { seconds: self.patience.as_secs() }),
            },
            None => return None,
        };
        self.over = event.as_ref().map_or(true, |piece| piece.finish_reason.is_some());
        Some(event)
    }

    /// The whole answer.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub async fn whole(mut self) -> Result<Generation, Error> {
        let (mut tokens, mut text) = (Vec::new(), String::new());
        while let Some(piece) = self.next().await {
            let piece = piece?;
            tokens.push(piece.token);
            text.push_str(&piece.text);
            if let Some(finish_reason) = piece.finish_reason {
                return Ok(Generation { tokens, text, finish_reason });
            }
        }
        Err(Error::Stopped)
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        drop(self.events.take());
        if !self.over {
            self.mailbox.wake();
        }
    }
}
