//! `/api/v1/scans/{id}/events`: the progress of a scan, as a stream.

use axum::extract::State;
use axum::response::{Response, sse};
use futures_util::stream;

use super::scans::ScanView;
use crate::app::{App, Error};
use crate::catalog::{ScanId, ScanRecord};
use crate::http::error::Result;
use crate::http::extract::{Path, id};
use crate::http::stream::Opening;

/// What was sent last.
enum Sent {
    Nothing(ScanRecord),
    Progress(ScanRecord),
    End,
}

pub(super) async fn follow(State(app): State<App>, Path(scan): Path<String>, opening: Opening) -> Result<Response> {
    let scan = app.scan_get(ScanId(id(&scan)?)).await?;
    opening.reply(stream::unfold((app, Sent::Nothing(scan)), async |(app, sent)| {
        let scan = match sent {
            Sent::Nothing(scan) => scan,
            Sent::Progress(seen) => match app.scan_next(&seen).await {
                Ok(scan) => scan,
                // Its registry was deleted, and the scan with it.
                Err(Error::NotFound(_)) => return None,
                Err(why) => {
                    tracing::warn!(%why, scan = %seen.id, "the progress of a scan cannot be read: a stream of it ends");
                    return None;
                }
            },
            Sent::End => return None,
        };
        let view = ScanView::new(scan.clone(), app.clock().now());
        let data = serde_json::to_string(&view).expect("texts and numbers have a JSON form");
        let goes_on = scan.state.is_active();
        let event = sse::Event::default().event(if goes_on { "progress" } else { "end" }).data(data);
        Some((event, (app, if goes_on { Sent::Progress(scan) } else { Sent::End })))
    }))
}
