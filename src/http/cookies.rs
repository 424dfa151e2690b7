//! Cookies: reading one, and the one in which a browser keeps the token of its session.

use http::{HeaderMap, HeaderValue, Uri, header};

use super::proxied::{PublicPrefix, PublicUrl};
use crate::app::App;

/// In the extensions of requests whose session came from the cookie: browsers add it to requests of other sites, too.
#[derive(Clone, Copy)]
pub(super) struct SessionFromCookie;

/// The value of the first cookie with this name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lists = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The session cookie, as this client has to see it: its name and attributes depend on the address by which the client
/// reaches this server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SessionCookie {
    name: &'static str,
    path: String,
    is_secure: bool,
}

impl SessionCookie {
    pub(super) fn of(headers: &HeaderMap, uri: &Uri, app: &App) -> Self {
        Self::at(PublicPrefix::of(headers, app).0, PublicUrl::of(headers, uri, app).is_https())
    }

    /// Browsers accept the prefixes of these names only with `Secure`, and `__Host-` only with the path `/`: so another
    /// host of the same domain cannot set the cookie (RFC 6265bis, section 4.1.3).
    fn at(prefix: String, is_secure: bool) -> Self {
        let name = match (is_secure, prefix.is_empty()) {
            (true, true) => "__Host-silo",
            (true, false) => "__Secure-silo",
            (false, _) => "silo",
        };
        // A semicolon would end the attribute.
        let path = if prefix.is_empty() { "/".to_owned() } else { prefix.replace(';', "%3B") };
        Self { name, path, is_secure }
    }

    /// The token that the client sends.
    pub(super) fn token<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        cookie(headers, self.name).filter(|token| !token.is_empty())
    }

    /// The `Set-Cookie` that gives the client a token, until the browser is closed.
    pub(super) fn keeping(&self, token: &str) -> Option<HeaderValue> {
        self.header(token, "")
    }

    /// The `Set-Cookie` that takes it away.
    pub(super) fn removed(&self) -> Option<HeaderValue> {
        self.header("", "; Max-Age=0")
    }

    fn header(&self, token: &str, age: &str) -> Option<HeaderValue> {
        let Self { name, path, is_secure } = self;
        let secure = if *is_secure { "; Secure" } else { "" };
        HeaderValue::from_str(&format!("{name}={token}; Path={path}; HttpOnly; SameSite=Lax{secure}{age}")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_how_far_the_cookie_is_protected() {
        for (prefix, is_secure, expected) in [
            ("", true, "__Host-silo=t; Path=/; HttpOnly; SameSite=Lax; Secure"),
            ("/tools/silo", true, "__Secure-silo=t; Path=/tools/silo; HttpOnly; SameSite=Lax; Secure"),
            ("", false, "silo=t; Path=/; HttpOnly; SameSite=Lax"),
            ("/a;Domain=x", false, "silo=t; Path=/a%3BDomain=x; HttpOnly; SameSite=Lax"),
        ] {
            let header = SessionCookie::at(prefix.to_owned(), is_secure).keeping("t").expect("ASCII");
            assert_eq!(header, expected);
        }
        let gone = SessionCookie::at(String::new(), false).removed().expect("ASCII");
        assert_eq!(gone, "silo=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0");
    }

    #[test]
    fn only_the_cookie_with_the_right_name_is_read() {
        let headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("silo=a; __Host-silo=b; x"))]);
        let token = |prefix: &str, is_secure| {
            SessionCookie::at(prefix.to_owned(), is_secure).token(&headers).map(str::to_owned)
        };
        assert_eq!(token("", true).as_deref(), Some("b"));
        assert_eq!(token("", false).as_deref(), Some("a"));
        assert_eq!(token("/p", true), None);
    }
}
