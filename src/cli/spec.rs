//! `silo spec`.

use clap::{Args, ValueEnum};

use super::print;
use crate::seed::spec::{PublishedSchema, json_schema};

const HELP: &str = "\
Visual Studio Code can check and complete manifests with the schema. Write it to a file, and name the file in \
settings.json:

  silo spec > seed.schema.json

  \"json.schemas\": [{\"fileMatch\": [\"seed.manifest.json\"], \"url\": \"./seed.schema.json\"}]

A member `$schema` in the manifest is not allowed: the standard defines all members.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    /// Document that the schema describes
    #[arg(value_enum, default_value_t = SchemaArgument::Manifest)]
    document: SchemaArgument,
}

#[derive(Clone, Copy, ValueEnum)]
enum SchemaArgument {
    /// The manifest, `seed.manifest.json`
    Manifest,
    /// The metadata beside an output file, `<file>.metadata.json`
    Metadata,
}

pub(super) fn run(options: &Options) -> anyhow::Result<()> {
    print(json_schema(match options.document {
        SchemaArgument::Manifest => PublishedSchema::Manifest,
        SchemaArgument::Metadata => PublishedSchema::Metadata,
    }))
}
