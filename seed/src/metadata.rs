//! Parses the metadata file of an output file (Seed 1.0.0, "Metadata"): GeoJSON (RFC 7946), with times and source in
//! its properties, as Scale reads them. [`spec`](super::spec) publishes the same rules as JSON Schema; a test compares
//! the two.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Largest metadata file that is read, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// Suffix of metadata files, appended to the full name of the file that they describe.
pub const SUFFIX: &str = ".metadata.json";

/// Why a text is not valid metadata.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    #[error("it is larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("it is no JSON: {0}")]
    NotJson(String),
    #[error("it is no GeoJSON: at `{path}`, {reason}")]
    NotGeoJson {
        /// JSON pointer to the invalid value; empty for the whole document.
        path: String,
        reason: &'static str,
    },
}

/// Metadata of one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SeedMetadata {
    /// A GeoJSON geometry. Of a feature collection: the geometry of the first feature that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub geometry: Option<Value>,
    /// Bounding box of all coordinates: west, south, east, north in degrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bbox: Option<[f64; 4]>,
    /// RFC 3339 in UTC, as the times below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_started: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ended: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_sensor_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_sensor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_collection: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_task: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_types: Vec<String>,
    /// All properties, unchanged.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub properties: Map<String, Value>,
    /// Parts that could not be interpreted, one sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

impl SeedMetadata {
    /// Parses a metadata file.
    ///
    /// # Errors
    /// The file is too large or not GeoJSON. Properties that Scale cannot read only become remarks.
    pub fn read(bytes: &[u8]) -> Result<Self, MetadataError> {
        if bytes.len() > MAX_BYTES {
            return Err(MetadataError::TooLarge);
        }
        let document: Value = serde_json::from_slice(bytes).map_err(|why| MetadataError::NotJson(why.to_string()))?;
        check(&document)?;
        let mut metadata = Self { bbox: bounds(&document), ..Self::default() };
        let feature = match document["type"].as_str() {
            Some("FeatureCollection") => {
                metadata.remarks.push("Scale takes no collection of features; give one feature.".to_owned());
                let features = document["features"].as_array().map(Vec::as_slice).unwrap_or_default();
                features.iter().find(|feature| feature["geometry"].is_object()).or(features.first())
            }
            Some("Feature") => Some(&document),
            _ => {
                metadata.geometry = Some(document.clone());
                None
            }
        };
        if let Some(feature) = feature {
            metadata.geometry = Some(&feature["geometry"]).filter(|geometry| geometry.is_object()).cloned();
            metadata.properties = feature["properties"].as_object().cloned().unwrap_or_default();
            metadata.read_properties();
        }
        Ok(metadata)
    }

    fn read_properties(&mut self) {
        // The standard's own example has a property `time` with `start` and `end`.
        let time = |end: &str| self.properties.get("time").and_then(|time| time.get(end)).cloned();
        let (start, end) = (time("start"), time("end"));
        self.data_started = self.time("dataStarted", start);
        self.data_ended = self.time("dataEnded", end);
        self.source_started = self.time("sourceStarted", None);
        self.source_ended = self.time("sourceEnded", None);
        self.source_sensor_class = self.text("sourceSensorClass");
        self.source_sensor = self.text("sourceSensor");
        self.source_collection = self.text("sourceCollection");
        self.source_task = self.text("sourceTask");
        let types = self.properties.get("dataTypes").and_then(Value::as_array).into_iter().flatten();
        self.data_types = types.filter_map(Value::as_str).map(str::to_owned).collect();
    }

    fn time(&mut self, name: &str, other: Option<Value>) -> Option<String> {
        let value = self.properties.get(name).cloned().or(other).filter(|value| !value.is_null())?;
        let time = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        if time.is_none() {
            self.remarks.push(format!("The property {name} is no time as in 2026-03-01T06:15:00Z."));
        }
        time.map(|time| time.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }

    fn text(&mut self, name: &str) -> Option<String> {
        let value = self.properties.get(name).filter(|value| !value.is_null())?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.remarks.push(format!("The property {name} is no text."));
        }
        text
    }

    /// The geometry as well-known text (OGC 06-103r4), for Scale's jobs.
    pub fn wkt(&self) -> Option<String> {
        self.geometry.as_ref().map(wkt)
    }
}

/// Geometry types with coordinates, and how deep their positions are nested in lists.
const GEOMETRIES: [(&str, usize); 6] =
    [("Point", 0), ("MultiPoint", 1), ("LineString", 1), ("MultiLineString", 2), ("Polygon", 2), ("MultiPolygon", 3)];

struct GeoJsonFault {
    path: String,
    reason: &'static str,
}

fn fault(reason: &'static str) -> GeoJsonFault {
    GeoJsonFault { path: String::new(), reason }
}

/// Prefixes the path of a fault with a member name or an index.
fn at(step: impl std::fmt::Display, checked: Result<(), GeoJsonFault>) -> Result<(), GeoJsonFault> {
    checked.map_err(|GeoJsonFault { path, reason }| GeoJsonFault { path: format!("/{step}{path}"), reason })
}

fn check(document: &Value) -> Result<(), MetadataError> {
    let checked = match document["type"].as_str() {
        Some("FeatureCollection") => collection(document),
        Some("Feature") => feature(document),
        _ => geometry(document),
    };
    checked.map_err(|GeoJsonFault { path, reason }| MetadataError::NotGeoJson { path, reason })
}

fn collection(value: &Value) -> Result<(), GeoJsonFault> {
    members(value, &["coordinates", "geometries", "geometry", "properties"])?;
    let features = value["features"].as_array().ok_or(fault("the list `features` is missing"))?;
    features.iter().enumerate().try_for_each(|(index, it)| at("features", at(index, feature(it))))
}

fn feature(value: &Value) -> Result<(), GeoJsonFault> {
    if value["type"] != "Feature" {
        return Err(fault("the type must be Feature"));
    }
    members(value, &["coordinates", "geometries", "features"])?;
    match value.get("geometry") {
        None => return Err(fault("the member `geometry` is missing; null says that there is none")),
        Some(Value::Null) => {}
        Some(value) => at("geometry", geometry(value))?,
    }
    match value.get("properties") {
        Some(Value::Object(_) | Value::Null) => {}
        _ => return Err(fault("the member `properties` must be an object or null")),
    }
    match value.get("id") {
        None | Some(Value::String(_) | Value::Number(_)) => Ok(()),
        _ => Err(fault("the member `id` must be a text or a number")),
    }
}

fn geometry(value: &Value) -> Result<(), GeoJsonFault> {
    members(value, &["geometry", "properties", "features"])?;
    let kind = value["type"].as_str().unwrap_or_default();
    if kind == "GeometryCollection" {
        let inner = value["geometries"].as_array().ok_or(fault("the list `geometries` is missing"))?;
        return inner.iter().enumerate().try_for_each(|(index, it)| at("geometries", at(index, geometry(it))));
    }
    let known = GEOMETRIES.iter().find(|(name, _)| *name == kind);
    let (_, depth) = known.ok_or(fault("the type is none of GeoJSON"))?;
    let least = match kind {
        "LineString" | "MultiLineString" => 2,
        "Polygon" | "MultiPolygon" => 4,
        _ => 0,
    };
    let coordinates = value.get("coordinates").ok_or(fault("the member `coordinates` is missing"))?;
    at("coordinates", positions(coordinates, *depth, least))
}

/// Checks positions nested in `depth` lists, of which the innermost have at least `least` items.
fn positions(value: &Value, depth: usize, least: usize) -> Result<(), GeoJsonFault> {
    let items = value.as_array().ok_or(fault("a list is expected"))?;
    match depth {
        0 if (2..=3).contains(&items.len()) && items.iter().all(Value::is_number) => Ok(()),
        0 => Err(fault("a position is two or three numbers")),
        1 if items.len() < least => Err(fault("there are too few positions")),
        _ => items.iter().enumerate().try_for_each(|(index, it)| at(index, positions(it, depth - 1, least))),
    }
}

/// Checks that `value` is an object with a valid `bbox`, if any, and without the members that define an object of
/// another type (RFC 7946, 7.1).
fn members(value: &Value, foreign: &[&str]) -> Result<(), GeoJsonFault> {
    let object = value.as_object().ok_or(fault("an object is expected"))?;
    if foreign.iter().any(|name| object.contains_key(*name)) {
        return Err(fault("there is a member that defines an object of another type"));
    }
    let Some(bbox) = object.get("bbox") else { return Ok(()) };
    let numbers = bbox.as_array().filter(|items| matches!(items.len(), 4 | 6) && items.iter().all(Value::is_number));
    if numbers.is_some() { Ok(()) } else { Err(fault("a `bbox` is four or six numbers")) }
}

/// Bounding box of all positions in a valid GeoJSON value.
fn bounds(value: &Value) -> Option<[f64; 4]> {
    fn widen(value: &Value, bounds: &mut Option<[f64; 4]>) {
        match value {
            Value::Array(items) if items.first().is_some_and(Value::is_number) => {
                let [x, y] = [0, 1].map(|index| items.get(index).and_then(Value::as_f64).unwrap_or_default());
                let [west, south, east, north] = bounds.unwrap_or([x, y, x, y]);
                *bounds = Some([west.min(x), south.min(y), east.max(x), north.max(y)]);
            }
            Value::Array(items) => items.iter().for_each(|item| widen(item, bounds)),
            Value::Object(object) => {
                let inner = ["coordinates", "geometries", "geometry", "features"];
                inner.iter().filter_map(|name| object.get(*name)).for_each(|value| widen(value, bounds));
            }
            _ => {}
        }
    }
    let mut found = None;
    widen(value, &mut found);
    found
}

/// Well-known text of a valid geometry.
fn wkt(geometry: &Value) -> String {
    let kind = geometry["type"].as_str().unwrap_or_default();
    let name = kind.to_ascii_uppercase();
    let items = |key: &str| geometry[key].as_array().map(Vec::as_slice).unwrap_or_default();
    if kind == "GeometryCollection" {
        let inner: Vec<String> = items("geometries").iter().map(wkt).collect();
        return if inner.is_empty() { format!("{name} EMPTY") } else { format!("{name} ({})", inner.join(", ")) };
    }
    let height = if has_height(&geometry["coordinates"]) { " Z" } else { "" };
    let mut text = format!("{name}{height} ");
    match (kind, items("coordinates")) {
        (_, []) => text += "EMPTY",
        ("Point", _) => write!(text, "({})", coordinates(&geometry["coordinates"])).expect("a String takes all"),
        _ => text += &coordinates(&geometry["coordinates"]),
    }
    text
}

fn has_height(value: &Value) -> bool {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    match items {
        [Value::Number(_), ..] => items.len() == 3,
        _ => items.first().is_some_and(has_height),
    }
}

/// `1 2` for a position, `(1 2, 3 4)` for a list of positions.
fn coordinates(value: &Value) -> String {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    match items {
        [Value::Number(_), ..] => items.iter().map(Value::to_string).collect::<Vec<_>>().join(" "),
        _ => format!("({})", items.iter().map(coordinates).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::spec::{PublishedSchema, json_schema};

    fn read(value: &Value) -> Result<SeedMetadata, MetadataError> {
        SeedMetadata::read(value.to_string().as_bytes())
    }

    #[test]
    fn reads_what_scale_reads() {
        let properties = json!({"dataStarted": "2026-03-01T08:15:00+02:00", "dataEnded": "soon", "sourceSensor": "radar-2",
            "sourceTask": 7, "dataTypes": ["ice", 1], "more": {"a": 1}});
        let geometry = json!({"type": "Point", "coordinates": [125.6, 10.1]});
        let metadata =
            read(&json!({"type": "Feature", "geometry": geometry, "properties": properties})).expect("it is");
        assert_eq!(metadata.data_started.as_deref(), Some("2026-03-01T06:15:00Z"));
        assert_eq!((metadata.data_ended, metadata.source_task), (None, None));
        assert_eq!((metadata.source_sensor.as_deref(), metadata.data_types), (Some("radar-2"), vec!["ice".to_owned()]));
        assert_eq!((metadata.geometry, metadata.bbox), (Some(geometry.clone()), Some([125.6, 10.1, 125.6, 10.1])));
        assert_eq!(metadata.remarks.len(), 2, "{:?}", metadata.remarks);
        assert_eq!(metadata.properties["more"]["a"], 1);
        assert_eq!(read(&geometry).expect("it is").geometry, Some(geometry));
        let time = json!({"start": "2026-03-01T06:15:00Z", "end": null});
        let metadata =
            read(&json!({"type": "Feature", "geometry": null, "properties": {"time": time}})).expect("it is");
        assert_eq!(metadata.data_started.as_deref(), Some("2026-03-01T06:15:00Z"));
        assert_eq!((metadata.geometry, metadata.bbox, metadata.remarks.len()), (None, None, 0));
    }

    #[test]
    fn a_box_goes_around_everything() {
        let line = json!({"type": "LineString", "coordinates": [[-3, 50], [4, -51.5, 9]], "bbox": [0, 0, 1, 1]});
        let feature = |geometry: Value| json!({"type": "Feature", "geometry": geometry, "properties": null});
        let point = json!({"type": "Point", "coordinates": [10, 0]});
        let collection = json!({"type": "FeatureCollection", "features": [feature(Value::Null), feature(line.clone()), feature(point)]});
        let metadata = read(&collection).expect("it is");
        assert_eq!((metadata.bbox, metadata.geometry), (Some([-3.0, -51.5, 10.0, 50.0]), Some(line)));
    }

    #[test]
    fn says_where_it_is_wrong() {
        let collection = json!({"type": "GeometryCollection", "geometries": [{"type": "Polygon", "coordinates": [[[0, 0], [1, "1"]]]}]});
        let error = read(&json!({"type": "Feature", "geometry": collection, "properties": {}})).expect_err("it is not");
        let expected = "it is no GeoJSON: at `/geometry/geometries/0/coordinates/0`, there are too few positions";
        assert_eq!(error.to_string(), expected);
        for bytes in [&b""[..], b"{", b"\xff", "[".repeat(100_000).as_bytes()] {
            assert!(matches!(SeedMetadata::read(bytes), Err(MetadataError::NotJson(_))));
        }
        assert_eq!(SeedMetadata::read(&vec![b' '; MAX_BYTES + 1]), Err(MetadataError::TooLarge));
    }

    #[test]
    fn well_known_texts() {
        let table = [
            (json!({"type": "Point", "coordinates": [125.6, 10]}), "POINT (125.6 10)"),
            (json!({"type": "Point", "coordinates": [1, 2, 3]}), "POINT Z (1 2 3)"),
            (json!({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}), "MULTIPOINT (1 2, 3 4)"),
            (json!({"type": "MultiPoint", "coordinates": []}), "MULTIPOINT EMPTY"),
            (
                json!({"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 3.5], [0, 0]]]}),
                "POLYGON ((0 0, 4 0, 4 3.5, 0 0))",
            ),
            (
                json!({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}]}),
                "GEOMETRYCOLLECTION (POINT (1 2))",
            ),
        ];
        for (geometry, text) in table {
            assert_eq!(read(&geometry).expect("it is").wkt().as_deref(), Some(text));
        }
    }

    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let schema = serde_json::from_str(json_schema(PublishedSchema::Metadata)).expect("a schema is JSON");
        jsonschema::draft202012::new(&schema).expect("a schema that can be used")
    });

    /// Valid and nearly valid GeoJSON.
    fn any_document() -> impl Strategy<Value = Value> {
        let number =
            prop_oneof![6 => (-180i32..180).prop_map(Value::from), 1 => Just(json!("1")), 1 => Just(Value::Null)];
        let position = prop::collection::vec(number, 1..5).prop_map(Value::from).boxed();
        let list = |inner: BoxedStrategy<Value>| prop::collection::vec(inner, 0..6).prop_map(Value::from).boxed();
        let lists =
            [position.clone(), list(position.clone()), list(list(position.clone())), list(list(list(position)))];
        let kinds: Vec<&str> = GEOMETRIES.iter().map(|(name, _)| *name).chain(["Circle"]).collect();
        let simple = (
            prop::sample::select(kinds),
            prop::sample::select(vec![0, 0, 1, 1, 2, 2, 3]).prop_flat_map(move |depth: usize| lists[depth].clone()),
        )
            .prop_map(|(kind, coordinates)| json!({"type": kind, "coordinates": coordinates}));
        let geometry = simple.prop_recursive(2, 6, 3, |inner| {
            prop::collection::vec(inner, 0..3)
                .prop_map(|inner| json!({"type": "GeometryCollection", "geometries": inner}))
        });
        let geometry = prop_oneof![8 => geometry, 1 => Just(Value::Null), 1 => Just(json!([]))].boxed();
        let properties = prop_oneof![Just(json!({"a": 1})), Just(Value::Null), Just(json!(1))];
        let feature = (geometry.clone(), properties)
            .prop_map(
                |(geometry, properties)| json!({"type": "Feature", "geometry": geometry, "properties": properties}),
            )
            .boxed();
        let features = prop::collection::vec(feature.clone(), 0..3)
            .prop_map(|features| json!({"type": "FeatureCollection", "features": features}));
        let extra = prop_oneof![
            8 => Just(json!({})), 1 => Just(json!({"bbox": [1, 2, 3, 4]})), 1 => Just(json!({"bbox": [1]})), 1 => Just(json!({"id": []})),
            1 => Just(json!({"geometry": null})), 1 => Just(json!({"properties": {}})), 1 => Just(json!({"x": 1, "id": 1})),
        ];
        (prop_oneof![geometry, feature, features], extra).prop_map(|(mut document, extra)| {
            if let (Value::Object(document), Value::Object(extra)) = (&mut document, extra) {
                document.extend(extra);
            }
            document
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn the_schema_agrees(document in any_document()) {
            let found = read(&document);
            prop_assert_eq!(found.is_ok(), SCHEMA.is_valid(&document), "{}: {:?}", document, found);
            if let Ok(found) = found {
                found.wkt();
            }
        }
    }
}
