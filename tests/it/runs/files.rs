//! Inputs and outputs: uploads, forms, logs, outputs, archives, batches.

use std::io::Read as _;

use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use silo::seed::LABEL;

use super::{NOOP, Runs, WAITS, go, told};
use crate::support::docker_engine::there;
use crate::support::manifest::of_job;
use crate::support::process::{Engine, PASSWORD, PATIENCE};

/// Copies its input, if it has one, and writes other outputs.
const COPIES: &str = "[ -n \"$FILE\" ] && cat $FILE >$OUTPUT_DIR/begun; mkdir $OUTPUT_DIR/sub; \
    echo more >\"$OUTPUT_DIR/sub/a \\\"b\\\".txt\"; ln -s /etc/passwd $OUTPUT_DIR/link; printf 'one\\ntwo\\n\\377three'; echo oops >&2";

/// An HTTP client of the admin, for bytes and headers.
struct Asking {
    http: reqwest::Client,
    url: String,
    token: String,
}

impl Asking {
    async fn of(runs: &Runs) -> Self {
        let http = reqwest::Client::builder().no_proxy().no_gzip().build().expect("a plain client can be built");
        Self { http, url: runs.silo.url().to_owned(), token: runs.silo.login("admin", PASSWORD).await }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request =
            headers.iter().fold(self.request(Method::GET, path), |it, (name, value)| it.header(*name, *value));
        request.send().await.expect("it answers")
    }

    async fn bytes(&self, path: &str) -> Vec<u8> {
        let reply = self.get(path, &[]).await;
        assert_eq!(reply.status(), 200, "{path}");
        reply.bytes().await.expect("the whole answer").to_vec()
    }
}

fn header<'r>(reply: &'r Response, name: &str) -> &'r str {
    reply.headers().get(name).map_or("", |value| value.to_str().expect("a plain header"))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_sent_becomes_an_input_and_comes_back_as_an_output() {
    let runs = Runs::on(Engine::Sqlite).await;
    let asking = Asking::of(&runs).await;
    let image = runs.image(COPIES).await;
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let sent =
        asking.request(Method::POST, "/api/v1/uploads?name=numbers.bin").body(bytes.clone()).send().await.unwrap();
    assert_eq!(sent.status(), 201);
    let upload: Value = sent.json().await.unwrap();
    assert_eq!(upload, json!({"sha256": sha256(&bytes), "name": "numbers.bin", "size": 400_000}));
    let run = runs.submit(json!({"image": image, "files": {"FILE": {"upload": upload["sha256"]}}})).await;
    let (id, _) = told(&run);
    let run = runs.ended(&id).await;
    assert_eq!(run["status"], "successful", "{run:#}");
    let given = &run["given"]["files"][0]["files"][0];
    assert_eq!((&given["name"], &given["sha256"]), (&json!("numbers.bin"), &upload["sha256"]));

    let outputs = runs.silo.get(&format!("/api/v1/runs/{id}/outputs")).await.expect(200);
    let left = &outputs["files"][0]["files"][0];
    assert_eq!((&left["path"], &left["sha256"]), (&json!("begun"), &upload["sha256"]));
    let extra: Vec<&str> = outputs["extra"].as_array().unwrap().iter().map(|it| it["path"].as_str().unwrap()).collect();
    assert_eq!(extra, ["sub/a \"b\".txt"], "no link out of the directory");
    assert_eq!(asking.bytes(outputs["extra"][0]["url"].as_str().unwrap()).await, b"more\n");
    for hostile in ["link", "../job.json", "%2e%2e/job.json", "sub/../../job.json", "a%00b"] {
        let reply = asking.get(&format!("/api/v1/runs/{id}/files/{hostile}"), &[]).await;
        assert_eq!(reply.status(), 404, "{hostile}");
    }

    let path = format!("/api/v1/runs/{id}/outputs/BEGUN");
    let whole = asking.get(&path, &[("accept-encoding", "gzip")]).await;
    let tag = header(&whole, "etag").to_owned();
    assert_eq!(tag, format!("\"{}\"", sha256(&bytes)));
    assert_eq!((header(&whole, "content-type"), header(&whole, "content-encoding")), ("text/plain", ""));
    assert_eq!(header(&whole, "content-disposition"), "attachment; filename=\"begun\"; filename*=UTF-8''begun");
    assert_eq!(whole.bytes().await.unwrap(), bytes);
    let part = asking.get(&path, &[("range", "bytes=4-7"), ("if-range", &tag)]).await;
    assert_eq!((part.status().as_u16(), header(&part, "content-range")), (206, "bytes 4-7/400000"));
    assert_eq!(part.bytes().await.unwrap(), &bytes[4..8]);
    assert_eq!(asking.get(&path, &[("if-none-match", &tag)]).await.status(), 304);
    assert_eq!(asking.get(&path, &[("range", "bytes=400000-")]).await.status(), 416);
    assert_eq!(asking.get(&format!("{path}/0"), &[]).await.status(), 200);
    assert_eq!(asking.get(&format!("{path}/1"), &[]).await.status(), 404);

    let stdout = asking.bytes(&format!("/api/v1/runs/{id}/logs/stdout")).await;
    assert_eq!(stdout, b"one\ntwo\n\xffthree", "exact bytes");
    assert_eq!(asking.bytes(&format!("/api/v1/runs/{id}/logs/stdout?tail=2")).await, b"two\n\xffthree");
    assert_eq!(asking.bytes(&format!("/api/v1/runs/{id}/logs/stdout?tail=0")).await, b"");
    assert_eq!(asking.bytes(&format!("/api/v1/runs/{id}/logs/stderr?tail=99")).await, b"oops\n");
    let end = asking.get(&format!("/api/v1/runs/{id}/logs/stdout"), &[("range", "bytes=-5")]).await;
    assert_eq!(end.bytes().await.unwrap(), "three");
    assert_eq!(asking.get(&format!("/api/v1/runs/{id}/logs/stdout?attempt=2"), &[]).await.status(), 404);
    assert_eq!(asking.get(&format!("/api/v1/runs/{id}/logs/nothing"), &[]).await.status(), 404);
    archives(&asking, &id, &bytes).await;

    runs.silo.delete(&format!("/api/v1/runs/{id}")).await.expect(204);
    let gone = asking.get(&path, &[]).await;
    assert_eq!(gone.status(), 404);
    assert!(gone.text().await.unwrap().contains("were deleted"));
    assert_eq!(runs.get(&id).await["status"], "successful", "what is known of it stays");
}

async fn archives(asking: &Asking, id: &str, bytes: &[u8]) {
    let tar = asking.bytes(&format!("/api/v1/runs/{id}/archive")).await;
    let mut names = Vec::new();
    for entry in tar::Archive::new(&tar[..]).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        if name.ends_with("/begun") {
            let mut found = Vec::new();
            entry.read_to_end(&mut found).unwrap();
            assert_eq!(found, bytes);
        }
        names.push(name.strip_prefix(&format!("{id}/")).expect("all below its id").to_owned());
    }
    let zip = asking.bytes(&format!("/api/v1/runs/{id}/archive?format=zip")).await;
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut found = Vec::new();
    zip.by_name(&format!("{id}/output/begun")).unwrap().read_to_end(&mut found).unwrap();
    assert_eq!(found, bytes);
    let zipped: Vec<String> = zip.file_names().map(|name| name.unwrap()[id.len() + 1..].to_owned()).collect();
    assert_eq!(zipped, names);
    let logs = ["_stdout.txt", "_stderr.txt", "combined.ndjson", "system.log"].map(|log| format!("attempt-1/{log}"));
    let expected = [&["job.json", "inputs.json", "run.sh"].map(str::to_owned)[..], &logs[..]].concat();
    assert_eq!(names[..expected.len()], expected);
    assert_eq!(names[expected.len()..], ["output/begun", "output/sub/a \"b\".txt"]);
    assert_eq!(asking.get(&format!("/api/v1/runs/{id}/archive?format=rar"), &[]).await.status(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_brings_its_files_along_and_what_breaks_off_is_not_kept() {
    let options = [("SILO__RUNS__UPLOAD_MIB", "1"), ("SILO__RUNS__UPLOADS_PER_USER_MIB", "2")];
    let runs = Runs::with(Engine::Sqlite, &options).await;
    let asking = Asking::of(&runs).await;
    let image = runs.image(COPIES).await;
    let form = |request: &Value| {
        let file = Part::bytes(b"hello".to_vec()).file_name("hello.txt");
        Form::new().text("request", request.to_string()).part("files.FILE", file)
    };
    let sent =
        asking.request(Method::POST, "/api/v1/runs").multipart(form(&json!({"image": image}))).send().await.unwrap();
    assert_eq!(sent.status(), 201);
    let run = runs.ended(&told(&sent.json().await.unwrap()).0).await;
    assert_eq!(run["given"]["files"][0]["files"][0]["name"], "hello.txt", "{run:#}");
    let other = Form::new().text("request", json!({"image": image}).to_string()).text("wrong", "x");
    let refused = asking.request(Method::POST, "/api/v1/runs").multipart(other).send().await.unwrap();
    assert_eq!(refused.status(), 400);

    let send = |name: &str, bytes: Vec<u8>| {
        asking.request(Method::POST, &format!("/api/v1/uploads?name={name}")).body(bytes).send()
    };
    assert_eq!(send("big", vec![0; 1024 * 1024 + 1]).await.unwrap().status(), 413);
    assert_eq!(send("a%2Fb", Vec::new()).await.unwrap().status(), 400);
    assert_eq!(send(&"n".repeat(4096), Vec::new()).await.unwrap().status(), 400);
    assert_eq!(send("one", vec![1; 1024 * 1024]).await.unwrap().status(), 201);
    let much = send("two", vec![2; 1024 * 1024]).await.unwrap();
    assert_eq!(much.status(), 413);
    assert!(much.text().await.unwrap().contains("uploads_per_user_mib"));
    // The same content uploaded twice concurrently is stored once.
    let both = tokio::join!(send("x", vec![3; 1000]), send("y", vec![3; 1000]));
    assert_eq!((both.0.unwrap().status().as_u16(), both.1.unwrap().status().as_u16()), (201, 201));

    // Announces more bytes than it sends.
    let address = runs.silo.url().trim_start_matches("http://").to_owned();
    let head = format!(
        "POST /api/v1/uploads?name=cut HTTP/1.1\r\nHost: x\r\nAuthorization: Token {}\r\nContent-Length: 999\r\n\r\nabc",
        asking.token
    );
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer).await;
    let uploads = runs.silo.data().join("uploads");
    let kept =
        |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect::<Vec<_>>();
    let names: Vec<String> =
        kept(&uploads).iter().map(|path| path.file_name().unwrap().to_string_lossy().into()).collect();
    assert!(names.iter().all(|name| name.len() == 2), "no part is left: {names:?}");
    assert_eq!(kept(&uploads).iter().flat_map(|folder| kept(folder)).count(), 3, "hello.txt, one, and x which is y");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_followed_while_it_grows_and_gone_on_with() {
    let runs = Runs::on(Engine::Sqlite).await;
    let asking = Asking::of(&runs).await;
    let image = runs.image(WAITS).await;
    let (id, output) = runs.begun(json!({"image": image})).await;
    let path = format!("/api/v1/runs/{id}/logs/stdout?follow=true");
    let mut stream = asking.get(&path, &[]).await;
    let first = String::from_utf8(stream.chunk().await.unwrap().unwrap().to_vec()).unwrap();
    assert_eq!(first, "event: log\nid: 6\ndata: {\"text\":\"begun\\n\"}\n\n");
    go(&output);
    let rest = stream.text().await.unwrap();
    assert_eq!(rest, "event: log\nid: 14\ndata: {\"text\":\"gone on\\n\"}\n\n", "and it ends with the run");
    let again = asking.get(&path, &[("last-event-id", "6")]).await.text().await.unwrap();
    assert_eq!(again, rest);
    let events = asking.get(&format!("/api/v1/runs/{id}/events"), &[("accept", "text/event-stream")]).await;
    let events = events.text().await.unwrap();
    assert!(events.starts_with("event: run\ndata: {") && events.contains("\"status\":\"successful\""), "{events}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_run_so_is_told_at_once_and_a_plan_runs_nothing() {
    let runs = Runs::on(Engine::Sqlite).await;
    let image = runs.image(NOOP).await;
    let form = json!({"image": image, "files": {"FILE": [{"path": "/etc/passwd"}], "OTHER": {"url": "ftp://x/y"}},
        "json": {"N": 1}, "settings": {"KEY": "hunter2"}, "mounts": {"M": "/etc"}});
    let refused = runs.silo.post("/api/v1/runs", form).await;
    assert_eq!(refused.status, 400);
    let problems = refused.body["problems"].as_array().expect("a list").clone();
    let subjects: Vec<&str> = problems.iter().map(|it| it["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["FILE", "OTHER", "M", "N", "KEY"], "{}", refused.body);
    assert!(!refused.body.to_string().contains("hunter2"));
    for (form, status, said) in [
        (json!({"image": "nobody/knows-1.0.0-seed:1.0.0"}), 404, "scan its registry"),
        (json!({}), 400, "image"),
        (json!({"image": image, "imageId": 1}), 400, "imageId"),
        (json!({"image": image, "priority": 10}), 400, "priority"),
        (json!({"image": image, "tags": [""]}), 400, "tags"),
        (json!({"image": image, "nonsense": 1}), 422, "nonsense"),
        (json!({"image": image, "files": {"FILE": {"upload": "00"}}}), 400, "/api/v1/uploads"),
        (json!({"image": image, "files": {"FILE": {"url": "https://u:hunter2@h/x"}}}), 400, "password"),
        (json!({"image": image, "files": {"FILE": {}}}), 400, "exactly one"),
    ] {
        let reply = runs.silo.post("/api/v1/runs", form.clone()).await;
        assert_eq!(reply.status, status, "{form}: {}", reply.body);
        assert!(reply.body["detail"].as_str().unwrap().contains(said), "{form}: {}", reply.body);
        assert!(!reply.body.to_string().contains("hunter2"));
    }
    let plan = runs.silo.post("/api/v1/runs?dry_run=true", json!({"image": image})).await.expect(200);
    assert!(plan["dockerRun"].as_str().unwrap().starts_with("docker run "), "{plan:#}");
    assert_eq!(runs.silo.get("/api/v1/runs").await.expect(200)["total"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_alike_will_do_if_that_is_asked_for() {
    let runs = Runs::on(Engine::Sqlite).await;
    let asking = Asking::of(&runs).await;
    let image = runs.image(NOOP).await;
    let (first, _) = told(&runs.submit(json!({"image": image, "dedup": true})).await);
    let ask = async |form: Value| asking.request(Method::POST, "/api/v1/runs").json(&form).send().await.unwrap();
    let again = ask(json!({"image": image, "dedup": true, "label": "of no matter"})).await;
    assert_eq!((again.status().as_u16(), header(&again, "silo-deduplicated")), (200, "true"));
    assert_eq!(again.json::<Value>().await.unwrap()["id"], first);
    assert_eq!(ask(json!({"image": image, "dedup": true, "timeoutSeconds": 5})).await.status(), 201, "it is not alike");
    assert_eq!(ask(json!({"image": image})).await.status(), 201, "nobody asked for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_queued_whole_or_not_at_all_and_its_failed_rows_are_done_again() {
    let runs = Runs::on(Engine::Sqlite).await;
    let image = runs.image("[ \"$FILE\" ] || exit 3; echo >$OUTPUT_DIR/begun").await;
    let wrong = json!({"image": image, "rows": [{}, {"json": {"N": 1}}, {"files": {"NOTHING": {"path": "/x"}}}]});
    let refused = runs.silo.post("/api/v1/batches", wrong).await;
    assert_eq!(refused.status, 400);
    let subject = |at: usize| refused.body["problems"][at]["subject"].as_str().unwrap_or_default().to_owned();
    assert_eq!((subject(0), subject(1)), ("row 2, N".to_owned(), "row 3, NOTHING".to_owned()), "{}", refused.body);
    assert_eq!(runs.silo.get("/api/v1/runs").await.expect(200)["total"], 0);
    assert_eq!(runs.silo.post("/api/v1/batches", json!({"image": image, "rows": []})).await.status, 400);
    for unknown in ["dedup", "colour"] {
        for form in
            [json!({"image": image, "rows": [{}], unknown: true}), json!({"image": image, "rows": [{unknown: true}]})]
        {
            let refused = runs.silo.post("/api/v1/batches", form).await.expect(422);
            assert!(refused.to_string().contains(unknown), "{refused}");
        }
    }

    let asking = Asking::of(&runs).await;
    let sent = asking.request(Method::POST, "/api/v1/uploads?name=x").body("x").send().await.unwrap();
    let upload: Value = sent.json().await.unwrap();
    let file = json!({"FILE": {"upload": upload["sha256"]}});
    let form = json!({"image": image, "label": "all", "rows": [{"files": file}, {"label": "second"}, {"files": file}]});
    let batch = runs.silo.post("/api/v1/batches", form).await.expect(201);
    assert_eq!(batch["total"], 3);
    let id = batch["id"].as_str().unwrap();
    let rows = async |id: &str| {
        let page = runs.silo.get(&format!("/api/v1/batches/{id}/runs")).await.expect(200);
        page["items"].as_array().unwrap().clone()
    };
    for run in rows(id).await {
        runs.ended(run["id"].as_str().unwrap()).await;
    }
    let ended: Vec<Value> =
        rows(id).await.iter().map(|run| json!([run["batchRow"], run["label"], run["status"]])).collect();
    let expected = [json!([1, "all", "successful"]), json!([2, "second", "failed"]), json!([3, "all", "successful"])];
    assert_eq!(ended, expected);
    let again = runs.silo.post(&format!("/api/v1/batches/{id}/rerun"), Value::Null).await.expect(201);
    assert_eq!((&again["total"], again["id"] == batch["id"]), (&json!(1), false));
    let [row] = &rows(again["id"].as_str().unwrap()).await[..] else { panic!("one row") };
    assert_eq!((&row["label"], row["rerunOf"].is_string()), (&json!("second"), true));
    assert_eq!(runs.silo.post(&format!("/api/v1/batches/{id}/rerun?status=dismissed"), Value::Null).await.status, 409);
    runs.silo.post(&format!("/api/v1/batches/{id}/cancel"), Value::Null).await.expect(200);
    assert_eq!(runs.silo.get("/api/v1/batches/nothing").await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_the_runs_of_others_but_an_admin() {
    let runs = Runs::on(Engine::Sqlite).await;
    let image = runs.image(NOOP).await;
    for (name, role) in [("rita", "runner"), ("rob", "runner"), ("uma", "user")] {
        let form = json!({"username": name, "password": "their own secret", "role": role});
        runs.silo.post("/users/add", form).await.expect(201);
    }
    let mut asking = Asking::of(&runs).await;
    asking.token = runs.silo.login("rita", "their own secret").await;
    let mine = asking.request(Method::POST, "/api/v1/runs").json(&json!({"image": image})).send().await.unwrap();
    assert_eq!(mine.status(), 201);
    let id = told(&mine.json().await.unwrap()).0;
    assert_eq!(asking.get(&format!("/api/v1/runs/{id}"), &[]).await.status(), 200);
    assert_eq!(runs.ended(&id).await["owner"], "rita", "the admin sees it");
    for (name, may_submit) in [("rob", true), ("uma", false)] {
        asking.token = runs.silo.login(name, "their own secret").await;
        for rest in ["", "/logs/stdout", "/outputs", "/archive", "/events", "/files/begun"] {
            assert_eq!(asking.get(&format!("/api/v1/runs/{id}{rest}"), &[]).await.status(), 404, "{name} {rest}");
        }
        let listed: Value = asking.get("/api/v1/runs", &[]).await.json().await.unwrap();
        assert_eq!(listed["total"], 0);
        let cancel = asking.request(Method::POST, &format!("/api/v1/runs/{id}/cancel")).send().await.unwrap();
        assert_eq!(cancel.status(), if may_submit { 404 } else { 403 });
        let from = json!({"image": image, "files": {"FILE": {"run": id, "output": "BEGUN"}}});
        let from = asking.request(Method::POST, "/api/v1/runs").json(&from).send().await.unwrap();
        assert_eq!(from.status(), if may_submit { 400 } else { 403 });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_engine_a_run_says_what_is_missing() {
    let runs = Runs::with(Engine::Sqlite, &[("SILO__RUNS__ENGINE", "unix:///nowhere/docker.sock")]).await;
    let reply = runs.silo.post("/api/v1/runs", json!({"image": "any"})).await;
    assert_eq!(reply.status, 503);
    let said = reply.body["detail"].as_str().unwrap();
    assert!(said.contains("/nowhere/docker.sock") && said.contains("apt-get install docker.io"), "{said}");
    assert_eq!(runs.silo.post("/api/v1/validate", json!({})).await.status, 200, "validation needs none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deleted_user_has_running_and_follows_ends() {
    let runs = Runs::on(Engine::Sqlite).await;
    let mut asking = Asking::of(&runs).await;
    let image = runs.image(WAITS).await;
    let form = json!({"username": "rita", "password": "their own secret", "role": "runner"});
    let rita = runs.silo.post("/users/add", form).await.expect(201)["ID"].clone();
    asking.token = runs.silo.login("rita", "their own secret").await;
    let submitted = asking.request(Method::POST, "/api/v1/runs").json(&json!({"image": image})).send().await.unwrap();
    let (id, output) = told(&submitted.json().await.unwrap());
    there(&output.join("begun")).await;
    let mut log = asking.get(&format!("/api/v1/runs/{id}/logs/stdout?follow=true"), &[]).await;
    log.chunk().await.unwrap().expect("what it printed");
    runs.silo.delete(&format!("/users/delete/{rita}")).await.expect(200);
    let rest = tokio::time::timeout(PATIENCE, log.text()).await.expect("the stream ends with its user");
    assert_eq!(rest.unwrap(), "");
    assert_eq!(runs.ended(&id).await["status"], "dismissed");
    runs.no_containers_of(&id).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_batch_takes_is_bounded_and_told() {
    let runs = Runs::on(Engine::Sqlite).await;
    let manifest = of_job(
        "large",
        json!({
            "timeout": 600,
            "interface": {"settings": [{"name": "TEXT"}]}
        }),
    );
    let image = format!("large-{}-1.0.0-seed:1.0.0", std::process::id());
    let image = runs.engine.script(&image, NOOP, &[(LABEL, &manifest.to_string())]).await;
    let before = runs.silo.peak_memory();

    // Each row would store the text several times.
    let text = "x".repeat(100_000);
    let rows = |count: usize| vec![json!({}); count];
    let many = json!({"image": image, "settings": {"TEXT": text}, "rows": rows(999)});
    let refused = runs.silo.post("/api/v1/batches", many).await;
    assert_eq!(refused.status, 413, "{}", refused.body);
    assert!(refused.body["detail"].as_str().unwrap().contains("128 MiB"), "{}", refused.body);

    // The number of reported problems is limited.
    let wrong: serde_json::Map<String, Value> = (0..1000).map(|it| (format!("UNKNOWN{it}"), json!(1))).collect();
    let wrong = json!({"image": image, "json": wrong, "settings": {"TEXT": "x".repeat(1_000_000)}, "rows": rows(999)});
    let refused = runs.silo.post("/api/v1/batches", wrong).await;
    assert_eq!((refused.status, refused.body["problems"].as_array().unwrap().len()), (400, 100));

    // Nothing is prepared for a batch that is refused, or for an unknown image.
    let refused = runs.silo.post("/api/v1/batches", json!({"image": image, "rows": rows(1001)})).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    let unread = runs.silo.post("/api/v1/batches", json!({"image": image, "rows": rows(10_001)})).await;
    assert_eq!(unread.status, 422, "{}", unread.body);
    let unknown = json!({"image": "nothing:1", "json": {"A": "x".repeat(2_000_000)}, "rows": rows(999)});
    runs.silo.post("/api/v1/batches", unknown).await.expect(404);

    let taken = runs.silo.peak_memory() - before;
    assert!(taken < 400 << 20, "{} MiB", taken >> 20);
    assert_eq!(runs.silo.get("/api/v1/runs").await.expect(200)["total"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_with_a_mistyped_field_is_refused() {
    let runs = Runs::on(Engine::Sqlite).await;
    let forms = [
        ("/api/v1/runs", json!({"image": "a", "lable": "b"})),
        ("/api/v1/batches", json!({"image": "a", "lable": "b", "rows": [{}]})),
        ("/api/v1/batches", json!({"image": "a", "rows": [{"lable": "b"}]})),
        ("/api/v1/runs/7/rerun", json!({"lable": "b"})),
    ];
    for (path, form) in forms {
        let refused = runs.silo.post(path, form).await;
        assert_eq!(refused.status, 422, "{path}: {}", refused.body);
        assert!(refused.body["detail"].as_str().unwrap().contains("unknown field `lable`"), "{}", refused.body);
    }
    // The source of a file is one of two forms, so its field is not named.
    let file = json!({"image": "a", "files": {"SCENE": {"upload": "ab", "nmae": "b"}}});
    assert_eq!(runs.silo.post("/api/v1/runs", file).await.status, 422);
}
