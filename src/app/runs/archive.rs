//! A run as one tar or zip archive, produced piece by piece as the client reads: never whole in memory, and a slow
//! reader blocks no thread.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;
use futures_util::{Stream, stream};
use parking_lot::{Mutex, MutexGuard};
use tokio::task::spawn_blocking;
use zip::ZipWriter;
use zip::write::{SimpleFileOptions, StreamWriter};

use super::super::Result;
use super::files::RunFolder;
use crate::engine::run::logs::{COMBINED, STDERR, STDOUT, SYSTEM};

/// Size of a piece, in bytes; a piece may be a little larger.
const PIECE: usize = 128 * 1024;
/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;
/// Block size of the tar format, in bytes: each part is padded to a multiple of it.
const RECORD: u64 = 512;

/// The format of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveFormat {
    Tar,
    Zip,
}

/// A file to be added to an archive, under this name.
struct RunArchiveEntry {
    name: String,
    path: PathBuf,
}

impl RunFolder {
    /// The run's record, logs and outputs, each below a folder named by the run's id, in pieces. An error among them
    /// truncates the archive.
    ///
    /// # Errors
    /// [`super::super::Error::NotFound`] if an output no longer exists.
    pub async fn archive(self, form: ArchiveFormat) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
        let entries = spawn_blocking(move || self.entries()).await??;
        Ok(stream::unfold(Some(RunArchive::new(entries, form)), async |archive| {
            let mut archive = archive?;
            let made = spawn_blocking(move || archive.piece().map(|piece| piece.map(|piece| (piece, archive)))).await;
            match made.map_err(io::Error::other).flatten() {
                Ok(Some((piece, archive))) => Some((Ok(piece), Some(archive))),
                Ok(None) => None,
                Err(why) => Some((Err(why), None)),
            }
        }))
    }

    fn entries(&self) -> Result<Vec<RunArchiveEntry>> {
        let id = &self.record.id;
        let mut entries = Vec::new();
        let mut add =
            |name: String, path: PathBuf| entries.push(RunArchiveEntry { name: format!("{id}/{name}"), path });
        for name in ["job.json", "inputs.json", "run.sh"] {
            add(name.to_owned(), self.root().join(name));
        }
        for attempt in &self.record.attempts {
            for log in [STDOUT, STDERR, COMBINED, SYSTEM] {
                let name = format!("attempt-{}/{log}", attempt.number);
                add(name.clone(), self.root().join(name));
            }
        }
        // Files that were never written, because the run did not get that far, are left out.
        entries.retain(|entry| entry.path.is_file());
        for file in self.all()? {
            entries.push(RunArchiveEntry { name: format!("{id}/output/{}", file.left.path), path: file.path });
        }
        Ok(entries)
    }
}

/// An archive while it is produced.
struct RunArchive {
    entries: IntoIter<RunArchiveEntry>,
    /// The file that is being added, the size in its header, and how much of it is still to come.
    open: Option<(File, u64, u64)>,
    writer: ArchiveWriter,
    made: ArchiveBuffer,
}

enum ArchiveWriter {
    Tar(tar::Builder<ArchiveBuffer>),
    Zip(Box<ZipWriter<StreamWriter<ArchiveBuffer>>>, HashSet<String>),
    Done,
}

/// Bytes that were produced and not read yet.
#[derive(Clone, Default)]
struct ArchiveBuffer(Arc<Mutex<Vec<u8>>>);

impl RunArchive {
    fn new(entries: Vec<RunArchiveEntry>, form: ArchiveFormat) -> Self {
        let made = ArchiveBuffer::default();
        let writer = match form {
            ArchiveFormat::Tar => ArchiveWriter::Tar(tar::Builder::new(made.clone())),
            ArchiveFormat::Zip => ArchiveWriter::Zip(Box::new(ZipWriter::new_stream(made.clone())), HashSet::new()),
        };
        Self { entries: entries.into_iter(), open: None, writer, made }
    }

    /// The next piece; `None` after the last.
    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        while self.made.bytes().len() < PIECE && !matches!(self.writer, ArchiveWriter::Done) {
            match self.open.take() {
                Some((file, size, left)) => self.go_on(file, size, left)?,
                None => self.open_next()?,
            }
        }
        let piece = std::mem::take(&mut *self.made.bytes());
        Ok((!piece.is_empty()).then(|| piece.into()))
    }

    /// Begins the next file, or ends the archive.
    fn open_next(&mut self) -> io::Result<()> {
        let Some(RunArchiveEntry { name, path }) = self.entries.next() else {
            return match std::mem::replace(&mut self.writer, ArchiveWriter::Done) {
                ArchiveWriter::Tar(mut tar) => tar.finish(),
                ArchiveWriter::Zip(zip, _) => zip.finish().map(drop).map_err(Into::into),
                ArchiveWriter::Done => Ok(()),
            };
        };
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        match &mut self.writer {
            ArchiveWriter::Tar(tar) => {
                let mut header = tar::Header::new_gnu();
                header.set_size(size);
                header.set_mode(0o644);
                header.set_mtime(modified(&file));
                // Only the header: the content follows in `go_on`, as the client reads.
                tar.append_data(&mut header, name, io::empty())?;
            }
            ArchiveWriter::Zip(zip, taken) => {
                let options = SimpleFileOptions::default().large_file(size >= u64::from(u32::MAX));
                zip.start_file(zip_name(&name, taken), options.unix_permissions(0o644))?;
            }
            ArchiveWriter::Done => {}
        }
        self.open = Some((file, size, size));
        Ok(())
    }

    /// Adds a block of a file. The file keeps the size in its header: growth is left out, loss is filled with zeroes.
    fn go_on(&mut self, mut file: File, size: u64, left: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK.min(usize::try_from(left).unwrap_or(BLOCK))];
        let length = match file.read(&mut block)? {
            0 => block.len(),
            read => read,
        };
        let left = left - length as u64;
        match &mut self.writer {
            ArchiveWriter::Tar(_) => {
                self.made.write_all(&block[..length])?;
                if left == 0 {
                    let padding = size.next_multiple_of(RECORD) - size;
                    self.made.write_all(&[0; RECORD as usize][..padding as usize])?;
                }
            }
            ArchiveWriter::Zip(zip, _) => zip.write_all(&block[..length])?,
            ArchiveWriter::Done => {}
        }
        if left > 0 {
            self.open = Some((file, size, left));
        }
        Ok(())
    }
}

impl ArchiveBuffer {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock()
    }
}

impl Write for ArchiveBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn modified(file: &File) -> u64 {
    let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
    modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
}

/// An unused name without backslashes: Windows takes them for separators, so that `..\x` would lie elsewhere.
fn zip_name(name: &str, taken: &mut HashSet<String>) -> String {
    let mut name = name.replace('\\', "_");
    while !taken.insert(name.clone()) {
        name.push('_');
    }
    name
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

    fn entries(folder: &std::path::Path, sizes: &[usize]) -> Vec<RunArchiveEntry> {
        let entry = |(number, size): (usize, &usize)| {
            let (name, path) = (format!("{}/f{number}", "long".repeat(60)), folder.join(number.to_string()));
            std::fs::write(&path, vec![number as u8; *size]).unwrap();
            RunArchiveEntry { name, path }
        };
        sizes.iter().enumerate().map(entry).collect()
    }

    fn whole(mut archive: RunArchive) -> Vec<u8> {
        let pieces = std::iter::from_fn(|| archive.piece().unwrap());
        let pieces = pieces.inspect(|piece| assert!(piece.len() <= 2 * PIECE, "a piece is {} bytes", piece.len()));
        pieces.flatten().collect()
    }

    #[test]
    fn pieces_make_a_whole_archive() {
        let sizes = [0, 1, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1, 5 * PIECE + 7];
        let folder = tempfile::tempdir().unwrap();
        let tar = whole(RunArchive::new(entries(folder.path(), &sizes), ArchiveFormat::Tar));
        let mut tar = tar::Archive::new(&*tar);
        let mut found = Vec::new();
        for (number, file) in tar.entries().unwrap().enumerate() {
            let mut content = Vec::new();
            file.unwrap().read_to_end(&mut content).unwrap();
            assert!(content.iter().all(|byte| *byte == number as u8));
            found.push(content.len());
        }
        assert_eq!(found, sizes);
        let zip = whole(RunArchive::new(entries(folder.path(), &sizes), ArchiveFormat::Zip));
        let mut zip = zip::ZipArchive::new(io::Cursor::new(zip)).unwrap();
        let found: Vec<usize> = (0..zip.len()).map(|index| zip.by_index(index).unwrap().size() as usize).collect();
        assert_eq!(found, sizes);
    }

    #[test]
    fn a_file_that_changes_is_as_long_as_was_said_of_it() {
        let folder = tempfile::tempdir().unwrap();
        for now in [0, 10 * PIECE] {
            let entries = entries(folder.path(), &[5 * PIECE, 3]);
            let path = entries[0].path.clone();
            let mut archive = RunArchive::new(entries, ArchiveFormat::Tar);
            let mut bytes = archive.piece().unwrap().unwrap().to_vec();
            std::fs::write(path, vec![1; now]).unwrap();
            bytes.extend(whole(archive));
            let mut tar = tar::Archive::new(&*bytes);
            let sizes: Vec<u64> = tar.entries().unwrap().map(|file| file.unwrap().size()).collect();
            assert_eq!(sizes, [5 * PIECE as u64, 3]);
        }
    }
}
