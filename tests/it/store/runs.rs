//! Runs: claims, leases, results, and lists with filters.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use silo::catalog::{RunCounts, RunFilter, RunPhase, RunStatus, RunSummary, UploadedFile, UserId, UserRole};
use silo::store::{ClaimedRun, Error, NewRun, RunState, Store, UploadRoom};

use super::both;
use super::fixture::at;

const MANY: u64 = 1000;
/// A limit that no test reaches.
const FREE: u64 = 1000;

/// A run of an owner, submitted at a time given by its number.
pub(super) fn run(number: i64, owner: i64) -> NewRun {
    NewRun {
        id: id(number),
        owner_id: UserId(owner),
        owner: format!("user{owner}"),
        label: format!("run {number}"),
        job_name: "rotate".into(),
        job_version: "1.0.0".into(),
        package_version: "0.1.0".into(),
        image: "example.org/rotate-1.0.0-seed:0.1.0".into(),
        priority: 4,
        max_tries: 3,
        created_at: at(number),
        spec: format!(r#"{{"number":{number}}}"#),
        record: r#"{"state":"new"}"#.into(),
        ..NewRun::default()
    }
}

/// Ids that sort like their numbers.
pub(super) fn id(number: i64) -> String {
    format!("run-{number:06}")
}

pub(super) fn state(status: RunStatus, now: DateTime<Utc>) -> RunState {
    let finished_at = status.is_final().then_some(now);
    RunState {
        status,
        phase: if status.is_final() { RunPhase::Done } else { RunPhase::Main },
        progress: if status.is_final() { 100 } else { 20 },
        message: "as it is".into(),
        error_name: None,
        error_category: None,
        attempts: 1,
        started_at: Some(now),
        finished_at,
        updated_at: now,
        due_at: now,
        record: r#"{"state":"newer"}"#.into(),
    }
}

fn failed(name: &str, now: DateTime<Utc>) -> RunState {
    let (error_name, error_category) = (Some(name.to_owned()), Some("system".to_owned()));
    RunState { error_name, error_category, ..state(RunStatus::Failed, now) }
}

pub(super) async fn insert(store: &Store, runs: &[NewRun]) {
    store.run_insert(runs, MANY).await.expect("the runs are new");
}

/// Claims the next run at a time, for a minute.
pub(super) async fn claim(store: &Store, now: i64) -> Option<ClaimedRun> {
    claim_as(store, "here", &[], FREE, now).await
}

async fn claim_as(store: &Store, host: &str, busy: &[String], most: u64, now: i64) -> Option<ClaimedRun> {
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let token = format!("token-{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    store.run_claim(&token, host, busy, most, at(now), at(now + 60)).await.expect("an answer")
}

fn ids(runs: &[RunSummary]) -> Vec<&str> {
    runs.iter().map(|run| &*run.id).collect()
}

both!(a_run_is_kept_as_it_was_asked_for, |store| {
    let new = NewRun {
        batch_id: Some("batch".into()),
        batch_row: Some(7),
        rerun_of: Some("another".into()),
        tags: vec!["b".into(), "a".into(), "grün, ☃".into()],
        dedup_key: Some("key".into()),
        sealed: Some("sealed".into()),
        ..run(1, 5)
    };
    insert(&store, std::slice::from_ref(&new)).await;
    insert(&store, &[]).await;
    let stored = store.run_get(&new.id).await.unwrap().unwrap();
    let expected = RunSummary {
        id: new.id.clone(),
        owner_id: UserId(5),
        owner: "user5".into(),
        batch_id: new.batch_id,
        batch_row: Some(7),
        rerun_of: new.rerun_of,
        label: new.label,
        tags: new.tags,
        job_name: new.job_name,
        job_version: new.job_version,
        package_version: new.package_version,
        image: new.image,
        status: RunStatus::Accepted,
        phase: RunPhase::Queued,
        progress: 0,
        message: String::new(),
        error_name: None,
        error_category: None,
        priority: 4,
        attempts: 0,
        max_tries: 3,
        created_at: at(1),
        started_at: None,
        finished_at: None,
        updated_at: at(1),
        purged_at: None,
    };
    assert_eq!(stored.summary, expected);
    assert_eq!((stored.spec, stored.record, stored.sealed.as_deref()), (new.spec, new.record, Some("sealed")));
    assert_eq!((stored.cancelled_by, stored.host), (None, None));
    assert_eq!(store.run_summary(&new.id).await.unwrap(), Some(expected));
    assert_eq!(store.run_get("no such").await.unwrap(), None);
    assert_eq!(store.run_summary("").await.unwrap(), None);
});

both!(nobody_has_more_than_the_most, |store| {
    insert(&store, &[run(1, 1), run(2, 1), run(3, 2)]).await;
    let refused = store.run_insert(&[run(4, 1), run(5, 1)], 3).await;
    assert!(matches!(refused, Err(Error::TooMany { there: 2, most: 3 })), "{refused:?}");
    assert_eq!(store.run_get(&id(4)).await.unwrap(), None, "all or none");
    store.run_insert(&[run(4, 1)], 3).await.unwrap();
    let claimed = claim(&store, 10).await.unwrap();
    store.run_finish_attempt(&claimed, &state(RunStatus::Successful, at(11))).await.unwrap();
    store.run_insert(&[run(5, 1)], 3).await.expect("what has ended does not count");
    // All or none, also if something else than the limit fails.
    assert!(store.run_insert(&[run(6, 3), run(1, 3)], 3).await.is_err());
    assert_eq!(store.run_get(&id(6)).await.unwrap(), None);
});

both!(of_many_who_ask_at_once_none_gets_past_the_limits, |store| {
    let asking: Vec<_> = (0..12)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.run_insert(&[run(number, 1)], 5).await.is_ok() })
        })
        .collect();
    let mut taken = 0;
    for asked in asking {
        taken += usize::from(asked.await.unwrap());
    }
    assert_eq!(taken, 5);
    insert(&store, &(20..26).map(|number| run(number, 2)).collect::<Vec<_>>()).await;
    let claiming: Vec<_> = (0..12)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { claim_as(&store, "here", &[], 3, 30).await })
        })
        .collect();
    let mut claimed = HashSet::new();
    for claim in claiming {
        if let Some(claim) = claim.await.unwrap() {
            assert!(claimed.insert(claim.id), "none twice");
        }
    }
    assert_eq!(claimed.len(), 6, "three of each owner");
    let of_second = claimed.iter().filter(|id| **id >= self::id(20)).count();
    assert_eq!(of_second, 3);
});

both!(the_urgent_first_then_who_has_fewest_then_who_came_first, |store| {
    let urgent = NewRun { priority: 9, ..run(7, 3) };
    let patient = NewRun { priority: 0, ..run(1, 1) };
    insert(&store, &[patient, run(2, 1), run(3, 1)]).await;
    insert(&store, &[run(4, 2), run(5, 2)]).await;
    insert(&store, &[urgent]).await;
    let mut order = Vec::new();
    while let Some(claimed) = claim(&store, 10).await {
        assert_eq!(claimed.last_host, None);
        order.push(claimed.id);
    }
    assert_eq!(order, [7, 2, 4, 3, 5, 1].map(id));
});

both!(what_was_interrupted_goes_before_everything, |store| {
    insert(&store, &[NewRun { priority: 0, ..run(1, 1) }]).await;
    let first = claim_as(&store, "there", &[], 1, 10).await.unwrap();
    insert(&store, &[NewRun { priority: 9, ..run(2, 1) }]).await;
    assert_eq!(claim_as(&store, "here", &[], 1, 69).await, None, "the owner has one that goes on");
    // Until it is resumed it counts: it may still be running.
    let busy = [first.id.clone()];
    assert_eq!(claim_as(&store, "there", &busy, 1, 70).await, None);
    let again = claim_as(&store, "here", &[], 1, 70).await.unwrap();
    assert_eq!((&again.id, again.last_host.as_deref()), (&first.id, Some("there")));
    assert_eq!(store.run_get(&again.id).await.unwrap().unwrap().host.as_deref(), Some("here"));
    assert_eq!(claim_as(&store, "there", &[], 2, 71).await.unwrap().id, id(2));
    assert_eq!(claim_as(&store, "there", &[], 2, 71).await, None);
});

both!(a_host_takes_back_what_it_had, |store| {
    insert(&store, &[run(1, 1), run(2, 1), run(3, 1), run(4, 1)]).await;
    let mine = claim_as(&store, "here", &[], FREE, 10).await.unwrap();
    let theirs = claim_as(&store, "there", &[], FREE, 10).await.unwrap();
    let done = claim_as(&store, "here", &[], FREE, 10).await.unwrap();
    store.run_finish_attempt(&done, &state(RunStatus::Successful, at(11))).await.unwrap();
    let held = |mut held: Vec<String>| {
        held.sort();
        held
    };
    assert_eq!(held(store.run_list_held("here").await.unwrap()), [&*mine.id]);
    assert_eq!(held(store.run_list_held("there").await.unwrap()), [&*theirs.id]);
    assert_eq!(store.run_list_held("nowhere").await.unwrap(), [""; 0]);
    assert_eq!(store.run_release_host("here").await.unwrap(), 1);
    assert_eq!(store.run_release_host("nowhere").await.unwrap(), 0);
    let again = claim_as(&store, "here", &[], FREE, 12).await.unwrap();
    assert_eq!((&again.id, again.last_host.as_deref()), (&mine.id, Some("here")));
    assert_eq!(claim_as(&store, "here", &[], FREE, 12).await.unwrap().id, id(4), "theirs is theirs");
});

both!(a_lost_lease_is_worth_nothing, |store| {
    insert(&store, &[run(1, 1)]).await;
    let first = claim(&store, 10).await.unwrap();
    assert_eq!(store.run_renew(&first, at(100)).await.unwrap(), None);
    assert_eq!(claim(&store, 99).await, None, "renewed");
    let second = claim(&store, 100).await.unwrap();
    let lost = [
        store.run_renew(&first, at(999)).await.map(drop),
        store.run_update(&first, &state(RunStatus::Running, at(101))).await,
        store.run_finish_attempt(&first, &state(RunStatus::Successful, at(101))).await,
    ];
    for outcome in lost {
        assert!(matches!(outcome, Err(Error::LeaseLost)), "{outcome:?}");
    }
    let untouched = store.run_get(&first.id).await.unwrap().unwrap();
    assert_eq!((untouched.summary.status, &*untouched.record), (RunStatus::Accepted, r#"{"state":"new"}"#));

    store.run_update(&second, &state(RunStatus::Running, at(102))).await.unwrap();
    let running = store.run_get(&second.id).await.unwrap().unwrap();
    let shown = &running.summary;
    assert_eq!((shown.status, shown.phase, shown.progress), (RunStatus::Running, RunPhase::Main, 20));
    assert_eq!((shown.attempts, &*shown.message, &*running.record), (1, "as it is", r#"{"state":"newer"}"#));
    assert_eq!((shown.started_at, shown.updated_at, shown.finished_at), (Some(at(102)), at(102), None));
    assert_eq!(store.run_renew(&second, at(200)).await.unwrap(), None, "an update gives nothing back");

    store.run_finish_attempt(&second, &failed("oom", at(103))).await.unwrap();
    let ended = store.run_summary(&second.id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.finished_at), (RunStatus::Failed, Some(at(103))));
    assert_eq!((ended.error_name.as_deref(), ended.error_category.as_deref()), (Some("oom"), Some("system")));
    assert!(matches!(store.run_renew(&second, at(999)).await, Err(Error::LeaseLost)));
    assert!(matches!(store.run_finish_attempt(&second, &failed("oom", at(104))).await, Err(Error::LeaseLost)));
    assert_eq!(claim(&store, 9999).await, None, "what has ended does not come again");
});

both!(another_attempt_waits_until_it_is_due, |store| {
    insert(&store, &[run(1, 1)]).await;
    let first = claim(&store, 10).await.unwrap();
    let waits = RunState {
        status: RunStatus::Accepted,
        phase: RunPhase::RetryWait,
        finished_at: None,
        due_at: at(50),
        ..failed("pull-failed", at(11))
    };
    store.run_finish_attempt(&first, &waits).await.unwrap();
    assert_eq!(claim(&store, 49).await, None);
    let second = claim(&store, 50).await.unwrap();
    assert_eq!((&second.id, second.last_host.as_deref()), (&first.id, Some("here")));
    assert_ne!(second.token, first.token);
});

both!(what_nobody_has_begun_is_cancelled_at_once, |store| {
    insert(&store, &[run(1, 1), run(2, 1)]).await;
    let running = claim(&store, 10).await.unwrap();
    let dismissed = |now| RunState { record: "{}".into(), ..state(RunStatus::Dismissed, at(now)) };
    assert!(store.run_cancel(&id(2), "ada", &dismissed(11)).await.unwrap());
    let ended = store.run_get(&id(2)).await.unwrap().unwrap();
    assert_eq!((ended.summary.status, ended.summary.phase), (RunStatus::Dismissed, RunPhase::Done));
    assert_eq!((ended.summary.finished_at, ended.summary.updated_at), (Some(at(11)), at(11)));
    assert_eq!((&*ended.record, ended.cancelled_by.as_deref()), ("{}", Some("ada")));
    assert!(!store.run_cancel(&id(2), "bob", &dismissed(12)).await.unwrap(), "it has ended");
    assert!(!store.run_cancel("no such", "ada", &dismissed(12)).await.unwrap());

    assert!(store.run_cancel(&running.id, "ada", &dismissed(12)).await.unwrap());
    assert!(store.run_cancel(&running.id, "bob", &dismissed(13)).await.unwrap(), "asked again");
    let asked = store.run_get(&running.id).await.unwrap().unwrap();
    assert_eq!((asked.summary.status, &*asked.record), (RunStatus::Accepted, r#"{"state":"new"}"#), "it goes on");
    assert_eq!(store.run_renew(&running, at(99)).await.unwrap().as_deref(), Some("ada"), "the first who asked");
    store.run_finish_attempt(&running, &state(RunStatus::Dismissed, at(14))).await.unwrap();
    assert_eq!(claim(&store, 999).await, None);
});

both!(one_that_waits_for_another_attempt_loses_its_error_when_it_is_cancelled, |store| {
    insert(&store, &[run(1, 1)]).await;
    let first = claim(&store, 10).await.unwrap();
    let waits = RunState { status: RunStatus::Accepted, finished_at: None, ..failed("pull-failed", at(11)) };
    store.run_finish_attempt(&first, &waits).await.unwrap();
    assert!(store.run_cancel(&first.id, "ada", &state(RunStatus::Dismissed, at(12))).await.unwrap());
    let ended = store.run_summary(&first.id).await.unwrap().unwrap();
    assert_eq!((ended.status, ended.error_name, ended.attempts), (RunStatus::Dismissed, None, 1));
});

/// Inserts six different runs, of which one succeeds, one fails and one runs.
async fn six(store: &Store) {
    let tags = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>();
    let runs = [
        NewRun { tags: tags(&["a", "b"]), ..run(1, 1) },
        NewRun { tags: tags(&["a"]), batch_id: Some("batch".into()), batch_row: Some(2), ..run(2, 1) },
        NewRun { job_name: "crop".into(), ..run(3, 1) },
        NewRun { job_version: "2.0.0".into(), batch_id: Some("batch".into()), batch_row: Some(1), ..run(4, 1) },
        NewRun { image: "other".into(), ..run(5, 1) },
    ];
    insert(store, &runs).await;
    insert(store, &[NewRun { tags: tags(&["b"]), ..run(6, 2) }]).await;
    for end in [state(RunStatus::Successful, at(11)), failed("oom", at(12)), state(RunStatus::Running, at(13))] {
        // The owner with the fewest active runs goes first; here this is the order of the ids.
        let claimed = claim_as(store, "here", &[], FREE, 10).await.expect("there are six");
        if end.finished_at.is_some() {
            store.run_finish_attempt(&claimed, &end).await.expect("it is ours");
        } else {
            store.run_update(&claimed, &end).await.expect("it is ours");
        }
    }
}

both!(runs_are_found_by_what_is_said_of_them, |store| {
    six(&store).await;
    let word = |text: &str| Some(text.to_owned());
    let any = RunFilter::default;
    let tagged = |tags: &[&str]| RunFilter { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..any() };
    let cases: Vec<(RunFilter, &[i64])> = vec![
        (any(), &[6, 5, 4, 3, 2, 1]),
        (RunFilter { owner: Some(UserId(2)), ..any() }, &[6]),
        (RunFilter { owner: Some(UserId(9)), ..any() }, &[]),
        (RunFilter { owner_name: word("user2"), ..any() }, &[6]),
        (RunFilter { status: vec![RunStatus::Accepted], ..any() }, &[6, 5, 4]),
        (RunFilter { status: vec![RunStatus::Successful, RunStatus::Failed], ..any() }, &[2, 1]),
        (RunFilter { job: word("crop"), ..any() }, &[3]),
        (RunFilter { job: word("cro"), ..any() }, &[]),
        (RunFilter { job_version: word("2.0.0"), ..any() }, &[4]),
        (RunFilter { image: word("other"), ..any() }, &[5]),
        (RunFilter { batch: word("batch"), ..any() }, &[4, 2]),
        (RunFilter { error: word("oom"), ..any() }, &[2]),
        (tagged(&["a"]), &[2, 1]),
        (tagged(&["a", "b"]), &[1]),
        (tagged(&["a", "c"]), &[]),
        (tagged(&["' OR 1 = 1 --"]), &[]),
        (RunFilter { created_after: Some(at(5)), ..any() }, &[6, 5]),
        (RunFilter { created_before: Some(at(2)), ..any() }, &[1]),
        (RunFilter { created_after: Some(at(2)), created_before: Some(at(4)), job: word("rotate"), ..any() }, &[2]),
        (RunFilter { owner: Some(UserId(1)), status: vec![RunStatus::Failed], ..tagged(&["a"]) }, &[2]),
    ];
    for (filter, numbers) in cases {
        let expected: Vec<String> = numbers.iter().map(|number| id(*number)).collect();
        assert_eq!(ids(&store.run_list(&filter, None, 100).await.unwrap()), expected, "{filter:?}");
        let counts = store.run_counts(&filter).await.unwrap();
        assert_eq!(counts.total(), numbers.len() as u64, "{filter:?}");
    }
    let counts = store.run_counts(&any()).await.unwrap();
    assert_eq!(counts, RunCounts { accepted: 3, running: 1, successful: 1, failed: 1, dismissed: 0 });
    let active = store.run_counts_active().await.unwrap();
    assert_eq!(active, RunCounts { accepted: 3, running: 1, ..RunCounts::default() });
});

both!(pages_follow_each_other_without_gaps, |store| {
    six(&store).await;
    let filter = RunFilter { owner: Some(UserId(1)), ..RunFilter::default() };
    let first = store.run_list(&filter, None, 2).await.unwrap();
    assert_eq!(ids(&first), [id(5), id(4)]);
    insert(&store, &[run(7, 1)]).await;
    let second = store.run_list(&filter, Some(&id(4)), 2).await.unwrap();
    assert_eq!(ids(&second), [id(3), id(2)], "one that came meanwhile moves nothing");
    assert_eq!(ids(&store.run_list(&filter, Some(&id(2)), 2).await.unwrap()), [id(1)]);
    assert_eq!(store.run_list(&filter, Some(&id(1)), 2).await.unwrap(), []);

    let rows = store.run_list_batch("batch", 0, 1).await.unwrap();
    assert_eq!(ids(&rows), [id(4)], "in the batch's order");
    assert_eq!(ids(&store.run_list_batch("batch", 1, 9).await.unwrap()), [id(2)]);
    assert_eq!(store.run_list_batch("batch", 2, 9).await.unwrap(), []);
    assert_eq!(store.run_list_batch("no such", 0, 9).await.unwrap(), []);
});

both!(batches_are_summed_up_newest_first, |store| {
    assert_eq!(store.batch_list(&RunFilter::default(), None, 9).await.unwrap(), []);
    let row = |number: i64, batch: &str, row: i64, owner: i64| NewRun {
        batch_id: Some(batch.into()),
        batch_row: Some(row),
        label: if batch == "b1" { "same".into() } else { format!("row {row}") },
        ..run(number, owner)
    };
    let all =
        [row(1, "b1", 1, 1), row(2, "b1", 2, 1), row(3, "b1", 3, 1), row(4, "b2", 1, 2), row(5, "b2", 2, 2), run(6, 1)];
    insert(&store, &all).await;
    for (number, name) in [(1, Some("dark")), (2, Some("dark")), (3, Some("oom")), (4, None)] {
        let claim = claim_as(&store, "here", &[], FREE, 100 + number).await.unwrap();
        let ended = name.map_or_else(|| state(RunStatus::Successful, at(200)), |name| failed(name, at(200)));
        // The order of claims is that of the queue.
        store.run_finish_attempt(&claim, &ended).await.unwrap();
    }
    let batches = store.batch_list(&RunFilter::default(), None, 9).await.unwrap();
    assert_eq!(
        batches.iter().map(|batch| (&*batch.id, batch.counts.total())).collect::<Vec<_>>(),
        [("b2", 2), ("b1", 3)]
    );
    let [newer, older] = &batches[..] else { panic!("two batches") };
    assert_eq!((&*older.label, &*newer.label, &*older.owner, &*newer.owner), ("same", "", "user1", "user2"));
    assert_eq!(
        (older.created_at, &*older.job_name, &*older.image),
        (at(1), "rotate", "example.org/rotate-1.0.0-seed:0.1.0")
    );
    let (mut ended, mut named) = (0, Vec::new());
    for batch in &batches {
        let counts = batch.counts;
        ended += counts.failed + counts.successful;
        assert_eq!(batch.errors.iter().map(|error| error.count).sum::<u64>(), counts.failed);
        for error in &batch.errors {
            let run = store.run_summary(&error.example).await.unwrap().unwrap();
            assert_eq!((run.batch_id.as_deref(), run.error_name), (Some(&*batch.id), Some(error.name.clone())));
            assert_eq!(error.category.as_deref(), Some("system"));
            named.push(error.name.clone());
        }
    }
    assert!(ended >= 3 && named.contains(&"dark".to_owned()), "{batches:?}");
    let of = |owner| RunFilter { owner: Some(UserId(owner)), ..RunFilter::default() };
    let only = RunFilter { batch: Some("b1".into()), ..RunFilter::default() };
    for (filter, before, limit, expected) in [
        (of(1), None, 9, vec!["b1"]),
        (of(3), None, 9, vec![]),
        (only, None, 1, vec!["b1"]),
        (RunFilter::default(), None, 1, vec!["b2"]),
        (RunFilter::default(), Some("b2"), 9, vec!["b1"]),
        (RunFilter::default(), Some("b1"), 9, vec![]),
    ] {
        let found = store.batch_list(&filter, before, limit).await.unwrap();
        assert_eq!(found.iter().map(|batch| &*batch.id).collect::<Vec<_>>(), expected, "{filter:?} {before:?}");
    }
    let stored = store.run_get_batch("b1", 1, 9).await.unwrap();
    assert_eq!(
        stored.iter().map(|run| (&*run.summary.id, &*run.spec)).collect::<Vec<_>>(),
        [(&*id(2), r#"{"number":2}"#), (&*id(3), r#"{"number":3}"#)]
    );
    assert_eq!(store.run_get_batch("b1", 0, 1).await.unwrap().len(), 1);
});

both!(one_that_is_alike, |store| {
    let alike = |number, owner| NewRun { dedup_key: Some("key".into()), ..run(number, owner) };
    let found = async |owner| store.run_find_duplicate(UserId(owner), "key").await.unwrap().map(|run| run.id);
    assert_eq!(found(1).await, None);
    insert(&store, &[alike(1, 1), run(2, 1)]).await;
    assert_eq!((found(1).await, found(2).await), (Some(id(1)), None), "strangers' are not told");
    assert_eq!(store.run_find_duplicate(UserId(1), "other").await.unwrap(), None);
    let first = claim(&store, 10).await.unwrap();
    assert_eq!(found(1).await, Some(id(1)), "while it goes on");
    store.run_cancel(&id(1), "ada", &state(RunStatus::Dismissed, at(11))).await.unwrap();
    assert_eq!(found(1).await, None, "it is being stopped");
    store.run_finish_attempt(&first, &state(RunStatus::Dismissed, at(12))).await.unwrap();
    insert(&store, &[alike(3, 1), alike(4, 1)]).await;
    assert_eq!(found(1).await, Some(id(4)), "the newest");
    for end in [state(RunStatus::Successful, at(13)), state(RunStatus::Successful, at(13)), failed("oom", at(13))] {
        let claimed = claim(&store, 13).await.unwrap();
        store.run_finish_attempt(&claimed, &end).await.unwrap();
    }
    assert_eq!(found(1).await, Some(id(3)), "the newest has failed");
    assert!(store.run_purge(&id(3), at(14)).await.unwrap());
    assert_eq!(found(1).await, None, "its outputs are gone");
});

both!(what_was_kept_long_enough_goes_and_its_secrets_first, |store| {
    let tagged = |number| NewRun { sealed: Some("sealed".into()), tags: vec!["a".into()], ..run(number, 1) };
    insert(&store, &[tagged(1), tagged(2), tagged(3)]).await;
    for end in [20, 30] {
        let claimed = claim(&store, 10).await.unwrap();
        store.run_finish_attempt(&claimed, &state(RunStatus::Successful, at(end))).await.unwrap();
    }
    assert_eq!(store.run_list_outdated(at(20), "here", at(0), 0, 9).await.unwrap(), [""; 0]);
    assert_eq!(store.run_list_outdated(at(99), "here", at(0), 0, 9).await.unwrap(), [id(1), id(2)]);
    assert_eq!(store.run_list_outdated(at(99), "here", at(0), 0, 1).await.unwrap(), [id(1)]);
    assert_eq!(store.run_list_outdated(at(99), "here", at(0), 1, 9).await.unwrap(), [id(2)]);
    assert_eq!(store.run_list_outdated(at(99), "there", at(0), 0, 9).await.unwrap(), [""; 0], "another's");
    assert_eq!(store.run_list_outdated(at(99), "there", at(25), 0, 9).await.unwrap(), [id(1)], "for long");
    assert_eq!(store.run_prune(at(99)).await.unwrap(), 0, "their files are still there");
    assert!(store.run_purge(&id(1), at(40)).await.unwrap());
    assert!(store.run_purge(&id(1), at(50)).await.unwrap());
    let purged = store.run_get(&id(1)).await.unwrap().unwrap();
    assert_eq!((purged.summary.purged_at, purged.sealed), (Some(at(40)), None));
    assert_eq!(store.run_list_purged("here", at(40)).await.unwrap(), [id(1)]);
    assert_eq!(store.run_list_purged("here", at(41)).await.unwrap(), [""; 0]);
    assert_eq!(store.run_list_purged("there", at(0)).await.unwrap(), [""; 0]);
    assert!(!store.run_purge(&id(3), at(40)).await.unwrap(), "it has not ended");
    assert!(!store.run_purge("no such", at(40)).await.unwrap());
    assert_eq!(store.run_get(&id(3)).await.unwrap().unwrap().sealed.as_deref(), Some("sealed"));
    assert_eq!(store.run_list_outdated(at(99), "here", at(0), 0, 9).await.unwrap(), [id(2)]);
    assert_eq!(store.run_prune(at(20)).await.unwrap(), 0);
    assert_eq!(store.run_prune(at(21)).await.unwrap(), 1);
    assert_eq!(store.run_get(&id(1)).await.unwrap(), None);
    let filter = RunFilter { tags: vec!["a".into()], ..RunFilter::default() };
    assert_eq!(ids(&store.run_list(&filter, None, 9).await.unwrap()), [id(3), id(2)]);
    insert(&store, &[tagged(1)]).await;
});

/// The remaining upload quota of a user with 1 TiB.
async fn room_left(store: &Store, owner: i64) -> u64 {
    let room = UploadRoom { owner: UserId(owner), needed: 0, wanted: MOST, most: MOST };
    let left = store.upload_reserve("asking", "here", room, at(0), at(1)).await.unwrap().unwrap();
    store.upload_release("asking").await.unwrap();
    left
}

const MOST: u64 = 1 << 40;

both!(files_that_users_sent, |store| {
    let upload = |sha256: &str, owner: i64, name: &str, now: i64| UploadedFile {
        sha256: sha256.into(),
        owner_id: UserId(owner),
        name: name.into(),
        size: 1 << 33,
        created_at: at(now),
        used_at: at(now),
    };
    assert_eq!(room_left(&store, 1).await, MOST);
    for one in [upload("aa", 1, "a.tif", 1), upload("bb", 1, "b.tif", 1), upload("aa", 2, "mine.tif", 5)] {
        store.upload_put(&one, "none").await.unwrap();
    }
    assert_eq!(room_left(&store, 1).await, MOST - (1 << 34));
    store.upload_put(&upload("aa", 1, "again.tif", 3), "none").await.unwrap();
    assert_eq!(room_left(&store, 1).await, MOST - (1 << 34), "sent again, it is there once");
    let used = store.upload_use(UserId(1), "aa", at(4)).await.unwrap().unwrap();
    let expected = UploadedFile { created_at: at(1), used_at: at(4), ..upload("aa", 1, "again.tif", 3) };
    assert_eq!(used, expected);
    assert_eq!(store.upload_use(UserId(2), "bb", at(4)).await.unwrap(), None, "a stranger's");
    assert_eq!(store.upload_use(UserId(1), "cc", at(4)).await.unwrap(), None);

    assert_eq!(store.upload_prune(at(1)).await.unwrap(), [""; 0]);
    assert_eq!(store.upload_prune(at(5)).await.unwrap(), ["bb"], "somebody else has the other");
    assert_eq!(store.upload_use(UserId(1), "aa", at(6)).await.unwrap(), None);
    assert!(store.upload_use(UserId(2), "aa", at(6)).await.unwrap().is_some());
    store.upload_put(&upload("aa", 1, "a.tif", 6), "none").await.unwrap();
    assert_eq!(store.upload_prune(at(99)).await.unwrap(), ["aa"], "once, though two had it");
    assert_eq!((room_left(&store, 1).await, room_left(&store, 2).await), (MOST, MOST));
});

both!(what_jobs_say_of_files_is_kept_for_their_owner, |store| {
    let (ada, eve) = (UserId(1), UserId(2));
    store.file_metadata_put(ada, "aa", "{\"first\":1}", at(1)).await.unwrap();
    store.file_metadata_put(ada, "aa", "{}", at(2)).await.unwrap();
    store.file_metadata_put(ada, "bb", "{}", at(2)).await.unwrap();
    assert_eq!(store.file_metadata_get(ada, "aa").await.unwrap().as_deref(), Some("{}"), "the last counts");
    assert_eq!(store.file_metadata_get(eve, "aa").await.unwrap(), None, "a stranger's");
    assert_eq!(store.file_metadata_use(eve, "aa", at(9)).await.unwrap(), None);
    assert_eq!(store.file_metadata_use(ada, "aa", at(5)).await.unwrap().as_deref(), Some("{}"));
    // The metadata of an existing file is kept.
    let upload = UploadedFile {
        sha256: "bb".into(),
        owner_id: ada,
        name: "b".into(),
        size: 1,
        created_at: at(1),
        used_at: at(1),
    };
    store.upload_put(&upload, "none").await.unwrap();
    assert_eq!(store.upload_get(ada, "bb").await.unwrap(), Some(upload));
    assert_eq!(store.upload_get(eve, "bb").await.unwrap(), None);
    assert_eq!(store.file_metadata_prune(at(5)).await.unwrap(), 0);
    assert_eq!(store.file_metadata_prune(at(6)).await.unwrap(), 1);
    assert!(store.file_metadata_get(ada, "aa").await.unwrap().is_none());
    assert!(store.file_metadata_get(ada, "bb").await.unwrap().is_some());
});

both!(room_is_reserved_until_its_file_is_there_or_its_lease_has_run_out, |store| {
    let room = |needed, wanted| UploadRoom { owner: UserId(1), needed, wanted, most: 100 };
    let reserve = async |id: &str, room: UploadRoom, now: i64| {
        store.upload_reserve(id, "here", room, at(now), at(now + 60)).await.unwrap()
    };
    assert_eq!(reserve("one", room(10, 60), 0).await, Some(60));
    assert_eq!(reserve("two", room(10, 60), 0).await, Some(40), "what is left");
    assert_eq!(reserve("three", room(1, 1), 0).await, None);
    assert_eq!(reserve("one", room(61, 70), 0).await, None, "the others have the rest");
    let stranger = UploadRoom { owner: UserId(2), ..room(100, 100) };
    assert_eq!(reserve("theirs", stranger, 0).await, Some(100), "each has their own");
    // Replaces the reservation.
    let small = UploadedFile {
        sha256: "aa".into(),
        owner_id: UserId(1),
        name: "a".into(),
        size: 5,
        created_at: at(1),
        used_at: at(1),
    };
    store.upload_put(&small, "two").await.unwrap();
    assert_eq!(reserve("one", room(61, 70), 1).await, Some(70));
    store.upload_release("one").await.unwrap();
    assert_eq!(reserve("three", room(95, 100), 1).await, Some(95));
    assert_eq!(reserve("four", room(1, 1), 60).await, None, "leased until 61");
    assert_eq!(reserve("four", room(95, 95), 61).await, Some(95), "whoever took it is gone");
    assert_eq!(store.upload_release_host("there").await.unwrap(), 0);
    assert_eq!(store.upload_release_host("here").await.unwrap(), 1);
    // Reserved by a clock that was ahead: it is valid no longer than any other.
    store.upload_reserve("five", "here", room(95, 95), at(0), at(9999)).await.unwrap();
    assert_eq!(reserve("six", room(1, 1), 100).await, None);
    assert_eq!(reserve("six", room(1, 1), 160).await, Some(1));
});

both!(what_a_run_fetches_counts_until_its_attempt_has_ended, |store| {
    insert(&store, &[run(1, 1), run(2, 1)]).await;
    let room = |needed| UploadRoom { owner: UserId(1), needed, wanted: needed, most: 100 };
    let (first, second) = (claim(&store, 10).await.unwrap(), claim(&store, 10).await.unwrap());
    assert_eq!(store.run_reserve(&first, room(60)).await.unwrap(), Some(60));
    assert_eq!(store.run_reserve(&second, room(60)).await.unwrap(), None);
    assert_eq!(store.upload_reserve("one", "here", room(41), at(10), at(70)).await.unwrap(), None);
    assert_eq!(store.run_reserve(&first, room(80)).await.unwrap(), Some(80), "more of the same");
    store.run_update(&first, &state(RunStatus::Running, at(11))).await.unwrap();
    assert_eq!(store.run_reserve(&second, room(60)).await.unwrap(), None);
    store.run_finish_attempt(&first, &failed("pull-failed", at(12))).await.unwrap();
    assert_eq!(store.run_reserve(&second, room(100)).await.unwrap(), Some(100));
    let lost = store.run_reserve(&first, UploadRoom { owner: UserId(2), ..room(1) }).await;
    assert!(matches!(lost, Err(Error::LeaseLost)), "{lost:?}");
});

both!(of_many_files_at_once_none_gets_past_the_room, |store| {
    let owner = store.user_insert("ada", "hash", UserRole::Admin, at(1)).await.unwrap().id;
    let asking = (0..20).map(|number| {
        let store = store.clone();
        let room = UploadRoom { owner, needed: 10, wanted: 10, most: 100 };
        tokio::spawn(async move {
            store.upload_reserve(&number.to_string(), "here", room, at(0), at(60)).await.unwrap().is_some()
        })
    });
    let asking: Vec<_> = asking.collect();
    let mut granted = 0;
    for asked in asking {
        granted += usize::from(asked.await.unwrap());
    }
    assert_eq!(granted, 10);
});

// A run outlives its owner: its record is kept, and it is not resumed for a deleted user.
both!(a_user_who_goes_leaves_runs, |store| {
    let ada = store.user_insert("ada", "hash", UserRole::User, at(1)).await.unwrap();
    insert(&store, &[run(1, ada.id.0)]).await;
    assert!(store.user_delete(ada.id).await.is_ok());
    assert_eq!(store.run_summary(&id(1)).await.unwrap().unwrap().owner_id, ada.id);
});

both!(leases_and_waits_made_by_a_clock_that_was_ahead_are_cut, |store| {
    insert(&store, &[run(1_000_000, 1)]).await;
    let ahead = claim(&store, 10).await.expect("when it was asked for is no reason to wait");
    let until = at(1_000_060);
    store.run_renew(&ahead, until).await.unwrap();
    assert!(claim(&store, 10).await.is_none(), "whoever has it may be alive");
    assert!(claim(&store, 69).await.is_none());
    let mut taken = claim(&store, 70).await.expect("it is dead");
    assert_eq!(taken.id, ahead.id);
    // Its wait exceeds the maximum.
    let later = |seconds| RunState { due_at: at(seconds), ..state(RunStatus::Running, at(100)) };
    store.run_finish_attempt(&taken, &later(1_000_000)).await.unwrap();
    taken = claim(&store, 101).await.expect("no wait takes days");
    store.run_finish_attempt(&taken, &later(700)).await.unwrap();
    assert!(claim(&store, 102).await.is_none(), "ten minutes it may wait");
    assert!(claim(&store, 700).await.is_some());
});

both!(whether_changes_are_taken_is_tried_beside_whoever_changes_something, |store| {
    insert(&store, &[run(1, 1)]).await;
    let (checked, claimed) = tokio::join!(store.write_check(), claim(&store, 10));
    checked.unwrap();
    assert_eq!(claimed.map(|claim| claim.id), Some(id(1)));
});
