//! One function a route: extract, call the engine, answer. No handler imports another one.

pub(crate) mod accounts;
pub(crate) mod admin;
pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod batches;
pub(crate) mod campaigns;
pub(crate) mod codes;
pub(crate) mod counts;
pub(crate) mod coupons;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod imports;
pub(crate) mod lists;
pub(crate) mod orders;
pub(crate) mod people;
pub(crate) mod redemptions;
pub(crate) mod scrape;
pub(crate) mod webhooks;
