//! Files that users send to be inputs: kept by their content, for as long as somebody uses them.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::super::{App, Result};

impl App {
    /// Where the bytes of an upload are.
    pub(super) fn upload_path(&self, sha256: &str) -> PathBuf {
        let safe: String = sha256.chars().filter(char::is_ascii_hexdigit).take(64).collect();
        let folder = safe.get(..2).unwrap_or("00").to_owned();
        self.settings().in_data("uploads").join(folder).join(safe)
    }

    /// Removes what nobody has used since a moment.
    pub(super) async fn upload_clean_up(&self, before: DateTime<Utc>) -> Result<()> {
        for sha256 in self.0.store.upload_prune(before).await? {
            let path = self.upload_path(&sha256);
            if let Err(why) = tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await? {
                tracing::warn!(sha256, %why, "an upload that nobody uses cannot be removed");
            }
        }
        Ok(())
    }
}
