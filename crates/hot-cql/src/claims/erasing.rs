//! Moving a claim to the erased name of its user.

use std::collections::BTreeMap;

use coupon::erasure::Erasure;
use coupon::ids::{CampaignId, IssueRef};
use hot::bounded_join;

use crate::CqlStore;
use crate::values::parsed;
use cql_session::claim_rows::EntryValue;
use cql_session::{Result, StatementProfile};

const AT_ONCE: usize = 16;

impl CqlStore {
    /// Erases the person from a claim, and from the coupons to which it leads.
    pub(crate) async fn erase_claim(&self, id: &CampaignId, erasure: &Erasure) -> Result<()> {
        let mut attempts = self.attempts("the claim of a person who is erased");
        loop {
            // Through Paxos: an entry that some nodes have accepted is there now, or never.
            let row = self.session.claim_row(StatementProfile::Serial, id, &erasure.user).await;
            let row = attempts.looked(row)?;
            let Some(revision) = row.revision else { return Ok(()) };
            // After the claim: it may be that of the next person of the name.
            if !attempts.looked(self.session.erasing_now().await)?.has(erasure) {
                return Ok(());
            }
            let mut begun: BTreeMap<&str, u64> = BTreeMap::new();
            for value in row.entries.values() {
                let version = begun.entry(&value.code).or_default();
                *version = (*version).max(value.version.unsigned_abs());
            }
            // Before the claim is moved: it leads to them.
            let coupons = begun.into_iter().map(|(code, version)| async move {
                self.erase_coupon(&parsed("claim.code", code)?, erasure, version).await
            });
            bounded_join(AT_ONCE, coupons).await?;
            // Before the delete: an earlier try may have written them, too. Its choices end: no order of the person goes on.
            let (written, key) = (self.session.write_time(), (id, &erasure.name));
            let moved = self.session.claim_row(StatementProfile::Read, id, &erasure.name).await;
            let entries = entries_behind(attempts.looked(moved)?.entries, row.entries, erasure);
            let moves = entries.iter().map(|(slot, value)| async move {
                self.session.put_claim_entry(key, (*slot, value), written).await
            });
            bounded_join(AT_ONCE, moves).await?;
            let cql = "DELETE FROM claim WHERE campaign_id = ? AND user_id = ? IF revision = ?";
            let values = (id.as_str(), erasure.user.as_str(), revision);
            let cas = self.session.change(attempts.profile(), cql, values).await;
            if attempts.wrote(cas).await? {
                return Ok(());
            }
        }
    }
}

/// Entries with the erased name, each in the slot that it has already or in one of its own. What was moved before may be of
/// a claim that was deleted since: a write that was late has begun another one, with the same slots.
fn entries_behind(
    mut moved: BTreeMap<i32, EntryValue>,
    entries: BTreeMap<i32, EntryValue>,
    erasure: &Erasure,
) -> Vec<(i32, EntryValue)> {
    let behind = entries.into_values().map(|entry| {
        let reference = entry.reference.as_deref().map(IssueRef::stored);
        let reference = reference.map(|it| erasure.of_issue_ref(&it).as_str().to_owned());
        let is_it = |it: &EntryValue| it.code == entry.code && it.operation == entry.operation;
        let begun = moved.iter().find(|(_, it)| is_it(it)).map(|(slot, _)| *slot);
        // The first that is free, so that two processes choose the same.
        let slot = begun.or_else(|| (0..).find(|slot| !moved.contains_key(slot))).unwrap_or(0);
        let entry = EntryValue { reference, ..entry };
        moved.insert(slot, entry.clone());
        (slot, entry)
    });
    behind.collect()
}
