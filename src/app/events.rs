//! Events of the catalogue for clients that follow them, and the feed of new images.

use super::{App, Result};
use crate::catalog::{CatalogueImage, EventFilter, EventId, EventQuery, ImageEvent, ImageId};
use crate::search::SearchKind;

/// Where a client starts to follow events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventStart {
    /// Cursor: the event before the first one to deliver.
    pub after: EventId,
    /// Whether events after the requested one are lost: they were pruned, or its id is not of this database.
    pub missed: bool,
}

/// Some of the newest events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentEvents {
    /// Newest first.
    pub events: Vec<ImageEvent>,
    /// Whether older ones are stored.
    pub has_older: bool,
}

impl App {
    /// The newest events before a given one, or of all; at most `limit`.
    pub async fn event_recent(
        &self,
        filter: &EventFilter,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<RecentEvents> {
        let mut events = self.store().event_recent(filter, before, limit + 1).await?;
        let has_older = events.len() > limit as usize;
        events.truncate(limit as usize);
        Ok(RecentEvents { events, has_older })
    }

    /// The start position after a given event.
    pub async fn event_start(&self, after: EventId) -> Result<EventStart> {
        let range = self.store().event_range().await?;
        Ok(EventStart {
            after: after.clamp(range.pruned, range.newest),
            missed: after < range.pruned || after > range.newest,
        })
    }

    /// The newest event's id, where a client starts that wants only future events.
    pub async fn event_newest(&self) -> Result<EventId> {
        Ok(self.store().event_range().await?.newest)
    }

    /// Events after `after`, in order. Brings the index up to date first, so that searches find what the events report.
    pub async fn event_list(&self, query: &EventQuery, after: EventId, limit: u32) -> Result<Vec<ImageEvent>> {
        let events = self.store().event_list(query, after, limit).await?;
        if !events.is_empty()
            && let Err(why) = self.index_bring_up_to_date().await
        {
            // A broken index must not withhold events.
            tracing::warn!(%why, "the search index could not be brought up to date");
        }
        Ok(events)
    }

    /// A text that changes whenever the feed may have changed. Searches then see the catalogue as of this call.
    pub async fn feed_revision(&self) -> Result<String> {
        self.index_bring_up_to_date().await?;
        self.images_tag().await
    }

    /// Images that match a query (all for an empty one), newest first.
    pub async fn feed_images(&self, query: &str, limit: u32) -> Result<Vec<CatalogueImage>> {
        if matches!(query.trim(), "" | "+") {
            return Ok(self.store().image_newest(limit).await?);
        }
        let hits = self.search(Some(query), SearchKind::Image, &super::SearchOptions::ALL).await?;
        let ids: Vec<ImageId> = hits.hits.iter().map(|hit| ImageId(hit.id)).collect();
        Ok(self.store().image_newest_among(&ids, limit as usize).await?)
    }
}
