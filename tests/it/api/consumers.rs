//! The requests of known clients, in their order, and the fields that they read of the replies.

use serde_json::{Value, json};

use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, jobs, text};
use crate::support::docker_registry::DockerRegistry;

/// A registry with two versions of one job below an org, as Scale's bootstrap expects it.
async fn registry() -> DockerRegistry {
    let registry = DockerRegistry::open().await;
    let layout = jobs(&[("my-job", "0.1.0", "0.1.0"), ("my-job", "1.0.0", "0.1.0")]);
    for reference in ["geo/my-job-0.1.0-seed:0.1.0", "geo/my-job-1.0.0-seed:0.1.0"] {
        registry.put(&layout, reference).await;
    }
    registry
}

#[tokio::test]
async fn scale_boots() {
    let (silo, registry) = (TestApp::start().await, registry().await);
    // The health check of Marathon and Scale.
    silo.anonymous().get("/").await.expect(200);
    let login = json!({"username": ADMIN, "password": ADMIN_PASSWORD});
    let token = text(&silo.anonymous().post("/login", login).await.expect(200).json()["token"]);
    let scale = silo.authorized(&format!("token {token}"));
    // Three keys only; a second bootstrap gets 400 and continues.
    let body = json!({"name": "geo", "url": registry.url(), "org": "geo"});
    scale.post("/registries/add", body.clone()).await.expect(201);
    scale.get("/registries/scan").await.expect(202);
    scale.post("/registries/add", body).await.expect(400);
    scale.get("/registries/scan").await.expect(202);
    assert_eq!(silo.anonymous().get("/images").await.json().as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn scale_ui_imports_a_job() {
    let (silo, registry) = (TestApp::start().await, registry().await);
    let body = json!({"name": "geo", "url": registry.url(), "org": "geo"});
    silo.admin().post("/registries/add", body).await.expect(201);
    silo.admin().get("/registries/scan").await.expect(202);
    let ui = silo.anonymous();

    for job in ui.get("/jobs").await.expect(200).json().as_array().expect("forEach is called on it") {
        for key in ["Title", "Name", "Description", "Maintainer", "MaintOrg"] {
            text(&job[key]);
        }
    }
    // It searches on every key stroke, and lists Object.values() of the reply.
    for typed in ["m", "my", "my-j", "my-job", "my%20job", "MY", "does%20what"] {
        let found = ui.get(&format!("/jobs/search/{typed}")).await.expect(200).json();
        let values: Vec<&Value> = found.as_object().expect("an object").values().collect();
        assert_eq!(values.len(), 1, "{typed}");
        assert_eq!(values[0]["Name"], "my-job");
    }
    let job = ui.get("/jobs/1").await.expect(200).json();
    let by_text = |items: &Value, key: &str| {
        let mut items = items.as_array().expect("never null").clone();
        items.sort_by_key(|item| std::cmp::Reverse(text(&item[key])));
        items.into_iter().next().expect("never empty")
    };
    let version = by_text(&job["JobVersions"], "JobVersion");
    let chosen = by_text(&version["Images"], "PackageVersion");
    let image = ui.get(&format!("/images/{}", chosen["ID"])).await.expect(200).json();
    let manifest = ui.get(&format!("/images/{}/manifest", chosen["ID"])).await.expect(200).json();
    assert_eq!(manifest["job"]["jobVersion"], version["JobVersion"]);

    // The references that `docker pull` and Scale's job type use.
    let join =
        |parts: [&Value; 3]| parts.into_iter().map(text).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    let reference = join([&chosen["Registry"], &chosen["Org"], &chosen["Name"]]);
    assert_eq!(reference, join([&image["Registry"], &image["Org"], &image["FullName"]]));
    let (repository, tag) = reference.rsplit_once(':').expect("a tag");
    let repository = repository.strip_prefix(&format!("{}/", registry.host())).expect("host and port, no scheme");
    let tags: Value = registry.get(&format!("{repository}/tags/list")).await.json().await.expect("a list of tags");
    assert!(tags["tags"].as_array().expect("tags").contains(&json!(tag)), "{reference} cannot be pulled: {tags}");

    // "Add image from URL".
    let (host, rest) = reference.split_once('/').expect("a host");
    let remote = ui.get(&format!("/images/manifest/{host}/{rest}")).await.expect(200).json();
    assert_eq!(remote, manifest);
    ui.get(&format!("/images/manifest/{host}/geo/unknown-seed:1")).await.expect(404);
}

#[tokio::test]
async fn seed_vault_administers() {
    // It lists users without a token.
    let silo = TestApp::with().set("SILO__AUTH__OPEN_USER_LIST", "true").start().await;
    let login = json!({"username": ADMIN, "password": ADMIN_PASSWORD});
    let token = text(&silo.anonymous().post("/login", login).await.expect(200).json()["token"]);
    let vault = silo.authorized(&format!("token {token}"));
    let registry = silo.add_layout("geo", &jobs(&[("my-job", "1.0.0", "0.1.0")])).await;

    let registries = silo.anonymous().get("/registries").await.expect(200).json();
    assert_eq!(registries[0]["ID"], registry);
    assert_eq!(text(&registries[0]["Name"]), "geo");
    for path in ["/registries/scan".to_owned(), format!("/registries/{registry}/scan")] {
        let scanned = vault.get(&path).await;
        assert!((200..300).contains(&scanned.status), "read as text: {}", scanned.text);
    }
    let added = vault
        .post("/users/add", json!({"role": "user", "username": "bob", "password": "bobs secret"}))
        .await
        .expect(201);
    let users = silo.anonymous().get("/users").await.expect(200).json();
    assert_eq!(users[1], json!({"ID": added.json()["ID"], "username": "bob", "role": "user"}));
    vault.delete(&format!("/users/delete/{}", added.json()["ID"])).await.expect(200).json();
}
