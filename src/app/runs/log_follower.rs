//! A log that is read while it grows.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::time::Duration;

use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::super::App;
use super::super::accounts::UserSession;
use crate::engine::run::logs::whole_characters;

/// Most bytes of a piece.
const PIECE: usize = 64 * 1024;
/// Poll interval of a log that does not grow: its writer may be another process.
const PACE: Duration = Duration::from_millis(200);

/// A log that is read while it grows.
pub struct LogFollower {
    app: App,
    session: UserSession,
    /// Id of the run.
    id: String,
    path: PathBuf,
    /// Bytes that were read.
    read: u64,
    /// Whether the run had ended before the log was last read.
    is_over: bool,
}

impl LogFollower {
    /// Follows the log at a path from a byte.
    pub fn new(app: App, session: UserSession, id: String, path: PathBuf, from: u64) -> Self {
        Self { app, session, id, path, read: from, is_over: false }
    }

    /// The number of bytes of the log up to the end of the last piece.
    pub fn position(&self) -> u64 {
        self.read
    }

    /// The next piece; `None` when the run has ended and everything was read.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            match self.piece().await {
                Ok(piece) if !piece.is_empty() => {
                    self.read += piece.len() as u64;
                    return Some(piece);
                }
                Ok(_) if self.is_over => return None,
                Ok(_) => {}
                // The log does not exist yet, or was deleted.
                Err(_) if self.is_over => return None,
                Err(_) => {}
            }
            // Checked before the log is read again, so that nothing is missed.
            self.is_over = match self.app.run_wait(&self.session, &self.id, PACE).await {
                Ok(run) => run.status.is_final(),
                Err(_) => true,
            };
        }
    }

    /// Reads bytes after those that were read: up to the end of a line, or of a character, unless the log has ended. A
    /// log that is shorter than what was read is being written anew after a restart, and will reach that length.
    async fn piece(&self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path).await?;
        if file.metadata().await?.len() <= self.read {
            return Ok(Vec::new());
        }
        file.seek(SeekFrom::Start(self.read)).await?;
        let mut piece = Vec::with_capacity(PIECE);
        file.take(PIECE as u64).read_to_end(&mut piece).await?;
        // A prompt or a progress bar is sent though its line is not finished.
        let feed = piece.iter().rposition(|byte| *byte == b'\n');
        let whole = feed.map_or_else(|| whole_characters(&piece), |feed| feed + 1);
        if !self.is_over || piece.len() == PIECE {
            piece.truncate(whole);
        }
        Ok(piece)
    }
}
