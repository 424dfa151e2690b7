//! Finds where a query matches in the texts of an image, to show why the image was found. Pure.
//!
//! Texts are not marked up: matches are returned as ranges, and the code that displays a text escapes it.

use std::collections::HashSet;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation as _;

use super::compounds::CompoundWords;
use super::query::{ParsedQuery, QueryField};
use super::spelling::SpellingsByWord;
use super::synonyms::SynonymTable;
use super::tokenizer::{self, SpanKind, WordSpan};
use crate::catalog::SearchDoc;

/// Maximum number of highlighted texts per result.
const MAX_HIGHLIGHTS: usize = 12;
/// Length of the fragment of a long text, and of its part before the first match, in characters.
const FRAGMENT: usize = 200;
const BEFORE: usize = 40;

/// A text of an image in which a query matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextHighlight {
    /// `name`, `title`, `description`, `tag`, `maintainer`, `organization`, `org`, `image`, `registry`, `input`,
    /// `output`, `inputType`, `outputType` or `platform`.
    pub field: &'static str,
    /// The text, or the fragment of it with the most matches; `…` marks omitted text.
    pub text: String,
    /// Matching ranges, in characters of `text`: ascending and disjoint.
    pub ranges: Vec<Range<usize>>,
}

/// The words by which a query matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MatchHighlighter(Vec<HighlightTerm>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct HighlightTerm {
    /// The only field in which it matches; `None`: all fields that are searched.
    scope: Option<QueryField>,
    word: String,
    stem: Option<String>,
    /// Words that begin with it match too.
    is_begun: bool,
    /// All words, if they match only next to each other; else empty.
    sequence: Vec<String>,
}

impl MatchHighlighter {
    pub(super) fn new(
        query: &ParsedQuery,
        synonyms: &SynonymTable,
        spellings: &SpellingsByWord,
        compounds: &CompoundWords,
    ) -> Self {
        let mut marks = Vec::new();
        for alternative in &query.alternatives {
            for group in alternative.groups(synonyms) {
                for word in &group.words {
                    marks.push(HighlightTerm::new(None, word, alternative.unfinished() == Some(word)));
                    marks.extend(HighlightTerm::of_compounds(None, word, compounds));
                    let near = spellings.get(word).into_iter().flatten();
                    marks.extend(
                        near.map(|near| HighlightTerm { stem: None, ..HighlightTerm::new(None, &near.word, false) }),
                    );
                }
                marks.extend(group.others.iter().flatten().map(|word| HighlightTerm::new(None, word, false)));
            }
            for clause in &alternative.clauses {
                let unfinished = clause.words.last().filter(|_| clause.scope.is_some() && !clause.is_phrase);
                for word in &clause.words {
                    marks.push(HighlightTerm::new(clause.scope, word, unfinished == Some(word)));
                    marks.extend(HighlightTerm::of_compounds(clause.scope, word, compounds));
                }
            }
        }
        Self(marks)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts of an image that match, the most informative fields first.
    pub fn of(&self, doc: &SearchDoc) -> Vec<TextHighlight> {
        use QueryField::{Input, Maintainer, Media, Name, Org, Output, Platform, Registry, Tag, Title};
        let one = std::slice::from_ref::<String>;
        let texts: [(&'static str, &[String], &[QueryField]); 14] = [
            ("name", one(&doc.job_name), &[Name]),
            ("title", one(&doc.title), &[Title]),
            ("tag", &doc.tags, &[Tag]),
            ("description", one(&doc.description), &[]),
            ("maintainer", one(&doc.maintainer), &[Maintainer]),
            ("organization", one(&doc.maint_org), &[Org]),
            ("input", &doc.inputs, &[Input]),
            ("output", &doc.outputs, &[Output]),
            ("inputType", &doc.input_types, &[Input, Media]),
            ("outputType", &doc.output_types, &[Output, Media]),
            ("org", one(&doc.org), &[Org]),
            ("image", one(&doc.name), &[Name]),
            ("registry", one(&doc.registry), &[Registry]),
            ("platform", &doc.platforms, &[Platform]),
        ];
        let each =
            texts.iter().flat_map(|(field, texts, scopes)| texts.iter().map(move |text| (*field, text, *scopes)));
        each.filter_map(|(field, text, scopes)| self.highlight(field, text, scopes)).take(MAX_HIGHLIGHTS).collect()
    }

    fn highlight(&self, field: &'static str, text: &str, scopes: &[QueryField]) -> Option<TextHighlight> {
        let ranges = self.ranges(text, scopes);
        let (text, ranges) = if ranges.is_empty() { None } else { fragment(text, &ranges) }?;
        Some(TextHighlight { field, text, ranges })
    }

    /// The matching ranges of a text, in bytes. A matching word is one range, whichever of its parts match too.
    fn ranges(&self, text: &str, scopes: &[QueryField]) -> Vec<Range<usize>> {
        // Registry and platform are searched only if the query names them.
        let is_searched = !scopes.iter().any(|scope| matches!(scope, QueryField::Registry | QueryField::Platform));
        let counts = |mark: &&HighlightTerm| mark.scope.map_or(is_searched, |scope| scopes.contains(&scope));
        let marks: Vec<&HighlightTerm> = self.0.iter().filter(counts).collect();
        if marks.is_empty() {
            return Vec::new();
        }
        let spans = tokenizer::spans(text);
        let wanted = WantedWords::of(&marks);
        let mut ranges = wanted.found(&spans);
        let joined = spans.iter().filter(|span| span.kind == SpanKind::Joined && wanted.has(span));
        // A compound is highlighted only if none of its words is.
        let alone = joined.filter(|joined| ranges.iter().all(|range| !overlap(range, &joined.range)));
        let alone: Vec<Range<usize>> = alone.map(|joined| joined.range.clone()).collect();
        ranges.extend(alone);
        whole(text, ranges)
    }
}

/// The words to find in one text.
struct WantedWords<'a> {
    /// First letters of `words` and `begun`, without duplicates.
    first_letters: Vec<char>,
    /// Words and their stems.
    words: HashSet<&'a str>,
    begun: Vec<&'a str>,
    sequences: Vec<&'a [String]>,
}

impl<'a> WantedWords<'a> {
    fn of(marks: &[&'a HighlightTerm]) -> Self {
        let single = marks.iter().filter(|mark| mark.sequence.is_empty());
        let words: HashSet<&str> = single.flat_map(|mark| mark.ways()).collect();
        let begun: Vec<&str> = marks.iter().filter(|mark| mark.is_begun).map(|mark| mark.word.as_str()).collect();
        let mut first_letters: Vec<char> = words.iter().chain(&begun).filter_map(|word| word.chars().next()).collect();
        first_letters.sort_unstable();
        first_letters.dedup();
        Self {
            first_letters,
            words,
            begun,
            sequences: marks.iter().map(|mark| mark.sequence.as_slice()).filter(|words| !words.is_empty()).collect(),
        }
    }

    fn has(&self, span: &WordSpan) -> bool {
        // Most words of a text are ruled out by their first letter, without computing their stems.
        let first = span.word.chars().next();
        if !first.is_some_and(|first| self.first_letters.contains(&first) || tokenizer::stem_may_begin_otherwise(first))
        {
            return false;
        }
        self.words.contains(span.word.as_str())
            || self.begun.iter().any(|begun| span.word.starts_with(begun))
            || tokenizer::stem(&span.word).is_some_and(|stem| self.words.contains(stem.as_str()))
    }

    /// Ranges of words, parts and sequences that match, unordered.
    fn found(&self, spans: &[WordSpan]) -> Vec<Range<usize>> {
        let single = spans.iter().filter(|span| span.kind != SpanKind::Joined && self.has(span));
        let mut ranges: Vec<Range<usize>> = single.map(|span| span.range.clone()).collect();
        let in_place: Vec<&WordSpan> = spans.iter().filter(|span| span.kind == SpanKind::Word).collect();
        for sequence in &self.sequences {
            let mut rest = in_place.as_slice();
            while rest.len() >= sequence.len() {
                let (these, others) = rest.split_at(sequence.len());
                if these.iter().map(|span| &span.word).eq(*sequence) {
                    ranges.extend(these.iter().map(|span| span.range.clone()));
                    rest = others;
                } else {
                    rest = &rest[1..];
                }
            }
        }
        ranges
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}

/// Sorts ranges, extends them to whole graphemes, and merges those that overlap.
fn whole(text: &str, mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    if ranges.is_empty() {
        return ranges;
    }
    // In ASCII every character is a grapheme, apart from CR LF.
    if !text.is_ascii() {
        let ends = ends(text);
        for range in &mut ranges {
            range.start = ends[ends.partition_point(|end| *end <= range.start) - 1];
            range.end = ends[ends.partition_point(|end| *end < range.end)];
        }
    }
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = range.end.max(last.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// 0, and the end of each grapheme of a text, in bytes.
fn ends(text: &str) -> Vec<usize> {
    let ends = text.grapheme_indices(true).map(|(at, grapheme)| at + grapheme.len());
    std::iter::once(0).chain(ends).collect()
}

impl HighlightTerm {
    fn new(scope: Option<QueryField>, word: &str, is_begun: bool) -> Self {
        let pairs = tokenizer::pairs(word);
        let sequence = if pairs.len() > 1 { pairs } else { Vec::new() };
        let is_begun = is_begun && !tokenizer::is_unspaced(word);
        Self { scope, word: word.to_owned(), stem: tokenizer::stem(word), is_begun, sequence }
    }

    /// The other ways to write a word, alone or joined with its neighbours.
    fn of_compounds(scope: Option<QueryField>, word: &str, compounds: &CompoundWords) -> Vec<Self> {
        let joined = compounds.joined(word).iter();
        let mut marks: Vec<Self> = joined.map(|joined| Self::new(scope, &joined.text, joined.is_begun)).collect();
        for sequence in compounds.readings(word).iter().flatten() {
            match sequence.as_slice() {
                [word] => marks.push(Self::new(scope, word, false)),
                _ => marks.push(Self { sequence: sequence.clone(), ..Self::new(scope, word, false) }),
            }
        }
        marks
    }

    /// The word and its stem.
    fn ways(&self) -> impl Iterator<Item = &str> {
        [Some(self.word.as_str()), self.stem.as_deref()].into_iter().flatten()
    }
}

/// A text, or the fragment of it with the most ranges, and the ranges in characters. `ranges` are in bytes, and not
/// empty. `None` if no grapheme ends within the fragment.
fn fragment(text: &str, ranges: &[Range<usize>]) -> Option<(String, Vec<Range<usize>>)> {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let position = |byte: usize| starts.partition_point(|at| *at < byte);
    let mut ranges: Vec<Range<usize>> = ranges.iter().map(|range| position(range.start)..position(range.end)).collect();
    let length = starts.len() - 1;
    if length <= FRAGMENT {
        return Some((text.to_owned(), ranges));
    }
    let within = |first: &Range<usize>| {
        ranges.iter().filter(|other| first.start <= other.start && other.end <= first.start + FRAGMENT - BEFORE).count()
    };
    // The first of those with the most ranges.
    let best = ranges.iter().rev().max_by_key(|first| within(first)).expect("there is one").clone();
    let ends = if text.is_ascii() { Vec::new() } else { ends(text) };
    let may_cut = |at: &usize| ends.is_empty() || ends.binary_search(&starts[*at]).is_ok();
    let is_blank = |at: &usize| text[starts[*at]..].starts_with(char::is_whitespace);
    let mut from = best.start.saturating_sub(BEFORE);
    if from > 0 {
        from = (from..best.start).find(|at| is_blank(at) && may_cut(&(at + 1))).map_or(best.start, |at| at + 1);
    }
    let mut to = (from + FRAGMENT).min(length);
    if to < length {
        let blank = (best.end.min(to)..to).rev().find(|at| is_blank(at) && may_cut(at));
        to = blank.or_else(|| (best.start + 1..=to).rev().find(may_cut))?;
    }
    ranges.retain(|range| from <= range.start && range.start < to);
    let shift = usize::from(from > 0);
    for range in &mut ranges {
        *range = range.start - from + shift..range.end.min(to) - from + shift;
    }
    let cut = |is_cut: bool| if is_cut { "…" } else { "" };
    Some((format!("{}{}{}", cut(from > 0), &text[starts[from]..starts[to]], cut(to < length)), ranges))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::query;
    use super::*;

    fn marks(text: &str) -> MatchHighlighter {
        let query = query::parse(text).unwrap().unwrap();
        MatchHighlighter::new(&query, &SynonymTable::default(), &SpellingsByWord::new(), &CompoundWords::default())
    }

    /// The text with the ranges in brackets.
    fn shown(highlight: &TextHighlight) -> String {
        let mut out = format!("{}: ", highlight.field);
        for (at, c) in highlight.text.chars().enumerate() {
            if highlight.ranges.iter().any(|range| range.start == at) {
                out.push('[');
            }
            out.push(c);
            if highlight.ranges.iter().any(|range| range.end == at + 1) {
                out.push(']');
            }
        }
        out
    }

    fn all(query: &str, doc: &SearchDoc) -> Vec<String> {
        marks(query).of(doc).iter().map(shown).collect()
    }

    fn doc() -> SearchDoc {
        SearchDoc {
            job_name: "landCover_v2".into(),
            title: "Größe of <b>icebergs</b>".into(),
            tags: vec!["radar".into(), "sea-ice".into()],
            description: "Finds icebergs in GeoTIFF scenes.".into(),
            maint_org: "Radar Works".into(),
            input_types: vec!["image/tiff".into()],
            registry: "radar.example".into(),
            ..SearchDoc::default()
        }
    }

    #[test]
    fn what_matches_is_marked() {
        let table: [(&str, &[&str]); 7] = [
            ("cover", &["name: land[Cover]_v2"]),
            ("landco", &["name: [landCover]_v2"]),
            ("iceberg", &["title: Größe of <b>[icebergs]</b>", "description: Finds [icebergs] in GeoTIFF scenes."]),
            ("groesse+grosse", &["title: [Größe] of <b>icebergs</b>"]),
            ("tif", &["description: Finds icebergs in [GeoTIFF] scenes.", "inputType: image/[tiff]"]),
            ("tag:radar", &["tag: [radar]"]),
            ("registry:radar \"sea ice\"", &["tag: [sea]-[ice]", "registry: [radar].example"]),
        ];
        for (query, expected) in table {
            assert_eq!(all(query, &doc()), expected, "{query}");
        }
        assert_eq!(all("-radar", &doc()), [""; 0]);
    }

    #[test]
    fn whole_letters_are_marked() {
        let table: [(&str, &str, &[&str]); 9] = [
            ("Gro\u{308}ße und Zu\u{308}rich", "größe zürich", &["title: [Gro\u{308}ße] und [Zu\u{308}rich]"]),
            ("衛星画像から海氷を検出", "海氷", &["title: 衛星画像から[海氷]を検出"]),
            ("衛星画像から海氷を検出", "画像から", &["title: 衛星[画像から]海氷を検出"]),
            ("海の氷と海氷と海", "海氷", &["title: 海の氷と[海氷]と海"]),
            ("น้ำท่วม", "น", &["title: [น้ำ]ท่วม"]),
            ("Sentinel-2画像", "sentinel画", &["title: [Sentinel]-2[画]像"]),
            ("A pan-sharpener", "pansharp", &["title: A [pan-sharpener]"]),
            ("In C++ and C", "c++", &["title: In [C++] and C"]),
            ("multi\u{ad}spectral ﬁlter", "multispectral filt", &["title: [multi\u{ad}spectral] [ﬁlter]"]),
        ];
        for (title, query, expected) in table {
            let doc = SearchDoc { title: title.into(), ..SearchDoc::default() };
            assert_eq!(all(query, &doc), expected, "{query}");
        }
    }

    #[test]
    fn of_a_long_text_the_part_with_most_matches_is_told() {
        let filler = "lorem ipsum dolor sit amet ".repeat(20);
        let doc = SearchDoc { description: format!("ice {filler}sea ice edge {filler}"), ..SearchDoc::default() };
        let found = &marks("sea ice edge").of(&doc)[0];
        assert!(found.text.starts_with('…') && found.text.ends_with('…'), "{}", found.text);
        assert!(found.text.chars().count() <= FRAGMENT + 2);
        assert!(shown(found).contains("[sea] [ice] [edge]"), "{}", shown(found));
        let endless = SearchDoc { description: "ice".repeat(80), ..SearchDoc::default() };
        assert!(marks("ice").of(&endless)[0].text.chars().count() <= FRAGMENT + 2);
    }

    proptest! {
        #[test]
        fn a_text_is_cut_between_its_letters(
            text in "([a-c ßİ\u{301}é…A-C0-2\r\n]{0,12} ?){0,60}|([a海氷をガカ\u{3099}한\u{1112}\u{1161}น้ำहि्न🇩🇪👩\u{200d}🚀]{0,9} ?){0,60}",
            query in "[a-c]{1,2}|[海氷カนह한]{1,2}",
        ) {
            let doc = SearchDoc { description: text.clone(), ..SearchDoc::default() };
            for highlight in marks(&query).of(&doc) {
                let shown = highlight.text.as_str();
                prop_assert!(text.contains(shown.trim_matches('…')));
                let chars: Vec<(usize, char)> = shown.char_indices().collect();
                let byte = |at: usize| chars.get(at).map_or(shown.len(), |(byte, _)| *byte);
                let (mut end, mut rejoined, cuts) = (0, String::new(), ends(shown));
                for range in &highlight.ranges {
                    prop_assert!(end <= range.start && range.start < range.end && range.end <= chars.len(), "{highlight:?}");
                    prop_assert!(cuts.contains(&byte(range.start)) && cuts.contains(&byte(range.end)), "{highlight:?}");
                    rejoined += &shown[byte(end)..byte(range.start)];
                    rejoined += &shown[byte(range.start)..byte(range.end)];
                    end = range.end;
                }
                prop_assert_eq!(rejoined + &shown[byte(end)..], shown);
                prop_assert!(!highlight.ranges.is_empty());
            }
        }
    }
}
