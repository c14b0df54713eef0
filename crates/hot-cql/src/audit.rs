//! A cluster as `verify` reads it: [`Audit`] for [`CqlHot`].

mod entries;
mod index_rows;
mod rows;

use std::collections::BTreeMap;

use async_trait::async_trait;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{CampaignId, UserId};
use coupon::time::Day;
use hot::HotError;
use hot::audit::{
    Atomicity, Audit, AuditCampaign, AuditClaim, AuditEntry, AuditPage, AuditPartition, AuditRow,
    CountShift, IndexRow, IndexRowKind, Unreadable,
};
use scylla::response::PagingState;

use crate::bounded_join::bounded_join;
use crate::session::{Result, StatementProfile, damaged};
use crate::values::parsed;
use crate::{CqlHot, Store};
use entries::{ClaimsRow, EntryRow, claim};
use index_rows::RawIndexRow;

/// Rows that are processed at a time.
const AT_ONCE: usize = 128;

macro_rules! entry_columns {
    () => {
        "SELECT code, kind, campaign_id, batch_id, expiry_day, valid_from, expires_at"
    };
}

#[async_trait]
impl Audit for CqlHot {
    fn atomicity(&self) -> Atomicity {
        Atomicity::StepByStep
    }

    async fn audit_files(&self) -> Result<Vec<String>> {
        self.store.stray_partitions().await
    }

    async fn audit_partitions(&self) -> Result<Vec<AuditPartition>> {
        self.store.audit_partitions().await
    }

    async fn audit_rows(&self, day: Day, after: String, limit: usize) -> Result<Vec<AuditRow>> {
        self.store.audit_rows(day, &after, limit).await
    }

    async fn audit_spots(&self, spots: Vec<(Day, Code)>) -> Result<Vec<Vec<AuditRow>>> {
        let looks = spots.iter().map(|(day, code)| self.store.audit_spot(*day, code));
        bounded_join(AT_ONCE, looks).await
    }

    async fn audit_campaigns(&self) -> Result<Vec<AuditCampaign>> {
        self.store.audit_campaigns().await
    }

    async fn audit_entries(
        &self,
        after: Option<String>,
        _limit: usize,
    ) -> Result<AuditPage<AuditEntry>> {
        let cql = concat!(entry_columns!(), " FROM directory");
        let (rows, next) = self.store.audit_page::<EntryRow>(cql, after).await?;
        let items = rows.into_iter().filter_map(EntryRow::entry).collect();
        Ok(AuditPage { items, unreadable: Vec::new(), next })
    }

    async fn audit_entries_of(&self, codes: Vec<Code>) -> Result<Vec<Option<AuditEntry>>> {
        let cql = concat!(entry_columns!(), " FROM directory WHERE code = ?");
        let looks = codes.iter().map(|code| async move {
            let row: Option<EntryRow> =
                self.store.session.row(StatementProfile::Read, cql, (code.as_str(),)).await?;
            Ok::<_, HotError>(row.and_then(EntryRow::entry))
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn audit_claims(
        &self,
        after: Option<String>,
        _limit: usize,
    ) -> Result<AuditPage<AuditClaim>> {
        let cql = "SELECT campaign_id, user_id, claimed FROM claim";
        let (rows, next) = self.store.audit_page::<ClaimsRow>(cql, after).await?;
        let (mut items, mut unreadable) = (Vec::new(), Vec::new());
        for row in rows {
            let about = format!("the claim of {} on {}", row.user_id, row.campaign_id);
            let of_row = || -> Result<(CampaignId, UserId)> {
                Ok((parsed("campaign_id", &row.campaign_id)?, parsed("user_id", &row.user_id)?))
            };
            let values = row.claimed.iter().flat_map(BTreeMap::values);
            let claims = match of_row() {
                Ok((campaign, user)) => {
                    values.map(|value| claim(&campaign, &user, value)).collect()
                }
                Err(error) => vec![Err(error)],
            };
            for claim in claims {
                match claim {
                    Ok(claim) => items.push(claim),
                    Err(error) => {
                        let why = error.to_string();
                        unreadable.push(Unreadable { about: about.clone(), why });
                    }
                }
            }
        }
        Ok(AuditPage { items, unreadable, next })
    }

    async fn audit_claimed(&self, asked: Vec<(CampaignId, UserId, Code)>) -> Result<Vec<bool>> {
        let cql = "SELECT campaign_id, user_id, claimed FROM claim \
                   WHERE campaign_id = ? AND user_id = ?";
        let looks = asked.iter().map(|(campaign, user, code)| async move {
            let values = (campaign.as_str(), user.as_str());
            let row: Option<ClaimsRow> =
                self.store.session.row(StatementProfile::Read, cql, values).await?;
            let claimed = row.and_then(|row| row.claimed).unwrap_or_default();
            Ok::<_, HotError>(claimed.values().any(|entry| entry.code == code.as_str()))
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn audit_index_rows(
        &self,
        kind: IndexRowKind,
        after: Option<String>,
        _limit: usize,
    ) -> Result<AuditPage<IndexRow>> {
        let cql = match kind {
            IndexRowKind::Wallet => {
                "SELECT user_id, expires_at, tie, code, expiry_day, \
                 WRITETIME(expiry_day) AS written FROM wallet"
            }
            IndexRowKind::Expiring => {
                "SELECT campaign_id AS user_id, expires_at, tie, code, expiry_day, \
                 WRITETIME(expiry_day) AS written FROM expiring"
            }
        };
        let (rows, next) = self.store.audit_page::<RawIndexRow>(cql, after).await?;
        let index_rows = rows.into_iter().filter_map(|row| row.index_row(kind).transpose());
        Ok(AuditPage { items: index_rows.collect::<Result<_>>()?, unreadable: Vec::new(), next })
    }

    async fn audit_unindexed(&self, coupons: Vec<(Day, Coupon)>) -> Result<Vec<Vec<IndexRowKind>>> {
        let looks = coupons.iter().map(|(_, coupon)| async move {
            let mut missing = Vec::new();
            if !self.store.has_wallet(coupon).await? {
                missing.push(IndexRowKind::Wallet);
            }
            if !self.store.has_expiring(coupon).await? {
                missing.push(IndexRowKind::Expiring);
            }
            Ok::<_, HotError>(missing)
        });
        bounded_join(AT_ONCE, looks).await
    }

    async fn mend_index_rows(&self, day: Day, coupon: Coupon) -> Result<()> {
        if let Some(holder) = coupon.holder() {
            self.store.write_wallet(holder, &coupon, day).await?;
        }
        self.store.write_expiring(coupon.genesis().campaign.as_str(), &coupon, day).await
    }

    async fn remove_index_rows(&self, index_rows: Vec<IndexRow>) -> Result<()> {
        bounded_join(
            AT_ONCE,
            index_rows.iter().map(|index_row| self.store.remove_old_index_row(index_row)),
        )
        .await
        .map(drop)
    }

    /// Changes nothing: each process writes its own sums, so a sum that another process corrects
    /// would be wrong again after the next write.
    async fn mend_counts(&self, _shifts: Vec<(CountShift, [i64; 3])>) -> Result<u64> {
        Ok(0)
    }
}

impl Store {
    /// A page of a scan of a whole table; the engine's paging state is the position.
    async fn audit_page<R>(
        &self,
        cql: &'static str,
        after: Option<String>,
    ) -> Result<(Vec<R>, Option<String>)>
    where
        R: for<'f> scylla::deserialize::row::DeserializeRow<'f, 'f>,
    {
        let from = match after {
            None => PagingState::start(),
            Some(text) => PagingState::new_from_raw_bytes(bytes_of(&text)?),
        };
        let (rows, next) = self.session.page(cql, (), from).await?;
        let next = next.and_then(|state| state.as_bytes_slice().map(|bytes| text_of(bytes)));
        Ok((rows, next))
    }
}

fn text_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(text: &str) -> Result<Vec<u8>> {
    let pairs = (0..text.len() / 2).map(|at| text.get(2 * at..2 * at + 2).unwrap_or_default());
    pairs.map(|pair| u8::from_str_radix(pair, 16).map_err(damaged)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_back() {
        for bytes in [&[] as &[u8], &[0, 1, 0xff], b"state"] {
            assert_eq!(bytes_of(&text_of(bytes)).ok().as_deref(), Some(bytes));
        }
        assert!(bytes_of("zz").is_err());
    }
}
