//! Quotas of uploads and downloads per user: concurrent ones, and across kills.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use super::{NOOP, Runs, WAITS, go, told};
use crate::support::file_server::{Answer, FileServer};
use crate::support::process::{Engine, PASSWORD, PATIENCE, Setup, Silo, on_both};

const MIB: usize = 1024 * 1024;
const MOST: &str = "SILO__RUNS__UPLOADS_PER_USER_MIB";

/// An upload in progress.
struct Sending {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Sending {
    /// Sends the head and half of the bytes. The service may refuse them; its reply tells why.
    async fn begin(silo: &Silo, token: &str, bytes: Vec<u8>) -> Self {
        let mut stream = TcpStream::connect(silo.url().trim_start_matches("http://")).await.expect("a connection");
        let head = format!(
            "POST /api/v1/uploads?name=x HTTP/1.1\r\nHost: x\r\nAuthorization: Token {token}\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n",
            bytes.len()
        );
        let (first, rest) = bytes.split_at(bytes.len() / 2);
        _ = stream.write_all(&[head.as_bytes(), first].concat()).await;
        Self { stream, rest: rest.to_owned() }
    }

    /// The status of the reply; 0: the connection ended without one.
    async fn end(mut self) -> u16 {
        _ = self.stream.write_all(&self.rest).await;
        let mut answer = Vec::new();
        _ = self.stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer);
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }
}

async fn send(silo: &Silo, token: &str, bytes: Vec<u8>) -> u16 {
    Sending::begin(silo, token, bytes).await.end().await
}

/// The files in a folder and below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

async fn twenty_files_at_once_keep_within_the_quota(database: Engine) {
    let setup = Setup::on(database).await.env(MOST, 10);
    let beside = setup.beside();
    let mut silos = vec![Arc::new(setup.start().await)];
    if database == Engine::Postgres {
        silos.push(Arc::new(beside.start().await));
    }
    let mut tokens = Vec::new();
    for silo in &silos {
        tokens.push(silo.login("admin", PASSWORD).await);
    }
    let all_begun = Arc::new(Barrier::new(20));
    let sending = (0..20_u8).map(|number| {
        let place = usize::from(number) % silos.len();
        let (silo, token, all_begun) = (silos[place].clone(), tokens[place].clone(), all_begun.clone());
        tokio::spawn(async move {
            let sending = Sending::begin(&silo, &token, vec![number; MIB]).await;
            all_begun.wait().await;
            sending.end().await
        })
    });
    let sending: Vec<_> = sending.collect();
    let mut taken = 0;
    for sent in sending {
        taken += usize::from(sent.await.unwrap() == 201);
    }
    let kept: u64 = silos
        .iter()
        .flat_map(|silo| files(&silo.data().join("uploads")))
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert_eq!((taken, kept), (10, 10 * MIB as u64));
    assert_eq!(send(&silos[0], &tokens[0], vec![99; 1]).await, 413);
}

async fn what_breaks_off_gives_its_room_back(database: Engine) {
    let mut silo = Setup::on(database).await.env(MOST, 2).start().await;
    let token = silo.login("admin", PASSWORD).await;
    let uploads = silo.data().join("uploads");
    let begun = async |silo: &Silo, size: usize| {
        let sending = Sending::begin(silo, &token, vec![1; size]).await;
        let began = Instant::now();
        while files(&uploads).is_empty() {
            assert!(began.elapsed() < PATIENCE, "it is not taken");
            tokio::time::sleep(Duration::from_millis(20)).await; // because nobody tells when a file is begun
        }
        sending
    };
    let sending = begun(&silo, 2 * MIB).await;
    assert_eq!(send(&silo, &token, vec![2; 1]).await, 413, "all of it is promised");
    drop(sending);
    let began = Instant::now();
    while send(&silo, &token, vec![3; 1]).await != 201 {
        assert!(began.elapsed() < PATIENCE, "the room is not given back");
    }
    for file in files(&uploads) {
        fs::remove_file(file).unwrap();
    }
    let sending = begun(&silo, 2 * MIB - 1).await;
    silo.kill();
    drop(sending);
    silo.start_again().await;
    assert!(files(&uploads).is_empty());
    let token = silo.login("admin", PASSWORD).await;
    assert_eq!(send(&silo, &token, vec![4; 2 * MIB - 1]).await, 201);
}

async fn what_is_fetched_counts_and_goes_with_the_attempt(database: Engine) {
    let runs = Runs::with(database, &[(MOST, "1"), ("SILO__RUNS__PRIVATE_HOSTS", "127.0.0.1")]).await;
    let token = runs.silo.login("admin", PASSWORD).await;
    let server = FileServer::start().await;
    server.put("/half", [Answer::file(vec![1; MIB / 2])]);
    let chunks =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n80000\r\n{}\r\n0\r\n\r\n", "x".repeat(MIB / 2));
    server.put("/chunked", [Answer::raw(chunks)]);
    let asked =
        |image: &str, path: &str| json!({"image": image, "maxTries": 1, "files": {"FILE": {"url": server.url(path)}}});

    let image = runs.image(WAITS).await;
    let (id, output) = runs.begun(asked(&image, "/half")).await;
    let fetched = output.with_file_name("fetched");
    assert_eq!(files(&fetched).len(), 1);
    assert_eq!(send(&runs.silo, &token, vec![2; MIB / 2 + 1]).await, 413);
    go(&output);
    assert_eq!(runs.ended(&id).await["status"], "successful");
    assert!(!fetched.exists());
    assert_eq!(send(&runs.silo, &token, vec![2; MIB / 2 + 1]).await, 201);

    let image = runs.image(NOOP).await;
    for path in ["/half", "/chunked"] {
        let (id, output) = told(&runs.submit(asked(&image, path)).await);
        let ended = runs.ended(&id).await;
        assert_eq!(ended["error"]["name"], "input-fetch", "{ended:#}");
        assert!(ended["error"]["description"].as_str().unwrap().contains("runs.uploads_per_user_mib"), "{ended:#}");
        assert!(!output.with_file_name("fetched").exists());
    }
}

on_both!(
    twenty_files_at_once_keep_within_the_quota,
    what_breaks_off_gives_its_room_back,
    what_is_fetched_counts_and_goes_with_the_attempt,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetching_counts_towards_the_time_limit_of_the_run() {
    let options = [("SILO__RUNS__PRIVATE_HOSTS", "127.0.0.1"), ("SILO__RUNS__FETCH_SECONDS", "5")];
    let runs = Runs::with(Engine::Sqlite, &options).await;
    let server = FileServer::start().await;
    server.put("/late", [Answer::file("x").and_late(Duration::from_secs(2))]);
    server.put("/never", [Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc").and_silence()]);
    let image = runs.image(NOOP).await;
    let ended = async |path: &str, seconds: u32| -> Value {
        let form = json!({"image": image, "maxTries": 1, "timeoutSeconds": seconds, "files": {"FILE": {"url": server.url(path)}}});
        runs.ended(&told(&runs.submit(form).await).0).await
    };
    let (late, too_late, never) = tokio::join!(ended("/late", 500), ended("/never", 1), ended("/never", 500));
    assert_eq!(late["status"], "successful", "{late:#}");
    let left = late["container"]["timeoutSeconds"].as_f64().expect("it has a time limit");
    assert!((400.0..=498.0).contains(&left), "{left}");
    let error = |run: &Value| run["error"]["name"].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (error(&too_late), error(&never)),
        ("timeout".to_owned(), "input-fetch".to_owned()),
        "{too_late:#}\n{never:#}"
    );
    assert!(too_late["error"]["description"].as_str().unwrap().contains("1 seconds"), "{too_late:#}");
    assert!(never["error"]["description"].as_str().unwrap().contains("runs.fetch_seconds"), "{never:#}");
}
