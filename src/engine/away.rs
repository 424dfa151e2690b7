//! An engine that stops answering while a job runs. The job may run on there, so it is not given up at once, and not begun again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::runtime::{OutputChunk, OutputStream};

/// For how long a job is kept whose engine does not answer: by a service from being done by another one, by a command that waits.
pub const ENGINE_AWAY: Duration = Duration::from_secs(15 * 60);
/// How often it is asked whether it answers.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The wait for an engine that does not answer.
pub(super) struct EngineWait {
    began: Instant,
    most: Duration,
}

impl EngineWait {
    pub(super) fn begin(most: Duration) -> Self {
        Self { began: Instant::now(), most }
    }

    /// Comes back when it is to be asked again; false: it was waited for long enough.
    pub(super) async fn goes_on(&self) -> bool {
        sleep(ASK_AGAIN).await;
        self.began.elapsed() < self.most
    }
}

/// How much of a job's output was passed on. When the engine was away, it tells all of it from the beginning.
#[derive(Debug, Default)]
pub(super) struct PassedOn {
    /// Bytes of each stream: passed on in all, and told since the last beginning.
    streams: [(u64, u64); 2],
}

impl PassedOn {
    pub(super) fn begin_again(&mut self) {
        for (_, told) in &mut self.streams {
            *told = 0;
        }
    }

    /// What of this was not passed on before.
    pub(super) fn news(&mut self, chunk: OutputChunk) -> Option<OutputChunk> {
        let (passed, told) = match chunk.stream {
            OutputStream::Stdout => &mut self.streams[0],
            OutputStream::Stderr => &mut self.streams[1],
        };
        let known = usize::try_from(passed.saturating_sub(*told)).unwrap_or(usize::MAX).min(chunk.bytes.len());
        *told += chunk.bytes.len() as u64;
        *passed = (*passed).max(*told);
        let bytes = chunk.bytes.slice(known..);
        (!bytes.is_empty()).then_some(OutputChunk { bytes, ..chunk })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_engine_is_waited_for_as_long_as_it_may_be_away() {
        let (wait, began) = (EngineWait::begin(ENGINE_AWAY), Instant::now());
        while wait.goes_on().await {}
        assert_eq!(began.elapsed(), Duration::from_secs(15 * 60));
    }

    #[test]
    fn what_was_passed_on_is_not_told_again() {
        let mut passed = PassedOn::default();
        let news = |passed: &mut PassedOn, stream, bytes: &'static [u8]| {
            passed.news(OutputChunk { stream, bytes: bytes.into() }).map(|chunk| chunk.bytes.to_vec())
        };
        assert_eq!(news(&mut passed, OutputStream::Stdout, b"abc").as_deref(), Some(&b"abc"[..]));
        passed.begin_again();
        assert_eq!(news(&mut passed, OutputStream::Stdout, b"ab"), None);
        assert_eq!(news(&mut passed, OutputStream::Stderr, b"x").as_deref(), Some(&b"x"[..]));
        assert_eq!(news(&mut passed, OutputStream::Stdout, b"cde").as_deref(), Some(&b"de"[..]));
    }
}
