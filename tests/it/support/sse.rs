//! A client for server-sent events (WHATWG HTML standard): `id`, `event`, `data`, comments.

use http::HeaderMap;
use serde_json::Value;

use super::process::PATIENCE;

/// A part of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Event {
        id: String,
        event: String,
        data: Value,
    },
    /// A comment, sent as keep-alive.
    Alive,
    End,
}

/// An open stream.
pub(crate) struct EventStream {
    pub headers: HeaderMap,
    reply: reqwest::Response,
    buffer: String,
    last_id: String,
}

impl EventStream {
    #[track_caller]
    pub(crate) fn new(reply: reqwest::Response) -> Self {
        assert_eq!(reply.status().as_u16(), 200, "{}", reply.url());
        assert_eq!(reply.headers()["content-type"], "text/event-stream");
        Self { headers: reply.headers().clone(), reply, buffer: String::new(), last_id: String::new() }
    }

    /// The next part of any kind.
    pub(crate) async fn piece(&mut self) -> Piece {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.buffer = rest;
                return self.parsed(&block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.reply.chunk()).await.expect("the stream hangs");
            match chunk {
                Ok(Some(bytes)) => self.buffer.push_str(std::str::from_utf8(&bytes).expect("UTF-8")),
                Ok(None) => return Piece::End,
                Err(why) => panic!("the stream breaks off: {why:?}"),
            }
        }
    }

    fn parsed(&mut self, block: &str) -> Piece {
        let (mut event, mut data) = (String::new(), None);
        for line in block.lines() {
            match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
                Some(("id", value)) => self.last_id = value.to_owned(),
                Some(("event", value)) => event = value.to_owned(),
                Some(("data", value)) => data = Some(serde_json::from_str(value).expect("data is JSON")),
                Some(("", _)) => {}
                _ => panic!("a line that is none of the standard's: {line}"),
            }
        }
        match data {
            Some(data) => Piece::Event { id: self.last_id.clone(), event, data },
            None => Piece::Alive,
        }
    }

    /// The next event: its name and data.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        loop {
            match self.piece().await {
                Piece::Event { event, data, .. } => return (event, data),
                Piece::Alive => {}
                Piece::End => panic!("the stream has ended"),
            }
        }
    }

    /// Reads until the end; returns the remaining events.
    pub(crate) async fn rest(&mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        loop {
            match self.piece().await {
                Piece::Event { event, data, .. } => events.push((event, data)),
                Piece::Alive => {}
                Piece::End => return events,
            }
        }
    }
}
