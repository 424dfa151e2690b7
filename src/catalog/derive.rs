//! Images → jobs and job versions.
//!
//! A job is a distinct `job.name` over all registries; a job version a distinct pair of `job.name` and
//! `job.jobVersion`. "Latest" is by SemVer precedence of job version, then package version. The old service compared
//! versions as text, against a stale value, and glued name and version together as a key.
//!
//! This says what is right. The store keeps its tables so without looking at all images each time (`store/derive.rs`), and is
//! held against it.

use std::collections::BTreeMap;

use super::{ImageId, ManifestFacts};
use crate::seed::version;

/// One job name with its versions, as the images say.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedJob {
    pub name: String,
    /// The image whose texts the job shows: of the highest versions; among equals the one with the lowest id.
    pub latest: ImageId,
    /// Highest first.
    pub versions: Vec<DerivedVersion>,
}

/// One version of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivedVersion {
    pub job_version: String,
    pub latest_package_version: String,
    /// Highest package version first, then by id.
    pub images: Vec<ImageId>,
}

/// Groups images into jobs, sorted by name. Order of the input does not matter.
pub fn derive_jobs<'a>(images: impl IntoIterator<Item = (ImageId, &'a ManifestFacts)>) -> Vec<DerivedJob> {
    let mut jobs: BTreeMap<&str, Vec<(ImageId, &ManifestFacts)>> = BTreeMap::new();
    for (id, facts) in images {
        jobs.entry(&facts.job_name).or_default().push((id, facts));
    }
    jobs.into_iter().map(|(name, images)| derive_job(name, images)).collect()
}

fn derive_job(name: &str, mut images: Vec<(ImageId, &ManifestFacts)>) -> DerivedJob {
    images.sort_by(|(a_id, a), (b_id, b)| {
        version::compare(&b.job_version, &a.job_version)
            .then_with(|| version::compare(&b.package_version, &a.package_version))
            .then(a_id.cmp(b_id))
    });
    let mut versions: Vec<DerivedVersion> = Vec::new();
    for (id, facts) in &images {
        match versions.last_mut() {
            Some(last) if last.job_version == facts.job_version => last.images.push(*id),
            _ => versions.push(DerivedVersion {
                job_version: facts.job_version.clone(),
                latest_package_version: facts.package_version.clone(),
                images: vec![*id],
            }),
        }
    }
    DerivedJob { name: name.to_owned(), latest: images[0].0, versions }
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

    fn derive(list: &[(i64, ManifestFacts)]) -> Vec<DerivedJob> {
        derive_jobs(list.iter().map(|(id, facts)| (ImageId(*id), facts)))
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
        // "a1" + "1.0" and "a" + "11.0" were one key in the old service.
        let jobs = derive(&[(1, facts("a1", "1.0", "1.0.0")), (2, facts("a", "11.0", "1.0.0"))]);
        assert_eq!(jobs.len(), 2);
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
