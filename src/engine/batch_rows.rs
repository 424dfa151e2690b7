//! Rows of a batch as text, CSV (RFC 4180) or JSON Lines: which input each value is for. What names a file is up to the
//! caller: paths for the command line, addresses and uploads for the service. Pure.

use std::collections::HashMap;

use csv::StringRecord;
use serde_json::{Map, Value};

use super::plan::PlanCode;
use super::plan::request::JsonInputValue;
use crate::seed::environment::variable_name;
use crate::seed::model::SeedManifest;

/// Limit of names listed in a message.
const MAX_NAMED: usize = 20;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// The first line names inputs; an empty value is not passed.
    Csv,
    /// Each line is an object of inputs.
    JsonLines,
}

impl TableFormat {
    /// The format of a text without a file name: only JSON Lines begin with a brace.
    pub fn of(text: &str) -> Self {
        if without_mark(text).trim_start().starts_with('{') { Self::JsonLines } else { Self::Csv }
    }
}

/// The rows of a table.
pub struct BatchTableRows {
    pub rows: Vec<TableRow>,
    /// A problem of the header, which affects all rows.
    pub fault: Option<String>,
}

/// One row.
pub struct TableRow {
    /// From 1, without the header and blank lines.
    pub number: usize,
    /// Line of the text where it begins, from 1.
    pub line: Option<u64>,
    /// The values, or why the row cannot be parsed.
    pub cells: Result<Vec<TableCell>, String>,
}

/// A value of a row. An input may have several.
pub struct TableCell {
    /// As the table writes the input's name.
    pub input: String,
    pub value: CellValue,
}

/// What a value is for.
pub enum CellValue {
    /// Names of files.
    Files(Vec<String>),
    /// A value of a JSON input.
    Json(JsonInputValue),
    /// Why it cannot be used: a code, and a sentence.
    Unusable(PlanCode, String),
}

/// Reads at most `most` rows, and one more.
///
/// # Errors
/// The table cannot be read as CSV, or is empty.
pub fn read_table(
    text: &str,
    format: TableFormat,
    manifest: &SeedManifest,
    most: usize,
) -> Result<BatchTableRows, String> {
    let reader = TableReader { inputs: TableInputs::of(manifest), most };
    let text = without_mark(text);
    match format {
        TableFormat::Csv => reader.csv(text),
        TableFormat::JsonLines => Ok(BatchTableRows { rows: reader.json_lines(text), fault: None }),
    }
}

/// The text without a byte order mark, which spreadsheets write.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The inputs that a column or a JSON member can name.
struct TableInputs<'m> {
    names: HashMap<&'m str, TableInputKind>,
    variables: HashMap<String, TableInputKind>,
    known: String,
}

#[derive(Clone, Copy)]
enum TableInputKind {
    File { multiple: bool },
    Json,
}

impl<'m> TableInputs<'m> {
    fn of(manifest: &'m SeedManifest) -> Self {
        let inputs = &manifest.job.interface.inputs;
        let files = inputs.files.iter().map(|input| (&*input.name, TableInputKind::File { multiple: input.multiple }));
        let json = inputs.json.iter().map(|input| (&*input.name, TableInputKind::Json));
        let all: Vec<(&str, TableInputKind)> = files.chain(json).collect();
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).take(MAX_NAMED).collect();
        Self {
            known: names.join(", "),
            variables: all.iter().map(|(name, input)| (variable_name(name), *input)).collect(),
            names: all.into_iter().collect(),
        }
    }

    /// Finds an input by its name, or by the name of its environment variable.
    fn find(&self, name: &str) -> Option<TableInputKind> {
        self.names.get(name).or_else(|| self.variables.get(&variable_name(name))).copied()
    }
}

type Columns = Vec<Option<(String, TableInputKind)>>;

struct TableReader<'m> {
    inputs: TableInputs<'m>,
    most: usize,
}

impl TableReader<'_> {
    fn csv(&self, text: &str) -> Result<BatchTableRows, String> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let (columns, fault) = self.columns(reader.headers().map_err(|why| why.to_string())?)?;
        let mut rows = Vec::new();
        for record in reader.records().take(self.most + 1) {
            let record = record.map_err(|why| why.to_string())?;
            let line = record.position().map(csv::Position::line);
            rows.push(TableRow { number: rows.len() + 1, line, cells: record_cells(&columns, &record) });
        }
        Ok(BatchTableRows { rows, fault })
    }

    /// The input of each column, `None` if unknown; and the problem of the header, if any.
    fn columns(&self, header: &StringRecord) -> Result<(Columns, Option<String>), String> {
        if header.is_empty() {
            return Err(format!("it is empty: its first line must name inputs ({})", self.inputs.known));
        }
        let mut unknown = Vec::new();
        let mut columns = Vec::new();
        for name in header.iter().map(str::trim) {
            match self.inputs.find(name) {
                Some(input) => columns.push(Some((name.to_owned(), input))),
                None => {
                    columns.push(None);
                    unknown.push(name);
                }
            }
        }
        if unknown.is_empty() {
            return Ok((columns, None));
        }
        let short = |name: &&str| format!("`{}`", name.chars().take(60).collect::<String>());
        let named: Vec<String> = unknown.iter().take(MAX_NAMED).map(short).collect();
        let more = unknown.len() - named.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let fault = format!(
            "its first line must name inputs; the job has no input {}{more}; it has: {}",
            named.join(", "),
            self.inputs.known
        );
        Ok((columns, Some(fault)))
    }

    fn json_lines(&self, text: &str) -> Vec<TableRow> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).take(self.most + 1);
        let rows = lines.enumerate().map(|(index, (line, text))| TableRow {
            number: index + 1,
            line: Some(line as u64 + 1),
            cells: match serde_json::from_str(text) {
                Ok(object) => Ok(self.object_cells(object)),
                Err(why) => Err(format!("it is not a JSON object of inputs: {why}.")),
            },
        });
        rows.collect()
    }

    fn object_cells(&self, object: Map<String, Value>) -> Vec<TableCell> {
        // `null` is the same as an absent member.
        let given = object.into_iter().filter(|(name, value)| !value.is_null() || self.inputs.find(name).is_none());
        given.map(|(input, value)| TableCell { value: self.member(&input, value), input }).collect()
    }

    fn member(&self, name: &str, value: Value) -> CellValue {
        match (self.inputs.find(name), value) {
            (None, _) => {
                let known = &self.inputs.known;
                CellValue::Unusable(PlanCode::Unknown, format!("the job has no such input; it has: {known}."))
            }
            (Some(TableInputKind::Json), value) => CellValue::Json(JsonInputValue::Value(value)),
            (Some(TableInputKind::File { .. }), Value::String(file)) => CellValue::Files(vec![file]),
            (Some(TableInputKind::File { .. }), Value::Array(files)) if files.iter().all(Value::is_string) => {
                CellValue::Files(files.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            (Some(TableInputKind::File { .. }), _) => {
                CellValue::Unusable(PlanCode::BadValue, "give it a path, or a list of paths.".to_owned())
            }
        }
    }
}

fn record_cells(columns: &[Option<(String, TableInputKind)>], record: &StringRecord) -> Result<Vec<TableCell>, String> {
    if record.len() != columns.len() {
        let (values, names) = (record.len(), columns.len());
        return Err(format!(
            "it has {values} values, but the first line names {names} inputs; quote values that contain commas."
        ));
    }
    let known = columns.iter().zip(record).filter_map(|(column, cell)| Some((column.as_ref()?, cell)));
    let given = known.filter(|(_, cell)| !cell.trim().is_empty());
    let cells = given.map(|((name, input), cell)| TableCell {
        input: name.clone(),
        value: match input {
            TableInputKind::File { multiple: true } => {
                let files = cell.lines().map(str::trim).filter(|file| !file.is_empty());
                CellValue::Files(files.map(str::to_owned).collect())
            }
            TableInputKind::File { multiple: false } => CellValue::Files(vec![cell.trim().to_owned()]),
            TableInputKind::Json => CellValue::Json(JsonInputValue::Text(cell.to_owned())),
        },
    });
    Ok(cells.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn manifest() -> SeedManifest {
        let manifest = json!({"seedVersion": "1.0.0", "job": {
            "name": "j", "jobVersion": "1.0.0", "packageVersion": "1.0.0", "title": "J", "description": "J",
            "maintainer": {"name": "A", "email": "a@example.org"}, "timeout": 1,
            "interface": {"command": "run", "inputs": {
                "files": [{"name": "SCENE"}, {"name": "TILES", "multiple": true}],
                "json": [{"name": "COUNT", "type": "integer"}],
            }},
        }});
        SeedManifest::parse(&manifest.to_string()).expect("a manifest")
    }

    fn read(text: &str) -> Result<BatchTableRows, String> {
        read_table(text, TableFormat::of(text), &manifest(), 100)
    }

    /// The cells of a table in one line, for comparison.
    fn told(text: &str) -> Vec<String> {
        let cell = |TableCell { input, value }: TableCell| match value {
            CellValue::Files(files) => format!("{input}={files:?}"),
            CellValue::Json(JsonInputValue::Text(text)) => format!("{input}:{text}"),
            CellValue::Json(JsonInputValue::Value(value)) => format!("{input}::{value}"),
            CellValue::Unusable(code, _) => format!("{input} {code:?}"),
        };
        let row = |row: TableRow| match row.cells {
            Ok(cells) => cells.into_iter().map(cell).collect::<Vec<_>>().join(" "),
            Err(why) => format!("{}: {why}", row.line.unwrap_or_default()),
        };
        read(text).expect("a table").rows.into_iter().map(row).collect()
    }

    #[test]
    fn values_are_for_the_inputs_that_the_first_line_names() {
        let table = "\u{feff}SCENE, count ,TILES\na.tif,3,\"b\nc\"\n,,\n=1+1,\"-4\",\n";
        let expected = ["SCENE=[\"a.tif\"] count:3 TILES=[\"b\", \"c\"]", "", "SCENE=[\"=1+1\"] count:-4"];
        assert_eq!(told(table), expected);
        let lines = "{\"SCENE\": \"a\", \"COUNT\": 3}\n\n{\"TILES\": [\"b\", \"c\"], \"COUNT\": null}\n{\"SCENE\": 5, \"X\": null}\n[]";
        let told = told(lines);
        let expected = ["SCENE=[\"a\"] COUNT::3", "TILES=[\"b\", \"c\"]", "SCENE BadValue X Unknown"];
        assert_eq!(told[..3], expected);
        assert!(told[3].starts_with("5: it is not a JSON object"), "{told:?}");
    }

    #[test]
    fn faults_of_a_table_are_told() {
        assert!(read("").is_err_and(|why| why.contains("SCENE, TILES, COUNT")));
        let rows = read("SCENE,COLOUR,SIZE\na,b,c\n").expect("a table");
        assert!(rows.fault.expect("a fault").contains("no input `COLOUR`, `SIZE`; it has: SCENE"));
        assert_eq!(
            told("SCENE,COUNT\na\n"),
            ["2: it has 1 values, but the first line names 2 inputs; quote values that contain commas."]
        );
        let many = "SCENE\n".to_owned() + &"a\n".repeat(200);
        assert_eq!(read(&many).expect("a table").rows.len(), 101, "one more than asked for");
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(SCENE|TILES|COUNT|,|\"|\n|\r|\\{|\\}|:|\\PC|\0){0,40}") {
            if let Ok(table) = read(&text) {
                prop_assert!(table.rows.len() <= 101);
                for (index, row) in table.rows.iter().enumerate() {
                    prop_assert_eq!(row.number, index + 1);
                }
            }
        }

        #[test]
        fn what_is_quoted_comes_back(cells in proptest::collection::vec("\\PC{0,9}|[=+@,\"\n\r-]{1,4}", 1..6)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["COUNT"]).expect("memory");
            cells.iter().for_each(|cell| writer.write_record([cell]).expect("memory"));
            let text = String::from_utf8(writer.into_inner().expect("memory")).expect("UTF-8");
            let rows = read(&text).expect("a table").rows;
            let found: Vec<String> = rows.into_iter().map(|row| match row.cells.expect("one value").pop() {
                Some(TableCell { value: CellValue::Json(JsonInputValue::Text(text)), .. }) => text,
                _ => String::new(),
            }).collect();
            let expected: Vec<String> =
                cells.into_iter().map(|cell| if cell.trim().is_empty() { String::new() } else { cell }).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
