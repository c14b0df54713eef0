//! What is kept of erasures beside the tables: small objects for whoever restores a hot store that does not know them.
//! They have no old names.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, PutMode, PutOptions};

use crate::error::Result;
use crate::location::StoreLocation;
use crate::store::ColdStore;

const FOLDER: &str = "erased";

/// An erasure with its number and the keyed hash of the person: two stores may have one number.
#[derive(Clone, Copy, Debug)]
pub struct KeptName<'a> {
    pub number: u64,
    pub hash: &'a str,
    /// Whether it is finished. It is kept once before that, and once then.
    pub is_finished: bool,
}

impl KeptName<'_> {
    fn object(self) -> Path {
        let KeptName { number, hash, is_finished } = self;
        let end = if is_finished { "-finished" } else { "" };
        Path::from(format!("{FOLDER}/{number:020}-{hash}{end}.json"))
    }
}

impl StoreLocation {
    /// Writes a small object beside the tables. What is there stays.
    pub(crate) async fn keep(&self, object: &Path, text: Bytes) -> Result<()> {
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(object, text.into(), options).await {
            Ok(_) | Err(Error::AlreadyExists { .. }) => {
                let folder = object.parts().next().map(|it| Path::from(it.as_ref()));
                self.settle(&folder.unwrap_or_default()).await
            }
            Err(error) => Err(self.failed(&format!("writing {object}"), error)),
        }
    }
}

impl ColdStore {
    /// Keeps what is to be known of an erasure. What is there stays. `is_new`: the store has no cold tier yet, so its
    /// folder may be made.
    ///
    /// # Errors
    /// [`crate::ColdError::Unavailable`], [`crate::ColdError::Full`].
    pub async fn keep_erased(&self, name: KeptName<'_>, text: Bytes, is_new: bool) -> Result<()> {
        let (location, object) = (&self.inner.location, name.object());
        if is_new {
            location.make().await?;
        }
        location.keep(&object, text).await
    }

    /// What was kept of the erasures with a number above `after`, by number: of one that is finished both texts.
    ///
    /// # Errors
    /// [`crate::ColdError::Unavailable`].
    pub async fn kept_erased(&self, after: u64) -> Result<Vec<Bytes>> {
        let location = &self.inner.location;
        let mut kept = Vec::new();
        if location.folder.as_ref().is_some_and(|local| local.is_gone()) {
            return Ok(kept);
        }
        let after = Path::from(format!("{FOLDER}/{:020}", after.saturating_add(1)));
        for meta in location.list(&Path::from(FOLDER)).await? {
            if meta.location >= after {
                kept.extend(location.whole(&meta.location).await?);
            }
        }
        Ok(kept)
    }
}
