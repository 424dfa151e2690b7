//! `/api/v1/runs/limits`: what a run may ask for, told before.

use axum::Json;
use axum::extract::State;

use crate::api::runs::RunLimitsReply;
use crate::app::{App, RunLimits};

pub(super) async fn get(State(app): State<App>) -> Json<RunLimitsReply> {
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
