//! GitLab's container registry: GitLab's API lists the repositories of a group or project; tags with digests come from
//! a listing that the registry has if it keeps a metadata database.
//!
//! The API is on GitLab's own host, which is also the token service that the registry names, so the password is sent
//! there in any case.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderValue, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::super::api::VendorApi;
use super::super::distribution::{DistributionApi, TokenScope, is_unknown, pull};
use super::super::listing::{ListingWalk, next_query};
use super::super::transport::RegistryResponse;
use super::super::{Error, ListedTag, RawListing, RegistryEndpoint, Result};
use super::{ListedDigest, tagged};

/// Page size; GitLab's maximum.
const PAGE: usize = 100;
/// Path of the token service below GitLab's own URL.
pub(super) const TOKEN_PATH: &str = "/jwt/auth";

/// A repository in GitLab's API.
#[derive(Deserialize)]
struct GitLabRepository {
    /// Full path, as in `docker pull`.
    path: String,
}

/// A tag in the registry's own listing.
#[derive(Deserialize)]
struct GitLabTag {
    name: String,
    digest: Option<String>,
    config_digest: Option<String>,
    size_bytes: Option<u64>,
}

impl GitLabTag {
    fn told(self) -> Option<(String, ListedDigest)> {
        Some((self.name, ListedDigest { digest: self.digest?, config: self.config_digest, size: self.size_bytes }))
    }
}

/// `Authorization` of the API, which takes access tokens but no passwords. `None` without credentials.
pub(super) fn authorization(endpoint: &RegistryEndpoint) -> Result<Option<HeaderValue>> {
    let token = endpoint.password.as_ref().map(ExposeSecret::expose_secret).filter(|token| !token.is_empty());
    let Some(token) = token else { return Ok(None) };
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Error::Refused("the password cannot be sent as GitLab's access token".to_owned()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// The repositories of a group with its subgroups, or of a project; `org` is its full path. Without an org, those of
/// the catalogue, which GitLab gives to administrators only.
pub(super) async fn repositories(
    api: &VendorApi,
    distribution: &DistributionApi,
    org: &str,
) -> Result<RawListing<String>> {
    if org.is_empty() {
        return distribution.repositories().await;
    }
    let api = api.at(web(distribution).await?);
    for collection in ["groups", "projects"] {
        if let Some(listing) = list(&api, collection, org).await? {
            return Ok(listing);
        }
    }
    Err(Error::NotFound(format!(
        "GitLab has no group or project {org} that this account may see, or it has no container registry; check its full path, and that the password is an access token with the scopes read_api and read_registry"
    )))
}

/// Base URL of GitLab's API.
async fn web(distribution: &DistributionApi) -> Result<Url> {
    let root = distribution.base().root();
    let Some(mut realm) = distribution.realm().await? else { return Ok(root) };
    let Some(prefix) = realm.path().strip_suffix(TOKEN_PATH) else { return Ok(root) };
    let path = format!("{prefix}/");
    realm.set_path(&path);
    realm.set_query(None);
    realm.set_fragment(None);
    Ok(realm)
}

/// `None`: there is no such group or project.
async fn list(api: &VendorApi, collection: &str, org: &str) -> Result<Option<RawListing<String>>> {
    let what = format!("GitLab's list of the repositories of {org}");
    let mut url =
        api.url(&["api", "v4", collection, org, "registry", "repositories"], &[("per_page", &PAGE.to_string())]);
    let mut walk = ListingWalk::new(api.most_pages());
    for page in 1.. {
        let answer = api.ask(url.clone()).await?;
        if answer.status == StatusCode::NOT_FOUND && walk.is_at_start() {
            return Ok(None);
        }
        let repositories: Vec<GitLabRepository> = api.read(&answer, &what)?;
        let next = next_page(&answer, page, repositories.len());
        if let Some(listing) = walk.take(repositories.into_iter().map(|repository| repository.path).collect(), next) {
            return Ok(Some(listing));
        }
        url.set_query(Some(&walk.query()));
    }
    Ok(None)
}

/// The query of the next page: from the link, else from GitLab's own header, else (if a proxy removed both) the next
/// number while pages are full.
fn next_page(answer: &RegistryResponse, page: u32, entries: usize) -> Option<String> {
    next_query(&answer.headers).or_else(|| {
        let next: u32 = match answer.header("x-next-page") {
            Some(text) => text.trim().parse().ok()?,
            None if entries >= PAGE => page.checked_add(1)?,
            None => return None,
        };
        Some(format!("per_page={PAGE}&page={next}"))
    })
}

/// The tags of a repository, with digests if the registry has its own listing. `is_absent` remembers that it has none.
pub(super) async fn tags(
    distribution: &DistributionApi,
    is_absent: &AtomicBool,
    repository: &str,
) -> Result<RawListing<ListedTag>> {
    if !is_absent.load(Ordering::Relaxed)
        && let Some(listing) = own_tags(distribution, is_absent, repository).await?
    {
        return Ok(listing);
    }
    distribution.tags(repository).await
}

/// `None`: the registry has no such listing, or denies it to this account.
async fn own_tags(
    distribution: &DistributionApi,
    is_absent: &AtomicBool,
    repository: &str,
) -> Result<Option<RawListing<ListedTag>>> {
    let what = format!("GitLab's list of the tags of {repository}");
    let mut url = distribution.base().root();
    url.set_path(&format!("/gitlab/v1/repositories/{repository}/tags/list/"));
    let mut walk = ListingWalk::new(distribution.transport().limits().pages);
    let mut told = HashMap::new();
    loop {
        url.set_query(Some(&walk.query()));
        let answer = distribution.ask_own(url.clone(), TokenScope::Named(&pull(repository))).await?;
        let is_elsewhere = answer.status.is_client_error() || answer.is_html();
        if is_elsewhere && walk.is_at_start() {
            let is_missing = answer.status == StatusCode::NOT_FOUND && !is_unknown(&answer);
            is_absent.fetch_or(is_missing, Ordering::Relaxed);
            return Ok(None);
        }
        if !answer.status.is_success() {
            return Err(distribution.refusal(&answer, &what));
        }
        let page: Vec<GitLabTag> = serde_json::from_slice(&answer.body).map_err(|why| {
            Error::Malformed(format!("{} answers the request for {what} in an unknown form ({why})", answer.host))
        })?;
        let names = page.iter().map(|tag| tag.name.clone()).collect();
        told.extend(page.into_iter().filter_map(GitLabTag::told));
        if let Some(listing) = walk.take(names, next_query(&answer.headers)) {
            return Ok(Some(tagged(listing, told)));
        }
    }
}
