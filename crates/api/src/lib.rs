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
mod guesses;
mod handlers;
pub mod history;
pub mod jwks;
mod metrics;
pub mod openapi;
mod pace;
mod pages;
pub mod password;
mod patient;
pub mod peer;
pub mod problem;
pub mod throttle;
pub mod token;
mod turns;
pub mod views;

pub use app::{Access, App, BadSignUp, SignUp, app, app_with};
pub use extract::{BODY_BYTES_MAX, BODY_TIMEOUT};
pub use guesses::{ASKING_MAX, GUESS_WINDOW_MS, GUESSES_HERE_MAX, GUESSES_MAX};
pub use handlers::accounts::{
    SIGN_IN_WINDOW_MS, SIGN_INS_MAX, SIGN_UP_WINDOW_MS, SIGN_UPS_MAX, SIGNING_MAX,
    USER_TOKEN_TTL_MS,
};
pub use handlers::batches::IMPORT_IDLE;
pub use metrics::show_clock;
