//! A cluster as the target of a copy.
//!
//! What is put has a write time of long ago that says its version: of two passes the later one
//! stays, and whatever anybody has written here since is newer than both.

use std::collections::BTreeMap;

use coupon::campaign::MintedRun;
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind, Genesis};
use coupon::ids::{BatchId, CampaignId, OperationId, UserId};
use coupon::imported::ImportedState;
use coupon::time::{Day, Millis};
use scylla::SerializeRow;
use scylla::value::{CqlDate, CqlTimestamp, MaybeUnset};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::Store;
use crate::bounded_join::bounded_join;
use crate::campaigns::TermsColumns;
use crate::claims::EntryValue;
use crate::coupons::{CouponKeyColumns, GenesisColumns, Here, Located};
use crate::session::{Result, StatementProfile};
use crate::values::{EventValue, HoldValue, date, events_behind, instant, signed, uuid as uuid_of};
use hot::copying::{
    CopiedBatch, CopiedCampaign, CopiedClaim, CopiedCounts, CopiedEntry, CopiedPartition,
    CopiedSetting, EntryIs, Item, Pass,
};
use hot::protocol::{home, is_history_full, is_stock};
use hot::{Account, HotError, Tier, imported_state_text};

/// The write time of what is put, in microseconds, before its version: a second after the beginning
/// of time.
const LONG_AGO: i64 = 1_000_000;

/// The write time of a seal that is put: later than any version, earlier than any clock.
const SEALED_LONG_AGO: i64 = 1_000_000_000_000;

const _: () = assert!(SEALED_LONG_AGO > LONG_AGO + (1 << 39));

/// Rows that are written at a time.
const AT_ONCE: usize = 128;

/// Rows of one write to one partition.
const ROWS_AT_ONCE: usize = 50;

/// Imported codes that are leased together.
const CHUNK_CODES: usize = 500;

/// A kind of lease: see `stock`.
const CHUNK: i32 = 1;

impl Store {
    pub(super) async fn put_items(&self, items: Vec<Item>, pass: Pass) -> Result<()> {
        let kept = items.iter().filter_map(|item| match item {
            Item::Coupon { day, coupon } => Some((*day, &**coupon)),
            _ => None,
        });
        self.put_coupons(kept.collect(), pass).await?;
        bounded_join(AT_ONCE, items.iter().map(|item| self.put_item(item, pass))).await.map(drop)
    }

    async fn put_item(&self, item: &Item, pass: Pass) -> Result<()> {
        match item {
            Item::Day(it) => self.put_day(it).await,
            Item::Campaign(it) => self.put_campaign(it).await,
            Item::Account { account, created_at } => self.put_account(account, *created_at).await,
            // All of a page together.
            Item::Coupon { .. } => Ok(()),
            Item::ArchivedMarker { day, code, version } => {
                self.put_copied_archived_marker(*day, code, *version).await
            }
            Item::Entry(it) => self.put_entry(it, pass).await,
            Item::Claim(it) => self.put_claim(it).await,
            Item::Replacement(it) => {
                let cql = "INSERT INTO replacement (replaced, campaign_id, user_id, reference, \
                           issue) VALUES (?, '', ?, '', ?) USING TIMESTAMP ?";
                let issue = it.issue.and_then(|issue| i32::try_from(issue).ok());
                let values = (it.replaced.as_str(), it.user.as_str(), issue, LONG_AGO);
                self.cluster.write(cql, values).await
            }
            Item::Rejected { campaign, batch, line, at } => {
                let cql = "INSERT INTO rejected_line (campaign_id, batch_id, line, text, word, \
                           detail, at) VALUES (?, ?, ?, ?, ?, ?, ?)";
                let values = (
                    campaign.as_str(),
                    batch.as_str(),
                    signed(line.line),
                    line.text.as_str(),
                    line.word.as_str(),
                    line.detail.as_str(),
                    instant(*at),
                );
                self.cluster.write(cql, values).await
            }
            Item::Setting { setting, value } => match setting {
                CopiedSetting::LongCodes => self.set(setting.name(), &setting.text(*value)).await,
                CopiedSetting::SerialFloor
                | CopiedSetting::ColdBegun
                | CopiedSetting::ColdCommitted => {
                    let raised =
                        |here: Option<u64>| here.is_none_or(|here| here < *value).then_some(*value);
                    self.change_number(setting.name(), raised).await
                }
            },
        }
    }

    async fn put_day(&self, it: &CopiedPartition) -> Result<()> {
        let of = date(it.day);
        let (bits, is_new) = match self.bits(it.day).await? {
            Some(bits) => (bits, false),
            // Of a day that is over nothing is left but its seal: one bucket is enough.
            None if it.emptied && it.bits.is_none() => (0, true),
            None => (it.bits.unwrap_or(self.options.bucket_bits), true),
        };
        // Each of these only ever goes one way, and its write time with it.
        let cql =
            "UPDATE partition_plan USING TIMESTAMP ? SET bucket_bits = ? WHERE expiry_day = ?";
        if is_new {
            self.cluster.write(cql, (LONG_AGO, i32::from(bits), of)).await?;
        }
        let cql = "UPDATE partition_plan USING TIMESTAMP ? SET seal_after = ? WHERE expiry_day = ?";
        let written = LONG_AGO + it.seal_after.0.div_euclid(1_000).max(0);
        self.cluster.write(cql, (written, instant(it.seal_after), of)).await?;
        if !it.entered.is_empty() {
            let cql = "UPDATE partition_plan USING TIMESTAMP ? SET entered = entered + ? WHERE expiry_day = ?";
            let entered: Vec<CqlDate> = it.entered.iter().copied().map(date).collect();
            self.cluster.write(cql, (LONG_AGO, entered, of)).await?;
        }
        if it.closing {
            let cql =
                "UPDATE partition_plan USING TIMESTAMP ? SET closing = true WHERE expiry_day = ?";
            self.cluster.write(cql, (LONG_AGO, of)).await?;
        }
        if it.next_serial > 0 {
            let cql =
                "UPDATE minted_run USING TIMESTAMP ? SET next_serial = ? WHERE expiry_day = ?";
            let next = signed(it.next_serial);
            self.cluster.write(cql, (LONG_AGO + next, next, of)).await?;
        }
        if it.sealed {
            let buckets = 0..1_i32 << bits.min(30);
            let seals = buckets.map(|bucket| self.put_seal(it.day, bucket, it.emptied && !is_new));
            bounded_join(AT_ONCE, seals).await?;
            let cql =
                "UPDATE partition_plan USING TIMESTAMP ? SET sealed = true WHERE expiry_day = ?";
            self.cluster.write(cql, (LONG_AGO, of)).await?;
        }
        if it.archive_commit > 0 {
            let cql = "UPDATE partition_plan USING TIMESTAMP ? SET archive_commit = ? WHERE expiry_day = ?";
            let archive_commit = signed(it.archive_commit);
            self.cluster.write(cql, (LONG_AGO + archive_commit, archive_commit, of)).await?;
        }
        if it.emptied {
            let cql =
                "UPDATE partition_plan USING TIMESTAMP ? SET emptied = true WHERE expiry_day = ?";
            self.cluster.write(cql, (LONG_AGO, of)).await?;
        }
        Ok(())
    }

    /// A seal, and the end of what an earlier pass has brought to its bucket.
    async fn put_seal(&self, expiry_day: Day, bucket: i32, empties: bool) -> Result<()> {
        let cql = "UPDATE coupon USING TIMESTAMP ? SET sealed = true \
                   WHERE expiry_day = ? AND bucket = ?";
        self.cluster.write(cql, (SEALED_LONG_AGO, date(expiry_day), bucket)).await?;
        if empties {
            let cql = "DELETE FROM coupon USING TIMESTAMP ? WHERE expiry_day = ? AND bucket = ? \
                       AND code >= ''";
            self.cluster.write(cql, (SEALED_LONG_AGO, date(expiry_day), bucket)).await?;
        }
        Ok(())
    }

    async fn put_campaign(&self, it: &CopiedCampaign) -> Result<()> {
        let (terms, id) = (&it.terms, &it.terms.id);
        for run in it.batches.iter().filter_map(|batch| Some((batch, batch.run?))) {
            self.put_run(id, run.0, run.1).await?;
        }
        self.put_counts(it).await?;
        let here = self.copied_campaign(id).await?;
        let same = |here: &CopiedCampaign| {
            let plain =
                |batch: &CopiedBatch| CopiedBatch { arrived: 0, offered: 0, ..batch.clone() };
            here.terms == *terms
                && here.batches.len() == it.batches.len()
                && here.batches.iter().map(plain).eq(it.batches.iter().map(plain))
        };
        if here.as_ref().is_some_and(same) {
            return Ok(());
        }
        let cql = "SELECT revision FROM campaign WHERE campaign_id = ? LIMIT 1";
        let row: Option<(Option<i64>,)> =
            self.cluster.row(StatementProfile::Read, cql, (id.as_str(),)).await?;
        let revision = row.and_then(|(revision,)| revision).unwrap_or(0) + 1;
        let cql = "INSERT INTO campaign_name (part, campaign_id) VALUES (0, ?)";
        self.cluster.write(cql, (id.as_str(),)).await?;
        for (number, batch) in (0_i64..).zip(&it.batches) {
            self.put_batch_row(id, batch, number, LONG_AGO + revision).await?;
        }
        let cql = "UPDATE campaign USING TIMESTAMP :long_ago SET revision = ?, made = true, \
                   name = ?, handout = ?, shared_code = ?, code_prefix = ?, valid_from = ?, \
                   expires_at = ?, time_zone = ?, valid_days = ?, issue_from = ?, \
                   issue_until = ?, per_user_limit = ?, cancel_days = ?, extend_days = ?, \
                   paused = ?, metadata = ?, created_at = ?, created_as = ? \
                   WHERE campaign_id = ?";
        let terms = TermsColumns::of(terms, &it.created_as);
        let values = CampaignValues { long_ago: LONG_AGO + revision, revision, terms };
        self.cluster.write(cql, values).await?;
        self.known.forget(id);
        Ok(())
    }

    /// The serials of a batch, and how far they have been offered.
    async fn put_run(&self, id: &CampaignId, batch: &CopiedBatch, run: MintedRun) -> Result<()> {
        let key = run.key.to_string();
        let cql = "INSERT INTO key_in_use (key_id) VALUES (?)";
        self.cluster.write(cql, (key.as_str(),)).await?;
        let cql = "INSERT INTO minted_run (expiry_day, first, count, key_id, campaign_id, batch_id) \
                   VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let (first, count) = (signed(run.first), signed(run.count));
        let (day, batch_id) = (date(run.day), batch.id.as_str());
        let values = (day, first, count, key.as_str(), id.as_str(), batch_id, LONG_AGO);
        self.cluster.write(cql, values).await?;
        let cql = "UPDATE lease USING TIMESTAMP ? SET cursor = ? \
                   WHERE campaign_id = ? AND batch_id = ?";
        let offered = signed(batch.offered);
        self.cluster.write(cql, (LONG_AGO + offered, offered, id.as_str(), batch_id)).await
    }

    /// The counts, as those of a process that is no more.
    async fn put_counts(&self, it: &CopiedCampaign) -> Result<()> {
        let cql = "INSERT INTO campaign_counts (campaign_id, process, batch_id, issued, redeemed, void, \
                   cold_issued, cold_redeemed, cold_void) VALUES (?, ?, '', ?, ?, ?, ?, ?, ?)";
        let CopiedCounts { all, cold } = it.counts;
        let (id, nobody) = (it.terms.id.as_str(), Uuid::nil());
        let values = (id, nobody, all[0], all[1], all[2], cold[0], cold[1], cold[2]);
        self.cluster.write(cql, values).await?;
        let cql = "INSERT INTO campaign_counts (campaign_id, process, batch_id, arrived) VALUES (?, ?, ?, ?)";
        for batch in it.batches.iter().filter(|batch| batch.run.is_none()) {
            let values = (id, nobody, batch.id.as_str(), signed(batch.arrived));
            self.cluster.write(cql, values).await?;
        }
        Ok(())
    }

    async fn put_batch_row(
        &self,
        id: &CampaignId,
        batch: &CopiedBatch,
        number: i64,
        written: i64,
    ) -> Result<()> {
        let cql = "UPDATE campaign USING TIMESTAMP :written SET number = ?, key_id = ?, expiry_day = ?, \
                   first_serial = ?, count = ?, batch_paused = ?, paused_reason = ?, lines = ?, \
                   imported = ?, already_there = ?, rejected = ?, batch_made_at = ? \
                   WHERE campaign_id = ? AND batch_id = ?";
        let run = batch.run;
        let values = BatchValues {
            written,
            number,
            key_id: run.map(|run| run.key.to_string()),
            expiry_day: run.map(|run| date(run.day)),
            first_serial: run.map(|run| signed(run.first)),
            count: run.map(|run| signed(run.count)),
            batch_paused: batch.paused,
            paused_reason: batch.paused_reason.as_deref(),
            lines: signed(batch.import.lines),
            imported: signed(batch.import.imported),
            already_there: signed(batch.import.already_there),
            rejected: signed(batch.import.rejected),
            batch_made_at: instant(batch.created_at),
            campaign_id: id.as_str(),
            batch_id: batch.id.as_str(),
        };
        self.cluster.write(cql, values).await
    }

    async fn put_account(&self, account: &Account, created_at: Millis) -> Result<()> {
        let (login, user) = (account.login_id.as_str(), account.user_id.as_str());
        let cql = "INSERT INTO account_login (user_id, login_id) VALUES (?, ?)";
        self.cluster.write(cql, (user, login)).await?;
        let cql = "INSERT INTO account (login_id, user_id, password_hash, created_at) \
                   VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
        let hash = account.password_hash.as_str();
        let values = (login, user, hash, instant(created_at), written_at(created_at));
        self.cluster.write(cql, values).await
    }

    /// Index rows, claims' stock, then the rows, a partition at a time.
    async fn put_coupons(&self, coupons: Vec<(Day, &Coupon)>, pass: Pass) -> Result<()> {
        let mut located = self.to_be_put(coupons, pass).await?;
        located.sort_by_key(|it| (it.day, it.here.bucket));
        if located.is_empty() {
            return Ok(());
        }
        let wallets = located.iter().map(|it| async move {
            match it.coupon.holder() {
                Some(holder) => self.write_wallet(holder, &it.coupon, it.day).await,
                None => Ok(()),
            }
        });
        bounded_join(AT_ONCE, wallets).await?;
        let mut campaigns: BTreeMap<&str, Vec<(&Coupon, Day)>> = BTreeMap::new();
        for it in &located {
            campaigns.entry(it.terms().id.as_str()).or_default().push((&it.coupon, it.day));
        }
        for (id, coupons) in campaigns {
            self.write_expiring_all(id, &coupons).await?;
        }
        self.put_stock(&located).await?;
        let buckets = located.chunk_by(|a, b| (a.day, a.here.bucket) == (b.day, b.here.bucket));
        let writes = buckets.flat_map(|some| some.chunks(ROWS_AT_ONCE));
        bounded_join(AT_ONCE, writes.map(|some| self.put_rows(some, pass))).await?;
        for it in &located {
            self.is_closed(it);
        }
        self.write_closed().await;
        // A partition that it has left, perhaps since an earlier page was put.
        let extended = located.iter().filter(|it| {
            it.coupon.events().iter().any(|event| matches!(event.kind, EventKind::Extended { .. }))
        });
        let moves = extended.flat_map(|it| {
            let left =
                expiry_days_of(&it.coupon).into_iter().filter(|expiry_day| *expiry_day < it.day);
            left.map(move |expiry_day| {
                self.send_on(expiry_day, it.day, &it.coupon, Leaves::Perhaps)
            })
        });
        bounded_join(AT_ONCE, moves).await.map(drop)
    }

    /// Those of which the target has not this version or a later one.
    async fn to_be_put(&self, coupons: Vec<(Day, &Coupon)>, pass: Pass) -> Result<Vec<Located>> {
        let looks = coupons.into_iter().map(|(day, coupon)| async move {
            let (code, genesis) = (coupon.code(), coupon.genesis());
            let gone = || HotError::Damaged(format!("{code}: its day or its batch was not copied"));
            let bucket = self.bucket(day, code).await?.ok_or_else(gone)?;
            if pass == Pass::Again {
                let present = self.row_of(StatementProfile::Read, day, bucket, code).await?;
                if present.is_some_and(|row| row.version() >= coupon.version()) {
                    return Ok(None);
                }
            }
            let found = self.batch_of(&genesis.campaign, &genesis.batch).await?;
            let (campaign, batch) = found.ok_or_else(gone)?;
            let (coupon, batch_paused, tier) = (coupon.clone(), batch.paused, Tier::Hot);
            let here = Here { campaign, bucket };
            let located = Located { coupon, batch_paused, day, tier, frozen: false, here };
            Ok::<_, HotError>(Some(located))
        });
        Ok(bounded_join(AT_ONCE, looks).await?.into_iter().flatten().collect())
    }

    async fn put_rows(&self, coupons: &[Located], pass: Pass) -> Result<()> {
        let rows = coupons.iter().map(|it| CopiedRow::of(&it.coupon, it.day, it.here.bucket, pass));
        self.cluster.write_all(COPIED_ROW, rows.collect()).await
    }

    /// What is available and has a row is found among what came back, or through its lease.
    async fn put_stock(&self, coupons: &[Located]) -> Result<()> {
        let mut imported: BTreeMap<(&str, &str), Vec<(Millis, &Code)>> = BTreeMap::new();
        let mut returned = Vec::new();
        for it in coupons {
            let coupon = &it.coupon;
            if !is_stock(it.terms(), coupon) || is_history_full(coupon) {
                continue;
            }
            let (campaign, batch) = (&coupon.genesis().campaign, &coupon.genesis().batch);
            if it.here.campaign.batches.get(batch).is_some_and(|batch| batch.run.is_some()) {
                returned.push(self.put_returned(campaign, coupon));
            } else {
                let of = imported.entry((campaign.as_str(), batch.as_str())).or_default();
                of.push((coupon.expires_at(), coupon.code()));
            }
        }
        bounded_join(AT_ONCE, returned).await?;
        for ((campaign, batch), mut codes) in imported {
            // What expires first goes first, as far as one page goes.
            codes.sort();
            for some in codes.chunks(CHUNK_CODES) {
                self.put_chunk(campaign, batch, some).await?;
            }
        }
        Ok(())
    }

    async fn put_returned(&self, campaign: &CampaignId, coupon: &Coupon) -> Result<()> {
        let part = self.part_to_enter(campaign, coupon).await?;
        let cql = "INSERT INTO returned (campaign_id, batch_id, part, version, code) \
                   VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let (batch, version) = (coupon.genesis().batch.as_str(), signed(coupon.version()));
        let code = coupon.code().as_str();
        let values = (campaign.as_str(), batch, part, version, code, LONG_AGO + version);
        self.cluster.write(cql, values).await
    }

    /// A chunk that is named after its codes: put again it is the same one.
    async fn put_chunk(
        &self,
        campaign: &str,
        batch: &str,
        codes: &[(Millis, &Code)],
    ) -> Result<()> {
        let names: Vec<&str> = codes.iter().map(|(_, code)| code.as_str()).collect();
        let chunk = Uuid::from_u128(xxh3_128(names.join(" ").as_bytes()));
        let cql = "INSERT INTO stock (chunk, position, code) VALUES (?, ?, ?)";
        let rows = (0_i32..).zip(&names).map(|(at, code)| (chunk, at, *code));
        self.cluster.write_all(cql, rows.collect()).await?;
        let cql = "INSERT INTO lease (campaign_id, batch_id, kind, first, name, count) \
                   VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let first = codes.first().map_or(0, |(at, _)| at.0);
        let count = i64::try_from(codes.len()).unwrap_or(i64::MAX);
        let values = (campaign, batch, CHUNK, first, chunk.to_string(), count, LONG_AGO);
        self.cluster.write(cql, values).await
    }

    async fn put_copied_archived_marker(
        &self,
        expiry_day: Day,
        code: &Code,
        version: u64,
    ) -> Result<()> {
        let gone = || HotError::Damaged(format!("{code}: its day was not copied"));
        let bucket = self.bucket(expiry_day, code).await?.ok_or_else(gone)?;
        let present = self.row_of(StatementProfile::Read, expiry_day, bucket, code).await?;
        let next = signed(version + 1);
        // Nulls only over what is there: over nothing they would be tombstones all the same.
        let cql = match &present {
            Some(row) if row.is_archived_marker() => return Ok(()),
            Some(_) => {
                "UPDATE coupon USING TIMESTAMP ? SET version = ?, state = 'archived', archived = ?, \
                 operation = ?, holder = null, hold = null, events = null \
                 WHERE expiry_day = ? AND bucket = ? AND code = ?"
            }
            None => {
                "UPDATE coupon USING TIMESTAMP ? SET version = ?, state = 'archived', archived = ?, \
                 operation = ? WHERE expiry_day = ? AND bucket = ? AND code = ?"
            }
        };
        let (written, archived) = (LONG_AGO + next, signed(version));
        let values =
            (written, next, archived, Uuid::nil(), date(expiry_day), bucket, code.as_str());
        self.cluster.write(cql, values).await
    }

    async fn put_entry(&self, it: &CopiedEntry, pass: Pass) -> Result<()> {
        let code = it.code.as_str();
        match &it.is {
            EntryIs::Gone => {
                let cql = "INSERT INTO directory (code, kind) VALUES (?, 'gone') USING TIMESTAMP ?";
                self.cluster.write(cql, (code, LONG_AGO)).await
            }
            EntryIs::Shared { campaign } => {
                let cql = "INSERT INTO directory (code, kind, campaign_id) \
                           VALUES (?, 'shared', ?) USING TIMESTAMP ?";
                self.cluster.write(cql, (code, campaign.as_str(), LONG_AGO)).await
            }
            EntryIs::Coupon { campaign, batch, day, line } => {
                let before = match pass {
                    Pass::First => None,
                    Pass::Again => self.directory_day(&it.code).await?,
                };
                self.put_coupon_entry(it, campaign, batch, *day, line.as_ref()).await?;
                let mut left: Vec<(Day, Leaves)> =
                    match (home(&self.keys.current(), &it.code), line) {
                        (Some(home), _) => vec![(home, Leaves::Surely)],
                        (None, Some((_, until, _))) => {
                            vec![(Day::expiry_day_of(*until), Leaves::Perhaps)]
                        }
                        (None, None) => Vec::new(),
                    };
                if pass == Pass::First {
                    // Only an earlier pass can have brought a row to where nobody was minted.
                    left.retain(|(_, leaves)| *leaves == Leaves::Surely);
                }
                left.extend(before.map(|expiry_day| (expiry_day, Leaves::Perhaps)));
                left.retain(|(expiry_day, _)| expiry_day < day);
                if left.is_empty() {
                    return Ok(());
                }
                let found = self.batch_of(campaign, batch).await?;
                let gone = || HotError::Damaged(format!("{campaign}/{batch} was not copied"));
                let (here, _) = found.ok_or_else(gone)?;
                let untouched = Coupon::untouched(Genesis {
                    code: it.code.clone(),
                    campaign: campaign.clone(),
                    batch: batch.clone(),
                    valid_from: here.terms.valid_from,
                    expires_at: here.terms.expires_at,
                    zone: here.terms.zone.clone(),
                    created_at: here.terms.created_at,
                });
                for (expiry_day, leaves) in left {
                    self.send_on(expiry_day, *day, &untouched, leaves).await?;
                }
                Ok(())
            }
        }
    }

    async fn put_coupon_entry(
        &self,
        it: &CopiedEntry,
        campaign: &CampaignId,
        batch: &BatchId,
        expiry_day: Day,
        line: Option<&(Millis, Millis, String)>,
    ) -> Result<()> {
        let Some((from, until, said)) = line else {
            let cql = "INSERT INTO directory (code, kind, campaign_id, batch_id, expiry_day) \
                       VALUES (?, 'coupon', ?, ?, ?) USING TIMESTAMP ?";
            let written = LONG_AGO + 4 * i64::from(expiry_day.0);
            let code = it.code.as_str();
            let values = (code, campaign.as_str(), batch.as_str(), date(expiry_day), written);
            return self.cluster.write(cql, values).await;
        };
        let imported_state = imported_state_text::from_json(said)
            .map_err(|why| HotError::Damaged(format!("imported state: {why}")))?;
        let rank = match imported_state {
            ImportedState::Available => 0,
            ImportedState::Issued { .. } => 1,
            ImportedState::Redeemed { .. } | ImportedState::Void => 2,
        };
        // The partition only goes to a later one, the imported state only forward.
        let written = LONG_AGO + 4 * i64::from(expiry_day.0) + rank;
        // When and by whom it was imported is in the row, which is there: these are never used.
        let cql = "INSERT INTO directory (code, kind, campaign_id, batch_id, expiry_day, \
                   valid_from, expires_at, arrived_as, imported_state, arrived_at, actor, operation) \
                   VALUES (?, 'coupon', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?";
        let values = (
            it.code.as_str(),
            campaign.as_str(),
            batch.as_str(),
            date(expiry_day),
            instant(*from),
            instant(*until),
            said.as_str(),
            said.as_str(),
            instant(Millis(0)),
            "import",
            Uuid::nil(),
            written,
        );
        self.cluster.write(cql, values).await
    }

    /// Sees to it that whoever looks for a coupon in a partition that it has left is sent on to
    /// `to`.
    async fn send_on(&self, left: Day, to: Day, coupon: &Coupon, leaves: Leaves) -> Result<()> {
        let code = coupon.code();
        let Some(bucket) = self.bucket(left, code).await? else { return Ok(()) };
        if self.is_sealed(left, bucket).await? {
            // From there everybody goes by the directory.
            return Ok(());
        }
        let present = self.row_of(StatementProfile::Read, left, bucket, code).await?;
        let version = match &present {
            None if leaves == Leaves::Perhaps => return Ok(()),
            None => coupon.version().max(1),
            Some(row) if row.is_archived_marker() || row.forward_to() == Some(to) => return Ok(()),
            Some(row) => row.version().max(coupon.version()) + 1,
        };
        let row = CopiedRow {
            version: signed(version),
            long_ago: LONG_AGO + signed(version),
            state: "forwarding",
            forward_to: MaybeUnset::Set(date(to)),
            ..CopiedRow::of(coupon, left, bucket, Pass::First)
        };
        self.cluster.write(COPIED_ROW, row).await
    }

    async fn put_claim(&self, it: &CopiedClaim) -> Result<()> {
        let slot = i32::try_from(it.slot)
            .map_err(|_| HotError::Damaged(format!("claim: entry {} is too far", it.slot)))?;
        let value = EntryValue {
            expiry_day: date(it.day),
            code: it.code.to_string(),
            reference: it.reference.as_ref().map(|name| name.as_str().to_owned()),
            // No event has this number: it says that the entry is certain.
            sequence: 0,
            issue: it.issue.and_then(|issue| i32::try_from(issue).ok()),
            operation: Uuid::nil(),
            version: 0,
        };
        let cql = "UPDATE claim USING TIMESTAMP ? SET revision = ?, claimed[?] = ? \
                   WHERE campaign_id = ? AND user_id = ?";
        let written = LONG_AGO + i64::from(slot);
        let owner = (it.campaign.as_str(), it.user.as_str());
        let values = (written, i64::from(slot), slot, value, owner.0, owner.1);
        self.cluster.write(cql, values).await
    }

    /// Of kinds that vanish.
    pub(super) async fn remove_item(&self, item: &Item) -> Result<()> {
        match item {
            Item::Account { account, created_at } => {
                // As old as what it removes: the same login may have been made anew.
                let cql = "DELETE FROM account USING TIMESTAMP ? WHERE login_id = ?";
                let values = (written_at(*created_at), account.login_id.as_str());
                self.cluster.write(cql, values).await
            }
            Item::Replacement(it) => {
                let cql = "DELETE FROM replacement USING TIMESTAMP ? WHERE replaced = ?";
                self.cluster.write(cql, (LONG_AGO, it.replaced.as_str())).await
            }
            Item::Rejected { campaign, batch, line, .. } => {
                let cql = "DELETE FROM rejected_line WHERE campaign_id = ? AND batch_id = ? \
                           AND line = ?";
                let values = (campaign.as_str(), batch.as_str(), signed(line.line));
                self.cluster.write(cql, values).await
            }
            Item::Day(_)
            | Item::Campaign(_)
            | Item::Coupon { .. }
            | Item::ArchivedMarker { .. }
            | Item::Entry(_)
            | Item::Claim(_)
            | Item::Setting { .. } => Ok(()),
        }
    }
}

/// Whether a partition has to say where a coupon has gone although it has no row of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// Minted there: without a row it would be one that nobody has touched.
    Surely,
    /// Only over a row that an earlier page has brought.
    Perhaps,
}

/// Every partition that a coupon can have lain in, by its events.
fn expiry_days_of(coupon: &Coupon) -> Vec<Day> {
    let mut expiry_days = vec![Day::expiry_day_of(coupon.genesis().expires_at)];
    expiry_days.extend(coupon.events().iter().filter_map(|event| match &event.kind {
        EventKind::Extended { expires_at, .. } => Some(Day::expiry_day_of(*expires_at)),
        _ => None,
    }));
    expiry_days.sort_unstable();
    expiry_days.dedup();
    expiry_days
}

/// An instant as a write time.
fn written_at(at: Millis) -> i64 {
    at.0.saturating_mul(1_000).max(LONG_AGO)
}

const COPIED_ROW: &str = "UPDATE coupon USING TIMESTAMP :long_ago SET version = ?, state = ?, \
    holder = ?, expires_at = ?, hold = ?, events = events + ?, operation = ?, modified_at = ?, \
    forward_to = ?, campaign_id = ?, batch_id = ?, valid_from = ?, made_expires_at = ?, \
    created_at = ? WHERE expiry_day = ? AND bucket = ? AND code = ?";

#[derive(Clone, SerializeRow)]
struct CopiedRow<'a> {
    long_ago: i64,
    version: i64,
    state: &'a str,
    holder: MaybeUnset<Option<&'a str>>,
    expires_at: CqlTimestamp,
    hold: MaybeUnset<Option<HoldValue>>,
    events: MaybeUnset<BTreeMap<i32, EventValue>>,
    operation: Uuid,
    modified_at: CqlTimestamp,
    forward_to: MaybeUnset<CqlDate>,
    #[scylla(flatten)]
    genesis: GenesisColumns<'a>,
    #[scylla(flatten)]
    key: CouponKeyColumns<'a>,
}

/// A value; where there is none, nothing over nothing and null over what may be there.
fn over<T>(value: Option<T>, pass: Pass) -> MaybeUnset<Option<T>> {
    match (&value, pass) {
        (None, Pass::First) => MaybeUnset::Unset,
        (None, Pass::Again) | (Some(_), _) => MaybeUnset::Set(value),
    }
}

impl<'a> CopiedRow<'a> {
    fn of(coupon: &'a Coupon, day: Day, bucket: i32, pass: Pass) -> CopiedRow<'a> {
        let events = events_behind(coupon, 0);
        let operation = coupon.events().last().map_or(OperationId(0), |event| event.operation);
        let operation = coupon.hold().map_or(operation, |hold| hold.operation);
        CopiedRow {
            long_ago: LONG_AGO + signed(coupon.version()),
            version: signed(coupon.version()),
            state: coupon.state().as_str(),
            holder: over(coupon.holder().map(UserId::as_str), pass),
            expires_at: instant(coupon.expires_at()),
            hold: over(coupon.hold().map(HoldValue::of), pass),
            events: match events.is_empty() {
                true => MaybeUnset::Unset,
                false => MaybeUnset::Set(events),
            },
            operation: uuid_of(operation),
            modified_at: instant(coupon.modified_at()),
            forward_to: MaybeUnset::Unset,
            genesis: GenesisColumns::of(coupon.genesis()),
            key: CouponKeyColumns::of(day, bucket, coupon.code()),
        }
    }
}

#[derive(Clone, SerializeRow)]
struct CampaignValues<'a> {
    long_ago: i64,
    revision: i64,
    #[scylla(flatten)]
    terms: TermsColumns<'a>,
}

#[derive(Clone, SerializeRow)]
struct BatchValues<'a> {
    written: i64,
    number: i64,
    key_id: Option<String>,
    expiry_day: Option<CqlDate>,
    first_serial: Option<i64>,
    count: Option<i64>,
    batch_paused: bool,
    paused_reason: Option<&'a str>,
    lines: i64,
    imported: i64,
    already_there: i64,
    rejected: i64,
    batch_made_at: CqlTimestamp,
    campaign_id: &'a str,
    batch_id: &'a str,
}
