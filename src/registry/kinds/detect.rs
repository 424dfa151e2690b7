//! Detects the kind of the registry at an address: from the address, else from probes.
//!
//! The host may be anyone's, so probes carry no credentials, follow no redirects, and are few, small and short. What
//! they cannot tell counts as [`RegistryKind::Distribution`], which works everywhere.

use std::collections::HashMap;
use std::time::Duration;

use http::header::{SERVER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use url::Url;

use super::super::address::RegistryBaseUrl;
use super::super::transport::{HttpTransport, RegistryRequest, RegistryResponse, TransportCaller};
use super::super::{RegistryEndpoint, RegistryLimits, RemoteHosts, Result};
use super::{ecr, gitlab};
use crate::catalog::RegistryKind;
use crate::registry::login::challenge;
use crate::registry::transport::client::HttpClients;

/// Time limit of all probes together.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time limit of one probe.
const PROBE_PATIENCE: Duration = Duration::from_secs(3);
/// Size cap of a response, bytes; Quay returns the description of its whole API.
const PROBE_BODY: usize = 2 << 20;

/// Well-known hosts; a leading dot stands for any subdomain.
const HOSTS: [(&str, RegistryKind); 15] = [
    ("docker.io", RegistryKind::DockerHub),
    ("index.docker.io", RegistryKind::DockerHub),
    ("registry-1.docker.io", RegistryKind::DockerHub),
    ("hub.docker.com", RegistryKind::DockerHub),
    ("ghcr.io", RegistryKind::Ghcr),
    ("quay.io", RegistryKind::Quay),
    ("public.ecr.aws", RegistryKind::Ecr),
    ("gcr.io", RegistryKind::ArtifactRegistry),
    (".gcr.io", RegistryKind::ArtifactRegistry),
    (".pkg.dev", RegistryKind::ArtifactRegistry),
    // Azure's public cloud, and its clouds for China and the US government.
    (".azurecr.io", RegistryKind::Acr),
    (".azurecr.cn", RegistryKind::Acr),
    (".azurecr.us", RegistryKind::Acr),
    ("registry.gitlab.com", RegistryKind::GitLab),
    (".jfrog.io", RegistryKind::Artifactory),
];

/// Detects the kind of a registry: from the address, else from probes.
///
/// # Errors
/// [`Error::Refused`](super::super::Error::Refused) for an invalid address.
pub(in crate::registry) async fn detect(
    endpoint: &RegistryEndpoint,
    limits: &RegistryLimits,
    hosts: &RemoteHosts,
) -> Result<RegistryKind> {
    if let Some(kind) = by_address(&endpoint.url) {
        return Ok(kind);
    }
    let base = RegistryBaseUrl::parse(&endpoint.url)?;
    let limits = RegistryLimits {
        tries: 1,
        connect_timeout: limits.connect_timeout.min(PROBE_PATIENCE),
        request_timeout: limits.request_timeout.min(PROBE_PATIENCE),
        ..limits.clone()
    };
    let caller = TransportCaller {
        kind: RegistryKind::Distribution,
        account: String::new(),
        hosts: vec![base.host()],
        ceiling: limits.concurrency,
    };
    let clients = HttpClients::new(&base, &base.root(), &endpoint.tls, &limits)?;
    let transport = HttpTransport::new(hosts, &limits, clients, caller).without_redirects();
    transport.insist();
    let found = tokio::time::timeout(PATIENCE, by_answers(&transport, &base)).await;
    Ok(found.ok().flatten().unwrap_or(RegistryKind::Distribution))
}

/// The kind of a well-known address. `None`: unknown.
pub(super) fn by_address(text: &str) -> Option<RegistryKind> {
    let text = text.trim().to_ascii_lowercase();
    if text.starts_with('/') || text.starts_with("file:") {
        let is_archive = [".tar", ".tar.gz", ".tgz"].iter().any(|ending| text.ends_with(ending));
        return Some(if is_archive { RegistryKind::Archive } else { RegistryKind::Layout });
    }
    let root = RegistryBaseUrl::parse(&text).ok()?.root();
    // Another port is another server.
    let host = root.host_str().filter(|_| root.port().is_none())?.trim_end_matches('.');
    if ecr::is_here(host) {
        return Some(RegistryKind::Ecr);
    }
    let is_host = |name: &str| host == name || (name.starts_with('.') && host.ends_with(name));
    HOSTS.iter().find(|(name, _)| is_host(name)).map(|(_, kind)| *kind)
}

/// The kind from the responses to probes. `None`: unknown, or nothing responds.
async fn by_answers(transport: &HttpTransport, base: &RegistryBaseUrl) -> Option<RegistryKind> {
    let greeting = ask(transport, base.url("", None)).await?;
    if let Some(kind) = by_greeting(&greeting.headers) {
        return Some(kind);
    }
    // If `/v2/` is no registry, the later ping reports it.
    if !matches!(greeting.status, StatusCode::OK | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return None;
    }
    let root = |path: &str| {
        let mut url = base.root();
        url.set_path(path);
        url
    };
    let (harbor, zot, quay) = tokio::join!(
        probe(transport, root("/api/v2.0/systeminfo"), is_harbor),
        probe(transport, base.url("_oci/ext/discover", None), is_zot),
        probe(transport, root("/api/v1/discovery"), is_quay),
    );
    [(harbor, RegistryKind::Harbor), (zot, RegistryKind::Zot), (quay, RegistryKind::Quay)]
        .into_iter()
        .find(|(is_it, _)| *is_it)
        .map(|(_, kind)| kind)
}

/// The kind from the headers of the response at `/v2/`.
fn by_greeting(headers: &HeaderMap) -> Option<RegistryKind> {
    let server = headers.get(SERVER).map(|server| server.as_bytes().to_ascii_lowercase()).unwrap_or_default();
    if headers.contains_key("x-artifactory-id") || headers.contains_key("x-jfrog-version") {
        return Some(RegistryKind::Artifactory);
    }
    if server.starts_with(b"nexus/") {
        return Some(RegistryKind::Nexus);
    }
    match challenge::method(headers.get_all(WWW_AUTHENTICATE).iter().map(HeaderValue::as_bytes))? {
        challenge::LoginMethod::Bearer { realm, .. } => {
            let path = realm.split(['?', '#']).next().unwrap_or_default();
            path.ends_with(gitlab::TOKEN_PATH).then_some(RegistryKind::GitLab)
        }
        challenge::LoginMethod::Basic => None,
    }
}

async fn ask(transport: &HttpTransport, url: Url) -> Option<RegistryResponse> {
    let accept = "application/json";
    let request = RegistryRequest {
        method: Method::GET,
        url,
        accept,
        authorization: None,
        headers: HeaderMap::new(),
        json: None,
        cap: PROBE_BODY,
    };
    transport.send(&request).await.ok()
}

/// Whether the response is one that only this kind gives.
async fn probe<T: DeserializeOwned>(transport: &HttpTransport, url: Url, is_it: impl Fn(T) -> bool) -> bool {
    let answer = ask(transport, url).await.filter(|answer| answer.status.is_success());
    answer.and_then(|answer| serde_json::from_slice(&answer.body).ok()).is_some_and(is_it)
}

/// `GET /api/v2.0/systeminfo`: anonymous clients get the login method, and not always the version.
#[derive(Deserialize)]
struct HarborSystemProbe {
    harbor_version: Option<Value>,
    auth_mode: Option<Value>,
}

fn is_harbor(info: HarborSystemProbe) -> bool {
    [info.harbor_version, info.auth_mode].iter().flatten().any(Value::is_string)
}

/// `GET /v2/_oci/ext/discover` (OCI distribution specification, "Extensions").
#[derive(Deserialize)]
struct OciExtensionList {
    extensions: Vec<OciExtension>,
}

/// One extension of a registry.
#[derive(Deserialize)]
struct OciExtension {
    name: String,
}

fn is_zot(found: OciExtensionList) -> bool {
    found.extensions.iter().any(|extension| extension.name == "_zot" || extension.name.starts_with("_zot/"))
}

/// `GET /api/v1/discovery`: a description of the API.
#[derive(Deserialize)]
struct QuayDiscovery {
    paths: HashMap<String, IgnoredAny>,
}

fn is_quay(found: QuayDiscovery) -> bool {
    found.paths.keys().any(|path| path.starts_with("/api/v1/repository"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_that_tell() {
        use RegistryKind as Kind;
        for (kind, addresses) in [
            (
                Kind::DockerHub,
                &["docker.io", "https://index.docker.io/v1/", "registry-1.docker.io", "HUB.docker.com/"][..],
            ),
            (Kind::Ghcr, &["ghcr.io", "https://ghcr.io/v2/"]),
            (Kind::Quay, &["quay.io", " quay.io. ", "https://quay.io:443"]),
            (
                Kind::Ecr,
                &[
                    "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                    "https://123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                    "123456789012.dkr.ecr-fips.us-east-1.amazonaws.com",
                    "public.ecr.aws",
                ],
            ),
            (Kind::ArtifactRegistry, &["gcr.io", "eu.gcr.io", "europe-docker.pkg.dev/project/repo"]),
            (Kind::Acr, &["mine.azurecr.io", "mine.azurecr.cn"]),
            (Kind::GitLab, &["registry.gitlab.com"]),
            (Kind::Artifactory, &["mine.jfrog.io"]),
            (Kind::Layout, &["/data/demo", "file:///data/demo", "/data/a.tar/demo"]),
            (Kind::Archive, &["/data/a.tar", "file:///data/A.TAR", "/data/a.tar.gz", "/data/a.tgz"]),
        ] {
            for address in addresses {
                assert_eq!(by_address(address), Some(kind), "{address}");
            }
        }
    }

    #[test]
    fn addresses_that_do_not_tell() {
        for address in [
            "",
            "registry.example.org",
            "localhost:5000",
            "docker.io:5000",
            "docker.io.example.org",
            "notdocker.io",
            "notgcr.io",
            "gcr.io.example.org",
            "azurecr.io",
            "pkg.dev",
            "gitlab.com",
            "registry.gitlab.example.org",
            "amazonaws.com",
            "ecr.eu-west-1.amazonaws.com",
            "dkr.ecr.eu-west-1.amazonaws.com",
            "x.dkr.ecr.a.b.amazonaws.com",
            "x.dkr.ecr.eu-west-1.amazonaws.com.example.org",
            "https://user:hunter2@ghcr.io",
            "a.tar",
        ] {
            assert_eq!(by_address(address), None, "{address}");
        }
    }

    #[test]
    fn greetings() {
        let kind = |name: &'static str, value: &'static str| {
            by_greeting(&HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]))
        };
        assert_eq!(kind("x-artifactory-id", "1"), Some(RegistryKind::Artifactory));
        assert_eq!(kind("server", "Nexus/3.70 (OSS)"), Some(RegistryKind::Nexus));
        let realm = r#"Bearer realm="https://gitlab.example.org/jwt/auth",service="container_registry""#;
        assert_eq!(kind("www-authenticate", realm), Some(RegistryKind::GitLab));
        for (name, value) in [
            ("server", "nginx"),
            ("x-nexus", "Nexus/3"),
            ("www-authenticate", r#"Bearer realm="https://auth.example.org/token""#),
            ("www-authenticate", r#"Basic realm="https://gitlab.example.org/jwt/auth""#),
        ] {
            assert_eq!(kind(name, value), None, "{name}: {value}");
        }
    }

    proptest! {
        #[test]
        fn any_address_is_read(text in "\\PC{0,80}") {
            by_address(&text);
        }
    }
}
