//! Detects inherited labels: an image built on a Seed image without a label of its own inherits that of the base, and
//! would pass for another version of the base's job.

use crate::seed::image_name::ImageName;

/// Code of the problem.
pub(super) const CODE: &str = "inherited-label";

/// Message for an image whose repository is not named after its job.
pub(super) fn message(repository: &str, job_name: &str) -> String {
    format!(
        "the Seed label describes the job '{job_name}', but the repository {repository} has another name: the label \
         may come from the base image. If so, build the image with its own label (silo build); if not, name the \
         repository <job name>-<job version>-seed"
    )
}

/// Whether a repository is named after a job, in any form in use: lower case, other separators, below folders, with a
/// host or an organisation before either name. In the standard's form (`<job name>-<job version>-seed`) the name
/// identifies the job exactly; in any other form it only has to contain the job's name.
pub(super) fn is_named_after(repository: &str, job_name: &str) -> bool {
    let job = plain(job_name);
    // A repository cannot have such a name, so its name proves nothing.
    if job.is_empty() || job_name.chars().any(|c| c.is_alphanumeric() && !c.is_ascii()) {
        return true;
    }
    let (folders, last) = repository.rsplit_once('/').unwrap_or(("", repository));
    let standard = format!("{last}:0").parse::<ImageName>().ok();
    let stem = standard.as_ref().map_or(last.strip_suffix("-seed").unwrap_or(last), |name| &name.job_name);
    let whole = plain(&format!("{folders}/{stem}"));
    let stem = plain(stem);
    let ends_with = |name: &str, end: &str| name == end || name.ends_with(&format!("-{end}"));
    let holds = |name: &str, part: &str| format!("-{name}-").contains(&format!("-{part}-"));
    let joined = |name: &str| name.replace('-', "");
    ends_with(&whole, &job)
        || ends_with(&job, &stem)
        || joined(&stem) == joined(&job)
        || joined(&whole) == joined(&job)
        || (standard.is_none() && (holds(&whole, &job) || holds(&job, &stem)))
}

/// A name in lower case, its words joined by single dashes.
fn plain(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repository_of_the_job_whatever_stands_around_its_name() {
        for (repository, job) in [
            ("ndvi-1.0.0-seed", "ndvi"),
            ("geo/team/ndvi-1.0.0-seed", "ndvi"),
            ("mirror/registry.example.org/geo/ndvi-1.0.0-seed", "ndvi"),
            ("registry.example.org-geo-ndvi-1.0.0-seed", "ndvi"),
            ("ndvi-1.0.0-rc.1-seed", "ndvi"),
            ("ndvi-1.1.0-seed", "ndvi"),
            ("ice-edge-1.0.0-seed", "Ice-Edge"),
            ("ice_edge-1.0.0-seed", "ice-edge"),
            ("ice-edge-1.0.0-seed", "iceEdge"),
            ("iceedge-1.0.0-seed", "ice.edge"),
            ("geo/ndvi-1.0.0-seed", "geo-ndvi"),
            ("geo/ndvi-1.0.0-seed", "GEO/ndvi"),
            ("ndvi-1.0.0-seed", "example.org-ndvi"),
            ("ndvi-seed", "ndvi"),
            ("ndvi-v2-seed", "ndvi"),
            ("geo/ndvi", "ndvi"),
            ("ndvi/worker", "ndvi"),
            ("ndvi-1.0.0", "ndvi"),
            ("algorithms/sentinel2-ndvi-python", "ndvi"),
            ("ndvi", "sentinel-ndvi-python"),
            ("eis-1.0.0-seed", "größe"),
            ("x-1.0.0-seed", ""),
            ("x-1.0.0-seed", "--"),
        ] {
            assert!(is_named_after(repository, job), "{repository} {job}");
        }
    }

    #[test]
    fn a_repository_of_another_job() {
        for (repository, job) in [
            ("ndvi-fast-1.0.0-seed", "ndvi"),
            ("evi-1.0.0-seed", "ndvi"),
            ("ndvi/evi-1.0.0-seed", "ndvi"),
            ("device-1.0.0-seed", "ice"),
            ("geo/webserver", "ndvi"),
            ("map-seed", "ndvi"),
            ("ndvi-1.0.0-seed", "ndvi-base"),
        ] {
            assert!(!is_named_after(repository, job), "{repository} {job}");
        }
    }

    proptest! {
        #[test]
        fn the_name_that_the_standard_gives_is_the_jobs(
            folders in "([a-z0-9]{1,5}/){0,2}", job in "[a-z][a-z0-9-]{0,10}[a-z]", version in "[0-9]\\.[0-9]\\.[0-9]",
        ) {
            let repository = format!("{folders}{job}-{version}-seed");
            prop_assert!(is_named_after(&repository, &job));
            let other = format!("{folders}{job}x-{version}-seed");
            prop_assert!(!is_named_after(&other, &job) || folders.contains(&job));
        }
    }
}
