//! Becoming a holder: whoever does passes through his claim first, so that limits hold.
//!
//! A claim is one row for a user in a campaign. Its entry names the code before the coupon is
//! written, and counts while the coupon names this user. An entry whose coupon does not have the
//! event yet was begun by somebody who may have died, or may be frozen and go on: whoever meets it
//! finishes it, and where the rules do not let him, sees to it that the other can no more.

use std::collections::{BTreeMap, HashMap};

use coupon::apply::Change;
use coupon::code::Code;
use coupon::coupon::Coupon;
use coupon::ids::{IssueRef, OperationId, UserId};
use coupon::refusal::Refusal;
use coupon::time::Day;
use hot::protocol::{
    self, ClaimEnd, ClaimIntent, Counting, ENTRIES_MAX, Fate, Finish, NamedEntry, claimant, fate,
    finish, issue_of,
};
use scylla::value::CqlDate;
use scylla::{DeserializeValue, SerializeValue};
use uuid::Uuid;

use super::Store;
use super::bounded_join::bounded_join;
use super::campaigns::CampaignHere;
use super::coupons::{Here, Located, Trace, Written};
use super::outcome::Cas;
use super::session::{Result, StatementProfile};
use super::values::{date, day, parsed, signed, uuid as uuid_of};

/// Coupons of one claim that are looked at at a time.
const FATES_AT_ONCE: usize = 32;

/// The type `claim_entry`.
#[derive(Clone, Debug, PartialEq, Eq, SerializeValue, DeserializeValue)]
pub(super) struct EntryValue {
    pub(super) expiry_day: CqlDate,
    pub(super) code: String,
    pub(super) reference: Option<String>,
    /// 0 in an entry that was copied from another store, where it was certain.
    pub(super) sequence: i32,
    pub(super) issue: Option<i32>,
    pub(super) operation: Uuid,
    pub(super) version: i64,
}

impl EntryValue {
    /// The event that this entry is about.
    pub(super) fn intent(&self) -> ClaimIntent {
        ClaimIntent {
            sequence: usize::try_from(self.sequence).unwrap_or(0),
            operation: OperationId(self.operation.as_u128()),
            version: self.version.unsigned_abs(),
        }
    }
}

pub(super) type Claim = protocol::Claim<Here, ClaimSlot>;
pub(super) type NewEntry = protocol::NewEntry<ClaimSlot>;

/// Where the next entry of a claim goes, and the revision of the claim that it is written for.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimSlot {
    revision: Option<i64>,
    /// An entry that came to nothing, or behind all.
    slot: i32,
}

/// What a caller needs to know of a claim.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Need<'a> {
    /// What the request of this name was given: then nothing else is looked at.
    pub(super) name: Option<&'a IssueRef>,
    /// A coupon that does not count.
    pub(super) beside: Option<&'a Code>,
    /// Every coupon, and not only as many as the limit allows.
    pub(super) all: bool,
}

/// What one look at some entries has found.
#[derive(Default)]
struct Seen {
    /// What the request of the name was given.
    named: Option<NamedEntry<Here>>,
    /// The slot of an entry that came to nothing.
    dead: Option<i32>,
    /// Why an entry that was begun can be neither finished nor ended at the moment.
    unfinished: Option<Refusal>,
    /// Entries were finished or ended: the claim is another now.
    changed: bool,
}

/// The entries of one coupon.
struct Group<'a> {
    /// The newest one.
    newest: &'a EntryValue,
    slots: Vec<i32>,
}

/// The entries by their coupons, those with the newest entries first.
fn groups(entries: &BTreeMap<i32, EntryValue>) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut of_code: HashMap<&str, usize> = HashMap::new();
    for (slot, value) in entries.iter().rev().take(ENTRIES_MAX) {
        let at = *of_code.entry(&value.code).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.slots.push(*slot),
            None => groups.push(Group { newest: value, slots: vec![*slot] }),
        }
    }
    groups
}

struct ClaimRow {
    revision: Option<i64>,
    entries: BTreeMap<i32, EntryValue>,
}

impl Store {
    async fn claim_row(
        &self,
        profile: StatementProfile,
        campaign: &CampaignHere,
        user: &UserId,
    ) -> Result<ClaimRow> {
        let cql = "SELECT revision, claimed FROM claim WHERE campaign_id = ? AND user_id = ?";
        let values = (campaign.terms.id.as_str(), user.as_str());
        type Row = (Option<i64>, Option<BTreeMap<i32, EntryValue>>);
        let row: Option<Row> = self.cluster.row(profile, cql, values).await?;
        let (revision, entries) = row.unwrap_or_default();
        Ok(ClaimRow { revision, entries: entries.unwrap_or_default() })
    }

    /// The claim of a user, as far as `need` says. Entries that another request has begun and not
    /// finished are finished first, or ended; only looked at where nothing may be written. A full
    /// claim costs as many reads as its limit, and each coupon that an admin has taken back one more.
    /// Where the name of the request is known, nothing else is read. Fails without the code key of a batch: an entry may name a coupon of it that has no row.
    pub(super) async fn claim(
        &self,
        campaign: &CampaignHere,
        user: &UserId,
        change: &Change,
        need: Need<'_>,
        may_write: bool,
    ) -> Result<(Option<NamedEntry<Here>>, Claim)> {
        self.check_keys_of(campaign)?;
        let limit = campaign.terms.per_user_limit;
        let mut attempts = self.attempts("a user's claim");
        loop {
            let row =
                attempts.looked(self.claim_row(StatementProfile::Read, campaign, user).await)?;
            let enough = limit.filter(|_| !need.all);
            let mut counting = Counting::begin(user, enough, need.beside);
            let seen = self.look_at_entries(&row, user, change, need, may_write, &mut counting);
            let seen = attempts.looked(seen.await)?;
            if seen.changed {
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
            return Ok((seen.named, claim));
        }
    }

    async fn look_at_entries(
        &self,
        row: &ClaimRow,
        user: &UserId,
        change: &Change,
        need: Need<'_>,
        may_write: bool,
        counting: &mut Counting<'_, Here>,
    ) -> Result<Seen> {
        let mut seen = Seen::default();
        let groups = groups(&row.entries);
        // Of one name there may be several: some came to nothing.
        let named = row.entries.iter().filter(|(_, it)| {
            need.name.is_some_and(|name| it.reference.as_deref() == Some(name.as_str()))
        });
        for (slot, value) in named {
            // Alone: what the request was given is all that is asked for.
            let one = [Group { newest: value, slots: vec![*slot] }];
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

    /// The coupons of some entries that have happened, in the same order.
    async fn look_at_groups(
        &self,
        groups: &[Group<'_>],
        row: &ClaimRow,
        user: &UserId,
        change: &Change,
        may_write: bool,
        seen: &mut Seen,
    ) -> Result<Vec<Located>> {
        let traces = groups.iter().map(|group| self.trace_entry(group.newest));
        let traces = bounded_join(FATES_AT_ONCE, traces).await?;
        let coupons = self.resolve(traces).await?;
        let coupons = groups.iter().zip(coupons).map(|(group, it)| self.or_untouched(group, it));
        let coupons: Vec<Option<Located>> = bounded_join(FATES_AT_ONCE, coupons).await?;
        let mut happened = Vec::new();
        for (group, located) in groups.iter().zip(coupons) {
            let mut has_happened = false;
            for slot in &group.slots {
                let value = &row.entries[slot];
                match fate(&value.intent(), located.as_ref(), user, change.operation) {
                    Fate::Happened => has_happened = true,
                    Fate::Dead | Fate::Own => seen.dead = Some(*slot),
                    Fate::Elsewhere => {}
                    Fate::Begun if !may_write => {}
                    Fate::Begun => {
                        let Some(located) = &located else { continue };
                        match self.finish_or_end(user, located, value, change).await? {
                            Finished::Yes => seen.changed = true,
                            Finished::Not(why) => seen.unfinished = Some(why),
                        }
                    }
                }
            }
            happened.extend(located.filter(|_| has_happened));
        }
        Ok(happened)
    }

    pub(super) async fn trace_entry(&self, value: &EntryValue) -> Result<Trace> {
        let code: Code = parsed("claim.code", &value.code)?;
        self.trace(day(value.expiry_day), &code).await
    }

    async fn or_untouched(
        &self,
        group: &Group<'_>,
        coupon: Option<Located>,
    ) -> Result<Option<Located>> {
        match coupon {
            Some(located) => Ok(Some(located)),
            // Minted, and the row is not there: the entry was written before its coupon.
            None => self.untouched_of(&parsed("claim.code", &group.newest.code)?).await,
        }
    }

    /// A minted code that nobody has touched, by the code alone.
    async fn untouched_of(&self, code: &Code) -> Result<Option<Located>> {
        for key in self.keys.current().iter() {
            let Some(minted) = key.open(code) else { continue };
            let run = self.run_with(key.id(), minted.day, minted.serial).await?;
            if let Some((owner, _)) = run {
                return self.untouched_at(code, &owner, minted.day).await;
            }
        }
        Ok(None)
    }

    /// Finishes what was begun for this user by giving him the coupon, or sees to it that whoever
    /// began it cannot finish it any more.
    async fn finish_or_end(
        &self,
        user: &UserId,
        located: &Located,
        begun: &EntryValue,
        change: &Change,
    ) -> Result<Finished> {
        let (intent, bound) = (begun.intent(), self.options.clock_bound_ms);
        let reference = begun.reference.as_deref().map(IssueRef::stored);
        // Conflict or not, the next look says what came of the write.
        match finish(&intent, reference, located, user, change, bound) {
            Finish::Give(after) => {
                self.write_coupon(located, &after, intent.operation).await?;
            }
            Finish::Blocked(why) => return Ok(Finished::Not(why)),
            Finish::Fence(after) => {
                let operation = OperationId(Uuid::now_v7().as_u128());
                self.write_coupon(located, &after, operation).await?;
            }
        }
        Ok(Finished::Yes)
    }

    /// Writes an entry into the claim it was made for, before the coupon is written.
    pub(super) async fn enter_claim(
        &self,
        campaign: &CampaignHere,
        entry: &NewEntry,
        expiry_day: Day,
        coupon: &Coupon,
        intent: ClaimIntent,
    ) -> Result<Written> {
        let value = EntryValue {
            expiry_day: date(expiry_day),
            code: coupon.code().to_string(),
            reference: entry.reference.as_ref().map(|name| name.as_str().to_owned()),
            sequence: i32::try_from(intent.sequence).unwrap_or(i32::MAX),
            issue: issue_of(coupon),
            operation: uuid_of(intent.operation),
            version: signed(intent.version),
        };
        let mut attempts = self.attempts("a user's claim");
        loop {
            let lock =
                attempts.looked(self.write_locks.lock((&campaign.terms.id, &entry.user)).await)?;
            let cql = "UPDATE claim SET revision = ?, claimed[?] = ? \
                       WHERE campaign_id = ? AND user_id = ? IF revision = ?";
            let values = (
                entry.slot.revision.map_or(0, |revision| revision + 1),
                entry.slot.slot,
                &value,
                campaign.terms.id.as_str(),
                entry.user.as_str(),
                entry.slot.revision,
            );
            let cas = self.cluster.change(attempts.profile(), cql, values).await;
            drop(lock);
            let refused = matches!(cas, Ok(Cas::Refused));
            if refused && !attempts.has_unknown_write() {
                return Ok(Written::Conflict);
            }
            if attempts.wrote(cas).await? {
                return Ok(Written::Done);
            }
            let look = self.claim_row(StatementProfile::Serial, campaign, &entry.user).await;
            let row = attempts.looked(look)?;
            if row.entries.get(&entry.slot.slot) == Some(&value) {
                return Ok(Written::Done);
            }
            if row.revision != entry.slot.revision {
                return Ok(Written::Conflict);
            }
        }
    }

    /// One more name for a coupon that the user has.
    pub(super) async fn name_in_claim(
        &self,
        entry: &NewEntry,
        located: &Located,
    ) -> Result<Written> {
        let (campaign, coupon) = (&located.here.campaign, &located.coupon);
        self.enter_claim(campaign, entry, located.day, coupon, ClaimIntent::past(coupon)).await
    }

    /// An entry for the holder of a coupon that comes or came by other ways than an issue: he counts
    /// towards his limit and is not refused by it. One that is there already is left.
    pub(super) async fn claim_for_holder(
        &self,
        campaign: &CampaignHere,
        expiry_day: Day,
        coupon: &Coupon,
        reference: Option<&IssueRef>,
    ) -> Result<()> {
        let Some(user) = claimant(&campaign.terms, coupon) else { return Ok(()) };
        let intent = ClaimIntent::past(coupon);
        let operation = uuid_of(intent.operation);
        let mut attempts = self.attempts("a user's claim");
        loop {
            let row =
                attempts.looked(self.claim_row(StatementProfile::Read, campaign, user).await)?;
            let code = coupon.code().as_str();
            let begun =
                row.entries.iter().find(|(_, it)| it.code == code && it.operation == operation);
            if begun.is_some_and(|(_, it)| it.version == signed(intent.version)) {
                return Ok(());
            }
            let next = row.entries.keys().next_back().map_or(0, |last| last + 1);
            // Begun for a version that was overtaken: now it is for the next one.
            let slot = begun.map_or(next, |(slot, _)| *slot);
            let slot = ClaimSlot { revision: row.revision, slot };
            let entry = NewEntry { user: user.clone(), reference: reference.cloned(), slot };
            let written = self.enter_claim(campaign, &entry, expiry_day, coupon, intent).await?;
            if written == Written::Done {
                return Ok(());
            }
            attempts.again().await?;
        }
    }

    /// Whether a claim has been changed since it was read.
    pub(super) async fn is_changed(
        &self,
        campaign: &CampaignHere,
        user: &UserId,
        claim: &Claim,
    ) -> Result<bool> {
        let row = self.claim_row(StatementProfile::Read, campaign, user).await?;
        Ok(row.revision != claim.slot().revision)
    }

    /// Whether a user's claim names a coupon.
    pub(super) async fn is_claimed(
        &self,
        campaign: &CampaignHere,
        user: &UserId,
        code: &Code,
    ) -> Result<bool> {
        let row = self.claim_row(StatementProfile::Read, campaign, user).await?;
        Ok(row.entries.values().any(|entry| entry.code == code.as_str()))
    }
}

/// What came of finishing an entry that was begun.
enum Finished {
    /// It is finished or ended, which the next look shows.
    Yes,
    /// Neither, as long as this stands in the way.
    Not(Refusal),
}
