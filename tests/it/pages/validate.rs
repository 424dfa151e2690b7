//! `/validate`: a form with its report, as `/api/v1/validate` gives it.

use http::Method;
use serde_json::Value;

use super::markup::{StartTag, heading, link, links, named, tags};
use super::{BROWSER, Browser, OWN, page};
use crate::support::app::{ADMIN, ADMIN_PASSWORD, Reply, TestApp, manifest, text};

/// Sends the form; each part is a name, for files with the name of the file, and a text.
async fn sent(silo: &TestApp, parts: &[(&str, &str)], headers: &[(&str, &str)]) -> Reply {
    let part = |(name, text): &(&str, &str)| {
        let name = match name.split_once('/') {
            Some((name, file)) => format!("name=\"{name}\"; filename=\"{file}\""),
            None => format!("name=\"{name}\""),
        };
        format!("--edge\r\nContent-Disposition: form-data; {name}\r\n\r\n{text}\r\n")
    };
    let parts: String = parts.iter().map(part).collect();
    let usual = [("accept", BROWSER), ("content-type", "multipart/form-data; boundary=edge")];
    let headers: Vec<(&str, &str)> = usual.into_iter().chain(headers.iter().copied()).collect();
    silo.anonymous().send(Method::POST, "/validate", &headers, format!("{parts}--edge--\r\n").into()).await
}

/// The result's heading; empty without a result.
fn result(html: &str) -> String {
    let all = tags(html);
    let found = all.windows(2).find(|pair| pair[0].name == "h2" && pair[1].has_class("state"));
    found.map(|pair| pair[1].text.clone()).unwrap_or_default()
}

/// The text in the field.
fn typed(html: &str) -> String {
    let field = named(html, "textarea").pop().expect("a field");
    field.text.strip_prefix('\n').expect("browsers drop the first line end").to_owned()
}

/// Codes of the problems, and what their links to places say.
fn problems(html: &str) -> (Vec<String>, Vec<String>) {
    let links = named(html, "a");
    let codes = links.iter().filter(|link| link.value("href").contains("/help/problems#"));
    let places = links.iter().filter(|link| link.attributes.contains_key("data-line"));
    let texts = |links: Vec<&StartTag>| links.into_iter().map(|link| link.text.clone()).collect();
    (texts(codes.collect()), texts(places.collect()))
}

#[tokio::test]
async fn the_report_is_the_one_that_programs_get() {
    let silo = TestApp::start().await;
    let mut broken = manifest("my_job", "1.0", "1.0.0");
    broken["job"]["tag"] = Value::from("x");
    let written = format!("{broken:#}");
    let html = sent(&silo, &[("manifest", &written), ("file/", ""), ("profile", "scale")], &[]).await.expect(200).text;
    let report =
        silo.anonymous().post_text("/api/v1/validate?profile=scale", written.as_str()).await.expect(200).json();
    let reported = report["problems"].as_array().expect("problems");
    assert!(reported.len() >= 3, "{report}");
    let (codes, places) = problems(&html);
    let expected: Vec<String> = reported.iter().map(|problem| text(&problem["code"])).collect();
    assert_eq!(codes, expected);
    let expected: Vec<String> =
        reported.iter().map(|problem| format!("line {}, column {}", problem["line"], problem["column"])).collect();
    assert_eq!(places, expected);
    // Each place leads to its line, and has that line with a caret below it.
    for place in named(&html, "a").iter().filter(|link| link.attributes.contains_key("data-line")) {
        let line =
            named(&html, "code").into_iter().find(|line| format!("#{}", line.value("id")) == place.value("href"));
        let line = line.expect("the line");
        let number: usize = place.value("data-line").parse().expect("a number");
        assert_eq!(line.text, written.lines().nth(number - 1).expect("the line"));
        assert!(line.has_class("error") || line.has_class("warning") || line.has_class("advice"), "{line:?}");
    }
    assert_eq!(html.matches("class=\"caret\"").count(), reported.len(), "{html}");
    assert_eq!(typed(&html), written);
    assert_eq!(heading(&html), "Check a manifest");
    assert!(result(&html).contains(" error"), "{html}");
    assert!(html.contains(&format!("<title>{}: check a manifest – SILO</title>", result(&html))), "{html}");
    let explained = page(&silo, "/help/problems").await.expect(200).text;
    for code in codes {
        assert!(explained.contains(&format!("id=\"{code}\"")), "{code}");
    }
}

#[tokio::test]
async fn rules_are_chosen_and_stay_chosen() {
    let silo = TestApp::start().await;
    let mut scant = manifest("my-job", "1.0.0", "1.0.0");
    scant["job"].as_object_mut().expect("an object").shift_remove("resources");
    let written = scant.to_string();
    let loose = sent(&silo, &[("manifest", &written), ("profile", "spec")], &[]).await.expect(200).text;
    assert!(result(&loose).starts_with("Valid, "), "{}", result(&loose));
    assert!(loose.contains("<code>my-job-1.0.0-seed:1.0.0</code>"), "{loose}");
    let parts = [("manifest", written.as_str()), ("profile", "seed-cli"), ("strict", "true")];
    let strict = sent(&silo, &parts, &[]).await.expect(200).text;
    let chosen = |html: &str| {
        let option = named(html, "option").into_iter().find(|option| option.attributes.contains_key("selected"));
        let strict = named(html, "input").into_iter().find(|input| input.value("name") == "strict").expect("a box");
        (option.expect("a profile").value("value").to_owned(), strict.attributes.contains_key("checked"))
    };
    assert_eq!(chosen(&loose), ("spec".to_owned(), false));
    assert_eq!(chosen(&strict), ("seed-cli".to_owned(), true));
    let linked = page(&silo, "/validate?profile=scale&strict=true").await.expect(200).text;
    assert_eq!((chosen(&linked), result(&linked)), (("scale".to_owned(), true), String::new()));

    let unknown = sent(&silo, &[("manifest", "{}"), ("profile", "other")], &[]).await.expect(422);
    assert!(unknown.text.contains("profile is `other`"), "{}", unknown.text);
    let loose = silo.anonymous().post_text("/api/v1/validate", written.as_str()).await.expect(200).json();
    let told = silo.anonymous().post_text("/api/v1/validate?strict=true", written.as_str()).await.expect(200).json();
    let strict = sent(&silo, &[("manifest", &written), ("strict", "true")], &[]).await.expect(200).text;
    assert_eq!((loose["valid"].as_bool(), told["valid"].as_bool()), (Some(true), Some(false)));
    assert!(!result(&strict).starts_with("Valid"), "{}", result(&strict));
}

#[tokio::test]
async fn a_file_counts_more_than_the_text_beside_it() {
    let silo = TestApp::start().await;
    let good = format!("{:#}", manifest("my-job", "1.0.0", "1.0.0"));
    let html = sent(&silo, &[("manifest", "{"), ("file/seed.manifest.json", &good)], &[]).await.expect(200).text;
    assert!(result(&html).starts_with("Valid"), "{}", result(&html));
    assert_eq!(typed(&html), good);
    let html = sent(&silo, &[("manifest", "{\r\n\r\n"), ("file/", "")], &[]).await.expect(200).text;
    assert_eq!(typed(&html), "{\n\n", "as it was typed");
    assert!(!result(&html).starts_with("Valid"), "{html}");
}

#[tokio::test]
async fn examples_show_what_the_page_does() {
    let silo = TestApp::start().await;
    let empty = page(&silo, "/validate").await.expect(200).text;
    assert_eq!((result(&empty), typed(&empty)), (String::new(), String::new()));
    let valid = page(&silo, &link(&empty, "an example")).await.expect(200).text;
    assert!(result(&valid).starts_with("Valid"), "{}", result(&valid));
    let faulty = page(&silo, &link(&empty, "one with mistakes")).await.expect(200).text;
    let (codes, _) = problems(&faulty);
    for code in ["unknown-field", "bad-version", "wrong-type"] {
        assert!(codes.iter().any(|found| found == code), "{code}: {codes:?}");
    }
    assert_eq!(links(&faulty, "Validate"), ["/validate"], "the navigation has it");
    for parts in [&[("manifest", " \r\n ")][..], &[]] {
        assert_eq!(result(&sent(&silo, parts, &[]).await.expect(200).text), "", "nothing to check");
    }
}

#[tokio::test]
async fn the_report_alone_replaces_the_one_that_is_shown() {
    let silo = TestApp::start().await;
    let part = sent(&silo, &[("manifest", "{")], &[("x-fragment", "report")]).await.expect(200);
    assert!(part.text.starts_with("<h2>") && !part.text.contains("<form"), "{}", part.text);
    let whole = sent(&silo, &[("manifest", "{")], &[]).await.expect(200);
    assert!(whole.text.contains(part.text.trim()), "{}", part.text);
    assert_eq!(whole.header("cache-control"), "no-store");
    let nothing = sent(&silo, &[("manifest", "")], &[("x-fragment", "report")]).await.expect(200);
    assert_eq!(nothing.text, "");
}

#[tokio::test]
async fn a_request_that_is_no_form_is_refused_by_a_page() {
    let silo = TestApp::start().await;
    for content_type in ["application/json", "multipart/form-data", "text/plain"] {
        let headers = [("accept", BROWSER), ("content-type", content_type)];
        let reply = silo.anonymous().send(Method::POST, "/validate", &headers, b"{}".to_vec()).await.expect(400);
        assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    }
    page(&silo, "/validate?example=other").await.expect(400);
}

#[tokio::test]
async fn no_session_and_no_token_are_needed_but_another_site_uses_no_session() {
    let silo = TestApp::start().await;
    let browser = Browser::log_in(&silo, ADMIN, ADMIN_PASSWORD).await;
    let cookie = ("cookie", browser.cookie.as_str());
    let foreign = ("origin", "https://evil.example");
    let parts = [("manifest", "{")];
    let account = "Account of ";
    for headers in [&[][..], &[OWN], &[foreign]] {
        let stranger = sent(&silo, &parts, headers).await.expect(200);
        assert!(result(&stranger.text).contains("error") && !stranger.text.contains(account), "{headers:?}");
    }
    let user = sent(&silo, &parts, &[OWN, cookie]).await.expect(200);
    assert!(result(&user.text).contains("error") && user.text.contains(account), "{}", user.text);
    let forged = sent(&silo, &parts, &[foreign, cookie]).await.expect(403);
    assert!(forged.text.contains("page of another site"), "{}", forged.text);
}

#[tokio::test]
async fn a_manifest_may_be_longer_than_other_forms() {
    let silo = TestApp::start().await;
    let long = |length: usize| format!("{{\n  \"x\": \"{}\"\n}}", "a".repeat(length));
    let html = sent(&silo, &[("manifest", &long(100_000))], &[]).await.expect(200).text;
    assert!(result(&html).contains("error"), "{}", result(&html));
    let refused = sent(&silo, &[("manifest", &long(2 << 20))], &[]).await.expect(413);
    assert_eq!(heading(&refused.text), "This is too long");
}

#[tokio::test]
async fn what_is_pasted_does_nothing() {
    let silo = TestApp::start().await;
    for text in [
        "<script>alert(1)</script>",
        "</textarea><img src=x onerror=alert(1)>",
        "{\"</pre><svg onload=alert(1)>\": \"</code>\"}",
        "\n{\"a\u{202E}b\": \"{{ 7*7 }}\"}",
    ] {
        let html = sent(&silo, &[("manifest", text)], &[]).await.expect(200).text;
        assert_eq!(typed(&html), text);
        for tag in tags(&html) {
            let is_known = tag.name != "img" && (tag.name != "script" || tag.value("src").starts_with("/assets/"));
            let acts = tag.attributes.keys().any(|name| name.starts_with("on") || name == "style");
            assert!(is_known && !acts, "{text}: {tag:?}");
        }
    }
}
