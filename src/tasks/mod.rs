//! Background reconcilers: each compares the actual state with the desired state and closes the gap. Their only input
//! is a wake-up; they can be killed at any await; the next wake-up is their only retry.

mod cleanup;
mod file_removal;
mod index_renew;
mod index_sync;
mod judge_again;
mod load_sampling;
mod run_sweep;
mod run_worker;
mod scan_due;
mod scan_worker;

use std::time::Duration;

use tokio::task::JoinSet;
use tokio_cron_scheduler::{Job, JobScheduler};
use tokio_util::sync::CancellationToken;

use crate::app::{self, App};

/// Pause after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// A background reconciler.
pub trait BackgroundTask: Send + Sync + 'static {
    /// Its name in logs and metrics.
    const NAME: &'static str;
    /// The longest time between two runs, so that a lost wake-up only costs time.
    const PERIOD: Duration;

    /// Returns when there may be work.
    fn wake(app: &App) -> impl Future<Output = ()> + Send;

    /// Closes the gap, or a part of it; `true` asks to be called again at once.
    fn reconcile(app: &App, stop: &CancellationToken) -> impl Future<Output = app::Result<bool>> + Send;
}

/// Starts all tasks. They end soon after `stop` is cancelled.
///
/// # Errors
/// The cron scheduler cannot be started.
pub async fn start(app: &App, stop: &CancellationToken) -> anyhow::Result<JoinSet<()>> {
    let mut tasks = JoinSet::new();
    tasks.spawn(run_reconciler::<scan_due::ScanDue>(app.clone(), stop.clone()));
    for _ in 0..app.settings().scan.workers {
        tasks.spawn(run_reconciler::<scan_worker::ScanWorker>(app.clone(), stop.clone()));
    }
    for _ in 0..app.settings().runs.workers {
        tasks.spawn(run_reconciler::<run_worker::RunWorker>(app.clone(), stop.clone()));
    }
    if app.settings().runs.workers > 0 {
        tasks.spawn(run_reconciler::<run_sweep::RunSweep>(app.clone(), stop.clone()));
    }
    tasks.spawn(run_reconciler::<index_sync::IndexSync>(app.clone(), stop.clone()));
    tasks.spawn(run_reconciler::<index_renew::IndexRenew>(app.clone(), stop.clone()));
    tasks.spawn(run_reconciler::<judge_again::ManifestRevalidation>(app.clone(), stop.clone()));
    tasks.spawn(run_reconciler::<cleanup::StoreCleanup>(app.clone(), stop.clone()));
    tasks.spawn(run_reconciler::<file_removal::FileRemoval>(app.clone(), stop.clone()));
    tasks.spawn(run_reconciler::<load_sampling::LoadSampling>(app.clone(), stop.clone()));
    tasks.spawn(notify_every_minute(app.clone(), stop.clone()));
    let clock = start_minute_cron(app).await?;
    let stopped = stop.clone();
    tasks.spawn(async move {
        stopped.cancelled().await;
        let mut clock = clock;
        _ = clock.shutdown().await;
    });
    Ok(tasks)
}

/// Notifies every minute. Only a wake-up: the store knows which scans are due.
async fn start_minute_cron(app: &App) -> anyhow::Result<JobScheduler> {
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

/// Notifies every 60 seconds as well: the cron scheduler follows the system clock, so it stops for as long as that was
/// set back.
async fn notify_every_minute(app: App, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(60)) => app.signals().minute.notify_one(),
            () = stop.cancelled() => return,
        }
    }
}

async fn run_reconciler<T: BackgroundTask>(app: App, stop: CancellationToken) {
    // Registered at the start, so that the first failure shows as an increase.
    metrics::counter!("silo_task_failures_total", "task" => T::NAME).increment(0);
    while !stop.is_cancelled() {
        match T::reconcile(&app, &stop).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(why) => {
                metrics::counter!("silo_task_failures_total", "task" => T::NAME).increment(1);
                match why {
                    // The store has logged this once for all tasks.
                    app::Error::StoreAway(why) => tracing::debug!(task = T::NAME, why, "a background task waits"),
                    why => {
                        tracing::error!(task = T::NAME, %why, "a background task failed; it retries at its next \
                                                               wake-up");
                    }
                }
                tokio::select! {
                    () = tokio::time::sleep(AFTER_FAILURE) => {} // because a full disk or a gone database would spin
                    () = stop.cancelled() => return,
                }
            }
        }
        tokio::select! {
            // A wake-up during `reconcile` is not lost: `notify_one` keeps it for the next waiter.
            _ = tokio::time::timeout(T::PERIOD, T::wake(&app)) => {}
            () = stop.cancelled() => return,
        }
    }
}
