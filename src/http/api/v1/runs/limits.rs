//! `/api/v1/runs/limits`: what a run may ask for, told before.

use axum::Json;

use crate::api::runs::RunLimitsReply;
use crate::app::RunLimits;
use crate::http::extract::RequestApp;

pub(super) async fn get(RequestApp(app): RequestApp) -> Json<RunLimitsReply> {
    let RunLimits {
        upload_bytes,
        user_bytes,
        keep_uploads_days,
        input_roots,
        mount_roots,
        timeout_seconds,
        tries,
        most_tries,
        priority,
        highest_priority,
        active_runs,
        longest_label,
        most_tags,
        longest_tag,
    } = app.run_limits();
    Json(RunLimitsReply {
        upload_bytes,
        user_bytes,
        keep_uploads_days,
        input_roots,
        mount_roots,
        timeout_seconds,
        tries,
        most_tries,
        priority,
        highest_priority,
        active_runs,
        longest_label,
        most_tags,
        longest_tag,
    })
}
