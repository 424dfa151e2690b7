//! Honest clients, which should notice nothing: each sends sequential requests on its own connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::target::{Target, client};
use super::{REPOSITORIES, Tally, push, told};
use silo_testkit::fake_registry::FakeRegistry;

/// Pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts all clients.
pub(crate) fn start(
    target: &Arc<Target>,
    registry: &FakeRegistry,
    tally: &Tally,
    stop: &CancellationToken,
    connections: usize,
) -> Vec<JoinHandle<()>> {
    let mut started = Vec::new();
    for number in 0..connections {
        let (target, tally, stop) = (target.clone(), tally.clone(), stop.clone());
        started.push(tokio::spawn(async move {
            let http = client();
            let mut turn = number;
            while !stop.is_cancelled() {
                ask(&http, &target, &tally, turn).await;
                turn += 1;
                tokio::time::sleep(PAUSE).await;
            }
        }));
    }
    started.push(tokio::spawn(events(target.clone(), tally.clone(), stop.clone())));
    started.push(tokio::spawn(pushes(target.clone(), registry.clone(), tally.clone(), stop.clone())));
    if target.image.is_some() {
        started.push(tokio::spawn(runs(target.clone(), tally.clone(), stop.clone())));
    }
    started
}

/// One request of the mix.
async fn ask(http: &Client, target: &Target, tally: &Tally, turn: usize) {
    let url = |path: &str| format!("{}{path}", target.url);
    let manifest = json!({"manifest": {"seedVersion": "1.0.0", "job": {"name": "a"}}});
    let (what, request) = match turn % 20 {
        0 => ("health", http.get(url("/healthz"))),
        1 => ("list of registries", http.get(url("/api/v1/registries")).bearer_auth(&target.token)),
        2 | 3 => ("list of images", http.get(url("/api/v1/images?limit=20"))),
        4 => ("list of jobs, legacy", http.get(url("/jobs"))),
        5 | 6 => ("validation", http.post(url("/api/v1/validate")).json(&manifest)),
        7 => ("who I am", http.get(url("/api/v1/me")).bearer_auth(&target.token)),
        8 if turn % 100 == 8 => ("login", http.post(url("/api/v1/login")).json(&target.credentials())),
        9 => ("list of scans", http.get(url("/api/v1/scans?limit=20")).bearer_auth(&target.token)),
        _ => ("search", http.get(url(&format!("/api/v1/search?q=cloud+mask+{}", turn % REPOSITORIES)))),
    };
    timed(tally, what, request).await;
}

/// Sends a request, and records its result; returns the reply on success.
async fn timed(tally: &Tally, what: &'static str, request: RequestBuilder) -> Option<serde_json::Value> {
    let began = Instant::now();
    let outcome = async {
        let answer = request.send().await.map_err(|why| format!("{why:?}"))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|why| format!("{why:?}"))?;
        if status.is_success() {
            Ok(text)
        } else {
            Err(format!("{status} {}", text.chars().take(200).collect::<String>()))
        }
    };
    match outcome.await {
        Ok(text) => {
            told(tally, what, began.elapsed(), Ok(()));
            Some(serde_json::from_str(&text).unwrap_or_default())
        }
        Err(why) => {
            told(tally, what, began.elapsed(), Err(why));
            None
        }
    }
}

/// Follows the catalogue's events until stopped.
async fn events(target: Arc<Target>, tally: Tally, stop: CancellationToken) {
    // Without a timeout: the stream has no end.
    let http = Client::builder().no_proxy().build().expect("a plain client can be built");
    while !stop.is_cancelled() {
        let began = Instant::now();
        let asked = http.get(format!("{}/api/v1/events", target.url)).bearer_auth(&target.token);
        let mut answer = match asked.header("accept", "text/event-stream").send().await {
            Ok(answer) if answer.status().is_success() => answer,
            Ok(answer) => {
                told(&tally, "stream of events", began.elapsed(), Err(answer.status().to_string()));
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
            Err(why) => {
                told(&tally, "stream of events", began.elapsed(), Err(format!("{why:?}")));
                continue;
            }
        };
        told(&tally, "stream of events", began.elapsed(), Ok(()));
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                piece = answer.chunk() => match piece {
                    Ok(Some(_)) => {}
                    ended => {
                        told(&tally, "stream of events", began.elapsed(), Err(format!("it ended: {ended:?}")));
                        break;
                    }
                },
            }
        }
    }
}

/// Pushes images, with notifications through the registry's hook. Sometimes requests a scan of everything.
async fn pushes(target: Arc<Target>, registry: FakeRegistry, tally: Tally, stop: CancellationToken) {
    let http = client();
    let mut number = 0;
    while !stop.is_cancelled() {
        let repository = push(&registry, number % REPOSITORIES, 10 + number / REPOSITORIES);
        let note = json!({"events": [{"action": "push", "target": {
            "repository": repository, "tag": "1.0.0", "mediaType": "application/vnd.oci.image.manifest.v1+json"
        }}]});
        timed(&tally, "hook", http.post(format!("{}{}", target.url, target.hook)).json(&note)).await;
        if number.is_multiple_of(10) {
            let scans = format!("{}/api/v1/registries/{}/scans", target.url, target.registry);
            timed(&tally, "request of a scan", http.post(scans).bearer_auth(&target.token).json(&json!({}))).await;
        }
        number += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Runs jobs in the service, and waits for the end of each.
async fn runs(target: Arc<Target>, tally: Tally, stop: CancellationToken) {
    let http = client();
    while !stop.is_cancelled() {
        let began = Instant::now();
        let asked = http.post(format!("{}/api/v1/runs", target.url)).bearer_auth(&target.token);
        let Some(run) = timed(&tally, "request of a run", asked.json(&json!({"image": target.image}))).await else {
            tokio::time::sleep(Duration::from_secs(1)).await;
            continue;
        };
        let path = format!("{}/api/v1/runs/{}", target.url, run["id"].as_str().unwrap_or_default());
        while !stop.is_cancelled() {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let Some(run) = timed(&tally, "state of a run", http.get(&path).bearer_auth(&target.token)).await else {
                break;
            };
            match run["status"].as_str().unwrap_or_default() {
                "accepted" | "running" => {}
                "successful" => {
                    told(&tally, "whole run", began.elapsed(), Ok(()));
                    break;
                }
                ended => {
                    told(&tally, "whole run", began.elapsed(), Err(format!("{ended}: {}", run["error"])));
                    break;
                }
            }
        }
    }
}
