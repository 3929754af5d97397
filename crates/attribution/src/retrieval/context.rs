use std::{collections::BTreeMap, sync::Arc};

use openledger_model::{Adapter, Feed, Logits, Message, Model, Pages, Pool, Role, Session, Tokenizer};

use super::{Error, shapley};

/// Up to so many sources every subset is computed.
pub const EXACT_SOURCES: usize = 8;
/// Most sources of one answer.
pub const MAX_SOURCES: usize = 32;
/// Pairs of orders that are drawn beyond [`EXACT_SOURCES`].
const PAIRS: usize = 16;

/// A conversation with its sources, each a system message of its own before it: source `n`, from 1, is the message `[n] text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    sources: Vec<Vec<u32>>,
    conversation: Vec<u32>,
}

impl Context {
    /// Sources are numbered from 1 in the order given, and keep their number when others are left out.
    ///
    /// # Errors
    /// [`Error::Count`] for no source or more than 32, [`Error::Model`].
    pub fn new(tokenizer: &Tokenizer, sources: &[&str], conversation: &[Message]) -> Result<Self, Error> {
        if sources.is_empty() || sources.len() > MAX_SOURCES {
            return Err(Error::Count { what: "sources", got: sources.len(), limit: MAX_SOURCES });
        }
        let source = |(i, text): (usize, &&str)| tokenizer.turn(Role::System, &format!("[{}] {text}", i + 1));
        let sources = sources.iter().enumerate().map(source).collect::<Result<_, _>>()?;
        let mut tokens = Vec::new();
        for message in conversation {
            tokens.extend(tokenizer.turn(message.role, &message.content)?);
        }
        tokens.extend(tokenizer.turn_of_assistant()?);
        Ok(Self { sources, conversation: tokens })
    }

    /// What the model is given to answer: all sources, then the conversation.
    #[must_use]
    pub fn prompt(&self) -> Vec<u32> {
        [self.sources.concat(), self.conversation.clone()].concat()
    }

    /// Tokens that go through the model to [`credit`] the sources with an answer of so many tokens, `2^k (c + a − 1) + Σ_j 2^j s_j` for `k` sources of
    /// `s_j` tokens and `c` of the conversation: source `j` is computed once for each subset of those before it. Only up to [`EXACT_SOURCES`].
    #[must_use]
    pub fn tokens_to_credit(&self, answer: usize) -> usize {
        let each = (self.conversation.len() + answer).saturating_sub(1);
        let subsets = |sources: usize| 1_usize << sources.min(EXACT_SOURCES);
        let sources = self.sources.iter().enumerate().map(|(j, source)| subsets(j) * source.len());
        subsets(self.sources.len()) * each + sources.sum::<usize>()
    }

    /// The longest answer whose sources can be credited with so many tokens through the model.
    #[must_use]
    pub fn longest_answer(&self, tokens: usize) -> usize {
        match tokens.checked_sub(self.tokens_to_credit(1)) {
            None => 0,
            Some(left) => 1 + (left >> self.sources.len().min(EXACT_SOURCES)),
        }
    }
}

/// What sources did for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ContextCredit {
    /// By source, in nats: how much it raised the answer's log-probability; negative where it lowered it. They add up to `with_all − with_none`.
    pub nats: Vec<f64>,
    /// The standard error of each where orders were drawn; empty where every subset was computed.
    pub errors: Vec<f64>,
    /// `log p(answer)` with each subset, in nats, by its number (bit `i` for source `i`); empty where orders were drawn.
    pub values: Vec<f64>,
    /// `log p(answer)` with all sources, in nats.
    pub with_all: f64,
    /// With none.
    pub with_none: f64,
    /// Subsets that were computed.
    pub subsets: usize,
    /// Tokens that went through the model.
    pub tokens_computed: usize,
    /// What they would have been had every subset been computed from its first token.
    pub tokens_apart: usize,
}

/// Divides what the sources did for the answer by Shapley's value over `log p(answer | subset of the sources, conversation)`: over all subsets up to
/// [`EXACT_SOURCES`], from drawn orders beyond, which follow from the seed.
///
/// Subsets are computed in the order of a tree over the sources, so that what two of them begin with is computed once.
///
/// # Errors
/// [`Error::Length`] for an empty answer, [`Error::Model`] when the context does not fit the model or the pages.
pub fn credit(
    model: &Arc<Model>,
    adapter: Option<&Arc<Adapter>>,
    pool: &Pool,
    pages: &Pages,
    (context, answer): (&Context, &[u32]),
    seed: [u8; 32],
) -> Result<ContextCredit, Error> {
    if answer.is_empty() {
        return Err(Error::Length { what: "tokens of the answer, at least", got: 0, expected: 1 });
    }
    let session = Session::new(model.clone(), adapter.cloned(), pool.clone(), pages.clone())?;
    let mut tree =
        Tree { context, answer, session, taken: Vec::new(), known: BTreeMap::new(), computed: 0, apart: 0 };
    let sources = context.sources.len();
    let (nats, errors, values) = if sources <= EXACT_SOURCES {
        let mut subsets: Vec<u64> = (0..1 << sources).collect();
        subsets.sort_by_key(|subset| members(*subset).collect::<Vec<_>>());
        for subset in subsets {
            tree.log_p(subset)?;
        }
        // The map has them by their numbers.
        let values: Vec<f64> = tree.known.values().copied().collect();
        (shapley::exact(&values)?, Vec::new(), values)
    } else {
        let sampled = shapley::sampled(sources, PAIRS, seed, |subset| tree.log_p(subset))?;
        (sampled.values, sampled.errors, Vec::new())
    };
    let all = u64::MAX >> (u64::BITS as usize - sources);
    Ok(ContextCredit {
        nats,
        errors,
        values,
        with_all: tree.log_p(all)?,
        with_none: tree.log_p(0)?,
        subsets: tree.known.len(),
        tokens_computed: tree.computed,
        tokens_apart: tree.apart,
    })
}

/// The sources of a subset, ascending.
fn members(subset: u64) -> impl Iterator<Item = usize> {
    (0..u64::BITS as usize).filter(move |i| subset >> i & 1 == 1)
}

struct Tree<'a> {
    context: &'a Context,
    answer: &'a [u32],
    session: Session,
    /// The sources that the session holds, and where each ends.
    taken: Vec<(usize, usize)>,
    known: BTreeMap<u64, f64>,
    computed: usize,
    apart: usize,
}

impl Tree<'_> {
    fn log_p(&mut self, subset: u64) -> Result<f64, Error> {
        if let Some(known) = self.known.get(&subset) {
            return Ok(*known);
        }
        let members: Vec<usize> = members(subset).collect();
        let shared =
            self.taken.iter().zip(&members).take_while(|((taken, _), member)| taken == *member).count();
        self.taken.truncate(shared);
        self.session.truncate(self.taken.last().map_or(0, |(_, end)| *end));
        for member in &members[shared..] {
            let tokens = &self.context.sources[*member];
            Session::run(&mut [Feed { session: &mut self.session, tokens, logits: Logits::None }], |_| ())?;
            self.computed += tokens.len();
            self.taken.push((*member, self.session.position()));
        }
        let end = self.session.position();
        let (conversation, answer) = (&self.context.conversation, self.answer);
        // Nothing follows the answer's last token.
        let tokens = [conversation.as_slice(), &answer[..answer.len() - 1]].concat();
        let first = conversation.len() - 1;
        let logits = Logits::From(first);
        let each =
            Session::run(&mut [Feed { session: &mut self.session, tokens: &tokens, logits }], |row| {
                let target = answer[row.index - first];
                row.log_p(target)
            })?;
        self.computed += tokens.len();
        self.session.truncate(end);
        self.apart += end + tokens.len();
        let sum = each.iter().sum();
        self.known.insert(subset, sum);
        Ok(sum)
    }
}
