//! What is kept of erasures beside the tables: one small object for each, for whoever restores a hot store that does not
//! know it. It has no old name.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, PutMode, PutOptions};

use crate::error::Result;
use crate::store::ColdStore;

const FOLDER: &str = "erased";

fn object(number: u64) -> Path {
    Path::from(format!("{FOLDER}/{number:020}.json"))
}

impl ColdStore {
    /// Keeps what is to be known of the erasure with a number. What is there stays. `is_new`: the store has no cold tier yet,
    /// so its folder may be made.
    ///
    /// # Errors
    /// [`crate::ColdError::Unavailable`], [`crate::ColdError::Full`].
    pub async fn keep_erased(&self, number: u64, text: Bytes, is_new: bool) -> Result<()> {
        let (location, object) = (&self.inner.location, object(number));
        if is_new {
            location.make().await?;
        }
        let options = PutOptions::from(PutMode::Create);
        match location.store.put_opts(&object, text.into(), options).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => location.settle(&Path::from(FOLDER)).await,
            Err(error) => Err(location.failed(&format!("writing {object}"), error)),
        }
    }

    /// What was kept of the erasures with a number above `after`, by number.
    ///
    /// # Errors
    /// [`crate::ColdError::Unavailable`].
    pub async fn kept_erased(&self, after: u64) -> Result<Vec<Bytes>> {
        let (location, after) = (&self.inner.location, object(after));
        let mut kept = Vec::new();
        if location.folder.as_ref().is_some_and(|local| local.is_gone()) {
            return Ok(kept);
        }
        for meta in location.list(&Path::from(FOLDER)).await? {
            if meta.location > after {
                kept.extend(location.whole(&meta.location).await?);
            }
        }
        Ok(kept)
    }
}
