//! Executes a search request: first the query as typed, then, if it finds too little, similar spellings and partial
//! matches.

use std::time::{Duration, Instant};

use tantivy::schema::Field;

use super::collect::{FacetSetFilter, GatheredDocs, ResultSorter, gather};
use super::columns::IndexView;
use super::compounds::CompoundWords;
use super::generation::IndexGeneration;
use super::highlight::MatchHighlighter;
use super::query::{self, ParsedQuery};
use super::ranking::QueryCompiler;
use super::restriction::seen_by;
use super::schema::IndexFields;
use super::score::{ScoreEvaluator, ScoreExpr};
use super::spelling::{self, SpellingsByWord, TypoTolerance};
use super::synonyms::SynonymTable;
use super::{
    Result, SearchHit, SearchKind, SearchOrder, SearchRequest, SearchResponse, index_error, prefix, tokenizer,
};
use crate::catalog::CatalogueView;

/// Maximum duration of a search.
const LONGEST: Duration = Duration::from_secs(2);
/// With fewer matches than this, similarly spelled words match as well.
const ENOUGH: u64 = 5;

/// As [`super::SearchIndex::find`].
pub(super) fn find(
    serving: &IndexGeneration,
    synonyms: &SynonymTable,
    request: &SearchRequest,
    reader: &CatalogueView,
) -> Result<SearchResponse> {
    let view = seen_by(&serving.view(), reader);
    let known = view.known();
    let query = match request.text.as_deref().map(query::parse).transpose()? {
        Some(None) => return Ok(SearchResponse::default()),
        Some(Some(query)) => Some(query),
        None => None,
    };
    let search = SearchExecution {
        view: &view,
        fields: &serving.fields,
        synonyms,
        filter: FacetSetFilter::new(&request.filters, request.count, &known),
        until: Instant::now() + LONGEST,
    };
    let SearchMatches { found, spellings, compounds } = match &query {
        Some(query) => search.text(query)?,
        None => SearchMatches { found: search.gather(&ScoreExpr::Everything(1.0))?, ..SearchMatches::default() },
    };
    let sorting = ResultSorter { view: &view, known: &known, kind: request.kind, order: request.order };
    let facets = if request.count { sorting.counts(&found) } else { Vec::new() };
    let mut images = found.images;
    // A number in the query may name an old version, so latest images are not put first.
    let names_a_version = request.text.as_ref().is_some_and(|text| text.contains(char::is_numeric));
    let results = match request.kind {
        SearchKind::Job => sorting.collapse(&images),
        SearchKind::Image => {
            if request.order == SearchOrder::Relevance && !names_a_version {
                sorting.put_latest_first(&mut images);
            }
            images
        }
    };
    let total = results.len() as u64;
    let (page, more) = sorting.page(results, request.after.as_ref(), request.limit);
    let hit = |hit| SearchHit {
        id: sorting.id(hit),
        image_id: sorting.image(hit),
        is_secondary: sorting.is_secondary(hit),
        score: sorting.score(hit),
    };
    Ok(SearchResponse {
        total,
        hits: page.iter().map(hit).collect(),
        next: page.last().filter(|_| more).map(|hit| sorting.place(hit)),
        facets,
        did_you_mean: query.as_ref().and_then(|query| search.did_you_mean(query, &spellings)),
        marks: query.filter(|_| request.mark).map_or_else(MatchHighlighter::default, |query| {
            MatchHighlighter::new(&query, synonyms, &spellings, &compounds)
        }),
    })
}

/// One search in one state of the index.
struct SearchExecution<'a> {
    view: &'a IndexView,
    fields: &'a IndexFields,
    synonyms: &'a SynonymTable,
    filter: FacetSetFilter,
    until: Instant,
}

/// The images that match, and the other spellings that matched as well.
#[derive(Default)]
struct SearchMatches {
    found: GatheredDocs,
    spellings: SpellingsByWord,
    compounds: CompoundWords,
}

impl SearchExecution<'_> {
    fn gather(&self, expr: &ScoreExpr) -> Result<GatheredDocs> {
        let mut evaluation = ScoreEvaluator::new(self.view, self.until);
        let scores = evaluation.scores(expr)?;
        let gathered = gather(self.view, &scores, &self.filter);
        evaluation.recycle(scores);
        Ok(gathered)
    }

    fn ranking<'a>(&'a self, spellings: &'a SpellingsByWord, compounds: &'a CompoundWords) -> QueryCompiler<'a> {
        QueryCompiler { fields: self.fields, synonyms: self.synonyms, spellings, compounds }
    }

    fn text(&self, query: &ParsedQuery) -> Result<SearchMatches> {
        let mut spellings = SpellingsByWord::new();
        let mut compounds = CompoundWords::of(self.view, self.fields, query).map_err(index_error)?;
        let mut found = self.gather(&self.ranking(&spellings, &compounds).all_words(query))?;
        for (tolerance, enough) in [(TypoTolerance::Usual, ENOUGH), (TypoTolerance::ShortWords, 1)] {
            if found.matching >= enough {
                break;
            }
            spellings = spelling::near(self.view, self.fields, query, tolerance).map_err(index_error)?;
            if !spellings.is_empty() {
                found = self.gather(&self.ranking(&spellings, &compounds).all_words(query))?;
            }
        }
        if found.matching < ENOUGH {
            let joined = spelling::near_joined(self.view, self.fields, query).map_err(index_error)?;
            if !joined.is_empty() {
                compounds.add_spellings(query, &joined, self.fields);
                found = self.gather(&self.ranking(&spellings, &compounds).all_words(query))?;
            }
        }
        if found.matching == 0 {
            compounds.allow_single_pairs();
            found = self.gather(&self.ranking(&spellings, &compounds).any_word(query))?;
        }
        Ok(SearchMatches { found, spellings, compounds })
    }

    fn did_you_mean(&self, query: &ParsedQuery, spellings: &SpellingsByWord) -> Option<String> {
        spelling::did_you_mean(query, spellings, |word| self.is_known(word), |word| self.is_begun(word))
    }

    /// Whether a document has a word that begins so. An index that cannot be read says no.
    fn is_begun(&self, word: &str) -> bool {
        let begins = |field: Field| prefix::is_begun(self.view, field, word).unwrap_or(false);
        self.fields.weights().iter().any(|(field, _)| begins(*field))
    }

    /// Whether a document contains exactly this word, or its stem.
    fn is_known(&self, word: &str) -> bool {
        let has = |way: &str| {
            self.fields
                .weights()
                .iter()
                .any(|(field, _)| self.view.word_frequency(*field, way).is_ok_and(|docs| docs > 0))
        };
        has(word) || tokenizer::stem(word).is_some_and(|stem| has(&stem))
    }
}
