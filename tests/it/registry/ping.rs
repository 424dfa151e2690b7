//! Checks when a registry is added: whether it is one, whether it replies, whether the credentials work; and which
//! error is reported otherwise.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, Stream};
use serde_json::json;
use silo::registry::{RegistryLimits, RegistrySource, RemoteHosts};

use super::{assert_fails, endpoint, limits, open, open_as, open_with};
use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Seen};
use crate::support::self_signed;

#[tokio::test]
async fn an_open_registry_is_fine_with_and_without_credentials() {
    let registry = FakeRegistry::start().await;
    open(&registry).ping().await.unwrap();
    open_as(&registry, "ada", "secret").ping().await.unwrap();
    assert_eq!(registry.count(Seen::is_ping), 2);
    assert_eq!(registry.log().iter().filter(|seen| seen.authorization.is_some()).count(), 0, "nobody asked for them");
    assert_eq!(open(&registry).host(), registry.host());
}

#[tokio::test]
async fn a_greeting_without_the_header_is_fine_when_it_is_empty() {
    let registry = FakeRegistry::start().await;
    registry.fault(Seen::is_ping, 1, Fault::Status(200));
    open(&registry).ping().await.unwrap();
    registry.fault(Seen::is_ping, 1, Fault::Json(200, json!({})));
    open(&registry).ping().await.unwrap();
}

#[tokio::test]
async fn what_is_no_registry_is_told() {
    let registry = FakeRegistry::start().await;
    let host = registry.host();
    registry.fault(Seen::is_ping, 1, Fault::Html(200));
    assert_fails!(open(&registry).ping().await, NotARegistry, host, "web page");
    registry.fault(Seen::is_ping, 1, Fault::Json(200, json!({"status": "ok"})));
    assert_fails!(open(&registry).ping().await, NotARegistry, host);
    registry.fault(Seen::is_ping, 1, Fault::Status(405));
    assert_fails!(open(&registry).ping().await, NotARegistry, host, "405");
    registry.fault(Seen::is_ping, 1, Fault::Status(401));
    assert_fails!(open(&registry).ping().await, NotARegistry, host, "Basic or Bearer");
    registry.fault(Seen::is_ping, 1, Fault::Html(404));
    assert_fails!(open(&registry).ping().await, NotFound, host, "there is no registry at", "/v2/");
    registry.fault(Seen::is_ping, 1, Fault::Status(403));
    assert_fails!(open(&registry).ping().await, Forbidden, host);
}

#[tokio::test]
async fn a_registry_below_a_path_is_asked_there() {
    let registry = FakeRegistry::start().await;
    let source = RegistrySource::open(
        &endpoint(&format!("{}/api/docker/key/v2/", registry.url()), None),
        &limits(),
        &RemoteHosts::default(),
    )
    .unwrap();
    assert_fails!(source.ping().await, NotFound, "/api/docker/key/v2/");
    assert_eq!(registry.log()[0].path, "/api/docker/key/v2/");
    assert_eq!(source.host(), registry.host());
}

#[tokio::test]
async fn nobody_at_home() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let source =
        RegistrySource::open(&endpoint(&format!("http://{free}"), None), &limits(), &RemoteHosts::default()).unwrap();
    assert_fails!(source.ping().await, Unreachable, free.to_string(), "refused");
    assert_eq!(source.traffic().requests, 3, "tried as often as the limits say");
}

#[tokio::test]
async fn a_registry_that_hangs_ends_at_the_time_out_and_is_not_asked_again() {
    let registry = FakeRegistry::start().await;
    registry.fault(Seen::is_ping, ALWAYS, Fault::Hang);
    let source = open_with(&registry, &RegistryLimits { request_timeout: Duration::from_secs(1), ..limits() });
    assert_fails!(source.ping().await, Timeout, registry.host(), "1 s");
    assert_eq!(registry.count(Seen::is_ping), 1);
}

#[tokio::test]
async fn plain_http_is_no_tls_and_is_not_fallen_back_to() {
    let registry = FakeRegistry::start().await;
    let source = RegistrySource::open(&endpoint(&registry.host(), None), &limits(), &RemoteHosts::default()).unwrap();
    assert_fails!(source.ping().await, Tls, registry.host(), "write http://");
    assert_eq!(registry.count(Seen::is_any), 0);
}

#[tokio::test]
async fn a_certificate_that_nobody_signed_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = self_signed(&folder.path().join("key"), &folder.path().join("certificate"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = Stream::new(&mut tls, &mut socket);
            if stream.read(&mut [0; 1024]).is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
            }
        }
    });
    let source = RegistrySource::open(&endpoint(&host, None), &limits(), &RemoteHosts::default()).unwrap();
    assert_fails!(source.ping().await, Tls, host, "certificate", "CA certificates");
}

#[tokio::test]
async fn addresses_of_metadata_services_are_never_dialled() {
    for url in ["http://169.254.169.254", "http://[fd00:ec2::254]", "http://0.0.0.0:5000", "http://[::ffff:a9fe:a9fe]"]
    {
        let source = RegistrySource::open(&endpoint(url, None), &limits(), &RemoteHosts::default()).unwrap();
        assert_fails!(source.ping().await, Refused, "never used for registries");
        assert_eq!(source.traffic().requests, 0);
    }
}

#[tokio::test]
async fn addresses_that_hold_more_than_an_address_are_refused() {
    for url in ["https://ada:hunter2@r.example.org", "r.example.org?password=hunter2", "r.example.org/#hunter2"] {
        let error = RegistrySource::open(&endpoint(url, None), &limits(), &RemoteHosts::default()).err().expect(url);
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert_fails!(Err::<(), _>(error), Refused, "username and password fields");
    }
}
