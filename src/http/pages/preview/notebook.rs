//! A Jupyter notebook (nbformat 4): its texts, code, and outputs as text or PNG; never its HTML. Only so much of it is
//! kept in memory as is shown.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::picture::PictureFacts;

/// Most cells that are shown.
const MOST_CELLS: usize = 30;
/// Most outputs of a cell that are shown.
const MOST_OUTPUTS: usize = 4;
/// Longest text that is shown, in bytes.
const LONGEST_TEXT: usize = 2048;
/// Longest picture in base64, in bytes.
const LONGEST_PICTURE: usize = 4 * 1024 * 1024;

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NotebookCell {
    pub is_code: bool,
    pub text: String,
    pub outputs: Vec<NotebookOutput>,
}

/// An output of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotebookOutput {
    Text(String),
    /// The number of a PNG among all of the notebook, from 0, and what it is.
    Picture(usize, PictureFacts),
}

/// What is shown of a notebook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NotebookPreview {
    pub cells: Vec<NotebookCell>,
    /// How many cells are not shown.
    pub more: usize,
    /// The pictures, by their number.
    pub pictures: Vec<Vec<u8>>,
}

impl NotebookPreview {
    /// Reads a notebook; `None` if it is none.
    pub(super) fn read(file: impl Read) -> Option<Self> {
        let document: NotebookDocument = serde_json::from_reader(file).ok()?;
        let mut preview = Self { more: document.cells.more, ..Self::default() };
        for cell in document.cells.first {
            let mut outputs = Vec::new();
            for output in cell.outputs.first {
                outputs.extend(preview.add_output(output));
            }
            let is_code = cell.cell_type.0 == "code";
            preview.cells.push(NotebookCell { is_code, text: cell.source.0, outputs });
        }
        (!preview.cells.is_empty()).then_some(preview)
    }

    /// A picture, else a text, if the output has one.
    fn add_output(&mut self, output: OutputDocument) -> Option<NotebookOutput> {
        let encoded: String = output.data.png.0.split_ascii_whitespace().collect();
        let decoded = BASE64_STANDARD.decode(encoded).unwrap_or_default();
        if let Some(facts) =
            PictureFacts::read(&decoded, decoded.len() as u64).filter(|facts| facts.media_type == "image/png")
        {
            self.pictures.push(decoded);
            return Some(NotebookOutput::Picture(self.pictures.len() - 1, facts));
        }
        let error = format!("{}: {}", output.ename.0, output.evalue.0);
        let texts = [output.text.0, output.data.text.0, error];
        let text = texts.into_iter().find(|text| !text.is_empty() && text != ": ")?;
        Some(NotebookOutput::Text(text))
    }
}

/// As it is in the file. Missing and wrong parts are empty.
#[derive(serde::Deserialize)]
struct NotebookDocument {
    cells: FirstOf<CellDocument, MOST_CELLS>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct CellDocument {
    cell_type: CappedText<16>,
    source: CappedText<LONGEST_TEXT>,
    outputs: FirstOf<OutputDocument, MOST_OUTPUTS>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct OutputDocument {
    /// Of a stream.
    text: CappedText<LONGEST_TEXT>,
    data: DataDocument,
    ename: CappedText<100>,
    evalue: CappedText<LONGEST_TEXT>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct DataDocument {
    #[serde(rename = "text/plain")]
    text: CappedText<LONGEST_TEXT>,
    #[serde(rename = "image/png")]
    png: CappedText<LONGEST_PICTURE>,
}

/// The first elements of a list. The others are not kept.
struct FirstOf<T, const MOST: usize> {
    first: Vec<T>,
    more: usize,
}

impl<T, const MOST: usize> Default for FirstOf<T, MOST> {
    fn default() -> Self {
        Self { first: Vec::new(), more: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for FirstOf<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T, const MOST: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for ListVisitor<T, MOST> {
            type Value = FirstOf<T, MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut found = FirstOf::default();
                while found.first.len() < MOST {
                    let Some(element) = list.next_element()? else { return Ok(found) };
                    found.first.push(element);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {
                    found.more += 1;
                }
                Ok(found)
            }
        }

        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

/// A text, or a list of lines; only its beginning is kept. Any other value is an empty one.
#[derive(Default)]
struct CappedText<const MOST: usize>(String);

impl<const MOST: usize> CappedText<MOST> {
    fn add(&mut self, text: &str) {
        let left = MOST.saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(left)]);
    }
}

impl<'de, const MOST: usize> Deserialize<'de> for CappedText<MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor<const MOST: usize>;

        impl<'de, const MOST: usize> Visitor<'de> for TextVisitor<MOST> {
            type Value = CappedText<MOST>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or lines")
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                let mut capped = CappedText::default();
                capped.add(text);
                Ok(capped)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut capped = CappedText::default();
                while let Some(CappedText(line)) = list.next_element::<CappedText<MOST>>()? {
                    capped.add(&line);
                }
                Ok(capped)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(CappedText::default())
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(CappedText::default())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(CappedText::default())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(CappedText::default())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(CappedText::default())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(CappedText::default())
            }
        }

        deserializer.deserialize_any(TextVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// One pixel.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0";

    fn read(document: &Value) -> Option<NotebookPreview> {
        NotebookPreview::read(document.to_string().as_bytes())
    }

    fn notebook(cells: &Value) -> Value {
        json!({"nbformat": 4, "metadata": {"kernelspec": {"name": "python3"}}, "cells": cells})
    }

    #[test]
    fn texts_code_and_pictures_are_found() {
        let encoded = BASE64_STANDARD.encode(PNG);
        let (begin, end) = encoded.split_at(8);
        let html = json!({"text/html": "<script>alert(1)</script>", "text/plain": ["a table", "\nof two lines"]});
        let svg = BASE64_STANDARD.encode("<svg onload=alert(1)>");
        let found = read(&notebook(&json!([
            {"cell_type": "markdown", "source": ["# Title\n", "<b>text</b>"]},
            {"cell_type": "code", "source": "plot()", "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "printed"},
                {"output_type": "display_data", "data": {"image/png": [format!("{begin}\n"), end], "text/plain": "<Figure>"}},
                {"output_type": "execute_result", "data": html},
                {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["\u{1b}[31mlong"]},
                {"output_type": "stream", "text": "beyond the bound"},
            ]},
            {"cell_type": "code", "source": "1", "outputs": [{"data": {"image/png": svg, "image/svg+xml": "<svg/>"}}]},
        ])));
        let found = found.expect("a notebook");
        let facts = PictureFacts { media_type: "image/png", width: 1, height: 1 };
        let text = |text: &str| NotebookOutput::Text(text.to_owned());
        let expected =
            [text("printed"), NotebookOutput::Picture(0, facts), text("a table\nof two lines"), text("KeyError: 'x'")];
        assert_eq!((found.cells[0].is_code, &*found.cells[0].text), (false, "# Title\n<b>text</b>"));
        assert_eq!((found.cells[1].is_code, &found.cells[1].outputs[..]), (true, &expected[..]));
        assert_eq!((&found.cells[2].outputs[..], found.more), (&[][..], 0), "no HTML, no SVG, no lying PNG");
        assert_eq!(found.pictures, [PNG]);
    }

    #[test]
    fn only_the_beginning_is_kept() {
        let cell = json!({"cell_type": "code", "source": vec!["é".repeat(3000); 50], "outputs": [7, {"a": 1}]});
        assert_eq!(read(&notebook(&json!(vec![cell]))), None, "an output is an object");
        let cell =
            json!({"cell_type": null, "source": vec!["é".repeat(3001); 50], "outputs": [], "metadata": {"x": [[[1]]]}});
        let found = read(&notebook(&json!(vec![cell; 40]))).expect("a notebook");
        assert_eq!((found.cells.len(), found.more, found.cells[0].text.len()), (30, 10, LONGEST_TEXT));
    }

    #[test]
    fn other_documents_are_none() {
        for text in ["", "{}", "[]", "{\"cells\": []}", "{\"cells\": {}}", "{\"cells\": [1]}", &"[".repeat(100_000)] {
            assert_eq!(NotebookPreview::read(text.as_bytes()), None);
        }
        let whole = notebook(&json!([{"cell_type": "code", "source": "x", "outputs": [{"text": "y"}]}])).to_string();
        for end in 0..whole.len() {
            assert_eq!(NotebookPreview::read(&whole.as_bytes()[..end]), None, "cut to {end}");
        }
    }
}
