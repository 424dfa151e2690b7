//! Changing a registry, and its own TLS settings, through `/api/v1`.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::sync::Notify;

use crate::support::app::{Reply, TestApp, beginning, manifest, text};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen, basic};
use crate::support::tls::{Authority, Clients, Front};

async fn patch(silo: &TestApp, change: Value) -> Reply {
    let headers = [("content-type", "application/merge-patch+json")];
    silo.admin().send(Method::PATCH, "/api/v1/registries/1", &headers, change.to_string().into_bytes()).await
}

async fn get(silo: &TestApp) -> Value {
    silo.admin().get("/api/v1/registries/1").await.expect(200).json()
}

fn seed(name: &str) -> Image {
    Image::new().label(silo::seed::LABEL, manifest(name, "1.0.0", "1.0.0").to_string())
}

/// A registry that ada may read, added with an org and rules.
async fn added(silo: &TestApp) -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.require_basic("ada", "secret");
    registry.push("geo/a-seed", "1.0.0", &seed("a"));
    registry.push("art/b-seed", "1.0.0", &seed("b"));
    let form = json!({
        "name": "mine", "url": registry.url(), "org": "geo", "username": "ada", "password": "secret",
        "include": ["*-seed"], "exclude": ["old/*"], "schedule": "0 3 * * *",
    });
    silo.admin().post("/api/v1/registries", form).await.expect(201);
    registry
}

async fn what_is_absent_stays_and_null_takes_away(silo: TestApp) {
    let registry = added(&silo).await;
    let before = get(&silo).await;
    assert_eq!(patch(&silo, json!({})).await.expect(200).json(), before, "nothing");
    let after = patch(&silo, json!({"org": null, "exclude": null, "include": ["*"]})).await.expect(200).json();
    let mut expected = before.clone();
    (expected["org"], expected["exclude"], expected["include"]) = (json!(""), json!([]), json!(["*"]));
    assert_eq!(after, expected);
    assert_eq!(get(&silo).await, expected);
    silo.scan(1).await;
    assert_eq!(silo.anonymous().get("/images").await.json().as_array().map(Vec::len), Some(2), "of every org now");

    let ids = |images: Value| images.as_array().unwrap().iter().map(|image| image["ID"].clone()).collect::<Vec<_>>();
    let known = ids(silo.anonymous().get("/images").await.json());
    registry.require_basic("bob", "hidden");
    let after = patch(&silo, json!({"username": "bob", "password": "hidden"})).await.expect(200);
    assert_eq!((&after.json()["username"], &after.json()["hasPassword"]), (&json!("bob"), &json!(true)));
    assert!(!after.text.contains("hidden"));
    silo.scan(1).await;
    let only = |name: &str, password: &str| {
        let login = basic(name, password);
        registry.log().iter().filter_map(|seen| seen.authorization.clone()).next_back() == Some(login)
    };
    assert!(only("bob", "hidden"));
    assert_eq!(ids(silo.anonymous().get("/images").await.json()), known);
}

#[tokio::test]
async fn what_is_absent_stays_and_null_takes_away_sqlite() {
    what_is_absent_stays_and_null_takes_away(TestApp::start().await).await;
}

#[tokio::test]
async fn what_is_absent_stays_and_null_takes_away_postgres() {
    what_is_absent_stays_and_null_takes_away(TestApp::on_postgres().await).await;
}

#[tokio::test]
async fn nothing_changes_unless_the_registry_answers() {
    let silo = TestApp::start().await;
    let registry = added(&silo).await;
    let before = get(&silo).await;
    for (change, status, part) in [
        (json!({"password": "wrong"}), 400, "does not accept the username and password"),
        (json!({"username": null}), 400, "requires a login"),
        (json!({"username": null, "password": "secret"}), 400, "A password needs a user name"),
        (json!({"password": null}), 400, "does not accept"),
        (json!({"url": null}), 400, "registry url"),
        (json!({"url": "http://127.0.0.1:1", "password": "secret"}), 400, "cannot be reached"),
        (json!({"include": ["[a"]}), 400, "[a"),
        (json!({"schedule": "sometimes"}), 400, "sometimes"),
        (json!({"ca": "hello"}), 400, "the CA is not a certificate"),
        (json!({"clientKey": "hello"}), 400, "the client key needs its certificate"),
        (json!({"kind": "harbor"}), 422, "kind"),
        (json!({"name": "yours"}), 422, "name"),
        (json!({"client_key": ""}), 422, "client_key"),
        (json!({"include": "*"}), 422, "sequence"),
        (json!(["url"]), 422, "must be a JSON object"),
        (json!([]), 422, "must be a JSON object"),
    ] {
        let reply = patch(&silo, change.clone()).await.expect(status);
        assert!(reply.error().contains(part), "{change}: {}", reply.text);
        assert!(!reply.text.contains("secret"), "{}", reply.text);
    }
    assert_eq!(get(&silo).await, before);
    registry.clear_log();
    silo.scan(1).await;
    assert!(registry.count(|seen| seen.authorization == Some(basic("ada", "secret"))) > 0, "as before");
    let unknown = silo.admin().send(Method::PATCH, "/api/v1/registries/9", &[], b"{}".to_vec()).await;
    assert!(unknown.expect(404).error().contains("No registry found"));
}

/// Changing the URL must not reveal the password to another host.
#[tokio::test]
async fn a_new_address_needs_the_password_again() {
    let silo = TestApp::start().await;
    let (registry, other) = (added(&silo).await, FakeRegistry::start().await);
    silo.scan(1).await;
    let known = silo.anonymous().get("/images").await.json();
    other.require_basic("ada", "secret");
    let digest = other.push("geo/a-seed", "1.0.0", &seed("a"));
    let reply = patch(&silo, json!({"url": other.url()})).await.expect(400);
    assert!(reply.error().contains("the password again"), "{}", reply.text);
    assert_eq!(other.count(Seen::is_any), 0);
    patch(&silo, json!({"url": other.url(), "password": "secret"})).await.expect(200);
    registry.clear_log();
    silo.scan(1).await;
    assert_eq!(registry.count(Seen::is_any), 0);
    let image = &silo.anonymous().get("/images").await.json()[0];
    assert_eq!((&image["ID"], text(&image["Registry"])), (&known[0]["ID"], other.host()), "moved, and the same");
    let image = silo.anonymous().get("/api/v1/images/1").await.expect(200).json();
    assert_eq!(image["digest"], digest);
    // Without a password, the URL can be changed freely.
    let open = FakeRegistry::start().await;
    let change = patch(&silo, json!({"url": open.url(), "username": null})).await.expect(200).json();
    assert_eq!((&change["username"], &change["hasPassword"]), (&json!(""), &json!(false)));
    assert_eq!(open.count(|seen| seen.authorization.is_some()), 0);
}

#[tokio::test]
async fn a_new_schedule_plans_the_next_scan() {
    let silo = TestApp::with().manual_clock().start().await;
    let _registry = added(&silo).await;
    let planned = get(&silo).await["nextScanAt"].clone();
    assert_eq!(patch(&silo, json!({"exclude": []})).await.expect(200).json()["nextScanAt"], planned);
    let next = patch(&silo, json!({"schedule": "* * * * *"})).await.expect(200).json()["nextScanAt"].clone();
    let next: chrono::DateTime<chrono::Utc> = text(&next).parse().unwrap();
    assert!(next > beginning() && next <= beginning() + chrono::TimeDelta::minutes(1), "{next}");
    assert_eq!(patch(&silo, json!({"schedule": "off"})).await.expect(200).json()["nextScanAt"], Value::Null);
    assert_eq!(patch(&silo, json!({"schedule": null})).await.expect(200).json()["schedule"], "");
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_told() {
    let silo = TestApp::start().await;
    let registry = added(&silo).await;
    let so_far = registry.log().len();
    let gate = Arc::new(Notify::new());
    registry.fault(Seen::is_ping, 1, Fault::Hold(Arc::clone(&gate)));
    let slow = patch(&silo, json!({"exclude": ["slow/*"]}));
    let quick = async {
        registry.arrived(so_far + 1).await;
        let reply = patch(&silo, json!({"exclude": ["quick/*"]})).await;
        gate.notify_one();
        reply
    };
    let (slow, quick) = tokio::join!(slow, quick);
    quick.expect(200);
    assert!(slow.expect(409).error().contains("changed by another request"));
    assert_eq!(get(&silo).await["exclude"], json!(["quick/*"]));
}

#[tokio::test]
async fn tls_of_its_own_is_kept_and_not_told() {
    let (authority, silo) = (Authority::new("ours"), TestApp::start().await);
    let (client, renewed) = (authority.sign("silo"), authority.sign("silo"));
    let registry = FakeRegistry::start().await;
    registry.push("geo/a-seed", "1.0.0", &seed("a"));
    let front = Front::start(&authority, Clients::Only(&authority), registry.host()).await;
    let mut form = json!({"name": "mine", "url": front.url()});
    let refused = silo.admin().post("/api/v1/registries", form.clone()).await.expect(400);
    assert!(refused.error().contains("(ca)"), "{}", refused.text);
    form["ca"] = json!(authority.certificate);
    let refused = silo.admin().post("/api/v1/registries", form.clone()).await.expect(400);
    assert!(refused.error().contains("requires a client certificate"), "{}", refused.text);
    form["clientCertificate"] = json!(client.certificate);
    form["clientKey"] = json!(client.key);
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201);
    assert_eq!(added.json()["hasClientCertificate"], true);
    assert_eq!(added.json()["caFingerprints"], json!(silo::registry::fingerprints(&authority.certificate)));
    silo.scan(1).await;
    assert_eq!(silo.anonymous().get("/images").await.json().as_array().map(Vec::len), Some(1));
    for path in ["/api/v1/registries", "/api/v1/registries/1", "/registries", "/registries/1"] {
        let reply = silo.admin().get(path).await.expect(200);
        assert!(!reply.text.contains("BEGIN") && !reply.text.contains(&client.key[40..80]), "{path}: {}", reply.text);
    }

    let refused = patch(&silo, json!({"clientCertificate": renewed.certificate})).await.expect(400);
    assert!(refused.error().contains("does not belong to the first certificate"), "{}", refused.text);
    let both = json!({"clientCertificate": renewed.certificate, "clientKey": renewed.key});
    patch(&silo, both).await.expect(200);
    let refused = patch(&silo, json!({"clientCertificate": null})).await.expect(400);
    assert!(refused.error().contains("requires a client certificate"), "{}", refused.text);
    let refused = patch(&silo, json!({"ca": null})).await.expect(400);
    assert!(refused.error().contains("(ca)"), "{}", refused.text);
    // Requests for images outside the catalogue use these settings, too.
    let path = format!("/images/manifest/{}/geo/a-seed:1.0.0", front.host());
    silo.anonymous().get(&path).await.expect(200);

    let plain = patch(&silo, json!({"url": registry.url(), "clientCertificate": null, "ca": null})).await.expect(200);
    assert_eq!(plain.json()["hasClientCertificate"], false);
    assert_eq!(plain.json()["caFingerprints"], json!([]));
}

/// A secret that cannot be unsealed must not prevent setting a new one.
#[tokio::test]
async fn a_password_that_cannot_be_unsealed_is_replaced() {
    let silo = TestApp::on_postgres().await;
    let registry = added(&silo).await;
    let mut behind = PgConnection::connect_with(&silo.database().options()).await.unwrap();
    behind.execute("UPDATE silo.registries SET sealed_password = 'from another key'").await.unwrap();
    let refused = patch(&silo, json!({"exclude": []})).await.expect(400);
    assert!(refused.error().contains("the stored password of registry mine cannot be read"), "{}", refused.text);
    patch(&silo, json!({"password": "secret"})).await.expect(200);
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Status(503));
    patch(&silo, json!({"exclude": []})).await.expect(200);
}

/// A dry run asks the registry, and neither adds, changes nor deletes.
async fn a_dry_run_changes_nothing(silo: TestApp) {
    let registry = added(&silo).await;
    let before = get(&silo).await;
    let form = |name: &str, password: &str| json!({"name": name, "url": registry.url(), "org": "geo", "username": "ada", "password": password});
    let check = async |form: Value| silo.admin().post("/api/v1/registries?dry_run=true", form).await;
    let checked = check(form("other", "secret")).await.expect(200);
    assert_eq!(checked.json(), json!({"kind": "distribution", "host": registry.host(), "notes": []}));
    for (name, password, status, part) in
        [("other", "wrong", 400, "does not accept"), ("mine", "secret", 409, "already exists")]
    {
        let why = check(form(name, password)).await.expect(status).error();
        assert!(why.contains(part), "{why}");
    }
    let change = async |change: Value| {
        let path = "/api/v1/registries/1?dry_run=true";
        silo.admin().send(Method::PATCH, path, &[], change.to_string().into_bytes()).await
    };
    registry.clear_log();
    assert_eq!(change(json!({"org": "art"})).await.expect(200).json()["kind"], "distribution");
    assert!(registry.count(|seen| seen.authorization == Some(basic("ada", "secret"))) > 0, "the stored password");
    change(json!({"password": "wrong"})).await.expect(400);
    assert_eq!(get(&silo).await, before);

    silo.scan(1).await;
    let scanned = get(&silo).await;
    assert_eq!((&scanned["images"], &scanned["failingRepositories"]), (&json!(1), &json!(0)));
    let loss = silo.admin().delete("/api/v1/registries/1?dry_run=true").await.expect(200).json();
    assert_eq!(loss, json!({"images": 1, "jobs": 1}));
    // The job stays if another registry has it, too.
    let mirror = FakeRegistry::start().await;
    mirror.push("geo/a-seed", "1.0.0", &seed("a"));
    silo.admin().post("/api/v1/registries", json!({"name": "mirror", "url": mirror.url()})).await.expect(201);
    silo.scan(2).await;
    let loss = silo.admin().delete("/api/v1/registries/1?dry_run=true").await.expect(200).json();
    assert_eq!(loss, json!({"images": 1, "jobs": 0}));
    silo.admin().delete("/api/v1/registries/9?dry_run=true").await.expect(404);
    assert_eq!(silo.admin().get("/api/v1/registries").await.json().as_array().map(Vec::len), Some(2));

    registry.fault(Seen::is_tags, ALWAYS, Fault::Status(500));
    silo.scan(1).await;
    assert_eq!(get(&silo).await["failingRepositories"], 1);
    let failing = silo.user().get("/api/v1/registries/1/repositories?failing=true").await.expect(200).json();
    assert_eq!(failing["items"][0]["name"], "geo/a-seed");
    let none = silo.user().get("/api/v1/registries/2/repositories?failing=true").await.expect(200).json();
    assert_eq!(none["items"], json!([]));
}

#[tokio::test]
async fn a_dry_run_changes_nothing_sqlite() {
    a_dry_run_changes_nothing(TestApp::start().await).await;
}

#[tokio::test]
async fn a_dry_run_changes_nothing_postgres() {
    a_dry_run_changes_nothing(TestApp::on_postgres().await).await;
}

#[tokio::test]
async fn the_kind_of_an_address_is_found_out_without_credentials() {
    let silo = TestApp::start().await;
    let registry = FakeRegistry::start().await;
    registry.require_basic("ada", "secret");
    let kind = async |url: &str| silo.admin().post("/api/v1/registry-kinds", json!({"url": url})).await;
    for (url, expected) in [
        (registry.url().as_str(), "distribution"),
        ("quay.io", "quay"),
        ("/data/images", "layout"),
        ("/a.tar", "archive"),
    ] {
        assert_eq!(kind(url).await.expect(200).json()["kind"], expected, "{url}");
    }
    assert!(registry.log().iter().all(|seen| seen.authorization.is_none()));
    for (url, part) in [("", "registry url"), ("ftp://127.0.0.1", "must start with https://")] {
        let why = kind(url).await.expect(400).error();
        assert!(why.contains(part), "{url}: {why}");
    }
}
