//! TLS of a registry's own: whom it is trusted by beside the system's authorities, and who we are to it.

use std::sync::OnceLock;

use reqwest::{Certificate, Identity};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{Error, Result};

/// What an admin gives, as PEM texts. Empty for none.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Certificates of authorities that are trusted beside the system's, for this registry and what it leads to.
    pub ca: String,
    /// What we show to the registry itself: our certificate, then those between it and its authority.
    pub certificate: String,
    /// The certificate's key, not encrypted.
    pub key: Option<SecretString>,
}

/// The same, read.
#[derive(Clone, Default)]
pub(super) struct Trust {
    pub(super) roots: Vec<Certificate>,
    pub(super) identity: Option<Identity>,
}

impl Tls {
    /// # Errors
    /// [`Error::Refused`] for what is no certificate or key, and for a certificate and a key that do not belong together.
    pub(super) fn read(&self) -> Result<Trust> {
        Ok(Trust { roots: self.roots()?, identity: self.identity()? })
    }

    fn roots(&self) -> Result<Vec<Certificate>> {
        let mut store = RootCertStore::empty();
        let read = |der: CertificateDer<'static>| {
            store
                .add(der.clone())
                .map_err(|why| unusable("the CA", &format!("holds a certificate that cannot be read ({why})")))?;
            Certificate::from_der(&der).map_err(|why| unusable("the CA", &format!("cannot be used ({why})")))
        };
        certificates("the CA", &self.ca)?.into_iter().map(read).collect()
    }

    fn identity(&self) -> Result<Option<Identity>> {
        const CERTIFICATE: &str = "the client certificate";
        let key = self.key.as_ref().map(ExposeSecret::expose_secret).filter(|key| !key.trim().is_empty());
        let chain = certificates(CERTIFICATE, &self.certificate)?;
        let Some(key) = key else {
            return if chain.is_empty() { Ok(None) } else { Err(unusable(CERTIFICATE, "needs its key")) };
        };
        if chain.is_empty() {
            return Err(unusable("the client key", "needs its certificate"));
        }
        if key.contains("ENCRYPTED") {
            return Err(unusable(
                "the client key",
                "is encrypted; give it without a pass phrase (`openssl pkey` takes it off)",
            ));
        }
        let der = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|_| unusable("the client key", "is no private key in PEM form (-----BEGIN PRIVATE KEY-----)"))?;
        match CertifiedKey::from_der(chain, der, &ring::default_provider()) {
            // Where it cannot be told, the registry will.
            Ok(_) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(unusable("the client key", "belongs to another certificate than the first one given"));
            }
            Err(why) => {
                return Err(unusable("the client certificate with its key", &format!("cannot be used ({why})")));
            }
        }
        let pem = SecretString::from(format!("{}\n{key}", self.certificate));
        let identity = Identity::from_pem(pem.expose_secret().as_bytes());
        identity.map(Some).map_err(|_| {
            unusable("the client certificate", "and key must hold certificates and one private key, and nothing else")
        })
    }
}

/// The SHA-256 fingerprints of certificates in a PEM text, in its order.
pub fn fingerprints(pem: &str) -> Vec<String> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(std::result::Result::ok);
    certificates.map(|certificate| hex::encode(Sha256::digest(&certificate))).collect()
}

/// Chooses the cryptography of every TLS client of this process.
pub fn install_tls() {
    static CRYPTO: OnceLock<()> = OnceLock::new();
    // An error means that somebody else installed one already, which is as good.
    CRYPTO.get_or_init(|| drop(ring::default_provider().install_default()));
}

/// The certificates in a PEM text: none in an empty one, at least one in any other.
fn certificates(what: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(found) if !found.is_empty() || pem.trim().is_empty() => Ok(found),
        _ => Err(unusable(what, "is no certificate in PEM form (-----BEGIN CERTIFICATE-----)")),
    }
}

fn unusable(what: &str, why: &str) -> Error {
    Error::Refused(format!("{what} {why}"))
}
