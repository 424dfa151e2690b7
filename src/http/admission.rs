//! Limits of request bodies, and memory for them: a body takes memory as its bytes arrive, and the request releases it
//! with its reply. So a thousand clients that send a megabyte at once, or half of one, are answered one after the
//! other, or with 503.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use futures_util::{Stream, StreamExt as _, stream};
use hyper::body::Body as _;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::error::HttpFailure;
use super::quota_holder::QuotaHolder;
use crate::app::Error;

/// Longest body of a request, in bytes.
pub(super) const LONGEST_BODY: usize = 1024 * 1024;

/// The same for a login, which strangers may send.
pub(super) const LONGEST_LOGIN: usize = 64 * 1024;

/// Bytes that every request may use without admission, so that a login works under any load.
const FREE: usize = 4096;

/// How long a body waits for memory.
const WAIT: Duration = Duration::from_secs(5);

/// Least transfer rate of a body, in bytes a second, after a grace period; slower bodies are refused.
const LEAST_RATE: f64 = 16.0 * 1024.0;
const FIRST: Duration = Duration::from_secs(15);

const MIB: usize = 1024 * 1024;

/// The memory for bodies, in bytes: half for strangers, half for users.
pub(super) struct BodyAdmission {
    strangers: BodyMemoryPool,
    users: BodyMemoryPool,
}

/// One half of the memory.
struct BodyMemoryPool {
    most: usize,
    free: Arc<Semaphore>,
    /// The share of each client: at most half of the pool.
    shares: Mutex<HashMap<QuotaHolder, Weak<Semaphore>>>,
}

/// The memory that one request holds.
pub(super) struct BodyMemoryMeter {
    free: Arc<Semaphore>,
    share: Arc<Semaphore>,
    state: Mutex<BodyMeterState>,
}

struct BodyMeterState {
    /// Bytes that are free of charge, or acquired already.
    allowance: usize,
    /// The announced rest of the body, acquired at once with the first byte that costs: many bodies that each got a
    /// part would wait for each other.
    ahead: usize,
    held: Vec<OwnedSemaphorePermit>,
    /// Why the body was not read to its end.
    refused: Option<&'static str>,
}

impl BodyAdmission {
    pub(super) fn new(mib: usize) -> Self {
        let pool = || BodyMemoryPool {
            most: mib * MIB / 2,
            free: Arc::new(Semaphore::new(mib * MIB / 2)),
            shares: Mutex::default(),
        };
        Self { strangers: pool(), users: pool() }
    }

    pub(super) fn meter(&self, holder: QuotaHolder) -> Arc<BodyMemoryMeter> {
        let pool = if holder.is_user() { &self.users } else { &self.strangers };
        let state = BodyMeterState { allowance: FREE, ahead: 0, held: Vec::new(), refused: None };
        Arc::new(BodyMemoryMeter { free: Arc::clone(&pool.free), share: pool.share(holder), state: Mutex::new(state) })
    }
}

impl BodyMemoryPool {
    fn share(&self, holder: QuotaHolder) -> Arc<Semaphore> {
        /// Number of shares from which on those without open requests are dropped.
        const MANY: usize = 1000;
        let mut shares = self.shares.lock();
        if shares.len() >= MANY {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        if let Some(share) = shares.get(&holder).and_then(Weak::upgrade) {
            return share;
        }
        let share = Arc::new(Semaphore::new(self.most / 2));
        shares.insert(holder, Arc::downgrade(&share));
        share
    }
}

impl BodyMemoryMeter {
    /// Acquires memory for `bytes` more, until the request ends.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if none becomes free within [`WAIT`].
    pub(super) async fn take(&self, bytes: usize) -> Result<(), Error> {
        let (costs, asked) = {
            let mut state = self.state();
            let free = state.allowance.min(bytes);
            state.allowance -= free;
            if bytes == free {
                return Ok(());
            }
            (bytes - free, (bytes - free).max(std::mem::take(&mut state.ahead)))
        };
        let permits = u32::try_from(asked).unwrap_or(u32::MAX);
        let both = async {
            // The client's share first: waiting for it keeps no other client waiting.
            let share = Arc::clone(&self.share).acquire_many_owned(permits).await;
            (share, Arc::clone(&self.free).acquire_many_owned(permits).await)
        };
        match timeout(WAIT, both).await {
            Ok((Ok(share), Ok(free))) => {
                let mut state = self.state();
                state.allowance += asked - costs;
                match &mut state.held[..] {
                    [held_share, held_free] => {
                        held_share.merge(share);
                        held_free.merge(free);
                    }
                    _ => state.held = vec![share, free],
                }
                Ok(())
            }
            _ => Err(self.refuse("Too many request bodies are being read; try again later")),
        }
    }

    /// The request with a body that acquires memory as it arrives, and must keep a least rate.
    pub(super) fn read(self: &Arc<Self>, request: Request) -> Request {
        // A body that is announced as longer than most routes accept acquires no more than their limit at once.
        self.state().ahead =
            usize::try_from(request.body().size_hint().lower()).unwrap_or(MIB).min(MIB).saturating_sub(FREE);
        request.map(|body| if body.is_end_stream() { body } else { Body::from_stream(Arc::clone(self).metered(body)) })
    }

    fn metered(self: Arc<Self>, body: Body) -> impl Stream<Item = Result<Bytes, axum::Error>> {
        let start = (self, body.into_data_stream(), Instant::now(), 0_usize);
        stream::unfold(Some(start), async |going| {
            let (meter, mut pieces, begun, received) = going?;
            let deadline = begun + FIRST + Duration::from_secs_f64(received as f64 / LEAST_RATE);
            let piece = match timeout_at(deadline, pieces.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(None) => return None,
                Ok(Some(Err(why))) => return Some((Err(why), None)),
                Err(_) => {
                    let why = meter.refuse("The body arrived too slowly; try again over a better connection");
                    return Some((Err(axum::Error::new(why)), None));
                }
            };
            match meter.take(piece.len()).await {
                Ok(()) => {
                    let received = received + piece.len();
                    Some((Ok(piece), Some((meter, pieces, begun, received))))
                }
                Err(why) => Some((Err(axum::Error::new(why)), None)),
            }
        })
    }

    /// Why the body was not read, if memory or time ran out; it replaces the handler's reply.
    pub(super) fn refusal(&self) -> Option<HttpFailure> {
        self.state().refused.map(|why| Error::Unavailable(why.to_owned()).into())
    }

    fn refuse(&self, why: &'static str) -> Error {
        self.state().refused = Some(why);
        Error::Unavailable(why.to_owned())
    }

    fn state(&self) -> MutexGuard<'_, BodyMeterState> {
        self.state.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::super::quota_holder::stranger;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_for_memory_and_are_refused_after_a_while() {
        let admission = BodyAdmission::new(64);
        let full = [admission.meter(stranger(1)), admission.meter(stranger(2))];
        for meter in &full {
            meter.take(FREE + 16 * MIB).await.expect("half of a half");
        }
        let own = admission.meter(stranger(1));
        own.take(FREE).await.expect("what every request has");
        own.take(1).await.expect_err("its share is taken");
        assert!(own.refusal().is_some());
        admission.meter(stranger(3)).take(FREE + 1).await.expect_err("everything is taken");
        let user = QuotaHolder::User(crate::catalog::UserId(1));
        admission.meter(user).take(16 * MIB).await.expect("users have their own half");
        let waiting = admission.meter(stranger(3));
        let waits = async { waiting.take(MIB).await.expect("somebody gives it back") };
        tokio::join!(waits, async { drop(full) });
    }

    #[tokio::test(start_paused = true)]
    async fn many_whole_bodies_at_once_are_read_one_after_the_other() {
        let admission = BodyAdmission::new(64);
        let read = async || {
            let meter = admission.meter(stranger(1));
            meter.state().ahead = MIB - FREE;
            for _ in 0..16 {
                meter.take(MIB / 16).await.expect("its turn comes");
                tokio::time::sleep(Duration::from_millis(1)).await; // because others send meanwhile
            }
        };
        futures_util::future::join_all((0..100).map(|_| read())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_to_come_at_some_speed() {
        let admission = BodyAdmission::new(64);
        for (pause, arrives) in [(1, true), (5, false)] {
            let meter = admission.meter(stranger(1));
            let pieces = stream::unfold(0, move |sent| async move {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                (sent < 30).then(|| (Ok::<_, axum::Error>(Bytes::from(vec![0; 16 * 1024])), sent + 1))
            });
            let request = meter.read(Request::new(Body::from_stream(pieces)));
            let read = axum::body::to_bytes(request.into_body(), usize::MAX).await;
            assert_eq!((read.is_ok(), meter.refusal().is_none()), (arrives, arrives), "{pause}");
        }
    }
}
