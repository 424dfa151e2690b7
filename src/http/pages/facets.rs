//! The facets beside a list of results.

use super::ports::format_name;
use crate::app::{FacetCount, SearchFacet};

/// Facets in the order of a page, with their headings.
const SHOWN: [(SearchFacet, &str); 11] = [
    (SearchFacet::Input, "Takes"),
    (SearchFacet::Output, "Gives"),
    (SearchFacet::Tag, "Tag"),
    (SearchFacet::Organization, "Organization"),
    (SearchFacet::Registry, "Registry"),
    (SearchFacet::Org, "Namespace"),
    (SearchFacet::Platform, "Platform"),
    (SearchFacet::Gpu, "Needs a GPU"),
    (SearchFacet::Valid, "Manifest"),
    (SearchFacet::Verified, "Origin"),
    (SearchFacet::SeedVersion, "Seed version"),
];

/// Values that are shown before the others are folded away.
const FIRST_VALUES: usize = 5;
/// From so many folded values on, a field filters them.
const MOST_UNFILTERED: usize = 12;

/// A facet with its values, the chosen ones first, then the most frequent.
#[derive(Debug)]
pub(super) struct FacetGroup {
    /// Name in addresses.
    pub word: &'static str,
    pub heading: &'static str,
    pub first: Vec<FacetValue>,
    pub others: Vec<FacetValue>,
}

impl FacetGroup {
    pub(super) fn has_filter(&self) -> bool {
        self.others.len() > MOST_UNFILTERED
    }
}

/// A value to choose.
#[derive(Debug)]
pub(super) struct FacetValue {
    pub value: String,
    pub label: String,
    pub count: u64,
    pub is_chosen: bool,
}

/// A chosen value.
#[derive(Debug)]
pub(super) struct ChosenFacet {
    pub heading: &'static str,
    pub value: String,
    pub label: String,
    /// Address without it.
    pub without_url: String,
}

/// The facets to show: those that divide the results, and those of which a value is chosen.
pub(super) fn groups(counts: &[(SearchFacet, Vec<FacetCount>)], chosen: &[(SearchFacet, String)]) -> Vec<FacetGroup> {
    let group = |(facet, heading): (SearchFacet, &'static str)| {
        let counts = counts.iter().find(|(counted, _)| *counted == facet).map_or(&[][..], |(_, counts)| counts);
        let is_chosen = |value: &str| chosen.iter().any(|(other, asked)| *other == facet && asked == value);
        let counted = counts.iter().map(|FacetCount { value, count }| (value.as_str(), *count));
        // A value that no result has can be unchosen, too.
        let missing = chosen
            .iter()
            .filter(|(other, asked)| *other == facet && counts.iter().all(|count| count.value != *asked))
            .map(|(_, asked)| (asked.as_str(), 0));
        let mut values: Vec<FacetValue> = counted
            .chain(missing)
            .map(|(value, count)| FacetValue {
                label: label(facet, value),
                is_chosen: is_chosen(value),
                value: value.to_owned(),
                count,
            })
            .collect();
        values.sort_by_key(|value| !value.is_chosen);
        let is_shown = values.len() > 1 || values.iter().any(|value| value.is_chosen);
        let chosen = values.iter().filter(|value| value.is_chosen).count();
        let others = values.split_off(values.len().min(FIRST_VALUES.max(chosen)));
        is_shown.then_some(FacetGroup { word: facet.word(), heading, first: values, others })
    };
    SHOWN.into_iter().filter_map(group).collect()
}

/// The chosen values, in the order of the facets.
pub(super) fn chosen(filters: &[(SearchFacet, String)], without: impl Fn(&str, &str) -> String) -> Vec<ChosenFacet> {
    let mut chosen: Vec<ChosenFacet> = Vec::new();
    for (facet, heading) in SHOWN {
        for (_, value) in filters.iter().filter(|(other, _)| *other == facet) {
            if chosen.iter().any(|known| known.heading == heading && known.value == *value) {
                continue;
            }
            chosen.push(ChosenFacet {
                heading,
                value: value.clone(),
                label: label(facet, value),
                without_url: without(facet.word(), value),
            });
        }
    }
    chosen
}

fn label(facet: SearchFacet, value: &str) -> String {
    let word = match (facet, value) {
        (SearchFacet::Input | SearchFacet::Output, media_type) => return format_name(media_type),
        (SearchFacet::Gpu, "true") => "yes",
        (SearchFacet::Gpu, "false") => "no",
        (SearchFacet::Valid, "true") => "valid",
        (SearchFacet::Valid, "false") => "with errors",
        (SearchFacet::Verified, "true") => "verified",
        (SearchFacet::Verified, "false") => "not verified",
        (_, value) => value,
    };
    word.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(facet: SearchFacet, values: &[(&str, u64)]) -> (SearchFacet, Vec<FacetCount>) {
        let count = |(value, count): &(&str, u64)| FacetCount { value: (*value).to_owned(), count: *count };
        (facet, values.iter().map(count).collect())
    }

    #[test]
    fn facets_that_divide_nothing_are_left_out() {
        let counts =
            [counts(SearchFacet::Gpu, &[("false", 3)]), counts(SearchFacet::Input, &[("image/tiff", 2), ("x/y", 1)])];
        let words = |chosen: &[(SearchFacet, String)]| -> Vec<&str> {
            groups(&counts, chosen).iter().map(|group| group.word).collect()
        };
        assert_eq!(words(&[]), ["input"]);
        assert_eq!(words(&[(SearchFacet::Gpu, "false".to_owned())]), ["input", "gpu"]);
    }

    #[test]
    fn chosen_values_come_first_and_can_always_be_unchosen() {
        let names: Vec<String> = (0..30).map(|number| format!("tag-{number:02}")).collect();
        let pairs: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let chosen = ["tag-20", "gone"].map(|tag| (SearchFacet::Tag, tag.to_owned()));
        let groups = groups(&[counts(SearchFacet::Tag, &pairs)], &chosen);
        let first: Vec<(&str, u64)> = groups[0].first.iter().map(|value| (value.label.as_str(), value.count)).collect();
        assert_eq!(first, [("tag-20", 1), ("gone", 0), ("tag-00", 1), ("tag-01", 1), ("tag-02", 1)]);
        assert_eq!(groups[0].others.len(), 26);
        assert!(groups[0].has_filter());
    }

    #[test]
    fn every_facet_has_a_place() {
        let mut facets: Vec<SearchFacet> = SHOWN.iter().map(|(facet, _)| *facet).collect();
        facets.sort();
        let mut all = SearchFacet::ALL.to_vec();
        all.sort();
        assert_eq!(facets, all);
    }
}
