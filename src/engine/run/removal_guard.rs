//! Guards that remove containers in every case, also when the task that waits for them is dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::engine::plan::container::ContainerSpec;
use crate::engine::runtime;
use crate::engine::runtime::ContainerRuntime;

/// Signal that this process exits and leaves its container to the next owner. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct KeepContainer {
    is_set: Arc<AtomicBool>,
    keeps_lost: bool,
}

impl KeepContainer {
    /// For resumable runs: a container is also kept if its engine stops answering, since it may still run.
    pub fn when_lost() -> Self {
        Self { keeps_lost: true, ..Self::default() }
    }

    /// From now on, containers are kept when their attempt is dropped.
    pub fn set(&self) {
        self.is_set.store(true, Ordering::Release);
    }

    fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// Whether the container of an engine that does not answer is kept for a resumed attempt.
    pub(in crate::engine) fn keeps_lost(&self) -> bool {
        self.keeps_lost
    }
}

/// Creates a container with its guard. If the caller is dropped before the id is known, the container is removed.
pub(in crate::engine) async fn create<R: ContainerRuntime>(
    runtime: &R,
    container: &ContainerSpec,
    leave: &KeepContainer,
) -> runtime::Result<ContainerGuard<R>> {
    let (tell, told) = oneshot::channel();
    let (runtime, container, leave) = (runtime.clone(), container.clone(), leave.clone());
    tokio::spawn(async move {
        let created = runtime.create(&container).await;
        // If the receiver is gone, the guard is dropped here and removes the container.
        _ = tell.send(created.map(|id| ContainerGuard::of(&runtime, id, &leave)));
    });
    told.await.unwrap_or_else(|_| Err(runtime::Error::Refused { reason: "the task that calls it has died".to_owned() }))
}

/// Removes a container on drop, in a task of its own, unless it is to be kept.
pub(in crate::engine) struct ContainerGuard<R: ContainerRuntime> {
    container: Option<(R, String)>,
    leave: KeepContainer,
}

impl<R: ContainerRuntime> ContainerGuard<R> {
    pub(in crate::engine) fn of(runtime: &R, id: String, leave: &KeepContainer) -> Self {
        Self { container: Some((runtime.clone(), id)), leave: leave.clone() }
    }

    pub(in crate::engine) fn id(&self) -> &str {
        self.container.as_ref().map_or("", |(_, id)| id)
    }

    /// Keeps the container for a resumed attempt.
    pub(in crate::engine) fn keep(mut self) {
        self.container = None;
    }

    /// Removes the container; returns the error, if any. The container's labels allow a later sweep to find it.
    pub(in crate::engine) async fn now(mut self) -> Option<runtime::Error> {
        let (runtime, id) = self.container.as_ref()?;
        let failed = runtime.remove(id).await.err();
        self.container = None;
        failed
    }
}

impl<R: ContainerRuntime> Drop for ContainerGuard<R> {
    fn drop(&mut self) {
        let container = self.container.take().filter(|_| !self.leave.is_set());
        if let (Some((runtime, id)), Ok(handle)) = (container, tokio::runtime::Handle::try_current()) {
            handle.spawn(async move {
                if let Err(why) = runtime.remove(&id).await {
                    tracing::warn!(container = id, %why, "a leftover container cannot be removed");
                }
            });
        }
    }
}
