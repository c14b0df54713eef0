//! The service through its front door: every promise of the interface, asked for over HTTP.

#[path = "http/accounts.rs"]
mod accounts;
#[path = "http/bad_input.rs"]
mod bad_input;
#[path = "http/contract.rs"]
mod contract;
#[path = "http/guesser.rs"]
mod guesser;
#[path = "http/handout.rs"]
mod handout;
#[path = "http/history.rs"]
mod history;
#[path = "http/hold.rs"]
mod hold;
#[path = "http/identity.rs"]
mod identity;
#[path = "http/import.rs"]
mod import;
#[path = "http/lists.rs"]
mod lists;
#[path = "http/names.rs"]
mod names;
#[path = "http/outside.rs"]
mod outside;
#[path = "http/pages.rs"]
mod pages;
#[path = "http/pause.rs"]
mod pause;
#[path = "http/problems.rs"]
mod problems;
#[path = "http/races.rs"]
mod races;
#[path = "http/service.rs"]
mod service;
#[path = "http/time.rs"]
mod time;
