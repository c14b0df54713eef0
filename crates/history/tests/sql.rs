//! SQL over real stores: SQLite, the cold tier in a folder, and the compactor between them.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

#[path = "sql/errors.rs"]
mod errors;
#[path = "sql/formats.rs"]
mod formats;
#[path = "sql/limits.rs"]
mod limits;
#[path = "sql/once.rs"]
mod once;
#[path = "sql/pruning.rs"]
mod pruning;
#[path = "sql/tables.rs"]
mod tables;
#[path = "sql/world.rs"]
mod world;
