//! Scans in which very much has vanished: nothing is removed until an admin confirms it.

use serde_json::{Value, json};

use super::{counts, registry_of};
use crate::support::app::TestApp;
use crate::support::process::{Engine, Setup, on_both};

const JOBS: [&str; 6] = ["ice", "snow", "sand", "rain", "wind", "fog"];

async fn a_registry_that_is_suddenly_empty_is_held_until_an_admin_confirms(engine: Engine) {
    let registry = registry_of(&JOBS).await;
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    for job in JOBS {
        registry.delete_repository(&format!("{job}-1.0.0-seed"));
    }
    for _ in 0..2 {
        let scan = silo.scan(id).await;
        assert_eq!(scan["state"], "held", "{scan:#}");
        assert_eq!(counts(&scan, ["removed", "held", "images"]), [0, 6, 6], "{scan:#}");
        let note = scan["notes"][0].as_str().expect("a note");
        assert!(note.contains("6 of 6 tags") && note.contains("silo scan mine --confirm"), "{note}");
    }
    assert_eq!(silo.jobs("finds").await.len(), 6, "searches still find them");
    let exit = silo.cli(&["scan", "mine", "--wait"]).await;
    assert_eq!(exit.code, Some(1), "{exit:?}");
    assert!(exit.stderr.ends_with("can confirm with: silo scan mine --confirm\n"), "{}", exit.stderr);

    let table = silo.cli(&["scan", "mine", "--confirm", "--wait"]).await.expect_success();
    assert!(table.contains("complete"), "{table}");
    assert_eq!(silo.jobs("finds").await, Vec::<Value>::new());
    let error = silo.cli(&["scan", "mine", "--confirm"]).await.expect_failure(1);
    assert!(error.contains("only when it is held"), "{error}");
}

async fn what_comes_and_moves_is_taken_all_the_same(engine: Engine) {
    let registry = registry_of(&JOBS).await;
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    silo.scan(id).await;
    for job in &JOBS[1..] {
        registry.delete_repository(&format!("{job}-1.0.0-seed"));
    }
    registry.push("dew-1.0.0-seed", "1.0.0", &super::seed("dew", "1.0.0", "Finds dew"));
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], counts(&scan, ["added", "held", "unchanged"])), (&json!("held"), [1, 5, 1]));
    assert_eq!(silo.jobs("dew").await.len(), 1);

    // The registry's storage was unavailable: nothing is left to confirm.
    for job in &JOBS[1..] {
        registry.push(&format!("{job}-1.0.0-seed"), "1.0.0", &super::seed(job, "1.0.0", &format!("Finds {job}")));
    }
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], counts(&scan, ["held", "unchanged"])), (&json!("complete"), [0, 7]));
}

on_both!(a_registry_that_is_suddenly_empty_is_held_until_an_admin_confirms, what_comes_and_moves_is_taken_all_the_same,);

#[tokio::test]
async fn only_the_last_scan_and_only_a_held_one_can_be_confirmed() {
    let registry = registry_of(&JOBS).await;
    let silo = TestApp::start().await;
    silo.admin().post("/api/v1/registries", json!({"name": "mine", "url": registry.url()})).await.expect(201);
    silo.scan(1).await;
    let confirm = async |id: &Value| silo.admin().post(&format!("/api/v1/scans/{id}/confirm"), json!(null)).await;
    confirm(&json!(1)).await.expect(409);
    confirm(&json!(99)).await.expect(404);
    for job in JOBS {
        registry.delete_repository(&format!("{job}-1.0.0-seed"));
    }
    silo.scan(1).await;
    silo.scan(1).await;
    let scans = silo.admin().get("/api/v1/scans").await.expect(200).json();
    let [last, before] = [&scans["items"][0], &scans["items"][1]];
    assert_eq!((&last["state"], &before["state"]), (&json!("held"), &json!("held")));
    confirm(&before["id"]).await.expect(409);
    let id = &last["id"];
    let counts = silo.user().get(&format!("/api/v1/scans/{id}/problem-counts")).await.expect(200).json();
    assert_eq!(counts["items"], json!([{"code": "tags-vanished", "count": 6}]));
    let vanished = silo.user().get(&format!("/api/v1/scans/{id}/problems?code=tags-vanished")).await.expect(200).json();
    let first = json!({
        "code": "tags-vanished", "repository": "fog-1.0.0-seed", "tag": "",
        "message": "1 of 1 tags have vanished: 1.0.0",
    });
    assert_eq!((vanished["items"].as_array().map(Vec::len), &vanished["items"][0]), (Some(6), &first));
    let others = silo.user().get(&format!("/api/v1/scans/{id}/problems?code=misnamed")).await.expect(200).json();
    assert_eq!(others["items"], json!([]));
    let wrong = silo.user().get(&format!("/api/v1/scans/{id}/problems?code=odd")).await.expect(400);
    assert!(wrong.error().contains("There is no code 'odd'"), "{}", wrong.text);
    let reply = confirm(&last["id"]).await.expect(202);
    assert_eq!(reply.json()["trigger"], "confirmed");
}
