//! Order and grammar of versions (SemVer 2.0.0).

use std::cmp::Ordering;

/// Total order of version texts.
///
/// SemVer 2.0.0 versions are ordered by precedence (§11), then by build metadata, then by text. Texts that are not
/// SemVer come before all that are, in natural order (`v2` before `v10`). Only identical texts are equal.
pub fn compare(a: &str, b: &str) -> Ordering {
    let versions = SemanticVersion::parse(a).cmp(&SemanticVersion::parse(b));
    versions.then_with(|| runs(a).cmp(runs(b))).then_with(|| a.cmp(b))
}

/// Whether a text is a valid SemVer 2.0.0 version, as the Seed standard requires.
pub fn is_valid(text: &str) -> bool {
    SemanticVersion::parse(text).is_some()
}

/// A SemVer 2.0.0 version. The derived order depends on the order of the fields.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct SemanticVersion<'a> {
    core: [VersionPart<'a>; 3],
    /// Not a pre-release, which comes before its release.
    released: bool,
    pre: Vec<VersionPart<'a>>,
    build: Vec<VersionPart<'a>>,
}

/// An identifier of a version (or a run of digits or other characters of any text): numbers come before words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum VersionPart<'a> {
    /// Number of digits, and the digits, without leading zeros. Not an integer, because the grammar has no upper bound.
    Number(usize, &'a str),
    Word(&'a str),
}

impl<'a> SemanticVersion<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (rest, build) = split_off(text, '+');
        let (core, pre) = split_off(rest, '-');
        let mut numbers = core.split('.');
        let core = [numbers.next()?, numbers.next()?, numbers.next()?];
        let valid = numbers.next().is_none()
            && core.iter().all(|part| all_digits(part) && !has_leading_zero(part))
            && pre.is_none_or(|pre| pre.split('.').all(|part| is_identifier(part) && !has_leading_zero(part)))
            && build.is_none_or(|build| build.split('.').all(is_identifier));
        let parts =
            |text: Option<&'a str>| text.into_iter().flat_map(|text| text.split('.')).map(VersionPart::of).collect();
        valid.then(|| Self {
            core: core.map(VersionPart::of),
            released: pre.is_none(),
            pre: parts(pre),
            build: parts(build),
        })
    }
}

impl<'a> VersionPart<'a> {
    fn of(text: &'a str) -> Self {
        if all_digits(text) {
            let digits = text.trim_start_matches('0');
            Self::Number(digits.len(), digits)
        } else {
            Self::Word(text)
        }
    }
}

fn split_off(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && all_digits(text)
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Splits a text into runs of digits and runs of other characters.
fn runs(text: &str) -> impl Iterator<Item = VersionPart<'_>> {
    text.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).scan(0, |at, run| {
        let start = *at;
        *at += run.len();
        // Digits are ASCII, so every run ends on a character boundary.
        Some(VersionPart::of(&text[start..*at]))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_as_semver_says_and_the_rest_before_it() {
        let ascending = [
            "",
            "1",
            "1.0",
            "2.0",
            "10.0",
            "latest",
            "v2",
            "v10",
            "0.0.9",
            "0.0.10",
            "1.0.0-0.9",
            "1.0.0-0.10",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.0+1",
            "1.0.0+2",
            "1.0.0+02",
            "1.0.0+10",
            "1.0.0+build",
            "1.0.1-99999999999999999999",
            "1.0.1-100000000000000000000",
            "1.0.1",
            "1.2.0",
            "1.10.0",
            "18446744073709551615.0.0",
            "18446744073709551616.0.0",
        ];
        // `+02` and `+2` are equal as numbers and are ordered by text.
        let mut sorted = ascending;
        sorted.reverse();
        sorted.sort_by(|a, b| compare(a, b));
        let mut expected = ascending;
        expected[21..23].sort();
        assert_eq!(sorted, expected);
    }

    #[test]
    fn knows_the_grammar() {
        for valid in ["0.0.0", "1.2.3-a.b-c.0", "1.2.3+01.x", "1.2.3--", "1.2.3-0a", "1.0.0-a+b", "1.0.0+a-b"] {
            assert!(is_valid(valid), "{valid}");
        }
        for invalid in
            ["", "1", "1.2", "1.2.3.4", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0+", "1.0.0+a+b", "1.0.0-a..b", "v1.0.0"]
        {
            assert!(!is_valid(invalid), "{invalid}");
        }
        for invalid in ["1.0.0\n", " 1.0.0", "1.0.٣", "1.0.0-ä", "1..0", "-1.0.0", "+1.0.0"] {
            assert!(!is_valid(invalid), "{invalid:?}");
        }
    }

    fn version() -> impl Strategy<Value = String> {
        prop_oneof!["[0-2]\\.[0-2]\\.[0-2](-[a0]{1,2}(\\.[01a]{1,2})?)?(\\+[0a]{1,2})?", "[v0-9.a-]{0,5}", "\\PC{0,4}",]
    }

    proptest! {
        #[test]
        fn is_a_total_order(a in version(), b in version(), c in version()) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le(), "{} {} {}", a, b, c);
            }
        }

        #[test]
        fn agrees_with_the_semver_crate(a in version(), b in version()) {
            prop_assert_eq!(is_valid(&a), semver::Version::parse(&a).is_ok());
            if let (Ok(x), Ok(y)) = (semver::Version::parse(&a), semver::Version::parse(&b)) {
                let precedence = x.cmp_precedence(&y);
                prop_assert!(precedence.is_eq() || precedence == compare(&a, &b), "{} {}", a, b);
            }
        }
    }
}
