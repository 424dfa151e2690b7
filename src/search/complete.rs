//! How a text may go on while it is typed. Pure.

use std::collections::HashMap;

use super::words;

/// The text with its last word finished as words of the others are, the most frequent first; nothing where the last word is
/// finished.
pub fn complete<'a>(typed: &str, texts: impl Iterator<Item = &'a str>, limit: usize) -> Vec<String> {
    let begun = typed.char_indices().rev().take_while(|(_, c)| c.is_alphanumeric()).last().map(|(at, _)| at);
    let Some((before, begun)) = begun.map(|at| typed.split_at(at)) else { return Vec::new() };
    let begun = words::plain(begun).concat();
    let already = words::plain(before);
    let mut seen: HashMap<String, usize> = HashMap::new();
    for text in texts {
        let mut words: Vec<String> = words::spans(text).into_iter().map(|span| span.word).collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            if word.starts_with(&begun) && word != begun && !already.contains(&word) {
                *seen.entry(word).or_default() += 1;
            }
        }
    }
    let mut words: Vec<(String, usize)> = seen.into_iter().collect();
    words.sort_unstable_by(|(a, times), (b, others)| others.cmp(times).then_with(|| a.cmp(b)));
    words.into_iter().take(limit).map(|(word, _)| format!("{before}{word}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = ["flood-extent", "Flood Extent from Sentinel2", "floeSize"];

    #[test]
    fn the_last_word_is_finished() {
        let table: [(&str, &[&str]); 8] = [
            ("flo", &["flood", "floe", "floesize"]),
            ("FLOO", &["flood"]),
            ("big flo", &["big flood", "big floe", "big floesize"]),
            ("flood e", &["flood extent"]),
            ("flood flo", &["flood floe", "flood floesize"]),
            ("tag:sent", &["tag:sentinel", "tag:sentinel2"]),
            ("flood ", &[]),
            ("", &[]),
        ];
        for (typed, expected) in table {
            assert_eq!(complete(typed, TEXTS.into_iter(), 9), expected, "{typed}");
        }
        assert_eq!(complete("flo", TEXTS.into_iter(), 1), ["flood"]);
    }
}
