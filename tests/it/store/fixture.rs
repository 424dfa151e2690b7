//! Stores for tests, and shortcuts to fill them.

use std::future::Future;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;
use silo::catalog::{
    ContentOutcome, DigestContent, FoundTag, ManifestFacts, NewRegistry, RegistryId, RegistryKind, RegistryRecord,
    RegistryVisibility, ScanState, ScanTrigger, TagChanges, diff,
};
use silo::store::{ClaimedScan, DatabaseAddress, ScanResult, ScanStep, SealedSecrets, Store};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};

use crate::support::postgres;

pub(super) async fn on_sqlite<F: Future<Output = ()>>(scenario: impl Fn(Store, DatabaseAddress) -> F) {
    let folder = tempfile::tempdir().expect("a folder for the database");
    // In a folder that the store has to create.
    run(scenario, DatabaseAddress::Sqlite(folder.path().join("data/silo.db"))).await;
}

pub(super) async fn on_postgres<F: Future<Output = ()>>(scenario: impl Fn(Store, DatabaseAddress) -> F) {
    let database = postgres::database().await;
    run(scenario, DatabaseAddress::Postgres(database.url().into())).await;
}

async fn run<F: Future<Output = ()>>(scenario: impl Fn(Store, DatabaseAddress) -> F, address: DatabaseAddress) {
    let store = Store::connect(&address).await.expect("a fresh database opens");
    scenario(store.clone(), address).await;
    store.close().await;
}

/// Executes a statement that the store has no method for.
pub(super) async fn statement(address: &DatabaseAddress, text: &'static str) {
    match address {
        DatabaseAddress::Sqlite(path) => {
            let options = SqliteConnectOptions::new().filename(path);
            SqliteConnection::connect_with(&options).await.unwrap().execute(text).await.unwrap();
        }
        DatabaseAddress::Postgres(url) => {
            let mut connection = PgConnection::connect(url.expose_secret()).await.unwrap();
            connection.execute("SET search_path TO silo").await.unwrap();
            connection.execute(text).await.unwrap();
        }
    }
}

/// A time in seconds after the tests' start time.
pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + seconds, 0).expect("a moment in this century")
}

pub(super) fn new_registry(name: &str) -> NewRegistry {
    NewRegistry {
        name: name.into(),
        url: format!("https://{name}.example"),
        host: format!("{name}.example"),
        org: "geo".into(),
        kind: RegistryKind::Distribution,
        username: "reader".into(),
        ca: "authority".into(),
        client_certificate: "certificate".into(),
        include: vec!["*-seed".into(), "x/*".into()],
        exclude: vec!["old/*".into()],
        repositories: vec!["a".into()],
        schedule: "0 */6 * * *".into(),
        visibility: RegistryVisibility::Public,
    }
}

pub(super) async fn registry(store: &Store, name: &str) -> RegistryRecord {
    store.registry_insert(&new_registry(name), &SealedSecrets::default(), at(0)).await.expect("a registry")
}

pub(super) fn facts(job: &str, job_version: &str, package_version: &str) -> ManifestFacts {
    ManifestFacts {
        job_name: job.into(),
        job_version: job_version.into(),
        package_version: package_version.into(),
        title: format!("{job} {job_version}/{package_version}"),
        description: "Does what it says".into(),
        maintainer: "Ada".into(),
        email: "ada@example.org".into(),
        maint_org: "Example".into(),
        manifest: format!(r#"{{"job":{{"name":"{job}"}}}}"#),
        valid: true,
        problems: Vec::new(),
    }
}

/// A Seed image; its digest is derived from its content.
pub(super) fn seed(job: &str, job_version: &str, package_version: &str) -> DigestContent {
    content(
        &format!("{job}-{job_version}-{package_version}"),
        ContentOutcome::Seed(Box::new(facts(job, job_version, package_version))),
    )
}

pub(super) fn content(name: &str, outcome: ContentOutcome) -> DigestContent {
    DigestContent {
        digest: format!("sha256:{name}"),
        outcome,
        platforms: vec!["linux/amd64".into()],
        size: Some(1 << 33),
        built_at: Some(at(0)),
        problems: Vec::new(),
        is_hearsay: false,
        configs: Vec::new(),
    }
}

pub(super) fn result(state: ScanState, changes: TagChanges, contents: Vec<DigestContent>) -> ScanResult {
    let step = ScanStep { changes, contents, ..ScanStep::default() };
    ScanResult { state, step, settled: Vec::new(), gone: Vec::new(), error: None }
}

/// Requests a scan, and claims it.
pub(super) async fn claim(store: &Store, registry: RegistryId) -> ClaimedScan {
    store.scan_request(registry, ScanTrigger::Manual, at(1)).await.expect("a request").expect("a registry");
    let token = format!("token-{registry}");
    let claim = store.scan_claim(&token, at(1), at(61)).await.expect("a claim").expect("a queued scan");
    assert_eq!(claim.registry_id, registry, "the tests have no other scan in the queue");
    claim
}

/// A complete scan that finds these tags.
pub(super) async fn scan(store: &Store, registry: RegistryId, found: &[(&str, &str, &DigestContent)]) {
    let claim = claim(store, registry).await;
    let tags: Vec<FoundTag> = found
        .iter()
        .map(|(repository, tag, content)| FoundTag {
            repository: (*repository).into(),
            tag: (*tag).into(),
            digest: Some(content.digest.clone()),
        })
        .collect();
    let changes = diff(&store.image_tags(registry).await.expect("tags"), &tags, true);
    let contents = found.iter().map(|(_, _, content)| (*content).clone()).collect();
    store.scan_finish(&claim, &result(ScanState::Complete, changes, contents), at(2)).await.expect("the scan ends");
}
