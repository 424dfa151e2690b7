//! Files that users send to be inputs: kept by their content, for as long as somebody uses them.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::super::accounts::Session;
use super::super::{App, Error, Result};
use crate::auth::random_id;
use crate::catalog::Upload;

/// How long a sender may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest name of a file, bytes (`NAME_MAX`).
const LONGEST_NAME: usize = 255;
const MIB: u64 = 1024 * 1024;

impl App {
    /// Takes a file. Nothing of it is kept unless it came to its end.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a name that no file can have, and a body that breaks off; [`Error::TooLarge`] for more than one
    /// file, or all of a user, may have.
    pub async fn upload<E: std::fmt::Display>(
        &self,
        session: &Session,
        name: &str,
        body: impl Stream<Item = std::result::Result<Bytes, E>>,
    ) -> Result<Upload> {
        check_name(name)?;
        let folder = self.uploads_folder();
        fs::create_dir_all(&folder).await.map_err(|why| unwritable(&folder, &why))?;
        let part = Part(folder.join(format!(".part-{}", random_id())));
        let (size, sha256) = self.received(session, &part.0, std::pin::pin!(body)).await?;
        let now = self.0.clock.now();
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let owner_id = session.user.id;
        let upload = Upload { sha256, owner_id, name: name.to_owned(), size, created_at: now, used_at: now };
        // Not while somebody removes the same content, because nobody used it any more.
        let _held = self.0.uploads.lock().await;
        let path = self.upload_path(&upload.sha256);
        let folder = path.parent().unwrap_or(&folder);
        fs::create_dir_all(folder).await.map_err(|why| unwritable(folder, &why))?;
        fs::rename(&part.0, &path).await.map_err(|why| unwritable(&path, &why))?;
        self.0.store.upload_put(&upload).await?;
        Ok(upload)
    }

    /// Writes a body to a file: its size and digest.
    async fn received<E: std::fmt::Display>(
        &self,
        session: &Session,
        part: &Path,
        mut body: std::pin::Pin<&mut impl Stream<Item = std::result::Result<Bytes, E>>>,
    ) -> Result<(u64, String)> {
        let settings = &self.settings().runs;
        let (most, most_of_all) =
            (u64::from(settings.upload_mib) * MIB, u64::from(settings.uploads_per_user_mib) * MIB);
        let others = self.0.store.upload_bytes(session.user.id).await?;
        let mut file = File::create_new(part).await.map_err(|why| unwritable(part, &why))?;
        // The user of a job's container reads it, whoever that is; the folder keeps others out.
        file.set_permissions(Permissions::from_mode(0o644)).await.map_err(|why| unwritable(part, &why))?;
        let (mut size, mut hash) = (0_u64, Sha256::new());
        loop {
            let next = timeout(SILENCE, body.next()).await.map_err(|_| {
                Error::Invalid(format!("The file broke off: nothing came for {} seconds", SILENCE.as_secs()))
            })?;
            let Some(piece) = next else { break };
            let piece = piece.map_err(|why| Error::Invalid(format!("The file broke off: {why}")))?;
            size += piece.len() as u64;
            if size > most {
                let mib = settings.upload_mib;
                return Err(Error::TooLarge(format!(
                    "The file is larger than {mib} MiB, which is the most (runs.upload_mib)"
                )));
            }
            if others + size > most_of_all {
                let mib = settings.uploads_per_user_mib;
                return Err(Error::TooLarge(format!(
                    "With this file you would have sent more than {mib} MiB, which is the most (runs.uploads_per_user_mib); what is not \
                     used for {} days is removed",
                    settings.keep_uploads_days
                )));
            }
            hash.update(&piece);
            file.write_all(&piece).await.map_err(|why| unwritable(part, &why))?;
        }
        file.flush().await.map_err(|why| unwritable(part, &why))?;
        Ok((size, hex::encode(hash.finalize())))
    }

    fn uploads_folder(&self) -> PathBuf {
        let folder = self.settings().in_data("uploads");
        // Engines want absolute paths.
        std::path::absolute(&folder).unwrap_or(folder)
    }

    /// Where the bytes of an upload are.
    pub(super) fn upload_path(&self, sha256: &str) -> PathBuf {
        let safe: String = sha256.chars().filter(char::is_ascii_hexdigit).take(64).collect();
        let folder = safe.get(..2).unwrap_or("00").to_owned();
        self.uploads_folder().join(folder).join(safe)
    }

    /// Removes what nobody has used since a moment.
    pub(super) async fn upload_clean_up(&self, before: DateTime<Utc>) -> Result<()> {
        let _held = self.0.uploads.lock().await;
        for sha256 in self.0.store.upload_prune(before).await? {
            if let Err(why) = fs::remove_file(self.upload_path(&sha256)).await {
                tracing::warn!(sha256, %why, "an upload that nobody uses cannot be removed");
            }
        }
        Ok(())
    }
}

/// A file that goes when it is not taken over.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Where it was renamed there is nothing to remove.
        _ = std::fs::remove_file(&self.0);
    }
}

fn check_name(name: &str) -> Result<()> {
    let is_bad = |c: char| c == '/' || c.is_control();
    if name.is_empty() || name.len() > LONGEST_NAME || matches!(name, "." | "..") || name.contains(is_bad) {
        return Err(Error::Invalid(format!(
            "A file needs a name of 1 to {LONGEST_NAME} bytes, without slashes and control characters"
        )));
    }
    Ok(())
}

fn unwritable(path: &Path, why: &std::io::Error) -> Error {
    if why.kind() == std::io::ErrorKind::StorageFull {
        return Error::Unavailable("The server's disk is full; try again later, or tell its operator".to_owned());
    }
    Error::Internal(format!("{} cannot be written: {why}", path.display()))
}
