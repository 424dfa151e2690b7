//! Where a query matches in the texts of an image, so that people see why it was found. Pure.
//!
//! Texts stay plain: what matches is told as ranges, and whoever shows a text escapes it as it has to.

use std::collections::HashSet;
use std::ops::Range;

use super::query::{Query, Scope};
use super::spelling::Spellings;
use super::synonyms::Synonyms;
use super::words::{self, Span};
use crate::catalog::SearchDoc;

/// The most texts that are told of a result.
const MAX_HIGHLIGHTS: usize = 12;
/// How much is told of a long text, in characters, and how much of it before the first match.
const FRAGMENT: usize = 200;
const BEFORE: usize = 40;

/// A text of an image in which a query matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Highlight {
    /// `name`, `title`, `description`, `tag`, `maintainer`, `organization`, `org`, `image`, `registry`, `input`, `output`,
    /// `inputType`, `outputType` or `platform`.
    pub field: &'static str,
    /// The text, or the fragment of it in which most matches; `…` where something was left out.
    pub text: String,
    /// What matches, in characters of `text`: ascending, and apart from each other.
    pub ranges: Vec<Range<usize>>,
}

/// The words that a query found something by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks(Vec<Mark>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    /// The only field in which it counts; `None` in all that are searched.
    scope: Option<Scope>,
    word: String,
    stem: Option<String>,
    /// What only begins with it counts too.
    is_begun: bool,
}

impl Marks {
    pub(super) fn new(query: &Query, synonyms: &Synonyms, spellings: &Spellings) -> Self {
        let mut marks = Vec::new();
        for alternative in &query.alternatives {
            for group in alternative.groups(synonyms) {
                for word in &group.words {
                    marks.push(Mark::new(None, word, alternative.unfinished() == Some(word)));
                    let near = spellings.get(word).into_iter().flatten();
                    marks.extend(near.map(|near| Mark { stem: None, ..Mark::new(None, &near.word, false) }));
                }
                marks.extend(group.others.iter().flatten().map(|word| Mark::new(None, word, false)));
            }
            for clause in &alternative.clauses {
                let unfinished = clause.words.last().filter(|_| clause.scope.is_some() && !clause.is_phrase);
                let words = clause.words.iter();
                marks.extend(words.map(|word| Mark::new(clause.scope, word, unfinished == Some(word))));
            }
        }
        Self(marks)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The texts of an image in which something matches, the telling ones first.
    pub fn of(&self, doc: &SearchDoc) -> Vec<Highlight> {
        use Scope::{Input, Maintainer, Media, Name, Org, Output, Platform, Registry, Tag, Title};
        let one = std::slice::from_ref::<String>;
        let texts: [(&'static str, &[String], &[Scope]); 14] = [
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

    fn highlight(&self, field: &'static str, text: &str, scopes: &[Scope]) -> Option<Highlight> {
        let ranges = self.ranges(text, scopes);
        let (text, ranges) = (!ranges.is_empty()).then(|| fragment(text, &ranges))?;
        Some(Highlight { field, text, ranges })
    }

    /// What matches in a text, in bytes. A word that matches is one range, whatever parts of it match too.
    fn ranges(&self, text: &str, scopes: &[Scope]) -> Vec<Range<usize>> {
        // These are searched by their names only.
        let is_searched = !scopes.iter().any(|scope| matches!(scope, Scope::Registry | Scope::Platform));
        let counts = |mark: &&Mark| mark.scope.map_or(is_searched, |scope| scopes.contains(&scope));
        let marks: Vec<&Mark> = self.0.iter().filter(counts).collect();
        if marks.is_empty() {
            return Vec::new();
        }
        let known: HashSet<&str> = marks.iter().flat_map(|mark| mark.ways()).collect();
        let begun: Vec<&str> = marks.iter().filter(|mark| mark.is_begun).map(|mark| mark.word.as_str()).collect();
        let is_meant = |span: &Span| {
            known.contains(span.word.as_str())
                || begun.iter().any(|begun| span.word.starts_with(begun))
                || words::stem(&span.word).is_some_and(|stem| known.contains(stem.as_str()))
        };
        let mut ranges: Vec<Range<usize>> = Vec::new();
        for span in words::spans(text).iter().filter(|span| is_meant(span)) {
            if ranges.last().is_none_or(|last| last.end <= span.range.start) {
                ranges.push(span.range.clone());
            }
        }
        ranges
    }
}

impl Mark {
    fn new(scope: Option<Scope>, word: &str, is_begun: bool) -> Self {
        Self { scope, word: word.to_owned(), stem: words::stem(word), is_begun }
    }

    /// The word and its stem.
    fn ways(&self) -> impl Iterator<Item = &str> {
        [Some(self.word.as_str()), self.stem.as_deref()].into_iter().flatten()
    }
}

/// A text, or the part of it with most of the ranges; and these in characters. `ranges` are bytes, and at least one.
fn fragment(text: &str, ranges: &[Range<usize>]) -> (String, Vec<Range<usize>>) {
    let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let position = |byte: usize| starts.partition_point(|at| *at < byte);
    let mut ranges: Vec<Range<usize>> = ranges.iter().map(|range| position(range.start)..position(range.end)).collect();
    let length = starts.len() - 1;
    if length <= FRAGMENT {
        return (text.to_owned(), ranges);
    }
    let within = |first: &Range<usize>| {
        ranges.iter().filter(|other| first.start <= other.start && other.end <= first.start + FRAGMENT - BEFORE).count()
    };
    // The first of the best.
    let best = ranges.iter().rev().max_by_key(|first| within(first)).expect("there is one").clone();
    let is_blank = |at: usize| text[starts[at]..].starts_with(char::is_whitespace);
    let mut from = best.start.saturating_sub(BEFORE);
    if from > 0 {
        from = (from..best.start).find(|at| is_blank(*at)).map_or(best.start, |at| at + 1);
    }
    let mut to = (from + FRAGMENT).min(length);
    if to < length {
        to = (best.end.min(to)..to).rev().find(|at| is_blank(*at)).unwrap_or(to);
    }
    ranges.retain(|range| from <= range.start && range.start < to);
    let shift = usize::from(from > 0);
    for range in &mut ranges {
        *range = range.start - from + shift..range.end.min(to) - from + shift;
    }
    let cut = |is_cut: bool| if is_cut { "…" } else { "" };
    (format!("{}{}{}", cut(from > 0), &text[starts[from]..starts[to]], cut(to < length)), ranges)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::query;
    use super::*;

    fn marks(text: &str) -> Marks {
        let query = query::parse(text).unwrap().unwrap();
        Marks::new(&query, &Synonyms::default(), &Spellings::new())
    }

    /// With the ranges in brackets.
    fn shown(highlight: &Highlight) -> String {
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
        fn ranges_are_ascending_and_inside(text in "([a-c ßİ\u{301}é…A-C0-2]{0,12} ?){0,60}", query in "[a-c]{1,2}") {
            let doc = SearchDoc { description: text, ..SearchDoc::default() };
            for highlight in marks(&query).of(&doc) {
                let mut end = 0;
                for range in &highlight.ranges {
                    prop_assert!(end <= range.start && range.start < range.end, "{highlight:?}");
                    end = range.end;
                }
                prop_assert!(end <= highlight.text.chars().count());
                prop_assert!(!highlight.ranges.is_empty());
            }
        }
    }
}
