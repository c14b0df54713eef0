//! How far the rounds of notices are, for each destination: one short fact that all processes share.
//!
//! A round writes where it will end before it sends anything. One that stopped half way is repeated with the same end,
//! so it makes the same notices again, and whoever got some of them knows them by their ids.

use std::collections::BTreeMap;

use coupon::time::{DAY_MS, Millis};
use hot::Fact;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::facts::must_read;
use crate::failure::Failure;
use crate::notices::NoticeRange;

/// Most destinations of one store: the webhooks, standard output, and names that people gave.
const DESTINATIONS_MAX: usize = 16;

/// Paused campaigns and batches whose notices wait. Those beyond get no notice of the days that they are paused.
const WAITING_MAX: usize = 500;

/// How long a round that did not reach everybody is repeated before the next one begins.
const REPEATED_MS: i64 = DAY_MS;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct NoticePosition {
    /// Where the last round ended, in milliseconds since 1970.
    done: Option<i64>,
    /// Where the round ends that has begun.
    until: Option<i64>,
    waiting: BTreeMap<String, i64>,
}

impl NoticePosition {
    /// The clock may have been wrong: a round that ended later than now counts as ended now.
    fn range(&self, now: Millis) -> NoticeRange {
        let waiting = self.waiting.iter().map(|(name, since)| (name.clone(), Millis(*since)));
        NoticeRange {
            after: self.done.map(|done| Millis(done).min(now)),
            until: self.until.map_or(now, |until| Millis(until).min(now)),
            waiting: waiting.collect(),
        }
    }
}

type Positions = BTreeMap<String, NoticePosition>;

impl Engine {
    /// What a round to a destination would be about. One read.
    pub async fn next_notices(&self, destination: &str) -> Result<NoticeRange, Failure> {
        let all: Positions = self.read_fact(Fact::NoticePositions, must_read).await?;
        Ok(all.get(destination).cloned().unwrap_or_default().range(self.now()))
    }

    /// Begins a round, or one that stopped half way again.
    ///
    /// # Errors
    /// `Invalid` if there are too many destinations.
    pub async fn begin_notices(&self, destination: &str) -> Result<NoticeRange, Failure> {
        let now = self.now();
        let mut range = None;
        let begin = |all: &mut Positions| {
            if !all.contains_key(destination) && all.len() >= DESTINATIONS_MAX {
                let why =
                    format!("there are {DESTINATIONS_MAX} destinations already: use one of them");
                return Err(Failure::invalid("destination", why));
            }
            let position = all.entry(destination.to_owned()).or_default();
            let next = position.range(now);
            position.until = Some(next.until.0);
            range = Some(next);
            Ok(true)
        };
        self.change_fact(Fact::NoticePositions, must_read, begin).await?;
        Ok(range.unwrap_or_else(|| NoticePosition::default().range(now)))
    }

    /// Ends a round; `reached_all` unless somebody has to get its notices again. Returns whether it has ended.
    pub async fn end_notices(
        &self,
        destination: &str,
        range: &NoticeRange,
        waiting: BTreeMap<String, Millis>,
        reached_all: bool,
    ) -> Result<bool, Failure> {
        if !reached_all && self.now().0.saturating_sub(range.until.0) < REPEATED_MS {
            return Ok(false);
        }
        let waiting: BTreeMap<String, i64> =
            waiting.into_iter().take(WAITING_MAX).map(|(name, since)| (name, since.0)).collect();
        let end = |all: &mut Positions| {
            let position = all.entry(destination.to_owned()).or_default();
            // Another process may have ended it, and begun the next one.
            let is_it = position.until == Some(range.until.0);
            if is_it {
                let (done, waiting) = (Some(range.until.0), waiting.clone());
                *position = NoticePosition { done, until: None, waiting };
            }
            Ok(is_it)
        };
        self.change_fact(Fact::NoticePositions, must_read, end).await?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;

    #[tokio::test(flavor = "multi_thread")]
    async fn one_round_after_the_other() {
        let world = World::new("UTC", [7; 16]).await;
        let engine = &world.engine;
        let begin = async || engine.begin_notices("webhooks").await.unwrap();
        let paused = BTreeMap::from([("spring".to_owned(), Millis(5))]);
        let end = async |range: &NoticeRange, reached_all| {
            engine.end_notices("webhooks", range, paused.clone(), reached_all).await.unwrap()
        };
        let first = begin().await;
        assert_eq!((first.after, first.until), (None, engine.now()));
        world.clock.pass(1_000);
        assert_eq!(begin().await, first, "it stopped half way");
        assert!(!end(&first, false).await, "a webhook was full");
        assert_eq!(begin().await, first, "it gets them again");
        assert!(end(&first, true).await);
        let second = begin().await;
        assert_eq!((second.after, second.until), (Some(first.until), engine.now()));
        assert_eq!(second.waiting, paused);
        assert!(end(&first, true).await, "a process that was late");
        assert_eq!(begin().await, second, "has ended nothing");
        world.clock.pass(DAY_MS);
        assert!(end(&second, false).await, "not for ever");
        assert_eq!(engine.next_notices("webhooks").await.unwrap().after, Some(second.until));
        assert_eq!(engine.next_notices("stdout").await.unwrap().after, None, "another destination");
        world.clock.pass(-2 * DAY_MS);
        let early = begin().await;
        assert_eq!(early.after, Some(engine.now()), "the clock was wrong");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn destinations_are_few() {
        let world = World::new("UTC", [7; 16]).await;
        for n in 0..DESTINATIONS_MAX {
            world.engine.begin_notices(&format!("as-{n}")).await.unwrap();
        }
        assert!(world.engine.begin_notices("as-0").await.is_ok());
        let more = world.engine.begin_notices("one-more").await;
        assert!(matches!(more, Err(Failure::Invalid(_))), "{more:?}");
    }
}
