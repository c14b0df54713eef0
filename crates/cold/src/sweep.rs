//! Removing files that nobody will read any more.

use std::collections::HashSet;
use std::time::{Duration, UNIX_EPOCH};

use coupon::time::Millis;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::error::ColdError;
use crate::log::{Table, actions};
use crate::names;
use crate::store::{ColdStore, Inner};

/// What a sweep has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl ColdStore {
    /// Removes the files of both tables that no commit has: those that a merge replaced longer
    /// than [`crate::Options::retention`] before `now`, and those whose unit's number has been
    /// committed, so that their writer cannot commit them any more. Lists every folder. What is
    /// not named as a file of ours is left alone.
    ///
    /// # Errors
    /// [`ColdError::Unavailable`], also where there is no table; [`ColdError::Damaged`]. What was
    /// removed before stays removed.
    pub async fn sweep(&self, now: Millis) -> Result<Swept, ColdError> {
        let Inner { place, coupons, by_holder, .. } = &*self.inner;
        let mut swept = Swept::default();
        for table in [coupons, by_holder] {
            self.sweep_table(table, now, &mut swept).await?;
        }
        if let Some(local) = &place.folder {
            let now = UNIX_EPOCH + Duration::from_millis(now.0.max(0).unsigned_abs());
            let swept = local.sweep_staging(now).await;
            swept.map_err(|error| place.failed("sweeping staged files", error))?;
        }
        Ok(swept)
    }

    async fn sweep_table(
        &self,
        table: &Table,
        now: Millis,
        swept: &mut Swept,
    ) -> Result<(), ColdError> {
        let Inner { place, options, .. } = &*self.inner;
        // In this order: what is committed between the two is live.
        let listed = place.list(&table.folder()).await?;
        let known = table.newest().await?;
        let retention = i64::try_from(options.retention.as_millis()).unwrap_or(i64::MAX);
        let kept = removed_since(self, table, Millis(now.0.saturating_sub(retention))).await?;
        for object in listed {
            let path = within(table, &object.location);
            let Some(origin) = names::origin(path) else { continue };
            let may_come = origin.unit > known.unit(origin.day);
            if may_come || known.is_live(origin.day, path) || kept.contains(path) {
                continue;
            }
            match place.store.delete(&object.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => {
                    return Err(place.failed(&format!("removing {}", object.location), error));
                }
            }
            swept.files += 1;
            swept.bytes += object.size;
        }
        Ok(())
    }
}

/// The files that were taken out at `since` or later.
async fn removed_since(
    store: &ColdStore,
    table: &Table,
    since: Millis,
) -> Result<HashSet<String>, ColdError> {
    let place = &store.inner.place;
    let mut removed = HashSet::new();
    for (entry, written_at) in table.entries().await? {
        if written_at < since {
            continue;
        }
        let Some(text) = place.whole(&entry).await? else { continue };
        let actions = actions(&text).map_err(|fault| place.damaged(&entry, fault))?;
        let paths = actions.iter().filter_map(|action| action["remove"]["path"].as_str());
        removed.extend(paths.map(str::to_owned));
    }
    Ok(removed)
}

/// An object's name within its table.
fn within<'a>(table: &Table, object: &'a Path) -> &'a str {
    let folder = table.folder();
    let rest = object.as_ref().strip_prefix(folder.as_ref()).unwrap_or_default();
    rest.strip_prefix('/').unwrap_or(rest)
}
