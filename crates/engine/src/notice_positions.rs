//! How far the rounds of notices are, for each destination: one short fact that all processes share.
//!
//! A round writes where it will end before it sends anything. One that stopped half way is repeated with the same end,
//! so it makes the same notices again, and whoever got some of them knows them by their ids.

use std::collections::BTreeMap;

use coupon::time::Millis;
use hot::Fact;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::facts::FactKind;
use crate::failure::Result;
use crate::notices::NoticeRange;

/// Most destinations of one store: the webhooks, standard output, and names that people gave. Of more, those whose last
/// round is the oldest are forgotten.
const DESTINATIONS_MAX: usize = 16;

/// Paused campaigns and batches whose notices wait. Those beyond get no notice of the days that they are paused.
const WAITING_MAX: usize = 500;

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

type NoticePositionMap = BTreeMap<String, NoticePosition>;

const POSITIONS: FactKind<NoticePositionMap> = FactKind::deciding(Fact::NoticePositions);

fn range_of(all: &NoticePositionMap, destination: &str, now: Millis) -> NoticeRange {
    all.get(destination).cloned().unwrap_or_default().range(now)
}

impl Engine {
    /// What a round to a destination would be about. One read.
    pub async fn next_notices(&self, destination: &str) -> Result<NoticeRange> {
        let all = POSITIONS.load(self.hot()).await?;
        Ok(range_of(&all, destination, self.now()))
    }

    /// Begins a round, or one that stopped half way again.
    pub async fn begin_notices(&self, destination: &str) -> Result<NoticeRange> {
        let now = self.now();
        let begin = |all: &mut NoticePositionMap| {
            while !all.contains_key(destination) && all.len() >= DESTINATIONS_MAX {
                let last = |position: &NoticePosition| position.until.max(position.done);
                let oldest = all.iter().min_by_key(|(_, position)| last(position));
                let oldest = oldest.map(|(name, _)| name.clone()).unwrap_or_default();
                all.remove(&oldest);
            }
            let position = all.entry(destination.to_owned()).or_default();
            position.until = Some(position.range(now).until.0);
            Ok(true)
        };
        let all = POSITIONS.change(self.hot(), begin).await?;
        Ok(range_of(&all, destination, now))
    }

    /// Ends a round, unless another process has ended it and begun the next one.
    pub async fn end_notices(
        &self,
        destination: &str,
        range: &NoticeRange,
        waiting: BTreeMap<String, Millis>,
    ) -> Result<()> {
        let waiting: BTreeMap<String, i64> =
            waiting.into_iter().take(WAITING_MAX).map(|(name, since)| (name, since.0)).collect();
        let end = |all: &mut NoticePositionMap| {
            let position = all.entry(destination.to_owned()).or_default();
            let is_it = position.until == Some(range.until.0);
            if is_it {
                let (done, waiting) = (Some(range.until.0), waiting.clone());
                *position = NoticePosition { done, until: None, waiting };
            }
            Ok(is_it)
        };
        POSITIONS.change(self.hot(), end).await.map(drop)
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
        let end = async |range: &NoticeRange| {
            engine.end_notices("webhooks", range, paused.clone()).await.unwrap();
        };
        let first = begin().await;
        assert_eq!((first.after, first.until), (None, engine.now()));
        world.clock.pass(1_000);
        assert_eq!(begin().await, first, "it stopped half way");
        end(&first).await;
        let second = begin().await;
        assert_eq!((second.after, second.until), (Some(first.until), engine.now()));
        assert_eq!(second.waiting, paused);
        end(&first).await;
        assert_eq!(begin().await, second, "a process that was late has ended nothing");
        end(&second).await;
        assert_eq!(engine.next_notices("webhooks").await.unwrap().after, Some(second.until));
        assert_eq!(engine.next_notices("stdout").await.unwrap().after, None, "another destination");
        world.clock.pass(-1_000);
        assert_eq!(begin().await.after, Some(engine.now()), "the clock went back");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_oldest_destination_is_forgotten() {
        let world = World::new("UTC", [7; 16]).await;
        let round = async |name: &str| {
            world.clock.pass(1_000);
            let range = world.engine.begin_notices(name).await.unwrap();
            world.engine.end_notices(name, &range, BTreeMap::new()).await.unwrap();
            range.after
        };
        for n in 0..DESTINATIONS_MAX {
            assert_eq!(round(&format!("as-{n}")).await, None);
        }
        assert!(round("as-0").await.is_some());
        assert_eq!(round("one-more").await, None);
        assert!(round("as-0").await.is_some(), "it is newer");
        assert_eq!(round("as-1").await, None, "it was the oldest");
    }
}
