//! What registries send when something was pushed or deleted. Pure, and never more than a hint: the names of the
//! repositories to look into are taken, and only those that a repository can have; nothing is believed about what is in
//! them, and no address in a notification is ever called.
//!
//! Senders are told apart by the shape of what they send, because a relay in between may change the headers.

use std::collections::BTreeSet;

use serde_json::Value;

use super::grammar::is_repository;
use crate::catalog::RegistryKind;

/// Declares the senders with their words.
macro_rules! senders {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// Whose shape a notification has.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Sender {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Sender {
            /// The word in logs and metrics.
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

/// What a notification says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `None`: nothing that we know, such as a sender's test whether somebody is there.
    pub sender: Option<Sender>,
    /// Repositories in which tags were pushed or deleted.
    pub repositories: BTreeSet<String>,
}

impl Notice {
    /// Reads a body. `cloud_event`: the header `Ce-Type`, by which a CloudEvent tells its type when its body is bare
    /// data. `None`: it is not a JSON object.
    pub fn read(body: &[u8], cloud_event: Option<&str>) -> Option<Notice> {
        let body: Value = serde_json::from_slice(body).ok().filter(Value::is_object)?;
        let (sender, names) = named(&body, cloud_event);
        let repositories = names.into_iter().filter(|name| is_repository(name)).collect();
        Some(Notice { sender, repositories })
    }
}

type Named = (Option<Sender>, Vec<String>);

fn named(body: &Value, cloud_event: Option<&str>) -> Named {
    if let Some(events) = body["events"].as_array() {
        return (Some(Sender::Distribution), events.iter().filter_map(distribution).collect());
    }
    if body["target"].is_object() {
        return (Some(Sender::Distribution), distribution(body).into_iter().collect());
    }
    if body["specversion"].is_string() {
        let data = if body["data"].is_object() { &body["data"] } else { &Value::Null };
        return cloud(body["type"].as_str().unwrap_or_default(), data);
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
        return (Some(Sender::DockerHub), text(&body["repository"]["repo_name"]));
    }
    for key in ["package", "registry_package"] {
        if body[key].is_object() {
            return (Some(Sender::GitHub), github(&body[key]).into_iter().collect());
        }
    }
    if body["docker_url"].is_string() {
        // Builds and findings of the scanner come from the same place, but change no tag.
        let is_push = body["updated_tags"].is_array();
        return (Some(Sender::Quay), if is_push { text(&body["repository"]) } else { Vec::new() });
    }
    (None, Vec::new())
}

fn text(value: &Value) -> Vec<String> {
    value.as_str().map(str::to_owned).into_iter().collect()
}

/// Of pushes those count that set a tag: layers, and the manifests below an index, are pushed before it.
fn distribution(event: &Value) -> Option<String> {
    let target = &event["target"];
    let has_tag = target["tag"].as_str().is_some_and(|tag| !tag.is_empty());
    let counts = match event["action"].as_str()? {
        "push" => has_tag,
        "delete" => true,
        _ => false,
    };
    target["repository"].as_str().filter(|_| counts).map(str::to_owned)
}

fn cloud(kind: &str, data: &Value) -> Named {
    match kind {
        "zotregistry.image.updated" | "zotregistry.image.deleted" => (Some(Sender::Zot), text(&data["name"])),
        _ if kind.starts_with("zotregistry.") => (Some(Sender::Zot), Vec::new()),
        _ if kind.starts_with("harbor.") => harbor(kind, data),
        // What relays make of the events of others.
        _ if data["detail-type"].is_string() => event_bridge(data),
        _ => (None, Vec::new()),
    }
}

/// Pulls and findings of the scanner come too, when an admin ticks everything.
fn harbor(kind: &str, data: &Value) -> Named {
    let is_change = matches!(
        kind,
        "PUSH_ARTIFACT"
            | "DELETE_ARTIFACT"
            | "pushImage"
            | "deleteImage"
            | "harbor.artifact.pushed"
            | "harbor.artifact.deleted"
    );
    (Some(Sender::Harbor), if is_change { text(&data["repository"]["repo_full_name"]) } else { Vec::new() })
}

fn event_bridge(body: &Value) -> Named {
    let detail = &body["detail"];
    let is_change = body["detail-type"] == "ECR Image Action" && detail["result"] != "FAILURE";
    (Some(Sender::EventBridge), if is_change { text(&detail["repository-name"]) } else { Vec::new() })
}

/// GitHub writes owners in either case; names of repositories are of one.
fn github(package: &Value) -> Option<String> {
    let kind = package["package_type"].as_str().unwrap_or_default();
    if !kind.eq_ignore_ascii_case("container") {
        return None;
    }
    let owner = package["owner"]["login"].as_str().or(package["namespace"].as_str())?;
    let owner = owner.split('/').next().unwrap_or_default();
    Some(format!("{owner}/{}", package["name"].as_str()?).to_ascii_lowercase())
}

/// What an admin has to set up at a registry so that its notifications come to `url`, in words and ready to be copied.
pub fn hook_advice(kind: RegistryKind, url: &str) -> String {
    match kind {
        RegistryKind::Distribution => format!(
            "In the registry's configuration, and with GitLab's packages under registry['notifications']:\n\
             \n\
             notifications:\n  endpoints:\n    - name: silo\n      url: {url}\n      timeout: 2s\n      threshold: 5\n      \
             backoff: 10s\n      ignore:\n        actions: [pull]\n"
        ),
        RegistryKind::GitLab => format!(
            "GitLab's own webhooks tell nothing of images; its registry does. In /etc/gitlab/gitlab.rb:\n\
             \n\
             registry['notifications'] = [\n  {{ 'name' => 'silo', 'url' => '{url}', 'timeout' => '2s', 'threshold' => 5, \
             'backoff' => '10s' }}\n]\n\
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
            "In Amazon EventBridge: a rule with the pattern below, and an API destination (POST) with the address below as \
             its target. Its connection may send any API key; it is not looked at.\n\
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
            "Registries of this kind send nothing that SILO reads. Whoever pushes, such as a CI job, can tell instead:\n\
             \n\
             curl {url} -d '{{\"events\":[{{\"action\":\"push\",\"target\":{{\"repository\":\"REPOSITORY\",\"tag\":\"TAG\"}}}}]}}'\n"
        ),
    }
}
