//! Amazon Elastic Container Registry, `{account}.dkr.ecr.{region}.amazonaws.com`, and public.ecr.aws.
//!
//! `/v2/` takes Basic with user `AWS` and a token as password, valid for 12 hours. The admin gives either the token
//! (`aws ecr get-login-password`) or AWS keys; with keys, tokens come from ECR's API, which also lists tags with
//! digests. Without keys, without the right to list, or if another server responds in place of the API (a proxy, an
//! imitation of ECR), the distribution API is used.

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::super::address::{RegistryBaseUrl, host_of};
use super::super::distribution::DistributionApi;
use super::super::grammar::is_digest;
use super::super::transport::HttpTransport;
use super::super::{Error, ListedTag, RawListing, RegistryEndpoint, Result};
use super::page_walk::PageWalk;
use crate::registry::login::aws;
use crate::registry::login::aws::{AwsKeys, AwsService, AwsSigner};
use crate::registry::login::token::TokenCache;

/// Host of public images. Its API differs and does not take these requests.
const PUBLIC: &str = "public.ecr.aws";
/// Page size; ECR's maximum.
const PAGE: usize = 1000;
/// Size cap of a page, bytes.
const PAGE_BODY: usize = 32 << 20;
/// Lifetime of a token whose response gives none.
const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// Parts of an account's host name.
struct EcrHost<'a> {
    account: &'a str,
    region: &'a str,
    is_fips: bool,
    domain: &'static str,
}

fn place(host: &str) -> Option<EcrHost<'_>> {
    let domain =
        ["amazonaws.com", "amazonaws.com.cn"].into_iter().find(|domain| host.ends_with(&format!(".{domain}")))?;
    let (account, rest) = host.strip_suffix(domain)?.strip_suffix('.')?.split_once('.')?;
    let (region, is_fips) = match rest.strip_prefix("dkr.ecr.") {
        Some(region) => (region, false),
        None => (rest.strip_prefix("dkr.ecr-fips.")?, true),
    };
    let is_one = !account.is_empty() && !region.is_empty() && !region.contains('.');
    is_one.then_some(EcrHost { account, region, is_fips, domain })
}

/// Whether this is the host of an account: `ACCOUNT.dkr.ecr.REGION.amazonaws.com`, in China with `.cn`.
pub(super) fn is_here(host: &str) -> bool {
    place(host).is_some()
}

/// Base URL of `/v2/` and root URL of the API. A host other than Amazon's own serves both.
pub(super) fn places(given: RegistryBaseUrl) -> Result<(RegistryBaseUrl, Url)> {
    let root = match place(&given.host()) {
        Some(EcrHost { region, domain, is_fips, .. }) => {
            let name = if is_fips { "ecr-fips" } else { "api.ecr" };
            RegistryBaseUrl::parse(&format!("https://{name}.{region}.{domain}"))?.root()
        }
        None => given.root(),
    };
    Ok((given, root))
}

/// Client for ECR's API, with AWS keys.
pub(super) struct EcrApi {
    transport: Arc<HttpTransport>,
    url: Url,
    signer: Arc<AwsSigner>,
    /// The account that owns the registry; `None`: the account of the keys.
    account: Option<String>,
}

impl EcrApi {
    /// `None`: the credentials are no AWS keys.
    ///
    /// # Errors
    /// [`Error::Refused`] for keys given to public.ecr.aws: they must not be sent as a password.
    pub(super) fn open(
        endpoint: &RegistryEndpoint,
        base: &RegistryBaseUrl,
        url: Url,
        transport: Arc<HttpTransport>,
    ) -> Result<Option<Self>> {
        let Some(keys) = AwsKeys::read(&endpoint.username, endpoint.password.as_ref()) else { return Ok(None) };
        let host = base.host();
        if host == PUBLIC {
            return Err(Error::Refused(format!(
                "{PUBLIC} does not accept AWS keys; log in as AWS, with the output of `aws ecr-public \
                 get-login-password`"
            )));
        }
        let place = place(&host);
        let region = place.as_ref().map_or("us-east-1", |place| place.region).to_owned();
        let account = place.map(|place| place.account.to_owned());
        let service = AwsService { name: "ecr", region, host: host_of(&url) };
        Ok(Some(Self { transport, url, signer: Arc::new(AwsSigner { keys, service }), account }))
    }

    /// Tokens for `/v2/`.
    pub(super) fn tokens(&self) -> TokenCache {
        TokenCache::signed(self.url.clone(), Arc::clone(&self.signer), TOKEN_LIFE)
    }

    /// Calls an operation for one page.
    async fn call<T: DeserializeOwned>(&self, operation: &str, mut body: Value, page: String) -> Result<T> {
        body["maxResults"] = json!(PAGE);
        if let Some(account) = &self.account {
            body["registryId"] = json!(account);
        }
        if !page.is_empty() {
            body["nextToken"] = json!(page);
        }
        let operation = format!("AmazonEC2ContainerRegistry_V20150921.{operation}");
        let request = self.signer.request(&self.url, &operation, body.to_string(), PAGE_BODY)?;
        let answer = self.transport.send(&request).await?;
        if !answer.status.is_success() {
            return Err(aws::refusal(&answer).unwrap_or_else(|| answer.unexpected(&operation)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|why| Error::Malformed(format!("{} answers {operation} in an unknown form ({why})", answer.host)))
    }

    async fn repositories(&self) -> Result<RawListing<String>> {
        let mut pages = PageWalk::new("", self.transport.limits().pages);
        let mut items = Vec::new();
        while let Some(page) = pages.query() {
            let found: EcrRepositoryPage = self.call("DescribeRepositories", json!({}), page).await?;
            let names = found.repositories.into_iter().map(|repository| repository.repository_name);
            items.extend(names.filter(|name| pages.is_new(name)));
            pages.turn(found.next_token);
        }
        Ok(RawListing { items, truncated: pages.truncated() })
    }

    async fn tags(&self, repository: &str) -> Result<RawListing<ListedTag>> {
        let mut pages = PageWalk::new("", self.transport.limits().pages);
        let mut items = Vec::new();
        while let Some(page) = pages.query() {
            let asked = json!({"repositoryName": repository, "filter": {"tagStatus": "TAGGED"}});
            let found: EcrImagePage = match self.call("DescribeImages", asked, page).await {
                Err(Error::NotFound(_)) if pages.is_first() => break,
                outcome => outcome?,
            };
            for image in found.image_details {
                let digest = Some(image.image_digest).filter(|digest| is_digest(digest));
                let tags = image.image_tags.into_iter().filter(|tag| pages.is_new(tag));
                items.extend(tags.map(|tag| ListedTag::new(tag, digest.clone())));
            }
            pages.turn(found.next_token);
        }
        Ok(RawListing { items, truncated: pages.truncated() })
    }
}

/// Response of `DescribeRepositories`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EcrRepositoryPage {
    repositories: Vec<EcrRepository>,
    next_token: Option<String>,
}

/// A repository in ECR's API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EcrRepository {
    repository_name: String,
}

/// Response of `DescribeImages`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EcrImagePage {
    image_details: Vec<EcrImageDetail>,
    next_token: Option<String>,
}

/// An image in ECR's API.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EcrImageDetail {
    image_digest: String,
    #[serde(default)]
    image_tags: Vec<String>,
}

/// All repositories of the account, by ECR's API if the keys permit, else by `/v2/`.
pub(super) async fn repositories(
    interface: Option<&EcrApi>,
    distribution: &DistributionApi,
) -> Result<RawListing<String>> {
    match interface {
        Some(interface) => match interface.repositories().await {
            Err(why) if is_api_unusable(&why) => explain(distribution.repositories().await),
            outcome => outcome,
        },
        None => explain(distribution.repositories().await),
    }
}

/// The tags of a repository; with digests by ECR's API if the keys permit, else by `/v2/`.
pub(super) async fn tags(
    interface: Option<&EcrApi>,
    distribution: &DistributionApi,
    repository: &str,
) -> Result<RawListing<ListedTag>> {
    match interface {
        Some(interface) => match interface.tags(repository).await {
            Err(why) if is_api_unusable(&why) => explain(distribution.tags(repository).await),
            outcome => outcome,
        },
        None => explain(distribution.tags(repository).await),
    }
}

/// Whether ECR's API denies the request or does not exist here, so that `/v2/` is used.
fn is_api_unusable(why: &Error) -> bool {
    matches!(why, Error::Forbidden(_) | Error::Status(_) | Error::Malformed(_))
}

/// The endpoint for `/v2/`: without the keys, which are not valid there.
pub(super) fn without_keys(endpoint: &RegistryEndpoint) -> RegistryEndpoint {
    RegistryEndpoint { username: String::new(), password: None::<SecretString>, ..endpoint.clone() }
}

/// Adds advice to ECR's refusals. ECR answers 403 without a challenge to an expired token; that counts as a wrong
/// password, and ends a scan.
pub(super) fn explain<T>(outcome: Result<T>) -> Result<T> {
    outcome.map_err(|why| match why {
        Error::WrongPassword(text) => Error::WrongPassword(with_advice(&text)),
        Error::Forbidden(text) if text.to_ascii_lowercase().contains("token has expired") => {
            Error::WrongPassword(with_advice(&text))
        }
        Error::Forbidden(text) => Error::Forbidden(with_advice(&text)),
        Error::LoginRequired(text) => Error::LoginRequired(with_advice(&text)),
        other => other,
    })
}

fn with_advice(text: &str) -> String {
    format!(
        "{text}; log in with AWS keys that may read (policy AmazonEC2ContainerRegistryReadOnly), or as AWS with the \
         output of `aws ecr get-login-password`, which is valid for 12 hours (for {PUBLIC} `aws ecr-public \
         get-login-password`)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_of_an_account_is_in_its_region() {
        let interface = |address: &str| places(RegistryBaseUrl::parse(address).unwrap()).unwrap().1.to_string();
        for (address, expected) in [
            ("1234.dkr.ecr.eu-west-1.amazonaws.com", "https://api.ecr.eu-west-1.amazonaws.com/"),
            ("1234.dkr.ecr.cn-north-1.amazonaws.com.cn", "https://api.ecr.cn-north-1.amazonaws.com.cn/"),
            ("1234.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "https://ecr-fips.us-gov-west-1.amazonaws.com/"),
            ("https://registry.example.org/ecr", "https://registry.example.org/"),
            (
                "1234.dkr.ecr.eu-west-1.amazonaws.com.example.org",
                "https://1234.dkr.ecr.eu-west-1.amazonaws.com.example.org/",
            ),
        ] {
            assert_eq!(interface(address), expected, "{address}");
        }
    }
}
