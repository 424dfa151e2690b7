//! Hostile texts, such as names of jobs, as parts of paths.
//!
//! Percent-encoding is not enough: browsers and proxies read `%2E%2E` as a folder, and some proxies decode `%2F`. Such
//! characters are written as `~` and two hex digits, which everybody passes on.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::app::{JobKey, JobVersionChoice};

/// Characters that need no encoding in a part of a path (RFC 3986, `unreserved`).
const PLAIN: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text as one part of a path; a text that is not empty gives a part that is neither empty nor a folder.
pub(super) fn part(text: &str) -> String {
    utf8_percent_encode(&escaped(text), &PLAIN).to_string()
}

/// The same before percent-encoding.
fn escaped(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_dot = |at: usize| chars.get(at).is_none_or(|c| *c == '.');
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in chars.iter().enumerate() {
        match c {
            // A dot beside a dot or an end: a part has no `..` and is no folder.
            '.' if at == 0 || is_dot(at - 1) || is_dot(at + 1) => escaped.push_str("~2E"),
            '/' | '\\' | ':' | '~' => escaped.push_str(&format!("~{:02X}", u32::from(*c))),
            _ => escaped.push(*c),
        }
    }
    escaped
}

/// The text of a part whose percent-encoding is already decoded. A `~` without two hex digits of an ASCII character
/// stands for itself.
pub(super) fn read_part(part: &str) -> String {
    let mut text = String::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, after)) = rest.split_once('~') {
        text.push_str(before);
        match unescaped(after) {
            Some(c) => {
                text.push(c);
                rest = &after[2..];
            }
            None => {
                text.push('~');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn unescaped(text: &str) -> Option<char> {
    let digits = text.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok().filter(u8::is_ascii).map(char::from)
}

/// A job as a part of a path of the native interface: an id, which is a number as written, or a name.
pub(super) fn job_key(part: &str) -> JobKey {
    let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match part.parse() {
        Ok(id) if is_number => JobKey::Id(crate::catalog::JobId(id)),
        _ => JobKey::Name(read_part(part)),
    }
}

/// The opposite of [`job_key`] for a name.
pub(super) fn job_key_part(name: &str) -> String {
    match name.as_bytes() {
        [first, rest @ ..] if name.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("~{first:02X}{}", String::from_utf8_lossy(rest))
        }
        _ => part(name),
    }
}

/// The path of an output file of a run, relative to the output directory.
pub(super) fn run_file_path(run: &str, file: &str) -> String {
    /// Parts stay parts.
    const FOLDERS: AsciiSet = PLAIN.remove(b'/');
    format!("/api/v1/runs/{run}/files/{}", utf8_percent_encode(file, &FOLDERS))
}

/// The path of a job's page.
pub(super) fn job_path(name: &str) -> String {
    format!("/job/{}", part(name))
}

/// The path of the page of a job's version.
pub(super) fn job_version_path(name: &str, job_version: &str, package_version: &str) -> String {
    // `compare` at this place is another page.
    let job_version = if job_version == "compare" { "~63ompare".to_owned() } else { part(job_version) };
    format!("{}/{job_version}/{}", job_path(name), part(package_version))
}

/// A version of a job as a part of a path: `JOBVERSION` or `JOBVERSION:PACKAGEVERSION`.
pub(super) fn version_choice(text: &str) -> JobVersionChoice {
    let (job_version, package_version) =
        text.split_once(':').map_or((text, None), |(job, package)| (job, Some(package)));
    JobVersionChoice { job_version: read_part(job_version), package_version: package_version.map(read_part) }
}

/// The opposite of [`version_choice`].
pub(super) fn version_part(job_version: &str, package_version: &str) -> String {
    format!("{}:{}", part(job_version), part(package_version))
}

/// The same as the value of a form's field, which browsers encode.
pub(super) fn version_value(job_version: &str, package_version: &str) -> String {
    format!("{}:{}", escaped(job_version), escaped(package_version))
}

/// Two versions, `OLD..NEW`.
pub(super) fn version_range(text: &str) -> Option<(JobVersionChoice, JobVersionChoice)> {
    let (old, new) = text.split_once("..").filter(|(old, new)| !old.is_empty() && !new.is_empty())?;
    Some((version_choice(old), version_choice(new)))
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn usual_names_stay_as_they_are() {
        for name in ["ship-detection", "1.10.0", "2.0.0-rc.1", "a_b", "7"] {
            assert_eq!(part(name), name);
        }
        for (name, expected) in [
            ("..", "~2E~2E"),
            (".", "~2E"),
            ("a/b", "a~2Fb"),
            ("a..b", "a~2E~2Eb"),
            ("~2F", "~7E2F"),
            ("a b\"<", "a%20b%22%3C"),
            ("1.0.0+x", "1.0.0%2Bx"),
        ] {
            assert_eq!(part(name), expected, "{name}");
        }
        for (part, expected) in
            [("~zz", "~zz"), ("~", "~"), ("~2", "~2"), ("~ff", "~ff"), ("~é", "~é"), ("a~2fb", "a/b")]
        {
            assert_eq!(read_part(part), expected, "{part}");
        }
    }

    #[test]
    fn a_number_is_an_id_and_a_name_that_is_one_has_another_spelling() {
        assert_eq!(job_key("17"), JobKey::Id(crate::catalog::JobId(17)));
        assert_eq!(job_key_part("17"), "~317");
        for name in ["17", "0", "-1", "+1", "99999999999999999999", "ndvi"] {
            let part = job_key_part(name);
            let decoded = percent_decode_str(&part).decode_utf8().expect("UTF-8");
            assert_eq!(job_key(&decoded), JobKey::Name(name.to_owned()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn texts_come_back_through_an_address(
            name in "(?s)[./~:%a]{1,6}|.{1,40}",
            old in "[.:~a0-9+-]{1,6}",
            new in "[.:~a0-9+-]{1,6}",
        ) {
            let range = format!("{}..{}", version_part(&old, &new), version_part(&new, &old));
            let address = format!("http://silo.example/job/{}/compare/{range}", part(&name));
            let parsed = Url::parse(&address).unwrap();
            let parts: Vec<&str> = parsed.path().split('/').collect();
            prop_assert_eq!(parts.len(), 5, "{}", parsed);
            let decoded = |part: &str| percent_decode_str(part).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(read_part(&decoded(parts[2])), name);
            let choice = |job: &str, package: &str| JobVersionChoice {
                job_version: job.to_owned(),
                package_version: Some(package.to_owned()),
            };
            prop_assert_eq!(version_range(&decoded(parts[4])), Some((choice(&old, &new), choice(&new, &old))));
        }
    }
}
