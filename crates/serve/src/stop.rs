use crate::TextStream;

/// The text of an answer while it grows, up to the first stop sequence. What could still become one is held back.
#[derive(Debug)]
pub(crate) struct StopText {
    stops: Vec<Vec<u8>>,
    held: Vec<u8>,
    text: TextStream,
    stopped: bool,
}

impl StopText {
    pub(crate) fn new(stops: &[String]) -> Self {
        let stops = stops.iter().map(|stop| stop.as_bytes().to_vec()).collect();
        Self { stops, held: Vec::new(), text: TextStream::default(), stopped: false }
    }

    /// Takes the bytes of one token and gives the text that is certain now. After a stop sequence there is none.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        if self.stops.is_empty() {
            return self.text.push(bytes);
        }
        if self.stopped {
            return String::new();
        }
        self.held.extend_from_slice(bytes);
        let found = self.stops.iter().filter_map(|stop| position(&self.held, stop)).min();
        if let Some(at) = found {
            self.stopped = true;
            self.held.truncate(at);
        }
        let keep = if self.stopped { 0 } else { self.open() };
        let free: Vec<u8> = self.held.drain(..self.held.len() - keep).collect();
        self.text.push(&free)
    }

    /// Whether a stop sequence has come.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// What is left when no more tokens come.
    pub(crate) fn finish(mut self) -> String {
        let mut text = self.text.push(&self.held);
        text.push_str(&self.text.finish());
        text
    }

    /// Length of the longest end of what is held that begins a stop sequence.
    fn open(&self) -> usize {
        let longest = self.stops.iter().map(|stop| stop.len() - 1).max().unwrap_or(0);
        (1..=longest.min(self.held.len()))
            .rev()
            .find(|length| {
                let end = &self.held[self.held.len() - length..];
                self.stops.iter().any(|stop| stop.len() > *length && stop.starts_with(end))
            })
            .unwrap_or(0)
    }
}

fn position(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}
