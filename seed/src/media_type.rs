//! Media types of files, and those that an input takes.

/// Whether a file of this media type fits an input that takes these. Case and parameters do not matter, and `image/*` is
/// any image. An input that names no types takes all files; a file of unknown type fits only such an input.
pub fn fits(given: Option<&str>, taken: &[String]) -> bool {
    taken.is_empty() || taken.iter().any(|taken| is_within(given, bare(taken).as_str()))
}

fn is_within(given: Option<&str>, taken: &str) -> bool {
    if taken == "*/*" {
        return true;
    }
    let Some(given) = given.map(bare) else { return false };
    match taken.strip_suffix("/*") {
        Some(kind) => given.split_once('/').is_some_and(|(own, _)| own == kind),
        None => given == taken,
    }
}

/// The type without parameters, in lower case.
fn bare(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_fit_by_their_names() {
        for (given, taken, expected) in [
            (Some("image/tiff"), &[][..], true),
            (None, &[], true),
            (None, &["image/tiff"], false),
            (None, &["*/*"], true),
            (Some("Image/TIFF; application=geotiff"), &["image/tiff"], true),
            (Some("image/tiff"), &["image/png", "IMAGE/TIFF ; a=b"], true),
            (Some("image/tiff"), &["image/*"], true),
            (Some("imagery/tiff"), &["image/*"], false),
            (Some("image/tiff"), &["image/tif"], false),
            (Some("image/*"), &["image/tiff"], false),
        ] {
            let taken: Vec<String> = taken.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(fits(given, &taken), expected, "{given:?} {taken:?}");
        }
    }
}
