//! The facets of search results, and counts of their values.

/// A property of images by which results are filtered and counted. An image may have several values of a facet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchFacet {
    /// Host of the registry.
    Registry,
    /// Organisation in the registry: the first path components of the pull reference.
    Org,
    /// The maintainer's organisation.
    Organization,
    Tag,
    /// Media type of an input.
    Input,
    /// Media type of an output.
    Output,
    /// `os/architecture`
    Platform,
    /// Whether the job asks for a GPU.
    Gpu,
    /// Whether the manifest has no errors.
    Valid,
    SeedVersion,
    /// Whether an admin has marked the image's origin as verified.
    Verified,
}

/// A facet value, and the number of results that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetCount {
    pub value: String,
    pub count: u64,
}

impl SearchFacet {
    pub const ALL: [Self; 11] = [
        Self::Registry,
        Self::Org,
        Self::Organization,
        Self::Tag,
        Self::Input,
        Self::Output,
        Self::Platform,
        Self::Gpu,
        Self::Valid,
        Self::SeedVersion,
        Self::Verified,
    ];

    /// The facet's name in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Org => "org",
            Self::Organization => "organization",
            Self::Tag => "tag",
            Self::Input => "input",
            Self::Output => "output",
            Self::Platform => "platform",
            Self::Gpu => "gpu",
            Self::Valid => "valid",
            Self::SeedVersion => "seedVersion",
            Self::Verified => "verified",
        }
    }

    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|facet| facet.word() == word)
    }

    /// The index term of a value, prefixed by a letter for the facet: one term dictionary holds the values of all
    /// facets.
    pub(super) fn term(self, value: &str) -> String {
        let letter = char::from(b'a' + self as u8);
        format!("{letter}{value}")
    }

    pub(super) fn of_term(term: &str) -> Option<(Self, &str)> {
        let at = term.bytes().next()?.checked_sub(b'a')?;
        Some((*Self::ALL.get(usize::from(at))?, &term[1..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_and_words_lead_back() {
        for facet in SearchFacet::ALL {
            assert_eq!(SearchFacet::of_word(facet.word()), Some(facet));
            assert_eq!(SearchFacet::of_term(&facet.term("é/x")), Some((facet, "é/x")));
        }
        assert_eq!(SearchFacet::of_term(""), None);
        assert_eq!(SearchFacet::of_term("zz"), None);
    }
}
