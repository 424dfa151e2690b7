//! Pulling from real registries.

use std::process::Command;

use secrecy::SecretString;
use silo::engine::fetch::{PullPolicy, WantedImage};
use silo::engine::run::attempt_error::Error;
use silo::engine::run::record::Phase;
use silo::engine::run::supervisor::AttemptEvent;
use silo::engine::runtime::{self, ContainerRuntime as _, PullFailure, RegistryCredentials};

use super::Job;
use crate::support::docker_engine::BASE;
use crate::support::docker_registry::DockerRegistry;

fn credentials(user: &str, password: &str) -> RegistryCredentials {
    RegistryCredentials { username: user.to_owned(), password: SecretString::from(password) }
}

async fn pull(job: &Job, reference: &str, as_who: Option<&RegistryCredentials>) -> Result<(), PullFailure> {
    match job.docker.pull(&reference.parse().expect("a name"), None, as_who, |_| {}).await {
        Ok(()) => Ok(()),
        Err(runtime::Error::Pull { cause, image, reason }) => {
            assert!(image == reference && !reason.is_empty());
            Err(cause)
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_image_is_pulled_with_its_password_and_every_cause_has_a_name() {
    let job = Job::new("").await;
    let mut registry = DockerRegistry::htpasswd("robot", "hunter2").await;
    let reference = format!("{}/team/job-1.0.0-seed:1.0.0", registry.host());
    job.engine.push(BASE, &reference, Some(("robot", "hunter2"))).await;
    let (right, wrong) = (credentials("robot", "hunter2"), credentials("robot", "wrong"));
    assert_eq!(pull(&job, &reference, None).await, Err(PullFailure::Unauthorized));
    assert_eq!(pull(&job, &reference, Some(&wrong)).await, Err(PullFailure::Unauthorized));
    assert_eq!(pull(&job, &reference.replace("job", "nothing"), Some(&right)).await, Err(PullFailure::NotFound));
    let name = reference.parse().expect("a name");
    assert!(matches!(job.docker.image(&name).await, Err(runtime::Error::NoImage { .. })));

    let (mut attempt, mut told) = job.attempt().await;
    let wanted = |policy, credentials| WantedImage { image: &name, platform: None, policy, credentials };
    let never = attempt.pull(&wanted(PullPolicy::Never, Some(&right)), &job.stop).await;
    assert!(matches!(never, Err(Error::Engine(runtime::Error::NoImage { .. }))), "{never:?}");
    let image = attempt.pull(&wanted(PullPolicy::Missing, Some(&right)), &job.stop).await.unwrap();
    assert!(
        image.id.as_str().starts_with("sha256:") && image.digests.iter().all(|digest| digest.starts_with("sha256:"))
    );
    assert!(image.platform.starts_with("linux/") && !image.digests.is_empty(), "{image:?}");
    assert!(job.text("system.log").contains("Pulling from team/job-1.0.0-seed"));
    assert!(!job.text("system.log").contains("hunter2"));
    registry.stop();
    // The image is present, so the registry is not contacted unless the policy says so.
    attempt.pull(&wanted(PullPolicy::Missing, None), &job.stop).await.unwrap();
    let asked = attempt.pull(&wanted(PullPolicy::Always, None), &job.stop).await;
    let Err(Error::Engine(runtime::Error::Pull { cause, .. })) = &asked else { panic!("{asked:?}") };
    assert_eq!(*cause, PullFailure::Unreachable);
    assert!(asked.unwrap_err().is_passing());
    let phases = attempt.finish().phases;
    assert!(phases.len() == 4 && phases.iter().all(|phase| phase.name == Phase::Pull && phase.finished.is_some()));
    let mut pulled = Vec::new();
    while let Some(event) = told.recv().await {
        if let AttemptEvent::Pull(progress) = event {
            pulled.push(progress.status);
        }
    }
    assert!(pulled.iter().any(|status| status.contains("Downloaded newer image")), "{pulled:?}");
}

#[tokio::test]
async fn an_image_of_another_platform_is_not_taken() {
    let job = Job::new("").await;
    let registry = DockerRegistry::open().await;
    let reference = format!("{}/team/here:1", registry.host());
    job.engine.push(BASE, &reference, None).await;
    let here = job.docker.engine().await.unwrap().platform;
    job.docker.pull(&reference.parse().unwrap(), Some(&here), None, |_| {}).await.unwrap();
    // An index with an image for this platform only.
    let layout = job.path("layout");
    let skopeo = |arguments: &[&str]| {
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"]);
        crate::support::output(command.args(arguments));
    };
    skopeo(&[&format!("docker://{reference}"), &format!("oci:{}:x", layout.display())]);
    let index = index_of(&layout, &here);
    let indexed = format!("{}/team/index:1", registry.host());
    skopeo(&["--all", &format!("oci:{}:index", index.display()), &format!("docker://{indexed}")]);
    let why = job.docker.pull(&indexed.parse().unwrap(), Some("linux/s390x"), None, |_| {}).await.unwrap_err();
    assert!(matches!(why, runtime::Error::Pull { cause: PullFailure::Platform, .. }), "{why:?}");
}

/// Adds an index around the only image of a layout.
fn index_of(layout: &std::path::Path, platform: &str) -> std::path::PathBuf {
    use sha2::Digest as _;
    let file = layout.join("index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let (os, architecture) = platform.split_once('/').unwrap();
    let mut image = index["manifests"][0].clone();
    image["platform"] = serde_json::json!({"os": os, "architecture": architecture});
    image.as_object_mut().unwrap().remove("annotations");
    let media_type = "application/vnd.oci.image.index.v1+json";
    let inner = serde_json::json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [image]}).to_string();
    let hash = hex::encode(sha2::Sha256::digest(&inner));
    std::fs::write(layout.join("blobs/sha256").join(&hash), &inner).unwrap();
    index["manifests"] = serde_json::json!([{
        "mediaType": media_type, "digest": format!("sha256:{hash}"), "size": inner.len(),
        "annotations": {"org.opencontainers.image.ref.name": "index"},
    }]);
    std::fs::write(&file, index.to_string()).unwrap();
    layout.to_owned()
}
