//! Google's Artifact Registry (`*.pkg.dev`), and gcr.io before it.
//!
//! They speak the distribution API, and say more in its listing of tags: which tags each digest has, and which
//! repositories lie below. So the digests of a repository cost nothing, and where the catalogue is refused, repositories
//! are found by going down from the org. Logging in is common: user `_json_key` with a service account's key file as
//! password, or `oauth2accesstoken` with an access token.

use std::collections::{HashMap, HashSet, VecDeque};

use serde::Deserialize;

use super::super::distribution::{Distribution, TokenScope, pull};
use super::super::listing::Directory;
use super::super::{Error, Listing, Result, Tag, grammar};
use super::digests::Digests;

/// A listing of tags. Answers for folders have `child` alone.
#[derive(Deserialize)]
struct Page {
    tags: Option<Vec<String>>,
    /// By digest.
    manifest: Option<HashMap<String, Manifest>>,
    /// Names of what lies below, each one part of a path.
    child: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    tag: Vec<String>,
}

impl Page {
    fn read(body: &[u8]) -> Option<Self> {
        let page: Page = serde_json::from_slice(body).ok()?;
        (page.tags.is_some() || page.manifest.is_some() || page.child.is_some()).then_some(page)
    }

    /// The tags; from the digests where they are not listed by themselves.
    fn names(&self) -> Vec<String> {
        let of_digests = || self.manifest.iter().flat_map(HashMap::values).flat_map(|manifest| manifest.tag.clone());
        self.tags.clone().unwrap_or_else(|| of_digests().collect())
    }
}

/// All repositories, by the catalogue, or below the org where that is not for us.
pub(super) async fn repositories(registry: &Distribution, org: &str) -> Result<Listing<String>> {
    match registry.repositories().await {
        Err(Error::Forbidden(_) | Error::LoginRequired(_) | Error::NotFound(_)) => below(registry, org).await,
        outcome => outcome,
    }
}

/// The tags of a repository with their digests.
pub(super) async fn tags(registry: &Distribution, repository: &str) -> Result<Listing<Tag>> {
    let mut digests = Digests::default();
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

/// Goes down from a folder (empty: from the root) and takes what has tags. As many folders are looked into as a listing
/// may have pages. What is cut, or not for this account, makes the listing incomplete.
async fn below(registry: &Distribution, top: &str) -> Result<Listing<String>> {
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
        let see = |page: Page| {
            for child in page.child.into_iter().flatten() {
                let path = if folder.is_empty() { child } else { format!("{folder}/{child}") };
                // One more than are looked into shows that there are more.
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
    Ok(Listing { items, truncated })
}

fn nothing_at(host: &str, folder: &str) -> Error {
    let place = if folder.is_empty() { host.to_owned() } else { format!("{host}/{folder}") };
    Error::NotFound(format!(
        "there is nothing at {place}, or nothing that this account may see; check the org and the account's rights"
    ))
}

/// Walks over the listing of a repository or folder, and shows each page. The root's is the catalogue's place.
async fn list(registry: &Distribution, folder: &str, mut see: impl FnMut(Page) + Send) -> Result<Listing<String>> {
    let read = |body: &[u8]| {
        let page = Page::read(body)?;
        let names = page.names();
        see(page);
        Some(names)
    };
    if folder.is_empty() {
        return registry.list(Directory::Catalog, registry.below("tags/list"), TokenScope::Catalog, read).await;
    }
    let directory = Directory::Tags(folder);
    registry.list(directory, registry.below(&directory.path()), TokenScope::Named(&pull(folder)), read).await
}
