//! Where the shapes of a GeoJSON file are (RFC 7946). It is read as a stream, in bounded memory.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::map::GeoBounds;

/// Most shapes that are kept.
pub(super) const MOST_SHAPES: usize = 500;
/// Most points of a shape that are kept. Even.
const MOST_POINTS: usize = 512;

/// What a file shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct GeoFootprint {
    pub bounds: Option<GeoBounds>,
    /// The first ones, thinned; the ends of the others are closed if they were.
    pub shapes: Vec<Vec<[f64; 2]>>,
    /// All shapes of the file.
    pub count: usize,
    /// Positions of the shape that was read last, and whether it was kept.
    last: (usize, bool),
}

impl GeoFootprint {
    /// Reads a document. `None`: it is no JSON, or has no coordinates.
    pub(super) fn read(file: impl Read) -> Option<Self> {
        let mut found = Self::default();
        let mut reader = serde_json::Deserializer::from_reader(file);
        DocumentVisitor(&mut found).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        found.bounds.is_some().then_some(found)
    }

    fn add(&mut self, shape: ThinnedShape) {
        self.count += 1;
        self.last = (shape.seen, self.shapes.len() < MOST_SHAPES);
        if self.shapes.len() < MOST_SHAPES {
            self.shapes.push(shape.finish());
        }
    }

    /// Makes points of the shape that was read last.
    fn separate_last(&mut self) {
        let (length, is_kept) = self.last;
        self.count += length - 1;
        if is_kept {
            let points = self.shapes.pop().unwrap_or_default();
            let room = MOST_SHAPES - self.shapes.len();
            self.shapes.extend(points.into_iter().take(room).map(|point| vec![point]));
        }
    }

    fn include(&mut self, position: [f64; 2]) {
        self.bounds = Some(self.bounds.map_or_else(|| GeoBounds::at(position), |bounds| bounds.with(position)));
    }
}

/// A shape that is being read. If it has too many points, every second one is left out.
struct ThinnedShape {
    points: Vec<[f64; 2]>,
    last: [f64; 2],
    /// One of so many points is kept.
    stride: usize,
    seen: usize,
}

impl ThinnedShape {
    fn begin(first: [f64; 2]) -> Self {
        Self { points: vec![first], last: first, stride: 1, seen: 1 }
    }

    fn add(&mut self, point: [f64; 2]) {
        self.last = point;
        if self.seen.is_multiple_of(self.stride) {
            self.points.push(point);
        }
        self.seen += 1;
        if self.points.len() == MOST_POINTS {
            self.points = self.points.iter().copied().step_by(2).collect();
            self.stride *= 2;
        }
    }

    fn finish(mut self) -> Vec<[f64; 2]> {
        if self.points.last() != Some(&self.last) {
            self.points.push(self.last);
        }
        self.points
    }
}

/// The type of a geometry, as far as it says how to read the coordinates.
#[derive(Deserialize, PartialEq)]
enum GeometryType {
    MultiPoint,
    #[serde(other)]
    Another,
}

/// Looks for coordinates in any value: of features, geometries, and collections of them.
struct DocumentVisitor<'f>(&'f mut GeoFootprint);

impl<'de> DeserializeSeed<'de> for DocumentVisitor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DocumentVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GeoJSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (before, mut has_points) = (self.0.count, false);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                // Its positions are read as a line would be; the type may follow.
                "type" => has_points = map.next_value::<GeometryType>()? == GeometryType::MultiPoint,
                "coordinates" => {
                    if let CoordinatePart::Position(point) = map.next_value_seed(CoordinateVisitor(&mut *self.0))? {
                        self.0.add(ThinnedShape::begin(point));
                    }
                }
                "features" | "geometry" | "geometries" => map.next_value_seed(DocumentVisitor(&mut *self.0))?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        if has_points && self.0.count == before + 1 {
            self.0.separate_last();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(DocumentVisitor(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// A value below `coordinates`.
enum CoordinatePart {
    Number(f64),
    Position([f64; 2]),
    /// A list of positions, which is added, or of such lists.
    Shapes,
    /// What has no place there.
    Other,
}

struct CoordinateVisitor<'f>(&'f mut GeoFootprint);

impl<'de> DeserializeSeed<'de> for CoordinateVisitor<'_> {
    type Value = CoordinatePart;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<CoordinatePart, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CoordinateVisitor<'_> {
    type Value = CoordinatePart;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("coordinates")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<CoordinatePart, A::Error> {
        let (mut numbers, mut count) = ([0.0; 2], 0);
        let mut shape: Option<ThinnedShape> = None;
        while let Some(element) = list.next_element_seed(CoordinateVisitor(&mut *self.0))? {
            match (element, &mut shape) {
                (CoordinatePart::Number(number), _) => {
                    // The third one is a height.
                    if let Some(place) = numbers.get_mut(count) {
                        *place = number;
                    }
                    count += 1;
                }
                (CoordinatePart::Position(point), Some(shape)) => shape.add(point),
                (CoordinatePart::Position(point), none) => *none = Some(ThinnedShape::begin(point)),
                (CoordinatePart::Shapes | CoordinatePart::Other, _) => {}
            }
        }
        if let Some(shape) = shape {
            self.0.add(shape);
            return Ok(CoordinatePart::Shapes);
        }
        if count < 2 {
            return Ok(CoordinatePart::Other);
        }
        self.0.include(numbers);
        Ok(CoordinatePart::Position(numbers))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CoordinatePart, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(CoordinatePart::Other)
    }

    fn visit_f64<E>(self, number: f64) -> Result<CoordinatePart, E> {
        Ok(CoordinatePart::Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<CoordinatePart, E> {
        Ok(CoordinatePart::Number(number as f64))
    }

    fn visit_i64<E>(self, number: i64) -> Result<CoordinatePart, E> {
        Ok(CoordinatePart::Number(number as f64))
    }

    fn visit_unit<E>(self) -> Result<CoordinatePart, E> {
        Ok(CoordinatePart::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<CoordinatePart, E> {
        Ok(CoordinatePart::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<CoordinatePart, E> {
        Ok(CoordinatePart::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn read(document: &Value) -> Option<GeoFootprint> {
        GeoFootprint::read(document.to_string().as_bytes())
    }

    #[test]
    fn shapes_of_all_kinds_are_found() {
        let ring = json!([[0, 0], [4, 0], [4, 3, 99], [0, 0]]);
        let document = json!({"type": "FeatureCollection", "bbox": [1, 2, 3, 4], "features": [
            {"type": "Feature", "properties": {"coordinates": [[100, 100], [101, 101]]}, "geometry": {"type": "Point", "coordinates": [-5, 7.5]}},
            {"type": "Feature", "geometry": null},
            {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}},
            {"type": "Feature", "geometry": {"type": "MultiPolygon", "coordinates": [[ring], [ring, ring]]}},
            {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": [{"type": "LineString", "coordinates": [[1, 1], [2, 2]]}]}},
        ]});
        let found = read(&document).expect("there are shapes");
        assert_eq!(found.bounds, Some(GeoBounds { west: -5.0, south: 0.0, east: 4.0, north: 7.5 }));
        assert_eq!((found.count, found.shapes.len()), (6, 6));
        assert_eq!(found.shapes[0], [[-5.0, 7.5]]);
        assert_eq!(found.shapes[1], [[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 0.0]]);
        assert_eq!(found.shapes[5], [[1.0, 1.0], [2.0, 2.0]]);
    }

    #[test]
    fn the_points_of_a_multi_point_are_no_line() {
        for document in [
            r#"{"type": "MultiPoint", "coordinates": [[1, 2], [3, 4], [5, 6]]}"#,
            r#"{"coordinates": [[1, 2], [3, 4], [5, 6]], "type": "MultiPoint"}"#,
        ] {
            let found = GeoFootprint::read(document.as_bytes()).expect("there are shapes");
            assert_eq!(found.shapes, [vec![[1.0, 2.0]], vec![[3.0, 4.0]], vec![[5.0, 6.0]]], "{document}");
            assert_eq!(found.count, 3);
        }
        let point = json!({"type": "MultiPoint", "coordinates": [[1, 2]]});
        assert_eq!(read(&point).map(|found| (found.count, found.shapes.len())), Some((1, 1)));
        let empty = json!({"type": "MultiPoint", "coordinates": []});
        let both =
            json!({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}, empty]});
        assert_eq!(read(&both).map(|found| found.count), Some(1));
        let many: Vec<[f64; 2]> = (0..2000).map(|at| [f64::from(at % 180), 0.0]).collect();
        let line = json!({"type": "LineString", "coordinates": [[0, 0], [1, 1]]});
        let all = json!({"type": "GeometryCollection", "geometries": [line, {"type": "MultiPoint", "coordinates": many}, {"type": "MultiPoint", "coordinates": many}]});
        let found = read(&all).expect("there are shapes");
        assert_eq!((found.count, found.shapes[0].len(), found.shapes[1].len()), (4001, 2, 1));
        assert!(found.shapes.len() <= MOST_SHAPES && found.shapes[1..].iter().all(|shape| shape.len() == 1));
    }

    #[test]
    fn other_documents_have_no_footprint() {
        let deep = "[".repeat(100_000);
        for text in [
            "{}",
            "[]",
            "7",
            "null",
            "",
            "{\"coordinates\": [[[]]]}",
            "{\"coordinates\": [1]}",
            "{\"coordinates\": {\"a\": [1, 2]}}",
            &deep,
        ] {
            assert_eq!(GeoFootprint::read(text.as_bytes()), None, "{}", &text[..text.len().min(40)]);
        }
        let whole = json!({"type": "Point", "coordinates": [1, 2]}).to_string();
        for end in 0..whole.len() {
            assert_eq!(GeoFootprint::read(&whole.as_bytes()[..end]), None, "cut to {end}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn memory_is_bounded_and_bounds_are_exact(lengths in prop::collection::vec(2..3000_usize, 1..6), copies in 1..300_usize) {
            let ring = |length: usize| -> Vec<[f64; 2]> {
                (0..length).map(|at| [(at % 360) as f64 - 180.0, (at % 179) as f64 - 90.0]).collect()
            };
            let short = vec![vec![[1.0, 1.0], [2.0, 2.0]]; copies];
            let lines: Vec<Vec<[f64; 2]>> = lengths.iter().map(|length| ring(*length)).chain(short).collect();
            let document = json!({"type": "MultiLineString", "coordinates": lines});
            let found = read(&document).expect("there are shapes");
            prop_assert_eq!(found.count, lines.len());
            prop_assert!(found.shapes.len() <= MOST_SHAPES);
            prop_assert!(found.shapes.iter().all(|shape| shape.len() <= MOST_POINTS + 1));
            for (shape, line) in found.shapes.iter().zip(&lines) {
                prop_assert_eq!((shape.first(), shape.last()), (line.first(), line.last()));
            }
            let all = lines.iter().flatten().copied();
            let expected = all.fold(GeoBounds::at(lines[0][0]), GeoBounds::with);
            prop_assert_eq!(found.bounds, Some(expected));
        }
    }
}
