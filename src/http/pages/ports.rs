//! Short descriptions of a job's interface and needs, for lists.

use std::fmt::Write as _;

use crate::seed::outline::{JobPort, JobPortKind, ResourceOutline};

/// Inputs or outputs of a job that a list shows as one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortGroup {
    /// Such as `2 × TIFF or JPEG 2000`, `any file`, `3 values`.
    pub label: String,
    /// Names and media types.
    pub title: String,
    pub is_required: bool,
}

/// Most ports of one side that are shown; the others are counted.
const MOST_PORTS: usize = 6;
/// Most media types that a label names.
const MOST_TYPES: usize = 3;
/// Longest name of a format, in characters.
const LONGEST_FORMAT: usize = 40;
/// Longest title, in characters.
const LONGEST_TITLE: usize = 300;

/// Groups the inputs or the outputs of a job: files with the same formats, then values; required ones first.
pub(super) fn port_groups(ports: &[JobPort]) -> Vec<PortGroup> {
    struct PortRow<'a> {
        /// `None` for values.
        format: Option<String>,
        is_required: bool,
        ports: Vec<&'a JobPort>,
    }
    let mut rows: Vec<PortRow<'_>> = Vec::new();
    for port in ports {
        let format = match &port.kind {
            JobPortKind::File(media_types) => Some(formats(media_types, port.is_multiple)),
            JobPortKind::Json(_) => None,
        };
        match rows.iter_mut().find(|row| row.format == format && row.is_required == port.is_required) {
            Some(row) => row.ports.push(port),
            None => rows.push(PortRow { format, is_required: port.is_required, ports: vec![port] }),
        }
    }
    // Otherwise in the order of the manifest.
    rows.sort_by_key(|row| (row.format.is_none(), !row.is_required));
    let left_out: usize = rows.iter().skip(MOST_PORTS).map(|row| row.ports.len()).sum();
    let shown = rows.into_iter().take(MOST_PORTS).map(|row| PortGroup {
        title: title(&row.ports, row.is_required),
        label: match (row.format, row.ports.len()) {
            (Some(format), 1) => format,
            (Some(format), count) => format!("{count} × {format}"),
            (None, 1) => "1 value".to_owned(),
            (None, count) => format!("{count} values"),
        },
        is_required: row.is_required,
    });
    let mut groups: Vec<PortGroup> = shown.collect();
    if left_out > 0 {
        groups.push(PortGroup { label: format!("{left_out} more"), title: String::new(), is_required: false });
    }
    groups
}

/// The names of ports of one group, with the media types or the type of the first: the others have the same formats.
fn title(ports: &[&JobPort], is_required: bool) -> String {
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    let mut text = names.join(", ");
    if let Some(JobPort { kind: JobPortKind::File(media_types), .. }) = ports.first()
        && !media_types.is_empty()
    {
        _ = write!(text, ": {}", media_types.join(" or "));
    }
    if !is_required {
        text.push_str(" (optional)");
    }
    cut(&text, LONGEST_TITLE)
}

/// The formats of a file, such as `TIFF or JPEG 2000`, with ` ×n` for several files.
pub(super) fn formats(media_types: &[String], is_multiple: bool) -> String {
    let mut names: Vec<String> = Vec::new();
    for media_type in media_types {
        let name = format_name(media_type);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(MOST_TYPES);
    names.truncate(MOST_TYPES);
    let mut text = if names.is_empty() { "any file".to_owned() } else { names.join(" or ") };
    if more > 0 {
        _ = write!(text, " or {more} more");
    }
    if is_multiple {
        text.push_str(" ×n");
    }
    text
}

/// The short name of a format by its media type; other media types are their own names.
pub(super) fn format_name(media_type: &str) -> String {
    let bare = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = match bare.as_str() {
        "image/tiff" | "image/geotiff" => "TIFF",
        "image/jp2" | "image/jpeg2000" | "image/jpx" => "JPEG 2000",
        "image/png" => "PNG",
        "image/jpeg" | "image/jpg" => "JPEG",
        "image/gif" => "GIF",
        "image/nitf" | "image/x-nitf" | "application/vnd.nitf" | "image/x-nitf-image" => "NITF",
        "application/geo+json" | "application/vnd.geo+json" => "GeoJSON",
        "application/json" => "JSON",
        "application/xml" | "text/xml" => "XML",
        "application/gml+xml" => "GML",
        "application/vnd.google-earth.kml+xml" => "KML",
        "application/geopackage+sqlite3" => "GeoPackage",
        "application/vnd.shp" | "x-gis/x-shapefile" => "Shapefile",
        "text/csv" => "CSV",
        "text/plain" => "text",
        "text/html" => "HTML",
        "application/x-netcdf" | "application/netcdf" => "NetCDF",
        "application/x-hdf5" | "application/x-hdf" | "application/hdf5" => "HDF5",
        "application/vnd.las" | "application/x-las" => "LAS",
        "application/vnd.laszip" | "application/x-laz" => "LAZ",
        "application/x-tar" => "tar",
        "application/zip" => "zip",
        "application/gzip" | "application/x-gzip" => "gzip",
        "application/pdf" => "PDF",
        "application/octet-stream" => "binary",
        "*/*" => "any file",
        _ => "",
    };
    if known.is_empty() { cut(media_type, LONGEST_FORMAT) } else { known.to_owned() }
}

/// The usual extension of files of a media type, without the dot; `None` for types that are not known here.
pub(super) fn extension(media_type: &str) -> Option<String> {
    let format = format_name(media_type);
    let known = match format.as_str() {
        "TIFF" => "tif",
        "JPEG 2000" => "jp2",
        "JPEG" => "jpg",
        "NITF" => "ntf",
        "NetCDF" => "nc",
        "HDF5" => "h5",
        "GeoPackage" => "gpkg",
        "text" => "txt",
        "gzip" => "gz",
        "PNG" | "GIF" | "GeoJSON" | "JSON" | "XML" | "GML" | "KML" | "CSV" | "HTML" | "LAS" | "LAZ" | "tar" | "zip"
        | "PDF" => return Some(format.to_lowercase()),
        _ => return None,
    };
    Some(known.to_owned())
}

/// What a job needs, such as `4 CPU, 12 GiB, 1 GPU`. Empty if it names none of these resources.
pub(super) fn needs(resources: &[ResourceOutline]) -> String {
    let amount = |name: &str| {
        let found = resources.iter().find(|resource| resource.name == name).map(|resource| resource.value);
        found.filter(|value| value.is_finite() && *value > 0.0)
    };
    let cpus = amount("cpus").map(|value| format!("{} CPU", short_number(value)));
    let memory = amount("mem").map(mebibytes);
    let gpus = amount("gpus").map(|value| format!("{} GPU", short_number(value)));
    [cpus, memory, gpus].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// An amount of memory in MiB, for people.
pub(super) fn mebibytes(value: f64) -> String {
    const STEP: f64 = 1024.0;
    if value >= STEP * STEP {
        format!("{} TiB", short_number(value / STEP / STEP))
    } else if value >= STEP {
        format!("{} GiB", short_number(value / STEP))
    } else {
        format!("{} MiB", short_number(value))
    }
}

/// A number with at most one decimal, or with two below 1.
fn short_number(value: f64) -> String {
    let text = if value < 1.0 { format!("{value:.2}") } else { format!("{value:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The first characters of a text, with `…` if it is longer.
pub(super) fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, media_types: &[&str], is_required: bool) -> JobPort {
        let kind = JobPortKind::File(media_types.iter().map(|text| (*text).to_owned()).collect());
        JobPort { name: name.to_owned(), kind, is_required, is_multiple: false }
    }

    fn value(name: &str, is_required: bool) -> JobPort {
        let kind = JobPortKind::Json("number".to_owned());
        JobPort { name: name.to_owned(), kind, is_required, is_multiple: false }
    }

    fn labels(ports: &[JobPort]) -> Vec<String> {
        let signed = |group: PortGroup| if group.is_required { group.label } else { format!("({})", group.label) };
        port_groups(ports).into_iter().map(signed).collect()
    }

    #[test]
    fn ports_of_one_format_are_one() {
        let image = ["image/tiff", "image/jp2"];
        let ports = [
            value("LEVEL", false),
            file("CLOUD_MASK", &["image/tiff"], false),
            file("RED", &image, true),
            file("NIR", &image, true),
            value("A", true),
            value("B", true),
            file("ANY", &[], true),
        ];
        assert_eq!(labels(&ports), ["2 × TIFF or JPEG 2000", "any file", "(TIFF)", "2 values", "(1 value)"]);
        let groups = port_groups(&ports);
        assert_eq!(groups[0].title, "RED, NIR: image/tiff or image/jp2");
        assert_eq!(groups[2].title, "CLOUD_MASK: image/tiff (optional)");
        assert_eq!(groups[3].title, "A, B");
    }

    #[test]
    fn a_side_has_a_bounded_number_of_ports() {
        let ports: Vec<JobPort> = (0..9).map(|number| file("N", &[&format!("application/x-{number}")], true)).collect();
        let labels = labels(&ports);
        assert_eq!(labels.len(), MOST_PORTS + 1);
        assert_eq!(labels.last().map(String::as_str), Some("(3 more)"));
    }

    #[test]
    fn formats_are_short() {
        let many: Vec<String> =
            ["image/png", "image/jpeg", "image/jpg", "image/tiff", "image/gif"].map(str::to_owned).to_vec();
        assert_eq!(formats(&many, true), "PNG or JPEG or TIFF or 1 more ×n");
        assert_eq!(format_name("Image/TIFF; application=geotiff"), "TIFF");
        assert_eq!(format_name("application/x-unknown"), "application/x-unknown");
        assert_eq!(format_name(&"x".repeat(90)).chars().count(), LONGEST_FORMAT + 1);
    }

    #[test]
    fn needs_are_short() {
        let needs_of = |amounts: &[(&str, f64)]| {
            let one = |(name, value): &(&str, f64)| ResourceOutline {
                name: (*name).to_owned(),
                value: *value,
                input_multiplier: 0.0,
            };
            needs(&amounts.iter().map(one).collect::<Vec<_>>())
        };
        assert_eq!(
            needs_of(&[("cpus", 4.0), ("gpus", 1.0), ("mem", 12288.0), ("disk", 500.0)]),
            "4 CPU, 12 GiB, 1 GPU"
        );
        assert_eq!(needs_of(&[("mem", 1536.0), ("cpus", 0.25), ("gpus", 0.0)]), "0.25 CPU, 1.5 GiB");
        assert_eq!(needs_of(&[("mem", 64.0)]), "64 MiB");
        assert_eq!(needs_of(&[("mem", f64::INFINITY), ("disk", 1.0)]), "");
    }
}
