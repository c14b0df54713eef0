//! A change is written: what goes before the truth, the one conditional write, and what follows it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use coupon::apply::Outcome;
use coupon::code::Code;
use coupon::coupon::{Coupon, Genesis};
use coupon::ids::{OperationId, UserId};
use coupon::time::Day;
use router::bucket;
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use uuid::Uuid;

use super::{Decision, Located, Written};
use crate::Store;
use crate::campaigns::CampaignHere;
use crate::outcome::Cas;
use crate::resolving::Resolutions;
use crate::session::{Result, StatementProfile};
use crate::values::{CouponRow, EventValue, HoldValue, date, events_behind, instant, signed, uuid};
use hot::protocol::{ClaimIntent, Writes, is_stock, partition_after};
use hot::{Applied, HotError};

impl Store {
    /// Writes what was decided, if there is anything to write: the claim first, then the coupon.
    /// The answer; `None` where somebody else was faster, and it has to be decided anew.
    pub(crate) async fn carry_out(
        &self,
        decision: Decision,
        operation: OperationId,
    ) -> Result<Option<Applied>> {
        let Decision { applied, writes } = decision;
        let (Some(Writes { before, entry }), Outcome::Accepted(after)) = (writes, &applied.outcome)
        else {
            return Ok(Some(applied));
        };
        let Some(entry) = entry else {
            let written = self.write_coupon(&before, after, operation).await?;
            return Ok((written == Written::Done).then_some(applied));
        };
        let day = partition_after(before.day, after);
        let intent = ClaimIntent::next(&before.coupon, operation);
        let entered = self.enter_claim(&before.here.campaign, &entry, day, after, intent);
        if entered.await? == Written::Conflict {
            return Ok(None);
        }
        let written = self.write_coupon(&before, after, operation).await.map_err(begun)?;
        match written {
            Written::Done => Ok(Some(applied)),
            Written::Conflict => {
                self.finished_by_another(&before, after, operation).await.map_err(begun)
            }
        }
    }

    /// The answer to a request whose entry in a claim somebody else has finished, under its id: it
    /// has happened as it is written there, whatever has happened since.
    async fn finished_by_another(
        &self,
        before: &Located,
        after: &Coupon,
        operation: OperationId,
    ) -> Result<Option<Applied>> {
        if after.version() != before.coupon.version() + 1 {
            // Issued and redeemed, or issued and held, in one write: others finish the issue alone.
            return Ok(None);
        }
        let known = before.coupon.events().len();
        let Some(now) = self.stored(before.day, after.code()).await? else { return Ok(None) };
        let events = now.coupon.events();
        let Some(event) = events.get(known).filter(|event| event.operation == operation) else {
            return Ok(None);
        };
        let done = Coupon::of(
            after.genesis().clone(),
            events[..=known].to_vec(),
            after.hold().cloned(),
            after.version(),
            event.at,
        );
        Ok(Some(Decision::accepted(before.clone(), Box::new(done), None).applied))
    }

    /// Writes `after` in place of `before`, if that is still what stands there.
    pub(crate) async fn write_coupon(
        &self,
        before: &Located,
        after: &Coupon,
        operation: OperationId,
    ) -> Result<Written> {
        let day = partition_after(before.day, after);
        let moves = day != before.day;
        if moves {
            let entered = self.enter(day, before.terms(), Some(before.day)).await?;
            if entered.is_err() {
                // The next look at the plan says so.
                return Ok(Written::Conflict);
            }
        }
        let returned = self.write_index_rows(before, after, day).await?;
        if self.write_row(before, after, operation, day).await? == Written::Conflict {
            self.row_cache.forget(after.code());
            return Ok(Written::Conflict);
        }
        let id = &before.terms().id;
        self.counts.count_change(id, before.coupon.state(), after.state());
        let mut now = Located { coupon: after.clone(), day, ..before.clone() };
        if moves {
            // The old row says so already: whoever meets it finishes this.
            now.here.bucket =
                self.arrive(after, &before.here.campaign, day).await.map_err(begun)?;
        }
        if let Some(part) = returned {
            self.came_back(&now, part);
        }
        self.is_closed(&now);
        self.row_cache.put(&now);
        Ok(Written::Done)
    }

    /// What is written before the truth: who may hold it, when it may expire, and that it may be
    /// handed out again, in which partition of `returned`. A crash leaves one of these too many, never
    /// one too few.
    async fn write_index_rows(
        &self,
        before: &Located,
        after: &Coupon,
        day: Day,
    ) -> Result<Option<i32>> {
        let is_new = before.coupon.version() == 0 || day != before.day;
        let expires = is_new || before.coupon.expires_at() != after.expires_at();
        let holder =
            after.holder().filter(|holder| expires || before.coupon.holder() != Some(holder));
        let id = before.terms().id.as_str();
        let wallet = async {
            match holder {
                Some(holder) => self.write_wallet(holder, after, day).await,
                None => Ok(()),
            }
        };
        let expiring = async {
            match expires {
                true => self.write_expiring(id, after, day).await,
                false => Ok(()),
            }
        };
        let back = async {
            match is_stock(before.terms(), after) {
                true => self.enter_returned(&before.terms().id, after).await.map(Some),
                false => Ok(None),
            }
        };
        let (wallet, expiring, back) = tokio::join!(wallet, expiring, back);
        wallet.and(expiring).and(back)
    }

    /// The one conditional write, resolved: whether it stands, or what it was for is over.
    async fn write_row(
        &self,
        before: &Located,
        after: &Coupon,
        operation: OperationId,
        day: Day,
    ) -> Result<Written> {
        let (version, code) = (before.coupon.version(), after.code());
        let forward_to = (day != before.day).then_some(day);
        let mut attempts = self.attempts("a change of a coupon");
        loop {
            let lock =
                attempts.looked(self.write_locks.lock((before.day, before.here.bucket)).await)?;
            let cas = match version {
                0 => {
                    self.put_row(
                        attempts.profile(),
                        after,
                        before.day,
                        before.here.bucket,
                        operation,
                        forward_to,
                    )
                    .await
                }
                _ => {
                    self.update_row(attempts.profile(), before, after, operation, forward_to).await
                }
            };
            drop(lock);
            match attempts.looked(cas)? {
                Cas::Applied => return Ok(Written::Done),
                Cas::Refused if !attempts.has_unknown_write() => return Ok(Written::Conflict),
                Cas::Refused => {}
                Cas::NotSent(why) => {
                    let not_sent = Ok(Cas::NotSent(why));
                    attempts.wrote(not_sent).await?;
                }
                unknown @ Cas::Unknown(_) => {
                    attempts.wrote(Ok(unknown)).await?;
                }
            }
            // Whoever reads through Paxos finishes or buries what was begun.
            let seen = match self
                .row_of(StatementProfile::Serial, before.day, before.here.bucket, code)
                .await
            {
                Ok(seen) => seen,
                Err(HotError::Unavailable(_)) => {
                    attempts.again().await?;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match resolved(seen.as_ref(), operation, &before.coupon, after) {
                Resolution::Applied => {
                    Resolutions::count(&self.resolved.applied);
                    return Ok(Written::Done);
                }
                Resolution::Refused => {
                    Resolutions::count(&self.resolved.refused);
                    return Ok(Written::Conflict);
                }
                Resolution::Hidden => {
                    let why = "a later change has written over where it could be seen";
                    return Err(HotError::Unknown(why.into()));
                }
                // A frozen node may still apply it: the same again, for the same version, so that
                // one of the two is refused.
                Resolution::Open => attempts.again().await?,
            }
        }
    }

    /// The row of a coupon that has none in this bucket.
    pub(crate) async fn put_row(
        &self,
        profile: StatementProfile,
        coupon: &Coupon,
        day: Day,
        bucket: i32,
        operation: OperationId,
        forward_to: Option<Day>,
    ) -> Result<Cas> {
        let cql = "UPDATE coupon SET version = ?, state = ?, holder = ?, expires_at = ?, hold = ?, \
                   events = events + ?, operation = ?, modified_at = ?, forward_to = ?, \
                   campaign_id = ?, batch_id = ?, valid_from = ?, made_expires_at = ?, \
                   created_at = ? WHERE expiry_day = ? AND bucket = ? AND code = ? \
                   IF version = null AND sealed = null";
        let values = NewRow {
            change: ChangedColumns::of(coupon, None, operation, forward_to),
            genesis: GenesisColumns::of(coupon.genesis()),
            key: CouponKeyColumns::of(day, bucket, coupon.code()),
        };
        self.cluster.change(profile, cql, values).await
    }

    async fn update_row(
        &self,
        profile: StatementProfile,
        before: &Located,
        after: &Coupon,
        operation: OperationId,
        forward_to: Option<Day>,
    ) -> Result<Cas> {
        let cql = "UPDATE coupon SET version = ?, state = ?, holder = ?, expires_at = ?, hold = ?, \
                   events = events + ?, operation = ?, modified_at = ?, forward_to = ? \
                   WHERE expiry_day = ? AND bucket = ? AND code = ? \
                   IF version = :before AND sealed = null";
        let values = LaterRow {
            change: ChangedColumns::of(after, Some(&before.coupon), operation, forward_to),
            key: CouponKeyColumns::of(before.day, before.here.bucket, after.code()),
            before: signed(before.coupon.version()),
        };
        self.cluster.change(profile, cql, values).await
    }

    /// Sees to it that a coupon which was moved is there where it was moved to: its row, then its
    /// entry in the directory. Whoever meets a forwarding row does this first.
    pub(crate) async fn finish_move(&self, row: &CouponRow, to: Day) -> Result<()> {
        let (campaign, batch) = (row.campaign_id()?, row.batch_id()?);
        let found = self.batch_of(&campaign, &batch).await?;
        let (campaign, _) =
            found.ok_or_else(|| HotError::Damaged(format!("{campaign}/{batch} is gone")))?;
        let coupon = row.coupon(&campaign)?;
        self.arrive(&coupon, &campaign, to).await.map(drop)
    }

    /// Puts a moved coupon in its later partition, if it is not there; its bucket.
    async fn arrive(&self, coupon: &Coupon, campaign: &CampaignHere, to: Day) -> Result<i32> {
        let code = coupon.code();
        let bits = self.bits(to).await?;
        let bits =
            bits.ok_or_else(|| HotError::Damaged(format!("no plan for {code}'s partition")))?;
        let bucket = bucket(code, bits).cast_signed();
        let mut attempts = self.attempts("a coupon on its way to a later partition");
        loop {
            let _lock = attempts.looked(self.write_locks.lock((to, bucket)).await)?;
            let there =
                attempts.looked(self.row_of(StatementProfile::Read, to, bucket, code).await)?;
            // In a sealed partition without a row: it came, and has been moved on to cold.
            if there.is_some() || attempts.looked(self.is_sealed(to, bucket).await)? {
                break;
            }
            // The same from whoever finishes the move: it is the coupon that says who moved it.
            let operation = coupon.events().last().map_or(OperationId(0), |event| event.operation);
            let profile = attempts.profile();
            let put = self.put_row(profile, coupon, to, bucket, operation, None).await;
            attempts.wrote(put).await?;
        }
        self.point_to(code, campaign, coupon, to).await?;
        Ok(bucket)
    }

    /// The directory says from now on that the coupon lies in `to`, unless it names a later
    /// partition.
    async fn point_to(
        &self,
        code: &Code,
        campaign: &CampaignHere,
        coupon: &Coupon,
        to: Day,
    ) -> Result<()> {
        let mut attempts = self.attempts("the directory entry of a moved coupon");
        loop {
            let present = attempts.looked(self.directory_day(code).await)?;
            if present.is_some_and(|present| present >= to) {
                return Ok(());
            }
            let cql = "UPDATE directory SET kind = 'coupon', campaign_id = ?, batch_id = ?, \
                       expiry_day = ? WHERE code = ? IF expiry_day = ?";
            let values = (
                campaign.terms.id.as_str(),
                coupon.genesis().batch.as_str(),
                date(to),
                code.as_str(),
                present.map(date),
            );
            if attempts.wrote(self.cluster.change(attempts.profile(), cql, values).await).await? {
                return Ok(());
            }
        }
    }
}

/// What a look at the row says of a write whose outcome nobody told us.
#[derive(Debug, PartialEq, Eq)]
enum Resolution {
    Applied,
    Refused,
    /// It has not happened, and may happen yet.
    Open,
    /// Later changes have written over the only place where it could be seen.
    Hidden,
}

/// Once it has been begun, others may finish it.
fn begun(error: HotError) -> HotError {
    match error {
        HotError::Unavailable(why) => HotError::Unknown(why),
        other => other,
    }
}

/// What the row `seen` says of the write of `after` in place of `before`.
fn resolved(
    seen: Option<&CouponRow>,
    operation: OperationId,
    before: &Coupon,
    after: &Coupon,
) -> Resolution {
    let Some(row) = seen else { return Resolution::Open };
    if row.version() == before.version() {
        return Resolution::Open;
    }
    let leaves_an_event = after.events().len() > before.events().len();
    let holds = after.hold().is_some_and(|hold| hold.operation == operation);
    // Its last event, not any that has its id: whoever finishes an entry in a claim issues under it.
    let has_event = !leaves_an_event || row.has_event(after.events().len(), operation);
    let applied = match row.version().cmp(&after.version()) {
        Ordering::Less => false,
        Ordering::Equal => has_event && row.operation() == Some(operation),
        Ordering::Greater if holds => row.has_hold(operation),
        Ordering::Greater => leaves_an_event && has_event,
    };
    if applied {
        return Resolution::Applied;
    }
    // A hold is written over by the next one, and a release leaves nothing. One version later the
    // row itself says who wrote it.
    let could_hide = !leaves_an_event || holds || row.is_archived_marker();
    match could_hide && row.version() > after.version() {
        true => Resolution::Hidden,
        false => Resolution::Refused,
    }
}

/// A new row.
#[derive(SerializeRow)]
struct NewRow<'a> {
    #[scylla(flatten)]
    change: ChangedColumns<'a>,
    #[scylla(flatten)]
    genesis: GenesisColumns<'a>,
    #[scylla(flatten)]
    key: CouponKeyColumns<'a>,
}

/// A row in place of the version `before`.
#[derive(SerializeRow)]
struct LaterRow<'a> {
    #[scylla(flatten)]
    change: ChangedColumns<'a>,
    #[scylla(flatten)]
    key: CouponKeyColumns<'a>,
    before: i64,
}

/// What a coupon was made as, which never changes.
#[derive(Clone, SerializeRow)]
pub(crate) struct GenesisColumns<'a> {
    campaign_id: &'a str,
    batch_id: &'a str,
    valid_from: CqlTimestamp,
    made_expires_at: CqlTimestamp,
    created_at: CqlTimestamp,
}

impl<'a> GenesisColumns<'a> {
    pub(crate) fn of(genesis: &'a Genesis) -> GenesisColumns<'a> {
        GenesisColumns {
            campaign_id: genesis.campaign.as_str(),
            batch_id: genesis.batch.as_str(),
            valid_from: instant(genesis.valid_from),
            made_expires_at: instant(genesis.expires_at),
            created_at: instant(genesis.created_at),
        }
    }
}

/// Where the row of a coupon lies.
#[derive(Clone, SerializeRow)]
pub(crate) struct CouponKeyColumns<'a> {
    expiry_day: CqlDate,
    bucket: i32,
    code: &'a str,
}

impl<'a> CouponKeyColumns<'a> {
    pub(crate) fn of(day: Day, bucket: i32, code: &'a Code) -> CouponKeyColumns<'a> {
        CouponKeyColumns { expiry_day: date(day), bucket, code: code.as_str() }
    }
}

/// The columns that every change writes. What stays null is left unset: a null written over nothing
/// is a tombstone all the same.
#[derive(SerializeRow)]
struct ChangedColumns<'a> {
    version: i64,
    state: &'a str,
    holder: Option<&'a str>,
    expires_at: CqlTimestamp,
    hold: MaybeUnset<Option<HoldValue>>,
    events: MaybeUnset<BTreeMap<i32, EventValue>>,
    operation: Uuid,
    modified_at: CqlTimestamp,
    forward_to: MaybeUnset<CqlDate>,
}

impl<'a> ChangedColumns<'a> {
    /// Of a coupon in the place of one that was read before it, or of nothing.
    fn of(
        coupon: &'a Coupon,
        before: Option<&Coupon>,
        operation: OperationId,
        forward_to: Option<Day>,
    ) -> ChangedColumns<'a> {
        let known = before.map_or(0, |before| before.events().len());
        let events = events_behind(coupon, known);
        let hold = coupon.hold().map(HoldValue::of);
        let had_hold = before.is_some_and(|before| before.hold().is_some());
        ChangedColumns {
            version: signed(coupon.version()),
            state: if forward_to.is_some() { "forwarding" } else { coupon.state().as_str() },
            holder: coupon.holder().map(UserId::as_str),
            expires_at: instant(coupon.expires_at()),
            hold: match hold.is_some() || had_hold {
                true => MaybeUnset::Set(hold),
                false => MaybeUnset::Unset,
            },
            events: match events.is_empty() {
                true => MaybeUnset::Unset,
                false => MaybeUnset::Set(events),
            },
            operation: uuid(operation),
            modified_at: instant(coupon.modified_at()),
            forward_to: MaybeUnset::from_option(forward_to.map(date)),
        }
    }
}

#[cfg(test)]
mod tests;
