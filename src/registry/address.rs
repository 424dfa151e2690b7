//! Parses the address of a registry as an admin gives it, and builds URLs from it. Pure.

use std::path::PathBuf;

use url::{Host, Url};

use super::{Error, Result};

/// Base URL of a `/v2/` API: scheme, host, port, and the path before `/v2/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RegistryBaseUrl {
    /// Its path ends with `/v2/`.
    api: Url,
}

impl RegistryBaseUrl {
    /// Parses an address: `https` if no scheme is written, `http` only if it is. A trailing slash or `/v2` is
    /// tolerated; a path before it is kept (some registries put several under one host).
    ///
    /// No error text repeats the address: people paste passwords into it.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut api = Url::parse(&full).map_err(|why| {
            refused(&format!("is not an address ({why}); write it like registry.example.org or http://localhost:5000"))
        })?;
        match api.scheme() {
            "http" | "https" => {}
            "file" => {
                return Err(refused(
                    "is a path; use the kind 'layout' for an OCI image layout on disk, 'archive' for a file of \
                     `docker save`",
                ));
            }
            _ => return Err(refused("must start with https:// or http://, or have no scheme (then https:// is used)")),
        }
        if !api.username().is_empty() || api.password().is_some() {
            return Err(refused("contains a user name; use the username and password fields instead"));
        }
        if api.query().is_some() || api.fragment().is_some() {
            return Err(refused(
                "contains '?' or '#', which registries do not use; remove that part (credentials belong in the \
                 username and password fields)",
            ));
        }
        let path = api.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/v2").unwrap_or(path).trim_end_matches('/');
        let path = format!("{prefix}/v2/");
        api.set_path(&path);
        Ok(Self { api })
    }

    /// `host[:port]`, without the scheme's default port.
    pub(super) fn host(&self) -> String {
        host_of(&self.api)
    }

    /// A URL below `/v2/`. `path` must consist of checked names.
    pub(super) fn url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.api.clone();
        let path = format!("{}{path}", url.path());
        url.set_path(&path);
        url.set_query(query);
        url
    }

    /// Root URL of the host: vendors' APIs beside `/v2/` start there.
    pub(super) fn root(&self) -> Url {
        let mut root = self.api.clone();
        root.set_path("/");
        root
    }

    /// Whether the registry is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback(&self.api)
    }

    /// The token service (realm) of a challenge, if it is safe to send a password there: any host over https, since
    /// registries keep token services on other hosts; over plain http only if the registry itself is plain http and on
    /// the same host (or both are on this machine).
    pub(super) fn realm(&self, realm: &str) -> Result<Url> {
        let url = self.api.join(realm).map_err(|why| {
            Error::Malformed(format!("{} names a token service whose address is not valid ({why})", self.host()))
        })?;
        let goes = match url.scheme() {
            "https" => true,
            "http" => {
                self.api.scheme() == "http"
                    && (url.host() == self.api.host() || (is_loopback(&url) && is_loopback(&self.api)))
            }
            _ => false,
        };
        if !goes || !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Refused(format!(
                "{} sends logins to {}://{}, where the password would not be encrypted; its token service (realm) \
                 must use https",
                self.host(),
                url.scheme(),
                host_of(&url)
            )));
        }
        Ok(url)
    }
}

/// File path from the address of a layout or an archive: `file:///path` or an absolute path.
pub(super) fn local_path(text: &str) -> Result<PathBuf> {
    let text = text.trim();
    let advice = "must be an absolute path or file:///path of an OCI image layout or archive on this machine";
    let folder = if text.contains("://") {
        let url = Url::parse(text).map_err(|_| refused(advice))?;
        if url.scheme() != "file" || url.query().is_some() || url.fragment().is_some() {
            return Err(refused(advice));
        }
        url.to_file_path().map_err(|()| refused(advice))?
    } else {
        PathBuf::from(text)
    };
    if !folder.is_absolute() || text.contains('\0') {
        return Err(refused(advice));
    }
    Ok(folder)
}

/// `host[:port]` of a URL, without the scheme's default port.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn refused(why: &str) -> Error {
    Error::Refused(format!("the registry address {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(text: &str) -> String {
        RegistryBaseUrl::parse(text).unwrap().url("", None).into()
    }

    #[test]
    fn https_is_meant_and_http_is_written() {
        assert_eq!(api("registry.example.org"), "https://registry.example.org/v2/");
        assert_eq!(api("localhost:5000"), "https://localhost:5000/v2/");
        assert_eq!(api(" http://localhost:5000 "), "http://localhost:5000/v2/");
        assert_eq!(api("HTTPS://Registry.Example.org:443/"), "https://registry.example.org/v2/");
        assert_eq!(api("[::1]:5000"), "https://[::1]:5000/v2/");
    }

    #[test]
    fn a_trailing_v2_goes_and_a_prefix_stays() {
        for text in ["r.org/v2", "r.org/v2/", "r.org//", "r.org/v2//"] {
            assert_eq!(api(text), "https://r.org/v2/", "{text}");
        }
        for text in ["r.org/artifactory/api/docker/key", "r.org/artifactory/api/docker/key/v2/"] {
            assert_eq!(api(text), "https://r.org/artifactory/api/docker/key/v2/", "{text}");
        }
        assert_eq!(api("r.org/myv2"), "https://r.org/myv2/v2/");
    }

    #[test]
    fn paths_and_queries_go_below_it() {
        let base = RegistryBaseUrl::parse("r.org/x").unwrap();
        assert_eq!(base.url("a/b/tags/list", Some("n=2")).as_str(), "https://r.org/x/v2/a/b/tags/list?n=2");
        assert_eq!(RegistryBaseUrl::parse("r.org:5000").unwrap().host(), "r.org:5000");
    }

    #[test]
    fn bad_addresses_are_refused_without_repeating_them() {
        for bad in [
            "",
            "https://",
            "ftp://r.org",
            "file:///tmp",
            "https://user:hunter2@r.org",
            "user:hunter2@r.org",
            "hunter2@r.org",
            "r.org?token=hunter2",
            "r.org#hunter2",
            "r.org:hunter2",
            "javascript:hunter2",
            "http://",
            "a b",
        ] {
            match RegistryBaseUrl::parse(bad) {
                Err(Error::Refused(text)) => assert!(!text.contains("hunter2"), "{text}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
        let Err(Error::Refused(text)) = RegistryBaseUrl::parse("https://user:hunter2@r.org") else {
            panic!("accepted")
        };
        assert!(text.contains("username and password fields"), "{text}");
    }

    #[test]
    fn realms() {
        let goes = |base: &str, realm: &str| RegistryBaseUrl::parse(base).unwrap().realm(realm).map(String::from);
        assert_eq!(goes("r.org", "https://auth.else.org/token").unwrap(), "https://auth.else.org/token");
        assert_eq!(goes("r.org", "/token").unwrap(), "https://r.org/token");
        assert_eq!(goes("http://r.org:5000", "http://r.org:5001/token").unwrap(), "http://r.org:5001/token");
        assert_eq!(goes("http://127.0.0.1:5", "http://localhost:6/t").unwrap(), "http://localhost:6/t");
        for (base, realm) in [
            ("r.org", "http://r.org/token"),
            ("r.org", "http://auth.else.org/token"),
            ("http://r.org", "http://else.org/token"),
            ("http://r.org", "http://127.0.0.1/token"),
            ("r.org", "file:///etc/passwd"),
            ("r.org", "https://a:b@else.org/token"),
        ] {
            assert!(matches!(goes(base, realm), Err(Error::Refused(_))), "{base} {realm}");
        }
    }

    #[test]
    fn folders() {
        assert_eq!(local_path("/data/demo").unwrap(), PathBuf::from("/data/demo"));
        assert_eq!(local_path("file:///data/a%20b").unwrap(), PathBuf::from("/data/a b"));
        for bad in ["", "demo", "./demo", "file://host/x", "https://r.org", "file:///x?y", "/a\0b"] {
            assert!(matches!(local_path(bad), Err(Error::Refused(_))), "{bad}");
        }
    }
}
