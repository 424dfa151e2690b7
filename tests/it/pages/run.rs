//! `/run/{id}` and its logs, of runs that are over.

use http::Method;
use serde_json::json;
use silo::catalog::RunStatus;

use super::markup::{heading, link, named, tags};
use super::stored_runs::{RunStory, service};
use super::{BROWSER, Browser, sent_form};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, TestApp, USER, USER_PASSWORD};
use crate::support::sse::Piece;

/// A run that failed with named outputs, secrets and a last word.
fn failed(number: i64) -> RunStory {
    let error = json!({"name": "no-water", "title": "No <water>", "description": "There is no sea in it.", "category": "data",
        "exitCode": 30, "signal": null, "oom": false, "retryable": false});
    let record = json!({
        "error": error,
        "given": {"files": [{"name": "IMAGE", "files": [{"name": "a.tif", "path": "/in/a.tif", "source": "/tmp/a.tif",
                "size": 2048, "sha256": "ab", "mediaType": null, "modified": null, "product": {"run": "run-000099", "job": "j", "output": "O"}}]}],
            "json": {"LENGTH": 12.5}, "settings": {"TOKEN": "*****"}, "mounts": {"COAST": "/srv/coast"}},
        "container": {"image": "i", "entrypoint": null, "command": ["detect", "a b", "--key=*****"],
            "environment": [{"name": "TOKEN", "value": "*****", "secret": true}], "memory": 1_073_741_824_u64, "cpus": 2.5, "gpus": 0,
            "binds": [{"source": "/runs/a", "target": "/in", "readOnly": true}], "timeoutSeconds": 90, "network": "none", "user": null},
        "dockerRun": "docker run --rm 'a b'",
        "outputs": {"files": [{"name": "SHIPS", "files": [{"path": "sub/a \"b\".json", "size": 10, "sha256": "cd", "mediaType": "application/geo+json"}]},
                {"name": "MASK", "files": []}],
            "json": {"COUNT": 3}, "extra": [{"path": "core.dump", "size": 3}], "inputMetadata": {}, "bytes": 13,
            "problems": [{"code": "missing-required-output", "subject": "MASK", "message": "no file matches *.tif."}], "warnings": ["SHIPS looks odd"]},
    });
    let stderr: String = (1..=30).map(|number| format!("\u{1b}[31mword {number}\u{1b}[0m\n")).collect();
    let combined = "{\"seq\":0,\"time\":\"2026-03-01T06:14:38.000Z\",\"stream\":\"stderr\",\"text\":\"word 1\"}\n";
    let files = vec![
        ("attempt-1/_stderr.txt", stderr.into_bytes()),
        ("attempt-1/_stdout.txt", Vec::new()),
        ("attempt-1/combined.ndjson", combined.as_bytes().to_vec()),
    ];
    RunStory { record, files, tags: &["sea & ice"], ..RunStory::new(number, RunStatus::Failed) }
}

/// The targets of the forms of a page.
fn actions(html: &str) -> Vec<String> {
    let forms = named(html, "form").into_iter().filter(|form| form.value("method") == "post");
    forms.map(|form| form.value("action").to_owned()).collect()
}

#[tokio::test]
async fn a_run_that_failed_says_why_before_all_else() {
    let silo = service().await;
    let id = failed(1).store(&silo).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let page = browser.get(&format!("/run/{id}")).await.expect(200);
    assert_eq!(heading(&page.text), "The job job");
    for words in [
        "<title>failed: The job job – SILO</title>",
        "class=\"state bad\">failed<",
        "attempt 1 of 3",
        "took 1 min 5 s",
        "No &#60;water&#62;",
        "There is no sea in it.",
        "fault of the data",
        "exit code 30",
        "pull 4.0 s",
        "detect &#39;a b&#39; &#39;--key=*****&#39;",
        "1 GiB",
        "1 min 30 s",
        "docker run --rm &#39;a b&#39;",
        "no file matches *.tif.",
        "SHIPS looks odd",
        "sha256:cd",
        "not in the manifest",
    ] {
        let shown = page.text.replace("&lt;", "&#60;").replace("&gt;", "&#62;");
        assert!(shown.contains(words), "{words}: {}", page.text);
    }
    // Twenty lines, with their colours.
    assert!(
        page.text.contains("<span class=\"a31\">word 11</span>") && !page.text.contains(">word 10<"),
        "{}",
        page.text
    );
    let why = page.text.find("There is no sea").expect("why");
    assert!(page.text.find("id=\"log-view\"").is_some_and(|log| why < log));
    assert_eq!(link(&page.text, "sub/a \"b\".json"), format!("/api/v1/runs/{id}/files/sub/a%20%22b%22.json"));
    assert_eq!(link(&page.text, "a.tif"), "/run/run-000099");
    assert_eq!(link(&page.text, "Again with changes"), format!("/job/job/1.0.0/2.0.0/run?from={id}"));
    assert_eq!(link(&page.text, "sea & ice"), "/runs?tag=sea+%26+ice");
    assert_eq!(actions(&page.text), [format!("/run/{id}/again"), format!("/run/{id}/discard")]);
    assert!(!page.text.contains("data-events"), "nothing will change");

    let discarded = browser.send(&format!("/run/{id}/discard"), &[]).await.expect(303);
    assert_eq!(discarded.header("location"), format!("/run/{id}"));
    let page = browser.get(&format!("/run/{id}")).await.expect(200);
    assert!(
        page.text.contains("Its logs and outputs were deleted") && !page.text.contains("log-view"),
        "{}",
        page.text
    );
    assert_eq!(actions(&page.text), [format!("/run/{id}/again")]);
    browser.get(&format!("/run/{id}/log/stdout")).await.expect(404);
    let refused = browser.send(&format!("/run/{id}/stop"), &[]).await.expect(409);
    assert!(refused.text.contains("nothing to cancel"), "{}", refused.text);
}

#[tokio::test]
async fn runs_are_for_their_owners_and_for_admins() {
    let silo = service().await;
    silo.user_token().await;
    let own = RunStory { owner: USER, ..RunStory::new(1, RunStatus::Running) }.store(&silo).await;
    let other = RunStory::new(2, RunStatus::Accepted).store(&silo).await;
    let user = Browser::log_in(&silo, USER, USER_PASSWORD).await;
    let page = user.get(&format!("/run/{own}")).await.expect(200);
    assert!(actions(&page.text).is_empty(), "who may not run has no forms: {}", page.text);
    assert!(page.text.contains(&format!("data-events=\"/api/v1/runs/{own}/events\"")), "{}", page.text);
    assert!(page.text.contains("the job runs") && page.text.contains("value=\"20\""), "{}", page.text);
    for path in ["", "/log/stdout", "/log/stdout/follow?line=1&byte=0"] {
        user.get(&format!("/run/{other}{path}")).await.expect(404);
    }
    user.send(&format!("/run/{own}/stop"), &[]).await.expect(403);
    let admin = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let page = admin.get(&format!("/run/{own}")).await.expect(200);
    assert!(page.text.contains("by uma") && actions(&page.text) == [format!("/run/{own}/stop")], "{}", page.text);
    // It waits, so it ends at once; a form of another session is refused.
    let stop = format!("/run/{other}/stop");
    sent_form(&silo, &stop, &[super::OWN, ("cookie", &admin.cookie)], &[("token", "x")]).await.expect(403);
    admin.send(&stop, &[]).await.expect(303);
    let page = admin.get(&format!("/run/{other}")).await.expect(200);
    assert!(page.text.contains("state hush square\">stopped"), "{}", page.text);
    let stranger = silo.anonymous().send(Method::GET, &format!("/run/{own}"), &[("accept", BROWSER)], Vec::new()).await;
    assert_eq!(stranger.expect(303).header("location"), format!("/session?next=%2Frun%2F{own}"));
}

#[tokio::test]
async fn a_run_is_shown_below_the_prefix_of_a_proxy() {
    let silo =
        TestApp::with().set("SILO__RUNS__WORKERS", "0").set("SILO__HTTP__TRUST_FORWARDED_FOR", "true").start().await;
    let id = failed(1).store(&silo).await;
    let headers = [("x-forwarded-prefix", "/tools/silo")];
    let token = silo.admin_token().await;
    for path in [format!("/run/{id}"), format!("/run/{id}/log/stderr?grep=word"), "/runs?job=job".to_owned()] {
        let authorization = format!("Token {token}");
        let headers = [headers[0], ("accept", BROWSER), ("authorization", &authorization)];
        let page = silo.anonymous().send(Method::GET, &path, &headers, Vec::new()).await.expect(200);
        for tag in tags(&page.text) {
            let names = ["href", "src", "action", "formaction", "data-events", "data-follow"];
            for url in names.iter().filter_map(|name| tag.attributes.get(*name)) {
                assert!(url.starts_with("/tools/silo/") || url.starts_with('#'), "{path}: {tag:?}");
            }
        }
    }
}

/// A run with this standard output.
async fn printed(silo: &TestApp, number: i64, stdout: &[u8]) -> String {
    let files = vec![("attempt-1/_stdout.txt", stdout.to_vec())];
    RunStory { files, ..RunStory::new(number, RunStatus::Successful) }.store(silo).await
}

/// The numbers of the lines that a page shows.
fn numbers(html: &str) -> Vec<u64> {
    let lines = named(html, "li").into_iter().filter(|line| line.value("id").starts_with('L'));
    lines.map(|line| line.value("id")[1..].parse().expect("a number")).collect()
}

#[tokio::test]
async fn a_log_is_read_by_lines() {
    let silo = service().await;
    let text: String =
        (1..=2500).map(|number| format!("line {number}{}\n", if number % 700 == 0 { " SEVEN" } else { "" })).collect();
    let id = printed(&silo, 1, text.as_bytes()).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let path = format!("/run/{id}/log/stdout");
    let tail = browser.get(&path).await.expect(200);
    assert_eq!(numbers(&tail.text), (1501..=2500).collect::<Vec<_>>());
    assert!(tail.text.contains("2500 lines; times in UTC"), "{}", tail.text);
    let earlier = link(&tail.text, "Earlier 1000 lines");
    assert_eq!(earlier, format!("{path}?from=501"));
    let before = browser.get(&earlier).await.expect(200);
    assert_eq!(numbers(&before.text), (501..=1500).collect::<Vec<_>>());
    assert_eq!(link(&before.text, "Earlier 500 lines"), format!("{path}?from=1"));
    assert_eq!(link(&before.text, "Later lines"), format!("{path}?from=1501"));
    assert_eq!(link(&before.text, "End of the log"), path);

    let found = browser.get(&format!("{path}?grep=seven")).await.expect(200);
    assert_eq!(numbers(&found.text), [700, 1400, 2100]);
    assert!(found.text.contains("3 of 2500 lines contain <b>seven</b>"), "{}", found.text);
    assert_eq!(link(&found.text, "1400"), format!("{path}?from=900#L1400"));
    let many = browser.get(&format!("{path}?grep=line")).await.expect(200);
    assert!(many.text.contains("2500 of 2500 lines") && link(&many.text, "More hits").ends_with("from=1001&grep=line"));
    let none = browser.get(&format!("{path}?grep=%3Cb%3E")).await.expect(200);
    assert!(
        none.text.contains("No line contains this text.") && none.text.contains("<b>&lt;b&gt;</b>"),
        "{}",
        none.text
    );

    let lines = silo
        .admin()
        .get(&format!("/api/v1/runs/{id}/logs/stdout/lines?fromLine=2499&lines=1"))
        .await
        .expect(200)
        .json();
    let item = json!({"line": 2499, "time": null, "stream": null, "text": "line 2499", "cut": 0});
    assert_eq!(lines, json!({"items": [item], "total": 2500, "hits": null, "next": 2500}));
    let hits =
        silo.admin().get(&format!("/api/v1/runs/{id}/logs/stdout/lines?grep=SEVEN&lines=2")).await.expect(200).json();
    assert_eq!((&hits["hits"], &hits["next"], &hits["items"][1]["line"]), (&json!(3), &json!(2100), &json!(1400)));
    for (wrong, status) in [("?lines=0", 400), ("?lines=10001", 400), ("?attempt=2", 404), ("?colour=red", 400)] {
        silo.admin().get(&format!("/api/v1/runs/{id}/logs/stdout/lines{wrong}")).await.expect(status);
    }
    silo.admin().get(&format!("/api/v1/runs/{id}/logs/nothing/lines")).await.expect(404);
    silo.admin().get(&format!("/api/v1/runs/{id}/logs/stderr/lines")).await.expect(404);
    for (wrong, status) in [("/log/nothing", 404), ("/log/stdout?attempt=2", 404), ("/log/stdout?colour=red", 400)] {
        browser.get(&format!("/run/{id}{wrong}")).await.expect(status);
    }
    let silent = browser.get(&format!("/run/{id}/log/stderr")).await.expect(200);
    assert!(silent.text.contains("Nothing was printed yet."), "{}", silent.text);
}

#[tokio::test]
async fn new_lines_of_a_log_come_as_events_with_their_places() {
    let silo = service().await;
    let id = printed(&silo, 1, "one\ntwo\n\u{1b}[32mthree\u{1b}[0m\n<four>".as_bytes()).await;
    let path = format!("/run/{id}/log/stdout/follow?line=2&byte=4");
    let mut stream = silo.admin().follow(&path, &[]).await;
    let Piece::Event { id: place, event, data } = stream.piece().await else { panic!("an event") };
    assert_eq!((place.as_str(), event.as_str()), ("4.23", "lines"));
    let expected = "<li id=\"L2\" value=\"2\">two</li><li id=\"L3\" value=\"3\"><span class=\"a32\">three</span></li>";
    assert_eq!(data, json!(expected));
    let Piece::Event { data, id: place, .. } = stream.piece().await else { panic!("an event") };
    assert_eq!((data, place.as_str()), (json!("<li id=\"L4\" value=\"4\">&lt;four&gt;</li>"), "4.23"));
    let Piece::Event { event, .. } = stream.piece().await else { panic!("an event") };
    assert_eq!(event, "end");
    assert_eq!(stream.piece().await, Piece::End);
    // A browser that connects again goes on where it was.
    let mut again = silo.admin().follow(&path, &[("last-event-id", "4.23")]).await;
    let Piece::Event { data, .. } = again.piece().await else { panic!("an event") };
    assert_eq!(data, json!("<li id=\"L4\" value=\"4\">&lt;four&gt;</li>"));
}

#[tokio::test]
async fn hostile_logs_are_text() {
    let silo = service().await;
    let word = "x".repeat(100_000);
    let texts = [
        "<script>alert(1)</script>",
        "</li></ol></main><img src=x onerror=alert(1)>",
        "\u{1b}]8;;javascript:alert(1)\u{1b}\\link\u{1b}]8;;\u{1b}\\",
        "\u{1b}[31m<b>\u{1b}[0m\u{1b}[999;1m\u{1b}]0;title\u{7}",
        "\" onmouseover=\"alert(1)",
        "a\u{0}b\u{202e}c\u{2066}d\u{9b}31m",
        "{{ 7*7 }} &lt;b&gt; <!-- ]]>",
        "never ends \u{1b}]8;;<i>",
        &word,
    ];
    let id = printed(&silo, 1, texts.join("\n").as_bytes()).await;
    let harmless = printed(&silo, 2, texts.map(|_| "harmless").join("\n").as_bytes()).await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let page = browser.get(&format!("/run/{id}/log/stdout")).await.expect(200).text;
    let own = |html: &str| -> Vec<String> {
        let is_ours = |tag: &super::markup::StartTag| {
            !tag.has_class("hidden-char")
                && !["details", "summary"].contains(&tag.name.as_str())
                && !tag.has_class("a31")
                && !tag.has_class("a1")
        };
        tags(html).into_iter().filter(is_ours).map(|tag| tag.name).collect()
    };
    let expected = own(&browser.get(&format!("/run/{harmless}/log/stdout")).await.expect(200).text);
    assert_eq!(own(&page), expected, "no text changes the structure");
    for tag in tags(&page) {
        assert!(!tag.attributes.keys().any(|name| name.starts_with("on") || name == "style"), "{tag:?}");
        assert!(!tag.value("href").contains("script:"), "{tag:?}");
    }
    let boxed = |code: &str| format!("<span class=\"hidden-char\">U+{code}</span>");
    for shown in [
        "&lt;script&gt;alert(1)&lt;/script&gt;".to_owned(),
        ">link</li>".to_owned(),
        format!("a{}b{}c{}d{}31m", boxed("0000"), boxed("202E"), boxed("2066"), boxed("009B")),
        format!("never ends {}]8;;&lt;i&gt;", boxed("001B")),
        "95904 more characters".to_owned(),
    ] {
        assert!(page.contains(&shown), "{shown}");
    }
    assert!(page.contains(&"x".repeat(4096)) && page.contains(&"x".repeat(95_904)), "nothing of the word is lost");
}

#[tokio::test]
async fn hostile_texts_of_a_run_change_no_structure() {
    let silo = service().await;
    let story = |number: i64, text: &str| {
        let named = |value: &str| json!([{"name": value, "value": value, "secret": false}]);
        let file = json!({"path": text, "size": 1, "sha256": "ab", "mediaType": text});
        let error = json!({"name": text, "title": text, "description": text, "category": "job", "exitCode": 1, "signal": null,
            "oom": false, "retryable": false});
        let record = json!({
            "error": error, "message": text, "warnings": [text], "dockerRun": text,
            "job": {"name": text, "jobVersion": text, "packageVersion": text}, "image": {"reference": text, "digest": text, "platform": text},
            "manifest": {"job": {"title": text}},
            "given": {"files": [{"name": text, "files": [{"name": text, "path": text, "source": text, "size": 1, "sha256": text, "mediaType": null, "modified": null}]}],
                "json": {text: text}, "settings": {text: text}, "mounts": {text: text}},
            "container": {"command": [text], "environment": named(text), "binds": [{"source": text, "target": text, "readOnly": false}], "user": text, "network": text},
            "outputs": {"files": [{"name": text, "files": [file]}], "json": {text: text}, "extra": [file], "inputMetadata": {}, "bytes": 1,
                "problems": [{"code": "unreadable-output", "subject": text, "message": text}], "warnings": [text]},
        });
        RunStory { record, ..RunStory::new(number, RunStatus::Failed) }
    };
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let structure = async |id: String| -> Vec<(String, Vec<String>)> {
        let html = browser.get(&format!("/run/{id}")).await.expect(200).text;
        let kept = tags(&html).into_iter().filter(|tag| !tag.has_class("hidden-char"));
        kept.map(|tag| (tag.name, tag.attributes.into_keys().collect())).collect()
    };
    let expected = structure(story(1, "harmless").store(&silo).await).await;
    for (number, text) in (2..).zip(super::hostile::TEXTS) {
        assert_eq!(structure(story(number, text).store(&silo).await).await, expected, "{text}");
    }
}
