//! The cold tier in a backup.

use std::path::Path;

use ::cold::ColdStore;
use compactor::check_pairing;
use hot::Partitions;
use hot_sqlite::backup::ColdFolder;

use crate::failure::CliError;

/// The cold tier in the folder of a backup.
pub(crate) const COLD: &str = "cold";

/// Copies the cold tier of `store` into the folder of a backup that has the store. Returns what to
/// say of it.
pub(super) async fn copy(
    store: &dyn Partitions,
    cold: &ColdStore,
    source: Option<ColdFolder>,
    to: &Path,
) -> Result<String, CliError> {
    let Some(source) = source else {
        return Ok(format!("; the cold tier is not in it: {} is a bucket", cold.location()));
    };
    // The folder of a disk that is not mounted looks like that of a store that has archived nothing.
    check_pairing(store, cold).await.map_err(CliError::of)?;
    if cold.version().await.map_err(CliError::of)?.is_none() {
        return Ok("; nothing is archived yet".to_owned());
    }
    let to = to.join(COLD);
    let copied = tokio::task::spawn_blocking(move || source.copy(&to)).await;
    copied.map_err(CliError::of)?.map_err(CliError::of)?;
    Ok(", the cold tier".to_owned())
}
