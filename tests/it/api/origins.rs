//! Jobs of several maintainers: which one represents the job, where its images come from, and what is verified.

use serde_json::{Value, json};
use silo::app::App;
use silo::seed::LABEL;

use crate::support::app::{Client, TestApp, manifest, text};
use crate::support::fake_registry::{FakeRegistry, Image};

struct Rivals {
    silo: TestApp,
    /// Ids of Ada's and Mal's registries.
    ids: [i64; 2],
    registries: [FakeRegistry; 2],
}

/// An image of the job `ndvi`.
fn image(maintainer: &str, job_version: &str, description: &str) -> Image {
    let mut manifest = manifest("ndvi", job_version, "1.0.0");
    manifest["job"]["title"] = json!(format!("Vegetation index of {maintainer}"));
    manifest["job"]["description"] = json!(description);
    manifest["job"]["maintainer"] = json!({"name": maintainer, "email": format!("{maintainer}@example.org")});
    Image::new().label(LABEL, manifest.to_string())
}

async fn add(silo: &TestApp, name: &str, registry: &FakeRegistry) -> i64 {
    let form = json!({"name": name, "url": registry.url(), "include": ["*"]});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    let id = added["id"].as_i64().expect("an id");
    silo.scan(id).await;
    id
}

/// Two registries with the job `ndvi`, the second one with the higher version.
async fn rivals() -> Rivals {
    let (silo, registries) = (TestApp::start().await, [FakeRegistry::start().await, FakeRegistry::start().await]);
    silo.admin_token().await;
    registries[0].push("geo/ndvi-1.0.0-seed", "1.0.0", &image("ada", "1.0.0", "Tells where plants are"));
    registries[1].push("ndvi-9.0.0-seed", "1.0.0", &image("mal", "9.0.0", "Plants plants plants, and spiders"));
    let ids = [add(&silo, "ours", &registries[0]).await, add(&silo, "theirs", &registries[1]).await];
    Rivals { silo, ids, registries }
}

async fn found(client: &Client<'_>, query: &str) -> Vec<Value> {
    let reply = client.get(&format!("/api/v1/search?{query}")).await.expect(200).json();
    reply["items"].as_array().expect("a list").clone()
}

async fn change(silo: &TestApp, registry: i64, change: Value) -> Value {
    let path = format!("/api/v1/registries/{registry}");
    let body = change.to_string().into_bytes();
    silo.admin()
        .send(http::Method::PATCH, &path, &[("content-type", "application/json")], body)
        .await
        .expect(200)
        .json()
}

/// Title, maintainer and versions of the job in the legacy API.
async fn legacy(silo: &TestApp) -> [String; 4] {
    let listed = silo.anonymous().get("/jobs").await.expect(200).json();
    let job = &listed[0];
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "one job for one name");
    let found = silo.anonymous().get("/jobs/search/ndvi").await.expect(200).json();
    assert_eq!(&found[job["ID"].to_string()], job);
    assert_eq!(silo.anonymous().get(&format!("/jobs/{}", job["ID"])).await.expect(200).json(), *job);
    ["Title", "Email", "LatestJobVersion", "LatestPackageVersion"].map(|key| text(&job[key]))
}

#[tokio::test]
async fn another_maintainers_higher_version_is_shown_beside_the_job() {
    let Rivals { silo, registries, .. } = rivals().await;
    let client = silo.anonymous();
    let listed = client.get("/api/v1/jobs").await.expect(200).json()["items"][0].clone();
    let shown = [&listed["title"], &listed["email"], &listed["jobVersion"], &listed["image"]].map(text);
    let reference = format!("{}/geo/ndvi-1.0.0-seed:1.0.0", registries[0].host());
    assert_eq!(shown, ["Vegetation index of ada", "ada@example.org", "1.0.0", &reference]);
    assert_eq!(listed["groupCount"], 2);
    let (ours, theirs) = (&listed["groups"][0], &listed["groups"][1]);
    assert_eq!((&ours["representative"], &theirs["representative"]), (&json!(true), &json!(false)));
    assert_eq!((text(&theirs["maintainer"]), text(&theirs["jobVersion"])), ("mal".into(), "9.0.0".into()));
    assert_eq!(ours["origin"], listed["origin"]);
    let origin = json!({"registryId": 2, "registry": "theirs", "host": registries[1].host(), "namespace": "",
        "verified": false, "representative": false});
    assert_eq!(theirs["origin"], origin);

    let job = client.get(&format!("/api/v1/jobs/{}", listed["id"])).await.expect(200).json();
    assert_eq!(job["origin"], listed["origin"]);
    assert_eq!(job["groups"][0]["origins"][0]["image"], reference.as_str());
    assert_eq!(job["groups"][1]["origins"][0]["jobVersion"], "9.0.0");
    let path = format!("/api/v1/jobs/{}/origins", listed["id"]);
    let first = client.get(&format!("{path}?limit=1")).await.expect(200).json();
    assert_eq!(first["items"][0], job["groups"][0]["origins"][0]);
    let rest = client.get(&format!("{path}?limit=5&cursor={}", text(&first["next"]))).await.expect(200).json();
    assert_eq!((&rest["items"][0], &rest["next"]), (&job["groups"][1]["origins"][0], &Value::Null));
    let own = client.get(&format!("{path}?group={}", theirs["id"])).await.expect(200).json();
    assert_eq!(own["items"], rest["items"]);

    let images = client.get("/api/v1/images").await.expect(200).json();
    assert_eq!(images["items"][1]["origin"], origin);
    let image = client.get(&format!("/api/v1/images/{}", theirs["imageId"])).await.expect(200).json();
    assert_eq!(image["origin"], origin);
    let as_before = ["Vegetation index of ada", "ada@example.org", "1.0.0", "1.0.0"].map(str::to_owned);
    assert_eq!(legacy(&silo).await, as_before);
}

#[tokio::test]
async fn searches_show_what_represents_the_job() {
    let Rivals { silo, ids, registries } = rivals().await;
    let client = silo.anonymous();
    for query in ["q=ndvi", "q=plants", "q=plants&sort=newest", "q=plants&sort=version", "q=ndvi&highlight=true"] {
        let jobs = found(&client, query).await;
        assert_eq!((jobs.len(), text(&jobs[0]["maintainer"]).as_str()), (1, "ada"), "{query}");
        assert_eq!((&jobs[0]["groupCount"], jobs[0].get("matched")), (&json!(2), None), "{query}");
    }
    for query in ["q=ndvi&kind=image", "q=plants&kind=image"] {
        let images = found(&client, query).await;
        let makers: Vec<String> = images.iter().map(|image| text(&image["maintainer"])).collect();
        assert_eq!(makers, ["ada", "mal"], "{query}");
        assert_eq!(images[1]["origin"]["host"], registries[1].host().as_str());
    }
    // Found by a word of the other maintainer's manifest.
    let jobs = found(&client, "q=spiders&highlight=true").await;
    assert_eq!(text(&jobs[0]["maintainer"]), "ada");
    let matched = &jobs[0]["matched"];
    assert_eq!((text(&matched["maintainer"]), &matched["origin"]["registryId"]), ("mal".into(), &json!(ids[1])));

    change(&silo, ids[1], json!({"verified": true})).await;
    for query in ["q=ndvi", "q=plants", "q=ndvi&kind=image", "q=plants&kind=image", "facet=verified:true"] {
        let first = &found(&client, query).await[0];
        assert_eq!(
            (text(&first["maintainer"]).as_str(), &first["origin"]["verified"]),
            ("mal", &json!(true)),
            "{query}"
        );
    }
    let suggested = &client.get("/api/v1/suggest?q=ndv").await.expect(200).json()["jobs"][0];
    assert_eq!(
        (text(&suggested["title"]).as_str(), text(&suggested["maintainer"]).as_str()),
        ("Vegetation index of mal", "mal")
    );
    assert_eq!(
        (&suggested["origin"]["registryId"], &suggested["groupCount"]),
        (&json!(ids[1]), &json!(2)),
        "a rival is told"
    );
}

#[tokio::test]
async fn what_is_verified_ranks_before_what_matches_as_well() {
    let (silo, registry) = (TestApp::start().await, FakeRegistry::start().await);
    silo.admin_token().await;
    for (at, namespace) in ["a", "b", "c"].into_iter().enumerate() {
        let mut manifest = manifest(&format!("sea-{namespace}"), "1.0.0", "1.0.0");
        manifest["job"]["title"] = json!(format!("Sea ice number {at}"));
        registry.push(&format!("{namespace}/sea"), "1", &Image::new().label(LABEL, manifest.to_string()));
    }
    let id = add(&silo, "hub", &registry).await;
    let names = async || -> Vec<String> {
        found(&silo.anonymous(), "q=sea").await.iter().map(|job| text(&job["name"])).collect()
    };
    assert_eq!(names().await, ["sea-a", "sea-b", "sea-c"]);
    change(&silo, id, json!({"verifiedNamespaces": ["c/"]})).await;
    assert_eq!(names().await, ["sea-c", "sea-a", "sea-b"]);
    let filtered = silo.anonymous().get("/api/v1/jobs?verified=true").await.expect(200).json();
    assert_eq!((filtered["items"].as_array().map(Vec::len), &filtered["items"][0]["name"]), (Some(1), &json!("sea-c")));
    // A match of the name ranks higher.
    let named = found(&silo.anonymous(), "q=sea-b").await;
    assert_eq!(named[0]["name"], "sea-b");
}

#[tokio::test]
async fn registries_and_namespaces_are_marked_without_asking_the_registry() {
    let Rivals { silo, ids, registries } = rivals().await;
    let before = legacy(&silo).await;
    registries.iter().for_each(FakeRegistry::clear_log);
    let path = format!("/api/v1/registries/{}", ids[1]);
    let changed = change(&silo, ids[1], json!({"verifiedNamespaces": ["/", "new/team/", ""]})).await;
    assert_eq!(changed["verifiedNamespaces"], json!(["", "new/team"]), "each once; they need not exist");
    assert_eq!(legacy(&silo).await[1..3], ["mal@example.org", "9.0.0"]);
    assert_eq!(silo.anonymous().get(&path).await.expect(200).json()["verifiedNamespaces"], json!(["", "new/team"]));
    let changed = change(&silo, ids[1], json!({"verifiedNamespaces": null})).await;
    assert_eq!((&changed["verified"], &changed["verifiedNamespaces"]), (&json!(false), &json!([])));
    assert_eq!(legacy(&silo).await, before);
    assert_eq!(registries[1].log().len(), 0, "its admin may be somebody else");

    let body = |change: Value| change.to_string().into_bytes();
    let send = async |client: Client<'_>, change: Value| {
        client.send(http::Method::PATCH, &path, &[("content-type", "application/json")], body(change)).await
    };
    silo.user_token().await;
    send(silo.user(), json!({"verified": true})).await.expect(403);
    send(silo.anonymous(), json!({"verified": true})).await.expect(401);
    for wrong in ["a b", "a\tb", &"x".repeat(256)] {
        let refused = send(silo.admin(), json!({"verifiedNamespaces": [wrong]})).await.expect(400).error();
        assert!(refused.contains("cannot be a namespace"), "{refused}");
    }
    let many: Vec<String> = (0..1001).map(|number| format!("n{number}")).collect();
    let refused = send(silo.admin(), json!({"verifiedNamespaces": many})).await.expect(400).error();
    assert!(refused.contains("mark the registry instead"), "{refused}");

    // A registry added as verified, including images that come later.
    let third = FakeRegistry::start().await;
    let form = json!({"name": "third", "url": third.url(), "include": ["*"], "verified": true});
    let added = silo.admin().post("/api/v1/registries", form).await.expect(201).json();
    assert_eq!(added["verified"], true);
    third.push("x/ndvi", "1", &image("eve", "0.1.0", "Another"));
    silo.scan(added["id"].as_i64().expect("an id")).await;
    assert_eq!(legacy(&silo).await[1..3], ["eve@example.org", "0.1.0"]);
    silo.admin().delete(&format!("/api/v1/registries/{}", added["id"])).await.expect(204);
    assert_eq!(legacy(&silo).await, before);
}

#[tokio::test]
async fn the_index_of_another_process_follows_what_is_marked() {
    let silo = TestApp::on_postgres().await;
    silo.admin_token().await;
    let registries = [FakeRegistry::start().await, FakeRegistry::start().await];
    registries[0].push("geo/ndvi", "1", &image("ada", "1.0.0", "Tells where plants are"));
    registries[1].push("ndvi", "1", &image("mal", "9.0.0", "Tells where plants are"));
    for (name, registry) in ["ours", "theirs"].into_iter().zip(&registries) {
        add(&silo, name, registry).await;
    }
    let other = TestApp::with().set("DATABASE_URL", &silo.database().url()).start().await;
    let first = async |app: &App| {
        let page = silo::app::SearchOptions { limit: 1, ..silo::app::SearchOptions::ALL };
        app.search_images(Some("plants"), &page).await.expect("found").items.remove(0).item.facts.maintainer
    };
    assert_eq!(first(&other.app).await, "ada");
    let theirs = silo.anonymous().get("/api/v1/registries").await.expect(200).json()[1]["id"].clone();
    change(&silo, theirs.as_i64().expect("an id"), json!({"verified": true})).await;
    other.app.index_bring_up_to_date().await.expect("it follows");
    assert_eq!(first(&other.app).await, "mal");
}
