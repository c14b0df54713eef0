//! Limits for callers who have no token yet: how often they sign in, and how many accounts they
//! make.

use passwords::throttle::{SIGN_IN_WINDOW_MS, SIGN_INS_MAX, Throttle};

/// Accounts that one peer may make within [`SIGN_UP_WINDOW_MS`]. A household makes three, an
/// office or a phone network behind one address some dozens.
pub const SIGN_UPS_MAX: u32 = 30;

pub const SIGN_UP_WINDOW_MS: i64 = 10 * 60 * 1_000;

#[derive(Debug)]
pub(crate) struct SignInLimits {
    /// Wrong passwords, by peer and login.
    pub(crate) wrong: Throttle,
    /// Accounts made, by peer.
    pub(crate) sign_ups: Throttle,
}

impl SignInLimits {
    pub(crate) fn new(keys_max: usize) -> SignInLimits {
        SignInLimits {
            wrong: Throttle::new(SIGN_INS_MAX, SIGN_IN_WINDOW_MS, keys_max),
            sign_ups: Throttle::new(SIGN_UPS_MAX, SIGN_UP_WINDOW_MS, keys_max),
        }
    }
}
