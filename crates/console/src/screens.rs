//! One module a screen: read what it shows, and give it to its template.

pub(crate) mod audit;
pub(crate) mod calendar;
pub(crate) mod campaign;
pub(crate) mod campaigns;
pub(crate) mod changes;
pub(crate) mod codes;
pub(crate) mod coupon;
pub(crate) mod customer;
pub(crate) mod erasures;
pub(crate) mod events;
pub(crate) mod identity;
pub(crate) mod import;
pub(crate) mod keys;
pub(crate) mod new_campaign;
pub(crate) mod next_steps;
pub(crate) mod overview;
pub(crate) mod preferences;
pub(crate) mod refused;
pub(crate) mod reports;
pub(crate) mod search;
pub(crate) mod sign_in;
pub(crate) mod sql;
pub(crate) mod staff;
pub(crate) mod store;
pub(crate) mod today;
pub(crate) mod webhooks;
