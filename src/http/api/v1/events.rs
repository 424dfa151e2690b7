//! `/api/v1/events`: added, changed and removed images, as a stream or page by page.

use std::collections::VecDeque;
use std::time::Duration;

use axum::Json;
use axum::response::sse;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use tokio::sync::watch;

use super::limit;
use crate::api::events::{EventPageReply, EventReply};
use crate::app::{App, Error, EventStart};
use crate::catalog::{EventId, EventQuery, ImageEvent, RegistryId};
use crate::http::error::Result;
use crate::http::extract::{QueryParameters, RequestApp};
use crate::http::stream::{self as streams, StreamOpener};

/// Events that are read at once for a stream.
const BATCH: u32 = 100;
/// Poll interval of a stream. `tasks::index_sync` finds changes of other processes each second, and wakes it; polling
/// is for when the index cannot be written.
const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventsQuery {
    after: Option<i64>,
    registry: Option<i64>,
    job: Option<String>,
    limit: Option<u32>,
}

impl From<ImageEvent> for EventReply {
    fn from(event: ImageEvent) -> Self {
        Self {
            id: event.id.0,
            kind: event.kind.as_str().into(),
            at: event.at,
            registry_id: event.registry_id.0,
            registry: event.registry,
            repository: event.repository,
            tag: event.tag,
            digest: event.digest,
            image_id: event.image_id.0,
            job_name: event.job_name,
            job_version: event.job_version,
            package_version: event.package_version,
            title: event.title,
        }
    }
}

pub(super) async fn list(
    RequestApp(app): RequestApp,
    QueryParameters(asked): QueryParameters<EventsQuery>,
    headers: HeaderMap,
    opening: StreamOpener,
) -> Result<Response> {
    let limit = limit(asked.limit)?;
    let query = EventQuery { registry: asked.registry.map(RegistryId), job: asked.job };
    let mut reply = if streams::is_wanted(&headers) {
        // A client that reconnects calls the same URL, with the id of the last event that it received.
        let after = last_event_id(&headers)?.or(asked.after.map(EventId));
        opening.reply(follow(app, query, after).await?)?
    } else {
        Json(page(&app, &query, asked.after.map(EventId), limit).await?).into_response()
    };
    reply.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    Ok(reply)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<EventId>> {
    let Some(value) = headers.get("last-event-id") else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse().ok());
    let id = id.ok_or_else(|| Error::Invalid("Last-Event-ID must be the id of an event: a number".to_owned()))?;
    Ok(Some(EventId(id)))
}

/// Without `after` from the oldest stored event.
async fn page(app: &App, query: &EventQuery, after: Option<EventId>, limit: u32) -> Result<EventPageReply> {
    let EventStart { after: start, missed } = app.event_start(after.unwrap_or(EventId(0))).await?;
    let events = app.event_list(query, start, limit).await?;
    let next = events.last().map_or(start, |last| last.id);
    Ok(EventPageReply {
        items: events.into_iter().map(EventReply::from).collect(),
        next: next.to_string(),
        missed: missed && after.is_some(),
    })
}

/// Without `after` from the next event.
async fn follow(app: App, query: EventQuery, after: Option<EventId>) -> Result<impl Stream<Item = sse::Event> + use<>> {
    let start = match after {
        Some(after) => app.event_start(after).await?,
        None => EventStart { after: app.event_newest().await?, missed: false },
    };
    // Sent at once, so that a client knows its position, and proxies see data.
    let hello = sse::Event::default().id(start.after.to_string());
    let hello = if start.missed { hello.event("missed").data("{}") } else { hello.comment("following") };
    let following = EventFollower {
        changed: app.signals().revision.subscribe(),
        app,
        query,
        after: start.after,
        waiting: VecDeque::new(),
    };
    Ok(stream::iter([hello]).chain(stream::unfold(following, EventFollower::next)))
}

struct EventFollower {
    app: App,
    query: EventQuery,
    after: EventId,
    waiting: VecDeque<ImageEvent>,
    changed: watch::Receiver<i64>,
}

impl EventFollower {
    /// The next event. The stream ends if events cannot be read: the client reconnects with the last id that it
    /// received.
    async fn next(mut self) -> Option<(sse::Event, Self)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                self.after = event.id;
                return Some((sent(event), self));
            }
            // What the reader sees may have changed since.
            let events = match self.app.seen_now().await {
                Ok(app) => app.event_list(&self.query, self.after, BATCH).await,
                Err(why) => Err(why),
            };
            match events {
                Ok(events) if events.is_empty() => {
                    _ = tokio::time::timeout(LOOK, self.changed.changed()).await;
                }
                Ok(events) => self.waiting = events.into(),
                Err(why) => {
                    tracing::warn!(%why, "events cannot be read; closing an event stream");
                    return None;
                }
            }
        }
    }
}

fn sent(event: ImageEvent) -> sse::Event {
    let view = EventReply::from(event);
    let data = serde_json::to_string(&view).expect("texts and numbers have a JSON form");
    sse::Event::default().id(view.id.to_string()).event(view.kind).data(data)
}
