//! The binary: its forms, its exit codes, and its service.

#![expect(clippy::unwrap_used, reason = "a case panics when it fails")]

#[path = "binary/bucket.rs"]
mod bucket;
#[path = "binary/command.rs"]
mod command;
#[path = "binary/data.rs"]
mod data;
#[path = "binary/service.rs"]
mod service;
#[path = "sql/world.rs"]
#[expect(dead_code, reason = "shared with the tests of the library, which use all of it")]
mod world;
