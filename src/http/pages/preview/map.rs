//! Where on the world something is: bounds, shapes, and the map of them.

/// Smallest height of a map in degrees: the outline of the land has whole degrees.
const SMALLEST: f64 = 40.0;
/// Width of a map by its height.
const RATIO: f64 = 1.6;
/// Most points of the shapes of a map.
const MOST_POINTS: usize = 6000;

/// The smallest rectangle around something. In degrees, or in the units of another reference system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct GeoBounds {
    pub west: f64,
    pub south: f64,
    pub east: f64,
    pub north: f64,
}

impl GeoBounds {
    pub(super) fn at([x, y]: [f64; 2]) -> Self {
        Self { west: x, south: y, east: x, north: y }
    }

    pub(super) fn with(self, [x, y]: [f64; 2]) -> Self {
        Self { west: self.west.min(x), south: self.south.min(y), east: self.east.max(x), north: self.north.max(y) }
    }

    /// Whether they can be degrees of longitude and latitude.
    pub(super) fn is_in_degrees(&self) -> bool {
        self.west >= -180.0 && self.east <= 180.0 && self.south >= -90.0 && self.north <= 90.0
    }

    /// As a ring around it.
    pub(super) fn ring(&self) -> Vec<[f64; 2]> {
        let Self { west, south, east, north } = *self;
        vec![[west, south], [east, south], [east, north], [west, north], [west, south]]
    }

    /// Degrees, in words.
    pub(super) fn in_words(&self) -> String {
        let side = |degrees: f64, [below, above]: [&str; 2]| {
            let number = short(degrees.abs());
            let unit = if number == "1" { "degree" } else { "degrees" };
            format!("{number} {unit} {}", if degrees < 0.0 { below } else { above })
        };
        let (latitude, longitude) = (["south", "north"], ["west", "east"]);
        format!(
            "{} to {}, {} to {}",
            side(self.south, latitude),
            side(self.north, latitude),
            side(self.west, longitude),
            side(self.east, longitude)
        )
    }

    /// Coordinates that are not degrees.
    pub(super) fn in_numbers(&self) -> String {
        let Self { west, south, east, north } = *self;
        format!("x from {} to {}, y from {} to {}", short(west), short(east), short(south), short(north))
    }
}

/// A number with two decimals at most.
fn short(number: f64) -> String {
    if number.abs() >= 1e15 {
        return format!("{number:e}");
    }
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A map for a page: a part of the world's land (`assets/world.svg`), and shapes on it. In its coordinates x is the
/// longitude + 180, y is 90 − the latitude.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct WorldMap {
    /// `viewBox`.
    pub view: String,
    /// Path of the areas.
    pub areas: String,
    /// Path of the lines.
    pub lines: String,
    /// Center and radius of a circle around what is too small to be seen.
    pub spot: Option<[String; 3]>,
    /// What it shows, in words.
    pub text: String,
}

impl WorldMap {
    /// The map around shapes, whose first and last point are the same if they are areas. `bounds` are in degrees.
    pub(super) fn of(bounds: &GeoBounds, shapes: &[Vec<[f64; 2]>], text: String) -> Self {
        let (width, height) = (bounds.east - bounds.west, bounds.north - bounds.south);
        let view_height = (height * 1.4).max(width * 1.4 / RATIO).clamp(SMALLEST, 360.0 / RATIO);
        let view_width = view_height * RATIO;
        let center = place([(bounds.west + bounds.east) / 2.0, (bounds.south + bounds.north) / 2.0]);
        let left = (center[0] - view_width / 2.0).clamp(0.0, 360.0 - view_width);
        let top = match view_height {
            ..180.0 => (center[1] - view_height / 2.0).clamp(0.0, 180.0 - view_height),
            _ => (180.0 - view_height) / 2.0,
        };
        let is_small = width < view_width / 40.0 && height < view_height / 40.0;
        let spot = is_small.then(|| [center[0], center[1], view_height / 30.0].map(|number| format!("{number:.2}")));
        let most = (MOST_POINTS / shapes.len().max(1)).max(4);
        let [areas, lines] = [true, false].map(|is_area| {
            let chosen = shapes.iter().filter(|shape| (shape.len() > 3 && shape.first() == shape.last()) == is_area);
            chosen.map(|shape| path(shape, most, is_area)).collect()
        });
        Self { view: format!("{left:.2} {top:.2} {view_width:.2} {view_height:.2}"), areas, lines, spot, text }
    }
}

fn place([longitude, latitude]: [f64; 2]) -> [f64; 2] {
    [longitude + 180.0, 90.0 - latitude]
}

/// The path of one shape with a number of points at most; points that cannot be told apart are one.
fn path(shape: &[[f64; 2]], most: usize, is_area: bool) -> String {
    let step = shape.len().div_ceil(most).max(1);
    let (thinned, end) = (shape.iter().step_by(step), shape.last());
    let mut points: Vec<String> =
        thinned.chain(end).map(|point| place(*point).map(|it| format!("{it:.2}")).join(" ")).collect();
    points.dedup();
    let end = match points.len() {
        _ if is_area => "Z",
        // A line without length is a dot, if its ends are round.
        1 => "h0",
        _ => "",
    };
    format!("M{}{end}", points.join("L"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_told_in_words() {
        let bounds = GeoBounds::at([-5.126, 40.0]).with([10.0, -50.5]);
        assert_eq!(bounds.in_words(), "50.5 degrees south to 40 degrees north, 5.13 degrees west to 10 degrees east");
        assert!(bounds.is_in_degrees() && !bounds.with([300_000.0, 0.0]).is_in_degrees());
        let far = GeoBounds::at([300_000.0, 1e300]);
        assert_eq!(far.in_numbers(), "x from 300000 to 300000, y from 1e300 to 1e300");
    }

    #[test]
    fn a_map_shows_the_surroundings() {
        let bounds = GeoBounds { west: 2.0, south: 53.0, east: 9.0, north: 57.0 };
        let map = WorldMap::of(&bounds, &[bounds.ring(), vec![[2.0, 53.0], [9.0, 57.0]]], "here".to_owned());
        assert_eq!(map.view, "153.50 15.00 64.00 40.00");
        assert_eq!(map.areas, "M182.00 37.00L189.00 37.00L189.00 33.00L182.00 33.00L182.00 37.00Z");
        assert_eq!((map.lines.as_str(), map.spot), ("M182.00 37.00L189.00 33.00", None));
        let world = GeoBounds { west: -180.0, south: -90.0, east: 180.0, north: 90.0 };
        assert_eq!(WorldMap::of(&world, &[world.ring()], String::new()).view, "0.00 -22.50 360.00 225.00");
        // At the edge of the world, the map stays in it.
        let fiji = WorldMap::of(&GeoBounds::at([179.9, -17.0]), &[vec![[179.9, -17.0]]], String::new());
        assert_eq!((fiji.view.as_str(), fiji.lines.as_str()), ("296.00 87.00 64.00 40.00", "M359.90 107.00h0"));
        assert_eq!(fiji.spot, Some(["359.90", "107.00", "1.33"].map(str::to_owned)));
    }

    #[test]
    fn large_shapes_are_thinned() {
        let shape: Vec<[f64; 2]> = (0..100_000).map(|number| [f64::from(number) / 1000.0, 0.0]).collect();
        let bounds = GeoBounds::at(shape[0]).with(shape[99_999]);
        let map = WorldMap::of(&bounds, &vec![shape; 100], String::new());
        assert!(map.lines.matches('L').count() <= MOST_POINTS + 100, "{}", map.lines.len());
        assert!(map.lines.contains("L280.00"), "each shape has its end");
    }
}
