//! GHCR, GitHub's container registry: GitHub's API lists packages and their versions, whose names are digests. It
//! requires a classic token, even for public packages; without one, tags come from the registry itself.

use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::super::address::RegistryBaseUrl;
use super::super::api::VendorApi;
use super::super::distribution::DistributionApi;
use super::super::grammar::is_digest;
use super::super::listing::next_query;
use super::super::transport::HttpTransport;
use super::super::{Error, ListedTag, RawListing, RegistryEndpoint, Result};
use super::page_walk::PageWalk;

const HOST: &str = "ghcr.io";
const INTERFACE: &str = "https://api.github.com";
/// Page size; GitHub's maximum.
const PAGE: usize = 100;
const ADVICE: &str = "GitHub requires a classic token with the scope read:packages as password";

pub(super) fn is_here(host: &str) -> bool {
    host == HOST
}

/// Base URL of `/v2/` and root URL of the API. A host other than GitHub's own serves both.
pub(super) fn places(given: RegistryBaseUrl) -> Result<(RegistryBaseUrl, Url)> {
    let root = if is_here(&given.host()) { RegistryBaseUrl::parse(INTERFACE)?.root() } else { given.root() };
    Ok((given, root))
}

/// The API client, with a login if there is a token.
pub(super) fn api(transport: Arc<HttpTransport>, root: Url, endpoint: &RegistryEndpoint) -> Result<VendorApi> {
    let token = endpoint.password.as_ref().map(|token| {
        let header = HeaderValue::try_from(format!("Bearer {}", token.expose_secret()));
        let mut header = header.map_err(|_| Error::Refused("the password cannot be sent".to_owned()))?;
        header.set_sensitive(true);
        Ok(header)
    });
    let api = VendorApi::new(transport, root, token.transpose()?).with_header("x-github-api-version", "2022-11-28");
    Ok(api.with_etag_cache(PAGE))
}

/// The API path of an owner's packages, `orgs` or `users`, once known.
#[derive(Default)]
pub(super) struct GitHubOwnerKind(OnceLock<&'static str>);

impl GitHubOwnerKind {
    fn candidate_collections(&self) -> &[&'static str] {
        self.0.get().map_or(&["orgs", "users"], std::slice::from_ref)
    }

    fn learn(&self, half: &'static str) {
        self.0.get_or_init(|| half);
    }
}

/// Checks that the token may list packages.
pub(super) async fn ping(api: &VendorApi, org: &str) -> Result<()> {
    let first = "package_type=container&per_page=1";
    owned(api, org, &GitHubOwnerKind::default(), first, 1).await.map(drop)
}

/// The packages of an organization or user; without an org, those of the token's own user.
pub(super) async fn repositories(api: &VendorApi, org: &str, owner: &GitHubOwnerKind) -> Result<RawListing<String>> {
    let found = owned(api, org, owner, "package_type=container&per_page=100", api.most_pages()).await?;
    let names = found.items.into_iter().map(|package| {
        let login = package.owner.map(|owner| owner.login).filter(|login| !login.is_empty());
        format!("{}/{}", login.as_deref().unwrap_or(org), package.name).to_ascii_lowercase()
    });
    Ok(RawListing { items: names.collect(), truncated: found.truncated })
}

/// The tags of a package with their digests; without digests if the token may not list versions.
pub(super) async fn tags(
    api: &VendorApi,
    distribution: &DistributionApi,
    repository: &str,
    owner: &GitHubOwnerKind,
) -> Result<RawListing<ListedTag>> {
    let (login, package) = repository.split_once('/').unwrap_or_default();
    if !api.has_login() || package.is_empty() {
        return distribution.tags(repository).await;
    }
    let what = format!("the versions of {repository}");
    for &half in owner.candidate_collections() {
        let path = [half, login, "packages", "container", package, "versions"];
        let name = |version: &GitHubPackageVersion| version.name.clone();
        match walk(api, &path, "state=active&per_page=100", api.most_pages(), &what, name).await {
            Ok(found) => {
                owner.learn(half);
                let items = found.items.into_iter().flat_map(GitHubPackageVersion::tags).collect();
                return Ok(RawListing { items, truncated: found.truncated });
            }
            Err(Error::NotFound(_)) => {}
            Err(Error::Forbidden(_)) => break,
            Err(why) => return Err(why),
        }
    }
    distribution.tags(repository).await
}

/// A package in GitHub's API: a repository of GHCR.
#[derive(Deserialize)]
struct GitHubPackage {
    name: String,
    owner: Option<GitHubAccount>,
}

/// The owner of a package.
#[derive(Deserialize)]
struct GitHubAccount {
    #[serde(default)]
    login: String,
}

/// A version of a package: a manifest and its tags.
#[derive(Deserialize)]
struct GitHubPackageVersion {
    /// The digest of a manifest.
    name: String,
    metadata: Option<GitHubPackageMetadata>,
}

/// Metadata of a package version.
#[derive(Deserialize)]
struct GitHubPackageMetadata {
    container: Option<GitHubContainerMetadata>,
}

/// Container part of the metadata of a package version.
#[derive(Deserialize)]
struct GitHubContainerMetadata {
    tags: Option<Vec<String>>,
}

impl GitHubPackageVersion {
    fn tags(self) -> impl Iterator<Item = ListedTag> {
        let digest = is_digest(&self.name).then_some(self.name);
        let tags = self.metadata.and_then(|metadata| metadata.container).and_then(|container| container.tags);
        tags.unwrap_or_default().into_iter().map(move |name| ListedTag::new(name, digest.clone()))
    }
}

async fn owned(
    api: &VendorApi,
    org: &str,
    owner: &GitHubOwnerKind,
    first: &str,
    pages: u32,
) -> Result<RawListing<GitHubPackage>> {
    if !api.has_login() {
        return Err(Error::LoginRequired(format!(
            "the packages of GHCR cannot be listed without a login, not even public ones; {ADVICE} (any user name)"
        )));
    }
    let what = if org.is_empty() { "your packages".to_owned() } else { format!("the packages of {org}") };
    let name = |package: &GitHubPackage| package.name.clone();
    let mut outcome = Err(Error::NotFound(format!("GitHub knows no owner {org}; check the org")));
    if org.is_empty() {
        outcome = walk(api, &["user", "packages"], first, pages, &what, name).await;
    } else {
        for &half in owner.candidate_collections() {
            match walk(api, &[half, org, "packages"], first, pages, &what, name).await {
                Err(Error::NotFound(_)) => {}
                found => {
                    if found.is_ok() {
                        owner.learn(half);
                    }
                    outcome = found;
                    break;
                }
            }
        }
    }
    outcome.map_err(|why| match why {
        Error::Forbidden(why) => Error::Forbidden(format!("{why}; {ADVICE}")),
        why => why,
    })
}

/// All items of a listing, each name once.
async fn walk<T: DeserializeOwned>(
    api: &VendorApi,
    path: &[&str],
    first: &str,
    most_pages: u32,
    what: &str,
    name: impl Fn(&T) -> String,
) -> Result<RawListing<T>> {
    let mut pages = PageWalk::new(first, most_pages);
    let mut items = Vec::new();
    while let Some(query) = pages.query() {
        let mut url = api.url(path, &[]);
        url.set_query(Some(&query));
        let answer = api.ask(url).await?;
        let page: Vec<T> = api.read(&answer, what)?;
        items.extend(page.into_iter().filter(|item| pages.is_new(&name(item))));
        pages.turn(next_query(&answer.headers));
    }
    Ok(RawListing { items, truncated: pages.truncated() })
}
