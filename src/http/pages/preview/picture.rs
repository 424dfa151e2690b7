//! Pictures that browsers show: known by their first bytes, never by what a manifest calls them.

/// Largest picture that is shown, in bytes.
const LARGEST: u64 = 20 * 1024 * 1024;
/// Most pixels of one that is shown: a small file may be a picture that takes all memory of a browser.
const MOST_PIXELS: u64 = 64 * 1024 * 1024;

/// Width and height of a picture of one kind, from its first bytes.
type SizeReader = fn(&[u8]) -> Option<(u32, u32)>;

/// What the first bytes of a picture tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PictureFacts {
    pub media_type: &'static str,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

impl PictureFacts {
    /// A picture of so many bytes, which begins with these. `None`: it is none, has no size, or is too large to be shown.
    pub(super) fn read(head: &[u8], length: u64) -> Option<Self> {
        let readers: [(&'static str, SizeReader); 4] =
            [("image/png", png), ("image/gif", gif), ("image/webp", webp), ("image/jpeg", jpeg)];
        let read = |(media_type, size): (&'static str, SizeReader)| {
            size(head).map(|(width, height)| Self { media_type, width, height })
        };
        let found = readers.into_iter().find_map(read)?;
        let pixels = u64::from(found.width) * u64::from(found.height);
        ((1..=MOST_PIXELS).contains(&pixels) && length <= LARGEST).then_some(found)
    }
}

fn png(head: &[u8]) -> Option<(u32, u32)> {
    let rest = head.strip_prefix(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")?;
    Some((big(rest.get(..4)?), big(rest.get(4..8)?)))
}

fn gif(head: &[u8]) -> Option<(u32, u32)> {
    let rest = head.strip_prefix(b"GIF87a").or_else(|| head.strip_prefix(b"GIF89a"))?;
    Some((little(rest.get(..2)?), little(rest.get(2..4)?)))
}

/// RFC 9649: lossy, lossless, or extended.
fn webp(head: &[u8]) -> Option<(u32, u32)> {
    let chunk = head.strip_prefix(b"RIFF")?.get(4..)?.strip_prefix(b"WEBP")?;
    let content = chunk.get(8..)?;
    match chunk.get(..4)? {
        b"VP8X" => Some((little(content.get(4..7)?) + 1, little(content.get(7..10)?) + 1)),
        b"VP8L" => {
            let bits = little(content.strip_prefix(b"\x2f")?.get(..4)?);
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        b"VP8 " => {
            let sizes = content.get(3..)?.strip_prefix(b"\x9d\x01\x2a")?;
            Some((little(sizes.get(..2)?) & 0x3fff, little(sizes.get(2..4)?) & 0x3fff))
        }
        _ => None,
    }
}

/// The size is in the first segment that starts a frame.
fn jpeg(head: &[u8]) -> Option<(u32, u32)> {
    let mut rest = head.strip_prefix(b"\xff\xd8")?;
    loop {
        rest = rest.strip_prefix(b"\xff")?;
        // More of them fill up.
        let [marker, after @ ..] = rest else { return None };
        match marker {
            0xff => {}
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                return Some((big(after.get(5..7)?), big(after.get(3..5)?)));
            }
            0x01 | 0xd0..=0xd7 => rest = after,
            // The picture begins, or ends, without a size.
            0xd9 | 0xda => return None,
            _ => rest = after.get(big(after.get(..2)?) as usize..)?,
        }
    }
}

fn big(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

fn little(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x01\x02\0\0\0\x03";
    const GIF: &[u8] = b"GIF89a\x02\x01\x03\0";
    const JPEG: &[u8] =
        b"\xff\xd8\xff\xe0\0\x04JF\xff\xff\xfe\0\x03x\xff\xc4\0\x02\xff\xd0\xff\xc2\0\x11\x08\0\x03\x01\x02\x03";
    const LOSSY: &[u8] = b"RIFF____WEBPVP8 ____\0\0\0\x9d\x01\x2a\x02\x41\x03\x40";
    const LOSSLESS: &[u8] = b"RIFF____WEBPVP8L____\x2f\x01\x81\0\0";
    const EXTENDED: &[u8] = b"RIFF____WEBPVP8X____\0\0\0\0\x01\x01\0\x02\0\0";
    const ALL: [(&[u8], &str); 6] = [
        (PNG, "image/png"),
        (GIF, "image/gif"),
        (JPEG, "image/jpeg"),
        (LOSSY, "image/webp"),
        (LOSSLESS, "image/webp"),
        (EXTENDED, "image/webp"),
    ];

    fn read(head: &[u8]) -> Option<PictureFacts> {
        PictureFacts::read(head, head.len() as u64)
    }

    #[test]
    fn pictures_are_known_by_their_first_bytes() {
        for (head, media_type) in ALL {
            let expected = PictureFacts { media_type, width: 258, height: 3 };
            assert_eq!(read(head), Some(expected), "{media_type}");
            for end in 0..head.len() - 1 {
                assert_eq!(read(&head[..end]), None, "{media_type} cut to {end}");
            }
        }
    }

    #[test]
    fn other_files_are_no_pictures() {
        for head in [
            "<svg xmlns=\"http://www.w3.org/2000/svg\">",
            "<html>",
            "GIF89a",
            "%PDF-1.4",
            "BM",
            "\u{feff}<?xml version=\"1.0\"?>",
        ] {
            assert_eq!(read(head.as_bytes()), None, "{head}");
        }
        // 65,535 × 65,535 pixels, and none.
        assert_eq!(read(b"GIF89a\xff\xff\xff\xff"), None);
        assert_eq!(read(b"GIF89a\0\0\x01\0"), None);
        assert_eq!(PictureFacts::read(GIF, LARGEST + 1), None);
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_readers(kind in 0..ALL.len(), at in 0..30_usize, more in prop::collection::vec(any::<u8>(), 0..60)) {
            let head = ALL[kind].0;
            let mut bytes = head[..at.min(head.len())].to_vec();
            bytes.extend(more);
            _ = read(&bytes);
        }
    }
}
