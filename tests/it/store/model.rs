//! Random scans of several registries, compared with a simple model.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use silo::catalog::{
    ContentOutcome, DerivationImage, DerivedJob, DerivedVersion, DigestContent, ImageId, JobOrigin, JobSummary,
    KnownOrigin, OriginId, OriginPlace, VerifiedMarks, derive_jobs, maintainer_key,
};
use silo::store::Store;

use super::both;
use super::fixture::{at, content, facts, registry, scan};

const REGISTRIES: usize = 3;

/// Result of a scan: tags and their content; content 0 is an image without label.
type Found = BTreeMap<(String, String), u8>;

/// A step on a registry: a scan with this result, its deletion, or a change of its verified namespaces.
#[derive(Clone, Debug)]
enum Step {
    Scan(Found),
    Delete,
    Verify(VerifiedMarks),
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let found = prop::collection::btree_map(("(g/|)[ab]-seed", "[1-3]"), 0..36_u8, 0..6);
    let marks = (any::<bool>(), prop::collection::vec("(g|)", 0..2))
        .prop_map(|(registry, namespaces)| VerifiedMarks { registry, namespaces });
    let step = prop_oneof![8 => found.prop_map(Step::Scan), 1 => Just(Step::Delete), 3 => marks.prop_map(Step::Verify)];
    prop::collection::vec((0..REGISTRIES, step), 1..12)
}

fn holding(number: u8) -> DigestContent {
    if number == 0 {
        return content("plain", ContentOutcome::Unlabelled);
    }
    let (maintainer, n) = (number % 3, number / 3);
    let (job, version) = (["x", "y"][usize::from(n % 2)], ["2.0.0", "10.0.0"][usize::from(n / 2 % 2)]);
    let mut facts = facts(job, version, ["1.0.0", "1.1.0", "1.1.0-rc.1"][usize::from(n / 4)]);
    // The last one is an unknown maintainer.
    let (name, email) = [("Ada", "ada@example.org"), ("Eve", "eve@example.org"), ("", "")][usize::from(maintainer)];
    (facts.maintainer, facts.email, facts.maint_org) = (name.into(), email.into(), name.into());
    facts.title = format!("{} of {name}", facts.title);
    content(&format!("{number}"), ContentOutcome::Seed(Box::new(facts)))
}

/// `(registry, repository:tag, job, job version)` of every catalogued image.
fn expected(model: &BTreeMap<usize, Found>) -> BTreeSet<(String, String, String, String)> {
    let mut images = BTreeSet::new();
    for (registry, found) in model {
        for ((repository, tag), number) in found {
            if let ContentOutcome::Seed(facts) = holding(*number).outcome {
                images.insert((
                    format!("r{registry}.example"),
                    format!("{repository}:{tag}"),
                    facts.job_name,
                    facts.job_version,
                ));
            }
        }
    }
    images
}

/// A job's name, its texts and image; its versions, each with the latest package version and images; its origins.
type Shape = Vec<(String, (Texts, ImageId), Vec<(String, String, Vec<ImageId>)>, Vec<(KnownOrigin, OriginPlace)>)>;

/// Title, maintainer, latest versions.
type Texts = [String; 4];

/// The jobs in the tables.
async fn kept(store: &Store) -> Shape {
    let versions = store.job_version_list(None).await.unwrap();
    let of = |id| {
        let own = versions.iter().filter(|version| version.job_version.job_id == id);
        own.map(|version| {
            let images = version.images.iter().map(|image| image.id).collect();
            (version.job_version.job_version.clone(), version.job_version.latest_package_version.clone(), images)
        })
        .collect()
    };
    let mut jobs = Shape::new();
    for job in store.job_list().await.unwrap() {
        let summary = store.job_summary_list_by_ids(&[job.id]).await.unwrap().remove(0);
        assert_eq!(summary.job, job);
        let texts = [job.title, job.email, job.latest_job_version, job.latest_package_version];
        jobs.push((job.name, (texts, summary.image_id), of(job.id), origins(store, &summary).await));
    }
    jobs.sort_by(|one, other| one.0.cmp(&other.0));
    jobs
}

/// The origins of a job in the tables.
async fn origins(store: &Store, job: &JobSummary) -> Vec<(KnownOrigin, OriginPlace)> {
    let id = job.job.id;
    let groups = store.job_group_list(&[id], 100).await.unwrap();
    assert_eq!(groups.len() as u64, job.group_count);
    assert_eq!(groups[0].1, job.groups[0], "the one that represents it comes first");
    assert_eq!((&job.origin, job.image_id), (&groups[0].1.leader.origin, groups[0].1.leader.image_id));
    let all = store.job_origin_page(id, None, OriginId(0), 100).await.unwrap();
    for (_, group) in &groups {
        let own = all.iter().filter(|origin| origin.group_id == group.leader.group_id).count();
        assert_eq!(own as u64, group.origin_count);
    }
    let known = |origin: JobOrigin| {
        let key = maintainer_key(&origin.maintainer, origin.id, None);
        let leads = groups.iter().any(|(_, group)| group.leader == origin);
        let place = OriginPlace { group_id: origin.group_id, leads, represents: origin.origin.represents };
        let known = KnownOrigin {
            id: origin.id,
            is_verified: origin.origin.is_verified,
            maintainer_key: key,
            job_version: origin.job_version,
            package_version: origin.package_version,
            image_id: origin.image_id,
        };
        (known, place)
    };
    all.into_iter().map(known).collect()
}

/// The jobs recomputed from all images.
async fn derived(store: &Store) -> Shape {
    let images = store.image_list().await.unwrap();
    let job = |job: DerivedJob| {
        let latest = &images.iter().find(|image| image.id == job.latest).expect("one of the images").facts;
        let texts = [&latest.title, &latest.email, &latest.job_version, &latest.package_version].map(String::clone);
        let version = |version: DerivedVersion| (version.job_version, version.latest_package_version, version.images);
        (job.name, (texts, job.latest), job.versions.into_iter().map(version).collect(), job.origins)
    };
    let all = images.iter().map(|image| DerivationImage {
        id: image.id,
        origin: image.origin_id,
        is_verified: image.is_verified,
        facts: &image.facts,
    });
    derive_jobs(all).into_iter().map(job).collect()
}

/// Index fields of images that depend on other images.
async fn shown(store: &Store) -> BTreeMap<ImageId, (bool, bool)> {
    let images = store.image_list().await.unwrap();
    images.into_iter().map(|image| (image.id, (image.is_verified, image.represents))).collect()
}

both!(any_sequence_of_scans_gives_the_catalogue_of_the_last_ones, |store| {
    // The random sequences are the same in each run, so that failures are reproducible.
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let mut model: BTreeMap<usize, Found> = BTreeMap::new();
    let mut marked: BTreeMap<String, VerifiedMarks> = BTreeMap::new();
    let mut job_ids = BTreeMap::new();
    let mut origin_ids: BTreeMap<(String, String, String), OriginId> = BTreeMap::new();
    for _ in 0..12 {
        for (number, step) in steps().new_tree(&mut runner).expect("steps").current() {
            let name = format!("r{number}");
            let (before, revision) = (shown(&store).await, store.catalogue_revision().await.unwrap());
            let existing = store.registry_by_name(&name).await.unwrap();
            match (step, existing) {
                (Step::Scan(found), existing) => {
                    let registry = match existing {
                        Some(registry) => registry,
                        None => registry(&store, &name).await,
                    };
                    let contents: Vec<DigestContent> = found.values().map(|number| holding(*number)).collect();
                    let tags: Vec<_> = found
                        .keys()
                        .zip(&contents)
                        .map(|((repository, tag), content)| (repository.as_str(), tag.as_str(), content))
                        .collect();
                    scan(&store, registry.id, &tags).await;
                    model.insert(number, found);
                }
                (Step::Delete, Some(registry)) => {
                    assert!(store.registry_delete(registry.id, at(9)).await.unwrap());
                    model.remove(&number);
                    marked.remove(&name);
                }
                (Step::Verify(marks), Some(registry)) => {
                    assert!(store.registry_verify(registry.id, &registry.verified, &marks, at(9)).await.unwrap());
                    marked.insert(name, marks);
                }
                (_, None) => {}
            }

            let all = store.image_list().await.unwrap();
            for image in &all {
                let is_verified = marked.get(&image.registry_name).is_some_and(|marks| marks.cover(&image.org));
                assert_eq!(image.is_verified, is_verified, "{image:?}");
                let origin = (image.facts.job_name.clone(), image.registry_name.clone(), image.org.clone());
                let first = *origin_ids.entry(origin).or_insert(image.origin_id);
                assert_eq!(first, image.origin_id, "also of what comes back");
            }
            let changed: BTreeSet<ImageId> = store
                .image_changes(revision, ImageId(0), 100)
                .await
                .unwrap()
                .into_iter()
                .map(|image| image.id)
                .collect();
            for (id, now) in shown(&store).await {
                assert!(before.get(&id) == Some(&now) || changed.contains(&id), "the index does not see {id}");
            }
            let images: BTreeSet<_> = all
                .into_iter()
                .map(|image| {
                    let slash = if image.org.is_empty() { "" } else { "/" };
                    let name = format!("{}{slash}{}", image.org, image.name);
                    (image.registry, name, image.facts.job_name, image.facts.job_version)
                })
                .collect();
            assert_eq!(images, expected(&model));
            let versions: BTreeSet<_> = store
                .job_version_list(None)
                .await
                .unwrap()
                .into_iter()
                .map(|version| (version.job_version.job_name, version.job_version.job_version))
                .collect();
            assert_eq!(versions, images.iter().map(|(_, _, job, version)| (job.clone(), version.clone())).collect());
            let jobs = store.job_list().await.unwrap();
            for job in &jobs {
                let old = job_ids.get(&job.name);
                assert!(old.is_none_or(|old| *old == job.id), "a job that stayed has another id");
            }
            assert_eq!(kept(&store).await, derived(&store).await, "as all images together say");
            job_ids = jobs.into_iter().map(|job| (job.name, job.id)).collect();
            assert_eq!(job_ids.keys().collect::<BTreeSet<_>>(), versions.iter().map(|(job, _)| job).collect());
        }
    }
});
