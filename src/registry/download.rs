//! Fetching a file by its address, as an input of a run: through the same guard as everything that goes out.

use std::path::Path;

use url::Url;

use super::Limits;

/// A file that is to be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Download<'a> {
    pub url: &'a Url,
    /// The file that it becomes; its folder is made.
    pub to: &'a Path,
    /// What its SHA-256 must be: lower-case hexadecimal digits.
    pub sha256: Option<&'a str>,
    pub most_bytes: u64,
    pub limits: &'a Limits,
}

/// A file that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits.
    pub sha256: String,
}

/// Why it was not.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DownloadError {
    #[error("{0}")]
    Refused(String),
}

impl DownloadError {
    /// Whether the same may work a while later.
    pub fn is_passing(&self) -> bool {
        false
    }
}

/// Fetches a file.
///
/// # Errors
/// [`DownloadError`].
pub async fn download(wanted: &Download<'_>) -> std::result::Result<Downloaded, DownloadError> {
    Err(DownloadError::Refused(format!("{} is not fetched", wanted.url)))
}
