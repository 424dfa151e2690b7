//! Events of the catalogue, for those who follow it, and the feed of what is new.

use super::{App, Result};
use crate::catalog::{Event, EventId, EventQuery, Image, ImageId};
use crate::search::Kind;

/// From where somebody can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventStart {
    /// The event before the first one.
    pub after: EventId,
    /// Events after the wanted one are lost: they were thrown away, or it is not one of this database.
    pub missed: bool,
}

impl App {
    /// From where to go on after an event.
    pub async fn event_start(&self, after: EventId) -> Result<EventStart> {
        let range = self.0.store.event_range().await?;
        Ok(EventStart {
            after: after.clamp(range.pruned, range.newest),
            missed: after < range.pruned || after > range.newest,
        })
    }

    /// The newest event: whoever starts there is told what happens from now on.
    pub async fn event_newest(&self) -> Result<EventId> {
        Ok(self.0.store.event_range().await?.newest)
    }

    /// Events in order, after `after`. What they tell of is found by searches: the index is brought up to date first.
    pub async fn event_list(&self, query: &EventQuery, after: EventId, limit: u32) -> Result<Vec<Event>> {
        let events = self.0.store.event_list(query, after, limit).await?;
        if !events.is_empty()
            && let Err(why) = self.index_bring_up_to_date().await
        {
            // A broken index must not keep the events back.
            tracing::warn!(%why, "the search index could not be brought up to date");
        }
        Ok(events)
    }

    /// Rises whenever the feed may have changed. Searches see what the catalogue held when this was called.
    pub async fn feed_revision(&self) -> Result<i64> {
        self.index_bring_up_to_date().await?;
        Ok(self.0.index.revision())
    }

    /// Images that match a query (all for an empty one), the newest first.
    pub async fn feed_images(&self, query: &str, limit: u32) -> Result<Vec<Image>> {
        if matches!(query.trim(), "" | "+") {
            return Ok(self.0.store.image_newest(limit).await?);
        }
        let hits = self.search(Some(query), Kind::Image, &super::Page::ALL).await?;
        let ids: Vec<ImageId> = hits.hits.iter().map(|hit| ImageId(hit.id)).collect();
        Ok(self.0.store.image_newest_among(&ids, limit as usize).await?)
    }
}
