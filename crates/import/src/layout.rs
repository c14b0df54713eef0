//! What the first line of a file says about the others.

use super::columns::KnownColumn;
use super::exports::KnownExport;
use super::states::StateSign;

/// Where a column is, from 0.
pub(super) fn position(columns: &[Option<KnownColumn>], column: KnownColumn) -> Option<usize> {
    columns.iter().position(|it| *it == Some(column))
}

/// What the first line says about the other lines.
#[derive(Debug)]
pub(super) struct FirstLineLayout {
    /// What each cell is; `None` for one that is skipped.
    pub(super) columns: Vec<Option<KnownColumn>>,
    pub(super) states: Vec<(usize, StateSign)>,
    /// The cells of a line that names the columns. Any other is the first row and still has to be parsed.
    pub(super) names: Option<Vec<String>>,
    pub(super) export: Option<&'static KnownExport>,
    /// The fewest cells of a row; the most are the columns.
    pub(super) cells_min: usize,
}
