//! The commands beside `serve`, one module each.

pub(crate) mod token;
