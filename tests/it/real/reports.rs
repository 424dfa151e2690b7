//! A scan's report on tags that it did not add: each is counted by its reason, and the counts add up.

use chrono::TimeDelta;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};
use silo::catalog::{OutcomeGroup, ScanState, ScanTrigger, TagCounts, TagOutcome};
use tokio_util::sync::CancellationToken;

use crate::scan::{counts, labelled, manifest, seed};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, child};
use crate::support::layout::LayoutBuilder;
use crate::support::process::{Engine, Setup, on_both};
use crate::tasks::House;

pub(super) const REPOSITORY: &str = "ice-1.0.0-seed";

/// Content of a tag in a registry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Thing {
    Seed,
    Plain,
    Chart,
    Spdx,
    InToto,
    Notary,
    Wasm,
    OldSchema,
    EmptyIndex,
    DeepIndex,
    Unreadable,
    WithoutConfig,
    WithoutManifest,
    Denied,
    CosignTag,
    AttestationTag,
    SbomTag,
    ReferrersTag,
    BadTag,
}

pub(super) const THINGS: [Thing; 19] = [
    Thing::Seed,
    Thing::Plain,
    Thing::Chart,
    Thing::Spdx,
    Thing::InToto,
    Thing::Notary,
    Thing::Wasm,
    Thing::OldSchema,
    Thing::EmptyIndex,
    Thing::DeepIndex,
    Thing::Unreadable,
    Thing::WithoutConfig,
    Thing::WithoutManifest,
    Thing::Denied,
    Thing::CosignTag,
    Thing::AttestationTag,
    Thing::SbomTag,
    Thing::ReferrersTag,
    Thing::BadTag,
];

/// Pushes content under a new tag; returns the expected outcome of a scan.
pub(super) fn push(registry: &FakeRegistry, repository: &str, number: usize, thing: Thing) -> TagOutcome {
    let tag = format!("1.0.{number}");
    let artifact = |kind: &str| registry.push_artifact(repository, &tag, kind);
    let attached = |ending: &str| {
        registry.push(repository, &format!("sha256-{number:064x}{ending}"), &Image::new());
    };
    match thing {
        Thing::Seed => _ = registry.push(repository, &tag, &seed("ice", "1.0.0", "Ice")),
        Thing::Plain => _ = registry.push(repository, &tag, &Image::new()),
        Thing::Chart => _ = artifact("application/vnd.cncf.helm.config.v1+json"),
        Thing::Spdx => _ = artifact("application/spdx+json"),
        Thing::InToto => _ = artifact("application/vnd.in-toto+json"),
        Thing::Notary => _ = artifact("application/vnd.cncf.notary.signature"),
        Thing::Wasm => _ = artifact("application/vnd.wasm.config.v0+json"),
        Thing::OldSchema => {
            let kind = "application/vnd.docker.distribution.manifest.v1+prettyjws";
            _ = registry.push_manifest(repository, &tag, &json!({"schemaVersion": 1, "mediaType": kind}));
        }
        Thing::EmptyIndex => _ = registry.push_index(repository, &tag, &[]),
        Thing::DeepIndex => registry.tag(repository, &tag, &index_of_depth(registry, 4)),
        Thing::Unreadable => _ = registry.push(repository, &tag, &labelled("{")),
        Thing::WithoutConfig => {
            let config = json!({"mediaType": OCI_CONFIG, "digest": format!("sha256:{:064x}", 7), "size": 1});
            let manifest = json!({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": []});
            registry.push_manifest(repository, &tag, &manifest);
        }
        Thing::WithoutManifest => registry.tag(repository, &tag, &format!("sha256:{number:064x}")),
        Thing::Denied => {
            registry.push(repository, &tag, &seed("ice", "1.0.0", "Ice"));
            let path = format!("/v2/{repository}/manifests/{tag}");
            let denied = json!({"errors": [{"code": "DENIED", "message": "no"}]});
            registry.fault(move |seen| seen.path == path, ALWAYS, Fault::Json(403, denied));
        }
        Thing::CosignTag => attached(".sig"),
        Thing::AttestationTag => attached(".att"),
        Thing::SbomTag => attached(".sbom"),
        Thing::ReferrersTag => attached(""),
        Thing::BadTag => _ = registry.push(repository, &format!("-{number}"), &Image::new()),
    }
    match thing {
        Thing::Seed => TagOutcome::Seed,
        Thing::Plain => TagOutcome::Unlabelled,
        Thing::Chart => TagOutcome::Chart,
        Thing::Spdx | Thing::SbomTag => TagOutcome::Sbom,
        Thing::InToto | Thing::AttestationTag => TagOutcome::Attestation,
        Thing::Notary | Thing::CosignTag => TagOutcome::Signature,
        Thing::Wasm => TagOutcome::Artifact,
        Thing::OldSchema => TagOutcome::OldSchema,
        Thing::EmptyIndex => TagOutcome::EmptyIndex,
        Thing::DeepIndex => TagOutcome::DeepIndex,
        Thing::Unreadable => TagOutcome::LabelRefused,
        Thing::WithoutConfig => TagOutcome::ContentFailed,
        Thing::WithoutManifest => TagOutcome::Gone,
        Thing::Denied => TagOutcome::PullRefused,
        Thing::ReferrersTag => TagOutcome::Referrers,
        Thing::BadTag => TagOutcome::Misnamed,
    }
}

/// A Seed image in nested indexes; returns the digest of the outermost.
fn index_of_depth(registry: &FakeRegistry, depth: usize) -> String {
    let image = registry.add(&seed("ice", "1.0.0", "Ice"));
    (0..depth).fold(image, |inner, _| {
        registry.add_manifest(&json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child(&inner, "")]}))
    })
}

async fn each_tag_is_counted_by_what_became_of_it(engine: Engine) {
    let registry = FakeRegistry::start().await;
    let mut expected = TagCounts::default();
    for (number, thing) in THINGS.into_iter().enumerate() {
        expected.add(push(&registry, REPOSITORY, number, thing), 1);
    }
    registry.tag(REPOSITORY, "2.0.0", &index_of_depth(&registry, 3));
    expected.add(TagOutcome::Seed, 1);
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    for _ in 0..2 {
        let scan = silo.scan(id).await;
        assert_eq!((&scan["state"], &scan["counts"]["outcomes"]), (&json!("complete"), &json!(expected)), "{scan:#}");
        let kinds = ["tagsSeed", "tagsNotSeed", "tagsWithProblems", "tagsPassedOver"];
        assert_eq!(counts(&scan, kinds), [2, 12, 3, 3], "{scan:#}");
        assert_eq!(counts(&scan, ["tags", "tagsDone", "images"]), [20, 20, 2], "{scan:#}");
    }
    let shown = silo.cli(&["scan", "mine", "--wait"]).await;
    assert!(shown.stderr.contains("20 tags: 2 Seed, 12 not Seed (1 unlabelled, 1 chart, 2 signature,"), "{shown:?}");
    assert!(shown.stderr.contains("3 with problems (1 label-refused, 1 pull-refused, 1 content-failed)"), "{shown:?}");
    assert!(shown.stderr.contains("3 passed over (1 index-too-deep, 1 gone, 1 misnamed)"), "{shown:?}");
}

/// Labels inherited from a base image.
async fn a_label_of_another_job_is_told(engine: Engine) {
    let registry = FakeRegistry::start().await;
    registry.push("geo/ndvi-1.0.0-seed", "1.0.0", &seed("ndvi", "1.0.0", "Greenness"));
    registry.push("geo/Maps".to_lowercase().as_str(), "1", &seed("ndvi", "1.0.0", "Greenness"));
    registry.push("mirror/geo/evi-1.0.0-seed", "1.0.0", &seed("ndvi", "1.0.0", "Greenness"));
    registry.push("mirror/geo/ndvi-seed", "1.0.0", &seed("NDVI", "1.0.0", "Greenness"));
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add_with(json!({"name": "mine", "url": registry.url(), "include": ["*"]})).await;
    for _ in 0..2 {
        let scan = silo.scan(id).await;
        assert_eq!(counts(&scan, ["tags", "tagsSeed", "tagsWithProblems"]), [4, 4, 0], "it is an image all the same");
        let problems = silo.problems(&scan).await;
        let told: Vec<_> = problems.iter().map(|[code, place, _]| (code.as_str(), place.as_str())).collect();
        let code = "inherited-label";
        assert_eq!(told, [(code, "geo/maps:1"), (code, "mirror/geo/evi-1.0.0-seed:1.0.0")], "{problems:#?}");
        assert!(problems[0][2].contains("'ndvi'") && problems[0][2].contains("base image"), "{}", problems[0][2]);
    }
}

async fn what_has_no_name_on_disk_is_told_and_counted(engine: Engine) {
    let setup = Setup::on(engine).await;
    let root = setup.data().join("layouts");
    let setup = setup.env("SILO__SCAN__LAYOUT_ROOTS", root.display());
    let label = manifest("ice", "1.0.0", "Ice").to_string();
    let labels = [(silo::seed::LABEL, label.as_str())];
    let mut layout = LayoutBuilder::oci();
    layout.image("ice-1.0.0-seed:1.0.0", &labels);
    let nameless = layout.unnamed_image(&labels);
    layout.image("Ice/UPPER:1", &labels);
    layout.write(&root.join("images")).unwrap();
    let silo = setup.start().await;
    let id = silo.add("disk", &root.join("images").display().to_string()).await;
    for _ in 0..2 {
        let scan = silo.scan(id).await;
        let outcomes = json!({"seed": 1, "misnamed": 1, "nameless": 1});
        assert_eq!((&scan["state"], &scan["counts"]["outcomes"]), (&json!("complete"), &outcomes), "{scan:#}");
        assert_eq!(counts(&scan, ["tags", "tagsSeed", "tagsPassedOver", "problems"]), [3, 1, 2, 2], "{scan:#}");
        let problems = silo.problems(&scan).await;
        let of = |code: &str| problems.iter().find(|[found, ..]| found == code).expect("a problem")[2].clone();
        assert!(of("nameless").contains(&nameless) && of("nameless").contains("ref.name"), "{problems:#?}");
        assert!(of("misnamed").contains("Ice/UPPER:1"), "{problems:#?}");
    }
}

on_both!(
    each_tag_is_counted_by_what_became_of_it,
    a_label_of_another_job_is_told,
    what_has_no_name_on_disk_is_told_and_counted,
);

/// Scans a registry with this content twice, and compares the reported outcomes with the expected ones.
async fn scanned_twice(house: &House, things: &[(usize, Thing)], name: &str) -> Result<(), TestCaseError> {
    let registry = FakeRegistry::start().await;
    let mut expected = TagCounts::default();
    for (number, (repository, thing)) in things.iter().enumerate() {
        let repository = format!("geo{repository}/{REPOSITORY}");
        expected.add(push(&registry, &repository, number, *thing), 1);
    }
    let id = house.add(name, &registry.url(), "off").await.id;
    for trigger in [ScanTrigger::Manual, ScanTrigger::Schedule] {
        house.clock.advance(TimeDelta::minutes(1));
        let scan = house.app.scan_request(id, trigger).await.unwrap();
        house.app.scan_work(&CancellationToken::new()).await.unwrap();
        let scan = house.app.scan_get(scan).await.unwrap();
        let told = scan.outcomes();
        prop_assert_eq!((scan.state, told), (ScanState::Complete, expected), "{:?}", things);
        let groups = [OutcomeGroup::Seed, OutcomeGroup::NotSeed, OutcomeGroup::Problem, OutcomeGroup::PassedOver];
        prop_assert_eq!(groups.map(|group| told.of(group)).iter().sum::<u64>(), scan.counts.tags);
        prop_assert_eq!(scan.counts.tags, things.len() as u64);
        prop_assert_eq!(told.get(TagOutcome::Seed), scan.counts.images);
    }
    house.app.registry_delete(id).await.unwrap();
    Ok(())
}

/// For any content, in any number of repositories, with any number of tags on one digest.
#[test]
fn sums_add_up() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let house = runtime.block_on(House::new("2024-03-01T00:00:00Z", &[]));
    let config = Config { cases: 20, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let things = prop::collection::vec((0..3_usize, prop::sample::select(&THINGS[..])), 1..14);
    let outcome = runner.run(&things, |things| runtime.block_on(scanned_twice(&house, &things, "mine")));
    outcome.unwrap_or_else(|why| panic!("{why}"));
}

/// Tags counted before the worker was killed are counted once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_that_is_taken_up_again_counts_each_tag_once() {
    let registry = FakeRegistry::start().await;
    for (number, thing) in [Thing::Seed, Thing::Plain, Thing::CosignTag, Thing::Unreadable].into_iter().enumerate() {
        push(&registry, "geo/ice-1.0.0-seed", number, thing);
        push(&registry, "geo/snow/ice-1.0.0-seed", number + 10, thing);
    }
    let environment = [("SILO__SCAN__LEASE_SECONDS", "60"), ("SILO__SCAN__CONCURRENCY", "4")];
    let house = House::new("2024-03-01T00:00:00Z", &environment).await;
    let id = house.add("mine", &registry.url(), "off").await.id;
    let scan = house.app.scan_request(id, ScanTrigger::Manual).await.unwrap();
    // The last request hangs until the worker is gone.
    registry.fault(|seen| seen.path.ends_with("/manifests/1.0.13"), 1, Fault::Hang);
    let worker = house.app.clone();
    let first = tokio::spawn(async move { worker.scan_work(&CancellationToken::new()).await });
    let stored = async || house.app.scan_get(scan).await.unwrap().counts.outcomes.sum();
    let wait = async {
        while stored().await < 7 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await; // because progress is stored at intervals
        }
    };
    tokio::time::timeout(crate::support::process::PATIENCE, wait).await.expect("all but one tag are counted");
    first.abort();
    _ = first.await;
    house.clock.advance(TimeDelta::minutes(5));
    assert!(house.app.scan_work(&CancellationToken::new()).await.unwrap());
    let scan = house.app.scan_get(scan).await.unwrap();
    let told: Value = json!(scan.outcomes());
    assert_eq!(told, json!({"seed": 2, "unlabelled": 2, "signature": 2, "label-refused": 2}), "{scan:?}");
    assert_eq!((scan.counts.tags, scan.counts.tags_done, scan.attempts), (8, 8, 2), "{scan:?}");
}
