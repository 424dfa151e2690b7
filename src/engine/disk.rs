//! Reading files of which nobody knows how large they are, and what kind of file a name promises. Blocking.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// SHA-256 of a file's bytes, in lower-case hexadecimal digits.
///
/// # Errors
/// Whatever the disk says.
pub fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hash.finalize())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// A whole file, but one byte more than `most` at most: enough to see that there are too many.
pub(super) fn read_capped(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The bytes that are free for us where a folder is, or will be; `None` where nobody can tell.
#[cfg(unix)]
pub fn free(folder: &Path) -> Option<u64> {
    let there = folder.ancestors().find(|folder| folder.exists())?;
    let space = rustix::fs::statvfs(there).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

#[cfg(not(unix))]
pub fn free(_: &Path) -> Option<u64> {
    None
}

/// The media type that a file's name promises; `None` where it promises nothing.
pub fn media_type(name: &str) -> Option<&'static str> {
    mime_guess::from_path(name).first_raw()
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
            sha256(&path).expect("it can be read"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(read_capped(&path, 1).expect("it can be read"), b"ab");
        assert!(sha256(folder.path()).is_err());
    }
}
