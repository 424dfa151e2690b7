//! The catalogue as written by scans: images, contents, jobs, job versions, the index feed.

use std::collections::HashSet;

use silo::catalog::{
    CatalogueImage, CatalogueJob, ContentOutcome, ContentProblem, ContentTrust, DigestContent, ImageFilter, ImageId,
    ImageOrder, JobFilter, JobId, JobSize, JobSummary, JobVersionId, ListPage, ListPosition, NameOrder, RegistryId,
    RevalidatedContent, ScanState, SortKey, StoredTag, TagChanges, TagOutcome,
};
use silo::seed::{ManifestProblem, ProblemSeverity};
use silo::store::{Error, Store};

use super::both;
use super::fixture::{at, claim, content, facts, registry, result, scan, seed, statement};

async fn job(store: &Store, name: &str) -> CatalogueJob {
    store.job_list().await.unwrap().into_iter().find(|job| job.name == name).expect("the job is there")
}

/// Which of these digests need no request to a registry.
async fn known(store: &Store, registry: RegistryId, digests: HashSet<String>) -> HashSet<String> {
    let standings = store.content_trust(registry, &digests).await.unwrap();
    standings.into_iter().filter(|(_, standing)| *standing != ContentTrust::Hearsay).map(|(digest, _)| digest).collect()
}

both!(a_scan_fills_the_catalogue, |store| {
    let hub = registry(&store, "hub").await;
    let image = seed("detect", "1.0.0", "2.0.0");
    let plain = content("plain", ContentOutcome::Unlabelled);
    scan(&store, hub.id, &[("geo/team/detect-seed", "1", &image), ("other-seed", "latest", &plain)]).await;

    let tags = store.image_tags(hub.id).await.unwrap();
    let tag = |index: usize, repository: &str, tag: &str, content: &DigestContent| StoredTag {
        id: tags[index].id,
        repository: repository.into(),
        tag: tag.into(),
        digest: content.digest.clone(),
        changed_at: at(2),
        outcome: content.summary().outcome,
        job_name: content.summary().job_name,
    };
    let expected = [tag(0, "geo/team/detect-seed", "1", &image), tag(1, "other-seed", "latest", &plain)];
    assert_eq!(tags, expected, "every tag is remembered, catalogued or not");

    let images = store.image_list().await.unwrap();
    assert_eq!(images.len(), 1, "only Seed images are catalogued");
    let found = &images[0];
    assert_eq!((found.registry.as_str(), found.org.as_str()), ("hub.example", "geo/team"));
    assert_eq!(found.name, "detect-seed:1");
    assert_eq!(found.pull_reference(), "hub.example/geo/team/detect-seed:1");
    assert_eq!((found.first_seen_at, found.changed_at), (at(2), at(2)));
    assert_eq!((found.facts.clone(), found.platforms.clone()), (facts("detect", "1.0.0", "2.0.0"), image.platforms));
    assert_eq!(store.image_get(found.id).await.unwrap().as_ref(), Some(found));
    assert_eq!(store.image_get(tags[1].id).await.unwrap(), None, "a plain image is not in the catalogue");

    let by_name = async |host, repository, tag| store.image_by_name(host, repository, tag).await.unwrap();
    assert_eq!(by_name("hub.example", "geo/team/detect-seed", "1").await.as_ref(), Some(found));
    for (host, repository, tag) in [
        ("", "geo/team/detect-seed", "1"),
        ("hub.example", "team/detect-seed", "1"),
        ("hub.example", "geo/team/detect-seed", "2"),
        ("hub.example", "other-seed", "latest"),
    ] {
        assert_eq!(by_name(host, repository, tag).await, None, "{host}/{repository}:{tag}");
    }

    let job = job(&store, "detect").await;
    assert_eq!(found.job_id, job.id);
    assert_eq!((job.latest_job_version.as_str(), job.latest_package_version.as_str()), ("1.0.0", "2.0.0"));
    assert_eq!((job.title.as_str(), job.email.as_str()), ("detect 1.0.0/2.0.0", "ada@example.org"));
    let version = store.job_version_get(found.job_version_id).await.unwrap().unwrap();
    assert_eq!((version.job_version.job_name.as_str(), version.job_version.job_id), ("detect", job.id));
    assert_eq!(version.images, images);
    assert_eq!(store.job_get(job.id).await.unwrap(), Some(job));
    assert_eq!(store.job_get(JobId(99)).await.unwrap(), None);
    assert_eq!(store.job_version_get(JobVersionId(99)).await.unwrap(), None);
});

both!(contents_come_back_as_they_went_in, |store| {
    let hub = registry(&store, "hub").await;
    let mut invalid = facts("odd", "1", "2");
    invalid.valid = false;
    invalid.description = "nul \0 and \u{1F980}".into();
    invalid.problems = vec![ManifestProblem {
        code: "missing-field".into(),
        severity: ProblemSeverity::Error,
        path: "/job/title".into(),
        line: 3,
        column: 5,
        message: "a title is missing".into(),
        help: "add it".into(),
    }];
    let mut odd = content("odd", ContentOutcome::Seed(Box::new(invalid)));
    odd.platforms = vec!["linux/amd64".into(), "linux/arm/v7".into()];
    let mut refused = content("refused", ContentOutcome::Refused);
    refused.problems = vec![ContentProblem { code: "label-refused".into(), message: "not JSON".into() }];
    let plain = content("plain", ContentOutcome::Unlabelled);
    let chart = content("chart", ContentOutcome::NotAnImage(TagOutcome::Chart));
    scan(&store, hub.id, &[("a", "1", &odd), ("b", "1", &refused), ("c", "1", &plain), ("d", "1", &chart)]).await;
    let outcomes: Vec<TagOutcome> = store.image_tags(hub.id).await.unwrap().iter().map(|tag| tag.outcome).collect();
    assert_eq!(outcomes, [TagOutcome::Seed, TagOutcome::LabelRefused, TagOutcome::Unlabelled, TagOutcome::Chart]);

    if let ContentOutcome::Seed(facts) = &mut odd.outcome {
        facts.description = "nul \u{FFFD} and \u{1F980}".into();
    }
    let images = store.image_list().await.unwrap();
    assert_eq!(images.len(), 1, "only the Seed image is catalogued");
    assert_eq!(ContentOutcome::Seed(Box::new(images[0].facts.clone())), odd.outcome);
    assert_eq!(images[0].platforms, odd.platforms);
    let problems = store.image_problem_list(hub.id).await.unwrap();
    assert_eq!(problems, [("b".to_owned(), "1".to_owned(), refused.problems.clone())]);
    let all: HashSet<String> = [odd, refused, plain, chart].map(|content| content.digest).into();
    let mut asked = all.clone();
    asked.insert("sha256:unknown".into());
    assert_eq!(known(&store, hub.id, asked).await, all);
    assert_eq!(known(&store, RegistryId(7), all.clone()).await, all, "what was checked is good for everybody");
    assert!(known(&store, hub.id, HashSet::new()).await.is_empty());
    assert_eq!((images[0].size, images[0].built_at), (Some(1 << 33), Some(at(0))));
    let counts = ["a", "b", "c", "d"].map(|name| (name.to_owned(), 1));
    assert_eq!(store.image_counts(hub.id).await.unwrap(), counts);
    assert_eq!(store.image_tags_of(hub.id, "b").await.unwrap(), store.image_tags(hub.id).await.unwrap()[1..2]);
});

both!(manifests_that_older_rules_judged_are_judged_again, |store, address| {
    let hub = registry(&store, "hub").await;
    let images = ["a", "b", "c"].map(|name| seed(name, "1.0.0", "1.0.0"));
    let plain = content("plain", ContentOutcome::Unlabelled);
    let found = [("a", "1", &images[0]), ("b", "1", &images[1]), ("c", "1", &images[2]), ("d", "1", &plain)];
    scan(&store, hub.id, &found).await;
    assert_eq!(store.content_stale(10).await.unwrap(), [], "today's rules judged them");

    statement(&address, "UPDATE contents SET judged_by = 0").await;
    let stale = store.content_stale(2).await.unwrap();
    assert_eq!(stale.len(), 2);
    let stale = store.content_stale(10).await.unwrap();
    assert_eq!(stale.len(), 3, "what is no Seed image is not judged");
    let problem = ContentProblem { code: "manifest-invalid".into(), message: "it breaks the standard".into() };
    let judgements: Vec<RevalidatedContent> = stale
        .into_iter()
        .filter(|content| content.digest != images[2].digest)
        .map(|content| RevalidatedContent {
            digest: content.digest,
            problems: vec![problem.clone()],
            valid: false,
            manifest_problems: Vec::new(),
        })
        .collect();
    store.content_set_validation(&judgements).await.unwrap();
    store.content_set_validation(&[]).await.unwrap();
    let left = store.content_stale(10).await.unwrap();
    assert_eq!(left.iter().map(|content| &content.digest).collect::<Vec<_>>(), [&images[2].digest]);
    let valid: Vec<bool> = store.image_list().await.unwrap().iter().map(|image| image.facts.valid).collect();
    assert_eq!(valid, [false, false, true]);
    assert_eq!(store.image_problem_list(hub.id).await.unwrap()[0], ("a".to_owned(), "1".to_owned(), vec![problem]));
});

both!(contents_nobody_points_to_are_pruned_between_scans, |store| {
    let hub = registry(&store, "hub").await;
    let (old, new) = (seed("a", "1.0.0", "1.0.0"), seed("a", "2.0.0", "1.0.0"));
    scan(&store, hub.id, &[("a-seed", "1", &old)]).await;
    scan(&store, hub.id, &[("a-seed", "1", &new)]).await;
    let running = claim(&store, hub.id).await;
    assert_eq!(store.content_prune().await.unwrap(), 0, "a running scan may be about to point there");
    store.scan_release(&running).await.unwrap();
    assert_eq!(store.content_prune().await.unwrap(), 1);
    let left = known(&store, hub.id, [old.digest, new.digest.clone()].into()).await;
    assert_eq!(left, [new.digest].into());
});

both!(ids_stay_and_the_latest_is_right_over_scans, |store| {
    let hub = registry(&store, "hub").await;
    let (nine, ten, ten_b) = (seed("a", "9.0.0", "1.0.0"), seed("a", "10.0.0", "1.0.0"), seed("a", "10.0.0", "2.0.0"));
    scan(&store, hub.id, &[("a-seed", "9", &nine)]).await;
    let first = job(&store, "a").await;
    let first_version = store.job_version_list(None).await.unwrap()[0].job_version.clone();
    let first_image = store.image_list().await.unwrap()[0].clone();

    scan(&store, hub.id, &[("a-seed", "9", &nine), ("a-seed", "10", &ten), ("a-seed", "10b", &ten_b)]).await;
    let second = job(&store, "a").await;
    assert_eq!(second.id, first.id);
    assert_eq!((second.latest_job_version.as_str(), second.latest_package_version.as_str()), ("10.0.0", "2.0.0"));
    let versions = store.job_version_list(None).await.unwrap();
    let names: Vec<_> = versions.iter().map(|version| version.job_version.job_version.as_str()).collect();
    assert_eq!(names, ["10.0.0", "9.0.0"], "highest first, not by text");
    assert_eq!(versions[1].job_version, first_version);
    assert_eq!(versions[1].images, [first_image]);
    let packages: Vec<_> = versions[0].images.iter().map(|image| image.facts.package_version.as_str()).collect();
    assert_eq!(packages, ["2.0.0", "1.0.0"]);

    scan(&store, hub.id, &[("a-seed", "9", &nine)]).await;
    assert_eq!(job(&store, "a").await, first, "as it was, with its id");
    assert_eq!(store.job_version_list(None).await.unwrap().len(), 1);
    scan(&store, hub.id, &[]).await;
    assert_eq!(store.job_list().await.unwrap(), []);
    assert_eq!(store.job_version_list(None).await.unwrap(), []);
    assert_eq!(store.image_tags(hub.id).await.unwrap(), []);
});

both!(a_tag_that_moves_leaves_its_history, |store| {
    let hub = registry(&store, "hub").await;
    let images = ["1.0.0", "2.0.0", "3.0.0"].map(|version| seed("a", version, "1.0.0"));
    let mut ids = Vec::new();
    for image in &images {
        scan(&store, hub.id, &[("a-seed", "latest", image), ("a-seed", "one", &images[0])]).await;
        ids = store.image_list().await.unwrap().iter().map(|image| image.id).collect();
    }
    let history = store.image_history(ids[0], 10).await.unwrap();
    let digests: Vec<_> = history.iter().map(|past| &past.digest).collect();
    assert_eq!(digests, [&images[1].digest, &images[0].digest], "newest first");
    assert!(history.iter().all(|past| past.since <= past.until));
    assert_eq!(store.image_history(ids[0], 1).await.unwrap(), history[..1]);
    assert_eq!(store.image_history(ids[1], 10).await.unwrap(), [], "it never moved");
    scan(&store, hub.id, &[]).await;
    assert_eq!(store.image_history(ids[0], 10).await.unwrap(), [], "gone with the tag");
});

both!(a_tag_that_moves_keeps_its_id, |store| {
    let hub = registry(&store, "hub").await;
    let (a, b, plain) =
        (seed("a", "1.0.0", "1.0.0"), seed("b", "1.0.0", "1.0.0"), content("plain", ContentOutcome::Unlabelled));
    scan(&store, hub.id, &[("x-seed", "latest", &a)]).await;
    let before = store.image_list().await.unwrap()[0].clone();

    let moving = claim(&store, hub.id).await;
    let changes = TagChanges { point: vec![(before.id, b.digest.clone())], ..TagChanges::default() };
    store.scan_finish(&moving, &result(ScanState::Complete, changes, vec![b]), at(50)).await.unwrap();
    let after = store.image_get(before.id).await.unwrap().unwrap();
    assert_eq!(after.facts.job_name, "b");
    assert_eq!((after.first_seen_at, after.changed_at), (at(2), at(50)));
    let jobs = store.job_list().await.unwrap();
    assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["b"]);

    scan(&store, hub.id, &[("x-seed", "latest", &plain)]).await;
    assert_eq!(store.image_list().await.unwrap(), [], "no Seed image any more");
    assert_eq!(store.image_tags(hub.id).await.unwrap()[0].id, before.id);
    assert_eq!(store.job_list().await.unwrap(), []);
});

both!(the_feed_tells_what_changed_since_a_revision, |store| {
    let hub = registry(&store, "hub").await;
    let (a, b, c) = (seed("a", "1.0.0", "1.0.0"), seed("b", "1.0.0", "1.0.0"), seed("c", "1.0.0", "1.0.0"));
    assert_eq!(store.catalogue_revision().await.unwrap(), 0);
    scan(&store, hub.id, &[("a", "1", &a), ("b", "1", &b)]).await;
    assert_eq!(store.catalogue_revision().await.unwrap(), 1);
    scan(&store, hub.id, &[("a", "1", &a), ("b", "1", &b)]).await;
    assert_eq!(store.catalogue_revision().await.unwrap(), 1, "nothing changed");

    let names = async |revision, after, limit| -> Vec<String> {
        let changed = store.image_changes(revision, after, limit).await.unwrap();
        changed.into_iter().map(|image| image.facts.job_name).collect()
    };
    let ids = store.image_ids().await.unwrap();
    assert_eq!(names(0, ImageId(0), 10).await, ["a", "b"]);
    assert_eq!(names(0, ImageId(0), 1).await, ["a"]);
    assert_eq!(names(0, ImageId(ids[0]), 10).await, ["b"]);
    assert!(names(1, ImageId(0), 10).await.is_empty());

    scan(&store, hub.id, &[("b", "1", &c)]).await;
    assert_eq!(store.catalogue_revision().await.unwrap(), 2);
    assert_eq!(names(1, ImageId(0), 10).await, ["c"]);
    assert_eq!(store.image_ids().await.unwrap(), ids[1..], "what is gone is not in the list of ids");
});

both!(a_result_that_cannot_be_applied_changes_nothing, |store| {
    let hub = registry(&store, "hub").await;
    let (a, b) = (seed("a", "1.0.0", "1.0.0"), seed("b", "1.0.0", "1.0.0"));
    scan(&store, hub.id, &[("a-seed", "1", &a)]).await;
    let snapshot = async || {
        (
            store.image_list().await.unwrap(),
            store.job_version_list(None).await.unwrap(),
            store.job_list().await.unwrap(),
            store.catalogue_revision().await.unwrap(),
            known(&store, hub.id, [a.digest.clone(), b.digest.clone()].into()).await,
        )
    };
    let before = snapshot().await;
    let claim = claim(&store, hub.id).await;
    let changes = TagChanges {
        add: vec![
            ("b-seed".into(), "1".into(), b.digest.clone()),
            ("c-seed".into(), "1".into(), "sha256:neither stored nor given".into()),
        ],
        remove: vec![before.0[0].id],
        ..TagChanges::default()
    };
    let broken = result(ScanState::Complete, changes, vec![b.clone()]);
    let outcome = store.scan_finish(&claim, &broken, at(5)).await;
    assert!(matches!(outcome, Err(Error::Database(_))), "{outcome:?}");
    assert_eq!(snapshot().await, before);
    let scan = store.scan_get(claim.id).await.unwrap().unwrap();
    assert_eq!((scan.state, scan.finished_at), (ScanState::Running, None), "still ours to end");
    store.scan_finish(&claim, &result(ScanState::Failed, TagChanges::default(), vec![]), at(6)).await.unwrap();
    assert_eq!(snapshot().await, before);
});

both!(a_result_touches_only_its_own_registry, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    let (a, b) = (seed("a", "1.0.0", "1.0.0"), seed("b", "1.0.0", "1.0.0"));
    scan(&store, one.id, &[("a-seed", "1", &a), ("a-seed", "2", &a)]).await;
    let before = store.image_list().await.unwrap();
    let claim = claim(&store, two.id).await;
    let changes = TagChanges {
        point: vec![(before[0].id, b.digest.clone())],
        remove: vec![before[1].id],
        ..TagChanges::default()
    };
    store.scan_finish(&claim, &result(ScanState::Complete, changes, vec![b]), at(5)).await.unwrap();
    assert_eq!(store.image_list().await.unwrap(), before);
});

both!(jobs_of_two_registries_finishing_at_once_are_derived_from_both, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    for round in 1..=8 {
        let mut finishing = Vec::new();
        for (registry, minor) in [(&one, 0), (&two, 1)] {
            let content = seed("shared", &format!("{round}.{minor}.0"), "1.0.0");
            let claim = claim(&store, registry.id).await;
            let add = vec![("shared-seed".into(), format!("{round}.{minor}"), content.digest.clone())];
            let changes = TagChanges { add, ..TagChanges::default() };
            let store = store.clone();
            finishing.push(tokio::spawn(async move {
                store.scan_finish(&claim, &result(ScanState::Complete, changes, vec![content]), at(2)).await.unwrap();
            }));
        }
        for finished in finishing {
            finished.await.unwrap();
        }
        assert_eq!(job(&store, "shared").await.latest_job_version, format!("{round}.1.0"));
        assert_eq!(store.job_version_list(None).await.unwrap().len(), 2 * round);
        assert_eq!(store.catalogue_revision().await.unwrap(), 2 * round as i64);
    }
});

both!(lists_by_ids_keep_the_order_asked_for, |store| {
    let hub = registry(&store, "hub").await;
    let contents = ["a", "b", "c"].map(|name| seed(name, "1.0.0", "1.0.0"));
    let found: Vec<_> = contents.iter().map(|content| ("x-seed", content.digest.as_str(), content)).collect();
    scan(&store, hub.id, &found).await;
    let images: Vec<_> = store.image_list().await.unwrap().iter().map(|image| image.id).collect();
    let jobs: Vec<_> = store.job_list().await.unwrap().iter().map(|job| job.id).collect();
    let asked = [images[2], ImageId(99), images[0]];
    let got: Vec<_> = store.image_list_by_ids(&asked).await.unwrap().iter().map(|image| image.id).collect();
    assert_eq!(got, [images[2], images[0]]);
    let asked = [jobs[1], JobId(99), jobs[0]];
    let got: Vec<_> = store.job_list_by_ids(&asked).await.unwrap().iter().map(|job| job.id).collect();
    assert_eq!(got, [jobs[1], jobs[0]]);
    let versions = store.job_version_list(Some(&[jobs[2], jobs[0]])).await.unwrap();
    assert_eq!(versions.iter().map(|version| version.job_version.job_id).collect::<Vec<_>>(), [jobs[0], jobs[2]]);
    assert!(versions.iter().all(|version| version.images.len() == 1));
    assert_eq!(store.job_version_list(Some(&[])).await.unwrap(), []);
});

both!(a_summary_shows_the_latest_image, |store| {
    let (hub, mirror) = (registry(&store, "hub").await, registry(&store, "mirror").await);
    let old = seed("detect", "9.0.0", "3.0.0");
    let other_package = seed("detect", "10.0.0", "1.0.0");
    let mut facts = facts("detect", "10.0.0", "2.0.0");
    facts.valid = false;
    let latest = content("latest", ContentOutcome::Seed(Box::new(facts)));
    scan(&store, hub.id, &[("geo/detect-seed", "9", &old), ("geo/detect-seed", "10", &other_package)]).await;
    scan(&store, mirror.id, &[("copy/detect-seed", "a", &latest), ("copy/detect-seed", "b", &latest)]).await;
    scan(&store, hub.id, &[("geo/detect-seed", "10", &latest), ("x-seed", "1", &seed("x", "1", "1"))]).await;

    let (detect, x) = (job(&store, "detect").await, job(&store, "x").await);
    let summaries = store.job_summary_list_by_ids(&[x.id, JobId(99), detect.id]).await.unwrap();
    let [first, second] = summaries.as_slice() else { panic!("{summaries:?}") };
    assert_eq!((&first.job, first.reference.as_str(), first.valid), (&x, "hub.example/x-seed:1", true));
    let images = store.image_list().await.unwrap();
    let hubs = images.iter().find(|image| image.registry == "hub.example" && image.job_id == detect.id).unwrap();
    assert_eq!((&second.job, second.image_id, second.valid), (&detect, hubs.id, false), "of equals, the oldest");
    assert_eq!(second.reference, hubs.pull_reference());
});

both!(images_are_counted_and_the_newest_come_first, |store| {
    let (one, two) = (registry(&store, "one").await, registry(&store, "two").await);
    let (a, b, plain) =
        (seed("a", "1.0.0", "1.0.0"), seed("b", "1.0.0", "1.0.0"), content("plain", ContentOutcome::Unlabelled));
    assert_eq!(store.image_totals().await.unwrap(), []);
    assert_eq!(store.image_newest(10).await.unwrap(), []);
    scan(&store, one.id, &[("a-seed", "1", &a), ("b-seed", "1", &b), ("c-seed", "1", &plain)]).await;
    scan(&store, two.id, &[("c-seed", "1", &plain)]).await;
    assert_eq!(store.image_totals().await.unwrap(), [(one.id, 3, 2), (two.id, 1, 0)]);

    let ids = |images: Vec<CatalogueImage>| -> Vec<ImageId> { images.iter().map(|image| image.id).collect() };
    let by_id = ids(store.image_list().await.unwrap());
    let newest = ids(store.image_newest(10).await.unwrap());
    assert_eq!(newest, by_id.iter().rev().copied().collect::<Vec<_>>(), "of the same time, the younger first");
    assert_eq!(ids(store.image_newest(1).await.unwrap()), newest[..1]);
    let some = [by_id[0], by_id[1], by_id[0], ImageId(999)];
    assert_eq!(ids(store.image_newest_among(&some, 10).await.unwrap()), newest);
    assert_eq!(ids(store.image_newest_among(&some, 1).await.unwrap()), newest[..1]);
    assert_eq!(ids(store.image_newest_among(&[], 10).await.unwrap()), []);
});

/// The names of a list, read in pages of `limit`.
async fn names_by_page(
    store: &Store,
    filter: &JobFilter,
    order: NameOrder,
    is_descending: bool,
    limit: u32,
) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = ListPage { order, is_descending, after, limit };
        let jobs = store.job_page(filter, &page).await.unwrap();
        let Some(JobSummary { job, .. }) = jobs.last() else { return names };
        let key = match order {
            NameOrder::Name => SortKey::Text(job.name.clone()),
            NameOrder::Id => SortKey::Number(job.id.0),
        };
        after = Some(ListPosition { key, id: job.id.0 });
        names.extend(jobs.into_iter().map(|summary| summary.job.name));
    }
}

both!(lists_come_page_by_page_sorted_and_filtered, |store| {
    let [hub, lab] = [registry(&store, "hub").await, registry(&store, "lab").await];
    let [ice, fog, sea] = [seed("ice", "1.0.0", "1.0.0"), seed("fog", "1.0.0", "1.0.0"), seed("sea", "2.0.0", "1.0.0")];
    scan(&store, hub.id, &[("ice-seed", "1", &ice), ("sea-seed", "1", &sea)]).await;
    scan(&store, lab.id, &[("fog-seed", "1", &fog), ("sea-seed", "1", &sea)]).await;

    let all = JobFilter::default();
    for limit in 1..4 {
        let by_name = names_by_page(&store, &all, NameOrder::Name, false, limit).await;
        assert_eq!(by_name, ["fog", "ice", "sea"], "{limit} a page");
        let mut back = names_by_page(&store, &all, NameOrder::Name, true, limit).await;
        back.reverse();
        assert_eq!(back, by_name, "{limit} a page");
        assert_eq!(names_by_page(&store, &all, NameOrder::Id, false, limit).await, ["ice", "sea", "fog"]);
    }
    let in_lab = JobFilter { registry: Some(lab.id), ..JobFilter::default() };
    assert_eq!(names_by_page(&store, &in_lab, NameOrder::Name, false, 5).await, ["fog", "sea"]);
    let one = JobFilter { name: Some("ice".into()), ..JobFilter::default() };
    assert_eq!(names_by_page(&store, &one, NameOrder::Name, false, 5).await, ["ice"]);
    let nobodys =
        JobFilter { maintainer: Some("nobody".into()), organization: Some("none".into()), ..JobFilter::default() };
    assert_eq!(names_by_page(&store, &nobodys, NameOrder::Name, false, 5).await, [""; 0]);

    let page = |order, is_descending, after| ListPage { order, is_descending, after, limit: 3 };
    let ids = async |filter: &ImageFilter, page: &ListPage<ImageOrder>| -> Vec<i64> {
        store.image_page(filter, page).await.unwrap().into_iter().map(|image| image.id.0).collect()
    };
    let everything = ImageFilter::default();
    let first = store.image_page(&everything, &page(ImageOrder::Changed, true, None)).await.unwrap();
    let last = first.last().expect("three");
    let place = ListPosition { key: SortKey::Number(last.changed_at.timestamp_millis()), id: last.id.0 };
    let rest = ids(&everything, &page(ImageOrder::Changed, true, Some(place))).await;
    let mut seen: Vec<i64> = first.iter().map(|image| image.id.0).chain(rest).collect();
    seen.reverse();
    assert_eq!(seen, store.image_list().await.unwrap().iter().map(|image| image.id.0).collect::<Vec<_>>());
    let of_sea = ImageFilter { job: Some("sea".into()), job_version: Some("2.0.0".into()), ..ImageFilter::default() };
    assert_eq!(ids(&of_sea, &page(ImageOrder::Id, false, None)).await.len(), 2);
    let of_lab = ImageFilter { registry: Some(lab.id), digest: Some(sea.digest.clone()), valid: Some(true), ..of_sea };
    assert_eq!(ids(&of_lab, &page(ImageOrder::Id, false, None)).await.len(), 1);
    let broken = ImageFilter { valid: Some(false), ..ImageFilter::default() };
    assert!(ids(&broken, &page(ImageOrder::Id, false, None)).await.is_empty());

    let versions = store.job_version_summaries(job(&store, "sea").await.id).await.unwrap();
    let counts: Vec<_> = versions.iter().map(|it| (it.version.job_version.as_str(), it.images)).collect();
    assert_eq!(counts, [("2.0.0", 2)]);
    let sea = job(&store, "sea").await.id;
    let sizes = store.job_sizes(&[sea, JobId(9_999)]).await.unwrap();
    assert_eq!(sizes, [JobSize { job_id: sea, versions: 1, images: 2 }]);
    assert_eq!(store.job_sizes(&[]).await.unwrap(), []);
});

both!(ids_of_what_went_are_kept_for_a_month, |store| {
    let hub = registry(&store, "hub").await;
    let (ice, snow) = (seed("ice", "1.0.0", "1.0.0"), seed("snow", "1.0.0", "1.0.0"));
    let id_of = async |name: &str| {
        let images = store.image_list().await.unwrap();
        let image = images.into_iter().find(|image| image.name == name)?;
        Some((image.id, image.job_id, image.job_version_id, image.first_seen_at))
    };
    scan(&store, hub.id, &[("ice", "1", &ice), ("snow", "1", &snow)]).await;
    let before = id_of("ice:1").await;
    scan(&store, hub.id, &[("snow", "1", &snow)]).await;
    assert_eq!(id_of("ice:1").await, None);
    assert_eq!(store.tombstone_prune(at(30 * 24 * 3600)).await.unwrap(), 0);
    scan(&store, hub.id, &[("ice", "1", &ice), ("snow", "1", &snow)]).await;
    assert!(before.is_some() && id_of("ice:1").await == before);
    scan(&store, hub.id, &[("snow", "1", &snow)]).await;
    // The image, its job, the job's version and origin.
    assert_eq!(store.tombstone_prune(at(30 * 24 * 3600 + 3)).await.unwrap(), 4);
    scan(&store, hub.id, &[("ice", "1", &ice), ("snow", "1", &snow)]).await;
    assert!(id_of("ice:1").await > before, "ids of others are never given again");
});
