//! After a restore: what cold has newer than this store takes the place of what stands here.

use coupon::code::Code;
use coupon::coupon::{Coupon, State};
use coupon::ids::{IssueRef, OperationId, UserId};
use coupon::time::Day;
use uuid::Uuid;

use super::Store;
use super::campaigns::CampaignHere;
use super::claims::ANY_ISSUE;
use super::coupons::Located;
use super::outcome::Cas;
use super::session::{Manner, Result};
use super::several::several;
use super::values::{date, instant, signed, uuid as uuid_of};
use crate::deciding::{home, replaced, standing_of};
use crate::{Adopted, HotError, standing_text};

/// Coupons adopted at a time.
const AT_ONCE: usize = 16;

/// Serials that are passed over on every day: far more than are minted between two backups, and a
/// day has room for sixty such gaps.
const SERIAL_GAP: u64 = 1 << 34;

/// The setting from which the serials of a new day begin.
pub(super) const SERIAL_FLOOR: &str = "serial_floor";

/// What became of one coupon.
enum One {
    Adopted,
    Known,
    Stranger,
}

impl Store {
    pub(super) async fn adopt_all(&self, day: Day, coupons: &[Coupon]) -> Result<Adopted> {
        let ones = coupons.iter().map(|coupon| self.adopt_one(day, coupon));
        let ones: Vec<One> = several(AT_ONCE, ones).await?;
        let mut adopted = Adopted::default();
        for one in ones {
            match one {
                One::Adopted => adopted.adopted += 1,
                One::Known => adopted.known += 1,
                One::Stranger => adopted.strangers += 1,
            }
        }
        Ok(adopted)
    }

    async fn adopt_one(&self, day: Day, coupon: &Coupon) -> Result<One> {
        let (code, genesis) = (coupon.code(), coupon.genesis());
        if let Some(bucket) = self.bucket(day, code).await? {
            match self.row_of(Manner::Read, day, bucket, code).await? {
                Some(row) if row.is_stub() || row.version() > coupon.version() => {
                    return Ok(One::Known);
                }
                // On a sealed shelf without a row: it was moved before the backup was made.
                None if self.is_sealed(day, bucket).await? => return Ok(One::Known),
                Some(_) | None => {}
            }
        }
        let Some((campaign, _)) = self.batch_of(&genesis.campaign, &genesis.batch).await? else {
            self.stranger(code).await?;
            return Ok(One::Stranger);
        };
        self.take_its_place(day, coupon, &campaign).await?;
        Ok(One::Adopted)
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
        // First what sends everybody here, then the stub, then what stood elsewhere.
        if home != Some(day) {
            self.enter_in_directory(coupon, campaign, day, home.is_none()).await?;
        }
        let mut before = None;
        let mut shelves = vec![day];
        shelves.extend([moved, home].into_iter().flatten().filter(|it| *it != day));
        shelves.dedup();
        for shelf in shelves {
            let found = self.put_stub(shelf, coupon, day).await?;
            before = before.or(found);
        }
        if before.is_none() && home.is_none() && moved.is_none() {
            self.tallies.count_arrivals(id, &coupon.genesis().batch, 1);
        }
        let was = before.as_ref().map_or(&State::Available, Coupon::state);
        self.tallies.count_change(id, was, coupon.state());
        self.tallies.count_moved(id, coupon.state().word());
        self.recent.forget(code);
        self.adopt_claim(day, coupon, campaign).await
    }

    /// Puts a stub in the place of what stands on the shelf `day`, and sends whoever meets the coupon
    /// on another one there; the coupon that stood there.
    async fn put_stub(&self, shelf: Day, coupon: &Coupon, day: Day) -> Result<Option<Coupon>> {
        let (code, always) = (coupon.code(), shelf == day);
        let Some(bucket) = self.bucket(shelf, code).await? else { return Ok(None) };
        let operation = Uuid::now_v7();
        let mut attempts = self.attempts("a coupon's stub");
        let mut before: Option<Located> = None;
        loop {
            let row = attempts.looked(self.row_of(Manner::Read, shelf, bucket, code).await)?;
            if row.is_none() && self.is_sealed(shelf, bucket).await? {
                return Ok(before.map(|it| it.coupon));
            }
            if row.is_none() && !always {
                // A minted one without a row would be taken for one that nobody has touched.
                if home(&self.keys.current(), code) != Some(shelf) {
                    return Ok(before.map(|it| it.coupon));
                }
                let id = OperationId(operation.as_u128());
                let manner = attempts.manner();
                let put = self.put_row(manner, coupon, shelf, bucket, id, Some(day)).await;
                attempts.wrote(put).await?;
                continue;
            }
            if let Some(row) = &row {
                if row.is_stub() || (!always && row.moved_to() == Some(day)) {
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
                    "UPDATE coupon SET version = ?, state = 'moved', moved_to = :moved_to, \
                     operation = ? WHERE shelf_day = ? AND bucket = ? AND code = ? \
                     IF version = :before"
                }
                None => {
                    "UPDATE coupon SET version = ?, state = 'stub', archived = ?, operation = ?, \
                     campaign_id = ?, batch_id = ?, holder = null, hold = null, events = null, \
                     moved_to = null WHERE shelf_day = ? AND bucket = ? AND code = ? \
                     IF version = :before"
                }
            };
            let values = AdoptedRow {
                version: signed(next),
                archived: signed(coupon.version()),
                operation,
                campaign_id: coupon.genesis().campaign.as_str(),
                batch_id: coupon.genesis().batch.as_str(),
                shelf_day: date(shelf),
                bucket,
                code: code.as_str(),
                before: version,
            };
            let turn = attempts.looked(self.turns.turn((shelf, bucket)).await)?;
            let cas = match to {
                Some(to) => self.cluster.change(attempts.manner(), cql, values.moved_to(to)).await,
                None => self.cluster.change(attempts.manner(), cql, values).await,
            };
            drop(turn);
            attempts.wrote(cas).await?;
            if let Some(located) = &before {
                let holder = located.coupon.holder().map(UserId::as_str);
                self.remove_hints(holder, located.coupon.expires_at(), code).await?;
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
                               shelf_day, valid_from, expires_at, arrived_as, standing, \
                               arrived_at, actor, operation) \
                               VALUES (?, 'coupon', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
                    let standing = standing_text::to_json(&standing_of(coupon));
                    let event = coupon.events().first();
                    let values = (
                        code.as_str(),
                        id,
                        genesis.batch.as_str(),
                        date(day),
                        instant(genesis.valid_from),
                        instant(genesis.expires_at),
                        standing.as_str(),
                        standing.as_str(),
                        instant(genesis.created_at),
                        event.map(|event| event.actor.as_str().to_owned()),
                        uuid_of(event.map_or(OperationId(0), |event| event.operation)),
                    );
                    self.cluster.change(attempts.manner(), cql, values).await
                }
                (present, _) => {
                    let cql = "UPDATE directory SET kind = 'coupon', campaign_id = ?, \
                               batch_id = ?, shelf_day = ? WHERE code = ? IF shelf_day = ?";
                    let batch = genesis.batch.as_str();
                    let values = (id, batch, date(day), code.as_str(), present.map(date));
                    self.cluster.change(attempts.manner(), cql, values).await
                }
            };
            attempts.wrote(cas).await?;
        }
    }

    /// Its holder has it, and what he asked for it by is spent.
    async fn adopt_claim(&self, day: Day, coupon: &Coupon, campaign: &CampaignHere) -> Result<()> {
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
            match self.cluster.change(Manner::Change, cql, values).await? {
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
        match self.cluster.change(Manner::Change, cql, (code.as_str(),)).await? {
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
            let cql = "SELECT next_serial FROM minted_run WHERE day = ? LIMIT 1";
            let row: Option<(Option<i64>,)> = self.cluster.row(Manner::Read, cql, (day,)).await?;
            let Some((Some(next),)) = row else { continue };
            let cql = "UPDATE minted_run SET next_serial = ? WHERE day = ? IF next_serial = ?";
            let after = next.saturating_add(signed(SERIAL_GAP));
            match self.cluster.change(Manner::Change, cql, (after, day, next)).await? {
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
struct AdoptedRow<'a> {
    version: i64,
    archived: i64,
    operation: Uuid,
    campaign_id: &'a str,
    batch_id: &'a str,
    shelf_day: scylla::value::CqlDate,
    bucket: i32,
    code: &'a str,
    before: Option<i64>,
}

#[derive(scylla::SerializeRow)]
struct SentOnRow<'a> {
    version: i64,
    operation: Uuid,
    moved_to: scylla::value::CqlDate,
    shelf_day: scylla::value::CqlDate,
    bucket: i32,
    code: &'a str,
    before: Option<i64>,
}

impl<'a> AdoptedRow<'a> {
    fn moved_to(self, day: Day) -> SentOnRow<'a> {
        let AdoptedRow { version, operation, shelf_day, bucket, code, before, .. } = self;
        SentOnRow { version, operation, moved_to: date(day), shelf_day, bucket, code, before }
    }
}
