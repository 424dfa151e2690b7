//! Malicious labels.

use serde_json::{Value, json};

use super::{counts, fields, labelled, manifest};
use crate::support::fake_registry::{FakeRegistry, Image};
use crate::support::process::{Engine, Setup, on_both};

async fn labels_that_are_no_manifest_are_refused(engine: Engine) {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"job":{{"name":"a","jobVersion":"1","packageVersion":"1","x":{nested}}}}}"#);
    let wide = format!(r#"{{"job":{{"name":"{}"}}}}"#, "x".repeat(2 << 20));
    let labels = [
        ("empty", "", "is empty"),
        ("quotes", "\"\"", "is empty"),
        ("blank", " \n ", "is empty"),
        ("null", "null", "not a JSON object"),
        ("list", "[1]", "not a JSON object"),
        ("number", "1e999", ""),
        ("half", "{\"job\":{", "not JSON"),
        ("nul", "\u{0}{\u{0}}", "not JSON"),
        ("escapes", "\u{1b}[2J\u{202e}{", "not JSON"),
        ("nested", &nested, "nested too deep"),
        ("deep", &deep, "nested too deep"),
        ("wide", &wide, "more than the 1048576 that are read"),
        ("void", "{}", "no job.name, no job.jobVersion, no job.packageVersion"),
        ("types", r#"{"job":{"name":{},"jobVersion":[],"packageVersion":7}}"#, "no job.name"),
    ];
    let registry = FakeRegistry::start().await;
    for (name, label, _) in labels {
        registry.push(&format!("{name}-1.0.0-seed"), "1.0.0", &labelled(label));
    }
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    for _ in 0..2 {
        let scan = silo.scan(id).await;
        assert_eq!((&scan["state"], counts(&scan, ["images"])), (&json!("complete"), [0]), "{scan:#}");
        let problems = silo.problems(&scan).await;
        assert_eq!(problems.len(), labels.len());
        for (name, _, words) in labels {
            let found = problems.iter().find(|[_, place, _]| *place == format!("{name}-1.0.0-seed:1.0.0"));
            let [code, _, message] = found.unwrap_or_else(|| panic!("no problem for {name}: {problems:#?}"));
            assert_eq!(code, "label-refused", "{name}: {message}");
            assert!(message.contains(words), "{name}: {message}");
            assert!(!message.contains(char::is_control), "{name}: {message:?}");
            assert!(message.len() < 1000, "{name}: {} bytes", message.len());
        }
    }
    assert_eq!(silo.get("/images").await.expect(200), json!([]));
}

async fn texts_made_to_hurt_come_back_as_texts(engine: Engine) {
    let texts = [
        ("html", "<script>alert('1')</script>&amp;\"", "<script>alert('1')</script>&amp;\""),
        ("nul", "a\u{0}b", ""),
        ("bell", "ring\u{7}\u{1b}[31mred", ""),
        ("bidi", "ab\u{202e}cd\u{2066}ef", "ab\u{202e}cd\u{2066}ef"),
        ("sql", "'; DROP TABLE images; --", "'; DROP TABLE images; --"),
        ("emoji", "Ice \u{1f9ca}\u{fe0f} é e\u{301}", "Ice \u{1f9ca}\u{fe0f} é e\u{301}"),
    ];
    let registry = FakeRegistry::start().await;
    for (name, title, _) in texts {
        let image = labelled(&manifest(&format!("hurt-{name}"), "1.0.0", title).to_string());
        registry.push(&format!("hurt-{name}-1.0.0-seed"), "1.0.0", &image);
    }
    // Names with a special meaning in a path, a URL or a query.
    for (place, name, version) in
        [("path", "../../etc", "1.0.0"), ("query", "a?b=c#d", "%00"), ("nulname", "x\u{0}y", "1")]
    {
        let image = labelled(&manifest(name, version, "Odd hurt").to_string());
        registry.push(&format!("{place}-1.0.0-seed"), "1.0.0", &image);
    }
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    let scan = silo.scan(id).await;
    assert_eq!((&scan["state"], counts(&scan, ["images"])), (&json!("complete"), [9]), "{scan:#}");

    for (name, sent, back) in texts {
        let found = silo.images(&format!("hurt-{name}")).await;
        let title =
            found.iter().find(|row| row["name"] == format!("hurt-{name}")).expect("it is found")["title"].as_str();
        let title = title.unwrap();
        assert!(!title.contains(char::is_control), "{name}: {title:?}");
        if !back.is_empty() {
            assert_eq!((title, sent), (back, back), "{name}");
        }
        let id = found[0]["id"].as_i64().unwrap();
        for path in [format!("/api/v1/images/{id}"), format!("/images/{id}/manifest")] {
            silo.get(&path).await.expect(200);
        }
    }
    let odd = silo.images("odd").await;
    assert_eq!(odd.len(), 3);
    assert!(fields(&odd, "name").contains(&"../../etc"));
    for list in ["/images", "/jobs", "/job-versions"] {
        assert_eq!(silo.get(list).await.expect(200).as_array().unwrap().len(), 9, "{list}");
    }
    let shown = silo.cli(&["search", "hurt"]).await.expect_success();
    assert!(!shown.contains(['\u{1b}', '\u{7}', '\0', '\u{202e}', '\u{2066}']), "{shown:?}");
}

/// The config of this image exceeds the size limit.
async fn a_label_of_ten_megabytes_is_not_read(engine: Engine) {
    let registry = FakeRegistry::start().await;
    registry.push("huge-1.0.0-seed", "1.0.0", &Image::new().label(silo::seed::LABEL, "x".repeat(10 << 20)));
    registry.push("fine-1.0.0-seed", "1.0.0", &super::seed("fine", "1.0.0", "Fine beside it"));
    let silo = Setup::on(engine).await.start().await;
    let id = silo.add("mine", &registry.url()).await;
    let scan = silo.scan(id).await;
    assert_eq!(counts(&scan, ["images", "problems"]), [1, 1], "{scan:#}");
    let [[code, place, message]] = &silo.problems(&scan).await[..] else { panic!("one problem") };
    assert_eq!((code.as_str(), place.as_str()), ("content-failed", "huge-1.0.0-seed:1.0.0"));
    assert!(message.contains("8388608 bytes allowed"), "{message}");
    assert!(counts(&scan, ["bytes"])[0] < 10 << 20, "no more is read than allowed: {scan:#}");
    assert_eq!(silo.images("huge").await, Vec::<Value>::new());
}

on_both!(
    labels_that_are_no_manifest_are_refused,
    texts_made_to_hurt_come_back_as_texts,
    a_label_of_ten_megabytes_is_not_read,
);
