//! The user of a form.

use super::choices::FileChoice;
use crate::app::{App, RunLimits, UserSession};
use crate::http::error::Result;

/// Most uploads that are offered.
const MOST_UPLOADS: u32 = 50;

/// What the page needs to know of the user, and of what the user has.
pub(super) struct FormRunner {
    /// Of the forms of the session.
    pub token: String,
    pub limits: RunLimits,
    pub uploads: Vec<FileChoice>,
    /// Outputs of earlier runs, with their media types.
    pub outputs: Vec<(Option<String>, FileChoice)>,
}

impl FormRunner {
    pub(super) async fn of(app: &App, session: &UserSession) -> Result<Self> {
        let uploads = app.upload_list(session, None, MOST_UPLOADS).await?;
        let outputs = app.run_earlier_outputs(session, &[], None).await?.items;
        Ok(Self {
            token: app.form_token(session),
            limits: app.run_limits(),
            uploads: uploads.iter().map(FileChoice::of_upload).collect(),
            outputs: outputs.iter().map(|it| (it.file.media_type.clone(), FileChoice::of_output(it))).collect(),
        })
    }
}
