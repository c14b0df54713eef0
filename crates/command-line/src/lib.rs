//! What a command line reads and shows: spans of time, secrets, tables, numbers, progress, and text of others, which a
//! terminal must not obey.
//!
//! It is *no* command: it knows no coupon, no setting, no exit code and no output.
//!
//! ```
//! use command_line::{LAYOUT, milliseconds, printable, thousands};
//!
//! assert_eq!(milliseconds("15m"), Ok(900_000));
//! assert_eq!(thousands(1_200_000), "1,200,000");
//! assert_eq!(printable("red: \u{1b}[31m", LAYOUT), "red: \\u001b[31m");
//! ```

mod cursors;
mod printable;
mod progress;
mod secret;
mod span;
mod table;

pub use cursors::{CursorCycleDetector, EndlessPages};
pub use printable::{LAYOUT, printable};
pub use progress::{CommandProgress, WorkKind};
pub use secret::SecretText;
pub use span::{RepeatInterval, milliseconds};
pub use table::{CellAlignment, cell_text, table, thousands};
