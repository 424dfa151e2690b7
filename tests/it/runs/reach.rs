//! What runs can reach: of the engine, of the host, of the network.

use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::Runs;
use crate::support::docker_engine;
use crate::support::process::Engine;

/// A socket to the engine, and the first lines of the requests that came by it.
async fn overheard(folder: &Path) -> (String, Arc<Mutex<Vec<String>>>) {
    let socket = folder.join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let engine = docker_engine::engine().await.host.trim_start_matches("unix://").to_owned();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (mut ask, mut answer) = client.into_split();
            let (mut answers, mut asked) = UnixStream::connect(&engine).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut answer).await });
            let heard = Arc::clone(&heard);
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = ask.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    let first = text.lines().next().unwrap_or_default().to_owned();
                    if first.ends_with(" HTTP/1.1") {
                        heard.lock().unwrap().push(first);
                    }
                    if asked.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (format!("unix://{}", socket.display()), lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_images_name_asks_the_engine_for_an_image_and_for_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (address, heard) = overheard(folder.path()).await;
    let runs = Runs::with(Engine::Sqlite, &[("SILO__RUNS__ENGINE", &address)]).await;
    let known = runs.image("exit 0").await;
    runs.silo.post("/api/v1/runs?dry_run=true", json!({"image": known})).await.expect(200);
    for name in [
        "../containers/json?all=1&x=",
        "../info?x=",
        "../images/get?names=a:1&x=",
        "../../v1.40/secrets?x=",
        "../distribution/127.0.0.1:1/a",
        "x/../../networks#",
        "..%2fcontainers%2fjson",
        "%2e%2e/info",
        "a:1?x=1",
        "a:1#x",
        "a b",
    ] {
        heard.lock().unwrap().clear();
        for path in ["/api/v1/runs?dry_run=true", "/api/v1/runs"] {
            let reply = runs.silo.post(path, json!({"image": name})).await;
            assert_eq!(reply.status, 400, "{name}: {:?}", reply.body);
            assert!(reply.body["detail"].as_str().unwrap().contains("names no image"), "{name}: {}", reply.body);
        }
        let asked = heard.lock().unwrap().clone();
        let is_plain = |line: &String| ["/info ", "/version "].iter().any(|path| line.contains(path));
        assert!(asked.iter().all(is_plain), "{name}: the engine was asked {asked:?}");
    }
}
