//! `/admin/system`, and the example jobs that an admin loads.

use chrono::TimeDelta;

use super::markup::{heading, named};
use super::{Browser, OWN, page, sent_form};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, USER, USER_PASSWORD};

#[tokio::test]
async fn an_admin_sees_the_state_of_the_service_and_no_secret() {
    let silo = TestApp::with().manual_clock().set("SILO__HTTP__STREAMS", "77").start().await;
    silo.user_token().await;
    let admin = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    silo.app.load_sample().await;
    page(&silo, "/search").await.expect(200);
    silo.clock.advance(TimeDelta::seconds(10));
    silo.app.load_sample().await;
    silo.clock.advance(TimeDelta::seconds(10));
    silo.app.load_sample().await;
    let system = admin.get("/admin/system").await.expect(200);
    assert_eq!(heading(&system.text), "System");
    for words in ["data directory", "SQLite", "revision 0, as the catalogue", "0 open of 77", "file handles", "free of"]
    {
        assert!(system.text.contains(words), "{words}: {}", system.text);
    }
    let charts = named(&system.text, "svg").into_iter().filter(|svg| svg.value("role") == "img").collect::<Vec<_>>();
    assert_eq!(charts.len(), 4);
    assert!(charts[0].value("aria-label").starts_with("Requests in the last hour: now "), "{charts:?}");
    let lines = named(&system.text, "polyline");
    assert!(lines.len() >= 3 && lines[0].value("points").split(' ').count() > 2, "{lines:?}");

    // Options: those that are set, with what set them.
    assert!(system.text.contains("SILO__HTTP__STREAMS") && system.text.contains("SILO_ADMIN_PASSWORD"));
    assert!(!system.text.contains("scan.workers"), "{}", system.text);
    let all = admin.get("/admin/system?options=all").await.expect(200);
    assert!(all.text.contains("scan.workers") && all.text.contains("********"), "{}", all.text);
    assert!(!all.text.contains(ADMIN_PASSWORD) && !system.text.contains(ADMIN_PASSWORD));

    let user = Browser::log_in(&silo, USER, USER_PASSWORD).await;
    user.get("/admin/system").await.expect(403);
    let stranger = page_of_stranger(&silo).await;
    assert!(stranger.starts_with("/session?next="), "{stranger}");
}

/// Where a browser without a session is sent.
async fn page_of_stranger(silo: &TestApp) -> String {
    let headers = [("accept", super::BROWSER)];
    let reply = silo.anonymous().send(http::Method::GET, "/admin/system", &headers, Vec::new()).await;
    reply.expect(303).header("location").to_owned()
}

#[tokio::test]
async fn the_first_page_leads_from_the_login_to_the_first_search() {
    let silo = TestApp::start().await;
    silo.user_token().await;
    let stranger = page(&silo, "/").await.expect(200);
    assert!(stranger.text.contains("Log in here") && !stranger.text.contains("<form method"), "{}", stranger.text);
    let user = Browser::log_in(&silo, USER, USER_PASSWORD).await;
    let seen = user.get("/").await.expect(200);
    assert!(seen.text.contains("An administrator adds registries") && seen.text.contains(">done<"), "{}", seen.text);
    user.send("/admin/demo", &[]).await.expect(403);

    let admin = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let first = admin.get("/").await.expect(200);
    assert_eq!(heading(&first.text), "Welcome to SILO");
    assert!(
        first.text.contains("Add a registry here") && first.text.contains("Load the example jobs"),
        "{}",
        first.text
    );
    sent_form(&silo, "/admin/demo", &[OWN, ("cookie", &admin.cookie)], &[]).await.expect(403);
    let loaded = admin.send("/admin/demo", &[]).await.expect(303);
    assert_eq!(loaded.header("location"), "/");
    let scans = silo.admin().get("/api/v1/scans").await.expect(200).json();
    let id = scans["items"][0]["id"].as_i64().expect("a scan");
    let patience = std::time::Duration::from_secs(60);
    silo.app.scan_wait(&[silo::catalog::ScanId(id)], patience).await.expect("the scan ends");
    assert_eq!(heading(&admin.get("/").await.expect(200).text), "All 12 jobs");
}
