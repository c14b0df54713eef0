//! The terms of a campaign that the rules depend on.

use super::Handout;
use crate::refusal::Refusal;
use crate::time::Millis;

/// What [`crate::apply::apply`] needs to know about a coupon's campaign and batch now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    pub handout: Handout,
    /// Whether the campaign or the coupon's batch is paused.
    pub paused: bool,
    /// First instant at which it issues.
    pub issue_from: Option<Millis>,
    /// First instant at which it no longer issues.
    pub issue_until: Option<Millis>,
    /// Days after a redemption in which it can be cancelled; 0 means never.
    pub cancel_days: u16,
    /// Days after expiry in which a coupon can be extended.
    pub extend_days: u16,
    /// How far the clocks of two nodes may differ, in milliseconds; 0 on one machine.
    pub clock_bound_ms: i64,
}

impl Terms {
    /// Whether the campaign lets coupons be issued at `at`.
    ///
    /// # Errors
    /// [`Refusal::Paused`], then [`Refusal::IssueClosed`].
    pub fn issues_at(&self, at: Millis) -> Result<(), Refusal> {
        if self.paused {
            return Err(Refusal::Paused);
        }
        match (self.issue_from, self.issue_until) {
            (Some(from), _) if at < from => Err(Refusal::IssueClosed { opens_at: Some(from) }),
            (_, Some(until)) if at >= until => Err(Refusal::IssueClosed { opens_at: None }),
            _ => Ok(()),
        }
    }
}
