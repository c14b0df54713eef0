//! After a restore: what cold has newer than this store takes the place of what stands here.

use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::{IssueRef, OperationId, UserId};
use coupon::time::Day;
use uuid::Uuid;

use super::Store;
use super::bounded_join::bounded_join;
use super::campaigns::CampaignHere;
use super::coupons::Located;
use super::outcome::Cas;
use super::session::{Result, StatementProfile};
use super::values::{date, instant, signed, uuid as uuid_of};
use hot::protocol::{ANY_ISSUE, home, imported_state_of, replaced};
use hot::{HotError, Reconciled, imported_state_text};

/// Coupons reconciled at a time.
const AT_ONCE: usize = 16;

/// Serials that are passed over on every day: far more than are minted between two backups, and a
/// day has room for sixty such gaps.
const SERIAL_GAP: u64 = 1 << 34;

/// The setting from which the serials of a new day begin.
pub(super) const SERIAL_FLOOR: &str = "serial_floor";

/// What became of one coupon.
enum One {
    Reconciled,
    Known,
    Stranger,
}

impl Store {
    pub(super) async fn reconcile_all(&self, day: Day, coupons: &[Coupon]) -> Result<Reconciled> {
        let ones = coupons.iter().map(|coupon| self.reconcile_one(day, coupon));
        let ones: Vec<One> = bounded_join(AT_ONCE, ones).await?;
        let mut reconciled = Reconciled::default();
        for one in ones {
            match one {
                One::Reconciled => reconciled.reconciled += 1,
                One::Known => reconciled.known += 1,
                One::Stranger => reconciled.strangers += 1,
            }
        }
        Ok(reconciled)
    }

    async fn reconcile_one(&self, day: Day, coupon: &Coupon) -> Result<One> {
        let (code, genesis) = (coupon.code(), coupon.genesis());
        if let Some(bucket) = self.bucket(day, code).await? {
            match self.row_of(StatementProfile::Read, day, bucket, code).await? {
                Some(row) if row.is_archived_marker() || row.version() > coupon.version() => {
                    return Ok(One::Known);
                }
                // In a sealed partition without a row: it was moved before the backup was made.
                None if self.is_sealed(day, bucket).await? => return Ok(One::Known),
                Some(_) | None => {}
            }
        }
        let Some((campaign, _)) = self.batch_of(&genesis.campaign, &genesis.batch).await? else {
            self.stranger(code).await?;
            return Ok(One::Stranger);
        };
        self.take_its_place(day, coupon, &campaign).await?;
        Ok(One::Reconciled)
    }

    async fn take_its_place(
        &self,
        day: Day,
        coupon: &Coupon,
        campaign: &CampaignHere,
    ) -> Result<()> {
        let (code, home) = (coupon.code(), home(&self.keys.current(), coupon.code()));
        let id = &campaign.terms.id;
        // A day that is closing has a plan, which is all that is needed here.
        let _ = self.enter(day, &campaign.terms, None).await?;
        let moved = self.directory_day(code).await?;
        // First what sends everybody here, then the archived marker, then what stood elsewhere.
        if home != Some(day) {
            self.enter_in_directory(coupon, campaign, day, home.is_none()).await?;
        }
        let mut before = None;
        let mut expiry_days = vec![day];
        expiry_days.extend([moved, home].into_iter().flatten().filter(|it| *it != day));
        expiry_days.dedup();
        for expiry_day in expiry_days {
            let found = self.put_archived_marker(expiry_day, coupon, day).await?;
            before = before.or(found);
        }
        if before.is_none() && home.is_none() && moved.is_none() {
            self.counts.count_arrivals(id, &coupon.genesis().batch, 1);
        }
        let was = before.as_ref().map_or(&State::Available, Coupon::state);
        self.counts.count_change(id, was, coupon.state());
        self.counts.count_moved(id, coupon.state().as_str());
        self.row_cache.forget(code);
        self.reconcile_claim(day, coupon, campaign).await
    }

    /// Puts an archived marker in the place of what stands in the partition `day`, and sends
    /// whoever meets the coupon on another one there; the coupon that stood there.
    async fn put_archived_marker(
        &self,
        expiry_day: Day,
        coupon: &Coupon,
        day: Day,
    ) -> Result<Option<Coupon>> {
        let (code, always) = (coupon.code(), expiry_day == day);
        let Some(bucket) = self.bucket(expiry_day, code).await? else { return Ok(None) };
        let operation = Uuid::now_v7();
        let mut attempts = self.attempts("a coupon's archived marker");
        let mut before: Option<Located> = None;
        loop {
            let row = attempts
                .looked(self.row_of(StatementProfile::Read, expiry_day, bucket, code).await)?;
            if row.is_none() && self.is_sealed(expiry_day, bucket).await? {
                return Ok(before.map(|it| it.coupon));
            }
            if row.is_none() && !always {
                // A minted one without a row would be taken for one that nobody has touched.
                if home(&self.keys.current(), code) != Some(expiry_day) {
                    return Ok(before.map(|it| it.coupon));
                }
                let id = OperationId(operation.as_u128());
                let profile = attempts.profile();
                let put = self.put_row(profile, coupon, expiry_day, bucket, id, Some(day)).await;
                attempts.wrote(put).await?;
                continue;
            }
            if let Some(row) = &row {
                if row.is_archived_marker() || (!always && row.forward_to() == Some(day)) {
                    return Ok(before.map(|it| it.coupon));
                }
                before = Some(self.as_it_stands(row, bucket).await?);
            }
            let version = row.as_ref().map(|row| signed(row.version()));
            let next = coupon.version().max(row.as_ref().map_or(0, |row| row.version())) + 1;
            let to = (!always).then_some(day);
            let cql = match to {
                // Whoever comes here is sent on to where the coupon was when it was archived.
                Some(_) => {
                    "UPDATE coupon SET version = ?, state = 'forwarding', forward_to = :forward_to, \
                     operation = ? WHERE expiry_day = ? AND bucket = ? AND code = ? \
                     IF version = :before"
                }
                None => {
                    "UPDATE coupon SET version = ?, state = 'archived', archived = ?, operation = ?, \
                     campaign_id = ?, batch_id = ?, holder = null, hold = null, events = null, \
                     forward_to = null WHERE expiry_day = ? AND bucket = ? AND code = ? \
                     IF version = :before"
                }
            };
            let values = ReconciledRow {
                version: signed(next),
                archived: signed(coupon.version()),
                operation,
                campaign_id: coupon.genesis().campaign.as_str(),
                batch_id: coupon.genesis().batch.as_str(),
                expiry_day: date(expiry_day),
                bucket,
                code: code.as_str(),
                before: version,
            };
            let lock = attempts.looked(self.write_locks.lock((expiry_day, bucket)).await)?;
            let cas = match to {
                Some(to) => {
                    self.cluster.change(attempts.profile(), cql, values.forward_to(to)).await
                }
                None => self.cluster.change(attempts.profile(), cql, values).await,
            };
            drop(lock);
            attempts.wrote(cas).await?;
            if let Some(located) = &before {
                let holder = located.coupon.holder().map(UserId::as_str);
                self.remove_index_rows(holder, located.coupon.expires_at(), code).await?;
            }
        }
    }

    async fn enter_in_directory(
        &self,
        coupon: &Coupon,
        campaign: &CampaignHere,
        day: Day,
        foreign: bool,
    ) -> Result<()> {
        let (code, genesis) = (coupon.code(), coupon.genesis());
        let mut attempts = self.attempts("the directory entry of an archived coupon");
        loop {
            let present = attempts.looked(self.directory_day(code).await)?;
            if present == Some(day) {
                return Ok(());
            }
            let id = campaign.terms.id.as_str();
            let cas = match (present, foreign) {
                (None, true) => {
                    let cql = "INSERT INTO directory (code, kind, campaign_id, batch_id, \
                               expiry_day, valid_from, expires_at, arrived_as, imported_state, \
                               arrived_at, actor, operation) \
                               VALUES (?, 'coupon', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
                    let imported_state = imported_state_text::to_json(&imported_state_of(coupon));
                    let event = coupon.events().first();
                    let values = (
                        code.as_str(),
                        id,
                        genesis.batch.as_str(),
                        date(day),
                        instant(genesis.valid_from),
                        instant(genesis.expires_at),
                        imported_state.as_str(),
                        imported_state.as_str(),
                        instant(genesis.created_at),
                        event.map(|event| event.actor.as_str().to_owned()),
                        uuid_of(event.map_or(OperationId(0), |event| event.operation)),
                    );
                    self.cluster.change(attempts.profile(), cql, values).await
                }
                (present, _) => {
                    let cql = "UPDATE directory SET kind = 'coupon', campaign_id = ?, \
                               batch_id = ?, expiry_day = ? WHERE code = ? IF expiry_day = ?";
                    let batch = genesis.batch.as_str();
                    let values = (id, batch, date(day), code.as_str(), present.map(date));
                    self.cluster.change(attempts.profile(), cql, values).await
                }
            };
            attempts.wrote(cas).await?;
        }
    }

    /// Its holder has it, and what he asked for it by is spent.
    async fn reconcile_claim(
        &self,
        day: Day,
        coupon: &Coupon,
        campaign: &CampaignHere,
    ) -> Result<()> {
        if let Some(gone) = replaced(&self.keys.current(), coupon.issue_ref()) {
            let cql = "INSERT INTO replacement (replaced, campaign_id, user_id, reference, issue) \
                       VALUES (?, ?, ?, ?, ?) IF NOT EXISTS";
            let values = (
                gone.as_str(),
                campaign.terms.id.as_str(),
                coupon.holder().map(UserId::as_str),
                coupon.issue_ref().map(IssueRef::as_str),
                ANY_ISSUE,
            );
            match self.cluster.change(StatementProfile::Change, cql, values).await? {
                Cas::Applied | Cas::Refused => {}
                Cas::Unknown(why) => return Err(HotError::Unknown(why.into())),
                Cas::NotSent(why) => return Err(HotError::Unavailable(why.into())),
            }
        }
        let Some(holder) = coupon.holder() else { return Ok(()) };
        if self.is_claimed(campaign, holder, coupon.code()).await? {
            return Ok(());
        }
        self.claim_for_holder(campaign, day, coupon, coupon.issue_ref()).await
    }

    /// A code of a campaign that this store does not know. Nobody can find it, and if it is foreign
    /// nobody can import it as new either.
    async fn stranger(&self, code: &Code) -> Result<()> {
        if home(&self.keys.current(), code).is_some() {
            return Ok(());
        }
        let cql = "INSERT INTO directory (code, kind) VALUES (?, 'gone') IF NOT EXISTS";
        match self.cluster.change(StatementProfile::Change, cql, (code.as_str(),)).await? {
            Cas::Applied | Cas::Refused => Ok(()),
            Cas::Unknown(why) => Err(HotError::Unknown(why.into())),
            Cas::NotSent(why) => Err(HotError::Unavailable(why.into())),
        }
    }

    /// Codes minted after the backup was made, which this store knows nothing of, are never minted
    /// again for somebody else.
    pub(super) async fn pass_over(&self) -> Result<()> {
        self.change_number(SERIAL_FLOOR, |floor| Some(floor.unwrap_or(0) + SERIAL_GAP)).await?;
        for plan in self.plans().await? {
            let day = date(plan.day());
            let cql = "SELECT next_serial FROM minted_run WHERE expiry_day = ? LIMIT 1";
            let row: Option<(Option<i64>,)> =
                self.cluster.row(StatementProfile::Read, cql, (day,)).await?;
            let Some((Some(next),)) = row else { continue };
            let cql =
                "UPDATE minted_run SET next_serial = ? WHERE expiry_day = ? IF next_serial = ?";
            let after = next.saturating_add(signed(SERIAL_GAP));
            match self.cluster.change(StatementProfile::Change, cql, (after, day, next)).await? {
                // Refused: somebody mints beside a restore, which nobody should do.
                Cas::Applied | Cas::Refused => {}
                Cas::Unknown(why) => return Err(HotError::Unknown(why.into())),
                Cas::NotSent(why) => return Err(HotError::Unavailable(why.into())),
            }
        }
        Ok(())
    }
}

#[derive(scylla::SerializeRow)]
struct ReconciledRow<'a> {
    version: i64,
    archived: i64,
    operation: Uuid,
    campaign_id: &'a str,
    batch_id: &'a str,
    expiry_day: scylla::value::CqlDate,
    bucket: i32,
    code: &'a str,
    before: Option<i64>,
}

#[derive(scylla::SerializeRow)]
struct SentOnRow<'a> {
    version: i64,
    operation: Uuid,
    forward_to: scylla::value::CqlDate,
    expiry_day: scylla::value::CqlDate,
    bucket: i32,
    code: &'a str,
    before: Option<i64>,
}

impl<'a> ReconciledRow<'a> {
    fn forward_to(self, day: Day) -> SentOnRow<'a> {
        let ReconciledRow { version, operation, expiry_day, bucket, code, before, .. } = self;
        SentOnRow { version, operation, forward_to: date(day), expiry_day, bucket, code, before }
    }
}
