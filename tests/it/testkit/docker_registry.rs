//! docker-registry as the tests start it.

use futures_util::future::join_all;

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::support::docker_registry::DockerRegistry;
use crate::support::layout::LayoutBuilder;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Sorted, because this registry lists tags in the order of its folder.
async fn tags(registry: &DockerRegistry, repository: &str) -> Vec<String> {
    let list: Value = registry.get(&format!("{repository}/tags/list")).await.json().await.unwrap();
    let mut tags: Vec<String> = serde_json::from_value(list["tags"].clone()).unwrap();
    tags.sort();
    tags
}

async fn digest(registry: &DockerRegistry, reference: &str, media_type: &str) -> Option<String> {
    let (repository, tag) = reference.rsplit_once(':').unwrap();
    let request = registry.request(Method::HEAD, &format!("{repository}/manifests/{tag}"));
    let answer = registry.send(request.header(header::ACCEPT, media_type)).await;
    let digest = answer.headers().get("docker-content-digest")?;
    Some(digest.to_str().unwrap().to_owned())
}

#[tokio::test]
async fn skopeo_pushes_and_plain_http_lists() {
    let mut layout = LayoutBuilder::oci();
    let first = layout.image("geo/my-job-1.0.0-seed:1.0.0", &[("a", "1")]);
    layout.image("geo/my-job-1.0.0-seed:1.0.1", &[("a", "2")]);
    let both = layout.attested_index("other-2.0.0-seed:1.0.0", &[("linux/amd64", &[]), ("linux/arm64", &[])]);
    let folder = tempfile::tempdir().unwrap();
    layout.write(folder.path()).unwrap();

    let registry = DockerRegistry::open().await;
    for reference in ["geo/my-job-1.0.0-seed:1.0.0", "geo/my-job-1.0.0-seed:1.0.1", "other-2.0.0-seed:1.0.0"] {
        registry.push(folder.path(), reference).await;
    }

    let catalog: Value = registry.get("_catalog").await.json().await.unwrap();
    assert_eq!(catalog, json!({"repositories": ["geo/my-job-1.0.0-seed", "other-2.0.0-seed"]}));
    assert_eq!(tags(&registry, "geo/my-job-1.0.0-seed").await, ["1.0.0", "1.0.1"]);
    assert_eq!(digest(&registry, "geo/my-job-1.0.0-seed:1.0.0", OCI_MANIFEST).await, Some(first));
    let index = "application/vnd.oci.image.index.v1+json";
    assert_eq!(digest(&registry, "other-2.0.0-seed:1.0.0", index).await, Some(both));
}

#[tokio::test]
async fn plain_http_uploads_every_kind_at_once() {
    let (mut oci, mut docker) = (LayoutBuilder::oci(), LayoutBuilder::docker());
    oci.attested_index("index:1", &[("linux/amd64", &[("a", "1")]), ("linux/arm/v7", &[])]);
    oci.artifact("chart:1");
    docker.image("docker:1", &[("a", "1")]);
    docker.index("docker:2", &[("linux/amd64", &[]), ("linux/s390x", &[])]);
    let many: Vec<String> = (0..40).map(|n| format!("many:{n}")).collect();
    for reference in &many {
        oci.image(reference, &[("name", reference)]);
    }

    let registry = DockerRegistry::open().await;
    registry.put(&oci, "index:1").await;
    registry.put(&oci, "chart:1").await;
    let image = registry.put(&docker, "docker:1").await;
    registry.put(&docker, "docker:2").await;
    join_all(many.iter().map(|reference| registry.put(&oci, reference))).await;

    assert_eq!(tags(&registry, "many").await.len(), 40);
    let docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(digest(&registry, "docker:1", docker_manifest).await, Some(image));
    assert_eq!(tags(&registry, "docker").await, ["1", "2"]);
}

#[tokio::test]
async fn htpasswd_turns_strangers_away() {
    let mut layout = LayoutBuilder::oci();
    layout.image("a:1", &[]);
    layout.image("a:2", &[]);
    let folder = tempfile::tempdir().unwrap();
    layout.write(folder.path()).unwrap();

    let registry = DockerRegistry::htpasswd("user", "pass").await;
    registry.push(folder.path(), "a:1").await;
    registry.put(&layout, "a:2").await;

    assert_eq!(tags(&registry, "a").await, ["1", "2"]);
    let stranger = registry.http.get(format!("{}/v2/", registry.url())).send().await.unwrap();
    assert_eq!(stranger.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(stranger.headers()[header::WWW_AUTHENTICATE], "Basic realm=\"test\"");
}

#[tokio::test]
async fn tokens_open_what_their_scopes_say() {
    let mut layout = LayoutBuilder::oci();
    layout.image("public/a:1", &[]);
    layout.image("private/a:1", &[]);
    let folder = tempfile::tempdir().unwrap();
    layout.write(folder.path()).unwrap();

    let registry = DockerRegistry::token("user", "pass").await;
    registry.put(&layout, "public/a:1").await;
    assert_eq!(registry.tokens().requests(), 0);
    registry.push(folder.path(), "private/a:1").await;
    assert!(registry.tokens().requests() > 0);
    assert_eq!(tags(&registry, "private/a").await, ["1"]);

    let stranger = |repository: &'static str| {
        let registry = &registry;
        async move {
            let list = format!("{}/v2/{repository}/tags/list", registry.url());
            let refused = registry.http.get(&list).send().await.unwrap();
            assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
            let challenge = refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap();
            let realm = challenge.strip_prefix("Bearer realm=\"").unwrap().split_once('"').unwrap().0;
            let scope = format!("repository:{repository}:pull");
            let wrong = registry.http.get(realm).basic_auth("user", Some("wrong")).send().await.unwrap();
            assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
            let answer = registry.http.get(realm).query(&[("scope", &scope)]).send().await.unwrap();
            let token: Value = answer.json().await.unwrap();
            let request = registry.http.get(&list).bearer_auth(token["token"].as_str().unwrap());
            request.send().await.unwrap().status()
        }
    };
    assert_eq!(stranger("public/a").await, StatusCode::OK);
    assert_eq!(stranger("private/a").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_stopped_registry_comes_back_with_its_content() {
    let mut layout = LayoutBuilder::oci();
    let kept = layout.image("a:kept", &[("a", "1")]);
    layout.image("a:gone", &[("a", "2")]);
    let mut registry = DockerRegistry::open().await;
    registry.put(&layout, "a:kept").await;
    let gone = registry.put(&layout, "a:gone").await;
    registry.delete("a", &gone).await;

    let host = registry.host();
    registry.stop();
    let refused = registry.http.get(registry.url()).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");

    registry.start().await;
    assert_eq!(registry.host(), host);
    assert_eq!(digest(&registry, "a:kept", OCI_MANIFEST).await, Some(kept));
    assert_eq!(digest(&registry, "a:gone", OCI_MANIFEST).await, None);
}
