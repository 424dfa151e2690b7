//! The build context of an image: a folder as a tar stream, without the files that `.dockerignore` excludes.
//!
//! Files are streamed in chunks, not held in memory. Must not depend on which engine it is for.

pub mod dockerignore;
pub mod instructions;
pub mod older_dockerfile;

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tar::{EntryType, Header};
use tokio::sync::mpsc;

use dockerignore::{DockerIgnore, InvalidIgnorePattern};

const IGNORE_FILE: &str = ".dockerignore";
/// Largest `.dockerignore` that is read, in bytes; the rest is ignored.
const LONGEST_IGNORE: u64 = 1 << 20;
/// Name in the stream of a Dockerfile from outside the folder.
const FOREIGN_DOCKERFILE: &str = ".silo-dockerfile";
/// Bytes of a chunk, and how many chunks may wait for the engine.
const PIECE: usize = 64 << 10;
const WAITING: usize = 8;

/// A build context: the folder, its ignore patterns and the Dockerfile.
#[derive(Clone, Debug)]
pub struct BuildContext {
    folder: PathBuf,
    ignore: DockerIgnore,
    /// Name of the Dockerfile in the stream.
    pub dockerfile: String,
    /// Text of the Dockerfile.
    pub instructions: String,
    /// Files by name in the stream that replace, or are added to, those of the folder.
    replaced: BTreeMap<String, Vec<u8>>,
    /// Text of the `.dockerignore`.
    patterns: String,
}

/// Why a folder cannot be a build context.
#[derive(Debug, thiserror::Error)]
pub enum BuildContextError {
    #[error("there is no {path}: write a Dockerfile, or give another file with --dockerfile")]
    NoDockerfile { path: String },
    #[error(transparent)]
    Ignore(#[from] InvalidIgnorePattern),
    #[error("{path} cannot be read: {why}")]
    Unreadable { path: String, why: io::Error },
}

impl BuildContextError {
    fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |why| Self::Unreadable { path, why }
    }
}

impl BuildContext {
    /// Reads Dockerfile and `.dockerignore`; other files are read by [`BuildContext::send`]. `dockerfile` may be
    /// outside
    /// of the folder; the default is `Dockerfile` in it.
    ///
    /// # Errors
    /// [`BuildContextError`].
    pub fn open(folder: &Path, dockerfile: Option<&Path>) -> Result<Self, BuildContextError> {
        let folder = folder.canonicalize().map_err(BuildContextError::unreadable(folder))?;
        let path = dockerfile.map_or_else(|| folder.join("Dockerfile"), Path::to_owned);
        let instructions = match fs::read(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => {
                return Err(BuildContextError::NoDockerfile { path: path.display().to_string() });
            }
            read => String::from_utf8_lossy(&read.map_err(BuildContextError::unreadable(&path))?).into_owned(),
        };
        let patterns = ignore_file(&folder)?;
        let mut replaced = BTreeMap::new();
        let real = path.canonicalize().map_err(BuildContextError::unreadable(&path))?;
        let inside = real.strip_prefix(&folder).ok().and_then(Path::to_str).map(str::to_owned);
        let ignore = DockerIgnore::parse(&patterns)?;
        let dockerfile = inside.unwrap_or_else(|| {
            // Only for the engine: ignored, so that `COPY` does not see it.
            let patterns = format!("{patterns}\n{FOREIGN_DOCKERFILE}\n{IGNORE_FILE}\n");
            replaced.insert(IGNORE_FILE.to_owned(), patterns.into_bytes());
            replaced.insert(FOREIGN_DOCKERFILE.to_owned(), instructions.clone().into_bytes());
            FOREIGN_DOCKERFILE.to_owned()
        });
        Ok(Self { folder, ignore, dockerfile, instructions, replaced, patterns })
    }

    /// Replaces the content of a file of the folder, unless the file is ignored.
    pub fn replace(&mut self, path: &Path, bytes: &[u8]) {
        let real = path.canonicalize().ok();
        let inside = real.as_deref().and_then(|real| real.strip_prefix(&self.folder).ok()).and_then(Path::to_str);
        if let Some(name) = inside.filter(|name| !self.is_out(name)) {
            self.replaced.insert(name.to_owned(), bytes.to_owned());
        }
    }

    /// Replaces the text of the Dockerfile.
    pub fn set_instructions(&mut self, instructions: String) {
        self.replaced.insert(self.dockerfile.clone(), instructions.clone().into_bytes());
        self.instructions = instructions;
    }

    /// Adds a file that no ignore pattern excludes: the engine applies `.dockerignore`, too, so an exception is
    /// appended.
    pub fn add(&mut self, name: &str, text: &str) {
        if !self.patterns.trim().is_empty() || self.replaced.contains_key(IGNORE_FILE) {
            let patterns = self.patterns.as_bytes();
            let ignored = self.replaced.entry(IGNORE_FILE.to_owned()).or_insert_with(|| patterns.to_vec());
            ignored.extend_from_slice(format!("\n!{name}\n").as_bytes());
        }
        self.replaced.insert(name.to_owned(), text.as_bytes().to_owned());
    }

    /// Streams the context from a blocking thread. If that fails, the last item is the error, so that the stream is
    /// not taken for complete. Dropping the receiver ends the thread.
    pub fn send(self) -> mpsc::Receiver<io::Result<Bytes>> {
        let (pieces, sent) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let mut archive = tar::Builder::new(ChunkWriter { held: Vec::new(), pieces: pieces.clone() });
            let written = self.write(&mut archive).and_then(|()| archive.into_inner()?.flush());
            if let Err(why) = written {
                _ = pieces.blocking_send(Err(why));
            }
        });
        sent
    }

    /// Whether a file is excluded. Docker is sent `.dockerignore` and the Dockerfile even if they are ignored, and
    /// excludes them itself.
    fn is_out(&self, name: &str) -> bool {
        name != IGNORE_FILE && name != self.dockerfile && self.ignore.excludes(name)
    }

    fn write(&self, archive: &mut tar::Builder<ChunkWriter>) -> io::Result<()> {
        for (name, bytes) in &self.replaced {
            let mut header = header(EntryType::Regular, 0o644);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, &bytes[..])?;
        }
        self.write_folder(archive, "")
    }

    fn write_folder(&self, archive: &mut tar::Builder<ChunkWriter>, folder: &str) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.folder.join(folder)).map_err(at(folder))? {
            names.push(entry?.file_name());
        }
        names.sort(); // a fixed order, so that the same folder gives the same stream
        for name in names {
            let Some(name) = name.to_str() else {
                let text = format!("{} has a name that is not UTF-8; rename it", self.folder.join(name).display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            };
            let name = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
            self.write_entry(archive, &name).map_err(at(&name))?;
        }
        Ok(())
    }

    fn write_entry(&self, archive: &mut tar::Builder<ChunkWriter>, name: &str) -> io::Result<()> {
        let path = self.folder.join(name);
        let about = fs::symlink_metadata(&path)?;
        let is_out = self.is_out(name);
        if about.is_dir() {
            if !is_out {
                archive.append_data(
                    &mut header(EntryType::Directory, mode(&about)),
                    format!("{name}/"),
                    io::empty(),
                )?;
            }
            let may_hold = self.ignore.has_exceptions() || self.dockerfile.starts_with(&format!("{name}/"));
            if !is_out || may_hold {
                self.write_folder(archive, name)?;
            }
        } else if is_out || self.replaced.contains_key(name) {
        } else if about.is_symlink() {
            archive.append_link(&mut header(EntryType::Symlink, 0o777), name, fs::read_link(&path)?)?;
        } else if about.is_file() {
            let mut header = header(EntryType::Regular, mode(&about));
            header.set_size(about.len());
            header.set_mtime(mtime(&about));
            // A file that grows meanwhile would shift the rest of the archive.
            let mut file = File::open(&path)?.take(about.len());
            archive.append_data(&mut header, name, &mut file)?;
            if file.limit() > 0 {
                return Err(io::Error::other("it became shorter while it was sent; build again"));
            }
        } else if about.file_type().is_fifo() || about.file_type().is_socket() {
            // FIFOs and sockets are skipped, as Docker does.
        } else {
            return Err(io::Error::other("it is a device; leave it out with a .dockerignore"));
        }
        Ok(())
    }
}

fn ignore_file(folder: &Path) -> Result<String, BuildContextError> {
    let path = folder.join(IGNORE_FILE);
    let mut text = Vec::new();
    match File::open(&path).and_then(|file| file.take(LONGEST_IGNORE).read_to_end(&mut text)) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => Err(BuildContextError::unreadable(&path)(why)),
        _ => Ok(String::from_utf8_lossy(&text).into_owned()),
    }
}

/// A header owned by root with mtime 0, as Docker has it.
fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

fn mode(about: &Metadata) -> u32 {
    about.permissions().mode() & 0o7777
}

fn mtime(about: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::mtime(about).try_into().unwrap_or_default()
}

/// Adds the file's name to an error that has none.
fn at(name: &str) -> impl Fn(io::Error) -> io::Error {
    move |why| match why.get_ref() {
        Some(inner) if inner.is::<EntryError>() => why,
        _ => io::Error::new(why.kind(), EntryError(format!("{name} cannot be sent: {why}"))),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct EntryError(String);

/// Collects writes to chunks of [`PIECE`] bytes and sends them.
struct ChunkWriter {
    held: Vec<u8>,
    pieces: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(bytes);
        if self.held.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.held);
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    async fn sent(context: BuildContext) -> io::Result<BTreeMap<String, (EntryType, String)>> {
        let mut pieces = context.send();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.recv().await {
            bytes.extend_from_slice(&piece?);
        }
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(&bytes[..]).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.display().to_string();
            let mut text = entry.link_name()?.map(|to| to.display().to_string()).unwrap_or_default();
            let kind = entry.header().entry_type();
            assert_eq!((entry.header().uid()?, entry.header().gid()?), (0, 0));
            entry.read_to_string(&mut text)?;
            assert!(found.insert(name, (kind, text)).is_none(), "once each");
        }
        Ok(found)
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    #[tokio::test]
    async fn a_folder_goes_whole_but_for_what_is_ignored() {
        let long = format!("{}/x", "deep/".repeat(40));
        let folder = folder(&[
            ("Dockerfile", "FROM scratch"),
            (".dockerignore", "Dockerfile\n.dockerignore\n*.log\nout\n!out/keep\n"),
            ("a.log", ""),
            ("b", "b"),
            ("out/drop", ""),
            ("out/keep", "kept"),
            (&long, "far"),
        ]);
        fs::create_dir(folder.path().join("empty")).unwrap();
        symlink("/nowhere", folder.path().join("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
        let sent = sent(BuildContext::open(folder.path(), None).unwrap()).await.unwrap();
        let text = |name: &str| sent.get(name).map(|(_, text)| text.as_str());
        assert_eq!(text("Dockerfile"), Some("FROM scratch"));
        assert_eq!(
            (text("b"), text("out/keep"), text(&long.replace("//", "/"))),
            (Some("b"), Some("kept"), Some("far"))
        );
        assert_eq!(sent["link"], (EntryType::Symlink, "/nowhere".to_owned()));
        assert_eq!(sent["empty/"].0, EntryType::Directory);
        for name in ["a.log", "out/drop", "out/", "socket"] {
            assert_eq!(text(name), None, "{name}");
        }
    }

    #[tokio::test]
    async fn a_dockerfile_may_lie_elsewhere() {
        let (folder, other) = (folder(&[("a", "a"), (".dockerignore", "b")]), folder(&[("Other", "FROM a")]));
        let context = BuildContext::open(folder.path(), Some(&other.path().join("Other"))).unwrap();
        assert_eq!((context.dockerfile.as_str(), context.instructions.as_str()), (FOREIGN_DOCKERFILE, "FROM a"));
        let sent = sent(context).await.unwrap();
        assert_eq!(sent[FOREIGN_DOCKERFILE].1, "FROM a");
        assert_eq!(sent[IGNORE_FILE].1, format!("b\n{FOREIGN_DOCKERFILE}\n{IGNORE_FILE}\n"));
        let missing = BuildContext::open(folder.path(), None).unwrap_err();
        assert!(matches!(missing, BuildContextError::NoDockerfile { .. }), "{missing}");
    }

    #[tokio::test]
    async fn a_file_can_be_sent_with_other_bytes() {
        let folder = folder(&[("Dockerfile", ""), ("sub/m.json", "old"), ("secret", ""), (".dockerignore", "secret")]);
        let mut context = BuildContext::open(folder.path(), None).unwrap();
        context.replace(&folder.path().join("sub/m.json"), b"new");
        context.replace(&folder.path().join("secret"), b"new");
        context.replace(Path::new("/etc/hostname"), b"new");
        let sent = sent(context).await.unwrap();
        assert_eq!(sent["sub/m.json"].1, "new");
        assert!(!sent.contains_key("secret") && sent.len() == 4, "{sent:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_read_ends_the_stream_with_an_error() {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = folder(&[("Dockerfile", "")]);
        fs::write(folder.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
        let why = sent(BuildContext::open(folder.path(), None).unwrap()).await.unwrap_err().to_string();
        assert!(why.contains("not UTF-8"), "{why}");
    }
}
