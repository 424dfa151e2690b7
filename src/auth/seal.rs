//! Encryption of stored secrets: XChaCha20-Poly1305 with a random nonce, bound to the row and column.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Version of the format.
const PREFIX: &str = "v1.";
const NONCE_BYTES: usize = 24;

/// Seals and opens secrets with one key. Cheap to clone.
#[derive(Clone)]
pub struct SecretSealer {
    cipher: XChaCha20Poly1305,
    /// Key of [`SecretSealer::fingerprint`], derived from the seal key: each key has one purpose.
    fingerprints: [u8; 32],
}

/// A sealed text that does not open: sealed with another key, for another row, or damaged.
#[derive(Debug, thiserror::Error)]
#[error("it was sealed with another key: restore seal.key (or auth.seal_key), or enter the secret again")]
pub struct SealError;

impl SecretSealer {
    pub fn new(key: &[u8; 32]) -> Self {
        let fingerprints = mac(key, b"fingerprints");
        Self { cipher: XChaCha20Poly1305::new(key.into()), fingerprints }
    }

    /// A keyed fingerprint of a text: equal for the same text and place, useless without the key. 64 hexadecimal
    /// digits.
    pub fn fingerprint(&self, place: &str, text: &str) -> String {
        let of_place = mac(&self.fingerprints, place.as_bytes());
        hex::encode(mac(&of_place, text.as_bytes()))
    }

    /// Seals a secret for `place` (table, row and column); it opens only there.
    pub fn seal(&self, place: &str, secret: &SecretString) -> String {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: secret.expose_secret().as_bytes(), aad: place.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).expect("a secret fits into one message");
        format!("{PREFIX}{}", STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// Opens a text that was sealed for `place`.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn open(&self, place: &str, sealed: &str) -> Result<SecretString, SealError> {
        let bytes = sealed.strip_prefix(PREFIX).and_then(|text| STANDARD_NO_PAD.decode(text).ok()).ok_or(SealError)?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>().ok_or(SealError)?;
        let payload = Payload { msg: sealed, aad: place.as_bytes() };
        let opened = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SealError)?;
        String::from_utf8(opened).map(SecretString::from).map_err(|_| SealError)
    }
}

/// A check value by which a key is recognized. Neither the key nor anything derived from it can be computed from it.
pub fn key_check(key: &[u8; 32]) -> String {
    hex::encode(mac(key, b"key check"))
}

/// HMAC-SHA256.
fn mac(key: &[u8; 32], text: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("any length is a key");
    mac.chain_update(text).finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fingerprints_tell_texts_places_and_keys_apart() {
        let sealer = SecretSealer::new(&[7; 32]);
        let one = sealer.fingerprint("a", "text");
        assert_eq!((one.len(), &one), (64, &sealer.fingerprint("a", "text")));
        let others = [sealer.fingerprint("a", "texts"), sealer.fingerprint("b", "text")];
        assert!(!others.contains(&one) && SecretSealer::new(&[8; 32]).fingerprint("a", "text") != one);
    }

    proptest! {
        #[test]
        fn only_the_same_key_and_place_open(text in ".*", place in "[a-z]{1,9}", hostile in ".{0,200}") {
            let sealer = SecretSealer::new(&[7; 32]);
            let sealed = sealer.seal(&place, &SecretString::from(text.clone()));
            prop_assert!(text.len() < 4 || !sealed.contains(&text));
            let opened = sealer.open(&place, &sealed).unwrap();
            prop_assert_eq!(opened.expose_secret(), text.as_str());
            prop_assert!(sealer.open("another place", &sealed).is_err());
            prop_assert!(SecretSealer::new(&[8; 32]).open(&place, &sealed).is_err());
            prop_assert!(sealer.open(&place, &hostile).is_err());
        }
    }
}
