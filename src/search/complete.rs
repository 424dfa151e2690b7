//! Completes the last word of a text while it is typed. Pure.

use std::collections::HashMap;

use super::folding::composed;
use super::tokenizer::{SpanKind, UnfinishedWord, goes_on, is_unspaced, plain, spans};

/// Completions of `typed`: its last word is replaced by words of `texts` that begin with it, the most frequent first.
/// Empty if the last word is finished.
pub fn complete<'a>(typed: &str, texts: impl Iterator<Item = &'a str>, limit: usize) -> Vec<String> {
    let Some(unfinished) = UnfinishedWord::read(typed) else { return Vec::new() };
    let UnfinishedWord { before, begun, is_unspaced } = &unfinished;
    let already = plain(before);
    // Word → number of texts with it, and its spelling in the first of them.
    let mut seen: HashMap<String, (usize, String)> = HashMap::new();
    for text in texts {
        let mut words: Vec<(String, String)> = if *is_unspaced {
            goes_on(text, begun).into_iter().map(|word| (plain(word).concat(), composed(word))).collect()
        } else {
            spaced_completions(text, begun)
        };
        words.sort_unstable();
        words.dedup_by(|(a, _), (b, _)| a == b);
        for (word, written) in words {
            if word != *begun && !already.contains(&word) {
                seen.entry(word).or_insert((0, written)).0 += 1;
            }
        }
    }
    let mut words: Vec<(String, (usize, String))> = seen.into_iter().collect();
    words.sort_unstable_by(|(a, (times, _)), (b, (others, _))| others.cmp(times).then_with(|| a.cmp(b)));
    words.into_iter().take(limit).map(|(_, (_, written))| format!("{before}{written}")).collect()
}

/// The words of a text that begin with `begun`, each with its spelling in the text. A compound is offered only if
/// `begun` is longer than its first part; until then its parts are.
fn spaced_completions(text: &str, begun: &str) -> Vec<(String, String)> {
    let mut words: Vec<(String, String)> = Vec::new();
    let mut start_of_word = None;
    for span in spans(text).into_iter().filter(|span| !is_unspaced(&span.word) && span.word.starts_with(begun)) {
        if span.kind == SpanKind::Word {
            start_of_word = Some(span.range.start);
        }
        if span.kind != SpanKind::Joined || start_of_word != Some(span.range.start) {
            words.push((span.word, composed(&text[span.range]).to_lowercase()));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] = [
        "flood-extent",
        "Flood Extent from Sentinel2",
        "floeSize",
        "Gro\u{308}ße der Pan-sharpening",
        "海氷検出の処理、海氷の監視 홍수 탐지",
    ];

    #[test]
    fn the_last_word_is_finished() {
        let table: [(&str, &[&str]); 15] = [
            ("flo", &["flood", "floe", "floesize"]),
            ("FLOO", &["flood"]),
            ("big flo", &["big flood", "big floe", "big floesize"]),
            ("flood e", &["flood extent"]),
            ("flood flo", &["flood floe", "flood floesize"]),
            ("tag:sent", &["tag:sentinel", "tag:sentinel2"]),
            ("grö", &["größe"]),
            ("gro\u{308}", &["größe"]),
            ("pan", &[]),
            ("pansh", &["pan-sharpening"]),
            ("海", &["海氷", "海氷検出"]),
            ("NDVI海氷", &["NDVI海氷検出"]),
            ("탐 홍", &["탐 홍수"]),
            ("flood ", &[]),
            ("", &[]),
        ];
        for (typed, expected) in table {
            assert_eq!(complete(typed, TEXTS.into_iter(), 9), expected, "{typed}");
        }
        assert_eq!(complete("flo", TEXTS.into_iter(), 1), ["flood"]);
    }
}
