//! The walk over a registry: repositories, their tags, the tags' digests, the contents of unknown digests.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{Input, content_of, problem};
use crate::catalog::{Content, FoundTag, NewScanProblem, StoredTag};
use crate::registry::{self, Error, Fetched, Look, Source, Tag};
use crate::store;

/// After this many requests in a row that got no answer, the registry counts as gone and the walk ends: otherwise each
/// of its thousand tags would be waited for, retries and all.
const OUTAGE: u32 = 8;

/// Manifests that came with digests, and contents that came with listings, are kept until they are needed; this many
/// bytes of them at most. Beyond it they are asked for again.
const MOST_KEPT: usize = 64 << 20;

/// Why a walk has nothing to show.
pub(super) enum Stop {
    Registry(Error),
    Store(store::Error),
}

/// A walk under way. Keeps what it has when its future is dropped.
pub(super) struct Walk<'a> {
    input: &'a Input<'a>,
    found: Vec<FoundTag>,
    /// Fetched by this walk, by digest.
    contents: HashMap<String, Content>,
    /// Digests whose contents the store has.
    known: HashSet<String>,
    /// Tags that the store has.
    stored: HashSet<(String, String)>,
    /// Manifests that came with digests, by digest.
    manifests: HashMap<String, Bytes>,
    /// Contents that came along with listings.
    told: HashMap<String, Fetched>,
    kept: usize,
    problems: Vec<NewScanProblem>,
    /// Why the listing is not complete; the first reason stays.
    incomplete: Option<String>,
    failures_in_a_row: u32,
}

/// What a walk brought home.
pub(super) struct Walked {
    pub found: Vec<FoundTag>,
    pub contents: Vec<Content>,
    pub problems: Vec<NewScanProblem>,
    pub incomplete: Option<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(input: &'a Input<'a>, stored: &[StoredTag]) -> Self {
        Self {
            input,
            found: Vec::new(),
            contents: HashMap::new(),
            known: stored.iter().map(|tag| tag.digest.clone()).collect(),
            stored: stored.iter().map(|tag| (tag.repository.clone(), tag.tag.clone())).collect(),
            manifests: HashMap::new(),
            told: HashMap::new(),
            kept: 0,
            problems: Vec::new(),
            incomplete: None,
            failures_in_a_row: 0,
        }
    }

    /// Walks. Only the listing of repositories and wrong credentials can stop it; other trouble is noted.
    pub(super) async fn list_and_read(&mut self) -> Result<(), Stop> {
        let repositories = self.repositories().await?;
        let tags = self.tags(repositories).await?;
        self.digests(tags).await?;
        self.fetch().await
    }

    /// The listing is not all: nothing may be removed.
    pub(super) fn end_early(&mut self, why: String) {
        self.incomplete.get_or_insert(why);
    }

    /// A tag whose content nobody has was seen, but not read: it neither appears nor vanishes.
    pub(super) fn end(mut self) -> Walked {
        for tag in &mut self.found {
            let is_read = |digest: &String| self.known.contains(digest) || self.contents.contains_key(digest);
            tag.digest = tag.digest.take().filter(is_read);
        }
        Walked {
            found: self.found,
            contents: self.contents.into_values().collect(),
            problems: self.problems,
            incomplete: self.incomplete,
        }
    }

    async fn repositories(&mut self) -> Result<Vec<String>, Stop> {
        let listing = self.input.source.repositories().await.map_err(Stop::Registry)?;
        if let Some(why) = listing.truncated {
            self.truncated("", why);
        }
        let filter = self.input.filter;
        let listed: Vec<String> = listing.items.into_iter().filter(|name| filter.in_org(name)).collect();
        let all = listed.len() as u64;
        let wanted: Vec<String> = listed.into_iter().filter(|name| filter.includes(name)).collect();
        self.input.progress.update(|counts| {
            counts.repositories = all;
            counts.repositories_skipped = all - wanted.len() as u64;
        });
        Ok(wanted)
    }

    async fn tags(&mut self, repositories: Vec<String>) -> Result<Vec<FoundTag>, Stop> {
        let source = self.input.source;
        let mut listings = stream::iter(repositories)
            .map(|repository| async move { (source.tags(&repository).await, repository) })
            .buffer_unordered(self.input.concurrency);
        let mut tags = Vec::new();
        while let Some((listing, repository)) = listings.next().await {
            match listing {
                Ok(listing) => {
                    self.failures_in_a_row = 0;
                    if let Some(why) = listing.truncated {
                        self.truncated(&repository, why);
                    }
                    self.input.progress.update(|counts| {
                        counts.repositories_done += 1;
                        counts.tags += listing.items.len() as u64;
                    });
                    for Tag { name, digest, content } in listing.items {
                        if let (Some(digest), Some(content)) = (&digest, content) {
                            self.hear(digest, content);
                        }
                        tags.push(FoundTag { repository: repository.clone(), tag: name, digest });
                    }
                }
                Err(why) => {
                    self.problems.push(problem("tags-failed", &repository, "", &why));
                    self.end_early(format!("the tags of {repository} could not be listed: {why}"));
                    if self.is_over(why)? {
                        break;
                    }
                }
            }
        }
        Ok(tags)
    }

    /// Asks for the digests that the listings did not carry: for known tags only whether they moved, for new ones
    /// together with the manifest, which is needed next.
    async fn digests(&mut self, tags: Vec<FoundTag>) -> Result<(), Stop> {
        let source = self.input.source;
        let stored = std::mem::take(&mut self.stored);
        let mut answers = stream::iter(tags)
            .map(|tag| {
                let is_new = !stored.contains(&(tag.repository.clone(), tag.tag.clone()));
                async move {
                    let look = look(source, &tag, is_new).await;
                    (tag, look)
                }
            })
            .buffer_unordered(self.input.concurrency);
        while let Some((tag, look)) = answers.next().await {
            match look {
                Ok(Some(Look { digest, manifest })) => {
                    self.failures_in_a_row = 0;
                    self.keep(&digest, manifest);
                    self.found.push(FoundTag { digest: Some(digest), ..tag });
                }
                // Deleted since it was listed.
                Ok(None) => self.failures_in_a_row = 0,
                Err(why) => {
                    self.problems.push(problem("digest-failed", &tag.repository, &tag.tag, &why));
                    self.unread(&tag, &why);
                    self.found.push(FoundTag { digest: None, ..tag });
                    if self.is_over(why)? {
                        break;
                    }
                }
            }
            self.input.progress.update(|counts| counts.tags_done += 1);
        }
        Ok(())
    }

    fn keep(&mut self, digest: &str, manifest: Option<Bytes>) {
        if let Some(manifest) = manifest
            && self.kept + manifest.len() <= MOST_KEPT
            && !self.known.contains(digest)
            && !self.manifests.contains_key(digest)
        {
            self.kept += manifest.len();
            self.manifests.insert(digest.to_owned(), manifest);
        }
    }

    fn hear(&mut self, digest: &str, content: Fetched) {
        let size = content.size();
        if self.kept + size <= MOST_KEPT && !self.known.contains(digest) && !self.told.contains_key(digest) {
            self.kept += size;
            self.told.insert(digest.to_owned(), content);
        }
    }

    /// Fetches the contents that nobody has, each digest once.
    async fn fetch(&mut self) -> Result<(), Stop> {
        let is_new = |digest: &String| !self.known.contains(digest);
        let new: HashSet<String> = self.found.iter().filter_map(|tag| tag.digest.clone()).filter(is_new).collect();
        self.known.extend(self.input.store.content_known(&new).await.map_err(Stop::Store)?);
        let mut asked = HashSet::new();
        let wanted: Vec<FoundTag> = self
            .found
            .iter()
            .filter(|tag| {
                tag.digest.as_ref().is_some_and(|digest| !self.known.contains(digest) && asked.insert(digest))
            })
            .cloned()
            .collect();
        let source = self.input.source;
        let mut manifests = std::mem::take(&mut self.manifests);
        let mut told = std::mem::take(&mut self.told);
        let mut answers = stream::iter(wanted)
            .map(|tag| {
                let digest = tag.digest.clone().unwrap_or_default();
                let (manifest, told) = (manifests.remove(&digest), told.remove(&digest));
                async move {
                    let fetched = match told {
                        Some(content) => Ok(content),
                        None => source.fetch_with(&tag.repository, &digest, manifest).await,
                    };
                    (tag, read(digest, fetched).await)
                }
            })
            .buffer_unordered(self.input.concurrency);
        let mut waiting = (0, String::new());
        while let Some((tag, content)) = answers.next().await {
            match content {
                Ok(content) => {
                    self.failures_in_a_row = 0;
                    self.contents.insert(content.digest.clone(), content);
                }
                Err(Error::NoPulls(why)) => waiting = (waiting.0 + 1, why),
                Err(why) => {
                    self.problems.push(problem("content-failed", &tag.repository, &tag.tag, &why));
                    self.unread(&tag, &why);
                    if self.is_over(why)? {
                        break;
                    }
                }
            }
        }
        if let (count @ 1.., why) = waiting {
            let why = format!("{count} new images wait for the next scan: {why}");
            self.problems.push(problem("pulls-spent", "", "", &why));
            self.end_early(why);
        }
        Ok(())
    }

    fn truncated(&mut self, repository: &str, why: String) {
        self.problems.push(problem("listing-truncated", repository, "", &why));
        self.end_early(why);
    }

    /// A listed tag that could not be read. When the registry did not answer, the scan is partial; when what it
    /// answered is unusable, it will be so tomorrow, and must not keep vanished images in the catalogue for ever.
    fn unread(&mut self, tag: &FoundTag, why: &Error) {
        if !matches!(why, Error::Malformed(_) | Error::NotFound(_)) {
            self.end_early(format!("{}:{} could not be read: {why}", tag.repository, tag.tag));
        }
    }

    /// Whether to go on after a failure: not with wrong credentials, and not when nothing is answered any more.
    fn is_over(&mut self, why: registry::Error) -> Result<bool, Stop> {
        match why {
            Error::WrongPassword(_) => Err(Stop::Registry(why)),
            Error::Timeout(_) | Error::Unreachable(_) | Error::Tls(_) | Error::Throttled(_) => {
                self.failures_in_a_row += 1;
                let is_over = self.failures_in_a_row >= OUTAGE;
                if is_over {
                    self.problems.push(problem("registry-gone", "", "", &why));
                    self.incomplete = Some(format!("the registry stopped answering half-way: {why}"));
                }
                Ok(is_over)
            }
            _ => Ok(false),
        }
    }
}

/// Where a tag points to, for as little as that costs.
async fn look(source: &Source, tag: &FoundTag, is_new: bool) -> registry::Result<Option<Look>> {
    let digest = match &tag.digest {
        Some(digest) => Some(digest.clone()),
        None if is_new => return source.look(&tag.repository, &tag.tag).await,
        None => source.digest(&tag.repository, &tag.tag).await?,
    };
    Ok(digest.map(|digest| Look { digest, manifest: None }))
}

/// Reads what was fetched, off the async threads: a hostile label costs some time.
async fn read(digest: String, fetched: registry::Result<Fetched>) -> registry::Result<Content> {
    let fetched = fetched?;
    match tokio::task::spawn_blocking(move || content_of(&digest, fetched)).await {
        Ok(content) => Ok(content),
        Err(why) => match why.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime ends, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}
