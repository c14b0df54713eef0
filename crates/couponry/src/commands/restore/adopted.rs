//! A store that another tool has put into the data folder, and the mark of a restore that has not ended.

use std::io::ErrorKind;
use std::path::Path;

use cold::BucketPatience;

use crate::failure::CliError;
use crate::files;
use crate::keys::Keys;
use crate::open::{self, RESTORING, UNFINISHED};
use crate::settings::Settings;

/// Whether the store that is there may be restored, also once more after an interruption.
pub(super) fn may_begin(settings: &Settings, adopt: bool) -> Result<(), CliError> {
    let data = &settings.data.value;
    if adopt {
        settings.must_be_sqlite("a cluster has no file to adopt: run `couponry restore` alone")?;
    }
    // Then the store in the folder is not the one that was to be restored.
    if data.join(RESTORING).exists() {
        open::must_not_be_half_restored(data)?;
    }
    open::must_have_a_store(settings)
}

/// The folder of a store, or of a backup. Without them `serve` would make new ones, which open no code of this store.
pub(super) fn must_have_keys(folder: &Path) -> Result<(), CliError> {
    let keys = folder.join(files::KEYS);
    match keys.is_dir() {
        true => Ok(()),
        false => Err(CliError::new(format!(
            "there are no keys in {}: copy the folder `keys` of the lost machine there, from a backup \
             or where you keep secrets, and run this again",
            keys.display()
        ))),
    }
}

/// # Errors
/// A batch has codes of a key that is not there.
pub(super) async fn must_open_codes(settings: &Settings) -> Result<(), CliError> {
    let keys = Keys::load(&settings.data.value)?;
    let store = open::sqlite(settings, &keys, &open::cold(settings, BucketPatience::Caller)?)?;
    Ok(open::must_have_every_key(&store, &keys).await?)
}

/// From now on until [`end`] only a restore opens the store.
pub(super) fn begin(data: &Path) -> Result<(), CliError> {
    files::lock_file(&data.join(UNFINISHED))?;
    files::sync_names_in(data).map_err(CliError::cannot("sync", data))
}

pub(super) fn end(data: &Path) -> Result<(), CliError> {
    let path = data.join(UNFINISHED);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(CliError::cannot("delete", &path)(error))
        }
        Ok(()) | Err(_) => files::sync_names_in(data).map_err(CliError::cannot("sync", data)),
    }
}
