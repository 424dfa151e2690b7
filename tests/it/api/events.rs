//! Events: added, changed and removed images, as a stream and page by page.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{TestApp, jobs, manifest, text};
use crate::support::process::PATIENCE;
use crate::support::sse::Piece;

/// A layout with the first version of this job.
fn one(name: &str) -> crate::support::layout::LayoutBuilder {
    jobs(&[(name, "1.0.0", "0.1.0")])
}

#[tokio::test]
async fn a_stream_tells_what_appears_changes_and_vanishes() {
    let silo = TestApp::start().await;
    let registry = silo.add_layout("geo", &one("my-job")).await;
    let mut events = silo.anonymous().follow("/api/v1/events", &[]).await;
    assert_eq!(events.headers["cache-control"], "no-cache");
    assert_eq!(events.headers["x-accel-buffering"], "no");
    assert_eq!(events.piece().await, Piece::Alive, "it says at once that it is there");

    silo.scan(registry).await;
    let Piece::Event { id, event, data } = events.piece().await else { panic!("an image is new") };
    assert_eq!((event.as_str(), &data["kind"], &data["id"]), ("image.added", &json!("image.added"), &json!(1)));
    assert_eq!(id, "1");
    let image = silo.anonymous().get(&format!("/api/v1/images/{}", data["imageId"])).await.expect(200).json();
    assert_eq!(data["digest"], image["digest"]);
    let expected = json!({
        "id": 1, "kind": "image.added", "at": data["at"], "registryId": registry, "registry": "geo",
        "repository": "geo/my-job-1.0.0-seed", "tag": "0.1.0", "digest": image["digest"], "imageId": image["id"],
        "jobName": "my-job", "jobVersion": "1.0.0", "packageVersion": "0.1.0", "title": "The job my-job",
    });
    assert_eq!(data, expected);

    let mut moved = crate::support::layout::LayoutBuilder::oci();
    let mut other = manifest("my-job", "1.0.0", "0.1.0");
    other["job"]["title"] = json!("Another title");
    moved.image("geo/my-job-1.0.0-seed:0.1.0", &[(silo::seed::LABEL, &other.to_string())]);
    silo.write_layout("geo", &moved);
    silo.scan(registry).await;
    let (kind, changed) = events.event().await;
    assert_eq!((kind.as_str(), &changed["title"]), ("image.changed", &json!("Another title")));
    assert_ne!(changed["digest"], data["digest"]);

    silo.admin().delete(&format!("/api/v1/registries/{registry}")).await.expect(204);
    let (kind, removed) = events.event().await;
    assert_eq!((kind.as_str(), &removed["digest"]), ("image.removed", &changed["digest"]));
    silo.anonymous().get(&format!("/api/v1/images/{}", removed["imageId"])).await.expect(404);
}

#[tokio::test]
async fn who_was_cut_off_goes_on_where_it_was() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0"), ("b", "1.0.0", "1.0.0"), ("c", "1.0.0", "1.0.0")]).await;
    let ids = async |path: &str, headers: &[(&str, &str)], count: usize| -> Vec<i64> {
        let mut events = silo.anonymous().follow(path, headers).await;
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(events.event().await.1["id"].as_i64().unwrap());
        }
        ids
    };
    assert_eq!(ids("/api/v1/events?after=0", &[], 3).await, [1, 2, 3]);
    assert_eq!(ids("/api/v1/events?after=1", &[], 2).await, [2, 3]);
    assert_eq!(ids("/api/v1/events?after=1", &[("last-event-id", "2")], 1).await, [3], "the later word counts");
    for (path, header) in [("/api/v1/events", "x"), ("/api/v1/events?after=x", "1"), ("/api/v1/events?limit=0", "1")] {
        let headers = [("accept", "text/event-stream"), ("last-event-id", header)];
        silo.anonymous().send(http::Method::GET, path, &headers, Vec::new()).await.expect(400);
    }
}

#[tokio::test]
async fn a_client_learns_that_it_has_missed_something() {
    let silo = TestApp::with().set("SILO__EVENTS__KEEP", "1").start().await;
    let registry = silo.add_layout("geo", &jobs(&[("a", "1.0.0", "1.0.0"), ("b", "1.0.0", "1.0.0")])).await;
    silo.scan(registry).await;
    silo.app.clean_up().await.unwrap();
    for (after, first) in [("0", 2), ("-7", 2)] {
        let mut events = silo.anonymous().follow(&format!("/api/v1/events?after={after}"), &[]).await;
        assert_eq!(events.event().await, ("missed".to_owned(), json!({})));
        assert_eq!(events.event().await.1["id"], first);
    }
    let mut from_another_database = silo.anonymous().follow("/api/v1/events?after=4711", &[]).await;
    let Piece::Event { id, event, .. } = from_another_database.piece().await else { panic!("something was missed") };
    assert_eq!((id.as_str(), event.as_str()), ("2", "missed"));
    let page = async |path: &str| silo.anonymous().get(path).await.expect(200).json();
    assert_eq!(page("/api/v1/events?after=0").await["missed"], true);
    assert_eq!(page("/api/v1/events").await["missed"], false, "who asks for all that there is gets it");
    assert_eq!(page("/api/v1/events?after=1").await["missed"], false);
}

#[tokio::test]
async fn pages_are_followed_without_an_end() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0"), ("b", "1.0.0", "1.0.0"), ("c", "1.0.0", "1.0.0")]).await;
    let page = async |after: &str| silo.anonymous().get(&format!("/api/v1/events?limit=2&after={after}")).await.json();
    let names = |page: &Value| -> Vec<String> {
        page["items"].as_array().unwrap().iter().map(|event| text(&event["jobName"])).collect()
    };
    let first = page("0").await;
    let second = page(&text(&first["next"])).await;
    assert_eq!((names(&first), names(&second)), (vec!["a".into(), "b".into()], vec!["c".into()]));
    let third = page(&text(&second["next"])).await;
    assert_eq!((names(&third), &third["next"]), (vec![], &second["next"]));
    silo.write_layout("geo", &jobs(&[("a", "1.0.0", "1.0.0"), ("b", "1.0.0", "1.0.0"), ("d", "1.0.0", "1.0.0")]));
    silo.scan(1).await;
    let fourth = page(&text(&third["next"])).await;
    let kinds: Vec<String> = fourth["items"].as_array().unwrap().iter().map(|event| text(&event["kind"])).collect();
    assert_eq!(
        (kinds, names(&fourth)),
        (vec!["image.removed".into(), "image.added".into()], vec!["c".into(), "d".into()])
    );
}

#[tokio::test]
async fn events_are_filtered_by_registry_and_job() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "1.0.0"), ("b", "1.0.0", "1.0.0")]).await;
    let other = silo.add_layout("other", &one("b")).await;
    silo.scan(other).await;
    let count = async |query: &str| {
        let page = silo.anonymous().get(&format!("/api/v1/events?{query}")).await.expect(200).json();
        page["items"].as_array().unwrap().len()
    };
    assert_eq!((count("").await, count("registry=1").await, count("job=b").await), (3, 2, 2));
    assert_eq!((count("job=a&registry=2").await, count("job=%00").await, count("registry=99").await), (0, 0, 0));
    silo.anonymous().get("/api/v1/events?kind=x").await.expect(400);
    let mut stream = silo.anonymous().follow("/api/v1/events?job=b&registry=2&after=0", &[]).await;
    assert_eq!(stream.event().await.1["registry"], "other");
}

#[tokio::test]
async fn a_stream_outlives_the_time_limit_of_requests_with_signs_of_life() {
    let silo = TestApp::with()
        .set("SILO__HTTP__REQUEST_TIMEOUT_SECONDS", "1")
        .set("SILO__HTTP__HEARTBEAT_SECONDS", "1")
        .start()
        .await;
    let registry = silo.add_layout("geo", &one("a")).await;
    let mut events = silo.anonymous().follow("/api/v1/events", &[("accept-encoding", "gzip")]).await;
    assert!(!events.headers.contains_key("content-encoding"), "compression would keep events back");
    for _ in 0..4 {
        assert_eq!(events.piece().await, Piece::Alive);
    }
    // Not through the legacy route, which waits for the end of the scan for longer than a second.
    silo.admin().post(&format!("/api/v1/registries/{registry}/scans"), json!({})).await.expect(202);
    assert_eq!(events.event().await.0, "image.added");
}

#[tokio::test]
async fn streams_end_when_the_service_stops() {
    let silo = TestApp::with().grace(PATIENCE).start().await;
    let registry = silo.add_layout("geo", &one("a")).await;
    silo.scan(registry).await;
    let mut events = silo.anonymous().follow("/api/v1/events?after=0", &[]).await;
    assert_eq!(events.event().await.0, "image.added");
    silo.stop();
    assert_eq!(events.rest().await, []);
}

#[tokio::test]
async fn there_are_so_many_streams_and_no_more() {
    let silo = TestApp::with().set("SILO__HTTP__STREAMS", "2").start().await;
    let client = silo.anonymous();
    let one = client.follow("/api/v1/events", &[]).await;
    let two = silo.user().follow("/api/v1/events", &[]).await;
    let accept = [("accept", "text/html, Text/Event-Stream;q=0.9")];
    let full = client.send(http::Method::GET, "/api/v1/events", &accept, Vec::new()).await.expect(503);
    assert!(full.error().contains("All 2 streams are in use"), "{}", full.error());
    client.get("/api/v1/events").await.expect(200);
    drop((one, two));
    // The server notices a disconnect a little later, and nothing tells us when.
    let again = async {
        loop {
            let reply = client.send(http::Method::HEAD, "/api/v1/events", &accept, Vec::new()).await;
            if reply.status == 200 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await; // because of that delay
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place becomes free");
}

#[tokio::test]
async fn what_another_process_does_is_told_too() {
    let one_process = TestApp::on_postgres().await;
    let registry = one_process.add_layout("geo", &one("a")).await;
    one_process.scan(registry).await;
    let other_process = TestApp::with().set("DATABASE_URL", &one_process.database().url()).start().await;
    let mut events = other_process.anonymous().follow("/api/v1/events", &[]).await;
    one_process.admin().delete(&format!("/api/v1/registries/{registry}")).await.expect(204);
    assert_eq!(events.event().await.0, "image.removed");
    assert_eq!(other_process.anonymous().get("/api/v1/search?q=a").await.json()["total"], 0);
}
