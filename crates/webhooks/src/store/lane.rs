//! An endpoint to which this process posts: what waits, what is due, and how far the cursor may move. Pure.

mod outcome;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::delivery_rows::{DeliveryFacts, DeliveryRow};
use super::endpoints::EndpointRow;
use super::inbox_place::InboxPlace;
use super::numbers::{DeliveryNumbers, waiting_block_of};
use super::progress::LaneProgress;
use super::{DueDelivery, FreePlaces, PostTarget, Result};
use crate::event::{self, Event};
use crate::retry::FAILURES_UNTIL_DOWN;
use crate::{DeliveryState, Options};
pub(crate) use outcome::LaneOutcome;

/// Deliveries that wait this long are written, so that the cursor can move on.
const WRITTEN_AFTER: Duration = Duration::from_secs(5);

/// With more unwritten deliveries than this, all are written: their bodies are in memory.
const UNWRITTEN_MAX: usize = 1_000;

/// With more free places than this, one is kept for an announcement that is due.
const PLACES_FOR_EVENTS: usize = 7;

#[derive(Clone, Debug)]
pub(crate) struct WaitingDelivery {
    pub(crate) facts: DeliveryFacts,
    /// Here until it is written, and while it is posted.
    pub(crate) body: Option<String>,
    /// Whether it has rows.
    pub(crate) is_written: bool,
    queued: Instant,
}

impl WaitingDelivery {
    pub(crate) fn new(facts: DeliveryFacts, body: String) -> WaitingDelivery {
        WaitingDelivery { facts, body: Some(body), is_written: false, queued: Instant::now() }
    }

    pub(crate) fn written(facts: DeliveryFacts) -> WaitingDelivery {
        WaitingDelivery { facts, body: None, is_written: true, queued: Instant::now() }
    }

    /// The row to write for a delivery in this state. The body of a waiting one is written once.
    fn row(&self, number: i64, state: DeliveryState, facts: DeliveryFacts) -> DeliveryRow {
        let has_body = state == DeliveryState::Pending && self.is_written;
        let body = self.body.clone().filter(|_| !has_body);
        DeliveryRow { number, state, facts, body }
    }
}

#[derive(Debug)]
pub(crate) struct WebhookLane {
    pub(crate) row: EndpointRow,
    pub(crate) lease: Vec<u8>,
    /// Until when this process is sure to hold it.
    pub(crate) until: Instant,
    /// It is given to another process as soon as what is under way has arrived.
    pub(crate) is_leaving: bool,
    pub(crate) tended: Option<Instant>,
    /// What the store knows of it, and as what.
    pub(crate) saved: (LaneProgress, Vec<u8>),
    /// One save at a time: each replaces the one before.
    pub(crate) saving: Arc<tokio::sync::Mutex<()>>,
    /// One at a time writes rows of deliveries that wait, or drops those of deliveries that have ended.
    pub(crate) writing: Arc<tokio::sync::Mutex<()>>,
    pub(crate) inbox: InboxPlace,
    pub(crate) cursor: Option<String>,
    /// Cursors that were reached, each with the last delivery that came before it.
    marks: VecDeque<(i64, String)>,
    pub(crate) numbers: DeliveryNumbers,
    pub(crate) waiting: BTreeMap<i64, WaitingDelivery>,
    unwritten: BTreeSet<i64>,
    /// Those that have ended, and whose rows are still to be emptied or dropped.
    ended: BTreeSet<i64>,
    /// The blocks that may have rows, each with how many of them wait.
    blocks: BTreeMap<i64, usize>,
    /// When each is due: events, and announcements.
    by_due: [BTreeSet<(i64, i64)>; 2],
    by_code: BTreeMap<String, BTreeSet<i64>>,
    pub(crate) ids: HashSet<String>,
    failures: u64,
    failing_since: Option<i64>,
}

impl WebhookLane {
    /// One that was taken with `lease` until a moment. `waiting` has rows.
    pub(crate) fn new(
        row: EndpointRow,
        saved: (LaneProgress, Vec<u8>),
        waiting: BTreeMap<i64, DeliveryFacts>,
        (lease, until): (Vec<u8>, Instant),
        now: i64,
    ) -> WebhookLane {
        let progress = &saved.0;
        let last = waiting.keys().next_back().copied().unwrap_or_default();
        let mut lane = WebhookLane {
            lease,
            until,
            is_leaving: false,
            tended: None,
            saving: Arc::default(),
            writing: Arc::default(),
            inbox: InboxPlace::after_another(progress.inbox),
            cursor: progress.cursor.clone().or_else(|| row.terms.begins_at.clone()),
            row,
            marks: VecDeque::new(),
            numbers: DeliveryNumbers::after(last, progress.epoch),
            waiting: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            ended: BTreeSet::new(),
            blocks: progress.blocks.iter().map(|block| (*block, 0)).collect(),
            by_due: Default::default(),
            by_code: BTreeMap::new(),
            ids: HashSet::new(),
            failures: progress.failures,
            failing_since: progress.failing_since,
            saved,
        };
        for (number, facts) in waiting {
            lane.insert(number, WaitingDelivery::written(facts));
        }
        if lane.row.terms.restarts != lane.saved.0.restarts {
            lane.begin_anew(now);
        }
        lane
    }

    pub(crate) fn is_leased(&self) -> bool {
        Instant::now() < self.until
    }

    pub(crate) fn is_held(&self) -> bool {
        self.is_leased() && self.row.terms.is_active()
    }

    pub(crate) fn events(&self) -> u64 {
        self.by_due[0].len() as u64
    }

    pub(crate) fn announced(&self) -> usize {
        self.by_due[1].len()
    }

    pub(crate) fn insert(&mut self, number: i64, waiting: WaitingDelivery) {
        self.remove(number);
        let DeliveryFacts { id, code, next_at, .. } = &waiting.facts;
        self.by_due[usize::from(waiting.facts.announced)].insert((*next_at, number));
        if let Some(code) = code {
            self.by_code.entry(code.clone()).or_default().insert(number);
        }
        self.ids.extend(id.clone());
        if waiting.is_written {
            *self.blocks.entry(waiting_block_of(number)).or_default() += 1;
        } else {
            self.unwritten.insert(number);
        }
        self.waiting.insert(number, waiting);
    }

    pub(crate) fn insert_written(&mut self, rows: &[DeliveryRow]) {
        for row in rows {
            self.insert(row.number, WaitingDelivery::written(row.facts.clone()));
        }
    }

    fn remove(&mut self, number: i64) -> Option<WaitingDelivery> {
        let waiting = self.waiting.remove(&number)?;
        let DeliveryFacts { id, code, next_at, .. } = &waiting.facts;
        self.by_due[usize::from(waiting.facts.announced)].remove(&(*next_at, number));
        if let Some(code) = code
            && let Some(numbers) = self.by_code.get_mut(code)
        {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_code.remove(code);
            }
        }
        if let Some(id) = id {
            self.ids.remove(id);
        }
        self.unwritten.remove(&number);
        if waiting.is_written {
            self.blocks.entry(waiting_block_of(number)).and_modify(|rows| *rows -= 1);
        }
        Some(waiting)
    }

    /// Queues what the endpoint asks for, and reads on behind `next`. Returns how many.
    pub(crate) fn queue(&mut self, events: &[Event], next: &str, now: i64) -> usize {
        let mut queued = 0;
        for event in events {
            let Event { id, event_type, code, .. } = event;
            let campaigns = event.campaign.as_slice();
            let is_asked_for = self.row.terms.asks_for(event_type, event.only_by_name, campaigns);
            // One that was queued before a lease changed hands is read again.
            if is_asked_for && !self.ids.contains(id) {
                let number = self.numbers.next(now);
                let facts = DeliveryFacts::new(id, event_type, code.as_deref(), now);
                let body = event::body(event_type, event.at_ms, &event.data);
                self.insert(number, WaitingDelivery::new(facts, body));
                queued += 1;
            }
        }
        self.move_to(next.to_owned());
        queued
    }

    pub(crate) fn move_to(&mut self, cursor: String) {
        let last = self.waiting.keys().next_back().copied().unwrap_or_default();
        self.marks.push_back((last, cursor.clone()));
        self.cursor = Some(cursor);
    }

    /// The progress to save, if it has changed, with the last cursor before which everything has ended or is written.
    pub(crate) fn unsaved(&mut self, in_any_case: bool) -> Option<LaneProgress> {
        let saved = &self.saved.0;
        let mut cursor = saved.cursor.clone();
        let first = self.unwritten.first().copied().unwrap_or(i64::MAX);
        while let Some((last, reached)) = self.marks.front()
            && *last < first
        {
            cursor = Some(reached.clone());
            self.marks.pop_front();
        }
        // Not to be lost if saving fails.
        if cursor != saved.cursor
            && let Some(reached) = cursor.clone()
        {
            self.marks.push_front((0, reached));
        }
        let next = LaneProgress { cursor, ..self.progress_now() };
        (in_any_case || next != *saved).then_some(LaneProgress { saves: saved.saves + 1, ..next })
    }

    /// How it is doing, with the cursor that was saved.
    pub(crate) fn progress_now(&self) -> LaneProgress {
        LaneProgress {
            failures: self.failures,
            failing_since: self.failing_since,
            pending: self.waiting.len() as u64,
            oldest: self.waiting.values().next().map(|it| it.facts.created_at),
            restarts: self.row.terms.restarts,
            blocks: self.blocks.keys().copied().collect(),
            inbox: self.inbox.part,
            ..self.saved.0.clone()
        }
    }

    /// Names blocks that are to get rows. Returns whether the store does not know all of them yet.
    pub(crate) fn name_blocks(&mut self, rows: &[DeliveryRow]) -> bool {
        let mut is_new = false;
        for block in rows.iter().map(|row| waiting_block_of(row.number)) {
            self.blocks.entry(block).or_default();
            is_new |= !self.saved.0.blocks.contains(&block);
        }
        is_new
    }

    /// The rows to write so that the cursor can move on; all rows if the lane goes to another process.
    pub(crate) fn to_write(&self, all: bool) -> Vec<DeliveryRow> {
        let is_full = all || self.unwritten.len() > UNWRITTEN_MAX;
        let waits = self.unwritten.iter().filter_map(|&number| {
            let WaitingDelivery { facts, body, queued, .. } = self.waiting.get(&number)?;
            let is_old = is_full || queued.elapsed() >= WRITTEN_AFTER;
            let body = Some(body.clone().unwrap_or_default());
            is_old.then(|| DeliveryRow::waiting(number, facts.clone(), body))
        });
        waits.collect()
    }

    pub(crate) fn are_written(&mut self, rows: &[DeliveryRow]) {
        for &DeliveryRow { number, .. } in rows {
            match self.waiting.get_mut(&number) {
                Some(waiting) if waiting.is_written => {}
                Some(waiting) => {
                    waiting.is_written = true;
                    // It is read again when it is due.
                    waiting.body = None;
                    self.unwritten.remove(&number);
                    *self.blocks.entry(waiting_block_of(number)).or_default() += 1;
                }
                // It has ended meanwhile.
                None => drop(self.ended.insert(number)),
            }
        }
    }

    /// What is due, as far as there are free places. A delivery that is written has no body here.
    pub(crate) fn due(
        &self,
        want: &FreePlaces,
        options: &Options,
        now: i64,
        trusted: bool,
    ) -> Result<Option<(PostTarget, Vec<i64>)>> {
        let is_quiet = want.quiet == Some(self.row.generation);
        if !self.is_held() || self.is_leaving || is_quiet {
            return Ok(None);
        }
        // At an endpoint that is down one in flight is enough.
        let probes = self.failures >= FAILURES_UNTIL_DOWN;
        let places = if probes { 1 } else { options.in_flight_each };
        let free = places.saturating_sub(want.in_flight.len());
        let is_first = |number: i64| {
            let code = self.waiting.get(&number).and_then(|it| it.facts.code.as_ref());
            let of_code = code.and_then(|code| self.by_code.get(code));
            of_code.is_none_or(|numbers| numbers.first() == Some(&number))
        };
        let due = |of: usize| {
            let due = self.by_due[of].range(..=(now, i64::MAX)).map(|(_, number)| *number);
            let due = due.filter(|number| !want.in_flight.contains(number));
            due.filter(|number| !self.row.terms.ordered || is_first(*number))
        };
        let announced: Vec<i64> = due(1).take(free).collect();
        let kept = usize::from(!announced.is_empty() && free > PLACES_FOR_EVENTS);
        let mut due: Vec<i64> = due(0).take(free - kept).collect();
        due.extend(announced.into_iter().take(free - due.len()));
        if due.is_empty() {
            return Ok(None);
        }
        let (webhook, generation) = (self.row.number, self.row.generation);
        let url = self.row.terms.url.clone();
        let secrets = self.row.terms.signing(now, trusted)?;
        Ok(Some((PostTarget { webhook, generation, url, secrets, probes }, due)))
    }

    /// A delivery with its body, which was read if it is not here.
    pub(crate) fn post(&mut self, number: i64, read: Option<String>) -> Option<DueDelivery> {
        let waiting = self.waiting.get_mut(&number)?;
        waiting.body = waiting.body.take().or(read);
        let body = waiting.body.clone()?;
        Some(DueDelivery { number, id: waiting.facts.id.clone()?, body })
    }

    /// The facts of a delivery that has rows, and no body here.
    pub(crate) fn without_body(&self, number: i64) -> Option<DeliveryFacts> {
        let waiting = self.waiting.get(&number).filter(|it| it.is_written && it.body.is_none());
        waiting.map(|waiting| waiting.facts.clone())
    }

    pub(crate) fn has_ended_elsewhere(&mut self, number: i64) {
        if self.without_body(number).is_some() {
            self.remove(number);
            self.ended.insert(number);
        }
    }

    pub(crate) fn apply(&mut self, outcome: LaneOutcome) {
        for (number, row) in outcome.rows {
            // One that was written while it was posted has a row, too.
            let Some(waiting) = self.remove(number) else { continue };
            if waiting.facts.redelivered > row.facts.redelivered {
                // Somebody has asked for it again meanwhile.
                self.insert(number, waiting);
            } else if row.state == DeliveryState::Pending {
                self.insert(number, WaitingDelivery::written(row.facts));
            } else if waiting.is_written {
                self.ended.insert(number);
            }
        }
        (self.failures, self.failing_since) = (outcome.failures, outcome.failing_since);
    }

    /// Those that have ended and have rows, by their blocks; each block with whether others in it wait.
    pub(crate) fn ended(&self) -> BTreeMap<i64, (bool, Vec<i64>)> {
        let mut blocks: BTreeMap<i64, (bool, Vec<i64>)> = BTreeMap::new();
        for number in &self.ended {
            let block = waiting_block_of(*number);
            let waits = self.blocks.get(&block).is_some_and(|rows| *rows > 0);
            blocks.entry(block).or_insert((waits, Vec::new())).1.push(*number);
        }
        blocks
    }

    /// The rows of these are empty, or gone with their block. Such a block is forgotten, unless it got rows meanwhile.
    pub(crate) fn is_emptied(&mut self, block: i64, numbers: &[i64], is_dropped: bool) {
        for number in numbers {
            self.ended.remove(number);
        }
        if is_dropped && self.blocks.get(&block) == Some(&0) {
            self.blocks.remove(&block);
        }
    }

    /// Takes over what callers have changed, unless it is older than what is known already.
    pub(crate) fn take_over(&mut self, row: EndpointRow, now: i64) {
        if row.generation < self.row.generation {
            return;
        }
        let begins_anew = row.terms.restarts != self.row.terms.restarts;
        self.row = row;
        if begins_anew {
            self.begin_anew(now);
        }
    }

    /// Forgets that the endpoint was down: what waits is tried at once.
    fn begin_anew(&mut self, now: i64) {
        (self.failures, self.failing_since) = (0, None);
        self.make_due(now, |_| true);
    }

    /// Makes deliveries due that were queued or postponed while the clock was ahead.
    pub(crate) fn mend_due(&mut self, now: i64, ahead_max: i64) {
        let late = now.saturating_add(ahead_max);
        self.make_due(now, |facts| {
            facts.next_at > now && (facts.attempts == 0 || facts.next_at > late)
        });
    }

    pub(crate) fn hurry(&mut self, number: i64, facts: DeliveryFacts) {
        if let Some(mut waiting) = self.remove(number) {
            waiting.facts = facts;
            self.insert(number, waiting);
        }
    }

    fn make_due(&mut self, now: i64, wanted: impl Fn(&DeliveryFacts) -> bool) {
        let late = self.waiting.iter().filter(|(_, waiting)| wanted(&waiting.facts));
        let late: Vec<_> = late.map(|(number, it)| (*number, it.facts.clone())).collect();
        for (number, facts) in late {
            self.hurry(number, DeliveryFacts { next_at: now, ..facts });
        }
    }

    pub(crate) fn waiting_facts(&self) -> BTreeMap<i64, DeliveryFacts> {
        self.waiting.iter().map(|(number, waiting)| (*number, waiting.facts.clone())).collect()
    }
}

#[cfg(test)]
mod tests;
