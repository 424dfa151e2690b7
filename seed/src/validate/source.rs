//! Decodes a manifest's bytes, and converts offsets in its text to lines and columns.

use std::borrow::Cow;

/// A manifest's text, and what decoding found.
pub(super) struct DecodedManifest<'a> {
    pub text: Cow<'a, str>,
    /// The bytes began with a byte order mark.
    pub marked: bool,
    /// Offset of the first byte that is not UTF-8.
    pub broken_at: Option<usize>,
    /// The bytes were UTF-16, detected by the byte order mark.
    pub utf16: bool,
}

/// Decodes arbitrary bytes; each invalid sequence becomes U+FFFD. A byte order mark is removed.
pub(super) fn decode(bytes: &[u8]) -> DecodedManifest<'_> {
    let units =
        |order: fn([u8; 2]) -> u16| bytes[2..].as_chunks::<2>().0.iter().map(|pair| order(*pair)).collect::<Vec<_>>();
    let utf16 = match bytes {
        [0xff, 0xfe, ..] => Some(units(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => Some(units(u16::from_be_bytes)),
        _ => None,
    };
    if let Some(units) = utf16 {
        let text = Cow::Owned(String::from_utf16_lossy(&units));
        return DecodedManifest { text, marked: true, broken_at: Some(0), utf16: true };
    }
    let unmarked = bytes.strip_prefix("\u{feff}".as_bytes());
    let bytes_of_text = unmarked.unwrap_or(bytes);
    let (text, broken_at) = match str::from_utf8(bytes_of_text) {
        Ok(text) => (Cow::Borrowed(text), None),
        // Up to the first invalid sequence the text and the bytes are equal.
        Err(why) => (String::from_utf8_lossy(bytes_of_text), Some(why.valid_up_to())),
    };
    DecodedManifest { text, marked: unmarked.is_some(), broken_at, utf16: false }
}

/// Converts ascending byte offsets to lines and columns (in characters, both from 1) in one pass over the text.
pub(super) struct LineColumnCursor<'a> {
    rest: &'a str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'a> LineColumnCursor<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { rest: text, at: 0, line: 1, column: 1 }
    }

    /// Line and column of an offset, which must not be less than that of the last call.
    pub(super) fn next(&mut self, offset: usize) -> (u32, u32) {
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
