//! The objects of a Seed 1.0.0 manifest as a table: the only place that defines their fields, types, defaults and
//! descriptions.
//!
//! Manifests are written in the field order of this table.

/// The version of the standard that this table describes.
pub const VERSION: &str = "1.0.0";

/// An object of the manifest. Fields that are not listed are errors.
pub(super) struct Object {
    /// Its name in the `$defs` of the published JSON Schema.
    pub name: &'static str,
    /// Description, in one or two sentences.
    pub about: &'static str,
    pub fields: &'static [Field],
}

pub(super) struct Field {
    pub name: &'static str,
    pub required: bool,
    pub shape: Shape,
    /// Default if a manifest lacks the field.
    pub missing: Missing,
    /// Description for authors of manifests: unit, default, consequence.
    pub about: &'static str,
    /// Example values; of a list of texts, of its items.
    pub examples: &'static [&'static str],
}

pub(super) enum Shape {
    Text,
    /// A text that must obey a rule.
    Ruled(Rule),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    Integer,
    Number,
    Boolean,
    Object(&'static Object),
    List(&'static Shape),
}

/// A rule for a whole text.
#[derive(Clone, Copy)]
pub(super) enum Rule {
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

pub(super) enum Missing {
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

pub(super) static MANIFEST: Object = Object {
    name: "manifest",
    about: "Describes one algorithm that is packed in a container image: who made it, how it is run, what it takes and \
            what it gives. The same JSON is the image's label `com.ngageoint.seed.manifest`.",
    fields: &[
        required("seedVersion", Shape::Ruled(Rule::SeedVersion), Missing::Text(""))
            .about("Version of the standard that the manifest follows, not of the job. Always `1.0.0`."),
        required("job", Shape::Object(&JOB), Missing::Object).about("The algorithm. An image holds exactly one."),
    ],
};

static JOB: Object = Object {
    name: "job",
    about: "One unit of work: started with inputs, it runs to its end and leaves outputs.",
    fields: &[
        required("name", Shape::Ruled(Rule::JobName), Missing::Text(""))
            .about("Names the job; unique together with `jobVersion`. Docker takes only lower case in image names.")
            .like(&["sea-ice-edge"]),
        required("jobVersion", Shape::Ruled(Rule::Version), Missing::Text(""))
            .about("Version of the algorithm, by SemVer 2.0.0. Raise it when results may change.")
            .like(&["1.0.0"]),
        required("packageVersion", Shape::Ruled(Rule::Version), Missing::Text(""))
            .about("Version of the packaging, by SemVer 2.0.0: this manifest and the image around the algorithm.")
            .like(&["1.0.0"]),
        required("title", Shape::Text, Missing::Absent)
            .about("Short name for people, as lists and search results show it.")
            .like(&["Sea ice edge"]),
        required("description", Shape::Text, Missing::Absent)
            .about("What the algorithm does and needs, for people who choose one."),
        optional("tags", Shape::List(&Shape::Text), Missing::Omit)
            .about("Words by which people may find the job.")
            .like(&["radar"]),
        required("maintainer", Shape::Object(&MAINTAINER), Missing::Object).about("Whom to ask about the job."),
        required("timeout", Shape::Integer, Missing::Absent)
            .about("Seconds that a run may take. The executor stops it then, so leave room for slow machines."),
        optional("interface", Shape::Object(&INTERFACE), Missing::Object)
            .about("How the job is started, and what goes in and comes out. Without it, the image is run as it is."),
        optional("resources", Shape::Object(&RESOURCES), Missing::Object)
            .about("What a run needs of a machine. Without it, the executor gives what it gives by default."),
        optional("errors", Shape::List(&Shape::Object(&ERROR)), Missing::Omit)
            .about("What the exit codes mean. 0 is success; a code that is not listed is an error of the job."),
    ],
};

static MAINTAINER: Object = Object {
    name: "maintainer",
    about: "A person who answers for the job.",
    fields: &[
        required("name", Shape::Text, Missing::Text("")).about("The person's name.").like(&["Ada Frost"]),
        optional("organization", Shape::Text, Missing::Omit).about("Whom the person works for."),
        required("email", Shape::Text, Missing::Text(""))
            .about("Address for mail. Its form is not checked.")
            .like(&["ada@example.org"]),
        optional("url", Shape::Text, Missing::Omit)
            .about("Page about the job or its makers. Its form is not checked.")
            .like(&["https://example.org/ice"]),
        optional("phone", Shape::Text, Missing::Omit).about("Telephone number, in any form."),
    ],
};

static INTERFACE: Object = Object {
    name: "interface",
    about: "The job's command line and everything that crosses the border of its container.",
    fields: &[
        optional("command", Shape::Text, Missing::Omit)
            .about(
                "Arguments for the container, as Docker's CMD. `${X}` is a variable of the job; `${X/#/-x }` is `-x ` \
                 and the variable, or nothing where it is unset.",
            )
            .like(&["${SCENES} ${MASK/#/-m } ${OUTPUT_DIR}"]),
        optional("inputs", Shape::Object(&INPUTS), Missing::Object).about("What a run takes."),
        optional("outputs", Shape::Object(&OUTPUTS), Missing::Object).about("What a run gives."),
        optional("mounts", Shape::List(&Shape::Object(&MOUNT)), Missing::Omit)
            .about("Folders of the host that the job needs inside its container. The operator says which ones."),
        optional("settings", Shape::List(&Shape::Object(&SETTING)), Missing::Omit)
            .about("Values that the operator configures, each an environment variable. All are needed."),
    ],
};

static INPUTS: Object = Object {
    name: "inputs",
    about: "What a run takes. Each input is an environment variable of the job.",
    fields: &[
        optional("files", Shape::List(&Shape::Object(&INPUT_FILE)), Missing::Omit)
            .about("Files, read-only for the job. Each variable holds a path."),
        optional("json", Shape::List(&Shape::Object(&INPUT_JSON)), Missing::Omit)
            .about("Plain values. Each variable holds the value itself; arrays and objects as compact JSON."),
    ],
};

static INPUT_FILE: Object = Object {
    name: "inputFile",
    about: "A file, or several, that a run takes.",
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")).about(BECOMES_VARIABLE).like(&["SCENES"]),
        optional("mediaTypes", Shape::List(&Shape::Text), Missing::Omit)
            .about("Media types (IANA) that the job can read. An executor may warn about others.")
            .like(&["image/tiff"]),
        optional("multiple", Shape::Boolean, Missing::Bool(false))
            .about("Whether several files may come. If so, the variable is a folder that holds them side by side."),
        optional("partial", Shape::Boolean, Missing::Bool(false))
            .about("Whether the job reads less than half of a very large file, so that it need not be copied. A hint."),
        optional("required", Shape::Boolean, Missing::Bool(true))
            .about("Whether no run can do without it. If not, the variable is unset where the input is absent."),
    ],
};

/// Description of `name` for input files, JSON inputs and settings.
const BECOMES_VARIABLE: &str = "Names the environment variable: in upper case, dashes as underscores. Unique in that \
                                form among inputs and settings.";

const JSON_TYPE: Shape = Shape::OneOf(&["array", "boolean", "integer", "number", "object", "string"]);

static INPUT_JSON: Object = Object {
    name: "inputJson",
    about: "A value that a run takes.",
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")).about(BECOMES_VARIABLE).like(&["THRESHOLD"]),
        required("type", JSON_TYPE, Missing::Text("")).about("Type of the value."),
        optional("required", Shape::Boolean, Missing::Bool(true))
            .about("Whether no run can do without it. If not, the variable is unset where the input is absent."),
    ],
};

static OUTPUTS: Object = Object {
    name: "outputs",
    about: "What a run leaves in the folder that `OUTPUT_DIR` names.",
    fields: &[
        optional("files", Shape::List(&Shape::Object(&OUTPUT_FILE)), Missing::Omit)
            .about("Files that are kept, found by their names."),
        optional("json", Shape::List(&Shape::Object(&OUTPUT_JSON)), Missing::Omit)
            .about("Values that are kept, out of the one JSON object in `seed.outputs.json`."),
    ],
};

static OUTPUT_FILE: Object = Object {
    name: "outputFile",
    about: "A file, or several, that a run leaves.",
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text(""))
            .about("Names the output to the executor; unique among output files.")
            .like(&["EDGE"]),
        optional("mediaType", Shape::Text, Missing::Omit)
            .about("Media type (IANA) of the file.")
            .like(&["application/geo+json"]),
        optional("multiple", Shape::Boolean, Missing::Bool(false))
            .about("Whether several files may match. If not, a second match fails the run."),
        required("pattern", Shape::Ruled(Rule::OutputPattern), Missing::Text(""))
            .about("Glob, relative to the output folder and inside it. `*` does not reach into folders below.")
            .like(&["edge*.geojson", "maps/*.tif"]),
        optional("required", Shape::Boolean, Missing::Bool(true))
            .about("Whether a run without a matching file has failed."),
    ],
};

static OUTPUT_JSON: Object = Object {
    name: "outputJson",
    about: "A value that a run leaves in `seed.outputs.json`.",
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text(""))
            .about("Names the output to the executor; unique among output values.")
            .like(&["length_km"]),
        optional("key", Shape::Text, Missing::Omit)
            .about("The member of `seed.outputs.json` that is read, letter for letter. By default the name.")
            .like(&["length"]),
        required("type", JSON_TYPE, Missing::Text("")).about("Type of the value."),
        optional("required", Shape::Boolean, Missing::Bool(true)).about("Whether a run without the value has failed."),
    ],
};

static MOUNT: Object = Object {
    name: "mount",
    about: "A folder of the host inside the job's container.",
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text(""))
            .about("By this name the operator configures the folder on the host. It is no environment variable.")
            .like(&["COASTLINES"]),
        required("path", Shape::Ruled(Rule::ContainerPath), Missing::Text(""))
            .about("Where the job finds the folder: an absolute path inside the container.")
            .like(&["/data/coast"]),
        optional("mode", Shape::OneOf(&["ro", "rw"]), Missing::Text("ro"))
            .about("`ro`: the job may only read. `rw`: it may write too."),
    ],
};

static SETTING: Object = Object {
    name: "setting",
    about: "A value that the operator configures once for all runs.",
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")).about(BECOMES_VARIABLE).like(&["DB_HOST"]),
        optional("secret", Shape::Boolean, Missing::Bool(false))
            .about("Whether the value must be stored safely and never shown, as a password."),
    ],
};

static RESOURCES: Object = Object {
    name: "resources",
    about: "What a run needs of a machine.",
    fields: &[optional("scalar", Shape::List(&Shape::Object(&SCALAR)), Missing::NoItems)
        .about("Amounts, at least of `cpus`, `mem` and `disk`. A run gets no less.")],
};

static SCALAR: Object = Object {
    name: "scalar",
    about: "An amount of one resource: `value`, and `inputMultiplier` times the MiB of all input files. The job finds \
            it in a variable, as `ALLOCATED_MEM` for `mem`.",
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text(""))
            .about(
                "The resource. The standard knows `cpus` (in cores), `mem`, `disk` and `sharedMem` (in MiB); executors \
                 also know `gpus`, and may refuse others.",
            )
            .like(&["cpus", "mem", "disk", "sharedMem", "gpus"]),
        required("value", Shape::Number, Missing::Zero)
            .about("The amount that every run needs: cores for `cpus`, MiB for `mem`, `disk` and `sharedMem`."),
        optional("inputMultiplier", Shape::Number, Missing::Omit)
            .about("MiB that are needed for each MiB of input, on top of `value`. 0 where it is absent."),
    ],
};

static ERROR: Object = Object {
    name: "error",
    about: "What an exit code of the job means.",
    fields: &[
        required("code", Shape::Integer, Missing::Zero).about("The exit code, 1 to 255."),
        required("name", Shape::Ruled(Rule::Name), Missing::Absent)
            .about("Names the error to programs. Unique, and the same in all versions of the job.")
            .like(&["no-orbit"]),
        optional("title", Shape::Text, Missing::Omit).about("Short name for people."),
        optional("description", Shape::Text, Missing::Omit).about("What happened, and what can be done about it."),
        optional("category", Shape::OneOf(&["job", "data"]), Missing::Text("job"))
            .about("Who is to blame: the algorithm (`job`) or what it was given (`data`)."),
    ],
};

const fn required(name: &'static str, shape: Shape, missing: Missing) -> Field {
    Field { name, required: true, shape, missing, about: "", examples: &[] }
}

const fn optional(name: &'static str, shape: Shape, missing: Missing) -> Field {
    Field { name, required: false, shape, missing, about: "", examples: &[] }
}

impl Field {
    const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    const fn like(mut self, examples: &'static [&'static str]) -> Self {
        self.examples = examples;
        self
    }
}
