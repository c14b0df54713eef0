//! HTTP and JSON over the engine.
//!
//! A handler extracts, calls the engine and answers; what a status means is in one table
//! ([`problem`]), and the document of the interface is generated from the handlers ([`openapi`]).
//! This is the only crate that knows axum and jsonwebtoken.

pub mod accept;
mod app;
pub mod bodies;
mod cursor;
pub mod docs;
mod extract;
mod handlers;
pub mod history;
pub mod jwks;
mod metrics;
pub mod openapi;
mod pages;
pub mod password;
pub mod problem;
pub mod throttle;
pub mod token;
pub mod views;

pub use app::{ASKING_MAX, App, GUESS_WINDOW_MS, GUESSES_MAX, app};
pub use extract::{BODY_BYTES_MAX, BODY_TIMEOUT};
pub use handlers::accounts::{SIGN_IN_WINDOW_MS, SIGN_INS_MAX, USER_TOKEN_TTL_MS};
pub use handlers::batches::IMPORT_IDLE;
pub use metrics::show_clock;
