//! The entries of a log as objects, read without the kernel.

use coupon::time::Millis;
use object_store::ObjectMeta;
use object_store::path::Path;

use super::DeltaTable;
use crate::error::Result;
use crate::names;

impl DeltaTable {
    /// The first entry of the log that is not lines of JSON, and why.
    pub(crate) async fn broken_entry(&self) -> Result<Option<(Path, String)>> {
        for (entry, _) in self.entries().await? {
            let text = self.location.whole(&entry).await?.unwrap_or_default();
            if let Err(fault) = actions(&text) {
                return Ok(Some((entry, fault)));
            }
        }
        Ok(None)
    }

    /// The entries of the log, and when each was written.
    pub(crate) async fn entries(&self) -> Result<Vec<(Path, Millis)>> {
        let found = self.location.list(&self.log_folder()).await?;
        let is_commit = |meta: &ObjectMeta| {
            names::log_object(&meta.location).is_some_and(|(_, what)| what == "json")
        };
        let commits = found.into_iter().filter(is_commit);
        Ok(commits
            .map(|meta| (meta.location, Millis(meta.last_modified.timestamp_millis())))
            .collect())
    }
}

pub(crate) fn actions(entry: &[u8]) -> Result<Vec<serde_json::Value>, String> {
    let lines = entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let actions: Result<Vec<_>, _> = lines.map(serde_json::from_slice).collect();
    match actions {
        Ok(actions) if actions.is_empty() => Err("it has no action".to_owned()),
        Ok(actions) => Ok(actions),
        Err(error) => Err(error.to_string()),
    }
}
