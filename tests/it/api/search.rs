//! `/api/v1/search` with fields, facets, sort orders and highlights; and `/api/v1/suggest`.

use serde_json::{Value, json};
use silo::seed::LABEL;

use super::native::problem;
use crate::support::app::{TestApp, manifest, text};
use crate::support::layout::LayoutBuilder;

/// One job for each facet.
fn catalogue() -> LayoutBuilder {
    let job = |name: &str, version: &str, change: fn(&mut Value)| {
        let mut manifest = manifest(name, version, "1.0.0");
        change(&mut manifest["job"]);
        (format!("geo/{name}-{version}-seed"), manifest.to_string())
    };
    let jobs = [
        job("ice-edge", "1.0.0", |job| {
            job["title"] = json!("Ice edge, first try");
            job["tags"] = json!(["ice"]);
        }),
        job("ice-edge", "2.0.0", |job| {
            job["title"] = json!("Sea ice edge from radar");
            job["tags"] = json!(["ice", "radar"]);
            job["description"] = json!("Draws the <edge> of sea ice.");
            job["interface"]["inputs"]["files"] = json!([{ "name": "SCENE", "mediaTypes": ["image/tiff"] }]);
            job["maintainer"]["organization"] = json!("Polar Works");
        }),
        job("river-mask", "1.0.0", |job| {
            job["title"] = json!("Rivers and lakes");
            job["tags"] = json!(["water"]);
            job["description"] = json!("Finds open water. No radar is needed.");
            job["resources"] = json!({ "scalar": [{ "name": "gpus", "value": 1.0 }] });
        }),
        job("snow-cover", "1.0.0", |job| {
            job["title"] = json!("Snow cover");
            job["tags"] = json!(["snow", "radar"]);
            job["maintainer"]["organization"] = json!("Polar Works");
        }),
    ];
    let mut layout = LayoutBuilder::oci();
    for (repository, label) in &jobs {
        layout.image(&format!("{repository}:1.0.0"), &[(LABEL, label)]);
    }
    layout
}

async fn filled() -> TestApp {
    let silo = TestApp::start().await;
    let registry = silo.add_layout("geo", &catalogue()).await;
    silo.scan(registry).await;
    silo
}

async fn found(silo: &TestApp, query: &str) -> Value {
    silo.anonymous().get(&format!("/api/v1/search?{query}")).await.expect(200).json()
}

/// Names with versions, best first.
async fn names(silo: &TestApp, query: &str) -> Vec<String> {
    let found = found(silo, query).await;
    let items = found["items"].as_array().expect("a list");
    items.iter().map(|item| format!("{} {}", text(&item["name"]), text(&item["jobVersion"]))).collect()
}

const ICE: &str = "ice-edge 2.0.0";
const RIVER: &str = "river-mask 1.0.0";
const SNOW: &str = "snow-cover 1.0.0";

#[tokio::test]
async fn the_language_of_queries() {
    let silo = filled().await;
    let table: [(&str, &[&str]); 16] = [
        ("q=radar", &[ICE, SNOW, RIVER]),
        ("q=radar%20-river", &[ICE, SNOW]),
        ("q=radar%20-tag:radar", &[RIVER]),
        ("q=tag:radar", &[ICE, SNOW]),
        ("q=title:radar", &[ICE]),
        ("q=name:ice", &[ICE]),
        ("q=%22open%20water%22", &[RIVER]),
        ("q=%22water%20open%22", &[]),
        ("q=org:polar%20snow", &[SNOW]),
        ("q=input:tif", &[ICE]),
        ("q=input:tiff", &[ICE]),
        ("q=media:image/tiff", &[ICE]),
        ("q=version:2&kind=image", &[ICE]),
        ("q=version:1.0.0%20ice&kind=image", &[ICE, "ice-edge 1.0.0"]),
        ("q=geotiff", &[ICE]),
        ("q=rivers%2Bsnow", &[RIVER, SNOW]),
    ];
    for (query, expected) in table {
        let mut found = names(&silo, query).await;
        let mut expected = expected.to_vec();
        if !query.starts_with("q=radar") && !query.contains("kind=image") {
            found.sort_unstable();
            expected.sort_unstable();
        }
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn a_misspelled_word_is_understood() {
    let silo = filled().await;
    for (query, name, meant) in [
        ("q=rivr%20mask", RIVER, "river mask"),
        ("q=snwo", SNOW, "snow"),
        ("q=watre", RIVER, "water"),
        // Words of no document are left out of the suggestion, unless they are prefixes of indexed ones.
        ("q=xyzzyplugh%20snwo", SNOW, "snow"),
        ("q=snwo%20xyzzyplugh", SNOW, "snow"),
        ("q=rivr%20ma", RIVER, "river ma"),
    ] {
        assert_eq!(names(&silo, query).await[0], name, "{query}");
        assert_eq!(found(&silo, query).await["didYouMean"], meant, "{query}");
    }
    assert_eq!(found(&silo, "q=river").await.get("didYouMean"), None);
    assert_eq!(names(&silo, "q=%22rivr%22").await, [""; 0], "what is in quotes is meant so");
}

#[tokio::test]
async fn facets_count_and_narrow() {
    let silo = filled().await;
    let all = found(&silo, "q=seed&facets=true").await;
    assert_eq!(all["total"], 3);
    let facets = &all["facets"];
    assert_eq!(facets["tag"][0], json!({ "value": "radar", "count": 2 }));
    let two = |value: &str| json!({ "value": value, "count": 2 });
    assert_eq!(facets["organization"], json!([two("Example"), two("Polar Works")]), "by any image of a job");
    assert_eq!(facets["gpu"], json!([{ "value": "false", "count": 2 }, { "value": "true", "count": 1 }]));
    assert_eq!(facets["input"], json!([{ "value": "image/tiff", "count": 1 }]));
    assert_eq!(facets["org"], json!([{ "value": "geo", "count": 3 }]));
    assert_eq!(facets["valid"], json!([{ "value": "true", "count": 3 }]));
    let images = found(&silo, "q=seed&facets=true&kind=image").await;
    assert_eq!((&images["total"], &images["facets"]["org"][0]["count"]), (&json!(4), &json!(4)));

    for (query, expected) in [
        ("q=radar&facet.tag=radar", vec![ICE, SNOW]),
        ("q=radar&facet.tag=radar&facet.organization=Polar%20Works&facet.input=image/tiff", vec![ICE]),
        ("facet.tag=water&facet.tag=snow&sort=name", vec![RIVER, SNOW]),
        ("facet.gpu=true", vec![RIVER]),
        ("facet=gpu:true", vec![RIVER]),
        ("facet=tag:water&facet=tag:snow&facet.valid=true&sort=name", vec![RIVER, SNOW]),
        ("facet=input:image/tiff&facet=organization:Polar%20Works&q=radar", vec![ICE]),
        ("facet.tag=nothing", vec![]),
        ("q=ice&facet.valid=false", vec![]),
    ] {
        assert_eq!(names(&silo, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_facet_is_counted_without_its_own_filter() {
    let silo = filled().await;
    let facets = |query: &'static str| {
        let silo = &silo;
        async move { found(silo, &format!("{query}&facets=true")).await["facets"].clone() }
    };
    let all = facets("q=seed").await;
    let snow = facets("q=seed&facet.tag=snow").await;
    assert_eq!(snow["tag"], all["tag"], "another tag can be chosen as well");
    assert_eq!(snow["organization"], json!([{ "value": "Polar Works", "count": 1 }]), "of jobs with the tag");
    let both = facets("q=seed&facet.tag=snow&facet.gpu=true").await;
    assert_eq!(both["tag"], facets("q=seed&facet.gpu=true").await["tag"], "each without its own filter only");
    assert_eq!(both["gpu"], facets("q=seed&facet.tag=snow").await["gpu"]);
    assert_eq!(both["valid"], json!([]), "no job has both");
    let images = facets("q=seed&kind=image&facet.tag=snow").await;
    assert_eq!(images["tag"], facets("q=seed&kind=image").await["tag"]);
}

#[tokio::test]
async fn results_have_the_order_that_is_asked_for_on_all_pages() {
    let silo = filled().await;
    assert_eq!(names(&silo, "q=seed&sort=name").await, [ICE, RIVER, SNOW]);
    assert_eq!(names(&silo, "q=seed&sort=version").await[0], ICE);
    for order in ["relevance", "name", "newest", "version"] {
        for kind in ["job", "image"] {
            let path = format!("q=seed&sort={order}&kind={kind}");
            let whole = found(&silo, &path).await["items"].clone();
            let (mut walked, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = found(&silo, &format!("{path}&limit=1{cursor}")).await;
                walked.extend(page["items"].as_array().unwrap().clone());
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(Value::from(walked), whole, "{path}");
        }
    }
    let cursor = text(&found(&silo, "q=seed&sort=name&limit=1").await["next"]);
    problem(&silo.anonymous().get(&format!("/api/v1/search?q=seed&cursor={cursor}")).await, 400, "cursor");
}

#[tokio::test]
async fn why_something_was_found_is_shown() {
    let silo = filled().await;
    let shown =
        async |query: &str| found(&silo, &format!("{query}&highlight=true")).await["items"][0]["highlights"].clone();
    let title = json!({ "field": "title", "text": "Sea ice edge from radar", "ranges": [[18, 23]] });
    let tag = json!({ "field": "tag", "text": "radar", "ranges": [[0, 5]] });
    assert_eq!(shown("q=rad%20-snow%20-river").await, json!([title, tag]));
    let typo = json!({ "field": "name", "text": "snow-cover", "ranges": [[0, 4]] });
    assert_eq!(shown("q=snwo").await[0], typo);
    let plain = json!({ "field": "description", "text": "Draws the <edge> of sea ice.", "ranges": [[11, 15]] });
    assert!(shown("q=edge").await.as_array().unwrap().contains(&plain), "the text is not ours to mark up");
    assert_eq!(shown("facet.gpu=true").await, json!([]));
    assert_eq!(found(&silo, "q=ice").await["items"][0].get("highlights"), None, "only where asked for");
}

#[tokio::test]
async fn suggestions_while_typing() {
    let silo = filled().await;
    let suggested =
        async |query: &str| silo.anonymous().get(&format!("/api/v1/suggest?q={query}")).await.expect(200).json();
    let begun = suggested("sea%20ic").await;
    assert_eq!(begun["completions"], json!(["sea ice"]));
    assert_eq!(begun["jobs"][0]["name"], "ice-edge");
    assert_eq!(suggested("s").await["completions"][0], "snow");
    assert_eq!(suggested("snwo").await["didYouMean"], "snow");
    for nothing in ["", "%2B", "xyzzy"] {
        assert_eq!(suggested(nothing).await, json!({ "completions": [], "jobs": [] }), "{nothing}");
    }
    let one = suggested("e&limit=1").await;
    assert_eq!((one["completions"].as_array().map(Vec::len), one["jobs"].as_array().map(Vec::len)), (Some(1), Some(1)));
    for (query, names) in [("", "q"), ("?q=a&limit=0", "limit"), ("?q=a&x=1", "x")] {
        problem(&silo.anonymous().get(&format!("/api/v1/suggest{query}")).await, 400, names);
    }
    let long = "x".repeat(10_000);
    problem(&silo.anonymous().get(&format!("/api/v1/suggest?q={long}")).await, 400, "at most 1000");
}

#[tokio::test]
async fn other_scripts_are_marked_and_completed_by_whole_letters() {
    let silo = TestApp::start().await;
    let titles = [("korn", "Gro\u{308}ße und Pan-sharpening"), ("kaihyo", "衛星画像から海氷密接度を推定")];
    let mut layout = LayoutBuilder::oci();
    for (name, title) in titles {
        let mut manifest = manifest(name, "1.0.0", "1.0.0");
        manifest["job"]["title"] = json!(title);
        layout.image(&format!("geo/{name}-1.0.0-seed:1.0.0"), &[(LABEL, &manifest.to_string())]);
    }
    let registry = silo.add_layout("geo", &layout).await;
    silo.scan(registry).await;
    for (query, name, ranges) in [
        ("größe", "korn", json!([[0, 6]])),
        ("GROSSE", "korn", json!([[0, 6]])),
        ("pansharpening", "korn", json!([[11, 14], [15, 25]])),
        ("pan sharpening", "korn", json!([[11, 14], [15, 25]])),
        ("海氷", "kaihyo", json!([[6, 8]])),
        ("ｔｉｔｌｅ：海氷密接度", "kaihyo", json!([[6, 11]])),
    ] {
        let query = percent_encoding::utf8_percent_encode(query, percent_encoding::NON_ALPHANUMERIC);
        let found = found(&silo, &format!("q={query}&highlight=true")).await;
        let items = found["items"].as_array().unwrap();
        assert_eq!(items.iter().map(|item| text(&item["name"])).collect::<Vec<_>>(), [name], "{query}");
        let marked = items[0]["highlights"].as_array().unwrap().iter().find(|it| it["field"] == "title");
        assert_eq!(marked.expect("its title")["ranges"], ranges, "{query}");
    }
    for (typed, completion) in
        [("gro\u{308}", "größe"), ("pansh", "pan-sharpening"), ("衛星", "衛星画像"), ("海氷", "海氷密接度")]
    {
        let query = percent_encoding::utf8_percent_encode(typed, percent_encoding::NON_ALPHANUMERIC);
        let suggested = silo.anonymous().get(&format!("/api/v1/suggest?q={query}")).await.expect(200).json();
        assert_eq!(suggested["completions"], json!([completion]), "{typed}");
    }
}

#[tokio::test]
async fn without_a_query_everything_is_listed_newest_first() {
    let silo = filled().await;
    let newest = found(&silo, "sort=newest&facet.valid=true").await;
    let all = found(&silo, "").await;
    assert_eq!((&all["total"], &all["items"]), (&json!(3), &newest["items"]));
    assert_eq!(found(&silo, "kind=image").await["total"], 4);
    assert_eq!(found(&silo, "q=").await["total"], 0, "a query without words finds nothing");
    let first = found(&silo, "limit=2").await;
    let rest = found(&silo, &format!("limit=2&cursor={}", text(&first["next"]))).await;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1), "the cursor is one of the order that was meant");
}

#[tokio::test]
async fn details_say_what_a_result_takes_gives_and_needs() {
    let silo = filled().await;
    assert_eq!(found(&silo, "q=ice").await["items"][0].get("details"), None, "only if requested");
    let ice = &found(&silo, "q=ice-edge&details=true").await["items"][0]["details"];
    assert_eq!((&ice["versions"], &ice["images"]), (&json!(2), &json!(2)));
    assert_eq!(ice["tags"], json!(["ice", "radar"]));
    let scene =
        json!({ "name": "SCENE", "kind": "file", "mediaTypes": ["image/tiff"], "required": true, "multiple": false });
    assert_eq!(ice["inputs"], json!([scene]));
    let river = &found(&silo, "q=river&details=true").await["items"][0]["details"];
    assert_eq!(river["resources"], json!([{ "name": "gpus", "value": 1.0, "inputMultiplier": 0.0 }]));
    let images = found(&silo, "q=version:1.0.0%20ice&kind=image&details=true").await;
    let tags: Vec<&Value> = images["items"].as_array().unwrap().iter().map(|item| &item["details"]["tags"]).collect();
    assert_eq!(tags, [&json!(["ice", "radar"]), &json!(["ice"])], "each image has its own");
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let silo = TestApp::start().await;
    let many = "&facet.tag=x".repeat(33);
    for (query, names) in [
        ("q=a&sort=size", "relevance, name, newest, version"),
        ("q=a&facets=yes", "facets"),
        ("q=a&highlight=1", "highlight"),
        ("q=a&facet.colour=red", "registry, org"),
        ("q=a&facet=colour:red", "registry, org"),
        ("q=a&facet=red", "a name and a value"),
        ("q=a&details=1", "details"),
        (&format!("q=a{many}"), "at most 32"),
    ] {
        problem(&silo.anonymous().get(&format!("/api/v1/search?{query}")).await, 400, names);
    }
}

#[tokio::test]
async fn admins_add_synonyms() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("synonyms.txt");
    std::fs::write(&path, "# ours\nfrozen_water ice\n").unwrap();
    let silo = TestApp::with().set("SILO__SEARCH__SYNONYMS", path.to_str().unwrap()).start().await;
    let registry = silo.add_layout("geo", &catalogue()).await;
    silo.scan(registry).await;
    assert_eq!(names(&silo, "q=frozen%20water").await, [ICE]);
    assert_eq!(names(&filled().await, "q=frozen%20water").await, [RIVER], "only a part of it is known");
}
