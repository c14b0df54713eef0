//! All cases. [`crate::ARCHIVED`] says where their coupons lie.

mod accounts;
mod attempts;
mod audit;
mod bad_input;
pub(crate) mod contract;
mod cors;
mod counts;
mod events;
mod examples;
mod external;
mod feed;
mod guesser;
mod handout;
mod history;
mod hold;
mod identity;
mod import;
mod lists;
mod names;
mod pages;
mod pause;
mod problems;
mod races;
mod redemptions;
pub(crate) mod service;
mod time;
mod webhooks;
