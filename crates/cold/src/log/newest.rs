//! Loading the newest version of a table, or an earlier one: the only place that caches a version.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use delta_kernel::KernelError;
use delta_kernel::snapshot::Snapshot;
use futures::TryStreamExt;

use super::errors::LogReadError;
use super::replay::read;
use super::{DeltaTable, TableVersion};
use crate::error::Result;

/// How often a log that seemed empty is read again. Once is enough when another process was making
/// the table; twice means that somebody keeps deleting it.
const LOAD_TRIES_MAX: usize = 3;

#[derive(Debug, Default)]
pub(super) struct VersionMemory {
    known: Option<Arc<TableVersion>>,
    /// The number of the look-up that loaded `known`.
    look: u64,
    /// Size of the last entry of the log. A different size means that somebody has replaced the
    /// entry, so the cached version is not valid any more.
    entry_bytes: u64,
}

/// Entitles its holder to a version that was looked up after the ticket was taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LookupTicket(u64);

impl DeltaTable {
    pub(crate) fn remembered(&self) -> Option<Arc<TableVersion>> {
        self.memory.read().known.clone()
    }

    pub(crate) fn ticket(&self) -> LookupTicket {
        LookupTicket(self.looks.load(Ordering::SeqCst))
    }

    pub(crate) async fn newest(&self) -> Result<Arc<TableVersion>> {
        self.since(self.ticket()).await
    }

    /// Returns a version that was the newest at some moment after `ticket` was taken.
    pub(crate) async fn since(&self, ticket: LookupTicket) -> Result<Arc<TableVersion>> {
        self.look(ticket).await?.ok_or_else(|| {
            self.location.unavailable(format!("there is no table {}", self.schema.name))
        })
    }

    /// Like [`DeltaTable::newest`]; `None` where there is no table.
    pub(crate) async fn newest_if_any(&self) -> Result<Option<Arc<TableVersion>>> {
        self.look(self.ticket()).await
    }

    async fn look(&self, ticket: LookupTicket) -> Result<Option<Arc<TableVersion>>> {
        let _one_at_a_time = self.looking.lock().await;
        {
            let memory = self.memory.read();
            if memory.look > ticket.0 {
                return Ok(memory.known.clone());
            }
        }
        // Counted before the requests: a ticket taken from here on needs a later look-up.
        let look = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
        let (known, entry_bytes) = self.newest_from_memory().await?;
        let mut memory = self.memory.write();
        *memory = VersionMemory { known: known.clone(), look, entry_bytes };
        Ok(known)
    }

    /// The newest version, and the size of its entry. Versions have no gaps, so two requests by
    /// name replace a listing of the log.
    async fn newest_from_memory(&self) -> Result<(Option<Arc<TableVersion>>, u64)> {
        let (remembered, bytes) = {
            let memory = self.memory.read();
            (memory.known.clone(), memory.entry_bytes)
        };
        let mut base = None;
        if let Some(known) = remembered {
            let (this, next) = (self.entry(known.version), self.entry(known.version + 1));
            let (this, next) =
                futures::try_join!(self.location.size(&this), self.location.size(&next))?;
            match (this == Some(bytes), next) {
                (true, None) => return Ok((Some(known), bytes)),
                (true, Some(_)) => base = Some(known),
                (false, _) => {}
            }
        }
        let Some(known) = self.load(base).await? else { return Ok((None, 0)) };
        let entry = self.entry(known.version);
        match self.location.size(&entry).await?.unwrap_or(0) {
            // The kernel reads an empty entry as a commit without changes. Nobody writes such a
            // commit.
            0 => Err(self.location.damaged(entry, "it is empty")),
            bytes => Ok((Some(known), bytes)),
        }
    }

    async fn load(&self, known: Option<Arc<TableVersion>>) -> Result<Option<Arc<TableVersion>>> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_load(known.clone()).await? {
                Ok(known) => return Ok(Some(Arc::new(known))),
                Err(LogReadError::Kernel(_)) if self.is_absent().await? => return Ok(None),
                // Another process made the table between the two requests.
                Err(LogReadError::Kernel(KernelError::EmptyLog)) if tries < LOAD_TRIES_MAX => {}
                Err(unread) => return Err(self.unread("reading the log", unread).await),
            }
        }
    }

    /// Loads an earlier version. It is not cached.
    pub(crate) async fn at(&self, version: u64) -> Result<TableVersion> {
        let (engine, url, schema) = (Arc::clone(&self.engine), self.url(), self.schema);
        let read_at = move || {
            let snapshot = Snapshot::builder_for(url).at_version(version).build(engine.as_ref())?;
            read(&engine, schema, snapshot)
        };
        match self.blocking(read_at).await? {
            Ok(known) => Ok(known),
            Err(_) if self.location.size(&self.entry(version)).await?.is_none() => {
                let what =
                    format!("there is no version {version} of {} any more", self.schema.name);
                Err(self.location.unavailable(what))
            }
            Err(unread) => Err(self.unread(&format!("reading version {version}"), unread).await),
        }
    }

    async fn try_load(
        &self,
        known: Option<Arc<TableVersion>>,
    ) -> Result<Result<TableVersion, LogReadError>> {
        let (engine, url, schema) = (Arc::clone(&self.engine), self.url(), self.schema);
        self.blocking(move || {
            let newer = known.and_then(|known| {
                let builder = Snapshot::builder_from(Arc::clone(&known.snapshot));
                // A log that does not continue the cached version is read from its beginning.
                builder.build(engine.as_ref()).ok()
            });
            let snapshot = match newer {
                Some(snapshot) => snapshot,
                None => Snapshot::builder_for(url).build(engine.as_ref())?,
            };
            read(&engine, schema, snapshot)
        })
        .await
    }

    async fn is_absent(&self) -> Result<bool> {
        let folder = self.log_folder();
        match self.location.store.list(Some(&folder)).try_next().await {
            Ok(first) => Ok(first.is_none()),
            Err(object_store::Error::NotFound { .. }) => Ok(true),
            // A local folder that does not exist cannot be listed either.
            Err(_) if self.location.folder.as_ref().is_some_and(|local| local.is_gone()) => {
                Ok(true)
            }
            Err(error) => Err(self.location.failed(&format!("listing {folder}"), error)),
        }
    }
}
