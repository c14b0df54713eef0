//! Puts a backup into the folders of both tiers.

use std::path::Path;

use cold::BucketPatience;
use coupon::calendar::format_instant;
use engine::{Clock, SystemClock};
use hot_sqlite::RecordFile;
use hot_sqlite::backup::{CompanionFile, put_back, put_back_cold};

use crate::commands::backup::COLD;
use crate::failure::CliError;
use crate::settings::{Cold, Settings};
use crate::{files, open, output};

/// Moves the old data aside. Until this ends, no command opens the data folder: see [`open::RESTORING`].
pub(super) fn hot(data: &Path, from: &Path) -> Result<(), CliError> {
    let aside = data.join(format!("replaced-{}", format_instant(SystemClock.now())));
    let beside = CompanionFile { folder: files::KEYS, database: RecordFile::NAME };
    put_back(from, data, &data.join(open::RESTORING), &aside, beside).map_err(CliError::of)
}

/// A cold tier that is there stays: it may have what was archived after the backup.
pub(super) async fn cold(settings: &Settings, from: &Path) -> Result<(), CliError> {
    let Cold::Folder(folder) = &settings.cold.value else { return Ok(()) };
    let copy = from.join(COLD);
    let here = open::cold(settings, BucketPatience::Work)?.version().await.map_err(CliError::of)?;
    if !copy.exists() || here.is_some() {
        return Ok(());
    }
    files::private_folder(folder)?;
    put_back_cold(&copy, folder).map_err(CliError::cannot("restore the cold tier to", folder))?;
    output::note(&format!("{} has the cold tier of the backup", folder.display()));
    Ok(())
}
