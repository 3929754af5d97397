//! SPDX licence expressions and what they allow.
//!
//! The grammar is SPDX's: identifiers, `+`, `WITH`, `AND`, `OR`, parentheses, with `AND` binding tighter than `OR`. Old crates write
//! `MIT/Apache-2.0`; the slash is read as `OR`. Identifiers outside [`KNOWN`] are refused, because nobody could say what
//! they allow.

use std::{fmt, str::FromStr};

use crate::error::{CorpusError, Result};

mod known;

pub use known::KNOWN;

/// The longest expression that is read.
const MAX_EXPRESSION: usize = 256;
/// The deepest nesting of parentheses that is read.
const MAX_DEPTH: usize = 16;

/// What a licence asks of works made from the text, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LicenseClass {
    /// Nothing at all: the public domain and dedications to it.
    PublicDomain,
    /// At most attribution.
    Permissive,
    /// The same licence for changed files or parts.
    WeakCopyleft,
    /// The same licence for the whole work.
    Copyleft,
    /// Use or change is itself restricted (no commerce, no derivatives).
    Restricted,
}

impl fmt::Display for LicenseClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicDomain => "public domain",
            Self::Permissive => "permissive",
            Self::WeakCopyleft => "weak copyleft",
            Self::Copyleft => "copyleft",
            Self::Restricted => "restricted",
        })
    }
}

/// Whether text under a licence may be trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainingUse {
    /// Yes, with attribution, which the ledger keeps.
    Allowed,
    /// Yes, but the adapter is flagged: whether it must carry the same licence is the publisher's question to answer.
    Flagged,
    /// No.
    Denied,
}

/// A parsed licence expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct License {
    expression: Expression,
    class: LicenseClass,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expression {
    Single { id: &'static str, or_later: bool, exception: Option<&'static str> },
    Both(Box<Self>, Box<Self>),
    Either(Box<Self>, Box<Self>),
}

impl License {
    /// The class of the whole expression: of alternatives the freest, of a conjunction the strictest.
    pub fn class(&self) -> LicenseClass {
        self.class
    }

    /// Whether an adapter may be trained on text under this licence.
    pub fn training_use(&self) -> TrainingUse {
        match self.class {
            LicenseClass::PublicDomain | LicenseClass::Permissive => TrainingUse::Allowed,
            LicenseClass::WeakCopyleft | LicenseClass::Copyleft => TrainingUse::Flagged,
            LicenseClass::Restricted => TrainingUse::Denied,
        }
    }

    /// Refuses a licence stricter than `limit`, as a Datanet does with records of others.
    ///
    /// # Errors
    /// [`CorpusError::LicenseNotAllowed`].
    pub fn require_at_most(&self, limit: LicenseClass) -> Result<()> {
        if self.class <= limit {
            return Ok(());
        }
        Err(CorpusError::LicenseNotAllowed {
            license: self.to_string(),
            got: self.class.to_string(),
            limit: limit.to_string(),
        })
    }
}

/// What training on text under `license` means.
///
/// # Errors
/// As [`License::from_str`].
pub fn allows_training(license: &str) -> Result<TrainingUse> {
    License::from_str(license).map(|license| license.training_use())
}

/// The accepted identifiers, separated by commas.
pub fn accepted_ids() -> String {
    KNOWN.iter().map(|(id, _)| *id).collect::<Vec<_>>().join(", ")
}

/// Canonical form: SPDX spelling, parentheses only where they are needed.
impl fmt::Display for License {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.expression.fmt(f)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Single { id, or_later, exception } => {
                write!(f, "{id}{}", if *or_later { "+" } else { "" })?;
                exception.map_or(Ok(()), |exception| write!(f, " WITH {exception}"))
            }
            Self::Either(a, b) => write!(f, "{a} OR {b}"),
            Self::Both(a, b) => {
                for (index, side) in [a, b].into_iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { " AND " })?;
                    match **side {
                        Self::Either(..) => write!(f, "({side})")?,
                        _ => write!(f, "{side}")?,
                    }
                }
                Ok(())
            }
        }
    }
}

impl FromStr for License {
    type Err = CorpusError;

    /// # Errors
    /// [`CorpusError::UnknownLicense`] listing what is known, [`CorpusError::BadLicense`] for broken grammar.
    fn from_str(text: &str) -> Result<Self> {
        if text.len() > MAX_EXPRESSION {
            return Err(CorpusError::TooLarge {
                what: "licence expression (bytes)",
                got: text.len() as u64,
                limit: MAX_EXPRESSION as u64,
            });
        }
        let mut parser = Parser { text, tokens: tokens(text), depth: 0 };
        let expression = parser.either()?;
        if let Some(token) = parser.tokens.last() {
            return Err(parser.bad(format!("{token:?} follows its end")));
        }
        let class = class(&expression);
        Ok(Self { expression, class })
    }
}

fn class(expression: &Expression) -> LicenseClass {
    match expression {
        Expression::Single { id, exception, .. } => {
            let class = known::class(id).expect("the parser accepts known identifiers only");
            match (class, exception) {
                // An exception of this list frees what is combined or compiled with the work.
                (LicenseClass::Copyleft, Some(_)) => LicenseClass::WeakCopyleft,
                _ => class,
            }
        }
        Expression::Either(a, b) => class(a).min(class(b)),
        Expression::Both(a, b) => class(a).max(class(b)),
    }
}

/// The tokens in reverse, so that the next one is popped.
fn tokens(text: &str) -> Vec<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    spaced.split_whitespace().rev().map(str::to_owned).collect()
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<String>,
    depth: usize,
}

impl Parser<'_> {
    fn either(&mut self) -> Result<Expression> {
        let mut left = self.both()?;
        while self.eat("OR") {
            left = Expression::Either(Box::new(left), Box::new(self.both()?));
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expression> {
        let mut left = self.single()?;
        while self.eat("AND") {
            left = Expression::Both(Box::new(left), Box::new(self.single()?));
        }
        Ok(left)
    }

    fn single(&mut self) -> Result<Expression> {
        if self.eat("(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                return Err(self.bad(format!("parentheses nest deeper than {MAX_DEPTH}")));
            }
            let inner = self.either()?;
            self.depth -= 1;
            return if self.eat(")") {
                Ok(inner)
            } else {
                Err(self.bad("a parenthesis is not closed".into()))
            };
        }
        let Some(token) = self.tokens.pop() else {
            return Err(self.bad("an identifier is missing at its end".into()));
        };
        if ["AND", "OR", "WITH", ")"].contains(&token.to_ascii_uppercase().as_str()) {
            return Err(self.bad(format!("{token:?} stands where an identifier should")));
        }
        let (name, or_later) = token.strip_suffix('+').map_or((token.as_str(), false), |name| (name, true));
        let id = known::id(name).ok_or_else(|| self.unknown(name))?;
        let exception = if self.eat("WITH") {
            let name = self.tokens.pop().unwrap_or_default();
            Some(known::exception(&name).ok_or_else(|| self.unknown(&name))?)
        } else {
            None
        };
        Ok(Expression::Single { id, or_later, exception })
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.tokens.last().is_some_and(|token| token.eq_ignore_ascii_case(word));
        if found {
            self.tokens.pop();
        }
        found
    }

    fn bad(&self, reason: String) -> CorpusError {
        CorpusError::BadLicense { expression: self.text.to_owned(), reason }
    }

    fn unknown(&self, id: &str) -> CorpusError {
        CorpusError::UnknownLicense {
            id: id.to_owned(),
            expression: self.text.to_owned(),
            accepted: accepted_ids(),
        }
    }
}

#[cfg(test)]
mod tests;
