//! Derives jobs and job versions from images.
//!
//! A job is a distinct `job.name` over all registries; a job version is a distinct pair of `job.name` and
//! `job.jobVersion`. "Latest" is by SemVer precedence of the job version, then of the package version, among the images
//! that represent the job (`origin.rs`). The old service compared versions as text, against a stale value, and used the
//! concatenated name and version as a key.
//!
//! This is the reference, for registries that everybody sees. The store updates its tables incrementally (`store/derive.rs`), and a test compares both.

use std::collections::BTreeMap;

use super::origin::{KnownOrigin, MaintainerContact, OriginPlace, maintainer_key, place_origins};
use super::{ImageId, ManifestFacts, OriginId};
use crate::seed::version;

/// An image as the derivation of jobs reads it.
#[derive(Clone, Copy, Debug)]
pub struct DerivationImage<'a> {
    pub id: ImageId,
    /// The origin within its job.
    pub origin: OriginId,
    pub is_verified: bool,
    pub facts: &'a ManifestFacts,
}

/// One job name with its versions, derived from the images.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedJob {
    pub name: String,
    /// The image whose texts the job shows: of the images that represent the job, the one with the highest versions;
    /// among equals, the lowest id.
    pub latest: ImageId,
    /// Highest first.
    pub versions: Vec<DerivedVersion>,
    /// By id.
    pub origins: Vec<(KnownOrigin, OriginPlace)>,
}

/// One version of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedVersion {
    pub job_version: String,
    /// The highest package version among the images that represent the job, if any of them has this job version; else
    /// among all images with it.
    pub latest_package_version: String,
    /// Highest package version first, then by id.
    pub images: Vec<ImageId>,
}

/// Groups images into jobs, sorted by name. The order of the input does not matter.
pub fn derive_jobs<'a>(images: impl IntoIterator<Item = DerivationImage<'a>>) -> Vec<DerivedJob> {
    let mut jobs: BTreeMap<&str, Vec<DerivationImage<'a>>> = BTreeMap::new();
    for image in images {
        jobs.entry(&image.facts.job_name).or_default().push(image);
    }
    jobs.into_iter().map(|(name, images)| derive_job(name, images)).collect()
}

fn derive_job(name: &str, mut images: Vec<DerivationImage<'_>>) -> DerivedJob {
    images.sort_by(|a, b| {
        version::compare(&b.facts.job_version, &a.facts.job_version)
            .then_with(|| version::compare(&b.facts.package_version, &a.facts.package_version))
            .then(a.id.cmp(&b.id))
    });
    let origins = origins_of(&images);
    let represents = |image: &DerivationImage<'_>| {
        origins.iter().any(|(origin, place)| origin.id == image.origin && place.represents)
    };
    let mut versions: Vec<DerivedVersion> = Vec::new();
    for same in images.chunk_by(|a, b| a.facts.job_version == b.facts.job_version) {
        let latest = same.iter().find(|image| represents(image)).unwrap_or(&same[0]).facts;
        versions.push(DerivedVersion {
            job_version: latest.job_version.clone(),
            latest_package_version: latest.package_version.clone(),
            images: same.iter().map(|image| image.id).collect(),
        });
    }
    let latest = images.iter().find(|image| represents(image)).unwrap_or(&images[0]).id;
    DerivedJob { name: name.to_owned(), latest, versions, origins }
}

/// The origins of a job's images. `images` is sorted, latest first.
fn origins_of(images: &[DerivationImage<'_>]) -> Vec<(KnownOrigin, OriginPlace)> {
    let mut latest: BTreeMap<OriginId, KnownOrigin> = BTreeMap::new();
    for DerivationImage { id, origin, is_verified, facts } in images {
        latest.entry(*origin).or_insert_with(|| KnownOrigin {
            id: *origin,
            is_verified: *is_verified,
            maintainer_key: maintainer_key(&MaintainerContact::of(facts), *origin, None),
            job_version: facts.job_version.clone(),
            package_version: facts.package_version.clone(),
            image_id: *id,
        });
    }
    let origins: Vec<KnownOrigin> = latest.into_values().collect();
    let places = place_origins(&origins);
    origins.into_iter().zip(places).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn facts(name: &str, job_version: &str, package_version: &str) -> ManifestFacts {
        ManifestFacts {
            job_name: name.into(),
            job_version: job_version.into(),
            package_version: package_version.into(),
            ..ManifestFacts::default()
        }
    }

    /// All from one origin.
    fn derive(list: &[(i64, ManifestFacts)]) -> Vec<DerivedJob> {
        derive_jobs(list.iter().map(|(id, facts)| image(*id, 1, facts)))
    }

    fn image(id: i64, origin: i64, facts: &ManifestFacts) -> DerivationImage<'_> {
        DerivationImage { id: ImageId(id), origin: OriginId(origin), is_verified: false, facts }
    }

    #[test]
    fn the_latest_is_by_semver_whatever_the_order() {
        let jobs = derive(&[
            (1, facts("a", "9.0.0", "1.0.0")),
            (2, facts("a", "10.0.0", "2.0.0")),
            (3, facts("a", "2.0.0", "1.0.0")),
        ]);
        let versions: Vec<_> = jobs[0].versions.iter().map(|v| v.job_version.as_str()).collect();
        assert_eq!(versions, ["10.0.0", "9.0.0", "2.0.0"]);
        assert_eq!(jobs[0].latest, ImageId(2));
    }

    #[test]
    fn a_name_and_a_version_are_two_things() {
        // The old service used the same key for "a1" + "1.0" and "a" + "11.0".
        let jobs = derive(&[(1, facts("a1", "1.0", "1.0.0")), (2, facts("a", "11.0", "1.0.0"))]);
        assert_eq!(jobs.len(), 2);
    }

    #[test]
    fn another_maintainers_higher_version_takes_nothing_over() {
        let by = |email: &str, facts: ManifestFacts| ManifestFacts { email: email.into(), ..facts };
        let (old, new) = (by("ada", facts("a", "1.0.0", "1.0.0")), by("ada", facts("a", "1.0.0", "2.0.0")));
        let rivals = [by("mal", facts("a", "9.0.0", "1.0.0")), by("mal", facts("a", "1.0.0", "7.0.0"))];
        let images = [image(1, 1, &old), image(2, 2, &rivals[0]), image(3, 2, &rivals[1]), image(4, 1, &new)];
        let job = &derive_jobs(images)[0];
        assert_eq!(job.latest, ImageId(4));
        let versions: Vec<_> =
            job.versions.iter().map(|it| (it.job_version.as_str(), it.latest_package_version.as_str())).collect();
        assert_eq!(versions, [("9.0.0", "1.0.0"), ("1.0.0", "2.0.0")]);
    }

    proptest! {
        #[test]
        fn order_of_images_does_not_matter(mut list in prop::collection::vec(("[ab]", "[0-2]\\.0\\.0", "[0-2]\\.0\\.0"), 1..8), seed in any::<u64>()) {
            let rows: Vec<_> = list.iter().enumerate().map(|(i, (n, j, p))| (i as i64, facts(n, j, p))).collect();
            let expected = derive(&rows);
            let mut shuffled = rows.clone();
            let len = shuffled.len();
            shuffled.rotate_left(seed as usize % len);
            shuffled.reverse();
            prop_assert_eq!(derive(&shuffled), expected);
            list.clear();
        }
    }
}
