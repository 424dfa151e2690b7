//! After any sequence of faults and kills, one undisturbed scan gives the same catalogue as a first scan.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use proptest::prelude::*;
use silo::catalog::{RegistryId, ScanState, ScanTrigger};
use tokio_util::sync::CancellationToken;

use super::{labelled, seed};
use crate::support::fake_registry::{FakeRegistry, Fault, Image, Seen};
use crate::tasks::House;

/// An event of the sequence.
#[derive(Clone, Debug)]
enum Step {
    /// A tag of a repository is pushed, or moved.
    Push {
        repository: usize,
        tag: usize,
        content: usize,
    },
    DeleteTag {
        repository: usize,
        tag: usize,
    },
    DeleteRepository(usize),
    /// A scan with faults in some requests, killed after a number of requests.
    Scan {
        faults: Vec<(usize, usize, usize)>,
        killed_after: Option<usize>,
    },
    /// The process is restarted.
    Restart,
}

const REPOSITORIES: [&str; 4] = ["geo/ice-seed", "geo/snow-seed", "sand-seed", "webserver"];
const TAGS: [&str; 3] = ["1.0.0", "1.1.0", "latest"];
const LEASE_SECONDS: i64 = 60;
const ENVIRONMENT: [(&str, &str); 6] = [
    ("SILO__SCAN__LEASE_SECONDS", "60"),
    // Temporary faults would be waited for.
    ("SILO__SCAN__TRIES", "1"),
    ("SILO__SCAN__PAGES", "5"),
    ("SILO__SCAN__INCLUDE", "*"),
    ("SILO__SCAN__HOLD_PERCENT", "100"),
    // Steps are short, so that scans are killed between steps, too.
    ("SILO__SCAN__STEP_SECONDS", "0"),
];

fn content(kind: usize, repository: usize) -> Image {
    match kind {
        0 => seed("ice", "1.0.0", "Finds ice"),
        1 => seed("ice", "1.1.0", "Finds more ice"),
        2 => seed("snow", &format!("{repository}.0.0"), "Finds snow"),
        3 => labelled(r#"{"job":{"name":"odd","jobVersion":"1","packageVersion":"1"}}"#),
        4 => labelled("nonsense"),
        _ => Image::new(),
    }
}

fn fault(kind: usize) -> Fault {
    match kind {
        0 => Fault::Status(500),
        1 => Fault::Status(404),
        2 => Fault::Drop,
        3 => Fault::Truncated,
        4 => Fault::WrongBytes,
        5 => Fault::NoDigestHeader,
        6 => Fault::Html(200),
        7 => Fault::EndlessPages,
        _ => Fault::Status(403),
    }
}

fn is_kind(kind: usize) -> fn(&Seen) -> bool {
    match kind {
        0 => Seen::is_catalog,
        1 => Seen::is_tags,
        2 => Seen::is_manifest,
        3 => Seen::is_blob,
        4 => Seen::is_ping,
        _ => Seen::is_any,
    }
}

fn step() -> impl Strategy<Value = Step> {
    let faults = prop::collection::vec((0..6_usize, 1..4_usize, 0..9_usize), 0..4);
    prop_oneof![
        5 => (0..4_usize, 0..3_usize, 0..6_usize).prop_map(|(repository, tag, content)| Step::Push { repository, tag, content }),
        1 => (0..4_usize, 0..3_usize).prop_map(|(repository, tag)| Step::DeleteTag { repository, tag }),
        1 => (0..4_usize).prop_map(Step::DeleteRepository),
        4 => (faults, prop::option::of(0..12_usize)).prop_map(|(faults, killed_after)| Step::Scan { faults, killed_after }),
        1 => Just(Step::Restart),
    ]
}

async fn take(step: &Step, house: House, registry: &FakeRegistry, id: RegistryId) -> House {
    match step {
        Step::Push { repository, tag, content: kind } => {
            registry.push(REPOSITORIES[*repository], TAGS[*tag], &content(*kind, *repository));
        }
        Step::DeleteTag { repository, tag } => registry.delete_tag(REPOSITORIES[*repository], TAGS[*tag]),
        Step::DeleteRepository(repository) => registry.delete_repository(REPOSITORIES[*repository]),
        Step::Scan { faults, killed_after } => {
            for (kind, times, what) in faults {
                registry.fault(is_kind(*kind), *times, fault(*what));
            }
            house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
            let stop = CancellationToken::new();
            let end = registry.log().len() + killed_after.unwrap_or(usize::MAX / 2);
            tokio::select! {
                // Dropped at any point, like a killed process.
                () = registry.arrived(end) => {}
                worked = house.app.scan_work(&stop) => drop(worked.unwrap()),
            }
            house.clock.advance(TimeDelta::seconds(LEASE_SECONDS + 1));
        }
        Step::Restart => return house.again(&ENVIRONMENT).await,
    }
    house
}

/// The catalogue's content, without ids and times.
async fn catalogue(house: &House) -> BTreeSet<String> {
    let images = house.app.image_list().await.unwrap();
    let jobs = house.app.job_list().await.unwrap();
    let images = images.iter().map(|image| {
        let facts = &image.facts;
        format!("{}@{} {} {} {}", image.pull_reference(), image.digest, facts.job_name, facts.job_version, facts.valid)
    });
    let jobs = jobs.iter().map(|job| {
        let versions: Vec<_> =
            job.versions.iter().map(|version| (&version.job_version.job_version, version.images.len())).collect();
        format!("{} {} {} {versions:?}", job.job.name, job.job.latest_job_version, job.job.title)
    });
    images.chain(jobs).collect()
}

/// Scans until no work is left; returns the last scan's state.
async fn scan_in_peace(house: &House, id: RegistryId) -> ScanState {
    let scan = house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    while house.app.scan_work(&CancellationToken::new()).await.unwrap() {}
    house.app.scan_get(scan).await.unwrap().state
}

async fn after_all_that(steps: Vec<Step>) {
    let registry = FakeRegistry::start().await;
    let mut house = House::new("2024-03-01T00:00:00Z", &ENVIRONMENT).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    for step in &steps {
        house = take(step, house, &registry, id).await;
    }
    registry.clear_faults();
    assert_eq!(scan_in_peace(&house, id).await, ScanState::Complete);

    let fresh = House::new("2024-03-01T00:00:00Z", &ENVIRONMENT).await;
    let other = fresh.add("mine", &registry.url(), "off").await.id;
    assert_eq!(scan_in_peace(&fresh, other).await, ScanState::Complete);
    assert_eq!(catalogue(&house).await, catalogue(&fresh).await);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn an_undisturbed_scan_mends_everything(steps in prop::collection::vec(step(), 1..16)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(after_all_that(steps));
    }
}
