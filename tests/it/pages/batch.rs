//! `/batches`, `/batches/new` and `/batch/{id}`: from a table to the values of its runs.

use std::fmt::Write as _;

use chrono::TimeDelta;
use http::Method;
use serde_json::{Value, json};
use silo::catalog::{RunPhase, RunStatus};
use silo::seed::LABEL;
use silo::store::{DatabaseAddress, RunState, Store};

use super::markup::{heading, link, named};
use super::{BROWSER, Browser, OWN, sent_form};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, Reply, TestApp, USER, USER_PASSWORD};
use crate::support::fake_registry::{FakeRegistry, Image};
use crate::support::manifest::of_job;

const RITA: &str = "rita";
const RITAS_PASSWORD: &str = "ritas very own secret";

/// A service without workers, whose catalogue has one image of a job.
struct BatchHouse {
    silo: TestApp,
    _registry: FakeRegistry,
    /// Id of the image.
    image: String,
}

impl BatchHouse {
    async fn start(on_postgres: bool) -> Self {
        Self::of(on_postgres, json!([{"name": "SUM", "type": "number"}, {"name": "NOTE", "type": "string"}])).await
    }

    async fn of(on_postgres: bool, outputs: Value) -> Self {
        let builder = TestApp::with().set("SILO__RUNS__WORKERS", "0").set("SILO__RUNS__ENGINE", "unix:///nowhere.sock");
        let silo = if on_postgres { builder.postgres() } else { builder }.start().await;
        let registry = FakeRegistry::start().await;
        let manifest = of_job(
            "adds",
            json!({"interface": {
                "command": "add",
                "inputs": {
                    "files": [{"name": "SCENE", "required": false}],
                    "json": [{"name": "COUNT", "type": "integer"}],
                },
                "outputs": {"json": outputs},
                "settings": [{"name": "MODE"}, {"name": "KEY", "secret": true}],
            }}),
        );
        registry.push("geo/adds-1.0.0-seed", "1.0.0", &Image::new().label(LABEL, manifest.to_string()));
        let form = json!({"name": "fake", "url": registry.url()});
        let id = silo.admin().post("/api/v1/registries", form).await.expect(201).json()["id"].as_i64().expect("an id");
        silo.scan(id).await;
        let image = silo.admin().get("/api/v1/images").await.expect(200).json()["items"][0]["id"].to_string();
        let rita = json!({"username": RITA, "password": RITAS_PASSWORD, "role": "runner"});
        silo.admin().post("/users/add", rita).await.expect(201);
        Self { silo, _registry: registry, image }
    }

    async fn rita(&self) -> Browser<'_> {
        Browser::log_in(&self.silo, RITA, RITAS_PASSWORD).await
    }

    fn form<'a>(&'a self, table: &'a str, action: &'a str) -> Vec<(&'a str, &'a str)> {
        let own = [("image", self.image.as_str()), ("table", table), ("do", action)];
        own.into_iter().chain([("setting.MODE", "fast"), ("setting.KEY", "hunter2"), ("label", "my rows")]).collect()
    }

    /// The store of the service, as a worker of another process opens it.
    async fn store(&self, on_postgres: bool) -> Store {
        let address = match on_postgres {
            true => DatabaseAddress::Postgres(self.silo.database().url().into()),
            false => DatabaseAddress::Sqlite(self.silo.folder().join("data/silo.db")),
        };
        Store::connect(&address).await.expect("the database opens")
    }
}

/// Ends each run that waits: by its row, with the name of its error, or with its values.
async fn end_runs(store: &Store, outcome: impl Fn(i64) -> Result<Value, &'static str>) {
    let now = silo::clock::Clock::system().now();
    while let Some(claim) =
        store.run_claim("token", "elsewhere", &[], 1000, now, now + TimeDelta::hours(1)).await.expect("an answer")
    {
        let stored = store.run_get(&claim.id).await.expect("an answer").expect("the run");
        let mut record: Value = serde_json::from_str(&stored.record).expect("a record");
        let outcome = outcome(stored.summary.batch_row.expect("a row"));
        if let Ok(values) = &outcome {
            record["outputs"] = json!({"files": [], "json": values, "extra": []});
        }
        let error_name = outcome.as_ref().err().map(|name| (*name).to_owned());
        let state = RunState {
            status: if outcome.is_ok() { RunStatus::Successful } else { RunStatus::Failed },
            phase: RunPhase::Done,
            progress: 100,
            message: String::new(),
            error_category: error_name.as_ref().map(|_| "data".to_owned()),
            error_name,
            attempts: 1,
            started_at: Some(now),
            finished_at: Some(now),
            updated_at: now,
            due_at: now,
            record: record.to_string(),
        };
        store.run_finish_attempt(&claim, &state).await.expect("the claim holds");
    }
}

/// Sends a form with a file, as browsers do.
async fn sent_parts(browser: &Browser<'_>, fields: &[(&str, &str)], file: &[u8]) -> Reply {
    let token = browser.token().await;
    let mut body = String::new();
    for (name, value) in [("token", token.as_str())].iter().chain(fields) {
        write!(body, "--x\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").expect("memory");
    }
    body +=
        "--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"rows.csv\"\r\ncontent-type: text/csv\r\n\r\n";
    let body = [body.as_bytes(), file, b"\r\n--x--\r\n"].concat();
    let kind = ("content-type", "multipart/form-data; boundary=x");
    let headers = [("accept", BROWSER), kind, OWN, ("cookie", browser.cookie.as_str())];
    browser.silo.anonymous().send(Method::POST, "/batches/new", &headers, body).await
}

async fn a_table_becomes_a_batch(on_postgres: bool) {
    let house = BatchHouse::start(on_postgres).await;
    let rita = house.rita().await;
    assert!(rita.get("/batches").await.expect(200).text.contains("There are no batches"));
    let first = rita.get("/batches/new").await.expect(200);
    assert!(heading(&first.text) == "New batch" && !first.text.contains("<textarea"), "{}", first.text);
    let job = rita.get("/job/adds").await.expect(200);
    let page = rita.get(&link(&job.text, "Run it for each row of a table")).await.expect(200);
    assert_eq!(heading(&page.text), "New batch of Test");
    for words in ["SCENE", "COUNT", "a value of the type integer", "setting.KEY", "placeholder=\"SCENE,COUNT\""] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }

    // All problems of all rows, the table kept, the secret not.
    let wrong =
        rita.send("/batches/new", &house.form("COUNT,SCENE\nmany,\n1,a.tif\n2,\n3\n", "check")).await.expect(400);
    for words in
        ["There are 3 problems", "row 1, COUNT", "row 2, SCENE", "row 4, line 5", "many,\n1,a.tif", "value=\"fast\""]
    {
        assert!(wrong.text.contains(words), "{words}: {}", wrong.text);
    }
    assert!(!wrong.text.contains("hunter2"), "{}", wrong.text);
    let table = "COUNT\n1\n2\n3\n";
    let checked = rita.send("/batches/new", &house.form(table, "check")).await.expect(200);
    assert!(checked.text.contains("All 3 rows can be run") && !checked.text.contains("hunter2"), "{}", checked.text);
    assert_eq!(house.silo.admin().get("/api/v1/runs").await.expect(200).json()["total"], 0, "nothing is queued");

    let queued = rita.send("/batches/new", &house.form(table, "run")).await.expect(303);
    let path = queued.header("location").to_owned();
    let batch = rita.get(&path).await.expect(200);
    assert_eq!(heading(&batch.text), "my rows");
    let rows: Vec<_> =
        named(&batch.text, "a").into_iter().filter(|link| link.value("title").starts_with("Row ")).collect();
    let titles: Vec<_> = rows.iter().map(|row| row.value("title")).collect();
    assert_eq!(titles, ["Row 1: waiting", "Row 2: waiting", "Row 3: waiting"]);
    assert!(rows.iter().all(|row| row.value("href").starts_with("/run/") && row.has_class("waits")), "{rows:?}");
    assert!(batch.text.contains("None of these runs has given values yet"), "{}", batch.text);
    // While it goes on, the page asks for its parts, or loads itself again.
    assert!(batch.text.contains(" data-active>") && batch.text.contains("<noscript><meta http-equiv=\"refresh\""));
    let headers = [("accept", BROWSER), ("x-fragment", "main"), ("cookie", rita.cookie.as_str())];
    let part = house.silo.anonymous().send(Method::GET, &path, &headers, Vec::new()).await.expect(200);
    assert!(part.text.contains("id=\"batch-runs\" data-live") && !part.text.contains("<html"), "{}", part.text);
    let list = rita.get("/batches").await.expect(200);
    assert!(list.text.contains(&format!("href=\"{path}\"")) && list.text.contains("3 waiting"), "{}", list.text);

    // Of no other user, but of an admin.
    house.silo.user_token().await;
    let uma = Browser::log_in(&house.silo, USER, USER_PASSWORD).await;
    uma.get(&path).await.expect(404);
    assert!(uma.get("/batches").await.expect(200).text.contains("There are no batches"));
    uma.get("/batches/new").await.expect(403);
    Browser::log_in(&house.silo, ADMIN, ADMIN_PASSWORD).await.get(&path).await.expect(200);

    let stopped = rita.send(&format!("{path}/cancel"), &[]).await.expect(303);
    assert_eq!(stopped.header("location"), path);
}

#[tokio::test]
async fn a_table_becomes_a_batch_on_sqlite() {
    a_table_becomes_a_batch(false).await;
}

#[tokio::test]
async fn a_table_becomes_a_batch_on_postgres() {
    a_table_becomes_a_batch(true).await;
}

async fn a_batch_tells_its_errors_and_values(on_postgres: bool) {
    let house = BatchHouse::start(on_postgres).await;
    let rita = house.rita().await;
    let queued = rita.send("/batches/new", &house.form("COUNT\n1\n2\n3\n4\n", "run")).await.expect(303);
    let path = queued.header("location").to_owned();
    let id = path.rsplit('/').next().expect("an id").to_owned();
    let store = house.store(on_postgres).await;
    end_runs(&store, |row| match row {
        1 => Ok(json!({"SUM": -5, "NOTE": "=HYPERLINK(\"https://example.org\")"})),
        2 => Ok(json!({"SUM": 0.5, "NOTE": "<b>x</b>"})),
        3 => Err("too-dark"),
        _ => Err("<script>"),
    })
    .await;
    store.close().await;

    let page = rita.get(&path).await.expect(200);
    assert!(!page.text.contains("data-active") && !page.text.contains("refresh"), "{}", page.text);
    for words in [
        "1 × <code>&lt;script&gt;</code>",
        "1 × <code>too-dark</code>",
        "2 failed",
        "2 successful",
        "&lt;b&gt;x&lt;/b&gt;",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let failed = named(&page.text, "a").into_iter().find(|link| link.value("title") == "Row 3: failed, too-dark");
    assert!(failed.is_some_and(|link| link.has_class("bad")), "{}", page.text);
    assert!(named(&page.text, "script").iter().all(|script| !script.value("src").is_empty()));

    let csv = rita.ask(Method::GET, &link(&page.text, "All values as CSV"), &[]).await.expect(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("content-disposition"), format!("attachment; filename=\"batch-{id}.csv\""));
    let lines: Vec<String> =
        csv.text.lines().map(|line| line.replacen(line.split(',').nth(1).unwrap_or_default(), "ID", 1)).collect();
    let expected = [
        "row,ID,status,error,SUM,NOTE",
        "1,ID,successful,,-5,\"'=HYPERLINK(\"\"https://example.org\"\")\"",
        "2,ID,successful,,0.5,<b>x</b>",
        "3,ID,failed,too-dark,,",
        "4,ID,failed,<script>,,",
    ];
    assert_eq!(lines, expected);

    let listed = house.silo.admin().get(&format!("/api/v1/batches/{id}/outputs?limit=2")).await.expect(200).json();
    assert_eq!((&listed["items"][1]["json"], &listed["next"]), (&json!({"SUM": 0.5, "NOTE": "<b>x</b>"}), &json!("2")));
    let batches = house.silo.admin().get("/api/v1/batches").await.expect(200).json();
    let batch = &batches["items"][0];
    assert_eq!(
        (&batch["id"], &batch["owner"], &batch["label"], &batch["job"]),
        (&json!(id), &json!(RITA), &json!("my rows"), &json!("adds"))
    );
    assert_eq!(batch["errors"].as_array().map(Vec::len), Some(2), "{batch}");
    assert_eq!(batch["counts"], json!({"accepted": 0, "running": 0, "successful": 2, "failed": 2, "dismissed": 0}));

    let again = rita.send(&format!("{path}/rerun"), &[]).await.expect(303);
    let new = rita.get(again.header("location")).await.expect(200);
    assert!(new.text.contains("2 waiting") && again.header("location") != path, "{}", new.text);
    house.silo.admin().get(&format!("/api/v1/batches?cursor={id}")).await.expect(200);
}

#[tokio::test]
async fn a_batch_tells_its_errors_and_values_on_sqlite() {
    a_batch_tells_its_errors_and_values(false).await;
}

#[tokio::test]
async fn a_batch_tells_its_errors_and_values_on_postgres() {
    a_batch_tells_its_errors_and_values(true).await;
}

#[tokio::test]
async fn programs_send_tables_too() {
    let house = BatchHouse::start(false).await;
    let image: i64 = house.image.parse().expect("a number");
    let post = async |query: &str, form: Value| house.silo.admin().post(&format!("/api/v1/batches{query}"), form).await;
    let settings = json!({"MODE": "fast", "KEY": "hunter2"});
    let lines = "{\"COUNT\": 1}\n\n{\"COUNT\": 2, \"SCENE\": \"https://example.org/a.tif\"}\n";
    let form = json!({"imageId": image, "settings": settings, "table": lines});
    let planned = post("?dry_run=true", form.clone()).await.expect(200).json();
    assert_eq!(
        (&planned["rows"], house.silo.admin().get("/api/v1/runs").await.json()["total"].clone()),
        (&json!(2), json!(0))
    );
    let batch = post("", form).await.expect(201).json();
    assert_eq!((&batch["total"], &batch["counts"]["accepted"]), (&json!(2), &json!(2)));
    for (table, subject) in [
        ("COLOUR\nred\n", "table"),
        ("COUNT\nx\n", "row 1, COUNT"),
        ("{\"COUNT\": 1, \"X\": 2}", "row 1, X"),
        ("", "table"),
    ] {
        let form = json!({"imageId": image, "settings": settings, "table": table});
        let refused = post("?dry_run=true", form).await.expect(400).json();
        assert_eq!(refused["problems"][0]["subject"], subject, "{table:?}: {refused}");
    }
    post("", json!({"imageId": image, "table": "COUNT\n", "rows": [{}]})).await.expect(400);
    post("", json!({"imageId": image, "settings": settings, "table": "COUNT\n"})).await.expect(400);
}

#[tokio::test]
async fn hostile_tables_are_refused_with_the_reason() {
    let house = BatchHouse::start(false).await;
    let rita = house.rita().await;
    let many = format!("COUNT\n{}", "1\n".repeat(10_001));
    for (table, status, words) in [
        ("COUNT\n1,2\n", 400, "quote values that contain commas"),
        ("COUNT;SCENE\n1;2\n", 400, "its first line must name inputs"),
        ("COUNT\n=1+1\n", 400, "must be of the type integer"),
        ("SCENE\n=cmd|' /C calc'!A0\n", 400, "names no file"),
        ("SCENE\nfile:///etc/passwd\n", 400, "names no file"),
        ("COUNT\n1\0\n", 422, "NUL"),
        (many.as_str(), 400, "more than 10000 rows"),
        ("", 400, "it is empty"),
        ("COUNT\n", 400, "no rows"),
    ] {
        let reply = rita.send("/batches/new", &house.form(table, "run")).await.expect(status);
        assert!(reply.text.contains(words), "{table:?}: {}", reply.text);
    }
    // As spreadsheets save it: a byte order mark, and line ends of Windows.
    let file = "\u{feff}COUNT,SCENE\r\n7,\r\n8,\"https://example.org/a,b.tif\"\r\n";
    let fields = house.form("of an earlier page", "check");
    let read = sent_parts(&rita, &fields, file.as_bytes()).await.expect(200);
    assert!(read.text.contains("All 2 rows can be run") && read.text.contains("a,b.tif"), "{}", read.text);
    let latin = sent_parts(&rita, &fields, b"COUNT\n\xff\n").await.expect(422);
    assert!(latin.text.contains("save the file as UTF-8"), "{}", latin.text);
    let huge = sent_parts(&rita, &fields, format!("COUNT\n\"{}\"\n", "1".repeat(5 << 20)).as_bytes()).await.expect(413);
    assert!(huge.text.contains("send it in parts"), "{}", huge.text);
    assert_eq!(house.silo.admin().get("/api/v1/runs").await.expect(200).json()["total"], 0);

    // Not without the token of the session's forms.
    let cookie = ("cookie", rita.cookie.as_str());
    sent_form(&house.silo, "/batches/new", &[OWN, cookie], &house.form("COUNT\n1\n", "run")).await.expect(403);
    for path in ["/batch/x/cancel", "/batch/x/rerun"] {
        sent_form(&house.silo, path, &[OWN, cookie], &[]).await.expect(403);
    }
    for image in ["999", "nothing/of-this-kind:1", "<script>", "99999999999999999999"] {
        let encoded: String = url::form_urlencoded::byte_serialize(image.as_bytes()).collect();
        let none = rita.get(&format!("/batches/new?image={encoded}")).await;
        assert!((400..500).contains(&none.status) && !none.text.contains("<script>"), "{image}: {}", none.text);
    }
}

#[tokio::test]
async fn a_job_without_values_has_no_table_of_them() {
    let house = BatchHouse::of(false, json!([])).await;
    let rita = house.rita().await;
    let queued = rita.send("/batches/new", &house.form("COUNT\n1\n", "run")).await.expect(303);
    let page = rita.get(queued.header("location")).await.expect(200);
    assert!(!page.text.contains("CSV") && page.text.contains("1 run:"), "{}", page.text);
}
