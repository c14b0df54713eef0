//! The parser of imported files: bytes that arrive in pieces become coupons, and a reason for each record that is none.
//!
//! | name | what it is |
//! |---|---|
//! | [`File`] | a stream of bytes as records, in constant memory: CSV as RFC 4180 says, or a workbook of Excel |
//! | [`FileFormat`] | what the caller says about the file |
//! | [`FileBeginning`] | how the file begins: where its columns are |
//! | [`record::FileHeader`] | reads the other records as a [`record::ImportRecord`], or a [`record::RowError`] that rejects that record alone |
//! | [`ColumnReader`] | one column of a file, such as its codes, for commands that do one thing with each cell |
//!
//! It is *no* import: it knows no store, no campaign, no caller and no HTTP, and runs on any runtime. What
//! becomes of a coupon that was read is for `engine` to decide.
//!
//! ```
//! use import::FileFormat;
//! use import::record::{FileHeader, RecordDefaults};
//!
//! let day = |text: &str| text.parse::<coupon::calendar::Date>();
//! let zone = "Asia/Seoul".parse()?;
//! let valid_from = day("2027-01-01")?.first_instant(&zone);
//! let expires_at = day("2027-12-31")?.end(&zone);
//! let defaults = RecordDefaults { valid_from, expires_at, zone, currency: None };
//! let header = FileHeader::read("쿠폰번호,만료일", &FileFormat::default())?;
//! let record = header.parse("abcd-1234,2027. 3. 4.", &defaults)?;
//! assert_eq!(record.code.to_string(), "ABCD1234");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One column of a file, wherever its header says that it is:
//!
//! ```
//! # async fn cells(stream: impl futures::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Unpin) -> Result<(), import::FileError> {
//! let mut codes = import::ColumnReader::open(stream, import::columns::KnownColumn::Code).await?;
//! while let Some(code) = codes.next().await {
//!     let import::ColumnCell { line, text } = code?;
//!     println!("line {line}: {text:?}");
//! }
//! # Ok(())
//! # }
//! ```

mod bad_file;
mod cells;
mod column_reader;
pub mod columns;
pub mod dates;
pub mod encoding;
pub mod exports;
mod file;
mod first_line;
mod format;
mod layout;
pub mod lines;
mod quotes;
pub mod record;
mod row_error;
pub mod states;
mod template;
pub mod workbook;

pub use bad_file::BadFile;
pub use cells::record_cells;
pub use column_reader::{ColumnCell, ColumnReader};
pub use file::{File, FileBeginning, FileError, REJECT_HEADER};
pub use first_line::{said_separator, separators};
pub use format::{FileFormat, IgnoredColumns};
pub use template::TEMPLATE;

#[cfg(test)]
mod file_tests;
