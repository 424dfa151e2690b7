//! The judged queries of `testkit/judged`: jobs, queries with their relevant jobs, and quality measures of a ranking.
//! Identical on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};

use super::draw::Draw;

const JOBS: &str = include_str!("../judged/jobs.txt");
const PEOPLE: &str = include_str!("../judged/people.txt");
const VOCABULARY: &str = include_str!("../judged/vocabulary.txt");
const QUERIES: &str = include_str!("../judged/queries.txt");

/// Number of generated jobs of each field of work.
const MADE_UP_EACH: usize = 90;
/// Number of results that people look at.
pub const DEPTH: usize = 10;

/// An image of a registry: its place, and the manifest in its label.
pub struct TaggedManifest {
    pub repository: String,
    pub tag: String,
    pub manifest: String,
}

/// A job with all its versions.
#[derive(Clone)]
pub struct Job {
    pub name: String,
    title: String,
    description: String,
    tags: Vec<String>,
    person: &'static str,
    inputs: Vec<String>,
    outputs: Vec<String>,
    versions: Vec<String>,
}

/// A maintainer.
struct Person {
    name: &'static str,
    organization: &'static str,
    /// First segment of their repositories.
    org: &'static str,
}

/// A query, and the names of its relevant jobs.
pub struct Query {
    pub kind: &'static str,
    pub text: &'static str,
    pub relevant: BTreeSet<String>,
}

/// Quality of a ranking, averaged over queries.
#[derive(Clone, Copy, Default)]
pub struct Quality {
    queries: usize,
    /// Sum of the reciprocal ranks of the first relevant job; 0 if it is not among the first [`DEPTH`].
    reciprocal: f64,
    /// Sum of recall at [`DEPTH`], relative to at most [`DEPTH`] relevant jobs.
    recall: f64,
}

/// All jobs: hand-written ones first.
pub fn jobs() -> Vec<Job> {
    let mut jobs: Vec<Job> = lines(JOBS).map(written).collect();
    let blocks = VOCABULARY.split("\n[").skip(1);
    for (number, block) in blocks.enumerate() {
        let field = Field::read(block);
        for at in 0..MADE_UP_EACH {
            jobs.push(field.job(at, number as u64));
        }
    }
    jobs
}

/// All queries.
pub fn queries(jobs: &[Job]) -> Vec<Query> {
    let read = |line: &'static str| {
        let [kind, text, meant] = fields(line);
        let relevant: BTreeSet<String> =
            jobs.iter().filter(|job| job.is_meant(meant)).map(|job| job.name.clone()).collect();
        assert!(!relevant.is_empty(), "no job is meant by {line}");
        Query { kind, text, relevant }
    };
    lines(QUERIES).map(read).collect()
}

impl Job {
    /// Its images, one per version.
    pub fn images(&self) -> impl Iterator<Item = TaggedManifest> {
        let org = person(self.person).org;
        self.versions.iter().map(move |version| TaggedManifest {
            repository: format!("{org}/{}-{version}-seed", self.name),
            tag: "1.0.0".to_owned(),
            manifest: self.manifest(version).to_string(),
        })
    }

    fn manifest(&self, version: &str) -> Value {
        let Person { name, organization, .. } = person(self.person);
        let email = format!("{}@example.org", ascii(name).to_lowercase().replace(' ', "."));
        let inputs = (1..).zip(&self.inputs);
        let outputs = (1..).zip(&self.outputs);
        json!({
            "seedVersion": "1.0.0",
            "job": {
                "name": self.name,
                "jobVersion": version,
                "packageVersion": "1.0.0",
                "title": self.title,
                "description": self.description,
                "tags": self.tags,
                "maintainer": { "name": name, "organization": organization, "email": email },
                "timeout": 3600,
                "interface": {
                    "command": "run ${INPUT_1} ${OUTPUT_DIR}",
                    "inputs": { "files": inputs.map(|(n, media)| json!({
                        "name": format!("INPUT_{n}"), "mediaTypes": [media], "required": n == 1,
                    })).collect::<Vec<_>>() },
                    "outputs": { "files": outputs.map(|(n, media)| json!({
                        "name": format!("OUTPUT_{n}"), "mediaType": media, "pattern": format!("output-{n}.*"),
                    })).collect::<Vec<_>>() },
                },
                "resources": { "scalar": [{ "name": "cpus", "value": 1.0 }, { "name": "mem", "value": 1024.0 }] },
            }
        })
    }

    /// Whether one of the alternatives matches this job.
    fn is_meant(&self, meant: &str) -> bool {
        meant.split(',').any(|all| all.split('&').all(|condition| self.fulfils(condition.trim())))
    }

    fn fulfils(&self, condition: &str) -> bool {
        let has = |list: &[String], value: &str| list.iter().any(|one| one == value);
        if let Some(part) = condition.strip_prefix("name~") {
            return self.name.contains(part);
        }
        match condition.split_once('=') {
            Some(("tag", value)) => has(&self.tags, value),
            Some(("by", value)) => self.person == value,
            Some(("input", value)) => has(&self.inputs, value),
            Some(("output", value)) => has(&self.outputs, value),
            Some(("media", value)) => has(&self.inputs, value) || has(&self.outputs, value),
            Some(_) => panic!("unknown condition {condition}"),
            None => self.name == condition,
        }
    }
}

impl Quality {
    /// Adds a query's result. `found` are names of jobs, best first.
    pub fn add(&mut self, query: &Query, found: &[String]) {
        let found = &found[..found.len().min(DEPTH)];
        let first = found.iter().position(|name| query.relevant.contains(name));
        let among = found.iter().filter(|name| query.relevant.contains(*name)).count();
        self.queries += 1;
        self.reciprocal += first.map_or(0.0, |place| 1.0 / (place + 1) as f64);
        self.recall += among as f64 / query.relevant.len().min(DEPTH) as f64;
    }

    /// Mean reciprocal rank.
    pub fn mrr(&self) -> f64 {
        self.reciprocal / self.queries as f64
    }

    pub fn recall(&self) -> f64 {
        self.recall / self.queries as f64
    }
}

/// `MRR … recall@10 …`
impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} {:.3}", self.mrr(), self.recall())
    }
}

/// A section of the vocabulary.
struct Field(BTreeMap<&'static str, Vec<&'static str>>);

impl Field {
    fn read(block: &'static str) -> Self {
        let parts = block.lines().skip(1).filter_map(|line| line.split_once(": "));
        Self(parts.map(|(key, values)| (key, list(values, if key == "sentences" { " / " } else { ", " }))).collect())
    }

    /// The generated job with this number, with a unique name.
    fn job(&self, number: usize, seed: u64) -> Job {
        let mut draw = Draw(seed << 32 | number as u64);
        let (subjects, methods) = (&self.0["subjects"], &self.0["methods"]);
        let subject = subjects[number % subjects.len()];
        let method = methods[number / subjects.len() % methods.len()];
        // The same subject and method are used again with the next source.
        let round = number / (subjects.len() * methods.len());
        let sources = &self.0["sources"];
        let source = sources[(number + round) % sources.len()];
        let (first, second) = (draw.one(&self.0["sentences"]), draw.one(&self.0["sentences"]));
        let name = match draw.below(3) {
            0 => format!("{subject}-{method}-{source}"),
            1 => format!("{source}-{subject}-{method}"),
            _ if round == 0 => format!("{subject}-{method}"),
            _ => format!("{subject}-{method}-with-{source}"),
        };
        let title = match draw.below(3) {
            0 => format!("{} {method} from {source}", capitalised(subject)),
            1 => format!("{} of {subject}", capitalised(method)),
            _ => format!("{} {method}", capitalised(subject)),
        };
        let versions = ["1.0.0", "1.1.0", "2.0.0", "10.0.0"][..1 + draw.below(4)].iter().map(ToString::to_string);
        Job {
            name: name.replace(' ', "-"),
            title,
            description: format!("Makes a {subject} {method} of {source} data. {first} {second}"),
            tags: owned(draw.some(&self.0["tags"], 3)),
            person: draw.one(&self.0["people"]),
            inputs: owned(draw.some(&self.0["inputs"], 1)),
            outputs: owned(draw.some(&self.0["outputs"], 1)),
            versions: versions.collect(),
        }
    }
}

fn written(line: &'static str) -> Job {
    let [name, title, description, tags, person, inputs, outputs, versions] = fields(line);
    let owned = |text| owned(list(text, ", "));
    Job {
        name: name.to_owned(),
        title: title.to_owned(),
        description: description.to_owned(),
        tags: owned(tags),
        person,
        inputs: owned(inputs),
        outputs: owned(outputs),
        versions: owned(versions),
    }
}

fn person(key: &str) -> Person {
    let people = lines(PEOPLE).map(fields::<4>);
    let [_, name, organization, org] =
        people.into_iter().find(|[known, ..]| *known == key).unwrap_or_else(|| panic!("nobody is called {key}"));
    Person { name, organization, org }
}

/// Lines without blank ones and comments.
fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn fields<const N: usize>(line: &'static str) -> [&'static str; N] {
    let fields = list(line, " | ");
    fields.try_into().unwrap_or_else(|_| panic!("not {N} fields: {line}"))
}

fn list(text: &'static str, separator: &str) -> Vec<&'static str> {
    text.split(separator).map(str::trim).collect()
}

fn owned(list: Vec<&str>) -> Vec<String> {
    list.into_iter().map(str::to_owned).collect()
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// Names in ASCII, for e-mail addresses: the letters that occur here.
fn ascii(text: &str) -> String {
    text.replace(['é', 'è'], "e").replace('á', "a").replace('š', "s")
}
