//! The objects of a Seed 1.0.0 manifest as a table: the only place that defines their fields, types, defaults and
//! descriptions.
//!
//! Manifests are written in the field order of this table.

use super::environment::is_name;
use super::version;

/// The version of the standard that this table describes.
pub const VERSION: &str = "1.0.0";

/// An object of the manifest. Fields that are not listed are errors.
pub(super) struct ObjectSchema {
    /// Its name in the `$defs` of the published JSON Schema.
    pub name: &'static str,
    /// Description, in one or two sentences.
    pub about: &'static str,
    pub fields: &'static [FieldSchema],
}

pub(super) struct FieldSchema {
    pub name: &'static str,
    pub required: bool,
    pub shape: FieldShape,
    /// Default if a manifest lacks the field.
    pub missing: FieldDefault,
    /// Description for authors of manifests: unit, default, consequence.
    pub about: &'static str,
    /// Example values; of a list of texts, of its items.
    pub examples: &'static [&'static str],
}

pub(super) enum FieldShape {
    Text,
    /// A text that must obey a rule.
    Ruled(TextRule),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    Integer,
    Number,
    Boolean,
    Object(&'static ObjectSchema),
    List(&'static FieldShape),
}

/// A rule for a whole text.
#[derive(Clone, Copy)]
pub(super) enum TextRule {
    /// `1.0.0`, the only released version of the standard.
    SeedVersion,
    /// Letters, digits and dashes.
    JobName,
    /// Letters, digits, dashes and underscores.
    Name,
    /// SemVer 2.0.0.
    Version,
    /// An absolute path inside the container.
    ContainerPath,
    /// A glob that stays inside the output directory.
    OutputPattern,
}

impl TextRule {
    /// Whether a text obeys the rule.
    pub(super) fn is_obeyed_by(self, text: &str) -> bool {
        match self {
            Self::SeedVersion => text == VERSION,
            Self::JobName => is_name(text) && !text.contains('_'),
            Self::Name => is_name(text),
            Self::Version => version::is_valid(text),
            Self::ContainerPath => text.starts_with('/'),
            Self::OutputPattern => !text.starts_with('/') && text.split('/').all(|part| part != ".."),
        }
    }
}

pub(super) enum FieldDefault {
    /// No default: the field is omitted, also if it is empty or zero.
    Omit,
    /// No default, but a value that is present is kept, even if it is empty or zero.
    Absent,
    /// An empty list.
    NoItems,
    Text(&'static str),
    Zero,
    Bool(bool),
    /// An object with the defaults of its fields.
    Object,
}

pub(super) static MANIFEST: ObjectSchema = ObjectSchema {
    name: "manifest",
    about: "Describes one algorithm that is packed in a container image: who made it, how it is run, what it takes and \
            what it gives. The same JSON is the image's label `com.ngageoint.seed.manifest`.",
    fields: &[
        required("seedVersion", FieldShape::Ruled(TextRule::SeedVersion), FieldDefault::Text(""))
            .about("Version of the standard that the manifest follows, not of the job. Always `1.0.0`."),
        required("job", FieldShape::Object(&JOB), FieldDefault::Object)
            .about("The algorithm. An image holds exactly one."),
    ],
};

static JOB: ObjectSchema = ObjectSchema {
    name: "job",
    about: "One unit of work: started with inputs, it runs to its end and leaves outputs.",
    fields: &[
        required("name", FieldShape::Ruled(TextRule::JobName), FieldDefault::Text(""))
            .about("Names the job; unique together with `jobVersion`. Docker takes only lower case in image names.")
            .like(&["sea-ice-edge"]),
        required("jobVersion", FieldShape::Ruled(TextRule::Version), FieldDefault::Text(""))
            .about("Version of the algorithm, by SemVer 2.0.0. Raise it when results may change.")
            .like(&["1.0.0"]),
        required("packageVersion", FieldShape::Ruled(TextRule::Version), FieldDefault::Text(""))
            .about("Version of the packaging, by SemVer 2.0.0: this manifest and the image around the algorithm.")
            .like(&["1.0.0"]),
        required("title", FieldShape::Text, FieldDefault::Absent)
            .about("Short name for people, as lists and search results show it.")
            .like(&["Sea ice edge"]),
        required("description", FieldShape::Text, FieldDefault::Absent)
            .about("What the algorithm does and needs, for people who choose one."),
        optional("tags", FieldShape::List(&FieldShape::Text), FieldDefault::Omit)
            .about("Words by which people may find the job.")
            .like(&["radar"]),
        required("maintainer", FieldShape::Object(&MAINTAINER), FieldDefault::Object)
            .about("Whom to ask about the job."),
        required("timeout", FieldShape::Integer, FieldDefault::Absent)
            .about("Seconds that a run may take. The executor stops it then, so leave room for slow machines."),
        optional("interface", FieldShape::Object(&INTERFACE), FieldDefault::Object)
            .about("How the job is started, and what goes in and comes out. Without it, the image is run as it is."),
        optional("resources", FieldShape::Object(&RESOURCES), FieldDefault::Object)
            .about("What a run needs of a machine. Without it, the executor gives what it gives by default."),
        optional("errors", FieldShape::List(&FieldShape::Object(&ERROR)), FieldDefault::Omit)
            .about("What the exit codes mean. 0 is success; a code that is not listed is an error of the job."),
    ],
};

static MAINTAINER: ObjectSchema = ObjectSchema {
    name: "maintainer",
    about: "A person who answers for the job.",
    fields: &[
        required("name", FieldShape::Text, FieldDefault::Text("")).about("The person's name.").like(&["Ada Frost"]),
        optional("organization", FieldShape::Text, FieldDefault::Omit).about("Whom the person works for."),
        required("email", FieldShape::Text, FieldDefault::Text(""))
            .about("Address for mail. Its form is not checked.")
            .like(&["ada@example.org"]),
        optional("url", FieldShape::Text, FieldDefault::Omit)
            .about("Page about the job or its makers. Its form is not checked.")
            .like(&["https://example.org/ice"]),
        optional("phone", FieldShape::Text, FieldDefault::Omit).about("Telephone number, in any form."),
    ],
};

static INTERFACE: ObjectSchema = ObjectSchema {
    name: "interface",
    about: "The job's command line and everything that crosses the border of its container.",
    fields: &[
        optional("command", FieldShape::Text, FieldDefault::Omit)
            .about(
                "Arguments for the container, as Docker's CMD. `${X}` is a variable of the job; `${X/#/-x }` is `-x ` \
                 and the variable, or nothing where it is unset.",
            )
            .like(&["${SCENES} ${MASK/#/-m } ${OUTPUT_DIR}"]),
        optional("inputs", FieldShape::Object(&INPUTS), FieldDefault::Object).about("What a run takes."),
        optional("outputs", FieldShape::Object(&OUTPUTS), FieldDefault::Object).about("What a run gives."),
        optional("mounts", FieldShape::List(&FieldShape::Object(&MOUNT)), FieldDefault::Omit)
            .about("Folders of the host that the job needs inside its container. The operator says which ones."),
        optional("settings", FieldShape::List(&FieldShape::Object(&SETTING)), FieldDefault::Omit)
            .about("Values that the operator configures, each an environment variable. All are needed."),
    ],
};

static INPUTS: ObjectSchema = ObjectSchema {
    name: "inputs",
    about: "What a run takes. Each input is an environment variable of the job.",
    fields: &[
        optional("files", FieldShape::List(&FieldShape::Object(&INPUT_FILE)), FieldDefault::Omit)
            .about("Files, read-only for the job. Each variable holds a path."),
        optional("json", FieldShape::List(&FieldShape::Object(&INPUT_JSON)), FieldDefault::Omit)
            .about("Plain values. Each variable holds the value itself; arrays and objects as compact JSON."),
    ],
};

static INPUT_FILE: ObjectSchema = ObjectSchema {
    name: "inputFile",
    about: "A file, or several, that a run takes.",
    fields: &[
        required("name", FieldShape::Ruled(TextRule::Name), FieldDefault::Text(""))
            .about(BECOMES_VARIABLE)
            .like(&["SCENES"]),
        optional("mediaTypes", FieldShape::List(&FieldShape::Text), FieldDefault::Omit)
            .about("Media types (IANA) that the job can read. An executor may warn about others.")
            .like(&["image/tiff"]),
        optional("multiple", FieldShape::Boolean, FieldDefault::Bool(false))
            .about("Whether several files may come. If so, the variable is a folder that holds them side by side."),
        optional("partial", FieldShape::Boolean, FieldDefault::Bool(false))
            .about("Whether the job reads less than half of a very large file, so that it need not be copied. A hint."),
        optional("required", FieldShape::Boolean, FieldDefault::Bool(true))
            .about("Whether no run can do without it. If not, the variable is unset where the input is absent."),
    ],
};

/// Description of `name` for input files, JSON inputs and settings.
const BECOMES_VARIABLE: &str = "Names the environment variable: in upper case, dashes as underscores. Unique in that \
                                form among inputs and settings.";

const JSON_TYPE: FieldShape = FieldShape::OneOf(&["array", "boolean", "integer", "number", "object", "string"]);

static INPUT_JSON: ObjectSchema = ObjectSchema {
    name: "inputJson",
    about: "A value that a run takes.",
    fields: &[
        required("name", FieldShape::Ruled(TextRule::Name), FieldDefault::Text(""))
            .about(BECOMES_VARIABLE)
            .like(&["THRESHOLD"]),
        required("type", JSON_TYPE, FieldDefault::Text("")).about("Type of the value."),
        optional("required", FieldShape::Boolean, FieldDefault::Bool(true))
            .about("Whether no run can do without it. If not, the variable is unset where the input is absent."),
    ],
};

static OUTPUTS: ObjectSchema = ObjectSchema {
    name: "outputs",
    about: "What a run leaves in the folder that `OUTPUT_DIR` names.",
    fields: &[
        optional("files", FieldShape::List(&FieldShape::Object(&OUTPUT_FILE)), FieldDefault::Omit)
            .about("Files that are kept, found by their names."),
        optional("json", FieldShape::List(&FieldShape::Object(&OUTPUT_JSON)), FieldDefault::Omit)
            .about("Values that are kept, out of the one JSON object in `seed.outputs.json`."),
    ],
};

static OUTPUT_FILE: ObjectSchema = ObjectSchema {
    name: "outputFile",
    about: "A file, or several, that a run leaves.",
    fields: &[
        required("name", FieldShape::Ruled(TextRule::Name), FieldDefault::Text(""))
            .about("Names the output to the executor; unique among output files.")
            .like(&["EDGE"]),
        optional("mediaType", FieldShape::Text, FieldDefault::Omit)
            .about("Media type (IANA) of the file.")
            .like(&["application/geo+json"]),
        optional("multiple", FieldShape::Boolean, FieldDefault::Bool(false))
            .about("Whether several files may match. If not, a second match fails the run."),
        required("pattern", FieldShape::Ruled(TextRule::OutputPattern), FieldDefault::Text(""))
            .about("Glob, relative to the output folder and inside it. `*` does not reach into folders below.")
            .like(&["edge*.geojson", "maps/*.tif"]),
        optional("required", FieldShape::Boolean, FieldDefault::Bool(true))
            .about("Whether a run without a matching file has failed."),
    ],
};

static OUTPUT_JSON: ObjectSchema = ObjectSchema {
    name: "outputJson",
    about: "A value that a run leaves in `seed.outputs.json`.",
    fields: &[
        required("name", FieldShape::Ruled(TextRule::Name), FieldDefault::Text(""))
            .about("Names the output to the executor; unique among output values.")
            .like(&["length_km"]),
        optional("key", FieldShape::Text, FieldDefault::Omit)
            .about("The member of `seed.outputs.json` that is read, letter for letter. By default the name.")
            .like(&["length"]),
        required("type", JSON_TYPE, FieldDefault::Text("")).about("Type of the value."),
        optional("required", FieldShape::Boolean, FieldDefault::Bool(true))
            .about("Whether a run without the value has failed."),
    ],
};

static MOUNT: ObjectSchema = ObjectSchema {
    name: "mount",
    about: "A folder of the host inside the job's container.",
    fields: &[
        required("name", FieldShape::Ruled(TextRule::Name), FieldDefault::Text(""))
            .about("By this name the operator configures the folder on the host. It is no environment variable.")
            .like(&["COASTLINES"]),
        required("path", FieldShape::Ruled(TextRule::ContainerPath), FieldDefault::Text(""))
            .about("Where the job finds the folder: an absolute path inside the container.")
            .like(&["/data/coast"]),
        optional("mode", FieldShape::OneOf(&["ro", "rw"]), FieldDefault::Text("ro"))
            .about("`ro`: the job may only read. `rw`: it may write too."),
    ],
};

static SETTING: ObjectSchema = ObjectSchema {
    name: "setting",
    about: "A value that the operator configures once for all runs.",
    fields: &[
        required("name", FieldShape::Ruled(TextRule::Name), FieldDefault::Text(""))
            .about(BECOMES_VARIABLE)
            .like(&["DB_HOST"]),
        optional("secret", FieldShape::Boolean, FieldDefault::Bool(false))
            .about("Whether the value must be stored safely and never shown, as a password."),
    ],
};

static RESOURCES: ObjectSchema = ObjectSchema {
    name: "resources",
    about: "What a run needs of a machine.",
    fields: &[optional("scalar", FieldShape::List(&FieldShape::Object(&SCALAR)), FieldDefault::NoItems)
        .about("Amounts, at least of `cpus`, `mem` and `disk`. A run gets no less.")],
};

static SCALAR: ObjectSchema = ObjectSchema {
    name: "scalar",
    about: "An amount of one resource: `value`, and `inputMultiplier` times the MiB of all input files. The job finds \
            it in a variable, as `ALLOCATED_MEM` for `mem`.",
    fields: &[
        required("name", FieldShape::Ruled(TextRule::Name), FieldDefault::Text(""))
            .about(
                "The resource. The standard knows `cpus` (in cores), `mem`, `disk` and `sharedMem` (in MiB); executors \
                 also know `gpus`, and may refuse others.",
            )
            .like(&["cpus", "mem", "disk", "sharedMem", "gpus"]),
        required("value", FieldShape::Number, FieldDefault::Zero)
            .about("The amount that every run needs: cores for `cpus`, MiB for `mem`, `disk` and `sharedMem`."),
        optional("inputMultiplier", FieldShape::Number, FieldDefault::Omit)
            .about("MiB that are needed for each MiB of input, on top of `value`. 0 where it is absent."),
    ],
};

static ERROR: ObjectSchema = ObjectSchema {
    name: "error",
    about: "What an exit code of the job means.",
    fields: &[
        required("code", FieldShape::Integer, FieldDefault::Zero).about("The exit code, 1 to 255."),
        required("name", FieldShape::Ruled(TextRule::Name), FieldDefault::Absent)
            .about("Names the error to programs. Unique, and the same in all versions of the job.")
            .like(&["no-orbit"]),
        optional("title", FieldShape::Text, FieldDefault::Omit).about("Short name for people."),
        optional("description", FieldShape::Text, FieldDefault::Omit)
            .about("What happened, and what can be done about it."),
        optional("category", FieldShape::OneOf(&["job", "data"]), FieldDefault::Text("job"))
            .about("Who is to blame: the algorithm (`job`) or what it was given (`data`)."),
    ],
};

const fn required(name: &'static str, shape: FieldShape, missing: FieldDefault) -> FieldSchema {
    FieldSchema { name, required: true, shape, missing, about: "", examples: &[] }
}

const fn optional(name: &'static str, shape: FieldShape, missing: FieldDefault) -> FieldSchema {
    FieldSchema { name, required: false, shape, missing, about: "", examples: &[] }
}

impl FieldSchema {
    const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    const fn like(mut self, examples: &'static [&'static str]) -> Self {
        self.examples = examples;
        self
    }
}
