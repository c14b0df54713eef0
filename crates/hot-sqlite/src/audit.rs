//! The audit: who changed what besides coupons.

use async_trait::async_trait;
use coupon::ids::CampaignId;
use hot::audit::{Audit, AuditEntry, Audited};
use rusqlite::params;

use crate::txn::Txn;
use crate::txn::audit::{entry, select_audit};
use crate::{Result, SqliteHot};

#[async_trait]
impl Audit for SqliteHot {
    async fn record(&self, entry: AuditEntry) -> Result<()> {
        self.writer.run(move |txn| txn.audit(&entry.act, &entry.event)).await
    }

    async fn audit(
        &self,
        campaign: Option<CampaignId>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Audited>> {
        // No place that this store has given is anything else. It may come from another store.
        let before = after.map_or(i64::MAX, |after| after.parse().unwrap_or(0));
        let page = move |txn: &Txn<'_>| match campaign {
            Some(id) => txn.all(
                select_audit!(
                    "WHERE campaign_id = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3"
                ),
                params![id.as_str(), before, limit as i64],
                entry,
            ),
            None => txn.all(
                select_audit!("WHERE number < ?1 ORDER BY number DESC LIMIT ?2"),
                params![before, limit as i64],
                entry,
            ),
        };
        self.readers.run(page).await
    }
}
