//! From bytes to the text that is judged, and from offsets in that text to lines and columns.

use std::borrow::Cow;

/// A manifest's text.
pub(super) struct Source<'a> {
    pub text: Cow<'a, str>,
    /// A byte order mark stood before it.
    pub marked: bool,
    /// Where the first byte that is not UTF-8 stood.
    pub broken_at: Option<usize>,
    /// It was UTF-16, told by its byte order mark.
    pub utf16: bool,
}

/// Decodes the bytes, whatever they are; each broken sequence becomes U+FFFD. A byte order mark is no part of the text.
pub(super) fn decode(bytes: &[u8]) -> Source<'_> {
    let units =
        |order: fn([u8; 2]) -> u16| bytes[2..].as_chunks::<2>().0.iter().map(|pair| order(*pair)).collect::<Vec<_>>();
    let utf16 = match bytes {
        [0xff, 0xfe, ..] => Some(units(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => Some(units(u16::from_be_bytes)),
        _ => None,
    };
    if let Some(units) = utf16 {
        let text = Cow::Owned(String::from_utf16_lossy(&units));
        return Source { text, marked: true, broken_at: Some(0), utf16: true };
    }
    let unmarked = bytes.strip_prefix("\u{feff}".as_bytes());
    let bytes_of_text = unmarked.unwrap_or(bytes);
    let (text, broken_at) = match str::from_utf8(bytes_of_text) {
        Ok(text) => (Cow::Borrowed(text), None),
        // Up to the first broken sequence the text and the bytes are the same.
        Err(why) => (String::from_utf8_lossy(bytes_of_text), Some(why.valid_up_to())),
    };
    Source { text, marked: unmarked.is_some(), broken_at, utf16: false }
}

/// Turns ascending byte offsets into lines and columns (in characters, both from 1), going through the text once.
pub(super) struct Places<'a> {
    rest: &'a str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'a> Places<'a> {
    pub fn of(text: &'a str) -> Self {
        Self { rest: text, at: 0, line: 1, column: 1 }
    }

    /// Line and column of an offset that is not before the last one.
    pub fn next(&mut self, offset: usize) -> (u32, u32) {
        let (passed, rest) = self.rest.split_at(offset.saturating_sub(self.at).min(self.rest.len()));
        self.rest = rest;
        self.at += passed.len();
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        match passed.rfind('\n') {
            Some(end) => {
                self.line += count_line_feeds(passed);
                self.column = 1 + count(&passed[end + 1..]);
            }
            None => self.column += count(passed),
        }
        (self.line, self.column)
    }
}

fn count_line_feeds(text: &str) -> u32 {
    u32::try_from(text.bytes().filter(|b| *b == b'\n').count()).unwrap_or(u32::MAX)
}
