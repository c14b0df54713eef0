//! Every plant is about statements that the store sends, and does to them what its row says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cql_session::{BoundValue, CqlCluster, RowPage, StatementProfile, StatementRequest};
use tokio::time::sleep;

use super::planted::PlantedCluster;
use super::statements::StatementPattern;
use super::{
    AnswerChange, AnswerFilter, BugScope, PlantRule, PlantedBug, RuleEffect, listed, request, table,
};
use crate::CONTROL;
use simulated_cluster::cluster::{NetworkWeather, SimulatedCluster};
use simulated_cluster::cql::KeyspaceSchema;
use simulated_cluster::rng::Rng;
use simulated_cluster::session::{SimulatedProcess, SimulatedSession};
use simulated_cluster::texts::statements_of_the_store;
use simulated_cluster::trace::Trace;

const PLANTS_MIN: usize = 30;

fn rules(plant: &PlantedBug) -> &'static [PlantRule] {
    match plant.scope {
        BugScope::All(rules) | BugScope::One(rules) => rules,
        BugScope::Bucket(_) | BugScope::Clock(_) => &[],
    }
}

/// A request with as many values as its text has markers.
fn with_values(text: &str) -> StatementRequest {
    let cql: &'static str = Box::leak(text.to_owned().into_boxed_str());
    let rows = vec![vec![BoundValue::Value(vec![0; 8]); request::markers(cql)]];
    StatementRequest { cql, rows, profile: StatementProfile::Change, from: None, page_rows: 100 }
}

/// What is sent in the place of a statement: other texts, and the numbers of values that it reads.
fn sent_instead(
    effect: &RuleEffect,
    request: &StatementRequest,
    texts: &mut Vec<StatementRequest>,
    numbers: &mut Vec<usize>,
) {
    match effect {
        RuleEffect::Strip(part) | RuleEffect::Plain(part) => {
            texts.push(request::without(request, part))
        }
        RuleEffect::Cut(part) => texts.push(request::cut(request, part)),
        RuleEffect::Late(_, then) | RuleEffect::Wait(_, then) => {
            sent_instead(then, request, texts, numbers)
        }
        RuleEffect::Set(at, _, then) => {
            numbers.push(*at);
            sent_instead(then, request, texts, numbers);
        }
        RuleEffect::Note { key, row, then } => {
            numbers.push(*key);
            numbers.extend(*row);
            sent_instead(then, request, texts, numbers);
        }
        RuleEffect::Recall(at, _) | RuleEffect::RecallCell(at, _) => {
            numbers.push(*at);
        }
        RuleEffect::Once(at, _) => numbers.push(*at),
        RuleEffect::Kept(count) => numbers.push(count - 1),
        RuleEffect::ReadFirst(cql, count) => {
            let rows = vec![request.rows[0][..*count].to_vec()];
            texts.push(StatementRequest { cql, rows, ..request.clone() });
        }
        RuleEffect::Then(cql, from, to) => {
            let rows = vec![request.rows[0][*from..*to].to_vec()];
            texts.push(StatementRequest { cql, rows, ..request.clone() });
        }
        RuleEffect::Send
        | RuleEffect::Lose
        | RuleEffect::Away
        | RuleEffect::As(_)
        | RuleEffect::Blind
        | RuleEffect::Say(_) => {}
        RuleEffect::Stale { .. } => {}
    }
}

#[test]
fn each_has_a_name_and_a_sentence_of_its_own() {
    let names: BTreeSet<&str> = listed().iter().map(|(name, _)| *name).collect();
    let sentences: BTreeSet<&str> = listed().iter().map(|(_, breaks)| *breaks).collect();
    assert_eq!((names.len(), sentences.len()), (listed().len(), listed().len()));
    let controls = listed().iter().filter(|(_, breaks)| breaks.starts_with(CONTROL)).count();
    assert!(listed().len() - controls >= PLANTS_MIN, "{} plants", listed().len() - controls);
    assert!(controls > 0);
}

#[test]
fn every_statement_of_a_plant_is_sent_by_the_store() {
    let (texts, schema) = (statements_of_the_store(), KeyspaceSchema::couponry());
    for plant in table::all() {
        for (pattern, effect) in rules(plant) {
            let found: Vec<&String> = texts.iter().filter(|text| pattern.has_text(text)).collect();
            assert!(!found.is_empty(), "{}: the store sends no such statement", plant.name);
            for text in found {
                let (request, mut others, mut numbers) = (with_values(text), vec![], vec![]);
                sent_instead(effect, &request, &mut others, &mut numbers);
                let values = request.rows[0].len();
                assert!(numbers.iter().all(|at| *at < values), "{}: {numbers:?}", plant.name);
                for other in others {
                    assert_ne!(other.cql, request.cql, "{}: no part is gone", plant.name);
                    let statement = schema.prepare(other.cql).expect("the engine knows it");
                    let (want, found) = (statement.parameters().len(), other.rows[0].len());
                    assert_eq!(want, found, "{}: {}", plant.name, other.cql);
                }
            }
        }
    }
}

#[test]
fn what_ends_a_memory_is_sent_by_the_store() {
    let texts = statements_of_the_store();
    for plant in table::all() {
        for (_, effect) in rules(plant) {
            if let RuleEffect::Stale { until, .. } = effect {
                assert!(texts.iter().any(|text| text.contains(until)), "{}", plant.name);
            }
        }
    }
}

const SETTING: StatementPattern =
    StatementPattern::of(&["UPDATE setting SET value = ? WHERE name = ? IF value = ?"]);
const READ: StatementPattern = StatementPattern::of(&["SELECT value FROM setting WHERE name = ?"]);

const CHANGE: &str = "UPDATE setting SET value = ? WHERE name = ? IF value = ?";
const LOOK: &str = "SELECT value FROM setting WHERE name = ?";

/// A process with these rules, and one without, on one cluster.
fn made(rules: &'static [PlantRule]) -> (SimulatedProcess, PlantedCluster, SimulatedSession) {
    let trace = Trace::new(true);
    let cluster = SimulatedCluster::new(
        KeyspaceSchema::couponry(),
        Rng::new(1),
        trace.clone(),
        NetworkWeather::calm(),
    );
    let session = |name: &str| {
        let process = SimulatedProcess::new(name, 0);
        let rng = Rng::new(2);
        (process.clone(), SimulatedSession::new(cluster.clone(), process, rng, trace.clone()))
    };
    let ((process, inner), (_, other)) = (session("process 0"), session("process 1"));
    let planted = PlantedCluster::new(
        Arc::new(inner),
        process.clone(),
        trace.clone(),
        ("a bug", rules),
        None,
    );
    (process, planted, other)
}

fn text(text: &str) -> BoundValue {
    BoundValue::Value(text.as_bytes().to_vec())
}

/// Sets a setting from one value to another; whether it is answered that it was applied.
async fn changes(cluster: &dyn CqlCluster, from: BoundValue, to: &str) -> bool {
    let rows = vec![vec![text(to), text("a"), from]];
    let profile = StatementProfile::Change;
    let request = StatementRequest { cql: CHANGE, rows, profile, from: None, page_rows: 100 };
    super::rows::is_applied(&cluster.execute(request).await.expect("calm"))
}

/// The value of the setting.
async fn reads(cluster: &dyn CqlCluster) -> Option<String> {
    let (rows, profile) = (vec![vec![text("a")]], StatementProfile::Read);
    let request = StatementRequest { cql: LOOK, rows, profile, from: None, page_rows: 100 };
    let page: RowPage = cluster.execute(request).await.expect("calm");
    let value = page
        .rows
        .first()
        .and_then(|row| simulated_cluster::cql::cells(row).first().copied().flatten());
    value.map(|value| String::from_utf8_lossy(value).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_late_write_is_answered_first_and_never_made_by_a_dead_process() {
    let (process, planted, other) = made(&[(SETTING, RuleEffect::Late(2, &RuleEffect::Send))]);
    assert!(changes(&planted, BoundValue::Null, "one").await);
    assert_eq!(reads(&other).await, None);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(reads(&other).await.as_deref(), Some("one"));
    assert!(changes(&planted, text("one"), "two").await);
    process.kill();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(reads(&other).await.as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_write_is_answered() {
    let (_, planted, other) = made(&[(SETTING, RuleEffect::Lose)]);
    assert!(changes(&planted, text("nothing like it"), "one").await);
    assert_eq!(reads(&other).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_blind_write_has_no_condition() {
    let (_, planted, other) = made(&[(SETTING, RuleEffect::Blind)]);
    assert!(changes(&other, BoundValue::Null, "one").await);
    assert!(changes(&planted, BoundValue::Null, "two").await);
    assert_eq!(reads(&other).await.as_deref(), Some("two"));
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_stays_until_the_process_writes() {
    let (_, planted, other) =
        made(&[(READ, RuleEffect::Stale { when: AnswerFilter::Empty, until: "UPDATE setting" })]);
    assert_eq!(reads(&planted).await, None);
    assert!(changes(&other, BoundValue::Null, "one").await);
    assert_eq!(reads(&planted).await, None);
    assert!(!changes(&planted, BoundValue::Null, "two").await);
    assert_eq!(reads(&planted).await.as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn what_was_wanted_is_recalled() {
    let (_, planted, other) = made(&[
        (SETTING, RuleEffect::Note { key: 1, row: &[0], then: &RuleEffect::Lose }),
        (READ, RuleEffect::Recall(0, &RuleEffect::Send)),
    ]);
    assert!(changes(&planted, BoundValue::Null, "one").await);
    assert_eq!(reads(&planted).await.as_deref(), Some("one"));
    assert_eq!(reads(&other).await, None);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_changed_once_after_a_note() {
    let (_, planted, other) = made(&[
        (SETTING, RuleEffect::Note { key: 1, row: &[], then: &RuleEffect::Send }),
        (READ, RuleEffect::Once(0, AnswerChange::Nulls(&["value"]))),
    ]);
    assert!(changes(&other, BoundValue::Null, "one").await);
    assert_eq!(reads(&planted).await.as_deref(), Some("one"));
    assert!(!changes(&planted, BoundValue::Null, "two").await);
    assert_eq!(reads(&planted).await, None);
    assert_eq!(reads(&planted).await.as_deref(), Some("one"));
}
