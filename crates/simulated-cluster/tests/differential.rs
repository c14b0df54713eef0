//! The simulated rows against those of a real engine: the same random statements, and after some of
//! them the same partitions.
//!
//! The statements are those of the store. Their values are of so few kinds that rows collide, and
//! plain writes have write times that are often equal. Each *lane* runs its statements one after the
//! other on partitions of its own; the lanes run at the same time.
//!
//! `COUPONRY_DIFFERENTIAL` is the number of statements, `COUPONRY_DIFFERENTIAL_SEED` repeats a run,
//! and `COUPONRY_DIFFERENTIAL_NODE` names a node of an engine that somebody has.

#![expect(clippy::unwrap_used, reason = "a case that cannot go on has failed")]

#[path = "differential/engine.rs"]
mod engine;
#[path = "differential/model.rs"]
mod model;
#[path = "differential/texts.rs"]
mod texts;
#[path = "differential/values.rs"]
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use engine::{ParameterValue, RealEngine, rows_of};
use futures::{StreamExt, stream};
use model::{SimulatedReplicas, bound, rows_in};
use scylla::frame::response::result::ColumnType;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, MaybeUnset};
use simulated_cluster::cql::{CqlStatement, KeyspaceSchema, StatementKind};
use simulated_cluster::rng::Rng;
use simulated_cluster::texts::listed_statements;
use values::{ParameterRole, StatementLane, roles};

/// Statements of a run.
const STATEMENTS: u64 = 10_000;

/// Lanes, which run at the same time.
const LANES: u64 = 64;

/// Statements on one table between two comparisons.
const COMPARED_EVERY: u64 = 8;

/// Most differences that are printed.
const DIFFERENCES_MAX: usize = 3;

/// A statement as both know it.
struct ComparedStatement {
    real: PreparedStatement,
    simulated: Arc<CqlStatement>,
    roles: Vec<ParameterRole>,
    /// Whether its answer is compared: write times differ, and so does the order of partitions.
    is_compared: bool,
}

/// All statements of a table.
struct TableStatements {
    statements: Vec<ComparedStatement>,
    /// Reads all columns of one partition.
    whole: ComparedStatement,
    partition_key: Vec<String>,
}

struct EnginePair {
    engine: RealEngine,
    tables: Vec<TableStatements>,
}

impl EnginePair {
    async fn start() -> Option<EnginePair> {
        let engine = RealEngine::start().await?;
        let schema = KeyspaceSchema::couponry();
        let mut by_table: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for cql in listed_statements() {
            let simulated = schema.prepare(cql).unwrap_or_else(|why| panic!("{cql}: {why}"));
            by_table.entry(simulated.table().to_owned()).or_default().push(cql);
        }
        let mut tables = Vec::new();
        for (name, texts) in by_table {
            let table = engine.table(&name);
            let mut statements = Vec::new();
            for cql in texts {
                statements.push(ComparedStatement::of(&engine, &schema, cql).await);
            }
            let columns: BTreeSet<&str> = table.columns.keys().map(String::as_str).collect();
            let columns = columns.into_iter().collect::<Vec<_>>().join(", ");
            let key: Vec<String> =
                table.partition_key.iter().map(|column| format!("{column} = ?")).collect();
            let cql = format!("SELECT {columns} FROM {name} WHERE {}", key.join(" AND "));
            let whole = ComparedStatement::of(&engine, &schema, &cql).await;
            tables.push(TableStatements { statements, whole, partition_key: table.partition_key });
        }
        Some(EnginePair { engine, tables })
    }

    /// Runs a statement on both. Returns how the answers differ.
    async fn run(
        &self,
        known: &ComparedStatement,
        model: &mut SimulatedReplicas,
        values: &[ParameterValue],
        written_us: i64,
    ) -> Result<(), String> {
        let kind = known.simulated.kind();
        let written = (kind == StatementKind::Write).then_some(written_us);
        let real = self.engine.run(&known.real, values, written).await;
        let parameters = known.real.get_variable_col_specs();
        let values = bound(parameters.as_slice(), values);
        let simulated = model.run(&known.simulated, &values, written_us);
        let (real, simulated) = match (real, simulated) {
            (Ok(real), Ok(simulated)) => (real, simulated),
            (Err(_), Err(_)) => return Ok(()),
            (Err(real), Ok(_)) => return Err(format!("only the real one refuses it: {real}")),
            (Ok(_), Err(why)) => return Err(format!("only the simulated one refuses it: {why}")),
        };
        match kind {
            StatementKind::Conditional => {
                let real =
                    rows_of(real).into_iter().next().map(|row| row.columns.into_iter().next());
                let real = real.flatten().flatten() == Some(CqlValue::Boolean(true));
                // A boolean is one byte long.
                let applied =
                    matches!(simulated.first().map(Vec::as_slice), Some([0, 0, 0, 1, 1, ..]));
                is_equal(&real, &applied)
            }
            StatementKind::Read if known.is_compared => {
                let columns = known.real.get_current_result_set_col_specs();
                let columns = columns.get();
                is_equal(&rows_of(real), &rows_in(columns.as_slice(), &simulated))
            }
            StatementKind::Read | StatementKind::Write | StatementKind::Clock => Ok(()),
        }
    }
}

impl ComparedStatement {
    async fn of(engine: &RealEngine, schema: &Arc<KeyspaceSchema>, cql: &str) -> ComparedStatement {
        let real = engine.prepare(cql).await;
        let simulated = schema.prepare(cql).unwrap_or_else(|why| panic!("{cql}: {why}"));
        let parameters = real.get_variable_col_specs();
        assert_eq!(simulated.parameters().len(), parameters.len(), "{cql}");
        for (ours, theirs) in simulated.parameters().iter().zip(parameters.iter()) {
            let (ours, theirs) = (kind_of(ours.typ()), kind_of(theirs.typ()));
            assert_eq!(ours, theirs, "{cql}");
        }
        if simulated.kind() == StatementKind::Read {
            let names = |name: &str| name.to_ascii_lowercase();
            let ours: Vec<_> = simulated.columns().iter().map(|it| names(it.name())).collect();
            let columns = real.get_current_result_set_col_specs();
            let theirs: Vec<_> = columns.get().iter().map(|it| names(it.name())).collect();
            assert_eq!(ours, theirs, "{cql}");
        }
        let table = engine.table(simulated.table());
        let roles = roles(cql, parameters.as_slice(), &table);
        let is_compared =
            !["WRITETIME(", "TTL(", " IN ?"].iter().any(|unlike| cql.contains(unlike));
        ComparedStatement { real, simulated, roles, is_compared }
    }

    fn values(&self, lane: &StatementLane, rng: &mut Rng) -> Vec<ParameterValue> {
        let specs = self.real.get_variable_col_specs();
        let values = self.roles.iter().zip(specs.iter());
        values.map(|(role, spec)| lane.value(*role, spec, rng)).collect()
    }

    /// The partition that these values name; `None` for several.
    fn partition(&self, values: &[ParameterValue], key: &[String]) -> Option<Vec<ParameterValue>> {
        let specs = self.real.get_variable_col_specs();
        let value_of = |column: &String| {
            let at = specs.iter().position(|spec| spec.name() == column)?;
            let is_one = !matches!(values[at], MaybeUnset::Set(Some(CqlValue::List(_))));
            (self.roles[at] == ParameterRole::Partition && is_one).then(|| values[at].clone())
        };
        key.iter().map(value_of).collect()
    }
}

/// The type without the keyspace in which it was made. The protocol does not say what is frozen.
fn kind_of(typ: &ColumnType<'_>) -> String {
    let text = format!("{typ:?}").replace("frozen: true", "frozen: false");
    text.split("keyspace").next().unwrap_or_default().to_owned()
}

fn shown(values: &[ParameterValue]) -> String {
    let one = |value: &ParameterValue| match value {
        MaybeUnset::Unset => "unset".to_owned(),
        MaybeUnset::Set(None) => "null".to_owned(),
        MaybeUnset::Set(Some(value)) => format!("{value:?}"),
    };
    values.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn is_equal<T: PartialEq + std::fmt::Debug>(real: &T, simulated: &T) -> Result<(), String> {
    match real == simulated {
        true => Ok(()),
        false => Err(format!("real:      {real:?}\nsimulated: {simulated:?}")),
    }
}

/// Runs the statements of one lane. Returns the first difference.
async fn run_lane(both: &EnginePair, lane: StatementLane, statements: u64) -> Option<String> {
    let mut rng = Rng::new(lane.seed).fork(&format!("lane {}", lane.number));
    let mut model = SimulatedReplicas::new(rng.fork("replicas"), lane.now_us);
    // What was done to each partition.
    let mut done: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    let mut nth = 0;
    for _ in 0..statements.div_ceil(COMPARED_EVERY) {
        let at = usize::try_from(rng.below(both.tables.len() as u64)).unwrap();
        let table = &both.tables[at];
        let mut touched: BTreeMap<String, Vec<ParameterValue>> = BTreeMap::new();
        for _ in 0..COMPARED_EVERY {
            let known = rng.pick(&table.statements);
            let values = known.values(&lane, &mut rng);
            // Of two values that expire and have one write time, the engine keeps the one that expires
            // later by its own clock.
            nth += 8;
            let expires = known.roles.contains(&ParameterRole::TimeToLive);
            let written_us = lane.write_time(&mut rng) + if expires { nth } else { 0 };
            let partition = known.partition(&values, &table.partition_key);
            let name = partition.as_deref().map(shown).unwrap_or_default();
            let line = format!("{} [{}] at {written_us}", known.simulated.text(), shown(&values));
            done.entry((at, name.clone())).or_default().push(line);
            touched.extend(partition.map(|partition| (name.clone(), partition)));
            if let Err(how) = both.run(known, &mut model, &values, written_us).await {
                return Some(report(&lane, &done[&(at, name)], &how));
            }
        }
        for (name, partition) in touched {
            if let Err(how) = both.run(&table.whole, &mut model, &partition, 0).await {
                return Some(report(&lane, &done[&(at, name)], &how));
            }
        }
    }
    None
}

fn report(lane: &StatementLane, done: &[String], how: &str) -> String {
    let mut text = format!("seed {}, lane {}\n", lane.seed, lane.number);
    for line in done {
        writeln!(text, "  {line}").unwrap();
    }
    text + how
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_engine_and_the_simulated_rows_agree() {
    let Some(both) = EnginePair::start().await else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_us = i64::try_from(now.as_micros()).unwrap();
    // A number of its own, so that a second run on the same node finds no rows.
    let seed = number("COUPONRY_DIFFERENTIAL_SEED").unwrap_or(now_us.unsigned_abs() / 1_000);
    let each = number("COUPONRY_DIFFERENTIAL").unwrap_or(STATEMENTS).div_ceil(LANES);
    let lanes =
        (0..LANES).map(|number| run_lane(&both, StatementLane { seed, number, now_us }, each));
    let ran: Vec<Option<String>> =
        stream::iter(lanes).buffer_unordered(LANES as usize).collect().await;
    let differences: Vec<String> = ran.into_iter().flatten().collect();
    eprintln!("seed {seed}: {} statements in {LANES} lanes", each * LANES);
    let some = &differences[..differences.len().min(DIFFERENCES_MAX)];
    assert!(some.is_empty(), "{} lanes differ:\n{}", differences.len(), some.join("\n\n"));
}

#[test]
fn every_statement_of_the_store_is_listed() {
    assert_eq!(texts::missing(), Vec::<String>::new());
}

#[test]
fn the_simulated_cluster_knows_every_statement() {
    let schema = KeyspaceSchema::couponry();
    let unknown = |cql: &&str| schema.prepare(cql).err();
    let whys: Vec<String> = listed_statements().iter().filter_map(unknown).collect();
    assert_eq!(whys, Vec::<String>::new());
}
