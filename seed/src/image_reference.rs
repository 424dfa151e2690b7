//! Parses references to images of a container engine: distribution references and image ids. Pure.
//!
//! Engine APIs take the name as part of a URL path, so every name is parsed here before a request is made.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::image_name::{MAX_BYTES, is_docker_component, is_docker_tag};

/// Longest repository without its host, in bytes (Docker's limit).
const LONGEST_REPOSITORY: usize = 255;

/// A valid image reference: `[host[:port]/]repository[:tag][@digest]`, or an image id. Safe in a URL path as it is: no
/// segment is empty, `.` or `..`, and no character needs escaping.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ImageReference(String);

/// Why a text is not an [`ImageReference`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAReference {
    #[error("it is empty")]
    Empty,
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("the part before the first `/` is neither a host nor part of a repository")]
    Host,
    #[error(
        "a repository has at most {LONGEST_REPOSITORY} bytes: lower-case letters and digits with single '.', '_' or '-' between \
         them, in parts with '/' between them"
    )]
    Repository,
    #[error("a tag has 1 to 128 letters, digits, '.', '_' and '-', and begins with none of the last two")]
    Tag,
    #[error("a digest is sha256: or sha512: with as many lower-case hexadecimal digits as belong to it")]
    Digest,
}

impl ImageReference {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The reference without tag and digest; an image id is returned whole.
    pub fn repository(&self) -> &str {
        split(&self.0).0
    }

    pub fn tag(&self) -> Option<&str> {
        split(&self.0).1
    }

    pub fn digest(&self) -> Option<&str> {
        split(&self.0).2
    }

    /// Adds `:latest` if there is neither tag nor digest: engines pull all tags of a bare repository.
    pub fn with_default_tag(&self) -> Self {
        match split(&self.0) {
            (_, None, None) if !is_digest(&self.0) => Self(format!("{}:latest", self.0)),
            _ => self.clone(),
        }
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ImageReference {
    type Err = NotAReference;

    fn from_str(text: &str) -> Result<Self, NotAReference> {
        if text.is_empty() {
            return Err(NotAReference::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(NotAReference::TooLong);
        }
        if !is_digest(text) {
            let (name, tag, digest) = split(text);
            check(name, tag, digest)?;
        }
        Ok(Self(text.to_owned()))
    }
}

fn check(name: &str, tag: Option<&str>, digest: Option<&str>) -> Result<(), NotAReference> {
    let (host, repository) = match name.split_once('/') {
        // A first part with a dot is the host, unless it is not a valid one (`_`); then it is part of the repository.
        Some((first, rest)) if first == "localhost" || first.contains('.') && is_host(first) => (Some(first), rest),
        Some((first, rest)) if !is_docker_component(first) => (Some(first), rest),
        _ => (None, name),
    };
    if !host.is_none_or(is_host) {
        return Err(NotAReference::Host);
    }
    if repository.len() > LONGEST_REPOSITORY || !repository.split('/').all(is_docker_component) {
        return Err(NotAReference::Repository);
    }
    if !tag.is_none_or(is_docker_tag) {
        return Err(NotAReference::Tag);
    }
    if !digest.is_none_or(is_digest) {
        return Err(NotAReference::Digest);
    }
    Ok(())
}

/// Splits into name, tag and digest. A host's port is not a tag; an image id is all name.
fn split(text: &str) -> (&str, Option<&str>, Option<&str>) {
    if is_digest(text) {
        return (text, None, None);
    }
    let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest)));
    match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
        Some((name, tag)) => (name, Some(tag), digest),
        None => (rest, None, digest),
    }
}

/// Whether a text is a host with an optional port: a host name (letters, digits, inner dashes, dots), an IPv4 address,
/// or an IPv6 address in brackets.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_label = |label: &str| {
        let is_inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(is_inner)
    };
    let is_ipv6 = |host: &str| {
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_part = |b: u8| b.is_ascii_hexdigit() || b == b':';
        inner.is_some_and(|inner| inner.len() >= 2 && inner.contains(':') && inner.bytes().all(is_part))
    };
    let is_port = |port: &str| (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit());
    (host.split('.').all(is_label) || is_ipv6(host)) && port.is_none_or(is_port)
}

fn is_digest(text: &str) -> bool {
    let length = match text.split_once(':') {
        Some(("sha256", _)) => 64,
        Some(("sha512", _)) => 128,
        _ => return false,
    };
    let hex = &text["sha256:".len()..];
    hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<ImageReference, NotAReference> {
        text.parse()
    }

    #[test]
    fn names_are_taken_apart() {
        let digest = format!("sha256:{}", "0f".repeat(32));
        let pinned = format!("r.example.org/geo/a@{digest}");
        let both = format!("localhost/a:1@{digest}");
        for (text, repository, tag, found) in [
            ("a", "a", None, None),
            ("a:1", "a", Some("1"), None),
            ("geo/a-1.0.0-seed:1.0.0", "geo/a-1.0.0-seed", Some("1.0.0"), None),
            ("127.0.0.1:5000/a/b:1.0.0", "127.0.0.1:5000/a/b", Some("1.0.0"), None),
            ("127.0.0.1:5000/a", "127.0.0.1:5000/a", None, None),
            ("[::1]:5000/a:1", "[::1]:5000/a", Some("1"), None),
            ("Registry.example.org/a:X_1", "Registry.example.org/a", Some("X_1"), None),
            (&*pinned, "r.example.org/geo/a", None, Some(&*digest)),
            (&*both, "localhost/a", Some("1"), Some(&*digest)),
            (&*digest, &*digest, None, None),
            ("3f1fffa2ba0a", "3f1fffa2ba0a", None, None),
        ] {
            let name = read(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((name.repository(), name.tag(), name.digest()), (repository, tag, found), "{text}");
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
        }
        assert_eq!(read("host:5000/a").unwrap().with_default_tag().as_str(), "host:5000/a:latest");
        for whole in ["a:1", &*pinned, &*digest] {
            assert_eq!(read(whole).unwrap().with_default_tag().as_str(), whole);
        }
    }

    #[test]
    fn what_an_engine_would_take_for_another_path_is_no_name() {
        let long = format!("{}:1", "a/".repeat(600));
        for text in [
            "../info?x=",
            "../images/get?names=a:1&x=",
            "x/../../networks#",
            "..%2fcontainers%2fjson",
            "a/./b",
            "a//b",
            "/a",
            "a/",
            "a/B",
            "A_/b",
            "a b",
            "a:1?x",
            "a:1#x",
            "a@sha256:0",
            "a:",
            ":1",
            "..",
            ".",
            "",
            "a\\b",
            "a\n",
            "ä",
            "host:port/a",
            "-h.org/a",
            "[::1/a",
            "a%20b",
            &long,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_a_path_of_its_own(text in "[a-zA-Z0-9./:@?#%&= \\\\_\\[\\]-]{0,40}|\\PC{0,40}") {
            if let Ok(name) = read(&text) {
                let url = url::Url::parse("http://x/images/").unwrap();
                let joined = url.join(&format!("/images/{name}/json")).unwrap();
                prop_assert_eq!(joined.path(), format!("/images/{name}/json"));
                prop_assert!(joined.query().is_none() && joined.fragment().is_none());
            }
        }

        #[test]
        fn names_made_by_the_grammar_are_read(
            host in "([a-z0-9]{1,6}(\\.[a-z0-9]{1,6}){1,2}(:[0-9]{1,5})?/)?",
            name in "[a-z0-9]{1,6}(([._]|__|-{1,3})[a-z0-9]{1,6}){0,3}(/[a-z0-9]{1,6}){0,3}",
            tag in "(:[A-Za-z0-9_][A-Za-z0-9._-]{0,20})?",
        ) {
            let text = format!("{host}{name}{tag}");
            prop_assert_eq!(read(&text).map(|name| name.to_string()), Ok(text));
        }
    }
}
