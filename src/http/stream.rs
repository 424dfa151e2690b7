//! Long replies: server-sent events (HTML standard, "Server-sent events"). Once such a reply has begun, the time limit
//! of requests no longer applies; instead there are heartbeats, an end when the service stops, and a limit on
//! concurrent streams.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use hyper::body::Body as _;
use parking_lot::{Mutex, MutexGuard};
use tokio_util::sync::CancellationToken;

use super::error::{HttpFailure, Result};
use super::quota_holder::QuotaHolder;
use crate::app::{App, Error, UserSession};

/// The places for streams, in the extensions of every request.
#[derive(Clone)]
pub(super) struct StreamSlots {
    most: usize,
    /// Most streams of one client.
    each: usize,
    taken: Arc<Mutex<HashMap<QuotaHolder, usize>>>,
}

/// A place that is taken, until it is dropped.
struct StreamSlot {
    places: StreamSlots,
    holder: QuotaHolder,
}

impl StreamSlots {
    pub(super) fn new(most: usize, each: usize) -> Self {
        Self { most, each, taken: Arc::default() }
    }

    /// Number of open streams.
    pub(super) fn taken(&self) -> usize {
        self.counts().values().sum()
    }

    fn take(&self, holder: QuotaHolder) -> std::result::Result<StreamSlot, Error> {
        let later = "try again later, or poll without Accept: text/event-stream";
        let mut counts = self.counts();
        if counts.get(&holder).is_some_and(|count| *count >= self.each) {
            let each = self.each;
            return Err(Error::Unavailable(format!("You have {each} open streams, the maximum; {later}")));
        }
        let strangers: usize = counts.iter().filter(|(other, _)| !other.is_user()).map(|(_, count)| count).sum();
        let most = self.most;
        if counts.values().sum::<usize>() >= most {
            return Err(Error::Unavailable(format!("All {most} streams are in use; {later}")));
        }
        if !holder.is_user() && strangers >= most.div_ceil(2) {
            let text = format!("All streams for anonymous clients are in use; {later}");
            return Err(Error::Unavailable(text));
        }
        *counts.entry(holder.clone()).or_default() += 1;
        Ok(StreamSlot { places: self.clone(), holder })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<QuotaHolder, usize>> {
        self.taken.lock()
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut counts = self.places.counts();
        if let Some(count) = counts.get_mut(&self.holder) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.holder);
            }
        }
    }
}

/// Cancelled when the service stops; in the extensions of every request on a connection.
#[derive(Clone)]
pub(super) struct ShutdownSignal(pub(super) CancellationToken);

/// What a handler needs to reply with a stream.
pub(super) struct StreamOpener {
    places: StreamSlots,
    holder: QuotaHolder,
    stop: CancellationToken,
    heartbeat: Duration,
}

impl FromRequestParts<App> for StreamOpener {
    type Rejection = HttpFailure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        let places = parts.extensions.get::<StreamSlots>().cloned();
        let places = places.ok_or_else(|| Error::Internal("there are no places for streams".to_owned()))?;
        let stop = parts.extensions.get::<ShutdownSignal>().map(|stopping| stopping.0.clone()).unwrap_or_default();
        let heartbeat = Duration::from_secs(u64::from(app.settings().http.heartbeat_seconds));
        let holder = QuotaHolder::of(parts, app).await;
        Ok(Self { places, holder, stop, heartbeat })
    }
}

impl StreamOpener {
    /// Replies with these events until they end, the client disconnects, or the service stops.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no place is free.
    pub(super) fn reply(self, events: impl Stream<Item = Event> + Send + 'static) -> Result<Response> {
        let place = self.places.take(self.holder)?;
        let events = events.take_until(self.stop.cancelled_owned()).map(move |event| {
            let _held = &place;
            Ok::<_, Infallible>(event)
        });
        let mut reply = Sse::new(events).keep_alive(KeepAlive::new().interval(self.heartbeat)).into_response();
        // Tells nginx not to buffer, so that each event is forwarded at once.
        reply.headers_mut().insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        Ok(reply)
    }

    /// A body that is produced as the client reads, and holds a place meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if no place is free.
    pub(super) fn body<T, E>(
        self,
        pieces: impl Stream<Item = std::result::Result<T, E>> + Send + 'static,
    ) -> Result<Body>
    where
        T: Into<Bytes> + 'static,
        E: Into<axum::BoxError> + 'static,
    {
        let place = self.places.take(self.holder)?;
        Ok(Body::from_stream(pieces.map(move |piece| {
            let _held = &place;
            piece
        })))
    }
}

/// Ends a reply when its session ends: it expired, or its user was deleted or got another role. Short replies are not
/// affected.
pub(super) fn until_over(app: &App, session: UserSession, reply: Response) -> Response {
    const SHORT: u64 = 1024 * 1024;
    if reply.body().size_hint().exact().is_some_and(|size| size <= SHORT) {
        return reply;
    }
    let kind = reply.headers().get(header::CONTENT_TYPE);
    let may_end = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let app = app.clone();
    let over = Box::pin(async move { app.session_end(&session).await });
    reply.map(|body| {
        let start = Some((body.into_data_stream(), over, may_end));
        Body::from_stream(stream::unfold(start, async |going| {
            let (mut pieces, mut over, may_end) = going?;
            tokio::select! {
                biased;
                // An error, or a truncated reply would look complete.
                () = &mut over => (!may_end).then(|| (Err(axum::Error::new("the session is over")), None)),
                piece = pieces.next() => piece.map(|piece| (piece, Some((pieces, over, may_end)))),
            }
        }))
    })
}

/// Whether the client accepts a stream.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|list| list.split(',')).any(|range| {
        let name = range.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case("text/event-stream")
    })
}

#[cfg(test)]
mod tests {
    use super::super::quota_holder::stranger;
    use super::*;
    use crate::catalog::UserId;

    #[test]
    fn one_client_and_strangers_together_have_their_share() {
        let places = StreamSlots::new(10, 3);
        let user = |id| QuotaHolder::User(UserId(id));
        let take = |holder: QuotaHolder, count: usize| -> Vec<StreamSlot> {
            (0..count).filter_map(|_| places.take(holder.clone()).ok()).collect()
        };
        let strangers = [take(stranger(1), 9), take(stranger(2), 9), take(stranger(3), 9)];
        assert_eq!(strangers.each_ref().map(Vec::len), [3, 2, 0]);
        let users = [take(user(1), 9), take(user(2), 9), take(user(3), 9)];
        assert_eq!(users.each_ref().map(Vec::len), [3, 2, 0]);
        assert_eq!(places.taken(), 10);
        drop(users);
        assert_eq!((take(stranger(1), 1).len(), take(user(4), 9).len()), (0, 3));
        drop(strangers);
        assert_eq!((places.taken(), places.counts().len()), (0, 0));
    }
}
