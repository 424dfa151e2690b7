//! Images, jobs and registries over several scans.

use serde_json::{Value, json};

use super::{counts, fields, manifest, registry_of, seed};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Fault, Seen};
use crate::support::layout::LayoutBuilder;
use crate::support::process::{Engine, Setup, on_both};

/// Ids of the matching images, by reference.
fn ids(found: &[Value]) -> Vec<(String, i64)> {
    let mut ids: Vec<_> = found
        .iter()
        .map(|row| (row["image"].as_str().unwrap().rsplit('/').next().unwrap().to_owned(), row["id"].as_i64().unwrap()))
        .collect();
    ids.sort();
    ids
}

async fn tags_that_move_keep_their_ids_and_those_deleted_vanish(engine: Engine) {
    let layout = |title: &str, versions: &[&str]| {
        let mut layout = LayoutBuilder::oci();
        for version in versions {
            let label = manifest("ice-edge", version, &format!("{title} {version}")).to_string();
            layout.image(&format!("geo/ice-edge-seed:{version}"), &[(silo::seed::LABEL, &label)]);
        }
        layout
    };
    let registry = DockerRegistry::open().await;
    let before = layout("Arctic", &["1.0.0", "1.1.0", "1.2.0"]);
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        registry.put(&before, &format!("geo/ice-edge-seed:{version}")).await;
    }
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    let old = ids(&silo.images("arctic").await);
    assert_eq!(old.len(), 3);

    // 1.0.0 stays, 1.1.0 moves, 1.2.0 is deleted.
    registry.put(&layout("Antarctic", &["1.1.0"]), "geo/ice-edge-seed:1.1.0").await;
    registry.delete("geo/ice-edge-seed", before.digest("geo/ice-edge-seed:1.2.0").unwrap()).await;
    let scan = silo.scan(id).await;
    assert_eq!(scan["state"], "complete");
    assert_eq!(counts(&scan, ["added", "changed", "removed", "unchanged", "images"]), [0, 1, 1, 1, 2], "{scan:#}");
    assert_eq!(ids(&silo.images("edge").await), old[..2], "ids stay");
    assert_eq!(fields(&silo.images("antarctic").await, "title"), ["Antarctic 1.1.0"]);
    assert_eq!(fields(&silo.images("arctic").await, "title"), ["Arctic 1.0.0"]);
    assert_eq!(silo.jobs("edge").await[0]["jobVersion"], "1.1.0", "the latest that is left");
}

async fn a_job_of_two_registries_outlives_one_of_them(engine: Engine) {
    let first = FakeRegistry::start().await;
    first.push("ice-9.0.0-seed", "1.0.0", &seed("ice", "9.0.0", "Ice as it was"));
    let second = FakeRegistry::start().await;
    second.push("ice-10.0.0-seed", "1.0.0", &seed("ice", "10.0.0", "Ice as it is"));
    second.push("snow-1.0.0-seed", "1.0.0", &seed("snow", "1.0.0", "Snow only here"));
    let silo = Setup::on(engine).await.start().await;
    let (a, b) = (silo.add("first", &first.url()).await, silo.add("second", &second.url()).await);
    silo.scan(a).await;
    let alone = silo.catalogue().await;
    silo.scan(b).await;

    let ice = &silo.jobs("ice").await[0];
    assert_eq!((&ice["jobVersion"], &ice["title"]), (&json!("10.0.0"), &json!("Ice as it is")));
    assert_eq!(ice["image"], json!(format!("{}/ice-10.0.0-seed:1.0.0", second.host())));
    assert_eq!(silo.images("ice").await.len(), 2);

    silo.delete(&format!("/api/v1/registries/{b}")).await.expect(204);
    assert_eq!(silo.catalogue().await, alone, "ids and texts of the job are the first registry's again");
    assert_eq!(fields(&silo.jobs("ice").await, "jobVersion"), ["9.0.0"]);
    assert_eq!(fields(&silo.images("ice").await, "title"), ["Ice as it was"]);
    for words in ["snow", "only here"] {
        assert_eq!(silo.images(words).await, Vec::<Value>::new());
        assert_eq!(silo.jobs(words).await, Vec::<Value>::new());
    }
    silo.get(&format!("/api/v1/scans?registry={b}")).await.expect(200);
    silo.delete(&format!("/api/v1/registries/{b}")).await.expect(404);
}

async fn requests_for_a_scan_that_runs_join_it(engine: Engine) {
    let (slow, quick) = (registry_of(&["ice"]).await, registry_of(&["snow"]).await);
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    let silo = Setup::on(engine).await.start().await;
    let (a, b) = (silo.add("slow", &slow.url()).await, silo.add("quick", &quick.url()).await);
    slow.clear_log();
    slow.fault(Seen::is_catalog, 1, Fault::Hold(gate.clone()));

    let scan = silo.request_scan(a).await;
    let joined = futures_util::future::join_all((0..8).map(|_| silo.request_scan(a))).await;
    assert_eq!(joined, [scan; 8]);
    super::arrived(&slow, Seen::is_catalog, 1).await;
    assert_eq!(silo.request_scan(a).await, scan, "also while it runs");
    assert_eq!(silo.scan(b).await["state"], "complete", "others do not wait for it");
    gate.notify_one();
    assert_eq!(silo.ended(scan).await["state"], "complete");
    assert_eq!(slow.count(Seen::is_catalog), 1, "one scan asks once");
    assert_ne!(silo.request_scan(a).await, scan, "after its end comes another");
}

async fn deleting_a_registry_ends_its_scan(engine: Engine) {
    let registry = registry_of(&["ice"]).await;
    let silo = Setup::on(engine).await.env("SILO__SCAN__LEASE_SECONDS", 5).start().await;
    let id = silo.add("mine", &registry.url()).await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    registry.fault(Seen::is_blob, 1, Fault::Hold(gate.clone()));
    silo.request_scan(id).await;
    super::arrived(&registry, Seen::is_blob, 1).await;

    silo.delete(&format!("/api/v1/registries/{id}")).await.expect(204);
    gate.notify_one();
    // The name is free, and the results of the old scan do not reappear.
    let again = silo.add("mine", &registry.url()).await;
    assert_ne!(again, id);
    assert_eq!(silo.images("ice").await, Vec::<Value>::new());
    assert_eq!(silo.scan(again).await["state"], "complete");
    assert_eq!(silo.images("ice").await.len(), 1);
}

async fn a_scan_asks_for_no_more_than_it_needs(engine: Engine) {
    let registry = FakeRegistry::start().await;
    for tag in ["1.0.0", "latest"] {
        registry.push("ice-1.0.0-seed", tag, &seed("ice", "1.0.0", "Finds ice"));
    }
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    let kinds: [fn(&Seen) -> bool; 5] =
        [Seen::is_catalog, Seen::is_tags, Seen::is_manifest, Seen::is_head, Seen::is_blob];
    let cost = |registry: &FakeRegistry| kinds.map(|kind| registry.count(kind));
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(cost(&registry), [1, 1, 2, 0, 1], "two new tags of one content");
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(cost(&registry), [1, 1, 2, 2, 0], "two known tags");
    registry.push("ice-1.0.0-seed", "latest", &seed("ice", "1.0.1", "Finds ice"));
    registry.clear_log();
    silo.scan(id).await;
    assert_eq!(cost(&registry), [1, 1, 3, 2, 1], "one of them moved");
}

on_both!(
    a_scan_asks_for_no_more_than_it_needs,
    tags_that_move_keep_their_ids_and_those_deleted_vanish,
    a_job_of_two_registries_outlives_one_of_them,
    requests_for_a_scan_that_runs_join_it,
    deleting_a_registry_ends_its_scan,
);
