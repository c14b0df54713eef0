//! Whether an object store may be trusted with commits: it must create an object only if none of
//! that name exists, and its clock must agree with ours.
//!
//! A commit is one object that is created once. Some servers that speak S3 ignore `If-None-Match:
//! *`, or check first and write afterwards. With such a server two compactors can both commit: the
//! later commit replaces the earlier one, and the coupons of the earlier one are in no file. So
//! nothing is deleted from hot before the store has passed the races.

use futures::future::join_all;
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions};
use uuid::Uuid;

use crate::error::{ColdError, Result};
use crate::location::StoreLocation;
use crate::store::ColdStore;
use crate::upload::now;

const FOLDER: &str = "_probe";

/// Writers of a race, and races. Servers that check first and write afterwards let two of sixteen
/// win in every race that was tried; servers that ignore the condition let all of them win.
const WRITERS: usize = 16;
const RACES: usize = 4;

/// Races that are tried, because some may fail on the network.
const RACE_TRIES_MAX: usize = 12;

/// The largest difference of the clocks: the bound between any two clocks of couponry.
const CLOCK_BOUND_MS: i64 = 5_000;

/// The store reports the time of an object in whole seconds.
const CLOCK_STEP_MS: i64 = 1_000;

/// Age at which an object of a killed race is deleted.
const LEFTOVER_MS: i64 = 60 * 60 * 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// No race was needed. In a folder a file gets its name by `link(2)`, which succeeds only once;
    /// and the caller of [`ColdStore::with_store`] vouches for its store.
    Known,
    /// In every race exactly one writer created the object, and the clocks agree.
    Raced { writers: usize, races: usize },
}

impl ColdStore {
    /// Proves by races that the store lets only one of many writers create an object, and that its
    /// clock agrees with ours. Races a bucket only, and once for each [`ColdStore`]: 64 small
    /// writes.
    ///
    /// # Errors
    /// [`ColdError::NotOnce`], [`ColdError::Clock`]; [`ColdError::Unavailable`] if the races could
    /// not be run.
    pub async fn probe(&self) -> Result<ProbeResult> {
        let inner = &self.inner;
        if !inner.needs_probe {
            return Ok(ProbeResult::Known);
        }
        inner.probed.get_or_try_init(|| races(&inner.location)).await?;
        clock(&inner.location).await?;
        Ok(ProbeResult::Raced { writers: WRITERS, races: RACES })
    }
}

async fn races(location: &StoreLocation) -> Result<()> {
    let (mut stood, mut tries) = (0, 0);
    while stood < RACES {
        tries += 1;
        match race(location).await {
            Ok(winners) if winners > 1 => {
                let location = location.name.to_string();
                return Err(ColdError::NotOnce { location, winners, writers: WRITERS });
            }
            Ok(_) => stood += 1,
            Err(error) if tries == RACE_TRIES_MAX => return Err(error),
            Err(_) => {}
        }
    }
    Ok(())
}

/// Returns how many writers were told that they created the object.
async fn race(location: &StoreLocation) -> Result<usize> {
    let object = fresh();
    let writers = (0..WRITERS).map(|writer| {
        let options = PutOptions::from(PutMode::Create);
        location.store.put_opts(&object, writer.to_string().into(), options)
    });
    let ended = join_all(writers).await;
    location.remove(&object).await?;
    let (mut winners, mut answered, mut broken) = (0, 0, None);
    for put in ended {
        match put {
            Ok(_) => (winners, answered) = (winners + 1, answered + 1),
            Err(object_store::Error::AlreadyExists { .. }) => answered += 1,
            Err(error) => broken = Some(error),
        }
    }
    match broken {
        // One writer alone is no race.
        Some(error) if answered < WRITERS / 2 && winners < 2 => {
            Err(location.failed("racing for an object", error))
        }
        _ => Ok(winners),
    }
}

/// Compares the clocks, and deletes what killed races left behind.
async fn clock(location: &StoreLocation) -> Result<()> {
    let object = fresh();
    let before = now().0;
    let put = location.store.put(&object, "clock".into()).await;
    put.map_err(|error| location.failed(&format!("writing {object}"), error))?;
    let after = now().0;
    // Not from the list below: a server that keeps objects as files may leave out one of them while
    // others are deleted.
    let Some(found) = location.meta(&object).await? else {
        return Err(location.unavailable(format!("{object} was written and is not there")));
    };
    let theirs = found.last_modified.timestamp_millis();
    for meta in location.list(&Path::from(FOLDER)).await? {
        if theirs - meta.last_modified.timestamp_millis() > LEFTOVER_MS {
            location.remove(&meta.location).await?;
        }
    }
    location.remove(&object).await?;
    match difference(before, theirs, after) {
        ms if ms.abs() <= CLOCK_BOUND_MS => Ok(()),
        ms => Err(ColdError::Clock {
            location: location.name.to_string(),
            ms: ms.unsigned_abs(),
            way: if ms > 0 { "ahead of" } else { "behind" },
        }),
    }
}

/// How far our clock is ahead, at least, if the store read its clock between `before` and `after`.
fn difference(before: i64, theirs: i64, after: i64) -> i64 {
    if before > theirs + CLOCK_STEP_MS {
        before - (theirs + CLOCK_STEP_MS)
    } else if after < theirs {
        after - theirs
    } else {
        0
    }
}

fn fresh() -> Path {
    Path::from(format!("{FOLDER}/{}", Uuid::new_v4()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences() {
        let cases = [
            ("the same second", 10_400, 10_000, 10_450, 0),
            ("written in the next one", 10_900, 11_000, 11_050, 0),
            ("a slow write", 10_000, 15_000, 16_000, 0),
            ("ours ahead", 20_000, 10_000, 20_100, 9_000),
            ("ours behind", 10_000, 20_000, 10_100, -9_900),
        ];
        for (name, before, theirs, after, want) in cases {
            assert_eq!(difference(before, theirs, after), want, "{name}");
        }
    }
}
