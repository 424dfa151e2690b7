//! Requests in progress on one connection, and its timeouts: a client that sends no request, or reads nothing of a
//! reply, must not hold a file handle and memory.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use hyper::body::{Frame, SizeHint};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;

/// Bytes that a client must read within [`ConnectionTimeouts::stalled`].
const LEAST_TAKEN: usize = 4096;

/// Timeouts of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectionTimeouts {
    /// Without a request: from the start, or the end of the last reply, to the end of the next head.
    pub idle: Duration,
    /// With a reply of which the client reads nothing.
    pub stalled: Duration,
}

impl ConnectionTimeouts {
    /// Interval between checks.
    pub(super) fn period(&self) -> Duration {
        (self.idle.min(self.stalled) / 5).clamp(Duration::from_millis(50), Duration::from_secs(3))
    }
}

/// Whether a connection may stay open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionStatus {
    GoesOn,
    /// No request came in time.
    Idle,
    /// The client reads nothing of its replies.
    Stalled,
}

/// State of one connection.
pub(super) struct ConnectionWatch(Mutex<WatchState>);

struct WatchState {
    exchanges: HashMap<u64, Arc<RequestExchange>>,
    /// Number of requests that have begun; also the id of the next.
    begun: u64,
    /// Number of requests that had begun when all replies were last sent completely.
    sent: u64,
    idle_since: Instant,
    /// Set while the client reads nothing.
    blocked: Option<BlockedWrite>,
}

/// Since when the socket accepts nothing or little, and how much it accepted.
struct BlockedWrite {
    since: Instant,
    taken: usize,
}

/// A request, until the end of its reply.
#[derive(Default)]
struct RequestExchange(Mutex<ReplyState>);

#[derive(Default)]
enum ReplyState {
    /// The handler has not replied yet.
    #[default]
    Awaited,
    Body {
        body: Body,
        /// When the last piece was handed out, if none was requested since.
        waits: Option<Instant>,
    },
    /// Dropped, because the client does not read it.
    Abandoned,
}

/// A request in progress; it ends when this is dropped.
pub(super) struct ActiveRequest {
    watch: Arc<ConnectionWatch>,
    id: u64,
    exchange: Arc<RequestExchange>,
}

impl ConnectionWatch {
    pub(super) fn new() -> Arc<Self> {
        let (exchanges, idle_since) = (HashMap::new(), Instant::now());
        Arc::new(Self(Mutex::new(WatchState { exchanges, begun: 0, sent: 0, idle_since, blocked: None })))
    }

    pub(super) fn begin(self: &Arc<Self>) -> ActiveRequest {
        let exchange = Arc::<RequestExchange>::default();
        let mut state = self.state();
        let id = state.begun;
        state.begun += 1;
        state.exchanges.insert(id, Arc::clone(&exchange));
        ActiveRequest { watch: Arc::clone(self), id, exchange }
    }

    /// Since when the connection is idle; `None` while it is not.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.exchanges.is_empty() && state.blocked.is_none()).then_some(state.idle_since)
    }

    /// Whether all replies are sent: then what hyper writes belongs to no request.
    pub(super) fn all_replies_sent(&self) -> bool {
        let state = self.state();
        state.exchanges.is_empty() && state.sent == state.begun
    }

    /// Reports that the socket accepted `bytes`.
    pub(super) fn took(&self, bytes: usize) {
        let mut state = self.state();
        match &mut state.blocked {
            Some(blocked) if blocked.taken + bytes < LEAST_TAKEN => blocked.taken += bytes,
            blocked => *blocked = None,
        }
    }

    /// Reports that the socket accepts nothing now.
    pub(super) fn record_blocked(&self) {
        self.state().blocked.get_or_insert_with(|| BlockedWrite { since: Instant::now(), taken: 0 });
    }

    /// Reports that everything written is sent.
    pub(super) fn sent(&self) {
        let mut state = self.state();
        if state.blocked.take().is_some() {
            state.idle_since = Instant::now();
        }
        if state.exchanges.is_empty() {
            state.sent = state.begun;
        }
    }

    /// Checks the timeouts, and drops replies that the client does not read.
    pub(super) fn check_timeouts(&self, patience: ConnectionTimeouts) -> ConnectionStatus {
        let (now, state) = (Instant::now(), self.state());
        if let Some(blocked) = &state.blocked {
            return if now - blocked.since < patience.stalled {
                ConnectionStatus::GoesOn
            } else {
                ConnectionStatus::Stalled
            };
        }
        if state.exchanges.is_empty() {
            return if now - state.idle_since < patience.idle {
                ConnectionStatus::GoesOn
            } else {
                ConnectionStatus::Idle
            };
        }
        // The socket accepts data, but a piece waits: the client blocks this HTTP/2 stream by flow control.
        let exchanges: Vec<Arc<RequestExchange>> = state.exchanges.values().cloned().collect();
        drop(state);
        let abandoned = exchanges.iter().filter(|exchange| exchange.abandon(now, patience.stalled)).count();
        if abandoned == exchanges.len() { ConnectionStatus::Stalled } else { ConnectionStatus::GoesOn }
    }

    fn state(&self) -> MutexGuard<'_, WatchState> {
        self.0.lock()
    }
}

impl RequestExchange {
    /// Drops a reply that has waited for `longest`; whether it is dropped.
    fn abandon(&self, now: Instant, longest: Duration) -> bool {
        let mut reply = self.reply();
        if matches!(&*reply, ReplyState::Body { waits: Some(since), .. } if now - *since >= longest) {
            *reply = ReplyState::Abandoned;
        }
        matches!(&*reply, ReplyState::Abandoned)
    }

    fn reply(&self) -> MutexGuard<'_, ReplyState> {
        self.0.lock()
    }
}

impl ActiveRequest {
    /// The reply, whose last byte ends this request.
    pub(super) fn with(self, reply: Response) -> Response {
        reply.map(|body| {
            *self.exchange.reply() = ReplyState::Body { body, waits: None };
            Body::new(self)
        })
    }
}

impl hyper::body::Body for ActiveRequest {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut reply = self.exchange.reply();
        let ReplyState::Body { body, waits } = &mut *reply else {
            return Poll::Ready(Some(Err(axum::Error::new("the client reads nothing"))));
        };
        let polled = Pin::new(body).poll_frame(context);
        *waits = matches!(&polled, Poll::Ready(Some(Ok(_)))).then(Instant::now);
        polled
    }

    fn is_end_stream(&self) -> bool {
        matches!(&*self.exchange.reply(), ReplyState::Body { body, .. } if body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &*self.exchange.reply() {
            ReplyState::Body { body, .. } => body.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        let mut state = self.watch.state();
        state.exchanges.remove(&self.id);
        state.idle_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Body as _;

    use super::*;

    const PATIENCE: ConnectionTimeouts =
        ConnectionTimeouts { idle: Duration::from_secs(15), stalled: Duration::from_secs(30) };

    async fn seconds(count: u64) {
        tokio::time::advance(Duration::from_secs(count)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_idle_from_its_beginning_and_from_its_last_reply() {
        let watch = ConnectionWatch::new();
        seconds(14).await;
        assert_eq!(watch.check_timeouts(PATIENCE), ConnectionStatus::GoesOn);
        let under_way = watch.begin();
        seconds(3600).await;
        assert_eq!(
            (watch.check_timeouts(PATIENCE), watch.idle_since()),
            (ConnectionStatus::GoesOn, None),
            "a request that takes its time"
        );
        drop(under_way);
        seconds(14).await;
        assert_eq!(watch.check_timeouts(PATIENCE), ConnectionStatus::GoesOn);
        seconds(1).await;
        assert_eq!(watch.check_timeouts(PATIENCE), ConnectionStatus::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_stalled_and_who_takes_a_little_is_not() {
        let watch = ConnectionWatch::new();
        let _under_way = watch.begin();
        watch.record_blocked();
        for _ in 0..10 {
            seconds(29).await;
            assert_eq!(watch.check_timeouts(PATIENCE), ConnectionStatus::GoesOn);
            watch.took(LEAST_TAKEN);
            watch.record_blocked();
        }
        seconds(29).await;
        watch.took(LEAST_TAKEN - 1);
        watch.record_blocked();
        seconds(1).await;
        assert_eq!(watch.check_timeouts(PATIENCE), ConnectionStatus::Stalled, "some bytes are as good as none");
        watch.sent();
        assert_eq!(watch.check_timeouts(PATIENCE), ConnectionStatus::GoesOn);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_held_back_loses_its_reply_and_the_others_go_on() {
        let watch = ConnectionWatch::new();
        let pieces =
            || Body::from_stream(futures_util::stream::repeat_with(|| Ok::<_, axum::Error>(Bytes::from("piece"))));
        let mut held = watch.begin().with(Response::new(pieces()));
        let mut read = watch.begin().with(Response::new(pieces()));
        let next = async |reply: &mut Response| {
            std::future::poll_fn(|context| Pin::new(reply.body_mut()).poll_frame(context)).await.expect("no end")
        };
        next(&mut held).await.expect("a piece");
        for _ in 0..4 {
            next(&mut read).await.expect("a piece");
            seconds(10).await;
            assert_eq!(watch.check_timeouts(PATIENCE), ConnectionStatus::GoesOn);
        }
        next(&mut read).await.expect("a piece");
        next(&mut held).await.expect_err("it was let go");
        drop(read);
        assert_eq!(watch.check_timeouts(PATIENCE), ConnectionStatus::Stalled, "nothing is left that somebody takes");
    }
}
