//! An endpoint to which this process posts: what waits, what is due, and how far the cursor may move. Pure.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use webhooks::store::{Due, Moment, Room, Target, Tried, Want};
use webhooks::{DeliveryState, Event, Matter, Options, Verdict, chance, pause, tried_for};

use crate::deliveries::Facts;
use crate::endpoints::EndpointRow;
use crate::error::Result;
use crate::numbers::Numbers;
use crate::progress::{Progress, ProgressRow};

/// Most deliveries that are given up at once because their endpoint is down.
const GIVEN_UP_MAX: usize = 2_000;

/// What waits for so long is written, so that the cursor can move on.
const WRITTEN_AFTER: Duration = Duration::from_secs(5);

/// So many that are not written are written at once: their bodies are in memory.
const UNWRITTEN_MAX: usize = 1_000;

/// Rows of a day that the log keeps for as long as it may; what comes after them it keeps for a day.
const LOGGED_EACH_DAY: u64 = 100_000;

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Clone, Debug)]
pub(crate) struct Waiting {
    pub(crate) facts: Facts,
    /// Here until it is written, and while it is posted.
    pub(crate) body: Option<String>,
    /// Whether it is in `webhook_pending`.
    pub(crate) is_written: bool,
    queued: Instant,
}

impl Waiting {
    pub(crate) fn new(facts: Facts, body: String) -> Waiting {
        Waiting { facts, body: Some(body), is_written: false, queued: Instant::now() }
    }

    pub(crate) fn written(facts: Facts) -> Waiting {
        Waiting { facts, body: None, is_written: true, queued: Instant::now() }
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Waits(Facts),
    Ends(DeliveryState, Facts),
}

/// What follows from attempts: to be written first, and then to be applied.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) fates: BTreeMap<i64, Fate>,
    pub(crate) failures: u64,
    pub(crate) failing_since: Option<i64>,
    pub(crate) attempts_failed: u64,
    /// The receiver wants nothing any more.
    pub(crate) is_gone: bool,
}

#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) row: EndpointRow,
    pub(crate) epoch: i64,
    /// Until when this process is sure to hold it.
    pub(crate) until: Instant,
    /// It is given to another process as soon as what is under way has arrived.
    pub(crate) is_leaving: bool,
    /// When it was last looked after.
    pub(crate) tended: Option<Instant>,
    /// What the cluster knows of it.
    pub(crate) saved: Progress,
    /// Where it reads on.
    cursor: Option<String>,
    /// Cursors that were reached, each with the last delivery that came before it.
    marks: VecDeque<(i64, String)>,
    numbers: Numbers,
    waiting: BTreeMap<i64, Waiting>,
    unwritten: BTreeSet<i64>,
    /// Those that have ended, and whose rows in `webhook_pending` are still to be deleted.
    ended: BTreeSet<i64>,
    by_due: BTreeSet<(i64, i64)>,
    by_code: BTreeMap<String, BTreeSet<i64>>,
    ids: HashSet<String>,
    failures: u64,
    failing_since: Option<i64>,
    logged: (i64, u64),
}

impl Lane {
    pub(crate) fn new(
        row: EndpointRow,
        found: ProgressRow,
        pending: BTreeMap<i64, Facts>,
        until: Instant,
        now: i64,
    ) -> Lane {
        let epoch = found.epoch.unwrap_or_default();
        let progress = found.progress;
        let last = pending.keys().next_back().copied().unwrap_or_default();
        let mut lane = Lane {
            epoch,
            until,
            is_leaving: false,
            tended: None,
            cursor: progress.cursor.clone().or_else(|| row.terms.begins_at.clone()),
            row,
            marks: VecDeque::new(),
            numbers: Numbers::after(last, epoch),
            waiting: BTreeMap::new(),
            unwritten: BTreeSet::new(),
            ended: BTreeSet::new(),
            by_due: BTreeSet::new(),
            by_code: BTreeMap::new(),
            ids: HashSet::new(),
            failures: progress.failures,
            failing_since: progress.failing_since,
            saved: progress,
            logged: (0, 0),
        };
        for (number, facts) in pending {
            lane.insert(number, Waiting::written(facts));
        }
        if lane.row.terms.restarts != lane.saved.restarts {
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

    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    pub(crate) fn waiting(&self, number: i64) -> Option<&Waiting> {
        self.waiting.get(&number)
    }

    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(crate) fn pending(&self) -> u64 {
        self.waiting.len() as u64
    }

    pub(crate) fn insert(&mut self, number: i64, waiting: Waiting) {
        self.remove(number);
        let Facts { id, code, next_at, .. } = &waiting.facts;
        self.by_due.insert((*next_at, number));
        if let Some(code) = code {
            self.by_code.entry(code.clone()).or_default().insert(number);
        }
        self.ids.extend(id.clone());
        if !waiting.is_written {
            self.unwritten.insert(number);
        }
        self.waiting.insert(number, waiting);
    }

    fn remove(&mut self, number: i64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        let Facts { id, code, next_at, .. } = &waiting.facts;
        self.by_due.remove(&(*next_at, number));
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
        Some(waiting)
    }

    pub(crate) fn next_number(&mut self, now: i64) -> i64 {
        self.numbers.next(now)
    }

    /// Queues what the endpoint asks for, and reads on behind `next`. Returns how many.
    pub(crate) fn queue(&mut self, events: &[Event], next: &str, now: i64) -> usize {
        let mut queued = 0;
        for event in events {
            let matter = Matter::from(event);
            let terms = &self.row.terms;
            let is_asked_for = matter.is_for(terms.types.as_ref(), terms.campaign.as_deref());
            // One that was queued before a lease changed hands is read again.
            if is_asked_for && !self.has_id(matter.id) {
                let number = self.next_number(now);
                let message = matter.message();
                let facts = Facts::new(&message, matter.code, now);
                self.insert(number, Waiting::new(facts, message.body));
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

    /// What is to be saved: the last cursor before which everything has ended or is written.
    pub(crate) fn progress(&mut self) -> Progress {
        let mut cursor = self.saved.cursor.clone();
        let first = self.unwritten.first().copied().unwrap_or(i64::MAX);
        while let Some((last, reached)) = self.marks.front()
            && *last < first
        {
            cursor = Some(reached.clone());
            self.marks.pop_front();
        }
        // Not to be lost if saving fails.
        if cursor != self.saved.cursor
            && let Some(reached) = cursor.clone()
        {
            self.marks.push_front((0, reached));
        }
        Progress { cursor, ..self.counts() }
    }

    /// How it is doing, without a cursor.
    pub(crate) fn counts(&self) -> Progress {
        Progress {
            cursor: None,
            failures: self.failures,
            failing_since: self.failing_since,
            pending: self.pending(),
            oldest: self.waiting.values().next().map(|it| it.facts.created_at),
            restarts: self.row.terms.restarts,
        }
    }

    /// What is to be written so that the cursor can move on; all of it if the lane is given to another process.
    pub(crate) fn to_write(&self, all: bool) -> Vec<(i64, Facts, String)> {
        let is_full = all || self.unwritten.len() > UNWRITTEN_MAX;
        let waits = self.unwritten.iter().filter_map(|&number| {
            let waiting = self.waiting.get(&number)?;
            let is_old = is_full || waiting.queued.elapsed() >= WRITTEN_AFTER;
            let Waiting { facts, body, .. } = waiting;
            is_old.then(|| (number, facts.clone(), body.clone().unwrap_or_default()))
        });
        waits.collect()
    }

    pub(crate) fn is_written(&mut self, number: i64) {
        match self.waiting.get_mut(&number) {
            Some(waiting) => {
                waiting.is_written = true;
                self.unwritten.remove(&number);
            }
            // It has ended meanwhile.
            None => drop(self.ended.insert(number)),
        }
    }

    /// What is due, as far as there are free places. A delivery that is written has no body here.
    pub(crate) fn due(&self, want: &Want, room: &Room) -> Result<Option<(Target, Vec<i64>)>> {
        let is_quiet = want.quiet == Some(self.row.generation);
        if !self.is_held() || self.is_leaving || is_quiet {
            return Ok(None);
        }
        let (probes, free) = room.free(self.failures, want.in_flight.len());
        let is_first = |number: i64| {
            let code = self.waiting.get(&number).and_then(|it| it.facts.code.as_ref());
            let of_code = code.and_then(|code| self.by_code.get(code));
            of_code.is_none_or(|numbers| numbers.first() == Some(&number))
        };
        let due = self.by_due.range(..=(room.now, i64::MAX)).map(|(_, number)| *number);
        let due = due.filter(|number| !want.in_flight.contains(number));
        let due = due.filter(|number| !self.row.terms.ordered || is_first(*number));
        let due: Vec<i64> = due.take(free).collect();
        if due.is_empty() {
            return Ok(None);
        }
        let (webhook, generation) = (self.row.number, self.row.generation);
        let url = self.row.terms.url.clone();
        let secrets = self.row.terms.signing(room.now, room.trusted)?;
        Ok(Some((Target { webhook, generation, url, secrets, probes }, due)))
    }

    /// A delivery with its body, which was read if it is not here.
    pub(crate) fn post(&mut self, number: i64, read: Option<String>) -> Option<Due> {
        let waiting = self.waiting.get_mut(&number)?;
        waiting.body = waiting.body.take().or(read);
        let body = waiting.body.clone()?;
        Some(Due { number, id: waiting.facts.id.clone()?, body })
    }

    /// A delivery that waits here has no body any more: another process has ended it and deleted its row. A process
    /// that was frozen meanwhile may have written the next attempt afterwards, and so a row without a body.
    pub(crate) fn has_ended_elsewhere(&mut self, number: i64) {
        let is_rest = |it: &Waiting| it.is_written && it.body.is_none();
        if self.waiting.get(&number).is_some_and(is_rest) {
            self.remove(number);
            self.ended.insert(number);
        }
    }

    pub(crate) fn outcome(&self, tried: &[&Tried], moment: Moment, options: &Options) -> Outcome {
        let mut outcome = Outcome {
            failures: self.failures,
            failing_since: self.failing_since,
            ..Outcome::default()
        };
        for one in tried {
            let is_delivered = one.answered.verdict == Verdict::Delivered;
            outcome.is_gone |= one.answered.verdict == Verdict::Gone;
            outcome.attempts_failed += u64::from(!is_delivered);
            if let Some(waiting) = self.waiting.get(&one.number) {
                outcome.fates.insert(one.number, fate(&waiting.facts, one, moment.now, options));
            }
            if is_delivered {
                (outcome.failures, outcome.failing_since) = (0, None);
            } else {
                outcome.failing_since.get_or_insert(moment.now);
                // Those that were under way beside each other must not make the pauses between probes long.
                let most = if one.probes { u64::MAX } else { options.failures_until_down };
                let more = (outcome.failures + 1).min(most);
                outcome.failures = outcome.failures.max(more);
            }
        }
        let old = moment.now.saturating_sub(millis(tried_for(options)));
        let is_down = outcome.failures >= options.failures_until_down
            && outcome.failing_since.is_some_and(|since| since <= old);
        if is_down && moment.trusted {
            self.give_up(&mut outcome, old, moment.now);
        }
        outcome
    }

    /// While an endpoint is down only single deliveries are tried: those that have waited as long as one is tried
    /// end, too.
    fn give_up(&self, outcome: &mut Outcome, old: i64, now: i64) {
        let is_old = |waiting: &Waiting| waiting.facts.created_at <= old;
        let waits = self.waiting.iter().filter(|(_, waiting)| is_old(waiting));
        for (number, waiting) in waits.take(GIVEN_UP_MAX) {
            let tried = outcome.fates.get(number);
            let facts = match tried {
                Some(Fate::Ends(..)) => continue,
                Some(Fate::Waits(facts)) => facts,
                None => &waiting.facts,
            };
            let why = "the endpoint was down all the time".to_owned();
            let facts = Facts {
                error: Some(facts.error.clone().unwrap_or(why)),
                ended_at: Some(now),
                ..facts.clone()
            };
            outcome.fates.insert(*number, Fate::Ends(DeliveryState::Failed, facts));
        }
    }

    pub(crate) fn apply(&mut self, outcome: Outcome) {
        for (number, fate) in outcome.fates {
            // One that was written while it was posted has a row, too.
            let Some(waiting) = self.remove(number) else { continue };
            match fate {
                Fate::Ends(..) if waiting.is_written => drop(self.ended.insert(number)),
                Fate::Ends(..) => {}
                Fate::Waits(facts) => self.insert(number, Waiting::written(facts)),
            }
        }
        (self.failures, self.failing_since) = (outcome.failures, outcome.failing_since);
    }

    pub(crate) fn ended(&self) -> Vec<i64> {
        self.ended.iter().copied().collect()
    }

    pub(crate) fn is_deleted(&mut self, number: i64) {
        self.ended.remove(&number);
    }

    /// For how long the log keeps one more row of today.
    pub(crate) fn log_keep(&mut self, keep: Duration, now: i64) -> Duration {
        let day = now.div_euclid(86_400_000);
        let rows = if self.logged.0 == day { self.logged.1 + 1 } else { 1 };
        self.logged = (day, rows);
        if rows <= LOGGED_EACH_DAY { keep } else { keep.min(DAY) }
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

    pub(crate) fn hurry(&mut self, number: i64, facts: Facts) {
        if let Some(mut waiting) = self.remove(number) {
            waiting.facts = facts;
            self.insert(number, waiting);
        }
    }

    fn make_due(&mut self, now: i64, wanted: impl Fn(&Facts) -> bool) {
        let late = self.waiting.iter().filter(|(_, waiting)| wanted(&waiting.facts));
        for number in late.map(|(number, _)| *number).collect::<Vec<i64>>() {
            if let Some(waiting) = self.waiting.get(&number) {
                let facts = Facts { next_at: now, ..waiting.facts.clone() };
                self.hurry(number, facts);
            }
        }
    }

    pub(crate) fn unwritten(&self) -> BTreeMap<i64, Facts> {
        let facts = |number: &i64| Some((*number, self.waiting.get(number)?.facts.clone()));
        self.unwritten.iter().filter_map(facts).collect()
    }
}

fn fate(facts: &Facts, tried: &Tried, now: i64, options: &Options) -> Fate {
    let after = facts.tried(&tried.answered, now);
    let asked = match tried.answered.verdict {
        Verdict::Delivered => {
            let facts = Facts { error: None, ended_at: Some(now), ..after };
            return Fate::Ends(DeliveryState::Delivered, facts);
        }
        Verdict::Failed { asked } => asked,
        Verdict::Gone => None,
    };
    match pause(after.attempts, asked, options, chance()) {
        Some(pause) => Fate::Waits(Facts { next_at: now.saturating_add(millis(pause)), ..after }),
        None => Fate::Ends(DeliveryState::Failed, Facts { ended_at: Some(now), ..after }),
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
