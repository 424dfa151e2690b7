//! `silo login`, `logout` and `whoami`: tokens are stored, each for its server only.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};

use super::program::{silo_in, silo_on_terminal};
use crate::support::process::{Exit, PASSWORD, Setup, Silo};
use crate::support::tls::{Authority, Clients, Front};

/// A user with a configuration folder.
struct User(tempfile::TempDir);

impl User {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("silo/logins.json")
    }

    /// Runs a command against a server.
    fn silo(&self, server: &str, arguments: &[&str], input: &str) -> Exit {
        silo_in(self.0.path(), &self.environment(server), arguments, input)
    }

    fn environment<'a>(&'a self, server: &'a str) -> [(&'a str, &'a str); 2] {
        [("XDG_CONFIG_HOME", self.0.path().to_str().unwrap()), ("SILO_URL", server)]
    }
}

async fn start() -> Silo {
    Setup::new().start().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_is_kept_until_the_logout() {
    let (silo, user) = (start().await, User::new());
    let url = silo.url();
    let said = user.silo(url, &["whoami"], "").expect_failure(1);
    assert_eq!(said, format!("silo: you are not logged in to {url}; log in with: silo login\n"));
    let said = user.silo("http://127.0.0.1:1", &["whoami"], "").expect_failure(1);
    assert!(
        said.contains("http://127.0.0.1:1/ cannot be reached"),
        "a server that does not answer knows nobody: {said}"
    );
    let said = user.silo(url, &["registry", "add", "mine", "http://127.0.0.1:1"], "").expect_failure(1);
    assert!(said.contains("Log in with: silo login"), "{said}");
    for (arguments, input) in [
        (&["login"][..], PASSWORD),
        (&["login", "admin"], PASSWORD),
        (&["login", "-u", "admin", "--password-stdin"], PASSWORD),
        (&["login", "--username=admin", "-p", PASSWORD], ""),
    ] {
        let exit = user.silo(url, arguments, &format!("{input}\n"));
        assert_eq!((exit.code, exit.stdout.lines().count()), (Some(0), 1), "{arguments:?}: {exit:?}");
        assert!(exit.stderr.contains(&format!("Logged in to {url} as admin until 20")), "{exit:?}");
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&user.file()), mode(user.file().parent().unwrap())), (0o600, 0o700));

    assert_eq!(user.silo(url, &["whoami"], "").expect_success(), format!("admin (admin) at {url}\n"));
    let me: Value = serde_json::from_str(&user.silo(url, &["whoami", "--json"], "").expect_success()).unwrap();
    assert_eq!(me, json!({"server": url, "username": "admin", "role": "admin"}));
    user.silo(url, &["registry", "add", "mine", "http://127.0.0.1:1"], "").expect_failure(1);
    assert!(user.silo(url, &["scan"], "").expect_failure(1).contains("there is no registry yet"));

    // A copy of the token is invalid after the logout.
    let copied = fs::read_to_string(user.file()).unwrap();
    let left = user.silo(url, &["logout"], "");
    assert_eq!((left.code, left.stderr), (Some(0), format!("Logged out admin of {url}.\n")));
    assert!(!fs::read_to_string(user.file()).unwrap().contains(url));
    fs::write(user.file(), copied).unwrap();
    assert!(user.silo(url, &["whoami"], "").expect_failure(1).contains("Log in with: silo login"));
    assert_eq!(user.silo("http://127.0.0.1:1", &["logout"], "").code, Some(0), "nothing is kept for that one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_the_token_is_not_shown() {
    let (silo, user) = (start().await, User::new());
    let shown = silo_on_terminal(user.0.path(), &user.environment(silo.url()), &["login"], &format!("{PASSWORD}\n"));
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let kept: Value = serde_json::from_str(&fs::read_to_string(user.file()).unwrap()).unwrap();
    let (server, login) = kept["servers"].as_object().unwrap().iter().next().unwrap();
    assert_eq!((server.as_str(), &login["username"]), (silo.url(), &json!("admin")));
    let token = login["token"].as_str().unwrap();
    assert!(token.len() > 20 && !shown.stdout.contains(token), "{shown:?}");
}

/// Replies to one request, and returns that request.
fn listen(answer: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        client.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (url, asked)
}

const EMPTY_LIST: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_goes_to_no_other_server() {
    let (silo, other, user) = (start().await, start().await, User::new());
    user.silo(silo.url(), &["login"], &format!("{PASSWORD}\n")).expect_success();
    assert!(user.silo(other.url(), &["whoami"], "").expect_failure(1).contains("not logged in"));
    let (url, asked) = listen(EMPTY_LIST);
    user.silo(&url, &["registry", "list"], "").expect_success();
    let asked = asked.join().unwrap().to_lowercase();
    assert!(asked.starts_with("get /api/v1/registries ") && !asked.contains("authorization"), "{asked}");

    // Logins at several servers, each with its own token.
    user.silo(other.url(), &["login"], &format!("{PASSWORD}\n")).expect_success();
    for server in [silo.url(), other.url()] {
        assert_eq!(user.silo(server, &["whoami"], "").expect_success(), format!("admin (admin) at {server}\n"));
    }
    user.silo(other.url(), &["logout"], "").expect_success();
    user.silo(silo.url(), &["whoami"], "").expect_success();

    // Redirects to another server are not followed.
    let (url, asked) = listen(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/api/v1/registries\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let said = user.silo(&url, &["registry", "list", "--token", "for-the-first-one"], "").expect_failure(1);
    assert!(said.contains("redirects to http://127.0.0.1:1/api/v1/registries, which is another server"), "{said}");
    assert!(asked.join().unwrap().to_lowercase().contains("authorization: bearer for-the-first-one"));
}

#[tokio::test]
async fn a_file_that_is_no_list_of_logins_is_told() {
    let user = User::new();
    fs::create_dir(user.file().parent().unwrap()).unwrap();
    fs::write(user.file(), "{\"servers\": {\"x\": \"top-secret\"}}").unwrap();
    let said = user.silo("http://127.0.0.1:1", &["registry", "list"], "").expect_failure(1);
    assert!(said.contains("logins.json is damaged: remove it") && !said.contains("top-secret"), "{said}");
}

/// A server with a certificate of a private CA.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authorities_of_ones_own_are_trusted() {
    let (silo, user) = (start().await, User::new());
    let authority = Authority::new("ours");
    let front = Front::start(&authority, Clients::Anybody, silo.url().trim_start_matches("http://").to_owned()).await;
    let file = user.0.path().join("ca.pem");
    fs::write(&file, &authority.certificate).unwrap();
    let (url, file) = (front.url(), file.to_str().unwrap());
    let said = user.silo(&url, &["registry", "list"], "").expect_failure(1);
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(user.silo(&url, &["registry", "list", "--json", "--ca", file], "").expect_success(), "[]\n");
    let variable = [&user.environment(&url)[..], &[("SSL_CERT_FILE", file)]].concat();
    silo_in(user.0.path(), &variable, &["registry", "list"], "").expect_success();
    // For these commands `--ca` is the registry's CA.
    let add = ["registry", "add", "mine", "http://127.0.0.1:1", "--server-ca", file];
    let said = user.silo(&url, &add, "").expect_failure(1);
    assert!(said.contains("token"), "{said}");
    let said = user.silo(&url, &["registry", "list", "--ca", "/dev/null"], "").expect_failure(1);
    assert!(said.contains("/dev/null cannot be used as CA certificates"), "{said}");
}

/// Verbose output shows requests, and no secrets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verbose_tells_what_is_asked() {
    let (silo, user) = (start().await, User::new());
    let exit = user.silo(silo.url(), &["-v", "login"], &format!("{PASSWORD}\n"));
    let token = exit.expect_success();
    let exit = user.silo(silo.url(), &["registry", "list", "-v", "--token", token.trim()], "");
    assert!(exit.stderr.contains(&format!("{}/api/v1/registries", silo.url())), "{}", exit.stderr);
    assert!(exit.stderr.contains("status=200") && !exit.stderr.contains(token.trim()), "{}", exit.stderr);
}
