//! Content read once is shared by all registries; metadata that a registry only claims is used for that registry only.

use serde_json::json;

use super::seed;
use crate::support::app::TestApp;
use crate::support::fake_registry::{FakeRegistry, Image, Seen, child};
use crate::support::kinds::harbor::FakeHarbor;

async fn add(silo: &TestApp, name: &str, kind: &str, url: &str) -> i64 {
    let form = json!({"name": name, "kind": kind, "url": url, "include": ["*"]});
    silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().expect("an id")
}

/// Titles by image.
async fn titles(silo: &TestApp) -> Vec<(String, String)> {
    let images = silo.anonymous().get("/images").await.expect(200).json();
    let mut titles: Vec<(String, String)> = images
        .as_array()
        .unwrap()
        .iter()
        .map(|image| (image["Registry"].as_str().unwrap().to_owned(), image["Title"].as_str().unwrap().to_owned()))
        .collect();
    titles.sort();
    titles
}

#[tokio::test]
async fn a_config_is_read_once_whoever_has_it() {
    let ice = seed("ice", "1.0.0", "Finds ice");
    let (one, two) = (FakeRegistry::start().await, FakeRegistry::start().await);
    one.push("a", "1", &ice);
    one.push("a", "2", &ice.clone().annotation("key", "another manifest of the same config"));
    one.push("b", "1", &Image::new());
    let other = two.add(&ice.clone().annotation("key", "and another"));
    two.push_index("c", "1", &[child(&other, "linux/amd64")]);
    two.tag("d", "1", &other);
    let silo = TestApp::start().await;
    let id = add(&silo, "one", "distribution", &one.url()).await;
    silo.scan(id).await;
    assert_eq!(one.count(Seen::is_blob), 2, "two configs behind three manifests");
    let id = add(&silo, "two", "distribution", &two.url()).await;
    silo.scan(id).await;
    assert_eq!(two.count(Seen::is_blob), 0, "another registry had it");
    let titles: Vec<String> = titles(&silo).await.into_iter().map(|(_, title)| title).collect();
    assert_eq!(titles, vec!["Finds ice"; 4]);
}

#[tokio::test]
async fn a_label_on_the_manifest_does_not_stick_to_its_config() {
    let label = |title: &str| super::manifest("ice", "1.0.0", title).to_string();
    let registry = FakeRegistry::start().await;
    registry.push("a", "1", &Image::new().annotation(silo::seed::LABEL, &label("Finds ice")));
    let silo = TestApp::start().await;
    let id = add(&silo, "one", "distribution", &registry.url()).await;
    silo.scan(id).await;
    registry.push("a", "2", &Image::new().annotation(silo::seed::LABEL, &label("Finds snow")));
    registry.push("a", "3", &Image::new());
    silo.scan(id).await;
    let titles: Vec<String> = titles(&silo).await.into_iter().map(|(_, title)| title).collect();
    assert_eq!(titles, ["Finds ice", "Finds snow"]);
    assert_eq!(registry.count(Seen::is_blob), 1);
}

#[tokio::test]
async fn what_a_registry_says_of_a_digest_is_not_what_another_has() {
    let honest = FakeRegistry::start().await;
    let digest = honest.push("geo/a", "1", &seed("ice", "1.0.0", "Finds ice"));
    for liar_first in [true, false] {
        let liar = FakeHarbor::start().await;
        liar.push("geo/a", "1", &seed("ice", "1.0.0", "Finds your passwords"));
        liar.change("geo/a", |artifact| artifact["digest"] = json!(digest));
        let silo = TestApp::start().await;
        let mut ids = vec![
            add(&silo, "liar", "harbor", &liar.registry.url()).await,
            add(&silo, "honest", "distribution", &honest.url()).await,
        ];
        if !liar_first {
            ids.reverse();
        }
        for id in ids {
            silo.scan(id).await;
        }
        for (registry, title) in titles(&silo).await {
            assert_eq!(title, "Finds ice", "{registry}, the liar first: {liar_first}");
        }
        assert_eq!(titles(&silo).await.len(), 2);
    }
}
