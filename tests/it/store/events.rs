//! Events recorded for changes of the catalogue.

use silo::catalog::{ContentOutcome, DigestContent, EventFilter, EventId, EventKind, EventQuery, ImageEvent};
use silo::store::{EventRange, Store};

use super::both;
use super::fixture::{at, content, registry, scan, seed};

async fn all(store: &Store) -> Vec<ImageEvent> {
    store.event_list(&EventQuery::default(), EventId(0), 1000).await.unwrap()
}

/// Short descriptions of events.
fn said(events: &[ImageEvent]) -> Vec<String> {
    let one = |event: &ImageEvent| {
        format!("{} {}/{}:{} {}", event.kind.as_str(), event.registry, event.repository, event.tag, event.digest)
    };
    events.iter().map(one).collect()
}

both!(each_change_of_an_image_is_told_once, |store| {
    let hub = registry(&store, "hub").await;
    let (one, two, plain) =
        (seed("job", "1.0.0", "1.0.0"), seed("job", "2.0.0", "1.0.0"), content("plain", ContentOutcome::Unlabelled));
    let tags = |list: &[(&'static str, &DigestContent)]| -> Vec<(&'static str, &'static str, DigestContent)> {
        list.iter().map(|(tag, content)| ("a-seed", *tag, (*content).clone())).collect()
    };
    let mut told = 0;
    for (now, expected) in [
        (tags(&[("1", &one), ("2", &plain)]), vec!["image.added hub/a-seed:1 sha256:job-1.0.0-1.0.0"]),
        (tags(&[("1", &one), ("2", &plain)]), vec![]),
        (
            tags(&[("1", &two), ("2", &one)]),
            vec![
                "image.changed hub/a-seed:1 sha256:job-2.0.0-1.0.0",
                "image.added hub/a-seed:2 sha256:job-1.0.0-1.0.0",
            ],
        ),
        (tags(&[("1", &plain), ("2", &one)]), vec!["image.removed hub/a-seed:1 sha256:job-2.0.0-1.0.0"]),
        (tags(&[("2", &one), ("3", &plain)]), vec![]),
        (
            tags(&[("4", &two)]),
            vec![
                "image.removed hub/a-seed:2 sha256:job-1.0.0-1.0.0",
                "image.added hub/a-seed:4 sha256:job-2.0.0-1.0.0",
            ],
        ),
    ] {
        let found: Vec<_> = now.iter().map(|(repository, tag, content)| (*repository, *tag, content)).collect();
        scan(&store, hub.id, &found).await;
        let events = all(&store).await;
        assert_eq!(said(&events[told..]), expected);
        told = events.len();
    }

    let image = store.image_list().await.unwrap().pop().unwrap();
    let last = all(&store).await.pop().unwrap();
    let expected = ImageEvent {
        id: last.id,
        kind: EventKind::Added,
        at: at(2),
        registry_id: hub.id,
        registry: "hub".into(),
        repository: "a-seed".into(),
        tag: "4".into(),
        digest: two.digest.clone(),
        image_id: image.id,
        job_name: "job".into(),
        job_version: "2.0.0".into(),
        package_version: "1.0.0".into(),
        title: "job 2.0.0/1.0.0".into(),
    };
    assert_eq!(last, expected);

    assert!(store.registry_delete(hub.id, at(9)).await.unwrap());
    let gone = all(&store).await.pop().unwrap();
    assert_eq!(said(std::slice::from_ref(&gone)), ["image.removed hub/a-seed:4 sha256:job-2.0.0-1.0.0"]);
    assert_eq!((gone.at, gone.registry_id, gone.image_id), (at(9), hub.id, image.id));
});

both!(events_are_filtered_and_paged, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    let (a, b) = (seed("a", "1.0.0", "1.0.0"), seed("b", "1.0.0", "1.0.0"));
    scan(&store, one.id, &[("a-seed", "1", &a), ("b-seed", "1", &b)]).await;
    scan(&store, two.id, &[("b-seed", "1", &b)]).await;
    let events = all(&store).await;
    assert_eq!(events.len(), 3);
    assert!(events.is_sorted_by_key(|event| event.id));
    let of = async |registry, job: Option<&str>| {
        let query = EventQuery { registry, job: job.map(str::to_owned) };
        store.event_list(&query, EventId(0), 10).await.unwrap().len()
    };
    assert_eq!(of(Some(one.id), None).await, 2);
    assert_eq!(of(None, Some("b")).await, 2);
    assert_eq!(of(Some(two.id), Some("a")).await, 0);
    let page = store.event_list(&EventQuery::default(), events[0].id, 1).await.unwrap();
    assert_eq!(page, events[1..2]);

    let newest: Vec<ImageEvent> = events.iter().rev().cloned().collect();
    let all = EventFilter::default();
    assert_eq!(store.event_recent(&all, None, 10).await.unwrap(), newest);
    assert_eq!(store.event_recent(&all, None, 2).await.unwrap(), newest[..2]);
    assert_eq!(store.event_recent(&all, Some(newest[0].id), 10).await.unwrap(), newest[1..]);
    assert!(store.event_recent(&all, Some(EventId(0)), 10).await.unwrap().is_empty());
    let found = async |registry: Option<&str>, word: Option<&str>| {
        let filter = EventFilter { registry: registry.map(str::to_owned), word: word.map(str::to_owned) };
        store.event_recent(&filter, None, 10).await.unwrap().len()
    };
    assert_eq!((found(Some("one"), None).await, found(Some("o%"), None).await), (2, 0));
    assert_eq!((found(None, Some("B-SEED")).await, found(Some("two"), Some("a-seed")).await), (2, 0));
    // No signs of patterns.
    for word in ["%", "_", "!", "b%d", "'"] {
        assert_eq!(found(None, Some(word)).await, 0, "{word}");
    }
});

both!(old_events_go_and_leave_no_hole, |store| {
    let nothing = EventRange { pruned: EventId(0), newest: EventId(0) };
    assert_eq!(store.event_range().await.unwrap(), nothing);
    assert_eq!(store.event_prune(1, at(100)).await.unwrap(), 0);
    let hub = registry(&store, "hub").await;
    let contents: Vec<DigestContent> = (0..6).map(|n| seed(&format!("job-{n}"), "1.0.0", "1.0.0")).collect();
    let tags: Vec<String> = (0..6).map(|n| n.to_string()).collect();
    let found: Vec<_> = tags.iter().zip(&contents).map(|(tag, content)| ("a-seed", tag.as_str(), content)).collect();
    scan(&store, hub.id, &found).await;
    let ids: Vec<EventId> = all(&store).await.iter().map(|event| event.id).collect();
    assert_eq!(store.event_range().await.unwrap(), EventRange { pruned: EventId(0), newest: ids[5] });

    assert_eq!(store.event_prune(6, at(0)).await.unwrap(), 0, "few enough, and young enough");
    assert_eq!(store.event_prune(4, at(0)).await.unwrap(), 2);
    assert_eq!(store.event_range().await.unwrap(), EventRange { pruned: ids[1], newest: ids[5] });
    assert_eq!(all(&store).await[0].id, ids[2]);
    assert_eq!(store.event_prune(4, at(3)).await.unwrap(), 4, "all are too old");
    assert_eq!(store.event_range().await.unwrap(), EventRange { pruned: ids[5], newest: ids[5] });
    store.registry_delete(hub.id, at(9)).await.unwrap();
    assert!(all(&store).await.iter().all(|event| event.id > ids[5]), "ids are not used twice");
});
