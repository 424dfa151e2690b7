//! Logins kept by `silo login` for this user: one token per server, in a file that only this user can read. A token is
//! sent only to the server that issued it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use url::Url;

use super::args::manifest_file::{replace, shown};
use crate::config::user_folder;

/// File name in the user's configuration folder for SILO.
const FILE_NAME: &str = "logins.json";

/// All stored logins.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct KeptLogins {
    /// Keyed by the server's address.
    servers: BTreeMap<String, KeptLogin>,
}

/// Login at one server.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptLogin {
    pub username: String,
    pub token: String,
    /// RFC 3339.
    #[serde(default)]
    pub expires_at: String,
}

impl KeptLogins {
    /// Reads the stored logins; none if there is no file.
    ///
    /// # Errors
    /// The file exists, but cannot be read or parsed.
    pub(super) fn read() -> anyhow::Result<Self> {
        let Some(path) = file() else { return Ok(Self::default()) };
        let text = match fs::read_to_string(&path) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text.with_context(|| format!("the logins in {} cannot be read", shown(&path)))?,
        };
        // A parser's message may quote a token, so it is dropped.
        serde_json::from_str(&text)
            .map_err(|_| anyhow!("{} is damaged: remove it, and log in again with: silo login", shown(&path)))
    }

    /// The login at a server, if there is one.
    pub(super) fn at(&self, server: &str) -> Option<&KeptLogin> {
        self.servers.get(&key(server)?)
    }

    /// Stores a login, in place of an earlier one at the same server. Returns the path of the file.
    ///
    /// # Errors
    /// This user has no configuration folder, or an I/O error.
    pub(super) fn keep(server: &str, login: KeptLogin) -> anyhow::Result<PathBuf> {
        let mut all = Self::read()?;
        let key = key(server).context("a server that has answered has an address")?;
        all.servers.insert(key, login);
        all.write()
    }

    /// Removes the login at a server.
    ///
    /// # Errors
    /// An I/O error.
    pub(super) fn forget(mut self, server: &str) -> anyhow::Result<()> {
        let gone = key(server).and_then(|key| self.servers.remove(&key));
        if gone.is_some() {
            self.write()?;
        }
        Ok(())
    }

    fn write(&self) -> anyhow::Result<PathBuf> {
        let path = file().context("there is no home folder to store the login in: set HOME or XDG_CONFIG_HOME")?;
        let folder = path.parent().context("a file is in a folder")?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let text = serde_json::to_vec_pretty(self)?;
        made.and_then(|()| replace(&path, &text, Permissions::from_mode(0o600)))
            .with_context(|| format!("the login cannot be stored in {}", shown(&path)))?;
        Ok(path)
    }
}

fn file() -> Option<PathBuf> {
    Some(user_folder()?.join(FILE_NAME))
}

/// A server's address in one canonical spelling: with the port, without user, query and fragment.
fn key(server: &str) -> Option<String> {
    let url = Url::parse(server).ok()?;
    let (host, port) = (url.host_str()?, url.port_or_known_default()?);
    Some(format!("{}://{host}:{port}{}", url.scheme(), url.path().trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_one_spelling_and_shares_it_with_no_other() {
        let server = key("https://SILO.example.org");
        for same in ["https://silo.example.org/", "https://silo.example.org:443", "https://ada@silo.example.org/?q#f"] {
            assert_eq!(key(same), server, "{same}");
        }
        for other in [
            "http://silo.example.org",
            "http://silo.example.org:443",
            "https://silo.example.org:8443",
            "https://silo.example.org.evil.org",
            "https://silo.example.org/silo",
            "https://silo.example.org@evil.org",
            "nonsense",
        ] {
            assert_ne!(key(other), server, "{other}");
        }
    }
}
