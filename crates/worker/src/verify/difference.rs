use std::fmt::Display;

use serde::Serialize;
use serde_json::Value;

/// The first thing that is not equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The field, as a path: `attribution.contributors[0].share_ppm`.
    pub field: String,
    /// What it should be.
    pub expected: String,
    /// What it is.
    pub got: String,
}

impl Difference {
    /// A difference in one field.
    pub fn new(field: impl Into<String>, expected: impl Display, got: impl Display) -> Self {
        Self { field: field.into(), expected: expected.to_string(), got: got.to_string() }
    }

    /// The same, within a larger document.
    #[must_use]
    pub fn within(mut self, outer: &str) -> Self {
        self.field = format!("{outer}.{}", self.field);
        self
    }

    /// `None` if both are equal.
    pub(crate) fn between<T: PartialEq + Display>(field: &str, expected: T, got: T) -> Option<Self> {
        (expected != got).then(|| Self::new(field, expected, got))
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: expected {}, got {}", self.field, self.expected, self.got)
    }
}

/// The first field in which two documents differ, in the order in which they are written; `prefix` is put before its path.
///
/// # Panics
/// Never for documents of this project, which all have a JSON form.
pub fn first_difference<T: Serialize>(prefix: &str, expected: &T, got: &T) -> Option<Difference> {
    let value = |document: &T| serde_json::to_value(document).expect("a document has a JSON form");
    walk(prefix, &value(expected), &value(got))
}

fn walk(path: &str, expected: &Value, got: &Value) -> Option<Difference> {
    match (expected, got) {
        (Value::Object(a), Value::Object(b)) => a
            .iter()
            .find_map(|(key, x)| walk(&join(path, key), x, b.get(key).unwrap_or(&Value::Null)))
            .or_else(|| {
                let more = b.keys().find(|key| !a.contains_key(*key))?;
                Some(Difference::new(join(path, more), "nothing", &b[more]))
            }),
        (Value::Array(a), Value::Array(b)) => {
            let inside =
                a.iter().zip(b).enumerate().find_map(|(at, (x, y))| walk(&format!("{path}[{at}]"), x, y));
            inside.or_else(|| Difference::between(&format!("{path}.length"), a.len(), b.len()))
        }
        _ => (expected != got).then(|| Difference::new(path, expected, got)),
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() || path.ends_with('.') { format!("{path}{key}") } else { format!("{path}.{key}") }
}
