//! Adding, changing and deleting registries, on both databases.

use serde_json::{Value, json};

use super::{SECRET, add_registry, admin, field, problem_of, registry_of_ada, seed};
use crate::pages::markup::{heading, link, named, tags};
use crate::support::app::{Reply, TestApp};
use crate::support::fake_registry::{FakeRegistry, basic};

async fn stored(silo: &TestApp) -> Value {
    silo.admin().get("/api/v1/registries/1").await.expect(200).json()
}

async fn is_added_from_its_address(silo: &TestApp) {
    let registry = registry_of_ada().await;
    let browser = admin(silo).await;
    let empty = browser.get("/admin/registries").await.expect(200);
    assert!(empty.text.contains("There is no registry yet"), "{}", empty.text);
    assert_eq!(link(&empty.text, "Add a registry"), "/admin/registries/new");
    let form = browser.get("/admin/registries/new").await.expect(200);
    assert_eq!(field(&form.text, "step").value("value"), "find");

    let send = async |fields: &[(&str, &str)]| browser.send("/admin/registries/new", fields).await;
    for (url, part) in [("", "registry url"), ("ftp://127.0.0.1", "must start with https://")] {
        let wrong = send(&[("step", "find"), ("url", url)]).await.expect(400);
        assert!(wrong.text.contains(part), "{}", wrong.text);
        assert_eq!(field(&wrong.text, "url").value("value"), url);
        assert_eq!(field(&wrong.text, "url").value("aria-invalid"), "true");
    }
    let url = registry.url();
    let found = send(&[("step", "find"), ("url", &format!(" {url} "))]).await.expect(200);
    assert_eq!(field(&found.text, "url").value("value"), url);
    let chosen = |reply: &Reply| {
        let options = named(&reply.text, "option").into_iter();
        let chosen: Vec<String> = options
            .filter(|one| one.attributes.contains_key("selected"))
            .map(|one| one.value("value").to_owned())
            .collect();
        chosen
    };
    assert_eq!(chosen(&found), ["distribution", "public"]);
    let other = send(&[("step", "kind"), ("kind", "quay"), ("url", &url), ("name", "lab")]).await.expect(200);
    assert_eq!(
        (chosen(&other), field(&other.text, "name").value("value")),
        (vec!["quay".to_owned(), "public".to_owned()], "lab")
    );
    assert!(field(&other.text, "org").attributes.contains_key("required"), "{}", other.text);

    let fields = |step, password| {
        [
            ("step", step),
            ("kind", "distribution"),
            ("url", url.as_str()),
            ("name", "lab"),
            ("org", "geo"),
            ("username", "ada"),
            ("password", password),
            ("include", "*-seed\r\n\r\nmore/*"),
            ("verified_namespaces", "geo"),
        ]
    };
    for step in ["check", "add"] {
        let refused = send(&fields(step, "wr0ng-one")).await.expect(400);
        assert!(refused.text.contains("does not accept the username and password"), "{}", refused.text);
        assert!(!refused.text.contains("wr0ng-one"), "{}", refused.text);
    }
    let checked = send(&fields("check", SECRET)).await.expect(200);
    assert!(checked.text.contains("The registry answers and accepts this"), "{}", checked.text);
    assert!(!checked.text.contains(SECRET) && field(&checked.text, "password").value("value").is_empty());
    assert_eq!(field(&checked.text, "include").text, "*-seed\n\nmore/*");
    assert_eq!(silo.admin().get("/api/v1/registries").await.json(), json!([]), "nothing was added");

    let added = send(&fields("add", SECRET)).await.expect(303);
    assert_eq!(added.header("location"), "/admin/registries/1?done=added");
    let known = stored(silo).await;
    assert_eq!(
        (&known["include"], &known["org"], &known["hasPassword"], &known["verifiedNamespaces"]),
        (&json!(["*-seed", "more/*"]), &json!("geo"), &json!(true), &json!(["geo"]))
    );
    silo.scan(1).await;
    let page = browser.get(added.header("location")).await.expect(200);
    assert_eq!(heading(&page.text), "lab");
    assert!(page.text.contains("The registry is added") && page.text.contains("2 images"), "{}", page.text);
    assert!(!page.text.contains(SECRET));
    let list = browser.get("/admin/registries").await.expect(200);
    assert!(list.text.contains(&registry.host()) && list.text.contains("complete"), "{}", list.text);
    let again = send(&fields("add", SECRET)).await.expect(400);
    assert!(again.text.contains("Registry already exists with name lab"), "{}", again.text);
}

#[tokio::test]
async fn is_added_from_its_address_sqlite() {
    is_added_from_its_address(&TestApp::start().await).await;
}

#[tokio::test]
async fn is_added_from_its_address_postgres() {
    is_added_from_its_address(&TestApp::on_postgres().await).await;
}

#[tokio::test]
async fn all_wrong_fields_are_told_at_once_beside_them() {
    let silo = TestApp::start().await;
    let browser = admin(&silo).await;
    let wrong = [
        ("name", "", "registry name is empty"),
        ("url", "a\u{200b}b", "invisible"),
        ("org", "a\nb", "control"),
        ("password", "x", "A password needs a user name"),
        ("repositories", "Not A Name", "Not A Name"),
        ("include", "[a", "[a"),
        ("exclude", "[b", "[b"),
        ("schedule", "sometimes", "sometimes"),
        ("verified_namespaces", "a b", "cannot be a namespace"),
    ];
    let mut fields = vec![("step", "add"), ("kind", "harbor")];
    fields.extend(wrong.iter().map(|(name, value, _)| (*name, *value)));
    let reply = browser.send("/admin/registries/new", &fields).await.expect(400);
    for (name, value, part) in wrong {
        let text = problem_of(&reply.text, name);
        assert!(text.contains(part), "{name}: {text}");
        let shown = field(&reply.text, name);
        let kept = if shown.name == "textarea" { shown.text.as_str() } else { shown.value("value") };
        assert_eq!(kept, if name == "password" { "" } else { value }, "{name}");
    }
    let more = named(&reply.text, "details").into_iter().find(|one| one.has_class("fold")).expect("more fields");
    assert!(more.attributes.contains_key("open"), "with what is wrong in them");

    let registry = registry_of_ada().await;
    add_registry(&silo, &registry).await;
    let before = stored(&silo).await;
    let url = registry.url();
    let fields = [("url", url.as_str()), ("username", "ada"), ("schedule", "never")];
    let reply = browser.send("/admin/registries/1/edit", &fields).await.expect(400);
    assert!(problem_of(&reply.text, "schedule").contains("never"));
    assert_eq!(stored(&silo).await, before);
}

/// Sends the form of the page as it is, with some fields changed.
async fn edited(browser: &super::Browser<'_>, changes: &[(&str, &str)]) -> Reply {
    let page = browser.get("/admin/registries/1/edit").await.expect(200);
    assert!(!page.text.contains(SECRET), "{}", page.text);
    let start = page.text.find("<form class=\"fields wide\"").expect("the form");
    let mut fields: Vec<(String, String)> = Vec::new();
    for tag in tags(&page.text[start..]) {
        let is_unset = ["radio", "checkbox"].contains(&tag.value("type")) && !tag.attributes.contains_key("checked");
        match tag.name.as_str() {
            "input" if !is_unset && tag.value("name") != "token" => {
                fields.push((tag.value("name").to_owned(), tag.value("value").to_owned()));
            }
            "textarea" => fields.push((tag.value("name").to_owned(), tag.text.clone())),
            _ => {}
        }
    }
    for (name, value) in changes {
        fields.retain(|(known, _)| known != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    browser.send("/admin/registries/1/edit", &fields).await
}

async fn secrets_are_kept_removed_and_replaced(silo: &TestApp) {
    let registry = registry_of_ada().await;
    add_registry(silo, &registry).await;
    let browser = admin(silo).await;
    let before = stored(silo).await;
    let same = edited(&browser, &[]).await.expect(303);
    assert_eq!(same.header("location"), "/admin/registries/1?done=changed");
    assert_eq!(stored(silo).await, before, "the form as it is changes nothing");

    registry.clear_log();
    let checked = edited(&browser, &[("step", "check"), ("org", "geo")]).await.expect(200);
    assert!(checked.text.contains("Nothing has been changed yet"), "{}", checked.text);
    assert_eq!(stored(silo).await, before);
    edited(&browser, &[("org", "geo")]).await.expect(303);
    assert_eq!(stored(silo).await["org"], "geo");
    assert!(registry.count(|seen| seen.authorization == Some(basic("ada", SECRET))) > 0, "with the stored password");

    let removed = edited(&browser, &[("password_choice", "remove")]).await.expect(400);
    assert!(removed.text.contains("does not accept"), "{}", removed.text);
    registry.require_basic("ada", "n3w-one");
    let replaced = [("password_choice", "set"), ("password", "n3w-one")];
    edited(&browser, &replaced).await.expect(303);
    registry.clear_log();
    silo.scan(1).await;
    assert!(registry.count(|seen| seen.authorization == Some(basic("ada", "n3w-one"))) > 0);
    // A password without the choice to replace it does nothing.
    edited(&browser, &[("password", "0ther-one")]).await.expect(303);

    let open = FakeRegistry::start().await;
    open.push("geo/a-1.0.0-seed", "1.0.0", &seed("a"));
    let url = open.url();
    let moved = edited(&browser, &[("url", &url)]).await.expect(400);
    assert!(moved.text.contains("A new address needs the password again"), "{}", moved.text);
    edited(&browser, &[("url", &url), ("password_choice", "remove"), ("username", "")]).await.expect(303);
    let after = stored(silo).await;
    assert_eq!((&after["url"], &after["hasPassword"], &after["username"]), (&json!(url), &json!(false), &json!("")));
}

#[tokio::test]
async fn secrets_are_kept_removed_and_replaced_sqlite() {
    secrets_are_kept_removed_and_replaced(&TestApp::start().await).await;
}

#[tokio::test]
async fn secrets_are_kept_removed_and_replaced_postgres() {
    secrets_are_kept_removed_and_replaced(&TestApp::on_postgres().await).await;
}

#[tokio::test]
async fn a_hook_is_shown_once() {
    let silo = TestApp::start().await;
    let registry = registry_of_ada().await;
    add_registry(&silo, &registry).await;
    let browser = admin(&silo).await;
    let none = browser.get("/admin/registries/1/hook").await.expect(200);
    assert!(none.text.contains("This registry has no hook"), "{}", none.text);
    let long = "x".repeat(1025);
    let refused = browser.send("/admin/registries/1/hook", &[("secret", &long)]).await.expect(400);
    assert!(refused.text.contains("longer than 1024 bytes") && !refused.text.contains(&long), "{}", refused.text);

    let made = browser.send("/admin/registries/1/hook", &[("secret", "")]).await.expect(200);
    assert_eq!(made.header("cache-control"), "no-store");
    let start = made.text.find("/hooks/").expect("the address");
    let path = &made.text[start..][.."/hooks/".len() + 32];
    assert!(made.text.contains("notifications:"), "how to set it up: {}", made.text);
    silo.anonymous().post(path, json!({"events": []})).await;
    for address in ["/admin/registries/1/hook", "/admin/registries/1", "/admin/registries/1/edit"] {
        let page = browser.get(address).await.expect(200);
        assert!(!page.text.contains("/hooks/"), "{address}: {}", page.text);
    }
    let replaced = browser.send("/admin/registries/1/hook", &[]).await.expect(200);
    assert!(!replaced.text.contains(path));
    silo.anonymous().post(path, json!({"events": []})).await.expect(404);
    assert_eq!(stored(&silo).await["hasHook"], true);
    let removed = browser.send("/admin/registries/1/hook/remove", &[]).await.expect(303);
    assert_eq!(removed.header("location"), "/admin/registries/1?done=unhooked");
    assert_eq!(stored(&silo).await["hasHook"], false);
}

#[tokio::test]
async fn a_deletion_says_what_goes() {
    let silo = TestApp::start().await;
    let registry = registry_of_ada().await;
    add_registry(&silo, &registry).await;
    silo.scan(1).await;
    let browser = admin(&silo).await;
    let page = browser.get("/admin/registries/1/delete").await.expect(200);
    assert!(page.text.contains("2 images and 2 jobs go from the catalogue"), "{}", page.text);
    let gone = browser.send("/admin/registries/1/delete", &[]).await.expect(303);
    assert_eq!(gone.header("location"), "/admin/registries?done=deleted");
    assert!(browser.get(gone.header("location")).await.expect(200).text.contains("The registry is deleted"));
    browser.get("/admin/registries/1").await.expect(404);
    browser.send("/admin/registries/1/delete", &[]).await.expect(404);
    assert_eq!(silo.anonymous().get("/api/v1/images").await.json()["items"], json!([]));
}
