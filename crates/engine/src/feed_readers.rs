//! How far the readers of the event feed are that have a name, as one short list that all processes share.
//!
//! A reader that asks for what comes behind a cursor has dealt with everything before it, so its requests are all
//! that is needed. The list only tells people: no read fails because of it.

use std::collections::HashMap;

use coupon::ids::ReaderName;
use coupon::time::Millis;
use hot::Fact;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::facts::FactKind;
use crate::failure::Result;
use crate::{Caller, Engine};

/// Readers that the list has: with the longest names it has 7 KiB, and each change writes all of it.
pub const FEED_READERS_MAX: usize = 32;

/// Of them, those of one caller: more than a shop has systems that read events. One more takes the place of the
/// caller's own that asked longest ago, so nobody takes the places of others.
const READERS_OF_CALLER_MAX: usize = FEED_READERS_MAX / 4;

/// How often a reader's progress is written, in milliseconds: some readers ask ten times a second.
const WRITTEN_EVERY_MS: i64 = 10_000;

/// A reader that has not asked for so long gives its place to a new one, in milliseconds.
const SILENT_MS: i64 = 24 * 3_600_000;

/// A reader that has not asked for so long is gone, in milliseconds.
const GONE_MS: i64 = 30 * SILENT_MS;

const READERS: FactKind<Vec<FeedReader>> = FactKind::telling(Fact::FeedReaders);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedReader {
    pub name: String,
    /// Who reads, as the audit names them.
    pub by: String,
    /// When it asked last, within ten seconds, in milliseconds since 1970.
    pub seen_at: i64,
    /// It has dealt with everything that happened before, in milliseconds since 1970.
    pub read_to: i64,
}

impl FeedReader {
    /// How old the oldest event may be with which it has not dealt, in milliseconds. It grows while a reader is
    /// silent, up to ten seconds too early.
    pub fn behind_ms(&self, now: Millis) -> i64 {
        now.0.saturating_sub(self.read_to).max(0)
    }
}

/// When the progress of each reader was written by this process.
#[derive(Debug, Default)]
pub(crate) struct ProgressThrottle(Mutex<HashMap<(String, ReaderName), i64>>);

impl ProgressThrottle {
    /// Whether it is time to write the progress of a caller's reader. No later call says so before it is time again.
    fn is_time(&self, by: &str, name: &ReaderName, now: Millis) -> bool {
        let mut noted = self.0.lock();
        let key = (by.to_owned(), name.clone());
        let is_recent = |at: &i64| now.0.saturating_sub(*at).saturating_abs() < WRITTEN_EVERY_MS;
        if noted.get(&key).is_some_and(is_recent) {
            return false;
        }
        noted.retain(|_, at| is_recent(at));
        // Somebody may use a new name for each request.
        let of_caller = noted.keys().filter(|(it, _)| it == by).count();
        if of_caller >= READERS_OF_CALLER_MAX || noted.len() >= FEED_READERS_MAX {
            return false;
        }
        noted.insert(key, now.0);
        true
    }
}

impl Engine {
    /// The readers, those that are furthest behind first. One read.
    pub async fn feed_readers(&self) -> Result<Vec<FeedReader>> {
        let mut readers = READERS.load(self.hot()).await?;
        readers.sort_by(|one, other| (one.read_to, &one.name).cmp(&(other.read_to, &other.name)));
        Ok(readers)
    }

    /// Enters that a reader asks for what comes behind an instant, if that succeeds.
    pub(crate) async fn note_feed_reader(
        &self,
        caller: &Caller,
        name: &ReaderName,
        read_to: Millis,
    ) {
        let now = self.now();
        let by = caller.to_string();
        if !self.feed_readers.is_time(&by, name, now) {
            return;
        }
        let name = name.to_string();
        let reader = FeedReader { name, by, seen_at: now.0, read_to: read_to.0 };
        let change = |readers: &mut Vec<FeedReader>| Ok(enter(readers, reader.clone(), now));
        // A store that does not work shows itself in what the reader asked for.
        let _ = READERS.change(self.hot(), change).await;
    }
}

/// False if there is no place.
fn enter(readers: &mut Vec<FeedReader>, reader: FeedReader, now: Millis) -> bool {
    let silent_ms = |it: &FeedReader| now.0.saturating_sub(it.seen_at).saturating_abs();
    readers.retain(|it| it.name != reader.name && silent_ms(it) < GONE_MS);
    if readers.iter().filter(|it| it.by == reader.by).count() >= READERS_OF_CALLER_MAX {
        let own = readers.iter().enumerate().filter(|(_, it)| it.by == reader.by);
        let longest_ago = own.max_by_key(|(_, it)| silent_ms(it)).map(|(at, _)| at);
        longest_ago.map(|at| readers.remove(at));
    }
    if readers.len() >= FEED_READERS_MAX {
        let silent = readers.iter().position(|it| silent_ms(it) >= SILENT_MS);
        let Some(silent) = silent else { return false };
        readers.remove(silent);
    }
    readers.push(reader);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Millis = Millis(1_763_596_800_000);

    fn seen(name: &str, ms_ago: i64) -> FeedReader {
        let at = NOON.plus_ms(-ms_ago).0;
        let by = format!("shop:{name}");
        FeedReader { name: name.into(), by, seen_at: at, read_to: at }
    }

    #[test]
    fn places_in_the_list() {
        let full = |ms_ago| (0..FEED_READERS_MAX).map(move |nth| seen(&format!("r{nth}"), ms_ago));
        let with_silent = full(0).skip(1).chain([seen("silent", SILENT_MS)]);
        let cases: [(&str, Vec<FeedReader>, &str, Option<usize>); 6] = [
            ("the first", Vec::new(), "new", Some(1)),
            ("known", full(0).collect(), "r3", Some(FEED_READERS_MAX)),
            ("no place", full(0).collect(), "new", None),
            ("the place of a silent one", with_silent.collect(), "new", Some(FEED_READERS_MAX)),
            ("those that are gone", full(GONE_MS).collect(), "new", Some(1)),
            ("those of the future", full(-GONE_MS).collect(), "new", Some(1)),
        ];
        for (case, mut readers, name, want) in cases {
            let is_in = enter(&mut readers, seen(name, 0), NOON);
            assert_eq!(is_in.then_some(readers.len()), want, "{case}");
            assert_eq!(readers.iter().filter(|it| it.name == name).count(), want.iter().len());
        }
    }

    #[test]
    fn a_caller_has_a_share() {
        let of = |by: &str, name: &str, ms_ago| FeedReader { by: by.into(), ..seen(name, ms_ago) };
        let mut readers = vec![of("shop:a", "other", 0)];
        for nth in 0..2 * FEED_READERS_MAX as i64 {
            assert!(enter(&mut readers, of("shop:b", &format!("n{nth}"), -nth), NOON));
        }
        let of_b = readers.iter().filter(|it| it.by == "shop:b").count();
        assert_eq!((readers.len(), of_b), (1 + READERS_OF_CALLER_MAX, READERS_OF_CALLER_MAX));
        assert_eq!(readers.last().map(|it| it.name.as_str()), Some("n63"), "the newest is there");
    }

    #[test]
    fn when_progress_is_written() {
        let noted = ProgressThrottle::default();
        let name = |text: &str| text.parse::<ReaderName>().unwrap();
        let cases = [
            ("a", 0, true),
            ("a", WRITTEN_EVERY_MS - 1, false),
            ("b", WRITTEN_EVERY_MS - 1, true),
            ("a", WRITTEN_EVERY_MS, true),
            ("a after the clock was set back", -WRITTEN_EVERY_MS, true),
        ];
        for (reader, ms, want) in cases {
            let name = name(&reader[..1]);
            assert_eq!(noted.is_time("a", &name, NOON.plus_ms(ms)), want, "{reader} {ms}");
        }
        let many = (0..1_000).map(|nth| name(&format!("n{nth}")));
        let written = many.filter(|name| noted.is_time("a", name, NOON)).count();
        assert!(written <= READERS_OF_CALLER_MAX, "{written}");
        assert!(noted.is_time("b", &name("a"), NOON), "another caller has places");
    }

    #[test]
    fn how_far_behind() {
        let reader = FeedReader { read_to: NOON.0, ..seen("a", 0) };
        assert_eq!(reader.behind_ms(NOON.plus_ms(1_500)), 1_500);
        assert_eq!(reader.behind_ms(NOON.plus_ms(-1)), 0, "of the future");
    }
}
