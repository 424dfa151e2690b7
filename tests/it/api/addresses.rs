//! Rules for every URL: spelling, methods, CORS, ids.

use http::Method;
use serde_json::Value;

use crate::support::app::TestApp;

/// Status and `Location` of a raw reply.
fn head(reply: &str) -> (u16, Option<&str>) {
    let status = reply.split(' ').nth(1).and_then(|status| status.parse().ok());
    let location = reply.lines().find_map(|line| line.strip_prefix("location: "));
    (status.unwrap_or_else(|| panic!("no status in {reply:?}")), location)
}

#[tokio::test]
async fn there_is_one_spelling_of_each_path() {
    let silo = TestApp::start().await;
    for (path, clean) in [
        ("/jobs/", "../jobs"),
        ("//jobs", "../jobs"),
        ("/a/../jobs", "./jobs"),
        ("/./jobs/.", "../jobs"),
        ("/../../jobs", "./jobs"),
        ("//", "../"),
        ("/..", "./"),
        ("/unknown/", "../unknown"),
        ("/images/search/", "../../images/search"),
        ("/images/search/a//b", "../../../../images/search/a/b"),
        ("/jobs/?a=b&c=//", "../jobs?a=b&c=//"),
        ("//evil.example/", "../../evil.example"),
        ("/api/v1/registries/", "../../../api/v1/registries"),
        ("/registries/scan/", "../../registries/scan"),
    ] {
        let reply = silo.raw_get(path).await;
        assert_eq!(head(&reply), (301, Some(clean)), "{path}: {reply}");
    }
    for path in ["/jobs", "/images/search/%2F%2F", "/images/search/..a", "/healthz?x=/../"] {
        assert_eq!(head(&silo.raw_get(path).await).0, 200, "{path}");
    }
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        let reply = silo.anonymous().send(method, "/login/", &[], Vec::new()).await.expect(308);
        assert_eq!(reply.header("location"), "../login");
    }
}

#[tokio::test]
async fn a_search_without_words_in_its_path_is_an_id() {
    let silo = TestApp::start().await;
    for path in ["/images/search", "/jobs/search", "/images/manifest"] {
        assert_eq!(silo.anonymous().get(path).await.expect(400).error(), "Invalid ID");
    }
}

#[tokio::test]
async fn unknown_paths_are_404() {
    let silo = TestApp::start().await;
    for path in ["/x", "/jobs/1/2/3", "/Jobs", "/index.html", "/images/manifest/host", "/api/v1", "/api/v1/x", "/api/x"]
    {
        for client in [silo.anonymous(), silo.admin()] {
            assert!(client.get(path).await.expect(404).error().contains("no resource at this address"));
            client.post(path, Value::Null).await.expect(404);
        }
    }
}

#[tokio::test]
async fn wrong_methods_are_405() {
    let silo = TestApp::start().await;
    for (method, path, allowed) in [
        ("GET", "/login", "POST"),
        ("POST", "/jobs", "GET"),
        ("DELETE", "/registries", "GET"),
        ("PUT", "/users/add", "POST"),
        ("GET", "/users/add", "POST"),
        ("GET", "/registries/add", "POST"),
        ("POST", "/registries/delete/1", "DELETE"),
        ("DELETE", "/registries/scan", "GET"),
        ("PATCH", "/", "GET"),
        ("PUT", "/api/v1/registries", "POST"),
        ("GET", "/api/v1/logout", "POST"),
        ("DELETE", "/healthz", "GET"),
        ("BREW", "/jobs", "GET"),
    ] {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let reply = silo.anonymous().send(method, path, &[], Vec::new()).await.expect(405);
        assert!(reply.header("allow").contains(allowed), "{}: Allow: {}", reply.asked, reply.header("allow"));
    }
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let silo = TestApp::start().await;
    for (path, status) in [("/", 200), ("/jobs", 200), ("/jobs/1", 404), ("/healthz", 200), ("/users/1", 401)] {
        let reply = silo.anonymous().send(Method::HEAD, path, &[], Vec::new()).await.expect(status);
        assert_eq!(reply.text, "");
    }
}

#[tokio::test]
async fn options_succeed_everywhere() {
    let silo = TestApp::start().await;
    let preflight = [
        ("origin", "https://ui.example"),
        ("access-control-request-method", "DELETE"),
        ("access-control-request-headers", "authorization"),
    ];
    for path in ["/", "/jobs", "/registries/delete/1", "/unknown", "/a/b/c", "/api/v1/scans", "/users/add"] {
        for headers in [&preflight[..], &[]] {
            let reply = silo.anonymous().send(Method::OPTIONS, path, headers, Vec::new()).await.expect(200);
            assert_eq!(reply.text, r#"{"result":"success"}"#, "{path}");
            assert_eq!(reply.header("content-type"), "application/json");
            assert_eq!(reply.header("access-control-allow-origin"), "*");
        }
        let reply = silo.anonymous().send(Method::OPTIONS, path, &preflight, Vec::new()).await;
        for method in ["GET", "POST", "DELETE"] {
            assert!(reply.header("access-control-allow-methods").contains(method));
        }
        assert!(reply.header("access-control-allow-headers").contains("authorization"));
    }
    let star = silo.raw(b"OPTIONS * HTTP/1.1\r\nHost: silo\r\nConnection: close\r\n\r\n").await;
    assert_eq!(head(&star).0, 200, "{star}");
}

#[tokio::test]
async fn replies_can_be_read_by_the_configured_origins() {
    let silo = TestApp::with().set("SILO__HTTP__CORS_ORIGINS", "https://ui.example").start().await;
    for (origin, allowed) in [("https://ui.example", "https://ui.example"), ("https://other.example", "")] {
        let reply = silo.anonymous().send(Method::GET, "/jobs", &[("origin", origin)], Vec::new()).await.expect(200);
        assert_eq!(reply.header("access-control-allow-origin"), allowed);
    }
}

#[tokio::test]
async fn every_reply_has_an_id_of_its_own() {
    let silo = TestApp::start().await;
    let mut seen = std::collections::HashSet::new();
    for path in ["/", "/jobs", "/unknown", "/users", "/jobs/x", "/jobs/"] {
        let reply = silo.anonymous().get(path).await;
        assert!(seen.insert(reply.header("x-request-id").to_owned()), "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    }
    assert!(!seen.contains(""));
}

/// All routes that end with an id.
const WITH_ID: [(&str, &str); 10] = [
    ("/registries/{}", "No registry found with that ID"),
    ("/images/{}", "No image found with that ID"),
    ("/images/{}/manifest", "No image found with that ID"),
    ("/jobs/{}", "No job found with that ID"),
    ("/jobs/{}/job-versions", "No job found with that ID"),
    ("/job-versions/{}", "No job version found with that ID"),
    ("/users/{}", "No user found with that ID"),
    ("/registries/{}/scan", "No registry found with that ID"),
    ("/api/v1/images/{}", "No image found with that ID"),
    ("/api/v1/registries/{}", "No registry found with that ID"),
];

async fn ids(silo: TestApp) {
    for (template, unknown) in WITH_ID {
        for id in
            ["x", "1x", "1.0", "9223372036854775808", "-9223372036854775809", "%20", "0x1", "1%2F2", "+", "-", "١"]
        {
            let reply = silo.admin().get(&template.replace("{}", id)).await.expect(400);
            assert_eq!(reply.error(), "Invalid ID", "{template} {id}");
        }
        for id in ["0", "-1", "2147483648", "9223372036854775807", "-9223372036854775808", "+7", "007"] {
            let reply = silo.admin().get(&template.replace("{}", id)).await.expect(404);
            assert_eq!(reply.error(), unknown, "{template} {id}");
        }
    }
    for path in ["/registries/delete/{}", "/users/delete/{}"] {
        assert_eq!(silo.admin().delete(&path.replace("{}", "x")).await.expect(400).error(), "Invalid ID");
        silo.admin().delete(&path.replace("{}", "9223372036854775807")).await.expect(200);
    }
}

#[tokio::test]
async fn ids_sqlite() {
    ids(TestApp::start().await).await;
}

#[tokio::test]
async fn ids_postgres() {
    ids(TestApp::on_postgres().await).await;
}

#[tokio::test]
async fn slashes_in_a_search_and_in_an_image_are_part_of_it() {
    let silo = TestApp::with_jobs(&[("my-job", "1.0.0", "0.1.0")]).await;
    for query in ["geo/my-job", "geo%2Fmy-job", "my+job", "my%20job", "my%2Bjob"] {
        let found = silo.anonymous().get(&format!("/images/search/{query}")).await.expect(200).json();
        assert_eq!(found.as_array().map(Vec::len), Some(1), "{query}");
    }
}
