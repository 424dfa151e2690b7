//! Downloads a file by URL, as an input of a run. Connections pass the same address guard as those to registries.
//!
//! Errors name only the host of a URL: the rest may be secret.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt as _;
use url::Url;

use super::guard::{AddressGuard, BlockedAddress};
use super::tls::install_tls;
use super::{cause, root_cause};
use crate::registry::{Error, PrivateNetworkPolicy};

/// Most redirects of one download.
const MOST_REDIRECTS: usize = 5;
/// Time limit of connecting.
const CONNECT: Duration = Duration::from_secs(10);

/// A file to download.
#[derive(Clone, Copy, Debug)]
pub struct FileDownload<'a> {
    pub url: &'a Url,
    /// Target path, written completely or not at all. Its folder is created.
    pub to: &'a Path,
    /// Expected SHA-256: lower-case hexadecimal digits.
    pub sha256: Option<&'a str>,
    pub most_bytes: u64,
    /// Longest time without data from the server.
    pub silence: Duration,
    /// Private addresses that may be connected to.
    pub private: &'a PrivateNetworkPolicy,
}

/// A downloaded file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DownloadedFile {
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why a download failed.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DownloadError {
    #[error(
        "inputs are not fetched from the address of {host}: only from public addresses, and private ones in \
         runs.private_hosts."
    )]
    Refused { host: String },
    #[error("{host} answers {status}.")]
    Status { host: String, status: u16 },
    #[error("the request to {host} failed: {reason}.")]
    Unreachable { host: String, reason: String },
    #[error("{host} redirects more than {MOST_REDIRECTS} times, or to an address that is not followed.")]
    Redirects { host: String },
    #[error("the file at {host} is larger than {most} bytes, the maximum (runs.upload_mib).")]
    TooLarge { host: String, most: u64 },
    #[error(
        "with it, the owner's uploads and fetched inputs would exceed {most_mib} MiB, the maximum \
         (runs.uploads_per_user_mib)."
    )]
    NoRoom { most_mib: u32 },
    #[error("no space can be reserved for it, because the database does not answer.")]
    NotReserved,
    #[error("the file at {host} has the SHA-256 {found}, but {expected} is expected.")]
    OtherContent { host: String, found: String, expected: String },
    #[error("{} cannot be written: {reason}.", .path.display())]
    Disk { path: PathBuf, reason: String },
}

impl DownloadError {
    /// Whether a later retry may succeed.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Status { status, .. } => *status >= 500 || matches!(status, 408 | 425 | 429),
            // Space is freed when other files are removed.
            Self::NoRoom { .. } | Self::NotReserved => true,
            Self::Unreachable { .. } | Self::Disk { .. } => true,
            Self::Refused { .. } | Self::Redirects { .. } | Self::TooLarge { .. } | Self::OtherContent { .. } => false,
        }
    }
}

/// Called before more is written, with the file's total size in bytes: reserves space for it, or fails.
pub type DownloadReservation<'a> =
    dyn Fn(u64) -> BoxFuture<'a, std::result::Result<(), DownloadError>> + Send + Sync + 'a;

/// Downloads a file.
///
/// # Errors
/// [`DownloadError`].
pub async fn download(
    wanted: &FileDownload<'_>,
    room: &DownloadReservation<'_>,
) -> std::result::Result<DownloadedFile, DownloadError> {
    let guard = AddressGuard::new([], wanted.private);
    let client = client(&guard, wanted)?;
    let (response, host) = asked(&client, &guard, wanted.url.clone()).await?;
    let disk =
        |path: &Path, why: &std::io::Error| DownloadError::Disk { path: path.to_owned(), reason: why.to_string() };
    let folder = wanted.to.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).await.map_err(|why| disk(folder, &why))?;
    let part = wanted.to.with_extension("part");
    let received = received(response, &host, &part, (wanted.most_bytes, room)).await;
    let kept = match received {
        Ok(found) => match wanted.sha256 {
            Some(expected) if !expected.eq_ignore_ascii_case(&found.sha256) => {
                let expected = expected.to_owned();
                Err(DownloadError::OtherContent { host, found: found.sha256, expected })
            }
            _ => fs::rename(&part, wanted.to).await.map(|()| found).map_err(|why| disk(wanted.to, &why)),
        },
        Err(why) => Err(why),
    };
    if kept.is_err() {
        // It may not exist.
        _ = fs::remove_file(&part).await;
    }
    kept
}

fn client(guard: &AddressGuard, wanted: &FileDownload<'_>) -> std::result::Result<Client, DownloadError> {
    install_tls();
    let builder = Client::builder()
        .user_agent(concat!("silo/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(wanted.silence)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // Stored as sent, compressed or not: the SHA-256 is that of the received bytes.
        .no_gzip()
        .dns_resolver(guard.clone());
    let host = host_of(wanted.url);
    builder.build().map_err(|why| DownloadError::Unreachable { host, reason: root_cause(&why) })
}

/// The response with the file, and the host that sent it. Each redirect target is checked like the first URL.
async fn asked(
    client: &Client,
    guard: &AddressGuard,
    mut url: Url,
) -> std::result::Result<(Response, String), DownloadError> {
    for _ in 0..=MOST_REDIRECTS {
        let host = host_of(&url);
        let refused = |_: Error| DownloadError::Refused { host: host.clone() };
        guard.check(&url).map_err(refused)?;
        guard.check_proxied(&url).await.map_err(refused)?;
        let response = client.get(url.clone()).send().await.map_err(|why| unreachable(&why, &host))?;
        let status = response.status();
        if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
            return match status {
                StatusCode::OK => Ok((response, host)),
                other => Err(DownloadError::Status { host, status: other.as_u16() }),
            };
        }
        let next = response.headers().get("location").and_then(|value| value.to_str().ok());
        let next = next.and_then(|next| without_login(url.join(next).ok()?));
        let may_follow = |next: &Url| {
            let is_http = matches!(next.scheme(), "http" | "https");
            // No redirect from https to http.
            is_http && (url.scheme() == "http" || next.scheme() == "https")
        };
        url = next.filter(may_follow).ok_or(DownloadError::Redirects { host })?;
    }
    Err(DownloadError::Redirects { host: host_of(&url) })
}

async fn received(
    mut response: Response,
    host: &str,
    part: &Path,
    (most, room): (u64, &DownloadReservation<'_>),
) -> std::result::Result<DownloadedFile, DownloadError> {
    let too_large = || DownloadError::TooLarge { host: host.to_owned(), most };
    if let Some(length) = response.content_length() {
        if length > most {
            return Err(too_large());
        }
        room(length).await?;
    }
    let disk = |why: std::io::Error| DownloadError::Disk { path: part.to_owned(), reason: why.to_string() };
    let mut file = File::create(part).await.map_err(disk)?;
    // The job's container reads it under any user; the folder keeps other users of the host out.
    file.set_permissions(Permissions::from_mode(0o644)).await.map_err(disk)?;
    let (mut size, mut hash) = (0_u64, Sha256::new());
    while let Some(piece) = response.chunk().await.map_err(|why| unreachable(&why, host))? {
        size += piece.len() as u64;
        if size > most {
            return Err(too_large());
        }
        room(size).await?;
        hash.update(&piece);
        file.write_all(&piece).await.map_err(disk)?;
    }
    file.flush().await.map_err(disk)?;
    Ok(DownloadedFile { size, sha256: hex::encode(hash.finalize()) })
}

/// The error of a failed request. The guard also refuses addresses during name resolution.
fn unreachable(why: &reqwest::Error, host: &str) -> DownloadError {
    let host = host.to_owned();
    if cause::<BlockedAddress>(why).is_some() {
        return DownloadError::Refused { host };
    }
    DownloadError::Unreachable { host, reason: root_cause(why) }
}

/// Removes credentials from a redirect target: only the user may supply them.
fn without_login(mut url: Url) -> Option<Url> {
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(url)
}

fn host_of(url: &Url) -> String {
    url.host_str().unwrap_or_default().to_owned()
}
