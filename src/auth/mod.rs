//! Authentication and secrets: password hashes, tokens, sealed registry passwords, the login throttle, proofs of
//! notifications.
//!
//! The only place that makes random values. Knows no database and no HTTP.

mod allowance;
mod hook;
mod keys;
mod network;
mod password;
mod seal;
mod throttle;
mod token;

use chrono::{DateTime, Utc};

pub use allowance::RateLimiter;
pub use hook::{hook_digest, verify_hook_signature};
pub use keys::{InstallationKeys, KeyFileError, read_key, write_private};
pub use network::ClientNetwork;
pub use password::PasswordHashing;
pub use seal::{SealError, SecretSealer, key_check};
pub use throttle::{LoginOrigin, LoginThrottle, ThrottleRules};
pub use token::{TokenClaims, TokenIssuer};

/// An unguessable id: 32 hexadecimal digits, 122 random bits.
pub fn random_id() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A random key: 64 hexadecimal digits, the form of a key file.
pub fn random_key() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// An unguessable id that sorts by time, to the millisecond: a UUID of version 7 (RFC 9562 §5.7).
pub fn time_ordered_id(now: DateTime<Utc>) -> String {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid().to_string()
}

/// A password for the first admin: 24 letters and digits without easily confused ones, 120 random bits.
pub fn random_password() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let random: [u8; 24] = rand::random();
    random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
}
