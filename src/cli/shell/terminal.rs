//! This process's terminal and standard input, for a shell in a container.

use std::io::{Read as _, stdin, stdout};
use std::pin::Pin;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Buffer size of reads, in bytes.
const PIECE: usize = 16 * 1024;

/// The terminal in raw mode: all keys are passed on, also Ctrl-C, without echo. Restored on drop.
pub(super) struct RawTerminal(Termios);

impl RawTerminal {
    pub(super) fn enter() -> std::io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Fails if the terminal is gone, which does not matter.
        _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// Rows and columns, if standard output is a terminal with a known size.
pub(super) fn size() -> Option<(u16, u16)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

/// The terminal's size after each change.
pub(super) fn sizes() -> std::io::Result<mpsc::Receiver<(u16, u16)>> {
    let mut changed = signal(SignalKind::window_change())?;
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        while changed.recv().await.is_some() {
            if let Some(size) = size()
                && tell.send(size).await.is_err()
            {
                break;
            }
        }
    });
    Ok(told)
}

/// Forwards standard input until its end. On a thread of its own that is never joined: a read from a terminal cannot be
/// cancelled.
pub(super) fn feed(mut to: Pin<Box<dyn AsyncWrite + Send>>) {
    let (tell, mut told) = mpsc::channel::<Vec<u8>>(4);
    std::thread::spawn(move || {
        let mut piece = vec![0; PIECE];
        while let Ok(length @ 1..) = stdin().lock().read(&mut piece) {
            if tell.blocking_send(piece[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(piece) = told.recv().await {
            // The shell has exited.
            if to.write_all(&piece).await.is_err() || to.flush().await.is_err() {
                return;
            }
        }
        _ = to.shutdown().await;
    });
}
