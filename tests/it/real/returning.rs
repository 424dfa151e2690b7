//! Images that are removed and return within a month keep their ids.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::scan::{registry_of, seed};
use crate::support::app::TestApp;
use crate::support::fake_registry::FakeRegistry;

/// Ids by name: of images, jobs and job versions.
async fn ids(silo: &TestApp) -> Value {
    let list = async |path: &str, name: &str| -> Vec<Value> {
        let rows = silo.anonymous().get(path).await.expect(200).json();
        let id = |row: &Value| json!([row[name], row["ID"]]);
        let mut ids: Vec<Value> = rows.as_array().unwrap().iter().map(id).collect();
        ids.sort_by_key(Value::to_string);
        ids
    };
    json!([list("/images", "FullName").await, list("/jobs", "Name").await, list("/job-versions", "JobName").await])
}

async fn scan(silo: &TestApp, id: i64) {
    silo.scan(id).await;
    let last = silo.admin().get("/api/v1/scans?limit=1").await.json()["items"][0].clone();
    assert_eq!(last["state"], "complete", "{last:#}");
}

async fn add(silo: &TestApp, registry: &FakeRegistry) -> i64 {
    let form = json!({"name": "mine", "url": registry.url()});
    silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().unwrap()
}

async fn all_come_back_as_they_were(silo: TestApp) {
    let registry = registry_of(&["ice", "snow", "rain"]).await;
    let id = add(&silo, &registry).await;
    scan(&silo, id).await;
    let before = ids(&silo).await;
    let first_seen = silo.anonymous().get("/api/v1/images/1").await.expect(200).json()["firstSeenAt"].clone();

    // A tag and its job are removed and return; meanwhile others are added.
    registry.delete_repository("ice-1.0.0-seed");
    scan(&silo, id).await;
    assert_ne!(ids(&silo).await, before);
    registry.push("hail-1.0.0-seed", "1.0.0", &seed("hail", "1.0.0", "Hail"));
    scan(&silo, id).await;
    registry.delete_repository("hail-1.0.0-seed");
    registry.push("ice-1.0.0-seed", "1.0.0", &seed("ice", "1.0.0", "Finds ice, anew"));
    silo.clock.advance(TimeDelta::days(29));
    scan(&silo, id).await;
    assert_eq!(ids(&silo).await, before);
    let image = silo.anonymous().get("/api/v1/images/1").await.expect(200).json();
    assert_eq!(image["firstSeenAt"], first_seen);
    let found = silo.anonymous().get("/api/v1/search?q=anew&kind=image").await.json();
    assert_eq!(found["items"][0]["id"], 1, "{found}");

    // The same for a registry that is deleted and added again.
    silo.admin().delete(&format!("/api/v1/registries/{id}")).await.expect(204);
    assert_eq!(ids(&silo).await, json!([[], [], []]));
    let id = add(&silo, &registry).await;
    scan(&silo, id).await;
    assert_eq!(ids(&silo).await, before);

    // After a month the ids are forgotten.
    registry.delete_repository("ice-1.0.0-seed");
    scan(&silo, id).await;
    silo.clock.advance(TimeDelta::days(31));
    registry.push("ice-1.0.0-seed", "1.0.0", &seed("ice", "1.0.0", "Finds ice"));
    scan(&silo, id).await;
    assert_ne!(ids(&silo).await, before);
    silo.anonymous().get("/api/v1/images/1").await.expect(404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_come_back_as_they_were_on_sqlite() {
    all_come_back_as_they_were(TestApp::with().manual_clock().set("SILO__AUTH__TOKEN_HOURS", "9000").start().await)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_come_back_as_they_were_on_postgres() {
    let silo = TestApp::with().postgres().manual_clock().set("SILO__AUTH__TOKEN_HOURS", "9000").start().await;
    all_come_back_as_they_were(silo).await;
}

/// Two registries with the same content do not exchange ids.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_registry_gets_its_own_ids_back() {
    let silo = TestApp::with().manual_clock().start().await;
    let registry = registry_of(&["ice", "snow"]).await;
    let mut both = Vec::new();
    for name in ["one", "two"] {
        let form = json!({"name": name, "url": registry.url()});
        let id = silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().unwrap();
        scan(&silo, id).await;
        both.push(id);
    }
    let before = silo.anonymous().get("/images").await.json();
    registry.delete_repository("ice-1.0.0-seed");
    for id in &both {
        scan(&silo, *id).await;
    }
    registry.push("ice-1.0.0-seed", "1.0.0", &seed("ice", "1.0.0", "Finds ice"));
    for id in &both {
        scan(&silo, *id).await;
    }
    let of = |images: &Value| -> Vec<Value> {
        images
            .as_array()
            .unwrap()
            .iter()
            .map(|image| json!([image["ID"], image["RegistryId"], image["FullName"]]))
            .collect()
    };
    assert_eq!(of(&silo.anonymous().get("/images").await.json()), of(&before));
}
