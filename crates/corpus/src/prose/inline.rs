/// The words of a line of Markdown: links, emphasis, images, tags, entities and addresses resolved or removed.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    Inline { rest: text, out: &mut out, depth: 0 }.run();
    tidy(&out)
}

/// Links nest (a badge is an image in a link); deeper than this the brackets are kept as they are.
const MAX_DEPTH: usize = 4;

struct Inline<'a, 'o> {
    rest: &'a str,
    out: &'o mut String,
    depth: usize,
}

impl Inline<'_, '_> {
    fn run(&mut self) {
        while let Some(c) = self.rest.chars().next() {
            let used = match c {
                '\\' => self.escape(),
                '`' => self.code(),
                '!' if self.rest.starts_with("![") => link(&self.rest[1..]).map(|link| 1 + link.length),
                '[' => self.link(),
                '<' => self.tag(),
                '&' => self.entity(),
                '*' | '_' | '~' => self.emphasis(c),
                _ => None,
            };
            let used = used.unwrap_or_else(|| {
                self.out.push(c);
                c.len_utf8()
            });
            self.rest = &self.rest[used..];
        }
    }

    fn escape(&mut self) -> Option<usize> {
        let next = self.rest[1..].chars().next().filter(char::is_ascii_punctuation)?;
        self.out.push(next);
        Some(2)
    }

    fn code(&mut self) -> Option<usize> {
        let ticks = self.rest.len() - self.rest.trim_start_matches('`').len();
        let body = &self.rest[ticks..];
        let end = body.find(&self.rest[..ticks])?;
        self.out.push_str(body[..end].trim());
        Some(ticks + end + ticks)
    }

    fn link(&mut self) -> Option<usize> {
        let found = link(self.rest)?;
        if self.depth < MAX_DEPTH && !found.text.starts_with('^') {
            Inline { rest: found.text, out: self.out, depth: self.depth + 1 }.run();
        }
        Some(found.length)
    }

    /// An HTML tag or an address in angle brackets; anything else keeps its bracket.
    fn tag(&mut self) -> Option<usize> {
        let end = self.rest.find('>').filter(|end| *end < 1_024)?;
        let body = &self.rest[1..end];
        let name = body.trim_start_matches('/');
        let is_tag = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name
                .split([' ', '/', '\t'])
                .next()
                .is_some_and(|name| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        let is_address = body.contains("://") || (body.contains('@') && !body.contains(' '));
        if !is_tag && !is_address {
            return None;
        }
        if name.starts_with("br") || name.starts_with('p') {
            self.out.push(' ');
        }
        Some(end + 1)
    }

    fn entity(&mut self) -> Option<usize> {
        const ENTITIES: [(&str, &str); 10] = [
            ("&amp;", "&"),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&quot;", "\""),
            ("&nbsp;", " "),
            ("&mdash;", "—"),
            ("&ndash;", "–"),
            ("&times;", "×"),
            ("&copy;", "©"),
            ("&#39;", "'"),
        ];
        let (entity, text) = ENTITIES.into_iter().find(|(entity, _)| self.rest.starts_with(entity))?;
        self.out.push_str(text);
        Some(entity.len())
    }

    /// Emphasis marks touch a word on one side only; `snake_case` and `2 * 3` keep theirs.
    fn emphasis(&self, mark: char) -> Option<usize> {
        let length = self.rest.len() - self.rest.trim_start_matches(mark).len();
        if mark == '~' && length < 2 {
            return None;
        }
        let before = self.out.chars().next_back();
        let after = self.rest[length..].chars().next();
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let space = |c: Option<char>| c.is_none_or(char::is_whitespace);
        let inside_word = mark == '_' && word(before) && word(after);
        let alone = space(before) && space(after);
        (!inside_word && !alone).then_some(length)
    }
}

struct Link<'a> {
    text: &'a str,
    length: usize,
}

/// `[text](target)`, `[text][name]` or `[text]` at the start of `source`.
fn link(source: &str) -> Option<Link<'_>> {
    let close = matching(source, '[', ']')?;
    let text = &source[1..close];
    let after = &source[close + 1..];
    let target = match after.chars().next() {
        Some('(') => matching(after, '(', ')').map(|end| end + 1),
        Some('[') => matching(after, '[', ']').map(|end| end + 1),
        _ => None,
    };
    Some(Link { text, length: close + 1 + target.unwrap_or(0) })
}

/// Where the bracket that `source` starts with is closed, within a few kilobytes.
fn matching(source: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_code = false;
    for (at, c) in source.char_indices().take(4_096) {
        if c == '`' {
            in_code = !in_code;
        } else if in_code {
        } else if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// Without bare addresses and emoji names, with single spaces and none before punctuation.
fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut after_address = false;
    for word in text.split_whitespace() {
        let bare = word.contains("://") || word.starts_with("www.");
        let emoji = word.len() > 2 && word.starts_with(':') && word.ends_with(':');
        if bare || emoji {
            // The full stop after an address still ends its sentence.
            let stop = word.chars().next_back().filter(|c| ['.', ',', ')', ':', ';'].contains(c) && bare);
            out.extend(stop);
            after_address = true;
            continue;
        }
        let closes = after_address && word.len() == 1 && word.starts_with(['.', ',', ';']);
        if !out.is_empty() && !closes {
            out.push(' ');
        }
        after_address = false;
        out.push_str(word);
    }
    out.trim().to_owned()
}
