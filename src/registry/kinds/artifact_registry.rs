//! Google's Artifact Registry (`*.pkg.dev`), and its predecessor gcr.io.
//!
//! They serve the distribution API with more fields in its tag listing: the tags of each digest, and child folders. So
//! digests cost no extra request, and if the catalogue is denied, repositories are found by descending from the org.
//! Login: user `_json_key` with a service account's key file as password, or `oauth2accesstoken` with an access token.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::Deserialize;

use super::super::distribution::{DistributionApi, TokenScope, pull};
use super::super::listing::ListingTarget;
use super::super::{Error, ListedTag, RawListing, Result, grammar};
use super::digests::TagDigests;

/// A tag listing. Folders have `child` alone.
#[derive(Deserialize)]
struct ArtifactRegistryTagPage {
    tags: Option<Vec<String>>,
    /// By digest.
    manifest: Option<HashMap<String, ArtifactRegistryManifest>>,
    /// Names of child folders and repositories, each one path segment.
    child: Option<Vec<String>>,
}

/// A digest in a tag listing.
#[derive(Deserialize)]
struct ArtifactRegistryManifest {
    #[serde(default)]
    tag: Vec<String>,
}

impl ArtifactRegistryTagPage {
    fn read(body: &[u8]) -> Option<Self> {
        let page: ArtifactRegistryTagPage = serde_json::from_slice(body).ok()?;
        (page.tags.is_some() || page.manifest.is_some() || page.child.is_some()).then_some(page)
    }

    /// The tags; from the digests if they are not listed separately.
    fn names(&self) -> Vec<String> {
        let of_digests = || self.manifest.iter().flat_map(HashMap::values).flat_map(|manifest| manifest.tag.clone());
        self.tags.clone().unwrap_or_else(|| of_digests().collect())
    }
}

/// All repositories: by the catalogue or, if it is denied or missing, by descending from the org.
pub(super) async fn repositories(registry: &DistributionApi, org: &str) -> Result<RawListing<String>> {
    match registry.repositories().await {
        Err(Error::Forbidden(_) | Error::LoginRequired(_) | Error::NotFound(_)) => below(registry, org).await,
        outcome => outcome,
    }
}

/// The tags of a repository with their digests.
pub(super) async fn tags(registry: &DistributionApi, repository: &str) -> Result<RawListing<ListedTag>> {
    let mut digests = TagDigests::default();
    let listing = list(registry, repository, |page| {
        for (digest, manifest) in page.manifest.iter().flatten() {
            for tag in &manifest.tag {
                digests.add(tag, digest);
            }
        }
    });
    let listing = listing.await?;
    Ok(digests.tags(listing))
}

/// Descends from a folder (empty: the root) and collects what has tags. The page limit of listings also limits the
/// number of folders read. A folder that is cut or denied makes the listing incomplete.
async fn below(registry: &DistributionApi, top: &str) -> Result<RawListing<String>> {
    if !top.is_empty() {
        grammar::check_repository(top)?;
    }
    let most = registry.transport().limits().pages as usize;
    let (mut items, mut truncated) = (Vec::new(), None);
    let mut waiting = VecDeque::from([top.to_owned()]);
    let mut seen = HashSet::from([top.to_owned()]);
    let mut looked = 0;
    while let Some(folder) = waiting.pop_front() {
        if looked == most {
            truncated = Some(format!("it has more than {most} folders, the limit set here for pages"));
            break;
        }
        looked += 1;
        let see = |page: ArtifactRegistryTagPage| {
            for child in page.child.into_iter().flatten() {
                let path = if folder.is_empty() { child } else { format!("{folder}/{child}") };
                // One folder above the limit shows that the listing was cut.
                if seen.len() <= most && grammar::is_repository(&path) && seen.insert(path.clone()) {
                    waiting.push_back(path);
                }
            }
        };
        match list(registry, &folder, see).await {
            Ok(tags) => {
                truncated = truncated.or(tags.truncated);
                if !tags.items.is_empty() {
                    items.push(folder);
                }
            }
            Err(Error::Forbidden(why) | Error::LoginRequired(why)) if looked > 1 => truncated = truncated.or(Some(why)),
            Err(why) => return Err(why),
        }
    }
    if items.is_empty() && seen.len() == 1 {
        return Err(nothing_at(&registry.host(), top));
    }
    Ok(RawListing { items, truncated })
}

fn nothing_at(host: &str, folder: &str) -> Error {
    let place = if folder.is_empty() { host.to_owned() } else { format!("{host}/{folder}") };
    Error::NotFound(format!("{place} has no content that this account may see; check the org and the account's rights"))
}

/// Reads the listing of a repository or folder, and passes each page to `see`. The root's listing stands in for the
/// catalogue.
async fn list(
    registry: &DistributionApi,
    folder: &str,
    mut see: impl FnMut(ArtifactRegistryTagPage) + Send,
) -> Result<RawListing<String>> {
    let read = |body: &[u8]| {
        let page = ArtifactRegistryTagPage::read(body)?;
        let names = page.names();
        see(page);
        Some(names)
    };
    if folder.is_empty() {
        return registry.list(ListingTarget::Catalog, registry.below("tags/list"), TokenScope::Catalog, read).await;
    }
    let directory = ListingTarget::Tags(folder);
    registry.list(directory, registry.below(&directory.path()), TokenScope::Named(&pull(folder)), read).await
}
