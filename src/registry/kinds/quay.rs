//! Quay, quay.io or self-hosted: its API lists the repositories of a namespace, and tags with their digests.
//!
//! The API `/api/v1` takes only OAuth tokens, given as password with the user name `$oauthtoken` or none. Robot
//! accounts and users with a password may use only `/v2/`: for them the API is called anonymously, and never gets their
//! password.

use std::collections::{BTreeMap, HashSet};

use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::super::api::VendorApi;
use super::super::distribution::DistributionApi;
use super::super::grammar::is_digest;
use super::super::{Error, FetchedContent, ImageConfig, ListedTag, RawListing, RegistryEndpoint, Result};
use super::ChangeSignals;
use super::page_walk::PageWalk;

const API: [&str; 2] = ["api", "v1"];
/// User name for an OAuth token at `/v2/`.
const TOKEN_USER: &str = "$oauthtoken";
/// Page size of tags; Quay's maximum.
const PAGE: usize = 100;
/// Prefix of the labels that are requested; other labels can be many, and are not used.
const PREFIX: &str = "com.ngageoint";
/// `source_type` of labels from the image itself. Other labels are set by hand, and may be removed.
const FROM_IMAGE: &str = "manifest";

/// A page of Quay's repository listing.
#[derive(Deserialize)]
struct QuayRepositoryPage {
    repositories: Vec<QuayRepository>,
    next_page: Option<String>,
}

/// A repository in Quay's API.
#[derive(Deserialize)]
struct QuayRepository {
    namespace: String,
    name: String,
    /// Time of the newest existing tag.
    last_modified: Option<i64>,
}

/// A page of Quay's tag listing.
#[derive(Deserialize)]
struct QuayTagPage {
    tags: Vec<QuayTag>,
    has_additional: Option<bool>,
}

/// A tag in Quay's API.
#[derive(Deserialize)]
struct QuayTag {
    name: String,
    manifest_digest: Option<String>,
    is_manifest_list: Option<bool>,
}

/// The labels of a manifest in Quay's API.
#[derive(Deserialize)]
struct QuayLabelList {
    labels: Vec<QuayLabel>,
}

/// A label in Quay's API.
#[derive(Deserialize)]
struct QuayLabel {
    key: String,
    value: String,
    source_type: Option<String>,
}

/// Digests that listings marked as no manifest list. Labels of a manifest list do not belong to a runnable image.
#[derive(Default)]
pub(super) struct SingleImageDigests(Mutex<HashSet<String>>);

impl SingleImageDigests {
    fn add(&self, digest: &str) {
        self.0.lock().insert(digest.to_owned());
    }

    fn take(&self, digest: &str) -> bool {
        self.0.lock().remove(digest)
    }
}

/// `Authorization` for the API, and the endpoint with the credentials for `/v2/`.
pub(super) fn logins(endpoint: &RegistryEndpoint) -> Result<(Option<HeaderValue>, RegistryEndpoint)> {
    let password = endpoint.password.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
    if password.is_empty() || !matches!(endpoint.username.as_str(), "" | TOKEN_USER) {
        return Ok((None, endpoint.clone()));
    }
    let mut bearer = HeaderValue::try_from(format!("Bearer {password}"))
        .map_err(|_| Error::Refused("the OAuth token cannot be sent; enter it again as password".to_owned()))?;
    bearer.set_sensitive(true);
    Ok((Some(bearer), RegistryEndpoint { username: TOKEN_USER.to_owned(), ..endpoint.clone() }))
}

/// Checks that a namespace is given, and that `/v2/` and the API respond.
pub(super) async fn ping(api: &VendorApi, v2: &DistributionApi, org: &str) -> Result<()> {
    let namespace = namespace(org)?;
    v2.ping().await?;
    let answer = api.ask(page(api, namespace, None)).await?;
    if lacks_oauth_token(api, v2) && is_refused(answer.status) {
        return Ok(()); // the account may see more at /v2/
    }
    api.read::<QuayRepositoryPage>(&answer, &repositories_of(namespace)).map(drop)
}

/// The repositories of a namespace. Without an OAuth token: the public ones, and those that the catalogue of `/v2/`
/// shows to the account.
pub(super) async fn repositories(
    api: &VendorApi,
    v2: &DistributionApi,
    org: &str,
    signals: &ChangeSignals,
) -> Result<RawListing<String>> {
    let namespace = namespace(org)?;
    let open = listed(api, namespace, signals).await;
    if !lacks_oauth_token(api, v2) {
        return open;
    }
    match (v2.repositories().await, open) {
        (Ok(own), Ok(open)) => Ok(union(own, open)),
        // There are no public repositories here, so the account's own are complete.
        (Ok(own), Err(Error::LoginRequired(_))) => Ok(own),
        (Ok(own), Err(why)) => Ok(RawListing { truncated: own.truncated.or(Some(why.to_string())), ..own }),
        (Err(why @ (Error::Forbidden(_) | Error::LoginRequired(_) | Error::NotFound(_))), Ok(open)) => {
            let why = format!("only public repositories: {}", advice(&why));
            Ok(RawListing { truncated: open.truncated.or(Some(why)), ..open })
        }
        (Err(why @ (Error::Forbidden(_) | Error::LoginRequired(_) | Error::NotFound(_))), Err(_)) => {
            Err(Error::Forbidden(advice(&why)))
        }
        (Err(why), _) => Err(why),
    }
}

/// The tags of a repository with their digests; by `/v2/` if the API does not list them.
pub(super) async fn tags(
    api: &VendorApi,
    v2: &DistributionApi,
    plain: &SingleImageDigests,
    repository: &str,
) -> Result<RawListing<ListedTag>> {
    match tags_by_api(api, plain, repository).await {
        Err(Error::NotFound(_) | Error::Forbidden(_) | Error::LoginRequired(_)) => v2.tags(repository).await,
        listing => listing,
    }
}

/// Content of a digest, from the labels of its image: one request instead of a manifest and a config. `None` for a
/// manifest list, and if no label is found: artifacts that are no images have none either, and Quay does not
/// distinguish them.
pub(super) async fn content(
    api: &VendorApi,
    plain: &SingleImageDigests,
    repository: &str,
    digest: &str,
) -> Result<Option<FetchedContent>> {
    if !plain.take(digest) {
        return Ok(None);
    }
    let url = api.url(&path(repository, &["manifest", digest, "labels"]), &[("filter", PREFIX)]);
    let answer = api.ask(url).await?;
    if is_refused(answer.status) && !(answer.status == StatusCode::UNAUTHORIZED && api.has_login()) {
        return Ok(None);
    }
    let told: QuayLabelList = api.read(&answer, &format!("the labels of {repository}@{digest} (Quay)"))?;
    let from_image = told.labels.into_iter().filter(|label| label.source_type.as_deref() == Some(FROM_IMAGE));
    let labels: BTreeMap<String, String> = from_image.map(|label| (label.key, label.value)).collect();
    let config = ImageConfig { labels, ..ImageConfig::default() };
    Ok((!config.labels.is_empty()).then(|| FetchedContent::Image(vec![config])))
}

async fn listed(api: &VendorApi, namespace: &str, signals: &ChangeSignals) -> Result<RawListing<String>> {
    let mut pages = PageWalk::new("", api.most_pages());
    let mut items = Vec::new();
    while let Some(cursor) = pages.query() {
        let cursor = Some(cursor.as_str()).filter(|cursor| !cursor.is_empty());
        let read: QuayRepositoryPage = api.get(page(api, namespace, cursor), &repositories_of(namespace)).await?;
        for found in read.repositories {
            let name = format!("{}/{}", found.namespace, found.name);
            signals.note(&name, found.last_modified.map(|time| time.to_string()));
            items.push(name);
        }
        let next = read.next_page.filter(|next| !next.is_empty());
        // A page may have no entry that this account may see, so the cursor counts as new.
        if let Some(next) = &next {
            pages.is_new(next);
        }
        pages.turn(next);
    }
    Ok(RawListing { items, truncated: pages.truncated() })
}

async fn tags_by_api(api: &VendorApi, plain: &SingleImageDigests, repository: &str) -> Result<RawListing<ListedTag>> {
    let mut pages = PageWalk::new("1", api.most_pages());
    let mut items = Vec::new();
    let what = format!("the tags of {repository} (Quay)");
    while let Some(number) = pages.query() {
        let size = PAGE.to_string();
        let query = [("limit", size.as_str()), ("page", number.as_str()), ("onlyActiveTags", "true")];
        let read: QuayTagPage = api.get(api.url(&path(repository, &["tag", ""]), &query), &what).await?;
        let more = read.has_additional.unwrap_or(read.tags.len() >= PAGE);
        for tag in read.tags.into_iter().filter(|tag| pages.is_new(&tag.name)) {
            let digest = tag.manifest_digest.filter(|digest| is_digest(digest));
            if let (Some(digest), Some(false)) = (&digest, tag.is_manifest_list) {
                plain.add(digest);
            }
            items.push(ListedTag::new(tag.name, digest));
        }
        pages.turn_number(more);
    }
    Ok(RawListing { items, truncated: pages.truncated() })
}

/// `/api/v1/repository/…`; names may have more than two parts.
fn path<'a>(repository: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    API.into_iter().chain(["repository"]).chain(repository.split('/')).chain(rest.iter().copied()).collect()
}

/// URL of a page of repositories. `public` adds the public ones to those that the account has rights on.
fn page(api: &VendorApi, namespace: &str, cursor: Option<&str>) -> url::Url {
    let mut query = vec![("namespace", namespace), ("public", "true"), ("last_modified", "true")];
    query.extend(cursor.map(|cursor| ("next_page", cursor)));
    api.url(&[&API[..], &["repository"]].concat(), &query)
}

fn repositories_of(namespace: &str) -> String {
    format!("the repositories of {namespace} (Quay)")
}

/// The namespace to list: the first segment of the org, which repository names may continue.
pub(super) fn namespace(org: &str) -> Result<&str> {
    let first = org.trim_matches('/').split('/').next().filter(|first| !first.is_empty());
    first.ok_or_else(|| {
        Error::Refused(
            "Quay lists the repositories of one namespace at a time; give the organization or user as org".to_owned(),
        )
    })
}

/// Whether the account works only at `/v2/`, since it has no OAuth token.
fn lacks_oauth_token(api: &VendorApi, v2: &DistributionApi) -> bool {
    v2.has_login() && !api.has_login()
}

fn is_refused(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

fn union(mut one: RawListing<String>, other: RawListing<String>) -> RawListing<String> {
    let known: HashSet<String> = one.items.iter().cloned().collect();
    one.items.extend(other.items.into_iter().filter(|name| !known.contains(name)));
    RawListing { items: one.items, truncated: one.truncated.or(other.truncated) }
}

fn advice(why: &Error) -> String {
    format!(
        "{why}; Quay lists private repositories to OAuth tokens: give one with the right to view repositories as password, and {TOKEN_USER} as username"
    )
}
