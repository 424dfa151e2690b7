//! Texts of others are shown as they are, and do nothing.

use serde_json::{Value, json};
use silo::seed::LABEL;

use super::markup::{StartTag, tags};
use super::page;
use crate::support::app::{TestApp, manifest};
use crate::support::layout::LayoutBuilder;

/// A manifest that has this text wherever a page shows one.
fn manifest_of(text: &str) -> Value {
    let mut whole = manifest("job", "1.0.0", "1.0.0");
    let job = &mut whole["job"];
    job["name"] = json!(text);
    job["jobVersion"] = json!(text);
    job["title"] = json!(text);
    job["description"] = json!(text);
    job["tags"] = json!([text, "other"]);
    job["maintainer"] = json!({"name": text, "email": text, "organization": text, "url": text});
    job["interface"] = json!({
        "command": text,
        "inputs": {"files": [{"name": text, "mediaTypes": [text]}], "json": [{"name": text, "type": "string"}]},
        "outputs": {"files": [{"name": text, "pattern": text, "mediaType": text}]},
    });
    whole
}

async fn shown(text: &str, path: &str) -> String {
    let silo = TestApp::start().await;
    let mut layout = LayoutBuilder::oci();
    layout.image("geo/job-seed:1.0.0", &[(LABEL, &manifest_of(text).to_string())]);
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    page(&silo, path).await.expect(200).text
}

/// The structure of a page: its tags and the names of their attributes, without marks and boxes of characters.
pub(super) fn structure(html: &str) -> Vec<(String, Vec<String>)> {
    let is_ours = |tag: &StartTag| tag.name != "mark" && !tag.has_class("hidden-char");
    let parts = |tag: StartTag| (tag.name, tag.attributes.into_keys().collect());
    tags(html).into_iter().filter(is_ours).map(parts).collect()
}

pub(super) const TEXTS: [&str; 8] = [
    "<script>alert(1)</script>",
    "\" onmouseover=\"alert(1)\" x=\"",
    "' autofocus onfocus='alert(1)",
    "</title></textarea></style><svg onload=alert(1)>",
    "javascript:alert(1)//https://example.org",
    "{{ 7*7 }} {% raw %} ${7*7} <%= 7 %>",
    "a\u{202E}b\u{200B}c\u{2066}d\u{FEFF}",
    "&lt;b&gt; &#x3C;b&#x3E; <!-- --> <![CDATA[x]]> ]]>",
];

#[tokio::test]
async fn texts_of_manifests_change_no_structure() {
    let path = "/search?sort=name";
    let expected = structure(&shown("harmless", path).await);
    for text in TEXTS {
        let html = shown(text, path).await;
        assert_eq!(structure(&html), expected, "{text}: {html}");
        for tag in tags(&html) {
            let acts = tag.attributes.keys().any(|name| name.starts_with("on") || name == "style");
            assert!(!acts, "{text}: {tag:?}");
            let leads = ["href", "src", "action"].map(|name| tag.value(name).to_ascii_lowercase());
            assert!(leads.iter().all(|url| !url.contains("script:") && !url.contains("data:")), "{text}: {tag:?}");
        }
        let visible: String = text.chars().filter(|c| c.is_ascii_alphanumeric()).collect();
        let titles: Vec<String> = super::markup::titles(&html);
        assert_eq!(titles.len(), 1, "{text}");
        assert!(
            text.contains('\u{202E}') || titles[0].chars().filter(|c| c.is_ascii_alphanumeric()).eq(visible.chars()),
            "{titles:?}"
        );
    }
}

#[tokio::test]
async fn characters_that_cannot_be_seen_are_seen() {
    let html = shown("a\u{202E}b", "/search?sort=name").await;
    assert!(!html.contains('\u{202E}'.to_string().as_str()) || only_in_values(&html, '\u{202E}'), "{html}");
    assert!(html.contains("a<span class=\"hidden-char\">U+202E</span>b</a></h2>"), "{html}");
    assert!(html.contains("title=\"a[U+202E]b"), "{html}");
}

/// Whether a character is only where a form sends it back.
fn only_in_values(html: &str, c: char) -> bool {
    let in_values: usize = tags(html).iter().map(|tag| tag.value("value").matches(c).count()).sum();
    html.matches(c).count() == in_values
}

#[tokio::test]
async fn a_query_is_shown_as_it_is() {
    let silo = TestApp::start().await;
    let expected = structure(&page(&silo, "/search?q=harmless").await.expect(200).text);
    for text in TEXTS {
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let html = page(&silo, &format!("/search?q={encoded}")).await.expect(200).text;
        assert_eq!(structure(&html), expected, "{text}: {html}");
        let field = tags(&html).into_iter().find(|tag| tag.value("type") == "search").expect("the search field");
        assert_eq!(field.value("value"), text);
    }
}
