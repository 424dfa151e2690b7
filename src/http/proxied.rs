//! Headers of reverse proxies that are trusted (`http.trust_forwarded_for`): the client's address, and the URL by which
//! clients reach this server.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::uri::Authority;
use http::{Extensions, HeaderMap, HeaderValue, Uri, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::{Host, Url};

use crate::app::App;

/// The URL by which clients reach this server, without a trailing slash: the configured one, else the one of this
/// request.
pub(super) struct PublicUrl(pub String);

impl PublicUrl {
    /// Of a request.
    pub(super) fn of(headers: &HeaderMap, uri: &Uri, app: &App) -> Self {
        let settings = &app.settings().http;
        if !settings.public_url.is_empty() {
            return Self(settings.public_url.trim_end_matches('/').to_owned());
        }
        let forwarded = |name| settings.trust_forwarded_for.then(|| first_forwarded(headers, name)).flatten();
        // HTTP/2 has the host in the request's URI.
        let asked = headers.get("host").and_then(|value| value.to_str().ok());
        let host = forwarded("x-forwarded-host").or(asked).or(uri.authority().map(Authority::as_str));
        let is_secure = forwarded("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        let scheme = if is_secure { "https" } else { "http" };
        let prefix = PublicPrefix::of(headers, app).0;
        Self(format!("{scheme}://{}{prefix}", host.unwrap_or("localhost")))
    }

    /// Whether clients reach this server by https.
    pub(super) fn is_https(&self) -> bool {
        self.0.get(.."https://".len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
    }

    /// Scheme, host and port, as browsers write them in `Origin`. `None` if the client's `Host` is none.
    pub(super) fn origin(&self) -> Option<String> {
        Url::parse(&self.0).ok().map(|url| url.origin().ascii_serialization())
    }

    /// Whether the host is this machine's own, whose traffic nobody else sees.
    pub(super) fn is_loopback(&self) -> bool {
        match Url::parse(&self.0).ok().as_ref().and_then(Url::host) {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

impl FromRequestParts<App> for PublicUrl {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        Ok(Self::of(&parts.headers, &parts.uri, app))
    }
}

/// The path prefix below which a proxy serves this server, such as `/silo`; empty at the root.
pub(super) struct PublicPrefix(pub String);

impl PublicPrefix {
    /// The path of `http.public_url`, else `X-Forwarded-Prefix` (several proxies each add theirs).
    pub(super) fn of(headers: &HeaderMap, app: &App) -> Self {
        let settings = &app.settings().http;
        if !settings.public_url.is_empty() {
            let url = settings.public_url.parse::<Uri>().ok();
            return Self(url.map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default());
        }
        let said = if settings.trust_forwarded_for { headers.get("x-forwarded-prefix") } else { None };
        Self::read(said.and_then(|value| value.to_str().ok()).unwrap_or_default())
    }

    fn read(said: &str) -> Self {
        let parts = said.split([',', '/']).map(str::trim).filter(|part| !matches!(*part, "" | "." | ".."));
        Self(parts.map(|part| format!("/{}", utf8_percent_encode(part, NOT_IN_PATHS))).collect())
    }

    /// Prepends the prefix to a `Location` that is an absolute path.
    pub(super) fn put_before_location(&self, headers: &mut HeaderMap) {
        let Some(location) = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()) else { return };
        if self.0.is_empty() || !location.starts_with('/') {
            return;
        }
        if let Ok(location) = HeaderValue::from_str(&format!("{}{location}", self.0)) {
            headers.insert(header::LOCATION, location);
        }
    }
}

/// Characters to encode in a path; `%` stays, since the proxy has encoded already.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}');

/// The first value of a header to which each proxy may append: that of the proxy that the client connected to.
fn first_forwarded<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let first = headers.get(name)?.to_str().ok()?.split(',').next()?.trim();
    (!first.is_empty()).then_some(first)
}

/// The client's address: the connection's peer, or what the trusted proxy reports.
pub(super) fn client_address(
    headers: &HeaderMap,
    extensions: &Extensions,
    trust_forwarded_for: bool,
) -> Option<IpAddr> {
    let peer = extensions.get::<SocketAddr>().map(SocketAddr::ip);
    if !trust_forwarded_for {
        return peer;
    }
    // The last entry was written by our own proxy.
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()).and_then(|list| list.rsplit(',').next());
    last.and_then(forwarded_address).or(peer)
}

/// Parses an address as proxies write it: with or without a port, IPv6 with or without brackets.
fn forwarded_address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bracketed = text.strip_prefix('[').and_then(|text| text.split_once(']')).map(|(address, _port)| address);
    let bare = bracketed.unwrap_or(text);
    let without_port = || bare.parse().map(|address: SocketAddr| address.ip());
    bare.parse().or_else(|_| without_port()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            (" 192.0.2.7:4711", Some("192.0.2.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("\"[2001:db8::1]:443\"", Some("2001:db8::1")),
            ("unknown", None),
            ("", None),
            ("192.0.2.7:port", None),
        ] {
            assert_eq!(forwarded_address(text), expected.map(|it| it.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn the_proxys_word_counts_where_it_is_trusted_and_can_be_read() {
        let mut headers = HeaderMap::new();
        let mut extensions = Extensions::new();
        extensions.insert(SocketAddr::from(([127, 0, 0, 1], 1)));
        let address = |headers: &HeaderMap, extensions: &Extensions, trust| {
            client_address(headers, extensions, trust).map(|address| address.to_string()).unwrap_or_default()
        };
        assert_eq!(address(&headers, &extensions, true), "127.0.0.1");
        headers.append("x-forwarded-for", "203.0.113.9".parse().expect("a value"));
        headers.append("x-forwarded-for", "198.51.100.1, 192.0.2.7:99".parse().expect("a value"));
        assert_eq!(address(&headers, &extensions, false), "127.0.0.1");
        assert_eq!(address(&headers, &extensions, true), "192.0.2.7");
        headers.append("x-forwarded-for", "_hidden".parse().expect("a value"));
        assert_eq!(address(&headers, &extensions, true), "127.0.0.1");
    }

    #[test]
    fn prefixes_are_paths_and_nothing_else() {
        for (said, expected) in [
            ("/silo", "/silo"),
            ("/silo/", "/silo"),
            ("silo", "/silo"),
            ("/a, /b", "/a/b"),
            ("//evil.example/x", "/evil.example/x"),
            ("/../x?y#z", "/x%3Fy%23z"),
            ("/a%20b", "/a%20b"),
            ("", ""),
            ("/", ""),
        ] {
            assert_eq!(PublicPrefix::read(said).0, expected, "{said}");
        }
    }
}
