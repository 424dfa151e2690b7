//! `/new`: what scans found, by day.

use chrono::TimeDelta;
use serde_json::json;

use super::markup::{heading, link, links, named, tags};
use super::page;
use crate::support::app::{TestApp, jobs, manifest};
use crate::support::layout::LayoutBuilder;

/// Headings of days, and the words of the events with their titles.
fn days(html: &str) -> (Vec<String>, Vec<(String, String)>) {
    let all = tags(html);
    let events = all.windows(4).filter(|some| some[0].name == "time" && some[1].has_class("state"));
    // The time, the word, a block, its first paragraph and the title in it.
    let at = |position: usize| all.get(position).map(|tag| tag.text.clone()).unwrap_or_default();
    let starts: Vec<usize> = (0..all.len()).filter(|at| all[*at].name == "time").collect();
    assert_eq!(events.count(), starts.len());
    let events = starts.into_iter().map(|start| (at(start + 1), at(start + 4))).collect();
    (named(html, "h2").into_iter().map(|tag| tag.text).collect(), events)
}

fn event(word: &str, title: &str) -> (String, String) {
    (word.to_owned(), title.to_owned())
}

#[tokio::test]
async fn changes_are_listed_by_day() {
    let silo = TestApp::with().manual_clock().start().await;
    let empty = page(&silo, "/new").await.expect(200).text;
    assert!(empty.contains("Nothing has happened yet"), "{empty}");
    let registry = silo.add_layout("geo", &jobs(&[("a", "1.0.0", "1.0.0"), ("b", "1.0.0", "1.0.0")])).await;
    silo.scan(registry).await;
    // It is 8 in the morning; tokens last for a day.
    silo.clock.advance(TimeDelta::hours(20));
    let mut layout = LayoutBuilder::oci();
    let mut changed = manifest("a", "1.0.0", "1.0.0");
    changed["job"]["title"] = json!("Another title");
    layout.image("geo/a-1.0.0-seed:1.0.0", &[(silo::seed::LABEL, &changed.to_string())]);
    silo.write_layout("geo", &layout);
    silo.scan(registry).await;

    let html = page(&silo, "/new").await.expect(200).text;
    assert_eq!(heading(&html), "What is new");
    let (headings, mut events) = days(&html);
    assert_eq!(headings, ["Saturday, 16 January 2027", "Friday, 15 January 2027"]);
    events[..2].sort();
    events[2..].sort();
    let expected = [
        event("changed", "Another title"),
        event("removed", "The job b"),
        event("new", "The job a"),
        event("new", "The job b"),
    ];
    assert_eq!(events, expected);
    assert_eq!(link(&html, "The job b"), links(&html, "The job b")[0], "what was removed has no link");
    let leads = silo.anonymous().get(&link(&html, "Another title")).await.expect(303);
    assert_eq!(leads.header("location"), "/job/a/1.0.0/1.0.0");
    let times: Vec<String> = named(&html, "time").iter().map(|time| time.value("datetime").to_owned()).collect();
    assert_eq!((times[0].as_str(), times[3].as_str()), ("2027-01-16T04:00:00.000Z", "2027-01-15T08:00:00.000Z"));
    assert_eq!(links(&html, "New"), ["/new"], "the navigation has it");
}

#[tokio::test]
async fn older_changes_follow_page_by_page() {
    let names: Vec<String> = (0..120).map(|number| format!("job-{number:03}")).collect();
    let list: Vec<(&str, &str, &str)> = names.iter().map(|name| (name.as_str(), "1.0.0", "1.0.0")).collect();
    let silo = TestApp::with_jobs(&list).await;
    let mut seen = Vec::new();
    let mut next = Some("/new".to_owned());
    let mut pages = 0;
    while let Some(path) = next {
        let html = page(&silo, &path).await.expect(200).text;
        seen.extend(days(&html).1);
        assert_eq!(links(&html, "Newest").is_empty(), pages == 0, "{path}");
        next = links(&html, "Older").pop();
        pages += 1;
    }
    assert_eq!((pages, seen.len()), (3, 120));
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 120);
    let end = page(&silo, "/new?before=1").await.expect(200).text;
    assert!(end.contains("There is nothing older"), "{end}");
    page(&silo, "/new?before=x").await.expect(400);
}

#[tokio::test]
async fn changes_are_found_by_registry_and_word() {
    let silo = TestApp::with().start().await;
    for (registry, list) in [
        ("geo", &[("ndvi", "1.0.0", "1.0.0"), ("ships", "1.0.0", "1.0.0")][..]),
        ("a & b", &[("ndvi", "2.0.0", "1.0.0")]),
    ] {
        let id = silo.add_layout(registry, &jobs(list)).await;
        silo.scan(id).await;
    }
    let titles = async |path: &str| -> Vec<String> {
        days(&page(&silo, path).await.expect(200).text).1.into_iter().map(|(_, title)| title).collect()
    };
    assert_eq!(titles("/new").await.len(), 3);
    assert_eq!(titles("/new?word=NDVI&registry=").await, ["The job ndvi", "The job ndvi"]);
    let html = page(&silo, "/new?word=ndvi").await.expect(200).text;
    assert_eq!(link(&html, "a & b"), "/new?registry=a+%26+b");
    assert_eq!(link(&html, "All changes"), "/new");
    assert_eq!(titles("/new?registry=a+%26+b").await, ["The job ndvi"]);
    let none = page(&silo, "/new?word=%25%3Cb%3E").await.expect(200).text;
    assert!(none.contains("No change fits") && !none.contains("<b>"), "{none}");
}
