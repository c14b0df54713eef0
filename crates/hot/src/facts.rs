//! Facts that a store keeps about itself: the record of its clock, from where and to where it was copied,
//! who may sign in to its console, its compactions, its saved queries, the readers of its feed, its notices, and whom it
//! forgets.

use async_trait::async_trait;

use crate::audit::AuditEntry;
use crate::{Result, settings};

coupon::words! {
    /// A fact, by its row in the table of settings.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Fact {
        /// A [`ClockRecord`](crate::ClockRecord).
        Clock = "clock",
        /// Where the store was copied to. While it is there, nothing writes to this store.
        MovedTo = "moved_to",
        /// The name of the store among others; made when it is first asked for.
        StoreId = "store_id",
        /// Of which store it is a copy, and its [`Fact::TouchedAt`] when the copy was begun.
        CopiedFrom = "copied_from",
        /// How far the copy has come.
        CopyPosition = "copy_position",
        /// When `serve` started last.
        TouchedAt = settings::TOUCHED_AT,
        /// The people who may sign in to the console, as JSON.
        Staff = "staff",
        /// The last runs of compaction, as JSON.
        Compactions = "compactions",
        /// The saved queries of the console, as JSON.
        Queries = "queries",
        /// How far the readers of the event feed are, as JSON.
        FeedReaders = "feed_readers",
        /// How many notices were sent, as JSON.
        NoticeRounds = "notice_rounds",
        /// How far the rounds of notices are, as JSON.
        NoticePositions = "notice_positions",
        /// The erasures of people that are not finished, as JSON.
        Erasures = "erasures",
    }
}

/// Those whose changes are entered in the audit.
pub const AUDITED_FACTS: [Fact; 2] = [Fact::Staff, Fact::Queries];

/// Those that a copy brings. All others are about one store, or one machine.
pub const COPIED_FACTS: [Fact; 6] = [
    Fact::Staff,
    Fact::Queries,
    Fact::Compactions,
    Fact::NoticeRounds,
    Fact::NoticePositions,
    Fact::Erasures,
];

/// Reads and writes facts of a store, each a short text.
#[async_trait]
pub trait Facts: Send + Sync {
    /// A fact, as any process wrote it last.
    async fn fact(&self, fact: Fact) -> Result<Option<String>>;

    /// Replaces (`None`: deletes) a fact that still reads `seen`, durably; returns whether it did.
    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool>;

    /// The same, with its entry in the audit: a process that is killed leaves both or none. A store without an audit
    /// only replaces the fact. One of [`AUDITED_FACTS`].
    async fn set_audited_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: String,
        entry: AuditEntry,
    ) -> Result<bool>;
}
