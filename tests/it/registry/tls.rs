//! A registry's own CAs and client certificates.

use secrecy::SecretString;
use serde_json::json;
use silo::catalog::RegistryKind;
use silo::registry::{FetchedContent, RegistryEndpoint, RegistrySource, RemoteHosts, TlsSettings, fingerprints};

use super::{assert_fails, endpoint, limits};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Own, Seen};
use crate::support::tls::{Authority, Clients, Front, Signed};

fn open(front: &Front, login: Option<(&str, &str)>, tls: TlsSettings) -> RegistrySource {
    RegistrySource::open(&RegistryEndpoint { tls, ..endpoint(&front.url(), login) }, &limits(), &RemoteHosts::default())
        .unwrap()
}

fn trusting(authority: &Authority) -> TlsSettings {
    TlsSettings { ca: authority.certificate.clone(), ..TlsSettings::default() }
}

/// Settings that trust one CA, and use a client certificate.
fn showing(authority: &Authority, client: &Signed) -> TlsSettings {
    TlsSettings {
        certificate: client.certificate.clone(),
        key: Some(client.key.as_str().into()),
        ..trusting(authority)
    }
}

#[tokio::test]
async fn an_authority_is_trusted_for_its_registry_and_what_it_leads_to() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let (registry, store) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let digest = registry.push("a", "1", &Image::new().label("k", "v"));
    store.push("a", "1", &Image::new().label("k", "v"));
    let front = Front::start(&ours, Clients::Anybody, registry.host()).await;
    let beside = Front::start(&ours, Clients::Anybody, store.host()).await;
    for tls in [TlsSettings::default(), trusting(&theirs)] {
        assert_fails!(open(&front, None, tls).ping().await, Tls, front.host(), "certificate", "(ca)");
    }
    assert_eq!(registry.count(Seen::is_any), 0);
    let both = TlsSettings { ca: format!("{}\n{}", theirs.certificate, ours.certificate), ..TlsSettings::default() };
    for tls in [trusting(&ours), both] {
        let source = open(&front, None, tls);
        source.ping().await.unwrap();
        registry.fault(
            Seen::is_blob,
            1,
            Fault::Redirect(format!("{}/v2/a/blobs/{}", beside.url(), blob(&registry, &digest))),
        );
        assert!(matches!(source.fetch("a", &digest).await, Ok(FetchedContent::Image(_))));
    }
    assert_eq!(store.count(Seen::is_blob), 2);
    // Other registries' connections do not use these settings.
    assert_fails!(open(&beside, None, TlsSettings::default()).ping().await, Tls, beside.host());
}

fn blob(registry: &FakeRegistry, digest: &str) -> String {
    registry.manifest_of(digest)["config"]["digest"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn its_kind_is_found_out_through_it() {
    let authority = Authority::new("ours");
    let registry = FakeRegistry::start().await;
    registry.serve(|seen, _| {
        (seen.path == "/api/v2.0/systeminfo").then(|| Own::new(200, json!({"harbor_version": "v2.11"})))
    });
    let front = Front::start(&authority, Clients::Only(&authority), registry.host()).await;
    let detect = async |tls| {
        RegistrySource::detect(
            &RegistryEndpoint { tls, ..endpoint(&front.url(), None) },
            &limits(),
            &RemoteHosts::default(),
        )
        .await
        .unwrap()
    };
    assert_eq!(detect(showing(&authority, &authority.sign("silo"))).await, RegistryKind::Harbor);
    assert_eq!(detect(trusting(&authority)).await, RegistryKind::Distribution, "it does not answer strangers");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_who_wants_one() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let registry = FakeRegistry::start().await;
    registry.require_basic("ada", "secret");
    registry.push("a", "1", &Image::new());
    let front = Front::start(&servers, Clients::Only(&clients), registry.host()).await;
    let ada = Some(("ada", "secret"));
    assert_fails!(
        open(&front, ada, trusting(&servers)).ping().await,
        Tls,
        front.host(),
        "requires a client certificate"
    );
    let stranger = showing(&servers, &servers.sign("silo"));
    assert_fails!(open(&front, ada, stranger).ping().await, Tls, front.host(), "a CA that it trusts");
    assert_eq!(registry.count(Seen::is_any), 0, "nothing is said to who is not let in");
    let source = open(&front, ada, showing(&servers, &clients.sign("silo")));
    source.ping().await.unwrap();
    assert_eq!(source.tags("a").await.unwrap().items.len(), 1);
    assert!(front.with_certificate() > 0);
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_registry_alone() {
    let authority = Authority::new("ours");
    let (registry, service, store) =
        (FakeRegistry::start().await, FakeRegistry::start().await, FakeRegistry::start().await);
    let digest = registry.push("a", "1", &Image::new());
    store.push("a", "1", &Image::new());
    let front = |server: &FakeRegistry| Front::start(&authority, Clients::Maybe(&authority), server.host());
    let (front, tokens, blobs) = (front(&registry).await, front(&service).await, front(&store).await);
    registry.require_bearer_with(&format!("{}/token", tokens.url()), &service, Some(("ada", "secret")), json!({}));
    registry.fault(
        Seen::is_blob,
        ALWAYS,
        Fault::Redirect(format!("{}/v2/a/blobs/{}", blobs.url(), blob(&registry, &digest))),
    );
    let source = open(&front, Some(("ada", "secret")), showing(&authority, &authority.sign("silo")));
    source.ping().await.unwrap();
    source.fetch("a", &digest).await.unwrap();
    assert_eq!((service.count(Seen::is_token), store.count(Seen::is_blob)), (2, 1));
    assert!(front.with_certificate() > 0 && tokens.connections() > 0 && blobs.connections() > 0);
    assert_eq!((tokens.with_certificate(), blobs.with_certificate()), (0, 0));
}

#[tokio::test]
async fn https_is_never_left() {
    let authority = Authority::new("ours");
    let (registry, plain) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let front = Front::start(&authority, Clients::Anybody, registry.host()).await;
    let ada = Some(("ada", "secret"));
    registry.fault(Seen::is_catalog, ALWAYS, Fault::Redirect(format!("{}/v2/_catalog", plain.url())));
    registry.fault(Seen::is_tags, ALWAYS, Fault::Redirect(format!("http://{}/v2/a/tags/list", front.host())));
    let source = open(&front, ada, trusting(&authority));
    assert_fails!(source.repositories().await, Refused, front.host(), "from https to plain http");
    assert_fails!(source.tags("a").await, Refused, front.host(), "from https to plain http");
    // Nor for a token: on the same host, or on another port.
    for realm in [format!("{}/token", plain.url()), format!("http://{}/token", front.host())] {
        registry.require_bearer_with(&realm, &plain, Some(("ada", "secret")), json!({}));
        assert_fails!(open(&front, ada, trusting(&authority)).ping().await, Refused, front.host(), "must use https");
    }
    assert_eq!(plain.count(Seen::is_any), 0);
}

#[tokio::test]
async fn what_is_no_certificate_or_key_is_told() {
    let authority = Authority::new("ours");
    let (one, other) = (authority.sign("one"), authority.sign("other"));
    let garbage = "-----BEGIN CERTIFICATE-----\naGVsbG8gd29ybGQ=\n-----END CERTIFICATE-----\n";
    let encrypted = one.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let reject = |ca: &str, certificate: &str, key: &str, part: &str| {
        let key = Some(SecretString::from(key));
        let tls = TlsSettings { ca: ca.to_owned(), certificate: certificate.to_owned(), key };
        let endpoint = RegistryEndpoint { tls, ..endpoint("https://registry.example.org", None) };
        match RegistrySource::open(&endpoint, &limits(), &RemoteHosts::default()).err() {
            Some(silo::registry::Error::Refused(text)) => {
                assert!(text.contains(part), "{part}: {text}");
                assert!(one.key.lines().all(|line| line.starts_with('-') || !text.contains(line)), "{text}");
            }
            other => panic!("{part}: {other:?}"),
        }
    };
    reject("hello", "", "", "the CA is not a certificate in PEM form");
    reject(&one.key, "", "", "the CA is not a certificate in PEM form");
    reject(garbage, "", "", "the CA holds a certificate that cannot be read");
    reject("", &one.certificate, "", "the client certificate needs its key");
    reject("", "", &one.key, "the client key needs its certificate");
    reject("", &one.certificate, "hello", "the client key is not a private key in PEM form");
    reject("", &one.certificate, &one.certificate, "the client key is not a private key in PEM form");
    reject("", "hello", &one.key, "the client certificate is not a certificate in PEM form");
    reject("", garbage, &one.key, "the client certificate");
    reject("", &one.certificate, &encrypted, "is encrypted");
    reject("", &one.certificate, &other.key, "does not belong to the first certificate");
    reject("", &one.certificate, &format!("{}\n{}", other.key, one.key), "does not belong to the first certificate");
}

#[tokio::test]
async fn keys_are_fine_as_openssl_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    let openssl = |arguments: &str| {
        let mut command = std::process::Command::new("openssl");
        crate::support::output(command.args(arguments.split(' ')).current_dir(folder.path()));
    };
    openssl("ecparam -name prime256v1 -genkey -out ec.key");
    openssl("genrsa -traditional -out rsa.key 2048");
    openssl("genpkey -algorithm ed25519 -out ed.key");
    for key in ["ec.key", "rsa.key", "ed.key"] {
        openssl(&format!("req -x509 -new -key {key} -subj /CN=silo -days 2 -out certificate"));
        let read = |name: &str| std::fs::read_to_string(file(name)).unwrap();
        let tls = TlsSettings { ca: String::new(), certificate: read("certificate"), key: Some(read(key).into()) };
        let opened = RegistrySource::open(
            &RegistryEndpoint { tls, ..endpoint("https://registry.example.org", None) },
            &limits(),
            &RemoteHosts::default(),
        );
        assert!(opened.is_ok(), "{key}: {:?}", opened.err());
    }
}

#[test]
fn fingerprints_are_what_openssl_prints() {
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
    crate::support::self_signed(&key, &certificate);
    let mut openssl = std::process::Command::new("openssl");
    openssl.args("x509 -noout -fingerprint -sha256 -in".split(' ')).arg(&certificate);
    let printed = String::from_utf8(crate::support::output(&mut openssl)).unwrap();
    let expected = printed.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    let pem = std::fs::read_to_string(&certificate).unwrap();
    assert_eq!(fingerprints(&format!("{pem}\n{pem}")), [expected.clone(), expected]);
    assert!(fingerprints("").is_empty());
}
