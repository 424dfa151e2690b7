//! What is indexed, and how texts become words.

use tantivy::TantivyDocument;
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema, SchemaBuilder, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{AsciiFoldingFilter, LowerCaser, RemoveLongFilter, SimpleTokenizer, TextAnalyzer};

use super::query::MAX_CHARS;
use crate::catalog::SearchDoc;

/// To be raised with every change of what documents or words are made of: an index of another version is made anew.
pub const VERSION: u32 = 1;

/// The name of [`analyzer`] inside the index.
pub const ANALYZER: &str = "words";

/// Fast fields, read by name.
pub const IMAGE_ID: &str = "image_id";
pub const JOB_ID: &str = "job_id";

/// Longer words, in bytes, are no words: nobody types them.
const MAX_WORD_BYTES: usize = 255;

/// Cuts texts into words, the same for documents and queries: runs of letters and digits, in lower case, without accents.
pub fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(MAX_WORD_BYTES + 1))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .build()
}

/// A whole text in the form in which exact matches compare: lower case, white space as single blanks.
pub fn key(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// The fields of the index.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    pub image_id: Field,
    pub job_id: Field,
    /// [`key`] of the job's name.
    pub job_key: Field,
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
        for text in [doc.title.as_str(), repository, &doc.name, &with_org[0], &with_org[1]] {
            // No query can equal a longer text.
            if text.len() <= MAX_CHARS * 4 {
                out.add_text(self.other_keys, key(text));
            }
        }
        let mut add = |field, texts: &[&String]| texts.iter().for_each(|text| out.add_text(field, text));
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
