//! What one tag points to, and what that holds: asked for once a digest, and once a config.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OnceCell, Semaphore};

use super::content::{config_again, content_of, known_config};
use crate::catalog::{Content, ContentSummary, RegistryId, Standing, StoredTag};
use crate::registry::{ConfigRef, Error, Fetched, ImageConfig, Inside, Look, Source, Tag};
use crate::store::{self, Store};

/// Why something could not be read.
#[derive(Debug)]
pub(super) enum Trouble {
    Registry(Error),
    Store(store::Error),
}

impl From<Error> for Trouble {
    fn from(why: Error) -> Self {
        Trouble::Registry(why)
    }
}

impl From<store::Error> for Trouble {
    fn from(why: store::Error) -> Self {
        Trouble::Store(why)
    }
}

/// What a tag was found to point to.
#[derive(Debug)]
pub(super) enum Seen {
    /// Nothing: it was deleted since it was listed.
    Gone,
    /// The digest that the tag is stored with.
    Unchanged,
    /// A digest whose content is known.
    Known(String, ContentSummary),
    /// A digest that another tag's reader has taken on.
    Awaited(String),
    /// A digest that was read now.
    Read(Box<Content>),
    /// A digest whose content could not be read.
    Unread(String, Trouble),
}

/// Reads tags of one registry. Clones share what they have taken on.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) source: Source,
    pub(super) store: Store,
    pub(super) registry: RegistryId,
    taken: Arc<Mutex<Taken>>,
    /// Judging is work for processors: more at a time than there are cost memory (each thread keeps some) and gain nothing.
    judges: Arc<Semaphore>,
}

#[derive(Default)]
struct Taken {
    /// Digests that somebody has taken on.
    digests: HashSet<String>,
    /// Configs that are being read, or were read and are not stored yet.
    configs: HashMap<String, Arc<OnceCell<ImageConfig>>>,
}

impl Reader {
    pub(super) fn new(source: Source, store: Store, registry: RegistryId) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { source, store, registry, taken: Arc::default(), judges: Arc::new(Semaphore::new(cores)) }
    }

    /// Finds out where a tag points to, and what is there. `standing`: of the digest that the listing gave, where
    /// somebody has asked for it.
    pub(super) async fn read(
        &self,
        repository: &str,
        tag: Tag,
        stored: Option<&StoredTag>,
        standing: Option<Standing>,
    ) -> Result<Seen, Trouble> {
        let Some(Look { digest, manifest }) = self.look(repository, &tag, stored).await? else { return Ok(Seen::Gone) };
        if stored.is_some_and(|stored| stored.digest == digest) {
            return Ok(Seen::Unchanged);
        }
        if !self.lock().digests.insert(digest.clone()) {
            return Ok(Seen::Awaited(digest));
        }
        let known = match standing {
            Some(standing) => Some(standing),
            None => self.store.content_standing(self.registry, &[digest.clone()].into()).await?.remove(&digest),
        };
        let is_doubted = match known {
            Some(Standing::Known(summary)) => return Ok(Seen::Known(digest, summary)),
            Some(Standing::Hearsay) => true,
            None => false,
        };
        let read = match (is_doubted, tag) {
            (true, _) => match self.source.inside_manifest(repository, &digest).await {
                Ok(inside) => self.resolve(repository, &digest, inside, false).await,
                Err(why) => Err(why.into()),
            },
            (false, Tag { content: Some(content), .. }) => {
                self.resolve(repository, &digest, Inside::Told(content), true).await
            }
            (false, Tag { config: Some(config), .. }) => self.by_config(repository, &digest, config).await,
            _ => match self.source.inside(repository, &digest, manifest).await {
                Ok(inside) => self.resolve(repository, &digest, inside, false).await,
                Err(why) => Err(why.into()),
            },
        };
        Ok(match read {
            Ok(content) => Seen::Read(Box::new(content)),
            Err(why) => Seen::Unread(digest, why),
        })
    }

    /// What was taken on is stored now, or given up; so nobody needs to keep it.
    pub(super) fn forget_configs(&self) {
        // One that is being read is held by its reader too.
        self.lock().configs.retain(|_, config| Arc::strong_count(config) > 1);
    }

    /// Where a tag points to, for as little as that costs: a known one is asked only whether it moved, a new one
    /// together with the manifest, which is needed next.
    async fn look(&self, repository: &str, tag: &Tag, stored: Option<&StoredTag>) -> Result<Option<Look>, Error> {
        let digest = match (&tag.digest, stored) {
            (Some(digest), _) => Some(digest.clone()),
            (None, None) => return self.source.look(repository, &tag.name).await,
            (None, Some(_)) => self.source.digest(repository, &tag.name).await?,
        };
        Ok(digest.map(|digest| Look { digest, manifest: None }))
    }

    /// Reads the config that a listing named. One that is no config after all is left to the manifest to explain.
    async fn by_config(&self, repository: &str, digest: &str, config: ConfigRef) -> Result<Content, Trouble> {
        match self.resolve(repository, digest, Inside::Image(vec![config]), true).await {
            Err(Trouble::Registry(Error::Malformed(_) | Error::NotFound(_))) => {
                let inside = self.source.inside_manifest(repository, digest).await?;
                self.resolve(repository, digest, inside, false).await
            }
            other => other,
        }
    }

    /// Reads what a manifest leads to. `is_told`: that it does is the listing's word.
    async fn resolve(&self, repository: &str, digest: &str, inside: Inside, is_told: bool) -> Result<Content, Trouble> {
        let mut known = Vec::new();
        let (fetched, is_hearsay) = match inside {
            Inside::Told(content) => (content, true),
            Inside::Other(kind) => (Fetched::Other(kind), is_told),
            Inside::Image(configs) => {
                let mut read = Vec::new();
                for config in configs {
                    let alone = self.config(repository, &config.digest).await?;
                    known.push(known_config(&alone));
                    read.push(config.complete(alone));
                }
                (Fetched::Image(read), is_told)
            }
        };
        let digest = digest.to_owned();
        let _permit = self.judges.acquire().await;
        // Off the async threads: a hostile label costs some time.
        match tokio::task::spawn_blocking(move || content_of(&digest, fetched)).await {
            Ok(content) => Ok(Content { is_hearsay, configs: known, ..content }),
            Err(why) => match why.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends, and this future with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// A config by itself: read once, by whoever needs it first.
    async fn config(&self, repository: &str, digest: &str) -> Result<ImageConfig, Trouble> {
        let cell = Arc::clone(self.lock().configs.entry(digest.to_owned()).or_default());
        let read = async || match self.store.config_get(digest).await? {
            Some(known) => Ok::<_, Trouble>(config_again(known)),
            None => Ok(self.source.config(repository, digest).await?),
        };
        cell.get_or_try_init(read).await.cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
