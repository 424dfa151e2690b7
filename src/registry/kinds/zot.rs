//! zot with its search extension: a GraphQL API lists repositories, and tags with their digests.
//!
//! If the extension is off or gives unexpected responses, the distribution API is used: slower, but complete.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded;

use super::super::distribution::{DistributionApi, TokenScope};
use super::super::listing::{ListingTarget, ListingWalk};
use super::super::{Error, ListedTag, RawListing, Result};
use super::{ChangeSignals, ListedDigest, tagged};

/// Path below `/v2/`.
const SEARCH: &str = "_zot/ext/search";
/// Page size.
const PAGE: usize = 500;

/// Response to one query.
#[derive(Deserialize)]
struct ZotSearchResponse<T> {
    /// By the name of the query.
    data: Option<HashMap<String, Option<ZotResultPage<T>>>>,
    errors: Option<Vec<Value>>,
}

/// A page of query results.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ZotResultPage<T> {
    page: ZotPageCount,
    results: Vec<T>,
}

/// Page description of a result.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ZotPageCount {
    /// Number of entries on all pages.
    total_count: usize,
}

/// A repository in zot's search.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ZotRepository {
    name: String,
    /// When its newest image was pushed.
    last_updated: Option<String>,
}

/// An image in zot's search: a tag and its manifest or index.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ZotImage {
    tag: String,
    digest: Option<String>,
    /// Bytes, as a string.
    size: Option<String>,
    manifests: Option<Vec<ZotManifest>>,
}

/// One manifest of an image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ZotManifest {
    digest: Option<String>,
    config_digest: Option<String>,
}

impl ZotImage {
    /// Converts the entry; the config is known only if the image is no index.
    fn told(self) -> Option<ListedDigest> {
        let digest = self.digest?;
        let config = match self.manifests.as_deref() {
            Some([one]) if one.digest.as_ref() == Some(&digest) => one.config_digest.clone(),
            _ => None,
        };
        Some(ListedDigest { digest, config, size: self.size.and_then(|size| size.parse().ok()) })
    }
}

/// A GraphQL query.
struct ZotQuery<'a> {
    name: &'static str,
    /// Arguments before the page's; empty, or with a trailing comma. Consists of checked names.
    arguments: String,
    fields: &'static str,
    directory: ListingTarget<'a>,
}

/// All repositories that this account may see. `is_absent` remembers that there is no search extension.
pub(super) async fn repositories(
    distribution: &DistributionApi,
    is_absent: &AtomicBool,
    signals: &ChangeSignals,
) -> Result<RawListing<String>> {
    let question = ZotQuery {
        name: "RepoListWithNewestImage",
        arguments: String::new(),
        fields: "Name,LastUpdated",
        directory: ListingTarget::Catalog,
    };
    let name = |repository: ZotRepository| {
        signals.note(&repository.name, repository.last_updated);
        repository.name
    };
    match list(distribution, is_absent, &question, name).await? {
        Some(listing) => Ok(listing),
        None => distribution.repositories().await,
    }
}

/// The tags of a repository with their digests.
pub(super) async fn tags(
    distribution: &DistributionApi,
    is_absent: &AtomicBool,
    repository: &str,
) -> Result<RawListing<ListedTag>> {
    let question = ZotQuery {
        name: "ImageList",
        arguments: format!("repo:\"{repository}\","),
        // Old versions list the children of an index in its place. They do not know the last fields, so they reject the
        // query.
        fields: "Tag,Digest,Size,Manifests{Digest,ConfigDigest}",
        directory: ListingTarget::Tags(repository),
    };
    let mut told = HashMap::new();
    let name = |image: ZotImage| {
        let name = image.tag.clone();
        told.extend(image.told().map(|image| (name.clone(), image)));
        name
    };
    match list(distribution, is_absent, &question, name).await? {
        Some(listing) => Ok(tagged(listing, told)),
        None => distribution.tags(repository).await,
    }
}

/// All pages of a query. `None`: the search extension does not answer it.
async fn list<T: DeserializeOwned>(
    distribution: &DistributionApi,
    is_absent: &AtomicBool,
    question: &ZotQuery<'_>,
    mut name: impl FnMut(T) -> String,
) -> Result<Option<RawListing<String>>> {
    let mut walk = ListingWalk::new(distribution.transport().limits().pages);
    let (mut offset, mut before) = (0, Vec::new());
    loop {
        let Some(page) = ask(distribution, is_absent, question, offset).await? else {
            return Ok(None);
        };
        let names: Vec<String> = page.results.into_iter().map(&mut name).collect();
        offset += names.len();
        let stops = names.is_empty() || names == before;
        let is_more = offset < page.page.total_count;
        before.clone_from(&names);
        if let Some(mut listing) = walk.take(names, (is_more && !stops).then(|| offset.to_string())) {
            if is_more && stops && listing.truncated.is_none() {
                listing.truncated = Some("zot's pages end before the count that they report".to_owned());
            }
            return Ok(Some(listing));
        }
    }
}

/// One page. `None`: the search extension is off, or reports an error.
async fn ask<T: DeserializeOwned>(
    distribution: &DistributionApi,
    is_absent: &AtomicBool,
    question: &ZotQuery<'_>,
    offset: usize,
) -> Result<Option<ZotResultPage<T>>> {
    if is_absent.load(Ordering::Relaxed) {
        return Ok(None);
    }
    let ZotQuery { name, arguments, fields, directory } = question;
    let query = format!(
        "{{{name}({arguments}requestedPage:{{limit:{PAGE},offset:{offset},sortBy:ALPHABETIC_ASC}}){{Page{{TotalCount}},Results{{{fields}}}}}}}"
    );
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("query", &query).finish();
    let answer = distribution.ask_own(distribution.base().url(SEARCH, Some(&query)), TokenScope::Catalog).await?;
    if answer.status.is_client_error() || answer.is_html() {
        is_absent.fetch_or(answer.status == StatusCode::NOT_FOUND, Ordering::Relaxed);
        return Ok(None);
    }
    let what = format!("zot's search for {}", directory.path());
    if !answer.status.is_success() {
        return Err(distribution.refusal(&answer, &what));
    }
    let answered: ZotSearchResponse<T> = serde_json::from_slice(&answer.body)
        .map_err(|why| Error::Malformed(format!("{} answers {what} in an unknown form ({why})", answer.host)))?;
    if answered.errors.is_some_and(|errors| !errors.is_empty()) {
        return Ok(None);
    }
    Ok(answered.data.and_then(|mut data| data.remove(*name)).flatten())
}
