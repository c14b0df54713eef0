//! Facts that a store keeps about itself: the record of its clock, and the store that it was copied to.

use async_trait::async_trait;

use crate::HotError;

/// A fact by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A [`ClockRecord`](crate::ClockRecord).
    Clock,
    /// Where the store was copied to. While it is there, nothing writes to this store.
    MovedTo,
}

impl Fact {
    /// Its row in the table of settings.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Clock => "clock",
            Fact::MovedTo => "moved_to",
        }
    }
}

/// Reads and writes facts of a store, each a short text.
///
/// # Errors
/// Any [`HotError`], from every method.
#[async_trait]
pub trait Facts: Send + Sync {
    /// A fact, as any process wrote it last.
    async fn fact(&self, fact: Fact) -> Result<Option<String>, HotError>;

    /// Replaces a fact that still reads `seen`; returns whether it did. `None` deletes it. One
    /// conditional write, durable before it returns.
    async fn set_fact(
        &self,
        fact: Fact,
        seen: Option<String>,
        next: Option<String>,
    ) -> Result<bool, HotError>;
}
