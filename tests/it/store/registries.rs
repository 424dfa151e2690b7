//! Registries.

use silo::catalog::{
    ContentOutcome, NewRegistry, RegistryId, RegistryLoss, RegistryRecord, RegistrySize, RegistryVisibility, ScanState,
    ScanTrigger, SecretChange, VerifiedMarks,
};
use silo::store::{Error, SEAL_KEY, SealedChanges, SealedKind, SealedSecrets, SealedText};

use super::both;
use super::fixture::{at, claim, content, new_registry, registry, result, scan, seed};

fn sealed(password: Option<&str>, client_key: Option<&str>) -> SealedSecrets {
    SealedSecrets { password: password.map(str::to_owned), client_key: client_key.map(str::to_owned) }
}

/// `None` keeps a secret, an empty text removes it.
fn changes(password: Option<&str>, client_key: Option<&str>) -> SealedChanges {
    let change = |text: Option<&str>| match text {
        None => SecretChange::Keep,
        Some("") => SecretChange::Remove,
        Some(text) => SecretChange::Set(text.to_owned()),
    };
    SealedChanges { password: change(password), client_key: change(client_key) }
}

both!(a_registry_comes_back_as_it_went_in, |store| {
    let new = new_registry("hub");
    let secrets = sealed(Some("sealed"), Some("key"));
    let hub = store.registry_insert(&new, &secrets, at(1)).await.unwrap();
    let expected = RegistryRecord {
        id: hub.id,
        name: new.name,
        url: new.url,
        host: new.host,
        org: new.org,
        kind: new.kind,
        username: new.username,
        has_password: true,
        has_hook: false,
        ca: new.ca,
        client_certificate: new.client_certificate,
        include: new.include,
        exclude: new.exclude,
        repositories: new.repositories,
        schedule: new.schedule,
        created_at: at(1),
        next_scan_at: None,
        verified: VerifiedMarks::default(),
        visibility: RegistryVisibility::Public,
    };
    assert_eq!(hub, expected);
    let open = registry(&store, "open").await;
    assert!(!open.has_password);
    assert_eq!(store.registry_list().await.unwrap(), [hub.clone(), open.clone()]);
    assert_eq!(store.registry_get(hub.id).await.unwrap(), Some(hub.clone()));
    assert_eq!(store.registry_by_name("open").await.unwrap(), Some(open.clone()));
    assert_eq!(store.registry_secrets(hub.id).await.unwrap(), secrets);
    for none in [open.id, RegistryId(99)] {
        assert_eq!(store.registry_secrets(none).await.unwrap(), SealedSecrets::default());
    }
    assert_eq!(store.registry_get(RegistryId(99)).await.unwrap(), None);
});

both!(a_taken_registry_name_is_a_duplicate, |store| {
    registry(&store, "hub").await;
    let error = store.registry_insert(&new_registry("hub"), &SealedSecrets::default(), at(2)).await.unwrap_err();
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

both!(a_changed_registry_keeps_what_it_is, |store| {
    let hub = store.registry_insert(&new_registry("hub"), &sealed(Some("password"), Some("key")), at(1)).await.unwrap();
    let other = registry(&store, "other").await;
    store.registry_set_next_scan(hub.id, Some(at(9))).await.unwrap();
    let hub = RegistryRecord { next_scan_at: Some(at(9)), ..hub };
    let new = NewRegistry {
        url: "https://new.example".into(),
        host: "new.example".into(),
        org: "art".into(),
        username: "writer".into(),
        ca: "another".into(),
        client_certificate: "new".into(),
        include: vec!["*".into()],
        exclude: vec![],
        repositories: vec!["b".into()],
        schedule: "off".into(),
        visibility: RegistryVisibility::Public,
        // These two are immutable.
        name: "new".into(),
        kind: silo::catalog::RegistryKind::Harbor,
    };
    let expected = RegistryRecord {
        url: new.url.clone(),
        host: new.host.clone(),
        org: new.org.clone(),
        username: new.username.clone(),
        ca: new.ca.clone(),
        client_certificate: new.client_certificate.clone(),
        include: new.include.clone(),
        exclude: new.exclude.clone(),
        repositories: new.repositories.clone(),
        schedule: new.schedule.clone(),
        ..hub.clone()
    };
    let changed = store.registry_update(&hub, &new, &changes(None, None)).await.unwrap();
    assert_eq!(changed, Some(expected.clone()));
    assert_eq!(store.registry_get(hub.id).await.unwrap(), Some(expected.clone()));
    assert_eq!(store.registry_secrets(hub.id).await.unwrap(), sealed(Some("password"), Some("key")), "they stay");
    assert_eq!(store.registry_get(other.id).await.unwrap(), Some(other));

    // An update based on the earlier state is refused.
    let late = store.registry_update(&hub, &new_registry("hub"), &changes(Some("late"), None)).await.unwrap();
    assert_eq!((late, store.registry_get(hub.id).await.unwrap()), (None, Some(expected.clone())));
    assert_eq!(store.registry_secrets(hub.id).await.unwrap(), sealed(Some("password"), Some("key")));

    let bare = store.registry_update(&expected, &new, &changes(Some(""), Some("other"))).await.unwrap();
    assert_eq!(bare, Some(RegistryRecord { has_password: false, ..expected.clone() }));
    assert_eq!(store.registry_secrets(hub.id).await.unwrap(), sealed(None, Some("other")));
    let again = store.registry_update(&bare.unwrap(), &new, &changes(Some("again"), Some(""))).await.unwrap();
    assert_eq!(again, Some(expected));
    assert_eq!(store.registry_secrets(hub.id).await.unwrap(), sealed(Some("again"), None));
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

both!(sealed_texts_are_replaced_all_together_or_not_at_all, |store| {
    let hub = store.registry_insert(&new_registry("hub"), &sealed(Some("p1"), Some("k1")), at(1)).await.unwrap();
    store.registry_insert(&new_registry("lab"), &sealed(Some("p2"), None), at(1)).await.unwrap();
    registry(&store, "open").await;
    store.registry_set_hook(hub.id, Some("digest"), Some("h1")).await.unwrap();
    let text = |kind, owner: &str, text: &str| SealedText { kind, owner: owner.into(), text: text.into() };
    let all = [
        text(SealedKind::RegistryPassword, "hub", "p1"),
        text(SealedKind::RegistryPassword, "lab", "p2"),
        text(SealedKind::RegistryClientKey, "hub", "k1"),
        text(SealedKind::HookSecret, "hub", "h1"),
    ];
    assert_eq!(store.sealed_list().await.unwrap(), all);
    assert_eq!(store.key_check(SEAL_KEY).await.unwrap(), None);
    store.key_check_set(SEAL_KEY, "first").await.unwrap();

    let changes: Vec<_> = all.iter().map(|old| (old.clone(), Some(format!("new {}", old.text)))).collect();
    let mut stale = changes.clone();
    stale[3].0.text = "h0".to_owned();
    for wrong in [&stale, &changes[..3].to_vec(), &Vec::new()] {
        assert!(matches!(store.sealed_replace(wrong, "second").await, Err(Error::Changed)), "{wrong:?}");
        assert_eq!(store.sealed_list().await.unwrap(), all, "nothing was changed");
        assert_eq!(store.key_check(SEAL_KEY).await.unwrap().as_deref(), Some("first"));
    }
    let mut changes = changes;
    changes[1].1 = None;
    store.sealed_replace(&changes, "second").await.unwrap();
    let texts: Vec<String> = store.sealed_list().await.unwrap().into_iter().map(|sealed| sealed.text).collect();
    assert_eq!(texts, ["new p1", "new k1", "new h1"]);
    assert_eq!(store.key_check(SEAL_KEY).await.unwrap().as_deref(), Some("second"));
});

both!(what_a_registry_has_and_what_goes_with_it_is_counted, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    let (shared, alone) = (seed("shared", "1.0.0", "1.0.0"), seed("alone", "1.0.0", "1.0.0"));
    let next = seed("alone", "2.0.0", "1.0.0");
    let other = content("other", ContentOutcome::Unlabelled);
    let found = [("a-seed", "1", &shared), ("b-seed", "1", &alone), ("b-seed", "2", &next), ("c", "1", &other)];
    scan(&store, one.id, &found).await;
    scan(&store, two.id, &[("a-seed", "1", &shared)]).await;
    let size = |images| RegistrySize { images, failing_repositories: 0 };
    assert_eq!(store.registry_sizes().await.unwrap(), [(one.id, size(3)), (two.id, size(1))]);
    let loss = async |id| store.registry_loss(id).await.unwrap();
    assert_eq!(loss(one.id).await, RegistryLoss { images: 3, jobs: 1 }, "the shared job stays");
    assert_eq!(loss(two.id).await, RegistryLoss { images: 1, jobs: 0 });
    assert_eq!(loss(RegistryId(99)).await, RegistryLoss::default());
    store.registry_delete(two.id, at(3)).await.unwrap();
    assert_eq!(loss(one.id).await, RegistryLoss { images: 3, jobs: 2 });
});
