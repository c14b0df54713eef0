//! Lines of an import: each wins its directory entry, then its row.
//!
//! The entry says all that the row is made of, so that whoever writes the row writes the same one.
//! A new row is a plain write with a write time of long ago: written a second time, by a run that is
//! repeated or by a node that was frozen, it changes nothing that happened since.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use coupon::campaign::Handout;
use coupon::code::Code;
use coupon::coupon::{Coupon, EventKind, Genesis, State};
use coupon::ids::{Actor, BatchId, CampaignId, OperationId};
use coupon::imported::{Advance, ImportRun, ImportedState, advance, arrive};
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};
use router::bucket;
use scylla::value::{CqlDate, CqlTimestamp};
use scylla::{DeserializeRow, SerializeRow};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use super::Store;
use super::bounded_join::bounded_join;
use super::campaigns::CampaignHere;
use super::coupons::{CouponKeyColumns, GenesisColumns, Here, Located, Trace, Written};
use super::session::{Result, StatementProfile};
use super::values::{
    EventValue, date, day, events_behind, instant, millis, parsed, signed, uuid as uuid_of,
};
use hot::{HotError, ImportLine, ImportOutcome, RejectedLine, Tier, imported_state_text};

/// The write time of an imported row: a second after the beginning of time, in microseconds. Every
/// later change is newer, whatever the clocks say.
const LONG_AGO: i64 = 1_000_000;

/// Lines that are worked on at a time.
const AT_ONCE: usize = 64;

/// Rows of one write to one partition, some 20 KiB.
const ROWS_AT_ONCE: usize = 50;

/// What the directory says of a code, as an import reads it.
#[derive(DeserializeRow)]
struct EntryRow {
    kind: Option<String>,
    campaign_id: Option<String>,
    batch_id: Option<String>,
    expiry_day: Option<CqlDate>,
    valid_from: Option<CqlTimestamp>,
    expires_at: Option<CqlTimestamp>,
    arrived_as: Option<String>,
    imported_state: Option<String>,
    arrived_at: Option<CqlTimestamp>,
    actor: Option<String>,
    operation: Option<Uuid>,
}

/// The entry of a line of this campaign with these dates.
#[derive(Clone, Debug)]
struct EntryOfLine {
    batch: BatchId,
    day: Day,
    arrived_as: ImportedState,
    imported_state: ImportedState,
    run: ImportRun,
}

/// What one line of a group needs.
enum Line {
    /// Nothing more: this came of it.
    Done(ImportOutcome),
    /// Its row, and then what the line says beyond it.
    Row(Box<EntryOfLine>),
    /// What it says beyond what was imported.
    Advance(Box<EntryOfLine>),
}

impl Store {
    /// What came of lines, in their order. A code that stands twice among them is looked at in that
    /// order too.
    pub(super) async fn import_lines(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: &[ImportLine],
        run: &ImportRun,
    ) -> Result<Vec<ImportOutcome>> {
        let gone = || HotError::Damaged("the batch of an import is gone".into());
        let (here, _) = self.batch_of(campaign, batch).await?.ok_or_else(gone)?;
        let mut outcomes = vec![ImportOutcome::AlreadyThere; lines.len()];
        let mut left: Vec<usize> = (0..lines.len()).collect();
        let mut in_cold = HashMap::new();
        while !left.is_empty() {
            let mut seen = HashSet::new();
            let (now, later): (Vec<usize>, Vec<usize>) =
                left.into_iter().partition(|at| seen.insert(&lines[*at].code));
            let expects_new = AtomicBool::new(false);
            let round = Round { store: self, here: &here, batch, run, expects_new };
            let some: Vec<&ImportLine> = now.iter().map(|at| &lines[*at]).collect();
            for (at, outcome) in now.iter().zip(round.lines(&some, &mut in_cold).await?) {
                outcomes[*at] = outcome;
            }
            left = later;
        }
        Ok(outcomes)
    }
}

/// Lines with codes of their own.
struct Round<'a> {
    store: &'a Store,
    here: &'a CampaignHere,
    batch: &'a BatchId,
    run: &'a ImportRun,
    /// Whether the last line that was looked at was new.
    expects_new: AtomicBool,
}

impl Round<'_> {
    /// What came of lines; `in_cold` are the coupons that lines before them have brought from there.
    async fn lines(
        &self,
        lines: &[&ImportLine],
        in_cold: &mut HashMap<Code, Located>,
    ) -> Result<Vec<ImportOutcome>> {
        let closing = self.enter_days(lines).await?;
        let looks = lines.iter().map(|line| self.look(line, &closing));
        let looks: Vec<Line> = bounded_join(AT_ONCE, looks).await?;
        let mut rows = Vec::new();
        for (line, look) in lines.iter().zip(&looks) {
            if let Line::Row(known) = look {
                rows.push(self.arrived(line, known)?);
            }
        }
        self.write_rows(&rows).await?;
        // After the rows are acknowledged: a day that is closing by then may be sealed without them.
        let days: BTreeSet<Day> = rows.iter().map(|located| located.day).collect();
        let mut closed = HashSet::new();
        for day in days {
            let plan = self.store.plan(StatementProfile::Serial, day).await?;
            if plan.is_none_or(|plan| plan.is_closing()) {
                closed.insert(day);
            }
        }
        // Lines that need nothing of cold are done by now, whatever cold answers to the others.
        let known = &*in_cold;
        let traces = lines.iter().zip(&looks).map(|(line, look)| self.trace(line, look, known));
        let traces: Vec<Trace> = bounded_join(AT_ONCE, traces).await?;
        let found = self.store.resolve(traces).await?;
        for located in found.iter().flatten().filter(|it| it.tier == Tier::Cold) {
            in_cold.insert(located.coupon.code().clone(), located.clone());
        }
        let ends = lines.iter().zip(looks).zip(found).map(|((line, look), found)| {
            let closed = &closed;
            async move {
                match look {
                    Line::Done(outcome) => Ok(outcome),
                    Line::Row(known) if closed.contains(&known.day) => {
                        Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed))
                    }
                    Line::Row(known) => Ok(match self.advance(line, &known, found).await? {
                        // It was imported as an earlier file had it, which this line contradicts.
                        refused @ ImportOutcome::Refused(_) => refused,
                        _ => ImportOutcome::Imported,
                    }),
                    // Its entry was won, and then its partition was sealed.
                    Line::Advance(_) if found.is_none() => {
                        Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed))
                    }
                    Line::Advance(known) => self.advance(line, &known, found).await,
                }
            }
        });
        bounded_join(AT_ONCE, ends).await
    }

    /// Where the coupon lies of a line that says more than was imported.
    async fn trace(
        &self,
        line: &ImportLine,
        look: &Line,
        in_cold: &HashMap<Code, Located>,
    ) -> Result<Trace> {
        if let Some(located) = in_cold.get(&line.code) {
            return Ok(Trace::Here(Box::new(located.clone())));
        }
        match look {
            Line::Advance(known) => self.store.trace(known.day, &line.code).await,
            Line::Done(_) | Line::Row(_) => Ok(Trace::Nothing),
        }
    }

    /// Enters every day that a line may bring a coupon to; those that are closing.
    async fn enter_days(&self, lines: &[&ImportLine]) -> Result<HashSet<Day>> {
        let days: BTreeSet<Day> =
            lines.iter().map(|line| Day::expiry_day_of(line.expires_at)).collect();
        let mut closing = HashSet::new();
        for day in days {
            if self.store.enter(day, &self.here.terms, None).await?.is_err() {
                closing.insert(day);
            }
        }
        Ok(closing)
    }

    async fn look(&self, line: &ImportLine, closing: &HashSet<Day>) -> Result<Line> {
        let day = Day::expiry_day_of(line.expires_at);
        let mut attempts = self.store.attempts("the directory entry of a line");
        // Lines come in runs: where the last one was new, this one will be too, and winning its entry
        // is all it takes.
        let mut looks = !self.expects_new.load(Ordering::Relaxed) || closing.contains(&day);
        loop {
            if looks {
                match attempts.looked(self.store.entry_row(&line.code).await)? {
                    Some(row) => {
                        self.expects_new.store(false, Ordering::Relaxed);
                        return self.look_again(line, row).await;
                    }
                    None if closing.contains(&day) => {
                        return Ok(Line::Done(ImportOutcome::Refused(Refusal::ExpiryDayClosed)));
                    }
                    None => self.expects_new.store(true, Ordering::Relaxed),
                }
            }
            looks = true;
            let cql = "INSERT INTO directory (code, kind, campaign_id, batch_id, expiry_day, \
                       valid_from, expires_at, arrived_as, imported_state, arrived_at, actor, \
                       operation) VALUES (?, 'coupon', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) IF NOT EXISTS";
            let imported_state = imported_state_text::to_json(&line.imported_state);
            let values = (
                line.code.as_str(),
                self.here.terms.id.as_str(),
                self.batch.as_str(),
                date(day),
                instant(line.valid_from),
                instant(line.expires_at),
                imported_state.as_str(),
                imported_state.as_str(),
                instant(self.run.at),
                self.run.actor.as_str(),
                uuid_of(self.run.operation),
            );
            let cas = self.store.cluster.change(attempts.profile(), cql, values).await;
            if attempts.wrote(cas).await? {
                return Ok(Line::Row(Box::new(EntryOfLine {
                    batch: self.batch.clone(),
                    day,
                    arrived_as: line.imported_state.clone(),
                    imported_state: line.imported_state.clone(),
                    run: self.run.clone(),
                })));
            }
        }
    }

    /// A line whose code the directory knows.
    async fn look_again(&self, line: &ImportLine, row: EntryRow) -> Result<Line> {
        let Some(known) = row.of(self.here, line)? else {
            return Ok(Line::Done(ImportOutcome::CodeTaken));
        };
        // An entry without a row is no coupon yet: the same line, sent again, writes it.
        match self.store.trace(known.day, &line.code).await? {
            Trace::Nothing => Ok(Line::Row(Box::new(known))),
            // Nothing here says that its row was ever written: cold knows.
            Trace::InCold { archived_marker: None, .. }
                if known.imported_state == known.arrived_as =>
            {
                Ok(Line::Advance(Box::new(known)))
            }
            // Most lines of a file that is sent again: the coupon need not be looked at.
            _ if line.imported_state.adds_nothing_to(&known.imported_state) => {
                Ok(Line::Done(ImportOutcome::AlreadyThere))
            }
            _ => Ok(Line::Advance(Box::new(known))),
        }
    }

    /// The coupon of a line, as it arrived.
    fn arrived(&self, line: &ImportLine, known: &EntryOfLine) -> Result<Located> {
        let genesis = Genesis {
            code: line.code.clone(),
            campaign: self.here.terms.id.clone(),
            batch: known.batch.clone(),
            valid_from: line.valid_from,
            expires_at: line.expires_at,
            zone: self.here.terms.zone.clone(),
            created_at: known.run.at,
        };
        let coupon = arrive(genesis, &known.arrived_as, &known.run);
        // The bucket is found when the row is written.
        let here = Here { campaign: self.here.clone(), bucket: 0 };
        let (day, tier) = (known.day, Tier::Hot);
        Ok(Located { coupon, batch_paused: false, day, tier, frozen: false, here })
    }

    /// Claims, stock and index rows, then the rows, a partition at a time.
    async fn write_rows(&self, arrived: &[Located]) -> Result<()> {
        let store = self.store;
        let before = arrived.iter().map(|located| async move {
            let (coupon, day) = (&located.coupon, located.day);
            store.claim_for_holder(&located.here.campaign, day, coupon, None).await?;
            match coupon.holder() {
                Some(holder) => store.write_wallet(holder, coupon, day).await,
                None => Ok(()),
            }
        });
        bounded_join(AT_ONCE, before).await?;
        let coupons: Vec<_> = arrived.iter().map(|it| (&it.coupon, it.day)).collect();
        store.write_expiring_all(self.here.terms.id.as_str(), &coupons).await?;
        self.write_stock(arrived).await?;
        let mut keys: BTreeMap<(Day, i32), Vec<&Coupon>> = BTreeMap::new();
        for located in arrived {
            let bits = store.bits(located.day).await?;
            let bits = bits.ok_or_else(|| HotError::Damaged("a day lost its plan".into()))?;
            let key = (located.day, bucket(located.coupon.code(), bits).cast_signed());
            keys.entry(key).or_default().push(&located.coupon);
        }
        let writes = keys.iter().flat_map(|(key, coupons)| {
            coupons.chunks(ROWS_AT_ONCE).map(move |some| self.write_bucket(*key, some))
        });
        bounded_join(AT_ONCE, writes).await?;
        let (id, mut counts) = (&self.here.terms.id, HashMap::new());
        for located in arrived {
            *counts.entry(located.coupon.genesis().batch.clone()).or_insert(0_i64) += 1;
            store.counts.count_change(id, &State::Available, located.coupon.state());
            store.is_closed(located);
        }
        for (batch, count) in counts {
            store.counts.count_arrivals(id, &batch, count);
        }
        Ok(())
    }

    async fn write_stock(&self, arrived: &[Located]) -> Result<()> {
        if self.here.terms.handout == Handout::Bearer {
            return Ok(());
        }
        type OfBatch = (BatchId, Vec<(Millis, Code)>);
        let mut batches: BTreeMap<&str, OfBatch> = BTreeMap::new();
        for located in arrived.iter().filter(|it| *it.coupon.state() == State::Available) {
            let batch = &located.coupon.genesis().batch;
            let of = batches.entry(batch.as_str()).or_insert_with(|| (batch.clone(), Vec::new()));
            of.1.push((located.coupon.expires_at(), located.coupon.code().clone()));
        }
        for (batch, codes) in batches.into_values() {
            self.store.enter_chunk(&self.here.terms.id, &batch, codes).await?;
        }
        Ok(())
    }

    async fn write_bucket(&self, (day, bucket): (Day, i32), coupons: &[&Coupon]) -> Result<()> {
        let cql = "UPDATE coupon USING TIMESTAMP :long_ago SET version = ?, state = ?, holder = ?, \
                   expires_at = ?, events = events + ?, operation = ?, modified_at = ?, \
                   campaign_id = ?, batch_id = ?, valid_from = ?, made_expires_at = ?, \
                   created_at = ? WHERE expiry_day = ? AND bucket = ? AND code = ?";
        let rows = coupons.iter().map(|coupon| ArrivedRow {
            long_ago: LONG_AGO,
            version: signed(coupon.version()),
            state: coupon.state().as_str(),
            holder: coupon.holder().map(|holder| holder.as_str()),
            expires_at: instant(coupon.expires_at()),
            events: events_behind(coupon, 0),
            operation: coupon.events().last().map(|event| uuid_of(event.operation)),
            modified_at: instant(coupon.modified_at()),
            genesis: GenesisColumns::of(coupon.genesis()),
            key: CouponKeyColumns::of(day, bucket, coupon.code()),
        });
        self.store.cluster.write_all(cql, rows.collect()).await
    }

    /// What a line says beyond what was imported under its code: a change like any other.
    async fn advance(
        &self,
        line: &ImportLine,
        known: &EntryOfLine,
        mut found: Option<Located>,
    ) -> Result<ImportOutcome> {
        if line.imported_state.adds_nothing_to(&known.imported_state) {
            return Ok(ImportOutcome::AlreadyThere);
        }
        let store = self.store;
        // The same line has the same id whenever it comes: what it did once is not done again.
        let said = format!("{}\n{}", line.code, imported_state_text::to_json(&line.imported_state));
        let operation = OperationId(xxh3_128(said.as_bytes()));
        let run = ImportRun { operation, ..self.run.clone() };
        let mut attempts = store.attempts("a line that moves its coupon forward");
        loop {
            let found = match found.take() {
                Some(found) => Some(found),
                None => attempts.looked(store.stored(known.day, &line.code).await)?,
            };
            let missing =
                || HotError::Damaged(format!("{}: an entry without its coupon", line.code));
            let located = found.ok_or_else(missing)?;
            // Whoever has finished its entry in a claim has issued under this id, and no more.
            let redeems = matches!(line.imported_state, ImportedState::Redeemed { .. });
            let done = located.coupon.events().iter().any(|event| {
                let by_it = event.operation == operation;
                by_it && (!redeems || matches!(event.kind, EventKind::Redeemed { .. }))
            });
            let advanced = match done {
                true => Advance::AlreadyThere,
                false => {
                    advance(&located.coupon, &known.imported_state, &line.imported_state, &run)
                }
            };
            let outcome = match advanced {
                Advance::Contradicts(refusal) => return Ok(ImportOutcome::Refused(refusal)),
                Advance::Forward(_) if located.frozen => {
                    return Ok(ImportOutcome::Refused(Refusal::ExpiryDayClosed));
                }
                Advance::AlreadyThere => ImportOutcome::AlreadyThere,
                Advance::Forward(after) => {
                    if located.coupon.holder() != after.holder() {
                        store
                            .claim_for_holder(&located.here.campaign, located.day, &after, None)
                            .await?;
                    }
                    let written = store.write_coupon(&located, &after, operation).await?;
                    if written == Written::Conflict {
                        attempts.again().await?;
                        continue;
                    }
                    ImportOutcome::Imported
                }
            };
            // Also where the coupon got there by itself: the same line must say nothing new again,
            // whatever becomes of the coupon in between.
            if line.imported_state.is_past(&known.imported_state) {
                store.raise_imported_state(&line.code, &line.imported_state).await?;
            }
            return Ok(outcome);
        }
    }
}

#[derive(SerializeRow)]
struct ArrivedRow<'a> {
    long_ago: i64,
    version: i64,
    state: &'a str,
    holder: Option<&'a str>,
    expires_at: CqlTimestamp,
    events: BTreeMap<i32, EventValue>,
    operation: Option<Uuid>,
    modified_at: CqlTimestamp,
    #[scylla(flatten)]
    genesis: GenesisColumns<'a>,
    #[scylla(flatten)]
    key: CouponKeyColumns<'a>,
}

impl EntryRow {
    /// What is known of a line of this campaign with the dates of `line`; `None` when the code
    /// stands for something else.
    fn of(self, here: &CampaignHere, line: &ImportLine) -> Result<Option<EntryOfLine>> {
        let same = self.kind.as_deref() == Some("coupon")
            && self.campaign_id.as_deref() == Some(here.terms.id.as_str())
            && self.valid_from.map(millis) == Some(line.valid_from)
            && self.expires_at.map(millis) == Some(line.expires_at);
        let (Some(batch), Some(expiry_day), Some(arrived), Some(imported_state), Some(at)) =
            (self.batch_id, self.expiry_day, self.arrived_as, self.imported_state, self.arrived_at)
        else {
            return Ok(None);
        };
        if !same {
            return Ok(None);
        }
        let said = |text: &str| {
            imported_state_text::from_json(text)
                .map_err(|why| HotError::Damaged(format!("imported state: {why}")))
        };
        Ok(Some(EntryOfLine {
            batch: parsed("batch_id", &batch)?,
            day: day(expiry_day),
            arrived_as: said(&arrived)?,
            imported_state: said(&imported_state)?,
            run: ImportRun {
                actor: Actor::new(self.actor.as_deref().unwrap_or_default()),
                operation: OperationId(self.operation.map_or(0, |id| id.as_u128())),
                at: millis(at),
            },
        }))
    }
}

impl Store {
    async fn entry_row(&self, code: &Code) -> Result<Option<EntryRow>> {
        let cql = "SELECT kind, campaign_id, batch_id, expiry_day, valid_from, expires_at, \
                   arrived_as, imported_state, arrived_at, actor, operation FROM directory \
                   WHERE code = ?";
        self.cluster.row(StatementProfile::Read, cql, (code.as_str(),)).await
    }

    /// The directory remembers the furthest state that was imported under a code.
    async fn raise_imported_state(
        &self,
        code: &Code,
        imported_state: &ImportedState,
    ) -> Result<()> {
        let mut attempts = self.attempts("the directory entry of a line");
        loop {
            let row = attempts.looked(self.entry_row(code).await)?;
            let present = row.and_then(|row| row.imported_state);
            if let Some(text) = &present
                && let Ok(here) = imported_state_text::from_json(text)
                && !imported_state.is_past(&here)
            {
                return Ok(());
            }
            let cql =
                "UPDATE directory SET imported_state = ? WHERE code = ? IF imported_state = ?";
            let values = (imported_state_text::to_json(imported_state), code.as_str(), present);
            attempts.wrote(self.cluster.change(attempts.profile(), cql, values).await).await?;
        }
    }

    pub(super) async fn keep_rejected_lines(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        lines: &[RejectedLine],
        now: Millis,
    ) -> Result<()> {
        if self.batch_of(campaign, batch).await?.is_none() {
            return Ok(());
        }
        let cql = "INSERT INTO rejected_line (campaign_id, batch_id, line, text, word, detail, at) \
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        for some in lines.chunks(ROWS_AT_ONCE) {
            let rows = some.iter().map(|line| {
                (
                    campaign.as_str(),
                    batch.as_str(),
                    signed(line.line),
                    line.text.as_str(),
                    line.word.as_str(),
                    line.detail.as_str(),
                    instant(now),
                )
            });
            self.cluster.write_all(cql, rows.collect()).await?;
        }
        Ok(())
    }

    pub(super) async fn rejected_lines(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<RejectedLine>> {
        let cql = "SELECT line, text, word, detail FROM rejected_line \
                   WHERE campaign_id = ? AND batch_id = ? AND line > ? LIMIT ?";
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let values = (campaign.as_str(), batch.as_str(), signed(after), limit);
        type Row = (i64, Option<String>, Option<String>, Option<String>);
        let rows: Vec<Row> = self.cluster.rows(StatementProfile::Bulk, cql, values).await?;
        let lines = rows.into_iter().map(|(line, text, word, detail)| RejectedLine {
            line: line.unsigned_abs(),
            text: text.unwrap_or_default(),
            word: word.unwrap_or_default(),
            detail: detail.unwrap_or_default(),
        });
        Ok(lines.collect())
    }

    /// Forgets all that was kept for one batch so far.
    pub(super) async fn forget_rejected_of(
        &self,
        campaign: &CampaignId,
        batch: &BatchId,
    ) -> Result<()> {
        let cql = "DELETE FROM rejected_line WHERE campaign_id = ? AND batch_id = ?";
        self.cluster.write(cql, (campaign.as_str(), batch.as_str())).await
    }

    /// Forgets lines kept before `before`; how many. Reads what is kept.
    pub(super) async fn forget_rejected_before(&self, before: Millis) -> Result<usize> {
        /// Lines forgotten in one call.
        const FORGET_MAX: usize = 2_000;
        let cql = "SELECT campaign_id, batch_id, line, at FROM rejected_line";
        type Row = (String, String, i64, Option<CqlTimestamp>);
        let (mut forgotten, mut from) = (0, Some(scylla::response::PagingState::start()));
        while let Some(state) = from.filter(|_| forgotten < FORGET_MAX) {
            let (rows, next) = self.cluster.page::<Row>(cql, (), state).await?;
            for (campaign, batch, line, at) in rows {
                if at.map(millis).is_some_and(|at| at < before) {
                    let cql = "DELETE FROM rejected_line WHERE campaign_id = ? AND batch_id = ? \
                               AND line = ?";
                    self.cluster.write(cql, (campaign, batch, line)).await?;
                    forgotten += 1;
                }
            }
            from = next;
        }
        Ok(forgotten)
    }
}
