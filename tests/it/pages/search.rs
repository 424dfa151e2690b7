//! `/search`: what was found, narrowed and turned over by links and forms alone.

use http::Method;
use serde_json::{Value, json};
use silo::seed::LABEL;

use super::markup::{self, heading, link, links, named, sent, titles};
use super::{page, page_with};
use crate::support::app::{TestApp, manifest};
use crate::support::layout::LayoutBuilder;

/// A service with these manifests.
async fn with_manifests(manifests: &[Value]) -> TestApp {
    let silo = TestApp::start().await;
    let mut layout = LayoutBuilder::oci();
    for (number, manifest) in manifests.iter().enumerate() {
        layout.image(&format!("geo/image-{number}-seed:1.0.0"), &[(LABEL, &manifest.to_string())]);
    }
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    silo
}

/// A job that takes and gives files.
fn job(name: &str, tag: &str, gpus: u32) -> Value {
    let mut whole = manifest(name, "1.2.0", "1.0.0");
    whole["job"]["tags"] = json!([tag]);
    whole["job"]["interface"] = json!({
        "command": "run",
        "inputs": {
            "files": [
                {"name": "RED", "mediaTypes": ["image/tiff", "image/jp2"]},
                {"name": "NIR", "mediaTypes": ["image/tiff", "image/jp2"]},
                {"name": "MASK", "mediaTypes": ["image/png"], "required": false},
            ],
            "json": [{"name": "LEVEL", "type": "number"}],
        },
        "outputs": {"files": [{"name": "AREAS", "pattern": "*.json", "mediaType": "application/geo+json", "multiple": true}]},
    });
    whole["job"]["resources"]["scalar"] = json!([
        {"name": "cpus", "value": 4.0}, {"name": "mem", "value": 12288.0}, {"name": "gpus", "value": gpus}, {"name": "disk", "value": 1.0}
    ]);
    whole
}

#[tokio::test]
async fn a_result_has_what_people_choose_by() {
    let silo = with_manifests(&[job("sea-ice", "radar", 1)]).await;
    let html = page(&silo, "/search?q=ice").await.expect(200).text;
    assert_eq!(heading(&html), "1 job for “ice”");
    assert!(html.contains("<title>1 job for “ice” – SILO</title>"), "{html}");
    assert_eq!(titles(&html), ["The job sea-ice"]);
    assert!(html.contains("<a href=\"/job/sea-ice\">The job sea-<mark>ice</mark></a>"), "{html}");
    assert!(html.contains("<code>sea-<mark>ice</mark></code>"), "{html}");
    let ports: Vec<(String, String, bool)> = markup::tags(&html)
        .into_iter()
        .filter(|tag| tag.has_class("port"))
        .map(|tag| (tag.text.clone(), tag.value("title").to_owned(), tag.has_class("may")))
        .collect();
    let port = |label: &str, title: &str, may| (label.to_owned(), title.to_owned(), may);
    assert_eq!(
        ports,
        [
            port("2 × TIFF or JPEG 2000", "RED, NIR: image/tiff or image/jp2", false),
            port("PNG", "MASK: image/png (optional)", true),
            port("1 value", "LEVEL", false),
            port("GeoJSON ×n", "AREAS: application/geo+json", false),
        ]
    );
    assert!(html.contains("4 CPU, 12 GiB, 1 GPU"), "{html}");
    assert_eq!(link(&html, "Feed of this search"), "/api/v1/feed?q=ice");
    assert!(named(&html, "input").iter().any(|field| field.value("name") == "q" && field.value("value") == "ice"));
}

#[tokio::test]
async fn facets_are_chosen_and_unchosen_without_javascript() {
    let silo = with_manifests(&[job("a", "radar", 1), job("b", "optical", 0), job("c", "radar", 0)]).await;
    let all = page(&silo, "/search").await.expect(200).text;
    assert_eq!(heading(&all), "All 3 jobs");
    let boxes = |html: &str| -> Vec<(String, String)> {
        let all = named(html, "input").into_iter().filter(|input| input.value("type") == "checkbox");
        all.map(|input| (input.value("name").to_owned(), input.value("value").to_owned())).collect()
    };
    assert!(boxes(&all).contains(&("facet.tag".to_owned(), "radar".to_owned())), "{all}");

    let radar = page(&silo, &sent(&all, "narrow", &[("facet.tag", "radar"), ("sort", "name")])).await.expect(200).text;
    assert_eq!((heading(&radar), titles(&radar)), ("2 jobs".to_owned(), vec!["The job a".into(), "The job c".into()]));
    // The values of a facet are alternatives, so that the others are still there to be added.
    assert!(boxes(&radar).contains(&("facet.tag".to_owned(), "optical".to_owned())), "{radar}");
    let selected = named(&radar, "option").into_iter().find(|option| option.attributes.contains_key("selected"));
    assert_eq!(selected.expect("an order").value("value"), "name");

    let both = page(&silo, &sent(&radar, "narrow", &[("facet.gpu", "true")])).await.expect(200).text;
    assert_eq!(titles(&both), ["The job a"]);
    let chips: Vec<String> =
        named(&both, "a").iter().filter(|tag| tag.has_class("on")).map(|tag| tag.value("href").to_owned()).collect();
    assert_eq!(chips.len(), 2);
    let without_tag = page(&silo, &chips[0]).await.expect(200).text;
    assert_eq!(titles(&without_tag), ["The job a"]);
    let without_gpu = page(&silo, &chips[1]).await.expect(200).text;
    assert_eq!(titles(&without_gpu).len(), 2);
    let cleared = page(&silo, &link(&both, "Clear all")).await.expect(200).text;
    assert_eq!(heading(&cleared), "All 3 jobs");

    let none =
        page(&silo, "/search?facet.tag=none&facet.tag=radar&facet.gpu=true&facet.input=x%2Fy").await.expect(200).text;
    assert_eq!(heading(&none), "No jobs");
    assert!(none.contains("has all of that"), "{none}");
    assert!(boxes(&none).contains(&("facet.input".to_owned(), "x/y".to_owned())), "it can be unchosen: {none}");
}

#[tokio::test]
async fn pages_follow_one_another_until_all_is_shown() {
    let manifests: Vec<Value> = (0..45).map(|number| manifest(&format!("job-{number:02}"), "1.0.0", "1.0.0")).collect();
    let silo = with_manifests(&manifests).await;
    for start in ["/search", "/search?sort=name", "/search?q=job&facet.tag=example", "/search?kind=image"] {
        let mut seen = Vec::new();
        let mut next = Some(start.to_owned());
        while let Some(path) = next {
            let html = page(&silo, &path).await.expect(200).text;
            assert_eq!(heading(&html).split(' ').find_map(|word| word.parse::<u32>().ok()), Some(45), "{path}");
            assert_eq!(links(&html, "First page").is_empty(), path == start, "{path}");
            seen.extend(titles(&html));
            next = links(&html, "Next page").pop();
        }
        assert_eq!(seen.len(), 45, "{start}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 45, "{start}");
    }
}

#[tokio::test]
async fn a_misspelled_query_is_corrected_and_can_be_insisted_on() {
    let silo = with_manifests(&[manifest("vegetation-index", "1.0.0", "1.0.0")]).await;
    let html = page(&silo, "/search?q=vegetaton").await.expect(200).text;
    assert_eq!(titles(&html), ["The job vegetation-index"]);
    assert!(html.contains("Showing <b>vegetation</b> for <i>vegetaton</i>"), "{html}");
    let literal = named(&html, "a").into_iter().find(|tag| tag.text == "Search for ").expect("a link to insist by");
    let literal = page(&silo, literal.value("href")).await.expect(200).text;
    assert_eq!(heading(&literal), "No jobs for “\"vegetaton\"”");
    assert_eq!(link(&literal, "Show all jobs"), "/search");
}

#[tokio::test]
async fn a_suggestion_leads_to_the_page_of_its_job() {
    for (name, path) in [("sea/../ice 1", "/job/sea~2F~2E~2E~2Fice%201"), ("sea:ice~", "/job/sea~3Aice~7E")] {
        let silo = with_manifests(&[manifest(name, "1.0.0", "1.0.0")]).await;
        let suggested = silo.anonymous().get("/api/v1/suggest?q=sea").await.expect(200).json();
        assert_eq!((&suggested["jobs"][0]["name"], &suggested["jobs"][0]["page"]), (&json!(name), &json!(path)));
        assert_eq!(heading(&page(&silo, path).await.expect(200).text), format!("The job {name}"));
    }
}

#[tokio::test]
async fn images_are_listed_by_their_references() {
    let silo = with_manifests(&[job("a", "radar", 0), job("a", "radar", 0)]).await;
    let html = page(&silo, "/search?q=a").await.expect(200).text;
    assert_eq!(heading(&html), "1 job for “a”");
    let images = page(&silo, &link(&html, "Show images")).await.expect(200).text;
    assert_eq!(heading(&images), "2 images for “a”");
    for number in 0..2 {
        assert!(images.contains(&format!("geo/image-{number}-seed:1.0.0</code>")), "{images}");
    }
    assert_eq!(heading(&page(&silo, &link(&images, "Show jobs")).await.text), "1 job for “a”");
}

#[tokio::test]
async fn a_manifest_with_errors_is_marked() {
    let mut broken = manifest("broken", "1.0.0", "1.0.0");
    broken["job"]["timeout"] = json!("never");
    let silo = with_manifests(&[broken, manifest("whole", "1.0.0", "1.0.0")]).await;
    let html = page(&silo, "/search?sort=name").await.expect(200).text;
    assert_eq!(html.matches("manifest with errors").count(), 1, "{html}");
    assert!(html.find("manifest with errors") < html.find("The job whole"), "{html}");
}

#[tokio::test]
async fn a_part_of_the_page_replaces_that_part_while_somebody_types() {
    let silo = with_manifests(&[job("a", "radar", 0)]).await;
    let part = page_with(&silo, "/search?q=a", &[("x-fragment", "main")]).await.expect(200);
    assert!(part.text.trim_start().starts_with("<div class=\"search\" data-title=\"1 job for “a”\">"), "{}", part.text);
    let whole = page(&silo, "/search?q=a").await.expect(200);
    assert!(whole.text.contains(part.text.trim()), "{}", part.text);
    for reply in [part, whole] {
        assert!(reply.header("vary").contains("x-fragment"), "{}", reply.header("vary"));
        assert_eq!(reply.header("cache-control"), "private, no-cache");
    }
}

#[tokio::test]
async fn a_page_is_sent_for_head_too() {
    let silo = TestApp::start().await;
    let reply = silo.anonymous().send(Method::HEAD, "/search", &[("accept", super::BROWSER)], Vec::new()).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
}
