//! Request bodies that no handler read to their end: a client that sends everything before it reads would lose the
//! reply if the connection were closed meanwhile. So the rest of the body is read and discarded, within the
//! connection's own timeouts.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt as _;
use http::header;
use hyper::body::{Frame, SizeHint};

/// How long the rest of a body is read.
const LONGEST: Duration = Duration::from_secs(30);

/// Reads what handlers leave of the body.
pub(super) async fn drain(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // Such a client sends nothing before `100 Continue`, and reads the reply instead.
    let waits =
        parts.headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let body = if waits || body.is_end_stream() { body } else { Body::new(DrainedBody(Some(body))) };
    next.run(Request::from_parts(parts, body)).await
}

/// A body whose rest is read when it is dropped. `None` after its end.
struct DrainedBody(Option<Body>);

impl HttpBody for DrainedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for DrainedBody {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(LONGEST, async move {
            let mut pieces = body.into_data_stream();
            while let Some(Ok(_)) = pieces.next().await {}
        }));
    }
}
