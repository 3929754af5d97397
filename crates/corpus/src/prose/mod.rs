//! The prose in Markdown and in Rust documentation comments.
//!
//! What a reader would read aloud stays: paragraphs, list items, quotes, headings (as text), the words of links and of inline code. Code
//! blocks, tables, images and badges, HTML, comments, bare addresses and link definitions go.

mod inline;

use inline::plain;

/// Lines longer than this are machine output, and are cut off.
const MAX_LINE: usize = 16 * 1024;

/// A block of Markdown text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A heading.
    Heading(String),
    /// A paragraph, list item or quote.
    Paragraph(String),
}

/// The paragraphs of a Markdown document, headings included, each on one line.
pub fn markdown(source: &str) -> Vec<String> {
    blocks(source)
        .into_iter()
        .map(|block| match block {
            Block::Heading(text) | Block::Paragraph(text) => text,
        })
        .collect()
}

/// The text blocks of a Markdown document in order, none empty.
pub fn blocks(source: &str) -> Vec<Block> {
    let mut reader = BlockReader::default();
    for line in strip_comments(source).lines() {
        reader.line(&line[..line.floor_char_boundary(MAX_LINE)]);
    }
    reader.end_paragraph();
    reader.blocks
}

/// The documentation comments of a Rust source file, one Markdown document for each run of `//!` or `///` lines.
pub fn doc_comments(source: &str) -> Vec<String> {
    let mut documents = Vec::new();
    let mut current: Option<(&str, String)> = None;
    for line in source.lines() {
        let line = line.trim_start();
        let marker = ["//!", "///"].into_iter().find(|marker| line.starts_with(marker));
        // Four slashes are an ordinary comment.
        let marker = marker.filter(|_| !line.starts_with("////"));
        match (&mut current, marker) {
            (Some((open, text)), Some(marker)) if *open == marker => push_doc_line(text, &line[3..]),
            (_, Some(marker)) => {
                documents.extend(current.take().map(|(_, text)| text));
                let mut text = String::new();
                push_doc_line(&mut text, &line[3..]);
                current = Some((marker, text));
            }
            (_, None) => documents.extend(current.take().map(|(_, text)| text)),
        }
    }
    documents.extend(current.map(|(_, text)| text));
    documents
}

fn push_doc_line(text: &mut String, line: &str) {
    text.push_str(line.strip_prefix(' ').unwrap_or(line));
    text.push('\n');
}

fn strip_comments(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = after.split_once("-->").map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

#[derive(Default)]
struct BlockReader {
    blocks: Vec<Block>,
    paragraph: String,
    /// The fence that closes the code block we are in.
    fence: Option<(char, usize)>,
    in_list: bool,
    after_blank: bool,
    in_html: bool,
}

impl BlockReader {
    fn line(&mut self, line: &str) {
        let trimmed = line.trim();
        if self.fenced(trimmed) {
            return;
        }
        let after_blank = std::mem::replace(&mut self.after_blank, trimmed.is_empty());
        if trimmed.is_empty() {
            self.in_html = false;
            return self.end_paragraph();
        }
        if is_indented(line)
            && !self.in_list
            && (after_blank || self.blocks.is_empty())
            && self.paragraph.is_empty()
        {
            self.after_blank = after_blank;
            return;
        }
        self.in_list &=
            !after_blank || is_indented(line) || line.starts_with(' ') || list_item(trimmed).is_some();
        self.text_line(trimmed);
    }

    /// Whether the line is part of a fenced code block.
    fn fenced(&mut self, trimmed: &str) -> bool {
        let marker = trimmed.chars().next().filter(|c| ['`', '~'].contains(c));
        let length = marker.map_or(0, |marker| trimmed.chars().take_while(|c| *c == marker).count());
        match self.fence {
            Some((open, opened)) => {
                if marker == Some(open) && length >= opened && trimmed.chars().all(|c| c == open) {
                    self.fence = None;
                }
                true
            }
            None if length >= 3 && !(marker == Some('`') && trimmed[length..].contains('`')) => {
                self.end_paragraph();
                self.fence = marker.map(|marker| (marker, length));
                true
            }
            None => false,
        }
    }

    fn text_line(&mut self, trimmed: &str) {
        let text = trimmed.trim_start_matches('>').trim_start();
        if let Some(heading) = heading(text) {
            self.end_paragraph();
            let heading = plain(heading);
            if !heading.is_empty() {
                self.blocks.push(Block::Heading(heading));
            }
        } else if is_setext_underline(text) && !self.paragraph.is_empty() {
            let heading = plain(&std::mem::take(&mut self.paragraph));
            if !heading.is_empty() {
                self.blocks.push(Block::Heading(heading));
            }
        } else if is_rule(text) || is_table_row(text) || is_link_definition(text) {
            self.end_paragraph();
        } else if let Some(item) = list_item(text) {
            self.end_paragraph();
            self.in_list = true;
            self.add(item);
        } else {
            self.add(text);
        }
    }

    fn add(&mut self, text: &str) {
        if !self.paragraph.is_empty() {
            self.paragraph.push(' ');
        }
        self.paragraph.push_str(text);
    }

    fn end_paragraph(&mut self) {
        let text = plain(&std::mem::take(&mut self.paragraph));
        if text.chars().any(char::is_alphanumeric) {
            self.blocks.push(Block::Paragraph(text));
        }
    }
}

fn is_indented(line: &str) -> bool {
    line.starts_with("    ") || line.starts_with('\t')
}

fn heading(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches('#');
    let level = text.len() - rest.len();
    ((1..=6).contains(&level) && rest.starts_with([' ', '\t']))
        .then(|| rest.trim().trim_end_matches('#').trim_end())
}

fn is_setext_underline(text: &str) -> bool {
    text.len() >= 2 && (text.chars().all(|c| c == '=') || text.chars().all(|c| c == '-'))
}

fn is_rule(text: &str) -> bool {
    let marks = text.chars().filter(|c| !c.is_whitespace());
    marks.clone().count() >= 3
        && ['-', '*', '_', '='].into_iter().any(|rule| marks.clone().all(|c| c == rule))
}

fn is_table_row(text: &str) -> bool {
    text.starts_with('|')
        || (text.contains('|') && text.chars().all(|c| ['|', '-', ':', ' ', '+', '='].contains(&c)))
        || text.matches(" | ").count() >= 2
}

/// `[name]: target` and footnotes.
fn is_link_definition(text: &str) -> bool {
    text.starts_with('[')
        && text.find("]:").is_some_and(|end| !text[1..end].contains(['[', ']']) || text[..end].ends_with('`'))
}

/// The text of a list item without its marker and task box.
fn list_item(text: &str) -> Option<&str> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let rest = if (1..=3).contains(&digits) {
        text[digits..].strip_prefix(['.', ')'])?
    } else {
        text.strip_prefix(['-', '*', '+', '•'])?
    };
    let item = rest.strip_prefix([' ', '\t'])?.trim_start();
    Some(["[ ] ", "[x] ", "[X] "].into_iter().find_map(|task| item.strip_prefix(task)).unwrap_or(item))
}

#[cfg(test)]
mod tests;
