//! Proof that a notification comes from a registry: the token in the address it is posted to and, if a secret was
//! agreed on, GitHub's signature (`X-Hub-Signature-256`: `sha256=` and the body's HMAC-SHA256 in hexadecimal).

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

/// The digest stored for a hook's token. The token is random, so a plain hash does not reveal it.
pub fn hook_digest(token: &str) -> String {
    hex::encode(Sha256::digest(token))
}

/// Whether `header` is the body's signature. Compares in constant time.
pub fn verify_hook_signature(secret: &SecretString, body: &[u8], header: &str) -> bool {
    let Some(signature) = header.strip_prefix("sha256=").and_then(|text| hex::decode(text).ok()) else { return false };
    let mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes());
    mac.is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_githubs_documentation_fits() {
        let secret = SecretString::from("It's a Secret to Everybody");
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(verify_hook_signature(&secret, b"Hello, World!", signature));
        assert!(!verify_hook_signature(&secret, b"Hello, World", signature));
        assert!(!verify_hook_signature(&SecretString::from("other"), b"Hello, World!", signature));
        for wrong in ["", "sha256=", "sha256=00", "sha1=00", &signature["sha256=".len()..], &signature[..70]] {
            assert!(!verify_hook_signature(&secret, b"Hello, World!", wrong), "{wrong}");
        }
    }
}
