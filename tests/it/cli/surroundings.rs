//! What Docker's own surroundings say: logins, contexts, addresses with TLS.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, UnixStream};

use super::build::Project;
use crate::support::docker_registry::DockerRegistry;
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
        // `test` takes its folder of cases after the image.
        let arguments = if command[0] == "test" { command.to_vec() } else { [command, &[&remote]].concat() };
        let arguments = [&arguments[..], &["--network", "none"]].concat();
        docker_config(&project, "{}");
        let refused = project.silo(&arguments);
        assert!(refused.stderr.contains("does not let us"), "{command:?}: {refused:#?}");
        docker_config(&project, &login);
        let exit = project.silo(&arguments);
        assert!(project.has_image(&remote).await, "{command:?}: {exit:#?}");
        crate::support::docker_engine::remove(&project.engine, &remote).await;
    }
    docker_config(&project, "{}");
    let both = [("SILO_REGISTRY_USER", "ada"), ("SILO_REGISTRY_PASSWORD", "pa:ss wörd")];
    project.silo_with(&both, &["run", &remote, "-o", "by-variables", "--network", "none"], "").expect_success();
    // An image that is here needs no login: nobody is asked, and a configuration that cannot be used is in nobody's way.
    docker_config(&project, "nonsense");
    project.silo(&["run", &remote, "-o", "of-the-engine", "--network", "none"]).expect_success();
    crate::support::docker_engine::remove(&project.engine, &remote).await;

    // Podman's file, where it is told to keep it.
    docker_config(&project, "{}");
    project.write("auth.json", &login);
    let podman = [("REGISTRY_AUTH_FILE", "auth.json")];
    project.silo_with(&podman, &["run", &remote, "-o", "by-podman", "--network", "none"], "").expect_success();
}

/// Adds a context with an address; the folder of its certificates.
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
    // An empty address is none.
    docker_config(&project, r#"{"currentContext":"here"}"#);
    list(&[("DOCKER_HOST", "")]).expect_success();
    let why = list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "nowhere")]).expect_failure(1);
    assert!(why.contains("unix:///nowhere/docker.sock"), "{why}");
    docker_config(&project, r#"{"currentContext":"nowhere"}"#);
    list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "here")]).expect_success();
    list(&[("DOCKER_CONTEXT", "none-such")]).expect_success();
    let why = list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "none-such")]).expect_failure(1);
    assert!(why.contains("no context 'none-such'") && why.contains("docker context ls"), "{why}");
    let why = list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "far")]).expect_failure(1);
    assert!(why.contains("ssh -nNT -L") && why.contains("ada@far.example.org"), "{why}");
    let why = list(&[("DOCKER_HOST", "ftp://engine")]).expect_failure(1);
    assert!(why.contains("'ftp://engine' is no address of an engine"), "{why}");
}

/// An engine's socket on a port of this machine.
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_the_engine_is_done_or_refused() {
    let project = Project::new("behind-tls").await;
    let authority = Authority::new("the engine's");
    let front = Front::start(&authority, Clients::Only(&authority), on_tcp(&project.engine.host).await).await;
    let client = authority.sign("client");
    let write_to = |folder: &Path| {
        fs::create_dir_all(folder).unwrap();
        for (name, text) in
            [("ca.pem", &authority.certificate), ("cert.pem", &client.certificate), ("key.pem", &client.key)]
        {
            fs::write(folder.join(name), text).unwrap();
        }
    };
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
    assert!(why.contains("ca.pem, which is not there"), "{why}");
    let https = format!("https://{}", front.host());
    let why = list(&[("DOCKER_HOST", &https)]).expect_failure(1);
    assert!(why.contains("wants TLS") && why.contains("DOCKER_CERT_PATH"), "{why}");
    assert_eq!(front.connections(), before, "nothing was sent without TLS");
    // Another's authority is not believed.
    fs::write(certificates.join("ca.pem"), Authority::new("another's").certificate).unwrap();
    with(&certificates).expect_failure(1);
    // A context brings its own.
    write_to(&add_context(&project.path().join(".docker"), "safe", &address));
    list(&[("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "safe")]).expect_success();
    // A job's streams go through it, too.
    project.build(&["-q"]).expect_success();
    let safe = [("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "safe")];
    project.silo_with(&safe, &["run", ".", "-o", "out", "--network", "none"], "").expect_success();
}
