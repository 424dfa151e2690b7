//! Scheduled scans.

use chrono::TimeDelta;
use silo::catalog::{RegistryId, ScanState, ScanTrigger};
use silo::tasks;
use tokio_util::sync::CancellationToken;

use super::House;
use crate::support::fake_registry::FakeRegistry;

impl House {
    /// Names of the registries with queued scans, in queue order.
    async fn waiting(&self) -> Vec<String> {
        let mut scans = self.app.scan_list(None, None, 100).await.unwrap();
        scans.reverse();
        scans.retain(|scan| scan.state == ScanState::Queued);
        assert!(scans.iter().all(|scan| scan.trigger == ScanTrigger::Schedule));
        scans.into_iter().map(|scan| scan.registry_name).collect()
    }

    /// The next scheduled time, as `HH:MM:SS`.
    async fn next(&self, registry: RegistryId) -> Option<String> {
        let registry = self.app.registry_get(registry).await.unwrap();
        registry.next_scan_at.map(|at| at.format("%H:%M:%S").to_string())
    }

    /// Advances the clock, and requests the scans that are due.
    async fn after(&self, minutes: i64) {
        self.clock.advance(TimeDelta::minutes(minutes));
        self.app.scan_due().await.unwrap();
    }

    async fn work(&self) {
        while self.app.scan_work(&CancellationToken::new()).await.unwrap() {}
    }
}

#[tokio::test]
async fn each_registry_is_scanned_at_its_time() {
    let registry = FakeRegistry::start().await;
    let house = House::new("2024-03-01T00:02:00Z", &[("SILO__SCAN__SCHEDULE", "0 * * * *")]).await;
    let often = house.add("often", &registry.url(), "*/5 * * * *").await.id;
    let usual = house.add("usual", &registry.url(), "").await.id;
    let never = house.add("never", &registry.url(), "off").await.id;

    house.after(0).await;
    assert_eq!(house.waiting().await, [""; 0], "the first look plans only");
    let plan = |often: &str, usual: &str| [Some(often.to_owned()), Some(usual.to_owned()), None];
    assert_eq!(
        [house.next(often).await, house.next(usual).await, house.next(never).await],
        plan("00:05:00", "01:00:00")
    );

    house.after(2).await;
    assert_eq!(house.waiting().await, [""; 0], "not yet");
    house.after(1).await;
    assert_eq!(house.waiting().await, ["often"]);
    assert_eq!(
        [house.next(often).await, house.next(usual).await, house.next(never).await],
        plan("00:10:00", "01:00:00")
    );
    house.after(5).await;
    assert_eq!(house.waiting().await, ["often"], "while one waits there is no other");
    house.work().await;
    assert_eq!(house.waiting().await, [""; 0]);

    house.after(3 * 60).await;
    assert_eq!(house.waiting().await, ["often", "usual"], "what was missed is made up for once");
    assert_eq!([house.next(often).await, house.next(usual).await], [Some("03:15:00".into()), Some("04:00:00".into())]);
}

#[tokio::test]
async fn registries_do_not_start_all_at_once() {
    let registry = FakeRegistry::start().await;
    let environment = [("SILO__SCAN__SCHEDULE", "0 */6 * * *"), ("SILO__SCAN__JITTER_MINUTES", "15")];
    let house = House::new("2024-03-01T00:30:00Z", &environment).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(house.add(name, &registry.url(), "").await.id);
    }
    house.after(0).await;
    let mut first = Vec::new();
    for id in &ids {
        first.push(house.next(*id).await.unwrap());
    }
    assert!(first.iter().all(|at| ("06:00:00".."06:15:00").contains(&at.as_str())), "{first:?}");
    first.dedup();
    assert_eq!(first.len(), 3, "{first:?}");

    // At 06:20 all have been requested, and the next time is six hours later to the minute.
    house.after(350).await;
    assert_eq!(house.waiting().await, ["a", "b", "c"]);
    for (id, first) in ids.iter().zip(first) {
        assert_eq!(house.next(*id).await.unwrap(), first.replace("06:", "12:"));
    }
}

#[tokio::test]
async fn a_changed_default_counts_from_the_next_look() {
    let registry = FakeRegistry::start().await;
    let house = House::new("2024-03-01T00:02:00Z", &[("SILO__SCAN__SCHEDULE", "0 0 * * *")]).await;
    let id = house.add("mine", &registry.url(), "").await.id;
    house.after(0).await;
    assert_eq!(house.next(id).await.as_deref(), Some("00:00:00"));
    let house = house.again(&[("SILO__SCAN__SCHEDULE", "*/10 * * * *")]).await;
    house.after(0).await;
    assert_eq!(house.next(id).await.as_deref(), Some("00:10:00"));
    let house = house.again(&[("SILO__SCAN__SCHEDULE", "off")]).await;
    house.after(20).await;
    assert_eq!(house.next(id).await, None);
    assert_eq!(house.waiting().await, [""; 0], "off is off, also for what was planned");
}

#[tokio::test]
async fn a_minute_on_the_clock_leads_to_a_scan() {
    let registry = FakeRegistry::start().await;
    let house = House::new("2024-03-01T00:02:00Z", &[]).await;
    let id = house.add("mine", &registry.url(), "*/5 * * * *").await.id;
    house.after(0).await;
    house.clock.advance(TimeDelta::minutes(4));
    let mut ended = house.app.signals().scan_ended.subscribe();
    let stop = CancellationToken::new();
    let mut running = tasks::start(&house.app, &stop).await.expect("the tasks start");
    house.app.signals().minute.notify_one();
    ended.changed().await.unwrap();
    let scans = house.app.scan_list(Some(id), None, 10).await.unwrap();
    assert_eq!(
        scans.iter().map(|scan| (scan.state, scan.trigger)).collect::<Vec<_>>(),
        [(ScanState::Complete, ScanTrigger::Schedule)]
    );
    stop.cancel();
    while let Some(task) = running.join_next().await {
        task.unwrap();
    }
}
