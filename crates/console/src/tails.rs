//! Live tails: what happens, for everybody who has the page open.
//!
//! One task of the process looks at the feed and at the list of people once a second, however many tails there
//! are; each of them takes what the task found. So a tail costs no read, and ends within a second of its session.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coupon::ids::UserId;
use engine::{Caller, Engine, EventsAnswer, EventsRequest, FeedStart, ShownEvent, StaffList};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::sync::watch;

use crate::trouble::{ConsoleError, ConsoleResult};

/// Live tails of a process: each keeps a connection.
pub const TAILS_MAX: usize = 256;

/// Live tails of one person: a few windows.
pub const TAILS_OF_ONE_MAX: usize = 4;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Events that one look may bring.
const EVENTS: u64 = 50;

/// Looks that a tail may be behind; a client that reads more slowly misses some.
const BEHIND_MAX: usize = 16;

pub(crate) struct TailUpdate {
    /// What happened since the look before, each with its code as people read it.
    pub(crate) events: Vec<ShownEvent>,
    pub(crate) staff: StaffList,
}

pub(crate) struct TailHub {
    open: Mutex<HashMap<UserId, usize>>,
    /// Where looks go, while there are tails.
    looks: tokio::sync::Mutex<Option<Sender<Arc<TailUpdate>>>>,
    stopping: watch::Sender<bool>,
}

impl Default for TailHub {
    fn default() -> TailHub {
        let (open, looks) = (Mutex::default(), tokio::sync::Mutex::default());
        TailHub { open, looks, stopping: watch::Sender::new(false) }
    }
}

/// One tail, and its place among those that there may be.
pub(crate) struct EventTail {
    tails: Arc<TailHub>,
    person: UserId,
    looks: Option<Receiver<Arc<TailUpdate>>>,
    stopping: watch::Receiver<bool>,
}

impl Drop for EventTail {
    fn drop(&mut self) {
        let mut open = self.tails.open();
        match open.get_mut(&self.person) {
            Some(tails) if *tails > 1 => *tails -= 1,
            Some(_) | None => drop(open.remove(&self.person)),
        }
    }
}

impl TailHub {
    fn open(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.open.lock()
    }

    /// Ends all tails, and lets no new one begin: the process is stopping.
    pub(crate) fn stop(&self) {
        self.stopping.send_replace(true);
    }

    /// A tail of what happens from now on; [`ConsoleError::Busy`] for too many.
    pub(crate) async fn begin(
        self: &Arc<TailHub>,
        engine: &Arc<Engine>,
        caller: Caller,
    ) -> ConsoleResult<EventTail> {
        let mut tail = self.place(&caller.subject)?;
        let mut looks = self.looks.lock().await;
        let sender = match &*looks {
            Some(sender) => sender.clone(),
            None => {
                // Now, not with the first look: what happens in between belongs to the tail.
                let mut from = FeedStart::Newest;
                events(engine, &caller, &mut from).await?;
                let (sender, _) = channel(BEHIND_MAX);
                *looks = Some(sender.clone());
                let (tails, engine) = (Arc::clone(self), Arc::clone(engine));
                let its = sender.clone();
                tokio::spawn(async move { tails.look(&engine, &caller, from, its).await });
                sender
            }
        };
        tail.looks = Some(sender.subscribe());
        Ok(tail)
    }

    fn place(self: &Arc<TailHub>, person: &UserId) -> ConsoleResult<EventTail> {
        let mut open = self.open();
        let is_full = open.values().sum::<usize>() >= TAILS_MAX
            || open.get(person).is_some_and(|tails| *tails >= TAILS_OF_ONE_MAX);
        if is_full || *self.stopping.borrow() {
            return Err(ConsoleError::Busy);
        }
        *open.entry(person.clone()).or_default() += 1;
        let stopping = self.stopping.subscribe();
        Ok(EventTail { tails: Arc::clone(self), person: person.clone(), looks: None, stopping })
    }

    /// Looks again and again, until nobody has a tail. A store that fails ends the tails; browsers ask again.
    async fn look(
        &self,
        engine: &Engine,
        caller: &Caller,
        mut from: FeedStart,
        sender: Sender<Arc<TailUpdate>>,
    ) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut looks = self.looks.lock().await;
            if sender.receiver_count() == 0 {
                *looks = None;
                return;
            }
            drop(looks);
            match next(engine, caller, &mut from).await {
                // Without a receiver the next turn ends.
                Ok(look) => drop(sender.send(Arc::new(look))),
                Err(trouble) => {
                    tracing::debug!(?trouble, "live tails end");
                    *self.looks.lock().await = None;
                    return;
                }
            }
        }
    }
}

async fn next(engine: &Engine, caller: &Caller, from: &mut FeedStart) -> ConsoleResult<TailUpdate> {
    let staff = engine.staff().await?;
    Ok(TailUpdate { events: events(engine, caller, from).await?, staff })
}

/// Some events from here on. Then `from` is where the next ones begin.
async fn events(
    engine: &Engine,
    caller: &Caller,
    from: &mut FeedStart,
) -> ConsoleResult<Vec<ShownEvent>> {
    let limit = Some(EVENTS);
    let request = EventsRequest { from: from.clone(), limit, ..EventsRequest::default() };
    let (events, next) = match engine.events(caller, request).await? {
        EventsAnswer::Events(view) => (view.events, view.next),
        EventsAnswer::Gone { go_on, .. } => (Vec::new(), go_on),
        EventsAnswer::NotKept => return Err(ConsoleError::NotKept),
    };
    *from = FeedStart::After(next);
    Ok(events)
}

impl EventTail {
    /// What the next look finds; `None` if the tail is over.
    pub(crate) async fn next(&mut self) -> Option<Arc<TailUpdate>> {
        let looks = self.looks.as_mut()?;
        loop {
            let look = tokio::select! {
                look = looks.recv() => look,
                _ = self.stopping.wait_for(|stops| *stops) => return None,
            };
            match look {
                Ok(look) => return Some(look),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
