//! A run as one tar or zip archive, produced piece by piece as the client reads: never whole in memory, and a slow
//! reader blocks no thread.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::IntoIter;

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::task::spawn_blocking;
use zip::ZipWriter;
use zip::write::{SimpleFileOptions, StreamWriter};

use super::super::Result;
use super::files::RunFolder;
use crate::engine::logs::{COMBINED, STDERR, STDOUT, SYSTEM};

/// Size of a piece, in bytes; a piece may be a little larger.
const PIECE: usize = 128 * 1024;
/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;
/// Block size of the tar format, in bytes: each part is padded to a multiple of it.
const RECORD: u64 = 512;

/// The format of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveForm {
    Tar,
    Zip,
}

/// A file to be added to an archive, under this name.
struct Entry {
    name: String,
    path: PathBuf,
}

impl RunFolder {
    /// The run's record, logs and outputs, each below a folder named by the run's id, in pieces. An error among them
    /// truncates the archive.
    ///
    /// # Errors
    /// [`super::super::Error::NotFound`] if an output no longer exists.
    pub async fn archive(self, form: ArchiveForm) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + use<>> {
        let entries = spawn_blocking(move || self.entries()).await??;
        Ok(stream::unfold(Some(Archive::new(entries, form)), async |archive| {
            let mut archive = archive?;
            let made = spawn_blocking(move || archive.piece().map(|piece| piece.map(|piece| (piece, archive)))).await;
            match made.map_err(io::Error::other).flatten() {
                Ok(Some((piece, archive))) => Some((Ok(piece), Some(archive))),
                Ok(None) => None,
                Err(why) => Some((Err(why), None)),
            }
        }))
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
        // Files that were never written, because the run did not get that far, are left out.
        entries.retain(|entry| entry.path.is_file());
        for file in self.all()? {
            entries.push(Entry { name: format!("{id}/output/{}", file.left.path), path: file.path });
        }
        Ok(entries)
    }
}

/// An archive while it is produced.
struct Archive {
    entries: IntoIter<Entry>,
    /// The file that is being added, the size in its header, and how much of it is still to come.
    open: Option<(File, u64, u64)>,
    writer: Writer,
    made: Made,
}

enum Writer {
    Tar(tar::Builder<Made>),
    Zip(Box<ZipWriter<StreamWriter<Made>>>, HashSet<String>),
    Done,
}

/// Bytes that were produced and not read yet.
#[derive(Clone, Default)]
struct Made(Arc<Mutex<Vec<u8>>>);

impl Archive {
    fn new(entries: Vec<Entry>, form: ArchiveForm) -> Self {
        let made = Made::default();
        let writer = match form {
            ArchiveForm::Tar => Writer::Tar(tar::Builder::new(made.clone())),
            ArchiveForm::Zip => Writer::Zip(Box::new(ZipWriter::new_stream(made.clone())), HashSet::new()),
        };
        Self { entries: entries.into_iter(), open: None, writer, made }
    }

    /// The next piece; `None` after the last.
    fn piece(&mut self) -> io::Result<Option<Bytes>> {
        while self.made.bytes().len() < PIECE && !matches!(self.writer, Writer::Done) {
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
        let Some(Entry { name, path }) = self.entries.next() else {
            return match std::mem::replace(&mut self.writer, Writer::Done) {
                Writer::Tar(mut tar) => tar.finish(),
                Writer::Zip(zip, _) => zip.finish().map(drop).map_err(Into::into),
                Writer::Done => Ok(()),
            };
        };
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        match &mut self.writer {
            Writer::Tar(tar) => {
                let mut header = tar::Header::new_gnu();
                header.set_size(size);
                header.set_mode(0o644);
                header.set_mtime(modified(&file));
                // Only the header: the content follows in `go_on`, as the client reads.
                tar.append_data(&mut header, name, io::empty())?;
            }
            Writer::Zip(zip, taken) => {
                let options = SimpleFileOptions::default().large_file(size >= u64::from(u32::MAX));
                zip.start_file(zip_name(&name, taken), options.unix_permissions(0o644))?;
            }
            Writer::Done => {}
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
            Writer::Tar(_) => {
                self.made.write_all(&block[..length])?;
                if left == 0 {
                    let padding = size.next_multiple_of(RECORD) - size;
                    self.made.write_all(&[0; RECORD as usize][..padding as usize])?;
                }
            }
            Writer::Zip(zip, _) => zip.write_all(&block[..length])?,
            Writer::Done => {}
        }
        if left > 0 {
            self.open = Some((file, size, left));
        }
        Ok(())
    }
}

impl Made {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Made {
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

    fn entries(folder: &std::path::Path, sizes: &[usize]) -> Vec<Entry> {
        let entry = |(number, size): (usize, &usize)| {
            let (name, path) = (format!("{}/f{number}", "long".repeat(60)), folder.join(number.to_string()));
            std::fs::write(&path, vec![number as u8; *size]).unwrap();
            Entry { name, path }
        };
        sizes.iter().enumerate().map(entry).collect()
    }

    fn whole(mut archive: Archive) -> Vec<u8> {
        let pieces = std::iter::from_fn(|| archive.piece().unwrap());
        let pieces = pieces.inspect(|piece| assert!(piece.len() <= 2 * PIECE, "a piece is {} bytes", piece.len()));
        pieces.flatten().collect()
    }

    #[test]
    fn pieces_make_a_whole_archive() {
        let sizes = [0, 1, 511, 512, 513, BLOCK - 1, BLOCK, BLOCK + 1, 5 * PIECE + 7];
        let folder = tempfile::tempdir().unwrap();
        let tar = whole(Archive::new(entries(folder.path(), &sizes), ArchiveForm::Tar));
        let mut tar = tar::Archive::new(&*tar);
        let mut found = Vec::new();
        for (number, file) in tar.entries().unwrap().enumerate() {
            let mut content = Vec::new();
            file.unwrap().read_to_end(&mut content).unwrap();
            assert!(content.iter().all(|byte| *byte == number as u8));
            found.push(content.len());
        }
        assert_eq!(found, sizes);
        let zip = whole(Archive::new(entries(folder.path(), &sizes), ArchiveForm::Zip));
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
            let mut archive = Archive::new(entries, ArchiveForm::Tar);
            let mut bytes = archive.piece().unwrap().unwrap().to_vec();
            std::fs::write(path, vec![1; now]).unwrap();
            bytes.extend(whole(archive));
            let mut tar = tar::Archive::new(&*bytes);
            let sizes: Vec<u64> = tar.entries().unwrap().map(|file| file.unwrap().size()).collect();
            assert_eq!(sizes, [5 * PIECE as u64, 3]);
        }
    }
}
