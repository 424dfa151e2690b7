//! Registries.

use silo::catalog::{Registry, RegistryId, ScanState, ScanTrigger};
use silo::store::Error;

use super::both;
use super::fixture::{at, claim, new_registry, registry, result, scan, seed};

both!(a_registry_comes_back_as_it_went_in, |store| {
    let new = new_registry("hub");
    let hub = store.registry_insert(&new, Some("sealed"), at(1)).await.unwrap();
    let expected = Registry {
        id: hub.id,
        name: new.name,
        url: new.url,
        host: new.host,
        org: new.org,
        kind: new.kind,
        username: new.username,
        has_password: true,
        has_hook: false,
        include: new.include,
        exclude: new.exclude,
        schedule: new.schedule,
        created_at: at(1),
        next_scan_at: None,
    };
    assert_eq!(hub, expected);
    let open = registry(&store, "open").await;
    assert!(!open.has_password);
    assert_eq!(store.registry_list().await.unwrap(), [hub.clone(), open.clone()]);
    assert_eq!(store.registry_get(hub.id).await.unwrap(), Some(hub.clone()));
    assert_eq!(store.registry_by_name("open").await.unwrap(), Some(open.clone()));
    assert_eq!(store.registry_sealed_password(hub.id).await.unwrap().as_deref(), Some("sealed"));
    assert_eq!(store.registry_sealed_password(open.id).await.unwrap(), None);
    assert_eq!(store.registry_get(RegistryId(99)).await.unwrap(), None);
});

both!(a_taken_registry_name_is_a_duplicate, |store| {
    registry(&store, "hub").await;
    let error = store.registry_insert(&new_registry("hub"), None, at(2)).await.unwrap_err();
    assert!(matches!(error, Error::Duplicate("registry")), "{error:?}");
});

both!(a_hook_is_found_by_its_digest_alone, |store| {
    let (hub, other) = (registry(&store, "hub").await, registry(&store, "other").await);
    assert_eq!(store.registry_by_hook("").await.unwrap(), None);
    assert!(store.registry_set_hook(hub.id, Some("first"), Some("sealed")).await.unwrap());
    assert!(store.registry_set_hook(other.id, Some("other"), None).await.unwrap());
    let found = store.registry_by_hook("first").await.unwrap().unwrap();
    assert!(found.has_hook && found.id == hub.id);
    assert_eq!(store.registry_sealed_hook_secret(hub.id).await.unwrap().as_deref(), Some("sealed"));
    assert_eq!(store.registry_sealed_hook_secret(other.id).await.unwrap(), None);

    assert!(store.registry_set_hook(hub.id, Some("second"), None).await.unwrap());
    assert_eq!(store.registry_by_hook("first").await.unwrap(), None);
    assert_eq!(store.registry_sealed_hook_secret(hub.id).await.unwrap(), None, "it went with the old hook");
    assert!(store.registry_set_hook(hub.id, None, None).await.unwrap());
    assert_eq!(store.registry_by_hook("second").await.unwrap(), None);
    assert!(!store.registry_get(hub.id).await.unwrap().unwrap().has_hook);
    assert!(!store.registry_set_hook(RegistryId(99), Some("x"), None).await.unwrap());
});

both!(the_next_scan_is_set_and_taken_back, |store| {
    let hub = registry(&store, "hub").await;
    store.registry_set_next_scan(hub.id, Some(at(9))).await.unwrap();
    assert_eq!(store.registry_get(hub.id).await.unwrap().unwrap().next_scan_at, Some(at(9)));
    store.registry_set_next_scan(hub.id, None).await.unwrap();
    assert_eq!(store.registry_get(hub.id).await.unwrap().unwrap().next_scan_at, None);
});

both!(a_deleted_registry_takes_only_its_own_along, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    let (shared_old, shared_new, alone) =
        (seed("shared", "1.0.0", "1.0.0"), seed("shared", "2.0.0", "1.0.0"), seed("alone", "1.0.0", "1.0.0"));
    scan(&store, one.id, &[("a-seed", "1", &shared_new), ("b-seed", "1", &alone)]).await;
    scan(&store, two.id, &[("a-seed", "1", &shared_old)]).await;
    let before = store.job_list().await.unwrap();
    let shared = before.iter().find(|job| job.name == "shared").unwrap();
    assert_eq!(shared.latest_job_version, "2.0.0");
    let revision = store.catalogue_revision().await.unwrap();

    assert!(store.registry_delete(one.id, at(9)).await.unwrap());

    let after = store.job_list().await.unwrap();
    assert_eq!(after.len(), 1);
    assert_eq!((after[0].id, after[0].latest_job_version.as_str()), (shared.id, "1.0.0"), "same job, older latest");
    assert_eq!(after[0].title, "shared 1.0.0/1.0.0", "the texts are the latest image's");
    assert_eq!(store.job_version_list(None).await.unwrap().len(), 1);
    assert_eq!(store.image_list().await.unwrap().len(), 1);
    assert_eq!(store.scan_list(None, None, 10).await.unwrap().len(), 1);
    assert_eq!(store.catalogue_revision().await.unwrap(), revision + 1);
    assert!(!store.registry_delete(one.id, at(9)).await.unwrap(), "gone already");
    assert_eq!(store.catalogue_revision().await.unwrap(), revision + 1);
});

both!(a_registry_deleted_under_a_scan_ends_its_lease, |store| {
    let hub = registry(&store, "hub").await;
    let claim = claim(&store, hub.id).await;
    assert!(store.registry_delete(hub.id, at(9)).await.unwrap());
    assert_eq!(store.catalogue_revision().await.unwrap(), 0, "it had no images");
    let finished = store.scan_finish(&claim, &result(ScanState::Complete, Default::default(), vec![]), at(2)).await;
    assert!(matches!(finished, Err(Error::LeaseLost)), "{finished:?}");
    assert_eq!(store.scan_request(hub.id, ScanTrigger::Manual, at(3)).await.unwrap(), None);
});
