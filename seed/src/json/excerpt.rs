//! Quotes untrusted text from a document in messages: shortened, with invisible characters escaped.

/// A text from the document for a message: in backquotes, escaped, at most 60 characters.
pub(crate) fn excerpt(text: &str) -> String {
    format!("`{}`", quoted(text))
}

/// As [`excerpt`], without the backquotes. Quotes and backslashes stay; control and invisible characters are escaped.
pub(crate) fn quoted(text: &str) -> String {
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
