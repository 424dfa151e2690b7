//! The Atom feed, read by an XML parser.

use http::Method;
use quick_xml::events::Event;
use quick_xml::{Reader, XmlVersion};
use serde_json::json;

use crate::support::app::{TestApp, jobs, manifest};
use crate::support::layout::LayoutBuilder;

/// An element: its path of names, its attributes, and its own text.
#[derive(Debug, Default)]
struct Element {
    path: String,
    attributes: Vec<(String, String)>,
    text: String,
}

/// All elements of a document, in document order.
fn parsed(xml: &str) -> Vec<Element> {
    let mut reader = Reader::from_str(xml);
    let (mut elements, mut open): (Vec<Element>, Vec<usize>) = Default::default();
    loop {
        match reader.read_event().unwrap_or_else(|why| panic!("{why}: {xml}")) {
            event @ (Event::Start(_) | Event::Empty(_)) => {
                let is_empty = matches!(event, Event::Empty(_));
                let (Event::Start(start) | Event::Empty(start)) = event else { unreachable!() };
                let name = start.name().as_ref().to_owned();
                let above = open.last().map_or("", |&parent: &usize| elements[parent].path.as_str());
                let path = format!("{above}/{name}");
                let attributes = start.attributes().map(|attribute| {
                    let attribute = attribute.unwrap();
                    let value = attribute.normalized_value(XmlVersion::Explicit1_0).unwrap().into_owned();
                    (attribute.key.as_ref().to_owned(), value)
                });
                elements.push(Element { path, attributes: attributes.collect(), text: String::new() });
                if !is_empty {
                    open.push(elements.len() - 1);
                }
            }
            Event::End(_) => _ = open.pop().expect("it was open"),
            Event::Text(text) => {
                if let Some(&inner) = open.last() {
                    elements[inner].text.push_str(&text);
                }
            }
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref().unwrap() {
                    Some(c) => c.to_string(),
                    None => {
                        quick_xml::escape::resolve_predefined_entity(&reference).expect("a known entity").to_owned()
                    }
                };
                elements[*open.last().unwrap()].text.push_str(&text);
            }
            Event::Eof => {
                assert!(open.is_empty(), "{xml}");
                return elements;
            }
            _ => {}
        }
    }
}

fn texts(elements: &[Element], path: &str) -> Vec<String> {
    elements.iter().filter(|element| element.path == path).map(|element| element.text.clone()).collect()
}

fn attributes(elements: &[Element], path: &str, name: &str) -> Vec<String> {
    let of = elements.iter().filter(|element| element.path == path).flat_map(|element| &element.attributes);
    of.filter(|(key, _)| key == name).map(|(_, value)| value.clone()).collect()
}

#[tokio::test]
async fn the_newest_images_come_first_and_a_query_narrows_them() {
    let silo = TestApp::with_jobs(&[("cloud-mask", "1.0.0", "0.1.0"), ("ice", "1.0.0", "0.1.0")]).await;
    let reply = silo.anonymous().get("/api/v1/feed").await.expect(200);
    let feed = parsed(&reply.text);
    assert_eq!(attributes(&feed, "/feed", "xmlns"), ["http://www.w3.org/2005/Atom"]);
    assert_eq!(texts(&feed, "/feed/title"), ["Seed images"]);
    assert_eq!(texts(&feed, "/feed/entry/title"), ["The job ice 1.0.0 (0.1.0)", "The job cloud-mask 1.0.0 (0.1.0)"]);
    let updated = texts(&feed, "/feed/entry/updated");
    assert_eq!(texts(&feed, "/feed/updated"), updated[..1]);
    for time in updated.iter().chain(&texts(&feed, "/feed/entry/published")) {
        chrono::DateTime::parse_from_rfc3339(time).unwrap();
    }
    chrono::DateTime::parse_from_rfc2822(reply.header("last-modified")).unwrap();
    assert_eq!(texts(&feed, "/feed/entry/summary")[0], "Does what it says\n\ngeo/ice-1.0.0-seed:0.1.0");
    assert_eq!(attributes(&feed, "/feed/entry/category", "term"), ["ice", "cloud-mask"]);
    let links = attributes(&feed, "/feed/entry/link", "href");
    let image = silo.anonymous().get(&links[0]).await.expect(200).json();
    assert_eq!(image["reference"], "geo/ice-1.0.0-seed:0.1.0");

    let found = parsed(&silo.anonymous().get("/api/v1/feed?q=cloud%20%26").await.expect(200).text);
    assert_eq!(texts(&found, "/feed/title"), ["Seed images: cloud &"]);
    assert_eq!(attributes(&found, "/feed/entry/category", "term"), ["cloud-mask"]);
    assert_eq!(attributes(&found, "/feed/link", "href"), ["/api/v1/feed?q=cloud%20%26"]);
    let ids = |elements: &[Element]| texts(elements, "/feed/entry/id");
    assert_eq!(ids(&found), ids(&feed)[1..], "an entry is the same in every feed");
    assert_ne!(texts(&found, "/feed/id"), texts(&feed, "/feed/id"));
    let nothing = parsed(&silo.anonymous().get("/api/v1/feed?q=xyzzy").await.expect(200).text);
    assert_eq!((ids(&nothing).len(), texts(&nothing, "/feed/updated").len()), (0, 1));
    silo.anonymous().get(&format!("/api/v1/feed?q={}", "x".repeat(2000))).await.expect(400);
    silo.anonymous().get("/api/v1/feed?query=x").await.expect(400);
}

#[tokio::test]
async fn a_reader_that_has_it_is_told_so_until_something_changes() {
    let silo = TestApp::with_jobs(&[("a", "1.0.0", "0.1.0")]).await;
    let tag = silo.anonymous().get("/api/v1/feed").await.expect(200).header("etag").to_owned();
    let known = async |header: &str| {
        let headers = [("if-none-match", header)];
        silo.anonymous().send(Method::GET, "/api/v1/feed", &headers, Vec::new()).await
    };
    let strong = tag.trim_start_matches("W/").to_owned();
    for header in [&tag, &strong, &format!("\"x\", {tag}"), "*"] {
        let reply = known(header).await.expect(304);
        assert_eq!((reply.header("etag"), reply.text.as_str()), (tag.as_str(), ""));
    }
    known("\"x\"").await.expect(200);
    silo.write_layout("geo", &jobs(&[("a", "1.0.0", "0.1.0"), ("b", "1.0.0", "0.1.0")]));
    silo.scan(1).await;
    let changed = known(&tag).await.expect(200);
    assert_eq!(texts(&parsed(&changed.text), "/feed/entry/id").len(), 2);
}

#[tokio::test]
async fn what_stands_in_a_manifest_cannot_break_it() {
    let silo = TestApp::with().set("SILO__HTTP__PUBLIC_URL", "https://silo.example.org/a&b/").start().await;
    let mut hostile = manifest("a", "1.0.0", "1.0.0");
    hostile["job"]["title"] = json!("</title><script>alert(\"1\")</script> & ]]> \u{0} \u{b} \u{ffff} é");
    hostile["job"]["maintainer"]["name"] = json!("<Ada>");
    let mut layout = LayoutBuilder::oci();
    layout.image("geo/a-1.0.0-seed:1.0.0", &[(silo::seed::LABEL, &hostile.to_string())]);
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    let feed = parsed(&silo.anonymous().get("/api/v1/feed").await.expect(200).text);
    let title = &texts(&feed, "/feed/entry/title")[0];
    assert!(title.starts_with("</title><script>alert(\"1\")</script> & ]]> "), "{title}");
    assert!(title.ends_with(" \u{fffd} é 1.0.0 (1.0.0)"), "{title}");
    assert_eq!(texts(&feed, "/feed/entry/author/name"), ["<Ada>"]);
    assert_eq!(attributes(&feed, "/feed/link", "href"), ["https://silo.example.org/a&b/api/v1/feed"]);
    assert_eq!(attributes(&feed, "/feed/entry/link", "href"), ["https://silo.example.org/a&b/api/v1/images/1"]);
}
