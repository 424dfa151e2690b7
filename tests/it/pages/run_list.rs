//! `/runs`: states, filters, pages, and what is done with several runs.

use serde_json::json;
use silo::catalog::RunStatus;

use super::markup::{StartTag, heading, link, links, named};
use super::stored_runs::{RunStory, service};
use super::{Browser, sent_form};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, USER, USER_PASSWORD};

/// The ids of the runs of a page, in order.
fn listed(html: &str) -> Vec<String> {
    let links = named(html, "a").into_iter().map(|link| link.value("href").to_owned());
    links.filter_map(|url| url.strip_prefix("/run/").map(str::to_owned)).collect()
}

fn id(number: i64) -> String {
    format!("run-{number:06}")
}

/// The counts of the tabs, in order.
fn counts(html: &str) -> Vec<String> {
    let start = html.find("aria-label=\"States\"").expect("the tabs");
    let nav = &html[start..][..html[start..].find("</nav>").expect("their end")];
    named(nav, "b").into_iter().map(|count| count.text).collect()
}

async fn some(silo: &TestApp) {
    let error = json!({"name": "oom-killed", "title": "Out of memory", "description": "", "category": "job", "exitCode": 137,
        "signal": 9, "oom": true, "retryable": false});
    RunStory::new(1, RunStatus::Successful).store(silo).await;
    RunStory { record: json!({"error": error}), ..RunStory::new(2, RunStatus::Failed) }.store(silo).await;
    RunStory { label: "<b>", tags: &["sea & ice", "b"], ..RunStory::new(3, RunStatus::Successful) }.store(silo).await;
    RunStory { owner: USER, ..RunStory::new(4, RunStatus::Running) }.store(silo).await;
    RunStory::new(5, RunStatus::Accepted).store(silo).await;
}

#[tokio::test]
async fn runs_are_found_by_what_the_address_says() {
    let silo = service().await;
    silo.user_token().await;
    some(&silo).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let page = browser.get("/runs").await.expect(200);
    assert_eq!(heading(&page.text), "Runs");
    assert_eq!(listed(&page.text), [id(5), id(4), id(3), id(2), id(1)]);
    assert_eq!(counts(&page.text), ["5", "1", "1", "2", "1", "0"]);
    for words in ["oom-killed", "&lt;b&gt;", "sea &amp; ice", "1 min 10 s", "value=\"20\"", ">uma<"] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert_eq!(link(&page.text, "Batches"), "/batches");
    assert_eq!(links(&page.text, "Runs"), ["/runs"], "the navigation leads here");
    for (query, expected, shown) in [
        ("status=successful", &[3, 1][..], ["5", "1", "1", "2", "1", "0"]),
        ("status=!successful", &[5, 4, 2], ["5", "1", "1", "2", "1", "0"]),
        ("tag=sea+%26+ice&job=&error=", &[3], ["1", "0", "0", "1", "0", "0"]),
        ("error=oom-killed", &[2], ["1", "0", "0", "0", "1", "0"]),
        ("owner=uma", &[4], ["1", "0", "1", "0", "0", "0"]),
        ("job=other", &[], ["0", "0", "0", "0", "0", "0"]),
        ("createdAfter=2200-01-01", &[], ["0", "0", "0", "0", "0", "0"]),
        ("cursor=run-000003", &[2, 1], ["5", "1", "1", "2", "1", "0"]),
    ] {
        let page = browser.get(&format!("/runs?{query}")).await.expect(200);
        assert_eq!(listed(&page.text), expected.iter().copied().map(id).collect::<Vec<_>>(), "{query}");
        assert_eq!(counts(&page.text), shown, "{query}");
        let same = silo.admin().get(&format!("/api/v1/runs?{query}")).await.expect(200).json();
        let ids: Vec<&str> =
            same["items"].as_array().expect("a list").iter().map(|run| run["id"].as_str().expect("an id")).collect();
        assert_eq!(ids, listed(&page.text), "{query}: REST has the same");
    }
    // A tab keeps the filters, and begins at the first page.
    let page = browser.get("/runs?tag=b&createdAfter=2026-11-30&cursor=run-000009").await.expect(200);
    assert_eq!(link(&page.text, "failed"), "/runs?tag=b&createdAfter=2026-11-30&status=failed");
    let day = named(&page.text, "input").into_iter().find(|input| input.value("name") == "createdAfter");
    assert_eq!(day.expect("a field").value("value"), "2026-11-30");
    assert_eq!(link(&page.text, "Clear all"), "/runs");
    for wrong in ["status=done", "createdAfter=yesterday", "colour=red"] {
        browser.get(&format!("/runs?{wrong}")).await.expect(400);
    }
    // Users see their own, whatever they ask for, and do nothing with them.
    let user = Browser::log_in(&silo, USER, USER_PASSWORD).await;
    for (query, expected) in [("", &[4][..]), ("?owner=uma", &[4]), ("?owner=admin", &[])] {
        let page = user.get(&format!("/runs{query}")).await.expect(200);
        assert_eq!(listed(&page.text), expected.iter().copied().map(id).collect::<Vec<_>>());
        assert!(!page.text.contains("checkbox") && links(&page.text, "Runs").is_empty(), "{}", page.text);
    }
}

#[tokio::test]
async fn long_lists_have_pages() {
    let silo = service().await;
    for number in 1..=51 {
        RunStory::new(number, RunStatus::Accepted).store(&silo).await;
    }
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let first = browser.get("/runs?job=job").await.expect(200);
    assert_eq!(listed(&first.text).len(), 50);
    let next = link(&first.text, "Next page");
    assert_eq!(next, format!("/runs?job=job&cursor={}", id(2)));
    let second = browser.get(&next).await.expect(200);
    assert_eq!(listed(&second.text), [id(1)]);
    assert_eq!(link(&second.text, "First page"), "/runs?job=job");
    assert!(links(&second.text, "Next page").is_empty());
}

#[tokio::test]
async fn chosen_runs_are_stopped_and_what_is_refused_is_told() {
    let silo = service().await;
    silo.user_token().await;
    some(&silo).await;
    RunStory::new(6, RunStatus::Accepted).store(&silo).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let page = browser.get("/runs?job=job").await.expect(200);
    let boxes: Vec<StartTag> =
        named(&page.text, "input").into_iter().filter(|input| input.value("name") == "run").collect();
    assert!(boxes.len() == 6 && boxes.iter().all(|input| !input.value("aria-label").is_empty()), "{boxes:?}");
    let here = named(&page.text, "input").into_iter().find(|input| input.value("name") == "here").expect("a field");
    assert_eq!(here.value("value"), "/runs?job=job");
    let stopped = browser.send("/runs/stop", &[("run", &id(6)), ("here", "/runs?job=job")]).await.expect(303);
    assert_eq!(stopped.header("location"), "/runs?job=job");
    assert_eq!(silo.admin().get(&format!("/api/v1/runs/{}", id(6))).await.expect(200).json()["status"], "dismissed");
    let some = [("run", &*id(5)), ("run", &*id(1)), ("run", "none"), ("here", "//evil.example")]
        .map(|(name, value)| (name, value.to_owned()));
    let some: Vec<(&str, &str)> = some.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let refused = browser.send("/runs/stop", &some).await.expect(409);
    assert_eq!(heading(&refused.text), "2 of 3 runs were not stopped");
    assert!(refused.text.contains("nothing to cancel") && refused.text.contains("No run found"), "{}", refused.text);
    assert_eq!(link(&refused.text, "Back to the runs"), "/runs");
    assert_eq!(silo.admin().get(&format!("/api/v1/runs/{}", id(5))).await.expect(200).json()["status"], "dismissed");
    // Nothing chosen is nothing done.
    assert_eq!(browser.send("/runs/stop", &[]).await.expect(303).header("location"), "/runs");
    sent_form(&silo, "/runs/stop", &[super::OWN, ("cookie", &browser.cookie)], &[("run", "x")]).await.expect(403);
    let foreign = [("sec-fetch-site", "cross-site"), ("cookie", &*browser.cookie)];
    sent_form(&silo, "/runs/again", &foreign, &[]).await.expect(403);
}
