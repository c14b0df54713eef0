//! Reads: two replicas answer, their answers are merged, and who lacks something is sent it before
//! the client has the answer.

use std::sync::Arc;
use std::time::Duration;

use cql_session::{BoundValue, CqlEngine};
use futures::future::try_join_all;
use scylla::errors::DbError;
use scylla::statement::Consistency;

use super::coordinator::{StatementCoordinator, invalid, number, refused};
use super::messages::ReplicaRequest;
use super::node::{ClusterState, ReplicaNode};
use super::{CoordinatorAnswer, CoordinatorFailure, ExecutionOptions};
use crate::cql::{CqlStatement, Mutation, PagePosition, ReadAnswer, ReplicaRead};

/// How long a coordinator waits for replicas that read.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// After this time a coordinator asks all replicas.
const SPECULATE_AFTER: Duration = Duration::from_millis(60);

/// Pages of ScyllaDB that are empty although more rows follow, in permille.
const EMPTY_PAGES: u64 = 100;

/// Pages of ScyllaDB that have fewer rows than they may, in permille.
const SHORT_PAGES: u64 = 200;

/// Most rows of such a page.
const SHORT_MOST: usize = 4;

/// A read fails that passes more deleted rows, cells and expired values on its way. The default of
/// `tombstone_failure_threshold` of Cassandra; ScyllaDB ends a page there.
const TOMBSTONES_MAX: usize = 100_000;

/// How often a coordinator asks one replica more than it needs, in permille.
const ASK_ALL: u32 = 250;

impl StatementCoordinator {
    pub(super) async fn read(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
        options: &ExecutionOptions,
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        let read = Arc::new(asked(statement, values, options)?);
        let rows = self.rows(&read, options.consistency).await?;
        self.answered(statement, values, &rows, options)
    }

    /// The answer of which a client gets a page.
    pub(super) fn answered(
        &self,
        statement: &CqlStatement,
        values: &[BoundValue],
        rows: &ReadAnswer,
        options: &ExecutionOptions,
    ) -> Result<CoordinatorAnswer, CoordinatorFailure> {
        let now_s = self.cluster.with(|state| state.clock_us(self.node)) / 1_000_000;
        let Some(page) = &options.page else {
            let rows = statement.answer(values, rows, now_s).map_err(invalid)?;
            return Ok(CoordinatorAnswer { rows, next: None });
        };
        let page_rows = match self.cluster.engine() {
            CqlEngine::Cassandra => page.rows,
            CqlEngine::Scylla => self.cluster.with(|state| state.page_rows(page.rows)),
        };
        if page_rows == 0 {
            self.cluster.trace().reached("scylladb: an empty page with more to come");
            let next = Some(page.after.clone().unwrap_or_default());
            return Ok(CoordinatorAnswer { rows: Vec::new(), next });
        }
        let (rows, next) = statement.page(values, rows, page_rows, now_s).map_err(invalid)?;
        if page_rows < page.rows && next.is_some() {
            self.cluster.trace().reached("scylladb: a short page with more to come");
        }
        Ok(CoordinatorAnswer { rows, next: next.map(|position| position.to_bytes()) })
    }

    /// The merged rows of enough replicas.
    pub(super) async fn rows(
        &self,
        read: &Arc<ReplicaRead>,
        consistency: Consistency,
    ) -> Result<ReadAnswer, CoordinatorFailure> {
        let parts = self.cluster.with(|state| state.parts(read));
        let parts = parts.into_iter().map(|(token, part)| async move {
            self.rows_of_part(token, &Arc::new(part), consistency).await
        });
        let answers = try_join_all(parts).await?.into_iter();
        // A read that names no partition has no part.
        let all = answers.reduce(|mut all, answer| {
            all.merge(answer);
            all
        });
        let all = all.unwrap_or_default();
        self.count_tombstones(&read.table, &all, consistency)?;
        Ok(all)
    }

    fn count_tombstones(
        &self,
        table: &Arc<str>,
        rows: &ReadAnswer,
        consistency: Consistency,
    ) -> Result<(), CoordinatorFailure> {
        let passed = self.cluster.with(|state| {
            let passed = rows.tombstones(state.clock_us(self.node) / 1_000_000);
            let most = state.tombstones.entry(Arc::clone(table)).or_default();
            *most = passed.max(*most);
            passed
        });
        if passed <= TOMBSTONES_MAX {
            return Ok(());
        }
        self.cluster.trace().reached("read: too many tombstones");
        let (received, data_present) = (0, false);
        let (required, numfailures) = (number(self.required(consistency)), 1);
        Err(refused(DbError::ReadFailure {
            consistency,
            received,
            required,
            numfailures,
            data_present,
        }))
    }

    async fn rows_of_part(
        &self,
        token: u64,
        read: &Arc<ReplicaRead>,
        consistency: Consistency,
    ) -> Result<ReadAnswer, CoordinatorFailure> {
        let need = self.required(consistency);
        let mut asked = self.alive(token, consistency)?;
        let all = asked.clone();
        // Replicas that are equal anyway are not compared: most tests know no fault.
        let need = self.cluster.with(|state| {
            let is_calm = state.is_calm();
            if !is_calm {
                state.rng.shuffle(&mut asked);
            }
            let need = if is_calm && state.are_equal { 1 } else { need };
            if is_calm || !state.rng.chance(ASK_ALL) {
                asked.truncate(need);
            }
            need
        });
        let mut replies = self.ask(&asked, read, need, SPECULATE_AFTER).await?;
        if replies.len() < need {
            replies = self.ask(&all, read, need, READ_LIMIT - SPECULATE_AFTER).await?;
        }
        if replies.len() < need {
            let (received, required) = (number(replies.len()), number(need));
            let data_present = received > 0;
            let error = DbError::ReadTimeout { consistency, received, required, data_present };
            return Err(refused(error));
        }
        replies.truncate(need);
        self.merged(replies, consistency).await
    }

    async fn ask(
        &self,
        nodes: &[usize],
        read: &Arc<ReplicaRead>,
        need: usize,
        limit: Duration,
    ) -> Result<Vec<(usize, ReadAnswer)>, CoordinatorFailure> {
        let read = Arc::clone(read);
        let handler = move |node: &mut ReplicaNode| node.data.read(&read);
        let question = ReplicaRequest { handler, limit, hint: None, may_repeat: true };
        self.round(nodes, question, |replies| replies.len() >= need).await
    }

    async fn merged(
        &self,
        mut replies: Vec<(usize, ReadAnswer)>,
        consistency: Consistency,
    ) -> Result<ReadAnswer, CoordinatorFailure> {
        let differ = replies.windows(2).any(|pair| pair[0].1 != pair[1].1);
        if !differ {
            return Ok(replies.swap_remove(0).1);
        }
        self.cluster.trace().reached("read: replicas differ");
        let mut merged = replies[0].1.clone();
        for (_, rows) in &replies[1..] {
            merged.merge(rows.clone());
        }
        let lacking = replies.iter().filter(|(_, rows)| *rows != merged);
        let lacking: Vec<usize> = lacking.map(|(node, _)| *node).collect();
        let repair: Arc<[Mutation]> = merged.repairs().collect();
        self.repair_rows(repair, &lacking, replies.len(), consistency).await?;
        Ok(merged)
    }

    /// Sends the merged rows to the replicas that lack some of them, and waits: the next read at a
    /// quorum must not miss what this one answers.
    async fn repair_rows(
        &self,
        repair: Arc<[Mutation]>,
        lacking: &[usize],
        answered: usize,
        consistency: Consistency,
    ) -> Result<(), CoordinatorFailure> {
        let handler = move |node: &mut ReplicaNode| node.apply(&repair);
        let question = ReplicaRequest { handler, limit: READ_LIMIT, hint: None, may_repeat: true };
        let repaired = self.round(lacking, question, |_| false).await?.len();
        if repaired == lacking.len() {
            return Ok(());
        }
        let received = number(answered + repaired - lacking.len());
        let (required, data_present) = (number(answered), true);
        Err(refused(DbError::ReadTimeout { consistency, received, required, data_present }))
    }
}

impl ClusterState {
    /// How many rows a page of ScyllaDB has at most: it ends early when it is large, or when too
    /// many deleted rows were read for it, and then may have none.
    fn page_rows(&mut self, asked: usize) -> usize {
        match self.pages.below(1_000) {
            drawn if drawn < EMPTY_PAGES => 0,
            drawn if drawn < EMPTY_PAGES + SHORT_PAGES => {
                let most = u64::try_from(asked.min(SHORT_MOST)).unwrap_or(1);
                usize::try_from(self.pages.between(1, most)).unwrap_or(1)
            }
            _ => asked,
        }
    }
}

/// What replicas are asked for a read, or for one page of it.
pub(super) fn asked(
    statement: &CqlStatement,
    values: &[BoundValue],
    options: &ExecutionOptions,
) -> Result<ReplicaRead, CoordinatorFailure> {
    let read = statement.read(values).map_err(invalid)?;
    let after = options.page.as_ref().and_then(|page| page.after.as_deref());
    // An empty first page ends where the answer begins.
    match after.filter(|after| !after.is_empty()) {
        Some(after) => Ok(read.after(position(after)?)),
        None => Ok(read),
    }
}

fn position(bytes: &[u8]) -> Result<PagePosition, CoordinatorFailure> {
    PagePosition::from_bytes(bytes).ok_or_else(|| invalid("a page begins at no row"))
}
