//! Diagnosis of an installation from outside, also while the service runs. Changes nothing.

mod jobs;
mod machine;
mod times;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tokio::task::spawn_blocking;

use super::installation::{address, refuse_emptied};
use super::keys;
use crate::auth::{KeyFileError, key_check, read_key};
use crate::clock::Clock;
use crate::config::ServiceSettings;
use crate::lock::FileLock;
use crate::search::{self, IndexSurvey};
use crate::store::{CatalogueState, DatabaseInspection, Store};

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DiagnosticFinding {
    /// The subject in a few words: `database`.
    pub about: &'static str,
    pub verdict: DiagnosticVerdict,
    /// What was found.
    pub text: String,
    /// What to do about it; empty if nothing.
    pub advice: String,
}

/// Severity, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiagnosticVerdict {
    Good,
    /// It works, or will by itself; worth knowing.
    Notice,
    /// The service cannot work like this.
    Bad,
}

impl DiagnosticFinding {
    pub fn new(about: &'static str, verdict: DiagnosticVerdict, text: impl Into<String>, advice: &str) -> Self {
        Self { about, verdict, text: text.into(), advice: advice.to_owned() }
    }
}

/// Checks everything that a configuration names, and the container engine at `engine`, if given.
pub async fn examine(settings: &ServiceSettings, engine: Option<String>) -> Vec<DiagnosticFinding> {
    let data = settings.data.clone();
    let runs = fs::exists(data.join("lock")).unwrap_or_default()
        && FileLock::take(&data.join("lock")).is_ok_and(|lock| lock.is_none());
    let looked = Store::look(&address(settings)).await;
    let mut findings = vec![machine::data_folder(settings), key_files(settings, looked.as_ref().ok())];
    findings.push(match &looked {
        _ if let Err(why) = refuse_emptied(settings) => bad("database", why.to_string(), ""),
        Ok(look) => database(settings, look),
        Err(why) => bad("database", why.to_string(), ""),
    });
    let looked = looked.ok();
    let folder = settings.in_data("index");
    let survey = spawn_blocking(move || search::survey(&folder)).await;
    findings.push(
        match survey.map_err(|why| why.to_string()).and_then(|looked| looked.map_err(|why| why.to_string())) {
            Ok(survey) => index(&survey, looked.as_ref().and_then(|look| look.catalogue), runs),
            Err(why) => {
                bad("search index", why, "remove the folder 'index' in the data directory; the service rebuilds it")
            }
        },
    );
    if let Some(times) = looked.and_then(|look| look.times) {
        let now = Clock::system().now();
        findings.extend([times::clock(&times, now), times::leases(settings, &times, now)]);
    }
    let asked = settings.clone();
    findings.extend(spawn_blocking(move || machine::disks(&asked)).await.unwrap_or_default());
    findings.push(jobs::network(settings));
    findings.push(match runs {
        true => good("service", format!("a service runs on {}", data.display())),
        false => notice("service", format!("no service runs on {}", data.display()), "start one with: silo serve"),
    });
    findings.extend(jobs::engine(settings, engine).await);
    findings
}

fn key_files(settings: &ServiceSettings, look: Option<&DatabaseInspection>) -> DiagnosticFinding {
    const ABOUT: &str = "keys";
    let open = |path: &PathBuf| fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o077 != 0);
    let paths = ["token.key", "seal.key"].map(|name| settings.in_data(name));
    let known: Vec<PathBuf> = paths.into_iter().filter(|path| path.exists()).collect();
    if let Some(path) = known.iter().find(|path| open(path)) {
        return bad(ABOUT, format!("others may read {}", path.display()), "chmod 600 it, and consider new keys");
    }
    match look.map_or(Ok(None), |look| unfit(settings, look)) {
        Err(why) => bad(ABOUT, why.to_string(), ""),
        Ok(Some(finding)) => finding,
        Ok(None) if known.is_empty() => {
            good(ABOUT, "none in the data directory: configured, or created at the first start")
        }
        Ok(None) => good(ABOUT, format!("{} in the data directory, readable only by their owner", known.len())),
    }
}

/// A finding about keys that do not fit the database: they open no secrets, or signed no tokens. `None` if they fit.
fn unfit(settings: &ServiceSettings, look: &DatabaseInspection) -> Result<Option<DiagnosticFinding>, KeyFileError> {
    const ABOUT: &str = "keys";
    let of = |configured: &SecretString, name: &str| match configured.expose_secret() {
        "" => read_key(&settings.in_data(name)),
        text => Ok(hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok())),
    };
    let mut seal = of(&settings.auth.seal_key, "seal.key")?;
    let next = read_key(&keys::next_file(settings))?.filter(|key| look.seal_check == Some(key_check(key)));
    seal = next.or(seal);
    let lost = keys::unreadable(seal.as_slice(), &look.sealed);
    if !lost.is_empty() {
        let key =
            if seal.is_some() { "seal.key is not the key that they were sealed with" } else { "seal.key is missing" };
        let text = format!(
            "{key}: {} of {} stored secrets cannot be read: {}",
            lost.len(),
            look.sealed.len(),
            keys::in_words(&lost)
        );
        return Ok(Some(bad(ABOUT, text, keys::LOST_ADVICE)));
    }
    if next.is_some() {
        return Ok(Some(notice(
            ABOUT,
            "a rotation of seal.key was interrupted",
            "the service finishes it at its next start",
        )));
    }
    let (has_seal, token) = (look.seal_check.is_some(), of(&settings.auth.token_key, "token.key")?);
    if has_seal && seal.is_none() {
        return Ok(Some(notice(
            ABOUT,
            "seal.key is missing; nothing was sealed with it",
            "the service creates a new one at its next start",
        )));
    }
    let token_fits = look.token_check.is_none() || look.token_check == token.map(|key| key_check(&key));
    Ok((!token_fits).then(|| {
        let advice = "restore it from a backup, or all users must log in again; nothing else is lost";
        notice(ABOUT, "token.key is missing or has changed", advice)
    }))
}

fn database(settings: &ServiceSettings, look: &DatabaseInspection) -> DiagnosticFinding {
    const ABOUT: &str = "database";
    let place = match settings.database.url.expose_secret() {
        "" => format!("SQLite, {}", settings.sqlite_path().display()),
        _ => "PostgreSQL".to_owned(),
    };
    let DatabaseInspection { version, newest, catalogue, .. } = look;
    match (version, catalogue) {
        (None, _) => notice(ABOUT, format!("{place}: no tables yet"), "the service creates them at its first start"),
        (Some(version), _) if version > newest => {
            let text = format!(
                "{place}: created by a newer SILO (its tables have version {version}, this program has {newest})"
            );
            bad(ABOUT, text, "start the newer SILO, or restore an older backup")
        }
        (Some(version), None) => {
            let text = format!("{place}: tables have version {version}, this program has {newest}");
            notice(ABOUT, text, "the service migrates them at its next start; back up the database first")
        }
        (Some(version), Some(CatalogueState { revision, images, .. })) => {
            good(ABOUT, format!("{place}: tables of version {version}, {images} images, revision {revision}"))
        }
    }
}

fn index(survey: &IndexSurvey, catalogue: Option<CatalogueState>, runs: bool) -> DiagnosticFinding {
    const ABOUT: &str = "search index";
    const ANEW: &str =
        "the service rebuilds it at its start; to be sure, remove the folder 'index' in the data directory";
    let Some((revision, count)) = survey.current else {
        let text = if survey.has_other { "created by another version of SILO" } else { "not built yet" };
        return notice(ABOUT, text, if runs { "it is being built" } else { "the service builds it at its start" });
    };
    if survey.is_sound == Some(false) {
        return bad(ABOUT, "some of its files are damaged", ANEW);
    }
    let Some(state) = catalogue else { return notice(ABOUT, "there is no catalogue to compare it with", "") };
    let held =
        format!("revision {revision} with {count} images; the database has {} with {}", state.revision, state.images);
    if revision > state.revision {
        return bad(ABOUT, format!("it belongs to another database: {held}"), ANEW);
    }
    if revision < state.revision {
        let advice = if runs {
            "the service updates it within a second: check again"
        } else {
            "the service updates it at its start"
        };
        return notice(ABOUT, format!("behind: {held}"), advice);
    }
    if count != state.images {
        return bad(ABOUT, format!("it differs from the database: {held}"), ANEW);
    }
    let read = if survey.is_sound == Some(true) { ", no file is damaged" } else { "" };
    good(ABOUT, format!("same as the database: revision {revision}, {count} images{read}"))
}

fn good(about: &'static str, text: impl Into<String>) -> DiagnosticFinding {
    DiagnosticFinding::new(about, DiagnosticVerdict::Good, text, "")
}

fn notice(about: &'static str, text: impl Into<String>, advice: &str) -> DiagnosticFinding {
    DiagnosticFinding::new(about, DiagnosticVerdict::Notice, text, advice)
}

fn bad(about: &'static str, text: impl Into<String>, advice: &str) -> DiagnosticFinding {
    DiagnosticFinding::new(about, DiagnosticVerdict::Bad, text, advice)
}
