//! The badge of a job for other people's pages: an SVG with its version, and whether its manifest is valid.

use crate::xml::escaped;

const HEIGHT: usize = 20;
/// Width of a character at the size of the text, in pixels. Viewers fit the text to the width that follows from it.
const CHARACTER: usize = 7;
/// Space on both sides of a text, in pixels.
const PADDING: usize = 6;
/// Most characters of the version.
const LONGEST: usize = 40;

const LABEL: &str = "Seed job";

/// Draws the badge. Both colours of the ground have a contrast of at least 6:1 to the text.
pub(super) fn badge(version: &str, is_valid: bool) -> String {
    let (word, ground) = if is_valid { ("valid", "#0b6746") } else { ("invalid", "#b3261e") };
    let message = format!("{} {word}", shown(version));
    let (left, right) = (width(LABEL), width(&message));
    let (whole, message) = (left + right, escaped(&message));
    let title = format!("{LABEL}: {message}");
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{HEIGHT}" role="img" aria-label="{title}">
<title>{title}</title>
<clipPath id="round"><rect width="{whole}" height="{HEIGHT}" rx="3"/></clipPath>
<g clip-path="url(#round)"><rect width="{left}" height="{HEIGHT}" fill="#44524a"/><rect x="{left}" width="{right}" height="{HEIGHT}" fill="{ground}"/></g>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
{}
{}
</g>
</svg>
"##,
        text(0, left, LABEL),
        text(left, right, &message),
    )
}

fn text(from: usize, width: usize, text: &str) -> String {
    let (x, length) = (from + PADDING, width - 2 * PADDING);
    format!(r#"<text x="{x}" y="14" textLength="{length}" lengthAdjust="spacingAndGlyphs">{text}</text>"#)
}

fn width(text: &str) -> usize {
    text.chars().count() * CHARACTER + 2 * PADDING
}

/// Versions are ASCII; other characters could change the direction of the text.
fn shown(version: &str) -> String {
    let kept: String = version.chars().take(LONGEST).map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
    if version.chars().count() > LONGEST { kept + "…" } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_cannot_break_the_image() {
        assert!(badge("1.0.0", true).contains(">1.0.0 valid</text>"));
        let hostile = badge("\"/><script>alert(1)</script>\u{202E}\n", false);
        assert!(hostile.contains("&quot;/&gt;&lt;script&gt;alert(1)&lt;/script&gt;?? invalid"), "{hostile}");
        assert!(!hostile.contains("<script"));
        let long = badge(&"9".repeat(1000), true);
        assert!(long.contains(&format!(">{}… valid<", "9".repeat(LONGEST))), "{long}");
    }
}
