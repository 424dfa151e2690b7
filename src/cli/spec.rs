//! `silo spec`.

use clap::{Args, ValueEnum};

use super::print;
use crate::seed::spec::{PublishedSchema, json_schema};

const HELP: &str = "\
Visual Studio Code checks and completes manifests with it. Write it to a file, and name the file in settings.json:

  silo spec > seed.schema.json

  \"json.schemas\": [{\"fileMatch\": [\"seed.manifest.json\"], \"url\": \"./seed.schema.json\"}]

The member `$schema` in the manifest itself does not do: the standard allows no other members than its own.";

#[derive(Args)]
#[command(after_help = HELP)]
pub(super) struct Options {
    /// What the schema is of
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
