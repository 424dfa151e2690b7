//! Hints. What scans store about repositories is tested with scans.

use silo::catalog::{RegistryId, ScanTrigger};

use silo::store::ScanRequest;

use super::both;
use super::fixture::{at, registry};

both!(hints_wait_in_order_until_they_are_followed, |store| {
    let (hub, other) = (registry(&store, "hub").await, registry(&store, "other").await);
    assert_eq!(store.hint_registries(at(99)).await.unwrap(), []);
    store.hint_insert(hub.id, &[], at(1)).await.unwrap();
    store.hint_insert(hub.id, &["geo/a-seed".to_owned(), "geo/b-seed".to_owned()], at(1)).await.unwrap();
    let old = store.hint_list(hub.id).await.unwrap();
    store.hint_insert(hub.id, &["geo/a-seed".to_owned()], at(2)).await.unwrap();
    let hints = store.hint_list(hub.id).await.unwrap();
    let names: Vec<&str> = hints.iter().map(|hint| hint.repository.as_str()).collect();
    assert_eq!(names, ["geo/b-seed", "geo/a-seed"], "one for each, the newest");
    assert!(old.iter().all(|hint| hint.id < hints[1].id), "whoever has read the old one sees that this is another");
    assert_eq!(store.hint_list(other.id).await.unwrap(), []);
    assert_eq!((store.hint_count(hub.id).await.unwrap(), store.hint_count(other.id).await.unwrap()), (2, 0));
    assert_eq!(store.hint_registries(at(99)).await.unwrap(), [hub.id]);

    store.hint_delete(&[hints[0].id, old[0].id]).await.unwrap();
    assert_eq!(store.hint_list(hub.id).await.unwrap(), hints[1..]);
    assert!(store.registry_delete(hub.id, at(9)).await.unwrap());
    assert_eq!(store.hint_registries(at(99)).await.unwrap(), []);
});

both!(a_hint_that_a_scan_began_after_is_not_asked_for_again, |store| {
    let hub = registry(&store, "hub").await;
    store.hint_insert(hub.id, &["geo/a-seed".to_owned()], at(1)).await.unwrap();
    store.scan_request(hub.id, ScanTrigger::Hook, at(2)).await.unwrap();
    assert_eq!(store.hint_registries(at(99)).await.unwrap(), [hub.id], "nobody has begun");
    store.scan_claim("t", at(3), at(63)).await.unwrap().unwrap();
    assert_eq!(store.hint_registries(at(99)).await.unwrap(), []);
    store.hint_insert(hub.id, &["geo/b-seed".to_owned()], at(4)).await.unwrap();
    assert_eq!(store.hint_registries(at(99)).await.unwrap(), [hub.id], "this one came later");
});

both!(a_hint_needs_a_registry, |store| {
    assert!(store.hint_insert(RegistryId(7), &["geo/a-seed".to_owned()], at(1)).await.is_err());
    assert_eq!(store.repository_list(RegistryId(7), 0, "", 10).await.unwrap(), []);
});

both!(moments_of_a_clock_that_was_ahead_do_not_keep_hints_from_being_followed_or_for_ever, |store| {
    let hub = registry(&store, "hub").await;
    store.scan_request(hub.id, ScanTrigger::Hook, at(900)).await.unwrap();
    let ahead = store.scan_claim("t", at(900), at(960)).await.unwrap().unwrap();
    assert!(store.scan_cancel(ahead.id, "by hand", at(901)).await.unwrap());
    store.hint_insert(hub.id, &["geo/a-seed".to_owned()], at(1)).await.unwrap();
    assert_eq!(store.hint_registries(at(2)).await.unwrap(), [hub.id], "a scan of tomorrow has not seen it");
    store.hint_insert(hub.id, &["geo/a-seed".to_owned()], at(900)).await.unwrap();
    assert_eq!(store.hint_registries(at(3)).await.unwrap(), [hub.id]);
    store.scan_request(hub.id, ScanTrigger::Hook, at(4)).await.unwrap();
    store.scan_claim("t", at(4), at(64)).await.unwrap().unwrap();
    assert_eq!(store.hint_registries(at(5)).await.unwrap(), [], "it is followed once");
});

both!(hints_of_a_cancelled_scan_wait_for_the_next, |store| {
    let hub = registry(&store, "hub").await;
    store.hint_insert(hub.id, &["geo/a-seed".to_owned()], at(1)).await.unwrap();
    let Some(ScanRequest::Queued(scan)) = store.scan_request(hub.id, ScanTrigger::Hook, at(2)).await.unwrap() else {
        panic!("nothing else is active")
    };
    assert!(store.scan_cancel(scan, "by hand", at(3)).await.unwrap());
    assert_eq!(store.hint_registries(at(4)).await.unwrap(), []);
    assert_eq!(store.hint_list(hub.id).await.unwrap().len(), 1);
});
