//! What the header of a TIFF file tells: TIFF 6.0, BigTIFF, and the tags of GeoTIFF 1.1 (OGC 19-008r4). Pixels are not
//! read.

use std::io::{Read, Seek, SeekFrom};

use super::map::GeoBounds;

/// Most tags that are looked at.
const MOST_TAGS: u64 = 512;
/// Most values of a tag that are read.
const MOST_VALUES: u64 = 512;

/// What a file contains.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TiffFacts {
    /// Pixels.
    pub width: u64,
    /// Pixels.
    pub height: u64,
    pub bands: u64,
    /// As in `16-bit unsigned integer`.
    pub data_type: String,
    /// How it is stored: compression, tiles.
    pub storage: String,
    /// Corners, in the units of the reference system.
    pub bounds: Option<GeoBounds>,
    /// Code of the reference system (EPSG).
    pub epsg: Option<u64>,
    /// Whether the reference system has degrees of longitude and latitude.
    pub is_geographic: bool,
}

/// Whether a file begins as one.
pub(super) fn is_tiff(head: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|mark| head.starts_with(*mark))
}

impl TiffFacts {
    /// Reads the header, in a bounded number of small steps. `None`: it is broken, or no TIFF.
    pub(super) fn read(file: impl Read + Seek) -> Option<Self> {
        let mut reader = TiffReader::begin(file)?;
        let tags = reader.tags()?;
        let mut numbers =
            |tag: u16| tags.iter().find(|it| it.tag == tag).and_then(|it| reader.values(it)).unwrap_or_default();
        let mut number = |tag: u16, missing: u64| numbers(tag).first().map_or(missing, |value| *value as u64);
        let (width, height) = (number(WIDTH, 0), number(HEIGHT, 0));
        if width == 0 || height == 0 {
            return None;
        }
        let data_type = data_type(number(BITS, 1), number(SAMPLE_FORMAT, 1));
        let (bands, compression) = (number(SAMPLES, 1), number(COMPRESSION, 1));
        let (tile_width, tile_height) = (number(TILE_WIDTH, 0), number(TILE_HEIGHT, 0));
        let (scale, tie, keys) = (numbers(PIXEL_SCALE), numbers(TIE_POINTS), numbers(GEO_KEYS));
        let key = |wanted: u64| geo_key(&keys, wanted);
        let is_geographic = key(MODEL_TYPE) == Some(2);
        let mut storage = vec![self::compression(compression)];
        match (tile_width, tile_height) {
            (0, _) | (_, 0) => storage.push("in strips".to_owned()),
            (across, down) => storage.push(format!("in tiles of {across} × {down}")),
        }
        if reader.is_cloud_optimized() {
            storage.push("cloud-optimized".to_owned());
        }
        let code = key(if is_geographic { GEOGRAPHIC_CODE } else { PROJECTED_CODE });
        Some(Self {
            width,
            height,
            bands,
            data_type,
            storage: storage.join(", "),
            bounds: bounds(&scale, &tie, width as f64, height as f64),
            // 32,767 is a system of the file's own.
            epsg: code.filter(|code| (1..32_767).contains(code)),
            is_geographic,
        })
    }
}

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const SAMPLES: u16 = 277;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const SAMPLE_FORMAT: u16 = 339;
const PIXEL_SCALE: u16 = 33550;
const TIE_POINTS: u16 = 33922;
const GEO_KEYS: u16 = 34735;
/// Keys in `GEO_KEYS`: projected (1) or geographic (2), and the codes of both.
const MODEL_TYPE: u64 = 1024;
const GEOGRAPHIC_CODE: u64 = 2048;
const PROJECTED_CODE: u64 = 3072;

fn data_type(bits: u64, format: u64) -> String {
    let format = match format {
        1 => "unsigned integer",
        2 => "signed integer",
        3 => "float",
        5 | 6 => "complex",
        _ => "of an unknown type",
    };
    format!("{bits}-bit {format}")
}

fn compression(code: u64) -> String {
    match code {
        1 => "not compressed".to_owned(),
        5 => "LZW".to_owned(),
        6 | 7 => "JPEG".to_owned(),
        8 | 32_946 => "Deflate".to_owned(),
        32_773 => "PackBits".to_owned(),
        34_887 => "LERC".to_owned(),
        50_000 => "Zstandard".to_owned(),
        50_001 => "WebP".to_owned(),
        code => format!("compression {code}"),
    }
}

/// A key with one short value in the key directory.
fn geo_key(keys: &[f64], wanted: u64) -> Option<u64> {
    let (_, entries) = keys.split_at_checked(4)?;
    let entry = entries.chunks_exact(4).find(|entry| entry[0] as u64 == wanted && entry[1] == 0.0)?;
    Some(entry[3] as u64)
}

/// From one tie point and the size of a pixel. Files that are turned have a matrix instead.
fn bounds(scale: &[f64], tie: &[f64], width: f64, height: f64) -> Option<GeoBounds> {
    let ([across, down, ..], [column, row, _, x, y, ..]) = (scale, tie) else { return None };
    if !(*across > 0.0 && *down > 0.0) {
        return None;
    }
    let (west, north) = (x - column * across, y + row * down);
    let found = GeoBounds { west, north, east: west + width * across, south: north - height * down };
    let are_numbers = [found.west, found.north, found.east, found.south].iter().all(|it| it.is_finite());
    are_numbers.then_some(found)
}

/// An entry of an image's directory.
struct TiffTag {
    tag: u16,
    kind: u16,
    count: u64,
    /// The values, or where they are.
    content: Vec<u8>,
}

struct TiffReader<F> {
    file: F,
    is_little: bool,
    /// BigTIFF: numbers of 64 bits.
    is_big: bool,
}

impl<F: Read + Seek> TiffReader<F> {
    fn begin(file: F) -> Option<Self> {
        let mut reader = Self { file, is_little: true, is_big: false };
        let mark = reader.bytes(0, 4)?;
        if !is_tiff(&mark) {
            return None;
        }
        reader.is_little = mark[0] == b'I';
        reader.is_big = mark.contains(&b'+');
        Some(reader)
    }

    /// The tags of the first image.
    fn tags(&mut self) -> Option<Vec<TiffTag>> {
        let (place, word) = if self.is_big { (8, 8) } else { (4, 4) };
        let at = self.number(place, word)?;
        let (count_size, entry_size) = if self.is_big { (8, 20) } else { (2, 12) };
        let count = self.number(at, count_size)?.min(MOST_TAGS);
        let entries = self.bytes(at.checked_add(count_size)?, count * entry_size)?;
        let tag = |entry: &[u8]| {
            let content = 4 + word as usize;
            Some(TiffTag {
                tag: u16::try_from(self.decoded(&entry[..2])).ok()?,
                kind: u16::try_from(self.decoded(&entry[2..4])).ok()?,
                count: self.decoded(&entry[4..content]),
                content: entry[content..].to_vec(),
            })
        };
        entries.chunks_exact(entry_size as usize).map(tag).collect()
    }

    /// The first values of a tag; `None` for types that are no numbers.
    fn values(&mut self, tag: &TiffTag) -> Option<Vec<f64>> {
        let size: u64 = match tag.kind {
            1 => 1,
            3 => 2,
            4 | 11 => 4,
            12 | 16 => 8,
            _ => return None,
        };
        let count = tag.count.min(MOST_VALUES);
        let is_inside = tag.count.checked_mul(size)? <= tag.content.len() as u64;
        let bytes = if is_inside {
            tag.content.get(..(count * size) as usize)?.to_vec()
        } else {
            self.bytes(self.decoded(&tag.content), count * size)?
        };
        let value = |bytes: &[u8]| {
            let number = self.decoded(bytes);
            match tag.kind {
                11 => f64::from(f32::from_bits(number as u32)),
                12 => f64::from_bits(number),
                _ => number as f64,
            }
        };
        Some(bytes.chunks_exact(size as usize).map(value).collect())
    }

    /// What GDAL writes after the header of a cloud-optimized file.
    fn is_cloud_optimized(&mut self) -> bool {
        let note = self.bytes(if self.is_big { 16 } else { 8 }, 80).unwrap_or_default();
        let has = |words: &[u8]| note.windows(words.len()).any(|window| window == words);
        note.starts_with(b"GDAL_STRUCTURAL_METADATA_SIZE=") && has(b"LAYOUT=IFDS_BEFORE_DATA")
    }

    fn number(&mut self, at: u64, size: u64) -> Option<u64> {
        let bytes = self.bytes(at, size)?;
        Some(self.decoded(&bytes))
    }

    fn decoded(&self, bytes: &[u8]) -> u64 {
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        if self.is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
    }

    /// Exactly so many bytes, of which there are few.
    fn bytes(&mut self, at: u64, length: u64) -> Option<Vec<u8>> {
        self.file.seek(SeekFrom::Start(at)).ok()?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    /// A file of an image directory with these tags. Values of doubles and shorts only.
    fn file(is_little: bool, is_big: bool, tags: &[(u16, &[f64])]) -> Vec<u8> {
        let number = |value: u64, size: usize| {
            let bytes = value.to_be_bytes()[8 - size..].to_vec();
            if is_little { bytes.into_iter().rev().collect() } else { bytes }
        };
        let mark: &[u8] = match (is_little, is_big) {
            (true, false) => b"II*\0",
            (false, false) => b"MM\0*",
            (true, true) => b"II+\0",
            (false, true) => b"MM\0+",
        };
        let (word, head, entry) = if is_big { (8, 16, 20) } else { (4, 8, 12) };
        let mut bytes = mark.to_vec();
        if is_big {
            bytes.extend([number(8, 2), number(0, 2)].concat());
        }
        bytes.extend(number(head, word));
        bytes.extend(number(tags.len() as u64, if is_big { 8 } else { 2 }));
        let mut after = bytes.len() + tags.len() * entry + word;
        let mut values = Vec::new();
        for (tag, numbers) in tags {
            let is_double = [PIXEL_SCALE, TIE_POINTS].contains(tag);
            let encode = |value: &f64| if is_double { number(value.to_bits(), 8) } else { number(*value as u64, 2) };
            let mut content: Vec<u8> = numbers.iter().flat_map(encode).collect();
            bytes.extend([number((*tag).into(), 2), number(if is_double { 12 } else { 3 }, 2)].concat());
            bytes.extend(number(numbers.len() as u64, word));
            if content.len() > word {
                bytes.extend(number(after as u64, word));
                after += content.len();
                values.append(&mut content);
            } else {
                content.resize(word, 0);
                bytes.append(&mut content);
            }
        }
        bytes.extend(number(0, word));
        bytes.append(&mut values);
        bytes
    }

    const TAGS: [(u16, &[f64]); 10] = [
        (WIDTH, &[400.0]),
        (HEIGHT, &[200.0]),
        (BITS, &[16.0, 16.0, 16.0]),
        (COMPRESSION, &[8.0]),
        (SAMPLES, &[3.0]),
        (TILE_WIDTH, &[256.0]),
        (TILE_HEIGHT, &[128.0]),
        (PIXEL_SCALE, &[0.5, 0.25, 0.0]),
        (TIE_POINTS, &[0.0, 0.0, 0.0, -100.0, 50.0, 0.0]),
        (GEO_KEYS, &[1.0, 1.0, 0.0, 2.0, 1024.0, 0.0, 1.0, 2.0, 2048.0, 0.0, 1.0, 4326.0]),
    ];

    #[test]
    fn headers_are_read_in_all_their_forms() {
        for (is_little, is_big) in [(true, false), (false, false), (true, true), (false, true)] {
            let bytes = file(is_little, is_big, &TAGS);
            assert!(is_tiff(&bytes));
            let expected = TiffFacts {
                width: 400,
                height: 200,
                bands: 3,
                data_type: "16-bit unsigned integer".to_owned(),
                storage: "Deflate, in tiles of 256 × 128".to_owned(),
                bounds: Some(GeoBounds { west: -100.0, south: 0.0, east: 100.0, north: 50.0 }),
                epsg: Some(4326),
                is_geographic: true,
            };
            assert_eq!(TiffFacts::read(Cursor::new(&bytes)), Some(expected), "{is_little} {is_big}");
            for end in 0..bytes.len() {
                let cut = TiffFacts::read(Cursor::new(&bytes[..end]));
                assert!(cut.is_none_or(|cut| cut.bounds.is_none() || cut.epsg.is_none()), "cut to {end}");
            }
        }
    }

    #[test]
    fn what_is_missing_has_the_defaults_of_the_standard() {
        let bytes = file(true, false, &[(WIDTH, &[7.0]), (HEIGHT, &[8.0]), (SAMPLE_FORMAT, &[3.0])]);
        let facts = TiffFacts::read(Cursor::new(&bytes)).expect("a header");
        assert_eq!((facts.bands, &*facts.data_type, &*facts.storage), (1, "1-bit float", "not compressed, in strips"));
        assert_eq!((facts.bounds, facts.epsg), (None, None));
        assert_eq!(TiffFacts::read(Cursor::new(file(true, false, &[(WIDTH, &[7.0])]))), None);
    }

    #[test]
    fn a_cloud_optimized_file_is_known_by_gdals_note() {
        let mut bytes =
            b"II*\0\x60\0\0\0GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\nLAYOUT=IFDS_BEFORE_DATA\n".to_vec();
        bytes.resize(0x60, b' ');
        bytes.extend(&file(true, false, &[(WIDTH, &[7.0]), (HEIGHT, &[8.0])])[8..]);
        let facts = TiffFacts::read(Cursor::new(&bytes)).expect("a header");
        assert_eq!(facts.storage, "not compressed, in strips, cloud-optimized");
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(
            is_little in any::<bool>(),
            is_big in any::<bool>(),
            end in 0..400_usize,
            changes in prop::collection::vec((0..400_usize, any::<u8>()), 0..12),
            huge in any::<bool>(),
        ) {
            let mut bytes = file(is_little, is_big, &TAGS);
            for (at, byte) in changes {
                let at = at % bytes.len();
                bytes[at] = if huge { 0xff } else { byte };
            }
            bytes.truncate(bytes.len() - end % bytes.len());
            if let Some(facts) = TiffFacts::read(Cursor::new(&bytes)) {
                prop_assert!(facts.width > 0 && facts.height > 0);
                prop_assert!(facts.bounds.is_none_or(|it| it.west.is_finite() && it.south.is_finite()));
            }
        }
    }
}
