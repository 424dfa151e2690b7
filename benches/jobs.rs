//! Generated jobs: names, titles and manifests of realistic size and shape, identical on every machine. Texts are drawn
//! from word lists of earth observation, so that words repeat as in a real catalogue.

use serde_json::{Value, json};

use silo_testkit::draw::Draw;

/// One version of a generated job.
pub(crate) struct Job {
    pub name: String,
    pub version: String,
    pub package_version: String,
    pub manifest: String,
}

impl Job {
    /// The repository by the Seed standard's naming, `<job name>-<job version>-seed`, in one of a few organisations.
    pub(crate) fn repository(&self) -> String {
        let org = ORGS[self.name.len() % ORGS.len()].0;
        format!("{org}/{}-{}-seed", self.name, self.version)
    }
}

const SUBJECTS: [&str; 25] = [
    "water",
    "vessel",
    "cloud",
    "snow",
    "forest",
    "burn",
    "flood",
    "glacier",
    "crop",
    "urban",
    "road",
    "aircraft",
    "coastline",
    "chlorophyll",
    "aerosol",
    "methane",
    "soil",
    "wetland",
    "landslide",
    "lava",
    "reef",
    "dune",
    "ice",
    "vegetation",
    "building",
];
const METHODS: [&str; 20] = [
    "mask",
    "detection",
    "segmentation",
    "extractor",
    "classifier",
    "index",
    "mosaic",
    "change",
    "tracker",
    "timeseries",
    "fusion",
    "calibration",
    "resampler",
    "validation",
    "anomaly",
    "forecast",
    "inventory",
    "outline",
    "density",
    "quality",
];
const SOURCES: [&str; 10] =
    ["sentinel1", "sentinel2", "landsat8", "modis", "viirs", "planet", "lidar", "aster", "goes", "airborne"];
const ORGS: [(&str, &str); 5] = [
    ("geo", "Institute of Earth Observation"),
    ("hydro", "River and Lake Survey"),
    ("ocean", "Harbour Watch"),
    ("climate", "Climate Data Centre"),
    ("land", "Land Cover Office"),
];
const PEOPLE: [&str; 16] = [
    "Amara Okonkwo",
    "Ingrid Solberg",
    "Mateo Fuentes",
    "Yuki Tanabe",
    "Leila Haddad",
    "Piotr Nowicki",
    "Chloe Bernard",
    "Samuel Adeyemi",
    "Hanna Virtanen",
    "Rafael Moreira",
    "Priya Raman",
    "Jonas Keller",
    "Nadia Petrova",
    "Tomas Novak",
    "Grace Mwangi",
    "Oliver Hughes",
];
const TAGS: [&str; 20] = [
    "hydrology",
    "maritime",
    "raster",
    "vector",
    "radar",
    "optical",
    "thermal",
    "machine-learning",
    "statistics",
    "atmosphere",
    "agriculture",
    "disaster",
    "preprocessing",
    "terrain",
    "cryosphere",
    "biodiversity",
    "infrastructure",
    "ocean",
    "fire",
    "geology",
];
const PHRASES: [&str; 16] = [
    "reads a scene tile by tile so that memory stays small",
    "masks pixels under cloud and cloud shadow before anything is computed",
    "writes a cloud-optimised GeoTIFF with overviews and statistics",
    "compares each pixel with the median of the last three years",
    "corrects for terrain with a digital elevation model when one is given",
    "matches results with reference outlines and reports precision and recall",
    "projects everything to the grid of the first input",
    "keeps the metadata of the provider as key-value pairs",
    "smooths the boundary with a morphological opening",
    "drops objects that are smaller than the given area",
    "was trained on labelled scenes of five continents",
    "falls back to the coarse band where the fine one is saturated",
    "splits the work by orbit and merges the parts at the end",
    "estimates the uncertainty of each value from the noise of the sensor",
    "runs on one core and needs no network",
    "stops early when less than a tenth of the scene is usable",
];
const TYPES: [&str; 6] =
    ["image/tiff", "image/jp2", "application/x-hdf5", "application/geo+json", "text/csv", "application/x-netcdf"];

/// Number of distinct names without a place.
const NAMES: usize = SUBJECTS.len() * METHODS.len() * SOURCES.len();
/// Places that make further names distinct.
const PLACES: [&str; 50] = [
    "alps",
    "andes",
    "amazon",
    "arctic",
    "atlas",
    "balkans",
    "baltic",
    "borneo",
    "brittany",
    "caspian",
    "caucasus",
    "congo",
    "crete",
    "danube",
    "deccan",
    "elbe",
    "ethiopia",
    "fiji",
    "ganges",
    "gobi",
    "hokkaido",
    "iceland",
    "java",
    "kalahari",
    "kenya",
    "lapland",
    "madeira",
    "mekong",
    "morocco",
    "namib",
    "nepal",
    "niger",
    "nile",
    "orinoco",
    "pamir",
    "patagonia",
    "pyrenees",
    "rhine",
    "sahel",
    "scotland",
    "siberia",
    "sicily",
    "sumatra",
    "tasmania",
    "tibet",
    "tundra",
    "ural",
    "vistula",
    "yukon",
    "zambezi",
];

/// The name of the job with this number.
pub(crate) fn name(number: usize) -> String {
    let (subject, method, source) = parts(number);
    match place(number) {
        Some(place) => format!("{subject}-{method}-{source}-{place}"),
        None => format!("{subject}-{method}-{source}"),
    }
}

fn place(number: usize) -> Option<&'static str> {
    let round = number / NAMES;
    assert!(round <= PLACES.len(), "there are only {} made-up jobs", NAMES * (PLACES.len() + 1));
    (round > 0).then(|| PLACES[round - 1])
}

fn parts(number: usize) -> (&'static str, &'static str, &'static str) {
    let rest = number % NAMES / SUBJECTS.len();
    (SUBJECTS[number % SUBJECTS.len()], METHODS[rest % METHODS.len()], SOURCES[rest / METHODS.len()])
}

/// One version of a job, determined by its number.
pub(crate) fn job(number: usize, version: &str, package_version: &str) -> Job {
    let name = name(number);
    let manifest = manifest(number, &name, version, package_version).to_string();
    Job { name, version: version.to_owned(), package_version: package_version.to_owned(), manifest }
}

/// The same job under another name.
pub(crate) fn renamed(job: Job, name: &str) -> Job {
    let manifest = job.manifest.replace(&format!("\"{}\"", job.name), &format!("\"{name}\""));
    Job { name: name.to_owned(), manifest, ..job }
}

fn manifest(number: usize, name: &str, version: &str, package_version: &str) -> Value {
    let (subject, method, source) = parts(number);
    let mut draw = Draw(number as u64);
    let person = draw.one(&PEOPLE);
    let organization = ORGS[name.len() % ORGS.len()].1;
    let email = format!("{}@example.org", person.to_lowercase().replace(' ', "."));
    let description = draw.some(&PHRASES, 5).join(". The job then ");
    let reasons = draw.some(&TAGS, 10);
    let errors: Vec<Value> = (10..)
        .zip(reasons)
        .map(|(code, reason)| {
            json!({
                "code": code, "name": format!("{subject}-{reason}"), "title": draw.one(&PHRASES),
                "description": format!("Ends here when {}", draw.one(&PHRASES)), "category": "data",
            })
        })
        .collect();
    json!({
        "seedVersion": "1.0.0",
        "job": {
            "name": name,
            "jobVersion": version,
            "packageVersion": package_version,
            "title": format!("{} {method} for {source}{}", capitalised(subject), location(number)),
            "description": format!("Computes {subject} {method} from {source} scenes. The job {description}."),
            "tags": ([&[subject, source][..], &draw.some(&TAGS, 3)].concat()),
            "maintainer": {
                "name": person, "organization": organization, "email": email,
                "url": format!("https://example.org/jobs/{name}"),
            },
            "timeout": 3600,
            "resources": { "scalar": [
                { "name": "cpus", "value": 2.0 },
                { "name": "mem", "value": 4096.0, "inputMultiplier": 1.5 },
                { "name": "disk", "value": 500.0, "inputMultiplier": 2.0 },
            ] },
            "interface": interface(subject, &mut draw),
            "errors": errors,
        }
    })
}

fn location(number: usize) -> String {
    place(number).map(|place| format!(" in {}", capitalised(place))).unwrap_or_default()
}

fn interface(subject: &str, draw: &mut Draw) -> Value {
    let file = |name: &str, draw: &mut Draw| json!({ "name": name, "mediaTypes": draw.some(&TYPES, 2) });
    let output = |name: &str, draw: &mut Draw| json!({ "name": name, "pattern": format!("*-{}.out", name.to_lowercase()), "mediaType": draw.one(&TYPES) });
    let subject = subject.to_uppercase();
    json!({
        "command": format!("process --scene ${{SCENE}} --dem ${{ELEVATION}} --area ${{{subject}_AREA}} ${{OUTPUT_DIR}}"),
        "inputs": {
            "files": [file("SCENE", draw), file("ELEVATION", draw), file("REFERENCE", draw)],
            "json": [
                { "name": format!("{subject}_AREA"), "type": "number", "required": false },
                { "name": "THRESHOLD", "type": "number", "required": false },
                { "name": "BANDS", "type": "string", "required": false },
            ],
        },
        "outputs": {
            "files": [output(&format!("{subject}_RASTER"), draw), output(&format!("{subject}_OUTLINES"), draw)],
            "json": [{ "name": format!("{subject}_COUNT"), "key": "count", "type": "integer" }],
        },
        "mounts": [{ "name": "MODELS", "path": "/data/models", "mode": "ro" }],
        "settings": [{ "name": "SERVICE_URL" }, { "name": "SERVICE_TOKEN", "secret": true }],
    })
}

fn capitalised(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
