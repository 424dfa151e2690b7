//! The two keys of an installation and the secrets sealed with them: whether they fit, and rotation of the seal key.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::installation::{StartError, lock, open_store, require_data};
use super::{hooks, registry_access, runs};
use crate::auth::{InstallationKeys, SecretSealer, key_check, random_key, read_key, write_private};
use crate::config::ServiceSettings;
use crate::store::{self, SEAL_KEY, SealedKind, SealedText, Store, TOKEN_KEY};

/// What to do when the seal key is lost.
pub(super) const LOST_ADVICE: &str = "stop the service and restore the right seal.key from a backup (or set \
                                      auth.seal_key to it); without a backup, delete the unreadable secrets with: \
                                      silo keys rotate --forget-lost, and enter them again";

/// The result of a rotation.
#[derive(Debug, PartialEq, Eq)]
pub struct KeyRotation {
    pub sealed_again: usize,
    /// Secrets that were dropped, in words; empty for none.
    pub forgotten: String,
}

/// Loads the keys, after finishing an interrupted rotation.
pub(super) async fn load(settings: &ServiceSettings, store: &Store) -> Result<InstallationKeys, StartError> {
    finish_rotation(settings, store).await?;
    Ok(InstallationKeys::load(&settings.data, &settings.auth.token_key, &settings.auth.seal_key)?)
}

/// Logs what the keys do not fit, and stores their check values if they do.
pub(super) async fn examine(store: &Store, keys: &InstallationKeys) -> Result<(), StartError> {
    let sealed = store.sealed_list().await?;
    let lost = unreadable(&[keys.seal], &sealed);
    let seal = key_check(&keys.seal);
    if lost.is_empty() {
        // Writes changes only: a full disk must not keep a service from starting.
        if store.key_check(SEAL_KEY).await?.as_ref() != Some(&seal) {
            store.key_check_set(SEAL_KEY, &seal).await?;
        }
    } else {
        tracing::error!(
            lost = in_words(&lost),
            of = sealed.len(),
            "stored secrets cannot be read with this seal key: {LOST_ADVICE}"
        );
    }
    let token = key_check(&keys.token);
    match store.key_check(TOKEN_KEY).await? {
        Some(known) if known == token => {}
        known => {
            if known.is_some() {
                tracing::warn!(
                    "token.key has changed: all users must log in again. All SILO processes on one database need the \
                     same key (auth.token_key)"
                );
            }
            store.key_check_set(TOKEN_KEY, &token).await?;
        }
    }
    Ok(())
}

/// Seals all secrets with another key: a new one, or the configured one. Secrets are opened with the present key or the
/// one in `from`. After a kill at any moment, either nothing has changed or the next start finishes the rotation.
///
/// # Errors
/// [`StartError::Locked`] while a service runs here; [`StartError::Seal`] if a secret cannot be opened (unless
/// `forget_lost`) or another process writes to the database. Nothing has changed then.
pub async fn rotate_seal_key(
    settings: &ServiceSettings,
    from: Option<&Path>,
    forget_lost: bool,
) -> Result<KeyRotation, StartError> {
    require_data(settings)?;
    let _lock = lock(&settings.data)?;
    let store = open_store(settings).await?;
    let rotated = rotate(settings, &store, from, forget_lost).await;
    store.close().await;
    rotated
}

async fn rotate(
    settings: &ServiceSettings,
    store: &Store,
    from: Option<&Path>,
    forget_lost: bool,
) -> Result<KeyRotation, StartError> {
    finish_rotation(settings, store).await?;
    let file = settings.in_data("seal.key");
    let mut openers = Vec::new();
    if let Some(path) = from {
        let missing = || StartError::Seal(format!("there is no key file {}", path.display()));
        openers.push(read_key(path)?.ok_or_else(missing)?);
    }
    let is_configured = !settings.auth.seal_key.expose_secret().is_empty();
    if is_configured {
        openers.push(load(settings, store).await?.seal);
    }
    openers.extend(read_key(&file)?);
    let sealed = store.sealed_list().await?;
    let lost = unreadable(&openers, &sealed);
    if !lost.is_empty() && !forget_lost {
        return Err(StartError::Seal(format!(
            "no available key opens {}. Give a file with the right key with --from, or delete the secrets with \
             --forget-lost",
            in_words(&lost)
        )));
    }
    let key = if is_configured { openers[usize::from(from.is_some())] } else { draft_key(&next_file(settings))? };
    let target = SecretSealer::new(&key);
    let changes: Vec<(SealedText, Option<String>)> = sealed
        .iter()
        .map(|text| {
            let opened = openers.iter().find_map(|key| SecretSealer::new(key).open(&place(text), &text.text).ok());
            (text.clone(), opened.map(|secret| target.seal(&place(text), &secret)))
        })
        .collect();
    store.sealed_replace(&changes, &key_check(&key)).await.map_err(|why| match why {
        store::Error::Changed => StartError::Seal(
            "another process changed the database: stop every SILO process that uses it, and try again".to_owned(),
        ),
        other => other.into(),
    })?;
    finish_rotation(settings, store).await?;
    Ok(KeyRotation { sealed_again: sealed.len() - lost.len(), forgotten: in_words(&lost) })
}

/// File of the next key until everything is sealed with it.
pub(super) fn next_file(settings: &ServiceSettings) -> PathBuf {
    settings.in_data("seal.key.next")
}

/// Makes a new key and writes it to the file first: it must not get lost once the database needs it.
fn draft_key(path: &Path) -> Result<[u8; 32], StartError> {
    let on_disk = |why| StartError::Data { path: path.to_owned(), why };
    match fs::remove_file(path) {
        Err(why) if why.kind() != ErrorKind::NotFound => return Err(on_disk(why)),
        _ => {}
    }
    write_private(path, &random_key()).map_err(on_disk)?;
    read_key(path)?.ok_or_else(|| on_disk(ErrorKind::NotFound.into()))
}

/// Moves the next key into place if the database is sealed with it.
async fn finish_rotation(settings: &ServiceSettings, store: &Store) -> Result<(), StartError> {
    let next = next_file(settings);
    let Some(key) = read_key(&next)? else { return Ok(()) };
    if store.key_check(SEAL_KEY).await? != Some(key_check(&key)) {
        return Ok(());
    }
    match fs::rename(&next, settings.in_data("seal.key")) {
        // Another process was faster.
        Err(why) if why.kind() == ErrorKind::NotFound => Ok(()),
        Err(why) => Err(StartError::Data { path: next, why }),
        Ok(()) => {
            let folder = fs::File::open(&settings.data).and_then(|folder| folder.sync_all());
            folder.map_err(|why| StartError::Data { path: settings.data.clone(), why })
        }
    }
}

/// Secrets that none of the keys opens.
pub(super) fn unreadable<'a>(keys: &[[u8; 32]], sealed: &'a [SealedText]) -> Vec<&'a SealedText> {
    let sealers: Vec<SecretSealer> = keys.iter().map(SecretSealer::new).collect();
    let opens = |text: &SealedText| sealers.iter().any(|sealer| sealer.open(&place(text), &text.text).is_ok());
    sealed.iter().filter(|text| !opens(text)).collect()
}

/// Lists secrets in words: by registry; of runs only how many.
pub(super) fn in_words(secrets: &[&SealedText]) -> String {
    let mut by_kind: BTreeMap<SealedKind, Vec<&str>> = BTreeMap::new();
    for secret in secrets {
        by_kind.entry(secret.kind).or_default().push(&secret.owner);
    }
    let part = |(kind, owners): (&SealedKind, &Vec<&str>)| match kind {
        SealedKind::RegistryPassword => format!("the passwords of registries ({})", owners.join(", ")),
        SealedKind::RegistryClientKey => format!("the client keys of registries ({})", owners.join(", ")),
        SealedKind::HookSecret => format!("the secrets of hooks of registries ({})", owners.join(", ")),
        SealedKind::RunSettings => format!("the secret settings of {} runs", owners.len()),
    };
    by_kind.iter().map(part).collect::<Vec<_>>().join("; ")
}

/// The context that a sealed text is bound to.
fn place(sealed: &SealedText) -> String {
    match sealed.kind {
        SealedKind::RegistryPassword => registry_access::RegistrySecret::Password.place(&sealed.owner),
        SealedKind::RegistryClientKey => registry_access::RegistrySecret::ClientKey.place(&sealed.owner),
        SealedKind::HookSecret => hooks::place(&sealed.owner),
        SealedKind::RunSettings => runs::settings_place(&sealed.owner),
    }
}
