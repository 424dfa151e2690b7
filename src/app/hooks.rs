//! Hooks: URLs that registries send their notifications to. A notification is only a hint: the repositories that it
//! names are listed again through the registry's own API.

use secrecy::{ExposeSecret as _, SecretString};

use super::{App, Error, Result};
use crate::auth::{hook_digest, random_id, verify_hook_signature};
use crate::catalog::{RegistryId, RegistryRecord, ScanTrigger};
use crate::registry::{RegistryNotification, hook_advice};

/// Longest body of a notification, in bytes.
pub const LONGEST_NOTIFICATION: usize = 64 * 1024;

/// Most repositories that one notification may name, and that may wait for one registry. Beyond either, a scan of the
/// whole registry is requested instead.
const MOST_NAMED: usize = 200;
const MOST_WAITING: u64 = 5000;

/// Longest secret, in bytes.
const LONGEST_SECRET: usize = 1024;

/// A new hook. Its URL cannot be shown again: only a hash of it is stored.
#[derive(Debug)]
pub struct NewHook {
    /// Anyone who knows it can send notifications.
    pub url: SecretString,
    /// How to set it up at the registry; contains the URL.
    pub advice: SecretString,
}

/// A request that a hook received.
#[derive(Clone, Copy, Debug)]
pub struct HookNotification<'a> {
    pub body: &'a [u8],
    /// The header `Ce-Type` of a CloudEvent.
    pub cloud_event: Option<&'a str>,
    /// The header `X-Hub-Signature-256`.
    pub signature: Option<&'a str>,
}

impl App {
    /// Creates a registry's hook below the URL `base`, in place of an earlier one. With a `secret`, only notifications
    /// that are signed with it are accepted.
    pub async fn hook_make(&self, id: RegistryId, base: &str, secret: Option<&SecretString>) -> Result<NewHook> {
        let registry = self.registry_get(id).await?;
        let secret = secret.filter(|secret| !secret.expose_secret().is_empty());
        if secret.is_some_and(|secret| secret.expose_secret().len() > LONGEST_SECRET) {
            return Err(Error::Invalid(format!("The secret is longer than {LONGEST_SECRET} bytes")));
        }
        let token = random_id();
        let sealed = secret.map(|secret| self.0.sealer.seal(&place(&registry.name), secret));
        if !self.0.whole_store.registry_set_hook(id, Some(&hook_digest(&token)), sealed.as_deref()).await? {
            return Err(Error::NotFound("No registry found with that ID".to_owned()));
        }
        tracing::info!(registry = registry.name, is_signed = secret.is_some(), "hook created");
        let url = format!("{base}/hooks/{token}");
        Ok(NewHook { advice: hook_advice(registry.kind, &url).into(), url: url.into() })
    }

    /// Removes a registry's hook; no error if it has none.
    pub async fn hook_remove(&self, id: RegistryId) -> Result<()> {
        match self.0.whole_store.registry_set_hook(id, None, None).await? {
            true => {
                tracing::info!(registry = %id, "hook removed");
                Ok(())
            }
            false => Err(Error::NotFound("No registry found with that ID".to_owned())),
        }
    }

    /// Accepts a notification: the repositories that will be listed again, soon and in the background.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an unknown token, [`Error::Throttled`], [`Error::Unauthenticated`] for a missing or
    /// wrong signature, [`Error::Invalid`] for a body that is no notification.
    pub async fn hook_receive(&self, token: &str, notification: HookNotification<'_>) -> Result<Vec<String>> {
        // Looked up by its hash: the response time reveals nothing about existing tokens.
        let Some(registry) = self.0.whole_store.registry_by_hook(&hook_digest(token)).await? else {
            count("unknown", "no-such-hook");
            return Err(Error::NotFound("There is no such hook".to_owned()));
        };
        if let Err(wait) = self.0.hook_pace.take(registry.id, self.0.clock.now()) {
            count("unknown", "throttled");
            return Err(Error::Throttled { what: "Too many notifications", wait });
        }
        self.check_signature(&registry, notification).await.inspect_err(|_| count("unknown", "refused"))?;
        let Some(notice) = RegistryNotification::read(notification.body, notification.cloud_event) else {
            count("unknown", "unreadable");
            return Err(Error::Invalid(
                "SILO does not know this notification: send a JSON object (or a list of objects) in the form of \
                 docker-registry, GitLab's registry, Docker Hub, Harbor, Quay, GitHub (content type \
                 application/json), zot (CloudEvents), Azure or Amazon EventBridge"
                    .to_owned(),
            ));
        };
        let filter = self.filter_of(&registry)?;
        let is_ours = |name: &String| filter.in_org(name) && filter.includes(name);
        let repositories: Vec<String> = notice.repositories.into_iter().filter(is_ours).collect();
        let sender = notice.sender.map_or("unknown", |sender| sender.as_str());
        if repositories.is_empty() {
            count(sender, "nothing");
            return Ok(repositories);
        }
        let now = self.0.clock.now();
        // Each further repository counts as a notification against the rate limit.
        self.0.hook_pace.charge(registry.id, repositories.len() - 1, now);
        let waiting = self.0.whole_store.hint_count(registry.id).await?;
        if repositories.len() > MOST_NAMED || waiting + repositories.len() as u64 > MOST_WAITING {
            // An active scan is joined; what it may miss, the next scheduled scan finds.
            self.scan_request(registry.id, ScanTrigger::Schedule).await?;
            count(sender, "too-many");
            let named = repositories.len();
            tracing::warn!(
                registry = registry.name,
                sender,
                named,
                waiting,
                "hook: too many names; the whole registry is scanned"
            );
            return Ok(repositories);
        }
        self.0.whole_store.hint_insert(registry.id, &repositories, now).await?;
        self.scan_request(registry.id, ScanTrigger::Hook).await?;
        count(sender, "taken");
        tracing::debug!(registry = registry.name, sender, ?repositories, "notification of a change in the registry");
        Ok(repositories)
    }

    async fn check_signature(&self, registry: &RegistryRecord, notification: HookNotification<'_>) -> Result<()> {
        let Some(sealed) = self.0.whole_store.registry_sealed_hook_secret(registry.id).await? else { return Ok(()) };
        let secret = self.0.sealer.open(&place(&registry.name), &sealed).map_err(|why| {
            Error::Internal(format!("the secret of the hook of registry {} cannot be read: {why}", registry.name))
        })?;
        let fits = |signature| verify_hook_signature(&secret, notification.body, signature);
        if notification.signature.is_some_and(fits) {
            return Ok(());
        }
        Err(Error::Unauthenticated(
            "The signature in X-Hub-Signature-256 is missing or wrong: configure the sender with the secret of this \
             hook",
        ))
    }
}

fn count(sender: &'static str, outcome: &'static str) {
    metrics::counter!("silo_hooks_total", "sender" => sender, "outcome" => outcome).increment(1);
}

/// The context that a sealed hook secret is bound to.
pub(super) fn place(registry: &str) -> String {
    format!("registries/{registry}/hook_secret")
}
