//! Reading files of which nobody knows how large they are, and what kind of file a name promises. Blocking.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::halt::{Halt, Halted};

/// How many bytes are copied between two looks at whether to go on.
const PIECE: u64 = 8 * 1024 * 1024;

/// Why a file is not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}")]
    Disk(#[from] io::Error),
    #[error("{0}")]
    Halted(#[from] Halted),
}

/// SHA-256 of a file's bytes, in lower-case hexadecimal digits.
///
/// # Errors
/// Whatever the disk says; or it was halted.
pub fn sha256(path: &Path, halt: &Halt) -> Result<String, ReadError> {
    sha256_of(File::open(path)?, halt)
}

/// The same of an open file.
pub(super) fn sha256_of(mut file: File, halt: &Halt) -> Result<String, ReadError> {
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

/// Copies a file's bytes to a new file.
pub(super) fn copy(from: &File, to: &Path, halt: &Halt) -> Result<(), ReadError> {
    let mut to = File::create_new(to)?;
    to.set_permissions(from.metadata()?.permissions())?;
    copy_to(from, &mut to, halt)
}

/// Copies a file's bytes.
pub(super) fn copy_to(mut from: &File, to: &mut File, halt: &Halt) -> Result<(), ReadError> {
    loop {
        halt.check()?;
        if io::copy(&mut (&mut from).take(PIECE), to)? == 0 {
            return Ok(());
        }
    }
}

/// A whole file, but one byte more than `most` at most: enough to see that there are too many.
pub(super) fn read_capped(file: File, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The disk that a folder is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes.
    pub total: u64,
    /// Bytes that are free for everybody.
    pub free: u64,
    /// Bytes that are free at all: some disks keep a part for root.
    pub left: u64,
}

/// The disk where a folder is, or will be; `None` where nobody can tell.
#[cfg(unix)]
pub fn space(folder: &Path) -> Option<Space> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let about = rustix::fs::statvfs(there).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(about.f_frsize);
    Some(Space { total: bytes(about.f_blocks), free: bytes(about.f_bavail), left: bytes(about.f_bfree) })
}

#[cfg(not(unix))]
pub fn space(_: &Path) -> Option<Space> {
    None
}

/// The bytes that are free for us where a folder is, or will be; `None` where nobody can tell.
pub fn free(folder: &Path) -> Option<u64> {
    Some(space(folder)?.free)
}

/// The media type that a file's name promises; `None` where it promises nothing.
pub fn media_type(name: &str) -> Option<&'static str> {
    mime_guess::from_path(name).first_raw()
}

/// An ending for the name of a file of a media type.
pub fn file_ending(media_type: &str) -> &str {
    match kind(media_type) {
        "plain" => "txt",
        kind if mime_guess::from_ext(kind).first_raw() == Some(media_type) => kind,
        _ => "bin",
    }
}

/// Whether a name may belong to a file of one of these media types: none of them means any. Only what is behind the slash
/// counts, because lists disagree about `text/xml` and `image/x-png`. For warnings only: nobody looks into the file.
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
            sha256(&path, &Halt::default()).expect("it can be read"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let file = File::open(&path).expect("it is there");
        assert_eq!(read_capped(file, 1).expect("it can be read"), b"ab");
        assert!(sha256(folder.path(), &Halt::default()).is_err());
    }
}
