//! Harbor 2.

use serde_json::json;
use silo::catalog::RegistryKind;
use silo::registry::{FetchedContent, RegistryEndpoint, RegistryLimits, RegistrySource, RemoteHosts};

use super::super::{assert_fails, endpoint, limits};
use super::{TestApp, add, config, names, outcome, seed};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen, child};
use crate::support::kinds::harbor::FakeHarbor;

fn open(harbor: &FakeHarbor, org: &str) -> RegistrySource {
    super::open(RegistryKind::Harbor, &harbor.registry.url(), org, None)
}

fn open_as(harbor: &FakeHarbor, username: &str, password: &str) -> RegistrySource {
    super::open(RegistryKind::Harbor, &harbor.registry.url(), "", Some((username, password)))
}

#[tokio::test]
async fn a_new_digest_costs_nothing_and_an_unchanged_tag_neither() {
    let harbor = FakeHarbor::start().await;
    harbor.push("geo/ice-seed", "1.0.0", &seed("ice"));
    harbor.push("geo/deep/er/snow-seed", "1.0.0", &seed("snow"));
    harbor.push("geo/deep/er/snow-seed", "latest", &Image::new());
    let silo = TestApp::start().await;
    let id = add(&silo, "harbor", &harbor.registry.url(), "", json!({})).await;
    harbor.registry.clear_log();
    for _ in 0..2 {
        silo.scan(id).await;
        let (state, images) = outcome(&silo, id).await;
        assert_eq!((state.as_str(), images.len()), ("complete", 2), "{images:?}");
        assert_eq!(harbor.registry.count(Seen::is_any), 4, "the projects, the repositories of one, the tags of two");
        harbor.registry.clear_log();
    }
    harbor.push("geo/ice-seed", "2.0.0", &seed("new-ice"));
    silo.scan(id).await;
    assert_eq!((outcome(&silo, id).await.1.len(), harbor.registry.count(Seen::is_any)), (3, 4));
}

#[tokio::test]
async fn an_index_is_read_the_common_way() {
    let harbor = FakeHarbor::start().await;
    let children = ["amd64", "arm64"].map(|architecture| {
        let image = seed("ice").platform("linux", architecture);
        child(&harbor.registry.add(&image), &format!("linux/{architecture}"))
    });
    let digest = harbor.registry.push_index("geo/ice-seed", "1", &children);
    harbor.describe("geo/ice-seed", "1", &digest);
    let source = open(&harbor, "geo");
    let listing = source.tags("geo/ice-seed").await.unwrap();
    assert_eq!((listing.items[0].digest.as_ref(), &listing.items[0].content), (Some(&digest), &None));
    let FetchedContent::Image(configs) = source.fetch("geo/ice-seed", &digest).await.unwrap() else {
        panic!("no image")
    };
    assert_eq!(configs.iter().map(|c| c.platform.as_str()).collect::<Vec<_>>(), ["linux/amd64", "linux/arm64"]);
}

#[tokio::test]
async fn what_the_listing_tells_of_contents() {
    let harbor = FakeHarbor::start().await;
    harbor.push("geo/a", "1", &Image::new().label("key", "value").annotation("more", "x").annotation("key", "y"));
    let source = open(&harbor, "");
    let told = source.tags("geo/a").await.unwrap().items.remove(0);
    let told = config(told.content.as_ref()).clone();
    let read = source.fetch("geo/a", &harbor.push("geo/a", "1", &Image::new().label("key", "value"))).await.unwrap();
    assert_eq!(told.labels["key"], config(Some(&read)).labels["key"], "the label, not the annotation");
    assert_eq!((told.labels["more"].as_str(), told.platform.as_str()), ("x", "linux/amd64"));
    assert_eq!(told.digest, "", "Harbor does not say it");

    for (labels, count) in [(json!(null), Some(0)), (json!({}), Some(0)), (json!({"a": 1, "b": "2"}), Some(1))] {
        harbor.change("geo/a", |artifact| artifact["extra_attrs"]["config"] = json!({"Labels": labels}));
        let tags = source.tags("geo/a").await.unwrap().items;
        assert_eq!(Some(config(tags[0].content.as_ref()).labels.len()), count, "{labels}");
    }
    for attributes in [json!(null), json!({}), json!({"config": null}), json!({"config": "x"}), json!(7)] {
        harbor.change("geo/a", |artifact| artifact["extra_attrs"] = attributes.clone());
        assert_eq!(source.tags("geo/a").await.unwrap().items[0].content, None, "{attributes}: nothing is known");
    }
}

#[tokio::test]
async fn what_is_no_image_is_not_taken_for_one() {
    let harbor = FakeHarbor::start().await;
    let digest = harbor.registry.push_artifact("geo/chart", "1", "application/vnd.cncf.helm.config.v1+json");
    harbor.describe("geo/chart", "1", &digest);
    let source = open(&harbor, "");
    let content = source.tags("geo/chart").await.unwrap().items.remove(0).content;
    assert_eq!(content, Some(FetchedContent::Other("application/vnd.cncf.helm.config.v1+json".to_owned())));
    harbor.push("geo/a", "1", &seed("a"));
    // An artifact with an image's config type; a schema 1 image; an unknown type.
    for (field, value) in [("artifact_type", "application/x"), ("media_type", "text/plain"), ("type", "NEW")] {
        harbor.push("geo/a", "1", &seed("a"));
        harbor.change("geo/a", |artifact| artifact[field] = json!(value));
        assert_eq!(source.tags("geo/a").await.unwrap().items[0].content, None, "{field}: the common way decides");
        harbor.push("geo/a", "1", &Image::new());
    }
}

#[tokio::test]
async fn before_configs_were_told_images_are_read() {
    let harbor = FakeHarbor::start().await;
    harbor.is_mute();
    harbor.push("geo/ice-seed", "1.0.0", &seed("ice"));
    let silo = TestApp::start().await;
    let id = add(&silo, "harbor", &harbor.registry.url(), "", json!({})).await;
    for reads in [1, 0] {
        harbor.registry.clear_log();
        silo.scan(id).await;
        assert_eq!(outcome(&silo, id).await.1.len(), 1);
        let seen = (harbor.registry.count(Seen::is_manifest), harbor.registry.count(Seen::is_blob));
        assert_eq!(seen, (reads, reads));
    }
}

#[tokio::test]
async fn repositories_of_all_projects_or_one() {
    let harbor = FakeHarbor::start().await;
    for name in ["geo/a", "geo/b/c", "sea/d"] {
        harbor.push(name, "1", &Image::new());
    }
    assert_eq!(open(&harbor, "").repositories().await.unwrap().items, ["geo/a", "geo/b/c", "sea/d"]);
    assert_eq!(open(&harbor, "geo").repositories().await.unwrap().items, ["geo/a", "geo/b/c"]);
    assert_eq!(open(&harbor, "geo/b").repositories().await.unwrap().items, ["geo/a", "geo/b/c"], "its project");
    assert_fails!(open(&harbor, "mars").repositories().await, NotFound, "project mars");
    // A project that exists, but hides its repositories.
    harbor.registry.fault(|seen| seen.path.contains("/sea/"), ALWAYS, Fault::Status(403));
    let listing = open(&harbor, "").repositories().await.unwrap();
    assert_eq!(listing.items, ["geo/a", "geo/b/c"]);
    assert!(listing.truncated.unwrap().contains("project sea"));
    harbor.registry.fault(|seen| seen.path.ends_with("/projects"), 1, Fault::Json(200, json!(null)));
    assert_eq!(open(&harbor, "").repositories().await.unwrap().items.len(), 0, "as Go writes an empty list");
}

#[tokio::test]
async fn pages_with_and_without_headers() {
    let harbor = FakeHarbor::start().await;
    for i in 0..250 {
        harbor.push(&format!("geo/r{i:03}"), "1", &Image::new());
    }
    for pages in [3, 3] {
        harbor.registry.clear_log();
        let listing = open(&harbor, "").repositories().await.unwrap();
        assert_eq!((listing.items.len(), listing.truncated), (250, None));
        assert_eq!(harbor.registry.count(Seen::is_repositories), pages);
        harbor.leave_out_headers();
    }
}

#[tokio::test]
async fn listings_that_are_not_all_say_so() {
    let harbor = FakeHarbor::start().await;
    harbor.push("geo/a", "1", &Image::new());
    harbor.claims_more(1);
    let listing = open(&harbor, "").tags("geo/a").await.unwrap();
    assert_eq!(listing.items.len(), 1);
    assert!(listing.truncated.unwrap().contains("has 2 entries but showed 1"));
    harbor.claims_more(0);

    for i in 0..150 {
        harbor.push("geo/a", &format!("v{i}"), &Image::new().label("i", i.to_string()));
    }
    harbor.is_stuck();
    harbor.registry.clear_log();
    let listing = open(&harbor, "").tags("geo/a").await.unwrap();
    assert_eq!(listing.items.len(), 100);
    assert!(listing.truncated.unwrap().contains("circles"));
    assert_eq!(harbor.registry.count(Seen::is_artifacts), 2);

    harbor.is_endless();
    let few = RegistryLimits { pages: 4, ..limits() };
    let form = RegistryEndpoint { kind: RegistryKind::Harbor, ..endpoint(&harbor.registry.url(), None) };
    let listing = RegistrySource::open(&form, &few, &RemoteHosts::default()).unwrap().tags("geo/a").await.unwrap();
    assert_eq!(listing.items.len(), 400);
    assert!(listing.truncated.unwrap().contains("4 pages"));
    assert!(listing.items.iter().all(|tag| tag.digest.is_none()), "a digest that is missing is asked for");
}

#[tokio::test]
async fn only_names_and_digests_that_can_be() {
    let harbor = FakeHarbor::start().await;
    let attachment = format!("sha256-{}.sig", "0".repeat(64));
    for tag in ["1.0.0", "bad tag", &attachment, "../x"] {
        harbor.push("geo/a", tag, &Image::new());
    }
    harbor.push("geo/UPPER", "1", &Image::new());
    let source = open(&harbor, "");
    assert_eq!(source.repositories().await.unwrap().items, ["geo/a"]);
    assert_eq!(names(&source.tags("geo/a").await.unwrap().items), ["1.0.0"]);
    for digest in ["sha256:12", "../x", ""] {
        harbor.change("geo/a", |artifact| artifact["digest"] = json!(digest));
        let tags = source.tags("geo/a").await.unwrap().items;
        assert_eq!((tags[0].digest.as_ref(), &tags[0].content), (None, &None), "{digest}");
    }
}

#[tokio::test]
async fn a_repository_that_is_gone_is_empty_but_a_proxys_404_is_not() {
    let harbor = FakeHarbor::start().await;
    harbor.push("geo/a", "1", &Image::new());
    let source = open(&harbor, "");
    assert_eq!(source.tags("geo/gone").await.unwrap().items.len(), 0);
    harbor.registry.fault(Seen::is_artifacts, 1, Fault::Html(404));
    assert_fails!(source.tags("geo/a").await, Status, "404", "the tags of geo/a");
    for fault in [Fault::Html(200), Fault::Json(200, json!({"x": 1})), Fault::Json(200, json!([{"tags": 7}]))] {
        harbor.registry.fault(Seen::is_artifacts, 1, fault);
        assert_fails!(source.tags("geo/a").await, Malformed, harbor.registry.host(), "Harbor");
    }
    harbor.registry.fault(Seen::is_artifacts, ALWAYS, Fault::Truncated);
    assert_fails!(source.tags("geo/a").await, Unreachable, "broke off");
    harbor.registry.clear_faults();
    harbor.registry.fault(Seen::is_artifacts, 1, Fault::StatusWith(429, "retry-after", "0".into()));
    assert_eq!(source.tags("geo/a").await.unwrap().items.len(), 1, "tried again");
    harbor.registry.fault(Seen::is_artifacts, 1, Fault::StatusWith(429, "retry-after", "3600".into()));
    assert_fails!(source.tags("geo/a").await, Throttled, "3600 s");
}

#[tokio::test]
async fn robots_and_people_log_in() {
    for name in ["robot$geo+silo", "ada"] {
        let harbor = FakeHarbor::start().await;
        harbor.know(name, "se:cret");
        harbor.push("geo/a", "1", &Image::new());
        harbor.hide("geo");
        let source = open_as(&harbor, name, "se:cret");
        source.ping().await.unwrap();
        assert_eq!(source.repositories().await.unwrap().items, ["geo/a"]);
        assert_eq!(source.tags("geo/a").await.unwrap().items.len(), 1);
        assert_eq!(open(&harbor, "").repositories().await.unwrap().items.len(), 0);
        assert_fails!(open(&harbor, "geo").repositories().await, LoginRequired, "username and password");
    }
}

#[tokio::test]
async fn a_wrong_password_is_sent_once_and_does_not_pass_for_a_strangers_view() {
    let harbor = FakeHarbor::start().await;
    harbor.know("robot$silo", "secret");
    harbor.push("geo/a", "1", &Image::new());
    harbor.push("open/b", "1", &Image::new());
    harbor.hide("geo");
    let sent = || harbor.registry.count(|seen| seen.authorization.as_deref().is_some_and(|a| a.starts_with("Basic ")));
    let source = open_as(&harbor, "robot$silo", "hunter2");
    for _ in 0..3 {
        assert_fails!(source.repositories().await, WrongPassword, harbor.registry.host(), "does not accept");
        assert_fails!(source.tags("geo/a").await, WrongPassword, harbor.registry.host());
    }
    assert_eq!(sent(), 1);
    harbor.registry.clear_log();
    let source = open_as(&harbor, "robot$silo", "hunter2");
    for _ in 0..3 {
        assert_fails!(source.ping().await, WrongPassword, harbor.registry.host());
    }
    assert_eq!(sent(), 1);
}

#[tokio::test]
async fn a_password_that_ends_removes_nothing() {
    let harbor = FakeHarbor::start().await;
    harbor.know("robot$silo", "secret");
    harbor.push("geo/ice-seed", "1.0.0", &seed("ice"));
    harbor.push("open/snow-seed", "1.0.0", &seed("snow"));
    harbor.hide("geo");
    let silo = TestApp::start().await;
    let login = json!({"username": "robot$silo", "password": "secret"});
    let id = add(&silo, "harbor", &harbor.registry.url(), "", login).await;
    silo.scan(id).await;
    assert_eq!(outcome(&silo, id).await.1.len(), 2);
    harbor.know("robot$silo", "another");
    silo.scan(id).await;
    let (state, images) = outcome(&silo, id).await;
    assert_eq!((state.as_str(), images.len()), ("failed", 2), "{images:?}");
}

#[tokio::test]
async fn what_is_not_harbor_is_not_added_as_one() {
    let registry = FakeRegistry::start().await;
    let source = super::open(RegistryKind::Harbor, &registry.url(), "", None);
    assert_fails!(source.ping().await, NotARegistry, registry.host(), "Harbor 2", "distribution");
    let harbor = FakeHarbor::start().await;
    open(&harbor, "").ping().await.unwrap();
    assert_fails!(open(&harbor, "mars").ping().await, NotFound, "the project mars");
}
