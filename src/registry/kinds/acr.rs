//! Azure Container Registry (`*.azurecr.io`).
//!
//! Beside `/v2/` it has an API of its own with the same login: tokens from the service that its challenge names. That
//! API's tag listing carries digests and needs a token with the scope `metadata_read`; here `/v2/`'s listing does too.

use serde::Deserialize;

use super::super::distribution::{DistributionApi, TokenScope};
use super::super::listing::ListingTarget;
use super::super::{Error, ListedTag, RawListing, Result};
use super::digests::TagDigests;

/// A page of ACR's tag listing.
#[derive(Deserialize)]
struct AcrTagPage {
    /// Missing for a repository without tags.
    tags: Option<Vec<AcrTag>>,
    /// The repository.
    #[serde(rename = "imageName")]
    name: Option<String>,
}

/// A tag in ACR's listing.
#[derive(Deserialize)]
struct AcrTag {
    name: String,
    #[serde(default)]
    digest: String,
}

/// All repositories, by ACR's API, else by `/v2/`.
pub(super) async fn repositories(registry: &DistributionApi) -> Result<RawListing<String>> {
    let (directory, url) = (ListingTarget::Catalog, registry.beside("/acr/v1/_catalog"));
    match registry.list(directory, url, TokenScope::Catalog, |body| directory.read(body)).await {
        Err(why) if may_fall_back_to_v2(&why) => registry.repositories().await,
        outcome => outcome,
    }
}

/// The tags of a repository with their digests; without digests if only `/v2/` lists them.
pub(super) async fn tags(registry: &DistributionApi, repository: &str) -> Result<RawListing<ListedTag>> {
    let directory = ListingTarget::Tags(repository);
    let scope = format!("repository:{repository}:metadata_read");
    let mut digests = TagDigests::default();
    let url = registry.beside(&format!("/acr/v1/{repository}/_tags"));
    let own = registry.list(directory, url, TokenScope::Named(&scope), |body| {
        let page: AcrTagPage = serde_json::from_slice(body).ok()?;
        let entries = page.tags.or_else(|| page.name.map(|_| Vec::new()))?;
        entries.iter().for_each(|entry| digests.add(&entry.name, &entry.digest));
        Some(entries.into_iter().map(|entry| entry.name).collect())
    });
    let listing = match own.await {
        Ok(listing) if !listing.items.is_empty() => listing,
        Err(why) if !may_fall_back_to_v2(&why) => return Err(why),
        // A missing repository and a missing API give similar responses.
        _ => {
            let url = registry.below(&directory.path());
            registry.list(directory, url, TokenScope::Named(&scope), |body| directory.read(body)).await?
        }
    };
    Ok(digests.tags(listing))
}

/// Whether `/v2/` may still work after this error of ACR's API.
fn may_fall_back_to_v2(why: &Error) -> bool {
    matches!(why, Error::NotFound(_) | Error::Forbidden(_) | Error::LoginRequired(_))
}
