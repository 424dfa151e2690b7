//! The byte stream of one connection, between its socket and hyper: reports written bytes to the connection's
//! [`ConnectionWatch`], and adds a body to the errors that hyper itself sends for unreadable requests.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connection_watch::ConnectionWatch;

pub(super) struct WatchedSocket {
    stream: TcpStream,
    watch: Arc<ConnectionWatch>,
    /// Bytes to send instead of what hyper writes, and how many of them are sent.
    instead: Option<(Vec<u8>, usize)>,
}

impl WatchedSocket {
    pub(super) fn new(stream: TcpStream, watch: Arc<ConnectionWatch>) -> Self {
        Self { stream, watch, instead: None }
    }

    fn told(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &outcome {
            Poll::Ready(Ok(bytes)) => self.watch.took(*bytes),
            Poll::Pending => self.watch.record_blocked(),
            Poll::Ready(Err(_)) => {}
        }
        outcome
    }

    fn write_replacement(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some((text, gone)) = &mut self.instead {
            let written = Pin::new(&mut self.stream).poll_write(context, &text[*gone..]);
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => *gone += bytes,
            }
            if *gone == text.len() {
                self.instead = None;
            }
        }
        Poll::Ready(Ok(length))
    }
}

impl AsyncRead for WatchedSocket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, to)
    }
}

impl AsyncWrite for WatchedSocket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        if line.instead.is_none() && line.watch.all_replies_sent() {
            line.instead = with_body(from).map(|text| (text, 0));
        }
        let outcome = match line.instead {
            Some(_) => line.write_replacement(context, from.len()),
            None => Pin::new(&mut line.stream).poll_write(context, from),
        };
        line.told(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = from {
            return self.poll_write(context, only);
        }
        let line = self.get_mut();
        let outcome = Pin::new(&mut line.stream).poll_write_vectored(context, from);
        line.told(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let line = self.get_mut();
        ready!(Pin::new(&mut line.stream).poll_flush(context))?;
        line.watch.sent();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// Adds a body to the head of an error that hyper writes without one. `None` for anything else.
fn with_body(head: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = text.split("\r\n");
    let status = lines.next()?;
    let mut words = status.strip_prefix("HTTP/1.")?.split(' ').skip(1);
    let why = match words.next()? {
        "400" => "The request cannot be read: it is not HTTP/1.1 (RFC 9112)",
        "414" => "The address is too long; shorten its query",
        "431" => "The headers are too long, or too many; send fewer",
        _ => return None,
    };
    let others: Vec<&str> = lines.filter(|line| !line.eq_ignore_ascii_case("content-length: 0")).collect();
    let is_ours = |line: &&str| {
        let name = line.split(':').next().unwrap_or_default();
        ["date", "connection"].iter().any(|known| name.eq_ignore_ascii_case(known))
    };
    if !others.iter().all(is_ours) {
        return None;
    }
    let body = json!({ "error": why }).to_string();
    let date =
        others.iter().find(|line| line.to_ascii_lowercase().starts_with("date")).map(|date| format!("{date}\r\n"));
    let (date, length) = (date.unwrap_or_default(), body.len());
    Some(
        format!(
            "{status}\r\ncontent-type: application/json\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\
             content-length: {length}\r\n{date}\r\n{body}"
        )
        .into_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::with_body;

    #[test]
    fn only_bare_errors_get_a_body() {
        let date = "date: Mon, 30 Nov 2026 04:00:00 GMT";
        let bare = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n{date}\r\n\r\n");
        let text = String::from_utf8(with_body(bare.as_bytes()).unwrap()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(date) && head.contains(&format!("content-length: {}", body.len())), "{text}");
        assert!(body.starts_with(r#"{"error":"#), "{text}");
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\nx",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400",
            "",
        ] {
            assert_eq!(with_body(other.as_bytes()), None, "{other}");
        }
    }
}
