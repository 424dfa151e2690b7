//! Random scans of several registries, against a model of ten lines.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use silo::catalog::{Content, DerivedJob, DerivedVersion, ImageId, Outcome, derive_jobs};
use silo::store::Store;

use super::both;
use super::fixture::{at, content, registry, scan, seed};

const REGISTRIES: usize = 3;

/// What one scan finds: tags and what they hold; a content of 0 is an image without label.
type Found = BTreeMap<(String, String), u8>;

/// One step: a scan of a registry that finds this, or (nothing) its deletion.
type Step = (usize, Option<Found>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let found = prop::collection::btree_map(("[ab]-seed", "[1-3]"), 0..12_u8, 0..6);
    prop::collection::vec((0..REGISTRIES, prop::option::weighted(0.85, found)), 1..10)
}

fn holding(number: u8) -> Content {
    match number {
        0 => content("plain", Outcome::Unlabelled),
        n => seed(
            ["x", "y"][usize::from(n % 2)],
            ["2.0.0", "10.0.0"][usize::from(n / 2 % 2)],
            ["1.0.0", "1.1.0", "1.1.0-rc.1"][usize::from(n / 4)],
        ),
    }
}

/// `(registry, repository:tag, job, job version)` of every catalogued image.
fn expected(model: &BTreeMap<usize, Found>) -> BTreeSet<(String, String, String, String)> {
    let mut images = BTreeSet::new();
    for (registry, found) in model {
        for ((repository, tag), number) in found {
            if let Outcome::Seed(facts) = holding(*number).outcome {
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

/// A job's name, its title and latest versions; then each version, its latest package version and its images.
type Shape = Vec<(String, [String; 3], Vec<(String, String, Vec<ImageId>)>)>;

/// The jobs as the tables have them.
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
    let mut jobs: Shape = store
        .job_list()
        .await
        .unwrap()
        .into_iter()
        .map(|job| (job.name, [job.title, job.latest_job_version, job.latest_package_version], of(job.id)))
        .collect();
    jobs.sort();
    jobs
}

/// The jobs as they follow from all images, from scratch.
async fn derived(store: &Store) -> Shape {
    let images = store.image_list().await.unwrap();
    let job = |job: DerivedJob| {
        let latest = &images.iter().find(|image| image.id == job.latest).expect("one of the images").facts;
        let texts = [latest.title.clone(), latest.job_version.clone(), latest.package_version.clone()];
        let version = |version: DerivedVersion| (version.job_version, version.latest_package_version, version.images);
        (job.name, texts, job.versions.into_iter().map(version).collect())
    };
    derive_jobs(images.iter().map(|image| (image.id, &image.facts))).into_iter().map(job).collect()
}

both!(any_sequence_of_scans_gives_the_catalogue_of_the_last_ones, |store| {
    // The same sequences in each run: a failure can be looked at again.
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    );
    let mut model: BTreeMap<usize, Found> = BTreeMap::new();
    let mut job_ids = BTreeMap::new();
    for _ in 0..12 {
        for (number, step) in steps().new_tree(&mut runner).expect("steps").current() {
            let name = format!("r{number}");
            let existing = store.registry_by_name(&name).await.unwrap();
            match step {
                Some(found) => {
                    let registry = match existing {
                        Some(registry) => registry,
                        None => registry(&store, &name).await,
                    };
                    let contents: Vec<Content> = found.values().map(|number| holding(*number)).collect();
                    let tags: Vec<_> = found
                        .keys()
                        .zip(&contents)
                        .map(|((repository, tag), content)| (repository.as_str(), tag.as_str(), content))
                        .collect();
                    scan(&store, registry.id, &tags).await;
                    model.insert(number, found);
                }
                None => {
                    if let Some(registry) = existing {
                        assert!(store.registry_delete(registry.id, at(9)).await.unwrap());
                    }
                    model.remove(&number);
                }
            }

            let images: BTreeSet<_> = store
                .image_list()
                .await
                .unwrap()
                .into_iter()
                .map(|image| (image.registry, image.name, image.facts.job_name, image.facts.job_version))
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
                let latest = if versions.contains(&(job.name.clone(), "10.0.0".into())) { "10.0.0" } else { "2.0.0" };
                assert_eq!(job.latest_job_version, latest);
                let old = job_ids.get(&job.name);
                assert!(old.is_none_or(|old| *old == job.id), "a job that stayed has another id");
            }
            assert_eq!(kept(&store).await, derived(&store).await, "as all images together say");
            job_ids = jobs.into_iter().map(|job| (job.name, job.id)).collect();
            assert_eq!(job_ids.keys().collect::<BTreeSet<_>>(), versions.iter().map(|(job, _)| job).collect());
        }
    }
});
