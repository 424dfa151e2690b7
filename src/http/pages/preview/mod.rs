//! Previews of the files that a run left.
//!
//! A job may be hostile, and so is each file: what it is, its content says, never the manifest; of each only so much is
//! read as is shown; nothing of it is ever markup of a page. Files are served as they are by [`view`] only: pictures that
//! browsers know, and text as plain text, under a policy that lets them do nothing.

mod fold;
mod footprint;
mod map;
mod notebook;
mod picture;
mod table;
mod tiff;

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use askama::Template;
use askama::filters::HtmlSafe;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, header};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use self::fold::{FoldedMember, folded};
use self::footprint::GeoFootprint;
use self::map::WorldMap;
use self::notebook::{NotebookOutput, NotebookPreview};
use self::picture::PictureFacts;
use self::table::TablePreview;
use self::tiff::{TiffFacts, is_tiff};
use super::filters::{self, is_hidden};
use super::frame::PageFrame;
use super::job::bytes;
use crate::app::{Error, RunFolder, RunOutputFile, UserSession};
use crate::http::error::Result;
use crate::http::extract::{PathParameters, QueryParameters, RequestApp};
use crate::http::file::{SANDBOX, ServedFile, serve};
use crate::http::path_part::{part, read_part};
use crate::http::routes::{RouteAccess, RouteTable};

/// How much of a file is read to know what it is, in bytes.
const HEAD: usize = 256 * 1024;
/// Longest text that is shown, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;
/// Most characters of a text that cannot be seen: each becomes a box.
const MOST_HIDDEN: usize = 500;
/// Largest file that is read as a whole, in bytes: GeoJSON and notebooks.
const LARGEST: u64 = 8 * 1024 * 1024;
/// Most files of a run that are looked at.
const MOST_FILES: usize = 200;
/// Most previews of a run.
const MOST_PREVIEWS: usize = 20;
/// How long the previews of a run may take; then there are no more.
const LONGEST: Duration = Duration::from_secs(3);
/// How many runs' files are read at once.
static READERS: Semaphore = Semaphore::const_new(2);

pub(super) fn add(routes: RouteTable) -> RouteTable {
    routes.add_page("/run/{id}/view/{file}", RouteAccess::User, view)
}

/// The previews of a run's outputs, as a part of its page: `{{ previews }}` in its template, which also needs
/// `previews.css` in its head.
#[derive(Template)]
#[template(path = "run_previews.html")]
pub(super) struct RunPreviews {
    previews: Vec<OutputPreview>,
    /// Address of the land on maps.
    land: String,
    /// Whether files were left out, which may have previews.
    is_cut: bool,
}

impl HtmlSafe for RunPreviews {}

impl RunPreviews {
    /// Whether there is nothing to show.
    pub(super) fn is_empty(&self) -> bool {
        self.previews.is_empty()
    }
}

/// The preview of a file.
struct OutputPreview {
    /// Path in the output directory.
    path: String,
    /// Name of the output; empty for a file of none.
    output: String,
    size: String,
    /// Where the file itself is shown.
    view_url: Option<String>,
    content: PreviewContent,
}

impl OutputPreview {
    /// Whether it needs the width of the page.
    fn is_wide(&self) -> bool {
        !matches!(self.content, PreviewContent::Picture { .. } | PreviewContent::Map(_) | PreviewContent::Facts { .. })
    }
}

/// What is shown of a file.
enum PreviewContent {
    Picture { url: String, facts: PictureFacts },
    Map(WorldMap),
    Facts { rows: Vec<(&'static str, String)>, map: Option<WorldMap> },
    Table(TablePreview),
    Json(Vec<FoldedMember>),
    Notebook { notebook: NotebookPreview, url: String },
    Text { text: String, is_cut: bool },
}

/// The previews of what a run left. What cannot be read, or shown, has none.
pub(super) async fn previews(folder: &RunFolder, frame: &PageFrame) -> RunPreviews {
    let land = format!("{}#land", frame.asset("world.svg"));
    let base = frame.url(&format!("/run/{}/view/", part(&folder.record.id)));
    let folder = folder.clone();
    let _place = READERS.acquire().await;
    let read = spawn_blocking(move || read(&folder, &base)).await;
    let (previews, is_cut) = read.unwrap_or_else(|why| {
        tracing::warn!(%why, "the outputs of a run cannot be previewed");
        (Vec::new(), true)
    });
    RunPreviews { previews, land, is_cut }
}

/// The previews, and whether there may be more. Blocking.
fn read(folder: &RunFolder, base: &str) -> (Vec<OutputPreview>, bool) {
    let began = Instant::now();
    let outputs = folder.record.outputs.as_ref();
    let captured =
        outputs.into_iter().flat_map(|it| &it.files).flat_map(|it| it.files.iter().map(move |file| (&*it.name, file)));
    let extra = outputs.into_iter().flat_map(|it| &it.extra).map(|file| ("", file));
    let mut previews = Vec::new();
    for (number, (output, file)) in captured.chain(extra).enumerate() {
        if previews.len() == MOST_PREVIEWS || number == MOST_FILES || began.elapsed() > LONGEST {
            return (previews, true);
        }
        let Ok(file) = folder.file(&file.path) else { continue };
        let url = format!("{base}{}", part(&file.left.path));
        let Some(content) = content(&file, &url) else { continue };
        // Of the others the page of the run has a link to download them.
        let is_served = !matches!(content, PreviewContent::Facts { .. });
        previews.push(OutputPreview {
            output: output.to_owned(),
            size: bytes(file.left.size),
            view_url: is_served.then_some(url),
            path: file.left.path,
            content,
        });
    }
    (previews, false)
}

/// What a text file may be, by its name and the manifest: all of these are shown as text in the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TextFormat {
    Json,
    Notebook,
    Table,
    Other,
}

impl TextFormat {
    fn of(file: &RunOutputFile) -> Self {
        let path = file.left.path.to_ascii_lowercase();
        let media_type = file.left.media_type.as_deref().unwrap_or_default();
        match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "ipynb" => Self::Notebook,
            "csv" | "tsv" => Self::Table,
            "json" | "geojson" => Self::Json,
            _ if media_type.contains("ipynb") => Self::Notebook,
            _ if media_type.ends_with("json") => Self::Json,
            _ if matches!(media_type, "text/csv" | "text/tab-separated-values") => Self::Table,
            _ => Self::Other,
        }
    }
}

/// What is shown of a file at this address. Blocking.
fn content(file: &RunOutputFile, url: &str) -> Option<PreviewContent> {
    let head = first_bytes(&file.path).ok()?;
    if let Some(facts) = PictureFacts::read(&head, file.left.size) {
        return Some(PreviewContent::Picture { url: url.to_owned(), facts });
    }
    if is_tiff(&head) {
        return tiff_facts(TiffFacts::read(File::open(&file.path).ok()?)?);
    }
    let text = text_of(&head)?;
    let is_whole = head.len() < HEAD;
    let format = TextFormat::of(file);
    let found = match format {
        TextFormat::Json => {
            geographic(&file.path).or_else(|| folded(&text).filter(|_| is_whole).map(PreviewContent::Json))
        }
        TextFormat::Notebook => whole(&file.path)
            .and_then(NotebookPreview::read)
            .map(|notebook| PreviewContent::Notebook { notebook, url: url.to_owned() }),
        TextFormat::Table => TablePreview::read(&text, is_whole).map(PreviewContent::Table),
        TextFormat::Other => None,
    };
    found.or_else(|| {
        let end = text.floor_char_boundary(LONGEST_TEXT);
        Some(PreviewContent::Text { text: text[..end].to_owned(), is_cut: !is_whole || end < text.len() })
    })
}

/// The beginning of a file. Blocking.
fn first_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// A file that is not too large to be read.
fn whole(path: &Path) -> Option<BufReader<io::Take<File>>> {
    let file = File::open(path).ok()?;
    let is_small = file.metadata().ok()?.len() <= LARGEST;
    is_small.then(|| BufReader::new(file.take(LARGEST)))
}

/// The text that a file begins with; `None` if it is none.
fn text_of(head: &[u8]) -> Option<String> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character of a head may be cut.
        Err(why) if why.error_len().is_none() && head.len() == HEAD => {
            std::str::from_utf8(&head[..why.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let text = text.replace("\r\n", "\n");
    let is_text = !text.trim().is_empty()
        && !text.contains('\0')
        && text.chars().filter(|c| is_hidden(*c)).nth(MOST_HIDDEN).is_none();
    is_text.then_some(text)
}

/// The map of a GeoJSON file; its bounds in numbers if they are no degrees.
fn geographic(path: &Path) -> Option<PreviewContent> {
    let GeoFootprint { bounds, shapes, count, .. } = GeoFootprint::read(whole(path)?)?;
    let bounds = bounds?;
    let shown = if count == 1 { "1 shape".to_owned() } else { format!("{count} shapes") };
    if !bounds.is_in_degrees() {
        let rows =
            vec![("Shapes", count.to_string()), ("Bounds", format!("{}, which are no degrees", bounds.in_numbers()))];
        return Some(PreviewContent::Facts { rows, map: None });
    }
    let text = format!("{shown}, {}", bounds.in_words());
    Some(PreviewContent::Map(WorldMap::of(&bounds, &shapes, text)))
}

fn tiff_facts(facts: TiffFacts) -> Option<PreviewContent> {
    let mut rows = vec![
        ("Size", format!("{} × {} pixels", facts.width, facts.height)),
        ("Bands", facts.bands.to_string()),
        ("Data type", facts.data_type),
        ("Storage", facts.storage),
    ];
    if let Some(code) = facts.epsg {
        rows.push(("Reference system", format!("EPSG:{code}")));
    }
    let map = facts.bounds.filter(|bounds| facts.is_geographic && bounds.is_in_degrees());
    if let Some(bounds) = facts.bounds {
        rows.push(("Bounds", if map.is_some() { bounds.in_words() } else { bounds.in_numbers() }));
    }
    let map = map.map(|bounds| WorldMap::of(&bounds, &[bounds.ring()], format!("Footprint, {}", bounds.in_words())));
    Some(PreviewContent::Facts { rows, map })
}

/// The media type as which a file is shown by itself; `None`: it is only downloaded. Blocking.
fn shown_type(path: &Path) -> io::Result<Option<&'static str>> {
    let head = first_bytes(path)?;
    Ok(match PictureFacts::read(&head, std::fs::metadata(path)?.len()) {
        Some(picture) => Some(picture.media_type),
        None => text_of(&head).map(|_| "text/plain; charset=utf-8"),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ViewQuery {
    /// The number of a picture in a notebook, from 0.
    picture: Option<usize>,
}

/// A file of a run, to be shown by a browser.
async fn view(
    RequestApp(app): RequestApp,
    session: UserSession,
    PathParameters((id, file)): PathParameters<(String, String)>,
    QueryParameters(ViewQuery { picture }): QueryParameters<ViewQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    let file = app.run_folder(&session, &id).await?.file(&read_part(&file))?;
    let path = file.path.clone();
    let _place = READERS.acquire().await;
    if let Some(number) = picture {
        let read = spawn_blocking(move || notebook_picture(&path, number)).await;
        let picture =
            read.ok().flatten().ok_or_else(|| Error::NotFound("The notebook has no such picture".to_owned()))?;
        let kind = [(header::CONTENT_TYPE, "image/png"), (header::CONTENT_SECURITY_POLICY, SANDBOX)];
        return Ok((kind, Body::from(picture)).into_response());
    }
    let shown = spawn_blocking(move || shown_type(&path)).await.ok().and_then(io::Result::ok).flatten();
    let media_type = shown.ok_or_else(|| {
        Error::NotFound(format!("{} cannot be shown here; download it from the page of its run", file.left.path))
    })?;
    serve(ServedFile { path: &file.path, media_type, tag: file.left.sha256.as_deref(), save_as: None }, &headers).await
}

/// A picture of a notebook. Blocking.
fn notebook_picture(path: &Path, number: usize) -> Option<Vec<u8>> {
    let mut pictures = NotebookPreview::read(whole(path)?)?.pictures;
    (number < pictures.len()).then(|| pictures.swap_remove(number))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::engine::run::outputs::CapturedFile;

    const HTML: &str = "<script>alert(1)</script><svg onload=alert(1)>";

    fn stored(folder: &Path, name: &str, media_type: Option<&str>, bytes: &[u8]) -> RunOutputFile {
        let path = folder.join("file");
        fs::write(&path, bytes).expect("it can be written");
        let left = CapturedFile {
            path: name.to_owned(),
            size: bytes.len() as u64,
            sha256: None,
            media_type: media_type.map(str::to_owned),
            metadata: None,
        };
        RunOutputFile { path, left }
    }

    fn content_of(name: &str, media_type: Option<&str>, bytes: &[u8]) -> Option<PreviewContent> {
        let folder = tempfile::tempdir().expect("a folder");
        content(&stored(folder.path(), name, media_type, bytes), "/view")
    }

    /// A page part with this preview.
    fn html(name: &str, bytes: &[u8]) -> String {
        let Some(content) = content_of(name, None, bytes) else { return String::new() };
        let preview = OutputPreview {
            path: name.to_owned(),
            output: name.to_owned(),
            size: String::new(),
            view_url: Some("/view".to_owned()),
            content,
        };
        let part = RunPreviews { previews: vec![preview], land: "/world.svg#land".to_owned(), is_cut: false };
        part.render().expect("it can be rendered")
    }

    fn kind(content: Option<&PreviewContent>) -> &'static str {
        match content {
            None => "none",
            Some(PreviewContent::Picture { .. }) => "picture",
            Some(PreviewContent::Map(_)) => "map",
            Some(PreviewContent::Facts { .. }) => "facts",
            Some(PreviewContent::Table(_)) => "table",
            Some(PreviewContent::Json(_)) => "json",
            Some(PreviewContent::Notebook { .. }) => "notebook",
            Some(PreviewContent::Text { .. }) => "text",
        }
    }

    #[test]
    fn each_kind_of_file_has_its_preview() {
        let point = br#"{"type": "Point", "coordinates": [1, 2]}"#;
        let projected = br#"{"type": "Point", "coordinates": [300000, 5000000]}"#;
        let cells = br#"{"cells": [{"cell_type": "code", "source": "1"}]}"#;
        let files: [(&str, Option<&str>, &[u8], &str); 19] = [
            ("a.txt", Some("image/png"), b"GIF89a\x01\0\x01\0", "picture"),
            ("a.png", Some("image/png"), HTML.as_bytes(), "text"),
            ("a.geojson", None, point, "map"),
            ("a", Some("application/geo+json"), point, "map"),
            ("a.json", None, projected, "facts"),
            ("a.json", None, b"{\"a\": [1]}", "json"),
            ("a.json", None, b"{\"a\": [1", "text"),
            ("a.json", None, b"17", "text"),
            ("a.txt", None, point, "text"),
            ("A.CSV", None, b"a,b\n1,2\n", "table"),
            ("a", Some("text/csv"), b"a,b\n1,2\n", "table"),
            ("a.csv", None, b"one\ntwo\n", "text"),
            ("a.ipynb", None, cells, "notebook"),
            ("a.ipynb", None, b"[]", "text"),
            ("a.svg", Some("image/svg+xml"), HTML.as_bytes(), "text"),
            ("a.tif", None, b"II*\0\x08\0\0\0", "none"),
            ("a.bin", Some("text/plain"), b"\0\x01", "none"),
            ("a.txt", None, b"latin \xe4", "none"),
            ("a.txt", None, b" \n", "none"),
        ];
        for (name, media_type, bytes, expected) in files {
            assert_eq!(kind(content_of(name, media_type, bytes).as_ref()), expected, "{name} {media_type:?}");
        }
        let hidden = "\u{202E}".repeat(MOST_HIDDEN + 1);
        assert_eq!(kind(content_of("a.txt", None, hidden.as_bytes()).as_ref()), "none");
        assert_eq!(kind(content_of("a.txt", None, "a\r\n".repeat(1000).as_bytes()).as_ref()), "text");
    }

    #[test]
    fn nothing_of_a_file_is_markup() {
        let quoted = serde_json::to_string(HTML).expect("a text is JSON");
        let files = [
            ("a.txt", HTML.to_owned()),
            ("a.csv", format!("{HTML},b\n{HTML},2\n")),
            ("a.json", format!("{{{quoted}: {quoted}, \"b\": {{{quoted}: {quoted}}}, \"c\": [{quoted}]}}")),
            (
                "a.ipynb",
                format!(
                    "{{\"cells\": [{{\"source\": {quoted}, \"outputs\": [{{\"text\": {quoted}, \"data\": {{\"text/html\": {quoted}}}}}]}}]}}"
                ),
            ),
        ];
        for (name, text) in files {
            let html = html(&format!("{HTML}/{name}"), text.as_bytes());
            assert!(html.contains("&lt;script&gt;alert(1)"), "{name}: {html}");
            let rest = html.replace(&format!("{HTML}/"), "");
            assert!(!rest.contains("<script") && !rest.contains("<svg") && !html.contains(HTML), "{name}: {html}");
        }
    }

    #[test]
    fn pages_stay_small() {
        let long = "<".repeat(2 * HEAD);
        let row = vec!["\"<<<<<<\""; 100_000].join(",");
        let deep = format!("{}1", "[".repeat(100_000));
        let wide = format!("[{}]", vec!["[{\"a\": \"<<<<<<<<<\"}]"; 10_000].join(","));
        let points = vec!["[[[1.5,2.5],[3.25,4.125],[5,6],[1.5,2.5]]]"; 100_000].join(",");
        let map = format!("{{\"type\": \"MultiPolygon\", \"coordinates\": [{points}]}}");
        for (name, text) in
            [("a.txt", &long), ("a.csv", &row), ("a.json", &deep), ("a.json", &wide), ("a.geojson", &map)]
        {
            let length = html(name, text.as_bytes()).len();
            assert!((100..600_000).contains(&length), "{name}: {length}");
        }
        // Larger than what is read as a whole.
        let huge =
            format!("{{\"type\": \"Point\", \"x\": \"{}\", \"coordinates\": [1, 2]}}", "x".repeat(LARGEST as usize));
        assert_eq!(kind(content_of("a.geojson", None, huge.as_bytes()).as_ref()), "text");
    }

    #[test]
    fn the_parts_of_a_page_are_complete() {
        let map = html("a.geojson", br#"{"type": "LineString", "coordinates": [[1, 2], [3, 4]]}"#);
        let words = "1 shape, 2 degrees north to 4 degrees north, 1 degree east to 3 degrees east";
        assert!(map.contains(&format!("role=\"img\" aria-label=\"{words}\"")), "{map}");
        assert!(map.contains("href=\"/world.svg#land\"") && map.contains("d=\"M181.00 88.00L183.00 86.00\""), "{map}");
        let picture = html("a.gif", b"GIF89a\x02\x01\x03\0");
        assert!(picture.contains("<img src=\"/view\" alt=\"a.gif\" width=\"258\" height=\"3\""), "{picture}");
        let table = html("a.csv", b"name,area\nx,7\n");
        assert!(table.contains("<th scope=\"col\">name</th>") && table.contains("<td>7</td>"), "{table}");
    }
}
