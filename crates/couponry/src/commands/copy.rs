//! `couponry copy`: a hot store that has outgrown its machine moves to a cluster, and the other way.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cold::Patience;
use engine::ColdArchive;
use hot::copying::{self, Compared, Copied, CopyError, Copyable};
use hot::{Archive, Fact, HotStore};
use hot_cql::{CqlHot, KeyspaceAddress};
use hot_sqlite::{FILE_NAME, Options, SqliteHot};

use crate::cluster::{self, Waiting};
use crate::failure::{CliError, Ended};
use crate::keys::Keys;
use crate::output::{self, Side, thousands};
use crate::progress::{Progress, Work};
use crate::settings::{Cold, Origin, Settings};
use crate::{files, open, serve};

/// The last step of a copy to a folder counts every row in one transaction.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3_600);

/// Copy a whole hot store to another engine: from a data folder to a cluster, or back
///
/// Everything goes along: coupons with their versions and events, holders, names of requests, stock,
/// terms, accounts. The source is only read. The target has to be empty, or what an earlier run of
/// the same copy has made of it; a run that is stopped goes on where it was. The cold tier is not
/// copied: both stores use the same --cold.
///
/// First with --live, while `serve` runs on the source, as often as you like: each pass brings what
/// has changed since. Then end every `serve`, `compact` and `import` and run it once more without
/// --live: it brings the rest, counts both stores, compares a hash over everything, and says what
/// differs. If nothing does, the source is marked as moved: `serve`, `compact`, `import` and every
/// other command that writes refuse it from then on. Start `serve` on the target alone; where it
/// was started nothing is copied to any more.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 copied, and both stores are the same; 1 failed, refused, or they differ; 2 wrong call.

Examples:
  couponry copy --from sqlite:/var/lib/couponry --to cql://db-1:9042,db-2:9042/couponry --live
  couponry copy --from sqlite:/var/lib/couponry --to cql://db-1:9042,db-2:9042/couponry
  couponry copy --from cql://db-1:9042/couponry --to sqlite:./smaller --verify
  couponry copy --from sqlite:/var/lib/couponry --lift")]
pub(crate) struct CopyArgs {
    /// The source: sqlite:FOLDER or cql://HOST:PORT,HOST:PORT/KEYSPACE
    #[arg(long, value_name = "STORE")]
    from: StoreAddress,
    /// The target, likewise
    #[arg(long, value_name = "STORE", required_unless_present = "lift")]
    to: Option<StoreAddress>,
    /// Copy beside a running `serve`: another pass has to follow without it
    #[arg(long, conflicts_with = "verify")]
    live: bool,
    /// Copy nothing, only compare
    #[arg(long)]
    verify: bool,
    /// Copy nothing; let the source of an earlier copy be used again. Only if nothing was written
    /// to its target: coupons could be spent in both
    #[arg(long, conflicts_with_all = ["to", "live", "verify"])]
    lift: bool,
}

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum StoreAddress {
    Folder(PathBuf),
    Cluster(KeyspaceAddress),
}

impl FromStr for StoreAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<StoreAddress, String> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err("sqlite: names no folder".to_owned()),
            Some(folder) => Ok(StoreAddress::Folder(folder.into())),
            None if text.starts_with("cql://") => text
                .parse()
                .map(StoreAddress::Cluster)
                .map_err(|why: hot_cql::BadKeyspaceAddress| why.to_string()),
            None => Err(format!("{text:?}: want sqlite:FOLDER or cql://HOST:PORT/KEYSPACE")),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Folder(folder) => write!(f, "sqlite:{}", folder.display()),
            StoreAddress::Cluster(target) => target.fmt(f),
        }
    }
}

/// A store that is open.
enum Store {
    File {
        store: Arc<SqliteHot>,
        /// Keeps `serve` from it meanwhile.
        _lock: Option<File>,
    },
    Cluster(Arc<CqlHot>),
}

impl Store {
    fn copyable(&self) -> &dyn Copyable {
        match self {
            Store::File { store, .. } => store.as_ref(),
            Store::Cluster(store) => store.as_ref(),
        }
    }

    fn hot(&self) -> &dyn HotStore {
        match self {
            Store::File { store, .. } => store.as_ref(),
            Store::Cluster(store) => store.as_ref(),
        }
    }
}

pub(crate) async fn run(settings: &Settings, ask: &CopyArgs) -> Result<Ended, CliError> {
    let Some(target) = &ask.to else {
        return lifted(settings, ask).await;
    };
    if ask.from == *target {
        return Err(CliError::wrong_call("the source and the target are the same store"));
    }
    if let StoreAddress::Folder(folder) = &ask.from {
        open::must_not_be_half_restored(folder)?;
        if !folder.join(FILE_NAME).exists() {
            return Err(open::no_data(folder));
        }
    }
    let home = home(settings, ask);
    let keys = Keys::load(&home)?;
    let archive = archive(settings, &home)?;
    let reads_only = ask.live || ask.verify;
    let from = opened(settings, &ask.from, &keys, Arc::clone(&archive), reads_only).await;
    let from = from.map_err(|cli_error| match reads_only {
        true => cli_error,
        false => cli_error.and("--live copies beside it, for a first pass"),
    })?;
    if let Some(id) = open::missing_keys(from.hot(), &keys.ring()).await?.first() {
        let keys = home.join("keys");
        return Err(CliError::new(format!(
            "a batch was minted with code key {id}, which is not in {}: put it there first",
            keys.display()
        )));
    }
    let to = opened(settings, target, &keys, archive, ask.verify).await?;
    if !ask.verify {
        may_be_copied(from.hot(), to.hot(), target).await?;
    }
    if !ask.verify {
        let copied = copied(&from, &to).await?;
        if let StoreAddress::Folder(folder) = target {
            copy_beside(&home, folder)?;
        }
        output::say(&summary(&copied))?;
        if ask.live {
            output::say(
                "what changes from now on is not in it: end `serve` and run the same without --live",
            )?;
            return Ok(Ended::Done);
        }
    }
    compared(&from, &to).await?;
    if !ask.verify {
        mark(from.hot(), Some(target.to_string())).await?;
        output::say(&format!(
            "both hold the same; {} is closed from now on, start `serve` on {target} alone",
            ask.from
        ))?;
    }
    Ok(Ended::Done)
}

/// Refuses to copy a store that has moved somewhere else, or to copy to one that has moved.
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

/// Writes down where a store has moved to, or that it has not.
async fn mark(store: &dyn HotStore, to: Option<String>) -> Result<(), CliError> {
    let seen = store.fact(Fact::MovedTo).await?;
    if seen == to || store.set_fact(Fact::MovedTo, seen, to).await? {
        return Ok(());
    }
    Err(CliError::new("another copy marks the source at the same time").and("run it again"))
}

/// The source may be used again.
async fn lifted(settings: &Settings, ask: &CopyArgs) -> Result<Ended, CliError> {
    let home = home(settings, ask);
    let archive = archive(settings, &home)?;
    let from = opened(settings, &ask.from, &Keys::load(&home)?, archive, false).await?;
    let said = match from.hot().fact(Fact::MovedTo).await? {
        None => format!("{} has not moved anywhere", ask.from),
        Some(to) => {
            mark(from.hot(), None).await?;
            format!("{} may be used again; do not use {to} beside it", ask.from)
        }
    };
    output::say(&said)?;
    Ok(Ended::Done)
}

/// The folder whose keys mint and open the codes of both stores.
fn home(settings: &Settings, ask: &CopyArgs) -> PathBuf {
    match &ask.from {
        StoreAddress::Folder(folder) => folder.clone(),
        StoreAddress::Cluster(_) => settings.data.value.clone(),
    }
}

/// The cold tier of both.
fn archive(settings: &Settings, home: &Path) -> Result<Arc<dyn Archive>, CliError> {
    let mut settings = settings.clone();
    if settings.cold.origin == Origin::Default {
        settings.cold.value = Cold::Folder(home.join("cold"));
    }
    Ok(Arc::new(ColdArchive(open::cold(&settings, Patience::Work)?)))
}

async fn opened(
    settings: &Settings,
    address: &StoreAddress,
    keys: &Keys,
    archive: Arc<dyn Archive>,
    beside_serve: bool,
) -> Result<Store, CliError> {
    match address {
        StoreAddress::Folder(folder) => {
            files::private_folder(folder)?;
            let lock = match beside_serve {
                true => None,
                false => Some(serve::only_one(folder)?),
            };
            let free_min_bytes = settings.free_min_mib.value << 20;
            let options = Options { free_min_bytes, write_timeout: WRITE_TIMEOUT };
            let store = SqliteHot::open(folder, keys.ring(), archive, options);
            let store = store.map_err(|error| CliError::new(error.to_string()))?;
            Ok(Store::File { store: Arc::new(store), _lock: lock })
        }
        StoreAddress::Cluster(target) => {
            let attempt = async || {
                cluster::connect(settings, target, keys.code_keys(), Arc::clone(&archive)).await
            };
            let cluster = cluster::patiently(target, Waiting::Command, attempt).await?;
            Ok(Store::Cluster(cluster.store))
        }
    }
}

async fn copied(from: &Store, to: &Store) -> Result<Copied, CliError> {
    let progress = Progress::new(Work::Copy, None, false);
    let told = |_, read| progress.set(read, read);
    let copied = progress.during(copying::copy(from.copyable(), to.copyable(), told)).await;
    copied.map_err(|error| match error {
        CopyError::Refused(why) => CliError::new(why),
        CopyError::Store(error) => {
            CliError::from(error).and("the same call goes on where this one has stopped")
        }
    })
}

async fn compared(from: &Store, to: &Store) -> Result<(), CliError> {
    let progress = Progress::new(Work::Compare, None, false);
    let told = |_, read| progress.set(read, read);
    let all = progress.during(copying::compare(from.copyable(), to.copyable(), told)).await?;
    drop(progress);
    output::say(table(&all).trim_end())?;
    match all.iter().filter(|one| !one.is_same()).count() {
        0 => Ok(()),
        differ => Err(CliError::new(format!("the two stores differ in {differ} of these"))
            .and("where nobody has changed either, run the copy again")),
    }
}

/// What lies in the data folder beside the store, where it does not lie yet.
fn copy_beside(home: &Path, to: &Path) -> Result<(), CliError> {
    for folder in files::BESIDE_THE_STORE {
        if !to.join(folder).exists() {
            files::copy_folder(&home.join(folder), &to.join(folder))?;
        }
    }
    Ok(())
}

fn summary(copied: &Copied) -> String {
    let read = copied.read.iter().map(|(what, count)| format!("{} {what}", thousands(*count)));
    let read = read.collect::<Vec<_>>().join(", ");
    let how = match (copied.again, copied.resumed) {
        (false, false) => "first pass",
        (false, true) => "first pass, gone on where it had stopped",
        (true, false) => "another pass",
        (true, true) => "another pass, gone on where it had stopped",
    };
    let removed = match copied.removed {
        0 => String::new(),
        removed => format!("; {} that are gone were removed", thousands(removed)),
    };
    let read = if read.is_empty() { "nothing".to_owned() } else { read };
    format!("{how}: read {read}{removed}")
}

fn table(compared: &[Compared]) -> String {
    let mut rows = vec![["", "SOURCE", "TARGET", ""].map(str::to_owned).to_vec()];
    for one in compared {
        let said = match (one.is_same(), one.from == one.to) {
            (true, _) => "the same".to_owned(),
            (false, false) => "differ".to_owned(),
            (false, true) => format!("differ: {:032x}, {:032x}", one.from_hash, one.to_hash),
        };
        rows.push(vec![one.what.to_owned(), thousands(one.from), thousands(one.to), said]);
    }
    output::table(&[Side::Left, Side::Right, Side::Right, Side::Left], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let rows = [
            ("a folder", "sqlite:./data", Some("sqlite:./data")),
            ("a cluster", "cql://db/shop", Some("cql://db:9042/shop")),
            ("no folder", "sqlite:", None),
            ("no keyspace", "cql://db", None),
            ("something else", "postgres://db", None),
        ];
        for (name, text, want) in rows {
            let address = text.parse::<StoreAddress>().ok().map(|address| address.to_string());
            assert_eq!(address.as_deref(), want, "{name}");
        }
    }

    #[test]
    fn tables() {
        let one = |what, to, to_hash| Compared { what, from: 1_200, to, from_hash: 1, to_hash };
        let rows = [one("claims", 1_200, 1), one("coupons", 1_199, 0), one("markers", 1_200, 2)];
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1], "claims    1,200   1,200  the same");
        assert_eq!(lines[2], "coupons   1,200   1,199  differ");
        assert!(lines[3].ends_with("01, 00000000000000000000000000000002"), "{text}");
    }
}
