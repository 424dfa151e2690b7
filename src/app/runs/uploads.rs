//! Files that users upload as inputs: stored by their content, for as long as they are used.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::super::accounts::UserSession;
use super::super::{App, Error, Result};
use crate::auth::random_id;
use crate::catalog::{UploadedFile, UserId};
use crate::store::{UploadPosition, UploadRoom};

/// How long a sender may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest file name, in bytes (`NAME_MAX`).
const LONGEST_NAME: usize = 255;
const MIB: u64 = 1024 * 1024;
/// Prefix of incomplete files.
const PART: &str = ".part-";
/// How long a reservation lasts without renewal: longer than a sender may be silent.
const LEASE: TimeDelta = TimeDelta::seconds(120);
const RENEW: Duration = Duration::from_secs(20);

impl App {
    /// Stores a file; `length`: its announced size in bytes. An incomplete body leaves nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an unusable name, and a body that breaks off; [`Error::TooLarge`] if the file, or all
    /// files of the user, exceed their limits.
    pub async fn upload<E: std::fmt::Display>(
        &self,
        session: &UserSession,
        name: &str,
        length: Option<u64>,
        body: impl Stream<Item = std::result::Result<Bytes, E>>,
    ) -> Result<UploadedFile> {
        check_name(name)?;
        let folder = self.uploads_folder();
        fs::create_dir_all(&folder).await.map_err(|why| unwritable(&folder, &why))?;
        let mut reservation = UploadReservation::new(self, session.user.id);
        let part = PartialUpload(folder.join(format!("{PART}{}", reservation.id)));
        let (size, sha256) = self.received(&mut reservation, &part.0, (length, std::pin::pin!(body))).await?;
        let now = self.0.clock.now();
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let owner_id = session.user.id;
        let upload = UploadedFile { sha256, owner_id, name: name.to_owned(), size, created_at: now, used_at: now };
        // Excludes the removal of the same content because it was unused.
        let _held = self.0.uploads.lock().await;
        let path = self.upload_path(&upload.sha256);
        let folder = path.parent().unwrap_or(&folder);
        fs::create_dir_all(folder).await.map_err(|why| unwritable(folder, &why))?;
        // A kill in between leaves a row without a file, which counts as not uploaded; not a file without a row.
        self.store().upload_put(&upload, &reservation.id).await?;
        reservation.is_settled = true;
        fs::rename(&part.0, &path).await.map_err(|why| unwritable(&path, &why))?;
        Ok(upload)
    }

    /// Writes a body to a file; returns its size and SHA-256.
    async fn received<E: std::fmt::Display>(
        &self,
        reservation: &mut UploadReservation,
        part: &Path,
        (length, mut body): (Option<u64>, std::pin::Pin<&mut impl Stream<Item = std::result::Result<Bytes, E>>>),
    ) -> Result<(u64, String)> {
        let settings = &self.settings().runs;
        let most = u64::from(settings.upload_mib) * MIB;
        let check_one = |size: u64| match size > most {
            true => Err(Error::TooLarge(format!(
                "The file is larger than {} MiB, the maximum (runs.upload_mib)",
                settings.upload_mib
            ))),
            false => Ok(()),
        };
        let (mut size, mut hash) = (0_u64, Sha256::new());
        check_one(length.unwrap_or_default())?;
        // If the length is known, exactly that is reserved.
        let wanted = |size: u64| length.unwrap_or_else(|| in_advance(size));
        self.reserve(reservation, length.unwrap_or_default(), wanted(0)).await?;
        let mut file = File::create_new(part).await.map_err(|why| unwritable(part, &why))?;
        // Jobs' containers read it as any user; the folder keeps others out.
        file.set_permissions(Permissions::from_mode(0o644)).await.map_err(|why| unwritable(part, &why))?;
        loop {
            let next = timeout(SILENCE, body.next()).await.map_err(|_| {
                Error::Invalid(format!("The upload was interrupted: no data arrived for {} seconds", SILENCE.as_secs()))
            })?;
            let Some(piece) = next else { break };
            let piece = piece.map_err(|why| Error::Invalid(format!("The upload was interrupted: {why}")))?;
            size += piece.len() as u64;
            check_one(size)?;
            self.reserve(reservation, size, wanted(size)).await?;
            hash.update(&piece);
            file.write_all(&piece).await.map_err(|why| unwritable(part, &why))?;
        }
        file.flush().await.map_err(|why| unwritable(part, &why))?;
        Ok((size, hex::encode(hash.finalize())))
    }

    async fn reserve(&self, reservation: &mut UploadReservation, needed: u64, wanted: u64) -> Result<()> {
        if reservation.reach(needed, wanted).await? {
            return Ok(());
        }
        let settings = &self.settings().runs;
        Err(Error::TooLarge(format!(
            "With this file, your uploads and fetched inputs would exceed {} MiB, the maximum \
             (runs.uploads_per_user_mib); files that are not used for {} days are removed",
            settings.uploads_per_user_mib, settings.keep_uploads_days
        )))
    }

    /// A reservation of the user's quota.
    pub(super) fn upload_room(&self, owner: UserId, needed: u64, wanted: u64) -> UploadRoom {
        UploadRoom { owner, needed, wanted, most: u64::from(self.settings().runs.uploads_per_user_mib) * MIB }
    }

    pub(in crate::app) fn uploads_folder(&self) -> PathBuf {
        let folder = self.settings().in_data("uploads");
        // Engines need absolute paths.
        std::path::absolute(&folder).unwrap_or(folder)
    }

    /// Path of an upload's content.
    pub(super) fn upload_path(&self, sha256: &str) -> PathBuf {
        let safe: String = sha256.chars().filter(char::is_ascii_hexdigit).take(64).collect();
        let folder = safe.get(..2).unwrap_or("00").to_owned();
        self.uploads_folder().join(folder).join(safe)
    }

    /// The user's uploads after a position, newest first.
    pub async fn upload_list(
        &self,
        session: &UserSession,
        after: Option<&UploadPosition>,
        limit: u32,
    ) -> Result<Vec<UploadedFile>> {
        Ok(self.store().upload_list(session.user.id, after, limit).await?)
    }

    /// An upload of the user, and its path.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none.
    pub async fn upload_file(&self, session: &UserSession, sha256: &str) -> Result<(UploadedFile, PathBuf)> {
        let none = || Error::NotFound(format!("You have no upload {sha256}"));
        let upload = self.store().upload_get(session.user.id, sha256).await?.ok_or_else(none)?;
        let path = self.upload_path(&upload.sha256);
        if path.is_file() { Ok((upload, path)) } else { Err(none()) }
    }

    /// Removes uploads that were not used since `before`.
    pub(super) async fn upload_clean_up(&self, before: DateTime<Utc>) -> Result<()> {
        let _held = self.0.uploads.lock().await;
        for sha256 in self.store().upload_prune(before).await? {
            if let Err(why) = fs::remove_file(self.upload_path(&sha256)).await {
                tracing::warn!(sha256, %why, "an unused upload cannot be removed");
            }
        }
        Ok(())
    }
}

/// Quota reserved for a file while it is received. Released when this is dropped; after a kill, by the next start or
/// when the lease expires.
struct UploadReservation {
    app: App,
    id: String,
    owner: UserId,
    /// Bytes.
    reserved: u64,
    /// When the lease was last renewed.
    leased: Option<Duration>,
    is_settled: bool,
}

impl UploadReservation {
    fn new(app: &App, owner: UserId) -> Self {
        Self { app: app.clone(), id: random_id(), owner, reserved: 0, leased: None, is_settled: false }
    }

    /// Extends the reservation to `needed` bytes, or `wanted` if there is room. False: the user's quota is exhausted.
    async fn reach(&mut self, needed: u64, wanted: u64) -> Result<bool> {
        let (inner, elapsed) = (&self.app.0, self.app.0.clock.elapsed());
        let is_fresh = self.leased.is_some_and(|at| elapsed.saturating_sub(at) < RENEW);
        if needed <= self.reserved && is_fresh {
            return Ok(true);
        }
        let wanted = if needed <= self.reserved { self.reserved } else { wanted };
        let room = self.app.upload_room(self.owner, needed, wanted);
        let now = inner.clock.now();
        let Some(reserved) = self.app.store().upload_reserve(&self.id, &inner.host, room, now, now + LEASE).await?
        else {
            return Ok(false);
        };
        (self.reserved, self.leased) = (reserved, Some(elapsed));
        Ok(true)
    }
}

impl Drop for UploadReservation {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.is_settled && self.leased.is_some() {
            let (app, id) = (self.app.clone(), std::mem::take(&mut self.id));
            runtime.spawn(async move {
                if let Err(why) = app.store().upload_release(&id).await {
                    tracing::warn!(%why, "space reserved for a file cannot be released; it stays reserved until its \
                                          lease expires");
                }
            });
        }
    }
}

/// How much to reserve for `needed` bytes: a little more, so that few pieces need a query.
pub(super) fn in_advance(needed: u64) -> u64 {
    needed + MIB + needed / 16
}

/// Removes incomplete files that a kill left. Blocking.
pub(in crate::app) fn remove_parts(uploads: &Path) {
    let entries = std::fs::read_dir(uploads).into_iter().flatten().flatten();
    for part in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PART)) {
        if let Err(why) = std::fs::remove_file(part.path()) {
            tracing::warn!(%why, "a partial upload cannot be removed: {}", part.path().display());
        }
    }
}

/// An incomplete file, removed on drop unless it was renamed.
struct PartialUpload(PathBuf);

impl Drop for PartialUpload {
    fn drop(&mut self) {
        // If it was renamed, there is nothing to remove.
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
        return Error::Unavailable("The server's disk is full; try again later, or inform its operator".to_owned());
    }
    Error::Internal(format!("{} cannot be written: {why}", path.display()))
}
