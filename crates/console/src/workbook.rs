//! Workbooks of lines, which spreadsheets open: each cell is a text, so that nothing in it is run.

use rust_xlsxwriter::{Workbook, XlsxError};
use tokio::sync::mpsc::Receiver;

/// Most rows of a sheet, below the one that names the column.
pub(crate) const ROWS_MAX: usize = 1_048_575;

/// Width of the column, in characters: that of a code with a prefix.
const WIDTH: u16 = 32;

/// A workbook of the lines that come, below the name of their column, and what is the same `beside` each of them. Waits for
/// them on this thread. Rows go to a temporary file and not into memory; the bytes are compressed, some 10 of a code.
///
/// # Errors
/// The disk for temporary files; more than [`ROWS_MAX`] lines.
pub(crate) fn written(
    column: &str,
    beside: &[(&str, String)],
    mut lines: Receiver<String>,
) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    // Says so if there is no such folder: a sheet by itself would panic.
    workbook.set_tempdir(std::env::temp_dir())?;
    let sheet = workbook.add_worksheet_with_constant_memory();
    sheet.set_column_width(0, WIDTH)?;
    sheet.write_string(0, 0, column)?;
    for (at, (column, _)) in (1..).zip(beside) {
        sheet.write_string(0, at, *column)?;
    }
    let mut row = 0;
    while let Some(piece) = lines.blocking_recv() {
        for line in piece.lines() {
            row += 1;
            sheet.write_string(row, 0, line)?;
            for (at, (_, text)) in (1..).zip(beside) {
                sheet.write_string(row, at, text)?;
            }
        }
    }
    workbook.save_to_buffer()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;

    #[test]
    fn rows_of_a_sheet() {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        let last = u32::try_from(ROWS_MAX).unwrap();
        assert!(sheet.write_string(last, 0, "the last code").is_ok());
        assert!(sheet.write_string(last + 1, 0, "one too many").is_err());
    }

    #[test]
    fn pieces_of_lines() {
        let (sender, receiver) = channel(2);
        for piece in ["A-1\nA-2\n", "A-3\n"] {
            sender.try_send(piece.to_owned()).unwrap();
        }
        drop(sender);
        let book = written("code", &[], receiver).unwrap();
        assert!(book.starts_with(b"PK"), "an archive");
        let (_, nothing) = channel(1);
        assert!(written("code", &[], nothing).unwrap().len() < book.len());
    }
}
