//! The tables of a cold tier in a folder, as files: to copy while a compaction goes on, and to put
//! back. What is in the files is the business of the crate `cold`; `schema/cold.md` has their names.
//!
//! The order makes the copy right. The hot store was copied before, so cold is as new as hot or newer,
//! which a restore reconciles; in an older one, coupons would be missing. Of cold,
//! `coupons_by_holder` comes first: a compaction continues a side table that is behind `coupons`, and
//! takes one that is ahead for finished. The files of rows come after both logs, so each file that
//! the logs name is there: couponry keeps replaced files for days.
//!
//! Not copied is what the next compaction writes again: `holder_index`, `complete_days`, and the
//! hints `_last_checkpoint`, which are the only files that change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::shared::{files_below, make, new_bytes, rename, share};
use crate::private_files::sync_folder;

const TABLES: [&str; 2] = ["coupons_by_holder", "coupons"];

/// What is made from the table `coupons`.
const DERIVED: [&str; 3] = ["holder_index", "complete_days", "coupons_by_holder"];

const LOG: &str = "_delta_log";

/// Small files beside the tables, one or two for each erasure of a person.
const ERASED: &str = "erased";

/// A cold tier in a folder, and its copy in an earlier backup.
#[derive(Clone, Debug)]
pub struct ColdFolder {
    pub folder: PathBuf,
    pub earlier: Option<PathBuf>,
}

impl ColdFolder {
    /// The bytes that [`ColdFolder::copy`] needs on the disk of the folder `to`, which exists.
    pub fn new_bytes(&self, to: &Path) -> io::Result<u64> {
        new_bytes(&self.rows()?, &self.folder, self.earlier.as_deref(), to)
    }

    /// Copies the tables to the folder `to`, durably. The hot store must have been copied before.
    ///
    /// # Errors
    /// On an I/O error; the copy is not complete.
    pub fn copy(&self, to: &Path) -> io::Result<()> {
        for table in TABLES {
            // Not from the earlier copy: after a restore, its entry of the same name may be another.
            share(&self.log(table)?, &self.folder, None, to)?;
        }
        share(&self.rows()?, &self.folder, self.earlier.as_deref(), to)
    }

    /// The newest entry first: if the oldest are deleted meanwhile, the rest is still a whole log.
    /// By their numbers, which have no gaps: a listing may miss an entry and have a later one.
    fn log(&self, table: &str) -> io::Result<Vec<PathBuf>> {
        let folder = Path::new(table).join(LOG);
        let there = files_below(&self.folder.join(&folder))?;
        let names: Vec<&str> = there.iter().filter_map(|it| it.to_str()).collect();
        let version = |name: &str| name.split_once('.')?.0.parse::<u64>().ok();
        let entries: Vec<u64> = names
            .iter()
            .filter(|name| name.ends_with(".json"))
            .filter_map(|name| version(name))
            .collect();
        let (Some(first), Some(last)) = (entries.iter().min(), entries.iter().max()) else {
            return Ok(Vec::new());
        };
        let checkpoints = names.iter().filter(|name| {
            name.ends_with(".checkpoint.parquet") && version(name).is_some_and(|it| it <= *last)
        });
        let entries = (*first..=*last).rev().map(|version| format!("{version:020}.json"));
        let all = entries.chain(checkpoints.map(|name| (*name).to_owned()));
        Ok(all.map(|name| folder.join(name)).collect())
    }

    fn rows(&self) -> io::Result<Vec<PathBuf>> {
        let erased = files_below(&self.folder.join(ERASED))?;
        let mut files: Vec<_> = erased.iter().map(|file| Path::new(ERASED).join(file)).collect();
        for table in TABLES {
            let below = files_below(&self.folder.join(table))?;
            let of_rows = below.into_iter().filter(|file| !file.starts_with(LOG));
            files.extend(of_rows.map(|file| Path::new(table).join(file)));
        }
        Ok(files)
    }
}

/// Puts a copy that [`ColdFolder::copy`] made into `folder`, which exists and has no cold tier. Safe
/// to repeat.
///
/// # Errors
/// On an I/O error, or if there is a folder `coupons`, with or without a table.
pub fn put_back_cold(copy: &Path, folder: &Path) -> io::Result<()> {
    let staging = folder.join("restoring");
    // What a killed call has left, and what was made from the tables that are gone.
    for path in DERIVED.map(|name| folder.join(name)).iter().chain([&staging]) {
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    share(&files_below(copy)?, copy, None, &staging)?;
    for file in files_below(&staging.join(ERASED))? {
        make(&folder.join(ERASED))?;
        rename(&staging.join(ERASED).join(&file), &folder.join(ERASED).join(&file))?;
    }
    // `coupons` last: without it there is no cold tier.
    for table in TABLES {
        rename(&staging.join(table), &folder.join(table))?;
    }
    fs::remove_dir_all(staging)?;
    sync_folder(folder)
}
