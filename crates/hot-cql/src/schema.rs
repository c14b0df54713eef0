//! The keyspace and its tables: made, compared, and only ever added to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;

use super::session::{CqlSession, StatementProfile};
use super::{ConnectError, CqlEngine, Options};
use hot::HotError;

/// What `couponry schema apply` runs.
const TABLES: &str = include_str!("../../../schema/hot.cql");

/// How a keyspace is made.
#[derive(Clone, Debug, Default)]
pub struct SchemaOptions {
    /// Copies of each row in the data centre; 3, or as many as there are nodes.
    pub replication: Option<u32>,
    /// The compaction of every table, as a map of CQL; what suits the engine where none is given.
    pub compaction: Option<String>,
}

/// Something that is not as this release wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where.
    pub what: String,
    /// What is wrong with it.
    pub why: String,
    /// Whether `couponry schema apply` sets it right.
    pub mendable: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

type Columns = BTreeMap<String, String>;

/// Tables and types of the file: their columns with their types, and whether they are static.
fn wanted() -> BTreeMap<String, Columns> {
    let mut all = BTreeMap::new();
    for statement in statements() {
        let Some((head, body)) = statement.split_once('(') else { continue };
        let name = head.split_whitespace().next_back().unwrap_or_default().to_owned();
        let mut columns = Columns::new();
        for line in body.lines().map(|line| line.trim().trim_end_matches(',')) {
            let Some((column, kind)) = line.split_once(' ') else { continue };
            if column == "PRIMARY" || column.starts_with(')') {
                continue;
            }
            let kind = kind.trim().trim_end_matches(" PRIMARY KEY");
            columns.insert(column.to_owned(), kind.trim().to_owned());
        }
        all.insert(name, columns);
    }
    all
}

/// The statements of the file without its comments.
fn statements() -> Vec<String> {
    let lines = TABLES.lines().filter(|line| !line.trim_start().starts_with("--"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    text.split(';').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
}

fn is_table(statement: &str) -> bool {
    statement.starts_with("CREATE TABLE")
}

fn name_of(statement: &str) -> &str {
    statement.split('(').next().and_then(|head| head.split_whitespace().next_back()).unwrap_or("")
}

/// Tables that are not there.
pub(super) async fn missing_tables(
    cluster: &CqlSession,
    keyspace: &str,
) -> Result<Vec<String>, ConnectError> {
    let cql = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let rows: Vec<(String,)> = cluster
        .rows(StatementProfile::Read, cql, (keyspace,))
        .await
        .map_err(|error| ConnectError::Away(error.into()))?;
    let there: BTreeSet<String> = rows.into_iter().map(|(name,)| name).collect();
    let tables = statements().into_iter().filter(|statement| is_table(statement));
    let names = tables.map(|statement| name_of(&statement).to_owned());
    Ok(names.filter(|name| !there.contains(name)).collect())
}

/// A keyspace as an operator works on it, whether it is there yet or not.
pub struct Keyspace {
    session: Session,
    name: String,
    datacenter: Option<String>,
}

impl Keyspace {
    /// Connects to the cluster.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(options: &Options) -> Result<Keyspace, ConnectError> {
        let mut builder = SessionBuilder::new()
            .known_nodes(&options.nodes)
            .keyspaces_to_fetch([&options.keyspace])
            // One after the other, each agreed on by all nodes before the next.
            .auto_await_schema_agreement(true);
        if let Some((user, password)) = &options.login {
            builder = builder.user(user, password);
        }
        let builder = super::tls::with(builder, options.tls.as_ref())?;
        let session = builder.build().await.map_err(ConnectError::of)?;
        let (name, datacenter) = (options.keyspace.clone(), options.datacenter.clone());
        Ok(Keyspace { session, name, datacenter })
    }

    /// Makes what is missing: the keyspace, types, tables and columns; what it did, a line each. Safe
    /// to repeat, and beside a running `serve`.
    ///
    /// # Errors
    /// What the cluster says.
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
        let there = self.columns().await?;
        let compaction = match &options.compaction {
            Some(map) => map.clone(),
            None => self.compaction().to_owned(),
        };
        for statement in statements() {
            let name = name_of(&statement).to_owned();
            if there.contains_key(&name) {
                continue;
            }
            let statement = statement.replace(
                &format!("IF NOT EXISTS {name} "),
                &format!("IF NOT EXISTS {}.{name} ", self.name),
            );
            let statement = match (is_table(&statement), statement.contains(") WITH ")) {
                (false, _) => statement,
                (true, true) => format!("{statement} AND compaction = {compaction}"),
                (true, false) => format!("{statement} WITH compaction = {compaction}"),
            };
            self.run(&statement).await?;
            done.push(format!("made {name}"));
        }
        for (table, columns) in wanted() {
            let Some(here) = there.get(&table) else { continue };
            for (column, kind) in columns.iter().filter(|(column, _)| !here.contains_key(*column)) {
                self.run(&format!("ALTER TABLE {}.{table} ADD {column} {kind}", self.name)).await?;
                done.push(format!("added {table}.{column}"));
            }
        }
        Ok(done)
    }

    /// What is not as this release wants it.
    ///
    /// # Errors
    /// What the cluster says.
    pub async fn differences(&self) -> Result<Vec<Difference>, HotError> {
        let Some(replication) = self.replication().await? else {
            let (what, why) = (format!("keyspace {}", self.name), "is not there".to_owned());
            return Ok(vec![Difference { what, why, mendable: true }]);
        };
        let mut found = Vec::new();
        let datacenter = self.datacenter().await?;
        let copies = replication.get(&datacenter).and_then(|count| count.parse::<u32>().ok());
        match copies {
            Some(copies) if copies >= 3 || self.nodes_in(&datacenter) < 3 => {}
            Some(copies) => found.push(Difference {
                what: format!("keyspace {}", self.name),
                why: format!("{copies} copies in {datacenter}: with fewer than 3 no node may fail"),
                mendable: false,
            }),
            None => found.push(Difference {
                what: format!("keyspace {}", self.name),
                why: format!("is not replicated to {datacenter}: set cql_datacenter, or alter it"),
                mendable: false,
            }),
        }
        let there = self.columns().await?;
        for (table, columns) in wanted() {
            let Some(here) = there.get(&table) else {
                let why = "is not there".to_owned();
                found.push(Difference { what: table, why, mendable: true });
                continue;
            };
            for (column, kind) in columns {
                let what = format!("{table}.{column}");
                match here.get(&column) {
                    None => {
                        let why = "is not there".to_owned();
                        found.push(Difference { what, why, mendable: true });
                    }
                    Some(other) if *other != kind => {
                        let why = format!("is {other}, this release wants {kind}");
                        found.push(Difference { what, why, mendable: false });
                    }
                    Some(_) => {}
                }
            }
        }
        Ok(found)
    }

    async fn run(&self, statement: &str) -> Result<(), HotError> {
        let ran = self.session.query_unpaged(statement, ()).await;
        ran.map(drop).map_err(|error| HotError::Unavailable(error.into()))
    }

    async fn select<R>(
        &self,
        cql: &str,
        values: impl scylla::serialize::row::SerializeRow,
    ) -> Result<Vec<R>, HotError>
    where
        R: for<'f> scylla::deserialize::row::DeserializeRow<'f, 'f>,
    {
        let bad = |error: &dyn fmt::Display| HotError::Damaged(error.to_string());
        let ran = self.session.query_unpaged(cql, values).await;
        let rows = ran.map_err(|error| HotError::Unavailable(error.into()))?;
        let rows = rows.into_rows_result().map_err(|error| bad(&error))?;
        let rows = rows.rows::<R>().map_err(|error| bad(&error))?;
        rows.collect::<Result<_, _>>().map_err(|error| bad(&error))
    }

    async fn replication(&self) -> Result<Option<BTreeMap<String, String>>, HotError> {
        let cql = "SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let rows: Vec<(BTreeMap<String, String>,)> = self.select(cql, (&self.name,)).await?;
        Ok(rows.into_iter().next().map(|(replication,)| replication))
    }

    /// Tables and types with their columns.
    async fn columns(&self) -> Result<BTreeMap<String, Columns>, HotError> {
        let cql = "SELECT table_name, column_name, type, kind FROM system_schema.columns \
                   WHERE keyspace_name = ?";
        let rows: Vec<(String, String, String, String)> = self.select(cql, (&self.name,)).await?;
        let mut all: BTreeMap<String, Columns> = BTreeMap::new();
        for (table, column, kind, of) in rows {
            let kind = if of == "static" { format!("{kind} static") } else { kind };
            all.entry(table).or_default().insert(column, kind);
        }
        let cql = "SELECT type_name, field_names, field_types FROM system_schema.types \
                   WHERE keyspace_name = ?";
        let rows: Vec<(String, Vec<String>, Vec<String>)> = self.select(cql, (&self.name,)).await?;
        for (name, fields, kinds) in rows {
            all.insert(name, fields.into_iter().zip(kinds).collect());
        }
        Ok(all)
    }

    /// The data centre that was named, or that of the node that answers.
    async fn datacenter(&self) -> Result<String, HotError> {
        if let Some(name) = &self.datacenter {
            return Ok(name.clone());
        }
        let rows: Vec<(String,)> = self.select("SELECT data_center FROM system.local", ()).await?;
        let name = rows.into_iter().next().map(|(name,)| name);
        name.ok_or_else(|| HotError::Damaged("system.local has no data centre".into()))
    }

    fn nodes_in(&self, datacenter: &str) -> usize {
        let state = self.session.get_cluster_state();
        let nodes = state.get_nodes_info().iter();
        nodes.filter(|node| node.datacenter.as_deref() == Some(datacenter)).count()
    }

    fn compaction(&self) -> &'static str {
        let state = self.session.get_cluster_state();
        let scylla = state.get_nodes_info().iter().any(|node| node.sharder().is_some());
        let engine = if scylla { CqlEngine::Scylla } else { CqlEngine::Cassandra };
        super::dialect::compaction(engine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_understood() {
        let wanted = wanted();
        let cases = [
            ("a column", "coupon", "version", "bigint"),
            ("a static one", "coupon", "sealed", "boolean static"),
            ("a map of a type", "coupon", "events", "map<int, frozen<event>>"),
            ("a type", "event", "operation", "uuid"),
            ("a key of one column", "partition_plan", "expiry_day", "date"),
            ("a set", "partition_plan", "entered", "set<date>"),
        ];
        for (name, table, column, kind) in cases {
            let found = wanted.get(table).and_then(|columns| columns.get(column));
            assert_eq!(found.map(String::as_str), Some(kind), "{name}");
        }
        assert!(wanted.values().all(|columns| !columns.contains_key("PRIMARY")));
        assert_eq!(wanted.len(), statements().len(), "each statement makes one thing");
    }
}
