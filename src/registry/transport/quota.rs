//! Parses `Retry-After` and quota headers of responses. Pure.

use std::time::Duration;

use chrono::DateTime;
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use super::hosts::PullQuota;

/// Lower bound of a wait: GHCR has been seen to ask for microseconds.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
/// Upper bound of a wait. Docker Hub's longest is a day; a registry must not block SILO for a century.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Quota that a response announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registry) enum RegistryQuota {
    /// Requests left until the reset, and the time to it.
    Requests { left: u64, reset: Duration },
    /// Manifest pulls, counted separately.
    Pulls(PullQuota),
}

impl RegistryQuota {
    /// Whether it is used up.
    pub(in crate::registry) fn is_spent(self) -> bool {
        matches!(self, RegistryQuota::Requests { left: 0, .. } | RegistryQuota::Pulls(PullQuota { left: 0, .. }))
    }
}

/// The wait that a registry asks for, in the header (RFC 9110 §10.2.3) or in an error message. A date is measured from
/// the response's own `Date`, so that the server's clock need not be right.
pub(in crate::registry) fn retry_after(headers: &HeaderMap, said: Option<&str>) -> Option<Duration> {
    let wait = in_header(headers).or_else(|| in_words(said?))?;
    Some(wait.clamp(SHORTEST_WAIT, LONGEST_WAIT))
}

fn in_header(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(text.parse().map_or(LONGEST_WAIT, Duration::from_secs));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    let now = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some((until - now).to_std().unwrap_or_default())
}

/// Parses the wait in a message such as `retry-after: 804.8µs, allowed: 44000/minute`: a sequence of numbers with
/// units.
fn in_words(said: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 8] =
        [("ns", 1e-9), ("µs", 1e-6), ("μs", 1e-6), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let said = said.to_lowercase();
    let (_, mut rest) = said.split_once("retry-after:")?;
    rest = rest.trim_start();
    let mut seconds = None;
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let Ok(number) = rest[..digits].parse::<f64>() else { break };
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit))?;
        seconds = Some(seconds.unwrap_or(0.0) + number * factor);
        rest = &rest[digits + unit.len()..];
    }
    Some(Duration::try_from_secs_f64(seconds?).unwrap_or(LONGEST_WAIT))
}

/// Parses the remaining quota: `X-RateLimit-Remaining` with `X-RateLimit-Reset` (Docker Hub's API, GitHub), or
/// `RateLimit-Remaining: 76;w=21600` with `RateLimit-Limit: 100;w=21600` (pulls from Docker Hub). The latter's window
/// may end earlier, but no header says when.
pub(in crate::registry) fn quota(headers: &HeaderMap) -> Option<RegistryQuota> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    ["x-ratelimit", "ratelimit"].iter().find_map(|family| {
        let (left, window) = counted(text(&format!("{family}-remaining"))?)?;
        if let Some(reset) = text(&format!("{family}-reset")).and_then(|reset| reset.trim().parse().ok()) {
            let reset = until_reset(reset, headers)?.min(LONGEST_WAIT);
            return Some(RegistryQuota::Requests { left, reset });
        }
        let of = text(&format!("{family}-limit")).and_then(counted).map(|(of, _)| of);
        Some(RegistryQuota::Pulls(PullQuota { left, of, window: window?.min(LONGEST_WAIT) }))
    })
}

/// A number, and the window in seconds for which it counts: `100;w=21600`.
fn counted(text: &str) -> Option<(u64, Option<Duration>)> {
    let mut parts = text.split(';').map(str::trim);
    let number = parts.next()?.parse().ok()?;
    Some((number, parts.find_map(|part| Some(Duration::from_secs(part.strip_prefix("w=")?.parse().ok()?)))))
}

/// The time until a reset, which some servers give as Unix time and some as seconds from now. Unix time is measured
/// from the response's own `Date`.
fn until_reset(reset: u64, headers: &HeaderMap) -> Option<Duration> {
    const LONG_AGO: u64 = 1_000_000_000;
    if reset < LONG_AGO {
        return Some(Duration::from_secs(reset));
    }
    let now = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(Duration::from_secs(reset.saturating_sub(u64::try_from(now.timestamp()).ok()?)))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    const NOW: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:30 GMT");

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn seconds(wait: Option<Duration>) -> Option<u64> {
        wait.map(|wait| wait.as_secs())
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |pairs: &[_]| seconds(retry_after(&headers(pairs), None));
        assert_eq!(wait(&[]), None);
        for (text, asked) in [
            ("7", Some(7)),
            ("0", Some(1)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(1)),
            ("Sat, 06 Nov 2094 08:00:00 GMT", Some(86_400)),
            ("86401", Some(86_400)),
            ("99999999999999999999999", Some(86_400)),
            ("", None),
            ("-1", None),
            ("soon", None),
            ("1.5", None),
        ] {
            assert_eq!(wait(&[("retry-after", text), NOW]), asked, "{text}");
        }
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")]), None, "no clock to compare with");
    }

    #[test]
    fn ghcr_says_it_in_words() {
        let wait = |said| seconds(retry_after(&HeaderMap::new(), Some(said)));
        for (said, asked) in [
            ("retry-after: 804.8µs, allowed: 44000/minute", Some(1)),
            ("Retry-After: 1m2.5s", Some(62)),
            ("too many requests. retry-after: 5000ms", Some(5)),
            ("retry-after: 1h1m", Some(3660)),
            ("retry-after: 9e9s", None),
            ("retry-after: 999999999999999999999999h", Some(86_400)),
            ("retry-after: soon", None),
            ("retry-after:", None),
            ("retry-after: 5 apples", None),
            ("slow down", None),
        ] {
            assert_eq!(wait(said), asked, "{said}");
        }
        let in_header = headers(&[("retry-after", "9")]);
        assert_eq!(seconds(retry_after(&in_header, Some("retry-after: 2s"))), Some(9));
    }

    #[test]
    fn quotas_of_requests() {
        let of = |pairs: &[_]| quota(&headers(pairs));
        let requests = |left, reset| Some(RegistryQuota::Requests { left, reset: Duration::from_secs(reset) });
        let none = ("x-ratelimit-remaining", "0");
        assert_eq!(of(&[none, ("x-ratelimit-reset", "40")]), requests(0, 40));
        assert_eq!(of(&[("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "40")]), requests(7, 40));
        assert_eq!(of(&[none, ("x-ratelimit-reset", "1700000000"), NOW]), requests(0, 86_400));
        assert_eq!(of(&[none, ("x-ratelimit-reset", "1700000000")]), None, "no clock to compare with");
        assert_eq!(of(&[none]), None, "until when, it does not say");
    }

    #[test]
    fn quotas_of_pulls() {
        let of = |pairs: &[_]| quota(&headers(pairs));
        let pulls =
            |left, of, window| Some(RegistryQuota::Pulls(PullQuota { left, of, window: Duration::from_secs(window) }));
        let remaining = ("ratelimit-remaining", "76;w=21600");
        assert_eq!(of(&[remaining, ("ratelimit-limit", "100;w=21600")]), pulls(76, Some(100), 21_600));
        assert_eq!(of(&[remaining]), pulls(76, None, 21_600));
        assert_eq!(of(&[("ratelimit-remaining", "0;w=99999999999999")]), pulls(0, None, 86_400));
        for nonsense in ["1", "", "-0", "none", "1;w=x"] {
            assert_eq!(of(&[("ratelimit-remaining", nonsense)]), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "[ -~]{0,40}", said in "(retry-after:)?\\PC{0,40}") {
            let map = headers(&[
                ("retry-after", &text), ("ratelimit-remaining", &text), ("ratelimit-limit", &text), ("ratelimit-reset", &text), NOW,
            ]);
            let wait = retry_after(&map, Some(&said));
            prop_assert!(wait.is_none_or(|wait| (SHORTEST_WAIT..=LONGEST_WAIT).contains(&wait)));
            quota(&map);
        }
    }
}
