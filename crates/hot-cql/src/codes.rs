//! The owner of a code: runs of serials by expiry day, and the directory of foreign codes.

use async_trait::async_trait;
use coupon::campaign::{Campaign, MintedRun};
use coupon::code::Code;
use coupon::minted::KeyId;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use router::{Directory, Entry, OwnedRun, Owner, openings};
use scylla::DeserializeRow;
use scylla::value::CqlDate;
use tokio::time::Instant;

use super::values::{date, day, parsed, signed};
use super::{CqlHot, CqlStore};
use cql_session::Result;
use hot::protocol::{may_mint, serials_after};
use hot::settings::{LONG_CODES, SERIAL_FLOOR};
use hot::{HotError, MintOrder};

/// How long a setting that was absent is taken to be absent.
pub(super) const SETTINGS_KNOWN: std::time::Duration = std::time::Duration::from_secs(1);

#[async_trait]
impl Directory for CqlHot {
    type Error = HotError;

    async fn entry(&self, code: &Code) -> Result<Option<Entry>> {
        self.store.directory_entry(code).await
    }

    async fn run_of(&self, key: KeyId, day: Day, serial: u64) -> Result<Option<OwnedRun>> {
        let found = self.store.run_with(key, day, serial).await?;
        Ok(found.map(|(owner, run)| OwnedRun { owner, run, hint: None }))
    }

    async fn bucket_bits(&self, day: Day) -> Result<Option<u8>> {
        self.store.bits(day).await
    }

    /// A process that was frozen reads it again before it uses what it knew.
    async fn has_long_codes(&self) -> Result<bool> {
        let store = &self.store;
        let known = *store.long_codes.lock();
        match known {
            Some((true, _)) => return Ok(true),
            Some((false, since)) if since.elapsed() < SETTINGS_KNOWN => return Ok(false),
            Some(_) | None => {}
        }
        // Before the read: an absent setting is believed for a limited time from here on.
        let since = Instant::now();
        let are = store.session.setting(LONG_CODES).await?.is_some();
        *store.long_codes.lock() = Some((are, since));
        Ok(are)
    }
}

/// The next serial of a day, and the runs that have been reserved.
#[derive(DeserializeRow)]
struct RunRow {
    first: Option<i64>,
    next_serial: Option<i64>,
    count: Option<i64>,
    key_id: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
}

macro_rules! run_columns {
    () => {
        "SELECT first, next_serial, count, key_id, campaign_id, batch_id FROM minted_run \
         WHERE expiry_day = ?"
    };
}

impl RunRow {
    fn run(&self, on: Day) -> Result<Option<(Owner, MintedRun)>> {
        let (Some(first), Some(count), Some(key), Some(campaign), Some(batch)) =
            (self.first, self.count, &self.key_id, &self.campaign_id, &self.batch_id)
        else {
            return Ok(None);
        };
        let owner =
            Owner { campaign: parsed("campaign_id", campaign)?, batch: parsed("batch_id", batch)? };
        let (first, count) = (first.unsigned_abs(), count.unsigned_abs());
        Ok(Some((owner, MintedRun { key: parsed("key_id", key)?, day: on, first, count })))
    }
}

impl CqlStore {
    pub(super) async fn run_with(
        &self,
        key: KeyId,
        on: Day,
        serial: u64,
    ) -> Result<Option<(Owner, MintedRun)>> {
        let cql = concat!(run_columns!(), " AND first <= ? LIMIT 1");
        let row: Option<RunRow> = self.session.row(cql, (date(on), signed(serial))).await?;
        let found = row.map(|row| row.run(on)).transpose()?.flatten();
        Ok(found.filter(|(_, run)| run.key == key && run.holds(serial)))
    }

    /// Whose a minted code is, and its expiry day: the first opening whose serial a run has.
    pub(super) async fn owner_of(&self, code: &Code) -> Result<Option<(Owner, Day)>> {
        for (key, minted) in openings(&self.keys.current(), code) {
            if let Some((owner, run)) = self.run_with(key, minted.day, minted.serial).await? {
                return Ok(Some((owner, run.day)));
            }
        }
        Ok(None)
    }

    /// The lowest serial at which the next run of a day may begin.
    pub(super) async fn next_serial(&self, on: Day) -> Result<u64> {
        let floor = self.session.setting_number(SERIAL_FLOOR).await?.unwrap_or(0);
        let cql = concat!(run_columns!(), " LIMIT 1");
        let row: Option<RunRow> = self.session.row(cql, (date(on),)).await?;
        Ok(row.and_then(|row| row.next_serial).map_or(floor, i64::unsigned_abs))
    }

    /// Reserves the serials of a batch: one conditional update takes them and names their owner. A
    /// batch that was reserved and not made keeps them.
    pub(super) async fn reserve(
        &self,
        campaign: &Campaign,
        order: &MintOrder,
        now: Millis,
    ) -> Result<std::result::Result<MintedRun, Refusal>> {
        if let Err(refusal) = may_mint(campaign, now) {
            return Ok(Err(refusal));
        }
        let on = campaign.expiry_day();
        if !self.enter(on, campaign, None, order.count).await? {
            return Ok(Err(Refusal::ExpiryDayClosed));
        }
        // Before the run: a key that may have minted codes is listed.
        let cql = "INSERT INTO key_in_use (key_id) VALUES (?)";
        self.session.write(cql, (order.key.to_string(),)).await?;
        let floor = self.session.setting_number(SERIAL_FLOOR).await?.unwrap_or(0);
        let mut attempts = self.attempts("the serials of a batch");
        loop {
            let _lock = attempts.looked(self.write_locks.lock(("serials", on)).await)?;
            let rows: Vec<RunRow> =
                attempts.looked(self.session.scan(run_columns!(), (date(on),)).await)?;
            for row in &rows {
                // An earlier try of this batch: a lost answer must not take its serials twice.
                if let Some((owner, run)) = row.run(on)?
                    && owner.campaign == campaign.id
                    && owner.batch == order.id
                    && run.count == order.count
                    && run.key == order.key
                {
                    return Ok(Ok(run));
                }
            }
            let present = rows.first().and_then(|row| row.next_serial);
            let first = present.map_or(floor, i64::unsigned_abs);
            let next = match serials_after(first, order.count) {
                Ok(next) => next,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let cql = "UPDATE minted_run SET next_serial = ?, count = ?, key_id = ?, \
                       campaign_id = ?, batch_id = ? WHERE expiry_day = ? AND first = ? \
                       IF next_serial = ?";
            let values = (
                signed(next),
                signed(order.count),
                order.key.to_string(),
                campaign.id.as_str(),
                order.id.as_str(),
                date(on),
                signed(first),
                present,
            );
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    pub(super) async fn directory_entry(&self, code: &Code) -> Result<Option<Entry>> {
        let cql = "SELECT kind, campaign_id, batch_id, expiry_day FROM directory WHERE code = ?";
        type EntryRow = (Option<String>, Option<String>, Option<String>, Option<CqlDate>);
        let row: Option<EntryRow> = self.session.row(cql, (code.as_str(),)).await?;
        let Some((Some(kind), campaign, batch, expiry_day)) = row else { return Ok(None) };
        if kind == "gone" {
            return Ok(None);
        }
        let campaign = parsed("campaign_id", campaign.as_deref().unwrap_or_default())?;
        match (kind.as_str(), batch, expiry_day) {
            ("shared", _, _) => Ok(Some(Entry::Shared { campaign })),
            ("coupon", Some(batch), Some(expiry_day)) => {
                let owner = Owner { campaign, batch: parsed("batch_id", &batch)? };
                Ok(Some(Entry::Coupon { day: day(expiry_day), owner, hint: None }))
            }
            (kind, _, _) => Err(HotError::Damaged(format!("directory: {code} is {kind}"))),
        }
    }
}
