//! Origins of the images of a job, and the rule which of several maintainers represents it.
//!
//! An *origin* of a job is one namespace of one registry. Origins with the same maintainer form one *group*, so that a
//! mirror does not compete with its source. One group represents the job: one with an origin that an admin has marked
//! as verified, else the one seen first. So another maintainer's higher version does not replace a job's title,
//! maintainer and image.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::{ImageId, ManifestFacts, OriginId, RegistryId};
use crate::seed::version;

/// One namespace of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageOrigin {
    pub registry_id: RegistryId,
    /// The registry's name, given by its admin.
    pub registry: String,
    /// As in [`super::RegistryRecord::host`].
    pub host: String,
    /// Path of the repositories before the last slash; may be empty.
    pub namespace: String,
    /// Whether an admin has marked the registry or the namespace as verified.
    pub is_verified: bool,
    /// Whether its images represent the job: the job shows the latest of all images that do.
    pub represents: bool,
}

/// The maintainer of a job, from its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaintainerContact {
    pub name: String,
    pub email: String,
    pub organization: String,
}

/// An origin of a job, with the fields of its latest image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobOrigin {
    pub id: OriginId,
    pub group_id: OriginId,
    pub origin: ImageOrigin,
    pub maintainer: MaintainerContact,
    pub title: String,
    pub job_version: String,
    pub package_version: String,
    pub image_id: ImageId,
    /// Reference for `docker pull`.
    pub reference: String,
    /// Whether the image's manifest has no errors.
    pub valid: bool,
}

/// The origins of a job with the same maintainer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobGroup {
    /// The origin with the latest image; only verified ones are considered, if there are any.
    pub leader: JobOrigin,
    pub origin_count: u64,
}

/// An origin of a job with the fields that decide its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownOrigin {
    /// Lower ids were seen earlier.
    pub id: OriginId,
    pub is_verified: bool,
    /// Made by [`maintainer_key`].
    pub maintainer_key: String,
    /// The latest image, with its versions.
    pub job_version: String,
    pub package_version: String,
    pub image_id: ImageId,
}

/// The place of an origin among those of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginPlace {
    /// The lowest origin id in its group.
    pub group_id: OriginId,
    /// Whether it is the group's leader, see [`JobGroup::leader`].
    pub leads: bool,
    /// As in [`ImageOrigin::represents`].
    pub represents: bool,
}

impl MaintainerContact {
    /// The maintainer named in a manifest.
    pub fn of(facts: &ManifestFacts) -> Self {
        let ManifestFacts { maintainer, email, maint_org, .. } = facts;
        Self { name: maintainer.clone(), email: email.clone(), organization: maint_org.clone() }
    }
}

impl KnownOrigin {
    /// Whether its latest image precedes the other's: by higher versions, then by lower id.
    fn is_before(&self, other: &Self) -> bool {
        version::compare(&other.job_version, &self.job_version)
            .then_with(|| version::compare(&other.package_version, &self.package_version))
            .then(self.image_id.cmp(&other.image_id))
            .is_lt()
    }
}

/// A digest that is equal for equal maintainers: of the email address, ignoring case; without one, of the name and
/// organisation. A manifest without a maintainer belongs to a group of its own origin. A registry that not everybody
/// sees (`closed`) has groups of its own, so that hiding it changes no other group.
pub fn maintainer_key(maintainer: &MaintainerContact, origin: OriginId, closed: Option<RegistryId>) -> String {
    let fold = |text: &str| text.trim().to_lowercase();
    let key = match [&maintainer.email, &maintainer.name, &maintainer.organization].map(|text| fold(text)) {
        [email, ..] if !email.is_empty() => format!("email\0{email}"),
        [_, name, organization] if !(name.is_empty() && organization.is_empty()) => {
            format!("name\0{name}\0{organization}")
        }
        _ => format!("origin\0{origin}"),
    };
    let key = closed.map_or(key.clone(), |registry| format!("registry\0{registry}\0{key}"));
    hex::encode(Sha256::digest(key))
}

/// Places all origins of one job, in their order. Exactly one of those that represent the job leads.
pub fn place_origins(origins: &[KnownOrigin]) -> Vec<OriginPlace> {
    let mut groups: BTreeMap<&str, OriginGroup> = BTreeMap::new();
    for origin in origins {
        groups
            .entry(&origin.maintainer_key)
            .and_modify(|group| group.add(origin))
            .or_insert_with(|| OriginGroup::of(origin));
    }
    // If several groups have verified origins, the group of the verified origin seen first.
    let first = origins.iter().min_by_key(|origin| (!origin.is_verified, origin.id));
    let place = |origin: &KnownOrigin| {
        let group = &groups[origin.maintainer_key.as_str()];
        let is_representative = first.is_some_and(|first| first.maintainer_key == origin.maintainer_key);
        OriginPlace {
            group_id: group.id,
            leads: group.leader.id == origin.id,
            represents: is_representative && origin.is_verified == group.leader.is_verified,
        }
    };
    origins.iter().map(place).collect()
}

struct OriginGroup<'a> {
    id: OriginId,
    leader: &'a KnownOrigin,
}

impl<'a> OriginGroup<'a> {
    fn of(origin: &'a KnownOrigin) -> Self {
        Self { id: origin.id, leader: origin }
    }

    fn add(&mut self, origin: &'a KnownOrigin) {
        self.id = self.id.min(origin.id);
        let leads = match (origin.is_verified, self.leader.is_verified) {
            (true, false) => true,
            (false, true) => false,
            _ => origin.is_before(self.leader),
        };
        if leads {
            self.leader = origin;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(id: i64, is_verified: bool, maintainer: &str, job_version: &str) -> KnownOrigin {
        KnownOrigin {
            id: OriginId(id),
            is_verified,
            maintainer_key: maintainer.into(),
            job_version: job_version.into(),
            package_version: "1.0.0".into(),
            image_id: ImageId(id * 10),
        }
    }

    /// Ids of the origins that represent the job, the leader's first.
    fn representatives(origins: &[KnownOrigin]) -> Vec<i64> {
        let mut found: Vec<(bool, i64)> = origins
            .iter()
            .zip(place_origins(origins))
            .filter(|(_, place)| place.represents)
            .map(|(origin, place)| (!place.leads, origin.id.0))
            .collect();
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    #[test]
    fn the_first_seen_represents_unless_another_is_verified() {
        let (first, rival) = (origin(1, false, "ada", "1.0.0"), origin(2, false, "mal", "9.0.0"));
        assert_eq!(representatives(&[first.clone(), rival.clone()]), [1]);
        assert_eq!(representatives(&[rival.clone(), first.clone()]), [1]);
        let mirror = origin(3, false, "ada", "2.0.0");
        assert_eq!(representatives(&[first.clone(), rival.clone(), mirror.clone()]), [3, 1], "a mirror is no rival");
        let verified = origin(4, true, "eve", "0.1.0");
        assert_eq!(representatives(&[first.clone(), rival, mirror.clone(), verified]), [4]);

        let imitator = origin(5, false, "ada", "9.0.0");
        let first = KnownOrigin { is_verified: true, ..first };
        assert_eq!(representatives(&[first, mirror, imitator]), [1], "of its group what is verified counts alone");
    }

    #[test]
    fn maintainers_are_the_same_by_address_or_else_by_name_and_organisation() {
        let of = |name: &str, email: &str, organization: &str| MaintainerContact {
            name: name.into(),
            email: email.into(),
            organization: organization.into(),
        };
        let same = |one: &MaintainerContact, other: &MaintainerContact| {
            maintainer_key(one, OriginId(1), None) == maintainer_key(other, OriginId(2), None)
        };
        assert!(same(&of("Ada", "ada@example.org", "Geo"), &of("A. L.", " ADA@Example.org ", "")));
        assert!(!same(&of("Ada", "ada@example.org", "Geo"), &of("Ada", "ada@example.com", "Geo")));
        assert!(!same(&of("Ada", "ada@example.org", "Geo"), &of("Ada", "\u{430}da@example.org", "Geo")), "Cyrillic");
        assert!(same(&of("Ada", "", "Geo"), &of("ada", " ", "GEO")));
        assert!(!same(&of("Ada", "", "Geo"), &of("Ada", "", "Art")));
        assert!(!same(&of("ada@example.org", "", ""), &of("", "ada@example.org", "")));
        assert!(!same(&of("", "", ""), &of("", "", "")), "nobody is not the same as nobody");
    }

    fn origins() -> impl Strategy<Value = Vec<KnownOrigin>> {
        let one = (any::<bool>(), "[a-c]", "[0-2]\\.0\\.0");
        prop::collection::vec(one, 1..8).prop_map(|list| {
            let number = |(at, (is_verified, maintainer, version)): (usize, (bool, String, String))| {
                origin(at as i64 + 1, is_verified, &maintainer, &version)
            };
            list.into_iter().enumerate().map(number).collect()
        })
    }

    proptest! {
        #[test]
        fn each_group_has_one_leader_and_one_group_represents(mut list in origins(), turn in any::<usize>()) {
            let places = place_origins(&list);
            let chosen: Vec<_> = list.iter().zip(&places).filter(|(_, place)| place.represents).collect();
            prop_assert_eq!(chosen.iter().filter(|(_, place)| place.leads).count(), 1);
            let has_verified = list.iter().any(|origin| origin.is_verified);
            prop_assert!(chosen.iter().all(|(origin, _)| origin.is_verified == has_verified));
            for (origin, place) in list.iter().zip(&places) {
                let group: Vec<_> = list.iter().zip(&places).filter(|(_, other)| other.group_id == place.group_id).collect();
                prop_assert!(group.iter().all(|(other, _)| other.maintainer_key == origin.maintainer_key));
                prop_assert_eq!(group.iter().map(|(other, _)| other.id).min(), Some(place.group_id));
                prop_assert_eq!(group.iter().filter(|(_, place)| place.leads).count(), 1);
            }

            // The order does not matter.
            let mut before: Vec<_> = list.iter().map(|origin| origin.id).zip(places).collect();
            let length = list.len();
            list.rotate_left(turn % length);
            let mut after: Vec<_> = list.iter().map(|origin| origin.id).zip(place_origins(&list)).collect();
            before.sort_by_key(|(id, _)| *id);
            after.sort_by_key(|(id, _)| *id);
            prop_assert_eq!(before, after);

            // No other origin changes it, whatever its version.
            let shown = representatives(&list);
            list.push(origin(99, false, "rival", "99.0.0"));
            prop_assert_eq!(representatives(&list), shown);
        }
    }
}
