//! Keeps the search index in step with the catalogue: follows its changes, and rebuilds the index while the service
//! runs if it is missing, damaged or made by older rules.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use super::search::search_doc;
use super::{App, Result};
use crate::catalog::{ImageId, SearchDoc};
use crate::search::IndexGeneration;
use crate::store::CatalogueState;

/// Images that are read from the store and written to the index at once.
const BATCH: u32 = 1000;
/// Up to so many images are indexed in no noticeable time: start-up waits for them.
const FEW: u64 = 2000;
/// How long a caller waits for an index that is being built.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether the index may already contain the images that are written.
#[derive(Clone, Copy)]
enum PriorIndexing {
    No,
    Maybe,
}

impl App {
    /// Prepares the index before the first request, if that is quick. Otherwise searches are answered with "being
    /// built" until it is ready, and the rest of the service works.
    pub(super) async fn index_start(&self) -> Result<()> {
        let state = self.0.whole_store.catalogue_state().await?;
        if let Ok(serving) = self.0.index.serving() {
            let (indexed, count) = (serving.revision(), serving.count());
            // For a catalogue that it does not hold, the index finds nothing; "being built" is the better answer.
            if indexed == state.revision && count != state.images || count == 0 && state.images > FEW {
                self.index_leave();
            }
        }
        if state.images > FEW {
            return Ok(());
        }
        self.index_bring_up_to_date().await?;
        if self.0.index.serving().is_err() { self.index_renew().await } else { Ok(()) }
    }

    /// Writes changes of the catalogue to the index. On return, searches see the catalogue as of this call; or they
    /// report that the index is being built, if that takes longer than `PATIENCE`.
    pub async fn index_bring_up_to_date(&self) -> Result<()> {
        if self.0.index.revision() > self.0.whole_store.catalogue_revision().await? {
            self.index_leave();
        }
        if self.0.index.serving().is_err() {
            // Nearly all builds take less time.
            _ = tokio::time::timeout(PATIENCE, self.0.index_build.lock()).await;
            if self.0.index.serving().is_err() {
                return Ok(());
            }
        }
        let Err(why) = self.index_follow().await else { return Ok(()) };
        self.index_check(true).await?;
        // A damaged or missing index is rebuilt like one that never existed.
        if self.0.index.is_broken() { Ok(()) } else { Err(why) }
    }

    /// Rebuilds the index if necessary; the old one, if any, serves meanwhile.
    pub async fn index_renew(&self) -> Result<()> {
        let _building = self.0.index_build.lock().await;
        self.index_check(false).await?;
        if self.0.index.is_due() { self.index_build().await } else { Ok(()) }
    }

    /// Checks that the index on disk is intact, and wakes the task that rebuilds it if it is not.
    pub(super) async fn index_check(&self, whole: bool) -> Result<()> {
        let index = self.0.index.clone();
        spawn_blocking(move || index.check(whole)).await?;
        if self.0.index.is_broken() {
            tracing::warn!("the search index on disk is damaged or missing; rebuilding it");
            self.0.signals.index_broken.notify_one();
        }
        Ok(())
    }

    fn index_leave(&self) {
        tracing::warn!("the search index belongs to another catalogue (another database, or a copy); rebuilding it");
        self.0.index.leave();
        self.0.signals.index_broken.notify_one();
    }

    async fn index_follow(&self) -> Result<()> {
        let _one_at_a_time = self.0.index_sync.lock().await;
        if self.0.index.is_broken() {
            // Searches go on in the old index; the new one is being built.
            return Ok(());
        }
        let serving = self.0.index.serving()?;
        let indexed = serving.revision();
        if indexed == self.0.whole_store.catalogue_revision().await? {
            return Ok(());
        }
        let state = self.0.whole_store.catalogue_state().await?;
        self.index_write(&serving, indexed, PriorIndexing::Maybe, |_| {}).await?;
        self.index_commit(serving, indexed, state).await?;
        self.0.signals.revision.send_replace(state.revision);
        tracing::debug!(revision = state.revision, "the search index is up to date");
        Ok(())
    }

    /// Commits what was written since `indexed`, and drops images that were removed since.
    async fn index_commit(&self, serving: Arc<IndexGeneration>, indexed: i64, state: CatalogueState) -> Result<()> {
        let revision = state.revision;
        if state.removed_at > indexed {
            // Additions become visible at once. After a kill from here on, the next call starts again at the revision
            // before.
            let seen = Arc::clone(&serving);
            spawn_blocking(move || seen.commit(indexed)).await??;
            // Removed images are found by comparing all ids, which is expensive; so compare the counts first.
            let gone = if self.0.whole_store.catalogue_state().await? == state && serving.count() == state.images {
                Vec::new()
            } else {
                let current: HashSet<i64> = self.0.whole_store.image_ids().await?.into_iter().collect();
                let seen = Arc::clone(&serving);
                let indexed = spawn_blocking(move || seen.ids()).await??;
                indexed.into_iter().filter(|id| !current.contains(id)).collect()
            };
            let seen = Arc::clone(&serving);
            spawn_blocking(move || seen.write(&[], &gone)).await??;
        }
        spawn_blocking(move || serving.commit(revision)).await??;
        Ok(())
    }

    /// Builds the next generation and switches to it. After a kill half-way, the next build removes its folder.
    async fn index_build(&self) -> Result<()> {
        let started = Instant::now();
        let index = self.0.index.clone();
        let images = self.0.whole_store.catalogue_state().await?.images;
        let next = spawn_blocking(move || index.begin(images)).await??;
        let (mut indexed, mut written) = (0, HashSet::new());
        self.index_write_all(&next, &mut indexed, &mut written).await?;
        // Changes made meanwhile; from here on nothing is committed to the old generation.
        let _following = self.0.index_sync.lock().await;
        self.index_write_all(&next, &mut indexed, &mut written).await?;
        let current: HashSet<i64> = self.0.whole_store.image_ids().await?.into_iter().collect();
        let gone: Vec<i64> = written.difference(&current).copied().collect();
        let index = self.0.index.clone();
        spawn_blocking(move || {
            next.write(&[], &gone)?;
            next.finish(indexed)?;
            index.serve(&next)
        })
        .await??;
        self.0.signals.revision.send_replace(indexed);
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(images = written.len(), revision = indexed, seconds, "the search index was built");
        Ok(())
    }

    /// Writes what changed after `indexed`, in rounds until nothing changes meanwhile.
    async fn index_write_all(
        &self,
        to: &Arc<IndexGeneration>,
        indexed: &mut i64,
        written: &mut HashSet<i64>,
    ) -> Result<()> {
        loop {
            let revision = self.0.whole_store.catalogue_revision().await?;
            if *indexed == revision {
                return Ok(());
            }
            let before = if *indexed == 0 { PriorIndexing::No } else { PriorIndexing::Maybe };
            self.index_write(to, *indexed, before, |ids| {
                written.extend(ids);
                self.0.index.add_progress(ids.len() as u64);
            })
            .await?;
            *indexed = revision;
        }
    }

    /// Writes images that changed after `since`; `tell` gets their ids.
    async fn index_write(
        &self,
        to: &Arc<IndexGeneration>,
        since: i64,
        before: PriorIndexing,
        mut tell: impl FnMut(&[i64]),
    ) -> Result<()> {
        let store = &self.0.whole_store.in_background();
        let mut images = store.image_changes(since, ImageId(0), BATCH).await?;
        while let Some(last) = images.last() {
            let last = last.id;
            let ids: Vec<i64> = images.iter().map(|image| image.id.0).collect();
            let to = Arc::clone(to);
            let writing = spawn_blocking(move || {
                let docs: Vec<SearchDoc> = images.iter().map(search_doc).collect();
                match before {
                    PriorIndexing::No => to.add(&docs),
                    PriorIndexing::Maybe => to.write(&docs, &[]),
                }
            });
            // The next batch is read meanwhile.
            let (next, written) = tokio::join!(store.image_changes(since, last, BATCH), writing);
            written??;
            tell(&ids);
            images = next?;
        }
        Ok(())
    }
}
