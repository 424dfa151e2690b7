//! The pages of runs, with a job that runs.

use reqwest::{Client, Method, Response, redirect};
use serde_json::json;

use super::{NOOP, Runs, WAITS, go};
use crate::support::process::{Engine, PASSWORD};
use crate::support::sse::{EventStream, Piece};

/// A browser without JavaScript.
struct PageReader<'a> {
    runs: &'a Runs,
    http: Client,
    token: String,
}

impl<'a> PageReader<'a> {
    async fn of(runs: &'a Runs) -> Self {
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().expect("a plain client");
        Self { runs, http, token: runs.silo.login("admin", PASSWORD).await }
    }

    async fn ask(&self, method: Method, path: &str) -> Response {
        let request = self.http.request(method, format!("{}{path}", self.runs.silo.url()));
        request.bearer_auth(&self.token).header("accept", "text/html").send().await.expect("a reply")
    }

    async fn page(&self, path: &str) -> String {
        let reply = self.ask(Method::GET, path).await;
        assert_eq!(reply.status(), 200, "{path}");
        reply.text().await.expect("a page")
    }

    /// Sends a form without fields; returns where it leads.
    async fn send(&self, path: &str) -> String {
        let reply = self.ask(Method::POST, path).await;
        assert_eq!(reply.status(), 303, "{path}");
        reply.headers()["location"].to_str().expect("a path").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_watched_stopped_and_repeated() {
    let runs = Runs::on(Engine::Sqlite).await;
    let reader = PageReader::of(&runs).await;
    let image = runs.image(WAITS).await;
    let (id, output) = runs.begun(json!({"image": image, "label": "by day", "tags": ["sea"]})).await;
    let path = format!("/run/{id}");
    let page = reader.page(&path).await;
    for words in
        ["running", "the job runs", "attempt 1 of 3", "by day", ">sea<", "data-events=", "data-follow=", ">begun<"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    let start = page.find("data-follow=\"").expect("it is seen above") + "data-follow=\"".len();
    let follow = page[start..].split('"').next().expect("its end").replace("&#38;", "&").replace("&amp;", "&");
    let stream = reader.ask(Method::GET, &follow).await;
    let mut stream = EventStream::new(stream);
    go(&output);
    let mut lines = String::new();
    loop {
        match stream.piece().await {
            Piece::Event { event, data, .. } if event == "lines" => lines.push_str(data.as_str().expect("a text")),
            Piece::Event { event, .. } => {
                assert_eq!(event, "end");
                break;
            }
            Piece::Alive => {}
            Piece::End => panic!("no end was told"),
        }
    }
    assert!(lines.contains("gone on") && !lines.contains(">begun<"), "only what is new: {lines}");
    runs.ended(&id).await;
    let page = reader.page(&path).await;
    for words in ["successful", "took ", "pull ", "/files/begun\"", "gone on", "/archive?format=zip"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("data-follow"), "{page}");
    assert!(reader.page(&format!("{path}/log/system")).await.contains("data-t="), "SILO's own messages have times");

    let again = reader.send(&format!("{path}/again")).await;
    let new = again.strip_prefix("/run/").expect("the page of the new run").to_owned();
    runs.when(&new, |run| run["phase"] == "main").await;
    let page = reader.page(&again).await;
    assert!(page.contains(&format!("href=\"{path}\"")) && page.contains("by day"), "it says what it repeats: {page}");
    assert_eq!(reader.send(&format!("{again}/stop")).await, again);
    assert_eq!(runs.ended(&new).await["status"], "dismissed");
    assert!(reader.page(&again).await.contains("square\">stopped"));
    assert_eq!(reader.send(&format!("{again}/discard")).await, again);
    assert!(reader.page(&again).await.contains("were deleted"));
    let list = reader.page("/runs?status=successful&tag=sea").await;
    assert!(list.contains(&path) && !list.contains(&again), "{list}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_runs_are_repeated_at_once() {
    let runs = Runs::on(Engine::Postgres).await;
    let reader = PageReader::of(&runs).await;
    let image = runs.image(&format!("{NOOP}; echo no orbit >&2; exit 3")).await;
    let mut form = Vec::new();
    for _ in 0..2 {
        let run = runs.submit(json!({"image": image})).await;
        let id = run["id"].as_str().expect("an id").to_owned();
        runs.ended(&id).await;
        form.push(("run", id));
    }
    let page = reader.page(&format!("/run/{}", form[0].1)).await;
    for words in ["Bad input", "Of no use", "fault of the data", "exit code 3", "no orbit\n"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = reader.http.post(format!("{}/runs/again", runs.silo.url())).bearer_auth(&reader.token).body(body);
    let reply = request.send().await.expect("a reply");
    assert_eq!((reply.status().as_u16(), &reply.headers()["location"]), (303, &"/runs".parse().expect("a header")));
    let list = runs.silo.get("/api/v1/runs").await.expect(200);
    let repeated = list["items"].as_array().expect("a list").iter().filter(|run| run["rerunOf"].is_string()).count();
    assert_eq!((repeated, list["total"].as_u64()), (2, Some(4)));
}
