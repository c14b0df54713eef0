//! Reads the audit: who changed what besides coupons.

use coupon::ids::CampaignId;
use hot::audit::Audited;
use rusqlite::params;

use crate::txn::Txn;
use crate::txn::audit::{entry, select_audit};

pub(crate) fn page(
    txn: &Txn<'_>,
    campaign: Option<&CampaignId>,
    after: Option<&str>,
    limit: usize,
) -> rusqlite::Result<Vec<Audited>> {
    // No place that this store has given is anything else. It may come from another store.
    let before = after.map_or(i64::MAX, |after| after.parse().unwrap_or(0));
    match campaign {
        Some(id) => txn.all(
            select_audit!("WHERE campaign_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3"),
            params![id.as_str(), before, limit as i64],
            entry,
        ),
        None => txn.all(
            select_audit!("WHERE number < ?1 ORDER BY number DESC LIMIT ?2"),
            params![before, limit as i64],
            entry,
        ),
    }
}
