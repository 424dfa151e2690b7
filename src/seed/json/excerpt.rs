//! Texts of a document in messages: hostile ones, so short, and nothing in them that would not be seen.

/// A text from the document for a message: quoted, escaped and short.
pub(in crate::seed) fn excerpt(text: &str) -> String {
    format!("`{}`", quoted(text))
}

/// The same without quotes around it. Quotes and backslashes stay as they are; what would not be seen is spelled out.
pub(in crate::seed) fn quoted(text: &str) -> String {
    const CHARS: usize = 60;
    let mut shown = String::new();
    for (count, c) in text.chars().enumerate() {
        match c {
            _ if count == CHARS => return shown + "…",
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}
