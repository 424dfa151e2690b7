//! Files that runs left, shown as they are: they may be anything, and do nothing.

use http::Method;
use serde_json::{Value, json};
use silo::catalog::RunStatus;

use super::Browser;
use super::markup::{StartTag, named, tags};
use super::stored_runs::{RunStory, service};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, USER, USER_PASSWORD};

/// One grey pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cch\0\0\0\x82\0\x81w\xcdr\xb6\0\0\0\0IEND\xaeB`\x82";
const SVG: &[u8] = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"><script>alert(1)</script></svg>";
const HTML: &[u8] = b"<!doctype html><script>alert(1)</script>";

/// Stores a run of the admin that left these files; returns its id.
async fn left(silo: &TestApp, number: i64, files: &[(&str, &[u8])]) -> String {
    let captured: Vec<Value> = files.iter().map(|(path, bytes)| json!({"path": path, "size": bytes.len()})).collect();
    let stored = |(path, bytes): &(&str, &[u8])| (&*format!("output/{path}").leak(), bytes.to_vec());
    let record = json!({
        "outputs": {"files": [{"name": "PICTURES", "files": captured}]},
        "container": {"memory": 67_108_864, "cpus": 1.0},
    });
    let story = RunStory::new(number, RunStatus::Successful);
    RunStory { record, files: files.iter().map(stored).collect(), ..story }.store(silo).await
}

async fn admin_of(silo: &TestApp) -> Browser<'_> {
    Browser::log_in(silo, ADMIN, ADMIN_PASSWORD).await
}

#[tokio::test]
async fn files_are_shown_as_what_their_content_is() {
    let silo = service().await;
    let lying = [b"GIF89a\x01\0\x01\0".as_slice(), b"*/=1;alert(1)//<script>alert(1)</script>"].concat();
    let files: [(&str, &[u8], &str); 12] = [
        ("a.png", PNG, "image/png"),
        ("sub/deep/a \"b\"~2F..png", PNG, "image/png"),
        ("picture.html", PNG, "image/png"),
        ("lying.png", HTML, "text/plain; charset=utf-8"),
        ("page.html", HTML, "text/plain; charset=utf-8"),
        ("drawing.svg", SVG, "text/plain; charset=utf-8"),
        ("both.js", &lying, "image/gif"),
        ("text.txt", "é\r\n".as_bytes(), "text/plain; charset=utf-8"),
        ("empty.txt", b"", ""),
        ("document.pdf", b"%PDF-1.4\n\0\xff", ""),
        ("huge.gif", b"GIF89a\xff\xff\xff\xff", ""),
        ("binary.json", b"{\"a\": \"\xff\"}", ""),
    ];
    let stored: Vec<(&str, &[u8])> = files.iter().map(|(path, bytes, _)| (*path, *bytes)).collect();
    left(&silo, 1, &stored).await;
    let browser = admin_of(&silo).await;
    for (path, _, media_type) in files {
        let part = path.replace('~', "~7E").replace('/', "~2F").replace("..", "~2E~2E");
        let encoded = percent_encoding::utf8_percent_encode(&part, percent_encoding::NON_ALPHANUMERIC).to_string();
        let reply = browser.get(&format!("/run/run-000001/view/{encoded}")).await;
        if media_type.is_empty() {
            assert!(reply.expect(404).text.contains("cannot be shown"), "{path}");
            continue;
        }
        let reply = reply.expect(200);
        assert_eq!((reply.header("content-type"), reply.header("cache-control")), (media_type, "no-store"), "{path}");
        assert_eq!(reply.header("content-security-policy"), "default-src 'none'; sandbox", "{path}");
        assert_eq!(reply.header("content-disposition"), "", "{path}");
    }
}

#[tokio::test]
async fn files_of_runs_are_for_those_who_see_the_run() {
    let silo = service().await;
    left(&silo, 1, &[("a.png", PNG)]).await;
    let path = "/run/run-000001/view/a.png";
    silo.anonymous().send(Method::GET, path, &[], Vec::new()).await.expect(303);
    silo.user_token().await;
    let other = Browser::log_in(&silo, USER, USER_PASSWORD).await;
    other.get(path).await.expect(404);
    let browser = admin_of(&silo).await;
    browser.get(path).await.expect(200);
    for wrong in ["/run/run-000002/view/a.png", "/run/run-000001/view/b.png", "/run/run-000001/view/~2E~2E~2Fattempt-1"]
    {
        browser.get(wrong).await.expect(404);
    }
    browser.get("/run/run-000001/view/a.png?picture=0").await.expect(404);
    browser.get("/run/run-000001/view/a.png?picture=x").await.expect(400);
}

#[tokio::test]
async fn pictures_of_notebooks_are_pictures() {
    use base64::Engine as _;
    let silo = service().await;
    let encode = |bytes: &[u8]| base64::prelude::BASE64_STANDARD.encode(bytes);
    let outputs = |bytes: &[u8]| json!([{"output_type": "display_data", "data": {"image/png": encode(bytes)}}]);
    let cell = |bytes: &[u8]| json!({"cell_type": "code", "source": "", "outputs": outputs(bytes)});
    let notebook = json!({"cells": [cell(HTML), cell(PNG)]}).to_string();
    left(&silo, 1, &[("a.ipynb", notebook.as_bytes())]).await;
    let browser = admin_of(&silo).await;
    let reply = browser.get("/run/run-000001/view/a.ipynb?picture=0").await.expect(200);
    assert_eq!(reply.header("content-type"), "image/png");
    browser.get("/run/run-000001/view/a.ipynb?picture=1").await.expect(404);
}

#[tokio::test]
async fn downloads_may_do_nothing_either() {
    let silo = service().await;
    left(&silo, 1, &[("page.html", HTML)]).await;
    for path in ["files/page.html", "outputs/PICTURES", "archive", "archive?format=zip"] {
        let reply = silo.admin().get(&format!("/api/v1/runs/run-000001/{path}")).await.expect(200);
        assert_eq!(reply.header("content-security-policy"), "default-src 'none'; sandbox", "{path}");
        assert!(reply.header("content-disposition").starts_with("attachment; "), "{path}");
    }
}

#[tokio::test]
async fn the_page_of_a_run_shows_what_it_left() {
    let silo = service().await;
    let notebook = json!({"cells": [{"cell_type": "markdown", "source": "# Title"}]}).to_string();
    let files: [(&str, &[u8]); 6] = [
        ("sub/a.png", PNG),
        ("a.csv", b"name,area\nx,7\n"),
        ("a.geojson", br#"{"type": "Point", "coordinates": [5, 50]}"#),
        ("a.json", br#"{"answer": {"inner": 42}}"#),
        ("a.ipynb", notebook.as_bytes()),
        ("a.bin", b"\0"),
    ];
    let id = left(&silo, 1, &files).await;
    let samples: Vec<String> = [(0, 0.0, 8), (2, 2.0, 32), (4, 3.0, 16)]
        .map(|(second, cpu, memory)| {
            json!({"time": format!("2026-11-30T00:00:0{second}Z"), "readings": 1, "cpuSeconds": cpu, "memory": memory << 20,
                "received": 0, "sent": 0, "read": 0, "written": 0})
            .to_string()
        })
        .to_vec();
    let attempt = silo.folder().join("runs").join(&id).join("attempt-1");
    std::fs::create_dir_all(&attempt).expect("a folder");
    std::fs::write(attempt.join("samples.ndjson"), samples.join("\n")).expect("a file");
    let html = admin_of(&silo).await.get(&format!("/run/{id}")).await.expect(200).text;
    assert_eq!(named_previews(&html), 5, "{html}");
    let pictures: Vec<StartTag> = named(&html, "img");
    assert_eq!(pictures[0].value("src"), format!("/run/{id}/view/sub~2Fa.png"));
    let labels: Vec<String> = named(&html, "svg")
        .into_iter()
        .map(|svg| svg.value("aria-label").to_owned())
        .filter(|it| !it.is_empty())
        .collect();
    let expected = [
        "CPU over 4 s: at most 1 CPU of 1 CPU, 0.8 CPU on average",
        "Memory over 4 s: at most 32 MiB of 64 MiB, 18.7 MiB on average",
        "1 shape, 50 degrees north to 50 degrees north, 5 degrees east to 5 degrees east",
    ];
    assert_eq!(labels, expected);
    for part in ["<td>7</td>", "<b>inner</b> <code>42</code>", "<pre># Title</pre>"] {
        assert!(html.contains(part), "{part}: {html}");
    }
    let samples = silo.admin().get(&format!("/api/v1/runs/{id}/samples")).await.expect(200).json();
    assert_eq!((&samples["peakMemory"], samples["samples"].as_array().map(Vec::len)), (&json!(32 << 20), Some(3)));
}

#[tokio::test]
async fn each_attempt_has_its_plots_and_they_can_be_asked_for_alone() {
    let silo = service().await;
    let attempt = |number: u32| {
        json!({"number": number, "started": "2026-11-30T00:00:00Z", "finished": null, "engine": "Docker 28", "stdoutBytes": 0,
            "stderrBytes": 0, "oom": false, "timedOut": false, "truncated": false, "phases": []})
    };
    let samples = |memory: u64| -> Vec<u8> {
        let line = |second: u32| {
            json!({"time": format!("2026-11-30T00:00:0{second}Z"), "readings": 1, "cpuSeconds": second, "memory": memory << 20,
                "received": 0, "sent": 0, "read": 0, "written": 0})
            .to_string()
        };
        [0, 2].map(line).join("\n").into_bytes()
    };
    let files = vec![("attempt-1/samples.ndjson", samples(8)), ("attempt-2/samples.ndjson", samples(16))];
    let record = json!({"attempts": [attempt(1), attempt(2), attempt(3)]});
    let id = RunStory { files, record, ..RunStory::new(1, RunStatus::Running) }.store(&silo).await;
    let browser = admin_of(&silo).await;
    let html = browser.get(&format!("/run/{id}")).await.expect(200).text;
    assert!(html.contains(&format!("data-plots=\"/run/{id}/plots\"")), "{html}");
    let alone = browser.get(&format!("/run/{id}/plots")).await.expect(200).text;
    assert!(alone.trim_start().starts_with("<section><h2 id=\"used\">Used so far</h2>"), "{alone}");
    for html in [html, alone] {
        let labels = named(&html, "svg").into_iter().map(|svg| svg.value("aria-label").to_owned());
        let memory: Vec<String> = labels.filter(|label| label.starts_with("Memory")).collect();
        let expected = ["16", "8"].map(|size| format!("Memory over 2 s: at most {size} MiB, {size} MiB on average"));
        assert_eq!(memory, expected, "the last one first; nothing was measured of the third");
        let folds: Vec<String> =
            named(&html, "summary").into_iter().map(|fold| fold.text).filter(|it| it.starts_with("Attempt")).collect();
        assert_eq!(folds, ["Attempt 2", "Attempt 1"]);
    }
    let over = left(&silo, 2, &[]).await;
    assert!(!browser.get(&format!("/run/{over}")).await.expect(200).text.contains("data-plots"));
    browser.get("/run/run-000099/plots").await.expect(404);
}

#[tokio::test]
async fn hostile_files_change_no_structure() {
    let silo = service().await;
    let browser = admin_of(&silo).await;
    let structure = async |number: i64, text: &str| -> Vec<(String, Vec<String>)> {
        let quoted = json!(text);
        let table = format!("a,b\n\"{0}\",2\n\"{0}\",3\n", text.replace('"', "\"\""));
        let document = json!({text: {text: text}, "list": [text]}).to_string();
        let notebook = json!({"cells": [{"cell_type": "code", "source": quoted, "outputs": [
            {"text": text}, {"data": {"text/html": text, "text/plain": text, "image/png": text}}, {"ename": text, "evalue": text}]}]});
        let map = json!({"type": "Feature", "properties": {text: text}, "geometry": {"type": "Point", "coordinates": [1, 2]}});
        let files = [
            ("txt", text.to_owned()),
            ("csv", table),
            ("json", document),
            ("ipynb", notebook.to_string()),
            ("geojson", map.to_string()),
        ];
        let named: Vec<(String, String)> =
            files.into_iter().map(|(end, content)| (format!("{text}.{end}"), content)).collect();
        let files: Vec<(&str, &[u8])> = named.iter().map(|(name, content)| (&**name, content.as_bytes())).collect();
        let id = left(&silo, number, &files).await;
        let html = browser.get(&format!("/run/{id}")).await.expect(200).text;
        let count = named_previews(&html);
        assert_eq!(count, 5, "{text}: {html}");
        for tag in tags(&html) {
            assert!(!tag.attributes.keys().any(|name| name.starts_with("on") || name == "style"), "{text}: {tag:?}");
            let leads = ["href", "src"].map(|name| tag.value(name).to_ascii_lowercase());
            assert!(leads.iter().all(|url| !url.contains("script:") && !url.contains("data:")), "{text}: {tag:?}");
        }
        let kept = tags(&html).into_iter().filter(|tag| !tag.has_class("hidden-char"));
        kept.map(|tag| (tag.name, tag.attributes.into_keys().collect())).collect()
    };
    let expected = structure(1, "harmless").await;
    for (number, text) in (2..).zip(super::hostile::TEXTS) {
        assert_eq!(structure(number, text).await, expected, "{text}");
    }
}

fn named_previews(html: &str) -> usize {
    named(html, "h3").iter().filter(|heading| heading.value("id").starts_with("preview-")).count()
}
