//! Webhooks: notifications of registries over HTTP.

use std::sync::Arc;

use chrono::TimeDelta;
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::app::{Reply, TestApp, jobs, manifest, text};
use crate::support::docker_registry::DockerRegistry;
use crate::support::fake_registry::{FakeRegistry, Fault, Image, Seen};
use crate::support::layout::LayoutBuilder;

const REPOSITORY: &str = "geo/a-1.0.0-seed";

fn seed(name: &str) -> Image {
    Image::new().label(silo::seed::LABEL, manifest(name, "1.0.0", "1.0.0").to_string())
}

/// A notification in the format of docker-registry.
fn pushed(repository: &str) -> Value {
    json!({"events": [{"action": "push", "target": {"repository": repository, "tag": "1.0.0"}}]})
}

/// Creates the hook of a registry; returns its path.
async fn hook(silo: &TestApp, registry: i64) -> String {
    let made = silo.admin().post_text(&format!("/api/v1/registries/{registry}/hook"), "").await.expect(201).json();
    let url = text(&made["url"]);
    assert!(text(&made["advice"]).contains(&url), "{made}");
    url.strip_prefix(&silo.url).expect("the address that was asked").to_owned()
}

/// Adds a registry; returns its id.
async fn add(silo: &TestApp, form: Value) -> i64 {
    silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().unwrap()
}

fn taken(reply: Reply) -> Vec<String> {
    let list = reply.expect(202).json()["repositories"].clone();
    serde_json::from_value(list).unwrap()
}

#[tokio::test]
async fn a_hook_works_until_another_is_made_or_it_is_removed() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0")]).await;
    let has_hook = async || silo.anonymous().get("/api/v1/registries/1").await.json()["hasHook"].clone();
    assert_eq!(has_hook().await, false);
    let first = hook(&silo, 1).await;
    assert_eq!(has_hook().await, true);
    silo.anonymous().post(&first, pushed(REPOSITORY)).await.expect(202);
    let second = hook(&silo, 1).await;
    assert_ne!(first, second);
    let unknown =
        silo.anonymous().post("/hooks/0123456789abcdef0123456789abcdef", pushed(REPOSITORY)).await.expect(404);
    let replaced = silo.anonymous().post(&first, pushed(REPOSITORY)).await.expect(404);
    assert_eq!((replaced.error(), "There is no such hook".to_owned()), (unknown.error(), unknown.error()));
    silo.anonymous().post(&second, pushed(REPOSITORY)).await.expect(202);
    for _ in 0..2 {
        silo.admin().delete("/api/v1/registries/1/hook").await.expect(204);
        silo.anonymous().post(&second, pushed(REPOSITORY)).await.expect(404);
    }
    assert_eq!(has_hook().await, false);
    silo.admin().post("/api/v1/registries/9/hook", json!({})).await.expect(404);
    silo.admin().delete("/api/v1/registries/9/hook").await.expect(404);
    silo.admin().post("/api/v1/registries/1/hook", json!({"token": "mine"})).await.expect(422);
    silo.admin().post("/api/v1/registries/1/hook", json!({"secret": "x".repeat(1025)})).await.expect(400);
}

#[tokio::test]
async fn its_address_is_below_the_configured_one() {
    let silo = TestApp::with().set("SILO__HTTP__PUBLIC_URL", "https://silo.example.org/geo/").start().await;
    let registry = silo.add_layout("geo", &jobs(&[("a", "1.0.0", "1.0.0")])).await;
    let made = silo.admin().post(&format!("/api/v1/registries/{registry}/hook"), json!({})).await.expect(201).json();
    assert!(text(&made["url"]).starts_with("https://silo.example.org/geo/hooks/"), "{made}");
}

type Headers = Vec<(&'static str, &'static str)>;

/// The notification of each sender after a push, with its relevant headers.
fn notifications(callback: &str) -> Vec<(&'static str, Value, Headers)> {
    let harbor = json!({"resources": [{"tag": "1.0.0"}], "repository": {"repo_full_name": REPOSITORY}});
    let zot = json!({"name": REPOSITORY, "reference": "1.0.0", "digest": "sha256:0"});
    let package = json!({"name": "A-1.0.0-seed", "namespace": "Geo", "package_type": "CONTAINER"});
    vec![
        ("docker-registry", pushed(REPOSITORY), vec![]),
        (
            "Docker Hub",
            json!({"callback_url": callback, "push_data": {"tag": "1.0.0"}, "repository": {"repo_name": REPOSITORY}}),
            vec![],
        ),
        (
            "docker-registry, by digest",
            json!({"events": [{"action": "push", "target": {"repository": REPOSITORY, "digest": "sha256:0"}}]}),
            vec![],
        ),
        ("Harbor", json!({"type": "PUSH_ARTIFACT", "event_data": harbor}), vec![]),
        ("Harbor", json!({"specversion": "1.0", "type": "harbor.artifact.pushed", "data": harbor}), vec![]),
        (
            "Quay",
            json!({"repository": REPOSITORY, "docker_url": format!("quay.io/{REPOSITORY}"), "updated_tags": ["1.0.0"]}),
            vec![],
        ),
        (
            "old Quay",
            json!({"repository": REPOSITORY, "docker_url": "quay.io/x", "updated_tags": {"1.0.0": "0123456789ab"}}),
            vec![],
        ),
        ("GitHub", json!({"action": "published", "package": package}), vec![("x-github-event", "package")]),
        ("GitHub", json!({"action": "published", "registry_package": package}), vec![]),
        ("zot", json!({"specversion": "1.0", "type": "zotregistry.image.updated", "data": zot}), vec![]),
        (
            "a batch",
            json!([{"specversion": "1.0", "type": "zotregistry.image.updated", "data": zot}]),
            vec![("content-type", "application/cloudevents-batch+json; charset=utf-8")],
        ),
        ("zot", zot, vec![("ce-type", "zotregistry.image.updated"), ("ce-specversion", "1.0")]),
        (
            "EventBridge",
            json!({"detail-type": "ECR Image Action", "detail": {"repository-name": REPOSITORY, "result": "SUCCESS"}}),
            vec![],
        ),
    ]
}

#[tokio::test]
async fn what_each_sender_pushed_is_found() {
    let registry = FakeRegistry::start().await;
    let silo = TestApp::start().await;
    let id = add(&silo, json!({"name": "mine", "url": registry.url(), "org": "geo"})).await;
    let hook = hook(&silo, id).await;
    let mut events = silo.anonymous().follow("/api/v1/events", &[]).await;
    for (number, (sender, body, headers)) in notifications(&format!("{}/callback", registry.url())).iter().enumerate() {
        // A different image each time, so that every scan finds a change.
        registry.push(REPOSITORY, "1.0.0", &seed(&format!("job-{number}")));
        let reply = silo.anonymous().send(Method::POST, &hook, headers, body.to_string().into()).await;
        assert_eq!(taken(reply), [REPOSITORY], "{sender}: {body}");
        let (kind, event) = events.event().await;
        assert_eq!(kind, if number == 0 { "image.added" } else { "image.changed" }, "{sender}");
        assert_eq!(event["jobName"], format!("job-{number}"), "{sender}");
        // The image can be found as soon as its event is sent.
        let found = silo.anonymous().get(&format!("/api/v1/search?q=job-{number}")).await.json();
        assert_eq!(found["items"][0]["name"], event["jobName"], "{sender}");
    }
    let scans = silo.user().get("/api/v1/scans").await.json();
    assert!(scans["items"].as_array().unwrap().iter().all(|scan| scan["trigger"] == "hook"), "{scans}");
    assert_eq!(registry.count(|seen| seen.path == "/callback"), 0, "what a notification names is never called");
}

#[tokio::test]
async fn only_repositories_that_are_scanned_are_hinted_at() {
    let registry = FakeRegistry::start().await;
    let silo = TestApp::start().await;
    let form = json!({"name": "mine", "url": registry.url(), "org": "geo", "exclude": ["geo/old-*"]});
    let id = add(&silo, form).await;
    let hook = hook(&silo, id).await;
    for body in [
        pushed("other/a-seed"),
        pushed("geo/plain"),
        pushed("geo/old-seed"),
        pushed("geo/../a-seed"),
        pushed("geo/A-seed"),
        pushed(""),
        json!({"zen": "Speak like a human.", "hook_id": 1, "hook": {}}),
        json!({"events": []}),
        json!({}),
    ] {
        assert_eq!(taken(silo.anonymous().post(&hook, body.clone()).await), Vec::<String>::new(), "{body}");
    }
    assert_eq!(silo.user().get("/api/v1/scans").await.json()["items"], json!([]), "nobody was asked to look");
    let events: Vec<Value> = ["geo/b-seed", "geo/a-seed", "geo/b-seed", "geo/plain"]
        .iter()
        .map(|name| pushed(name)["events"][0].clone())
        .collect();
    let all = silo.anonymous().post(&hook, json!({"events": events})).await;
    assert_eq!(taken(all), ["geo/a-seed", "geo/b-seed"], "each once");
}

#[tokio::test]
async fn what_is_no_notification_is_refused_with_what_is_read() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0")]).await;
    let hook = hook(&silo, 1).await;
    for body in ["", "{", "null", "[1]", "payload=%7B%7D", "\u{1}", &"[".repeat(60_000)] {
        let refused = silo.anonymous().post_text(&hook, body).await.expect(400).error();
        assert!(refused.contains("docker-registry") && refused.contains("application/json"), "{refused}");
    }
    let mut long = pushed(REPOSITORY).to_string();
    long.extend(std::iter::repeat_n(' ', 64 * 1024 - long.len()));
    silo.anonymous().post_text(&hook, long.clone()).await.expect(202);
    long.push(' ');
    silo.anonymous().post_text(&hook, long.clone()).await.expect(413);
    silo.anonymous().post_text("/hooks/x", long).await.expect(413);
    silo.anonymous().get(&hook).await.expect(405);
    silo.anonymous().post_text("/hooks/%FF", "{}").await.expect(400);
}

#[tokio::test]
async fn too_many_notifications_have_to_wait() {
    let silo = TestApp::with().set("SILO__HOOKS__PER_MINUTE", "2").manual_clock().start().await;
    let (one, other) = (
        silo.add_layout("one", &jobs(&[("a", "1.0.0", "1.0.0")])).await,
        silo.add_layout("other", &jobs(&[("b", "1.0.0", "1.0.0")])).await,
    );
    let (one, other) = (hook(&silo, one).await, hook(&silo, other).await);
    for _ in 0..2 {
        silo.anonymous().post(&one, json!({})).await.expect(202);
    }
    let refused = silo.anonymous().post(&one, pushed(REPOSITORY)).await.expect(429);
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(refused.error(), "Too many notifications; try again in 30 seconds");
    silo.anonymous().post(&other, json!({})).await.expect(202);
    silo.clock.advance(TimeDelta::seconds(30));
    silo.anonymous().post(&one, json!({})).await.expect(202);
    silo.anonymous().post(&one, json!({})).await.expect(429);
}

#[tokio::test]
async fn with_a_secret_only_signed_notifications_are_taken() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0")]).await;
    let secret = json!({"secret": "It's a Secret to Everybody"});
    let made = silo.admin().post("/api/v1/registries/1/hook", secret).await.expect(201);
    assert!(!made.text.contains("Everybody"));
    let hook = text(&made.json()["url"]).strip_prefix(&silo.url).unwrap().to_owned();
    // The example of GitHub's documentation: its signature is valid, and its body is no notification.
    let example = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let signed = |signature: &'static str, body: &str| {
        let (silo, hook, body) = (&silo, &hook, body.as_bytes().to_vec());
        async move { silo.anonymous().send(Method::POST, hook, &[("x-hub-signature-256", signature)], body).await }
    };
    signed(example, "Hello, World!").await.expect(400);
    for refused in [signed(example, "{}").await, signed("sha256=00", "{}").await, signed("", "{}").await] {
        assert!(refused.expect(401).error().contains("X-Hub-Signature-256"));
    }
    silo.anonymous().post(&hook, pushed(REPOSITORY)).await.expect(401);
}

#[tokio::test]
async fn many_notifications_while_a_scan_looks_need_one_more_look() {
    let (registry, go_on) = (FakeRegistry::start().await, Arc::new(Notify::new()));
    registry.push(REPOSITORY, "1.0.0", &seed("a"));
    registry.fault(Seen::is_tags, 1, Fault::Hold(Arc::clone(&go_on)));
    let silo = TestApp::start().await;
    let id = add(&silo, json!({"name": "mine", "url": registry.url()})).await;
    let hook = hook(&silo, id).await;
    let client = silo.anonymous();
    client.post(&hook, pushed(REPOSITORY)).await.expect(202);
    while registry.count(Seen::is_tags) == 0 {
        registry.arrived(registry.log().len() + 1).await;
    }
    for reply in futures_util::future::join_all((0..20).map(|_| client.post(&hook, pushed(REPOSITORY)))).await {
        assert_eq!(taken(reply), [REPOSITORY]);
    }
    go_on.notify_one();
    // Until no scan is left: later hints are handled by another scan.
    loop {
        let last = silo.user().get("/api/v1/scans?limit=1").await.json()["items"][0].clone();
        if last["finishedAt"].is_string() {
            // Reading the scan by its id updates the search index; reading the list does not.
            silo.user().get(&format!("/api/v1/scans/{}", last["id"])).await.expect(200);
            break;
        }
        silo.user().follow(&format!("/api/v1/scans/{}/events", last["id"]), &[]).await.rest().await;
    }
    let looks = registry.count(Seen::is_tags);
    assert!(looks <= 3, "{looks} looks");
    assert_eq!(client.get("/api/v1/search?q=a").await.json()["total"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_to_a_real_registry_is_found_by_its_own_notification() {
    let silo = TestApp::start().await;
    let mut registry = DockerRegistry::open().await;
    let id = add(&silo, json!({"name": "mine", "url": registry.url()})).await;
    let hook = hook(&silo, id).await;
    registry.notify(&format!("{}{hook}", silo.url)).await;
    let mut events = silo.anonymous().follow("/api/v1/events", &[]).await;

    let mut layout = LayoutBuilder::oci();
    let label = manifest("a", "1.0.0", "1.0.0").to_string();
    layout.image(&format!("{REPOSITORY}:1.0.0"), &[(silo::seed::LABEL, &label)]);
    let digest = registry.put(&layout, &format!("{REPOSITORY}:1.0.0")).await;
    let (kind, event) = events.event().await;
    assert_eq!((kind.as_str(), &event["digest"]), ("image.added", &json!(digest)));
    let found = silo.anonymous().get("/api/v1/search?q=a").await.json();
    assert_eq!(found["items"][0]["image"], format!("{}/{REPOSITORY}:1.0.0", registry.host()));
}

/// Many names cost as much as many notifications; beyond a limit the whole registry is scanned.
#[tokio::test]
async fn a_hook_can_name_so_much_and_no_more() {
    let registry = FakeRegistry::start().await;
    let silo = TestApp::with().manual_clock().set("SILO__HOOKS__PER_MINUTE", "300").start().await;
    let id = add(&silo, json!({"name": "mine", "url": registry.url(), "org": "geo"})).await;
    let hook = hook(&silo, id).await;
    let store = silo::app::open_store(silo.app.settings()).await.expect("the database opens");
    let named = |count: usize| {
        let event = |n| json!({"action": "push", "target": {"repository": format!("geo/x{n}-seed"), "tag": "1"}});
        json!({"events": (0..count).map(event).collect::<Vec<_>>()})
    };
    assert_eq!(taken(silo.anonymous().post(&hook, named(201)).await).len(), 201);
    assert_eq!(store.hint_count(silo::catalog::RegistryId(id)).await.expect("a number"), 0);
    let scans = silo.user().get("/api/v1/scans").await.json();
    assert_eq!(scans["items"][0]["trigger"], "schedule", "the whole registry: {scans}");
    let statuses = [99, 1, 1].map(|count| (count, named(count)));
    let mut seen = Vec::new();
    for (_, body) in &statuses {
        seen.push(silo.anonymous().post(&hook, body.clone()).await.status);
    }
    assert_eq!(seen, [202, 429, 429], "300 names in a minute");
    assert!(store.hint_count(silo::catalog::RegistryId(id)).await.expect("a number") <= 99);
}
