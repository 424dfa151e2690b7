//! Recursive-descent JSON parser with error recovery: it reports a syntax error once, guesses what was meant, and
//! continues.
//!
//! It reports no faults exactly for those texts that other JSON parsers accept (a test compares it with `serde_json`).
//! Text that cannot be guessed is skipped up to the next comma or bracket; further faults are suppressed until a value
//! is parsed without a fault, because they would be consequences of the first one.

use std::borrow::Cow;

use super::escape::escape;
use super::excerpt::excerpt;
use super::{JsonDocument, JsonFault, JsonFaultKind, JsonMember, JsonNode, JsonNodeKind, JsonNumber, JsonObject};

/// Maximum nesting depth, the same as that of `serde_json`.
pub(super) const MAX_DEPTH: usize = 127;

/// Maximum number of faults that are described; further ones are counted.
const MAX_FAULTS: usize = 200;

/// Parses a whole text.
pub(crate) fn read(text: &str) -> JsonDocument<'_> {
    let mut reader = JsonReader {
        text,
        at: 0,
        open: Vec::new(),
        faults: Vec::new(),
        more: 0,
        quiet: false,
        losses: 0,
        stopped: false,
    };
    reader.skip_space();
    let root = if reader.peek().is_none() {
        reader.syntax(0, "The text is empty.", "Write a manifest: `silo init` makes one to start with.");
        JsonNode { at: 0, kind: JsonNodeKind::Broken }
    } else {
        reader.value()
    };
    reader.skip_space();
    if !reader.at_end() {
        let message = format!("{} stands after the end of the document.", reader.found());
        let help = "Remove what follows the last closing bracket, or look for a bracket that closes too early.";
        reader.fault(JsonFaultKind::TrailingText, reader.at, message, help.to_owned());
    }
    JsonDocument { root, faults: reader.faults, more: reader.more }
}

struct JsonReader<'a> {
    text: &'a str,
    /// Byte offset of the next character.
    at: usize,
    /// Open brackets: byte offset, and whether the bracket opens an object.
    open: Vec<(usize, bool)>,
    faults: Vec<JsonFault>,
    /// Number of faults beyond [`MAX_FAULTS`].
    more: usize,
    /// Text was skipped and nothing was parsed without a fault since: faults are suppressed.
    quiet: bool,
    /// How often text was skipped.
    losses: usize,
    /// The maximum depth was exceeded: parsing has ended.
    stopped: bool,
}

impl<'a> JsonReader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn at_end(&self) -> bool {
        self.stopped || self.at >= self.text.len()
    }

    /// The next character, for a message.
    fn found(&self) -> String {
        self.rest()
            .chars()
            .next()
            .map_or_else(|| "The end of the text".to_owned(), |c| excerpt(c.encode_utf8(&mut [0; 4])))
    }

    fn syntax(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.fault(JsonFaultKind::Syntax, at, message.into(), help.into());
    }

    fn fault(&mut self, kind: JsonFaultKind, at: usize, message: String, help: String) {
        if self.quiet {
            return;
        }
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(JsonFault { kind, at, message, help });
        } else {
            self.more += 1;
        }
    }

    /// Notes that text is skipped, and suppresses faults that follow from it.
    fn mark_skipped(&mut self) {
        self.losses += 1;
        self.quiet = true;
    }

    fn value(&mut self) -> JsonNode<'a> {
        let at = self.at;
        let kind = match self.peek() {
            Some(b'{') => self.read_nested(Self::object),
            Some(b'[') => self.read_nested(Self::list),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number(),
            Some(b',' | b':' | b'}' | b']') | None => {
                let message = format!("{} stands where a value belongs.", self.found());
                self.syntax(at, message, "Write the value, or remove the entry.");
                self.losses += 1;
                JsonNodeKind::Broken
            }
            _ => match self.quoted() {
                Some(Some(text)) => JsonNodeKind::Text(text),
                Some(None) => JsonNodeKind::Broken,
                None => self.word(),
            },
        };
        JsonNode { at, kind }
    }

    /// Parses an object or a list; ends parsing if the maximum depth is exceeded.
    fn read_nested(&mut self, read: fn(&mut Self) -> JsonNodeKind<'a>) -> JsonNodeKind<'a> {
        let at = self.at;
        if self.open.len() == MAX_DEPTH {
            let message = format!("More than {MAX_DEPTH} brackets are open here; nothing after this place was read.");
            self.fault(JsonFaultKind::TooDeep, at, message, "A manifest has no more than ten levels.".to_owned());
            self.stopped = true;
            self.mark_skipped();
            return JsonNodeKind::Broken;
        }
        self.open.push((at, self.peek() == Some(b'{')));
        self.at += 1;
        let kind = read(self);
        self.open.pop();
        kind
    }

    fn object(&mut self) -> JsonNodeKind<'a> {
        let losses = self.losses;
        let mut members = Vec::new();
        while self.goes_on(b'}', !members.is_empty()) {
            match self.member() {
                Some(member) => members.push(member),
                None => self.pass_over(),
            }
            self.separator(true);
        }
        JsonNodeKind::Object(JsonObject { members, whole: losses == self.losses })
    }

    fn list(&mut self) -> JsonNodeKind<'a> {
        let mut items = Vec::new();
        while self.goes_on(b']', !items.is_empty()) {
            let faults = self.faults.len();
            items.push(self.value());
            if self.peek() == Some(b':') {
                self.syntax(self.at, "`:` stands in an array.", "Give the pair an object of its own, in `{` and `}`.");
                self.pass_over();
            } else if faults == self.faults.len() {
                self.quiet = false;
            }
            self.separator(false);
        }
        JsonNodeKind::List(items)
    }

    /// Moves to the next entry of an object or list and returns `true`, or past the closing bracket and returns
    /// `false`. `after`: at least one entry was parsed, so a comma before the closing bracket is a trailing comma.
    fn goes_on(&mut self, close: u8, after: bool) -> bool {
        loop {
            self.skip_space();
            let comma = self.text[..self.at].trim_ascii_end().len().saturating_sub(1);
            match self.peek() {
                _ if self.stopped => return false,
                None => {
                    self.report_early_end();
                    return false;
                }
                Some(c) if c == close => {
                    if after && self.text.as_bytes()[comma] == b',' {
                        self.syntax(comma, "The last entry has a comma after it.", "Remove the comma.");
                    }
                    self.at += 1;
                    return false;
                }
                Some(wrong @ (b'}' | b']')) => {
                    self.report_wrong_bracket(char::from(wrong), char::from(close));
                    return false;
                }
                Some(b',') => {
                    self.syntax(self.at, "A comma has no entry before it.", "Remove the comma.");
                    self.at += 1;
                }
                Some(_) => return true,
            }
        }
    }

    /// Reports a closing bracket of the wrong type. If it matches an outer open bracket it is not consumed; otherwise
    /// it is taken for the closing bracket of this level.
    fn report_wrong_bracket(&mut self, found: char, close: char) {
        let closes_another = self.open.iter().rev().skip(1).any(|(_, object)| *object == (found == '}'));
        let help = if closes_another { "Put it before this one." } else { "Write it instead." };
        self.syntax(self.at, format!("`{found}` stands where `{close}` belongs."), help);
        self.mark_skipped();
        if !closes_another {
            self.at += 1;
        }
    }

    fn report_early_end(&mut self) {
        if let Some((at, object)) = self.open.last().copied().filter(|_| !self.quiet) {
            let line = self.text[..at].bytes().filter(|b| *b == b'\n').count() + 1;
            let (open, close) = if object { ('{', '}') } else { ('[', ']') };
            let message = format!("The text ends before the `{open}` of line {line} is closed.");
            self.syntax(self.text.len(), message, format!("Add the missing `{close}`, or the rest of the text."));
        }
        self.mark_skipped();
    }

    fn member(&mut self) -> Option<JsonMember<'a>> {
        let (at, faults, losses) = (self.at, self.faults.len(), self.losses);
        let key = self.key()?;
        self.skip_space();
        match self.peek() {
            Some(b':') => self.at += 1,
            Some(b'=') => {
                self.syntax(self.at, "`=` stands where `:` belongs.", "Write `:` between key and value.");
                self.at += 1;
            }
            _ => {
                let message = format!("{} stands where `:` belongs.", self.found());
                self.syntax(self.at, message, "Write `\"key\": value`.");
                self.losses += 1;
                if matches!(self.peek(), Some(b',' | b'}' | b']') | None) {
                    return None;
                }
            }
        }
        self.skip_space();
        let value = self.value();
        if faults == self.faults.len() && losses == self.losses {
            self.quiet = false;
        }
        Some(JsonMember { key, at, value })
    }

    fn key(&mut self) -> Option<Cow<'a, str>> {
        if let Some(key) = self.quoted() {
            return key;
        }
        let (at, word) = (self.at, self.take_word());
        if word.is_empty() {
            let message = format!("{} stands where a key in double quotes belongs.", self.found());
            self.syntax(at, message, "An object holds entries of the form `\"key\": value`.");
            return None;
        }
        let shown = excerpt(word);
        self.syntax(at, format!("The key {shown} has no quotes."), "Put it in double quotes.");
        Some(Cow::Borrowed(word))
    }

    /// Parses the separator between two entries: a comma, or nothing before a closing bracket.
    fn separator(&mut self, in_object: bool) {
        let end = self.at;
        self.skip_space();
        match self.peek() {
            Some(b',') => self.at += 1,
            Some(b'}' | b']') | None => {}
            Some(b';') => {
                self.syntax(self.at, "`;` stands where a comma belongs.", "Write a comma.");
                self.at += 1;
            }
            // The next entry follows, so only the comma is missing.
            Some(b'"') => self.report_missing_comma(end),
            Some(b'{' | b'[' | b'-' | b'0'..=b'9') if !in_object => self.report_missing_comma(end),
            Some(_) => {
                let message = format!("{} stands where a comma or the end belongs.", self.found());
                self.syntax(self.at, message, "Separate entries with commas, and put texts in double quotes.");
                self.pass_over();
                if self.peek() == Some(b',') {
                    self.at += 1;
                }
            }
        }
    }

    fn report_missing_comma(&mut self, end: usize) {
        let last = self.text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
        self.syntax(last, "A comma is missing after this.", "Write a comma between the entries.");
    }

    /// Skips to the next comma or closing bracket of this level; strings and nested brackets are skipped whole.
    fn pass_over(&mut self) {
        self.mark_skipped();
        let mut depth = 0_usize;
        while let Some(c) = self.peek() {
            match c {
                b',' | b'}' | b']' if depth == 0 => return,
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => {
                    self.string('"');
                    continue;
                }
                _ => {}
            }
            self.at += self.rest().chars().next().map_or(1, char::len_utf8);
        }
    }

    /// Parses a string in any kind of quotes: `None` if there is no quote here, `Some(None)` if the string is not
    /// closed.
    fn quoted(&mut self) -> Option<Option<Cow<'a, str>>> {
        let open = self.rest().chars().next()?;
        let close = match open {
            '"' => '"',
            '\'' => '\'',
            '`' => '`',
            '\u{2018}' | '\u{2019}' => '\u{2019}',
            '\u{201c}' | '\u{201d}' | '\u{201e}' => '\u{201d}',
            _ => return None,
        };
        if open != '"' {
            self.syntax(
                self.at,
                format!("`{open}` is no quote of JSON."),
                "Put texts in straight double quotes, `\"`.",
            );
        }
        Some(self.string(close))
    }

    /// Parses the string that starts here; `None` if it is not closed on its line.
    fn string(&mut self, close: char) -> Option<Cow<'a, str>> {
        let open = self.at;
        self.at += self.rest().chars().next().map_or(0, char::len_utf8);
        let begin = self.at;
        self.skip_plain(close);
        if self.rest().starts_with(close) {
            let text = &self.text[begin..self.at];
            self.at += close.len_utf8();
            return Some(Cow::Borrowed(text));
        }
        let mut text = self.text[begin..self.at].to_owned();
        loop {
            let plain = self.at;
            self.skip_plain(close);
            text.push_str(&self.text[plain..self.at]);
            match self.rest().chars().next() {
                Some('\\') => text.push(self.escaped()),
                Some(c) if c == close => {
                    self.at += close.len_utf8();
                    return Some(Cow::Owned(text));
                }
                Some(c) if c != '\n' && c != '\r' => {
                    let code = u32::from(c);
                    let help = format!("Write it as `\\u{code:04x}`, or remove it.");
                    self.syntax(self.at, format!("The control character U+{code:04X} stands in a text."), help);
                    text.push(c);
                    self.at += 1;
                }
                _ => {
                    let help = "Close it with a double quote; a line break inside a text is written `\\n`.";
                    self.syntax(open, "A text is not closed on its line.", help);
                    self.mark_skipped();
                    return None;
                }
            }
        }
    }

    /// Skips characters of a string that need no handling.
    fn skip_plain(&mut self, close: char) {
        let bytes = self.text.as_bytes();
        let first = if close.is_ascii() { close as u8 } else { b'\xe2' };
        while let Some(b) = bytes.get(self.at) {
            if *b < 0x20 || *b == b'\\' || (*b == first && (close.is_ascii() || self.rest().starts_with(close))) {
                return;
            }
            self.at += 1;
        }
    }

    /// Decodes an escape; an invalid one is reported and replaced by U+FFFD.
    fn escaped(&mut self) -> char {
        match escape(self.rest()) {
            Some((c, length)) => {
                self.at += length;
                c
            }
            None => {
                let shown: String = self.rest().chars().take(2).collect();
                let message = format!("{} is no escape of JSON.", excerpt(&shown));
                let help = match shown.as_str() {
                    "\\u" => "It takes four hexadecimal digits, and a surrogate needs its other half.",
                    _ => "Write `\\\\` for a backslash.",
                };
                self.syntax(self.at, message, help);
                self.at += 1;
                char::REPLACEMENT_CHARACTER
            }
        }
    }

    fn number(&mut self) -> JsonNodeKind<'a> {
        let at = self.at;
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
        let text = self.take_while(is_part);
        if !JsonNumber::is_valid(text) {
            let help = "Write digits, with a fraction or an exponent if need be; put anything else in double quotes.";
            self.syntax(at, format!("{} is no number of JSON.", excerpt(text)), help);
            return JsonNodeKind::Broken;
        }
        let number = JsonNumber(text);
        if !number.is_in_range() {
            let message = format!("{} is beyond what a double holds.", excerpt(text));
            self.fault(JsonFaultKind::NumberOutOfRange, at, message, "Write a smaller number.".to_owned());
            return JsonNodeKind::Broken;
        }
        JsonNodeKind::Number(number)
    }

    /// Parses `true`, `false` or `null`, or reports an unquoted word.
    fn word(&mut self) -> JsonNodeKind<'a> {
        let (at, word) = (self.at, self.take_word());
        match word {
            "true" => return JsonNodeKind::Bool(true),
            "false" => return JsonNodeKind::Bool(false),
            "null" => return JsonNodeKind::Null,
            "" => {
                let message = format!("{} stands where a value belongs.", self.found());
                self.syntax(
                    at,
                    message,
                    "A value is a text in double quotes, a number, true, false, null, `[…]` or `{…}`.",
                );
                self.pass_over();
                return JsonNodeKind::Broken;
            }
            _ => {}
        }
        let help = match word.to_ascii_lowercase().as_str() {
            "true" => "Write `true`.",
            "false" => "Write `false`.",
            "null" | "none" | "nil" | "undefined" => "Leave the field out.",
            "nan" | "inf" | "infinity" => "JSON has no such number; leave the field out.",
            _ => "Put texts in double quotes.",
        };
        self.syntax(at, format!("{} is no value of JSON.", excerpt(word)), help);
        JsonNodeKind::Broken
    }

    fn take_word(&mut self) -> &'a str {
        self.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '.'))
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    /// Skips white space; also reports and skips comments and white space that JSON does not allow.
    fn skip_space(&mut self) {
        loop {
            while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
                self.at += 1;
            }
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { return };
            let length = if c == '#' || rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else if c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}' {
                let message = format!("U+{:04X} is no white space of JSON.", u32::from(c));
                self.syntax(self.at, message, "Write an ordinary blank, or nothing.");
                self.at += c.len_utf8();
                continue;
            } else {
                return;
            };
            self.syntax(self.at, "JSON has no comments.", "Remove the comment; `description` has room for words.");
            self.at += length;
        }
    }
}
