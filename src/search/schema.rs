//! What is indexed, and how texts become words.

use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, SchemaBuilder, TextFieldIndexing, TextOptions};

use super::query::MAX_CHARS;
use super::words;
use crate::catalog::SearchDoc;

/// To be raised with every change of what documents or words are made of: an index of another version is made anew.
pub const VERSION: u32 = 2;

/// The name of [`words::analyzer`] inside the index.
pub const ANALYZER: &str = "words";

/// Fast fields, read by name.
pub const IMAGE_ID: &str = "image_id";
pub const JOB_ID: &str = "job_id";

/// A whole text in the form in which exact matches compare: lower case, white space as single blanks.
pub fn key(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A name as people type it: its words with single blanks between.
pub fn name_key(text: &str) -> String {
    words::plain(text).join(" ")
}

/// The fields of the index.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub image_id: Field,
    pub job_id: Field,
    /// [`key`] of the job's name.
    pub job_key: Field,
    /// [`name_key`] of the job's name.
    pub name_key: Field,
    /// [`key`] of the title, and of the image's name without and with organisation and tag.
    pub other_keys: Field,
    /// Names of job and image; the only field with positions.
    pub name: Field,
    pub title: Field,
    pub tags: Field,
    /// Maintainer, their organisation, and the registry's.
    pub people: Field,
    /// Names and media types of inputs and outputs.
    pub interface: Field,
    pub description: Field,
}

impl Fields {
    pub fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let fields = Self {
            image_id: schema.add_i64_field(IMAGE_ID, INDEXED | FAST),
            job_id: schema.add_i64_field(JOB_ID, FAST),
            job_key: add_keys(&mut schema, "job_key"),
            name_key: add_keys(&mut schema, "name_key"),
            other_keys: add_keys(&mut schema, "other_keys"),
            name: add_words(&mut schema, "name", IndexRecordOption::WithFreqsAndPositions),
            title: add_words(&mut schema, "title", IndexRecordOption::Basic),
            tags: add_words(&mut schema, "tags", IndexRecordOption::Basic),
            people: add_words(&mut schema, "people", IndexRecordOption::Basic),
            interface: add_words(&mut schema, "interface", IndexRecordOption::Basic),
            description: add_words(&mut schema, "description", IndexRecordOption::Basic),
        };
        (schema.build(), fields)
    }

    pub fn document(&self, doc: &SearchDoc) -> TantivyDocument {
        let mut out = TantivyDocument::new();
        out.add_i64(self.image_id, doc.image_id);
        out.add_i64(self.job_id, doc.job_id);
        let repository = doc.name.rsplit_once(':').map_or(doc.name.as_str(), |(repository, _)| repository);
        let with_org = [repository, &doc.name].map(|name| format!("{}/{name}", doc.org));
        out.add_text(self.job_key, key(&doc.job_name));
        out.add_text(self.name_key, name_key(&doc.job_name));
        for text in [doc.title.as_str(), repository, &doc.name, &with_org[0], &with_org[1]] {
            // No query can equal a longer text.
            if text.len() <= MAX_CHARS * 4 {
                out.add_text(self.other_keys, key(text));
            }
        }
        let mut add =
            |field, texts: &[&String]| texts.iter().for_each(|text| out.add_text(field, words::indexed(text)));
        add(self.name, &[&doc.job_name, &doc.name]);
        add(self.title, &[&doc.title]);
        add(self.people, &[&doc.org, &doc.maintainer, &doc.maint_org]);
        add(self.description, &[&doc.description]);
        add(self.tags, &Vec::from_iter(&doc.tags));
        add(self.interface, &Vec::from_iter(doc.interfaces.iter().chain(&doc.media_types)));
        out
    }
}

fn add_keys(schema: &mut SchemaBuilder, name: &str) -> Field {
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("raw")
        .set_fieldnorms(false)
        .set_index_option(IndexRecordOption::Basic);
    schema.add_text_field(name, TextOptions::default().set_indexing_options(indexing))
}

fn add_words(schema: &mut SchemaBuilder, name: &str, option: IndexRecordOption) -> Field {
    let indexing = TextFieldIndexing::default().set_tokenizer(ANALYZER).set_index_option(option);
    schema.add_text_field(name, TextOptions::default().set_indexing_options(indexing))
}
