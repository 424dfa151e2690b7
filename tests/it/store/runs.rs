//! The queue of runs: who gets which, leases, ends; lists; files that were sent.

use std::collections::HashSet;

use silo::catalog::{RunFilter, RunPhase, RunStatus, Upload, UserId};
use silo::store::{ClaimedRun, Error, NewRun, RunState, Store};

use super::both;
use super::fixture::at;

const ADA: UserId = UserId(1);
const BEN: UserId = UserId(2);

fn run(id: &str, owner: UserId) -> NewRun {
    NewRun {
        id: id.to_owned(),
        owner_id: owner,
        owner: format!("user {owner}"),
        tags: vec!["a".to_owned(), "b".to_owned()],
        job_name: "ice".to_owned(),
        job_version: "1.0.0".to_owned(),
        package_version: "2.0.0".to_owned(),
        image: "r/ice-1.0.0-seed:2.0.0".to_owned(),
        priority: 4,
        max_tries: 3,
        created_at: at(1),
        spec: "{}".to_owned(),
        record: "{\"n\":1}".to_owned(),
        ..NewRun::default()
    }
}

async fn insert(store: &Store, runs: &[NewRun]) {
    store.run_insert(runs, 1000).await.unwrap();
}

fn state(status: RunStatus, phase: RunPhase, now: i64) -> RunState {
    RunState {
        status,
        phase,
        progress: 50,
        message: "goes on".to_owned(),
        error_name: None,
        error_category: None,
        attempts: 1,
        started_at: Some(at(2)),
        finished_at: status.is_final().then(|| at(now)),
        updated_at: at(now),
        due_at: at(now),
        record: "{\"n\":2}".to_owned(),
    }
}

async fn claim(store: &Store, token: &str, host: &str, now: i64) -> Option<ClaimedRun> {
    store.run_claim(token, host, &[], 10, at(now), at(now + 60)).await.unwrap()
}

both!(a_run_waits_goes_on_and_ends, |store| {
    insert(&store, &[NewRun { label: "mine".to_owned(), sealed: Some("s".to_owned()), ..run("r1", ADA) }]).await;
    let waiting = store.run_get("r1").await.unwrap().unwrap();
    assert_eq!((waiting.summary.status, waiting.summary.phase), (RunStatus::Accepted, RunPhase::Queued));
    assert_eq!((waiting.summary.label.as_str(), waiting.sealed.as_deref(), waiting.host), ("mine", Some("s"), None));
    assert_eq!(waiting.summary.tags, ["a", "b"]);
    assert_eq!(claim(&store, "t", "h", 0).await, None, "it is not due");
    let claimed = claim(&store, "t", "h", 5).await.unwrap();
    assert_eq!((claimed.id.as_str(), claimed.last_host.as_deref()), ("r1", None));
    assert_eq!(claim(&store, "u", "h", 6).await, None);
    assert_eq!(store.run_list_held("h").await.unwrap(), ["r1"]);
    store.run_update(&claimed, &state(RunStatus::Running, RunPhase::Main, 7)).await.unwrap();
    let running = store.run_summary("r1").await.unwrap().unwrap();
    assert_eq!((running.status, running.phase, running.progress), (RunStatus::Running, RunPhase::Main, 50));
    assert_eq!((running.started_at, running.updated_at, running.finished_at), (Some(at(2)), at(7), None));
    assert_eq!(store.run_renew(&claimed, at(100)).await.unwrap(), None);
    let end = RunState {
        error_name: Some("bad".to_owned()),
        error_category: Some("data".to_owned()),
        ..state(RunStatus::Failed, RunPhase::Done, 9)
    };
    store.run_settle(&claimed, &end).await.unwrap();
    let ended = store.run_get("r1").await.unwrap().unwrap();
    assert_eq!((ended.record.as_str(), ended.summary.error_name.as_deref()), ("{\"n\":2}", Some("bad")));
    assert_eq!((ended.summary.finished_at, ended.host.as_deref()), (Some(at(9)), Some("h")));
    assert_eq!(store.run_list_held("h").await.unwrap(), [""; 0]);
    assert_eq!(claim(&store, "v", "h", 999).await, None, "what has ended is not claimed");
    for lost in [
        store.run_update(&claimed, &end).await,
        store.run_settle(&claimed, &end).await,
        store.run_renew(&claimed, at(1)).await.map(drop),
    ] {
        assert!(matches!(lost, Err(Error::LeaseLost)), "{lost:?}");
    }
    assert_eq!(store.run_get("none").await.unwrap(), None);
});

both!(the_urgent_and_those_of_who_has_few_come_first, |store| {
    let urgent = NewRun { priority: 9, ..run("r4", ADA) };
    insert(&store, &[run("r1", ADA), run("r2", ADA), run("r3", ADA), urgent]).await;
    insert(&store, &[run("r5", BEN)]).await;
    let mut order = Vec::new();
    for token in ["1", "2", "3", "4"] {
        order.push(claim(&store, token, "h", 5).await.unwrap().id);
    }
    assert_eq!(order, ["r4", "r5", "r1", "r2"]);
});

both!(a_user_has_so_many_at_once, |store| {
    insert(&store, &[run("r1", ADA), run("r2", ADA), run("r3", ADA)]).await;
    insert(&store, &[run("r4", BEN)]).await;
    let claiming: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            let token = format!("t{number}");
            tokio::spawn(async move { store.run_claim(&token, "h", &[], 1, at(5), at(65)).await.unwrap() })
        })
        .collect();
    let mut got = HashSet::new();
    for claimed in claiming {
        if let Some(claimed) = claimed.await.unwrap() {
            assert!(got.insert(claimed.id), "nobody gets what another has");
        }
    }
    assert_eq!(got, HashSet::from(["r1".to_owned(), "r4".to_owned()]), "one of each user, though all asked at once");
});

both!(what_a_silo_left_is_taken_over, |store| {
    insert(&store, &[run("r1", ADA), run("r2", ADA)]).await;
    let first = claim(&store, "t", "h", 5).await.unwrap();
    // Its own next start, at once, and before what waits, whatever the limit.
    assert_eq!(store.run_release_host("other").await.unwrap(), 0);
    assert_eq!(store.run_release_host("h").await.unwrap(), 1);
    let again = store.run_claim("u", "h", &[], 1, at(6), at(66)).await.unwrap().unwrap();
    assert_eq!((again.id.as_str(), again.last_host.as_deref()), ("r1", Some("h")));
    assert!(matches!(store.run_renew(&first, at(99)).await, Err(Error::LeaseLost)));
    // Another one, when the lease has run out; but not what this process is at.
    assert_eq!(store.run_claim("v", "g", &["r2".to_owned()], 9, at(65), at(125)).await.unwrap(), None);
    let busy = ["r1".to_owned(), "r2".to_owned()];
    assert_eq!(store.run_claim("w", "h", &busy, 9, at(67), at(127)).await.unwrap(), None);
    let taken = store.run_claim("x", "g", &[], 9, at(67), at(127)).await.unwrap().unwrap();
    assert_eq!((taken.id.as_str(), taken.last_host.as_deref()), ("r1", Some("h")));
    assert_eq!(store.run_list_held("g").await.unwrap(), ["r1"]);
});

both!(what_waits_is_cancelled_at_once_and_what_goes_on_is_asked, |store| {
    insert(&store, &[run("r1", ADA), run("r2", ADA)]).await;
    let going = claim(&store, "t", "h", 5).await.unwrap();
    let dismissed = state(RunStatus::Dismissed, RunPhase::Done, 8);
    assert!(store.run_cancel("r1", "ada", &dismissed).await.unwrap());
    assert_eq!(store.run_summary("r1").await.unwrap().unwrap().status, RunStatus::Accepted);
    assert_eq!(store.run_renew(&going, at(99)).await.unwrap().as_deref(), Some("ada"));
    assert!(store.run_cancel("r2", "ben", &dismissed).await.unwrap());
    let ended = store.run_get("r2").await.unwrap().unwrap();
    assert_eq!((ended.summary.status, ended.cancelled_by.as_deref()), (RunStatus::Dismissed, Some("ben")));
    assert!(!store.run_cancel("r2", "ben", &dismissed).await.unwrap(), "it has ended");
    assert!(!store.run_cancel("none", "ben", &dismissed).await.unwrap());
});

both!(nobody_queues_more_than_one_may, |store| {
    store.run_insert(&[run("r1", ADA), run("r2", ADA)], 3).await.unwrap();
    let refused = store.run_insert(&[run("r3", ADA), run("r4", ADA)], 3).await;
    assert!(matches!(refused, Err(Error::TooMany { there: 2, most: 3 })), "{refused:?}");
    assert_eq!(store.run_summary("r3").await.unwrap(), None, "all or none");
    store.run_insert(&[run("r5", BEN)], 1).await.unwrap();
    store.run_insert(&[], 0).await.unwrap();
});

both!(runs_are_found_by_what_is_known_of_them, |store| {
    let batch = |row| NewRun { batch_id: Some("b".to_owned()), batch_row: Some(row), ..run(&format!("r{row}"), ADA) };
    insert(&store, &[batch(1), batch(2), batch(3)]).await;
    let other = NewRun {
        tags: vec!["a".to_owned()],
        job_name: "snow".to_owned(),
        job_version: "2.0.0".to_owned(),
        image: "i".to_owned(),
        created_at: at(9),
        dedup_key: Some("k".to_owned()),
        ..run("r4", BEN)
    };
    insert(&store, &[other]).await;
    let claimed = claim(&store, "t", "h", 5).await.unwrap();
    let failed = RunState { error_name: Some("bad".to_owned()), ..state(RunStatus::Failed, RunPhase::Done, 6) };
    store.run_settle(&claimed, &failed).await.unwrap();
    let found = async |filter: RunFilter| {
        let runs = store.run_list(&filter, None, 10).await.unwrap();
        assert_eq!(store.run_counts(&filter).await.unwrap().total(), runs.len() as u64, "{filter:?}");
        runs.into_iter().map(|run| run.id).collect::<Vec<_>>()
    };
    let filter = RunFilter::default;
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(found(filter()).await, ["r4", "r3", "r2", "r1"]);
    assert_eq!(found(RunFilter { owner: Some(ADA), ..filter() }).await, ["r3", "r2", "r1"]);
    assert_eq!(found(RunFilter { status: vec![RunStatus::Failed, RunStatus::Running], ..filter() }).await, ["r1"]);
    assert_eq!(found(RunFilter { job: text("snow"), ..filter() }).await, ["r4"]);
    assert_eq!(found(RunFilter { job_version: text("1.0.0"), image: text("i"), ..filter() }).await, [""; 0]);
    assert_eq!(found(RunFilter { image: text("i"), ..filter() }).await, ["r4"]);
    assert_eq!(found(RunFilter { tags: vec!["a".into(), "b".into()], ..filter() }).await, ["r3", "r2", "r1"]);
    assert_eq!(found(RunFilter { tags: vec!["a' OR '1'='1".into()], ..filter() }).await, [""; 0]);
    assert_eq!(found(RunFilter { batch: text("b"), error: text("bad"), ..filter() }).await, ["r1"]);
    assert_eq!(found(RunFilter { created_after: Some(at(9)), ..filter() }).await, ["r4"]);
    assert_eq!(found(RunFilter { created_before: Some(at(9)), ..filter() }).await, ["r3", "r2", "r1"]);
    let page = store.run_list(&filter(), Some("r3"), 1).await.unwrap();
    assert_eq!(page.iter().map(|run| &*run.id).collect::<Vec<_>>(), ["r2"]);
    let rows = store.run_list_batch("b", 1, 10).await.unwrap();
    assert_eq!(rows.iter().map(|run| run.batch_row).collect::<Vec<_>>(), [Some(2), Some(3)]);
    let counts = store.run_counts(&filter()).await.unwrap();
    assert_eq!((counts.accepted, counts.failed), (3, 1));
    assert_eq!(store.run_alike(BEN, "k").await.unwrap().map(|run| run.id).as_deref(), Some("r4"));
    assert_eq!(store.run_alike(ADA, "k").await.unwrap(), None, "another's will not do");
});

both!(what_is_old_is_thrown_away, |store| {
    insert(&store, &[run("r1", ADA), run("r2", ADA), run("r3", ADA)]).await;
    for now in [6, 8] {
        let claimed = claim(&store, &format!("t{now}"), "h", 5).await.unwrap();
        store.run_settle(&claimed, &state(RunStatus::Successful, RunPhase::Done, now)).await.unwrap();
    }
    assert_eq!(store.run_list_outdated(at(7), 10).await.unwrap(), ["r1"]);
    assert_eq!(store.run_prune(at(99)).await.unwrap(), 0, "its files are there");
    assert!(store.run_purge("r1", at(9)).await.unwrap() && store.run_purge("r1", at(10)).await.unwrap());
    assert!(!store.run_purge("r3", at(9)).await.unwrap(), "it goes on");
    assert_eq!(store.run_summary("r1").await.unwrap().unwrap().purged_at, Some(at(9)));
    assert_eq!(store.run_list_outdated(at(99), 10).await.unwrap(), ["r2"]);
    assert_eq!(store.run_prune(at(7)).await.unwrap(), 1);
    assert_eq!(store.run_summary("r1").await.unwrap(), None);
    let left = store.run_counts(&RunFilter { tags: vec!["a".into()], ..RunFilter::default() }).await.unwrap();
    assert_eq!(left.total(), 2);
});

both!(files_that_were_sent_are_kept_while_somebody_uses_them, |store| {
    let upload = |owner_id, sha256: &str, size, now| Upload {
        sha256: sha256.to_owned(),
        owner_id,
        name: "x".to_owned(),
        size,
        created_at: at(now),
        used_at: at(now),
    };
    for it in [upload(ADA, "1", 5, 1), upload(ADA, "2", 7, 1), upload(BEN, "1", 5, 8), upload(ADA, "1", 5, 2)] {
        store.upload_put(&it).await.unwrap();
    }
    assert_eq!(store.upload_bytes(ADA).await.unwrap(), 12);
    assert_eq!(store.upload_bytes(UserId(9)).await.unwrap(), 0);
    let used = store.upload_use(ADA, "2", at(9)).await.unwrap().unwrap();
    assert_eq!((used.size, used.used_at), (7, at(9)));
    assert_eq!(store.upload_use(BEN, "2", at(9)).await.unwrap(), None);
    assert_eq!(store.upload_prune(at(5)).await.unwrap(), [""; 0], "Ben has the same content");
    assert_eq!(store.upload_use(ADA, "1", at(9)).await.unwrap(), None, "but Ada has not any more");
    assert_eq!(store.upload_prune(at(9)).await.unwrap(), ["1"]);
});
