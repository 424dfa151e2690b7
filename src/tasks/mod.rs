//! Background reconcilers: each compares what is with what should be and closes the gap. They take no input other than
//! "wake up", can be killed at any await, and do no retries of their own: the next wake-up is the retry.

mod cleanup;
mod file_removal;
mod index_renew;
mod index_sync;
mod judge_again;
mod run_sweep;
mod run_worker;
mod scan_due;
mod scan_worker;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::sync::CancellationToken;

use crate::app::{self, App};

/// How long a task that failed rests.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// One background task.
pub trait Reconcile: Send + Sync + 'static {
    /// For logs and metrics.
    const NAME: &'static str;
    /// It looks at least this often, so that a lost wake-up costs only time.
    const PERIOD: Duration;

    /// Comes back when there may be something to do.
    fn wake(app: &App) -> impl Future<Output = ()> + Send;

    /// Closes the gap, or a part of it: true asks to be called again at once.
    fn reconcile(app: &App, stop: &CancellationToken) -> impl Future<Output = app::Result<bool>> + Send;
}

/// Starts every task. They end soon after `stop`.
///
/// # Errors
/// The cron clock cannot be started.
pub async fn start(app: &App, stop: &CancellationToken) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    tasks.spawn(drive::<scan_due::ScanDue>(app.clone(), stop.clone()));
    for _ in 0..app.settings().scan.workers {
        tasks.spawn(drive::<scan_worker::ScanWorker>(app.clone(), stop.clone()));
    }
    for _ in 0..app.settings().runs.workers {
        tasks.spawn(drive::<run_worker::RunWorker>(app.clone(), stop.clone()));
    }
    if app.settings().runs.workers > 0 {
        tasks.spawn(drive::<run_sweep::RunSweep>(app.clone(), stop.clone()));
    }
    tasks.spawn(drive::<index_sync::IndexSync>(app.clone(), stop.clone()));
    tasks.spawn(drive::<index_renew::IndexRenew>(app.clone(), stop.clone()));
    tasks.spawn(drive::<judge_again::JudgeAgain>(app.clone(), stop.clone()));
    tasks.spawn(drive::<cleanup::Cleanup>(app.clone(), stop.clone()));
    tasks.spawn(drive::<file_removal::FileRemoval>(app.clone(), stop.clone()));
    tasks.spawn(strike_minutes(app.clone(), stop.clone()));
    let clock = cron_clock(app).await?;
    let stopped = stop.clone();
    tasks.spawn(async move {
        stopped.cancelled().await;
        let mut clock = clock;
        _ = clock.shutdown().await;
    });
    Ok(tasks)
}

/// Strikes every minute. Only a wake-up: whether a scan is due stands in the store.
async fn cron_clock(app: &App) -> anyhow::Result<JobScheduler> {
    let clock = JobScheduler::new().await?;
    let app = app.clone();
    let strike = Job::new_async("0 * * * * *", move |_, _| {
        app.signals().minute.notify_one();
        Box::pin(async {})
    })?;
    clock.add(strike).await?;
    clock.start().await?;
    Ok(clock)
}

/// Strikes as well, a minute after the minute before: the cron clock goes by the time of day, so it stands still for as long
/// as that was set back.
async fn strike_minutes(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => app.signals().minute.notify_one(),
            () = stop.cancelled() => return,
        }
    }
}

async fn drive<T: Reconcile>(app: App, stop: CancellationToken) {
    // There from the start, so that a first failure shows as a rise.
    metrics::counter!("silo_task_failures_total", "task" => T::NAME).increment(0);
    while !stop.is_cancelled() {
        match T::reconcile(&app, &stop).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(why) => {
                metrics::counter!("silo_task_failures_total", "task" => T::NAME).increment(1);
                match why {
                    // The store has told once what all tasks would tell.
                    app::Error::StoreAway(why) => tracing::debug!(task = T::NAME, why, "a background task waits"),
                    why => {
                        tracing::error!(task = T::NAME, %why, "a background task failed; it tries again at its next wake-up");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(AFTER_FAILURE) => {} // because a full disk or a gone database would spin
                    () = stop.cancelled() => return,
                }
            }
        }
        tokio::select! {
            // A wake-up that came while we looked is not lost: `notify_one` keeps it for the next who waits.
            _ = tokio::time::timeout(T::PERIOD, T::wake(&app)) => {}
            () = stop.cancelled() => return,
        }
    }
}
