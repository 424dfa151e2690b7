//! Tables for people: aligned columns without lines. In a pipe nothing is cut. On a terminal a table fits its width:
//! texts are cut first, then names and paths; what people copy is never cut, but goes to a line of its own; then texts
//! are left out.

use std::fmt;
use std::iter::once;
use std::os::fd::AsFd;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Blanks between columns.
const GAP: usize = 2;
/// Indentation of the second line of a row.
const INDENT: usize = 2;
/// Least width of a column of texts, in terminal columns, unless its content is narrower.
const WORDS: usize = 12;
/// Least width of names and paths, as long as other columns can shrink.
const NAME: usize = 24;
/// Least width of names and paths if nothing else can shrink.
const SHORT_NAME: usize = 8;

/// Placeholders around matches in cells until a table is laid out: they have no width, and are never cut.
pub(in crate::cli) const MATCH_START: char = '\u{2061}';
pub(in crate::cli) const MATCH_END: char = '\u{2062}';

/// How a column shrinks if the terminal is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    Whole,
    Words,
    Name,
    Copied,
}

/// A column with its heading.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Column {
    head: &'static str,
    fit: Fit,
}

/// Numbers, times and states: short, and never cut.
pub(in crate::cli) const fn whole(head: &'static str) -> Column {
    Column { head, fit: Fit::Whole }
}

/// Texts: cut first, at their end; the last one is left out first.
pub(in crate::cli) const fn words(head: &'static str) -> Column {
    Column { head, fit: Fit::Words }
}

/// Names and paths, which differ at both ends: cut in the middle.
pub(in crate::cli) const fn name(head: &'static str) -> Column {
    Column { head, fit: Fit::Name }
}

/// Values that people copy, never cut; at most one column of a table.
pub(in crate::cli) const fn copied(head: &'static str) -> Column {
    Column { head, fit: Fit::Copied }
}

/// A table laid out.
pub(in crate::cli) struct Table {
    pub head: String,
    /// Each of one or two lines.
    pub rows: Vec<String>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head)?;
        self.rows.iter().try_for_each(|row| write!(f, "\n{row}"))
    }
}

/// A table for standard output.
pub(in crate::cli) fn table<const N: usize>(
    columns: [Column; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Table {
    table_within(terminal_width(), columns, rows)
}

/// A table for a width in columns; `None`: unlimited.
pub(in crate::cli) fn table_within<const N: usize>(
    width: Option<usize>,
    columns: [Column; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Table {
    let rows: Vec<[String; N]> = rows.into_iter().collect();
    let heads = columns.map(|column| column.head.to_owned());
    let widest = |column: usize| once(&heads).chain(&rows).map(|row| row[column].width()).max().unwrap_or_default();
    let layout = Layout::fitting(width.unwrap_or(usize::MAX), columns, std::array::from_fn(widest));
    Table { head: layout.row(&heads), rows: rows.iter().map(|row| layout.row(row)).collect() }
}

/// Widths and positions of the columns.
struct Layout<const N: usize> {
    columns: [Column; N],
    /// `None`: left out.
    widths: [Option<usize>; N],
    /// The column on a line of its own.
    apart: Option<usize>,
}

impl<const N: usize> Layout<N> {
    /// The first layout that fits, from the full one to the most reduced.
    fn fitting(width: usize, columns: [Column; N], natural: [usize; N]) -> Self {
        let copied = columns.iter().position(|column| column.fit == Fit::Copied);
        let texts = columns.iter().filter(|column| column.fit == Fit::Words).count();
        let last = Self::cut_to(width, columns, natural, (copied, texts), SHORT_NAME);
        let tries = once((None, 0)).chain((0..=texts).map(|left_out| (copied, left_out)));
        let mut tries = tries.map(|given_up| Self::cut_to(width, columns, natural, given_up, NAME));
        tries.find(|layout| layout.width() <= width).unwrap_or(last)
    }

    /// A layout with one column apart, and the last texts left out; the others are cut as far as necessary and
    /// possible.
    fn cut_to(
        width: usize,
        columns: [Column; N],
        natural: [usize; N],
        (apart, left_out): (Option<usize>, usize),
        narrowest_name: usize,
    ) -> Self {
        let mut layout = Self { columns, widths: natural.map(Some), apart };
        let texts = (0..N).rev().filter(|at| columns[*at].fit == Fit::Words);
        texts.take(left_out).for_each(|at| layout.widths[at] = None);
        for (fit, narrowest) in [(Fit::Words, WORDS), (Fit::Name, narrowest_name)] {
            let mut over = layout.width().saturating_sub(width);
            while over > 0 {
                let cut = (0..N).filter(|at| columns[*at].fit == fit);
                let cut = cut.filter_map(|at| Some((layout.widths[at].filter(|width| *width > narrowest)?, at)));
                let Some((widest, at)) = cut.max() else { break };
                layout.widths[at] = Some(widest - 1);
                over -= 1;
            }
        }
        layout
    }

    /// Columns on the common line, with their widths.
    fn line(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..N).filter(|at| self.apart != Some(*at)).filter_map(|at| Some((at, self.widths[at]?)))
    }

    /// If the first column is apart, it is above the others, which are indented; another one is below them.
    fn indent(&self) -> usize {
        if self.apart == Some(0) { INDENT } else { 0 }
    }

    /// Width of the common line; that of the column apart cannot be reduced.
    fn width(&self) -> usize {
        let widths = self.line().map(|(_, width)| width + GAP).sum::<usize>();
        self.indent() + widths.saturating_sub(GAP)
    }

    fn row(&self, cells: &[String; N]) -> String {
        let mut line = " ".repeat(self.indent());
        for (at, width) in self.line() {
            let cell = match self.columns[at].fit {
                Fit::Whole | Fit::Copied => cells[at].clone(),
                Fit::Words => cut(&cells[at], width),
                Fit::Name => cut_in_the_middle(&cells[at], width),
            };
            line += &cell;
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.width()) + GAP));
        }
        let line = line.trim_end();
        match self.apart {
            None => line.to_owned(),
            Some(0) => format!("{}\n{line}", cells[0]),
            Some(at) => format!("{line}\n{:INDENT$}{}", "", cells[at]),
        }
    }
}

/// Cuts a text to a width, with `…` at its end. Zero-width placeholders are kept.
pub(in crate::cli) fn cut(text: &str, width: usize) -> String {
    cut_but(text, width, 0)
}

/// Cuts a text to a width, with `…` in its middle.
pub(in crate::cli) fn cut_in_the_middle(text: &str, width: usize) -> String {
    cut_but(text, width, width.saturating_sub(1) / 2)
}

/// Cuts a text to a width, but keeps this many columns of its end.
fn cut_but(text: &str, width: usize, end: usize) -> String {
    let whole = text.width();
    if whole <= width {
        return text.to_owned();
    }
    let (begin, end) = (width.saturating_sub(1 + end), whole - end);
    let (mut kept, mut at, mut is_cut) = (String::new(), 0, false);
    for letter in text.graphemes(true) {
        let is_kept =
            at + letter.width() <= begin && !is_cut || at >= end || letter.starts_with([MATCH_START, MATCH_END]);
        at += letter.width();
        if is_kept {
            kept.push_str(letter);
        } else if !is_cut {
            is_cut = true;
            kept.push('…');
        }
    }
    kept
}

/// Cuts a text to what is left beside `taken` columns of a line on standard error. Without a terminal, nothing is cut.
pub(in crate::cli) fn cut_beside(taken: usize, text: &str) -> String {
    match width_of(std::io::stderr()) {
        // The last column stays empty: some terminals wrap after it.
        Some(width) => cut(text, width.saturating_sub(taken + 1)),
        None => text.to_owned(),
    }
}

/// Width of standard output in columns; `None` if it is no terminal.
pub(in crate::cli) fn terminal_width() -> Option<usize> {
    width_of(std::io::stdout())
}

/// Width of a terminal in columns; `None` for other streams, or if unknown.
pub(in crate::cli) fn width_of(stream: impl AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;

    const SEARCH: [Column; 5] =
        [name("NAME"), whole("VERSION"), words("TITLE"), words("ORGANIZATION"), copied("IMAGE")];

    fn found(width: usize) -> Table {
        let row = [
            "cloud-mask",
            "1.0.0",
            "Marks clouds and their shadows in optical scenes",
            "Institute of Snow and Ice",
            "registry.example.org/geo/cloud-mask-1.0.0-seed:1.0.0",
        ];
        table_within(Some(width), SEARCH, [row.map(str::to_owned)])
    }

    #[test]
    fn texts_are_cut_first_and_what_is_copied_goes_to_a_line_of_its_own() {
        assert_snapshot!(found(160), @"
        NAME        VERSION  TITLE                                             ORGANIZATION               IMAGE
        cloud-mask  1.0.0    Marks clouds and their shadows in optical scenes  Institute of Snow and Ice  registry.example.org/geo/cloud-mask-1.0.0-seed:1.0.0
        ");
        assert_snapshot!(found(120), @"
        NAME        VERSION  TITLE                   ORGANIZATION           IMAGE
        cloud-mask  1.0.0    Marks clouds and thei…  Institute of Snow an…  registry.example.org/geo/cloud-mask-1.0.0-seed:1.0.0
        ");
        assert_snapshot!(found(80), @"
        NAME        VERSION  TITLE                             ORGANIZATION
          IMAGE
        cloud-mask  1.0.0    Marks clouds and their shadows …  Institute of Snow and Ice
          registry.example.org/geo/cloud-mask-1.0.0-seed:1.0.0
        ");
        assert_snapshot!(found(40), @"
        NAME        VERSION  TITLE
          IMAGE
        cloud-mask  1.0.0    Marks clouds and t…
          registry.example.org/geo/cloud-mask-1.0.0-seed:1.0.0
        ");
    }

    #[test]
    fn what_is_copied_stands_above_where_it_comes_first() {
        let columns = [copied("ID"), words("JOB"), whole("CREATED")];
        let row = ["0199c0de-0000-7000-8000-000000000000", "ice 1.0.0", "2026-03-01 06:14"].map(str::to_owned);
        assert_snapshot!(table_within(Some(50), columns, [row]), @"
        ID
          JOB        CREATED
        0199c0de-0000-7000-8000-000000000000
          ice 1.0.0  2026-03-01 06:14
        ");
    }

    #[test]
    fn names_are_cut_in_the_middle_and_times_never() {
        let columns = [whole("ROW"), whole("STARTED"), name("FOLDER")];
        let folders = ["0001-scene-of-the-north-of-the-land", "0002-scene-of-the-north-of-the-sea"];
        let rows = || folders.map(|folder| ["1", "2026-03-01 06:14", folder].map(str::to_owned));
        assert_snapshot!(table_within(Some(50), columns, rows()), @"
        ROW  STARTED           FOLDER
        1    2026-03-01 06:14  0001-scene-of…h-of-the-land
        1    2026-03-01 06:14  0002-scene-of…th-of-the-sea
        ");
        assert_snapshot!(table_within(Some(20), columns, rows()), @"
        ROW  STARTED           FOLDER
        1    2026-03-01 06:14  0001…and
        1    2026-03-01 06:14  0002…sea
        ");
    }

    #[test]
    fn wide_letters_take_two_columns_and_marks_none() {
        assert_eq!(cut("冰の検出", 8), "冰の検出");
        assert_eq!(cut("冰の検出", 7), "冰の検…");
        assert_eq!(cut("冰の検出", 6), "冰の…");
        assert_eq!(cut_in_the_middle("冰の検出", 6), "冰…出");
        assert_eq!(cut("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(cut("\u{2061}sea ice\u{2062} x", 5), "\u{2061}sea …\u{2062}");
        assert_eq!(cut_in_the_middle("a \u{2061}sea\u{2062} of ice", 7), "a \u{2061}s…\u{2062}ice");
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal_but_what_is_copied(
            cells in prop::collection::vec("[a-z 冰の検ä]{0,60}", 4..16),
            width in 40..200usize,
        ) {
            let columns = [name("NAME"), words("TITLE"), whole("CREATED"), copied("IMAGE")];
            let time = || "2026-03-01 06:14".to_owned();
            let row = |row: &[String]| [row[0].clone(), row[1].clone(), time(), format!("{}!", row[2])];
            let rows: Vec<_> = cells.chunks_exact(3).map(row).collect();
            let table = table_within(Some(width), columns, rows.clone());
            for (shown, row) in table.rows.iter().zip(&rows) {
                prop_assert!(shown.contains(&row[3]) && shown.contains(&row[2]), "{shown}");
                for line in shown.lines().filter(|line| !line.contains(&row[3]) || !shown.contains('\n')) {
                    prop_assert!(line.width() <= width, "{} > {width}: {line}", line.width());
                }
            }
            let piped = table_within(None, columns, rows.clone());
            prop_assert!(piped.rows.iter().zip(&rows).all(|(shown, row)| row.iter().all(|cell| shown.contains(cell.trim_end()))));
        }
    }
}
