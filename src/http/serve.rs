//! The listener: connections with time limits, and a stop that lets running requests finish.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::stream::Stopping;

/// A client that has not sent its request's head by then is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Serves until `stop`, then gives running requests `grace` to finish.
pub async fn serve(router: Router, listener: TcpListener, stop: CancellationToken, grace: Duration) {
    let mut server = Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(200).keep_alive_interval(Some(HEAD_TIMEOUT));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => connection(&server, &graceful, &router, &stop, stream, peer),
            Err(why) => {
                tracing::warn!(%why, "a connection could not be accepted");
                // Out of file handles, most likely.
                tokio::time::sleep(Duration::from_millis(100)).await; // because this loop would take a whole core
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not finish in time and were cut off");
    }
}

fn connection(
    server: &Builder<TokioExecutor>,
    graceful: &GracefulShutdown,
    router: &Router,
    stop: &CancellationToken,
    stream: TcpStream,
    peer: SocketAddr,
) {
    // Small replies should not wait for more.
    _ = stream.set_nodelay(true);
    let (router, stopping) = (router.clone(), Stopping(stop.clone()));
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(stopping.clone());
        router.clone().oneshot(request)
    });
    let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let watched = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(why) = watched.await {
            tracing::debug!(why, "a connection ended badly");
        }
    });
}
