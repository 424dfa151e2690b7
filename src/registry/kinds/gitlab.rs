//! GitLab's container registry: the repositories of a group or project by GitLab's own API, and tags with their digests
//! by a listing that its registry has where it keeps a metadata database.
//!
//! The API lives on the host of GitLab itself, which is the token service that the registry names: the password goes
//! there in any case.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderValue, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use url::Url;

use super::super::api::Api;
use super::super::distribution::{Distribution, TokenScope, is_unknown, pull};
use super::super::listing::{Walk, next_query};
use super::super::transport::Answer;
use super::super::{Endpoint, Error, Listing, Result, Tag};
use super::{Told, tagged};

/// Entries of a page; GitLab gives no more.
const PAGE: usize = 100;
/// Where GitLab's token service lies below GitLab's own address.
pub(super) const TOKEN_PATH: &str = "/jwt/auth";

/// What the API gives of a repository.
#[derive(Deserialize)]
struct Repository {
    /// Full path, as in `docker pull`.
    path: String,
}

/// What the registry's own listing gives of a tag.
#[derive(Deserialize)]
struct OwnTag {
    name: String,
    digest: Option<String>,
    config_digest: Option<String>,
    size_bytes: Option<u64>,
}

impl OwnTag {
    fn told(self) -> Option<(String, Told)> {
        Some((self.name, Told { digest: self.digest?, config: self.config_digest, size: self.size_bytes }))
    }
}

/// `Authorization` of the API, which takes access tokens and no passwords. `None` without credentials.
pub(super) fn authorization(endpoint: &Endpoint) -> Result<Option<HeaderValue>> {
    let token = endpoint.password.as_ref().map(ExposeSecret::expose_secret).filter(|token| !token.is_empty());
    let Some(token) = token else { return Ok(None) };
    let mut header = HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Error::Refused("the password cannot be sent as GitLab's access token".to_owned()))?;
    header.set_sensitive(true);
    Ok(Some(header))
}

/// The repositories of a group with everything below it, or of a project; `org` is its full path. Without one, those
/// of the catalogue, which GitLab gives to its administrators only.
pub(super) async fn repositories(api: &Api, distribution: &Distribution, org: &str) -> Result<Listing<String>> {
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

/// Where GitLab's own API begins.
async fn web(distribution: &Distribution) -> Result<Url> {
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
async fn list(api: &Api, collection: &str, org: &str) -> Result<Option<Listing<String>>> {
    let what = format!("GitLab's list of the repositories of {org}");
    let mut url =
        api.url(&["api", "v4", collection, org, "registry", "repositories"], &[("per_page", &PAGE.to_string())]);
    let mut walk = Walk::new(api.most_pages());
    for page in 1.. {
        let answer = api.ask(url.clone()).await?;
        if answer.status == StatusCode::NOT_FOUND && walk.is_at_start() {
            return Ok(None);
        }
        let repositories: Vec<Repository> = api.read(&answer, &what)?;
        let next = next_page(&answer, page, repositories.len());
        if let Some(listing) = walk.take(repositories.into_iter().map(|repository| repository.path).collect(), next) {
            return Ok(Some(listing));
        }
        url.set_query(Some(&walk.query()));
    }
    Ok(None)
}

/// The query of the page after this one: by its link, by GitLab's own header, and where a proxy took both away, the
/// next number for as long as pages are full.
fn next_page(answer: &Answer, page: u32, entries: usize) -> Option<String> {
    next_query(&answer.headers).or_else(|| {
        let next: u32 = match answer.header("x-next-page") {
            Some(text) => text.trim().parse().ok()?,
            None if entries >= PAGE => page.checked_add(1)?,
            None => return None,
        };
        Some(format!("per_page={PAGE}&page={next}"))
    })
}

/// The tags of a repository, with digests where the registry has its own listing. `is_absent` remembers that it has
/// none.
pub(super) async fn tags(
    distribution: &Distribution,
    is_absent: &AtomicBool,
    repository: &str,
) -> Result<Listing<Tag>> {
    if !is_absent.load(Ordering::Relaxed)
        && let Some(listing) = own_tags(distribution, is_absent, repository).await?
    {
        return Ok(listing);
    }
    distribution.tags(repository).await
}

/// `None`: the registry has no such listing, or does not give it to this account.
async fn own_tags(
    distribution: &Distribution,
    is_absent: &AtomicBool,
    repository: &str,
) -> Result<Option<Listing<Tag>>> {
    let what = format!("GitLab's list of the tags of {repository}");
    let mut url = distribution.base().root();
    url.set_path(&format!("/gitlab/v1/repositories/{repository}/tags/list/"));
    let mut walk = Walk::new(distribution.transport().limits().pages);
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
        let page: Vec<OwnTag> = serde_json::from_slice(&answer.body)
            .map_err(|why| Error::Malformed(format!("{} answers {what} with something else ({why})", answer.host)))?;
        let names = page.iter().map(|tag| tag.name.clone()).collect();
        told.extend(page.into_iter().filter_map(OwnTag::told));
        if let Some(listing) = walk.take(names, next_query(&answer.headers)) {
            return Ok(Some(tagged(listing, told)));
        }
    }
}
