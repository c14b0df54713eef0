//! Reading a claim: which coupons count, and finishing or ending what others began.

use std::collections::{BTreeMap, HashMap};

use coupon::apply::Change;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{IssueRef, OperationId, UserId};
use coupon::refusal::Refusal;
use hot::bounded_join;
use hot::protocol::{ClaimEnd, Counting, ENTRIES_MAX, Fate, Finish, NamedEntry, fate, finish};
use uuid::Uuid;

use super::{ClaimNeed, ClaimSlot, ReadClaim};
use crate::CqlStore;
use crate::campaigns::CampaignHere;
use crate::coupons::{CqlCoupon, CqlPlace, Written};
use crate::values::{day, parsed};
use cql_session::claim_rows::{ClaimRow, EntryValue};
use cql_session::{Result, StatementProfile};

const FATES_AT_ONCE: usize = 32;

#[derive(Default)]
struct ClaimScan {
    named: Option<NamedEntry<CqlPlace>>,
    /// The slot of an entry that came to nothing.
    dead: Option<i32>,
    /// Why an entry that was begun can be neither finished nor ended now.
    unfinished: Option<Refusal>,
    /// Entries were finished or ended: the claim has changed.
    changed: bool,
}

struct CouponEntries<'a> {
    newest: &'a EntryValue,
    slots: Vec<i32>,
}

/// The entries by their coupons, those with the newest entries first.
fn groups(entries: &BTreeMap<i32, EntryValue>) -> Vec<CouponEntries<'_>> {
    let mut groups: Vec<CouponEntries<'_>> = Vec::new();
    let mut of_code: HashMap<&str, usize> = HashMap::new();
    for (slot, value) in entries.iter().rev().take(ENTRIES_MAX) {
        let at = *of_code.entry(&value.code).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.slots.push(*slot),
            None => groups.push(CouponEntries { newest: value, slots: vec![*slot] }),
        }
    }
    groups
}

impl CqlStore {
    /// Finishes or ends entries that another request has begun, if `may_write`. A full claim costs
    /// as many reads as its limit, and one more for each coupon that an admin has taken back. If
    /// the name of the request is known, nothing else is read. Fails without the code key of a
    /// batch: an entry may name a coupon of it that has no row.
    pub(crate) async fn claim(
        &self,
        campaign: &CampaignHere,
        user: &UserId,
        change: &Change,
        need: ClaimNeed<'_>,
        may_write: bool,
    ) -> Result<ReadClaim> {
        self.check_keys_of(campaign)?;
        let limit = campaign.terms.per_user_limit;
        let mut attempts = self.attempts("a user's claim");
        loop {
            let row = attempts.looked(
                self.session.claim_row(StatementProfile::Read, &campaign.terms.id, user).await,
            )?;
            let enough = limit.filter(|_| !need.all);
            let mut counting = Counting::begin(user, enough, need.beside);
            let seen = self.look_at_entries(&row, user, change, need, may_write, &mut counting);
            let seen = attempts.looked(seen.await)?;
            if seen.changed {
                // An entry of this very request may have been finished.
                attempts.has_begun();
                attempts.again().await?;
                continue;
            }
            let next = row.entries.keys().next_back().map_or(0, |last| last + 1);
            let claim = counting.end(ClaimEnd {
                limit,
                slot: ClaimSlot { revision: row.revision, slot: seen.dead.unwrap_or(next) },
                overflows: row.entries.len() >= ENTRIES_MAX,
                names: row.entries.values().filter(|entry| entry.reference.is_some()).count(),
                unfinished: seen.unfinished,
            });
            return Ok(ReadClaim { named: seen.named, claim, choices: row.choices()? });
        }
    }

    async fn look_at_entries(
        &self,
        row: &ClaimRow,
        user: &UserId,
        change: &Change,
        need: ClaimNeed<'_>,
        may_write: bool,
        counting: &mut Counting<'_, CqlPlace>,
    ) -> Result<ClaimScan> {
        let mut seen = ClaimScan::default();
        let groups = groups(&row.entries);
        // A name may have several entries: some came to nothing.
        let named = row.entries.iter().filter(|(_, it)| {
            need.name.is_some_and(|name| it.reference.as_deref() == Some(name.as_str()))
        });
        for (slot, value) in named {
            // Nothing else is read: the caller asks only what the request was given.
            let one = [CouponEntries { newest: value, slots: vec![*slot] }];
            let found = self.look_at_groups(&one, row, user, change, may_write, &mut seen);
            if let Some(located) = found.await?.pop() {
                let issue = value.issue.and_then(|issue| usize::try_from(issue).ok());
                seen.named = Some(NamedEntry { issue, located });
            }
            if seen.named.is_some() || seen.changed {
                return Ok(seen);
            }
        }
        let mut left = groups.as_slice();
        loop {
            let (these, rest) = left.split_at(counting.next(left.len()));
            if these.is_empty() {
                return Ok(seen);
            }
            let looked =
                self.look_at_groups(these, row, user, change, may_write, &mut seen).await?;
            if seen.changed {
                return Ok(seen);
            }
            for located in looked {
                let is_theirs = located.coupon.holder() == Some(user);
                let by = match is_theirs && counting.may_be_replaced(&located, change.at) {
                    true => self.replacement(located.coupon.code()).await?,
                    false => None,
                };
                counting.take(located, by.as_ref().map(|it| &it.by));
            }
            left = rest;
        }
    }

    /// The coupons of those entries that have happened, in the same order.
    async fn look_at_groups(
        &self,
        groups: &[CouponEntries<'_>],
        row: &ClaimRow,
        user: &UserId,
        change: &Change,
        may_write: bool,
        seen: &mut ClaimScan,
    ) -> Result<Vec<CqlCoupon>> {
        let traces = groups.iter().map(|group| async move {
            let code: Code = parsed("claim.code", &group.newest.code)?;
            self.trace(day(group.newest.expiry_day).into(), &code).await
        });
        let traces = bounded_join(FATES_AT_ONCE, traces).await?;
        let coupons = self.resolve(traces).await?;
        let coupons = groups.iter().zip(coupons).map(|(group, found)| async move {
            if found.is_some() {
                return Ok(found);
            }
            // A minted code without a row where its entry names it: the entry was written first. It may have a row
            // where its code is, from which an issue has not moved it yet.
            let code: Code = parsed("claim.code", &group.newest.code)?;
            self.anywhere(&code).await
        });
        let coupons: Vec<Option<CqlCoupon>> = bounded_join(FATES_AT_ONCE, coupons).await?;
        let mut happened = Vec::new();
        for (group, located) in groups.iter().zip(coupons) {
            let mut has_happened = false;
            for slot in &group.slots {
                let value = &row.entries[slot];
                match fate(&value.intent(), located.as_ref(), user, change.operation) {
                    Fate::Happened => has_happened = true,
                    Fate::Dead | Fate::Own => seen.dead = Some(*slot),
                    // Its slot stays taken: an import may still write the row.
                    Fate::Elsewhere => {}
                    Fate::Begun if !may_write => {}
                    Fate::Begun => {
                        let Some(located) = &located else { continue };
                        match self.finish_or_end(user, located, value, change).await? {
                            None => seen.changed = true,
                            why => seen.unfinished = why,
                        }
                    }
                }
            }
            happened.extend(located.filter(|_| has_happened));
        }
        Ok(happened)
    }

    /// Finishes what was begun for this user by giving them the coupon, or makes sure that the
    /// process that began it cannot finish it any more. Returns why the rules refuse both.
    async fn finish_or_end(
        &self,
        user: &UserId,
        located: &CqlCoupon,
        begun: &EntryValue,
        change: &Change,
    ) -> Result<Option<Refusal>> {
        let (intent, bound) = (begun.intent(), self.options.clock_bound_ms);
        let reference = begun.reference.as_deref().map(IssueRef::stored);
        // The next read shows the outcome of the write, conflict or not.
        match finish(&intent, reference, located, user, change, bound) {
            Finish::Give(after) => {
                let actor = Some(&change.actor);
                self.write_coupon(located, &after, intent.operation, actor).await?;
            }
            Finish::Blocked(why) => return Ok(Some(why)),
            Finish::Fence(after) => {
                self.fence(located, &after).await?;
            }
        }
        Ok(None)
    }

    /// Gives a coupon its next version without a change: a write for the present one that another
    /// process has begun can no longer be applied.
    pub(crate) async fn fence(&self, located: &CqlCoupon, after: &Coupon) -> Result<Written> {
        let operation = OperationId(Uuid::now_v7().as_u128());
        self.write_coupon(located, after, operation, None).await
    }
}
