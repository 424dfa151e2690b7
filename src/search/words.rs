//! How texts become words: runs of letters and digits, in lower case, without accents; identifiers also in their parts,
//! and English words also as their stems. Pure.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RawTokenizer, SimpleTokenizer, Stemmer, TextAnalyzer, TokenStream as _,
};

/// Longer words, in bytes, are no words: nobody types them.
const MAX_WORD_BYTES: usize = 255;

/// Cuts what was cut already by [`indexed`]: at white space only, since a word stands for itself.
pub fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(tantivy::tokenizer::WhitespaceTokenizer::default()).build()
}

thread_local! {
    /// Making one takes longer than cutting a text with it.
    static PLAIN: RefCell<TextAnalyzer> = RefCell::new(
        TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(LowerCaser)
            .filter(AsciiFoldingFilter)
            .build(),
    );
    static STEM: RefCell<(TextAnalyzer, HashMap<String, Option<String>>)> = RefCell::new((
        TextAnalyzer::builder(RawTokenizer::default()).filter(Stemmer::new(Language::English)).build(),
        HashMap::new(),
    ));
}

/// The words of a text in their order, without parts and stems: `landCover` is `landcover`.
pub fn plain(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    each(text, |range, word| {
        if range.len() <= MAX_WORD_BYTES {
            words.push(word.to_owned());
        }
    });
    words
}

/// Each word with the bytes of the text where it stands, too long ones too.
fn each(text: &str, mut tell: impl FnMut(Range<usize>, &str)) {
    PLAIN.with_borrow_mut(|analyzer| {
        analyzer.token_stream(text).process(&mut |token| tell(token.offset_from..token.offset_to, &token.text));
    });
}

/// The words of a query: identifiers only in their parts.
pub fn typed(text: &str) -> Vec<String> {
    plain(&apart(text, parts(text, false)))
}

/// Cuts the texts of documents, and remembers how: versions of a job have most texts in common, and so have jobs of one
/// author.
#[derive(Default)]
pub struct Cutter {
    known: HashMap<String, String>,
    bytes: usize,
}

impl Cutter {
    /// Bytes of texts and their words.
    const REMEMBERED: usize = 8 << 20;

    /// As [`indexed`].
    pub fn indexed(&mut self, text: &str) -> &str {
        if self.bytes > Self::REMEMBERED {
            *self = Self::default();
        }
        if !self.known.contains_key(text) {
            let words = indexed(text);
            self.bytes += text.len() + words.len();
            self.known.insert(text.to_owned(), words);
        }
        &self.known[text]
    }
}

/// The words of a document, then the parts of them, then the stems of both, each once.
fn indexed(text: &str) -> String {
    let mut words = plain(text);
    // Whole words keep their order and their neighbours; the others come after all of them.
    let mut known: HashSet<String> = words.iter().cloned().collect();
    let pieces = parts(text, true);
    if pieces.len() > 1 {
        words.extend(plain(&apart(text, pieces)).into_iter().filter(|part| known.insert(part.clone())));
    }
    let stems: Vec<String> =
        words.iter().filter_map(|word| stem(word)).filter(|stem| known.insert(stem.clone())).collect();
    words.extend(stems);
    words.join(" ")
}

/// A word of a text, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Bytes of the text.
    pub range: Range<usize>,
    pub word: String,
}

/// Where the words of a text stand, each before its own parts: what [`indexed`] makes words of.
pub fn spans(text: &str) -> Vec<Span> {
    let mut wholes = Vec::new();
    each(text, |range, word| wholes.push(Span { range, word: word.to_owned() }));
    let mut spans = Vec::new();
    for whole in wholes {
        let start = whole.range.start;
        let parts = parts(&text[whole.range.clone()], true);
        if whole.range.len() <= MAX_WORD_BYTES {
            spans.push(whole);
        }
        if parts.len() > 1 {
            let inner = parts.into_iter().map(|part| start + part.start..start + part.end);
            spans.extend(inner.map(|range| Span { word: plain(&text[range.clone()]).concat(), range }));
        }
    }
    spans.retain(|span| !span.word.is_empty());
    spans
}

/// The stem of an English word, if it is another word.
pub fn stem(word: &str) -> Option<String> {
    /// So many stems are remembered: texts of one field use the same words again and again.
    const REMEMBERED: usize = 20_000;
    STEM.with_borrow_mut(|(analyzer, known)| {
        if let Some(stem) = known.get(word) {
            return stem.clone();
        }
        let mut stemmed = String::new();
        analyzer.token_stream(word).process(&mut |token| stemmed.clone_from(&token.text));
        let stem = (!stemmed.is_empty() && stemmed != word).then_some(stemmed);
        if known.len() == REMEMBERED {
            known.clear();
        }
        known.insert(word.to_owned(), stem.clone());
        stem
    })
}

/// The parts of a text with blanks between them.
fn apart(text: &str, parts: Vec<Range<usize>>) -> String {
    parts.into_iter().map(|part| &text[part]).collect::<Vec<_>>().join(" ")
}

/// The text cut where a capital follows a small letter; and, if wished, where digits follow letters.
fn parts(text: &str, at_digits: bool) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let (mut start, mut before) = (0, ' ');
    for (at, c) in text.char_indices() {
        let is_hump = before.is_lowercase() && c.is_uppercase();
        if is_hump || at_digits && before.is_alphabetic() && c.is_ascii_digit() {
            parts.push(start..at);
            start = at;
        }
        before = c;
    }
    parts.push(start..text.len());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_words_and_parts() {
        assert_eq!(typed("landCover_v2"), ["land", "cover", "v2"]);
        assert_eq!(indexed("landCover_v2"), "landcover v2 land cover v 2 landcov");
        assert_eq!(indexed("Sentinel2"), "sentinel2 sentinel 2");
    }

    #[test]
    fn a_text_is_cut_alike_again_and_again() {
        let mut cutter = Cutter::default();
        for text in ["landCover_v2", "Sentinel2", "landCover_v2", ""] {
            assert_eq!(cutter.indexed(text), indexed(text));
        }
        assert_eq!(cutter.known.len(), 3);
        // What is remembered has a limit.
        cutter.bytes += Cutter::REMEMBERED;
        assert_eq!(cutter.indexed("landCover"), indexed("landCover"));
        assert_eq!((cutter.known.len(), cutter.bytes), (1, "landCover".len() + indexed("landCover").len()));
    }

    #[test]
    fn words_stand_where_they_were_written() {
        let text = "Größe, landCover_v2";
        let spans = spans(text);
        let found: Vec<_> = spans.iter().map(|span| (&text[span.range.clone()], span.word.as_str())).collect();
        let expected = [
            ("Größe", "grosse"),
            ("landCover", "landcover"),
            ("land", "land"),
            ("Cover", "cover"),
            ("v2", "v2"),
            ("v", "v"),
            ("2", "2"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn words_of_one_stem_meet() {
        for (one, other) in [("icebergs", "iceberg"), ("thumbnails", "thumbnailer"), ("predict", "predicts")] {
            let root = |word: &str| stem(word).unwrap_or_else(|| word.to_owned());
            assert_eq!(root(one), root(other));
        }
        assert_eq!(stem("water"), None);
    }
}
