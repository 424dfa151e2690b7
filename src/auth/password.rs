//! Password hashes: argon2id (RFC 9106), on blocking threads, a bounded number at a time.

use std::sync::{Arc, LazyLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// Verified if the user does not exist, so that this reply takes as long as that to a wrong password.
static DUMMY: LazyLock<String> = LazyLock::new(|| hash_now("a password that nobody has"));

/// Hashes and verifies passwords. Cheap to clone; clones share the limit on concurrent work.
#[derive(Clone)]
pub struct PasswordHashing {
    slots: Arc<Semaphore>,
}

impl PasswordHashing {
    /// One hash takes about 20 ms and 19 MiB; at most `at_once` run at a time, the others wait.
    pub fn new(at_once: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(at_once)) }
    }

    /// The hash as a PHC string, with its own salt.
    pub async fn hash(&self, password: &SecretString) -> String {
        let password = password.clone();
        self.off_thread(move || hash_now(password.expose_secret())).await
    }

    /// Whether the password matches the hash. Without a hash (no such user) the work is done all the same.
    pub async fn verify(&self, hash: Option<String>, password: &SecretString) -> bool {
        let password = password.clone();
        self.off_thread(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| DUMMY.clone());
            known & verify_now(&hash, password.expose_secret())
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        })
        .await
        .expect("hashing does not panic, and is not cancelled")
    }
}

fn hash_now(password: &str) -> String {
    Argon2::default()
        .hash_password(password.as_bytes())
        .expect("the default parameters are valid, and request bodies are far below argon2's longest password")
        .to_string()
}

fn verify_now(hash: &str, password: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_passes() {
        let passwords = PasswordHashing::new(1);
        let (right, wrong) = (SecretString::from("right"), SecretString::from("wrong"));
        let hash = passwords.hash(&right).await;
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert_ne!(hash, passwords.hash(&right).await, "each hash has its own salt");
        assert!(passwords.verify(Some(hash.clone()), &right).await);
        assert!(!passwords.verify(Some(hash), &wrong).await);
        assert!(!passwords.verify(None, &SecretString::from("a password that nobody has")).await);
        assert!(!passwords.verify(Some("not a hash".into()), &right).await);
    }
}
