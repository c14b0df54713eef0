//! SQL over real stores: SQLite, the cold tier in a folder, and the compactor between them.

#[path = "sql/once.rs"]
mod once;
#[path = "sql/world.rs"]
mod world;
