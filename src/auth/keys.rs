//! The two keys of an installation: from the configuration, or random and kept in the data directory, mode 0600.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

/// The key that signs tokens and the key that seals secrets (registry passwords among them). Has no `Debug`.
pub struct InstallationKeys {
    pub token: [u8; 32],
    pub seal: [u8; 32],
}

/// A key file that cannot be read, made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("cannot use the key file {path}: {why}")]
    File { path: String, why: std::io::Error },
    #[error("the key file {path} does not hold 64 hexadecimal digits; {advice}")]
    Content { path: String, advice: &'static str },
}

impl InstallationKeys {
    /// Takes the configured keys, or reads those kept in `data`, or makes them.
    ///
    /// # Errors
    /// [`KeyFileError`], naming the file.
    pub fn load(data: &Path, token: &SecretString, seal: &SecretString) -> Result<Self, KeyFileError> {
        Ok(Self { token: key(token, &data.join("token.key"))?, seal: key(seal, &data.join("seal.key"))? })
    }
}

/// What is lost without the key, and how to continue; part of the error message.
const TOKEN_ADVICE: &str = "it signs the tokens of logged-in users: restore it from a backup, or delete it, and all \
                            users must log in again; nothing else is lost";
const SEAL_ADVICE: &str = "the stored passwords of registries and secrets of runs cannot be read without it: restore \
                           it from a backup, or remove it and delete the unreadable secrets with: silo keys rotate \
                           --forget-lost";

/// The key in a file; `None` if the file does not exist.
///
/// # Errors
/// [`KeyFileError`], naming the file.
pub fn read_key(path: &Path) -> Result<Option<[u8; 32]>, KeyFileError> {
    let is_token = path.file_name().is_some_and(|name| name == "token.key");
    let advice = if is_token { TOKEN_ADVICE } else { SEAL_ADVICE };
    match std::fs::read_to_string(path) {
        Ok(text) => match parsed(&text) {
            Some(key) => Ok(Some(key)),
            None => Err(KeyFileError::Content { path: path.display().to_string(), advice }),
        },
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(None),
        Err(why) => Err(KeyFileError::File { path: path.display().to_string(), why }),
    }
}

fn key(configured: &SecretString, path: &Path) -> Result<[u8; 32], KeyFileError> {
    let configured = configured.expose_secret();
    if !configured.is_empty() {
        let unreadable =
            || KeyFileError::Content { path: "of the configuration".to_owned(), advice: "see silo config" };
        return parsed(configured).ok_or_else(unreadable);
    }
    if let Some(key) = read_key(path)? {
        return Ok(key);
    }
    let file_error = |why: std::io::Error| KeyFileError::File { path: path.display().to_string(), why };
    match write_private(path, &super::random_key()) {
        // Another process created the file first.
        Err(why) if why.kind() != ErrorKind::AlreadyExists => return Err(file_error(why)),
        _ => {}
    }
    read_key(path)?.ok_or_else(|| file_error(ErrorKind::NotFound.into()))
}

fn parsed(text: &str) -> Option<[u8; 32]> {
    hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok())
}

/// Writes a new file that only its owner can read. If the process is killed, the file is complete or absent.
///
/// # Errors
/// `AlreadyExists` if the file exists; other errors of the file system.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", super::random_id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        // A hard link refuses an existing name, which a rename would replace.
        .and_then(|()| std::fs::hard_link(&draft, path));
    let _ = std::fs::remove_file(&draft);
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let none = SecretString::from("");
        let first = InstallationKeys::load(folder.path(), &none, &none).unwrap();
        let again = InstallationKeys::load(folder.path(), &none, &none).unwrap();
        assert_eq!((first.token, first.seal), (again.token, again.seal));
        assert_ne!(first.token, first.seal);
        for name in ["token.key", "seal.key"] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "no drafts are left");
    }

    #[test]
    fn a_broken_key_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let none = SecretString::from("");
        for (name, lost, not_lost) in
            [("token.key", "log in again", "registries"), ("seal.key", "registries", "log in")]
        {
            std::fs::write(folder.path().join(name), "short").unwrap();
            let error = InstallationKeys::load(folder.path(), &none, &none).err().unwrap().to_string();
            assert!(error.contains(name) && error.contains(lost) && !error.contains(not_lost), "{error}");
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
    }
}
