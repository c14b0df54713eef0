//! Who is being erased: until that is done, nobody gives them anything.
//!
//! The list is one setting. A process uses what it has read for [`ERASING_KNOWN`], so whoever enters a person waits as long:
//! by then every process has read the list again, or reads it before it writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use coupon::erasure::Erasure;
use coupon::ids::UserId;
use hot::HotError;
use parking_lot::RwLock;
use serde_json::json;
use tokio::time::Instant;

use crate::{CALL_LIMIT, CqlSession, Result, WriteAttempts, damaged};

/// How long the list is used after its read began.
pub const ERASING_KNOWN: Duration = Duration::from_secs(1);

/// The setting.
const ERASING: &str = "erasing";

/// Users who are being erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasingPeople {
    /// The number of the last erasure after which the next person of the name was admitted. They are admitted in the
    /// sequence of the numbers.
    admitted: u64,
    /// The number of each user's erasure.
    numbers: BTreeMap<String, u64>,
}

impl ErasingPeople {
    fn parse(text: Option<&str>) -> Result<ErasingPeople> {
        let (admitted, numbers) =
            serde_json::from_str(text.unwrap_or("[0,{}]")).map_err(damaged)?;
        Ok(ErasingPeople { admitted, numbers })
    }

    fn text(&self) -> String {
        json!([self.admitted, self.numbers]).to_string()
    }

    /// Whether nobody else has the old name yet: who has it is the person of this erasure.
    pub fn has(&self, erasure: &Erasure) -> bool {
        self.numbers.get(erasure.user.as_str()) == Some(&erasure.number)
    }

    /// # Errors
    /// `Unavailable` if one of them is being erased.
    pub fn may_be_given<'a>(&self, users: impl IntoIterator<Item = &'a UserId>) -> Result<()> {
        match users.into_iter().any(|user| self.numbers.contains_key(user.as_str())) {
            true => Err(HotError::Unavailable("the user is being erased: try again later".into())),
            false => Ok(()),
        }
    }
}

#[derive(Default)]
pub struct ErasingCache(RwLock<Option<(Instant, Arc<ErasingPeople>)>>);

impl ErasingCache {
    fn known(&self, age: Duration) -> Option<Arc<ErasingPeople>> {
        let known = self.0.read();
        known.as_ref().filter(|(since, _)| since.elapsed() < age).map(|(_, it)| Arc::clone(it))
    }

    pub fn forget(&self) {
        *self.0.write() = None;
    }
}

impl CqlSession {
    /// The list as it is now.
    pub async fn erasing_now(&self) -> Result<ErasingPeople> {
        ErasingPeople::parse(self.setting(ERASING).await?.as_deref())
    }

    /// The list, at most [`ERASING_KNOWN`] old: from memory, as long as [`CqlSession::renew_erasing`] is called often.
    pub async fn erasing(&self, cache: &ErasingCache) -> Result<Arc<ErasingPeople>> {
        match cache.known(ERASING_KNOWN) {
            Some(known) => Ok(known),
            None => self.read_erasing(cache).await,
        }
    }

    /// Reads the list again, if it would soon be too old. For whoever reads something else at the same time, so that no
    /// call has to wait for it.
    pub async fn renew_erasing(&self, cache: &ErasingCache) {
        if cache.known(ERASING_KNOWN / 2).is_none() {
            // Whoever needs the list tries it again.
            let _ = self.read_erasing(cache).await;
        }
    }

    async fn read_erasing(&self, cache: &ErasingCache) -> Result<Arc<ErasingPeople>> {
        // Before the read: the list may change from the moment at which it began.
        let since = Instant::now();
        let read = Arc::new(self.erasing_now().await?);
        let mut known = cache.0.write();
        if known.as_ref().is_none_or(|(before, _)| *before < since) {
            *known = Some((since, Arc::clone(&read)));
        }
        Ok(read)
    }

    /// Enters a person, and returns whether they are in the list: not after the next person of the name was admitted.
    pub async fn begin_erasing(&self, erasure: &Erasure) -> Result<bool> {
        let begin = |people: &mut ErasingPeople| {
            if erasure.number > people.admitted {
                people.numbers.insert(erasure.user.to_string(), erasure.number);
            }
        };
        self.change_erasing(begin).await.map(|people| people.has(erasure))
    }

    /// Lets the next person have the old name.
    pub async fn end_erasing(&self, erasure: &Erasure) -> Result<()> {
        let end = |people: &mut ErasingPeople| {
            people.admitted = people.admitted.max(erasure.number);
            let is_over = |user: &String| user == erasure.user.as_str();
            // That of a later erasure stays.
            people.numbers.retain(|user, number| !is_over(user) || *number > erasure.number);
        };
        self.change_erasing(end).await.map(drop)
    }

    async fn change_erasing(
        &self,
        change: impl Fn(&mut ErasingPeople) + Send,
    ) -> Result<ErasingPeople> {
        loop {
            let text = self.setting(ERASING).await?;
            let before = ErasingPeople::parse(text.as_deref())?;
            let mut after = before.clone();
            change(&mut after);
            let attempts = WriteAttempts::new("the list of who is being erased", CALL_LIMIT);
            let next = Some(after.text());
            if after == before || self.replace_setting(attempts, ERASING, text, next).await? {
                return Ok(after);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_being_erased() {
        let erasure = |user: &str, number| Erasure {
            number,
            user: user.parse().unwrap(),
            name: "erased:0000000000000abc".parse().unwrap(),
        };
        let (ann, bob) = (erasure("ann", 2), erasure("bob", 3));
        let people = ErasingPeople {
            admitted: 1,
            numbers: BTreeMap::from([("ann".to_owned(), 2), ("b \"o\"".to_owned(), 7)]),
        };
        let text = people.text();
        assert_eq!(ErasingPeople::parse(Some(&text)).unwrap(), people, "{text}");
        assert_eq!(ErasingPeople::parse(None).unwrap().text(), "[0,{}]");
        assert!(ErasingPeople::parse(Some("[1]")).is_err());
        assert_eq!((people.has(&ann), people.has(&erasure("ann", 1))), (true, false));
        assert!(people.may_be_given([&bob.user]).is_ok());
        assert!(people.may_be_given([&bob.user, &ann.user]).is_err());
    }
}
