//! Reads the digest of a tag and the digest's content; each digest and each config once a scan.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};

use super::content::{content_of, known_config, restore_config};
use crate::catalog::{ContentSummary, ContentTrust, DigestContent, RegistryId, StoredTag};
use crate::registry::{
    ConfigRef, Error, FetchedContent, ImageConfig, ListedTag, ManifestTarget, RegistrySource, ResolvedTag,
};
use crate::store::{self, Store};

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum TagReadError {
    Registry(Error),
    Store(store::Error),
}

impl From<Error> for TagReadError {
    fn from(why: Error) -> Self {
        TagReadError::Registry(why)
    }
}

impl From<store::Error> for TagReadError {
    fn from(why: store::Error) -> Self {
        TagReadError::Store(why)
    }
}

/// The result of reading a tag.
#[derive(Debug)]
pub(super) enum TagReading {
    /// The tag was deleted after it was listed.
    Gone,
    /// The tag has the same digest as stored.
    Unchanged,
    /// The digest's content is stored already.
    Known(String, ContentSummary),
    /// Another task of this scan reads this digest.
    Awaited(String),
    /// The digest's content was read now.
    Read(Box<DigestContent>),
    /// The digest's content could not be read.
    Unread(String, TagReadError),
}

/// Reads tags of one registry. Clones share the digests and configs that were claimed.
#[derive(Clone)]
pub(super) struct TagReader {
    pub(super) source: RegistrySource,
    pub(super) store: Store,
    pub(super) registry: RegistryId,
    taken: Arc<Mutex<SharedReads>>,
    /// Limits concurrent validation to the number of cores: more threads would cost memory (each keeps some) and gain
    /// nothing.
    judges: Arc<Semaphore>,
}

#[derive(Default)]
struct SharedReads {
    /// Digests claimed by a task.
    digests: HashSet<String>,
    /// Configs that are being read, or were read and are not stored yet.
    configs: HashMap<String, Arc<OnceCell<ImageConfig>>>,
}

impl TagReader {
    pub(super) fn new(source: RegistrySource, store: Store, registry: RegistryId) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { source, store, registry, taken: Arc::default(), judges: Arc::new(Semaphore::new(cores)) }
    }

    /// Reads the digest of a tag, and its content unless it is known. `standing` is that of the digest in the listing,
    /// if it was looked up already.
    pub(super) async fn read(
        &self,
        repository: &str,
        tag: ListedTag,
        stored: Option<&StoredTag>,
        standing: Option<ContentTrust>,
    ) -> Result<TagReading, TagReadError> {
        let Some(ResolvedTag { digest, manifest }) = self.look(repository, &tag, stored).await? else {
            return Ok(TagReading::Gone);
        };
        if stored.is_some_and(|stored| stored.digest == digest) {
            return Ok(TagReading::Unchanged);
        }
        if !self.lock().digests.insert(digest.clone()) {
            return Ok(TagReading::Awaited(digest));
        }
        let known = match standing {
            Some(standing) => Some(standing),
            None => self.store.content_trust(self.registry, &[digest.clone()].into()).await?.remove(&digest),
        };
        let is_doubted = match known {
            Some(ContentTrust::Known(summary)) => return Ok(TagReading::Known(digest, summary)),
            Some(ContentTrust::Hearsay) => true,
            None => false,
        };
        let read = match (is_doubted, tag) {
            (true, _) => match self.source.inside_manifest(repository, &digest).await {
                Ok(inside) => self.resolve(repository, &digest, inside, false).await,
                Err(why) => Err(why.into()),
            },
            (false, ListedTag { content: Some(content), .. }) => {
                self.resolve(repository, &digest, ManifestTarget::Told(content), true).await
            }
            (false, ListedTag { config: Some(config), .. }) => self.read_by_config(repository, &digest, config).await,
            _ => match self.source.inside(repository, &digest, manifest).await {
                Ok(inside) => self.resolve(repository, &digest, inside, false).await,
                Err(why) => Err(why.into()),
            },
        };
        Ok(match read {
            Ok(content) => TagReading::Read(Box::new(content)),
            Err(why) => TagReading::Unread(digest, why),
        })
    }

    /// Drops the configs that no task reads. Called when what was read is stored or given up.
    pub(super) fn forget_configs(&self) {
        // A config that is being read is also held by its reader.
        self.lock().configs.retain(|_, config| Arc::strong_count(config) > 1);
    }

    /// The digest of a tag, with as few requests as possible: for a known tag a HEAD request, for a new one the
    /// manifest, which is needed next.
    async fn look(
        &self,
        repository: &str,
        tag: &ListedTag,
        stored: Option<&StoredTag>,
    ) -> Result<Option<ResolvedTag>, Error> {
        let digest = match (&tag.digest, stored) {
            (Some(digest), _) => Some(digest.clone()),
            (None, None) => return self.source.look(repository, &tag.name).await,
            (None, Some(_)) => self.source.digest(repository, &tag.name).await?,
        };
        Ok(digest.map(|digest| ResolvedTag { digest, manifest: None }))
    }

    /// Reads the config named in a listing. If it is not a config after all, reads the manifest instead.
    async fn read_by_config(
        &self,
        repository: &str,
        digest: &str,
        config: ConfigRef,
    ) -> Result<DigestContent, TagReadError> {
        match self.resolve(repository, digest, ManifestTarget::Image(vec![config]), true).await {
            Err(TagReadError::Registry(Error::Malformed(_) | Error::NotFound(_))) => {
                let inside = self.source.inside_manifest(repository, digest).await?;
                self.resolve(repository, digest, inside, false).await
            }
            other => other,
        }
    }

    /// Reads the content that a manifest names. `is_told`: the listing named it, not a manifest checked against the
    /// digest.
    async fn resolve(
        &self,
        repository: &str,
        digest: &str,
        inside: ManifestTarget,
        is_told: bool,
    ) -> Result<DigestContent, TagReadError> {
        let mut known = Vec::new();
        let (fetched, is_hearsay) = match inside {
            ManifestTarget::Told(content) => (content, true),
            ManifestTarget::Other(kind) => (FetchedContent::Other(kind), is_told),
            ManifestTarget::Image(configs) => {
                let mut read = Vec::new();
                for config in configs {
                    let alone = self.config(repository, &config.digest).await?;
                    known.push(known_config(&alone));
                    read.push(config.complete(alone));
                }
                (FetchedContent::Image(read), is_told)
            }
        };
        let digest = digest.to_owned();
        let _permit = self.judges.acquire().await;
        // On a blocking thread: a hostile label takes some time.
        match tokio::task::spawn_blocking(move || content_of(&digest, fetched)).await {
            Ok(content) => Ok(DigestContent { is_hearsay, configs: known, ..content }),
            Err(why) => match why.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime shuts down, and this future with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// A config by its digest, read once: by the first task that needs it.
    async fn config(&self, repository: &str, digest: &str) -> Result<ImageConfig, TagReadError> {
        let cell = Arc::clone(self.lock().configs.entry(digest.to_owned()).or_default());
        let read = async || match self.store.config_get(digest).await? {
            Some(known) => Ok::<_, TagReadError>(restore_config(known)),
            None => Ok(self.source.config(repository, digest).await?),
        };
        cell.get_or_try_init(read).await.cloned()
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, SharedReads> {
        self.taken.lock()
    }
}
