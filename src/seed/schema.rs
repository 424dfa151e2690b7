//! The objects of a Seed 1.0.0 manifest as data: the one place that knows their fields, types and defaults.
//!
//! The order of the fields is the order in which manifests are shown.

/// The released version of the standard that this table is of.
pub(super) const VERSION: &str = "1.0.0";

/// An object of the manifest. Other fields than these are errors.
pub(super) struct Object {
    pub fields: &'static [Field],
}

pub(super) struct Field {
    pub name: &'static str,
    pub required: bool,
    pub shape: Shape,
    /// What stands for the field where a manifest lacks it.
    pub missing: Missing,
}

pub(super) enum Shape {
    Text,
    /// A text with a rule.
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
    /// Nothing: the field is left out, also where it is empty or zero.
    Omit,
    /// Nothing, but a value that is there stays, whatever it is.
    Absent,
    Null,
    Text(&'static str),
    Zero,
    Bool(bool),
    /// The object with its own defaults.
    Object,
}

pub(super) static MANIFEST: Object = Object {
    fields: &[
        required("seedVersion", Shape::Ruled(Rule::SeedVersion), Missing::Text("")),
        required("job", Shape::Object(&JOB), Missing::Object),
    ],
};

static JOB: Object = Object {
    fields: &[
        required("name", Shape::Ruled(Rule::JobName), Missing::Text("")),
        required("jobVersion", Shape::Ruled(Rule::Version), Missing::Text("")),
        required("packageVersion", Shape::Ruled(Rule::Version), Missing::Text("")),
        required("title", Shape::Text, Missing::Omit),
        required("description", Shape::Text, Missing::Omit),
        optional("tags", Shape::List(&Shape::Text), Missing::Omit),
        required("maintainer", Shape::Object(&MAINTAINER), Missing::Object),
        required("timeout", Shape::Integer, Missing::Omit),
        optional("interface", Shape::Object(&INTERFACE), Missing::Object),
        optional("resources", Shape::Object(&RESOURCES), Missing::Object),
        optional("errors", Shape::List(&Shape::Object(&ERROR)), Missing::Omit),
    ],
};

static MAINTAINER: Object = Object {
    fields: &[
        required("name", Shape::Text, Missing::Text("")),
        optional("organization", Shape::Text, Missing::Omit),
        required("email", Shape::Text, Missing::Text("")),
        optional("url", Shape::Text, Missing::Omit),
        optional("phone", Shape::Text, Missing::Omit),
    ],
};

static INTERFACE: Object = Object {
    fields: &[
        optional("command", Shape::Text, Missing::Omit),
        optional("inputs", Shape::Object(&INPUTS), Missing::Object),
        optional("outputs", Shape::Object(&OUTPUTS), Missing::Object),
        optional("mounts", Shape::List(&Shape::Object(&MOUNT)), Missing::Omit),
        optional("settings", Shape::List(&Shape::Object(&SETTING)), Missing::Omit),
    ],
};

static INPUTS: Object = Object {
    fields: &[
        optional("files", Shape::List(&Shape::Object(&INPUT_FILE)), Missing::Omit),
        optional("json", Shape::List(&Shape::Object(&INPUT_JSON)), Missing::Omit),
    ],
};

static INPUT_FILE: Object = Object {
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")),
        optional("mediaTypes", Shape::List(&Shape::Text), Missing::Omit),
        optional("multiple", Shape::Boolean, Missing::Bool(false)),
        optional("partial", Shape::Boolean, Missing::Bool(false)),
        optional("required", Shape::Boolean, Missing::Bool(true)),
    ],
};

const JSON_TYPE: Shape = Shape::OneOf(&["array", "boolean", "integer", "number", "object", "string"]);

static INPUT_JSON: Object = Object {
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")),
        required("type", JSON_TYPE, Missing::Text("")),
        optional("required", Shape::Boolean, Missing::Bool(true)),
    ],
};

static OUTPUTS: Object = Object {
    fields: &[
        optional("files", Shape::List(&Shape::Object(&OUTPUT_FILE)), Missing::Omit),
        optional("json", Shape::List(&Shape::Object(&OUTPUT_JSON)), Missing::Omit),
    ],
};

static OUTPUT_FILE: Object = Object {
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")),
        optional("mediaType", Shape::Text, Missing::Omit),
        optional("multiple", Shape::Boolean, Missing::Bool(false)),
        required("pattern", Shape::Ruled(Rule::OutputPattern), Missing::Text("")),
        optional("required", Shape::Boolean, Missing::Bool(true)),
    ],
};

static OUTPUT_JSON: Object = Object {
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")),
        optional("key", Shape::Text, Missing::Omit),
        required("type", JSON_TYPE, Missing::Text("")),
        optional("required", Shape::Boolean, Missing::Bool(true)),
    ],
};

static MOUNT: Object = Object {
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")),
        required("path", Shape::Ruled(Rule::ContainerPath), Missing::Text("")),
        optional("mode", Shape::OneOf(&["ro", "rw"]), Missing::Text("ro")),
    ],
};

static SETTING: Object = Object {
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")),
        optional("secret", Shape::Boolean, Missing::Bool(false)),
    ],
};

static RESOURCES: Object =
    Object { fields: &[optional("scalar", Shape::List(&Shape::Object(&SCALAR)), Missing::Null)] };

static SCALAR: Object = Object {
    fields: &[
        required("name", Shape::Ruled(Rule::Name), Missing::Text("")),
        required("value", Shape::Number, Missing::Zero),
        optional("inputMultiplier", Shape::Number, Missing::Omit),
    ],
};

static ERROR: Object = Object {
    fields: &[
        required("code", Shape::Integer, Missing::Zero),
        required("name", Shape::Ruled(Rule::Name), Missing::Absent),
        optional("title", Shape::Text, Missing::Omit),
        optional("description", Shape::Text, Missing::Omit),
        optional("category", Shape::OneOf(&["job", "data"]), Missing::Text("job")),
    ],
};

const fn required(name: &'static str, shape: Shape, missing: Missing) -> Field {
    Field { name, required: true, shape, missing }
}

const fn optional(name: &'static str, shape: Shape, missing: Missing) -> Field {
    Field { name, required: false, shape, missing }
}
