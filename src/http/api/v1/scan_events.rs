//! `/api/v1/scans/{id}/events`: the progress of a scan, as a stream.

use axum::response::{Response, sse};
use futures_util::stream;

use super::scans::scan_reply;
use crate::app::{App, Error};
use crate::catalog::{ScanId, ScanRecord};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, RequestApp, id};
use crate::http::stream::StreamOpener;

/// What was sent last.
enum ScanStreamState {
    Nothing(ScanRecord),
    Progress(ScanRecord),
    End,
}

/// The next state of the scan, if the reader still sees its registry.
async fn next_seen(app: &App, seen: &ScanRecord) -> crate::app::Result<ScanRecord> {
    app.scan_next(seen).await?;
    app.seen_now().await?.scan_get(seen.id).await
}

pub(super) async fn follow(
    RequestApp(app): RequestApp,
    PathParameters(scan): PathParameters<String>,
    opening: StreamOpener,
) -> Result<Response> {
    let scan = app.scan_get(ScanId(id(&scan)?)).await?;
    opening.reply(stream::unfold((app, ScanStreamState::Nothing(scan)), async |(app, sent)| {
        let scan = match sent {
            ScanStreamState::Nothing(scan) => scan,
            ScanStreamState::Progress(seen) => match next_seen(&app, &seen).await {
                Ok(scan) => scan,
                // Its registry was deleted, and the scan with it.
                Err(Error::NotFound(_)) => return None,
                Err(why) => {
                    tracing::warn!(%why, scan = %seen.id, "the progress of a scan cannot be read; closing its stream");
                    return None;
                }
            },
            ScanStreamState::End => return None,
        };
        let view = scan_reply(scan.clone(), app.clock().now());
        let data = serde_json::to_string(&view).expect("texts and numbers have a JSON form");
        let goes_on = scan.state.is_active();
        let event = sse::Event::default().event(if goes_on { "progress" } else { "end" }).data(data);
        Some((event, (app, if goes_on { ScanStreamState::Progress(scan) } else { ScanStreamState::End })))
    }))
}
