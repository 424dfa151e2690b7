//! Reading, hashing and copying of files of unknown size, free disk space, and media types by file name. Blocking.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::halt::{HaltReason, HaltSignal};

/// Bytes copied between two checks of the halt signal.
const PIECE: u64 = 8 * 1024 * 1024;

/// Why a file was not read or copied completely.
#[derive(Debug, thiserror::Error)]
pub enum FileReadError {
    #[error("{0}")]
    Disk(#[from] io::Error),
    #[error("{0}")]
    Halted(#[from] HaltReason),
}

/// SHA-256 of a file, in lower-case hexadecimal digits.
///
/// # Errors
/// The file cannot be read, or it was halted.
pub fn sha256(path: &Path, halt: &HaltSignal) -> Result<String, FileReadError> {
    sha256_of(File::open(path)?, halt)
}

/// SHA-256 of an open file, from its position on.
pub(super) fn sha256_of(mut file: File, halt: &HaltSignal) -> Result<String, FileReadError> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        halt.check()?;
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// Copies an open file to a new file, with its permissions.
pub(super) fn copy(from: &File, to: &Path, halt: &HaltSignal) -> Result<(), FileReadError> {
    let mut to = File::create_new(to)?;
    to.set_permissions(from.metadata()?.permissions())?;
    copy_to(from, &mut to, halt)
}

/// Copies the bytes of an open file.
pub(super) fn copy_to(mut from: &File, to: &mut File, halt: &HaltSignal) -> Result<(), FileReadError> {
    loop {
        halt.check()?;
        if io::copy(&mut (&mut from).take(PIECE), to)? == 0 {
            return Ok(());
        }
    }
}

/// Reads at most `most` + 1 bytes: a longer result shows the caller that the file is too large.
pub(super) fn read_capped(file: File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Size and free space of a file system (statvfs(3)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes.
    pub total: u64,
    /// Bytes free for unprivileged users.
    pub free: u64,
    /// Bytes free for root: some file systems reserve a part.
    pub left: u64,
}

/// The file system of a folder, or of its nearest existing parent; `None` if it is unknown.
#[cfg(unix)]
pub fn space(folder: &Path) -> Option<DiskSpace> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let about = rustix::fs::statvfs(there).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
    Some(DiskSpace { total: bytes(about.f_blocks), free: bytes(about.f_bavail), left: bytes(about.f_bfree) })
}

#[cfg(not(unix))]
pub fn space(_: &Path) -> Option<DiskSpace> {
    None
}

/// Bytes free for unprivileged users at a folder; `None` if unknown.
pub fn free(folder: &Path) -> Option<u64> {
    Some(space(folder)?.free)
}

/// Media type by file name extension.
pub fn media_type(name: &str) -> Option<&'static str> {
    mime_guess::from_path(name).first_raw()
}

/// File name extension for a media type; `txt` for any `plain`, `bin` if there is none.
pub fn file_ending(media_type: &str) -> &str {
    match kind(media_type) {
        "plain" => "txt",
        kind if mime_guess::from_ext(kind).first_raw() == Some(media_type) => kind,
        _ => "bin",
    }
}

/// Whether a file name fits one of these media types; an empty list accepts all. Only the subtype is compared, since
/// lists disagree about `text/xml` and `image/x-png`. The content is not read, so use it for warnings only.
pub(super) fn may_be<'a>(name: &str, mut wanted: impl Iterator<Item = &'a str> + Clone) -> bool {
    let promised = mime_guess::from_path(name);
    let is = |wanted: &str| {
        let wanted = kind(wanted);
        wanted.eq_ignore_ascii_case("octet-stream")
            || promised.iter_raw().any(|it| kind(it).eq_ignore_ascii_case(wanted))
    };
    promised.is_empty() || wanted.clone().next().is_none() || wanted.any(is)
}

fn kind(media_type: &str) -> &str {
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    let kind = kind.split_once('/').map_or(kind, |(_, kind)| kind);
    kind.strip_prefix("x-").unwrap_or(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_promise_media_types() {
        let may = |name: &str, wanted: &[&str]| may_be(name, wanted.iter().copied());
        assert!(may("a.tif", &["image/tiff"]) && may("A.TIF", &["text/csv", "IMAGE/TIFF; x=1"]));
        assert!(may("a.png", &[]) && may("a", &["image/png"]) && may("a.no-such-type", &["image/png"]));
        assert!(may("a.xml", &["application/xml"]) && may("a.xml", &["text/xml"]));
        assert!(may("a.png", &["application/octet-stream"]));
        assert!(!may("a.png", &["image/tiff"]));
        assert_eq!((media_type("x.geojson"), media_type("x")), (Some("application/geo+json"), None));
    }

    #[test]
    fn files_are_hashed_and_read_with_a_bound() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        std::fs::write(&path, "abc").expect("a file");
        assert_eq!(
            sha256(&path, &HaltSignal::default()).expect("it can be read"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let file = File::open(&path).expect("it is there");
        assert_eq!(read_capped(file, 1).expect("it can be read"), b"ab");
        assert!(sha256(folder.path(), &HaltSignal::default()).is_err());
    }
}
