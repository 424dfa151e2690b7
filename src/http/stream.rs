//! Replies that go on: server-sent events (HTML standard, "Server-sent events"). The time limit of requests is over once
//! such a reply has begun; instead there are signs of life, an end when the service stops, and a limit on how many there
//! are at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::error::{Failure, Result};
use crate::app::{App, Error};

/// The places for streams, in the extensions of every request.
#[derive(Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    most: usize,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(most)), most }
    }

    /// How many streams are open.
    pub(super) fn taken(&self) -> usize {
        self.most - self.free.available_permits()
    }
}

/// The service stops; in the extensions of every request that came over a connection.
#[derive(Clone)]
pub(super) struct Stopping(pub(super) CancellationToken);

/// What a handler needs to answer with a stream.
pub(super) struct Opening {
    places: Places,
    stop: CancellationToken,
    heartbeat: Duration,
}

impl FromRequestParts<App> for Opening {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let places = parts.extensions.get::<Places>().cloned();
        let places = places.ok_or_else(|| Error::Internal("there are no places for streams".to_owned()))?;
        let stop = parts.extensions.get::<Stopping>().map(|stopping| stopping.0.clone()).unwrap_or_default();
        let heartbeat = Duration::from_secs(u64::from(app.settings().http.heartbeat_seconds));
        Ok(Self { places, stop, heartbeat })
    }
}

impl Opening {
    /// The reply: these events until they end, the client goes, or the service stops.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is no place.
    pub(super) fn reply(self, events: impl Stream<Item = Event> + Send + 'static) -> Result<Response> {
        let Ok(place) = Arc::clone(&self.places.free).try_acquire_owned() else {
            let most = self.places.most;
            return Err(Error::Unavailable(format!(
                "All {most} places for streams are taken; try again later, or ask now and then without Accept: text/event-stream"
            ))
            .into());
        };
        let events = events.take_until(self.stop.cancelled_owned()).map(move |event| {
            let _held = &place;
            Ok::<_, Infallible>(event)
        });
        let mut reply = Sse::new(events).keep_alive(KeepAlive::new().interval(self.heartbeat)).into_response();
        // What nginx understands: each event goes on at once.
        reply.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        Ok(reply)
    }
}

/// Whether the client asks for a stream.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|list| list.split(',')).any(|range| {
        let name = range.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("text/event-stream")
    })
}
