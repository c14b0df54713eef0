//! The parser of imported files: bytes that arrive in pieces become coupons, and a reason for each line that is none.
//!
//! A [`File`] is a stream of bytes, in constant memory. Its first line says where the columns are
//! ([`record::Header`]), and each other line is a coupon ([`record::Record`]) or has a
//! [`record::RowError`], which rejects that line alone.
//!
//! It is *no* import: it knows no store, no campaign, no caller and no HTTP, and runs on no particular
//! runtime. What becomes of a coupon that was read is for `engine` to decide.
//!
//! ```
//! use import::record::{Defaults, Header};
//!
//! let day = |text: &str| text.parse::<coupon::calendar::Date>();
//! let zone = "Asia/Seoul".parse()?;
//! let valid_from = day("2027-01-01")?.first_instant(&zone);
//! let expires_at = day("2027-12-31")?.end(&zone);
//! let defaults = Defaults { valid_from, expires_at, zone };
//! let header = Header::read("쿠폰번호,만료일", None)?;
//! let record = header.parse("abcd-1234,2027-03-04", &defaults)?;
//! assert_eq!(record.code.to_string(), "ABCD1234");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cells;
pub mod columns;
pub mod encoding;
mod file;
mod first_line;
pub mod lines;
pub mod record;
mod template;

pub use file::{BadFile, Begin, File, FileError};
pub use template::TEMPLATE;

/// Most blank lines before the first line with content: a sheet with an empty top has a few. They
/// are in memory until then.
const BLANK_LINES_MAX: usize = 100;

#[cfg(test)]
mod tests;
