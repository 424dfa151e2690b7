//! The listener: connections with limits and timeouts, and a graceful stop.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::{HeaderValue, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use super::connection_watch::{ConnectionStatus, ConnectionTimeouts};
use super::connections::{ConnectionBounds, ConnectionSlot, ConnectionTable, raise_handle_limit};
use super::stream::ShutdownSignal;
use super::watched_socket::WatchedSocket;
use crate::app::App;

/// How long an HTTP/2 peer may take to answer a ping.
const PING: Duration = Duration::from_secs(15);

/// Idle timeout of a spare connection: time for the head of a request.
const SPARE_IDLE: Duration = Duration::from_secs(3);

/// Time limit for closing a connection gracefully.
const FAREWELL: Duration = Duration::from_secs(1);

/// Bytes that are buffered in each direction, of a connection and of an HTTP/2 stream. The head of a request must fit.
const BUFFER: usize = 64 * 1024;

/// The same for all streams of a connection.
const WINDOW: u32 = 256 * 1024;

/// Bytes of a reply that the kernel buffers unsent. A small buffer tells a client that reads slowly from one that does
/// not read.
const UNSENT: u32 = 128 * 1024;

/// Limits and timeouts of the listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    bounds: ConnectionBounds,
    patience: ConnectionTimeouts,
}

impl ListenerLimits {
    /// The configured limits, as far as the process's file handles allow: raises their limit first.
    pub fn new(app: &App) -> Self {
        let settings = &app.settings().http;
        let per_address = match settings.connections_per_address {
            // All connections come from the proxy.
            0 if settings.trust_forwarded_for => settings.connections,
            asked => asked,
        };
        let seconds = |count: u32| Duration::from_secs(u64::from(count));
        Self {
            bounds: ConnectionBounds::new(settings.connections, per_address, raise_handle_limit()),
            patience: ConnectionTimeouts {
                idle: seconds(settings.idle_seconds),
                stalled: seconds(settings.stalled_seconds),
            },
        }
    }
}

/// Marks requests on a spare connection: in the extensions of the request.
#[derive(Clone, Copy)]
pub(super) struct SpareConnection;

/// State shared by all connections.
struct ConnectionServer {
    http: Builder<TokioExecutor>,
    router: Router,
    patience: ConnectionTimeouts,
    stop: CancellationToken,
}

/// Serves until `stop`; then running requests have `grace` to finish.
pub async fn serve(
    router: Router,
    listener: TcpListener,
    limits: ListenerLimits,
    stop: CancellationToken,
    grace: Duration,
) {
    let connections = ConnectionTable::new(limits.bounds);
    let server = Arc::new(ConnectionServer { http: builder(), router, patience: limits.patience, stop: stop.clone() });
    let open = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            // A connection without a place is closed.
            Ok((stream, peer)) => {
                if let Some(place) = connections.enter(peer.ip()) {
                    open.spawn(Arc::clone(&server).connection(stream, peer, place));
                }
            }
            Err(why) => {
                tracing::warn!(%why, "a connection could not be accepted");
                // Most likely no file handle is free.
                tokio::time::sleep(Duration::from_millis(100)).await; // because this loop would take a whole core
            }
        }
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(grace, open.wait()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Timeouts are enforced by `watch`: they begin with the connection, whatever protocol it uses.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(200)
        .max_send_buf_size(BUFFER)
        .initial_stream_window_size(BUFFER as u32)
        .initial_connection_window_size(WINDOW)
        .keep_alive_interval(Some(PING));
    builder
}

impl ConnectionServer {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, place: ConnectionSlot) {
        // Small replies must not wait for more data.
        _ = stream.set_nodelay(true);
        _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        let mut patience = self.patience;
        if place.is_spare {
            patience.idle = patience.idle.min(SPARE_IDLE);
        }
        let io = TokioIo::new(WatchedSocket::new(stream, Arc::clone(&place.watch)));
        let service = hyper::service::service_fn(|request| self.answer(request, peer, &place));
        let mut connection = pin!(self.http.serve_connection(io, service));
        let mut looks = tokio::time::interval(patience.period());
        let mut is_asked_to_end = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(why) = ended {
                        tracing::debug!(why, "a connection ended badly");
                    }
                    return;
                }
                () = self.stop.cancelled(), if !is_asked_to_end => {
                    is_asked_to_end = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = place.close.cancelled() => break,
                _ = looks.tick() => match place.watch.check_timeouts(patience) {
                    ConnectionStatus::GoesOn => {}
                    ConnectionStatus::Idle => break,
                    ConnectionStatus::Stalled => {
                        tracing::debug!(%peer, "closing a connection: the client does not read its replies");
                        return;
                    }
                }
            }
        }
        connection.as_mut().graceful_shutdown();
        _ = tokio::time::timeout(FAREWELL, connection).await;
    }

    fn answer(
        &self,
        mut request: http::Request<Incoming>,
        peer: SocketAddr,
        place: &ConnectionSlot,
    ) -> impl Future<Output = Result<axum::response::Response, Infallible>> + use<> {
        let under_way = place.watch.begin();
        let is_last = place.is_spare && request.version() < http::Version::HTTP_2;
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(ShutdownSignal(self.stop.clone()));
        if place.is_spare {
            request.extensions_mut().insert(SpareConnection);
        }
        let replied = self.router.clone().oneshot(request);
        async move {
            let mut reply = under_way.with(replied.await?);
            if is_last {
                reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(reply)
        }
    }
}
