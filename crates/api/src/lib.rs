//! HTTP and JSON over the engine.
//!
//! A handler extracts, calls the engine and answers; what a status means is in one table
//! ([`problem_code`]), and the document of the interface is generated from the handlers ([`openapi`]).
//! Only this crate knows jsonwebtoken; connections and layers are those of `server`.

mod answer;
mod app;
mod around;
mod benefit_body;
pub mod bodies;
mod closed;
mod cursor;
pub mod docs;
mod extract;
pub mod figures;
mod guesses;
mod handlers;
pub mod history;
mod metrics;
pub mod openapi;
mod operations;
pub mod outbound;
mod pages;
mod paging;
pub mod problem;
pub mod problem_code;
mod reads;
mod receiver;
mod request_log;
mod routes;
mod tags;
pub mod token;
mod tried;
pub mod views;
mod webhook_feed;

pub use app::{AccessPolicy, SIGN_UP_WINDOW_MS, SIGN_UPS_MAX, SignUp};
pub use around::two_hosts;
pub use extract::{BODY_BYTES_MAX, BODY_TIMEOUT};
pub use guesses::{ASKING_MAX, GUESS_WINDOW_MS, GUESSES_HERE_MAX, GUESSES_MAX};
pub use handlers::accounts::USER_TOKEN_TTL_MS;
pub use handlers::imports::IMPORT_IDLE;
pub use handlers::people::person_text;
pub use metrics::StoreMetrics;
pub use operations::{OPERATIONS_BYTES_MAX, OPERATIONS_MAX};
pub use passwords::Passwords;
pub use passwords::throttle::{SIGN_IN_WINDOW_MS, SIGN_INS_MAX, SIGNING_MAX};
pub use receiver::{WebhookRequest, receiver};
pub use routes::{app, app_with, closed_space};
pub use webhook_feed::WebhookFeed;
