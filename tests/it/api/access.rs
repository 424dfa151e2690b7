//! Access control: every route of the table, with every role.

use chrono::TimeDelta;
use http::Method;
use serde_json::{Value, json};
use silo::http::{RouteAccess, RouteContent, RouteEntry};

use crate::support::app::{ADMIN, ADMIN_PASSWORD, Client, Reply, TestApp, manifest, text};
use crate::support::sse::Piece;

/// A harmless request to each route: the ids in it do not exist.
const REQUESTS: [(&str, &str, &str); 177] = [
    ("GET", "/", "/"),
    ("POST", "/login", "/login"),
    ("POST", "/registries/add", "/registries/add"),
    ("DELETE", "/registries/delete/{id}", "/registries/delete/999"),
    ("GET", "/registries", "/registries"),
    ("GET", "/registries/scan", "/registries/scan"),
    ("POST", "/registries/scan", "/registries/scan"),
    ("GET", "/registries/{id}", "/registries/999"),
    ("GET", "/registries/{id}/scan", "/registries/999/scan"),
    ("POST", "/registries/{id}/scan", "/registries/999/scan"),
    ("GET", "/images", "/images"),
    ("GET", "/images/search/{*query}", "/images/search/a/b"),
    ("GET", "/images/{id}", "/images/999"),
    ("GET", "/images/{id}/manifest", "/images/999/manifest"),
    ("GET", "/images/manifest/{registry}/{*image}", "/images/manifest/registry.invalid/a/b:1"),
    ("GET", "/jobs", "/jobs"),
    ("GET", "/jobs/search/{*query}", "/jobs/search/a"),
    ("GET", "/jobs/{id}", "/jobs/999"),
    ("GET", "/jobs/{id}/job-versions", "/jobs/999/job-versions"),
    ("GET", "/job-versions", "/job-versions"),
    ("GET", "/job-versions/{id}", "/job-versions/999"),
    ("GET", "/users", "/users"),
    ("GET", "/users/{id}", "/users/999"),
    ("POST", "/users/add", "/users/add"),
    ("DELETE", "/users/delete/{id}", "/users/delete/999"),
    ("POST", "/api/v1/login", "/api/v1/login"),
    ("POST", "/api/v1/logout", "/api/v1/logout"),
    ("PUT", "/api/v1/me/password", "/api/v1/me/password"),
    ("GET", "/api/v1/me/sessions", "/api/v1/me/sessions"),
    ("DELETE", "/api/v1/me/sessions", "/api/v1/me/sessions"),
    ("DELETE", "/api/v1/me/sessions/{id}", "/api/v1/me/sessions/x"),
    ("GET", "/api/v1/search", "/api/v1/search?q=a"),
    ("GET", "/api/v1/suggest", "/api/v1/suggest?q=a"),
    ("GET", "/api/v1/events", "/api/v1/events"),
    ("GET", "/api/v1/feed", "/api/v1/feed"),
    ("GET", "/api/v1/images/{id}", "/api/v1/images/999"),
    ("POST", "/api/v1/validate", "/api/v1/validate"),
    ("POST", "/api/v1/registry-kinds", "/api/v1/registry-kinds"),
    ("GET", "/api/v1/registries", "/api/v1/registries"),
    ("POST", "/api/v1/registries", "/api/v1/registries"),
    ("GET", "/api/v1/registries/{id}", "/api/v1/registries/999"),
    ("PATCH", "/api/v1/registries/{id}", "/api/v1/registries/999"),
    ("DELETE", "/api/v1/registries/{id}", "/api/v1/registries/999"),
    ("GET", "/api/v1/registries/{id}/repositories", "/api/v1/registries/999/repositories"),
    ("POST", "/api/v1/registries/{id}/hook", "/api/v1/registries/999/hook"),
    ("DELETE", "/api/v1/registries/{id}/hook", "/api/v1/registries/999/hook"),
    ("POST", "/api/v1/registries/{id}/scans", "/api/v1/registries/999/scans"),
    ("GET", "/api/v1/groups", "/api/v1/groups"),
    ("PUT", "/api/v1/groups/{name}", "/api/v1/groups/x"),
    ("DELETE", "/api/v1/groups/{name}", "/api/v1/groups/x"),
    ("GET", "/api/v1/scans", "/api/v1/scans"),
    ("GET", "/api/v1/scans/{id}", "/api/v1/scans/999"),
    ("DELETE", "/api/v1/scans/{id}", "/api/v1/scans/999"),
    ("GET", "/api/v1/scans/{id}/events", "/api/v1/scans/999/events"),
    ("GET", "/api/v1/scans/{id}/problems", "/api/v1/scans/999/problems"),
    ("GET", "/api/v1/scans/{id}/problem-counts", "/api/v1/scans/999/problem-counts"),
    ("POST", "/api/v1/scans/{id}/confirm", "/api/v1/scans/999/confirm"),
    ("POST", "/api/v1/runs", "/api/v1/runs"),
    ("GET", "/api/v1/runs", "/api/v1/runs"),
    ("GET", "/api/v1/runs/limits", "/api/v1/runs/limits"),
    ("GET", "/api/v1/runs/{id}", "/api/v1/runs/x"),
    ("DELETE", "/api/v1/runs/{id}", "/api/v1/runs/x"),
    ("GET", "/api/v1/runs/{id}/events", "/api/v1/runs/x/events"),
    ("POST", "/api/v1/runs/{id}/cancel", "/api/v1/runs/x/cancel"),
    ("POST", "/api/v1/runs/{id}/rerun", "/api/v1/runs/x/rerun"),
    ("GET", "/api/v1/runs/{id}/logs/{log}", "/api/v1/runs/x/logs/stdout"),
    ("GET", "/api/v1/runs/{id}/logs/{log}/lines", "/api/v1/runs/x/logs/stdout/lines"),
    ("GET", "/api/v1/runs/{id}/outputs", "/api/v1/runs/x/outputs"),
    ("GET", "/api/v1/runs/{id}/outputs/{name}", "/api/v1/runs/x/outputs/y"),
    ("GET", "/api/v1/runs/{id}/outputs/{name}/{index}", "/api/v1/runs/x/outputs/y/0"),
    ("GET", "/api/v1/runs/{id}/files/{*path}", "/api/v1/runs/x/files/a/b"),
    ("GET", "/api/v1/runs/{id}/archive", "/api/v1/runs/x/archive"),
    ("GET", "/api/v1/runs/{id}/samples", "/api/v1/runs/x/samples"),
    ("GET", "/run/{id}/view/{file}", "/run/x/view/y"),
    ("POST", "/api/v1/uploads", "/api/v1/uploads"),
    ("GET", "/api/v1/outputs", "/api/v1/outputs"),
    ("GET", "/api/v1/uploads", "/api/v1/uploads"),
    ("GET", "/api/v1/uploads/{sha256}", "/api/v1/uploads/00"),
    ("POST", "/api/v1/batches", "/api/v1/batches"),
    ("GET", "/api/v1/batches", "/api/v1/batches"),
    ("GET", "/api/v1/batches/{id}", "/api/v1/batches/x"),
    ("GET", "/api/v1/batches/{id}/outputs", "/api/v1/batches/x/outputs"),
    ("GET", "/api/v1/batches/{id}/outputs.csv", "/api/v1/batches/x/outputs.csv"),
    ("GET", "/api/v1/batches/{id}/runs", "/api/v1/batches/x/runs"),
    ("POST", "/api/v1/batches/{id}/cancel", "/api/v1/batches/x/cancel"),
    ("POST", "/api/v1/batches/{id}/rerun", "/api/v1/batches/x/rerun"),
    ("GET", "/api/v1/me", "/api/v1/me"),
    ("POST", "/api/v1/tickets", "/api/v1/tickets"),
    ("GET", "/api/v1/version", "/api/v1/version"),
    ("GET", "/api/v1/images", "/api/v1/images"),
    ("GET", "/api/v1/jobs", "/api/v1/jobs"),
    ("GET", "/api/v1/jobs/{id}", "/api/v1/jobs/999"),
    ("GET", "/api/v1/jobs/{id}/origins", "/api/v1/jobs/999/origins"),
    ("GET", "/api/v1/jobs/{id}/compare/{versions}", "/api/v1/jobs/999/compare/1.0.0..2.0.0"),
    ("GET", "/api/v1/jobs/{id}/badge.svg", "/api/v1/jobs/999/badge.svg"),
    ("GET", "/api/v1/images/{id}/cwl", "/api/v1/images/999/cwl"),
    ("GET", "/api/v1/images/{id}/script", "/api/v1/images/999/script"),
    ("GET", "/api/v1/users", "/api/v1/users"),
    ("GET", "/api/v1/system", "/api/v1/system"),
    ("GET", "/api/v1/system/findings", "/api/v1/system/findings"),
    ("GET", "/api/v1/system/configuration", "/api/v1/system/configuration"),
    ("GET", "/api/v1/system/history", "/api/v1/system/history"),
    ("POST", "/api/v1/demo", "/api/v1/demo"),
    ("POST", "/api/v1/users", "/api/v1/users"),
    ("GET", "/api/v1/users/{id}", "/api/v1/users/999"),
    ("PATCH", "/api/v1/users/{id}", "/api/v1/users/999"),
    ("DELETE", "/api/v1/users/{id}", "/api/v1/users/999"),
    ("POST", "/hooks/{token}", "/hooks/0123456789abcdef0123456789abcdef"),
    ("GET", "/schemas", "/schemas"),
    ("GET", "/schemas/seed/1.0.0/manifest.json", "/schemas/seed/1.0.0/manifest.json"),
    ("GET", "/schemas/seed/1.0.0/metadata.json", "/schemas/seed/1.0.0/metadata.json"),
    ("GET", "/healthz", "/healthz"),
    ("GET", "/readyz", "/readyz"),
    ("GET", "/metrics", "/metrics"),
    ("GET", "/openapi.yaml", "/openapi.yaml"),
    ("GET", "/search", "/search?q=a"),
    ("GET", "/new", "/new"),
    ("GET", "/validate", "/validate"),
    ("POST", "/validate", "/validate"),
    ("GET", "/help", "/help"),
    ("GET", "/help/problems", "/help/problems"),
    ("GET", "/job/{name}", "/job/none"),
    ("GET", "/job/{name}/{job_version}/{package_version}", "/job/none/1.0.0/1.0.0"),
    ("GET", "/job/{name}/{job_version}/{package_version}/run", "/job/none/1.0.0/1.0.0/run"),
    ("POST", "/job/{name}/{job_version}/{package_version}/run", "/job/none/1.0.0/1.0.0/run"),
    ("GET", "/job/{name}/compare", "/job/none/compare"),
    ("GET", "/job/{name}/compare/{versions}", "/job/none/compare/1.0.0..2.0.0"),
    ("GET", "/image/{id}", "/image/999"),
    ("GET", "/assets/{hash}/{name}", "/assets/0/silo.css"),
    ("GET", "/session", "/session"),
    ("POST", "/session", "/session"),
    ("POST", "/session/end", "/session/end"),
    ("GET", "/runs", "/runs"),
    ("POST", "/runs/stop", "/runs/stop"),
    ("POST", "/runs/again", "/runs/again"),
    ("GET", "/run/{id}", "/run/x"),
    ("POST", "/run/{id}/stop", "/run/x/stop"),
    ("POST", "/run/{id}/again", "/run/x/again"),
    ("POST", "/run/{id}/discard", "/run/x/discard"),
    ("GET", "/run/{id}/plots", "/run/x/plots"),
    ("GET", "/run/{id}/log/{log}", "/run/x/log/stdout"),
    ("GET", "/run/{id}/log/{log}/follow", "/run/x/log/stdout/follow"),
    ("GET", "/account", "/account"),
    ("POST", "/account/password", "/account/password"),
    ("POST", "/account/sessions", "/account/sessions"),
    ("POST", "/account/sessions/{id}", "/account/sessions/x"),
    ("GET", "/admin/system", "/admin/system"),
    ("POST", "/admin/demo", "/admin/demo"),
    ("GET", "/batches", "/batches"),
    ("GET", "/batches/new", "/batches/new"),
    ("POST", "/batches/new", "/batches/new"),
    ("GET", "/batch/{id}", "/batch/x"),
    ("POST", "/batch/{id}/cancel", "/batch/x/cancel"),
    ("POST", "/batch/{id}/rerun", "/batch/x/rerun"),
    ("GET", "/admin/registries", "/admin/registries"),
    ("GET", "/admin/registries/new", "/admin/registries/new"),
    ("POST", "/admin/registries/new", "/admin/registries/new"),
    ("GET", "/admin/registries/{id}", "/admin/registries/999"),
    ("POST", "/admin/registries/{id}/scan", "/admin/registries/999/scan"),
    ("POST", "/admin/registries/{id}/cancel", "/admin/registries/999/cancel"),
    ("GET", "/admin/registries/{id}/problems", "/admin/registries/999/problems?scan=1"),
    ("GET", "/admin/registries/{id}/repositories", "/admin/registries/999/repositories"),
    ("GET", "/admin/registries/{id}/edit", "/admin/registries/999/edit"),
    ("POST", "/admin/registries/{id}/edit", "/admin/registries/999/edit"),
    ("GET", "/admin/registries/{id}/hook", "/admin/registries/999/hook"),
    ("POST", "/admin/registries/{id}/hook", "/admin/registries/999/hook"),
    ("POST", "/admin/registries/{id}/hook/remove", "/admin/registries/999/hook/remove"),
    ("GET", "/admin/registries/{id}/held", "/admin/registries/999/held"),
    ("POST", "/admin/registries/{id}/held", "/admin/registries/999/held"),
    ("GET", "/admin/registries/{id}/delete", "/admin/registries/999/delete"),
    ("POST", "/admin/registries/{id}/delete", "/admin/registries/999/delete"),
    ("GET", "/admin/users", "/admin/users"),
    ("POST", "/admin/users", "/admin/users"),
    ("GET", "/admin/users/{id}", "/admin/users/999"),
    ("POST", "/admin/users/{id}/role", "/admin/users/999/role"),
    ("POST", "/admin/users/{id}/password", "/admin/users/999/password"),
    ("POST", "/admin/users/{id}/delete", "/admin/users/999/delete"),
];

const RUNNER_PASSWORD: &str = "ritas very own secret";

/// The scheme of the `Authorization` header that old clients send.
const WORD: &str = "Token";

async fn ask(client: &Client<'_>, route: &RouteEntry) -> Reply {
    let row = REQUESTS.iter().find(|(method, template, _)| route.method == *method && route.path == *template);
    let (_, _, path) = row.unwrap_or_else(|| panic!("{} {} needs a row in this test", route.method, route.path));
    match (route.method.clone(), route.path) {
        (Method::POST, "/login" | "/api/v1/login") => {
            client.post(path, json!({"username": ADMIN, "password": ADMIN_PASSWORD})).await
        }
        (Method::POST, _) if route.content == RouteContent::Page => {
            let form = url::form_urlencoded::Serializer::new(String::new())
                .extend_pairs([("username", ADMIN), ("password", ADMIN_PASSWORD)])
                .finish();
            client.send(Method::POST, path, &[("sec-fetch-site", "same-origin")], form.into()).await
        }
        (Method::POST, _) => client.post(path, Value::Null).await,
        (method, _) => client.send(method, path, &[], Vec::new()).await,
    }
}

/// Whether a request passed access control; the handler may still fail.
fn passed(reply: &Reply) -> bool {
    assert!(reply.status < 500, "{}: {}", reply.asked, reply.text);
    // Pages lead to the login; a logout leads there, too.
    let is_sent_away = reply.status == 303
        && reply.header("location").starts_with("/session")
        && reply.header("clear-site-data").is_empty();
    !matches!(reply.status, 401 | 403) && !is_sent_away
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says() {
    let silo = TestApp::start().await;
    silo.user_token().await;
    let rita = json!({"username": "rita", "password": RUNNER_PASSWORD, "role": "runner"});
    silo.admin().post("/users/add", rita).await.expect(201);
    for (method, template, _) in REQUESTS {
        let known = silo.routes().iter().any(|route| route.method == method && route.path == template);
        assert!(known, "{method} {template} is not served any more");
    }
    for route in silo.routes() {
        // A logout revokes the token that it is sent with.
        let user = silo.authorized(&format!("{WORD} {}", silo.login("uma", "umas very own secret").await));
        let admin = silo.authorized(&format!("{WORD} {}", silo.login(ADMIN, ADMIN_PASSWORD).await));
        let runner = silo.authorized(&format!("{WORD} {}", silo.login("rita", RUNNER_PASSWORD).await));
        let [anonymous, user, runner, admin] = [
            ask(&silo.anonymous(), route).await,
            ask(&user, route).await,
            ask(&runner, route).await,
            ask(&admin, route).await,
        ];
        let access = match (route.method.as_str(), route.path) {
            // Access to this route is configured.
            ("GET", "/users") => RouteAccess::Admin,
            // None of the users maintains a registry.
            _ if route.access == RouteAccess::Maintainer => RouteAccess::Admin,
            _ => route.access,
        };
        assert_eq!(
            passed(&anonymous),
            access == RouteAccess::Anyone,
            "anonymous {}: {}",
            anonymous.asked,
            anonymous.status
        );
        let for_users = matches!(access, RouteAccess::Anyone | RouteAccess::User);
        assert_eq!(passed(&user), for_users, "user {}: {}", user.asked, user.status);
        assert_eq!(passed(&runner), access != RouteAccess::Admin, "runner {}: {}", runner.asked, runner.status);
        assert!(passed(&admin), "admin {}: {}", admin.asked, admin.status);
        if !passed(&anonymous) && route.content == RouteContent::Data {
            assert_eq!(anonymous.error(), "Missing authorization token", "{}", anonymous.asked);
        }
        if !passed(&user) && route.content == RouteContent::Data {
            let said = user.error();
            let reason = said.strip_prefix("User does not have permission to perform this action");
            let reason = reason.unwrap_or_else(|| panic!("{}: {said}", user.asked));
            let needed = if access == RouteAccess::Admin { "admin" } else { "runner" };
            let named = format!(": it needs the role {needed}, and uma has the role user");
            // The legacy API keeps the old service's texts.
            assert!(reason == if route.path.starts_with("/api/") { &*named } else { "" }, "{}: {said}", user.asked);
        }
    }
}

#[tokio::test]
async fn a_token_that_does_not_work_is_no_token() {
    let silo = TestApp::with().manual_clock().start().await;
    let expired = silo.login(ADMIN, ADMIN_PASSWORD).await;
    silo.clock.advance(TimeDelta::hours(24));
    let admin = silo.authorized(&format!("{WORD} {}", silo.login(ADMIN, ADMIN_PASSWORD).await));

    let revoked = silo.login(ADMIN, ADMIN_PASSWORD).await;
    silo.authorized(&format!("{WORD} {revoked}")).post("/api/v1/logout", Value::Null).await.expect(204);

    let added = admin
        .post("/users/add", json!({"username": "gone", "password": "a long enough one", "role": "admin"}))
        .await
        .expect(201);
    let orphaned = silo.login("gone", "a long enough one").await;
    let path = format!("/users/delete/{}", added.json()["ID"]);
    admin.delete(&path).await.expect(200);

    let genuine = silo.login(ADMIN, ADMIN_PASSWORD).await;
    let (head, tag) = genuine.rsplit_once('.').expect("a JWT has three parts");
    let body = head.split_once('.').expect("a JWT has three parts").1;
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.");
    let other_tag = format!("{head}.{}", tag.chars().rev().collect::<String>());

    let tokens = [expired, revoked, orphaned, unsigned, other_tag, "nonsense".to_owned(), format!("{genuine} twice")];
    for token in &tokens {
        let client = silo.authorized(&format!("{WORD} {token}"));
        for route in silo.routes() {
            let reply = ask(&client, route).await;
            let guarded = route.access != RouteAccess::Anyone || route.path == "/users";
            assert_eq!(passed(&reply), !guarded, "{}: {} with {token}", reply.asked, reply.status);
        }
    }
    silo.authorized(&format!("{WORD} {genuine}")).get("/users").await.expect(200);
}

#[tokio::test]
async fn the_first_word_of_the_header_does_not_matter() {
    let silo = TestApp::start().await;
    let token = silo.admin_token().await;
    for word in ["Token", "token", "Token:", "Bearer", "bearer", "JWT", "x"] {
        silo.authorized(&format!("{word} {token}")).get("/users").await.expect(200);
    }
    let malformed = "Invalid authorization token format: expected 'token <token>'";
    for (header, expected) in [
        (token.to_owned(), malformed),
        (format!("Token  {token}"), malformed),
        (format!("Token {token} "), malformed),
        (String::new(), malformed),
        ("Token x".to_owned(), "Invalid authorization token"),
    ] {
        // Trailing blanks of a header are stripped before it is parsed; the request is then like the last case but one.
        let reply = silo.authorized(&header).get("/users/1").await;
        if header.ends_with(' ') {
            reply.expect(200);
        } else {
            assert_eq!(reply.expect(401).error(), expected, "{header}");
        }
    }
}

#[tokio::test]
async fn a_stranger_learns_nothing_from_a_body() {
    let silo = TestApp::start().await;
    for path in ["/registries/add", "/users/add", "/api/v1/registries"] {
        for body in ["", "{", "{}", r#"{"name":1}"#] {
            silo.anonymous().post_text(path, body).await.expect(401);
            silo.user().post_text(path, body).await.expect(403);
        }
    }
    for path in ["/users/x", "/registries/x/scan", "/api/v1/scans/x", "/api/v1/scans?limit=x"] {
        silo.anonymous().get(path).await.expect(401);
    }
}

#[tokio::test]
async fn only_an_admin_sees_the_user_name_of_a_registry() {
    let silo = TestApp::with_jobs(&[("my-job", "1.0.0", "0.1.0")]).await;
    assert_eq!(text(&manifest("my-job", "1.0.0", "0.1.0")["job"]["name"]), "my-job");
    for (client, visible) in [(silo.anonymous(), false), (silo.user(), false), (silo.admin(), true)] {
        let native = client.get("/api/v1/registries/1").await.expect(200).json();
        assert_eq!(native.get("username").is_some(), visible);
        let listed = client.get("/api/v1/registries").await.expect(200).json();
        assert_eq!(listed[0].get("username").is_some(), visible);
        client.get("/registries/1").await.expect(200);
    }
}

#[tokio::test]
async fn what_is_for_one_person_is_kept_by_no_cache() {
    let silo = TestApp::start().await;
    for route in silo.routes() {
        let admin = silo.authorized(&format!("{WORD} {}", silo.login(ADMIN, ADMIN_PASSWORD).await));
        for reply in [ask(&admin, route).await, ask(&silo.anonymous(), route).await] {
            let kept = reply.header("cache-control");
            let is_open = route.access == RouteAccess::Anyone && route.method == Method::GET;
            assert!(is_open || kept == "no-store", "{}: {kept:?}", reply.asked);
        }
    }
    assert_eq!(silo.admin().get("/api/v1/registries").await.header("cache-control"), "no-store");
    assert_eq!(silo.anonymous().get("/api/v1/registries").await.header("cache-control"), "");
}

#[tokio::test]
async fn a_deleted_user_gets_nothing_any_more_while_a_stream_is_open() {
    let silo = TestApp::start().await;
    let rita = json!({"username": "rita", "password": RUNNER_PASSWORD, "role": "admin"});
    let rita_id = silo.admin().post("/users/add", rita).await.expect(201).json()["ID"].clone();
    let rita = silo.authorized(&format!("{WORD} {}", silo.login("rita", RUNNER_PASSWORD).await));
    let mut stream = rita.follow("/api/v1/events", &[]).await;
    assert_eq!(stream.piece().await, Piece::Alive, "it has begun");
    silo.admin().delete(&format!("/users/delete/{rita_id}")).await.expect(200);
    for route in silo.routes() {
        let reply = ask(&rita, route).await;
        let guarded = route.access != RouteAccess::Anyone || route.path == "/users";
        assert_eq!(passed(&reply), !guarded, "{}: {}", reply.asked, reply.status);
    }
    while stream.piece().await != Piece::End {}
}
