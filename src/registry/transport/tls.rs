//! TLS settings of one registry: additional CA certificates, and a client certificate.

use std::sync::OnceLock;

use reqwest::{Certificate, Identity};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::registry::{Error, Result};

/// TLS settings as an admin gives them, as PEM texts. Empty for none.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// CA certificates that are trusted beside the system's, for this registry and the hosts it refers to.
    pub ca: String,
    /// Client certificate for the registry's own origin, followed by its intermediate certificates.
    pub certificate: String,
    /// Unencrypted private key of the client certificate.
    pub key: Option<SecretString>,
}

/// Parsed TLS settings.
#[derive(Clone, Default)]
pub(in crate::registry) struct TlsMaterial {
    pub(in crate::registry) roots: Vec<Certificate>,
    pub(in crate::registry) identity: Option<Identity>,
}

impl TlsSettings {
    /// Parses the settings.
    ///
    /// # Errors
    /// [`Error::Refused`] for an invalid certificate or key, and for a certificate and a key that do not match.
    pub(in crate::registry) fn read(&self) -> Result<TlsMaterial> {
        Ok(TlsMaterial { roots: self.roots()?, identity: self.identity()? })
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
                "is encrypted; give it without a passphrase (`openssl pkey` removes it)",
            ));
        }
        let der = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
            unusable("the client key", "is not a private key in PEM form (-----BEGIN PRIVATE KEY-----)")
        })?;
        match CertifiedKey::from_der(chain, der, &ring::default_provider()) {
            // Not every key can be compared; then the registry will reject a wrong pair.
            Ok(_) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(unusable("the client key", "does not belong to the first certificate given"));
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

/// SHA-256 fingerprints of the certificates in a PEM text, in its order.
pub fn fingerprints(pem: &str) -> Vec<String> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(std::result::Result::ok);
    certificates.map(|certificate| hex::encode(Sha256::digest(&certificate))).collect()
}

/// Installs the crypto provider of all TLS clients of this process.
pub fn install_tls() {
    static CRYPTO: OnceLock<()> = OnceLock::new();
    // An error means that a provider is installed already, which is fine.
    CRYPTO.get_or_init(|| drop(ring::default_provider().install_default()));
}

/// The certificates in a PEM text: none in an empty text, at least one in any other.
fn certificates(what: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(found) if !found.is_empty() || pem.trim().is_empty() => Ok(found),
        _ => Err(unusable(what, "is not a certificate in PEM form (-----BEGIN CERTIFICATE-----)")),
    }
}

fn unusable(what: &str, why: &str) -> Error {
    Error::Refused(format!("{what} {why}"))
}
