//! A catalogue without a registry: stores images as a scan would.

use std::collections::BTreeMap;
use std::time::Duration;

use silo::catalog::{
    ContentOutcome, DigestContent, ImageId, NewRegistry, RegistryId, RegistryKind, RegistryVisibility, ScanState,
    ScanTrigger, TagChanges,
};
use silo::clock::Clock;
use silo::registry::{FetchedContent, ImageConfig};
use silo::seed::LABEL;
use silo::store::{ClaimedScan, ScanResult, ScanStep, SealedSecrets, Store};
use silo_testkit::judged::TaggedManifest;

/// Images of one step: the number held in memory at a time.
const STEP: usize = 5_000;

/// Stores images as one scan of one registry; returns their number.
pub(crate) async fn fill(store: &Store, mut images: impl Iterator<Item = TaggedManifest>) -> usize {
    let clock = Clock::system();
    let now = clock.now();
    let registry = store.registry_insert(&registry(), &SealedSecrets::default(), now).await.expect("a registry");
    let claim = claim(store, registry.id, Duration::from_secs(86_400)).await;
    let mut count = 0;
    loop {
        let step = step(images.by_ref().take(STEP), count);
        if step.changes.add.is_empty() {
            break;
        }
        count += step.changes.add.len();
        store.scan_step(&claim, &step, now).await.expect("a step is stored");
    }
    let result = ScanResult {
        state: ScanState::Complete,
        step: ScanStep::default(),
        settled: Vec::new(),
        gone: Vec::new(),
        error: None,
    };
    store.scan_finish(&claim, &result, now).await.expect("the scan ends");
    count
}

/// Stores one more image, as another scan would. The number must be unused.
pub(crate) async fn add(store: &Store, image: TaggedManifest, number: usize) {
    let step = step(std::iter::once(image), number);
    change(store, step).await;
}

/// Points an image's tag at other content.
pub(crate) async fn point(store: &Store, image: ImageId, manifest: String, number: usize) {
    let digest = format!("sha256:{number:064x}");
    let contents = vec![content(&digest, manifest)];
    let changes = TagChanges { point: vec![(image, digest)], ..TagChanges::default() };
    change(store, ScanStep { changes, contents, ..ScanStep::default() }).await;
}

/// The image that was stored last.
pub(crate) async fn newest(store: &Store) -> ImageId {
    store.image_newest(1).await.expect("images")[0].id
}

async fn change(store: &Store, step: ScanStep) {
    let now = Clock::system().now();
    let registry = store.registry_list().await.expect("registries")[0].id;
    let claim = claim(store, registry, Duration::from_secs(60)).await;
    let result = ScanResult { state: ScanState::Partial, step, settled: Vec::new(), gone: Vec::new(), error: None };
    store.scan_finish(&claim, &result, now).await.expect("a change is stored");
}

/// Requests a scan and claims it. A worker of a running service may claim it first: then the next one, once that has
/// failed, because there is no such registry.
async fn claim(store: &Store, registry: RegistryId, lease: Duration) -> ClaimedScan {
    loop {
        let now = Clock::system().now();
        store.scan_request(registry, ScanTrigger::Manual, now).await.expect("a scan is asked for");
        if let Some(claim) = store.scan_claim("bench", now, now + lease).await.expect("a claim") {
            return claim;
        }
        tokio::time::sleep(Duration::from_millis(10)).await; // because the end of a scan is not reported here
    }
}

/// The results of a scan, with numbers as digests.
fn step(images: impl Iterator<Item = TaggedManifest>, first: usize) -> ScanStep {
    let (mut changes, mut contents) = (TagChanges::default(), Vec::new());
    for (number, image) in (first..).zip(images) {
        let digest = format!("sha256:{number:064x}");
        contents.push(content(&digest, image.manifest));
        changes.add.push((image.repository, image.tag, digest));
    }
    ScanStep { changes, contents, ..ScanStep::default() }
}

fn content(digest: &str, manifest: String) -> DigestContent {
    let config = ImageConfig {
        digest: digest.to_owned(),
        platform: "linux/amd64".to_owned(),
        labels: BTreeMap::from([(LABEL.to_owned(), manifest)]),
        ..ImageConfig::default()
    };
    let content = silo::scan::content_of(digest, FetchedContent::Image(vec![config]));
    assert!(
        matches!(&content.outcome, ContentOutcome::Seed(facts) if facts.valid),
        "made-up manifests are good ones: {content:?}"
    );
    content
}

fn registry() -> NewRegistry {
    NewRegistry {
        name: "bench".to_owned(),
        url: "https://registry.example".to_owned(),
        host: "registry.example".to_owned(),
        org: String::new(),
        kind: RegistryKind::Distribution,
        username: String::new(),
        ca: String::new(),
        client_certificate: String::new(),
        include: Vec::new(),
        exclude: Vec::new(),
        repositories: Vec::new(),
        schedule: "off".to_owned(),
        visibility: RegistryVisibility::Public,
    }
}
