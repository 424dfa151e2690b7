//! The scans of a registry in its pages.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{add_registry, admin, field, registry_of_ada, seed};
use crate::pages::markup::{heading, link, named, tags};
use crate::support::app::TestApp;
use crate::support::fake_registry::{ALWAYS, Fault, Image, Seen};

#[tokio::test]
async fn a_scan_is_started_followed_and_cancelled() {
    let silo = TestApp::start().await;
    let registry = registry_of_ada().await;
    add_registry(&silo, &registry).await;
    let go_on = Arc::new(Notify::new());
    registry.fault(Seen::is_catalog, 1, Fault::Hold(Arc::clone(&go_on)));
    let browser = admin(&silo).await;
    let started = browser.send("/admin/registries/1/scan", &[]).await.expect(303);
    assert_eq!(started.header("location"), "/admin/registries/1?done=scan");
    let page = browser.get(started.header("location")).await.expect(200);
    let bar = named(&page.text, "progress").into_iter().next().expect("the progress");
    assert_eq!(bar.value("data-scan"), "1");
    assert!(named(&page.text, "script").iter().any(|script| script.value("src").ends_with("/registry.js")));
    assert!(named(&page.text, "meta").iter().any(|meta| meta.value("http-equiv") == "refresh"), "without scripts");
    assert!(!page.text.contains("Scan now"), "one at a time: {}", page.text);
    // The stream takes the cookie.
    browser.get("/api/v1/scans/1").await.expect(200);

    browser.send("/admin/registries/1/cancel", &[("scan", "x")]).await.expect(400);
    let cancelled = browser.send("/admin/registries/1/cancel", &[("scan", "1")]).await.expect(303);
    assert_eq!(cancelled.header("location"), "/admin/registries/1?done=cancelled");
    let page = browser.get("/admin/registries/1").await.expect(200);
    assert!(page.text.contains("cancelled by admin") && page.text.contains("Scan now"), "{}", page.text);
    assert!(named(&page.text, "progress").is_empty());
    browser.send("/admin/registries/1/cancel", &[("scan", "1")]).await.expect(409);
    go_on.notify_one();
    browser.send("/admin/registries/9/scan", &[]).await.expect(404);
}

#[tokio::test]
async fn the_history_has_a_bar_for_each_scan() {
    let silo = TestApp::start().await;
    let registry = registry_of_ada().await;
    add_registry(&silo, &registry).await;
    silo.scan(1).await;
    registry.push("geo/a-1.0.0-seed", "1.0.0", &seed("a").annotation("moved", "yes"));
    silo.scan(1).await;
    registry.delete_repository("geo/b-1.0.0-seed");
    silo.scan(1).await;
    silo.scan(1).await;
    let page = admin(&silo).await.get("/admin/registries/1").await.expect(200);
    let svg = &page.text[page.text.find("<svg class=\"bars\"").expect("the chart")..];
    let svg = &svg[..svg.find("</svg>").expect("its end")];
    let classes: Vec<String> = named(svg, "rect").iter().map(|rect| rect.value("class").to_owned()).collect();
    assert_eq!(classes, ["added", "changed", "removed", "good"]);
    let titles: Vec<String> = named(svg, "title").into_iter().map(|title| title.text).collect();
    assert!(titles[0].ends_with("complete, 2 added, 0 changed, 0 removed"), "{titles:?}");
}

#[tokio::test]
async fn problems_are_grouped_by_code() {
    let silo = TestApp::start().await;
    let registry = registry_of_ada().await;
    for tag in ["1", "2", "3"] {
        registry.push("geo/broken-seed", tag, &Image::new().label(silo::seed::LABEL, format!("{{{tag}")));
    }
    registry.fault(|seen| seen.is_tags() && seen.path.contains("b-1.0.0"), ALWAYS, Fault::Status(500));
    add_registry(&silo, &registry).await;
    silo.scan(1).await;
    let browser = admin(&silo).await;
    let page = browser.get("/admin/registries/1").await.expect(200);
    let chips: Vec<String> =
        named(&page.text, "a").iter().filter(|a| a.has_class("chip")).map(|a| a.text.clone()).collect();
    assert_eq!(chips, ["label-refused ", "tags-failed "]);
    assert!(page.text.contains("1 failed in the last scan") && page.text.contains("geo/b-1.0.0-seed"), "{}", page.text);
    let refused = named(&page.text, "a").into_iter().find(|a| a.text == "label-refused ").expect("the link");
    let list = browser.get(refused.value("href")).await.expect(200);
    assert_eq!(heading(&list.text), "Problems of scan 1");
    let rows = named(&list.text, "td").into_iter().filter(|cell| cell.value("data-h") == "Where").count();
    assert_eq!(rows, 3, "{}", list.text);
    assert!(list.text.contains("geo/broken-seed:2"), "{}", list.text);
    let failing = browser.get(&link(&page.text, "All that fail")).await.expect(200);
    assert_eq!(heading(&failing.text), "Repositories that fail");
    assert!(
        failing.text.contains("geo/b-1.0.0-seed") && !failing.text.contains("geo/a-1.0.0-seed"),
        "{}",
        failing.text
    );
    let all = browser.get("/admin/registries/1/repositories").await.expect(200);
    assert!(all.text.contains("geo/a-1.0.0-seed"), "{}", all.text);
    browser.get("/admin/registries/1/problems?scan=1&code=odd").await.expect(400);
    browser.get("/admin/registries/1/problems?scan=9").await.expect(404);
    browser.get("/admin/registries/1/problems").await.expect(400);
}

async fn a_held_scan_is_confirmed_by_name(silo: &TestApp) {
    let registry = registry_of_ada().await;
    add_registry(silo, &registry).await;
    silo.scan(1).await;
    for name in ["a", "b"] {
        registry.delete_repository(&format!("geo/{name}-1.0.0-seed"));
    }
    let browser = admin(silo).await;
    browser.get("/admin/registries/1/held").await.expect(409);
    silo.scan(1).await;
    let list = browser.get("/admin/registries").await.expect(200);
    let page = browser.get(&link(&list.text, "2 held")).await.expect(200);
    assert_eq!(heading(&page.text), "2 of 2 tags have vanished");
    assert!(page.text.contains("The registry looks empty"), "{}", page.text);
    let gone: Vec<String> = tags(&page.text)
        .windows(2)
        .filter(|pair| pair[0].value("data-h") == "Repository")
        .map(|pair| pair[1].text.clone())
        .collect();
    assert_eq!(gone, ["geo/a-1.0.0-seed", "geo/b-1.0.0-seed"]);
    assert_eq!(field(&page.text, "scan").value("value"), "2");

    for name in ["", "Lab", "lab2"] {
        let wrong = browser.send("/admin/registries/1/held", &[("scan", "2"), ("name", name)]).await.expect(400);
        assert!(wrong.text.contains("not the name of the registry"), "{}", wrong.text);
    }
    assert_eq!(silo.admin().get("/api/v1/registries/1").await.json()["images"], 2);
    let confirmed = browser.send("/admin/registries/1/held", &[("scan", "2"), ("name", "lab")]).await.expect(303);
    assert_eq!(confirmed.header("location"), "/admin/registries/1?done=confirmed");
    silo.scan(1).await;
    assert_eq!(silo.admin().get("/api/v1/registries/1").await.json()["images"], 0);
    browser.get("/admin/registries/1/held").await.expect(409);
    browser.send("/admin/registries/1/held", &[("scan", "2"), ("name", "lab")]).await.expect(409);
}

#[tokio::test]
async fn a_held_scan_is_confirmed_by_name_sqlite() {
    a_held_scan_is_confirmed_by_name(&TestApp::start().await).await;
}

#[tokio::test]
async fn a_held_scan_is_confirmed_by_name_postgres() {
    a_held_scan_is_confirmed_by_name(&TestApp::on_postgres().await).await;
}
