//! The Docker environment: logins, contexts, addresses with TLS.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, UnixStream};

use super::build::Project;
use super::program::silo_in;
use crate::runs::Runs;
use crate::support::docker_engine::{DockerEngine, engine};
use crate::support::docker_registry::DockerRegistry;
use crate::support::process::Engine as Database;
use crate::support::tls::{Authority, Clients, Front};

fn docker_config(project: &Project, text: &str) {
    fs::create_dir_all(project.path().join(".docker")).unwrap();
    project.write(".docker/config.json", text);
}

#[tokio::test]
async fn jobs_are_pulled_with_the_logins_that_publish_uses() {
    let project = Project::new("pulls-with-login").await;
    let registry = DockerRegistry::htpasswd("ada", "pa:ss wörd").await;
    let (host, image) = (registry.host(), project.image());
    project.build(&["-q"]).expect_success();
    let pair = STANDARD.encode("ada:pa:ss wörd");
    let login = format!(r#"{{"auths":{{"{host}":{{"auth":"{pair}"}}}},"credHelpers":null}}"#);
    docker_config(&project, &login);
    project.silo(&["publish", "-r", &host]).expect_success();
    let remote = format!("{host}/{image}");
    fs::create_dir_all(project.path().join("cases/one/expected")).unwrap();
    project.write("rows.csv", "INPUT_FILE\njob.sh\n");
    for command in [
        &["run", "-o", "out"][..],
        &["batch", "-b", "rows.csv", "-o", "out-of-batch"],
        &["shell", "-o", "out-of-shell"],
        &["test", &remote, "cases"],
    ] {
        // `test` takes the folder of cases after the image.
        let arguments = if command[0] == "test" { command.to_vec() } else { [command, &[&remote]].concat() };
        let arguments = [&arguments[..], &["--network", "none"]].concat();
        docker_config(&project, "{}");
        let refused = project.silo(&arguments);
        assert!(refused.stderr.contains("denies access"), "{command:?}: {refused:#?}");
        docker_config(&project, &login);
        let exit = project.silo(&arguments);
        assert!(project.has_image(&remote).await, "{command:?}: {exit:#?}");
        crate::support::docker_engine::remove(&project.engine, &remote).await;
    }
    docker_config(&project, "{}");
    let both = [("SILO_REGISTRY_USER", "ada"), ("SILO_REGISTRY_PASSWORD", "pa:ss wörd")];
    project.silo_with(&both, &["run", &remote, "-o", "by-variables", "--network", "none"], "").expect_success();
    // An image that is present needs no login: no prompt, and an invalid configuration does not matter.
    docker_config(&project, "nonsense");
    project.silo(&["run", &remote, "-o", "of-the-engine", "--network", "none"]).expect_success();
    crate::support::docker_engine::remove(&project.engine, &remote).await;

    // Podman's login file in its configured place.
    docker_config(&project, "{}");
    project.write("auth.json", &login);
    let podman = [("REGISTRY_AUTH_FILE", "auth.json")];
    project.silo_with(&podman, &["run", &remote, "-o", "by-podman", "--network", "none"], "").expect_success();
}

/// Adds a context with an address; returns the folder of its certificates.
fn add_context(docker: &Path, name: &str, host: &str) -> std::path::PathBuf {
    let id = hex::encode(Sha256::digest(name));
    let meta = docker.join("contexts/meta").join(&id);
    fs::create_dir_all(&meta).unwrap();
    let text = format!(
        r#"{{"Name":"{name}","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
    );
    fs::write(meta.join("meta.json"), text).unwrap();
    docker.join("contexts/tls").join(&id).join("docker")
}

#[tokio::test]
async fn the_engine_is_that_of_the_context() {
    let project = Project::new("of-a-context").await;
    let docker = project.path().join(".docker");
    add_context(&docker, "here", &project.engine.host);
    add_context(&docker, "nowhere", "unix:///nowhere/docker.sock");
    add_context(&docker, "far", "ssh://ada@far.example.org");
    let list = |environment: &[(&str, &str)]| project.silo_with(environment, &["list"], "");
    // An empty address counts as unset.
    docker_config(&project, r#"{"currentContext":"here"}"#);
    list(&[("DOCKER_HOST", "")]).expect_success();
    let why = list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "nowhere")]).expect_failure(1);
    assert!(why.contains("unix:///nowhere/docker.sock"), "{why}");
    docker_config(&project, r#"{"currentContext":"nowhere"}"#);
    list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "here")]).expect_success();
    list(&[("DOCKER_CONTEXT", "none-such")]).expect_success();
    let why = list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "none-such")]).expect_failure(1);
    assert!(why.contains("context 'none-such' cannot be read") && why.contains("docker context ls"), "{why}");
    let why = list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "far")]).expect_failure(1);
    assert!(why.contains("ssh -nNT -L") && why.contains("ada@far.example.org"), "{why}");
    let why = list(&[("DOCKER_HOST", "ftp://engine")]).expect_failure(1);
    assert!(why.contains("'ftp://engine' is not an engine address"), "{why}");
}

/// An engine's socket forwarded to a TCP port of this machine.
async fn on_tcp(host: &str) -> String {
    let (listener, socket) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), host.trim_start_matches("unix://").to_owned());
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut engine = UnixStream::connect(&socket).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut engine).await.ok() });
        }
    });
    address
}

/// An engine behind a TLS proxy, and its CA.
async fn behind_tls(engine: &DockerEngine) -> (Front, Authority) {
    let authority = Authority::new("the engine's");
    let front = Front::start(&authority, Clients::Only(&authority), on_tcp(&engine.host).await).await;
    (front, authority)
}

/// Writes the files that a client of the engine needs, named as Docker does.
fn write_certificates(authority: &Authority, folder: &Path) {
    let client = authority.sign("client");
    fs::create_dir_all(folder).unwrap();
    for (name, text) in
        [("ca.pem", &authority.certificate), ("cert.pem", &client.certificate), ("key.pem", &client.key)]
    {
        fs::write(folder.join(name), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_the_engine_is_done_or_refused() {
    let project = Project::new("behind-tls").await;
    let (front, authority) = behind_tls(&project.engine).await;
    let write_to = |folder: &Path| write_certificates(&authority, folder);
    let (certificates, nothing) = (project.path().join("certificates"), project.path().join("nothing"));
    write_to(&certificates);
    let address = format!("tcp://{}", front.host());
    let list = |environment: &[(&str, &str)]| project.silo_with(environment, &["list"], "");
    let with = |folder: &Path| {
        let folder = folder.display().to_string();
        list(&[("DOCKER_HOST", &address), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", &folder)])
    };
    with(&certificates).expect_success();
    assert!(front.with_certificate() > 0, "it showed its certificate");
    let before = front.connections();
    let why = with(&nothing).expect_failure(1);
    assert!(why.contains("ca.pem, which does not exist"), "{why}");
    let https = format!("https://{}", front.host());
    let why = list(&[("DOCKER_HOST", &https)]).expect_failure(1);
    assert!(why.contains("needs TLS") && why.contains("DOCKER_CERT_PATH"), "{why}");
    assert_eq!(front.connections(), before, "nothing was sent without TLS");
    // A certificate of another CA is rejected.
    fs::write(certificates.join("ca.pem"), Authority::new("another's").certificate).unwrap();
    with(&certificates).expect_failure(1);
    // A context has its own certificates.
    write_to(&add_context(&project.path().join(".docker"), "safe", &address));
    list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "safe")]).expect_success();
    // Attached streams of a job work over TLS, too.
    project.build(&["-q"]).expect_success();
    let safe = [("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "safe")];
    project.silo_with(&safe, &["run", ".", "-o", "out", "--network", "none"], "").expect_success();
}

/// The service has the commands' precedence: its own options before variables, an address before a context.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_finds_its_engine_as_commands_do() {
    let (engine, folder) = (engine().await, tempfile::tempdir().unwrap());
    let (front, authority) = behind_tls(&engine).await;
    let (docker, certificates) = (folder.path().join("docker"), folder.path().join("certificates"));
    let address = format!("tcp://{}", front.host());
    write_certificates(&authority, &certificates);
    write_certificates(&authority, &add_context(&docker, "safe", &address));
    let [docker, certificates] = [docker, certificates].map(|path| path.display().to_string());
    let (nowhere, docker) = ("unix:///nowhere/docker.sock", ("DOCKER_CONFIG", docker.as_str()));
    let by_context = [docker, ("DOCKER_CONTEXT", "safe")];
    let ways = [
        &by_context[..],
        &[docker, ("SILO__RUNS__ENGINE_CONTEXT", "safe"), ("DOCKER_HOST", nowhere)],
        &[("DOCKER_HOST", &address), ("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", &certificates)],
        &[
            ("SILO__RUNS__ENGINE", &address),
            ("SILO__RUNS__ENGINE_CERTIFICATES", &certificates),
            ("DOCKER_HOST", nowhere),
        ],
    ];
    for environment in ways {
        let exit = silo_in(folder.path(), environment, &["doctor", "--json"], "");
        let findings: Value = serde_json::from_str(&exit.stdout).expect("JSON");
        let found = findings.as_array().unwrap().iter().find(|finding| finding["about"] == "container engine").unwrap();
        assert_eq!(found["verdict"], "good", "{environment:?}: {found:#}");
        assert!(found["text"].as_str().unwrap().contains(&address), "{environment:?}: {found:#}");
    }
    // Nothing is sent if TLS is required and no certificates are available.
    let before = front.connections();
    let without = [("SILO__RUNS__ENGINE", &*address), ("SILO__RUNS__ENGINE_CERTIFICATES", "/nowhere")];
    let exit = silo_in(folder.path(), &without, &["doctor"], "");
    assert!(exit.stdout.contains("ca.pem, which does not exist"), "{exit:#?}");
    assert_eq!(front.connections(), before);
    let runs = Runs::at(Database::Sqlite, (engine, ""), &by_context).await;
    let image = runs.image("echo once >$OUTPUT_DIR/begun").await;
    let run = runs.submit(json!({"image": image})).await;
    let run = runs.ended(run["id"].as_str().unwrap()).await;
    assert_eq!(run["status"], "successful", "{run:#}");
    assert!(front.connections() > before);
}
