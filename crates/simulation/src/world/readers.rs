//! Readers of the event feed: each stores its cursor and what it has read, as a shop does in its own
//! database, and asks any process to go on from there.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use hot::feed::{FeedEvent, FeedRead, FeedStart};
use hot::{HotError, HotStore};
use tokio::time::{sleep, timeout};

use super::SimulatedWorld;
use super::machine::SimulatedMachine;
use super::slots::some_machine;
use simulated_cluster::rng::Rng;

/// How long a reader waits for an answer. The call goes on all the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// Permille of the reads that begin again where an earlier one began.
const BACK: u32 = 30;

/// Events of one answer at the end.
const AT_ONCE: usize = 200;

/// How often one of the last reads is tried.
const READS_MAX: usize = 5;

/// Longer than two runs of slots.
const LATER: Duration = Duration::from_secs(300);

/// What one reader has stored.
#[derive(Clone, Default)]
struct ReaderState {
    cursor: Option<String>,
    /// In the order in which they came.
    events: Vec<FeedEvent>,
}

#[derive(Default)]
pub(crate) struct CursorReader(Mutex<ReaderState>);

impl CursorReader {
    /// Where it goes on.
    fn from(&self) -> FeedStart {
        match self.with(|stored| stored.cursor.clone()) {
            None => FeedStart::Oldest,
            Some(cursor) => FeedStart::After(cursor),
        }
    }

    /// Its last cursor.
    pub(crate) fn cursor(&self) -> Option<String> {
        self.with(|stored| stored.cursor.clone())
    }

    /// Goes back to where it was so many events ago.
    fn goes_back(&self, rng: &mut Rng) {
        self.with(|stored| {
            let cursors: Vec<&String> = stored.events.iter().map(|event| &event.cursor).collect();
            if !cursors.is_empty() {
                stored.cursor = Some((*rng.pick(&cursors)).clone());
            }
        });
    }

    /// Stores a page and its cursor, as one transaction. Whether it is at the end.
    fn takes(&self, world: &SimulatedWorld, read: FeedRead) -> bool {
        match read {
            FeedRead::Page(page) => {
                self.with(|stored| {
                    for event in &page.events {
                        if stored.events.iter().any(|it| it.id == event.id) {
                            world.trace.reached("feed: an event is read again");
                        }
                    }
                    stored.cursor = Some(page.next);
                    stored.events.extend(page.events);
                });
                page.is_end
            }
            other => {
                world.find(format!("feed: a cursor leads to nothing: {other:?}"));
                true
            }
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut ReaderState) -> T) -> T {
        work(&mut self.0.lock().expect("no holder panics"))
    }
}

/// Reads until the burst ends.
pub(crate) async fn follows(world: Arc<SimulatedWorld>, nth: usize, mut rng: Rng) {
    let reader = &world.readers[nth];
    loop {
        sleep(Duration::from_millis(rng.between(1, world.plan.feed.every_ms))).await;
        let (_, machine) = some_machine(&world.slots, &mut rng).await;
        if rng.chance(BACK) {
            reader.goes_back(&mut rng);
        }
        let limit = *rng.pick(&[1, 2, 50, 50]);
        let (from, of) = (reader.from(), Arc::clone(&machine));
        // A process that is frozen goes on with it later, whoever waits.
        let call = tokio::spawn(async move { of.life.alive(read(&of, from, limit)).await });
        if let Ok(Ok(Some(Ok(page)))) = timeout(PATIENCE, call).await {
            reader.takes(&world, page);
        }
    }
}

/// Every reader reads to the end.
pub(crate) async fn read_on(world: &SimulatedWorld, machine: &SimulatedMachine) {
    for reader in &world.readers {
        reads_to_the_end(world, machine, reader).await;
    }
}

/// What each reader has read, and another one that begins now.
pub(crate) async fn ends(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
) -> Vec<Vec<FeedEvent>> {
    read_on(world, machine).await;
    // What was put aside, or is taken up now, comes in a later run of slots.
    sleep(LATER).await;
    read_on(world, machine).await;
    let late = CursorReader::default();
    reads_to_the_end(world, machine, &late).await;
    let all = world.readers.iter().chain([&late]);
    all.map(|reader| reader.with(|stored| stored.events.clone())).collect()
}

async fn reads_to_the_end(
    world: &SimulatedWorld,
    machine: &SimulatedMachine,
    reader: &CursorReader,
) {
    let mut failed = 0;
    loop {
        match read(machine, reader.from(), AT_ONCE).await {
            Ok(page) => {
                if reader.takes(world, page) {
                    return;
                }
            }
            Err(error) if failed == READS_MAX => {
                return world.find(format!("the feed cannot be read: {error}"));
            }
            Err(_) => failed += 1,
        }
    }
}

/// One call of a process.
pub(crate) async fn read(
    machine: &SimulatedMachine,
    from: FeedStart,
    limit: usize,
) -> Result<FeedRead, HotError> {
    match machine.hot.feed() {
        Some(feed) => feed.events(from, limit).await,
        None => Err(HotError::Damaged("the store keeps no events".into())),
    }
}
