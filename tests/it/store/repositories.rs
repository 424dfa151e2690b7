//! Hints. What scans keep of repositories is tested where scans are.

use silo::catalog::RegistryId;

use super::both;
use super::fixture::{at, registry};

both!(hints_wait_in_order_until_they_are_followed, |store| {
    let (hub, other) = (registry(&store, "hub").await, registry(&store, "other").await);
    assert_eq!(store.hint_registries().await.unwrap(), []);
    store.hint_insert(hub.id, &[], at(1)).await.unwrap();
    store.hint_insert(hub.id, &["geo/a-seed".to_owned(), "geo/b-seed".to_owned()], at(1)).await.unwrap();
    store.hint_insert(hub.id, &["geo/a-seed".to_owned()], at(2)).await.unwrap();
    let hints = store.hint_list(hub.id).await.unwrap();
    let names: Vec<&str> = hints.iter().map(|hint| hint.repository.as_str()).collect();
    assert_eq!(names, ["geo/a-seed", "geo/b-seed", "geo/a-seed"]);
    assert_eq!(store.hint_list(other.id).await.unwrap(), []);
    assert_eq!(store.hint_registries().await.unwrap(), [hub.id]);

    store.hint_delete(&[hints[0].id, hints[1].id]).await.unwrap();
    assert_eq!(store.hint_list(hub.id).await.unwrap(), hints[2..]);
    assert!(store.registry_delete(hub.id).await.unwrap());
    assert_eq!(store.hint_registries().await.unwrap(), []);
});

both!(a_hint_needs_a_registry, |store| {
    assert!(store.hint_insert(RegistryId(7), &["geo/a-seed".to_owned()], at(1)).await.is_err());
    assert_eq!(store.repository_list(RegistryId(7), "", 10).await.unwrap(), []);
});
