//! How texts become words: runs of letters and digits, in lower case, without accents; identifiers also in their parts,
//! and English words also as their stems. Pure.

use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer, TextAnalyzer,
    TokenStream as _,
};

/// Longer words, in bytes, are no words: nobody types them.
const MAX_WORD_BYTES: usize = 255;

/// Cuts what was cut already by [`indexed`]: at white space only, since a word stands for itself.
pub fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(tantivy::tokenizer::WhitespaceTokenizer::default()).build()
}

/// The words of a text in their order, without parts and stems: `landCover` is `landcover`.
pub fn plain(text: &str) -> Vec<String> {
    let mut analyzer = TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES + 1))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build();
    let mut words = Vec::new();
    analyzer.token_stream(text).process(&mut |token| words.push(token.text.clone()));
    words
}

/// The words of a query: identifiers only in their parts.
pub fn typed(text: &str) -> Vec<String> {
    plain(&apart(text, false))
}

/// The words of a document, each once it is a word, a part of one, or a stem.
pub fn indexed(text: &str) -> String {
    let mut words = plain(text);
    // Whole words keep their order and their neighbours; the others come after all of them.
    let parts: Vec<String> = plain(&apart(text, true)).into_iter().filter(|part| !words.contains(part)).collect();
    words.extend(parts);
    let stems: Vec<String> = words.iter().filter_map(|word| stem(word)).filter(|stem| !words.contains(stem)).collect();
    words.extend(stems);
    words.join(" ")
}

/// The stem of an English word, if it is another word.
pub fn stem(word: &str) -> Option<String> {
    let mut stemmer = TextAnalyzer::builder(tantivy::tokenizer::RawTokenizer::default())
        .filter(Stemmer::new(Language::English))
        .build();
    let mut stemmed = String::new();
    stemmer.token_stream(word).process(&mut |token| stemmed.clone_from(&token.text));
    (!stemmed.is_empty() && stemmed != word).then_some(stemmed)
}

/// The text with its identifiers taken apart where a capital follows a small letter; and, if wished, where digits begin.
fn apart(text: &str, at_digits: bool) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    for c in text.chars() {
        let is_hump = before.is_lowercase() && c.is_uppercase();
        if is_hump || at_digits && before.is_alphabetic() && c.is_ascii_digit() {
            out.push(' ');
        }
        out.push(c);
        before = c;
    }
    out
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
    fn words_of_one_stem_meet() {
        for (one, other) in [("icebergs", "iceberg"), ("thumbnails", "thumbnailer"), ("predict", "predicts")] {
            let root = |word: &str| stem(word).unwrap_or_else(|| word.to_owned());
            assert_eq!(root(one), root(other));
        }
        assert_eq!(stem("water"), None);
    }
}
