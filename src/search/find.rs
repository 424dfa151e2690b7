//! Executes a search request: first the query as typed, then, if it finds too little, similar spellings and partial
//! matches.

use std::time::{Duration, Instant};

use tantivy::Term;
use tantivy::schema::Field;

use super::collect::{Candidate, Passing, Sorting, gather};
use super::columns::View;
use super::compounds::CompoundWords;
use super::generation::{Generation, index_error};
use super::highlight::Marks;
use super::query::{self, Query};
use super::ranking::Ranking;
use super::schema::Fields;
use super::score::{Evaluation, Expr};
use super::spelling::{self, Spellings, Tolerance};
use super::synonyms::Synonyms;
use super::{Found, Hit, Kind, Order, Request, Result, prefix, words};

/// Maximum duration of a search.
const LONGEST: Duration = Duration::from_secs(2);
/// With fewer matches than this, similarly spelled words match as well.
const ENOUGH: u64 = 5;

/// As [`super::Index::find`].
pub fn find(serving: &Generation, synonyms: &Synonyms, request: &Request) -> Result<Found> {
    let view = serving.view();
    let known = view.known();
    let query = match request.text.as_deref().map(query::parse).transpose()? {
        Some(None) => return Ok(Found::default()),
        Some(Some(query)) => Some(query),
        None => None,
    };
    let search = Search {
        view: &view,
        fields: &serving.fields,
        synonyms,
        passing: Passing::new(&request.filters, &known),
        until: Instant::now() + LONGEST,
    };
    let Matches { mut images, spellings, compounds } = match &query {
        Some(query) => search.text(query)?,
        None => Matches { images: search.gather(&Expr::Everything(1.0))?.0, ..Matches::default() },
    };
    let sorting = Sorting { view: &view, known: &known, kind: request.kind, order: request.order };
    let facets = if request.count { sorting.counts(&images) } else { Vec::new() };
    // A number in the query may be an old version.
    let names_a_version = request.text.as_ref().is_some_and(|text| text.contains(char::is_numeric));
    let results = match request.kind {
        Kind::Job => sorting.collapse(&images),
        Kind::Image => {
            if request.order == Order::Relevance && !names_a_version {
                sorting.put_latest_first(&mut images);
            }
            images
        }
    };
    let total = results.len() as u64;
    let (page, more) = sorting.page(results, request.after.as_ref(), request.limit);
    let hit = |hit| Hit {
        id: sorting.id(hit),
        image_id: sorting.image(hit),
        is_secondary: sorting.is_secondary(hit),
        score: sorting.score(hit),
    };
    Ok(Found {
        total,
        hits: page.iter().map(hit).collect(),
        next: page.last().filter(|_| more).map(|hit| sorting.place(hit)),
        facets,
        did_you_mean: query.as_ref().and_then(|query| search.did_you_mean(query, &spellings)),
        marks: query
            .filter(|_| request.mark)
            .map_or_else(Marks::default, |query| Marks::new(&query, synonyms, &spellings, &compounds)),
    })
}

/// One search in one state of the index.
struct Search<'a> {
    view: &'a View,
    fields: &'a Fields,
    synonyms: &'a Synonyms,
    passing: Passing,
    until: Instant,
}

/// The images that match, and the other spellings that matched as well.
#[derive(Default)]
struct Matches {
    images: Vec<Candidate>,
    spellings: Spellings,
    compounds: CompoundWords,
}

impl Search<'_> {
    fn gather(&self, expr: &Expr) -> Result<(Vec<Candidate>, u64)> {
        let mut evaluation = Evaluation::new(self.view, self.until);
        let scores = evaluation.scores(expr)?;
        let gathered = gather(self.view, &scores, &self.passing);
        evaluation.give_back(scores);
        Ok(gathered)
    }

    fn ranking<'a>(&'a self, spellings: &'a Spellings, compounds: &'a CompoundWords) -> Ranking<'a> {
        Ranking { fields: self.fields, synonyms: self.synonyms, spellings, compounds }
    }

    fn text(&self, query: &Query) -> Result<Matches> {
        let mut spellings = Spellings::new();
        let mut compounds = CompoundWords::of(self.view, self.fields, query).map_err(index_error)?;
        let (mut images, mut matching) = self.gather(&self.ranking(&spellings, &compounds).all_words(query))?;
        for (tolerance, enough) in [(Tolerance::Usual, ENOUGH), (Tolerance::ShortWords, 1)] {
            if matching >= enough {
                break;
            }
            spellings = spelling::near(self.view, self.fields, query, tolerance).map_err(index_error)?;
            if !spellings.is_empty() {
                (images, matching) = self.gather(&self.ranking(&spellings, &compounds).all_words(query))?;
            }
        }
        if matching < ENOUGH {
            let joined = spelling::near_joined(self.view, self.fields, query).map_err(index_error)?;
            if !joined.is_empty() {
                compounds.correct(query, &joined, self.fields);
                (images, matching) = self.gather(&self.ranking(&spellings, &compounds).all_words(query))?;
            }
        }
        if matching == 0 {
            compounds.loosen();
            images = self.gather(&self.ranking(&spellings, &compounds).any_word(query))?.0;
        }
        Ok(Matches { images, spellings, compounds })
    }

    fn did_you_mean(&self, query: &Query, spellings: &Spellings) -> Option<String> {
        spelling::did_you_mean(query, spellings, |word| self.is_known(word), |word| self.is_begun(word))
    }

    /// Whether a document has a word that begins so. An index that cannot be read says no.
    fn is_begun(&self, word: &str) -> bool {
        let begins = |field: Field| prefix::is_begun(&self.view.searcher, field, word).unwrap_or(false);
        self.fields.weights().iter().any(|(field, _)| begins(*field))
    }

    /// Whether a document contains exactly this word, or its stem.
    fn is_known(&self, word: &str) -> bool {
        let has = |way: &str| {
            self.fields.weights().iter().any(|(field, _)| {
                self.view.searcher.doc_freq(&Term::from_field_text(*field, way)).is_ok_and(|docs| docs > 0)
            })
        };
        has(word) || words::stem(word).is_some_and(|stem| has(&stem))
    }
}
