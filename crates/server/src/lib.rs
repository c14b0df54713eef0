//! What a service over HTTP needs and any other one would need, too: it knows no coupon.

pub mod accept;
pub mod compress;
pub mod cors;
pub mod pace;
pub mod patient;
pub mod peer;
pub mod request_rate;
pub mod route;
pub mod spaces;
pub mod traces;
