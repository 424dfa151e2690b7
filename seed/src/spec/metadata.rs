//! JSON Schema of metadata files: GeoJSON (RFC 7946), with the `properties` that Scale reads.
//!
//! The standard requires GeoJSON, but the schema it ships is narrower than the RFC (no `bbox` in a geometry, no
//! `GeometryCollection` in a feature). This one follows the RFC.

use serde_json::{Map, Value, json};

use super::{DRAFT, PublishedSchema};

/// The whole schema.
pub(super) fn schema() -> Value {
    json!({
        "$schema": DRAFT,
        "title": PublishedSchema::Metadata.title(),
        "description": "Where and when the data of an output file comes from: one GeoJSON object (RFC 7946) in a file \
                        beside it, named as the output with `.metadata.json` at the end. Scale takes geometries and \
                        features only.",
        "type": "object",
        "required": ["type"],
        "oneOf": [
            {"$ref": "#/$defs/geometry"},
            {"$ref": "#/$defs/feature"},
            {"$ref": "#/$defs/featureCollection"},
        ],
        "$defs": definitions(),
    })
}

fn definitions() -> Value {
    let mut definitions = Map::new();
    let mut define = |name: &str, schema: Value| definitions.insert(name.to_owned(), schema);
    define("geometry", geometry());
    for (name, kind, about, coordinates) in geometries() {
        define(name, object(kind, about, &["coordinates"], json!({"coordinates": coordinates})));
    }
    define("geometryCollection", geometry_collection());
    define("feature", feature());
    define("properties", properties());
    define("featureCollection", feature_collection());
    define("position", position());
    define(
        "positions",
        json!({
            "description": "Positions in their order.",
            "type": "array",
            "items": {"$ref": "#/$defs/position"},
        }),
    );
    define(
        "line",
        json!({
            "description": "At least two positions.",
            "$ref": "#/$defs/positions",
            "minItems": 2,
        }),
    );
    define(
        "rings",
        json!({
            "description": "The outer ring, then the holes. A ring has at least four positions; the last is the first.",
            "type": "array",
            "items": {"$ref": "#/$defs/positions", "minItems": 4},
        }),
    );
    define("bbox", bbox());
    definitions.into()
}

fn geometry() -> Value {
    let kinds: Vec<_> =
        geometries().iter().map(|(name, ..)| *name).chain(["geometryCollection"]).map(reference).collect();
    json!({"description": "A place on the Earth, of any kind.", "oneOf": kinds})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// Geometry types with coordinates: name of the definition, GeoJSON type, description, and schema of the coordinates.
fn geometries() -> [(&'static str, &'static str, &'static str, Value); 6] {
    let one = |about: &str, shape: &str| json!({"description": about, "$ref": format!("#/$defs/{shape}")});
    let many = |about: &str, shape: &str| json!({"description": about, "type": "array", "items": reference(shape)});
    [
        ("point", "Point", "A single place.", one("The place.", "position")),
        ("multiPoint", "MultiPoint", "Several places.", one("The places.", "positions")),
        ("lineString", "LineString", "A line.", one("The line, from start to end.", "line")),
        ("multiLineString", "MultiLineString", "Several lines.", many("The lines.", "line")),
        ("polygon", "Polygon", "An area.", one("The rings that bound it.", "rings")),
        ("multiPolygon", "MultiPolygon", "Several areas.", many("The areas, each as its rings.", "rings")),
    ]
}

/// Schema of one GeoJSON object type. Foreign members are allowed (RFC 7946, 6.1), but not members that define an
/// object of another type (7.1).
fn object(kind: &str, about: &str, required: &[&str], own: Value) -> Value {
    let foreign: Vec<_> = match kind {
        "FeatureCollection" => ["coordinates", "geometries", "geometry", "properties"].as_slice(),
        "Feature" => &["coordinates", "geometries", "features"],
        _ => &["geometry", "properties", "features"],
    }
    .iter()
    .map(|name| json!({"required": [name]}))
    .collect();
    let required: Vec<_> = ["type"].iter().chain(required).collect();
    let mut schema = json!({
        "description": about,
        "type": "object",
        "required": required,
        "properties": {
            "type": {"description": "Kind of the GeoJSON object.", "const": kind},
            "bbox": {"description": "The box around the whole object.", "$ref": "#/$defs/bbox"},
        },
        "not": {"anyOf": foreign},
    });
    for (name, value) in own.as_object().into_iter().flatten() {
        schema["properties"][name] = value.clone();
    }
    schema
}

fn geometry_collection() -> Value {
    let geometries = json!({
        "description": "The geometries.",
        "type": "array",
        "items": {"$ref": "#/$defs/geometry"},
    });
    object("GeometryCollection", "Several geometries of any kind.", &["geometries"], json!({"geometries": geometries}))
}

fn feature() -> Value {
    let own = json!({
        "id": {"description": "Identifies the feature.", "type": ["string", "number"]},
        "geometry": {
            "description": "Where the data lies; null where that is not known.",
            "oneOf": [{"$ref": "#/$defs/geometry"}, {"type": "null"}],
        },
        "properties": {
            "description": "What else is known of the data; may be null.",
            "oneOf": [{"$ref": "#/$defs/properties"}, {"type": "null"}],
        },
    });
    object("Feature", "A place with what is known of the data there.", &["geometry", "properties"], own)
}

/// The properties that Scale reads. The standard requires none and does not define their types.
fn properties() -> Value {
    let known = |about: &str, example: Value| json!({"description": about, "examples": [example]});
    json!({
        "description": "Anything. Scale reads the members that are listed here, where they are present.",
        "type": "object",
        "properties": {
            "dataStarted": known("When the data of the file begins, as ISO 8601.", json!("2026-03-01T06:15:00Z")),
            "dataEnded": known("When the data of the file ends, as ISO 8601.", json!("2026-03-01T06:20:00Z")),
            "sourceStarted": known("When the recording behind it began, as ISO 8601.", json!("2026-03-01T06:00:00Z")),
            "sourceEnded": known("When the recording behind it ended, as ISO 8601.", json!("2026-03-01T06:30:00Z")),
            "sourceSensorClass": known("Kind of the sensor that made the recording.", json!("radar")),
            "sourceSensor": known("Name of the sensor that made the recording.", json!("ice-watch-2")),
            "sourceCollection": known("Collection that the recording belongs to.", json!("arctic-spring")),
            "sourceTask": known("Task that the sensor was given.", json!("daily-edge")),
            "dataTypes": known("Words for the kind of data in the file, as a list.", json!(["edge"])),
        },
    })
}

fn feature_collection() -> Value {
    let features = json!({"description": "The features.", "type": "array", "items": {"$ref": "#/$defs/feature"}});
    object("FeatureCollection", "Several features.", &["features"], json!({"features": features}))
}

fn position() -> Value {
    json!({
        "description": "Longitude and latitude in degrees (WGS 84), then the height in metres where it is known.",
        "type": "array",
        "items": {"type": "number"},
        "minItems": 2,
        "maxItems": 3,
    })
}

fn bbox() -> Value {
    json!({
        "description": "West, south, east, north in degrees; with heights: west, south, lowest, east, north, highest.",
        "type": "array",
        "items": {"type": "number"},
        "oneOf": [{"minItems": 4, "maxItems": 4}, {"minItems": 6, "maxItems": 6}],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::tests::{assert_passes, validator};

    fn triangle() -> Value {
        json!([[0, 0], [4, 0], [4, 3.5], [0, 0]])
    }

    fn feature_of(geometry: Value) -> Value {
        json!({"type": "Feature", "geometry": geometry, "properties": null})
    }

    fn geometries() -> [Value; 8] {
        [
            json!({"type": "Point", "coordinates": [10.5, 78]}),
            json!({"type": "Point", "coordinates": [10.5, 78, 3.25], "bbox": [10, 78, 3, 11, 79, 4]}),
            json!({"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}),
            json!({"type": "LineString", "coordinates": [[1, 2], [3, 4]], "x-quality": "good"}),
            json!({"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]], [[5, 6], [7, 8], [9, 10]]]}),
            json!({"type": "Polygon", "coordinates": [triangle(), triangle()], "bbox": [0, 0, 4, 3.5]}),
            json!({"type": "MultiPolygon", "coordinates": [[triangle()], [triangle()]]}),
            json!({"type": "GeometryCollection", "geometries": [
                {"type": "Point", "coordinates": [1, 2]}, {"type": "Polygon", "coordinates": [triangle()]}]}),
        ]
    }

    #[test]
    fn takes_what_geojson_is() {
        let schema = validator(PublishedSchema::Metadata);
        for geometry in geometries() {
            assert_passes(&schema, &geometry);
            assert_passes(&schema, &feature_of(geometry));
        }
        assert_passes(&schema, &feature_of(Value::Null));
        let point = geometries()[0].clone();
        assert_passes(&schema, &json!({"type": "FeatureCollection", "features": [], "bbox": [0, 0, 1, 1]}));
        assert_passes(&schema, &json!({"type": "FeatureCollection", "features": [feature_of(point.clone())]}));
        let full = json!({
            "type": "Feature", "id": 7, "bbox": [0, 0, 4, 3.5], "title": "ours", "geometry": point,
            "properties": {"dataStarted": "2026-03-01T06:15:00Z", "dataTypes": ["edge"], "time": {"start": 1}},
        });
        assert_passes(&schema, &full);
    }

    #[test]
    fn refuses_what_it_is_not() {
        let schema = validator(PublishedSchema::Metadata);
        let point = json!({"type": "Point", "coordinates": [1, 2]});
        let broken = [
            json!(null),
            json!([]),
            json!({}),
            json!({"type": "point", "coordinates": [1, 2]}),
            json!({"type": "Point"}),
            json!({"type": "Point", "coordinates": [1]}),
            json!({"type": "Point", "coordinates": [1, 2, 3, 4]}),
            json!({"type": "Point", "coordinates": ["1", "2"]}),
            json!({"type": "Point", "coordinates": [1, 2], "bbox": {}}),
            json!({"type": "Point", "coordinates": [1, 2], "bbox": [1, 2, 3, 4, 5]}),
            json!({"type": "Point", "coordinates": [1, 2], "properties": {}}),
            json!({"type": "MultiPoint", "coordinates": [1, 2]}),
            json!({"type": "LineString", "coordinates": [[1, 2]]}),
            json!({"type": "MultiLineString", "coordinates": [[[1, 2]]]}),
            json!({"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 0]]]}),
            json!({"type": "Polygon", "coordinates": triangle()}),
            json!({"type": "MultiPolygon", "coordinates": [triangle()]}),
            json!({"type": "GeometryCollection", "geometries": [feature_of(Value::Null)]}),
            json!({"type": "GeometryCollection"}),
            json!({"type": "Feature", "geometry": point}),
            json!({"type": "Feature", "properties": {}}),
            json!({"type": "Feature", "geometry": [1, 2], "properties": {}}),
            json!({"type": "Feature", "geometry": point, "properties": []}),
            json!({"type": "Feature", "geometry": point, "properties": {}, "id": true}),
            json!({"type": "Feature", "geometry": point, "properties": {}, "coordinates": [1, 2]}),
            json!({"type": "FeatureCollection"}),
            json!({"type": "FeatureCollection", "features": [point]}),
            json!({"type": "FeatureCollection", "features": [], "geometry": point}),
        ];
        for value in broken {
            assert!(!schema.is_valid(&value), "{value}");
        }
    }
}
