//! Rows in columns, as all tables of the commands are written.
//!
//! Not here: what stands in them (`ctl/table`, `check`, `explain`).

/// Spaces between two columns.
pub const GAP: usize = 2;

/// Rows in columns, those of `right` flush right; the first `skipped` rows only make the columns wide.
#[must_use]
pub fn columns<const N: usize>(rows: &[[String; N]], right: &[usize], skipped: usize) -> String {
    let widths = widths(rows);
    let mut out = String::new();
    for row in rows.iter().skip(skipped) {
        let cells = row.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, width))| match right.contains(&column) {
            true => format!("{cell:>width$}"),
            false => format!("{cell:width$}"),
        });
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// How wide each column is.
#[must_use]
pub fn widths<const N: usize>(rows: &[[String; N]]) -> [usize; N] {
    std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    })
}
