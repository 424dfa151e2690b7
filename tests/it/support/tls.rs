//! Certificate authorities for one test, and a TLS proxy in front of a plain server on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A certificate authority.
pub(crate) struct Authority {
    /// In PEM form.
    pub certificate: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, in PEM form.
pub(crate) struct Signed {
    pub certificate: String,
    pub key: String,
    der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).expect("no names are fine names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    /// Issues a certificate for a server or client with this name or address.
    pub(crate) fn sign(&self, name: &str) -> Signed {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new([name.to_owned()]).expect("a usable name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let key_der = PrivateKeyDer::try_from(key.serialize_der()).expect("a key of rcgen");
        Signed { certificate: certificate.pem(), key: key.serialize_pem(), der: certificate.der().clone(), key_der }
    }
}

/// Which client certificates a proxy requires.
pub(crate) enum Clients<'a> {
    Anybody,
    /// Optional, but of this authority.
    Maybe(&'a Authority),
    /// Required, and of this authority.
    Only(&'a Authority),
}

/// A TLS proxy `https://127.0.0.1:PORT` in front of a plain server. Stopped on drop.
pub(crate) struct Front {
    address: SocketAddr,
    with_certificate: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Front {
    /// Starts a proxy in front of the server at `host:port`.
    pub(crate) async fn start(authority: &Authority, clients: Clients<'_>, server: String) -> Self {
        silo::registry::install_tls();
        let signed = authority.sign("127.0.0.1");
        let roots = |authority: &Authority| {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der.clone()).expect("an authority");
            WebPkiClientVerifier::builder(Arc::new(roots))
        };
        let config = match clients {
            Clients::Anybody => ServerConfig::builder().with_no_client_auth(),
            Clients::Maybe(authority) => {
                let verifier = roots(authority).allow_unauthenticated().build().expect("a verifier");
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
            Clients::Only(authority) => {
                ServerConfig::builder().with_client_cert_verifier(roots(authority).build().expect("a verifier"))
            }
        };
        let config = config.with_single_cert(vec![signed.der], signed.key_der).expect("a certificate and its key");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port on loopback");
        let address = listener.local_addr().expect("a bound address");
        let (with_certificate, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (shown, count) = (Arc::clone(&with_certificate), Arc::clone(&connections));
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (acceptor, server, shown) = (acceptor.clone(), server.clone(), Arc::clone(&shown));
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    match acceptor.accept(socket).into_fallible().await {
                        Ok(mut stream) => {
                            let certificates = stream.get_ref().1.peer_certificates();
                            shown.fetch_add(usize::from(certificates.is_some()), Ordering::SeqCst);
                            let mut plain = TcpStream::connect(server).await.expect("the server behind lives");
                            tokio::io::copy_bidirectional(&mut stream, &mut plain).await.ok();
                        }
                        // Unread input would make the kernel reset the connection, and the alert would be lost.
                        Err((_, mut socket)) => _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await,
                    }
                });
            }
        });
        Self { address, with_certificate, connections, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Number of connections with a client certificate.
    pub(crate) fn with_certificate(&self) -> usize {
        self.with_certificate.load(Ordering::SeqCst)
    }

    /// Number of all connections.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}
