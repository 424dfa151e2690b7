//! Nexus differs from other registries only in its links: they are missing in groups, and have a wrong path on
//! connectors. Paging handles both, so the kind has no file of its own.

use silo::catalog::RegistryKind::Nexus;
use silo::registry::{RegistryEndpoint, RegistrySource, RemoteHosts};

use super::super::{endpoint, limits};
use super::open_kind;
use crate::support::fake_registry::{FakeRegistry, Fault, Image, Seen};

async fn with_tags(count: usize) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("geo/a-seed", "t0000", &Image::new());
    for i in 0..count {
        registry.tag("geo/a-seed", &format!("t{i:04}"), &digest);
        registry.add_repository(&format!("r{i:04}"));
    }
    registry
}

#[tokio::test]
async fn groups_without_links_are_listed_to_the_end() {
    let registry = with_tags(2100).await;
    registry.leave_out_links();
    let source = open_kind(Nexus, &registry);
    let (repositories, tags) = (source.repositories().await.unwrap(), source.tags("geo/a-seed").await.unwrap());
    assert_eq!((repositories.items.len(), repositories.truncated), (2101, None));
    assert_eq!((tags.items.len(), tags.truncated), (2100, None));
    assert_eq!(
        [registry.count(Seen::is_catalog), registry.count(Seen::is_tags)],
        [3, 4],
        "a last page of a round number is asked about"
    );
}

/// The links of a connector contain the repository's path on Nexus's main port.
#[tokio::test]
async fn links_with_a_foreign_path_are_followed_on_ours() {
    let registry = with_tags(1200).await;
    let link = |path: &str, last: &str| {
        Fault::Link(format!("<https://nexus.example.org/repository/hub/v2/{path}?n=1000&last={last}>; rel=\"next\""))
    };
    registry.fault(|seen| seen.is_catalog() && !seen.query.contains("last"), 1, link("_catalog", "r0998"));
    registry.fault(|seen| seen.is_tags() && !seen.query.contains("last"), 1, link("geo/a-seed/tags/list", "t0999"));
    let source = open_kind(Nexus, &registry);
    assert_eq!(source.repositories().await.unwrap().items.len(), 1201);
    assert_eq!(source.tags("geo/a-seed").await.unwrap().items.len(), 1200);
    assert_eq!([registry.count(Seen::is_catalog), registry.count(Seen::is_tags)], [2, 2]);
}

#[tokio::test]
async fn a_repository_below_a_path_works_too() {
    let (front, registry) = (FakeRegistry::start().await, with_tags(1200).await);
    front.mount("/repository/hub", &registry);
    let url = format!("{}/repository/hub", front.url());
    let source = RegistrySource::open(
        &RegistryEndpoint { kind: Nexus, ..endpoint(&url, None) },
        &limits(),
        &RemoteHosts::default(),
    )
    .unwrap();
    source.ping().await.unwrap();
    assert_eq!(source.repositories().await.unwrap().items.len(), 1201);
    assert!(source.digest("geo/a-seed", "t0001").await.unwrap().is_some());
}
