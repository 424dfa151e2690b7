//! The HTTP door, from outside.

use crate::support::app::{TestApp, jobs, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smoke() {
    for silo in [TestApp::start().await, TestApp::on_postgres().await] {
        let registry = silo.add_layout("geo", &jobs(&[("my-job", "1.0.0", "0.1.0")])).await;
        silo.scan(registry).await;
        let jobs = silo.anonymous().get("/jobs").await.expect(200).json();
        assert_eq!(text(&jobs[0]["Name"]), "my-job");
        silo.user().get("/api/v1/scans").await.expect(200);
        silo.user().get("/users").await.expect(403);
    }
}
