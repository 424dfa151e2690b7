//! The schema of the index, and the document that is indexed for an image.

use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, SchemaBuilder, TextFieldIndexing, TextOptions};

use super::facets::SearchFacet;
use super::folding::composed;
use super::keys::{joined_key, key, name_key};
use super::query::MAX_CHARS;
use super::tokenizer::CachedTokenizer;
use crate::catalog::SearchDoc;

/// To be incremented with every change of documents or tokenization: an index of another version is rebuilt.
pub(super) const VERSION: u32 = 6;

/// Name of [`super::tokenizer::analyzer`] in the index.
pub(super) const ANALYZER: &str = "words";

/// Names of fast fields, which are read by name.
pub(super) const IMAGE_ID: &str = "image_id";
pub(super) const JOB_ID: &str = "job_id";
pub(super) const JOB_VERSION: &str = "job_version";
pub(super) const PACKAGE_VERSION: &str = "package_version";
pub(super) const CHANGED_AT: &str = "changed_at";
pub(super) const JOB_NAME: &str = "job_name";
pub(super) const FACETS: &str = "facets";
pub(super) const IS_SECONDARY: &str = "is_secondary";
pub(super) const REGISTRY_ID: &str = "registry_id";
pub(super) const ORIGIN_ID: &str = "origin_id";
pub(super) const GROUP_ID: &str = "group_id";

/// Maximum length of a facet value, in characters.
const FACET_CHARS: usize = 120;

/// Normalises a facet value for counting, display and comparison: NFC, trimmed, truncated.
pub(super) fn facet_value(text: &str) -> String {
    composed(text.trim()).chars().take(FACET_CHARS).collect()
}

/// A version as a number in version order, as far as 63 bits can express it; 0 if it is not a version.
pub(super) fn version_number(text: &str) -> u64 {
    let (core, pre) = match text.split('+').next().unwrap_or_default().split_once('-') {
        Some((core, _)) => (core, true),
        None => (text.split('+').next().unwrap_or_default(), false),
    };
    let mut parts = core.split('.').map(|part| part.parse::<u64>().ok());
    let mut part = |bits: u32| parts.next().flatten().map(|number| number.min((1 << bits) - 1));
    let (Some(major), minor, patch) = (part(24), part(19), part(19)) else { return 0 };
    major << 39 | minor.unwrap_or(0) << 20 | patch.unwrap_or(0) << 1 | u64::from(!pre)
}

/// The text of a [`version_number`], without pre-release; empty for 0.
pub(super) fn version_text(number: u64) -> String {
    match number {
        0 => String::new(),
        _ => format!("{}.{}.{}", number >> 39, number >> 20 & 0x7ffff, number >> 1 & 0x7ffff),
    }
}

/// Handles of the index's fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexFields {
    pub image_id: Field,
    pub job_id: Field,
    pub job_version: Field,
    pub package_version: Field,
    pub changed_at: Field,
    pub is_secondary: Field,
    pub registry_id: Field,
    pub origin_id: Field,
    pub group_id: Field,
    /// Not searched; for display and sorting.
    pub job_name: Field,
    /// All facet values, each prefixed by its facet's letter.
    pub facets: Field,
    /// [`key`] of the job's name.
    pub job_key: Field,
    /// [`name_key`] of the job's name, and [`joined_key`] of that.
    pub name_key: Field,
    /// [`key`] of the title, and of the image's name without and with organisation and tag.
    pub other_keys: Field,
    /// Names of job and image.
    pub name: Field,
    pub title: Field,
    pub tags: Field,
    /// Maintainer, the maintainer's organisation, and the organisation in the registry.
    pub people: Field,
    /// Names and media types of inputs and outputs.
    pub interface: Field,
    pub description: Field,
    /// This and the following fields are searched only if the query names them.
    pub maintainer: Field,
    pub org: Field,
    pub registry: Field,
    pub inputs: Field,
    pub outputs: Field,
    pub media: Field,
    pub platform: Field,
    /// [`key`] of job and package version.
    pub version: Field,
}

impl IndexFields {
    pub(super) fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let shown = || TextOptions::default().set_fast("raw");
        let fields = Self {
            image_id: schema.add_i64_field(IMAGE_ID, INDEXED | FAST),
            job_id: schema.add_i64_field(JOB_ID, FAST),
            job_version: schema.add_u64_field(JOB_VERSION, FAST),
            package_version: schema.add_u64_field(PACKAGE_VERSION, FAST),
            changed_at: schema.add_i64_field(CHANGED_AT, FAST),
            is_secondary: schema.add_bool_field(IS_SECONDARY, FAST),
            registry_id: schema.add_i64_field(REGISTRY_ID, FAST),
            origin_id: schema.add_i64_field(ORIGIN_ID, FAST),
            group_id: schema.add_i64_field(GROUP_ID, FAST),
            job_name: schema.add_text_field(JOB_NAME, shown()),
            facets: schema.add_text_field(FACETS, shown()),
            job_key: add_keys(&mut schema, "job_key"),
            name_key: add_keys(&mut schema, "name_key"),
            other_keys: add_keys(&mut schema, "other_keys"),
            name: add_words(&mut schema, "name"),
            title: add_words(&mut schema, "title"),
            tags: add_words(&mut schema, "tags"),
            people: add_words(&mut schema, "people"),
            interface: add_words(&mut schema, "interface"),
            description: add_words(&mut schema, "description"),
            maintainer: add_words(&mut schema, "maintainer"),
            org: add_words(&mut schema, "org"),
            registry: add_words(&mut schema, "registry"),
            inputs: add_words(&mut schema, "inputs"),
            outputs: add_words(&mut schema, "outputs"),
            media: add_words(&mut schema, "media"),
            platform: add_words(&mut schema, "platform"),
            version: add_keys(&mut schema, "version"),
        };
        (schema.build(), fields)
    }

    pub(super) fn document(&self, doc: &SearchDoc, cutter: &mut CachedTokenizer) -> TantivyDocument {
        let mut out = TantivyDocument::new();
        out.add_i64(self.image_id, doc.image_id);
        out.add_i64(self.job_id, doc.job_id);
        out.add_u64(self.job_version, version_number(&doc.job_version));
        out.add_u64(self.package_version, version_number(&doc.package_version));
        out.add_i64(self.changed_at, doc.changed_at);
        out.add_bool(self.is_secondary, doc.is_secondary);
        out.add_i64(self.registry_id, doc.registry_id);
        out.add_i64(self.origin_id, doc.origin_id);
        out.add_i64(self.group_id, doc.group_id);
        out.add_text(self.job_name, &doc.job_name);
        for (facet, value) in facet_values(doc) {
            out.add_text(self.facets, facet.term(&value));
        }
        self.add_whole_texts(&mut out, doc);
        let mut add = |field, texts: &[&String]| {
            for text in texts.iter().filter(|text| !text.is_empty()) {
                out.add_text(field, cutter.indexed(text));
            }
        };
        fn all(lists: [&Vec<String>; 2]) -> Vec<&String> {
            lists.into_iter().flatten().collect()
        }
        add(self.name, &[&doc.job_name, &doc.name]);
        add(self.title, &[&doc.title]);
        add(self.description, &[&doc.description]);
        add(self.tags, &Vec::from_iter(&doc.tags));
        add(self.people, &[&doc.org, &doc.maintainer, &doc.maint_org]);
        add(self.maintainer, &[&doc.maintainer]);
        add(self.org, &[&doc.org, &doc.maint_org]);
        add(self.registry, &[&doc.registry]);
        let (inputs, outputs) = (all([&doc.inputs, &doc.input_types]), all([&doc.outputs, &doc.output_types]));
        add(self.interface, &[inputs.as_slice(), &outputs].concat());
        add(self.inputs, &inputs);
        add(self.outputs, &outputs);
        add(self.media, &all([&doc.input_types, &doc.output_types]));
        add(self.platform, &Vec::from_iter(&doc.platforms));
        out
    }

    fn add_whole_texts(&self, out: &mut TantivyDocument, doc: &SearchDoc) {
        let repository = doc.name.rsplit_once(':').map_or(doc.name.as_str(), |(repository, _)| repository);
        let with_org = [repository, &doc.name].map(|name| format!("{}/{name}", doc.org));
        out.add_text(self.job_key, key(&doc.job_name));
        let name = name_key(&doc.job_name);
        let joined = joined_key(&name);
        if joined != name {
            out.add_text(self.name_key, joined);
        }
        out.add_text(self.name_key, name);
        for text in [doc.title.as_str(), repository, &doc.name, &with_org[0], &with_org[1]] {
            // A query is never this long.
            if text.len() <= MAX_CHARS * 4 {
                out.add_text(self.other_keys, key(text));
            }
        }
        for version in [&doc.job_version, &doc.package_version] {
            out.add_text(self.version, key(version));
        }
    }
}

/// The facet values of an image.
pub(super) fn facet_values(doc: &SearchDoc) -> Vec<(SearchFacet, String)> {
    let truth = |flag: bool| if flag { "true" } else { "false" }.to_owned();
    let mut values = vec![
        (SearchFacet::Registry, doc.registry.clone()),
        (SearchFacet::Org, doc.org.clone()),
        (SearchFacet::Organization, doc.maint_org.clone()),
        (SearchFacet::SeedVersion, doc.seed_version.clone()),
        (SearchFacet::Gpu, truth(doc.gpu)),
        (SearchFacet::Valid, truth(doc.valid)),
        (SearchFacet::Verified, truth(doc.is_verified)),
    ];
    let lists = [
        (SearchFacet::Tag, &doc.tags),
        (SearchFacet::Input, &doc.input_types),
        (SearchFacet::Output, &doc.output_types),
        (SearchFacet::Platform, &doc.platforms),
    ];
    for (facet, list) in lists {
        values.extend(list.iter().map(|value| (facet, value.clone())));
    }
    for (_, value) in &mut values {
        *value = facet_value(value);
    }
    values.retain(|(_, value)| !value.is_empty());
    values
}

fn add_keys(schema: &mut SchemaBuilder, name: &str) -> Field {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::Basic);
    schema.add_text_field(name, TextOptions::default().set_indexing_options(indexing))
}

/// Adds a tokenized field with positions, for phrase queries.
fn add_words(schema: &mut SchemaBuilder, name: &str) -> Field {
    let option = IndexRecordOption::WithFreqsAndPositions;
    let indexing = TextFieldIndexing::default().set_tokenizer(ANALYZER).set_index_option(option);
    schema.add_text_field(name, TextOptions::default().set_indexing_options(indexing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_in_their_order() {
        let order = ["latest", "0.0.1-rc.1", "0.0.1", "0.1.0", "0.10.0", "1.0.0-beta", "1.0.0", "2.0", "10.0.0"];
        let numbers = order.map(version_number);
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        assert_eq!(version_number("99999999999999999999.0.0"), 0, "no number of ours");
        assert_eq!(version_number(""), 0);
        for version in ["0.0.1", "10.2.33", "524288.0.524287"] {
            assert_eq!(version_text(version_number(version)), version);
        }
    }
}
