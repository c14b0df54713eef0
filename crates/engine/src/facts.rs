//! Facts of the store that are JSON and that several processes change: staff, compactions, saved queries, readers of
//! the feed, notices.
//!
//! Each is read, changed and written if it still reads the same, so it works in the same way on SQLite and on a
//! cluster.

use hot::audit::{AuditEntry, AuditEvent};
use hot::{Fact, HotStore};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;
use crate::{Caller, Engine, HotError};

/// How often a fact is read again because another process was changing it.
const TRIES: u32 = 16;

/// A fact that decides something: an empty one if it was never written, an error if it is damaged.
pub(crate) fn must_read<T: DeserializeOwned + Default>(
    fact: Fact,
    text: Option<&str>,
) -> Result<T, Failure> {
    let Some(text) = text else { return Ok(T::default()) };
    serde_json::from_str(text).map_err(|error| damaged(fact, error))
}

/// A fact that only tells people something: one that another release has written differently is an empty one.
pub(crate) fn may_read<T: DeserializeOwned + Default>(
    _: Fact,
    text: Option<&str>,
) -> Result<T, Failure> {
    Ok(text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
}

pub(crate) type FactReader<T> = fn(Fact, Option<&str>) -> Result<T, Failure>;

impl Engine {
    /// As any process wrote it last. One read.
    pub(crate) async fn read_fact<T>(&self, fact: Fact, read: FactReader<T>) -> Result<T, Failure> {
        read(fact, self.hot.fact(fact).await?.as_deref())
    }

    /// Changes a fact together with its entry in the audit, in the name of `caller`. Writes nothing if `change` returns
    /// no event.
    pub(crate) async fn change_audited_fact<T: Serialize + Send>(
        &self,
        caller: &Caller,
        fact: Fact,
        read: FactReader<T>,
        mut change: impl FnMut(&mut T) -> Result<Option<AuditEvent>, Failure> + Send,
    ) -> Result<T, Failure> {
        for _ in 0..TRIES {
            let seen = self.hot.fact(fact).await?;
            let mut value = read(fact, seen.as_deref())?;
            let Some(event) = change(&mut value)? else { return Ok(value) };
            let next = serde_json::to_string(&value).map_err(|error| damaged(fact, error))?;
            let entry = AuditEntry { act: self.act(caller, None), event };
            if self.hot.set_audited_fact(fact, seen, next, entry).await? {
                return Ok(value);
            }
        }
        Err(others_change(fact))
    }

    /// [`change_fact`] of this store.
    pub(crate) async fn change_fact<T: Serialize + Send>(
        &self,
        fact: Fact,
        read: FactReader<T>,
        change: impl FnMut(&mut T) -> Result<bool, Failure> + Send,
    ) -> Result<T, Failure> {
        change_fact(self.hot.as_ref(), fact, read, change).await
    }
}

/// Changes a fact, again if another process has changed it meanwhile, and returns it. Writes nothing if `change`
/// returns false.
pub(crate) async fn change_fact<T: Serialize + Send>(
    hot: &dyn HotStore,
    fact: Fact,
    read: FactReader<T>,
    mut change: impl FnMut(&mut T) -> Result<bool, Failure> + Send,
) -> Result<T, Failure> {
    for _ in 0..TRIES {
        let seen = hot.fact(fact).await?;
        let mut value = read(fact, seen.as_deref())?;
        if !change(&mut value)? {
            return Ok(value);
        }
        let next = serde_json::to_string(&value).map_err(|error| damaged(fact, error))?;
        if hot.set_fact(fact, seen, Some(next)).await? {
            return Ok(value);
        }
    }
    Err(others_change(fact))
}

fn others_change(fact: Fact) -> Failure {
    let why = format!("others change the fact {:?} at the moment", fact.name());
    Failure::Store(HotError::Unavailable(why.into()))
}

fn damaged(fact: Fact, error: serde_json::Error) -> Failure {
    Failure::Store(HotError::Damaged(format!("the fact {:?}: {error}", fact.name())))
}
