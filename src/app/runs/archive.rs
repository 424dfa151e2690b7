//! Everything of a run as one file, written while it is read: nothing of it is ever whole in memory.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use bytes::Bytes;
use tokio::sync::mpsc;
use zip::write::SimpleFileOptions;

use super::super::Result;
use super::files::RunFolder;
use crate::engine::logs::{COMBINED, STDERR, STDOUT, SYSTEM};

/// How many pieces wait for a slow reader.
const WAITING: usize = 4;
/// Bytes of a piece.
const PIECE: usize = 128 * 1024;

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveForm {
    Tar,
    Zip,
}

/// A file that goes into an archive, under this name.
struct Entry {
    name: String,
    path: PathBuf,
}

impl RunFolder {
    /// The run's record, logs and outputs, each below a folder of the run's id, in pieces. An error among them means that the
    /// archive breaks off.
    ///
    /// # Errors
    /// [`super::super::Error::NotFound`] when an output is gone.
    pub fn archive(&self, form: ArchiveForm) -> Result<mpsc::Receiver<io::Result<Bytes>>> {
        let entries = self.entries()?;
        let (send, pieces) = mpsc::channel(WAITING);
        // Ends when the reader goes.
        tokio::task::spawn_blocking(move || {
            let mut out = Pieces { send: send.clone(), piece: Vec::with_capacity(PIECE) };
            let written = match form {
                ArchiveForm::Tar => tar_of(&entries, &mut out),
                ArchiveForm::Zip => zip_of(&entries, &mut out),
            };
            if let Err(why) = written.and_then(|()| out.flush()) {
                _ = send.blocking_send(Err(why));
            }
        });
        Ok(pieces)
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        let id = &self.record.id;
        let mut entries = Vec::new();
        let mut add = |name: String, path: PathBuf| entries.push(Entry { name: format!("{id}/{name}"), path });
        for name in ["job.json", "inputs.json", "run.sh"] {
            add(name.to_owned(), self.root().join(name));
        }
        for attempt in &self.record.attempts {
            for log in [STDOUT, STDERR, COMBINED, SYSTEM] {
                let name = format!("attempt-{}/{log}", attempt.number);
                add(name.clone(), self.root().join(name));
            }
        }
        // What was never written, because the run did not come so far, is left out.
        entries.retain(|entry| entry.path.is_file());
        for file in self.all()? {
            entries.push(Entry { name: format!("{id}/output/{}", file.left.path), path: file.path });
        }
        Ok(entries)
    }
}

fn tar_of(entries: &[Entry], out: &mut Pieces) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    for Entry { name, path } in entries {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(modified(&file));
        archive.append_data(&mut header, name, Exactly { file, left: size })?;
    }
    archive.finish()
}

fn zip_of(entries: &[Entry], out: &mut Pieces) -> io::Result<()> {
    let mut archive = zip::ZipWriter::new_stream(out);
    let mut taken = HashSet::new();
    for Entry { name, path } in entries {
        let mut file = File::open(path)?;
        let large = file.metadata()?.len() >= u64::from(u32::MAX);
        archive.start_file(
            zip_name(name, &mut taken),
            SimpleFileOptions::default().large_file(large).unix_permissions(0o644),
        )?;
        io::copy(&mut file, &mut archive)?;
    }
    archive.finish()?;
    Ok(())
}

/// A name that is not taken, without backslashes: Windows reads them as slashes, so that `..\x` would lie elsewhere.
fn zip_name(name: &str, taken: &mut HashSet<String>) -> String {
    let mut name = name.replace('\\', "_");
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
}

fn modified(file: &File) -> u64 {
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
    modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
}

/// A file that is as long as was said of it: what it has grown by is left out, what it has lost is zeroes.
struct Exactly {
    file: File,
    left: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..room];
        let read = match self.file.read(buffer)? {
            0 => {
                buffer.fill(0);
                room
            }
            read => read,
        };
        self.left -= read as u64;
        Ok(read)
    }
}

/// Sends what is written, a piece at a time.
struct Pieces {
    send: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads the archive any more");
        self.send.blocking_send(Ok(piece.into())).map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_zip_files_lead_nowhere_else_and_differ() {
        let mut taken = HashSet::new();
        let names = ["a/b", "a_b", r"a\b", r"..\..\x", r"a\b_"].map(|name| zip_name(name, &mut taken));
        assert_eq!(names, ["a/b", "a_b", "a_b_", ".._.._x", "a_b__"]);
    }
}
