//! Keeps each log event on one line, whatever its names and causes contain.

use std::io::{self, Write};

/// Writes each event, which arrives as one buffer, as one line: control characters become `\u{…}`, except colour
/// sequences if `coloured`.
pub(super) struct SingleLineWriter<W> {
    pub(super) to: W,
    pub(super) coloured: bool,
}

impl<W: Write> Write for SingleLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.to.write_all(one_line(&String::from_utf8_lossy(event), self.coloured).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn one_line(event: &str, coloured: bool) -> String {
    let (text, end) = event.strip_suffix('\n').map_or((event, ""), |text| (text, "\n"));
    let mut line = String::with_capacity(event.len());
    for (at, c) in text.char_indices() {
        let is_line = matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if (c.is_control() || is_line) && !(coloured && is_colour(&text[at..])) {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line + end
}

/// Whether a text begins with a sequence that sets a terminal's colours (ECMA-48, SGR).
fn is_colour(text: &str) -> bool {
    let parameters = text.strip_prefix("\u{1b}[").unwrap_or_default();
    parameters.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m')
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use std::sync::Arc;

    use proptest::prelude::*;
    use tracing_subscriber::fmt::writer::BoxMakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn colours_stay_where_they_are_wanted_and_nothing_else() {
        let event = "\u{1b}[1;32mINFO\u{1b}[0m a\u{1b}[2Jb\u{1b}]0;title\u{7}\n";
        let line = one_line(event, true);
        assert_eq!(line, "\u{1b}[1;32mINFO\u{1b}[0m a\\u{1b}[2Jb\\u{1b}]0;title\\u{7}\n");
        assert!(!one_line(event, false).contains('\u{1b}'));
    }

    proptest! {
        #[test]
        fn no_text_forges_a_line(text in "\\PC{0,20}[\n\r\u{85}\u{2028}\u{b}\u{1b}\u{7f}]\\PC{0,20}") {
            let kept = Kept::default();
            let to = kept.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_writer(BoxMakeWriter::new(move || SingleLineWriter { to: to.clone(), coloured: false }))
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                let span = tracing::error_span!("request", path = text.as_str(), shown = %text);
                let _entered = span.enter();
                tracing::info!(name = text.as_str(), why = %text, "{text}");
            });
            let log = String::from_utf8(kept.0.lock().clone()).unwrap();
            let (line, rest) = log.split_once('\n').unwrap();
            prop_assert_eq!(rest, "");
            prop_assert!(!line.chars().any(|c| c.is_control() || c == '\u{2028}'), "{:?}", line);
        }
    }
}
