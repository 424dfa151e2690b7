//! Logins in Docker's configuration: stored in its file, or by a credential helper (`docker-credential-NAME`).

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretString;
use serde::Deserialize;

use super::manifest_file::shown;
use crate::app::remote_images::DOCKER_HUB;
use crate::cli::output::render::tame;
use crate::engine::docker::TOKEN_USER;
use crate::engine::runtime::RegistryCredentials;

/// Key of Docker Hub in `auths`: the address of its v1 index, for historical reasons.
pub(in crate::cli) const HUB_KEY: &str = "https://index.docker.io/v1/";
/// Size limit of the configuration, in bytes.
const LONGEST: u64 = 4 << 20;
/// Message of credential helpers for an unknown host; any other message is an error.
const NOT_THERE: &str = "credentials not found";

/// Base64 with optional padding: some other tools write `auth` without it.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Docker's `config.json`, as far as logins are concerned. Other programs write it, too, and may set absent members to
/// null.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::cli) struct DockerConfig {
    auths: Option<BTreeMap<String, Option<DockerConfigAuth>>>,
    cred_helpers: Option<BTreeMap<String, Option<String>>>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct DockerConfigAuth {
    /// Name and password as in HTTP Basic authentication (RFC 7617): base64 of `name:password`.
    auth: Option<String>,
    identitytoken: Option<String>,
    /// Members that tools of Kubernetes write.
    username: Option<String>,
    password: Option<SecretString>,
}

/// Reply of a credential helper.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CredentialHelperReply {
    username: String,
    secret: String,
}

impl DockerConfig {
    /// Reads the configuration; empty if there is no file.
    ///
    /// # Errors
    /// The file exists, but cannot be read or parsed.
    pub(in crate::cli) fn read(folder: Option<&Path>) -> anyhow::Result<Self> {
        let Some(folder) = docker_folder(folder) else { return Ok(Self::default()) };
        Self::read_file(&folder.join("config.json"))
    }

    /// Reads a file by its path, also Podman's `auth.json`, which has the same format.
    ///
    /// # Errors
    /// See [`DockerConfig::read`].
    pub(super) fn read_file(path: &Path) -> anyhow::Result<Self> {
        let text = match std::fs::File::open(path) {
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            opened => opened.and_then(|file| std::io::read_to_string(std::io::Read::take(file, LONGEST))),
        };
        let unusable = || format!("Docker's configuration {} cannot be used", shown(path));
        // A parser's message may quote its input, and so a password.
        serde_json::from_str(&text.with_context(unusable)?)
            .map_err(|why| anyhow!("it is not valid JSON for this file (line {}, column {})", why.line(), why.column()))
            .with_context(unusable)
    }

    /// The credentials for a host; `None` if there are none.
    ///
    /// # Errors
    /// A helper is missing or fails, or an entry is invalid.
    pub(in crate::cli) fn credentials(&self, host: &str) -> anyhow::Result<Option<RegistryCredentials>> {
        let helpers = self.cred_helpers.iter().flatten();
        let helper = helpers.filter(|(key, _)| host_of(key) == host).find_map(|(_, helper)| helper.as_ref());
        let helper = helper.or(self.creds_store.as_ref()).filter(|helper| !helper.is_empty());
        if let Some(helper) = helper
            && let Some(found) = ask(helper, key_of(host))?
        {
            return Ok(Some(found));
        }
        let of_host = self.auths.iter().flatten().filter(|(key, _)| host_of(key) == host);
        for auth in of_host.filter_map(|(_, auth)| auth.as_ref()) {
            let found = auth.credentials();
            let found = found.with_context(|| format!("the login for {} in Docker's configuration", tame(host)))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

impl DockerConfigAuth {
    fn credentials(&self) -> anyhow::Result<Option<RegistryCredentials>> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.identitytoken) {
            return Ok(Some(RegistryCredentials { username: TOKEN_USER.to_owned(), password: token.into() }));
        }
        let Some(auth) = given(&self.auth) else {
            let pair = given(&self.username).zip(self.password.clone());
            return Ok(pair.map(|(username, password)| RegistryCredentials { username, password }));
        };
        let unreadable = "it is not a base64-encoded user name and password; log in again with: docker login";
        let pair = LENIENT.decode(auth.trim()).ok().and_then(|pair| String::from_utf8(pair).ok());
        let pair = pair.context(unreadable)?;
        let (username, password) = pair.split_once(':').context(unreadable)?;
        // Old versions of Docker ended passwords with a NUL.
        let (username, password) = (username.to_owned(), password.trim_end_matches('\0').to_owned().into());
        Ok(Some(RegistryCredentials { username, password }))
    }
}

/// Docker's configuration folder: the given one, or that of the user. `None`: this user has no home.
pub(in crate::cli) fn docker_folder(named: Option<&Path>) -> Option<PathBuf> {
    let named = named.filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned);
    named.or_else(|| crate::config::home_folder().map(|home| home.join(".docker")))
}

/// The key under which Docker stores a host.
fn key_of(host: &str) -> &str {
    if host == DOCKER_HUB { HUB_KEY } else { host }
}

/// The host of a key: keys are hosts, or old URLs with a scheme and a path.
fn host_of(key: &str) -> &str {
    let key = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = key.split('/').next().unwrap_or(key);
    if matches!(host, "index.docker.io" | "registry-1.docker.io" | "hub.docker.com") { DOCKER_HUB } else { host }
}

/// Calls `docker-credential-NAME get`, with the key on standard input.
fn ask(helper: &str, key: &str) -> anyhow::Result<Option<RegistryCredentials>> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if helper.is_empty() || !helper.chars().all(is_name) {
        bail!("Docker's configuration names the credential helper '{}', which is not a valid name", tame(helper));
    }
    let program = format!("docker-credential-{helper}");
    let unusable = || format!("the credential helper {program} of Docker's configuration cannot be used");
    let mut command = Command::new(&program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(unusable)?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input may have exited already.
        _ = input.write_all(key.as_bytes());
    }
    let output = child.wait_with_output().with_context(unusable)?;
    if !output.status.success() {
        let said = [&output.stdout[..], &output.stderr[..]].concat();
        let said = tame(String::from_utf8_lossy(&said).trim());
        if said.to_lowercase().contains(NOT_THERE) {
            return Ok(None);
        }
        let said: String = said.chars().take(200).collect();
        return Err(anyhow!("it says: {said}")).with_context(unusable);
    }
    // The reply holds a password, so it is not quoted.
    let answer: CredentialHelperReply = serde_json::from_slice(&output.stdout)
        .map_err(|_| anyhow!("its output is not valid"))
        .with_context(unusable)?;
    // Some helpers reply with an empty secret for an unknown host.
    let CredentialHelperReply { username, secret } = answer;
    Ok((!secret.is_empty()).then(|| RegistryCredentials { username, password: secret.into() }))
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn login(config: &str, host: &str) -> anyhow::Result<Option<(String, String)>> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let found = DockerConfig::read(Some(folder.path()))?.credentials(host)?;
        Ok(found.map(|found| (found.username, found.password.expose_secret().to_owned())))
    }

    #[test]
    fn entries_are_found_by_host() {
        let pair = STANDARD.encode("ada:a:b");
        for (key, host) in [
            ("r.example.org", "r.example.org"),
            ("r.example.org:5000", "r.example.org:5000"),
            ("https://r.example.org/v1/", "r.example.org"),
            ("https://index.docker.io/v1/", "docker.io"),
        ] {
            let config = format!(r#"{{"auths":{{"{key}":{{"auth":"{pair}"}}}},"other":[1]}}"#);
            assert_eq!(login(&config, host).unwrap(), Some(("ada".into(), "a:b".into())), "{key}");
            assert_eq!(login(&config, "else.example.org").unwrap(), None);
        }
        let token = r#"{"auths":{"r.org":{"auth":"AAAA","identitytoken":"t"}}}"#;
        assert_eq!(login(token, "r.org").unwrap(), Some((TOKEN_USER.into(), "t".into())));
        for nothing in
            ["{}", "null", r#"{"auth":null,"identitytoken":null}"#, r#"{"username":"ada"}"#, r#"{"auth":""}"#]
        {
            let config = format!(r#"{{"auths":{{"r.org":{nothing}}},"credHelpers":null,"credsStore":null}}"#);
            assert_eq!(login(&config, "r.org").unwrap(), None, "{nothing}");
        }
        assert_eq!(login(r#"{"auths":null,"credHelpers":{"r.org":null}}"#, "r.org").unwrap(), None);
        assert_eq!(login("{}", "r.org").unwrap(), None);
    }

    #[test]
    fn logins_of_other_writers_are_read() {
        let pair = STANDARD.encode("ada:pa:ss1");
        let unpadded = pair.trim_end_matches('=');
        assert_ne!(unpadded, pair);
        let both = r#""username":"ada","password":"pa:ss1""#;
        for auth in [
            both.to_owned(),
            format!(r#"{both},"auth":"""#),
            format!(r#"{both},"auth":null"#),
            format!(r#""username":"eve","password":"no","auth":"{pair}""#),
            format!(r#""auth":"{unpadded}","email":null"#),
        ] {
            let config = format!(r#"{{"auths":{{"http://r.org/v2/":{{{auth}}}}},"psFormat":"x"}}"#);
            assert_eq!(login(&config, "r.org").unwrap(), Some(("ada".into(), "pa:ss1".into())), "{auth}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_without_its_content() {
        for config in [
            r#"{"auths":{"r.org":{"auth":"hunter2 "}}}"#,
            r#"{"auths":{"r.org":"hunter2"}}"#,
            "hunter2",
            r#"{"credsStore":"../hunter/2"}"#,
        ] {
            let why = format!("{:#}", login(config, "r.org").unwrap_err());
            assert!(!why.contains("hunter2") && why.contains("Docker's configuration"), "{why}");
        }
        let missing = login(r#"{"credHelpers":{"r.org":"no-such-helper"}}"#, "r.org").unwrap_err();
        assert!(format!("{missing:#}").contains("docker-credential-no-such-helper"), "{missing:#}");
    }
}
