//! Scans that commit in steps, stored state of repositories and configs, and trust in claimed metadata.

use silo::catalog::{
    ContentOutcome, ContentTrust, DigestContent, ImageId, KnownConfig, NewScanProblem, RegistrySize, RepositoryState,
    ScanCounts, ScanState, TagChanges, TagCounts, TagOutcome,
};
use silo::store::{Error, RepositoryScanResult, ScanStep, Store};

use super::both;
use super::fixture::{at, claim, content, facts, registry, result, scan, seed};

fn adding(repository: &str, tag: &str, content: &DigestContent) -> ScanStep {
    let add = vec![(repository.to_owned(), tag.to_owned(), content.digest.clone())];
    ScanStep {
        changes: TagChanges { add, ..TagChanges::default() },
        contents: vec![content.clone()],
        ..ScanStep::default()
    }
}

fn problem(repository: &str, tag: &str) -> NewScanProblem {
    NewScanProblem {
        code: "content-failed".into(),
        repository: repository.into(),
        tag: tag.into(),
        message: "no".into(),
    }
}

async fn jobs(store: &Store) -> Vec<String> {
    store.job_list().await.unwrap().into_iter().map(|job| job.name).collect()
}

both!(steps_add_up_to_what_the_end_shows, |store| {
    let hub = registry(&store, "hub").await;
    let (ice, snow) = (seed("ice", "1.0.0", "1.0.0"), seed("snow", "1.0.0", "1.0.0"));
    let claim = claim(&store, hub.id).await;
    let first = ScanStep {
        problems: vec![problem("a", "1"), problem("a", "2")],
        counts: ScanCounts { added: 1, ..ScanCounts::default() },
        ..adding("a", "1", &ice)
    };
    store.scan_step(&claim, &first, at(2)).await.unwrap();
    assert_eq!(jobs(&store).await, ["ice"], "at once");
    assert_eq!(store.catalogue_revision().await.unwrap(), 1);
    let running = store.scan_get(claim.id).await.unwrap().unwrap();
    assert_eq!((running.state, running.counts.added), (ScanState::Running, 1));
    store.scan_step(&claim, &ScanStep::default(), at(3)).await.unwrap();
    assert_eq!(store.catalogue_revision().await.unwrap(), 1, "nothing changed");

    let last = ScanStep { problems: vec![problem("a", "1.5"), problem("b", "1")], ..adding("b", "1", &snow) };
    let mut end = result(ScanState::Complete, TagChanges::default(), vec![]);
    end.step = last;
    store.scan_finish(&claim, &end, at(4)).await.unwrap();
    assert_eq!(jobs(&store).await, ["ice", "snow"]);
    let problems = store.scan_problem_list(claim.id, "", 0, 10).await.unwrap();
    let seen: Vec<(i64, &str, &str)> =
        problems.iter().map(|found| (found.seq, &*found.problem.repository, &*found.problem.tag)).collect();
    assert_eq!(seen, [(1, "a", "1"), (2, "a", "1.5"), (3, "a", "2"), (4, "b", "1")], "by what they are about");
    assert!(matches!(store.scan_step(&claim, &ScanStep::default(), at(5)).await, Err(Error::LeaseLost)));
    assert_eq!(store.catalogue_state().await.unwrap().removed_at, 0, "nothing went");
    scan(&store, hub.id, &[("a", "1", &ice)]).await;
    assert_eq!(store.catalogue_state().await.unwrap().removed_at, 3);
    assert!(store.registry_delete(hub.id, at(9)).await.unwrap());
    assert_eq!(store.catalogue_state().await.unwrap().removed_at, 4);
});

both!(what_is_known_of_repositories, |store| {
    let hub = registry(&store, "hub").await;
    let claim = claim(&store, hub.id).await;
    let mut outcomes = TagCounts::default();
    outcomes.add(TagOutcome::Seed, 3);
    outcomes.add(TagOutcome::Signature, 1);
    let listed = |name: &str| RepositoryState {
        outcomes,
        name: name.into(),
        listed_by: claim.id,
        listed_at: Some(at(2)),
        tags: 3,
        missing: vec![ImageId(4), ImageId(2)],
        change_signal: "2026-11-01".into(),
        signal_since: Some(at(1)),
    };
    let failed = |name: &str, why: &str| RepositoryScanResult::Failed { name: name.into(), why: why.into() };
    let looked = vec![
        RepositoryScanResult::Listed(Box::new(listed("a"))),
        failed("b", "timeout"),
        RepositoryScanResult::Listed(Box::new(listed("c"))),
    ];
    let step = ScanStep {
        repositories: looked,
        problems: vec![problem("a", "1"), problem("b", ""), problem("", "")],
        counts: ScanCounts { requests: 7, repositories: 3, tags: 99, ..ScanCounts::default() },
        ..ScanStep::default()
    };
    store.scan_step(&claim, &step, at(5)).await.unwrap();
    let states = store.repository_states(hub.id).await.unwrap();
    assert_eq!(states[0], listed("a"));
    assert_eq!(states[1], RepositoryState { name: "b".into(), ..RepositoryState::default() });

    let counts = store.scan_resume(&claim).await.unwrap();
    let shown = [counts.requests, counts.repositories, counts.repositories_done, counts.tags, counts.problems];
    assert_eq!(counts.outcomes.get(TagOutcome::Seed), 6);
    assert_eq!(shown, [7, 3, 2, 8, 1], "repositories that are not done are looked into again");
    assert_eq!(store.scan_problem_list(claim.id, "", 0, 10).await.unwrap()[0].problem, problem("a", "1"));

    let again = ScanStep { repositories: vec![failed("b", "refused"), failed("a", "gone")], ..ScanStep::default() };
    store.scan_step(&claim, &again, at(6)).await.unwrap();
    let shown = store.repository_list(hub.id, 0, "", 10).await.unwrap();
    let shown: Vec<_> =
        shown.iter().map(|r| (r.name.as_str(), r.tags, r.failures, r.failing_since, &*r.failure)).collect();
    assert_eq!(shown, [("a", 3, 1, Some(at(6)), "gone"), ("b", 0, 2, Some(at(5)), "refused"), ("c", 3, 0, None, "")]);
    assert_eq!(store.repository_list(hub.id, 0, "a", 1).await.unwrap()[0].name, "b");
    let failing = store.repository_list(hub.id, 1, "", 10).await.unwrap();
    assert_eq!(failing.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let size = RegistrySize { images: 0, failing_repositories: 2 };
    assert_eq!(store.registry_sizes().await.unwrap(), [(hub.id, size)]);
    let states = store.repository_states(hub.id).await.unwrap();
    assert_eq!((states[0].listed_by.0, states[0].change_signal.as_str()), (0, ""), "not to be relied on");

    let mut end = result(ScanState::Complete, TagChanges::default(), vec![]);
    (end.settled, end.gone) = (vec!["a".into()], vec!["b".into()]);
    end.step.repositories = vec![RepositoryScanResult::Listed(Box::new(listed("a")))];
    store.scan_finish(&claim, &end, at(7)).await.unwrap();
    let states = store.repository_states(hub.id).await.unwrap();
    let shown: Vec<_> = states.iter().map(|state| (state.name.as_str(), state.missing.len())).collect();
    assert_eq!(shown, [("a", 0), ("c", 2)], "what was settled is forgotten, the rest waits");
});

both!(configs_are_known_again, |store| {
    let hub = registry(&store, "hub").await;
    let config = |digest: &str, label: Option<&str>| KnownConfig {
        digest: digest.into(),
        platform: "linux/amd64".into(),
        created: "2026-11-01T00:00:00Z".into(),
        label: label.map(str::to_owned),
    };
    let mut ice = seed("ice", "1.0.0", "1.0.0");
    let manifest = facts("ice", "1.0.0", "1.0.0").manifest;
    ice.configs =
        vec![config("sha256:c1", Some(&manifest)), config("sha256:c2", Some("other")), config("sha256:c3", None)];
    scan(&store, hub.id, &[("a", "1", &ice)]).await;
    for known in &ice.configs {
        assert_eq!(store.config_get(&known.digest).await.unwrap().as_ref(), Some(known));
    }
    assert_eq!(store.config_get("sha256:c4").await.unwrap(), None);
    scan(&store, hub.id, &[]).await;
    store.content_prune().await.unwrap();
    assert_eq!(store.config_get("sha256:c1").await.unwrap(), None, "forgotten with what it was read for");
});

both!(a_registry_is_believed_by_itself_only, |store| {
    let (liar, honest) = (registry(&store, "liar").await, registry(&store, "honest").await);
    let told = DigestContent { is_hearsay: true, ..seed("ice", "1.0.0", "1.0.0") };
    let digests = [told.digest.clone()].into();
    scan(&store, liar.id, &[("a", "1", &told)]).await;
    let standing = async |registry| store.content_trust(registry, &digests).await.unwrap().remove(&told.digest);
    assert_eq!(standing(liar.id).await, Some(ContentTrust::Known(told.summary())));
    assert_eq!(standing(honest.id).await, Some(ContentTrust::Hearsay));

    // Another registry's claim about the same digest is not used, whichever came first.
    let other = DigestContent { is_hearsay: true, digest: told.digest.clone(), ..seed("snow", "1.0.0", "1.0.0") };
    scan(&store, honest.id, &[("b", "1", &other)]).await;
    assert_eq!(jobs(&store).await, ["ice"]);
    assert_eq!(store.image_tags(honest.id).await.unwrap(), [], "the next scan reads it");

    let checked = DigestContent { is_hearsay: false, ..other };
    scan(&store, honest.id, &[("b", "1", &checked)]).await;
    assert_eq!(jobs(&store).await, ["snow"], "what was checked is what it is, for all");
    let versions = store.job_version_list(None).await.unwrap();
    assert_eq!(versions[0].images.len(), 2);
    assert_eq!(standing(liar.id).await, Some(ContentTrust::Known(checked.summary())));
    scan(&store, liar.id, &[("a", "1", &told)]).await;
    assert_eq!(jobs(&store).await, ["snow"], "and stays so");
});

both!(a_word_that_was_wrong_takes_its_job_along, |store| {
    let (liar, honest) = (registry(&store, "liar").await, registry(&store, "honest").await);
    let told = DigestContent { is_hearsay: true, ..seed("ice", "1.0.0", "1.0.0") };
    scan(&store, liar.id, &[("a", "1", &told)]).await;
    assert_eq!(store.image_ids().await.unwrap().len(), 1);
    let plain = DigestContent { digest: told.digest.clone(), ..content("plain", ContentOutcome::Unlabelled) };
    scan(&store, honest.id, &[("b", "1", &plain)]).await;
    assert_eq!(jobs(&store).await, [""; 0]);
    assert_eq!(store.image_ids().await.unwrap(), [0; 0]);
    assert_eq!(store.catalogue_state().await.unwrap().removed_at, store.catalogue_revision().await.unwrap());
});
