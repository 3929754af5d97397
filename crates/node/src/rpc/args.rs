//! Positional parameters, refused in geth's words.

use super::error::{self, Answer};
use jsonrpsee::types::Params;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The parameters of a request that are not taken yet.
pub(super) struct Args {
    given: std::vec::IntoIter<Value>,
    next: usize,
}

impl Args {
    /// # Errors
    /// If they are no array, or more than the method takes.
    pub(super) fn new(params: &Params<'_>, most: usize) -> Answer<Self> {
        let given: Value = params.as_str().map_or(Ok(Value::Null), serde_json::from_str).map_err(parse)?;
        let given = match given {
            Value::Null => Vec::new(),
            Value::Array(given) => given,
            _ => return Err(error::invalid("non-array args")),
        };
        if given.len() > most {
            return Err(error::invalid(format!("too many arguments, want at most {most}")));
        }
        Ok(Self { given: given.into_iter(), next: 0 })
    }

    /// The next parameter.
    ///
    /// # Errors
    /// If it is missing or not what it should be.
    pub(super) fn required<T: DeserializeOwned>(&mut self) -> Answer<T> {
        let position = self.next;
        self.optional()?
            .ok_or_else(|| error::invalid(format!("missing value for required argument {position}")))
    }

    /// The next parameter, `None` if it is missing or null.
    ///
    /// # Errors
    /// If it is not what it should be.
    pub(super) fn optional<T: DeserializeOwned>(&mut self) -> Answer<Option<T>> {
        let position = self.next;
        self.next += 1;
        match self.given.next() {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value)
                .map(Some)
                .map_err(|reason| error::invalid(format!("invalid argument {position}: {reason}"))),
        }
    }
}

fn parse(reason: serde_json::Error) -> jsonrpsee::types::ErrorObjectOwned {
    error::invalid(reason.to_string())
}
