//! The source and the target of a copy: their addresses, and how they are opened.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use api::WebhookFeed;
use cold::{BucketPatience, ColdStore};
use cql_session::{BadKeyspaceAddress, KeyspaceAddress};
use engine::ColdArchive;
use hot::HotStore;
use hot_cql::CqlHot;
use hot_sqlite::{FILE_NAME, SqliteHot, SqliteOptions};

use crate::cql::{self, Waiting};
use crate::failure::{CliError, Result};
use crate::keys::Keys;
use crate::settings::{Cold, Origin, Settings};
use crate::{open, serve};

/// The data folder that is copied, as `sqlite:FOLDER`. It has the keys that mint and open the codes of both stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceFolder(PathBuf);

impl FromStr for SourceFolder {
    type Err = String;

    fn from_str(text: &str) -> Result<SourceFolder, String> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err("sqlite: names no folder, want sqlite:FOLDER".to_owned()),
            Some(folder) => Ok(SourceFolder(folder.into())),
            None if text.starts_with("cql://") => Err(
                "a cluster is not copied, want sqlite:FOLDER: nothing leads back to a folder, and a \
                 cluster moves to other machines, or to another cluster, with the tools of the \
                 database (docs/cluster.md, Move to another store)"
                    .to_owned(),
            ),
            None => Err(format!("it is {text:?}, want sqlite:FOLDER")),
        }
    }
}

impl fmt::Display for SourceFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sqlite:{}", self.0.display())
    }
}

pub(super) fn target(text: &str) -> Result<KeyspaceAddress, String> {
    match text {
        text if text.starts_with("cql://") => {
            text.parse().map_err(|error: BadKeyspaceAddress| error.to_string())
        }
        text if text.starts_with("sqlite:") => Err(
            "a copy goes only to a cluster, want cql://HOST:PORT,HOST:PORT/KEYSPACE: to move a \
             data folder, use `couponry backup` and `couponry restore`"
                .to_owned(),
        ),
        text => Err(format!("it is {text:?}, want cql://HOST:PORT,HOST:PORT/KEYSPACE")),
    }
}

/// The data folder, open.
pub(super) struct Source {
    pub(super) store: Arc<SqliteHot>,
    pub(super) keys: Keys,
    /// That of both stores.
    cold: Arc<ColdStore>,
    /// Keeps `serve` from the folder.
    _lock: Option<File>,
}

impl Source {
    /// The events of one of both stores, as webhooks read them.
    pub(super) async fn events(&self, store: Arc<dyn HotStore>) -> Result<WebhookFeed> {
        let engine = open::engine_over(store, Arc::clone(&self.cold), &self.keys).await?;
        Ok(WebhookFeed::new(Arc::new(engine)))
    }
}

impl SourceFolder {
    pub(super) fn must_have_data(&self) -> Result<()> {
        open::must_not_be_half_restored(&self.0)?;
        match self.0.join(FILE_NAME).exists() {
            true => Ok(()),
            false => Err(open::no_store(&self.0).and("name the folder of the store with --from")),
        }
    }

    /// Locks the folder against `serve` unless `beside_serve`.
    pub(super) fn open(&self, settings: &Settings, beside_serve: bool) -> Result<Source> {
        let keys = Keys::load(&self.0)?;
        let cold = cold(settings, &self.0)?;
        let lock = if beside_serve { None } else { Some(serve::only_one(&self.0)?) };
        let free_min_bytes = settings.free_min_mib.value << 20;
        let options = SqliteOptions { free_min_bytes, ..SqliteOptions::default() };
        let archive = Arc::new(ColdArchive(Arc::clone(&cold)));
        let store = SqliteHot::open(&self.0, keys.ring(), archive, options);
        let store = Arc::new(store.map_err(CliError::of)?);
        Ok(Source { store, keys, cold, _lock: lock })
    }
}

fn cold(settings: &Settings, home: &Path) -> Result<Arc<ColdStore>> {
    let mut settings = settings.clone();
    if settings.cold.origin == Origin::Default {
        settings.cold.value = Cold::Folder(home.join("cold"));
    }
    open::cold(&settings, BucketPatience::Work)
}

/// Opens the cluster with the keys and the cold tier of the source.
pub(super) async fn open_target(
    settings: &Settings,
    target: &KeyspaceAddress,
    source: &Source,
) -> Result<Arc<CqlHot>> {
    let attempt = async || {
        let archive = Arc::new(ColdArchive(Arc::clone(&source.cold)));
        cql::connect(settings, target, source.keys.ring(), archive).await
    };
    Ok(cql::patiently(target, Waiting::Command, attempt).await?.store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let source = |text: &str| text.parse::<SourceFolder>().map(|folder| folder.to_string());
        let target = |text: &str| target(text).map(|address| address.to_string());
        let rows = [
            ("a folder", source("sqlite:./data"), Ok("sqlite:./data")),
            ("no folder", source("sqlite:"), Err("want sqlite:FOLDER")),
            ("something else", source("redis://db"), Err("want sqlite:FOLDER")),
            ("from a cluster", source("cql://db/shop"), Err("nothing leads back")),
            ("a cluster", target("cql://db/shop"), Ok("cql://db:9042/shop")),
            ("no keyspace", target("cql://db"), Err("keyspace")),
            ("another engine", target("redis://db"), Err("want cql://HOST:PORT")),
            ("to a folder", target("sqlite:./data"), Err("`couponry backup`")),
        ];
        for (name, found, want) in rows {
            match (&found, want) {
                (Ok(address), Ok(want)) => assert_eq!(address, want, "{name}"),
                (Err(why), Err(want)) => assert!(why.contains(want), "{name}: {why}"),
                (_, want) => panic!("{name}: {found:?}, want {want:?}"),
            }
        }
    }
}
