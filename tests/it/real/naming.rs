//! Registries that list no repositories: this is reported when they are added, and repositories can be named.

use serde_json::{Value, json};

use crate::scan::{counts, registry_of, seed};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen};
use crate::support::process::{Engine, Setup, on_both};

/// A registry whose catalogue is disabled, or restricted to others.
async fn without_catalogue(answer: Fault) -> FakeRegistry {
    let registry = registry_of(&["ice", "snow"]).await;
    registry.push("tools/plain", "1", &seed("plain", "1.0.0", "No pattern takes it"));
    registry.fault(Seen::is_catalog, ALWAYS, answer);
    registry
}

async fn repositories_that_are_named_are_scanned_without_a_catalogue(engine: Engine) {
    let silo = Setup::on(engine).await.start().await;
    let off = json!({"errors": [{"code": "UNSUPPORTED", "message": "the operation is unsupported"}]});
    let denied = json!({"errors": [{"code": "DENIED", "message": "not for you"}]});
    for (name, answer) in
        [("off", Fault::Json(405, off)), ("html", Fault::Html(404)), ("denied", Fault::Json(403, denied))]
    {
        let registry = without_catalogue(answer).await;
        let added = silo.post("/api/v1/registries", json!({"name": name, "url": registry.url()})).await.expect(201);
        let note = added["notes"][0].as_str().unwrap_or_else(|| panic!("no note: {added:#}"));
        assert!(note.contains("repositories") && note.contains("--repository"), "{note}");
        let id = added["id"].as_i64().unwrap();
        let scan = silo.scan(id).await;
        let error = scan["error"].as_str().unwrap();
        assert!(
            scan["state"] == "failed" && error.contains("silo registry set") && error.contains("--repository"),
            "{error}"
        );

        let names = ["--repository", "ice-1.0.0-seed", "--repository", "tools/plain"];
        let set = silo.cli(&[&["registry", "set", name][..], &names].concat()).await;
        assert_eq!((set.code, set.stderr.contains("note: ")), (Some(0), false), "{set:?}");
        registry.clear_log();
        let scan = silo.scan(id).await;
        assert_eq!(
            (&scan["state"], counts(&scan, ["repositories", "images"])),
            (&json!("complete"), [2, 2]),
            "{scan:#}"
        );
        assert_eq!(registry.count(Seen::is_catalog), 0, "nobody asks for what is not given");

        let set = silo.cli(&["registry", "set", name, "--repository", "ice-1.0.0-seed"]).await;
        assert_eq!(set.code, Some(0), "{set:?}");
        let scan = silo.scan(id).await;
        assert_eq!(counts(&scan, ["removed", "images"]), [1, 1], "what is not named any more goes: {scan:#}");
        let set = silo.cli(&["registry", "set", name, "--repository", ""]).await;
        assert!(set.code == Some(0) && set.stderr.contains("note: "), "{set:?}");
        assert_eq!(silo.scan(id).await["state"], "failed");
        silo.delete(&format!("/api/v1/registries/{id}")).await;
    }
}

async fn names_are_tried_when_they_are_given(engine: Engine) {
    let silo = Setup::on(engine).await.start().await;
    let registry = without_catalogue(Fault::Status(404)).await;
    registry.fault(|seen| seen.path.contains("/secret/"), ALWAYS, Fault::Status(403));
    let add = |names: Value| json!({"name": "mine", "url": registry.url(), "repositories": names});
    let refused = silo.post("/api/v1/registries", add(json!(["ice:1"]))).await.expect(400);
    assert!(refused["detail"].as_str().unwrap().contains("cannot be a repository"), "{refused}");
    let names = json!(["ice-1.0.0-seed", "icy-1.0.0-seed", "geo/secret/x-seed"]);
    let added = silo.post("/api/v1/registries", add(names.clone())).await.expect(201);
    assert_eq!(added["repositories"], names);
    let notes = added["notes"].to_string();
    assert!(notes.contains("icy-1.0.0-seed has no tags") && notes.contains("geo/secret/x-seed"), "{notes}");
    assert_eq!(added["notes"].as_array().unwrap().len(), 2, "{notes}");
    let scan = silo.scan(added["id"].as_i64().unwrap()).await;
    assert_eq!((&scan["state"], counts(&scan, ["images", "repositoriesRefused"])), (&json!("complete"), [1, 1]));
    let problems = silo.problems(&scan).await;
    let codes: Vec<&str> = problems.iter().map(|[code, ..]| code.as_str()).collect();
    assert_eq!(codes, ["pull-refused", "repository-empty"], "{problems:#?}");
}

on_both!(repositories_that_are_named_are_scanned_without_a_catalogue, names_are_tried_when_they_are_given);
