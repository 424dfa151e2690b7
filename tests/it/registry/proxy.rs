//! Behind a proxy that resolves host names.

use serde_json::Value;

use crate::support::fake_registry::{ALWAYS, FakeRegistry, Fault, Image, Seen};
use crate::support::process::{Setup, Silo};

/// A service that reaches all hosts but this machine through a proxy. The fake replies for any host.
async fn behind(proxy: &FakeRegistry, name: &str) -> Silo {
    let address = proxy.url().replace("127.0.0.1", name);
    Setup::new().impatient().env("HTTP_PROXY", address).env("NO_PROXY", "127.0.0.1").start().await
}

/// Scans a registry; returns the error of the last scan.
async fn scan(silo: &Silo, registry: &str) -> String {
    silo.cli(&["scan", registry, "--wait"]).await;
    let scans: Value = silo.get("/api/v1/scans").await.expect(200);
    scans["items"][0]["error"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_registry_is_reached_through_it_and_leads_to_nothing_private() {
    let (proxy, inside) = (FakeRegistry::start().await, FakeRegistry::start().await);
    proxy.push("geo/a-seed", "1", &Image::new());
    // The proxy may have a private address, given by name, too.
    let silo = behind(&proxy, "localhost").await;
    silo.cli(&["registry", "add", "public", "http://registry.example.invalid"]).await.expect_success();
    assert_eq!(scan(&silo, "public").await, "");
    let port = inside.host().rsplit_once(':').unwrap().1.to_owned();
    for (to, part) in [
        (format!("http://127.0.0.1:{port}/"), "scan.private_hosts"),
        ("http://10.0.0.5/".to_owned(), "scan.private_hosts"),
        (format!("http://localhost:{port}/"), "localhost"),
        ("http://169.254.169.254/latest".to_owned(), "never used"),
        ("http://metadata.google.internal/".to_owned(), "never used"),
    ] {
        proxy.clear_faults();
        proxy.clear_log();
        proxy.fault(Seen::is_catalog, ALWAYS, Fault::Redirect(to.clone()));
        let error = scan(&silo, "public").await;
        assert!(error.contains(part), "{to}: {error}");
        assert_eq!(proxy.count(Seen::is_any), 2, "{to} is not asked for: a greeting and the catalogue");
    }
    assert_eq!(inside.count(Seen::is_any), 0);
}

#[tokio::test]
async fn what_a_name_means_here_counts() {
    let (proxy, inside) = (FakeRegistry::start().await, FakeRegistry::start().await);
    let silo = behind(&proxy, "127.0.0.1").await;
    silo.cli(&["registry", "add", "public", "http://registry.example.invalid"]).await.expect_success();
    let port = inside.host().rsplit_once(':').unwrap().1.to_owned();
    proxy.fault(Seen::is_catalog, ALWAYS, Fault::Redirect(format!("http://localhost:{port}/")));
    proxy.clear_log();
    let error = scan(&silo, "public").await;
    assert!(error.contains("localhost (") && error.contains("scan.private_hosts"), "{error}");
    assert_eq!((proxy.count(Seen::is_any), inside.count(Seen::is_any)), (2, 0));
}
