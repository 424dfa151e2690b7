//! The logins that `silo login` keeps for this user: a token for each server, in a file that nobody else can read. A token goes
//! to no other server than the one that gave it.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde::{Deserialize, Serialize};
use url::Url;

use super::manifest_file::{replace, shown};
use crate::config::user_folder;

/// The name of the file in the user's folder for SILO.
const FILE_NAME: &str = "logins.json";

/// All that are kept.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct KeptLogins {
    /// By the server's address.
    servers: BTreeMap<String, KeptLogin>,
}

/// A login at a server.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct KeptLogin {
    pub username: String,
    pub token: String,
    /// In RFC 3339.
    #[serde(default)]
    pub expires_at: String,
}

impl KeptLogins {
    /// Reads them; none where nothing was kept yet.
    ///
    /// # Errors
    /// The file is there, and cannot be used.
    pub(super) fn read() -> anyhow::Result<Self> {
        let Some(path) = file() else { return Ok(Self::default()) };
        let text = match fs::read_to_string(&path) {
            Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            text => text.with_context(|| format!("the logins in {} cannot be read", shown(&path)))?,
        };
        // What a parser says may quote a token.
        serde_json::from_str(&text).map_err(|_| {
            anyhow!("{} is not as it should be: remove it, and log in again with: silo login", shown(&path))
        })
    }

    /// The login at a server.
    pub(super) fn at(&self, server: &str) -> Option<&KeptLogin> {
        self.servers.get(&key(server)?)
    }

    /// Keeps a login, in place of an earlier one at the same server. Gives the file's path.
    ///
    /// # Errors
    /// This user has no folder, or its disk refuses.
    pub(super) fn keep(server: &str, login: KeptLogin) -> anyhow::Result<PathBuf> {
        let mut all = Self::read()?;
        let key = key(server).context("a server that has answered has an address")?;
        all.servers.insert(key, login);
        all.write()
    }

    /// Forgets the login at a server.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn forget(mut self, server: &str) -> anyhow::Result<()> {
        let gone = key(server).and_then(|key| self.servers.remove(&key));
        if gone.is_some() {
            self.write()?;
        }
        Ok(())
    }

    fn write(&self) -> anyhow::Result<PathBuf> {
        let path = file().context("there is no home folder to keep a login in: set HOME or XDG_CONFIG_HOME")?;
        let folder = path.parent().context("a file is in a folder")?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
        let text = serde_json::to_vec_pretty(self)?;
        made.and_then(|()| replace(&path, &text, Permissions::from_mode(0o600)))
            .with_context(|| format!("the login cannot be kept in {}", shown(&path)))?;
        Ok(path)
    }
}

fn file() -> Option<PathBuf> {
    Some(user_folder()?.join(FILE_NAME))
}

/// An address in one spelling: with the port, without what is no part of a server.
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
