//! Whether a change that was announced has happened: the coupon says it.
//!
//! A coupon that still has the version before the change says nothing: the writer may be frozen, and its
//! update may be under way. Then the reader *ends* that version: the coupon takes the next one as it is,
//! and nothing can come of the row any more.

use std::collections::BTreeMap;

use coupon::code::Code;
use coupon::ids::OperationId;
use coupon::time::Day;
use hot::protocol::fenced;
use hot::{HotError, Tier, bounded_join};
use scylla::DeserializeRow;

use super::bounds::PassedSlots;
use crate::CqlStore;
use crate::coupons::{CouponTrace, CqlCoupon, Written};
use crate::values::{EventValue, date, signed};
use cql_session::announcement::{MADE, MadeValue, place_of};
use cql_session::coupon_values::changed_events;
use cql_session::feed_changes::{AnnouncedChange, AnnouncedCoupon};
use cql_session::{Result, StatementProfile};

const AT_ONCE: usize = 32;

/// The change that ends a version: always this one, so that it does not matter which reader did it.
const ENDS: OperationId = OperationId(u128::from_be_bytes(*b"feed:version-end"));

/// Slots behind an event in which an earlier one of its coupon may be, if the coupon does not say where:
/// twice the clock bound is five slots, and one more if the earlier one was late in its slot.
const LOOK_AHEAD: i64 = 6;

#[derive(Debug, DeserializeRow)]
struct SeenRow {
    version: Option<i64>,
    state: Option<String>,
    sealed: Option<bool>,
    events: Option<BTreeMap<i32, EventValue>>,
    made: Option<BTreeMap<i32, MadeValue>>,
}

impl SeenRow {
    fn is_archived(&self) -> bool {
        self.state.as_deref() == Some("archived")
    }
}

/// The row of a coupon, and the coupon if the row does not say it.
pub(super) struct CouponLook {
    row: Option<SeenRow>,
    trace: Option<CouponTrace>,
    stored: Option<CqlCoupon>,
}

struct SeenCoupon {
    day: Day,
    version: u64,
    /// Nothing changes it any more.
    is_final: bool,
    /// By number.
    events: BTreeMap<i32, EventValue>,
    made: BTreeMap<i32, MadeValue>,
}

impl SeenCoupon {
    fn of_coupon(day: Day, located: CqlCoupon) -> SeenCoupon {
        SeenCoupon {
            day,
            version: located.coupon.version(),
            is_final: located.frozen,
            events: changed_events(&located.coupon, None),
            made: BTreeMap::new(),
        }
    }

    /// The write that made a version; `None` if the coupon does not say.
    fn made(&self, version: u64) -> Option<&MadeValue> {
        self.made.get(&place_of(version)).filter(|made| made.version == signed(version))
    }

    /// Whether the history has the event of a change, and before it the one that the same write made: a change behind
    /// a shared code has two, and a try that was refused may have had another one in either place. A hold has none.
    fn has_event(&self, change: &AnnouncedCoupon) -> bool {
        let steps = i32::try_from(change.version - change.before).unwrap_or(1);
        let kind = change.event_type().strip_prefix("coupon.").unwrap_or_default();
        let is_same = |number: i32| {
            self.events.get(&number).is_some_and(|event| {
                event.operation == change.operation
                    && event.is_at_and_by(change.at, &change.actor)
                    && (number < change.number || event.kind() == kind)
            })
        };
        (change.number + 1 - steps..=change.number).all(is_same)
    }

    /// The slots in which the changes just before this one are, if readers may not have met them before its slot, and
    /// the writes that made those. `None` if the coupon does not say them.
    fn earlier(
        &self,
        change: &AnnouncedCoupon,
        passed: &PassedSlots,
    ) -> (Vec<i64>, Option<Vec<uuid::Uuid>>) {
        let (mut slots, mut attempts) = (Vec::new(), Vec::new());
        for version in (1..=change.before).rev().take(MADE as usize) {
            match self.made(version).map(|made| (made.slot, made.attempt)) {
                Some((Some(slot), attempt)) if slot > change.slot || passed.may_have(slot) => {
                    slots.push(slot);
                    attempts.push(attempt);
                }
                // It came before this slot, and so did those before it.
                Some((Some(_), _)) if passed.slots.is_empty() => break,
                Some(_) => {}
                None => {
                    let ahead = change.slot + 1..=change.slot + LOOK_AHEAD;
                    return (ahead.chain(passed.slots.iter().copied()).collect(), None);
                }
            }
        }
        slots.sort_unstable();
        slots.dedup();
        (slots, Some(attempts))
    }
}

impl CqlStore {
    /// Those of some changes of one coupon, all of one slot and in their order, that have happened. Before
    /// each there are earlier ones whose place in the feed is behind it. `look`: at the coupon of the first, after the
    /// rows were read.
    pub(super) async fn settled(
        &self,
        shard: i32,
        changes: Vec<AnnouncedCoupon>,
        look: Option<CouponLook>,
        passed: &PassedSlots,
    ) -> Result<Vec<AnnouncedCoupon>> {
        let (mut all, mut last): (Vec<AnnouncedCoupon>, Option<SeenCoupon>) = (Vec::new(), None);
        if let (Some(look), Some(first)) = (look, changes.first()) {
            last = self.seen_in(StatementProfile::Read, first, look).await?;
        }
        for mut change in changes {
            // A coupon that is behind a version is so for each row that replaces it.
            let known = last.take().filter(|seen| seen.day == change.day);
            let Some(seen) = self.seen_behind(&change, known).await? else { continue };
            let seen = last.insert(seen);
            if !self.has_happened(shard, seen, &change).await? {
                continue;
            }
            // A write that was too late for its slot has a row there, too.
            let made = seen.made(change.version);
            change.is_repeat = made.is_some_and(|made| made.slot != Some(change.own_slot));
            for earlier in self.earlier_changes(shard, seen, &change, passed).await? {
                if all.iter().all(|it| it.place() != earlier.place()) {
                    all.push(earlier);
                }
            }
            if all.iter().all(|it| it.place() != change.place()) {
                all.push(change);
            }
        }
        all.sort_by_key(AnnouncedCoupon::place);
        Ok(all)
    }

    /// The changes of a coupon before `change` that come behind it in the feed: the clocks of their
    /// writers were ahead, or readers have passed them unread.
    async fn earlier_changes(
        &self,
        shard: i32,
        seen: &SeenCoupon,
        change: &AnnouncedCoupon,
        passed: &PassedSlots,
    ) -> Result<Vec<AnnouncedCoupon>> {
        let (slots, attempts) = seen.earlier(change, passed);
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for it in self.session.changes_of(shard, &slots, &change.code).await? {
            if it.version <= change.before
                && match &attempts {
                    Some(attempts) => attempts.contains(&it.attempt),
                    None => self.has_happened(shard, seen, &it).await?,
                }
            {
                found.push(it);
            }
        }
        found.sort_by_key(AnnouncedCoupon::place);
        Ok(found)
    }

    /// Whether a change of a version that is gone has happened.
    async fn has_happened(
        &self,
        shard: i32,
        seen: &SeenCoupon,
        change: &AnnouncedCoupon,
    ) -> Result<bool> {
        if change.version > seen.version {
            return Ok(false);
        }
        if let Some(made) = seen.made(change.version) {
            return Ok(made.attempt == change.attempt);
        }
        // The history has it of one of its tries. Those that were refused said so before that one was written: a read
        // behind the history shows it.
        Ok(seen.has_event(change) && !self.session.was_refused(shard, change).await?)
    }

    /// The coupon, in a version behind the one that `change` replaces; `None` if nothing has come of the
    /// change, and never will. `known` was read after the row of the change.
    async fn seen_behind(
        &self,
        change: &AnnouncedCoupon,
        mut known: Option<SeenCoupon>,
    ) -> Result<Option<SeenCoupon>> {
        let mut attempts = self.attempts("a change in the feed");
        let mut was_final = false;
        loop {
            let seen = match known.take() {
                None => attempts.looked(self.seen(StatementProfile::Read, change).await)?,
                seen => seen,
            };
            let Some(seen) = seen else { return Ok(None) };
            if seen.version > change.before {
                return Ok(Some(seen));
            }
            if seen.version < change.before || was_final {
                return Ok(None);
            }
            if seen.is_final {
                // The row may be older than the seal: it is read again, behind the seal.
                was_final = true;
                continue;
            }
            // The update may be accepted by some nodes: a read through Paxos finishes it or ends it.
            let seen = attempts.looked(self.seen(StatementProfile::Serial, change).await)?;
            let Some(seen) = seen else { return Ok(None) };
            if seen.version == change.before && !seen.is_final {
                if attempts.looked(self.end_version(change).await)? {
                    return Ok(None);
                }
                // The next read shows the outcome.
                attempts.again().await?;
            }
        }
    }

    /// Ends the version that a change replaces, if the coupon still has it; whether that was done.
    async fn end_version(&self, change: &AnnouncedCoupon) -> Result<bool> {
        let (code, day) = (&change.code, change.day);
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(false) };
        let located = match self.row_of(StatementProfile::Read, day, bucket, code).await? {
            Some(row) if row.is_coupon() => Some(self.located(&row).await?),
            Some(_) => None,
            None => self.untouched_at(code, &change.owner, day.into()).await?,
        };
        let is_there = |it: &CqlCoupon| it.coupon.version() == change.before && !it.frozen;
        let Some(located) = located.filter(is_there) else { return Ok(false) };
        match self.write_coupon(&located, &fenced(&located.coupon), ENDS, None).await {
            Ok(written) => Ok(written == Written::Done),
            // Not an error: the next read shows whether the version was ended.
            Err(HotError::Unknown(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The coupon of the first change of each group, read now. Cold is asked once for all coupons of a day.
    pub(super) async fn looks(
        &self,
        groups: &[Result<Vec<AnnouncedChange>>],
    ) -> Result<Vec<Result<Option<CouponLook>>>> {
        let looks = groups.iter().map(|group| async move {
            let first = group.iter().flatten().find_map(AnnouncedChange::of_coupon);
            let Some(change) = first else { return Ok(Ok(None)) };
            Ok(self.look(StatementProfile::Read, change).await)
        });
        let mut looks: Vec<Result<Option<CouponLook>>> = bounded_join(AT_ONCE, looks).await?;
        let found = looks.iter_mut().filter(|look| matches!(look, Ok(Some(_))));
        let (found, traces): (Vec<_>, Vec<_>) = found
            .map(|look| {
                let trace =
                    look.as_mut().ok().and_then(Option::as_mut).and_then(|it| it.trace.take());
                (look, trace.unwrap_or(CouponTrace::Nothing))
            })
            .unzip();
        for (look, stored) in found.into_iter().zip(self.resolve_each(traces).await?) {
            match (look.as_mut(), stored) {
                (Ok(Some(look)), Ok(stored)) => look.stored = stored,
                (_, Ok(_)) => {}
                (_, Err(error)) => *look = Err(error),
            }
        }
        Ok(looks)
    }

    /// The coupon of a change, in the partition that the change names: a row that forwards it has its
    /// history until then.
    async fn seen(
        &self,
        profile: StatementProfile,
        change: &AnnouncedCoupon,
    ) -> Result<Option<SeenCoupon>> {
        let Some(mut look) = self.look(profile, change).await? else { return Ok(None) };
        if let Some(trace) = look.trace.take() {
            look.stored = self.resolve(vec![trace]).await?.pop().flatten();
        }
        self.seen_in(profile, change, look).await
    }

    /// `None` if there is no such partition.
    async fn look(
        &self,
        profile: StatementProfile,
        change: &AnnouncedCoupon,
    ) -> Result<Option<CouponLook>> {
        let (code, day) = (&change.code, change.day);
        let Some(bucket) = self.bucket(day, code).await? else { return Ok(None) };
        let row = self.seen_row(profile, day, bucket, code).await?;
        let trace = match row.as_ref().is_none_or(SeenRow::is_archived) {
            true => Some(self.trace(day.into(), code).await?),
            false => None,
        };
        Ok(Some(CouponLook { row, trace, stored: None }))
    }

    async fn seen_row(
        &self,
        profile: StatementProfile,
        day: Day,
        bucket: i32,
        code: &Code,
    ) -> Result<Option<SeenRow>> {
        let cql = "SELECT version, state, sealed, events, made FROM coupon \
                   WHERE expiry_day = ? AND bucket = ? AND code = ?";
        self.session.row_with(profile, cql, (date(day), bucket, code.as_str())).await
    }

    async fn seen_in(
        &self,
        profile: StatementProfile,
        change: &AnnouncedCoupon,
        CouponLook { mut row, stored, .. }: CouponLook,
    ) -> Result<Option<SeenCoupon>> {
        let (code, day) = (&change.code, change.day);
        // It was written between the two reads, or its partition is gone and it is in a later one: only its row says by
        // which writes.
        if row.is_none()
            && let Some(it) = stored.as_ref().filter(|it| it.tier == Tier::Hot)
        {
            row = self.seen_row(profile, it.day, it.here.bucket, code).await?;
        }
        match row {
            Some(row) if !row.is_archived() => Ok(Some(SeenCoupon {
                day,
                version: row.version.unwrap_or(0).unsigned_abs(),
                is_final: row.sealed == Some(true),
                events: row.events.unwrap_or_default(),
                made: row.made.unwrap_or_default(),
            })),
            // A coupon that was archived is not untouched.
            None if stored.is_none() && change.before == 0 => {
                let found = self.untouched_at(code, &change.owner, day.into()).await?;
                Ok(found.map(|found| SeenCoupon::of_coupon(day, found)))
            }
            Some(_) | None => Ok(stored.map(|stored| SeenCoupon::of_coupon(day, stored))),
        }
    }
}
