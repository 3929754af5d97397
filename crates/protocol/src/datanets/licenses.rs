//! Licence expressions in the words of SPDX.
//!
//! ```text
//! expression = term { ( "AND" | "OR" ) term }
//! term       = "(" expression ")" | licence [ "+" ] [ "WITH" exception ]
//! ```
//! Licences and exceptions are those of the SPDX list in its spelling, as `spdx-license-ids` 3.0.23 and
//! `spdx-exceptions` (CC0-1.0) hold it, with the deprecated ones that published work still states.

/// Longest expression, in bytes. It also bounds how deep parentheses nest.
pub const MAX_LICENSE: usize = 64;

const LICENSES: &str = include_str!("spdx_licenses.txt");
const EXCEPTIONS: &str = include_str!("spdx_exceptions.txt");

/// True if the text is a licence expression.
pub fn is_license(text: &str) -> bool {
    let shaped = |c: char| c.is_ascii_alphanumeric() || ".+-() ".contains(c);
    if text.is_empty() || text.len() > MAX_LICENSE || !text.chars().all(shaped) {
        return false;
    }
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_ascii_whitespace().peekable();
    expression(&mut words) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitAsciiWhitespace<'a>>;

fn expression(words: &mut Words<'_>) -> bool {
    let mut valid = term(words);
    while valid && words.next_if(|word| ["AND", "OR"].contains(word)).is_some() {
        valid = term(words);
    }
    valid
}

fn term(words: &mut Words<'_>) -> bool {
    match words.next() {
        Some("(") => expression(words) && words.next() == Some(")"),
        Some(word) => {
            let licence = word.strip_suffix('+').unwrap_or(word);
            let known = listed(LICENSES, word) || listed(LICENSES, licence);
            let exception = words.next_if_eq(&"WITH").map(|_| words.next());
            known && exception.is_none_or(|word| word.is_some_and(|word| listed(EXCEPTIONS, word)))
        }
        None => false,
    }
}

fn listed(list: &str, word: &str) -> bool {
    list.lines().any(|line| line == word)
}
