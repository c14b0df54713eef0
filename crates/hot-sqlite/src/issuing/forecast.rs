//! Whether the next issue of a campaign is likely to need no write: the campaign is sold out, or its users
//! ask again.
//!
//! Such an issue is answered by a read, beside others, also while nothing can be written. Any other would
//! be planned twice, by a read and by the writer.

use std::sync::atomic::{AtomicBool, Ordering};

use coupon::apply::Outcome;
use coupon::ids::CampaignId;
use hot::Applied;
use xxhash_rust::xxh3::xxh3_64;

use crate::Result;

/// Campaigns that share one guess cost each other at most a read.
const GUESSES: usize = 256;

pub(crate) struct IssueForecast([AtomicBool; GUESSES]);

impl Default for IssueForecast {
    fn default() -> IssueForecast {
        IssueForecast(std::array::from_fn(|_| AtomicBool::new(false)))
    }
}

impl IssueForecast {
    /// Whether the last issue that the writer was asked for wrote nothing, or failed.
    pub(crate) fn needs_no_write(&self, campaign: &CampaignId) -> bool {
        self.guess(campaign).load(Ordering::Relaxed)
    }

    /// Notes how an issue ended that the writer was asked for.
    pub(crate) fn note(&self, campaign: &CampaignId, ended: &Result<Applied>) {
        let wrote = matches!(ended, Ok(Applied { outcome: Outcome::Accepted(_), .. }));
        self.guess(campaign).store(!wrote, Ordering::Relaxed);
    }

    fn guess(&self, campaign: &CampaignId) -> &AtomicBool {
        let hash = xxh3_64(campaign.as_str().as_bytes());
        &self.0[hash as usize % GUESSES]
    }
}
