//! Parses the webhook notifications that registries send after a push or a deletion. Pure. A notification is only a
//! hint: it gives valid repository names to scan; nothing else in it is trusted, and no URL in it is ever requested.
//!
//! The sender is recognized by the shape of the body, because a relay may change the headers.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::grammar::is_repository;
use crate::catalog::RegistryKind;

/// Declares the senders with their names in logs and metrics.
macro_rules! senders {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// The registry product that sent a notification.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum NotificationSender {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl NotificationSender {
            /// Name in logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

senders! {
    /// `{"events": [{"action", "target": {"repository", "tag"}}]}`: docker-registry, GitLab's registry. Azure sends a
    /// single one of these events.
    Distribution = "distribution",
    /// `{"push_data", "repository": {"repo_name"}}`.
    DockerHub = "docker-hub",
    /// `{"type", "event_data": {"repository": {"repo_full_name"}}}`, or the same as a CloudEvent.
    Harbor = "harbor",
    /// `{"repository": "namespace/name", "docker_url", "updated_tags"}`.
    Quay = "quay",
    /// `{"action", "package": {"name", "namespace", "package_type"}}`, or `registry_package`.
    GitHub = "github",
    /// A CloudEvent of zot: `{"name", "reference", "digest"}`.
    Zot = "zot",
    /// Amazon's EventBridge: `{"detail-type": "ECR Image Action", "detail": {"repository-name"}}`.
    EventBridge = "eventbridge",
}

/// A parsed notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryNotification {
    /// `None`: an unknown shape, such as a sender's connection test.
    pub sender: Option<NotificationSender>,
    /// Repositories in which tags were pushed or deleted.
    pub repositories: BTreeSet<String>,
}

impl RegistryNotification {
    /// Parses a body: a JSON object, or an array of them, as relays batch CloudEvents. `cloud_event`: the header
    /// `Ce-Type`, the type of a CloudEvent whose body is bare data. `None`: the body is neither.
    pub fn read(body: &[u8], cloud_event: Option<&str>) -> Option<RegistryNotification> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let events = body.as_array().map_or(std::slice::from_ref(&body), Vec::as_slice);
        if !events.iter().all(Value::is_object) {
            return None;
        }
        let (mut sender, mut repositories) = (None, BTreeSet::new());
        for event in events {
            let (found, names) = named(event, cloud_event);
            sender = sender.or(found);
            repositories.extend(names.into_iter().filter(|name| is_repository(name)));
        }
        Some(RegistryNotification { sender, repositories })
    }
}

/// The sender of a notification, and the repository names in it.
type NamedRepositories = (Option<NotificationSender>, Vec<String>);

fn named(body: &Value, cloud_event: Option<&str>) -> NamedRepositories {
    if let Some(events) = body["events"].as_array() {
        return (Some(NotificationSender::Distribution), events.iter().filter_map(distribution).collect());
    }
    if body["target"].is_object() {
        return (Some(NotificationSender::Distribution), distribution(body).into_iter().collect());
    }
    if body["specversion"].is_string() {
        return cloud(body["type"].as_str().unwrap_or_default(), &data_of(body));
    }
    if let Some(kind) = cloud_event {
        return cloud(kind, body);
    }
    if body["event_data"].is_object() {
        return harbor(body["type"].as_str().unwrap_or_default(), &body["event_data"]);
    }
    if body["detail-type"].is_string() {
        return event_bridge(body);
    }
    if body["push_data"].is_object() {
        return (Some(NotificationSender::DockerHub), text(&body["repository"]["repo_name"]));
    }
    for key in ["package", "registry_package"] {
        if body[key].is_object() {
            return (Some(NotificationSender::GitHub), github(&body[key]).into_iter().collect());
        }
    }
    if body["docker_url"].is_string() || !body["updated_tags"].is_null() {
        // Quay also reports builds and scan findings, which change no tag. The tags are an array, in old versions an
        // object.
        let is_push = body["updated_tags"].is_array() || body["updated_tags"].is_object();
        return (Some(NotificationSender::Quay), if is_push { text(&body["repository"]) } else { Vec::new() });
    }
    (None, Vec::new())
}

fn text(value: &Value) -> Vec<String> {
    value.as_str().map(str::to_owned).into_iter().collect()
}

/// The repository of a deletion or a manifest push. A push without a tag counts too: some registries omit it, and a tag
/// may have been set on a manifest pushed by digest.
fn distribution(event: &Value) -> Option<String> {
    let target = &event["target"];
    let counts = match event["action"].as_str()? {
        "push" => !is_blob(target),
        "delete" => true,
        _ => false,
    };
    target["repository"].as_str().filter(|_| counts).map(str::to_owned)
}

/// Whether the push is of a layer or a config, which precede the manifest that names them.
fn is_blob(target: &Value) -> bool {
    let has_tag = target["tag"].as_str().is_some_and(|tag| !tag.is_empty());
    let media_type = target["mediaType"].as_str().unwrap_or_default();
    let is_other = !media_type.is_empty() && !media_type.contains("manifest") && !media_type.contains("index");
    let is_below_blobs = target["url"].as_str().is_some_and(|url| url.contains("/blobs/"));
    !has_tag && (is_other || is_below_blobs)
}

/// The data of a CloudEvent, which relays also send as a string (CloudEvents 1.0, JSON format 3.1).
fn data_of(event: &Value) -> Value {
    let parse = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or_default();
    match (&event["data"], &event["data_base64"]) {
        (Value::String(text), _) => parse(text.as_bytes()),
        (Value::Null, Value::String(text)) => STANDARD.decode(text).map(|bytes| parse(&bytes)).unwrap_or_default(),
        (data, _) => data.clone(),
    }
}

fn cloud(kind: &str, data: &Value) -> NamedRepositories {
    match kind {
        "zotregistry.image.updated" | "zotregistry.image.deleted" => {
            (Some(NotificationSender::Zot), text(&data["name"]))
        }
        _ if kind.starts_with("zotregistry.") => (Some(NotificationSender::Zot), Vec::new()),
        _ if kind.starts_with("harbor.") => harbor(kind, data),
        // A relay's CloudEvent around another sender's notification.
        _ => named(data, None),
    }
}

/// Only pushes and deletions count; a webhook with all events ticked also sends pulls and scan findings.
fn harbor(kind: &str, data: &Value) -> NamedRepositories {
    let is_change = matches!(
        kind,
        "PUSH_ARTIFACT"
            | "DELETE_ARTIFACT"
            | "pushImage"
            | "deleteImage"
            | "harbor.artifact.pushed"
            | "harbor.artifact.deleted"
    );
    (Some(NotificationSender::Harbor), if is_change { text(&data["repository"]["repo_full_name"]) } else { Vec::new() })
}

fn event_bridge(body: &Value) -> NamedRepositories {
    let detail = &body["detail"];
    let is_change = body["detail-type"] == "ECR Image Action" && detail["result"] != "FAILURE";
    (Some(NotificationSender::EventBridge), if is_change { text(&detail["repository-name"]) } else { Vec::new() })
}

/// GitHub may write the owner with capitals; repository names are lower case.
fn github(package: &Value) -> Option<String> {
    let kind = package["package_type"].as_str().unwrap_or_default();
    if !kind.eq_ignore_ascii_case("container") {
        return None;
    }
    let owner = package["owner"]["login"].as_str().or(package["namespace"].as_str())?;
    let owner = owner.split('/').next().unwrap_or_default();
    Some(format!("{owner}/{}", package["name"].as_str()?).to_ascii_lowercase())
}

/// Instructions for an admin to send a registry's notifications to `url`.
pub fn hook_advice(kind: RegistryKind, url: &str) -> String {
    match kind {
        RegistryKind::Distribution => format!(
            "In the registry's configuration, and with GitLab's packages under registry['notifications']:\n\
             \n\
             notifications:\n  endpoints:\n    - name: silo\n      url: {url}\n      timeout: 2s\n      threshold: 5\n      \
             backoff: 10s\n      ignore:\n        actions: [pull]\n"
        ),
        RegistryKind::GitLab => format!(
            "GitLab's webhooks do not report images; its registry does. In /etc/gitlab/gitlab.rb:\n\
             \n\
             registry['notifications'] = [\n  {{ 'name' => 'silo', 'url' => '{url}', 'timeout' => '2s', 'threshold' \
             => 5, 'backoff' => '10s' }}\n]\n\
             \n\
             Then: gitlab-ctl reconfigure\n"
        ),
        RegistryKind::DockerHub => format!(
            "On hub.docker.com, for each repository: Webhooks, then a name of your own and this address:\n\n{url}\n"
        ),
        RegistryKind::Harbor => format!(
            "In Harbor, for each project: Webhooks, New Webhook, Notify Type http, the events \"Artifact pushed\" and \
             \"Artifact deleted\", either payload format, and this address:\n\n{url}\n"
        ),
        RegistryKind::Quay => format!(
            "In Quay, for each repository: Settings, Create Notification, \"Push to Repository\", Webhook POST, and this \
             address:\n\n{url}\n"
        ),
        RegistryKind::Ghcr => format!(
            "On GitHub, for the organization or the repository: Settings, Webhooks, Add webhook, content type \
             application/json, only the events Packages and Registry packages, the secret that you gave (if you did), and \
             this address:\n\n{url}\n"
        ),
        RegistryKind::Zot => format!(
            "In zot's configuration (a build with the extension events):\n\
             \n\
             \"extensions\": {{\"events\": {{\"enable\": true, \"sinks\": [{{\"type\": \"http\", \"address\": \"{url}\"}}]}}}}\n"
        ),
        RegistryKind::Ecr => format!(
            "In Amazon EventBridge: a rule with the pattern below, and an API destination (POST) with the address \
             below as its target. Its connection may send any API key; it is ignored.\n\
             \n\
             {{\"source\": [\"aws.ecr\"], \"detail-type\": [\"ECR Image Action\"]}}\n{url}\n"
        ),
        RegistryKind::Acr => format!(
            "With Azure's command line:\n\
             \n\
             az acr webhook create --registry REGISTRY --name silo --actions push delete --uri {url}\n"
        ),
        RegistryKind::ArtifactRegistry
        | RegistryKind::Artifactory
        | RegistryKind::Nexus
        | RegistryKind::ContainerYard
        | RegistryKind::Layout
        | RegistryKind::Archive => format!(
            "Registries of this kind send no notifications. The client that pushes, such as a CI job, can send one \
             instead:\n\
             \n\
             curl {url} -d \
             '{{\"events\":[{{\"action\":\"push\",\"target\":{{\"repository\":\"REPOSITORY\",\"tag\":\"TAG\"}}}}]}}'\n"
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> (Option<NotificationSender>, Vec<String>) {
        let notice = RegistryNotification::read(body.to_string().as_bytes(), None).expect("an object");
        (notice.sender, notice.repositories.into_iter().collect())
    }

    fn found(sender: NotificationSender) -> (Option<NotificationSender>, Vec<String>) {
        (Some(sender), vec!["geo/a-seed".to_owned()])
    }

    fn event(action: &str, target: Value) -> Value {
        json!({"id": "1", "action": action, "target": target, "request": {"host": "registry.example.org"}})
    }

    #[test]
    fn docker_registry_and_azure() {
        let tag = json!({"repository": "geo/a-seed", "tag": "1", "digest": "sha256:0", "mediaType": "application/x"});
        let by_digest = json!({"repository": "geo/b-seed", "digest": "sha256:0"});
        let events = [
            event("push", tag.clone()),
            event("push", tag.clone()),
            event("push", json!({"repository": "geo/b-seed", "mediaType": "application/octet-stream"})),
            event(
                "push",
                json!({"repository": "geo/b-seed", "tag": "", "url": "http://x/v2/geo/b-seed/blobs/sha256:0"}),
            ),
            event("pull", json!({"repository": "geo/b-seed", "tag": "1"})),
            event("mount", json!({"repository": "geo/b-seed", "tag": "1"})),
            json!({}),
            json!(7),
        ];
        assert_eq!(read(&json!({"events": events})), found(NotificationSender::Distribution));
        assert_eq!(read(&event("push", tag)), found(NotificationSender::Distribution));
        let b = (Some(NotificationSender::Distribution), vec!["geo/b-seed".to_owned()]);
        let index = json!({"repository": "geo/b-seed", "mediaType": "application/vnd.oci.image.index.v1+json"});
        for (action, target) in [("delete", &by_digest), ("push", &by_digest), ("push", &index)] {
            assert_eq!(read(&json!({"events": [event(action, target.clone())]})), b, "{action} {target}");
        }
        assert_eq!(read(&json!({"events": []})), (Some(NotificationSender::Distribution), vec![]));
    }

    #[test]
    fn docker_hub_and_quay() {
        let hub = json!({
            "callback_url": "https://registry.hub.docker.com/u/geo/a-seed/hook/1/",
            "push_data": {"pushed_at": 1_700_000_000, "tag": "1"},
            "repository": {"repo_name": "geo/a-seed", "namespace": "geo", "name": "a-seed"},
        });
        assert_eq!(read(&hub), found(NotificationSender::DockerHub));
        let mut quay = json!({
            "repository": "geo/a-seed", "namespace": "geo", "name": "a-seed", "docker_url": "quay.io/geo/a-seed",
            "homepage": "https://quay.io/repository/geo/a-seed", "updated_tags": ["1"],
        });
        assert_eq!(read(&quay), found(NotificationSender::Quay));
        quay["updated_tags"] = json!({"latest": "0123456789ab"});
        assert_eq!(read(&quay), found(NotificationSender::Quay), "of old versions");
        quay.as_object_mut().unwrap().remove("updated_tags");
        assert_eq!(
            read(&quay),
            (Some(NotificationSender::Quay), vec![]),
            "a build, which pushes with a notification of its own"
        );
    }

    #[test]
    fn harbor_in_both_formats() {
        let data = json!({
            "resources": [{"digest": "sha256:0", "tag": "1", "resource_url": "harbor.example.org/geo/a-seed:1"}],
            "repository": {"name": "a-seed", "namespace": "geo", "repo_full_name": "geo/a-seed", "repo_type": "public"},
        });
        let own = |kind: &str| json!({"type": kind, "occur_at": 1, "operator": "admin", "event_data": data});
        let cloud =
            |kind: &str| json!({"specversion": "1.0", "id": "1", "source": "/projects/1", "type": kind, "data": data});
        for kind in ["PUSH_ARTIFACT", "DELETE_ARTIFACT"] {
            assert_eq!(read(&own(kind)), found(NotificationSender::Harbor), "{kind}");
        }
        for kind in ["harbor.artifact.pushed", "harbor.artifact.deleted"] {
            assert_eq!(read(&cloud(kind)), found(NotificationSender::Harbor), "{kind}");
        }
        for notice in [own("PULL_ARTIFACT"), own("SCANNING_COMPLETED"), cloud("harbor.artifact.pulled")] {
            assert_eq!(read(&notice), (Some(NotificationSender::Harbor), vec![]));
        }
    }

    #[test]
    fn zot_with_its_type_in_the_body_or_in_a_header() {
        let data =
            json!({"name": "geo/a-seed", "reference": "1", "digest": "sha256:0", "mediaType": "x", "manifest": "{}"});
        for kind in ["zotregistry.image.updated", "zotregistry.image.deleted"] {
            assert_eq!(
                read(&json!({"specversion": "1.0", "type": kind, "data": data})),
                found(NotificationSender::Zot)
            );
            let bare = RegistryNotification::read(data.to_string().as_bytes(), Some(kind)).unwrap();
            assert_eq!((bare.sender, bare.repositories.len()), (Some(NotificationSender::Zot), 1));
        }
        assert_eq!(
            read(&json!({"specversion": "1.0", "type": "zotregistry.repository.created", "data": data})),
            (Some(NotificationSender::Zot), vec![]),
            "an empty repository has nothing to find"
        );
    }

    #[test]
    fn github_and_amazon() {
        for key in ["package", "registry_package"] {
            let package = json!({
                "name": "A-Seed", "namespace": "Geo", "package_type": "CONTAINER", "owner": {"login": "Geo"},
                "package_version": {"version": "sha256:0", "container_metadata": {"tag": {"name": "1"}}},
            });
            assert_eq!(read(&json!({"action": "published", key: package})), found(NotificationSender::GitHub));
            let npm = json!({"name": "a-seed", "namespace": "geo", "package_type": "npm"});
            assert_eq!(read(&json!({"action": "published", key: npm})), (Some(NotificationSender::GitHub), vec![]));
        }
        let ping = json!({"zen": "Design for failure.", "hook_id": 1, "repository": {"full_name": "geo/a-seed"}});
        assert_eq!(read(&ping), (None, vec![]));
        let detail =
            json!({"action-type": "PUSH", "result": "SUCCESS", "repository-name": "geo/a-seed", "image-tag": "1"});
        let action = json!({"version": "0", "detail-type": "ECR Image Action", "source": "aws.ecr", "detail": detail});
        assert_eq!(read(&action), found(NotificationSender::EventBridge));
        let scan = json!({"detail-type": "ECR Image Scan", "detail": detail});
        assert_eq!(read(&scan), (Some(NotificationSender::EventBridge), vec![]));
    }

    #[test]
    fn batches_of_events_name_all_their_repositories() {
        let event = |data: Value| json!({"specversion": "1.0", "type": "zotregistry.image.updated", "data": data});
        let names = |letters: &str| -> Vec<String> { letters.chars().map(|c| format!("geo/{c}-seed")).collect() };
        let batch = json!([
            event(json!({"name": "geo/b-seed"})),
            event(json!({"name": "geo/a-seed"}).to_string().into()),
            {"specversion": "1.0", "type": "zotregistry.image.updated", "data_base64": "eyJuYW1lIjoiZ2VvL2Mtc2VlZCJ9"},
            {"specversion": "1.0", "type": "x", "data": {"events": [
                {"action": "push", "target": {"repository": "geo/d-seed", "tag": "1"}}]}},
            {},
        ]);
        assert_eq!(read(&batch), (Some(NotificationSender::Zot), names("abcd")));
        assert_eq!(read(&json!([])), (None, vec![]), "a batch may be empty");
    }

    #[test]
    fn what_is_no_object_is_no_notification() {
        for body in ["", "null", "[1]", "[[]]", "[{},null]", "\"x\"", "7", "{", "payload=%7B%7D", "{} {}"] {
            assert_eq!(RegistryNotification::read(body.as_bytes(), None), None, "{body}");
        }
        let deep = format!("{{\"events\":{}", "[".repeat(60_000));
        assert_eq!(RegistryNotification::read(deep.as_bytes(), None), None);
    }

    #[test]
    fn each_kind_has_advice_with_the_address_in_it() {
        for kind in RegistryKind::ALL {
            assert!(
                hook_advice(*kind, "https://silo.example.org/hooks/x").contains("https://silo.example.org/hooks/x")
            );
        }
    }

    /// Random JSON with the keys and values of notifications in any place.
    fn notification() -> impl Strategy<Value = Value> {
        const KEYS: [&str; 24] = [
            "events",
            "action",
            "target",
            "repository",
            "tag",
            "push_data",
            "repo_name",
            "type",
            "event_data",
            "repo_full_name",
            "docker_url",
            "updated_tags",
            "package",
            "registry_package",
            "name",
            "namespace",
            "package_type",
            "owner",
            "login",
            "specversion",
            "data",
            "detail-type",
            "detail",
            "repository-name",
        ];
        const WORDS: [&str; 12] = [
            "push",
            "delete",
            "geo/a-seed",
            "../x",
            "A b",
            "PUSH_ARTIFACT",
            "zotregistry.image.updated",
            "harbor.artifact.pushed",
            "container",
            "ECR Image Action",
            "",
            "-x",
        ];
        let leaf = prop_oneof![
            prop::sample::select(&WORDS[..]).prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(&KEYS[..]), inner, 0..6)
                    .prop_map(|map| Value::from_iter(map.into_iter().map(|(key, value)| (key.to_owned(), value)))),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic_or_take_a_name_that_no_repository_can_have(
            body in notification(),
            kind in prop::option::of("(zotregistry.image.updated|harbor.artifact.pushed|x)"),
        ) {
            if let Some(notice) = RegistryNotification::read(body.to_string().as_bytes(), kind.as_deref()) {
                prop_assert!(notice.repositories.iter().all(|name| is_repository(name)));
                prop_assert!(notice.sender.is_some() || notice.repositories.is_empty());
            }
        }

        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            _ = RegistryNotification::read(&body, None);
        }
    }
}
