//! Requests signed with AWS keys: signature version 4 ("Signing AWS API requests" of the IAM user guide), only POST to
//! the root of a service with a JSON API.

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use crate::clock::Clock;
use crate::registry::grammar::printable;
use crate::registry::transport::{RegistryRequest, RegistryResponse};
use crate::registry::wire::AwsError;
use crate::registry::{Error, Result};

const TIME: &str = "%Y%m%dT%H%M%SZ";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Prefixes of access key ids: of users, and of sessions.
const BEGINNINGS: [&str; 2] = ["AKIA", "ASIA"];

/// Words in error codes that are about the AWS keys, such as `UnrecognizedClientException`.
const CREDENTIALS: [&str; 7] = ["Client", "Signature", "Token", "AccessKey", "Expired", "Auth", "OptIn"];

/// Access keys of a user or a session.
pub(in crate::registry) struct AwsKeys {
    id: String,
    secret: SecretString,
    session: Option<SecretString>,
}

/// The service that signed requests are for.
pub(in crate::registry) struct AwsService {
    pub(in crate::registry) name: &'static str,
    pub(in crate::registry) region: String,
    /// `host[:port]`, as in the request's `Host`.
    pub(in crate::registry) host: String,
}

/// Access keys and the service they sign for.
pub(in crate::registry) struct AwsSigner {
    pub(in crate::registry) keys: AwsKeys,
    pub(in crate::registry) service: AwsService,
}

impl AwsSigner {
    /// A call of a service's operation, signed now; valid for a few minutes.
    ///
    /// # Errors
    /// [`Error::Refused`] for a session token that is no valid header value.
    pub(in crate::registry) fn request(
        &self,
        url: &Url,
        operation: &str,
        body: String,
        cap: usize,
    ) -> Result<RegistryRequest> {
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1")),
            (HeaderName::from_static("x-amz-target"), sendable(operation)?),
        ]);
        self.keys.sign(&self.service, &mut headers, &body, Clock::system().now())?;
        let (url, json) = (url.clone(), Some(SecretString::from(body)));
        Ok(RegistryRequest {
            method: Method::POST,
            url,
            accept: "application/json",
            authorization: None,
            headers,
            json,
            cap,
        })
    }
}

/// The error of a service's error response ("Common errors" of Amazon's API references). `None`: the body is no such
/// response.
pub(in crate::registry) fn refusal(answer: &RegistryResponse) -> Option<Error> {
    let said: AwsError = serde_json::from_slice(&answer.body).ok()?;
    let code = said.code.rsplit('#').next().unwrap_or_default();
    let text = format!("{} answers {}: {}", answer.host, printable(code), printable(&said.message));
    Some(match code {
        "ThrottlingException" | "ServerException" => Error::Throttled(format!("{text}; scan it later or less often")),
        "AccessDeniedException" => Error::Forbidden(format!("{text}; grant the keys that right")),
        "RepositoryNotFoundException" => Error::NotFound(text),
        _ if CREDENTIALS.iter().any(|word| code.contains(word)) => Error::WrongPassword(format!(
            "{text}; correct the keys (key id as user name; secret, or SECRET:SESSION-TOKEN, as password) and this machine's clock"
        )),
        _ => Error::Status(text),
    })
}

fn sendable(text: &str) -> Result<HeaderValue> {
    let unsendable = |_| {
        Error::Refused("the AWS keys contain characters that cannot be sent; enter them as AWS shows them".to_owned())
    };
    HeaderValue::from_str(text).map_err(unsendable)
}

impl AwsKeys {
    /// From the user name and password that an admin gives; the password is `SECRET` or `SECRET:SESSION-TOKEN`. `None`:
    /// the user name is no access key id.
    pub(in crate::registry) fn read(username: &str, password: Option<&SecretString>) -> Option<Self> {
        let is_id = username.len() >= 16 && username.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !is_id || !BEGINNINGS.iter().any(|beginning| username.starts_with(beginning)) {
            return None;
        }
        let password = password.map(ExposeSecret::expose_secret).unwrap_or_default();
        let (secret, session) = match password.split_once(':') {
            Some((secret, session)) => (secret, Some(SecretString::from(session))),
            None => (password, None),
        };
        Some(Self { id: username.to_owned(), secret: secret.into(), session })
    }

    /// Signs a POST of `body` to the root of a service at this time: adds its headers to `headers`.
    fn sign(&self, service: &AwsService, headers: &mut HeaderMap, body: &str, now: DateTime<Utc>) -> Result<()> {
        headers.insert(HeaderName::from_static("x-amz-date"), sendable(&now.format(TIME).to_string())?);
        if let Some(session) = &self.session {
            let mut token = sendable(session.expose_secret())?;
            token.set_sensitive(true);
            headers.insert(HeaderName::from_static("x-amz-security-token"), token);
        }
        let authorization = self.authorization(service, "POST", headers, body, now);
        headers.insert(AUTHORIZATION, sendable(&authorization)?);
        Ok(())
    }

    /// The `Authorization` value of a request to `/` with these headers and `Host`.
    fn authorization(
        &self,
        service: &AwsService,
        method: &str,
        headers: &HeaderMap,
        body: &str,
        now: DateTime<Utc>,
    ) -> String {
        let mut lines: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        lines.push(("host", service.host.as_bytes()));
        lines.sort_unstable();
        let names = lines.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String =
            lines.iter().map(|(name, value)| format!("{name}:{}\n", String::from_utf8_lossy(value).trim())).collect();
        let request = format!("{method}\n/\n\n{lines}\n{names}\n{}", hex::encode(Sha256::digest(body)));

        let day = now.format("%Y%m%d").to_string();
        let scope = format!("{day}/{}/{}/aws4_request", service.region, service.name);
        let time = now.format(TIME);
        let text = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(request)));
        let first = format!("AWS4{}", self.secret.expose_secret()).into_bytes();
        let key = [day.as_str(), &service.region, service.name, "aws4_request"]
            .iter()
            .fold(first, |key, part| mac(&key, part));
        let signature = hex::encode(mac(&key, &text));
        format!("{ALGORITHM} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", self.id)
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys, time and host of Amazon's test suite for signature version 4.
    fn suite() -> (AwsKeys, AwsService, DateTime<Utc>) {
        let secret = SecretString::from("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let keys = AwsKeys { id: "AKIDEXAMPLE".to_owned(), secret, session: None };
        let service =
            AwsService { name: "service", region: "us-east-1".to_owned(), host: "example.amazonaws.com".to_owned() };
        (keys, service, "2015-08-30T12:36:00Z".parse().unwrap())
    }

    /// `get-vanilla`, `post-vanilla` and `post-sts-header-before` of that suite.
    #[test]
    fn signatures_are_those_of_the_published_suite() {
        let (mut keys, service, now) = suite();
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-date", HeaderValue::from_static("20150830T123600Z"));
        assert_eq!(
            keys.authorization(&service, "GET", &headers, "", now),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
        let mut signed = HeaderMap::new();
        keys.sign(&service, &mut signed, "", now).unwrap();
        assert_eq!(
            signed[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"
        );
        keys.session = Some(SecretString::from(
            "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==",
        ));
        let mut signed = HeaderMap::new();
        keys.sign(&service, &mut signed, "", now).unwrap();
        assert_eq!(
            signed[AUTHORIZATION],
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-security-token, \
             Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
        );
        assert!(signed["x-amz-security-token"].is_sensitive());
    }

    #[test]
    fn keys_are_told_from_names_and_passwords() {
        let read = |name: &str, password: &str| AwsKeys::read(name, Some(&SecretString::from(password)));
        let keys = read("AKIAIOSFODNN7EXAMPLE", "a/b+c").unwrap();
        assert_eq!((keys.secret.expose_secret(), keys.session.is_none()), ("a/b+c", true));
        let keys = read("ASIAIOSFODNN7EXAMPLE", "secret:to:ken==").unwrap();
        assert_eq!((keys.secret.expose_secret(), keys.session.unwrap().expose_secret()), ("secret", "to:ken=="));
        for name in ["AWS", "", "AKIA", "akiaiosfodnn7example", "AROAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7-XAMPLE"] {
            assert!(read(name, "secret").is_none(), "{name}");
        }
    }
}
