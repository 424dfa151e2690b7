//! `/healthz`, `/readyz`, `/metrics`.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::app::{TestApp, jobs};

#[tokio::test]
async fn a_service_without_its_database_is_alive_but_not_ready() {
    let silo = TestApp::start().await;
    silo.anonymous().get("/readyz").await.expect(200);
    silo.app.close().await;
    silo.anonymous().get("/healthz").await.expect(200);
    silo.anonymous().get("/").await.expect(200);
    silo.anonymous().get("/metrics").await.expect(200);
    assert_eq!(silo.anonymous().get("/readyz").await.expect(503).error(), "the database does not answer");
}

type Series = BTreeMap<String, BTreeSet<String>>;

/// The series listed in `docs/operations.md`, with labels: those that are always present, and all.
fn documented() -> (Series, Series) {
    let text = include_str!("../../../docs/operations.md");
    let (always, _) = text.split_once("### Of the hosts").expect("the numbers are in two tables");
    let words = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<String>>();
    let table = |text: &str| -> Series {
        let rows = text.lines().filter(|line| line.starts_with("| `silo_")).map(|line| {
            let cells: Vec<&str> = line.split('|').collect();
            (words(cells[1]).pop_first().expect("a name"), words(cells[2]))
        });
        rows.collect()
    };
    (table(always), table(text))
}

/// The series of `/metrics`, with labels.
fn shown(text: &str) -> Series {
    let histograms: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" histogram")).collect();
    let mut shown = Series::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, rest) = line.split_at(line.find(['{', ' ']).expect("a name ends"));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|ending| name.strip_suffix(ending));
        let name = base.filter(|base| histograms.contains(base)).unwrap_or(name);
        let labels = rest.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(labels, _)| labels);
        // Values may contain a comma, but not `="`.
        let names = labels.split("=\"").filter_map(|part| part.rsplit(['"', ',']).next()).map(str::to_owned);
        let names = names.filter(|name| !name.is_empty() && name != "le");
        shown.entry(name.to_owned()).or_default().extend(names);
    }
    shown
}

#[tokio::test]
async fn metrics_are_what_the_documentation_lists() {
    let silo = TestApp::with_jobs(&[("my-job", "1.0.0", "0.1.0")]).await;
    silo.anonymous().post("/hooks/471147114711", serde_json::json!({})).await.expect(404);
    let body = serde_json::json!({"username": "nobody", "password": "x"});
    silo.anonymous().post("/login", body).await.expect(401);
    let text = silo.anonymous().get("/metrics").await.expect(200).text;
    let ((always, all), shown) = (documented(), shown(&text));
    for (name, labels) in &shown {
        assert_eq!(Some(labels), all.get(name), "{name} is not documented so");
    }
    let missing: Vec<&String> = always.keys().filter(|name| !shown.contains_key(*name)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[tokio::test]
async fn metrics_have_a_series_for_each_registry_and_route() {
    let silo = TestApp::start().await;
    let mut layout = jobs(&[("my-job", "1.0.0", "0.1.0"), ("other", "1.0.0", "0.1.0")]);
    layout.image("geo/plain-seed:1", &[]);
    let registry = silo.add_layout("watched", &layout).await;
    let numbers = async || silo.anonymous().get("/metrics").await.expect(200).text;
    let never = r#"silo_registry_last_success_timestamp_seconds{registry="watched",kind="layout"} 0"#;
    assert!(numbers().await.lines().any(|line| line == never), "it was never scanned");
    silo.scan(registry).await;
    silo.anonymous().get("/jobs/471147114711").await.expect(404);
    silo.anonymous().get("/no/such/471147114711").await.expect(404);
    let _stream = silo.anonymous().follow("/api/v1/events", &[]).await;
    let text = numbers().await;
    for line in [
        r#"silo_scans_total{registry="watched",kind="layout",state="complete"} 1"#,
        r#"silo_scan_changes_total{registry="watched",kind="layout",change="added"} 3"#,
        r#"silo_scan_changes_total{registry="watched",kind="layout",change="removed"} 0"#,
        r#"silo_scan_requests_total{registry="watched",kind="layout"} 0"#,
        r#"silo_scan_duration_seconds_count{registry="watched",kind="layout"} 1"#,
        r#"silo_scan_duration_seconds_bucket{registry="watched",kind="layout",le="43200"} 1"#,
        r#"silo_registry_tags{registry="watched",kind="layout"} 3"#,
        r#"silo_registry_images{registry="watched",kind="layout"} 2"#,
        r#"silo_http_request_duration_seconds_bucket{method="GET",route="/jobs/{id}",status="404""#,
        r#"silo_http_request_duration_seconds_count{method="GET",route="none",status="404""#,
    ] {
        assert!(text.lines().any(|shown| shown.starts_with(line)), "{line} is missing in\n{text}");
    }
    assert!(!text.lines().any(|line| line == never), "it was scanned now");
    assert!(!text.contains("471147114711"), "a series for each path would be series without number");
    silo.admin().delete(&format!("/api/v1/registries/{registry}")).await.expect(204);
    let gone = r#"silo_registry_images{registry="watched",kind="layout"} NaN"#;
    let text = numbers().await;
    assert!(text.lines().any(|line| line == gone), "{text}");
}

#[tokio::test]
async fn each_number_says_what_it_is_and_the_program_its_version() {
    let silo = TestApp::with_jobs(&[("my-job", "1.0.0", "0.1.0")]).await;
    let text = silo.anonymous().get("/metrics").await.expect(200).text;
    let names = |kind: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| line.strip_prefix(kind)?.split(' ').next()).map(str::to_owned).collect()
    };
    assert_eq!(names("# TYPE "), names("# HELP "));
    let version = format!("silo_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    assert!(text.lines().any(|line| line == version), "{text}");
    assert!(text.contains("# HELP silo_streams_open replies that go on"), "{text}");
}

/// Every request has different random words wherever it can.
#[tokio::test]
async fn strangers_make_no_series() {
    const MARK: &str = "q7w3";
    let silo = TestApp::start().await;
    for turn in 0..40 {
        let word = format!("{MARK}{turn}");
        for line in [
            format!("{word} /"),
            format!("{word} /jobs"),
            format!("M{} /", word.repeat(1000)),
            format!("GET /{word}"),
            format!("GET /jobs/{word}?{word}={word}"),
            format!("GET http://{word}/jobs"),
            format!("POST /hooks/{word}"),
            format!("GET /images/manifest/{word}/{word}:{word}"),
            format!("GET /api/v1/registries/{word}"),
        ] {
            let request = format!(
                "{line} HTTP/1.1\r\nHost: {word}\r\nUser-Agent: {word}\r\nCe-Type: {word}\r\n\
                 Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
            );
            let reply = silo.raw(request.as_bytes()).await;
            assert!(reply.starts_with("HTTP/1.1 4") || reply.starts_with("HTTP/1.1 2"), "{line:.100}: {reply}");
        }
    }
    let text = silo.anonymous().get("/metrics").await.expect(200).text;
    let found = text.lines().find(|line| line.contains(MARK));
    assert_eq!(found.map(|line| &line[..line.len().min(200)]), None);
    assert!(text.contains(r#"{method="other",route="/jobs",status="405"}"#) || text.contains(r#"method="other""#));
}
