//! `couponry copy`: copies a hot store to another engine, from a data folder to a cluster or back.

mod report;
mod stores;

use std::path::Path;
use std::sync::Arc;

use clap::Args;
use command_line::{Progress, Work};
use hot::inventory::{self, CopyError};
use hot::{Fact, HotStore};
use hot_sqlite::FILE_NAME;

use self::stores::{Store, StoreAddress};
use crate::cql::NotOpen;
use crate::failure::{CliError, Ended};
use crate::keys::Keys;
use crate::settings::Settings;
use crate::{files, open, output};

/// Copy a hot store to another engine: from a data folder to a cluster, or back
///
/// Copies everything: coupons with their versions and events, holders, names of requests, stock,
/// terms and accounts; but not the cold tier, which both stores use (--cold). Only reads the
/// source. The target must be empty, or made by an earlier run of the same copy. An interrupted run
/// continues where it stopped.
///
/// First run it with --live while `serve` runs on the source, as often as you like: each pass
/// copies what has changed since. Then stop every `serve`, `compact` and `import`, and run it once
/// without
/// --live. That copies the rest, compares both stores by counts and by a hash over everything, and
/// says what differs. If nothing differs, it marks the source as moved: `serve` and every command
/// that writes then refuse the source. Start `serve` only on the target; after that nothing can be
/// copied to it again.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 both stores are the same, or the pass is done; 1 failed, or they differ; 2 usage
error.

Examples:
  couponry copy --from sqlite:/var/lib/couponry --to cql://db-1:9042,db-2:9042/couponry --live
  couponry copy --from sqlite:/var/lib/couponry --to cql://db-1:9042,db-2:9042/couponry
  couponry copy --from cql://db-1:9042/couponry --to sqlite:./smaller --verify
  couponry copy --from sqlite:/var/lib/couponry --lift")]
pub(crate) struct CopyArgs {
    /// Source: sqlite:FOLDER or cql://HOST:PORT,HOST:PORT/KEYSPACE
    #[arg(long, value_name = "STORE")]
    from: StoreAddress,
    /// Target, in the same form
    #[arg(long, value_name = "STORE", required_unless_present = "lift")]
    to: Option<StoreAddress>,
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

pub(crate) async fn run(settings: &Settings, args: &CopyArgs) -> Result<Ended, CliError> {
    let Some(target) = &args.to else {
        return lifted(settings, args).await;
    };
    may_be_source(&args.from, target)?;
    let home = stores::home(settings, &args.from);
    let keys = Keys::load(&home)?;
    let archive = stores::archive(settings, &home)?;
    let reads_only = args.live || args.verify;
    let from = stores::opened(settings, &args.from, &keys, Arc::clone(&archive), reads_only).await;
    let from = from.map_err(|error| match reads_only {
        true => error,
        false => error.and("--live copies while it runs, for a first pass"),
    })?;
    open::must_have_every_key(from.hot(), &keys).await.map_err(NotOpen::cli_error)?;
    let to = stores::opened(settings, target, &keys, archive, args.verify).await?;
    if args.verify {
        compared(&from, &to).await?;
        return Ok(Ended::Done);
    }
    may_be_copied(from.hot(), to.hot(), target).await?;
    let summary = copied(&from, &to).await?;
    match target {
        StoreAddress::Folder(folder) => copy_beside(&home, folder)?,
        StoreAddress::Cql(_) => {}
    }
    output::say(&summary)?;
    if args.live {
        output::say("later changes are not copied: end `serve`, then run the same without --live")?;
        return Ok(Ended::Done);
    }
    compared(&from, &to).await?;
    mark(from.hot(), Some(target.to_string())).await?;
    output::say(&format!(
        "both stores are the same; {} is closed now: start `serve` on {target} alone",
        args.from
    ))?;
    Ok(Ended::Done)
}

/// Refuses a source that is the target, or a folder without data.
fn may_be_source(source: &StoreAddress, target: &StoreAddress) -> Result<(), CliError> {
    if source == target {
        return Err(CliError::usage("the source and the target are the same store: name another"));
    }
    match source {
        StoreAddress::Folder(folder) => {
            open::must_not_be_half_restored(folder)?;
            match folder.join(FILE_NAME).exists() {
                true => Ok(()),
                false => Err(open::no_data(folder)),
            }
        }
        StoreAddress::Cql(_) => Ok(()),
    }
}

/// Refuses a source that has moved to another store, and a target that has moved.
async fn may_be_copied(
    from: &dyn HotStore,
    to: &dyn HotStore,
    target: &StoreAddress,
) -> Result<(), CliError> {
    let moved = from.fact(Fact::MovedTo).await?;
    if let Some(other) = moved.filter(|other| *other != target.to_string()) {
        return Err(CliError::new(format!("the source has moved to {other}: copy that one")));
    }
    match to.fact(Fact::MovedTo).await? {
        None => Ok(()),
        Some(other) => Err(CliError::new(format!("the target has moved to {other}: name another"))),
    }
}

/// Writes where a store has moved to, or that it has not moved.
async fn mark(store: &dyn HotStore, to: Option<String>) -> Result<(), CliError> {
    let seen = store.fact(Fact::MovedTo).await?;
    if seen == to || store.set_fact(Fact::MovedTo, seen, to).await? {
        return Ok(());
    }
    Err(CliError::new("another copy marks the source at the same time").and("run it again"))
}

/// Opens the source of an earlier copy again.
async fn lifted(settings: &Settings, args: &CopyArgs) -> Result<Ended, CliError> {
    let home = stores::home(settings, &args.from);
    let archive = stores::archive(settings, &home)?;
    let keys = Keys::load(&home)?;
    let from = stores::opened(settings, &args.from, &keys, archive, false).await?;
    let sentence = match from.hot().fact(Fact::MovedTo).await? {
        None => format!("{} has not moved", args.from),
        Some(to) => {
            mark(from.hot(), None).await?;
            format!("{} may be used again; do not use {to} as well", args.from)
        }
    };
    output::say(&sentence)?;
    Ok(Ended::Done)
}

async fn copied(from: &Store, to: &Store) -> Result<String, CliError> {
    let progress = Progress::new(Work::Copy, None, false);
    let show = |_, read| progress.set(read, read);
    let copied = progress.during(inventory::copy(from.importer(), to.importer(), show)).await;
    let copied = copied.map_err(|error| match error {
        CopyError::Refused(why) => CliError::new(why),
        CopyError::Store(error) => {
            CliError::from(error).and("the same call continues where this one stopped")
        }
    })?;
    Ok(report::summary(&copied))
}

/// # Errors
/// They differ.
async fn compared(from: &Store, to: &Store) -> Result<(), CliError> {
    let progress = Progress::new(Work::Compare, None, false);
    let show = |_, read| progress.set(read, read);
    let all = progress.during(inventory::compare(from.importer(), to.importer(), show)).await?;
    drop(progress);
    output::say(report::table(&all).trim_end())?;
    match all.iter().filter(|one| !one.is_same()).count() {
        0 => Ok(()),
        differ => Err(CliError::new(format!("the two stores differ in {differ} of these"))
            .and("if nothing has changed either, run the copy again")),
    }
}

/// Copies the folders that belong to the store, if the target does not have them.
fn copy_beside(home: &Path, to: &Path) -> Result<(), CliError> {
    for folder in files::BESIDE_THE_STORE {
        if !to.join(folder).exists() {
            files::copy_folder(&home.join(folder), &to.join(folder))?;
        }
    }
    Ok(())
}
