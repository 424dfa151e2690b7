//! What a user may not see does not exist for them: every GET route, as readers who do not see a registry, against a
//! catalogue that never had it.

use http::Method;
use serde_json::{Value, json};
use silo::http::RouteEntry;

use crate::support::app::{Client, Reply, TestApp, USER, jobs};

/// The addresses of each route that are compared. `<image>` and others stand for what only the closed registry has,
/// `<shared>` for the job that both have. A new route needs a row.
const ADDRESSES: &[(&str, &[&str])] = &[
    ("/", &["/"]),
    ("/registries", &["/registries"]),
    ("/registries/scan", &["/registries/scan"]),
    ("/registries/{id}", &["/registries/1", "/registries/<registry>"]),
    ("/registries/{id}/scan", &["/registries/<registry>/scan"]),
    ("/images", &["/images"]),
    ("/images/search/{*query}", &["/images/search/+", "/images/search/zebrafish", "/images/search/ndvi"]),
    ("/images/{id}", &["/images/1", "/images/<image>"]),
    ("/images/{id}/manifest", &["/images/1/manifest", "/images/<image>/manifest"]),
    ("/images/manifest/{registry}/{*image}", &["/images/manifest/closed.example/geo/a:1"]),
    ("/jobs", &["/jobs"]),
    ("/jobs/search/{*query}", &["/jobs/search/+", "/jobs/search/zebrafish", "/jobs/search/ndvi"]),
    ("/jobs/{id}", &["/jobs/<shared>", "/jobs/<job>"]),
    ("/jobs/{id}/job-versions", &["/jobs/<shared>/job-versions", "/jobs/<job>/job-versions"]),
    ("/job-versions", &["/job-versions"]),
    ("/job-versions/{id}", &["/job-versions/1", "/job-versions/<version>"]),
    ("/users", &["/users"]),
    ("/users/{id}", &["/users/1"]),
    ("/api/v1/me", &["/api/v1/me"]),
    ("/api/v1/me/sessions", &["/api/v1/me/sessions"]),
    (
        "/api/v1/search",
        &[
            "/api/v1/search",
            "/api/v1/search?kind=image&facets=true",
            "/api/v1/search?q=ndvi&facets=true&highlight=true&details=true",
            "/api/v1/search?q=ndvi&kind=image",
            "/api/v1/search?q=zebrafish",
            "/api/v1/search?q=zebrafihs",
            "/api/v1/search?q=zebra+fish",
            "/api/v1/search?q=zebr",
            "/api/v1/search?q=cloud+mask",
            "/api/v1/search?q=clod",
            "/api/v1/search?sort=version",
            "/api/v1/search?sort=newest",
            "/api/v1/search?q=the+job&limit=1",
        ],
    ),
    ("/api/v1/suggest", &["/api/v1/suggest?q=zeb", "/api/v1/suggest?q=nd", "/api/v1/suggest?q=zebrafihs"]),
    ("/api/v1/events", &["/api/v1/events", "/api/v1/events?job=ndvi", "/api/v1/events?registry=<registry>"]),
    ("/api/v1/feed", &["/api/v1/feed", "/api/v1/feed?q=ndvi", "/api/v1/feed?q=zebrafish"]),
    ("/api/v1/version", &["/api/v1/version"]),
    ("/api/v1/images", &["/api/v1/images", "/api/v1/images?job=ndvi", "/api/v1/images?registry=<registry>"]),
    ("/api/v1/images/{id}", &["/api/v1/images/1", "/api/v1/images/<image>", "/api/v1/images/<shared image>"]),
    ("/api/v1/images/{id}/cwl", &["/api/v1/images/<image>/cwl"]),
    ("/api/v1/images/{id}/script", &["/api/v1/images/<image>/script"]),
    (
        "/api/v1/jobs",
        &[
            "/api/v1/jobs",
            "/api/v1/jobs?sort=name",
            "/api/v1/jobs?name=zebrafish-tracker",
            "/api/v1/jobs?registry=<registry>",
        ],
    ),
    ("/api/v1/jobs/{id}", &["/api/v1/jobs/<shared>", "/api/v1/jobs/<job>", "/api/v1/jobs/zebrafish-tracker"]),
    (
        "/api/v1/jobs/{id}/origins",
        &["/api/v1/jobs/<shared>/origins", "/api/v1/jobs/<job>/origins", "/api/v1/jobs/ndvi/origins"],
    ),
    (
        "/api/v1/jobs/{id}/compare/{versions}",
        &["/api/v1/jobs/<shared>/compare/1.0.0..2.0.0", "/api/v1/jobs/<shared>/compare/1.0.0..9.0.0"],
    ),
    ("/api/v1/jobs/{id}/badge.svg", &["/api/v1/jobs/<shared>/badge.svg", "/api/v1/jobs/<job>/badge.svg"]),
    ("/api/v1/users", &["/api/v1/users"]),
    ("/api/v1/users/{id}", &["/api/v1/users/1"]),
    ("/api/v1/registries", &["/api/v1/registries"]),
    ("/api/v1/registries/{id}", &["/api/v1/registries/1", "/api/v1/registries/<registry>"]),
    (
        "/api/v1/registries/{id}/repositories",
        &["/api/v1/registries/1/repositories", "/api/v1/registries/<registry>/repositories"],
    ),
    ("/api/v1/groups", &["/api/v1/groups"]),
    ("/api/v1/scans", &["/api/v1/scans", "/api/v1/scans?registry=<registry>"]),
    ("/api/v1/scans/{id}", &["/api/v1/scans/1", "/api/v1/scans/<scan>"]),
    ("/api/v1/scans/{id}/events", &["/api/v1/scans/1/events", "/api/v1/scans/<scan>/events"]),
    ("/api/v1/scans/{id}/problems", &["/api/v1/scans/<scan>/problems"]),
    ("/api/v1/scans/{id}/problem-counts", &["/api/v1/scans/<scan>/problem-counts"]),
    ("/api/v1/system", &["/api/v1/system"]),
    ("/api/v1/system/findings", &["/api/v1/system/findings"]),
    ("/api/v1/system/configuration", &["/api/v1/system/configuration"]),
    ("/api/v1/system/history", &["/api/v1/system/history"]),
    ("/schemas", &["/schemas"]),
    ("/schemas/seed/1.0.0/manifest.json", &["/schemas/seed/1.0.0/manifest.json"]),
    ("/schemas/seed/1.0.0/metadata.json", &["/schemas/seed/1.0.0/metadata.json"]),
    ("/healthz", &["/healthz"]),
    ("/readyz", &["/readyz"]),
    // The metrics are of the process, and name all registries, to whoever may read them (`docs/operations.md`).
    ("/metrics", &[]),
    ("/openapi.yaml", &["/openapi.yaml"]),
    ("/search", &["/search", "/search?q=ndvi", "/search?q=zebrafish", "/search?q=zebrafihs", "/search?kind=image"]),
    ("/new", &["/new"]),
    ("/validate", &["/validate", "/validate?image=<image>"]),
    ("/help", &["/help"]),
    ("/help/problems", &["/help/problems"]),
    ("/job/{name}", &["/job/ndvi", "/job/zebrafish-tracker", "/job/ndvi?image=<shared image>"]),
    (
        "/job/{name}/{job_version}/{package_version}",
        &["/job/ndvi/1.0.0/1.0.0", "/job/ndvi/9.0.0/1.0.0", "/job/zebrafish-tracker/1.0.0/1.0.0"],
    ),
    ("/job/{name}/{job_version}/{package_version}/run", &["/job/ndvi/9.0.0/1.0.0/run", "/job/ndvi/1.0.0/1.0.0/run"]),
    ("/job/{name}/compare", &["/job/ndvi/compare"]),
    ("/job/{name}/compare/{versions}", &["/job/ndvi/compare/1.0.0..9.0.0", "/job/ndvi/compare/1.0.0..2.0.0"]),
    ("/image/{id}", &["/image/1", "/image/<image>", "/image/<shared image>"]),
    // Files that are the same to everybody.
    ("/assets/{hash}/{name}", &[]),
    ("/session", &["/session"]),
    ("/account", &["/account"]),
    ("/runs", &["/runs"]),
    ("/batches", &["/batches"]),
    ("/batches/new", &["/batches/new", "/batches/new?image=<image>"]),
];

/// Routes below these paths have nothing of the catalogue: runs belong to their users; the pages of admins are theirs.
const NOT_OF_THE_CATALOGUE: &[&str] =
    &["/api/v1/runs", "/api/v1/outputs", "/api/v1/uploads", "/api/v1/batches", "/run/", "/batch/", "/admin/"];

/// The addresses of a route.
fn addresses(route: &RouteEntry) -> &'static [&'static str] {
    if let Some((_, addresses)) = ADDRESSES.iter().find(|(path, _)| *path == route.path) {
        return addresses;
    }
    let is_other = NOT_OF_THE_CATALOGUE.iter().any(|path| route.path.starts_with(path));
    assert!(
        is_other,
        "GET {} needs a row in this test: which of its addresses could show a closed registry?",
        route.path
    );
    &[]
}

/// A service with an open registry, and users: uma; mia, who maintains the closed registry; mel, its member; gus, its
/// member by the group `team`.
struct Catalogue {
    silo: TestApp,
    tokens: Vec<(&'static str, String)>,
}

const PASSWORD: &str = "a long enough secret";

impl Catalogue {
    async fn start(is_postgres: bool) -> Self {
        let builder = TestApp::with().manual_clock();
        let silo = if is_postgres { builder.postgres().start().await } else { builder.start().await };
        silo.user_token().await;
        for name in ["mia", "mel", "gus"] {
            silo.admin().post("/users/add", json!({"username": name, "password": PASSWORD})).await.expect(201);
        }
        let open = [("ndvi", "1.0.0", "1.0.0"), ("ndvi", "2.0.0", "1.0.0"), ("cloud-mask", "1.0.0", "1.0.0")];
        let id = silo.add_layout("open", &jobs(&open)).await;
        silo.scan(id).await;
        let mut tokens = vec![(USER, silo.user_token().await.to_owned())];
        for name in ["mia", "mel", "gus"] {
            tokens.push((name, silo.login(name, PASSWORD).await));
        }
        Self { silo, tokens }
    }

    fn client(&self, name: &str) -> Client<'_> {
        let token = self.tokens.iter().find(|(of, _)| *of == name).map(|(_, token)| token);
        token.map_or_else(|| self.silo.anonymous(), |token| self.silo.authorized(&format!("Token {token}")))
    }

    /// Adds the closed registry, which is the last to be added: so what the catalogues share has the same ids.
    async fn add_closed(&self) -> Closed {
        let silo = &self.silo;
        let put = json!({"users": ["gus"]}).to_string().into_bytes();
        let json_type = [("content-type", "application/json")];
        silo.admin().send(Method::PUT, "/api/v1/groups/team", &json_type, put).await.expect(200);
        let layout =
            jobs(&[("zebrafish-tracker", "1.0.0", "1.0.0"), ("ndvi", "9.0.0", "1.0.0"), ("ndvi", "1.0.0", "2.0.0")]);
        let url = silo.write_layout("closed", &layout).display().to_string();
        let form = json!({
            "name": "closed", "url": url, "visibility": "private",
            "members": ["mel"], "memberGroups": ["team"], "maintainers": ["mia"],
        });
        let registry = silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].clone();
        silo.scan(registry.as_i64().expect("a number")).await;
        let images = silo.admin().get("/api/v1/images").await.expect(200).json();
        let image = |job: &str| {
            let images = images["items"].as_array().expect("a list");
            images.iter().find(|image| image["registryId"] == registry && image["job"] == job).expect("it").clone()
        };
        let scans = silo.admin().get("/api/v1/scans").await.expect(200).json();
        let (own, shared) = (image("zebrafish-tracker"), image("ndvi"));
        Closed {
            ids: vec![
                ("<image>", own["id"].to_string()),
                ("<job>", own["jobId"].to_string()),
                ("<version>", own["jobVersionId"].to_string()),
                ("<shared image>", shared["id"].to_string()),
                ("<shared>", shared["jobId"].to_string()),
                ("<registry>", registry.to_string()),
                ("<scan>", scans["items"][0]["id"].to_string()),
            ],
            registry,
        }
    }

    /// A reply without what differs between two services in any case.
    fn comparable(&self, reply: &Reply) -> String {
        let folder = self.silo.folder().display().to_string();
        let text = reply.text.replace(&folder, "FOLDER").replace(&self.silo.url, "URL");
        let text = text.replace(self.silo.url.trim_start_matches("http://"), "HOST");
        let headers = ["content-type", "cache-control", "vary", "location"].map(|name| reply.header(name));
        format!("{} {headers:?}\n{}", reply.status, without_secrets(&text))
    }
}

/// Replaces what looks like a secret: ids of requests and sessions, and tokens of forms.
fn without_secrets(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (before, from) = rest.split_at(start);
        let end = from.find(|c| !is_part(c)).unwrap_or(from.len());
        let is_secret = end >= 16 && (end >= 32 || from[..end].chars().all(|c| c.is_ascii_hexdigit()));
        out.push_str(before);
        out.push_str(if is_secret { "SECRET" } else { &from[..end] });
        rest = &from[end..];
    }
    out + rest
}

/// Ids of what only the closed registry has.
struct Closed {
    ids: Vec<(&'static str, String)>,
    registry: Value,
}

impl Closed {
    fn address(&self, template: &str) -> String {
        self.ids.iter().fold(template.to_owned(), |address, (name, id)| address.replace(name, id))
    }
}

async fn set_visibility(with: &Catalogue, closed: &Closed, visibility: &str) {
    let body = json!({"visibility": visibility}).to_string().into_bytes();
    let path = format!("/api/v1/registries/{}", closed.registry);
    let headers = [("content-type", "application/json")];
    let reply = with.silo.admin().send(Method::PATCH, &path, &headers, body).await.expect(200).json();
    assert_eq!(reply["visibility"], visibility);
}

async fn compare(with: &Catalogue, without: &Catalogue, closed: &Closed, name: &str, visibility: &str) {
    let (reader, other) = (with.client(name), without.client(name));
    for route in with.silo.routes().iter().filter(|route| route.method == Method::GET) {
        for template in addresses(route) {
            let address = closed.address(template);
            for accept in ["*/*", "text/html"] {
                let headers = [("accept", accept)];
                let seen = reader.send(Method::GET, &address, &headers, Vec::new()).await;
                let expected = other.send(Method::GET, &address, &headers, Vec::new()).await;
                assert_eq!(
                    with.comparable(&seen),
                    without.comparable(&expected),
                    "{address} ({accept}) of a {visibility} registry, as {name}"
                );
            }
        }
    }
    for id in ["<image>", "<shared image>"] {
        let body = json!({"imageId": closed.address(id).parse::<i64>().expect("a number")});
        let seen = reader.post("/api/v1/validate", body.clone()).await;
        let expected = other.post("/api/v1/validate", body).await;
        assert_eq!(with.comparable(&seen), without.comparable(&expected), "validation as {name}");
    }
}

/// Whoever sees the registry finds its images.
async fn assert_seen(with: &Catalogue, closed: &Closed, name: &str, visibility: &str) {
    let client = with.client(name);
    let found = client.get("/api/v1/search?q=zebrafish").await.expect(200).json();
    assert_eq!(found["total"], 1, "as {name}, {visibility}: {found}");
    client.get(&closed.address("/api/v1/images/<image>")).await.expect(200);
    client.get(&closed.address("/api/v1/registries/<registry>")).await.expect(200);
    let job = client.get("/api/v1/jobs/ndvi").await.expect(200).json();
    let versions: Vec<&Value> =
        job["versions"].as_array().expect("a list").iter().map(|it| &it["jobVersion"]).collect();
    assert_eq!(versions, ["9.0.0", "2.0.0", "1.0.0"], "as {name}, {visibility}");
}

async fn nobody_sees_what_they_may_not(is_postgres: bool) {
    let (with, without) = (Catalogue::start(is_postgres).await, Catalogue::start(is_postgres).await);
    let closed = with.add_closed().await;
    for (visibility, blind) in [
        ("private", &["nobody", USER][..]),
        ("internal", &["nobody"]),
        ("public", &[]),
        // Closed again: it was seen before.
        ("private", &["nobody", USER]),
    ] {
        set_visibility(&with, &closed, visibility).await;
        for name in ["nobody", USER, "mia", "mel", "gus"] {
            if blind.contains(&name) {
                compare(&with, &without, &closed, name, visibility).await;
            } else {
                assert_seen(&with, &closed, name, visibility).await;
            }
        }
        let admin = with.silo.admin().get("/api/v1/search?q=zebrafish").await.expect(200).json();
        assert_eq!(admin["total"], 1, "admins see everything");
    }
}

#[tokio::test]
async fn what_a_reader_may_not_see_does_not_exist() {
    nobody_sees_what_they_may_not(false).await;
}

#[tokio::test]
async fn what_a_reader_may_not_see_does_not_exist_on_postgres() {
    nobody_sees_what_they_may_not(true).await;
}

#[tokio::test]
async fn a_maintainer_scans_and_edits_but_lets_nobody_in() {
    let with = Catalogue::start(false).await;
    let closed = with.add_closed().await;
    let json_type = [("content-type", "application/json")];
    let patch = async |name: &str, path: &str, body: Value| {
        with.client(name).send(Method::PATCH, path, &json_type, body.to_string().into_bytes()).await
    };
    let own = closed.address("/api/v1/registries/<registry>");
    patch("mia", &own, json!({"schedule": "0 3 * * *"})).await.expect(200);
    with.client("mia").post(&format!("{own}/scans"), Value::Null).await.expect(202);
    with.client("mia").post(&format!("{own}/hook"), json!({})).await.expect(201);
    let refused = [
        json!({"visibility": "public"}),
        json!({"maintainers": ["mel"]}),
        json!({"verified": true}),
        json!({"verifiedNamespaces": ["a"]}),
        // With the admin's credentials these would read what the admin did not add.
        json!({"url": "https://other.example.org"}),
        json!({"org": "other"}),
        json!({"ca": "x"}),
        json!({"include": []}),
        json!({"exclude": []}),
        json!({"repositories": ["other/job"]}),
        json!({"schedule": "off", "org": ""}),
    ];
    for change in refused {
        let reply = patch("mia", &own, change.clone()).await;
        assert_eq!(reply.status, 403, "{change}: {}", reply.text);
        let reply = patch("mia", &format!("{own}?dry_run=true"), change.clone()).await;
        assert_eq!(reply.status, 403, "{change}, tried: {}", reply.text);
    }
    with.client("mia").delete(&own).await.expect(403);
    for (name, path) in [("mia", "/api/v1/registries/1"), ("mel", &own), ("gus", &own), (USER, &own)] {
        patch(name, path, json!({"schedule": "off"})).await.expect(403);
        with.client(name).post(&format!("{path}/scans"), Value::Null).await.expect(403);
        with.client(name).post(&format!("{path}/hook"), json!({})).await.expect(403);
    }
    // Who is no longer a member sees nothing at once.
    let admin = with.silo.admin();
    let body = json!({"members": [], "memberGroups": null, "maintainers": []}).to_string().into_bytes();
    admin.send(Method::PATCH, &own, &json_type, body).await.expect(200);
    for name in ["mia", "mel", "gus"] {
        with.client(name).get(&own).await.expect(404);
        assert_eq!(with.client(name).get("/api/v1/search?q=zebrafish").await.expect(200).json()["total"], 0);
    }
}

#[tokio::test]
async fn what_a_deleted_registry_had_stays_closed() {
    let (with, without) = (Catalogue::start(false).await, Catalogue::start(false).await);
    let closed = with.add_closed().await;
    with.silo.admin().delete(&closed.address("/api/v1/registries/<registry>")).await.expect(204);
    for name in ["nobody", USER] {
        compare(&with, &without, &closed, name, "deleted").await;
    }
}

#[tokio::test]
async fn a_group_has_users_that_exist() {
    let silo = TestApp::start().await;
    silo.user_token().await;
    let json_type = [("content-type", "application/json")];
    let put = async |name: &str, users: Value| {
        let body = json!({"users": users}).to_string().into_bytes();
        silo.admin().send(Method::PUT, &format!("/api/v1/groups/{name}"), &json_type, body).await
    };
    assert_eq!(put("team", json!(["nobody"])).await.expect(400).error(), "There is no user 'nobody'");
    put("team", json!([USER, "admin"])).await.expect(200);
    let listed = silo.admin().get("/api/v1/groups").await.expect(200).json();
    assert_eq!(listed, json!([{"name": "team", "users": ["admin", USER]}]));
    let unknown = json!({"name": "x", "url": "/x", "memberGroups": ["none"]});
    assert!(silo.admin().post("/api/v1/registries", unknown).await.status == 400);
    silo.admin().delete("/api/v1/groups/team").await.expect(204);
    silo.admin().delete("/api/v1/groups/team").await.expect(404);
}
