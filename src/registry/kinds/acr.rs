//! Azure's container registry (`*.azurecr.io`).
//!
//! Beside `/v2/` it has an interface of its own, with the same login: tokens from the service that its challenge names.
//! Its listing of tags carries digests, and wants a token with a scope of its own, as the usual one does here too.

use serde::Deserialize;

use super::super::distribution::{Distribution, TokenScope};
use super::super::listing::Directory;
use super::super::{Error, Listing, Result, Tag};
use super::digests::Digests;

#[derive(Deserialize)]
struct Page {
    /// Missing for a repository without tags.
    tags: Option<Vec<Entry>>,
    /// The repository.
    #[serde(rename = "imageName")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    digest: String,
}

/// All repositories.
pub(super) async fn repositories(registry: &Distribution) -> Result<Listing<String>> {
    let (directory, url) = (Directory::Catalog, registry.beside("/acr/v1/_catalog"));
    match registry.list(directory, url, TokenScope::Catalog, |body| directory.read(body)).await {
        Err(why) if is_not_for_us(&why) => registry.repositories().await,
        outcome => outcome,
    }
}

/// The tags of a repository with their digests; without them where only `/v2/` lists them.
pub(super) async fn tags(registry: &Distribution, repository: &str) -> Result<Listing<Tag>> {
    let directory = Directory::Tags(repository);
    let scope = format!("repository:{repository}:metadata_read");
    let mut digests = Digests::default();
    let url = registry.beside(&format!("/acr/v1/{repository}/_tags"));
    let own = registry.list(directory, url, TokenScope::Named(&scope), |body| {
        let page: Page = serde_json::from_slice(body).ok()?;
        let entries = page.tags.or_else(|| page.name.map(|_| Vec::new()))?;
        entries.iter().for_each(|entry| digests.add(&entry.name, &entry.digest));
        Some(entries.into_iter().map(|entry| entry.name).collect())
    });
    let listing = match own.await {
        Ok(listing) if !listing.items.is_empty() => listing,
        Err(why) if !is_not_for_us(&why) => return Err(why),
        // That there is no such repository looks much like that there is no such interface.
        _ => {
            let url = registry.below(&directory.path());
            registry.list(directory, url, TokenScope::Named(&scope), |body| directory.read(body)).await?
        }
    };
    Ok(digests.tags(listing))
}

/// Whether `/v2/` may tell what its own interface does not.
fn is_not_for_us(why: &Error) -> bool {
    matches!(why, Error::NotFound(_) | Error::Forbidden(_) | Error::LoginRequired(_))
}
