//! The result of a round of notices: its counts, its sentence, its exit code.

use webhooks::Announced;

use super::notice::Notice;
use crate::failure::{CliError, Ended};
use crate::output::thousands;

/// Notices that did not reach everybody and are shown; the others are counted.
const SHOWN_MAX: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoticeCounts {
    /// Issued coupons that were read.
    pub(super) looked_at: u64,
    /// Notices that were sent, and the coupons in them.
    pub(super) sent: u64,
    pub(super) coupons: u64,
    /// Notices for which a webhook had no room: it does not get them.
    pub(super) failed: u64,
    /// The reasons for the first of them.
    pub(super) shown: Vec<String>,
}

impl NoticeCounts {
    pub(super) fn add_sent(&mut self, notice: &Notice) {
        self.sent += 1;
        self.coupons += notice.coupons.len() as u64;
    }

    /// Nobody gets it if the last webhook that asked for notices was deleted within the round.
    pub(super) fn add_announced(
        &mut self,
        notice: &Notice,
        Announced { endpoints, full }: Announced,
    ) {
        if endpoints > 0 {
            self.add_sent(notice);
        }
        if full == 0 {
            return;
        }
        self.failed += 1;
        if self.shown.len() < SHOWN_MAX {
            let Notice { notice_id, user_id, .. } = notice;
            let why = "webhooks have too many deliveries that wait";
            self.shown.push(format!("{notice_id} for {user_id}: {full} {why}"));
        }
    }

    pub(super) fn summary(&self, dry_run: bool) -> String {
        let [sent, coupons, failed] = [self.sent, self.coupons, self.failed].map(thousands);
        match dry_run {
            true => format!("would send {sent} notices about {coupons} coupons"),
            false => format!("sent {sent} notices about {coupons} coupons; failed {failed}"),
        }
    }

    /// # Errors
    /// Nothing arrived.
    pub(super) fn ended(&self) -> Result<Ended, CliError> {
        match (self.failed, self.sent) {
            (0, _) => Ok(Ended::Done),
            (_, 0) => Err(CliError::new("the webhooks have no room: run it again later")),
            (_, _) => Ok(Ended::Partly),
        }
    }
}
