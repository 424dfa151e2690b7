//! `/api/v1/runs/{id}/logs/{log}`: whole, ranges, the last lines, or as a stream while the log grows.

use std::io::SeekFrom;
use std::path::PathBuf;

use axum::body::Body;
use axum::response::{IntoResponse, Response, sse};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::api::runs::LogPieceReply;
use crate::app::{App, AttemptLog, Error, LogFollower, UserSession};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::file::{ServedFile, serve};
use crate::http::stream::StreamOpener;

/// Bytes that are read at once.
const PIECE: usize = 64 * 1024;
/// Bytes that are searched at once, from the end, for the beginning of the last lines.
const LOOK: u64 = 64 * 1024;
/// Largest value of `tail`.
const MOST_LINES: u64 = 1_000_000;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// Attempt number, from 1; the last one by default.
    attempt: Option<u32>,
    /// Only the last so many lines.
    tail: Option<u64>,
    #[serde(default)]
    follow: bool,
}

pub(super) async fn get(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters((id, log)): PathParameters<(String, String)>,
    QueryParameters(asked): QueryParameters<LogQuery>,
    headers: HeaderMap,
    opening: StreamOpener,
) -> Result<Response> {
    let log = log_named(&log)?;
    let run = app.run_folder(&session, &id).await?;
    let path = run.log(log, asked.attempt)?;
    if asked.tail.is_some_and(|lines| lines > MOST_LINES) {
        return Err(Error::Invalid(format!("tail is a number of lines, at most {MOST_LINES}")).into());
    }
    if asked.follow {
        return follow(app, session, id, path, asked.tail, &headers, opening).await;
    }
    let media_type = if log == AttemptLog::Combined { "application/x-ndjson" } else { "text/plain; charset=utf-8" };
    match asked.tail {
        None => serve(ServedFile { path: &path, media_type, tag: None, save_as: None }, &headers).await,
        Some(lines) => {
            let mut file = opened(&path).await?;
            let size = file.metadata().await.map_err(unreadable)?.len();
            let from = tail(&mut file, size, lines).await.map_err(unreadable)?;
            file.seek(SeekFrom::Start(from)).await.map_err(unreadable)?;
            let body = Body::from_stream(ReaderStream::with_capacity(file.take(size - from), PIECE));
            Ok(([(header::CONTENT_TYPE, HeaderValue::from_static(media_type))], body).into_response())
        }
    }
}

/// The log of this name.
///
/// # Errors
/// [`Error::NotFound`].
pub(in crate::http) fn log_named(word: &str) -> std::result::Result<AttemptLog, Error> {
    let unknown = || Error::NotFound(format!("There is no log {word}: there are stdout, stderr, combined and system"));
    AttemptLog::parse(word).ok_or_else(unknown)
}

async fn opened(path: &std::path::Path) -> Result<File> {
    Ok(File::open(path).await.map_err(|_| Error::NotFound("This log does not exist yet".to_owned()))?)
}

fn unreadable(why: std::io::Error) -> Error {
    Error::Internal(format!("a log cannot be read: {why}"))
}

/// Offset of the last `lines` lines. An unfinished line counts.
async fn tail(file: &mut File, size: u64, lines: u64) -> std::io::Result<u64> {
    let (mut end, mut left) = (size, lines);
    let mut buffer = Vec::new();
    while end > 0 && left > 0 {
        let begin = end.saturating_sub(LOOK);
        buffer.resize((end - begin) as usize, 0);
        file.seek(SeekFrom::Start(begin)).await?;
        file.read_exact(&mut buffer).await?;
        for (index, byte) in buffer.iter().enumerate().rev() {
            // The line feed at the very end belongs to the last line.
            if *byte == b'\n' && begin + index as u64 + 1 < size {
                left -= 1;
                if left == 0 {
                    return Ok(begin + index as u64 + 1);
                }
            }
        }
        end = begin;
    }
    Ok(if lines == 0 { size } else { 0 })
}

/// Streams a log as events; their ids are byte offsets, from which a client that reconnects continues.
async fn follow(
    app: App,
    session: UserSession,
    id: String,
    path: PathBuf,
    lines: Option<u64>,
    headers: &HeaderMap,
    opening: StreamOpener,
) -> Result<Response> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let sent = match (last, lines) {
        (Some(last), _) => last,
        (None, Some(lines)) => {
            let mut file = opened(&path).await?;
            let size = file.metadata().await.map_err(unreadable)?.len();
            tail(&mut file, size, lines).await.map_err(unreadable)?
        }
        (None, None) => 0,
    };
    let following = LogFollower::new(app, session, id, path, sent);
    opening.reply(stream::unfold(following, async |mut following| {
        let piece = following.next().await?;
        let piece = LogPieceReply { text: String::from_utf8_lossy(&piece).into_owned() };
        let data = serde_json::to_string(&piece).expect("a text has a JSON form");
        let event = sse::Event::default().event("log").id(following.position().to_string()).data(data);
        Some((event, following))
    }))
}
