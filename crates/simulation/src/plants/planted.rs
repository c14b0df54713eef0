//! The session of one process, with a bug in front of it.

mod memory;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cql_session::{
    BoundValue, ClockReading, CopyCounts, CqlCluster, CqlEngine, RowPage, StatementColumns,
    StatementProfile, StatementRequest,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Consistency;
use tokio::time::sleep;
use uuid::Uuid;

use super::{AnswerChange, ClockBug, PlantRule, RuleEffect, request, rows};
use memory::key_of;
use simulated_cluster::session::SimulatedProcess;
use simulated_cluster::trace::Trace;

/// The time of an answer that no node gives.
const PROMPT: Duration = Duration::from_millis(1);

/// Time between a read that a plant makes first and the statement itself.
const GAP: Duration = Duration::from_millis(1_000);

/// How often an update is forced on a row that others change meanwhile.
const BLIND_TRIES: usize = 5;

type PageAnswer = Result<RowPage, ExecutionError>;

/// A cluster as a process with a planted bug sees it.
pub(super) struct PlantedCluster(Arc<ClusterBug>);

struct ClusterBug {
    cluster: Arc<dyn CqlCluster>,
    process: SimulatedProcess,
    trace: Trace,
    name: &'static str,
    rules: &'static [PlantRule],
    clock: Option<ClockBug>,
    /// What the process remembers, and should not.
    remembered: Mutex<BTreeMap<Vec<u8>, RowPage>>,
}

impl PlantedCluster {
    pub(super) fn new(
        cluster: Arc<dyn CqlCluster>,
        process: SimulatedProcess,
        trace: Trace,
        (name, rules): (&'static str, &'static [PlantRule]),
        clock: Option<ClockBug>,
    ) -> PlantedCluster {
        let remembered = Mutex::default();
        let bug = ClusterBug { cluster, process, trace, name, rules, clock, remembered };
        PlantedCluster(Arc::new(bug))
    }
}

#[async_trait]
impl CqlCluster for PlantedCluster {
    async fn prepare(&self, cql: &'static str) -> Result<StatementColumns, ExecutionError> {
        self.0.cluster.prepare(cql).await
    }

    async fn execute(&self, request: StatementRequest) -> PageAnswer {
        let bug = &self.0;
        let forgets = bug.forgets(request.cql);
        let answer = match bug.rules.iter().find(|(pattern, _)| pattern.has(&request)) {
            Some((_, effect)) => {
                bug.say(request.cql);
                bug.does(effect, request).await
            }
            None => bug.cluster.execute(request).await,
        };
        if forgets {
            bug.with(BTreeMap::clear);
        }
        answer
    }

    async fn clocks(&self) -> Vec<Option<ClockReading>> {
        let clocks = self.0.cluster.clocks().await;
        let own = |reading: ClockReading| ClockReading { there: reading.after, ..reading };
        match self.0.clock {
            Some(ClockBug::IsItsOwn) => clocks.into_iter().map(|it| it.map(own)).collect(),
            _ => clocks,
        }
    }

    fn allow(&self, nodes: HashSet<Uuid>) {
        match self.0.clock {
            Some(ClockBug::AvoidsNobody) => {}
            _ => self.0.cluster.allow(nodes),
        }
    }

    fn copies(&self) -> (CopyCounts, CopyCounts) {
        self.0.cluster.copies()
    }

    fn engine(&self) -> CqlEngine {
        self.0.cluster.engine()
    }

    fn now_ms(&self) -> i64 {
        self.0.cluster.now_ms()
    }
}

impl ClusterBug {
    /// Does it; boxed, since one thing that is done may lead to another.
    fn does(
        self: &Arc<Self>,
        effect: &'static RuleEffect,
        request: StatementRequest,
    ) -> BoxFuture<'static, PageAnswer> {
        Arc::clone(self).tampered(effect, request).boxed()
    }

    async fn tampered(
        self: Arc<Self>,
        effect: &'static RuleEffect,
        request: StatementRequest,
    ) -> PageAnswer {
        match effect {
            RuleEffect::Send => self.cluster.execute(request).await,
            RuleEffect::Away if self.is_away() => {
                sleep(PROMPT).await;
                let why = DbError::Unavailable {
                    consistency: Consistency::LocalQuorum,
                    required: 2,
                    alive: 1,
                };
                let why = RequestAttemptError::DbError(why, String::new());
                Err(ExecutionError::LastAttemptError(why))
            }
            RuleEffect::Away => self.cluster.execute(request).await,
            RuleEffect::Lose => self.verdict(request.cql, true).await,
            RuleEffect::Late(seconds, then) => {
                let cql = request.cql;
                let (bug, later) = (Arc::clone(&self), Duration::from_secs(*seconds));
                tokio::spawn(async move {
                    sleep(later).await;
                    // Nobody waits for this answer.
                    let _ = bug.does(then, request).await;
                });
                self.verdict(cql, true).await
            }
            RuleEffect::Wait(ms, then) => {
                sleep(Duration::from_millis(*ms)).await;
                self.does(then, request).await
            }
            RuleEffect::Strip(part) => {
                self.other_text(&request, request::without(&request, part)).await
            }
            RuleEffect::Cut(from) => self.other_text(&request, request::cut(&request, from)).await,
            RuleEffect::Plain(part) => {
                let profile = StatementProfile::Write;
                let plain = StatementRequest { profile, ..request::without(&request, part) };
                self.cluster.execute(plain).await?;
                self.verdict(request.cql, true).await
            }
            RuleEffect::As(profile) => {
                self.cluster.execute(StatementRequest { profile: *profile, ..request }).await
            }
            RuleEffect::Blind => self.blind(request).await,
            RuleEffect::Set(at, value, then) => {
                let now_us = self.process.now_ms() * 1_000;
                self.does(then, request::set(request, *at, *value, now_us)).await
            }
            RuleEffect::Say(change) => self.said(*change, request).await,
            RuleEffect::Stale { when, .. } => self.stale(*when, request).await,
            RuleEffect::Note { key, row, then } => {
                self.note(&request, *key, row);
                self.does(then, request).await
            }
            RuleEffect::Recall(key, otherwise) => match self.recalled(&request, *key) {
                Some(page) => self.answered(page).await,
                None => self.does(otherwise, request).await,
            },
            RuleEffect::RecallCell(key, column) => self.recalled_cell(*key, column, request).await,
            RuleEffect::Once(key, change) => match self.taken(&key_of(&request, *key, 1)) {
                Some(_) => self.said(*change, request).await,
                None => self.cluster.execute(request).await,
            },
            RuleEffect::ReadFirst(cql, count) => self.read_first(cql, *count, request).await,
            RuleEffect::Kept(count) => match self.taken(&key_of(&request, 0, *count)) {
                Some(page) => self.answered(page).await,
                None => self.cluster.execute(request).await,
            },
            RuleEffect::Then(cql, from, to) => self.followed(cql, (*from, *to), request).await,
        }
    }

    /// The answer to another text than the one that the process knows the columns of.
    async fn other_text(&self, known: &StatementRequest, other: StatementRequest) -> PageAnswer {
        let page = self.cluster.execute(other).await?;
        match known.profile.is_conditional() {
            true => self.verdict(known.cql, rows::is_applied(&page)).await,
            false => Ok(page),
        }
    }

    async fn blind(&self, request: StatementRequest) -> PageAnswer {
        let columns = self.cluster.prepare(request.cql).await?.columns;
        let mut page = self.cluster.execute(request.clone()).await?;
        for _ in 0..BLIND_TRIES {
            if rows::is_applied(&page) {
                break;
            }
            let there = page.rows.first().map(|row| rows::named(&columns, row)).unwrap_or_default();
            let Some(again) = request::forced(&request, &there) else { break };
            page = self.cluster.execute(again).await?;
        }
        Ok(page)
    }

    async fn said(&self, change: AnswerChange, request: StatementRequest) -> PageAnswer {
        let cql = request.cql;
        let again = StatementRequest { profile: StatementProfile::Again, ..request.clone() };
        let answer = self.cluster.execute(request).await;
        match change {
            AnswerChange::Nothing => answer.map(|_| RowPage::default()),
            AnswerChange::Applied => {
                answer?;
                self.verdict(cql, true).await
            }
            AnswerChange::Refused => {
                answer?;
                self.verdict(cql, false).await
            }
            AnswerChange::AppliedIfUnknown if answer.is_err() => self.verdict(cql, true).await,
            AnswerChange::RefusedIfUnknown if answer.is_err() => self.verdict(cql, false).await,
            AnswerChange::DoneIfUnknown if answer.is_err() => Ok(RowPage::default()),
            AnswerChange::AgainIfUnknown if answer.is_err() => self.cluster.execute(again).await,
            AnswerChange::AppliedIfUnknown
            | AnswerChange::RefusedIfUnknown
            | AnswerChange::DoneIfUnknown
            | AnswerChange::AgainIfUnknown => answer,
            AnswerChange::Nulls(columns) => {
                let specs = self.cluster.prepare(cql).await?.columns;
                Ok(rows::with(answer?, &specs, columns, None))
            }
        }
    }

    async fn followed(
        &self,
        cql: &'static str,
        (from, to): (usize, usize),
        request: StatementRequest,
    ) -> PageAnswer {
        let values =
            request.rows.first().and_then(|row| row.get(from..to)).map(<[BoundValue]>::to_vec);
        let (profile, page_rows) = (StatementProfile::Write, request.page_rows);
        let page = self.cluster.execute(request).await?;
        if rows::is_applied(&page) {
            let rows = values.into_iter().collect();
            let next = StatementRequest { cql, rows, profile, from: None, page_rows };
            // The process does not know that this is sent.
            let _ = self.cluster.execute(next).await;
        }
        Ok(page)
    }

    /// The answer of a conditional update, or of a plain write, that is no node's.
    async fn verdict(&self, cql: &'static str, applied: bool) -> PageAnswer {
        let columns = self.cluster.prepare(cql).await?.columns.len();
        self.answered(rows::verdict(applied, columns)).await
    }

    /// An answer that is no node's. A process that is stopped gets it when it goes on.
    async fn answered(&self, page: RowPage) -> PageAnswer {
        sleep(PROMPT).await;
        self.process.gate().await;
        Ok(page)
    }

    /// Not of the processes that look at the end.
    fn is_away(&self) -> bool {
        self.process.name().starts_with("process ") && self.process.now_ms() / 1_000 % 200 < 90
    }

    /// Whether the process looks again at what it remembers after this statement.
    fn forgets(&self, cql: &str) -> bool {
        let is_end = |effect: &RuleEffect| match effect {
            RuleEffect::Stale { until, .. } => !until.is_empty() && cql.contains(until),
            _ => false,
        };
        self.rules.iter().any(|(_, effect)| is_end(effect))
    }

    fn say(&self, cql: &str) {
        if self.trace.on() {
            let text: String = cql.chars().take(60).collect();
            self.trace.say(self.process.name(), format!("PLANTED {}: {text}", self.name));
        }
    }
}
