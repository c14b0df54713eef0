//! Campaigns and batches: made by name, once, in steps that anybody may finish; and the terms of a
//! moment ago, which are what every change goes by.
//!
//! Terms are remembered for [`TERMS_KNOWN`]. Who changes them waits as long before he answers: then
//! every process has read them again.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use coupon::campaign::{BATCHES_MAX, Batch, BatchKind, Campaign, ImportCounts, MintedRun, Tally};
use coupon::code::Code;
use coupon::coupon::{Coupon, Genesis};
use coupon::ids::{BatchId, CampaignId};
use coupon::minted::{KeyId, SERIALS_PER_DAY};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use router::{Entry, Owner};
use scylla::DeserializeRow;
use scylla::value::{CqlDate, CqlTimestamp};
use tokio::time::Instant;

use super::Store;
use super::session::{Manner, Result};
use super::values::{date, day, instant, millis, parsed, signed};
use crate::deciding::patched;
use crate::{CampaignPatch, CampaignRow, HotError, MintOrder, Named, NewCampaign, Patched};

/// How long terms are taken for true after they began to be read.
const TERMS_KNOWN: Duration = Duration::from_secs(1);

/// All campaigns' names lie in one partition: there are thousands, not millions.
const NAMES: i32 = 0;

/// Most campaigns that are remembered.
const REMEMBERED_MAX: usize = 10_000;

/// A campaign and its batches, as they were when they were read.
#[derive(Clone, Debug)]
pub(super) struct CampaignHere {
    pub(super) terms: Arc<Campaign>,
    pub(super) batches: Arc<BTreeMap<BatchId, BatchHere>>,
    created_as: Arc<str>,
    revision: i64,
    made: bool,
}

/// A batch of it.
#[derive(Clone, Debug)]
pub(super) struct BatchHere {
    pub(super) id: BatchId,
    /// In which order they were made.
    pub(super) number: i64,
    pub(super) run: Option<MintedRun>,
    pub(super) paused: bool,
    pub(super) made_at: Millis,
    import: ImportCounts,
}

impl CampaignHere {
    /// In the order in which they were made.
    pub(super) fn in_order(&self) -> Vec<&BatchHere> {
        let mut batches: Vec<&BatchHere> = self.batches.values().collect();
        batches.sort_by_key(|batch| batch.number);
        batches
    }

    /// A minted coupon that has no row.
    pub(super) fn untouched(&self, code: Code, batch: &BatchHere) -> Coupon {
        Coupon::untouched(Genesis {
            code,
            campaign: self.terms.id.clone(),
            batch: batch.id.clone(),
            valid_from: self.terms.valid_from,
            expires_at: self.terms.expires_at,
            zone: self.terms.zone.clone(),
            created_at: batch.made_at,
        })
    }
}

/// What is known of campaigns, and since when.
#[derive(Default)]
pub(super) struct Known(RwLock<HashMap<CampaignId, (Instant, CampaignHere)>>);

impl Known {
    fn get(&self, id: &CampaignId) -> Option<CampaignHere> {
        let known = self.0.read().ok()?;
        let (since, here) = known.get(id)?;
        (since.elapsed() < TERMS_KNOWN).then(|| here.clone())
    }

    fn keep(&self, since: Instant, here: &CampaignHere) {
        if let Ok(mut known) = self.0.write() {
            if known.len() >= REMEMBERED_MAX {
                known.clear();
            }
            known.insert(here.terms.id.clone(), (since, here.clone()));
        }
    }

    pub(super) fn forget(&self, id: &CampaignId) {
        if let Ok(mut known) = self.0.write() {
            known.remove(id);
        }
    }
}

#[derive(DeserializeRow)]
struct Row {
    campaign_id: String,
    revision: Option<i64>,
    made: Option<bool>,
    name: Option<String>,
    handout: Option<String>,
    shared_code: Option<String>,
    code_prefix: Option<String>,
    valid_from: Option<CqlTimestamp>,
    expires_at: Option<CqlTimestamp>,
    time_zone: Option<String>,
    valid_days: Option<i32>,
    issue_from: Option<CqlTimestamp>,
    issue_until: Option<CqlTimestamp>,
    per_user_limit: Option<i32>,
    cancel_days: Option<i32>,
    extend_days: Option<i32>,
    paused: Option<bool>,
    metadata: Option<String>,
    created_at: Option<CqlTimestamp>,
    created_as: Option<String>,
}

#[derive(DeserializeRow)]
struct BatchRow {
    batch_id: Option<String>,
    number: Option<i64>,
    key_id: Option<String>,
    day: Option<CqlDate>,
    first_serial: Option<i64>,
    count: Option<i64>,
    batch_paused: Option<bool>,
    lines: Option<i64>,
    imported: Option<i64>,
    already_there: Option<i64>,
    rejected: Option<i64>,
    batch_made_at: Option<CqlTimestamp>,
}

fn absent(column: &str) -> HotError {
    HotError::Damaged(format!("campaign: no {column}"))
}

fn small<T: TryFrom<i32>>(column: &str, number: i32) -> Result<T> {
    T::try_from(number).map_err(|_| HotError::Damaged(format!("{column} is {number}")))
}

impl Row {
    fn terms(&self) -> Result<Campaign> {
        let text = |column: &'static str, value: &Option<String>| {
            value.clone().ok_or_else(|| absent(column))
        };
        let at = |column: &'static str, value: Option<CqlTimestamp>| {
            value.map(millis).ok_or_else(|| absent(column))
        };
        let days = |column: &'static str, value: Option<i32>| {
            small::<u16>(column, value.ok_or_else(|| absent(column))?)
        };
        Ok(Campaign {
            id: parsed("campaign_id", &self.campaign_id)?,
            name: text("name", &self.name)?,
            handout: parsed("handout", &text("handout", &self.handout)?)?,
            shared_code: match &self.shared_code {
                Some(code) => Some(parsed("shared_code", code)?),
                None => None,
            },
            code_prefix: match &self.code_prefix {
                Some(prefix) => Some(parsed("code_prefix", prefix)?),
                None => None,
            },
            valid_from: at("valid_from", self.valid_from)?,
            expires_at: at("expires_at", self.expires_at)?,
            zone: parsed("time_zone", &text("time_zone", &self.time_zone)?)?,
            valid_days: self.valid_days.map(|days| small("valid_days", days)).transpose()?,
            issue_from: self.issue_from.map(millis),
            issue_until: self.issue_until.map(millis),
            per_user_limit: self
                .per_user_limit
                .map(|limit| small("per_user_limit", limit))
                .transpose()?,
            cancel_days: days("cancel_days", self.cancel_days)?,
            extend_days: days("extend_days", self.extend_days)?,
            paused: self.paused == Some(true),
            metadata: self.metadata.clone(),
            created_at: at("created_at", self.created_at)?,
        })
    }
}

impl BatchRow {
    fn batch(self) -> Result<Option<BatchHere>> {
        let Some(id) = self.batch_id else { return Ok(None) };
        let count = |column: Option<i64>| column.unwrap_or(0).unsigned_abs();
        let run = match (self.key_id, self.day) {
            (Some(key), Some(on)) => Some(MintedRun {
                key: parsed("key_id", &key)?,
                day: day(on),
                first: count(self.first_serial),
                count: count(self.count),
            }),
            _ => None,
        };
        Ok(Some(BatchHere {
            id: parsed("batch_id", &id)?,
            number: self.number.ok_or_else(|| absent("number"))?,
            run,
            paused: self.batch_paused == Some(true),
            made_at: self.batch_made_at.map(millis).ok_or_else(|| absent("batch_made_at"))?,
            import: ImportCounts {
                lines: count(self.lines),
                imported: count(self.imported),
                already_there: count(self.already_there),
                rejected: count(self.rejected),
            },
        }))
    }
}

impl Store {
    /// A campaign as it is at this moment, half-made ones too.
    async fn campaign_now(&self, id: &CampaignId) -> Result<Option<CampaignHere>> {
        let since = Instant::now();
        let cql = "SELECT campaign_id, revision, made, name, handout, shared_code, code_prefix, \
                   valid_from, expires_at, time_zone, valid_days, issue_from, issue_until, \
                   per_user_limit, cancel_days, extend_days, paused, metadata, created_at, \
                   created_as FROM campaign WHERE campaign_id = ? LIMIT 1";
        let row: Option<Row> = self.cluster.row(Manner::Read, cql, (id.as_str(),)).await?;
        let Some(row) = row.filter(|row| row.revision.is_some()) else { return Ok(None) };
        let cql = "SELECT batch_id, number, key_id, day, first_serial, count, batch_paused, lines, \
                   imported, already_there, rejected, batch_made_at FROM campaign \
                   WHERE campaign_id = ?";
        let mut batches = BTreeMap::new();
        for batch in self.cluster.scan::<BatchRow>(cql, (id.as_str(),)).await? {
            if let Some(batch) = batch.batch()? {
                batches.insert(batch.id.clone(), batch);
            }
        }
        let here = CampaignHere {
            terms: Arc::new(row.terms()?),
            batches: Arc::new(batches),
            created_as: row.created_as.as_deref().unwrap_or_default().into(),
            revision: row.revision.unwrap_or(0),
            made: row.made == Some(true),
        };
        if here.made {
            self.known.keep(since, &here);
        }
        Ok(Some(here))
    }

    /// The terms of a campaign, at most [`TERMS_KNOWN`] old.
    pub(super) async fn terms(&self, id: &CampaignId) -> Result<Option<CampaignHere>> {
        if let Some(here) = self.known.get(id) {
            return Ok(Some(here));
        }
        // One reads for all that ask at this moment.
        let _turn = self.turns.turn(("terms", id)).await?;
        if let Some(here) = self.known.get(id) {
            return Ok(Some(here));
        }
        Ok(self.campaign_now(id).await?.filter(|here| here.made))
    }

    /// The same with a batch that may have been made a moment ago.
    pub(super) async fn batch_of(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
    ) -> Result<Option<(CampaignHere, BatchHere)>> {
        let Some(mut here) = self.terms(campaign).await? else { return Ok(None) };
        if !here.batches.contains_key(batch) {
            match self.campaign_now(campaign).await?.filter(|here| here.made) {
                Some(now) => here = now,
                None => return Ok(None),
            }
        }
        let found = here.batches.get(batch).cloned();
        Ok(found.map(|batch| (here, batch)))
    }

    async fn campaign_row(&self, here: &CampaignHere, now: Millis) -> Result<CampaignRow> {
        let counted = self.tallies.of(self, &here.terms.id).await?;
        let minted = here.batches.values().filter_map(|batch| batch.run).map(|run| run.count);
        let stock = minted.sum::<u64>() + counted.arrived();
        let tally = Tally { stock, ..counted.tally() };
        let counted_at = counted.counted_at(now);
        let (campaign, created_as) = (Arc::clone(&here.terms), here.created_as.to_string());
        Ok(CampaignRow { campaign, tally, counted_at, created_as })
    }

    pub(super) async fn campaign_with_counts(
        &self,
        id: &CampaignId,
        now: Millis,
    ) -> Result<Option<CampaignRow>> {
        match self.campaign_now(id).await?.filter(|here| here.made) {
            Some(here) => self.campaign_row(&here, now).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn campaign_names(
        &self,
        after: Option<&CampaignId>,
        limit: usize,
    ) -> Result<Vec<CampaignId>> {
        let cql = "SELECT campaign_id FROM campaign_name WHERE part = ? AND campaign_id > ? \
                   LIMIT ?";
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (NAMES, after.map_or("", CampaignId::as_str), limit);
        let names: Vec<(String,)> = self.cluster.rows(Manner::Read, cql, values).await?;
        names.iter().map(|(name,)| parsed("campaign_id", name)).collect()
    }

    pub(super) async fn campaigns_with_counts(
        &self,
        after: Option<CampaignId>,
        limit: usize,
        now: Millis,
    ) -> Result<Vec<CampaignRow>> {
        let (mut after, mut rows) = (after, Vec::new());
        while rows.len() < limit {
            let names = self.campaign_names(after.as_ref(), limit - rows.len()).await?;
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            for name in &names {
                // A name without a campaign: one that was never finished.
                rows.extend(self.campaign_with_counts(name, now).await?);
            }
        }
        Ok(rows)
    }

    /// Makes a campaign in steps: its row, not yet seen; its word; its first batch; and then it is
    /// seen. Whoever asks for the same again finishes what was begun.
    pub(super) async fn make_campaign(&self, new: &NewCampaign) -> Result<Named<CampaignRow>> {
        let (campaign, now) = (&new.campaign, new.campaign.created_at);
        let mut here = match self.campaign_now(&campaign.id).await? {
            Some(here) if *here.created_as != *new.created_as => {
                return Ok(Named::Refused(Refusal::NameTaken));
            }
            Some(here) if here.made => {
                return Ok(Named::Same(self.campaign_row(&here, now).await?));
            }
            Some(here) => here,
            None => {
                if let Some(refusal) = self.cannot_be_made(new).await? {
                    return Ok(Named::Refused(refusal));
                }
                match self.begin_campaign(campaign, &new.created_as).await? {
                    Some(here) => here,
                    None => return Ok(Named::Refused(Refusal::NameTaken)),
                }
            }
        };
        let id = here.terms.id.clone();
        if let Some(word) = &here.terms.shared_code
            && !self.take_word(word, &id).await?
        {
            return Ok(Named::Refused(self.unmake(&here, Refusal::NameTaken).await?));
        }
        if let Some(order) = &new.first_batch
            && !here.batches.contains_key(&order.id)
        {
            match self.reserve(&here.terms, order, now).await? {
                Err(refusal) => return Ok(Named::Refused(self.unmake(&here, refusal).await?)),
                Ok(run) => {
                    here = self.put_batch(here, &order.id, Some(run), now).await?;
                }
            }
        }
        let finished = self.finish_campaign(here).await?;
        Ok(Named::Created(self.campaign_row(&finished, now).await?))
    }

    /// What can be known to stand in the way before anything is written.
    async fn cannot_be_made(&self, new: &NewCampaign) -> Result<Option<Refusal>> {
        let campaign = &new.campaign;
        if let Some(word) = &campaign.shared_code
            && self.directory_entry(word).await?.is_some()
        {
            return Ok(Some(Refusal::NameTaken));
        }
        if self.enter(campaign.shelf(), campaign, None).await?.is_err() {
            return Ok(Some(Refusal::ShelfClosed));
        }
        let Some(order) = &new.first_batch else { return Ok(None) };
        if campaign.created_at >= campaign.expires_at {
            return Ok(Some(Refusal::Expired));
        }
        let next = self.next_serial(campaign.shelf()).await?;
        Ok((next.saturating_add(order.count) > SERIALS_PER_DAY).then_some(Refusal::SoldOut))
    }

    /// The row of a campaign that nobody sees yet; `None` when the name is another's.
    async fn begin_campaign(
        &self,
        campaign: &Campaign,
        created_as: &str,
    ) -> Result<Option<CampaignHere>> {
        let cql = "INSERT INTO campaign_name (part, campaign_id) VALUES (?, ?)";
        self.cluster.write(cql, (NAMES, campaign.id.as_str())).await?;
        let mut attempts = self.attempts("a new campaign");
        loop {
            match attempts.looked(self.campaign_now(&campaign.id).await)? {
                Some(here) => {
                    return Ok(Some(here).filter(|here| *here.created_as == *created_as));
                }
                None => {
                    let cql = "UPDATE campaign SET revision = 0, made = false, name = ?, \
                               handout = ?, shared_code = ?, code_prefix = ?, valid_from = ?, \
                               expires_at = ?, time_zone = ?, valid_days = ?, issue_from = ?, \
                               issue_until = ?, per_user_limit = ?, cancel_days = ?, \
                               extend_days = ?, paused = ?, metadata = ?, created_at = ?, \
                               created_as = ? WHERE campaign_id = ? IF revision = null";
                    let values = NewCampaignValues::of(campaign, created_as);
                    attempts
                        .wrote(self.cluster.change(attempts.manner(), cql, values).await)
                        .await?;
                }
            }
        }
    }

    /// Takes a word for a campaign; `false` when it is another's.
    async fn take_word(&self, word: &Code, id: &CampaignId) -> Result<bool> {
        let mut attempts = self.attempts("a shared word");
        loop {
            match attempts.looked(self.directory_entry(word).await)? {
                Some(Entry::Shared { campaign }) => return Ok(campaign == *id),
                Some(Entry::Coupon { .. }) => return Ok(false),
                None => {
                    let cql = "INSERT INTO directory (code, kind, campaign_id) \
                               VALUES (?, 'shared', ?) IF NOT EXISTS";
                    let values = (word.as_str(), id.as_str());
                    let wrote =
                        attempts.wrote(self.cluster.change(attempts.manner(), cql, values).await);
                    // Refused by an entry that no look shows: the code of a lost campaign.
                    if !wrote.await? && self.directory_has(word).await? {
                        return Ok(matches!(
                            self.directory_entry(word).await?,
                            Some(Entry::Shared { campaign }) if campaign == *id
                        ));
                    }
                }
            }
        }
    }

    /// A campaign that turned out to be impossible after it was begun is no campaign.
    async fn unmake(&self, here: &CampaignHere, refusal: Refusal) -> Result<Refusal> {
        let cql = "UPDATE campaign SET revision = null, created_as = null WHERE campaign_id = ? \
                   IF revision = ? AND made = false";
        let values = (here.terms.id.as_str(), here.revision);
        // Whoever asks again finds the same in the way, whatever came of this.
        let _ = self.cluster.change(Manner::Change, cql, values).await?;
        Ok(refusal)
    }

    async fn finish_campaign(&self, here: CampaignHere) -> Result<CampaignHere> {
        let id = &here.terms.id;
        let mut attempts = self.attempts("a new campaign");
        loop {
            let now = attempts.looked(self.campaign_now(id).await)?;
            let now = now.ok_or_else(|| absent("row"))?;
            if now.made {
                return Ok(now);
            }
            let cql = "UPDATE campaign SET revision = ?, made = true WHERE campaign_id = ? \
                       IF revision = ?";
            let values = (now.revision + 1, id.as_str(), now.revision);
            attempts.wrote(self.cluster.change(attempts.manner(), cql, values).await).await?;
        }
    }

    /// Puts a batch among those of a campaign, or finds that it is there.
    async fn put_batch(
        &self,
        here: CampaignHere,
        id: &BatchId,
        run: Option<MintedRun>,
        now: Millis,
    ) -> Result<CampaignHere> {
        let mut attempts = self.attempts("a new batch");
        let mut here = here;
        loop {
            if here.batches.contains_key(id) {
                self.known.forget(&here.terms.id);
                return Ok(here);
            }
            let number = here.batches.values().map(|it| it.number + 1).max().unwrap_or(0);
            let cql = "UPDATE campaign SET revision = ?, number = ?, key_id = ?, day = ?, \
                       first_serial = ?, count = ?, batch_made_at = ? \
                       WHERE campaign_id = ? AND batch_id = ? IF revision = ?";
            let values = (
                here.revision + 1,
                number,
                run.map(|run| run.key.to_string()),
                run.map(|run| date(run.day)),
                run.map(|run| signed(run.first)),
                run.map(|run| signed(run.count)),
                instant(now),
                here.terms.id.as_str(),
                id.as_str(),
                here.revision,
            );
            attempts.wrote(self.cluster.change(attempts.manner(), cql, values).await).await?;
            let again = attempts.looked(self.campaign_now(&here.terms.id).await)?;
            here = again.ok_or_else(|| absent("row"))?;
        }
    }

    pub(super) async fn patch(
        &self,
        id: &CampaignId,
        patch: &CampaignPatch,
        now: Millis,
    ) -> Result<Patched> {
        let mut attempts = self.attempts("a campaign's terms");
        let mut wanted: Option<Campaign> = None;
        loop {
            let here = attempts.looked(self.campaign_now(id).await)?.filter(|here| here.made);
            let Some(here) = here else { return Ok(Patched::NotFound) };
            if wanted.as_ref() == Some(&*here.terms) {
                // Until then another process may go by the terms of before.
                tokio::time::sleep(TERMS_KNOWN).await;
                self.known.forget(id);
                return Ok(Patched::Done(self.campaign_row(&here, now).await?));
            }
            let after = match patched(&here.terms, patch) {
                Ok(after) => after,
                Err(refused) => return Ok(refused),
            };
            let cql = "UPDATE campaign SET revision = ?, name = ?, metadata = ?, paused = ?, \
                       issue_from = ?, issue_until = ?, per_user_limit = ? WHERE campaign_id = ? \
                       IF revision = ?";
            let values = (
                here.revision + 1,
                after.name.as_str(),
                after.metadata.as_deref(),
                after.paused,
                after.issue_from.map(instant),
                after.issue_until.map(instant),
                after.per_user_limit.map(i32::from),
                id.as_str(),
                here.revision,
            );
            attempts.wrote(self.cluster.change(attempts.manner(), cql, values).await).await?;
            wanted = Some(after);
        }
    }

    pub(super) async fn mint_batch(
        &self,
        campaign: &CampaignId,
        order: &MintOrder,
        now: Millis,
    ) -> Result<Named<Batch>> {
        let here = self.campaign_now(campaign).await?.filter(|here| here.made);
        let Some(here) = here else { return Ok(Named::Refused(Refusal::NotFound)) };
        if let Some(batch) = here.batches.get(&order.id) {
            return Ok(match batch.run {
                Some(run) if run.count == order.count => {
                    Named::Same(self.batch_row(&here, batch).await?)
                }
                Some(_) | None => Named::Refused(Refusal::NameTaken),
            });
        }
        if here.batches.len() >= BATCHES_MAX {
            return Ok(Named::Refused(Refusal::HistoryFull));
        }
        let run = match self.reserve(&here.terms, order, now).await? {
            Err(refusal) => return Ok(Named::Refused(refusal)),
            Ok(run) => run,
        };
        let here = self.put_batch(here, &order.id, Some(run), now).await?;
        let batch = here.batches.get(&order.id).ok_or_else(|| absent("batch"))?;
        match batch.run == Some(run) {
            true => Ok(Named::Created(self.batch_row(&here, batch).await?)),
            false => Ok(Named::Refused(Refusal::NameTaken)),
        }
    }

    pub(super) async fn open_import_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        now: Millis,
    ) -> Result<Named<Batch>> {
        let here = self.campaign_now(campaign).await?.filter(|here| here.made);
        let Some(here) = here else { return Ok(Named::Refused(Refusal::NotFound)) };
        if let Some(batch) = here.batches.get(id) {
            return Ok(match batch.run {
                None => Named::Same(self.batch_row(&here, batch).await?),
                Some(_) => Named::Refused(Refusal::NameTaken),
            });
        }
        if here.batches.len() >= BATCHES_MAX {
            return Ok(Named::Refused(Refusal::HistoryFull));
        }
        let here = self.put_batch(here, id, None, now).await?;
        let batch = here.batches.get(id).ok_or_else(|| absent("batch"))?;
        match batch.run {
            None => Ok(Named::Created(self.batch_row(&here, batch).await?)),
            Some(_) => Ok(Named::Refused(Refusal::NameTaken)),
        }
    }

    async fn batch_row(&self, here: &CampaignHere, batch: &BatchHere) -> Result<Batch> {
        let count = match batch.run {
            Some(run) => run.count,
            None => self.tallies.of(self, &here.terms.id).await?.arrived_in(&batch.id),
        };
        Ok(Batch {
            id: batch.id.clone(),
            campaign: here.terms.id.clone(),
            kind: batch.run.map_or(BatchKind::Imported, BatchKind::Minted),
            count,
            paused: batch.paused,
            import: batch.import,
            created_at: batch.made_at,
        })
    }

    pub(super) async fn one_batch(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
    ) -> Result<Option<Batch>> {
        let here = self.campaign_now(campaign).await?.filter(|here| here.made);
        match here.as_ref().and_then(|here| Some((here, here.batches.get(id)?))) {
            Some((here, batch)) => self.batch_row(here, batch).await.map(Some),
            None => Ok(None),
        }
    }

    pub(super) async fn some_batches(
        &self,
        campaign: &CampaignId,
        after: Option<&BatchId>,
        limit: usize,
    ) -> Result<Vec<Batch>> {
        let here = self.campaign_now(campaign).await?.filter(|here| here.made);
        let Some(here) = here else { return Ok(Vec::new()) };
        let after = after.and_then(|id| here.batches.get(id)).map_or(-1, |batch| batch.number);
        let mut batches = Vec::new();
        for batch in here.in_order().into_iter().filter(|it| it.number > after).take(limit) {
            batches.push(self.batch_row(&here, batch).await?);
        }
        Ok(batches)
    }

    pub(super) async fn pause(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        paused: bool,
        reason: Option<&str>,
    ) -> Result<Option<Batch>> {
        let mut attempts = self.attempts("a batch's pause");
        let mut wrote = false;
        loop {
            let here = attempts.looked(self.campaign_now(campaign).await)?.filter(|it| it.made);
            let Some((here, batch)) =
                here.as_ref().and_then(|here| Some((here, here.batches.get(id)?)))
            else {
                return Ok(None);
            };
            if wrote && batch.paused == paused {
                tokio::time::sleep(TERMS_KNOWN).await;
                self.known.forget(campaign);
                return self.batch_row(here, batch).await.map(Some);
            }
            let cql = "UPDATE campaign SET revision = ?, batch_paused = ?, paused_reason = ? \
                       WHERE campaign_id = ? AND batch_id = ? IF revision = ?";
            let values =
                (here.revision + 1, paused, reason, campaign.as_str(), id.as_str(), here.revision);
            wrote = true;
            attempts.wrote(self.cluster.change(attempts.manner(), cql, values).await).await?;
        }
    }

    pub(super) async fn count_import(
        &self,
        campaign: &CampaignId,
        id: &BatchId,
        counts: ImportCounts,
    ) -> Result<Option<Batch>> {
        let mut attempts = self.attempts("an import's counts");
        loop {
            let here = attempts.looked(self.campaign_now(campaign).await)?.filter(|it| it.made);
            let Some((here, batch)) =
                here.as_ref().and_then(|here| Some((here, here.batches.get(id)?)))
            else {
                return Ok(None);
            };
            if batch.import == counts {
                return self.batch_row(here, batch).await.map(Some);
            }
            let cql = "UPDATE campaign SET revision = ?, lines = ?, imported = ?, \
                       already_there = ?, rejected = ? WHERE campaign_id = ? AND batch_id = ? \
                       IF revision = ?";
            let values = (
                here.revision + 1,
                signed(counts.lines),
                signed(counts.imported),
                signed(counts.already_there),
                signed(counts.rejected),
                campaign.as_str(),
                id.as_str(),
                here.revision,
            );
            attempts.wrote(self.cluster.change(attempts.manner(), cql, values).await).await?;
        }
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
         WHERE day = ?"
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

impl Store {
    pub(super) async fn run_with(
        &self,
        key: KeyId,
        on: Day,
        serial: u64,
    ) -> Result<Option<(Owner, MintedRun)>> {
        let cql = concat!(run_columns!(), " AND first <= ? LIMIT 1");
        let row: Option<RunRow> =
            self.cluster.row(Manner::Read, cql, (date(on), signed(serial))).await?;
        let found = row.map(|row| row.run(on)).transpose()?.flatten();
        Ok(found.filter(|(_, run)| run.key == key && run.holds(serial)))
    }

    /// Where the next run of a day begins, at least.
    async fn next_serial(&self, on: Day) -> Result<u64> {
        let floor = self.setting_number(super::adopt::SERIAL_FLOOR).await?.unwrap_or(0);
        let cql = concat!(run_columns!(), " LIMIT 1");
        let row: Option<RunRow> = self.cluster.row(Manner::Read, cql, (date(on),)).await?;
        Ok(row.and_then(|row| row.next_serial).map_or(floor, i64::unsigned_abs))
    }

    /// Reserves the serials of a batch: one conditional write takes them and says whose they are. A
    /// batch that was reserved and not made has them still.
    async fn reserve(
        &self,
        campaign: &Campaign,
        order: &MintOrder,
        now: Millis,
    ) -> Result<std::result::Result<MintedRun, Refusal>> {
        if now >= campaign.expires_at {
            return Ok(Err(Refusal::Expired));
        }
        let on = campaign.shelf();
        if self.enter(on, campaign, None).await?.is_err() {
            return Ok(Err(Refusal::ShelfClosed));
        }
        let cql = "INSERT INTO key_in_use (key_id) VALUES (?)";
        self.cluster.write(cql, (order.key.to_string(),)).await?;
        let floor = self.setting_number(super::adopt::SERIAL_FLOOR).await?.unwrap_or(0);
        let mut attempts = self.attempts("the serials of a batch");
        loop {
            let _turn = attempts.looked(self.turns.turn(("serials", on)).await)?;
            let rows: Vec<RunRow> =
                attempts.looked(self.cluster.scan(run_columns!(), (date(on),)).await)?;
            for row in &rows {
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
            let Some(next) = first.checked_add(order.count).filter(|it| *it <= SERIALS_PER_DAY)
            else {
                return Ok(Err(Refusal::SoldOut));
            };
            let cql = "UPDATE minted_run SET next_serial = ?, count = ?, key_id = ?, \
                       campaign_id = ?, batch_id = ? WHERE day = ? AND first = ? \
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
            attempts.wrote(self.cluster.change(attempts.manner(), cql, values).await).await?;
        }
    }

    pub(super) async fn keys_named(&self) -> Result<Vec<KeyId>> {
        let rows: Vec<(String,)> = self.cluster.scan("SELECT key_id FROM key_in_use", ()).await?;
        rows.iter().map(|(id,)| parsed("key_id", id)).collect()
    }

    pub(super) async fn directory_entry(&self, code: &Code) -> Result<Option<Entry>> {
        let cql = "SELECT kind, campaign_id, batch_id, shelf_day FROM directory WHERE code = ?";
        type EntryRow = (Option<String>, Option<String>, Option<String>, Option<CqlDate>);
        let row: Option<EntryRow> = self.cluster.row(Manner::Read, cql, (code.as_str(),)).await?;
        let Some((Some(kind), campaign, batch, shelf)) = row else { return Ok(None) };
        if kind == "gone" {
            return Ok(None);
        }
        let campaign = parsed("campaign_id", campaign.as_deref().unwrap_or_default())?;
        match (kind.as_str(), batch, shelf) {
            ("shared", _, _) => Ok(Some(Entry::Shared { campaign })),
            ("coupon", Some(batch), Some(shelf)) => {
                let owner = Owner { campaign, batch: parsed("batch_id", &batch)? };
                Ok(Some(Entry::Coupon { day: day(shelf), owner }))
            }
            (kind, _, _) => Err(HotError::Damaged(format!("directory: {code} is {kind}"))),
        }
    }

    async fn directory_has(&self, code: &Code) -> Result<bool> {
        let cql = "SELECT kind FROM directory WHERE code = ?";
        let row: Option<(Option<String>,)> =
            self.cluster.row(Manner::Read, cql, (code.as_str(),)).await?;
        Ok(row.is_some())
    }
}

/// More columns than a tuple may have.
#[derive(scylla::SerializeRow)]
#[scylla(flavor = "enforce_order", skip_name_checks)]
struct NewCampaignValues<'a> {
    name: &'a str,
    handout: &'a str,
    shared_code: Option<&'a str>,
    code_prefix: Option<&'a str>,
    valid_from: CqlTimestamp,
    expires_at: CqlTimestamp,
    time_zone: &'a str,
    valid_days: Option<i32>,
    issue_from: Option<CqlTimestamp>,
    issue_until: Option<CqlTimestamp>,
    per_user_limit: Option<i32>,
    cancel_days: i32,
    extend_days: i32,
    paused: bool,
    metadata: Option<&'a str>,
    created_at: CqlTimestamp,
    created_as: &'a str,
    campaign_id: &'a str,
}

impl<'a> NewCampaignValues<'a> {
    fn of(campaign: &'a Campaign, created_as: &'a str) -> NewCampaignValues<'a> {
        NewCampaignValues {
            name: &campaign.name,
            handout: campaign.handout.word(),
            shared_code: campaign.shared_code.as_ref().map(Code::as_str),
            code_prefix: campaign.code_prefix.as_ref().map(|prefix| prefix.as_str()),
            valid_from: instant(campaign.valid_from),
            expires_at: instant(campaign.expires_at),
            time_zone: campaign.zone.name(),
            valid_days: campaign.valid_days.map(i32::from),
            issue_from: campaign.issue_from.map(instant),
            issue_until: campaign.issue_until.map(instant),
            per_user_limit: campaign.per_user_limit.map(i32::from),
            cancel_days: i32::from(campaign.cancel_days),
            extend_days: i32::from(campaign.extend_days),
            paused: campaign.paused,
            metadata: campaign.metadata.as_deref(),
            created_at: instant(campaign.created_at),
            created_as,
            campaign_id: campaign.id.as_str(),
        }
    }
}
