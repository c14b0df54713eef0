//! Creates and compares the keyspace and its tables. It adds columns, and never drops one.

mod tables;

use std::collections::BTreeMap;
use std::fmt;

use hot::HotError;
use scylla::client::session::Session;

use crate::about::copies_of;
use crate::copies::{COMMENT, NOTED_AT, REPLICATION, comment_of, confirmed_in, refusal_of};
use crate::results::unread;
use crate::{
    ConnectError, ConnectionSettings, CqlEngine, CqlSession, OwnedRow, engine_of, rows_of,
};
use tables::{TableColumns, additions, is_table, missing, name_of, statements, wanted};

#[derive(Clone, Debug, Default)]
pub struct SchemaOptions {
    /// Copies of each row in the data centre; 3, or as many as there are nodes.
    pub replication: Option<u32>,
    /// The compaction of every table, as a map of CQL; by default the one that suits the engine.
    pub compaction: Option<String>,
}

/// A difference between a keyspace and what this release wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaDifference {
    pub what: String,
    pub why: String,
    /// Whether `couponry schema apply` sets it right.
    pub mendable: bool,
}

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

impl CqlSession {
    /// Whether the keyspace has every table, type, column and field that this release needs.
    ///
    /// # Errors
    /// [`ConnectError::Schema`] with the first that it does not have.
    pub async fn has_schema(&self, keyspace: &str) -> Result<(), ConnectError> {
        // The cluster of the simulator has them all.
        let Some(driver) = self.driver() else { return Ok(()) };
        let there = columns(driver, keyspace).await;
        let there = there.map_err(|error| ConnectError::Away(error.into()))?;
        match missing(&there).first() {
            Some(name) => Err(ConnectError::Schema(format!("{keyspace} has no {name}"))),
            None => Ok(()),
        }
    }
}

/// A keyspace as an operator works on it, whether it exists or not.
pub struct Keyspace {
    session: Session,
    name: String,
    datacenter: Option<String>,
}

impl Keyspace {
    pub async fn connect(connection: &ConnectionSettings) -> Result<Keyspace, ConnectError> {
        // One statement after the other: all nodes agree on each before the next.
        let builder = connection.builder()?.auto_await_schema_agreement(true);
        let session = builder.build().await.map_err(ConnectError::of)?;
        let (name, datacenter) = (connection.keyspace.clone(), connection.datacenter.clone());
        Ok(Keyspace { session, name, datacenter })
    }

    /// Makes what is missing: the keyspace, types, tables and columns. Returns what it did, a line
    /// each. Safe to repeat, and while `serve` runs.
    pub async fn apply(&self, options: &SchemaOptions) -> Result<Vec<String>, HotError> {
        let mut done = Vec::new();
        if self.replication().await?.is_none() {
            let datacenter = self.datacenter().await?;
            let nodes = u32::try_from(self.nodes_in(&datacenter)).unwrap_or(u32::MAX);
            let copies = options.replication.unwrap_or(nodes.clamp(1, 3));
            let name = &self.name;
            self.run(&format!(
                "CREATE KEYSPACE IF NOT EXISTS {name} WITH replication = \
                 {{'class': 'NetworkTopologyStrategy', '{datacenter}': {copies}}}"
            ))
            .await?;
            done.push(format!("keyspace {name}: {copies} copies in {datacenter}"));
        }
        let there = columns(&self.session, &self.name).await?;
        let engine = engine_of(&self.session);
        let compaction = options.compaction.as_deref().unwrap_or_else(|| compaction(engine));
        let copies = copies_of(self.replication().await?.unwrap_or_default());
        let is_repaired = copies.values().all(|count| *count > 1);
        for statement in statements() {
            let name = name_of(&statement).to_owned();
            if there.contains_key(&name) {
                continue;
            }
            let mut statement = statement.replace(
                &format!("IF NOT EXISTS {name} "),
                &format!("IF NOT EXISTS {}.{name} ", self.name),
            );
            if is_table(&statement) {
                let tombstones = tombstones(engine, &statement, is_repaired);
                statement = with_options(&statement, compaction, tombstones);
            }
            if name == NOTED_AT {
                statement +=
                    &format!(" AND comment = '{}'", comment_of(&copies).replace('\'', "''"));
            }
            self.run(&statement).await?;
            done.push(format!("made {name}"));
        }
        for (what, statement) in additions(&self.name, &there) {
            self.run(&statement).await?;
            done.push(format!("added {what}"));
        }
        Ok(done)
    }

    pub async fn differences(&self) -> Result<Vec<SchemaDifference>, HotError> {
        let Some(replication) = self.replication().await? else {
            let (what, why) = (format!("keyspace {}", self.name), "is not there".to_owned());
            return Ok(vec![SchemaDifference { what, why, mendable: true }]);
        };
        let mut found = Vec::new();
        let datacenter = self.datacenter().await?;
        let copies = replication.get(&datacenter).and_then(|count| count.parse::<u32>().ok());
        let why = match copies {
            Some(copies) if copies >= 3 || self.nodes_in(&datacenter) < 3 => None,
            Some(copies) => {
                Some(format!("{copies} copies in {datacenter}: with fewer than 3 no node may fail"))
            }
            None => {
                Some(format!("is not replicated to {datacenter}: set cql_datacenter, or alter it"))
            }
        };
        let what = format!("keyspace {}", self.name);
        let copies = copies_of(replication);
        let confirmed = confirmed_in(&self.confirmed().await?);
        let unconfirmed = refusal_of(&confirmed, &copies, self.datacenter.as_deref());
        let whys = why.into_iter().chain(unconfirmed);
        found.extend(whys.map(|why| SchemaDifference { what: what.clone(), why, mendable: false }));
        let there = columns(&self.session, &self.name).await?;
        for what in missing(&there) {
            found.push(SchemaDifference { what, why: "is not there".to_owned(), mendable: true });
        }
        for (table, columns) in wanted() {
            let Some(here) = there.get(&table) else { continue };
            for (column, kind) in columns {
                if let Some(other) = here.get(&column).filter(|other| **other != kind) {
                    let what = format!("{table}.{column}");
                    let why = format!("is {other}, this release wants {kind}");
                    found.push(SchemaDifference { what, why, mendable: false });
                }
            }
        }
        Ok(found)
    }

    /// Confirms that every node was repaired since the number of copies changed. Returns the comments from before and
    /// from now on.
    pub async fn confirm_copies(&self) -> Result<(String, String), HotError> {
        let before = self.confirmed().await?;
        let comment = comment_of(&copies_of(self.replication().await?.unwrap_or_default()));
        let (name, text) = (&self.name, comment.replace('\'', "''"));
        self.run(&format!("ALTER TABLE {name}.{NOTED_AT} WITH comment = '{text}'")).await?;
        Ok((before, comment))
    }

    /// The comment that [`NOTED_AT`] has.
    async fn confirmed(&self) -> Result<String, HotError> {
        let rows: Vec<(String,)> = select(&self.session, COMMENT, (&self.name, NOTED_AT)).await?;
        Ok(rows.into_iter().next().map(|(comment,)| comment).unwrap_or_default())
    }

    async fn run(&self, statement: &str) -> Result<(), HotError> {
        self.session.query_unpaged(statement, ()).await.map(drop).map_err(unread)
    }

    async fn replication(&self) -> Result<Option<BTreeMap<String, String>>, HotError> {
        let rows: Vec<(_,)> = select(&self.session, REPLICATION, (&self.name,)).await?;
        Ok(rows.into_iter().next().map(|(replication,)| replication))
    }

    /// The data centre that was named, or that of the node that answers.
    async fn datacenter(&self) -> Result<String, HotError> {
        if let Some(name) = &self.datacenter {
            return Ok(name.clone());
        }
        let rows: Vec<(String,)> =
            select(&self.session, "SELECT data_center FROM system.local", ()).await?;
        let name = rows.into_iter().next().map(|(name,)| name);
        name.ok_or_else(|| HotError::Damaged("system.local has no data centre".into()))
    }

    fn nodes_in(&self, datacenter: &str) -> usize {
        let state = self.session.get_cluster_state();
        let nodes = state.get_nodes_info().iter();
        nodes.filter(|node| node.datacenter.as_deref() == Some(datacenter)).count()
    }
}

/// Tables and types with their columns.
async fn columns(session: &Session, keyspace: &str) -> Result<TableColumns, HotError> {
    let cql = "SELECT table_name, column_name, type, kind FROM system_schema.columns \
               WHERE keyspace_name = ?";
    let rows: Vec<(String, String, String, String)> = select(session, cql, (keyspace,)).await?;
    let mut all = TableColumns::new();
    for (table, column, kind, of) in rows {
        let kind = if of == "static" { format!("{kind} static") } else { kind };
        all.entry(table).or_default().insert(column, kind);
    }
    let cql = "SELECT type_name, field_names, field_types FROM system_schema.types \
               WHERE keyspace_name = ?";
    let rows: Vec<(String, Vec<String>, Vec<String>)> = select(session, cql, (keyspace,)).await?;
    for (name, fields, kinds) in rows {
        all.insert(name, fields.into_iter().zip(kinds).collect());
    }
    Ok(all)
}

async fn select<R: OwnedRow>(
    session: &Session,
    cql: &str,
    values: impl scylla::serialize::row::SerializeRow,
) -> Result<Vec<R>, HotError> {
    rows_of(session.query_unpaged(cql, values).await.map_err(unread)?)
}

/// A statement that creates a table, with the options that depend on the engine.
fn with_options(statement: &str, compaction: &str, tombstones: Option<&str>) -> String {
    let word = if statement.contains(") WITH ") { "AND" } else { "WITH" };
    let more = tombstones.map(|map| format!(" AND tombstone_gc = {map}")).unwrap_or_default();
    format!("{statement} {word} compaction = {compaction}{more}")
}

/// When ScyllaDB drops tombstones, which is said because its default depends on its release and on tablets: after a
/// repair, or, in tables where a row that comes back does no harm, after the seconds that the file names. A table of
/// one copy cannot be repaired and is refused the first.
fn tombstones(engine: CqlEngine, statement: &str, is_repaired: bool) -> Option<&'static str> {
    match (engine, statement.contains("gc_grace_seconds")) {
        (CqlEngine::Cassandra, _) => None,
        (CqlEngine::Scylla, false) if is_repaired => Some("{'mode': 'repair'}"),
        (CqlEngine::Scylla, _) => Some("{'mode': 'timeout'}"),
    }
}

/// The compaction that suits rows which are changed in place and removed by ranges.
fn compaction(engine: CqlEngine) -> &'static str {
    match engine {
        // Each engine's own advice for mixed loads; neither knows the other's.
        CqlEngine::Cassandra => {
            "{'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4'}"
        }
        CqlEngine::Scylla => "{'class': 'IncrementalCompactionStrategy'}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_by_engine() {
        let rows = [
            ("coupon", CqlEngine::Cassandra, true, "WITH compaction = {}"),
            (
                "lease",
                CqlEngine::Cassandra,
                true,
                "WITH gc_grace_seconds = 10800 AND compaction = {}",
            ),
            (
                "coupon",
                CqlEngine::Scylla,
                true,
                "WITH compaction = {} AND tombstone_gc = {'mode': 'repair'}",
            ),
            (
                "coupon",
                CqlEngine::Scylla,
                false,
                "WITH compaction = {} AND tombstone_gc = {'mode': 'timeout'}",
            ),
            (
                "minted_run",
                CqlEngine::Scylla,
                true,
                "WITH CLUSTERING ORDER BY (first DESC) AND compaction = {} AND tombstone_gc = {'mode': 'repair'}",
            ),
            (
                "lease",
                CqlEngine::Scylla,
                true,
                "WITH gc_grace_seconds = 10800 AND compaction = {} AND tombstone_gc = {'mode': 'timeout'}",
            ),
        ];
        for (name, engine, is_repaired, want) in rows {
            let statement = statements().into_iter().find(|it| name_of(it) == name).expect(name);
            let whole = with_options(&statement, "{}", tombstones(engine, &statement, is_repaired));
            let options =
                whole.rsplit_once(") WITH ").map(|(_, options)| format!("WITH {options}"));
            assert_eq!(options.as_deref(), Some(want), "{name} {engine:?}");
        }
    }
}
