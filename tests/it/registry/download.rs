//! Downloads of files by URL, from correct and faulty servers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use silo::registry::{DownloadError, DownloadedFile, FileDownload, PrivateNetworkPolicy, download};
use tempfile::TempDir;
use url::Url;

use crate::support::file_server::{Answer, FileServer};

/// A private network without a route from this machine, in case a request is not blocked.
const ELSEWHERE: &str = "10.255.255.1";
/// Part of each URL, but of no message.
const SECRET: &str = "hunter2";

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A downloader with a new folder and a list of allowed hosts.
struct Fetching {
    folder: TempDir,
    private: PrivateNetworkPolicy,
    sha256: Option<String>,
    most_bytes: u64,
    silence: Duration,
}

impl Fetching {
    fn new() -> Self {
        Self::from(&["127.0.0.1"])
    }

    fn from(hosts: &[&str]) -> Self {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        Self {
            folder: tempfile::tempdir().unwrap(),
            private: PrivateNetworkPolicy::new(true, &hosts).unwrap(),
            sha256: None,
            most_bytes: 1 << 20,
            silence: Duration::from_secs(20),
        }
    }

    fn to(&self) -> std::path::PathBuf {
        self.folder.path().join("new/scene.tif")
    }

    async fn fetch(&self, url: &str) -> Result<DownloadedFile, DownloadError> {
        let (url, to) = (Url::parse(url).unwrap(), self.to());
        let sha256 = self.sha256.as_deref();
        let (most_bytes, silence, private) = (self.most_bytes, self.silence, &self.private);
        let room = |_| Box::pin(async { Ok(()) }) as BoxFuture<'_, _>;
        download(&FileDownload { url: &url, to: &to, sha256, most_bytes, silence, private }, &room).await
    }

    /// Asserts that a failure left no file, and that its message contains no secret.
    #[track_caller]
    fn left_nothing(&self, why: &DownloadError) {
        let text = format!("{why} {why:?}");
        assert!(!text.contains(SECRET), "{text}");
        let folder = self.to().parent().map(fs::read_dir).unwrap();
        let left: Vec<_> = folder.into_iter().flatten().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?} after {why}");
    }

    async fn fails(&self, url: &str) -> DownloadError {
        let why = self.fetch(url).await.unwrap_err();
        self.left_nothing(&why);
        why
    }
}

#[tokio::test]
async fn a_file_is_there_as_it_was_sent() {
    let server = FileServer::start().await;
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    server.put("/a/scene.tif?token=hunter2", [Answer::file(&bytes)]);
    let found = Fetching::new();
    let fetched = found.fetch(&server.url("/a/scene.tif?token=hunter2#part")).await.unwrap();
    assert_eq!(fetched, DownloadedFile { size: 300_000, sha256: digest(&bytes) });
    assert_eq!(fs::read(found.to()).unwrap(), bytes);
    assert_eq!(fs::read_dir(found.to().parent().unwrap()).unwrap().count(), 1);
    let head = server.seen().concat().to_lowercase();
    for header in ["authorization", "referer", "cookie", "accept-encoding"] {
        assert!(!head.contains(&format!("\n{header}:")), "{head}");
    }
    assert!(head.contains("user-agent: silo/"), "{head}");

    server.put("/empty", [Answer::file("")]);
    assert_eq!(found.fetch(&server.url("/empty")).await.unwrap(), DownloadedFile { size: 0, sha256: digest(b"") });
    assert_eq!(fs::read(found.to()).unwrap(), b"", "in place of what was there");
}

#[tokio::test]
async fn what_is_packed_stays_packed() {
    let server = FileServer::start().await;
    let packed = b"\x1f\x8b these are no bytes that could be unpacked";
    server.put("/a.gz", [Answer::new("200 OK", "Content-Encoding: gzip\r\n", packed)]);
    let found = Fetching::new();
    assert_eq!(found.fetch(&server.url("/a.gz")).await.unwrap().sha256, digest(packed));
    assert_eq!(fs::read(found.to()).unwrap(), packed);
}

#[tokio::test]
async fn what_a_server_answers_says_whether_to_try_again() {
    let server = FileServer::start().await;
    for (status, is_passing) in [
        (204, false),
        (206, false),
        (304, false),
        (401, false),
        (403, false),
        (404, false),
        (410, false),
        (408, true),
        (429, true),
        (500, true),
        (503, true),
    ] {
        server.put("/a?hunter2", [Answer::raw(format!("HTTP/1.1 {status} hunter2\r\nContent-Length: 0\r\n\r\n"))]);
        let why = Fetching::new().fails(&server.url("/a?hunter2")).await;
        assert_eq!(why, DownloadError::Status { host: "127.0.0.1".into(), status });
        assert_eq!(why.is_passing(), is_passing, "{status}");
    }
}

#[tokio::test]
async fn what_breaks_off_leaves_nothing_and_may_be_tried_again() {
    let server = FileServer::start().await;
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    let chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    let silent = Fetching { silence: Duration::from_millis(50), ..Fetching::new() };
    let patient = Fetching::new();
    for (answer, fetching) in [
        (Answer::raw(half), &patient),
        (Answer::raw(half).and_reset(), &patient),
        (Answer::raw(half).and_silence(), &silent),
        (Answer::raw(chunk), &patient),
        (Answer::raw(chunk).and_silence(), &silent),
        (Answer::raw(""), &patient),
        (Answer::raw("").and_reset(), &patient),
        (Answer::raw("").and_silence(), &silent),
        (Answer::raw("HTTP/1.1 200"), &patient),
        (Answer::raw("SSH-2.0-hello\r\n\r\n"), &patient),
    ] {
        let told = format!("{answer:?}");
        server.put("/a?hunter2", [answer]);
        let why = fetching.fails(&server.url("/a?hunter2")).await;
        assert!(matches!(why, DownloadError::Unreachable { .. }) && why.is_passing(), "{told}: {why:?}");
    }
    let port = server.port();
    drop(server);
    let why = patient.fails(&format!("http://127.0.0.1:{port}/a?hunter2")).await;
    assert!(matches!(why, DownloadError::Unreachable { .. }) && why.is_passing(), "{why:?}");
}

#[tokio::test]
async fn nothing_larger_than_the_most_is_kept() {
    let server = FileServer::start().await;
    let small = Fetching { most_bytes: 10, ..Fetching::new() };
    server.put("/exact", [Answer::file("0123456789")]);
    assert_eq!(small.fetch(&server.url("/exact")).await.unwrap().size, 10);
    fs::remove_file(small.to()).unwrap();
    server.put("/more", [Answer::file("0123456789a")]);
    // The announced length suffices: no body needs to arrive.
    server.put("/said", [Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n").and_silence()]);
    server.put("/endless", [Answer::endless()]);
    for path in ["/more", "/said", "/endless"] {
        let why = small.fails(&server.url(path)).await;
        assert_eq!(why, DownloadError::TooLarge { host: "127.0.0.1".into(), most: 10 }, "{path}");
        assert!(!why.is_passing());
    }
}

#[tokio::test]
async fn other_content_than_was_promised_is_not_taken() {
    let server = FileServer::start().await;
    server.put("/a", [Answer::file("good")]);
    let of = |bytes: &[u8]| Fetching { sha256: Some(digest(bytes)), ..Fetching::new() };
    of(b"good").fetch(&server.url("/a")).await.unwrap();
    let upper = Fetching { sha256: Some(digest(b"good").to_uppercase()), ..Fetching::new() };
    upper.fetch(&server.url("/a")).await.unwrap();
    let why = of(b"bad").fails(&server.url("/a")).await;
    let (found, expected) = (digest(b"good"), digest(b"bad"));
    assert_eq!(why, DownloadError::OtherContent { host: "127.0.0.1".into(), found, expected });
    assert!(!why.is_passing());
}

#[tokio::test]
async fn redirects_are_followed_but_not_everywhere() {
    let server = FileServer::start().await;
    let found = Fetching::new();
    server.put("/end", [Answer::file("here")]);
    for step in 0..6 {
        let next = if step == 0 { "/end".to_owned() } else { format!("/{}", step - 1) };
        server.put(&format!("/{step}"), [Answer::redirect(&next)]);
    }
    found.fetch(&server.url("/4")).await.unwrap();
    fs::remove_file(found.to()).unwrap();
    let redirects = DownloadError::Redirects { host: "127.0.0.1".into() };
    assert_eq!(found.fails(&server.url("/5")).await, redirects);
    assert!(!redirects.is_passing());
    for answer in [
        Answer::redirect("/loop"),
        Answer::redirect("file:///etc/passwd"),
        Answer::redirect("ftp://127.0.0.1/hunter2"),
        Answer::redirect("http://"),
        Answer::new("302 Found", "", ""),
    ] {
        server.put("/loop", [answer]);
        assert_eq!(found.fails(&server.url("/loop")).await, redirects);
    }
}

#[tokio::test]
async fn who_somebody_is_is_told_to_nobody() {
    let (server, other) = (FileServer::start().await, FileServer::start().await);
    let to = other.url("/b").replace("http://", "http://ada:hunter2@");
    server.put("/a?key=hunter2", [Answer::redirect(&to)]);
    other.put("/b", [Answer::file("here")]);
    Fetching::new().fetch(&server.url("/a?key=hunter2")).await.unwrap();
    let seen = other.seen().concat().to_lowercase();
    assert!(seen.contains("get /b ") && !seen.contains("authorization") && !seen.contains(SECRET), "{seen}");
}

#[tokio::test]
async fn private_addresses_are_asked_only_where_they_are_listed() {
    let server = FileServer::start().await;
    server.put("/a?hunter2", [Answer::file("here")]);
    let localhost = server.url("/a?hunter2").replace("127.0.0.1", "localhost");
    let mapped = server.url("/a?hunter2").replace("127.0.0.1", "[::ffff:127.0.0.1]");
    for url in [server.url("/a?hunter2"), localhost.clone(), mapped] {
        let why = Fetching::from(&["192.168.0.0/16", "minio"]).fails(&url).await;
        assert!(matches!(why, DownloadError::Refused { .. }) && !why.is_passing(), "{url}: {why:?}");
        assert!(why.to_string().contains("runs.private_hosts"), "{why}");
    }
    assert_eq!(server.seen(), [""; 0]);
    Fetching::from(&["localhost"]).fetch(&localhost).await.unwrap();

    // Also after a redirect.
    for to in [
        format!("http://{ELSEWHERE}/hunter2"),
        format!("http://[::ffff:{ELSEWHERE}]/hunter2"),
        "http://169.254.169.254/latest/meta-data/hunter2".to_owned(),
        "http://metadata.google.internal/hunter2".to_owned(),
        "http://[fd00:ec2::254]/hunter2".to_owned(),
    ] {
        server.put("/leads", [Answer::redirect(&to)]);
        let why = Fetching::from(&["127.0.0.1", "169.254.0.0/16", "fd00::/8"]).fails(&server.url("/leads")).await;
        assert!(matches!(why, DownloadError::Refused { .. }), "{to}: {why:?}");
    }
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_named() {
    let server = FileServer::start().await;
    server.put("/a?hunter2", [Answer::file("x".repeat(100_000))]);
    let url = server.url("/a?hunter2");
    let named = |why: &DownloadError, path: &Path, reason: &str| {
        let text = why.to_string();
        assert!(why.is_passing() && text.contains(&path.display().to_string()) && text.contains(reason), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    };
    let blocked = Fetching::new();
    let folder = blocked.to().parent().unwrap().to_owned();
    fs::write(&folder, "a file").unwrap();
    named(&blocked.fetch(&url).await.unwrap_err(), &folder, "exists");

    let full = Fetching::new();
    fs::create_dir(full.to().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", full.to().with_extension("part")).unwrap();
    let why = full.fails(&url).await;
    named(&why, &full.to().with_extension("part"), "No space left on device");
}
