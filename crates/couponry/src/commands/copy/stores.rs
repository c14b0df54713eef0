//! The source and the target of a copy: their addresses, and how they are opened.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use cold::Patience;
use cql_session::{BadKeyspaceAddress, KeyspaceAddress};
use engine::ColdArchive;
use hot::inventory::Importer;
use hot::{Archive, HotStore};
use hot_cql::CqlHot;
use hot_sqlite::{Options, SqliteHot};

use crate::cql::{self, Waiting};
use crate::failure::CliError;
use crate::keys::Keys;
use crate::settings::{Cold, Origin, Settings};
use crate::{files, open, serve};

/// Longest write: the last step of a copy to a folder counts every row in one transaction.
const WRITE_TIMEOUT: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoreAddress {
    Folder(PathBuf),
    Cql(KeyspaceAddress),
}

impl FromStr for StoreAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<StoreAddress, String> {
        match text.strip_prefix("sqlite:") {
            Some("") => Err("sqlite: names no folder, want sqlite:FOLDER".to_owned()),
            Some(folder) => Ok(StoreAddress::Folder(folder.into())),
            None if text.starts_with("cql://") => text
                .parse()
                .map(StoreAddress::Cql)
                .map_err(|error: BadKeyspaceAddress| error.to_string()),
            None => Err(format!("it is {text:?}, want sqlite:FOLDER or cql://HOST:PORT/KEYSPACE")),
        }
    }
}

impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreAddress::Folder(folder) => write!(f, "sqlite:{}", folder.display()),
            StoreAddress::Cql(target) => target.fmt(f),
        }
    }
}

pub(super) enum Store {
    File {
        store: Arc<SqliteHot>,
        /// Keeps `serve` from the folder.
        _lock: Option<File>,
    },
    Cql(Arc<CqlHot>),
}

impl Store {
    pub(super) fn importer(&self) -> &dyn Importer {
        match self {
            Store::File { store, .. } => store.as_ref(),
            Store::Cql(store) => store.as_ref(),
        }
    }

    pub(super) fn hot(&self) -> &dyn HotStore {
        match self {
            Store::File { store, .. } => store.as_ref(),
            Store::Cql(store) => store.as_ref(),
        }
    }
}

/// The folder whose keys mint and open the codes of both stores.
pub(super) fn home(settings: &Settings, source: &StoreAddress) -> PathBuf {
    match source {
        StoreAddress::Folder(folder) => folder.clone(),
        StoreAddress::Cql(_) => settings.data.value.clone(),
    }
}

/// The cold tier of both stores.
pub(super) fn archive(settings: &Settings, home: &Path) -> Result<Arc<dyn Archive>, CliError> {
    let mut settings = settings.clone();
    if settings.cold.origin == Origin::Default {
        settings.cold.value = Cold::Folder(home.join("cold"));
    }
    Ok(Arc::new(ColdArchive(open::cold(&settings, Patience::Work)?)))
}

/// A folder is locked against `serve` unless `beside_serve`.
pub(super) async fn opened(
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
            let options =
                Options { free_min_bytes, write_timeout: WRITE_TIMEOUT, ..Options::default() };
            let store = SqliteHot::open(folder, keys.ring(), archive, options);
            let store = store.map_err(|error| CliError::new(error.to_string()))?;
            Ok(Store::File { store: Arc::new(store), _lock: lock })
        }
        StoreAddress::Cql(target) => {
            let attempt = async || {
                cql::connect(settings, target, keys.code_keys(), Arc::clone(&archive)).await
            };
            let cql = cql::patiently(target, Waiting::Command, attempt).await?;
            Ok(Store::Cql(cql.store))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let rows = [
            ("a folder", "sqlite:./data", Some("sqlite:./data")),
            ("a cluster", "cql://db/shop", Some("cql://db:9042/shop")),
            ("no folder", "sqlite:", None),
            ("no keyspace", "cql://db", None),
            ("something else", "redis://db", None),
        ];
        for (name, text, want) in rows {
            let address = text.parse::<StoreAddress>().ok().map(|address| address.to_string());
            assert_eq!(address.as_deref(), want, "{name}");
        }
    }
}
