//! A manifest's text for reading: indented, in lines, with the position of values. Labels hold manifests in one line.
//!
//! Keeps every token as written: repeated keys, the spelling of numbers, escapes.

use std::collections::HashMap;

/// Longest text that is listed, in bytes, and most lines. The rest is left out.
const MOST_BYTES: usize = 256 * 1024;
const MOST_LINES: usize = 5_000;
/// Longest list of plain values that stays in one line, in bytes.
const LONGEST_LIST: usize = 96;
/// Deepest indentation.
const DEEPEST: usize = 128;

/// What a part of a line is, for colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonSpanKind {
    Key,
    Text,
    /// A number, `true`, `false` or `null`.
    Literal,
    /// Brackets, commas, colons, white space.
    Punctuation,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListingSpan {
    pub kind: JsonSpanKind,
    pub text: String,
}

/// A manifest in lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManifestListing {
    pub lines: Vec<Vec<ListingSpan>>,
    /// Whether the end was left out.
    pub is_cut: bool,
    places: PointerTree,
}

impl ManifestListing {
    /// Lists a text, and looks for the values at these JSON pointers (RFC 6901). A text that is no JSON is listed as
    /// far as its tokens go.
    pub fn of<'a>(text: &str, pointers: impl IntoIterator<Item = &'a str>) -> Self {
        let mut end = text.len().min(MOST_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let tokens = tokens(&text[..end]);
        let mut writer = ListingWriter {
            listing: Self { is_cut: end < text.len(), places: PointerTree::of(pointers), ..Self::default() },
            line: Vec::new(),
            open: Vec::new(),
        };
        let mut at = 0;
        while at < tokens.len() && writer.listing.lines.len() < MOST_LINES {
            at += writer.write(&tokens[at..]);
        }
        writer.listing.is_cut |= at < tokens.len();
        writer.end_line();
        writer.listing
    }

    /// The line of the value at a pointer that was looked for, from 1; if there is none, of the value that should hold
    /// it.
    pub fn line_of(&self, pointer: &str) -> usize {
        self.places.line_of(pointer)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenKind {
    Open,
    Close,
    Comma,
    Colon,
    Text,
    Literal,
}

type JsonToken<'a> = (TokenKind, &'a str);

fn tokens(text: &str) -> Vec<JsonToken<'_>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (kind, length) = match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'{' | b'[' => (TokenKind::Open, 1),
            b'}' | b']' => (TokenKind::Close, 1),
            b',' => (TokenKind::Comma, 1),
            b':' => (TokenKind::Colon, 1),
            b'"' => (TokenKind::Text, string_length(&bytes[at..])),
            _ => {
                let ends = |byte: &u8| b"{}[],:\" \t\n\r".contains(byte);
                let length = bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at);
                (TokenKind::Literal, length)
            }
        };
        tokens.push((kind, &text[at..at + length]));
        at += length;
    }
    tokens
}

/// Bytes of the string that the text begins with.
fn string_length(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// An object or list that is open.
struct OpenValue {
    is_object: bool,
    /// Number of values before this one.
    index: usize,
    /// Key of the current member.
    key: Option<String>,
    /// Its place among those looked for.
    place: Option<usize>,
}

struct ListingWriter {
    listing: ManifestListing,
    line: Vec<ListingSpan>,
    open: Vec<OpenValue>,
}

impl ListingWriter {
    /// Writes the first tokens, and returns their number.
    fn write(&mut self, tokens: &[JsonToken<'_>]) -> usize {
        let (kind, text) = tokens[0];
        match kind {
            TokenKind::Open => return self.open(tokens),
            TokenKind::Close => {
                self.open.pop();
                self.end_line();
                self.put(JsonSpanKind::Punctuation, text);
            }
            TokenKind::Comma => {
                self.put(JsonSpanKind::Punctuation, text);
                self.end_line();
                self.next();
            }
            TokenKind::Colon => self.put(JsonSpanKind::Punctuation, ": "),
            TokenKind::Text if self.open.last().is_some_and(|open| open.is_object && open.key.is_none()) => {
                if let Some(open) = self.open.last_mut() {
                    open.key = Some(serde_json::from_str(text).unwrap_or_default());
                }
                self.put(JsonSpanKind::Key, text);
                self.mark();
            }
            TokenKind::Text | TokenKind::Literal => {
                self.mark();
                let kind = if kind == TokenKind::Text { JsonSpanKind::Text } else { JsonSpanKind::Literal };
                self.put(kind, text);
            }
        }
        1
    }

    fn open(&mut self, tokens: &[JsonToken<'_>]) -> usize {
        let text = tokens[0].1;
        let place = self.mark();
        self.put(JsonSpanKind::Punctuation, text);
        self.open.push(OpenValue { is_object: text == "{", index: 0, key: None, place });
        let Some(end) = one_line(tokens) else {
            self.end_line();
            return 1;
        };
        for (kind, text) in &tokens[1..end] {
            match kind {
                TokenKind::Comma => {
                    self.put(JsonSpanKind::Punctuation, ", ");
                    self.next();
                }
                kind => {
                    self.mark();
                    self.put(if *kind == TokenKind::Text { JsonSpanKind::Text } else { JsonSpanKind::Literal }, text);
                }
            }
        }
        self.open.pop();
        self.put(JsonSpanKind::Punctuation, tokens[end].1);
        end + 1
    }

    /// Goes on to the next value of the innermost object or list.
    fn next(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.index += 1;
            open.key = None;
        }
    }

    /// Notes the line of the value that begins here, if it is looked for. Returns its place among those.
    fn mark(&mut self) -> Option<usize> {
        let line = self.listing.lines.len() + 1;
        let places = &mut self.listing.places;
        let place = match self.open.last() {
            None => Some(0),
            Some(OpenValue { is_object: true, key, place, .. }) => places.below((*place)?, key.as_deref()?),
            Some(OpenValue { index, place, .. }) => places.below((*place)?, &index.to_string()),
        }?;
        places.note(place, line);
        Some(place)
    }

    fn put(&mut self, kind: JsonSpanKind, text: &str) {
        if self.line.is_empty() {
            let depth = self.open.len().min(DEEPEST);
            if depth > 0 {
                self.line.push(ListingSpan { kind: JsonSpanKind::Punctuation, text: "  ".repeat(depth) });
            }
        }
        self.line.push(ListingSpan { kind, text: text.to_owned() });
    }

    fn end_line(&mut self) {
        if !self.line.is_empty() {
            self.listing.lines.push(std::mem::take(&mut self.line));
        }
    }
}

/// For an opened value that fits into one line: the position of the bracket that closes it. These are empty ones, and
/// short lists of plain values.
fn one_line(tokens: &[JsonToken<'_>]) -> Option<usize> {
    let mut bytes = 0;
    for (at, (kind, text)) in tokens.iter().enumerate().skip(1) {
        match kind {
            TokenKind::Close => return (at == 1 || tokens[0].1 == "[").then_some(at),
            TokenKind::Open | TokenKind::Colon => return None,
            _ => bytes += text.len(),
        }
        if bytes > LONGEST_LIST {
            return None;
        }
    }
    None
}

/// JSON pointers that are looked for, as a tree of their parts, with the lines where they were found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PointerTree {
    nodes: Vec<PointerNode>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PointerNode {
    below: HashMap<String, usize>,
    line: Option<usize>,
}

impl Default for PointerTree {
    fn default() -> Self {
        Self { nodes: vec![PointerNode::default()] }
    }
}

impl PointerTree {
    fn of<'a>(pointers: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tree = Self::default();
        for pointer in pointers {
            let mut node = 0;
            for part in parts(pointer) {
                node = match tree.below(node, &part) {
                    Some(known) => known,
                    None => {
                        tree.nodes.push(PointerNode::default());
                        let new = tree.nodes.len() - 1;
                        tree.nodes[node].below.insert(part, new);
                        new
                    }
                };
            }
        }
        tree
    }

    fn below(&self, node: usize, part: &str) -> Option<usize> {
        self.nodes[node].below.get(part).copied()
    }

    /// The first of several equal keys counts.
    fn note(&mut self, node: usize, line: usize) {
        self.nodes[node].line.get_or_insert(line);
    }

    fn line_of(&self, pointer: &str) -> usize {
        let (mut node, mut line) = (0, self.nodes[0].line.unwrap_or(1));
        for part in parts(pointer) {
            let Some(next) = self.below(node, &part) else { break };
            let Some(found) = self.nodes[next].line else { break };
            (node, line) = (next, found);
        }
        line
    }
}

/// The parts of a JSON pointer, unescaped.
fn parts(pointer: &str) -> impl Iterator<Item = String> {
    pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::testing::{COMPLETE, valid_manifest_with_more};

    fn text(listing: &ManifestListing) -> String {
        let line = |line: &Vec<ListingSpan>| line.iter().map(|span| span.text.as_str()).collect::<String>();
        listing.lines.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn lines_are_indented_and_tokens_stay_as_written() {
        let listing = ManifestListing::of(
            r#"{"a":1.0,"a":[],"b/c":[1,"x",null],"d":[{"e":{}},{"e":"\u202e"}],"f":[[1],2]}"#,
            ["/a", "/b~1c/1", "/d/1/e", "/d/7/e", "/nothing", ""],
        );
        insta::assert_snapshot!(text(&listing), @r#"
        {
          "a": 1.0,
          "a": [],
          "b/c": [1, "x", null],
          "d": [
            {
              "e": {}
            },
            {
              "e": "\u202e"
            }
          ],
          "f": [
            [1],
            2
          ]
        }
        "#);
        let lines = ["/a", "/b~1c/1", "/d/1/e", "/d/7/e", "/nothing", "", "/f"].map(|pointer| listing.line_of(pointer));
        assert_eq!(lines, [2, 4, 10, 5, 1, 1, 1]);
        assert!(!listing.is_cut);
        let kinds: Vec<JsonSpanKind> = listing.lines[1].iter().map(|span| span.kind).collect();
        assert_eq!(
            kinds,
            [
                JsonSpanKind::Punctuation,
                JsonSpanKind::Key,
                JsonSpanKind::Punctuation,
                JsonSpanKind::Literal,
                JsonSpanKind::Punctuation
            ]
        );
    }

    #[test]
    fn long_texts_are_cut() {
        let many = format!("[{}]", "{},".repeat(MOST_LINES + 1));
        let listing = ManifestListing::of(&many, []);
        assert_eq!((listing.lines.len(), listing.is_cut), (MOST_LINES, true));
        let long = format!("\"{}\"", "é".repeat(MOST_BYTES));
        assert!(ManifestListing::of(&long, []).is_cut);
        assert!(text(&ManifestListing::of(&"[".repeat(10_000), [])).len() < 3 * MOST_LINES * DEEPEST);
    }

    proptest! {
        #[test]
        fn a_manifest_is_the_same_in_lines(manifest in valid_manifest_with_more()) {
            let written = text(&ManifestListing::of(&manifest.to_string(), []));
            prop_assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), manifest);
        }

        #[test]
        fn any_text_can_be_listed(text in "[\\[\\]{}:,\"a1é \\\\]{0,60}|(?s).{0,60}") {
            let listing = ManifestListing::of(&text, ["/a/0", "/1", "a"]);
            prop_assert!(listing.line_of("/a/0") <= listing.lines.len().max(1));
        }

        #[test]
        fn pointers_lead_to_lines_with_their_key(manifest in valid_manifest_with_more()) {
            let pointers = ["/seedVersion", "/job/name", "/job/maintainer/email", "/job/timeout"];
            let listing = ManifestListing::of(&manifest.to_string(), pointers);
            for pointer in pointers {
                let (_, key) = pointer.rsplit_once('/').unwrap();
                let line = &listing.lines[listing.line_of(pointer) - 1];
                let key = format!("\"{key}\"");
                prop_assert!(line.iter().any(|span| span.kind == JsonSpanKind::Key && span.text == key), "{pointer}");
            }
        }
    }

    #[test]
    fn the_complete_manifest_has_few_lines() {
        let listing = ManifestListing::of(COMPLETE, []);
        assert_eq!(
            serde_json::from_str::<Value>(&text(&listing)).unwrap(),
            serde_json::from_str::<Value>(COMPLETE).unwrap()
        );
    }
}
