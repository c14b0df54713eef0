//! `couponry schema`: makes and compares the keyspace and the tables of a cluster.

use clap::Subcommand;
use cql_session::{Keyspace, KeyspaceAddress, SchemaDifference, SchemaOptions};

use crate::cql::{self, Waiting};
use crate::failure::{CliError, Ended, Result, cause};
use crate::output;
use crate::settings::{Hot, Settings};

/// Most copies accepted: a write waits for more than half of them.
const COPIES_MAX: i64 = 9;

#[derive(Subcommand)]
pub(crate) enum SchemaCommand {
    /// Make what is missing: the keyspace, types, tables and columns
    ///
    /// Prints a line for each. Only adds and never removes or changes, so you may repeat it while
    /// `serve` runs. Run it before the first start, and before you start a newer release.
    #[command(after_help = help_ending!("0 made, or nothing was missing; 1 failed, 2 usage error",
        "couponry schema apply --hot cql://db-1:9042,db-2:9042/couponry",
        "couponry schema apply --hot cql://db-1/couponry --replication 3 \\
      --compaction \"{'class': 'SizeTieredCompactionStrategy'}\""))]
    Apply {
        /// Copies of each row in the data centre, if the keyspace is made now [default: 3, or the
        /// number of nodes if there are fewer]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=COPIES_MAX))]
        replication: Option<u32>,
        /// Compaction of the tables that are made now, as a map of CQL [default: depends on the engine]
        #[arg(long, value_name = "MAP", value_parser = map)]
        compaction: Option<String>,
    },
    /// List what differs from the schema of this release, and what repairs it
    #[command(after_help = help_ending!("0 nothing differs, 1 something differs or the command failed, 2 usage error",
        "couponry schema diff --hot cql://db-1:9042/couponry"))]
    Diff,
    /// Confirm that every node was repaired since the number of copies was changed
    ///
    /// Until then no process starts, and none that runs writes: an added copy has no rows before it
    /// is repaired. Repair every node first, as docs/cluster.md says under "More copies".
    #[command(after_help = help_ending!("0 confirmed, 1 failed, 2 usage error",
        "couponry schema repaired --hot cql://db-1:9042/couponry"))]
    Repaired,
}

pub(crate) async fn run(settings: &Settings, command: &SchemaCommand) -> Result<Ended> {
    let Hot::Cql(target) = &settings.hot.value else {
        return Err(CliError::usage(
            "only a cluster has a schema: name one with --hot cql://HOST:PORT/KEYSPACE",
        ));
    };
    let options = cql::options(settings, target);
    let attempt = async || {
        let connected = Keyspace::connect(&options.connection).await;
        connected.map_err(|error| cql::not_open(target, error))
    };
    let keyspace = cql::patiently(target, Waiting::Command, attempt).await?;
    match command {
        SchemaCommand::Apply { replication, compaction } => {
            let (replication, compaction) = (*replication, compaction.clone());
            apply(&keyspace, &SchemaOptions { replication, compaction }).await
        }
        SchemaCommand::Diff => diff(&keyspace, target).await,
        SchemaCommand::Repaired => repaired(&keyspace).await,
    }
}

async fn repaired(keyspace: &Keyspace) -> Result<Ended> {
    let confirmed = keyspace.confirm_copies().await;
    let (before, now) = confirmed.map_err(|error| CliError::of(cause(&error)))?;
    output::done(&format!("confirmed: {now}; before: {before}"))
}

async fn apply(keyspace: &Keyspace, options: &SchemaOptions) -> Result<Ended> {
    let done = keyspace.apply(options).await.map_err(|error| CliError::of(cause(&error)))?;
    match done.is_empty() {
        true => output::say("nothing was missing")?,
        false => done.iter().try_for_each(|line| output::say(line))?,
    }
    Ok(Ended::Done)
}

async fn diff(keyspace: &Keyspace, target: &KeyspaceAddress) -> Result<Ended> {
    let found = keyspace.differences().await.map_err(|error| CliError::of(cause(&error)))?;
    found.iter().try_for_each(|it| output::say(&line(it, target)))?;
    match found.len() {
        0 => output::done("nothing differs"),
        1 => Err(CliError::new("1 difference to the schema of this release")),
        many => Err(CliError::new(format!("{many} differences to the schema of this release"))),
    }
}

fn line(difference: &SchemaDifference, target: &KeyspaceAddress) -> String {
    let repair = match difference.mendable {
        true => format!("`couponry schema apply --hot {target}` repairs it"),
        false => "no command repairs it: decide what to do".to_owned(),
    };
    format!("{difference}; {repair}")
}

/// Accepts one CQL map in one pair of braces, since it becomes a part of the statements.
fn map(text: &str) -> Result<String, String> {
    let inner = text.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:'% ".contains(c);
    match inner {
        Some(inner) if inner.contains("'class'") && inner.chars().all(plain) => {
            Ok(text.trim().to_owned())
        }
        _ => Err("want a map with a class, such as {'class': 'UnifiedCompactionStrategy'}".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let cases = [
            ("a class", "{'class': 'LeveledCompactionStrategy'}", true),
            ("with an option", "{'class': 'X', 'scaling_parameters': 'T4,N-1'}", true),
            ("no class", "{'scaling_parameters': 'T4'}", false),
            ("no braces", "'class': 'X'", false),
            ("two maps", "{'class': 'X'} AND x = {}", false),
            ("another statement", "{'class': 'X'; DROP TABLE coupon}", false),
            ("nothing", "", false),
        ];
        for (name, text, good) in cases {
            assert_eq!(map(text).is_ok(), good, "{name}");
        }
    }

    #[test]
    fn lines() {
        let target: KeyspaceAddress = "cql://db/shop".parse().unwrap();
        let difference = |mendable| SchemaDifference {
            what: "coupon.hold".into(),
            why: "is not there".into(),
            mendable,
        };
        assert_eq!(
            line(&difference(true), &target),
            "coupon.hold: is not there; `couponry schema apply --hot cql://db:9042/shop` repairs it"
        );
        assert!(line(&difference(false), &target).contains("no command repairs it"));
    }
}
