//! Syntax of repository names, tags and digests: OCI distribution specification, "Pulling manifests", and OCI image
//! specification, "Digests". Valid values are safe in a URL path or a file name. Pure.

use oci_client::Reference;
use sha2::{Digest, Sha256, Sha512};

use super::{Error, Result};
use crate::catalog::TagOutcome;

/// Longest repository name; with the host it must stay below what clients accept.
const LONGEST_REPOSITORY: usize = 255;
/// Longest tag.
const LONGEST_TAG: usize = 128;

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, such parts joined by `/`.
pub(super) fn is_repository(name: &str) -> bool {
    name.len() <= LONGEST_REPOSITORY && name.split('/').all(is_path_part)
}

fn is_path_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    part.starts_with(word) && part.ends_with(word) && part.split(word).all(separator)
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(super) fn is_tag(tag: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(first)
        && tag.bytes().all(|b| first(b) || b == b'.' || b == b'-')
}

/// `sha256:` or `sha512:` and the right number of lower-case hexadecimal digits. Other algorithms are registered
/// nowhere, and could not be verified here.
pub(super) fn is_digest(text: &str) -> bool {
    let hex = |hex: &str| hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    match text.split_once(':') {
        Some(("sha256", rest)) => rest.len() == 64 && hex(rest),
        Some(("sha512", rest)) => rest.len() == 128 && hex(rest),
        _ => false,
    }
}

/// Class of a tag that is no image version but an attachment of one, by the form `sha256-<64 hex>`: without suffix (the
/// referrers tag of the OCI distribution specification) or with a suffix of cosign.
pub(super) fn attachment(tag: &str) -> Option<TagOutcome> {
    let (hex, ending) = tag.strip_prefix("sha256-")?.split_at_checked(64)?;
    match ending {
        _ if !hex.bytes().all(|b| b.is_ascii_hexdigit()) => None,
        "" => Some(TagOutcome::Referrers),
        ".sig" => Some(TagOutcome::Signature),
        ".att" => Some(TagOutcome::Attestation),
        ".sbom" => Some(TagOutcome::Sbom),
        _ => None,
    }
}

/// Checks the syntax of a repository name.
///
/// # Errors
/// [`Error::Refused`] for an invalid name.
pub fn check_repository(name: &str) -> Result<()> {
    if is_repository(name) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "'{}' cannot be a repository: names consist of lower-case letters, digits, '.', '_', '-' and '/'",
        printable(name)
    )))
}

pub(super) fn check_digest(digest: &str) -> Result<()> {
    if is_digest(digest) {
        return Ok(());
    }
    Err(Error::Refused(format!("'{}' is not a digest; the form is sha256:<64 hexadecimal digits>", printable(digest))))
}

/// Checks the syntax of a tag or digest.
pub(super) fn check_reference(reference: &str) -> Result<()> {
    if is_tag(reference) || is_digest(reference) {
        return Ok(());
    }
    Err(Error::Refused(format!(
        "'{}' is neither a tag (letters, digits, '_', '.', '-', at most {LONGEST_TAG}) nor a digest",
        printable(reference)
    )))
}

/// Parses `repository[:tag][@digest]` into the repository, and the digest or the tag (default `latest`).
///
/// # Errors
/// Why it is not an image name, as a text.
pub fn image_name(text: &str) -> std::result::Result<(String, String), String> {
    // The dummy host keeps the parser from taking the first part of the name for one.
    let unnamed = |why: &dyn std::fmt::Display| format!("'{}' names no image: {why}", printable(text));
    let name: Reference = format!("host.invalid/{text}").parse().map_err(|why| unnamed(&why))?;
    let reference = name.digest().or(name.tag()).unwrap_or("latest").to_owned();
    let repository = name.repository().to_owned();
    check_repository(&repository).and_then(|()| check_reference(&reference)).map_err(|why| unnamed(&why))?;
    Ok((repository, reference))
}

/// Parses `[host/]repository[:tag][@digest]` by Docker's rules into the host (default `docker.io`), the repository
/// (below `library/` where Docker Hub needs a namespace and none is written), and the digest or the tag (default
/// `latest`).
///
/// # Errors
/// Why it is not an image name, as a text.
pub fn full_image_name(text: &str) -> std::result::Result<(String, String, String), String> {
    let unnamed = |why: &dyn std::fmt::Display| format!("'{}' names no image: {why}", printable(text));
    let name: Reference = text.parse().map_err(|why| unnamed(&why))?;
    let reference = name.digest().or(name.tag()).unwrap_or("latest").to_owned();
    let repository = name.repository().to_owned();
    check_repository(&repository).and_then(|()| check_reference(&reference)).map_err(|why| unnamed(&why))?;
    Ok((name.registry().to_owned(), repository, reference))
}

/// The sha256 digest of some bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Whether the bytes match the digest.
pub(super) fn matches_digest(digest: &str, bytes: &[u8]) -> bool {
    match digest.split_once(':') {
        Some(("sha256", hex)) => hex == hex::encode(Sha256::digest(bytes)),
        Some(("sha512", hex)) => hex == hex::encode(Sha512::digest(bytes)),
        _ => false,
    }
}

/// Untrusted text for a message: without control characters, at most 200 characters.
pub fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn image_names_as_people_write_them() {
        let name = |text: &str| image_name(text).map(|(repository, reference)| format!("{repository} {reference}"));
        assert_eq!(name("geo/a-1.0.0-seed:2.0.0").unwrap(), "geo/a-1.0.0-seed 2.0.0");
        assert_eq!(name("a").unwrap(), "a latest");
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(name(&format!("a:1@{digest}")).unwrap(), format!("a {digest}"));
        for wrong in ["", ":1", "a:", "A", "a//b", "../a", "a:1:2", "a@sha256:0"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hosts_are_told_as_docker_tells_them() {
        for (text, host, repository, reference) in [
            ("a", "docker.io", "library/a", "latest"),
            ("geo/a:1", "docker.io", "geo/a", "1"),
            ("index.docker.io/geo/a:1", "docker.io", "geo/a", "1"),
            ("localhost/a:1", "localhost", "a", "1"),
            ("127.0.0.1:5000/geo/a-1.0.0-seed:1.0.0", "127.0.0.1:5000", "geo/a-1.0.0-seed", "1.0.0"),
            ("gitlab.example.org/group/sub/project/a:1", "gitlab.example.org", "group/sub/project/a", "1"),
        ] {
            let expected = (host.to_owned(), repository.to_owned(), reference.to_owned());
            assert_eq!(full_image_name(text), Ok(expected), "{text}");
        }
        assert!(full_image_name("A/b").is_err() && full_image_name("").is_err());
    }

    #[test]
    fn repositories() {
        for good in ["a", "library/alpine", "geo/my-job-1.0.0-seed", "a__b/c--d", "x/y/z0", "a.b_c"] {
            assert!(is_repository(good), "{good}");
        }
        let long = "a".repeat(256);
        for bad in
            ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "-a", "a-", "a b", "a/../b", "ä", "a%2f", &long, "a._b"]
        {
            assert!(!is_repository(bad), "{bad}");
        }
    }

    #[test]
    fn tags_and_attachments() {
        let hex = "0f".repeat(32);
        for good in ["1", "latest", "_x", "1.0.0-rc.1", &"t".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", ".a", "-a", "a/b", "a:b", "a b", "ä", &"t".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
        for ending in ["", ".sig", ".att", ".sbom"] {
            assert!(attachment(&format!("sha256-{hex}{ending}")).is_some(), "{ending}");
        }
        for plain in ["sha256-1.0", "1.0.sig", &format!("sha256-{hex}x"), &format!("sha256-{hex}.txt")] {
            assert_eq!(attachment(plain), None, "{plain}");
        }
    }

    #[test]
    fn digests() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(digest_of(b""), empty);
        assert!(is_digest(empty) && matches_digest(empty, b"") && !matches_digest(empty, b"x"));
        let long = format!("sha512:{}", hex::encode(Sha512::digest(b"x")));
        assert!(is_digest(&long) && matches_digest(&long, b"x"));
        let upper = empty.to_uppercase();
        for bad in ["", "sha256:", "sha256:12", "md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:../../etc", &upper] {
            assert!(!is_digest(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_safe_in_a_path(text in "\\PC{0,80}") {
            if is_repository(&text) || is_tag(&text) {
                prop_assert!(text.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
                prop_assert!(!text.contains(['?', '#', '%', '\\', ':', ' ']));
            }
        }

        #[test]
        fn names_made_by_the_grammar_pass(
            name in "[a-z0-9]{1,6}(([._]|__|-{1,3})[a-z0-9]{1,6}){0,3}(/[a-z0-9]{1,6}(([._]|__|-{1,3})[a-z0-9]{1,6}){0,3}){0,3}"
        ) {
            prop_assert!(is_repository(&name));
        }
    }
}
