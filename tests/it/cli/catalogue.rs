//! `silo registry`, `silo scan`, `silo search` and `silo health` against a running service.

use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::plain;
use super::program::{silo_on_terminal, silo_on_terminal_of};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};
use crate::support::process::{PASSWORD, Setup, Silo};
use crate::support::tls::{Authority, Clients, Front};

fn label(name: &str, version: &str, title: &str) -> Image {
    let manifest = json!({"seedVersion": "1.0.0", "job": {
        "name": name, "jobVersion": version, "packageVersion": "1.0.0", "title": title, "description": "For tests.",
        "timeout": 60, "maintainer": {"name": "Ada", "email": "a@example.org", "organization": "Polar Works"},
        "interface": {"command": "run"},
    }});
    Image::new().label(silo::seed::LABEL, manifest.to_string())
}

async fn registry() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.push("geo/ice-1.0.0-seed", "1.0.0", &label("ice", "1.0.0", "Finds ice"));
    registry.push("geo/ice-2.0.0-seed", "1.0.0", &label("ice", "2.0.0", "Finds ice again"));
    let invalid = Image::new().label(
        silo::seed::LABEL,
        r#"{"job":{"name":"icicle","jobVersion":"1","packageVersion":"1","title":"Breaks\u001b[31m the standard"}}"#,
    );
    registry.push("icicle-1-seed", "1", &invalid);
    registry.push("webserver", "latest", &Image::new());
    registry
}

/// Adds and scans a registry with commands.
async fn filled() -> (Silo, FakeRegistry) {
    let (silo, registry) = (Setup::new().impatient().start().await, registry().await);
    silo.cli(&["registry", "add", "mine", &registry.url()]).await.expect_success();
    silo.cli(&["scan", "mine", "--wait"]).await.expect_success();
    (silo, registry)
}

#[tokio::test]
async fn registries_are_added_listed_and_removed() {
    let (silo, registry) = (Setup::new().start().await, registry().await);
    let error = silo.cli(&["scan"]).await.expect_failure(1);
    assert_eq!(error, "silo: there is no registry yet; add one with: silo registry add NAME URL\n");
    let error = silo.cli(&["registry", "add", "mine", ".."]).await.expect_failure(1);
    assert!(error.starts_with("silo: .. is a relative path; give the absolute path on the server: /"), "{error}");
    let added = silo.cli(&["registry", "add", "mine", &registry.url(), "--org", "geo"]).await;
    assert_eq!((added.code, added.stdout.as_str()), (Some(0), ""));
    assert_snapshot!(added.stderr, @"Added mine as registry 1. Scan it with: silo scan mine --wait");
    let table = silo.cli(&["registry", "list"]).await.expect_success();
    let head = ["ID", "NAME", "KIND", "URL", "ORG", "VERIFIED", "LAST", "SCAN", "NEXT", "SCAN"];
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows, [&head[..], &["1", "mine", "distribution", &registry.url(), "geo", "never"]], "{table}");
    let list: Value = serde_json::from_str(&silo.cli(&["registry", "list", "--json"]).await.expect_success()).unwrap();
    assert_eq!((&list[0]["name"], &list[0]["url"]), (&json!("mine"), &json!(registry.url())));

    let again = silo.cli(&["registry", "add", "mine", &registry.url()]).await.expect_failure(1);
    assert_eq!(again, "silo: Registry already exists with name mine\n");
    let error = silo.cli(&["registry", "rm", "yours"]).await.expect_failure(1);
    assert_eq!(error, "silo: there is no registry 'yours'; list them with: silo registry list\n");
    let error = silo.cli(&["registry", "rm", "7"]).await.expect_failure(1);
    assert_eq!(error, "silo: there is no registry '7'; list them with: silo registry list\n");
    // An id works, too; a name takes precedence, even if it is a number.
    silo.cli(&["registry", "add", "1", &registry.url()]).await.expect_success();
    silo.cli(&["registry", "rm", "1"]).await.expect_success();
    silo.cli(&["registry", "rm", "1"]).await.expect_success();
    assert_eq!(silo.cli(&["registry", "list", "--json"]).await.expect_success(), "[]\n");
}

/// Deletion needs confirmation on a terminal; scripts are not asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_a_registry_away_is_asked_on_a_terminal() {
    let (silo, registry) = (Setup::new().impatient().start().await, registry().await);
    let token = silo.login("admin", PASSWORD).await;
    let environment = [("SILO_URL", silo.url()), ("SILO_TOKEN", &token)];
    let ask = |more: &[&str], typed: &str| {
        silo_on_terminal(silo.folder(), &environment, &[&["registry", "rm", "mine"], more].concat(), typed)
    };
    for (more, typed, goes) in [(&[][..], "n\n", false), (&[], "\n", false), (&[], "y\n", true), (&["--yes"], "", true)]
    {
        silo.cli(&["registry", "add", "mine", &registry.url()]).await;
        let exit = ask(more, typed);
        assert_eq!((exit.code, exit.stdout.contains("[y/N]")), (Some(i32::from(!goes)), more.is_empty()), "{exit:?}");
        let left = silo.cli(&["registry", "list", "--json"]).await.expect_success();
        assert_eq!(left.contains("mine"), !goes, "{typed:?}: {left}");
    }
    silo.cli(&["registry", "add", "mine", &registry.url()]).await.expect_success();
    let error = silo.cli(&["registry", "rm", "mien"]).await.expect_failure(1);
    assert_eq!(error, "silo: there is no registry 'mien'; did you mean mine?\n");
}

/// Tables fit into eighty columns, with local times; in a pipe nothing is cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_fit_the_terminal() {
    let (silo, registry) = (Setup::new().impatient().start().await, registry().await);
    let name = "a-registry-with-a-name-that-is-rather-long-for-a-column-of-a-table";
    silo.cli(&["registry", "add", name, &registry.url(), "--schedule", "0 0 1 1 *"]).await.expect_success();
    let environment = [("SILO_URL", silo.url()), ("TZ", "JST-9")];
    let shown = silo_on_terminal_of(80, silo.folder(), &environment, &["registry", "list"], "").stdout;
    assert_fits(&shown, 80);
    assert!(shown.contains("a-registry-") && shown.contains('…') && shown.contains(&registry.url()), "{shown}");
    let shown = silo_on_terminal_of(200, silo.folder(), &environment, &["registry", "list"], "").stdout;
    assert!(shown.contains("-01-01 09:"), "midnight of UTC in Tokyo: {shown}");
    let piped = silo.cli(&["registry", "list"]).await.expect_success();
    assert!(piped.contains(name) && piped.contains("-01-01 00:"), "{piped}");
    let json = silo.cli(&["registry", "list", "--json"]).await.expect_success();
    assert!(json.contains("-01-01T00:"), "{json}");
    let names = silo.cli(&["names", "registries"]).await.expect_success();
    assert_eq!(names, format!("{name}\n"));
}

/// Asserts that every line fits the columns, without escape sequences.
fn assert_fits(shown: &str, columns: usize) {
    let plain = anstream::adapter::strip_str(shown).to_string();
    assert!(plain.split(['\r', '\n']).all(|line| line.trim_end().chars().count() <= columns), "{plain}");
}

/// Image names are copied by people, so they are never cut. Progress stays on one line.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn found_images_can_be_copied_from_a_narrow_terminal() {
    const IMAGE: &str = "institute/remote-sensing/sea-ice-1.0.0-seed";
    let registry = FakeRegistry::start().await;
    registry.push(IMAGE, "1.0.0", &label("sea-ice", "1.0.0", "Finds the edges of sea ice in radar scenes"));
    let silo = Setup::new().impatient().start().await;
    silo.cli(&["registry", "add", "a-registry-with-a-long-name", &registry.url()]).await.expect_success();
    let token = silo.login("admin", PASSWORD).await;
    let environment = [("SILO_URL", silo.url()), ("SILO_TOKEN", &token), ("NO_COLOR", "1")];
    let shown = |columns, arguments: &[&str]| {
        silo_on_terminal_of(columns, silo.folder(), &environment, arguments, "").stdout.replace('\r', "")
    };
    let waited = silo_on_terminal_of(80, silo.folder(), &environment, &["scan", "--wait"], "").stdout;
    assert!(waited.contains("complete") && waited.contains("a-regist…ng-name"), "{waited}");
    // The final progress line is full, so that the table starts on the next line.
    assert_fits(waited.split("REGISTRY").next().unwrap(), 80);
    let host = registry.url().replace("http://", "");
    let (image, hosts) = (format!("{host}/{IMAGE}:1.0.0"), [(host.as_str(), "127.0.0.1:PORTS")]);
    let search = |columns| plain(&shown(columns, &["search", "ice"]).replace(&image, "IMAGE-AS-IT-IS"), &hosts);
    let wide = search(120);
    assert!(wide.contains("Finds the e") && wide.contains("…") && wide.ends_with("  IMAGE-AS-IT-IS"), "{wide}");
    assert_eq!(wide.lines().count(), 2, "{wide}");
    assert_snapshot!(search(80), @"
    NAME     VERSION  TITLE                                       ORGANIZATION
      IMAGE
    sea-ice  1.0.0    Finds the edges of sea ice in radar scenes  Polar Works
      IMAGE-AS-IT-IS
    ");
    let piped = silo.cli(&["search", "ice"]).await.expect_success();
    assert!(piped.contains("Finds the edges of sea ice in radar scenes") && !piped.contains('…'), "{piped}");
    assert!(piped.contains(&image), "{piped}");
}

#[tokio::test]
async fn a_registry_with_a_password_takes_it_from_standard_input() {
    let (silo, registry) = (Setup::new().impatient().start().await, registry().await);
    registry.require_basic("robot", "s3cret");
    let add = ["registry", "add", "mine", &registry.url(), "--username", "robot"];
    let error = silo.cli_with(&add, &[], "wrong\n").await.expect_failure(1);
    assert!(error.contains("does not accept the username and password"), "{error}");
    silo.cli_with(&add, &[], "s3cret\n").await.expect_success();
    silo.cli(&["scan", "mine", "--wait"]).await.expect_success();
}

#[tokio::test]
async fn a_registry_is_changed() {
    let (silo, registry) = (Setup::new().impatient().start().await, registry().await);
    registry.require_basic("AWS", "today");
    let add = ["registry", "add", "mine", &registry.url(), "--username", "AWS", "--exclude", "old/*"];
    silo.cli_with(&add, &[], "today\n").await.expect_success();
    registry.require_basic("AWS", "tomorrow");
    // As a cron job does.
    let set = ["registry", "set", "mine", "--password-stdin"];
    let error = silo.cli_with(&set, &[], "yesterday\n").await.expect_failure(1);
    assert!(error.contains("does not accept the username and password"), "{error}");
    let changed = silo.cli_with(&set, &[], "tomorrow\n").await;
    assert_eq!(
        (changed.code, changed.stdout.as_str(), changed.stderr.as_str()),
        (Some(0), "", "Changed mine; it answers.\n")
    );
    silo.cli(&["scan", "mine", "--wait"]).await.expect_success();

    let set =
        ["registry", "set", "1", "--include", "*", "--include", "b", "--schedule", "off", "--exclude", "", "--json"];
    let reply: Value = serde_json::from_str(&silo.cli(&set).await.expect_success()).unwrap();
    assert_eq!(
        (&reply["include"], &reply["exclude"], &reply["schedule"], &reply["username"]),
        (&json!(["*", "b"]), &json!([]), &json!("off"), &json!("AWS"))
    );
    let error = silo.cli(&["registry", "set", "mine"]).await.expect_failure(1);
    assert_eq!(error, "silo: give at least one option to change; see: silo registry set --help\n");
    let error = silo.cli(&["registry", "set", "yours", "--org", "geo"]).await.expect_failure(1);
    assert_eq!(error, "silo: there is no registry 'yours'; list them with: silo registry list\n");
}

#[tokio::test]
async fn what_is_verified_of_a_registry_is_marked() {
    let (silo, registry) = filled().await;
    let set = async |more: &[&str]| silo.cli(&[&["registry", "set", "mine"], more].concat()).await;
    let told = set(&["--verified-namespace", "/", "--verified-namespace", "geo/maps"]).await;
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), "Changed mine.\n"), "it was not asked");
    let column = async || {
        let table = silo.cli(&["registry", "list"]).await.expect_success();
        let at = table.find("VERIFIED").expect("a column");
        let end = table.find("LAST SCAN").expect("the next column");
        table.lines().nth(1).expect("a row").chars().take(end).skip(at).collect::<String>().trim().to_owned()
    };
    assert_eq!(column().await, "/ geo/maps");
    set(&["--verified"]).await.expect_success();
    assert_eq!(column().await, "all");
    let found = silo.cli(&["search", "--kind", "image", "--facet", "verified=true"]).await.expect_success();
    assert!(
        found.lines().skip(1).count() > 0 && found.lines().skip(1).all(|line| line.contains("(verified")),
        "{found}"
    );
    set(&["--verified", "false", "--verified-namespace", ""]).await.expect_success();
    assert_eq!(column().await, "");
    drop(registry);
}

#[tokio::test]
async fn certificates_come_from_files() {
    let (silo, registry) = (Setup::new().impatient().start().await, registry().await);
    let authority = Authority::new("ours");
    let client = authority.sign("silo");
    let front = Front::start(&authority, Clients::Only(&authority), registry.host()).await;
    let file = |name: &str, text: &str| {
        let path = silo.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (ca, certificate, key) =
        (file("ca.pem", &authority.certificate), file("cert.pem", &client.certificate), file("key.pem", &client.key));
    let add = ["registry", "add", "mine", &front.url()];
    let error = silo.cli(&add).await.expect_failure(1);
    assert!(error.contains("(ca)"), "{error}");
    let with_files = [&add[..], &["--ca", &ca, "--client-cert", &certificate, "--client-key", &key]].concat();
    silo.cli(&with_files).await.expect_success();
    silo.cli(&["scan", "mine", "--wait"]).await.expect_success();

    let renewed = authority.sign("silo");
    let (certificate, key) = (file("cert.pem", &renewed.certificate), file("key.pem", &renewed.key));
    let set = ["registry", "set", "mine", "--client-cert", &certificate, "--client-key", &key];
    silo.cli(&set).await.expect_success();
    let error = silo.cli(&["registry", "set", "mine", "--client-cert", ""]).await.expect_failure(1);
    assert!(error.contains("requires a client certificate"), "{error}");
    let error = silo.cli(&["registry", "set", "mine", "--ca", "nowhere.pem"]).await.expect_failure(1);
    assert!(error.contains("cannot read nowhere.pem"), "{error}");
    let error = silo.cli(&["registry", "set", "mine", "--ca", &key]).await.expect_failure(1);
    assert!(error.contains("the CA is not a certificate") && !error.contains(&renewed.key[40..80]), "{error}");
    // Settings that the registry does not need can be removed.
    let set = ["registry", "set", "mine", "--url", &registry.url(), "--ca", "", "--client-cert", "", "--json"];
    let reply: Value = serde_json::from_str(&silo.cli(&set).await.expect_success()).unwrap();
    assert_eq!((&reply["caFingerprints"], &reply["hasClientCertificate"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn a_scan_is_waited_for_and_its_result_is_found() {
    let (silo, registry) = (Setup::new().start().await, registry().await);
    silo.cli(&["registry", "add", "mine", &registry.url()]).await.expect_success();
    let scan = silo.cli(&["scan", "mine", "--wait"]).await;
    assert_eq!(scan.code, Some(0));
    assert_snapshot!(plain(&scan.stdout, &[]), @r#"
    REGISTRY  STATE     IMAGES  ADDED  CHANGED  REMOVED  PROBLEMS
    mine      complete  3       3      0        0        1
    "#);
    assert_snapshot!(plain(&scan.stderr, &[]), @"mine: 1 of 4 repositories were passed over because of their names. To scan them, add the registry with your own patterns (\"include\": [\"*\"] for all), or change scan.include in the configuration");
    // The result can be found as soon as the scan's end is reported.
    let table = silo.cli(&["search", "ic"]).await.expect_success();
    assert_snapshot!(plain(&table, &[(&registry.host(), "REGISTRY")]), @r#"
    NAME    VERSION  TITLE                     ORGANIZATION  IMAGE
    ice     2.0.0    Finds ice again           Polar Works   REGISTRY/geo/ice-2.0.0-seed:1.0.0
    icicle  1        Breaks [31m the standard                REGISTRY/icicle-1-seed:1  (invalid manifest)
    "#);
    let scans: Value = serde_json::from_str(&silo.cli(&["scan", "--wait", "--json"]).await.expect_success()).unwrap();
    assert_eq!((&scans[0]["state"], &scans[0]["counts"]["unchanged"]), (&json!("complete"), &json!(3)));
    let asked = silo.cli(&["scan", "mine"]).await;
    assert_eq!((asked.code, asked.stdout.as_str()), (Some(0), ""));
    assert!(asked.stderr.contains("Follow it with: silo scan mine --follow"), "{}", asked.stderr);
}

#[tokio::test]
async fn a_scan_that_fails_is_an_error() {
    let (silo, registry) = filled().await;
    let other = self::registry().await;
    silo.cli(&["registry", "add", "other", &other.url()]).await.expect_success();
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Html(200));
    let scan = silo.cli(&["scan", "--wait"]).await;
    assert_eq!(scan.code, Some(1), "{scan:#?}");
    assert_snapshot!(plain(&scan.stdout, &[]), @r#"
    REGISTRY  STATE     IMAGES  ADDED  CHANGED  REMOVED  PROBLEMS
    mine      failed    3       0      0        0        1
    other     complete  3       3      0        0        1
    "#);
    let host = registry.host();
    let words = format!("mine: {host} answers with a web page");
    assert!(scan.stderr.contains(&words), "{}", scan.stderr);
    assert!(scan.stderr.ends_with("silo: 1 of 2 scans failed\n"), "{}", scan.stderr);
    silo.cli(&["scan", "other", "--wait"]).await.expect_success();
}

#[tokio::test]
async fn a_scan_is_cancelled_by_its_registrys_name() {
    let (silo, registry) = filled().await;
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Hang);
    silo.cli(&["scan", "mine"]).await.expect_success();
    let table = silo.cli(&["scan", "mine", "--cancel"]).await.expect_success();
    assert!(table.contains("mine      cancelled"), "{table}");
    let error = silo.cli(&["scan", "mine", "--cancel"]).await.expect_failure(1);
    assert!(error.contains("nothing to cancel"), "{error}");
}

#[tokio::test]
async fn a_search_is_a_table_or_json() {
    let (silo, registry) = filled().await;
    let images = silo.cli(&["search", "--kind", "image", "ice"]).await.expect_success();
    assert_eq!(images.lines().count(), 3, "a head and two images: {images}");
    let one = silo.cli(&["search", "--kind", "image", "--limit", "1", "ice"]).await;
    assert_eq!(one.stdout.lines().count(), 2, "{one:?}");
    assert_eq!(one.stderr, "1 of 2; more with --limit.\n");

    let json: Value = serde_json::from_str(&silo.cli(&["search", "ice", "--json"]).await.expect_success()).unwrap();
    let first = &json["items"][0];
    assert_eq!((&first["name"], &first["jobVersion"]), (&json!("ice"), &json!("2.0.0")));
    assert_eq!(first["image"], json!(format!("{}/geo/ice-2.0.0-seed:1.0.0", registry.host())));

    let none = silo.cli(&["search", "volcano"]).await;
    assert_eq!((none.code, none.stdout.as_str()), (Some(0), ""));
    assert_eq!(none.stderr, "Nothing matches 'volcano'.\n");
    let error = silo.cli(&["search", "--limit", "1000", "ice"]).await.expect_failure(1);
    assert_eq!(error, "silo: limit must be between 1 and 100\n");
}

#[tokio::test]
async fn health_is_an_exit_code() {
    let mut silo = Setup::new().start().await;
    let health = silo.cli(&["health", "--server", silo.url()]).await;
    assert_eq!((health.code, health.stdout.as_str(), health.stderr.as_str()), (Some(0), "", ""));
    let address = silo.url().trim_start_matches("http://").to_owned();
    silo.cli(&["health"]).await.expect_success();
    silo.cli_with(&["health"], &[("SILO_URL", "http://127.0.0.1:1")], "").await.expect_failure(1);
    let listens = [("SILO_LISTEN", address.as_str())];
    crate::support::process::silo(&["health"], &listens).await.expect_success();
    silo.terminate().await;
    silo.cli(&["health", "--server", silo.url()]).await.expect_failure(1);
}

#[tokio::test]
async fn a_hook_is_made_shown_once_and_removed() {
    let (silo, registry) = (Setup::new().env("SILO_LOG", "debug").start().await, registry().await);
    silo.cli(&["registry", "add", "mine", &registry.url()]).await.expect_success();
    let made = silo.cli(&["registry", "hook", "mine"]).await;
    assert_eq!(made.code, Some(0), "{made:#?}");
    let url = made.stdout.trim_end().to_owned();
    let path = url.strip_prefix(silo.url()).expect("the address that the command used");
    assert!(path.starts_with("/hooks/"), "{url}");
    assert!(made.stderr.contains(&format!("      url: {url}\n")), "{}", made.stderr);
    let body = json!({"events": [{"action": "push", "target": {"repository": "geo/ice-2.0.0-seed", "tag": "1"}}]});
    assert_eq!(silo.post(path, body.clone()).await.expect(202)["repositories"], json!(["geo/ice-2.0.0-seed"]));
    let token = path.rsplit('/').next().unwrap();
    assert!(silo.log().contains("/hooks/…") && !silo.log().contains(token), "{}", silo.log());

    let removed = silo.cli(&["registry", "hook", "mine", "--remove"]).await;
    assert_eq!((removed.code, removed.stderr.as_str()), (Some(0), "Removed the hook of mine.\n"));
    silo.post(path, body).await.expect(404);
    let secret = silo.cli_with(&["registry", "hook", "mine", "--secret", "--json"], &[], "hunter2\n").await;
    let reply: Value = serde_json::from_str(&secret.expect_success()).unwrap();
    let path = reply["url"].as_str().unwrap().strip_prefix(silo.url()).unwrap().to_owned();
    silo.post(&path, json!({})).await.expect(401);
    drop(registry);
}

#[tokio::test]
async fn a_held_scan_shows_in_the_list_of_registries() {
    let (silo, registry) = filled().await;
    registry.repositories().keys().for_each(|repository| registry.delete_repository(repository));
    assert_eq!(silo.cli(&["scan", "mine", "--wait"]).await.code, Some(1));
    let list = silo.cli(&["registry", "list"]).await;
    assert!(list.stdout.contains("held: 3 tags vanished"), "{}", list.stdout);
    assert!(list.stderr.contains("silo scan mine --confirm"), "{}", list.stderr);
}

#[tokio::test]
async fn ctrl_c_ends_the_waiting_and_not_the_scan() {
    let (silo, registry) = filled().await;
    let go_on = Arc::new(Notify::new());
    registry.fault(Seen::is_catalog, 1, Fault::Hold(Arc::clone(&go_on)));
    let waiting = silo.cli_started(&["scan", "mine", "--wait"]);
    let follows = |metrics: &Value| metrics.as_str().unwrap().contains("\nsilo_streams_open 1\n");
    while !follows(&silo.get("/metrics").await.expect(200)) {
        tokio::time::sleep(Duration::from_millis(10)).await; // because a command does not report what it waits for
    }
    let interrupted = waiting.interrupt().await;
    assert_eq!((interrupted.code, interrupted.stdout.as_str()), (Some(1), ""));
    assert_eq!(
        interrupted.stderr,
        "silo: the server continues to scan mine; follow the scan with: silo scan mine --follow\n"
    );
    let following = silo.cli_started(&["scan", "mine", "--follow", "--json"]);
    go_on.notify_one();
    assert_eq!(silo.ended(2).await["state"], "complete");
    let followed: Value = serde_json::from_str(&following.ended().await.expect_success()).unwrap();
    assert_eq!((&followed[0]["id"], &followed[0]["state"]), (&json!(2), &json!("complete")));
    // After its end, no new scan is started, either.
    silo.cli(&["scan", "mine", "--follow"]).await.expect_success();
    silo.get("/api/v1/scans/3").await.expect(404);
    silo.cli(&["registry", "add", "new", &registry.url()]).await.expect_success();
    let none = silo.cli(&["scan", "new", "--follow"]).await.expect_failure(1);
    assert!(none.contains("was never scanned"), "{none}");
}
