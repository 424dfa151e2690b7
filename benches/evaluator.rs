//! The evaluator of `search/score.rs` beside tantivy's own queries with a `Collector` that does the same: totals, facet
//! counts, one result a job, the best twenty. `cargo bench --bench evaluator -- 1000000`; see `docs/benchmarks.md`.

#[allow(dead_code, reason = "shared with the other benchmarks")]
mod jobs;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Instant;

use silo::catalog::{CatalogueView, SearchDoc};
use silo::search::{SearchIndex, SearchKind, SearchOrder, SearchRequest};
use silo::seed::manifest;
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::columnar::{Column, StrColumn};
use tantivy::query::{
    BooleanQuery, BoostQuery, ConstScoreQuery, DisjunctionMaxQuery, FuzzyTermQuery, Occur, Query, TermQuery,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::tokenizer::{Language, Stemmer, TextAnalyzer};
use tantivy::{DocId, Index, Score, Searcher, SegmentOrdinal, SegmentReader, Term};

use silo_testkit::figures::{self, Times, ratio};

const IMAGES: usize = 10_000;
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "1.2.0", "2.0.0"];
/// As many results as a page has.
const LIMIT: usize = 20;
const ROUNDS: usize = 30;
/// One word and two, few matches and many. Words that only our tokenizer splits, such as `sentinel2`, are left out.
const QUERIES: [&str; 9] =
    ["water", "detection", "radar", "okonkwo", "job", "snow", "glacier mosaic", "water detection", "forest change"];
/// The fields of free words, with the weights of `search/ranking.rs`.
const FIELDS: [(&str, f32); 6] =
    [("name", 8.0), ("title", 8.0), ("tags", 4.0), ("people", 3.0), ("interface", 2.0), ("description", 1.0)];

fn main() {
    let count = figures::size(IMAGES);
    let folder = tempfile::tempdir().expect("a folder for the index");
    let index = filled(folder.path(), count);
    let searcher = opened(folder.path());
    println!("{count} images of {} jobs, {} segments", count / VERSIONS.len(), searcher.segment_readers().len());
    println!("  {:<26} {:>9} {:>12} {:>12} {:>7}", "query", "jobs", "evaluator", "collector", "ratio");
    for text in QUERIES {
        let [mut ours, mut theirs] = [(); 2].map(|()| Times::default());
        let (mut our_total, mut their_total) = (0, 0);
        for round in 0..ROUNDS {
            let started = Instant::now();
            our_total =
                std::hint::black_box(index.find(&request(text), &CatalogueView::whole())).expect("a result").total;
            let took = started.elapsed();
            let started = Instant::now();
            let query = query(&searcher, text);
            their_total = std::hint::black_box(searcher.search(&*query, &JobCollector)).expect("a result").total;
            // The first round fills caches of both.
            if round > 0 {
                ours.add(took);
                theirs.add(started.elapsed());
            }
        }
        assert_eq!(our_total, their_total, "{text}: both find the same jobs");
        let micros = |times: &Times| format!("{} us", times.median().as_micros());
        let factor = ratio(ours.median(), theirs.median());
        println!("  {text:<26} {our_total:>9} {:>12} {:>12} {factor:>7.1}", micros(&ours), micros(&theirs));
    }
}

fn request(text: &str) -> SearchRequest {
    SearchRequest {
        text: Some(text.to_owned()),
        kind: SearchKind::Job,
        order: SearchOrder::Relevance,
        filters: Vec::new(),
        limit: LIMIT,
        after: None,
        count: true,
        mark: false,
    }
}

fn filled(folder: &Path, count: usize) -> SearchIndex {
    const BATCH: usize = 5_000;
    let index = SearchIndex::open(folder).expect("an index");
    let next = index.begin(count as u64).expect("a generation");
    let mut docs = Vec::new();
    for number in 0..count {
        docs.push(doc(number));
        if docs.len() == BATCH || number + 1 == count {
            next.add(&docs).expect("documents");
            docs.clear();
        }
    }
    next.finish(1).expect("a whole index");
    index.serve(&next).expect("the index serves");
    index
}

/// One version of a job, as a scan would find it.
fn doc(number: usize) -> SearchDoc {
    let job = number / VERSIONS.len();
    let made = jobs::job(job, VERSIONS[number % VERSIONS.len()], "1.0.0");
    let essentials = manifest::essentials(&made.manifest);
    let repository = made.repository();
    let (org, name) = repository.split_once('/').expect("an organisation");
    SearchDoc {
        image_id: number as i64 + 1,
        job_id: job as i64 + 1,
        job_name: essentials.job_name,
        name: format!("{name}:1.0.0"),
        org: org.to_owned(),
        title: essentials.title,
        description: essentials.description,
        tags: essentials.tags,
        maintainer: format!("{} {}", essentials.maintainer, essentials.email),
        maint_org: essentials.maint_org,
        inputs: essentials.inputs.names,
        input_types: essentials.inputs.media_types,
        outputs: essentials.outputs.names,
        output_types: essentials.outputs.media_types,
        registry: "registry.example.org".to_owned(),
        job_version: essentials.job_version,
        package_version: essentials.package_version,
        seed_version: essentials.seed_version,
        platforms: vec!["linux/amd64".to_owned()],
        gpu: essentials.gpu,
        valid: true,
        is_verified: false,
        is_secondary: false,
        changed_at: number as i64,
        registry_id: 1,
        origin_id: job as i64 + 1,
        group_id: job as i64 + 1,
    }
}

/// The same files, opened by tantivy alone.
fn opened(folder: &Path) -> Searcher {
    let generations = std::fs::read_dir(folder.join("silo-search")).expect("the index's folder");
    let path = generations.flatten().map(|entry| entry.path()).max().expect("a generation");
    let index = Index::open_in_dir(path).expect("an index of tantivy");
    // Terms are looked up as they are; no text is tokenized.
    index.tokenizers().register("words", TextAnalyzer::default());
    index.reader().expect("a reader").searcher()
}

/// All words, each in the best of the fields that have it: whole, by its stem, or the last one as a prefix.
fn query(searcher: &Searcher, text: &str) -> Box<dyn Query> {
    let words: Vec<&str> = text.split(' ').collect();
    let each = words.iter().enumerate().map(|(at, word)| {
        let is_last = at + 1 == words.len();
        let ways = FIELDS.iter().flat_map(|(name, weight)| {
            let field = searcher.schema().get_field(name).expect("a field of ours");
            ways(field, *weight, word, is_last)
        });
        (Occur::Must, Box::new(DisjunctionMaxQuery::new(ways.collect())) as Box<dyn Query>)
    });
    Box::new(BooleanQuery::new(each.collect()))
}

fn ways(field: Field, weight: f32, word: &str, is_last: bool) -> Vec<Box<dyn Query>> {
    let term = |text: &str| Term::from_field_text(field, text);
    let exact = |text: &str, weight: f32| -> Box<dyn Query> {
        let query = TermQuery::new(term(text), IndexRecordOption::Basic);
        Box::new(BoostQuery::new(Box::new(query), weight))
    };
    let mut ways = vec![exact(word, weight)];
    let stem = stem(word);
    if stem != word {
        ways.push(exact(&stem, weight * 0.8));
    }
    if is_last {
        let begun = FuzzyTermQuery::new_prefix(term(word), 0, false);
        ways.push(Box::new(ConstScoreQuery::new(Box::new(begun), weight * 0.5)));
    }
    ways
}

fn stem(word: &str) -> String {
    use tantivy::tokenizer::{SimpleTokenizer, TokenStream as _};
    let mut analyzer =
        TextAnalyzer::builder(SimpleTokenizer::default()).filter(Stemmer::new(Language::English)).build();
    let mut stream = analyzer.token_stream(word);
    stream.next().map_or_else(|| word.to_owned(), |token| token.text.clone())
}

/// Number of matching jobs, the best of them, and how many have each facet value.
struct JobCollector;

struct Collected {
    total: u64,
    #[expect(dead_code, reason = "computed as a page of results would be")]
    best: Vec<(i64, Score)>,
    #[expect(dead_code, reason = "computed as the facets of results would be")]
    facets: Vec<(String, u64)>,
}

/// The matches of one segment: the best score of each job, and jobs by facet value.
struct SegmentJobs {
    jobs: Column<i64>,
    facets: StrColumn,
    best: HashMap<i64, Score>,
    seen: HashSet<(u64, i64)>,
}

type SegmentFruit = (HashMap<i64, Score>, Vec<(String, Vec<i64>)>);

impl Collector for JobCollector {
    type Fruit = Collected;
    type Child = SegmentJobs;

    fn for_segment(&self, _: SegmentOrdinal, segment: &SegmentReader) -> tantivy::Result<SegmentJobs> {
        let fast = segment.fast_fields();
        let facets = fast.str("facets")?.expect("a column of facets");
        Ok(SegmentJobs { jobs: fast.i64("job_id")?, facets, best: HashMap::new(), seen: HashSet::new() })
    }

    fn requires_scoring(&self) -> bool {
        true
    }

    fn merge_fruits(&self, fruits: Vec<SegmentFruit>) -> tantivy::Result<Collected> {
        let mut best: HashMap<i64, Score> = HashMap::new();
        let mut values: HashMap<String, HashSet<i64>> = HashMap::new();
        for (jobs, facets) in fruits {
            for (job, score) in jobs {
                best.entry(job).and_modify(|known| *known = known.max(score)).or_insert(score);
            }
            for (value, jobs) in facets {
                values.entry(value).or_default().extend(jobs);
            }
        }
        let total = best.len() as u64;
        let mut best: Vec<(i64, Score)> = best.into_iter().collect();
        let order = |a: &(i64, Score), b: &(i64, Score)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        if best.len() > LIMIT {
            best.select_nth_unstable_by(LIMIT - 1, order);
            best.truncate(LIMIT);
        }
        best.sort_unstable_by(order);
        let mut facets: Vec<(String, u64)> =
            values.into_iter().map(|(value, jobs)| (value, jobs.len() as u64)).collect();
        facets.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Ok(Collected { total, best, facets })
    }
}

impl SegmentCollector for SegmentJobs {
    type Fruit = SegmentFruit;

    fn collect(&mut self, doc: DocId, score: Score) {
        let job = self.jobs.first(doc).unwrap_or_default();
        self.best.entry(job).and_modify(|known| *known = known.max(score)).or_insert(score);
        self.seen.extend(self.facets.term_ords(doc).map(|value| (value, job)));
    }

    fn harvest(self) -> SegmentFruit {
        let mut by_value: HashMap<u64, Vec<i64>> = HashMap::new();
        for (value, job) in self.seen {
            by_value.entry(value).or_default().push(job);
        }
        let text = |value: u64| {
            let mut text = String::new();
            self.facets.ord_to_str(value, &mut text).expect("a value of the column");
            text
        };
        (self.best, by_value.into_iter().map(|(value, jobs)| (text(value), jobs)).collect())
    }
}
