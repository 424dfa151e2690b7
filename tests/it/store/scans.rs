//! The queue of scans: requests, claims, leases, reports.

use std::collections::HashSet;

use silo::catalog::{NewScanProblem, RegistryId, ScanCounts, ScanId, ScanState, ScanTrigger};
use silo::store::{Error, ScanRequest};

use super::both;
use super::fixture::{at, claim, registry, result};

both!(a_scan_waits_runs_and_ends, |store| {
    let hub = registry(&store, "hub").await;
    let Some(ScanRequest::Queued(id)) = store.scan_request(hub.id, ScanTrigger::Schedule, at(1)).await.unwrap() else {
        panic!("nothing else is active")
    };
    let waiting = store.scan_get(id).await.unwrap().unwrap();
    assert_eq!((waiting.state, waiting.trigger, waiting.attempts), (ScanState::Queued, ScanTrigger::Schedule, 0));
    assert_eq!((waiting.created_at, waiting.started_at, waiting.finished_at), (at(1), None, None));
    assert_eq!(waiting.registry_name, "hub");
    let again = store.scan_request(hub.id, ScanTrigger::Manual, at(2)).await.unwrap();
    assert_eq!(again, Some(ScanRequest::Active(id)));

    let claim = store.scan_claim("t", at(3), at(63)).await.unwrap().unwrap();
    assert_eq!((claim.id, claim.registry_id), (id, hub.id));
    let counts = ScanCounts { tags: 7, bytes: 1 << 40, ..ScanCounts::default() };
    store.scan_progress(&claim, &counts, at(90)).await.unwrap();
    let running = store.scan_get(id).await.unwrap().unwrap();
    assert_eq!((running.state, running.counts, running.attempts), (ScanState::Running, counts, 1));
    assert_eq!(running.started_at, Some(at(3)));

    let mut failed = result(ScanState::Failed, Default::default(), vec![]);
    failed.error = Some("nobody there".into());
    failed.step.counts = counts;
    store.scan_finish(&claim, &failed, at(4)).await.unwrap();
    let ended = store.scan_get(id).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.finished_at, ended.counts), (ScanState::Failed, Some(at(4)), counts));
    assert_eq!(ended.error.as_deref(), Some("nobody there"));
    assert_eq!(store.catalogue_revision().await.unwrap(), 0);
    assert_eq!(store.scan_get(ScanId(99)).await.unwrap(), None);
    assert!(store.scan_claim("u", at(999), at(1000)).await.unwrap().is_none(), "the queue is empty");
});

both!(of_many_requests_at_once_one_is_queued, |store| {
    let hub = registry(&store, "hub").await;
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.scan_request(hub.id, ScanTrigger::Manual, at(1)).await.unwrap().unwrap() })
        })
        .collect();
    let (mut queued, mut ids) = (0, HashSet::new());
    for asked in asking {
        match asked.await.unwrap() {
            ScanRequest::Queued(id) => {
                queued += 1;
                ids.insert(id);
            }
            ScanRequest::Active(id) => {
                ids.insert(id);
            }
        }
    }
    assert_eq!((queued, ids.len()), (1, 1), "all were told of the same scan");
});

both!(each_scan_is_claimed_once, |store| {
    let mut wanted = HashSet::new();
    for number in 0..20 {
        let registry = registry(&store, &format!("r{number}")).await;
        match store.scan_request(registry.id, ScanTrigger::Manual, at(1)).await.unwrap().unwrap() {
            ScanRequest::Queued(id) => wanted.insert(id),
            ScanRequest::Active(_) => panic!("each registry is new"),
        };
    }
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut claimed = Vec::new();
                while let Some(claim) =
                    store.scan_claim(&format!("{worker}-{}", claimed.len()), at(2), at(62)).await.unwrap()
                {
                    claimed.push(claim.id);
                }
                claimed
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for worker in workers {
        claimed.append(&mut worker.await.unwrap());
    }
    assert_eq!(claimed.len(), 20);
    assert_eq!(claimed.into_iter().collect::<HashSet<_>>(), wanted);
});

both!(a_lease_that_ran_out_goes_to_the_next_worker, |store| {
    let hub = registry(&store, "hub").await;
    store.scan_request(hub.id, ScanTrigger::Manual, at(0)).await.unwrap();
    let first = store.scan_claim("first", at(1), at(10)).await.unwrap().unwrap();
    assert!(store.scan_claim("early", at(9), at(99)).await.unwrap().is_none(), "still held");
    store.scan_progress(&first, &ScanCounts::default(), at(20)).await.unwrap();
    assert!(store.scan_claim("early", at(19), at(99)).await.unwrap().is_none(), "renewed");
    let second = store.scan_claim("second", at(20), at(99)).await.unwrap().unwrap();
    assert_eq!(second.id, first.id);
    assert_eq!(store.scan_get(first.id).await.unwrap().unwrap().attempts, 2);

    let lost = [
        store.scan_progress(&first, &ScanCounts::default(), at(99)).await,
        store.scan_finish(&first, &result(ScanState::Complete, Default::default(), vec![]), at(21)).await,
        store.scan_release(&first).await,
    ];
    for outcome in lost {
        assert!(matches!(outcome, Err(Error::LeaseLost)), "{outcome:?}");
    }
    assert_eq!(store.scan_get(first.id).await.unwrap().unwrap().state, ScanState::Running);
    store.scan_finish(&second, &result(ScanState::Complete, Default::default(), vec![]), at(22)).await.unwrap();
    let twice = store.scan_finish(&second, &result(ScanState::Failed, Default::default(), vec![]), at(23)).await;
    assert!(matches!(twice, Err(Error::LeaseLost)), "{twice:?}");
});

both!(a_released_scan_waits_again, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    let first = claim(&store, one.id).await;
    store.scan_release(&first).await.unwrap();
    assert_eq!(store.scan_get(first.id).await.unwrap().unwrap().state, ScanState::Queued);
    store.scan_request(two.id, ScanTrigger::Manual, at(1)).await.unwrap();
    for (token, registry) in [("a", one.id), ("b", two.id)] {
        let claimed = store.scan_claim(token, at(2), at(900)).await.unwrap().unwrap();
        assert_eq!(claimed.registry_id, registry, "the oldest first");
    }
    assert_eq!(store.scan_release_all().await.unwrap(), 2);
    assert_eq!(store.scan_release_all().await.unwrap(), 0);
    assert_eq!(store.scan_claim("c", at(3), at(900)).await.unwrap().unwrap().id, first.id);
});

both!(a_scan_given_back_after_an_error_counts_only_other_errors_as_tries, |store| {
    let hub = registry(&store, "hub").await;
    let mut held = claim(&store, hub.id).await;
    for (is_stores, tries) in [(true, 1), (true, 1), (false, 2), (true, 2), (false, 3)] {
        store.scan_requeue(&held, is_stores).await.unwrap();
        let lost = held;
        held = store.scan_claim(&format!("{is_stores} after {}", lost.token), at(1), at(61)).await.unwrap().unwrap();
        assert_eq!(held.tries, tries);
        store.scan_requeue(&lost, is_stores).await.expect("one that is another's stays as it is");
        store.scan_progress(&held, &ScanCounts::default(), at(62)).await.expect("still held");
    }
    assert_eq!(store.scan_get(held.id).await.unwrap().unwrap().attempts, 6);
});

both!(problems_are_numbered_and_paged, |store| {
    let hub = registry(&store, "hub").await;
    let claim = claim(&store, hub.id).await;
    let problem = |number: usize| NewScanProblem {
        code: "tags-failed".into(),
        repository: format!("repo-{number}"),
        tag: String::new(),
        message: format!("no\0answer {number}"),
    };
    let mut partial = result(ScanState::Partial, Default::default(), vec![]);
    partial.step.problems = (1..=5).map(problem).collect();
    store.scan_finish(&claim, &partial, at(2)).await.unwrap();
    let page = store.scan_problem_list(claim.id, "", 2, 2).await.unwrap();
    assert_eq!(page.iter().map(|problem| problem.seq).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(page[0].problem.repository, "repo-3");
    assert_eq!(page[0].problem.message, "no\u{FFFD}answer 3");
    assert_eq!(store.scan_problem_list(claim.id, "", 0, 100).await.unwrap().len(), 5);
});

both!(problems_are_counted_and_listed_by_code, |store| {
    let hub = registry(&store, "hub").await;
    let claim = claim(&store, hub.id).await;
    let problem = |code: &str| NewScanProblem {
        code: code.into(),
        repository: "repo".into(),
        tag: String::new(),
        message: String::new(),
    };
    let mut partial = result(ScanState::Partial, Default::default(), vec![]);
    partial.step.problems = ["misnamed", "tags-failed", "misnamed", "nameless"].map(problem).to_vec();
    store.scan_finish(&claim, &partial, at(2)).await.unwrap();
    let counts = store.scan_problem_counts(claim.id).await.unwrap();
    let counts: Vec<_> = counts.iter().map(|one| (one.code.as_str(), one.count)).collect();
    assert_eq!(counts, [("misnamed", 2), ("nameless", 1), ("tags-failed", 1)]);
    assert_eq!(store.scan_problem_counts(ScanId(99)).await.unwrap(), []);
    let page = store.scan_problem_list(claim.id, "misnamed", 1, 10).await.unwrap();
    assert_eq!(page.iter().map(|one| one.seq).collect::<Vec<_>>(), [2], "after the first");
});

both!(ended_scans_are_listed_newest_first_and_pruned, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    let mut ids = Vec::new();
    for registry in [one.id, one.id, one.id, two.id] {
        let claim = claim(&store, registry).await;
        let mut failed = result(ScanState::Failed, Default::default(), vec![]);
        failed.step.problems = vec![NewScanProblem {
            code: "catalog-failed".into(),
            repository: String::new(),
            tag: String::new(),
            message: "no".into(),
        }];
        store.scan_finish(&claim, &failed, at(2)).await.unwrap();
        ids.push(claim.id);
    }
    store.scan_request(one.id, ScanTrigger::Manual, at(3)).await.unwrap();
    let list = async |registry: Option<RegistryId>, before, limit| -> Vec<ScanId> {
        store.scan_list(registry, before, limit).await.unwrap().iter().map(|scan| scan.id).collect()
    };
    let all = list(None, None, 10).await;
    let active = all[0];
    assert_eq!(all, [active, ids[3], ids[2], ids[1], ids[0]]);
    assert_eq!(list(Some(one.id), Some(active), 2).await, [ids[2], ids[1]]);

    assert_eq!(store.scan_prune(1).await.unwrap(), 2);
    assert_eq!(list(None, None, 10).await, [active, ids[3], ids[2]], "the newest ended of each, and the active one");
    assert_eq!(store.scan_problem_list(ids[0], "", 0, 10).await.unwrap(), [], "problems go with their scan");
});

both!(what_hooks_ask_for_neither_counts_as_a_scan_of_the_registry_nor_crowds_them_out, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    assert_eq!(store.scan_list_last().await.unwrap(), []);
    let end = async |registry, trigger, state, second| -> ScanId {
        store.scan_request(registry, trigger, at(second)).await.unwrap();
        let claim = store.scan_claim(&format!("t{second}"), at(second), at(second + 60)).await.unwrap().unwrap();
        store.scan_finish(&claim, &result(state, Default::default(), vec![]), at(second + 1)).await.unwrap();
        claim.id
    };
    let complete = end(one.id, ScanTrigger::Schedule, ScanState::Complete, 10).await;
    let held = end(one.id, ScanTrigger::Schedule, ScanState::Held, 20).await;
    let hooks = [
        end(one.id, ScanTrigger::Hook, ScanState::Complete, 30).await,
        end(one.id, ScanTrigger::Hook, ScanState::Complete, 40).await,
    ];
    let failed = end(two.id, ScanTrigger::Manual, ScanState::Failed, 50).await;

    let last: Vec<ScanId> = store.scan_list_last().await.unwrap().iter().map(|scan| scan.id).collect();
    assert_eq!(last, [held, failed]);
    assert_eq!(store.scan_last_success().await.unwrap(), [(one.id, at(11))]);
    assert_eq!(store.scan_queue().await.unwrap(), (0, 0));
    store.scan_request(one.id, ScanTrigger::Hook, at(60)).await.unwrap();
    store.scan_request(two.id, ScanTrigger::Manual, at(60)).await.unwrap();
    store.scan_claim("u", at(61), at(99)).await.unwrap().unwrap();
    assert_eq!(store.scan_queue().await.unwrap(), (1, 1));

    assert_eq!(store.scan_prune(1).await.unwrap(), 2);
    for (id, is_there) in [(complete, false), (held, true), (hooks[0], false), (hooks[1], true), (failed, true)] {
        assert_eq!(store.scan_get(id).await.unwrap().is_some(), is_there, "{id}");
    }
});

both!(a_lease_made_by_a_clock_that_was_ahead_lasts_no_longer_than_another, |store| {
    let hub = registry(&store, "hub").await;
    store.scan_request(hub.id, ScanTrigger::Manual, at(1)).await.unwrap();
    let ahead = store.scan_claim("ahead", at(1_000_000), at(1_000_060)).await.unwrap().unwrap();
    assert!(store.scan_claim("a", at(10), at(70)).await.unwrap().is_none(), "whoever has it may be alive");
    store.scan_progress(&ahead, &ScanCounts::default(), at(1_000_062)).await.expect("and goes on");
    assert!(store.scan_claim("b", at(20), at(80)).await.unwrap().is_none());
    assert!(store.scan_claim("c", at(79), at(139)).await.unwrap().is_none(), "cut once, not with every look");
    let taken = store.scan_claim("d", at(80), at(140)).await.unwrap().expect("it is dead");
    assert_eq!(taken.id, ahead.id);
});

both!(a_cancelled_scan_is_nobodys, |store| {
    let hub = registry(&store, "hub").await;
    let claim = claim(&store, hub.id).await;
    assert!(store.scan_cancel(claim.id, "cancelled by ada", at(5)).await.unwrap());
    let cancelled = store.scan_get(claim.id).await.unwrap().unwrap();
    assert_eq!((cancelled.state, cancelled.finished_at), (ScanState::Cancelled, Some(at(5))));
    assert_eq!(cancelled.error.as_deref(), Some("cancelled by ada"));
    assert!(!store.scan_cancel(claim.id, "again", at(6)).await.unwrap());
    let counts = ScanCounts::default();
    assert!(matches!(store.scan_progress(&claim, &counts, at(90)).await, Err(Error::LeaseLost)));
    assert!(matches!(store.scan_release(&claim).await, Err(Error::LeaseLost)));
    let ended = store.scan_finish(&claim, &result(ScanState::Complete, Default::default(), vec![]), at(7)).await;
    assert!(matches!(ended, Err(Error::LeaseLost)), "{ended:?}");
    assert_eq!(store.scan_get(claim.id).await.unwrap().unwrap(), cancelled);
    let next = store.scan_request(hub.id, ScanTrigger::Manual, at(8)).await.unwrap();
    assert!(matches!(next, Some(ScanRequest::Queued(_))), "{next:?}");
    assert!(!store.scan_cancel(ScanId(99), "none", at(8)).await.unwrap());
});
