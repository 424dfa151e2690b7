//! The first rows of a table in a text file: comma-separated values (RFC 4180) and the like.

use csv::{ByteRecord, ReaderBuilder};

use crate::http::pages::ports::cut;

/// Most rows that are shown, without the header.
const MOST_ROWS: usize = 100;
/// Most columns that are shown.
const MOST_COLUMNS: usize = 30;
/// Longest cell that is shown, in characters.
const LONGEST_CELL: usize = 200;

/// The begin of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TablePreview {
    pub header: Vec<String>,
    /// Each as long as the header.
    pub rows: Vec<Vec<String>>,
    /// Whether there are more rows or columns.
    pub is_cut: bool,
}

impl TablePreview {
    /// Reads the begin of a file. `is_whole`: the file ends with it. `None`: it is no table, as it has one column only
    /// or one row only.
    pub(super) fn read(text: &str, is_whole: bool) -> Option<Self> {
        let text = text.trim_start_matches('\u{FEFF}');
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter(text))
            .from_reader(text.as_bytes());
        let (mut rows, mut is_cut, mut record) = (Vec::new(), !is_whole, ByteRecord::new());
        while reader.read_byte_record(&mut record).ok()? {
            if rows.len() > MOST_ROWS {
                is_cut = true;
                break;
            }
            is_cut |= record.len() > MOST_COLUMNS;
            let cell = |bytes: &[u8]| cut(&String::from_utf8_lossy(bytes), LONGEST_CELL);
            rows.push(record.iter().take(MOST_COLUMNS).map(cell).collect::<Vec<String>>());
        }
        // The last row of a head may be half a row.
        if !is_whole && reader.is_done() {
            rows.pop();
        }
        let width = rows.iter().map(Vec::len).max().filter(|width| *width > 1)?;
        rows.iter_mut().for_each(|row| row.resize(width, String::new()));
        let header = rows.remove(0);
        (!rows.is_empty()).then_some(Self { header, rows, is_cut })
    }
}

/// The character that the first line has most of.
fn delimiter(text: &str) -> u8 {
    let line = text.lines().next().unwrap_or_default();
    let count = |delimiter: &u8| line.bytes().filter(|byte| byte == delimiter).count();
    // The comma comes last, since the last of equals counts.
    [b'|', b';', b'\t', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<TablePreview> {
        TablePreview::read(text, true)
    }

    #[test]
    fn tables_are_read() {
        let found = read("\u{FEFF}name,area\n\"a, \"\"b\"\"\",7\nshort\nc,8,more\n").expect("a table");
        assert_eq!(found.header, ["name", "area", ""]);
        assert_eq!(found.rows, [["a, \"b\"", "7", ""], ["short", "", ""], ["c", "8", "more"]]);
        assert!(!found.is_cut);
        for text in ["a;b,c;d\r\n1;2;3\r\n", "a\tb\tc\n1\t2\t3", "a|b|c\n1|2|3"] {
            assert_eq!(read(text).expect("a table").rows, [["1", "2", "3"]], "{text}");
        }
    }

    #[test]
    fn what_is_no_table_is_none() {
        for text in ["", "\n", "a\nb\nc\n", "a,b", "plain text"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn only_the_first_rows_and_columns_are_shown() {
        let row = vec!["x".repeat(1000); 500].join(",");
        let text = vec![row; 300].join("\n");
        let found = read(&text).expect("a table");
        assert_eq!((found.header.len(), found.rows.len(), found.is_cut), (30, 100, true));
        assert_eq!(found.rows[99][29].chars().count(), 201);
        // Half a row is left out.
        let found = TablePreview::read("a,b\n1,2\n3,", false).expect("a table");
        assert_eq!((found.rows.len(), found.is_cut), (1, true));
        assert_eq!(TablePreview::read("a,b,\"never ends", false), None);
    }

    proptest! {
        #[test]
        fn any_text_is_a_table_or_not(text in "[a-c,;\t\"\n\r|é\0]{0,80}", is_whole in any::<bool>()) {
            if let Some(table) = TablePreview::read(&text, is_whole) {
                prop_assert!(table.rows.iter().all(|row| row.len() == table.header.len()));
            }
        }
    }
}
