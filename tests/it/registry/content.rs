//! Digests, manifests and configs.

use serde_json::json;
use silo::registry::{DEEP_INDEX, FetchedContent};

use super::{assert_fails, open};
use crate::support::fake_registry::{
    ALWAYS, FakeRegistry, Fault, Image, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Seen, child,
};

#[tokio::test]
async fn one_head_tells_the_digest() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a/b", "1", &Image::new());
    let source = open(&registry);
    source.ping().await.unwrap();
    assert_eq!(source.digest("a/b", "1").await.unwrap().as_ref(), Some(&digest));
    assert_eq!(source.digest("a/b", &digest).await.unwrap().as_ref(), Some(&digest));
    assert_eq!((registry.count(Seen::is_head), registry.count(Seen::is_any)), (2, 3));
    assert_eq!(source.digest("a/b", "2").await.unwrap(), None);
    assert_eq!((registry.count(Seen::is_head), registry.count(Seen::is_any)), (3, 5), "a 404 is asked about by GET");
}

#[tokio::test]
async fn a_refused_head_says_nothing_and_a_404_that_is_no_registrys_neither() {
    for status in [400, 401, 403, 404, 405, 500, 501] {
        let registry = FakeRegistry::start().await;
        let digest = registry.push("a", "1", &Image::new());
        registry.fault(Seen::is_head, ALWAYS, Fault::Html(status));
        let source = open(&registry);
        assert_eq!(source.digest("a", "1").await.unwrap().as_ref(), Some(&digest), "HEAD {status}");
        assert_eq!(source.digest("a", "2").await.unwrap(), None, "the registry's own word");
    }
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1", &Image::new());
    registry.fault(Seen::is_manifest, ALWAYS, Fault::Html(404));
    let source = open(&registry);
    assert_fails!(source.digest("a", "1").await, Status, "404", "a:1", "prox");
    assert_fails!(source.look("a", "1").await, Status, "404", "a:1", "prox");
    assert_fails!(source.fetch("a", &digest).await, Status, "404", "prox");
}

#[tokio::test]
async fn where_head_does_not_tell_get_does() {
    for fault in [Fault::NoDigestHeader, Fault::Status(405)] {
        let registry = FakeRegistry::start().await;
        let digest = registry.push("a", "1", &Image::new());
        registry.fault(Seen::is_head, ALWAYS, fault);
        let source = open(&registry);
        for _ in 0..3 {
            assert_eq!(source.digest("a", "1").await.unwrap().as_ref(), Some(&digest));
        }
        assert_eq!(registry.count(Seen::is_head), 1, "asked once, then remembered");
        assert_eq!(registry.count(Seen::is_manifest), 4);
    }
}

#[tokio::test]
async fn a_digest_that_is_none_is_not_believed() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1", &Image::new());
    let bad = Fault::StatusWith(200, "docker-content-digest", "sha256:../../etc".into());
    registry.fault(Seen::is_head, 1, bad);
    assert_eq!(open(&registry).digest("a", "1").await.unwrap(), Some(digest));
}

#[tokio::test]
async fn an_image_is_two_requests() {
    let registry = FakeRegistry::start().await;
    for image in [Image::new(), Image::new().docker()] {
        let image = image.label("a", "1").label("odd", json!(7)).label("none", json!(null)).annotation("a", "2");
        let digest = registry.push("a", "1", &image.annotation("b", "3"));
        let source = open(&registry);
        source.ping().await.unwrap();
        registry.clear_log();
        let FetchedContent::Image(configs) = source.fetch("a", &digest).await.unwrap() else { panic!("no image") };
        assert_eq!(registry.count(Seen::is_any), 2);
        assert_eq!((configs.len(), configs[0].platform.as_str()), (1, "linux/amd64"));
        let labels: Vec<_> = configs[0].labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(labels, [("a", "1"), ("b", "3")], "annotations stand in for labels that are missing");
    }
}

#[tokio::test]
async fn a_look_at_a_new_tag_saves_asking_for_its_manifest() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1", &Image::new().label("x", "y"));
    let source = open(&registry);
    source.ping().await.unwrap();
    registry.clear_log();
    let look = source.look("a", "1").await.unwrap().unwrap();
    assert_eq!(look.digest, digest);
    let FetchedContent::Image(configs) = source.fetch_with("a", &digest, look.manifest).await.unwrap() else {
        panic!("no image")
    };
    assert_eq!(configs[0].labels["x"], "y");
    let seen = [Seen::is_manifest, Seen::is_blob, Seen::is_head].map(|kind| registry.count(kind));
    assert_eq!(seen, [1, 1, 0]);
    assert_eq!(source.look("a", "2").await.unwrap(), None);
    registry.fault(Seen::is_manifest, 1, Fault::NoDigestHeader);
    assert_eq!(source.look("a", "1").await.unwrap().unwrap().digest, digest);
}

#[tokio::test]
async fn a_look_that_brings_other_bytes_than_it_names_is_not_believed() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1", &Image::new());
    let source = open(&registry);
    registry.fault(Seen::is_manifest, ALWAYS, Fault::WrongBytes);
    let look = source.look("a", "1").await.unwrap().unwrap();
    assert_eq!((&look.digest, &look.manifest), (&digest, &None));
    assert_fails!(source.fetch_with("a", &digest, look.manifest).await, Malformed, "does not match its digest");
    registry.clear_faults();
    let foreign = Some("{}".into());
    assert!(
        matches!(source.fetch_with("a", &digest, foreign).await, Ok(FetchedContent::Image(_))),
        "nor is what is handed in"
    );
}

#[tokio::test]
async fn an_index_gives_each_distinct_config_once() {
    let registry = FakeRegistry::start().await;
    let amd = registry.add(&Image::new().label("for", "amd"));
    let arm = registry.add(&Image::new().label("for", "arm").platform("linux", "arm64"));
    // The same config in another manifest.
    let twin = registry.add(&Image::new().label("for", "amd").annotation("x", "y"));
    let mut attestation = child(&arm, "");
    attestation["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
    let mut artifact = child(&arm, "");
    artifact["artifactType"] = json!("application/spdx+json");
    let digest = registry.push_index(
        "a",
        "1",
        &[
            child(&arm, "unknown/unknown"),
            attestation,
            artifact,
            child(&amd, "linux/amd64"),
            child(&amd, "linux/amd64"),
            child(&twin, "linux/amd64"),
            child(&arm, ""),
        ],
    );
    let source = open(&registry);
    source.ping().await.unwrap();
    registry.clear_log();
    let FetchedContent::Image(configs) = source.fetch("a", &digest).await.unwrap() else { panic!("no image") };
    let found: Vec<_> = configs.iter().map(|c| (c.labels["for"].as_str(), c.platform.as_str())).collect();
    assert_eq!(found, [("amd", "linux/amd64"), ("arm", "linux/arm64")]);
    assert_eq!((registry.count(Seen::is_manifest), registry.count(Seen::is_blob)), (4, 2));
}

#[tokio::test]
async fn an_index_is_bounded() {
    let registry = FakeRegistry::start().await;
    let empty = registry.push_index("a", "empty", &[]);
    let mut children = vec![child(&empty, "")];
    children.extend((0..40).map(|i| child(&registry.add(&Image::new().label("i", i.to_string())), "")));
    let digest = registry.push_index("a", "1", &children);
    let FetchedContent::Image(configs) = open(&registry).fetch("a", &digest).await.unwrap() else { panic!("no image") };
    assert_eq!(configs.len(), 31, "32 manifests, the empty index among them");
}

#[tokio::test]
async fn indexes_in_an_index_are_followed_to_a_depth() {
    let registry = FakeRegistry::start().await;
    let (amd, arm) = (registry.add(&Image::new().label("for", "amd")), registry.add(&Image::new().label("for", "arm")));
    // As written by buildx: an index for each platform, with an attestation.
    let inner: Vec<_> = [(&amd, "linux/amd64"), (&arm, "linux/arm64")]
        .into_iter()
        .map(|(image, platform)| {
            let attestation = registry.add(&Image::new().label("attests", platform));
            let children = [child(image, ""), child(&attestation, "unknown/unknown")];
            child(&registry.push_index("a", "inner", &children), platform)
        })
        .collect();
    let digest = registry.push_index("a", "1", &inner);
    let FetchedContent::Image(configs) = open(&registry).fetch("a", &digest).await.unwrap() else { panic!("no image") };
    let found: Vec<_> = configs.iter().map(|c| (c.labels["for"].as_str(), c.platform.as_str())).collect();
    assert_eq!(found, [("amd", "linux/amd64"), ("arm", "linux/arm64")], "the outer index names the platforms");
    // Seven nested indexes: the innermost image is too deep.
    let deep = (0..7).fold(amd, |inner, _| registry.push_index("a", "deep", &[child(&inner, "")]));
    assert!(
        matches!(open(&registry).fetch("a", &deep).await.unwrap(), FetchedContent::Other(kind) if kind == DEEP_INDEX)
    );
}

#[tokio::test]
async fn an_image_is_told_by_what_its_config_holds() {
    let registry = FakeRegistry::start().await;
    let image = registry.add_blob(br#"{"config":{"Labels":{"a":"b"}},"rootfs":{"type":"layers","diff_ids":[]}}"#);
    let other = registry.add_blob(br#"{"name":"a chart"}"#);
    let no_json = registry.add_blob(b"<html>");
    let fetch = async |kind: Option<&str>, digest: &str| {
        let mut config = json!({"digest": digest, "size": 2});
        if let Some(kind) = kind {
            config["mediaType"] = json!(kind);
        }
        let manifest = registry.add_manifest(&json!({"schemaVersion": 2, "config": config, "layers": []}));
        open(&registry).fetch("a", &manifest).await.unwrap()
    };
    for kind in [Some("application/octet-stream"), Some("application/json"), Some("text/html"), Some(""), None] {
        let FetchedContent::Image(configs) = fetch(kind, &image).await else { panic!("{kind:?} is no image") };
        assert_eq!(configs[0].labels["a"], "b", "{kind:?}");
        for digest in [&other, &no_json] {
            assert_eq!(fetch(kind, digest).await, FetchedContent::Other(kind.unwrap_or_default().to_owned()));
        }
    }
    registry.clear_log();
    let helm = "application/vnd.cncf.helm.config.v1+json";
    assert_eq!(fetch(Some(helm), &image).await, FetchedContent::Other(helm.to_owned()));
    assert_eq!(registry.count(Seen::is_blob), 0, "what is certainly no image is not read");
}

#[tokio::test]
async fn children_that_are_missing_are_passed_over_while_others_are_there() {
    let registry = FakeRegistry::start().await;
    let (here, gone) = (registry.add(&Image::new()), registry.add(&Image::new().label("a", "b")));
    registry.delete_manifest(&gone);
    let digest = registry.push_index("a", "1", &[child(&gone, ""), child(&here, "")]);
    assert!(
        matches!(open(&registry).fetch("a", &digest).await, Ok(FetchedContent::Image(configs)) if configs.len() == 1)
    );
    let digest = registry.push_index("a", "1", &[child(&gone, "")]);
    assert_fails!(open(&registry).fetch("a", &digest).await, NotFound, gone);
    assert_fails!(open(&registry).fetch("a", &gone).await, NotFound, gone);
}

#[tokio::test]
async fn what_is_no_image_is_named() {
    let registry = FakeRegistry::start().await;
    let helm = "application/vnd.cncf.helm.config.v1+json";
    let image = json!({"mediaType": OCI_CONFIG, "digest": registry.add_blob(b"{}"), "size": 2});
    let schema_1 = "application/vnd.docker.distribution.manifest.v1+json";
    let attestation = child(&registry.add(&Image::new()), "unknown/unknown");
    for (manifest, kind) in [
        (json!({"schemaVersion": 2, "config": {"mediaType": helm, "digest": "sha256:0"}}), helm),
        (json!({"schemaVersion": 2, "artifactType": "application/x", "config": image}), "application/x"),
        (json!({"schemaVersion": 1, "name": "a", "history": []}), schema_1),
        (json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [attestation]}), OCI_INDEX),
        (json!({"schemaVersion": 2, "manifests": []}), OCI_INDEX),
    ] {
        let digest = registry.add_manifest(&manifest);
        assert_eq!(open(&registry).fetch("a", &digest).await.unwrap(), FetchedContent::Other(kind.to_owned()));
    }
    let artifact = registry.push_artifact("a", "1", "application/vnd.oci.empty.v1+json");
    assert!(
        matches!(open(&registry).fetch("a", &artifact).await.unwrap(), FetchedContent::Other(kind) if kind.contains("empty"))
    );
}

#[tokio::test]
async fn a_media_type_may_be_missing_but_not_lie() {
    let registry = FakeRegistry::start().await;
    let config = json!({"mediaType": OCI_CONFIG, "digest": registry.add_blob(b"{}"), "size": 2});
    let plain = registry.add_manifest(&json!({"schemaVersion": 2, "config": config}));
    let FetchedContent::Image(configs) = open(&registry).fetch("a", &plain).await.unwrap() else { panic!("no image") };
    assert_eq!((configs[0].platform.as_str(), configs[0].labels.len()), ("", 0));
    for lie in [
        json!({"config": config, "manifests": []}),
        json!({"config": config, "mediaType": OCI_INDEX}),
        json!({"manifests": [], "mediaType": OCI_MANIFEST}),
        json!({}),
        json!({"config": {"mediaType": OCI_CONFIG, "digest": "sha256:../../../token"}}),
        json!([]),
    ] {
        let digest = registry.add_manifest(&lie);
        assert_fails!(open(&registry).fetch("a", &digest).await, Malformed, registry.host(), "push the image again");
    }
}

#[tokio::test]
async fn bytes_that_do_not_fit_their_digest_are_refused() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1", &Image::new());
    registry.fault(Seen::is_manifest, 1, Fault::WrongBytes);
    assert_fails!(
        open(&registry).fetch("a", &digest).await,
        Malformed,
        digest,
        "has content that does not match its digest"
    );
    registry.fault(Seen::is_blob, 1, Fault::WrongBytes);
    assert_fails!(open(&registry).fetch("a", &digest).await, Malformed, "has content that does not match its digest");
}

#[tokio::test]
async fn bodies_are_capped_whatever_they_say() {
    let registry = FakeRegistry::start().await;
    let digest = registry.push("a", "1", &Image::new());
    registry.fault(Seen::is_manifest, 1, Fault::Endless);
    assert_fails!(open(&registry).fetch("a", &digest).await, Malformed, "more than the 4194304 bytes");
    registry.fault(Seen::is_blob, 1, Fault::Endless);
    assert_fails!(open(&registry).fetch("a", &digest).await, Malformed, "more than the 8388608 bytes");
}

#[tokio::test]
async fn foreign_urls_of_a_descriptor_are_not_asked() {
    let (registry, other) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let absent = format!("sha256:{}", "0".repeat(64));
    let config = json!({"mediaType": OCI_CONFIG, "digest": absent, "size": 2, "urls": [other.url()]});
    let digest = registry.add_manifest(&json!({"schemaVersion": 2, "config": config}));
    assert_fails!(open(&registry).fetch("a", &digest).await, NotFound, absent);
    assert_eq!(other.count(Seen::is_any), 0);
}
