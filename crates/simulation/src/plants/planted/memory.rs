//! What a process with a planted bug remembers, and should not.

use std::collections::BTreeMap;

use cql_session::{BoundValue, RowPage, StatementProfile, StatementRequest};
use tokio::time::sleep;

use super::{ClusterBug, GAP, PageAnswer};
use crate::plants::{AnswerFilter, rows};

impl ClusterBug {
    pub(super) async fn stale(&self, when: AnswerFilter, request: StatementRequest) -> PageAnswer {
        if request.from.is_some() {
            return self.cluster.execute(request).await;
        }
        let mut key = request.cql.as_bytes().to_vec();
        key.extend(key_of(&request, 0, usize::MAX));
        if let Some(page) = self.with(|remembered| remembered.get(&key).cloned()) {
            return self.answered(page).await;
        }
        let page = self.cluster.execute(request).await?;
        let is_kept = match when {
            AnswerFilter::Always => true,
            AnswerFilter::Empty => page.rows.is_empty(),
            AnswerFilter::Null => rows::is_null(&page),
        };
        if is_kept {
            self.keep(key, page.clone());
        }
        Ok(page)
    }

    pub(super) fn note(&self, request: &StatementRequest, key: usize, columns: &[usize]) {
        let values = request.rows.first().map(Vec::as_slice).unwrap_or_default();
        let noted: Vec<&BoundValue> = columns.iter().filter_map(|at| values.get(*at)).collect();
        // A set without elements is nothing to remember.
        let is_nothing =
            |value: &&BoundValue| matches!(value, BoundValue::Value(set) if set == &[0; 4]);
        if noted.is_empty() || !noted.iter().all(is_nothing) {
            let page = RowPage { rows: vec![rows::of_values(noted)], next: None };
            self.keep(key_of(request, key, 1), page);
        }
    }

    pub(super) async fn recalled_cell(
        &self,
        key: usize,
        column: &str,
        request: StatementRequest,
    ) -> PageAnswer {
        let (cql, noted) = (request.cql, self.recalled(&request, key));
        let page = self.cluster.execute(request).await?;
        let Some(noted) = noted else { return Ok(page) };
        let value = noted
            .rows
            .first()
            .and_then(|row| simulated_cluster::cql::cells(row).first().copied().flatten());
        let specs = self.cluster.prepare(cql).await?.columns;
        Ok(rows::with(page, &specs, &[column], value))
    }

    pub(super) async fn read_first(
        &self,
        cql: &'static str,
        count: usize,
        request: StatementRequest,
    ) -> PageAnswer {
        let values =
            request.rows.first().map(|row| row.iter().take(count).cloned().collect::<Vec<_>>());
        let first = StatementRequest {
            cql,
            rows: values.into_iter().collect(),
            profile: StatementProfile::Read,
            from: None,
            page_rows: request.page_rows,
        };
        if let Ok(page) = self.cluster.execute(first).await {
            self.keep(key_of(&request, 0, count), page);
        }
        sleep(GAP).await;
        self.cluster.execute(request).await
    }

    pub(super) fn recalled(&self, request: &StatementRequest, key: usize) -> Option<RowPage> {
        self.with(|remembered| remembered.get(&key_of(request, key, 1)).cloned())
    }

    pub(super) fn taken(&self, key: &[u8]) -> Option<RowPage> {
        self.with(|remembered| remembered.remove(key))
    }

    pub(super) fn keep(&self, key: Vec<u8>, page: RowPage) {
        self.with(|remembered| remembered.insert(key, page));
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut BTreeMap<Vec<u8>, RowPage>) -> T) -> T {
        work(&mut self.remembered.lock().expect("nothing panics with the memory in its hand"))
    }
}

/// Some values of a request, from a number on, as a key.
pub(super) fn key_of(request: &StatementRequest, from: usize, count: usize) -> Vec<u8> {
    rows::of_values(request.rows.iter().flatten().skip(from).take(count))
}
