//! Search quality, compared with the first SILO's scoring and PostgreSQL's full text search.
//! `SILO_BENCH_DATABASE_URL=postgres://… cargo bench --bench quality`; see `docs/benchmarks.md`.

#[allow(dead_code, reason = "only the connection is needed here")]
mod bare;
mod old_method;
mod postgres_search;
mod served;
#[allow(dead_code, reason = "nothing changes here")]
mod stored;

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::Value;
use silo::app::open_store;
use silo::catalog::CatalogueImage;

use bare::Connection;
use postgres_search::Postgres;
use served::{Server, encoded};
use silo_testkit::judged::{self, DEPTH, Quality, Query};

/// The compared engines, as columns of the table.
const ENGINES: [&str; 4] = ["SILO", "first SILO", "… with +", "PostgreSQL"];

#[tokio::main]
async fn main() {
    let jobs = judged::jobs();
    let queries = judged::queries(&jobs);
    let folder = tempfile::tempdir().expect("a folder for the service");
    let store = open_store(&served::settings(folder.path())).await.expect("a fresh database");
    let images = stored::fill(&store, jobs.iter().flat_map(judged::Job::images)).await;
    store.close().await;
    println!("{images} images of {} jobs, {} queries", jobs.len(), queries.len());
    let app = served::open(folder.path()).await;
    app.index_renew().await.expect("an index");

    let listed = app.image_list().await.expect("all images");
    let manifests = latest_manifests(&listed);
    let old: Vec<old_method::Listed> = listed.into_iter().map(old_listed).collect();
    let mut postgres = match database_url() {
        Some(url) => Some(Postgres::fill(&url, &manifests).await),
        None => None,
    };
    let (server, mut table) = tokio::task::block_in_place(|| (Server::start(app.clone(), 1), Table::default()));
    let mut connection = Connection::open(&server.host).await;
    for query in &queries {
        let ours = ask(&mut connection, query.text).await;
        let typed = old_names(&old, query.text);
        let with_plus = old_names(&old, &query.text.replace(' ', "+"));
        let in_postgres = match &mut postgres {
            Some(postgres) => postgres.search(query.text).await,
            None => Vec::new(),
        };
        table.add(query, [ours, typed, with_plus, in_postgres]);
    }
    table.print(postgres.is_some());
    tokio::task::block_in_place(|| server.stop());
    app.close().await;
}

#[expect(clippy::disallowed_methods, reason = "how this program is told where PostgreSQL is")]
fn database_url() -> Option<String> {
    std::env::var("SILO_BENCH_DATABASE_URL").ok()
}

/// The first names of a search over HTTP.
async fn ask(connection: &mut Connection, query: &str) -> Vec<String> {
    let path = format!("/api/v1/search?kind=job&limit={DEPTH}&q={}", encoded(query));
    let reply = connection.ask(&(Method::GET, path, "application/json")).await;
    let reply: Value = serde_json::from_slice(&reply).expect("JSON");
    let items = reply["items"].as_array().expect("a list of results");
    items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
}

fn old_listed(image: CatalogueImage) -> old_method::Listed {
    old_method::Listed { org: image.org, full_name: image.name, manifest: image.facts.manifest }
}

/// Jobs in the order of their best images.
fn old_names(images: &[old_method::Listed], query: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let name = |place: usize| {
        let manifest: Value = serde_json::from_str(&images[place].manifest).expect("a manifest");
        manifest["job"]["name"].as_str().expect("a name").to_owned()
    };
    let names = old_method::search(images, query).into_iter().map(|(place, _)| name(place));
    names.filter(|name| seen.insert(name.clone())).take(DEPTH).collect()
}

/// One manifest of each job: images are listed in the order in which versions were stored.
fn latest_manifests(images: &[CatalogueImage]) -> Vec<Value> {
    let of =
        |image: &CatalogueImage| (image.job_id.0, serde_json::from_str(&image.facts.manifest).expect("a manifest"));
    images.iter().map(of).collect::<BTreeMap<i64, Value>>().into_values().collect()
}

#[derive(Default)]
struct Table {
    kinds: Vec<&'static str>,
    quality: BTreeMap<&'static str, [Quality; 4]>,
    all: [Quality; 4],
    /// Queries with missing or badly ranked results.
    misses: Vec<String>,
}

impl Table {
    fn add(&mut self, query: &Query, found: [Vec<String>; 4]) {
        if !self.kinds.contains(&query.kind) {
            self.kinds.push(query.kind);
        }
        let kind = self.quality.entry(query.kind).or_default();
        for ((kind, all), found) in kind.iter_mut().zip(&mut self.all).zip(&found) {
            kind.add(query, found);
            all.add(query, found);
        }
        let mut ours = Quality::default();
        ours.add(query, &found[0]);
        if ours.mrr() < 1.0 || ours.recall() < 1.0 {
            let wanted: Vec<_> = query.relevant.iter().take(3).map(String::as_str).collect();
            let first: Vec<_> = found[0].iter().take(4).map(String::as_str).collect();
            let (kind, text) = (query.kind, query.text);
            self.misses.push(format!("{kind}: {text} → {} (wanted: {}; {ours})", first.join(" "), wanted.join(" ")));
        }
    }

    fn print(&self, with_postgres: bool) {
        let engines = &ENGINES[..if with_postgres { 4 } else { 3 }];
        println!("\nMRR and recall@{DEPTH}{:<6}", "");
        let row = |name: &str, cells: Vec<String>| {
            let cells: String = cells.into_iter().map(|cell| format!("{cell:<14}")).collect();
            println!("  {name:<14}{}", cells.trim_end());
        };
        row("", engines.iter().map(ToString::to_string).collect());
        let cells = |quality: &[Quality; 4]| quality[..engines.len()].iter().map(ToString::to_string).collect();
        for kind in &self.kinds {
            row(kind, cells(&self.quality[kind]));
        }
        row("all", cells(&self.all));
        println!("\n{} queries that SILO could answer better", self.misses.len());
        for miss in &self.misses {
            println!("  {miss}");
        }
    }
}
