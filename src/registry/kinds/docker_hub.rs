//! Docker Hub: its API lists the repositories of one namespace, and tags with digests. Manifests and configs come from
//! its registry, where each GET of a manifest counts as a pull.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::super::address::RegistryBaseUrl;
use super::super::api::VendorApi;
use super::super::grammar::{is_digest, is_repository, printable};
use super::super::transport::{HttpTransport, RegistryResponse};
use super::super::{Error, ListedTag, RawListing, RegistryEndpoint, Result};
use super::ChangeSignals;
use super::page_walk::PageWalk;
use crate::registry::login::token::TokenCache;

/// Docker Hub's host names. The first is used in pull references.
const HOSTS: [&str; 4] = ["docker.io", "index.docker.io", "registry-1.docker.io", "hub.docker.com"];
const REGISTRY: &str = "https://registry-1.docker.io";
const INTERFACE: &str = "https://hub.docker.com";
/// Lifetime of an API token, by Docker Hub's documentation.
const TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);

pub(super) fn is_here(host: &str) -> bool {
    HOSTS.contains(&host)
}

/// The host in pull references for a registry at this host: all host names of Docker Hub become `docker.io`.
pub fn pull_host(host: &str) -> &str {
    if is_here(host) { HOSTS[0] } else { host }
}

/// Base URL of `/v2/` and root URL of the API. A host other than Docker Hub's own serves both.
pub(super) fn places(given: RegistryBaseUrl) -> Result<(RegistryBaseUrl, Url)> {
    if is_here(&given.host()) {
        return Ok((RegistryBaseUrl::parse(REGISTRY)?, RegistryBaseUrl::parse(INTERFACE)?.root()));
    }
    let root = given.root();
    Ok((given, root))
}

/// The API client, with a login if there are credentials: a password, or an access token of a person or organization.
pub(super) fn api(transport: Arc<HttpTransport>, root: Url, endpoint: &RegistryEndpoint) -> Result<VendorApi> {
    let api = VendorApi::new(transport, root, None);
    let Some(password) = &endpoint.password else { return Ok(api) };
    let credentials = json!({"identifier": endpoint.username, "secret": password.expose_secret()});
    let realm = api.url(&["v2", "auth", "token"], &[]);
    Ok(api.with_tokens(TokenCache::exchanged(realm, SecretString::from(credentials.to_string()), TOKEN_LIFE)))
}

/// Checks that the namespace exists and the credentials work.
pub(super) async fn ping(api: &VendorApi, org: &str) -> Result<()> {
    let namespace = namespace(org)?;
    let url = api.url(&["v2", "namespaces", namespace, "repositories"], &[("page_size", "1")]);
    match api.get::<DockerHubPage>(url, &format!("the namespace {namespace}")).await {
        Err(Error::NotFound(why)) => Err(Error::NotFound(format!("{why}; check the name of the namespace (org)"))),
        other => other.map(drop),
    }
}

/// The repositories of a namespace, newest first.
pub(super) async fn repositories(api: &VendorApi, org: &str, signals: &ChangeSignals) -> Result<RawListing<String>> {
    let namespace = namespace(org)?;
    let path = ["v2", "namespaces", namespace, "repositories"];
    let what = format!("the repositories of {namespace}");
    let found = walk(api, &path, "page_size=100&ordering=-last_updated", &what).await?;
    let names = found.items.into_iter().map(|row| {
        let name = format!("{namespace}/{}", row.name);
        signals.note(&name, row.last_updated);
        name
    });
    Ok(RawListing { items: names.collect(), truncated: found.truncated })
}

/// The tags of a repository with their digests, newest first: if the pull quota runs out during a scan, the newest were
/// read.
pub(super) async fn tags(api: &VendorApi, repository: &str) -> Result<RawListing<ListedTag>> {
    let (namespace, name) = repository.split_once('/').unwrap_or_default();
    let path = ["v2", "namespaces", namespace, "repositories", name, "tags"];
    match walk(api, &path, "page_size=100&ordering=last_updated", &format!("the tags of {repository}")).await {
        Ok(found) => Ok(RawListing { items: found.items.into_iter().map(tag).collect(), truncated: found.truncated }),
        Err(Error::NotFound(_)) => Ok(RawListing { items: Vec::new(), truncated: None }),
        Err(why) => Err(why),
    }
}

/// Checks the namespace, which is required: Docker Hub has no listing of all repositories.
pub(super) fn namespace(org: &str) -> Result<&str> {
    if org.is_empty() {
        return Err(Error::Refused(
            "Docker Hub lists the repositories of one namespace at a time; give it as the org (such as --org \
             geointseed)"
                .to_owned(),
        ));
    }
    if org.contains('/') || !is_repository(org) {
        return Err(Error::Refused(format!(
            "'{}' cannot be a namespace of Docker Hub; the org is the part of its addresses before the image, such as geointseed",
            printable(org)
        )));
    }
    Ok(org)
}

/// A page of a Docker Hub listing.
#[derive(Deserialize)]
struct DockerHubPage {
    #[serde(default)]
    count: usize,
    next: Option<String>,
    results: Vec<DockerHubEntry>,
}

/// A repository, or a tag.
#[derive(Deserialize)]
struct DockerHubEntry {
    name: String,
    /// Of a tag: digest of its manifest or index; missing for old pushes.
    digest: Option<String>,
    images: Option<Vec<DockerHubImage>>,
    /// Of a repository.
    last_updated: Option<String>,
}

/// One platform's image of a tag.
#[derive(Deserialize)]
struct DockerHubImage {
    digest: Option<String>,
}

/// All entries of a listing. If a deletion moves the end, the next page may be a 404.
async fn walk(api: &VendorApi, path: &[&str], first: &str, what: &str) -> Result<RawListing<DockerHubEntry>> {
    let mut pages = PageWalk::new(first, api.most_pages());
    let (mut items, mut count) = (Vec::new(), 0);
    while let Some(query) = pages.query() {
        let mut url = api.url(path, &[]);
        url.set_query(Some(&query));
        let answer = api.ask(url).await?;
        if answer.status == StatusCode::NOT_FOUND && !is_own(&answer) {
            return Err(answer.unexpected(what)); // a proxy's 404 must not count as a deleted resource
        }
        if answer.status == StatusCode::NOT_FOUND && !pages.is_first() {
            if pages.names() < count {
                pages.cut(format!("it ended after {} of {count}", pages.names()));
            }
            break;
        }
        let page: DockerHubPage = api.read(&answer, what)?;
        count = page.count;
        items.extend(page.results.into_iter().filter(|row| pages.is_new(&row.name)));
        let next = page.next.filter(|next| !next.is_empty());
        pages.turn(next.map(|next| next.split_once('?').map(|(_, query)| query).unwrap_or_default().to_owned()));
    }
    Ok(RawListing { items, truncated: pages.truncated() })
}

/// Whether the error has the API's own format, a JSON object.
fn is_own(answer: &RegistryResponse) -> bool {
    serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&answer.body).is_ok()
}

/// Converts an entry to a tag. Without a digest of its own, it takes that of its only image.
fn tag(row: DockerHubEntry) -> ListedTag {
    let single = match row.images.as_deref() {
        Some([image]) => image.digest.clone(),
        _ => None,
    };
    let digest = row.digest.filter(|digest| is_digest(digest)).or(single).filter(|digest| is_digest(digest));
    ListedTag::new(row.name, digest)
}
