//! The walk over a registry: its repositories, their tags, the tags' digests and the digests' contents. Findings are
//! stored in steps while the walk continues.
//!
//! Requests run as tasks, a bounded number at a time; all state changes in one place, [`RegistryWalk::take`]. Tags are read
//! before further repositories are listed, so that a walk that is stopped has finished the repositories it began.

mod plan;
mod results;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::tag_reader::{TagReadError, TagReader, TagReading};
use super::{ScanInput, problem};
use crate::catalog::{
    ContentProblem, ContentSummary, ContentTrust, FoundTag, HintId, ImageId, RepositoryState, ScanTrigger, StoredTag,
    TagCounts, diff,
};
use crate::registry::{Error, ListedTag, SourceListing};
use crate::store::{self, ScanStep};
use results::UnreadTag;

/// The first step is stored after this time, or after `Input::step` if that is shorter.
const FIRST_STEP: Duration = Duration::from_millis(500);
/// The most tags that wait for the next step.
const MOST_WAITING: usize = 2000;
/// Tasks per allowed request in flight: some tasks query the store or validate.
const TASKS_PER_REQUEST: usize = 2;

/// Why a walk has no result.
pub(super) enum ScanAbort {
    Registry(Error),
    Store(store::Error),
}

impl From<store::Error> for ScanAbort {
    fn from(why: store::Error) -> Self {
        ScanAbort::Store(why)
    }
}

/// A walk in progress. Keeps its state if the future of [`RegistryWalk::run`] is dropped.
pub(super) struct RegistryWalk<'a> {
    input: &'a ScanInput<'a>,
    reader: TagReader,
    tasks: JoinSet<WalkEvent>,
    /// Repositories to list, and tags to read.
    listings: VecDeque<String>,
    reads: VecDeque<PendingRead>,
    /// Repositories with tags that are not read yet.
    open: HashMap<Arc<str>, OpenRepository>,
    /// State of the repositories after earlier scans, and the stored problems by repository and tag.
    states: HashMap<String, RepositoryState>,
    stored_problems: HashMap<String, HashMap<String, Vec<ContentProblem>>>,
    /// Digests that this walk found, with the state of their content.
    digests: HashMap<String, DigestState>,
    /// Hints that wait for their repository, by repository; and the ids of all hints seen.
    hints: HashMap<String, Vec<HintId>>,
    hints_seen: HashSet<HintId>,
    /// Repositories whose listing was started.
    begun: HashSet<String>,
    /// Repositories to list again; and those of them that wait until the current step is stored, because what was found
    /// in them before has to be in the store, else it would be found as new again.
    again: Vec<String>,
    after_step: Vec<String>,
    /// Repositories that the registry has and that are selected.
    wanted: HashSet<String>,
    /// Images that repositories no longer have, for those listed completely by this scan.
    missing: HashMap<String, Vec<ImageId>>,
    /// Outcomes already counted, of repositories that this scan has finished.
    tallies: HashMap<String, TagCounts>,
    /// Content of the next step.
    step: ScanStep,
    found: Vec<(Option<StoredTag>, FoundTag)>,
    next_step: Instant,
    committing: Option<BoxFuture<'a, store::Result<()>>>,
    /// Why the listing is incomplete; the first reason.
    incomplete: Option<String>,
    failures: FailuresInARow,
    /// When a listing or reading last succeeded; initially the start of the walk.
    last_heard: Instant,
    /// Why the first repository was refused; `None` if none was.
    refused: Option<Error>,
    /// Number of new digests not pulled because of the pull quota, and the reason.
    unpulled: (u32, String),
}

/// Requests in a row without an answer, by kind: a registry that answers listings may fail all other requests.
#[derive(Default)]
struct FailuresInARow {
    listings: u32,
    reads: u32,
}

impl FailuresInARow {
    fn any(&self) -> bool {
        self.listings > 0 || self.reads > 0
    }
}

/// The result of a walk.
pub(super) struct WalkResult {
    pub step: ScanStep,
    pub incomplete: Option<String>,
    pub wanted: HashSet<String>,
    pub missing: HashMap<String, Vec<ImageId>>,
    /// Names of the repositories known from earlier scans.
    pub known: Vec<String>,
}

/// The result of a task.
enum WalkEvent {
    Listed(String, Result<RepositoryListing, TagReadError>),
    Read { repository: Arc<str>, tag: String, stored: Option<StoredTag>, seen: Result<TagReading, TagReadError> },
}

struct RepositoryListing {
    listing: SourceListing<ListedTag>,
    stored: Vec<StoredTag>,
    /// What the store knows of the listing's digests that differ from the stored ones.
    standings: HashMap<String, ContentTrust>,
}

struct PendingRead {
    repository: Arc<str>,
    tag: ListedTag,
    stored: Option<StoredTag>,
    standing: Option<ContentTrust>,
}

/// A repository in progress.
struct OpenRepository {
    /// Its items (the listing, then tags) that are not finished.
    left: usize,
    state: RepositoryState,
    /// Whether its tags were listed, and are counted.
    is_listed: bool,
    /// Why its new state must not be relied on.
    failure: Option<String>,
    /// The hints it is listed for. A hint that arrives later may be about something the listing does not contain.
    hints: Vec<HintId>,
}

/// State of a digest that is new to the registry.
enum DigestState {
    /// Tags that wait for its content.
    Awaited(Vec<(Arc<str>, String, Option<StoredTag>)>),
    Known(ContentSummary),
    Unread(UnreadTag),
}

impl<'a> RegistryWalk<'a> {
    pub(super) fn new(input: &'a ScanInput<'a>) -> Self {
        Self {
            input,
            reader: TagReader::new(input.source.clone(), input.store.clone(), input.registry.id),
            tasks: JoinSet::new(),
            listings: VecDeque::new(),
            reads: VecDeque::new(),
            open: HashMap::new(),
            states: HashMap::new(),
            stored_problems: HashMap::new(),
            digests: HashMap::new(),
            hints: HashMap::new(),
            hints_seen: HashSet::new(),
            begun: HashSet::new(),
            again: Vec::new(),
            after_step: Vec::new(),
            wanted: HashSet::new(),
            missing: HashMap::new(),
            tallies: HashMap::new(),
            step: ScanStep::default(),
            found: Vec::new(),
            next_step: Instant::now() + FIRST_STEP.min(input.step),
            committing: None,
            incomplete: None,
            failures: FailuresInARow::default(),
            last_heard: Instant::now(),
            refused: None,
            unpulled: (0, String::new()),
        }
    }

    /// Runs the walk. Only a failed listing of repositories, wrong credentials or an error of the store abort it; other
    /// errors are recorded.
    pub(super) async fn run(&mut self) -> Result<(), ScanAbort> {
        self.remember().await?;
        if self.input.scan.trigger != ScanTrigger::Hook {
            self.list_repositories().await?;
        }
        self.follow_hints().await?;
        loop {
            self.start_tasks();
            if self.tasks.is_empty() {
                self.finish_commit().await?;
                // A client that sent a hint while the scan was active relies on this scan to follow it.
                self.follow_hints().await?;
                if !self.again.is_empty() {
                    self.commit();
                } else if self.listings.is_empty() {
                    return Ok(());
                }
                continue;
            }
            let is_due = self.committing.is_none() && self.has_news();
            tokio::select! {
                Some(event) = self.tasks.join_next() => {
                    if self.take(event)? {
                        return Ok(());
                    }
                }
                outcome = wait(&mut self.committing) => {
                    outcome?;
                    self.committed().await?;
                }
                () = tokio::time::sleep_until(self.next_step), if is_due => self.commit(),
                () = tokio::time::sleep_until(self.last_heard + self.input.patience), if self.failures.any() => {
                    self.is_gone(&format!("nothing could be read for {} s", self.input.patience.as_secs()));
                    return Ok(());
                }
            }
            if self.found.len() >= MOST_WAITING {
                self.finish_commit().await?;
                self.commit();
            }
        }
    }

    /// Marks the listing as incomplete, so that nothing is removed.
    pub(super) fn end_early(&mut self, why: String) {
        self.incomplete.get_or_insert(why);
    }

    /// Returns what is left to store, and the result of the walk.
    pub(super) async fn end(mut self) -> store::Result<WalkResult> {
        self.tasks.abort_all();
        self.finish_commit().await?;
        if let (count @ 1.., why) = &self.unpulled {
            let why = format!("{count} new images wait for the next scan: {why}");
            self.step.problems.push(problem("pulls-spent", "", "", &why));
            self.end_early(why);
        }
        // An account that is refused every repository has seen nothing, and proves nothing gone.
        if let Some(why) = self.refused.take()
            && self.input.progress.counts(self.input.source).repositories_done == 0
        {
            self.end_early(format!("none of the repositories could be read: {why}"));
        }
        let step = self.next();
        let known = self.states.into_keys().collect();
        Ok(WalkResult { step, incomplete: self.incomplete, wanted: self.wanted, missing: self.missing, known })
    }

    fn start_tasks(&mut self) {
        while self.tasks.len() < self.input.concurrency * TASKS_PER_REQUEST {
            let reader = self.reader.clone();
            if let Some(PendingRead { repository, tag, stored, standing }) = self.reads.pop_front() {
                self.tasks.spawn(async move {
                    let name = tag.name.clone();
                    let seen = reader.read(&repository, tag, stored.as_ref(), standing).await;
                    WalkEvent::Read { repository, tag: name, stored, seen }
                });
            } else if let Some(repository) = self.listings.pop_front() {
                self.begin(&repository);
                self.tasks.spawn(async move {
                    let listed = list(&reader, &repository).await;
                    WalkEvent::Listed(repository, listed)
                });
            } else {
                return;
            }
        }
    }

    fn begin(&mut self, repository: &str) {
        if let Some(tally) = self.tallies.remove(repository) {
            // A repository that is listed again is counted anew.
            self.input.progress.update(|counts| {
                counts.repositories_done = counts.repositories_done.saturating_sub(1);
                counts.tags = counts.tags.saturating_sub(tally.sum());
                counts.tags_done = counts.tags_done.saturating_sub(tally.sum());
                counts.outcomes.take(&tally);
            });
        }
        let (now, change_signal) = (self.input.clock.now(), self.signal(repository));
        let known = self.states.get(repository).filter(|state| state.change_signal == change_signal);
        let state = RepositoryState {
            name: repository.to_owned(),
            listed_by: self.input.scan.id,
            listed_at: Some(now),
            signal_since: known.and_then(|state| state.signal_since).or(Some(now)),
            change_signal,
            ..RepositoryState::default()
        };
        self.begun.insert(repository.to_owned());
        let hints = self.hints.remove(repository).unwrap_or_default();
        self.open.insert(repository.into(), OpenRepository { left: 1, state, is_listed: false, failure: None, hints });
    }

    fn has_news(&self) -> bool {
        !self.found.is_empty()
            || !self.step.repositories.is_empty()
            || !self.step.hints.is_empty()
            || !self.again.is_empty()
    }

    /// Takes the findings since the last step, in an order that does not depend on the order of replies.
    fn next(&mut self) -> ScanStep {
        let mut step = std::mem::take(&mut self.step);
        let mut found = std::mem::take(&mut self.found);
        found.sort_by(|(_, a), (_, b)| (&a.repository, &a.tag).cmp(&(&b.repository, &b.tag)));
        let (stored, found): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let stored: Vec<StoredTag> = stored.into_iter().flatten().collect();
        step.changes = diff(&stored, &found, false);
        step.problems.sort_by(|a, b| (&a.repository, &a.tag, &a.code).cmp(&(&b.repository, &b.tag, &b.code)));
        self.input.progress.update(|counts| counts.problems += step.problems.len() as u64);
        step.counts = self.input.progress.counts(self.input.source);
        step
    }

    /// Starts to store a step; the walk continues meanwhile.
    fn commit(&mut self) {
        self.after_step.append(&mut self.again);
        let (input, step) = (self.input, self.next());
        self.committing =
            Some(Box::pin(async move { input.store.scan_step(input.claim, &step, input.clock.now()).await }));
    }

    async fn finish_commit(&mut self) -> store::Result<()> {
        if self.committing.is_some() {
            wait(&mut self.committing).await?;
            self.committed().await?;
        }
        Ok(())
    }

    async fn committed(&mut self) -> store::Result<()> {
        (self.input.committed)();
        self.reader.forget_configs();
        for repository in self.after_step.drain(..) {
            self.listings.push_front(repository);
        }
        self.next_step = Instant::now() + self.input.step;
        self.follow_hints().await
    }
}

/// Waits for the step that is being stored; forever if there is none.
async fn wait(committing: &mut Option<BoxFuture<'_, store::Result<()>>>) -> store::Result<()> {
    match committing {
        None => std::future::pending().await,
        Some(future) => {
            let outcome = future.await;
            *committing = None;
            outcome
        }
    }
}

async fn list(reader: &TagReader, repository: &str) -> Result<RepositoryListing, TagReadError> {
    let listing = reader.source.tags(repository).await?;
    let stored = reader.store.image_tags_of(reader.registry, repository).await?;
    let known: HashSet<&str> = stored.iter().map(|row| row.digest.as_str()).collect();
    let digests = listing.items.iter().filter_map(|tag| tag.digest.as_deref());
    let new: HashSet<String> = digests.filter(|digest| !known.contains(digest)).map(str::to_owned).collect();
    let standings = reader.store.content_trust(reader.registry, &new).await?;
    Ok(RepositoryListing { listing, stored, standings })
}
