//! `couponry copy`: copies a hot store from a data folder to a cluster.

mod stores;

use std::sync::Arc;

use clap::Args;
use command_line::{CommandProgress, WorkKind};
use cql_session::KeyspaceAddress;
use engine::{Clock, SystemClock, open_erasures};
use hot::inventory::{self, Compared, Copied, CopyError, Item, Pages, Table, copy_facts};
use hot::{Fact, Facts, HotStore};
use hot_cql::CqlHot;
use hot_sqlite::SqliteHot;
use records::{bring_audit, bring_counts, bring_orders};
use webhooks::{BroughtWebhooks, bring_webhooks};

use self::stores::{Source, SourceFolder};
use crate::failure::{CliError, Ended, Result};
use crate::open;
use crate::output::{self, Left, Right, thousands};
use crate::settings::Settings;

/// Copy a hot store from a data folder to a cluster
///
/// Copies coupons with their versions and events, holders, names of requests, stock, terms, accounts, the counts by
/// day, the audit, orders, the people and saved queries of the console, and how far notices are; the run without --live
/// also the webhooks with all that they have not sent. Not the cold tier, which both stores use (--cold), nor how far
/// readers of events are. Only reads the source. The target must be empty, or made by an earlier run of the same copy.
/// An interrupted run continues where it stopped. Nothing copies a cluster: not to a folder, and to other machines it
/// moves with the tools of the database.
///
/// First run it with --live while `serve` runs on the source, as often as you like: each pass copies what has changed
/// since. Then stop every `serve`, `compact` and `import`, and run it once without --live. That copies the rest,
/// compares both stores by counts and by a hash over everything, and says what differs. If nothing differs, it marks
/// the source as moved: `serve` and every command that writes then refuse the source. Start `serve` only on the target;
/// after that nothing can be copied to it again.
#[derive(Args)]
#[command(after_help = help_ending!(
    "0 both stores are the same, or the pass is done; 1 failed, or they differ; 2 usage
error",
    "couponry copy --from sqlite:/var/lib/couponry --to cql://db-1:9042,db-2:9042/couponry --live",
    "couponry copy --from sqlite:/var/lib/couponry --to cql://db-1:9042,db-2:9042/couponry",
    "couponry copy --from sqlite:/var/lib/couponry --to cql://db-1:9042/couponry --verify",
    "couponry copy --from sqlite:/var/lib/couponry --lift"))]
pub(crate) struct CopyArgs {
    /// Source: the data folder, as sqlite:FOLDER
    #[arg(long, value_name = "STORE")]
    from: SourceFolder,
    /// Target: the keyspace, as cql://HOST:PORT,HOST:PORT/KEYSPACE
    #[arg(
        long,
        value_name = "STORE",
        value_parser = stores::target,
        required_unless_present = "lift"
    )]
    to: Option<KeyspaceAddress>,
    /// Copy while `serve` runs; a pass without --live must follow
    #[arg(long, conflicts_with = "verify")]
    live: bool,
    /// Copy nothing; only compare
    #[arg(long)]
    verify: bool,
    /// Copy nothing; open the source of an earlier copy again. Do so only if nothing was written to
    /// the target, or coupons could be spent in both
    #[arg(long, conflicts_with_all = ["to", "live", "verify"])]
    lift: bool,
}

pub(crate) async fn run(settings: &Settings, args: &CopyArgs) -> Result<Ended> {
    let Some(target) = &args.to else {
        return lifted(settings, args).await;
    };
    args.from.must_have_data()?;
    let reads_only = args.live || args.verify;
    let source = args.from.open(settings, reads_only).map_err(|error| match reads_only {
        true => error,
        false => error.and("--live copies while it runs, for a first pass"),
    })?;
    let from = &*source.store;
    open::must_have_every_key(from, &source.keys).await?;
    let opened = stores::open_target(settings, target, &source).await?;
    let to = &*opened;
    if args.verify {
        compared(from, to).await?;
        return Ok(Ended::Done);
    }
    may_be_copied(from, target).await?;
    output::say(&copied(from, to).await?)?;
    output::say(&records(from, to, settings).await?)?;
    if args.live {
        return output::done(
            "later changes are not copied, nor webhooks: end `serve`, then run the same without \
             --live",
        );
    }
    if settings.events_keep.value.every.is_some() {
        output::say(&webhooks(&source, &opened).await?)?;
    }
    compared(from, to).await?;
    mark(from, Some(target.to_string())).await?;
    output::done(&format!(
        "both stores are the same; {} is closed now: start `serve` on {target} alone",
        args.from
    ))
}

/// Refuses a source that has moved to another cluster, or that has what the copy would not have: a budget, an open erasure.
async fn may_be_copied(from: &SqliteHot, target: &KeyspaceAddress) -> Result<()> {
    let moved = from.fact(Fact::MovedTo).await?;
    if let Some(other) = moved.filter(|other| *other != target.to_string()) {
        return Err(CliError::new(format!("the source has moved to {other}"))
            .and("only if that one was never used, --lift opens the source again"));
    }
    if open_erasures(from).await? > 0 {
        return Err(CliError::new(
            "people are being forgotten, and a copy does not go on with that",
        )
        .and("run `serve` and `couponry compact` until `GET /v1/erasures` says `done`"));
    }
    let mut campaigns = Pages::of(from, Table::Campaigns);
    while let Some(items) = campaigns.next().await? {
        for item in items {
            if let Item::Campaign(it) = item
                && it.terms.worth.budget.is_some()
            {
                let id = &it.terms.id;
                return Err(CliError::new(format!("{id} has a budget, which no cluster keeps"))
                    .and("take the budget away, with `\"budget\": null` in a PATCH of the campaign; pause it first if it must cost no more"));
            }
        }
    }
    Ok(())
}

/// Writes where the source has moved to, or that it has not moved.
async fn mark(from: &SqliteHot, to: Option<String>) -> Result<()> {
    let seen = from.fact(Fact::MovedTo).await?;
    if seen == to || from.set_fact(Fact::MovedTo, seen, to).await? {
        return Ok(());
    }
    Err(CliError::new("another copy marks the source at the same time").and("run it again"))
}

/// Opens the source of an earlier copy again.
async fn lifted(settings: &Settings, args: &CopyArgs) -> Result<Ended> {
    let source = args.from.open(settings, false)?;
    let sentence = match source.store.fact(Fact::MovedTo).await? {
        None => format!("{} has not moved", args.from),
        Some(to) => {
            mark(&source.store, None).await?;
            format!("{} may be used again; do not use {to} as well", args.from)
        }
    };
    output::done(&sentence)
}

async fn copied(from: &SqliteHot, to: &CqlHot) -> Result<String> {
    let progress = CommandProgress::new(WorkKind::Copy, None, false);
    let show = |_, read| progress.set(read, read);
    let copied = progress.during(inventory::copy(from, to, show)).await;
    Ok(summary(&copied.map_err(failed)?))
}

fn failed(error: CopyError) -> CliError {
    match error {
        CopyError::Refused(why) => CliError::new(why),
        CopyError::Store(error) => {
            CliError::from(error).and("the same call continues where this one stopped")
        }
    }
}

/// Brings what a store keeps beside coupons, and says what is left behind.
async fn records(from: &SqliteHot, to: &CqlHot, settings: &Settings) -> Result<String> {
    let tables = to.tables();
    let entries = bring_audit(from, &*tables).await?;
    bring_counts(from, &*tables, None).await?;
    let mut campaigns = Pages::to_copy(from, Table::Campaigns);
    while let Some(items) = campaigns.next().await? {
        for item in items {
            if let Item::Campaign(it) = item {
                bring_counts(from, &*tables, Some(&it.terms.id)).await?;
            }
        }
    }
    // After the counts: the source enters orders when it counts.
    let orders = match settings.orders_keep.value.every {
        Some(keep) => bring_orders(from, &*tables, keep, SystemClock.now().day()).await?,
        None => 0,
    };
    engine::bring_erasures(from, &*tables).await?;
    copy_facts(from, to).await.map_err(failed)?;
    Ok(format!(
        "brought the counts by day, {} entries of the audit, {} coupons of orders, and the people, saved \
         queries and notices; not copied: how far readers are",
        thousands(entries),
        thousands(orders)
    ))
}

/// Only when nobody posts from the source any more.
async fn webhooks(source: &Source, to: &Arc<CqlHot>) -> Result<String> {
    let old = source.events(source.store.clone()).await?;
    let new = source.events(to.clone()).await?;
    let brought = bring_webhooks((source.store.tables(), &old), (to.tables(), &new)).await;
    let BroughtWebhooks { endpoints, waiting } = brought.map_err(CliError::of)?;
    Ok(format!("brought {endpoints} webhooks with {} deliveries that wait", thousands(waiting)))
}

async fn compared(from: &SqliteHot, to: &CqlHot) -> Result<()> {
    let progress = CommandProgress::new(WorkKind::Compare, None, false);
    let show = |_, read| progress.set(read, read);
    let all = progress.during(inventory::compare(from, to, show)).await?;
    drop(progress);
    output::say(&table(&all))?;
    match all.iter().filter(|one| !one.is_same()).count() {
        0 => Ok(()),
        differ => Err(CliError::new(format!("the two stores differ in {differ} of these"))
            .and("if nothing has changed either, run the copy again")),
    }
}

fn summary(copied: &Copied) -> String {
    let read = copied.read.iter().map(|(what, count)| format!("{} {what}", thousands(*count)));
    let read = read.collect::<Vec<_>>().join(", ");
    let pass = match (copied.again, copied.resumed) {
        (false, false) => "first pass",
        (false, true) => "first pass, continued where it stopped",
        (true, false) => "another pass",
        (true, true) => "another pass, continued where it stopped",
    };
    let removed = match copied.removed {
        0 => String::new(),
        removed => format!("; removed {} that the source no longer has", thousands(removed)),
    };
    let read = if read.is_empty() { "nothing".to_owned() } else { read };
    format!("{pass}: read {read}{removed}")
}

fn table(compared: &[Compared]) -> String {
    let row = |one: &Compared| {
        let Compared { what, from, to } = one;
        let result = match (from == to, from.count == to.count) {
            (true, _) => "the same".to_owned(),
            (false, false) => "differ".to_owned(),
            (false, true) => format!("differ: {:032x}, {:032x}", from.hash, to.hash),
        };
        [(*what).to_owned(), thousands(from.count), thousands(to.count), result]
    };
    let heads = [("", Left), ("SOURCE", Right), ("TARGET", Right), ("", Left)];
    output::table(heads, compared.iter().map(row))
}

#[cfg(test)]
mod tests {
    use hot::inventory::ItemSum;

    use super::*;

    #[test]
    fn tables() {
        let sum = |count, hash| ItemSum { count, hash };
        let one = |what, to, hash| Compared { what, from: sum(1_200, 1), to: sum(to, hash) };
        let rows = [one("claims", 1_200, 1), one("coupons", 1_199, 0), one("markers", 1_200, 2)];
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "claims    1,200   1,200  the same");
        assert_eq!(lines[2], "coupons   1,200   1,199  differ");
        assert!(lines[3].ends_with("01, 00000000000000000000000000000002"), "{text}");
    }
}
