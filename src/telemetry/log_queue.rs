//! A queue of log lines between the program and standard error, so that logging never waits for the reader. The queue
//! is bounded, and a thread of its own writes it. Lines that find it full, or that cannot be written, are dropped and
//! counted.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};
use tracing_subscriber::fmt::MakeWriter;

/// The most bytes in the queue.
const MAX_WAITING: usize = 1 << 20;

/// The queue. Clones share it.
#[derive(Clone, Default)]
pub(super) struct LogQueue(Arc<SharedLogQueue>);

#[derive(Default)]
struct SharedLogQueue {
    state: Mutex<LogQueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogQueueState {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread has taken lines that it has not written yet.
    is_writing: bool,
}

impl LogQueue {
    /// A queue whose lines are written to `to`.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(super) fn into_writer(to: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Self::default();
        let lines = queue.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || lines.write_all_to(to))?;
        Ok(queue)
    }

    /// Waits until all lines are written, at most `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let is_busy = |state: &mut LogQueueState| state.is_writing || !state.lines.is_empty();
        _ = self.0.changed.wait_while_for(&mut self.state(), is_busy, patience);
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.state();
        if state.bytes + line.len() > MAX_WAITING {
            drop(state);
            return dropped(1);
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        self.0.changed.notify_all();
    }

    fn write_all_to(&self, mut to: impl Write) {
        loop {
            let idle = |state: &mut LogQueueState| state.lines.is_empty();
            let mut state = self.state();
            self.0.changed.wait_while(&mut state, idle);
            let lines = mem::take(&mut state.lines);
            state.is_writing = true;
            drop(state);
            for line in lines {
                // Each line in one write, because other processes may write to the same file.
                let is_written = to.write_all(&line).and_then(|()| to.flush()).is_ok();
                dropped(u64::from(!is_written));
                self.state().bytes -= line.len();
            }
            self.state().is_writing = false;
            self.0.changed.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, LogQueueState> {
        self.0.state.lock()
    }
}

fn dropped(lines: u64) {
    metrics::counter!("silo_log_lines_dropped_total").increment(lines);
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Takes the bytes of each call as one line, as tracing-subscriber writes them. Never fails.
impl Write for LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_reader_who_stands_still_stops_nobody_and_costs_bounded_memory() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut queue = LogQueue::into_writer(writer).unwrap();
        let line = |number: usize| format!("{number:>999}\n");
        // Three times the capacity of the queue and the pipe.
        let lines = 3 * (MAX_WAITING + 65_536) / 1_000;
        for number in 0..lines {
            queue.write_all(line(number).as_bytes()).unwrap();
        }
        assert!(queue.state().bytes <= MAX_WAITING);
        let mut first = vec![0; MAX_WAITING / 1_000 * 1_000];
        reader.read_exact(&mut first).unwrap();
        let expected: String = (0..MAX_WAITING / 1_000).map(line).collect();
        assert!(first == expected.as_bytes(), "what was taken comes whole and in order");
        // Reads all that follows, so that there is room again.
        thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
        queue.flush(LONG);
        assert_eq!(queue.state().bytes, 0);
    }

    #[test]
    fn a_flush_waits_for_what_was_logged_before() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut queue = LogQueue::into_writer(writer).unwrap();
        queue.write_all(b"last words\n").unwrap();
        queue.flush(LONG);
        let mut read = [0; 11];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"last words\n");
    }

    #[test]
    fn a_reader_who_is_gone_is_no_failure() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut queue = LogQueue::into_writer(writer).unwrap();
        for _ in 0..3 {
            queue.write_all(b"to nobody\n").unwrap();
            queue.flush(LONG);
        }
        assert_eq!(queue.state().bytes, 0);
    }
}
