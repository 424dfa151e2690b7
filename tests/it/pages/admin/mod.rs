//! The pages of admins.

mod registries;
mod scans;
mod users;

use http::Method;
use serde_json::json;
use silo::http::{RouteAccess, RouteContent};

use super::markup::{StartTag, heading, named, tags};
use super::{Browser, OWN, sent_form};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, Reply, TestApp, USER, USER_PASSWORD, manifest};
use crate::support::fake_registry::{FakeRegistry, Image};

/// No other text of a page contains it.
const SECRET: &str = "s3cr3t-of-ada";

fn seed(name: &str) -> Image {
    Image::new().label(silo::seed::LABEL, manifest(name, "1.0.0", "1.0.0").to_string())
}

/// A registry that ada may read.
async fn registry_of_ada() -> FakeRegistry {
    let registry = FakeRegistry::start().await;
    registry.require_basic("ada", SECRET);
    registry.push("geo/a-1.0.0-seed", "1.0.0", &seed("a"));
    registry.push("geo/b-1.0.0-seed", "1.0.0", &seed("b"));
    registry
}

/// Adds a registry through the API; its id is 1.
async fn add_registry(silo: &TestApp, registry: &FakeRegistry) {
    let form = json!({"name": "lab", "url": registry.url(), "username": "ada", "password": SECRET});
    silo.admin().post("/api/v1/registries", form).await.expect(201);
}

async fn admin(silo: &TestApp) -> Browser<'_> {
    Browser::log_in(silo, ADMIN, ADMIN_PASSWORD).await
}

/// The field with this name.
#[track_caller]
fn field(html: &str, name: &str) -> StartTag {
    let found =
        tags(html).into_iter().find(|tag| tag.name != "button" && tag.name != "meta" && tag.value("name") == name);
    found.unwrap_or_else(|| panic!("no field {name}: {html}"))
}

/// The text beside a field that is wrong.
#[track_caller]
fn problem_of(html: &str, name: &str) -> String {
    let id = format!("{name}-problem");
    let found = tags(html).into_iter().find(|tag| tag.value("id") == id);
    let text = found.unwrap_or_else(|| panic!("nothing beside {name}: {html}")).text;
    assert!(field(html, name).value("aria-describedby").split(' ').any(|word| word == id), "{name}: {html}");
    text
}

#[tokio::test]
async fn only_admins_have_these_pages() {
    let silo = TestApp::start().await;
    silo.user_token().await;
    let (admin, user) = (admin(&silo).await, Browser::log_in(&silo, USER, USER_PASSWORD).await);
    let leads = |reply: &Reply| named(&reply.text, "a").iter().any(|a| a.value("href") == "/admin/registries");
    assert!(leads(&admin.get("/help").await) && !leads(&user.get("/help").await));
    let open: Vec<&str> = silo
        .routes()
        .iter()
        .filter(|route| route.path.starts_with("/admin/") && route.access != RouteAccess::Admin)
        .map(|route| route.path)
        .collect();
    assert_eq!(open, Vec::<&str>::new());
    assert_eq!(heading(&user.get("/admin/users").await.expect(403).text), "Not allowed");
    for (path, tab) in [("/admin/registries", "Registries"), ("/admin/users", "Users")] {
        let page = admin.get(path).await.expect(200);
        let current: Vec<String> = tags(&page.text)
            .into_iter()
            .filter(|tag| tag.value("aria-current") == "page")
            .map(|tag| tag.text)
            .collect();
        assert_eq!(current, ["Admin", tab], "{path}");
        assert_eq!(page.header("cache-control"), "no-store");
    }
}

/// Every form needs a page of ours, and the token of the session.
#[tokio::test]
async fn no_other_site_and_no_other_session_sends_these_forms() {
    let silo = TestApp::start().await;
    let registry = registry_of_ada().await;
    add_registry(&silo, &registry).await;
    let browser = admin(&silo).await;
    let own_token = browser.token().await;
    let other_token = admin(&silo).await.token().await;
    let cookie = ("cookie", browser.cookie.as_str());
    let forms = silo.routes().iter().filter(|route| {
        route.method == Method::POST && route.content == RouteContent::Page && route.path.starts_with("/admin/")
    });
    let mut count = 0;
    for form in forms {
        let path = form.path.replace("{id}", "1");
        for (site, token) in
            [("cross-site", own_token.as_str()), ("same-origin", ""), ("same-origin", other_token.as_str())]
        {
            let fields = [("token", token), ("scan", "1"), ("name", "lab"), ("role", "user")];
            sent_form(&silo, &path, &[("sec-fetch-site", site), cookie], &fields).await.expect(403);
        }
        count += 1;
    }
    assert!(count >= 10, "{count}");
    silo.admin().get("/api/v1/registries/1").await.expect(200);
    let scans = silo.admin().get("/api/v1/scans").await.expect(200).json();
    assert_eq!(scans["items"], json!([]), "none was requested");
}

#[tokio::test]
async fn names_of_registries_and_users_are_hostile_texts() {
    const NAME: &str = "\"><script>alert(1)</script> onload=x";
    let silo = TestApp::start().await;
    let layout = silo.write_layout("geo", &crate::support::app::jobs(&[("job", "1.0.0", "1.0.0")]));
    let form = json!({"name": NAME, "url": layout.display().to_string()});
    silo.admin().post("/api/v1/registries", form).await.expect(201);
    silo.scan(1).await;
    let user = json!({"username": NAME, "password": USER_PASSWORD, "role": "user"});
    let user = silo.admin().post("/api/v1/users", user).await.expect(201).json();
    let browser = admin(&silo).await;
    for path in [
        "/admin/registries",
        "/admin/registries/1",
        "/admin/registries/1/edit",
        "/admin/registries/1/hook",
        "/admin/registries/1/delete",
        "/admin/registries/1/repositories",
        "/admin/registries/1/problems?scan=1",
        "/admin/users",
        &format!("/admin/users/{}", user["id"]),
    ] {
        let page = browser.get(path).await.expect(200);
        let is_shown =
            ["&lt;script&gt;alert(1)", "&#60;script&#62;alert(1)"].iter().any(|text| page.text.contains(text));
        assert!(is_shown, "{path}: {}", page.text);
        assert!(!page.text.contains("<script>alert"), "{path}");
        let acts = |tag: &StartTag| tag.attributes.keys().any(|name| name.starts_with("on") || name == "style");
        assert!(!tags(&page.text).iter().any(acts), "{path}");
    }
}

#[tokio::test]
async fn every_address_has_the_prefix() {
    let silo = TestApp::with().set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    let registry = registry_of_ada().await;
    add_registry(&silo, &registry).await;
    silo.scan(1).await;
    let browser = admin(&silo).await;
    for path in [
        "/admin/registries",
        "/admin/registries/new",
        "/admin/registries/1",
        "/admin/registries/1/edit",
        "/admin/registries/1/hook",
        "/admin/registries/1/delete",
        "/admin/registries/1/repositories",
        "/admin/registries/1/problems?scan=1",
        "/admin/users",
        "/admin/users/1",
    ] {
        let page = browser.ask(Method::GET, path, &[("x-forwarded-prefix", "/tools/silo")]).await.expect(200);
        let all = tags(&page.text);
        let addresses = all.iter().flat_map(|tag| ["href", "src", "action"].map(|name| tag.value(name)));
        let outside: Vec<&str> = addresses
            .filter(|url| !url.is_empty() && !url.starts_with('#') && !url.starts_with("/tools/silo/"))
            .collect();
        assert_eq!(outside, Vec::<&str>::new(), "{path}");
    }
    let token = browser.token().await;
    let headers = [OWN, ("cookie", browser.cookie.as_str()), ("x-forwarded-prefix", "/tools/silo")];
    let sent = sent_form(&silo, "/admin/registries/1/scan", &headers, &[("token", &token)]).await.expect(303);
    assert_eq!(sent.header("location"), "/tools/silo/admin/registries/1?done=scan");
}
