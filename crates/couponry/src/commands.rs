//! All commands but `serve`, one module each.

pub(crate) mod backup;
pub(crate) mod campaign;
pub(crate) mod compact;
pub(crate) mod config;
pub(crate) mod console;
pub(crate) mod copy;
pub(crate) mod coupon;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod healthcheck;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod notify;
pub(crate) mod openapi;
pub(crate) mod person;
pub(crate) mod restore;
pub(crate) mod schema;
pub(crate) mod shell;
pub(crate) mod token;
pub(crate) mod verify;
pub(crate) mod webhook;
