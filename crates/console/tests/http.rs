//! The console through HTTP, over a real store.

#[path = "http/actions.rs"]
mod actions;
#[path = "http/browser.rs"]
mod browser;
#[path = "http/downloads.rs"]
mod downloads;
#[path = "http/goodwill.rs"]
mod goodwill;
#[path = "http/identity.rs"]
mod identity;
#[path = "http/imports.rs"]
mod imports;
#[path = "http/many.rs"]
mod many;
#[path = "http/place.rs"]
mod place;
#[path = "http/queries.rs"]
mod queries;
#[path = "http/roles.rs"]
mod roles;
#[path = "http/screens.rs"]
mod screens;
#[path = "http/sessions.rs"]
mod sessions;
#[path = "http/support.rs"]
mod support;
#[path = "http/tails.rs"]
mod tails;
#[path = "http/webhooks.rs"]
mod webhooks;
