//! Becoming a holder: whoever does passes through his claim first, so that limits hold.
//!
//! A claim is one row for a user in a campaign. Its entry names the code before the coupon is
//! written, and counts while the coupon names this user. An entry whose coupon does not have the
//! event yet was begun by somebody who may have died, or may be frozen and go on: whoever meets it
//! finishes it, and where the rules do not let him, sees to it that the other can no more.

use std::collections::{BTreeMap, HashMap};

use coupon::apply::{Action, Asker, Change, Outcome};
use coupon::campaign::{Handout, PER_USER_LIMIT_MAX};
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind};
use coupon::ids::{IssueRef, OperationId, UserId};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use scylla::value::CqlDate;
use scylla::{DeserializeValue, SerializeValue};
use uuid::Uuid;

use super::Store;
use super::bounded_join::bounded_join;
use super::campaigns::CampaignHere;
use super::coupons::{Located, Trace, Written};
use super::outcome::Cas;
use super::session::{Result, StatementProfile};
use super::values::{date, day, parsed, signed, uuid as uuid_of};
use hot::protocol::{irreplaceable, with_issued_until};

/// Most entries of one user in a campaign that are read, the newest first: ten times the
/// largest limit. An import may bring more; whoever has so many has reached any limit.
const ENTRIES_MAX: usize = 1_000;

/// Coupons of one claim that are looked at at a time.
const FATES_AT_ONCE: usize = 32;

const _: () = assert!(ENTRIES_MAX > PER_USER_LIMIT_MAX as usize);

/// In place of the event of a replaced coupon that a restore knows nothing more of: it was final.
pub(super) const ANY_ISSUE: i32 = -1;

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
    /// Whether the coupon has the event that this entry is about.
    pub(super) fn happened(&self, coupon: &Coupon, user: &UserId) -> bool {
        let Some(at) = usize::try_from(self.sequence).unwrap_or(0).checked_sub(1) else {
            return true;
        };
        let operation = OperationId(self.operation.as_u128());
        coupon.events().get(at).is_some_and(|event| {
            let to_him = match &event.kind {
                EventKind::Issued { to, .. } => to == user,
                EventKind::Redeemed { by, .. } => by.as_ref() == Some(user),
                _ => false,
            };
            to_him && event.operation == operation
        })
    }
}

/// One entry, and its coupon as it is now.
pub(super) struct Entry {
    issue: Option<usize>,
    pub(super) located: Located,
}

impl Entry {
    /// Whether the user still has what this entry is about: not taken back since, nor taken back
    /// and given again.
    pub(super) fn stands(&self, user: &UserId) -> bool {
        let coupon = &self.located.coupon;
        coupon.holder() == Some(user) && coupon.issue_sequence() == self.issue
    }
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

/// Everything a user was given in a campaign, as far as it was looked at: coupons with the newest
/// entries first, each once, however many names there are for it.
pub(super) struct Claim {
    pub(super) campaign: CampaignHere,
    user: UserId,
    revision: Option<i64>,
    /// Where the next entry goes: an entry that came to nothing, or behind all.
    slot: i32,
    /// Whether there are more entries than are looked at.
    overflows: bool,
    /// How many names requests have given.
    pub(super) names: usize,
    /// What the request of this name was given.
    pub(super) said: Option<Entry>,
    /// The coupons that were looked at, newest entry first.
    looked: Vec<Located>,
    /// Indexes in `looked` of coupons that count.
    counted: Vec<usize>,
    /// Why an entry that was begun can be neither finished nor ended at the moment.
    pub(super) refusal: Option<Refusal>,
}

/// An entry to be written.
#[derive(Clone, Debug)]
pub(super) struct NewEntry {
    pub(super) user: UserId,
    revision: Option<i64>,
    slot: i32,
    reference: Option<IssueRef>,
}

/// The event that makes somebody the holder of a coupon.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClaimIntent {
    /// Its number, from 1.
    sequence: usize,
    operation: OperationId,
    /// The version of the coupon in whose place it is written.
    version: u64,
}

impl ClaimIntent {
    /// The next event of `before`, written by the change `operation`.
    pub(super) fn next(before: &Coupon, operation: OperationId) -> ClaimIntent {
        ClaimIntent { sequence: before.events().len() + 1, operation, version: before.version() }
    }

    /// The event by which its present holder has a coupon.
    pub(super) fn past(coupon: &Coupon) -> ClaimIntent {
        let sequence = coupon.issue_sequence().unwrap_or(coupon.events().len());
        let event = sequence.checked_sub(1).and_then(|at| coupon.events().get(at));
        let operation = event.map_or(OperationId(0), |event| event.operation);
        ClaimIntent { sequence, operation, version: coupon.version().saturating_sub(1) }
    }
}

impl Claim {
    /// Whether the user may have no more.
    pub(super) fn is_full(&self) -> bool {
        self.is_full_beside(None)
    }

    /// Whether the user may have no more when the coupon `code` does not count.
    pub(super) fn is_full_beside(&self, code: Option<&Code>) -> bool {
        let counted = self.counted().filter(|held| Some(held.coupon.code()) != code).count();
        self.campaign
            .terms
            .per_user_limit
            .is_some_and(|limit| self.overflows || counted >= usize::from(limit))
    }

    /// The coupons that count, of those that were looked at, oldest first.
    pub(super) fn counted(&self) -> impl DoubleEndedIterator<Item = &Located> {
        self.counted.iter().rev().filter_map(|at| self.looked.get(*at))
    }

    /// The coupons that were looked at, oldest first.
    pub(super) fn looked(&self) -> impl DoubleEndedIterator<Item = &Located> {
        self.looked.iter().rev()
    }

    /// The one coupon of a campaign that gives each user one.
    pub(super) fn only_one(&self) -> Option<&Located> {
        (self.campaign.terms.per_user_limit == Some(1)).then(|| self.counted().next_back())?
    }

    /// Whether one more name for what the user has may be kept at all.
    pub(super) fn has_room(&self) -> bool {
        !self.overflows
    }

    /// The next entry of this claim.
    pub(super) fn entry(&self, reference: Option<IssueRef>) -> NewEntry {
        let (user, revision, slot) = (self.user.clone(), self.revision, self.slot);
        NewEntry { user, revision, slot, reference }
    }
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Its coupon has the event.
    Happened,
    /// It came to nothing and never will: its place may be taken by another.
    Dead,
    /// It was begun by this very change, which goes on with another.
    Own,
    /// Nothing is known of its coupon; an import may be writing it.
    Elsewhere,
    /// It was begun.
    Begun,
}

/// What one look at some entries has found.
#[derive(Default)]
struct Seen {
    looked: Vec<Located>,
    counted: Vec<usize>,
    said: Option<Entry>,
    dead: Option<i32>,
    refusal: Option<Refusal>,
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
    /// Fails without the code key of a batch: an entry may name a coupon of it that has no row.
    pub(super) async fn claim(
        &self,
        campaign: &CampaignHere,
        user: &UserId,
        change: &Change,
        need: Need<'_>,
        may_write: bool,
    ) -> Result<Claim> {
        self.check_keys_of(campaign)?;
        let mut attempts = self.attempts("a user's claim");
        loop {
            let row =
                attempts.looked(self.claim_row(StatementProfile::Read, campaign, user).await)?;
            let seen = self.look_at_entries(campaign, &row, user, change, need, may_write);
            let seen = attempts.looked(seen.await)?;
            if seen.changed {
                attempts.again().await?;
                continue;
            }
            let next = row.entries.keys().next_back().map_or(0, |last| last + 1);
            return Ok(Claim {
                campaign: campaign.clone(),
                user: user.clone(),
                revision: row.revision,
                slot: seen.dead.unwrap_or(next),
                overflows: row.entries.len() >= ENTRIES_MAX,
                names: row.entries.values().filter(|entry| entry.reference.is_some()).count(),
                said: seen.said,
                looked: seen.looked,
                counted: seen.counted,
                refusal: seen.refusal,
            });
        }
    }

    async fn look_at_entries(
        &self,
        campaign: &CampaignHere,
        row: &ClaimRow,
        user: &UserId,
        change: &Change,
        need: Need<'_>,
        may_write: bool,
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
                seen.said = Some(Entry { issue, located });
            }
            if seen.said.is_some() || seen.changed {
                return Ok(seen);
            }
        }
        let limit = campaign.terms.per_user_limit.filter(|_| !need.all).map(usize::from);
        let enough = limit.unwrap_or(usize::MAX);
        let (mut left, mut some, mut found) = (groups.as_slice(), enough.clamp(1, ENTRIES_MAX), 0);
        while !left.is_empty() && found < enough {
            let (these, rest) = left.split_at(some.min(left.len()));
            let looked =
                self.look_at_groups(these, row, user, change, may_write, &mut seen).await?;
            if seen.changed {
                return Ok(seen);
            }
            for located in looked {
                let holds = located.coupon.holder() == Some(user);
                if holds && !self.is_replaced(&located, user, change.at).await? {
                    seen.counted.push(seen.looked.len());
                    found += usize::from(Some(located.coupon.code()) != need.beside);
                }
                seen.looked.push(located);
            }
            // Twice as many each time, so that cold is asked some ten times at most.
            (left, some) = (rest, some * 2);
        }
        Ok(seen)
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
                match fate(value, located.as_ref(), user, change.operation) {
                    Fate::Happened => has_happened = true,
                    Fate::Dead | Fate::Own => seen.dead = Some(*slot),
                    Fate::Elsewhere => {}
                    Fate::Begun if !may_write => {}
                    Fate::Begun => {
                        let Some(located) = &located else { continue };
                        match self.finish_or_end(user, located, value, change).await? {
                            Finished::Yes => seen.changed = true,
                            Finished::Not(why) => seen.refusal = Some(why),
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
        // Under the id that whoever began it would write: it is his change that is finished.
        let operation = OperationId(begun.operation.as_u128());
        let give = Change {
            action: Action::Issue {
                to: user.clone(),
                reference: begun.reference.as_deref().map(IssueRef::stored),
                expires_at: None,
            },
            asker: Asker::Shop,
            actor: change.actor.clone(),
            operation,
            at: change.at,
            if_version: None,
        };
        // Who showed a bearer code and was not answered has not got it.
        if located.campaign.terms.handout != Handout::Bearer {
            let give = with_issued_until(&give, &located.campaign.terms);
            match located.apply(&give, self.options.clock_bound_ms) {
                Outcome::Accepted(after) => {
                    // Overtaken or not, the next look says what came of it.
                    self.write_coupon(located, &after, operation).await?;
                    return Ok(Finished::Yes);
                }
                Outcome::Refused(why @ (Refusal::Paused | Refusal::IssueClosed { .. })) => {
                    return Ok(Finished::Not(why));
                }
                Outcome::Replayed | Outcome::Refused(_) => {}
            }
        }
        self.fence(located, OperationId(Uuid::now_v7().as_u128())).await?;
        Ok(Finished::Yes)
    }

    /// Lets a coupon take its next version as it is, so that no write for the present one is
    /// accepted any more.
    pub(super) async fn fence(&self, located: &Located, operation: OperationId) -> Result<Written> {
        let coupon = &located.coupon;
        let after = Coupon::of(
            coupon.genesis().clone(),
            coupon.events().to_vec(),
            coupon.hold().cloned(),
            coupon.version() + 1,
            coupon.modified_at(),
        );
        self.write_coupon(located, &after, operation).await
    }

    /// Whether the user got another coupon in place of this one, as he has it now: given to him once
    /// more, it counts again.
    async fn is_replaced(&self, located: &Located, user: &UserId, now: Millis) -> Result<bool> {
        let (coupon, terms) = (&located.coupon, &located.campaign.terms);
        if irreplaceable(coupon, terms, user, now).is_some() {
            // Most coupons still work: no look-up.
            return Ok(false);
        }
        let by = self.replacement(coupon.code()).await?;
        Ok(by.is_some_and(|by| {
            let issue = by.issue == issue_of(coupon) || by.issue == Some(ANY_ISSUE);
            by.user == user.as_str() && issue
        }))
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
                entry.revision.map_or(0, |revision| revision + 1),
                entry.slot,
                &value,
                campaign.terms.id.as_str(),
                entry.user.as_str(),
                entry.revision,
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
            if row.entries.get(&entry.slot) == Some(&value) {
                return Ok(Written::Done);
            }
            if row.revision != entry.revision {
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
        let (campaign, coupon) = (&located.campaign, &located.coupon);
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
        let Some(user) = coupon.holder().filter(|_| campaign.terms.per_user_limit.is_some()) else {
            // Without a limit there is nothing to count.
            return Ok(());
        };
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
            let (user, revision) = (user.clone(), row.revision);
            let entry = NewEntry { user, revision, slot, reference: reference.cloned() };
            let written = self.enter_claim(campaign, &entry, expiry_day, coupon, intent).await?;
            if written == Written::Done {
                return Ok(());
            }
            attempts.again().await?;
        }
    }

    /// Whether a claim has been changed since it was read.
    pub(super) async fn is_changed(&self, claim: &Claim) -> Result<bool> {
        let row = self.claim_row(StatementProfile::Read, &claim.campaign, &claim.user).await?;
        Ok(row.revision != claim.revision)
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

fn fate(value: &EntryValue, located: Option<&Located>, user: &UserId, own: OperationId) -> Fate {
    let Some(located) = located else { return Fate::Elsewhere };
    let coupon = &located.coupon;
    if value.happened(coupon, user) {
        Fate::Happened
    } else if coupon.version() > value.version.unsigned_abs() || located.frozen {
        // What was begun was for a version that is over, or nothing changes there any more.
        Fate::Dead
    } else if own == OperationId(value.operation.as_u128()) {
        Fate::Own
    } else {
        Fate::Begun
    }
}

/// What came of finishing an entry that was begun.
enum Finished {
    /// It is finished or ended, which the next look shows.
    Yes,
    /// Neither, as long as this stands in the way.
    Not(Refusal),
}

/// At most 32.
pub(super) fn issue_of(coupon: &Coupon) -> Option<i32> {
    coupon.issue_sequence().and_then(|sequence| i32::try_from(sequence).ok())
}
