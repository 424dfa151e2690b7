//! Tokens: JWT (RFC 7519), HS256 only. A token proves only that we issued it; its user and role are looked up in the
//! database by `jti`.

use std::sync::Once;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::crypto::{self, CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The claims of a token. `username` is for people who decode it, as they could in the old service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenClaims {
    /// Id of the session.
    pub jti: String,
    pub username: String,
    /// Issued at and expires at, in seconds since 1970.
    pub iat: i64,
    pub exp: i64,
    /// A ticket: a token for use in addresses of streams only. Absent in other tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ticket: bool,
}

/// Issues and checks tokens. Cheap to clone.
#[derive(Clone)]
pub struct TokenIssuer {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl TokenIssuer {
    pub fn new(key: &[u8; 32]) -> Self {
        static INSTALLED: Once = Once::new();
        // Fails only if another provider is installed, and no other code installs one.
        INSTALLED.call_once(|| _ = HS256.install_default());
        Self { encoding: EncodingKey::from_secret(key), decoding: DecodingKey::from_secret(key) }
    }

    /// Signs the claims.
    pub fn issue(&self, claims: &TokenClaims) -> String {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding)
            .expect("claims are texts and numbers, and the key fits the algorithm")
    }

    /// The claims of a token that we signed and that has not expired.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Option<TokenClaims> {
        let mut rules = Validation::new(Algorithm::HS256);
        // The library would read the machine's clock.
        rules.validate_exp = false;
        rules.set_required_spec_claims(&["exp"]);
        let claims = jsonwebtoken::decode::<TokenClaims>(token, &self.decoding, &rules).ok()?.claims;
        (claims.exp > now.timestamp()).then_some(claims)
    }

    /// The token of forms of the session with this `jti`: a MAC of it.
    pub fn form_token(&self, jti: &str) -> String {
        crypto::sign(form_message(jti).as_bytes(), &self.encoding, Algorithm::HS256)
            .expect("the key fits the algorithm")
    }

    /// Whether `token` is that of forms of this session.
    pub fn is_form_token(&self, jti: &str, token: &str) -> bool {
        crypto::verify(token, form_message(jti).as_bytes(), &self.decoding, Algorithm::HS256).unwrap_or(false)
    }
}

/// What the token of forms is a MAC of. A JWT has no colon, so neither is ever taken for the other.
fn form_message(jti: &str) -> String {
    format!("form:{jti}")
}

/// The library's own back ends need C or a vulnerable RSA; one MAC suffices here.
static HS256: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| hs256(*algorithm, key.as_bytes()).map(|mac| Box::new(mac) as Box<dyn JwtSigner>),
    verifier_factory: |algorithm, key| {
        hs256(*algorithm, key.try_get_as_bytes()?).map(|mac| Box::new(mac) as Box<dyn JwtVerifier>)
    },
    key_utils: KeyUtils::new_unimplemented(),
};

struct HmacSha256(Hmac<Sha256>);

fn hs256(algorithm: Algorithm, key: &[u8]) -> Result<HmacSha256> {
    match algorithm {
        Algorithm::HS256 => Hmac::new_from_slice(key).map(HmacSha256).map_err(|_| ErrorKind::InvalidKeyFormat.into()),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

impl Signer<Vec<u8>> for HmacSha256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, signature::Error> {
        Ok(self.0.clone().chain_update(message).finalize().into_bytes().to_vec())
    }
}

impl Verifier<Vec<u8>> for HmacSha256 {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> std::result::Result<(), signature::Error> {
        self.0.clone().chain_update(message).verify_slice(tag).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for HmacSha256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn claims() -> TokenClaims {
        TokenClaims { jti: "j".into(), username: "admin".into(), iat: 100, exp: 200, ticket: false }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_token_works_until_it_expires() {
        let tokens = TokenIssuer::new(&[1; 32]);
        let token = tokens.issue(&claims());
        assert_eq!(tokens.verify(&token, at(199)), Some(claims()));
        assert_eq!(tokens.verify(&token, at(200)), None);
    }

    #[test]
    fn a_token_of_forms_belongs_to_one_session() {
        let tokens = TokenIssuer::new(&[1; 32]);
        let token = tokens.form_token("a");
        assert!(tokens.is_form_token("a", &token));
        let other_key = TokenIssuer::new(&[2; 32]).form_token("a");
        for (jti, forged) in
            [("b", token.as_str()), ("a", other_key.as_str()), ("a", ""), ("a", "?"), ("", token.as_str())]
        {
            assert!(!tokens.is_form_token(jti, forged), "{jti} {forged}");
        }
        assert_eq!(tokens.verify(&token, at(150)), None);
    }

    #[test]
    fn a_forged_token_is_refused() {
        let tokens = TokenIssuer::new(&[1; 32]);
        let genuine = tokens.issue(&claims());
        let (signed, tag) = genuine.rsplit_once('.').unwrap();
        let body = signed.split_once('.').unwrap().1;
        let unsigned = format!("{}.{body}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#));
        let other_algorithm = format!("{}.{body}.{tag}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS512","typ":"JWT"}"#));
        let other_key = TokenIssuer::new(&[2; 32]).issue(&claims());
        for forged in [&unsigned, &other_algorithm, &other_key, signed, "", "a.b.c", "a"] {
            assert_eq!(tokens.verify(forged, at(150)), None, "{forged}");
        }
    }
}
