//! The parts of a front that need no store: the terms of campaigns, instants, and new codes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use loadtest::stock;
use serde::{Serialize, Serializer};

/// Milliseconds of a day.
const DAY: i64 = 86_400_000;

/// How long a campaign lasts: longer than any run.
const LASTS: i64 = 400 * DAY;

/// 2020-01-01: from then on 38 bits of milliseconds last eight years.
const EPOCH: u64 = 1_577_836_800_000;

/// Milliseconds since 1970 UTC, written as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Millis(pub(crate) i64);

impl Millis {
    pub(crate) fn now() -> Millis {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(now.as_millis() as i64)
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let instant =
            jiff::Timestamp::from_millisecond(self.0).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(&instant)
    }
}

/// The fixed terms of a campaign.
#[derive(Clone, Debug)]
pub(crate) struct Campaign {
    pub(crate) campaign_id: String,
    /// The number under which the store knows it.
    pub(crate) number: i64,
    pub(crate) valid_from: Millis,
    pub(crate) expires_at: Millis,
}

impl Campaign {
    /// A campaign that begins now.
    pub(crate) fn new(campaign_id: &str) -> Campaign {
        let now = Millis::now();
        let expires_at = Millis(now.0 + LASTS);
        Campaign { campaign_id: campaign_id.to_owned(), number: 0, valid_from: now, expires_at }
    }

    /// The expiry day of its coupons.
    pub(crate) fn expiry_day(&self) -> i32 {
        (self.expires_at.0 / DAY) as i32
    }
}

/// The campaigns of earlier requests.
#[derive(Default)]
pub(crate) struct Campaigns {
    by_id: RwLock<HashMap<String, Arc<Campaign>>>,
    by_number: RwLock<HashMap<i64, Arc<Campaign>>>,
}

impl Campaigns {
    pub(crate) fn of_id(&self, campaign_id: &str) -> Option<Arc<Campaign>> {
        self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(campaign_id).cloned()
    }

    pub(crate) fn of_number(&self, number: i64) -> Option<Arc<Campaign>> {
        self.by_number.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    pub(crate) fn keep(&self, campaign: Campaign) -> Arc<Campaign> {
        let campaign = Arc::new(campaign);
        let by_number = &mut self.by_number.write().unwrap_or_else(PoisonError::into_inner);
        by_number.insert(campaign.number, Arc::clone(&campaign));
        let by_id = &mut self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        by_id.insert(campaign.campaign_id.clone(), Arc::clone(&campaign));
        campaign
    }
}

/// New codes: each start continues at another position.
pub(crate) struct FreshCodes {
    next: AtomicU64,
}

impl FreshCodes {
    pub(crate) fn new() -> FreshCodes {
        let since = (Millis::now().0 as u64).saturating_sub(EPOCH);
        FreshCodes { next: AtomicU64::new(since << 22) }
    }

    pub(crate) fn next(&self) -> String {
        stock::code(self.next.fetch_add(1, Ordering::Relaxed) & ((1 << 60) - 1))
    }
}
