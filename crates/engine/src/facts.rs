//! Facts of the store that are JSON and that several processes change: staff, compactions, saved queries, readers of
//! the feed, notices.
//!
//! Each is read, changed and written if it still reads the same, so it works in the same way on SQLite and on a
//! cluster.

use hot::audit::{AuditEntry, AuditEvent};
use hot::{Fact, HotStore};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::{Failure, Result};
use crate::{Caller, Engine, HotError};

/// How often a fact is read again because another process was changing it.
const TRIES: u32 = 16;

/// A fact with the type of its JSON. The value of one that was never written is the default of the type.
pub(crate) struct FactKind<T> {
    fact: Fact,
    read: fn(&str) -> Result<T, serde_json::Error>,
}

impl<T: Serialize + DeserializeOwned + Default> FactKind<T> {
    /// A fact that decides something: a damaged one is an error.
    pub(crate) const fn deciding(fact: Fact) -> FactKind<T> {
        FactKind { fact, read: |text| serde_json::from_str(text) }
    }

    /// A fact that only tells people something: one that another release has written differently is an empty one.
    pub(crate) const fn telling(fact: Fact) -> FactKind<T> {
        FactKind { fact, read: |text| Ok(serde_json::from_str(text).unwrap_or_default()) }
    }

    /// As any process wrote it last. One read.
    pub(crate) async fn load(&self, hot: &dyn HotStore) -> Result<T> {
        self.read(hot.fact(self.fact).await?.as_deref())
    }

    pub(crate) fn read(&self, text: Option<&str>) -> Result<T> {
        let Some(text) = text else { return Ok(T::default()) };
        (self.read)(text).map_err(|error| self.damaged(error))
    }

    /// Changes the fact and returns it. Writes nothing if `change` returns false.
    pub(crate) async fn change(
        &self,
        hot: &dyn HotStore,
        mut change: impl FnMut(&mut T) -> Result<bool> + Send,
    ) -> Result<T> {
        let change = |value: &mut T| Ok(change(value)?.then_some(FactWrite::Plain));
        self.replace(hot, change).await
    }

    /// Changes the fact together with its entry in the audit, in the name of `caller`. Writes nothing if `change`
    /// returns no event.
    pub(crate) async fn change_audited(
        &self,
        engine: &Engine,
        caller: &Caller,
        mut change: impl FnMut(&mut T) -> Result<Option<AuditEvent>> + Send,
    ) -> Result<T> {
        let entry = |event| AuditEntry { act: engine.act(caller, None), event };
        let change =
            |value: &mut T| Ok(change(value)?.map(|event| FactWrite::Audited(entry(event))));
        self.replace(engine.hot(), change).await
    }

    /// Changes the fact, again if another process has changed it meanwhile.
    async fn replace(
        &self,
        hot: &dyn HotStore,
        mut change: impl FnMut(&mut T) -> Result<Option<FactWrite>> + Send,
    ) -> Result<T> {
        let fact = self.fact;
        for _ in 0..TRIES {
            let seen = hot.fact(fact).await?;
            let mut value = self.read(seen.as_deref())?;
            let Some(write) = change(&mut value)? else { return Ok(value) };
            let next = serde_json::to_string(&value).map_err(|error| self.damaged(error))?;
            let is_written = match write {
                FactWrite::Plain => hot.set_fact(fact, seen, Some(next)).await?,
                FactWrite::Audited(entry) => hot.set_audited_fact(fact, seen, next, entry).await?,
            };
            if is_written {
                return Ok(value);
            }
        }
        let why = format!("others change the fact {:?} at the moment", fact.as_str());
        Err(Failure::Store(HotError::Unavailable(why.into())))
    }

    fn damaged(&self, error: serde_json::Error) -> Failure {
        Failure::Store(HotError::Damaged(format!("the fact {:?}: {error}", self.fact.as_str())))
    }
}

enum FactWrite {
    Plain,
    /// With the entry that the audit gets in the same write.
    Audited(AuditEntry),
}
