//! Who has a place: the connections that are open, whose they are, and which of them has waited
//! for its client the longest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use passwords::peer::Peer;
use tokio::sync::{Mutex, MutexGuard, Notify};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::limits::{ListenerLimits, STRANGER_EVERY, STRANGERS_AT_ONCE, STRANGERS_WAITING};
use super::unread::UnreadBody;
use crate::pace::{PaceRule, rest};

/// How long the accept loop waits for a place before it looks again for one that is idle by now.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// See [`STRANGER_EVERY`].
const STRANGERS: PaceRule = PaceRule::new(STRANGER_EVERY, STRANGERS_AT_ONCE, STRANGERS_WAITING);

#[derive(Debug)]
pub(super) struct ConnectionRegistry {
    limits: ListenerLimits,
    begun: Instant,
    table: parking_lot::Mutex<SeatTable>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct SeatTable {
    seats: HashMap<u64, Arc<ConnectionState>>,
    of_peer: HashMap<Peer, Arc<PeerState>>,
    next: u64,
}

/// What the connections of one peer share; each of a trusted proxy has its own.
#[derive(Debug, Default)]
struct PeerState {
    connections: AtomicUsize,
    /// Those that keep an answer waiting.
    deaf: AtomicUsize,
    /// The turn of a request that was sent before the answer to the one before it.
    turn: Mutex<()>,
    /// When the next [`ConnectionState::stranger_turn`] is due; none before the first.
    stranger_due: parking_lot::Mutex<Option<Instant>>,
}

enum AdmissionDecision {
    Seated(ConnectionSlot),
    /// Its peer has as many as it may, and none of them is idle.
    Refused,
    /// One was told to go, or none is idle.
    Wait,
}

impl ConnectionRegistry {
    pub(super) fn new(limits: ListenerLimits) -> Arc<ConnectionRegistry> {
        let (table, freed) = (parking_lot::Mutex::default(), Notify::new());
        Arc::new(ConnectionRegistry { limits, begun: Instant::now(), table, freed })
    }

    /// `None` if the peer of `address` may have no more. If no place is free, evicts the connection
    /// that has waited for its client the longest; if every client waits for us, waits.
    pub(super) async fn slot(
        self: &Arc<ConnectionRegistry>,
        address: IpAddr,
    ) -> Option<ConnectionSlot> {
        loop {
            let freed = self.freed.notified();
            match self.ask(address) {
                AdmissionDecision::Seated(slot) => return Some(slot),
                AdmissionDecision::Refused => return None,
                AdmissionDecision::Wait => {
                    let _freed_or_not = timeout(LOOK_AGAIN, freed).await;
                }
            }
        }
    }

    fn ask(self: &Arc<ConnectionRegistry>, address: IpAddr) -> AdmissionDecision {
        let trusted = self.limits.trusted_proxies.has(address);
        let peer = Peer::at(address);
        let mut table = self.table.lock();
        let has = table.of_peer.get(&peer).map_or(0, |it| it.connections.load(Ordering::Relaxed));
        if !trusted && has >= self.limits.per_peer_max.max(1) {
            return match table.longest_idle(|seat| seat.peer == Some(peer)) {
                Some(seat) => seat.evict("its peer has too many"),
                None => AdmissionDecision::Refused,
            };
        }
        if table.seats.len() < self.limits.connections_max.max(1) {
            let peer = (!trusted).then_some(peer);
            return AdmissionDecision::Seated(table.seat(peer, self));
        }
        // A proxy's connections carry many clients each, so they go last.
        let stranger = table.longest_idle(|seat| seat.peer.is_some());
        match stranger.or_else(|| table.longest_idle(|_| true)) {
            Some(seat) => seat.evict("every place is taken"),
            None => AdmissionDecision::Wait,
        }
    }
}

impl SeatTable {
    fn seat(
        &mut self,
        peer: Option<Peer>,
        connections: &Arc<ConnectionRegistry>,
    ) -> ConnectionSlot {
        let id = self.next;
        self.next += 1;
        let shared = match peer {
            Some(peer) => Arc::clone(self.of_peer.entry(peer).or_default()),
            None => Arc::default(),
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let seat = Arc::new(ConnectionState::new(peer, shared, connections.begun));
        self.seats.insert(id, Arc::clone(&seat));
        ConnectionSlot { id, seat, connections: Arc::clone(connections) }
    }

    /// Of those on which nobody has shown a good token; of all others where there is none.
    fn longest_idle(
        &self,
        which: impl Fn(&ConnectionState) -> bool,
    ) -> Option<&Arc<ConnectionState>> {
        let idle = self.seats.values().filter(|seat| which(seat) && seat.waits_for_client());
        idle.min_by_key(|seat| (seat.is_known(), seat.moved_at_ms.load(Ordering::Relaxed)))
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    id: u64,
    pub(super) seat: Arc<ConnectionState>,
    connections: Arc<ConnectionRegistry>,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut table = self.connections.table.lock();
        table.seats.remove(&self.id);
        self.seat.deaf(false);
        let left = self.seat.shared.connections.fetch_sub(1, Ordering::Relaxed) - 1;
        if let (Some(peer), 0) = (self.seat.peer, left) {
            table.of_peer.remove(&peer);
        }
        drop(table);
        self.connections.freed.notify_waiters();
    }
}

/// One connection, as others see it. Each of its requests has it among its extensions.
#[derive(Debug)]
pub struct ConnectionState {
    /// Whose it is; `None` for a trusted proxy, which may have any number.
    peer: Option<Peer>,
    shared: Arc<PeerState>,
    begun: Instant,
    /// Somebody on it has shown a good token.
    let_in: AtomicBool,
    /// Something has come from the client since the last request began.
    heard: AtomicBool,
    /// Requests under way, from their header to the last piece of their answer.
    requests: AtomicU32,
    /// Requests that have had a whole header so far; begins anew after 2³².
    requests_begun: AtomicU32,
    awaits_body: AtomicBool,
    pub(super) unread: UnreadBody,
    /// The client does not take its answer at the moment.
    deaf: AtomicBool,
    /// When something last came from the client or was taken by it, since `begun`.
    moved_at_ms: AtomicU64,
    evicted: Notify,
}

impl ConnectionState {
    fn new(peer: Option<Peer>, shared: Arc<PeerState>, begun: Instant) -> ConnectionState {
        let seat = ConnectionState {
            peer,
            shared,
            begun,
            let_in: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            requests: AtomicU32::new(0),
            requests_begun: AtomicU32::new(0),
            awaits_body: AtomicBool::new(false),
            unread: UnreadBody::default(),
            deaf: AtomicBool::new(false),
            moved_at_ms: AtomicU64::new(0),
            evicted: Notify::new(),
        };
        seat.moved();
        seat
    }

    fn waits_for_client(&self) -> bool {
        let deaf = self.deaf.load(Ordering::Relaxed);
        self.awaits_body.load(Ordering::Relaxed) || (!self.in_request() && !deaf)
    }

    pub(super) fn in_request(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0
    }

    pub(super) fn requests_begun(&self) -> u32 {
        self.requests_begun.load(Ordering::Relaxed)
    }

    pub(super) fn moved(&self) {
        let now_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_at_ms.store(now_ms, Ordering::Relaxed);
    }

    pub(super) fn heard(&self) {
        self.heard.store(true, Ordering::Relaxed);
        self.moved();
    }

    /// Somebody on it has shown who they are: it may be idle for [`ListenerLimits::known_idle_timeout`].
    pub fn let_in(&self) {
        self.let_in.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_known(&self) -> bool {
        self.let_in.load(Ordering::Relaxed)
    }

    /// How long it may be idle while there are places.
    pub(super) fn idle_timeout(&self, limits: &ListenerLimits) -> Duration {
        match (self.peer, self.is_known()) {
            (None, _) => limits.proxy_idle_timeout,
            (Some(_), true) => limits.known_idle_timeout,
            (Some(_), false) => limits.idle_timeout,
        }
    }

    pub(super) fn deaf(&self, deaf: bool) {
        if self.deaf.swap(deaf, Ordering::Relaxed) != deaf {
            match deaf {
                true => self.shared.deaf.fetch_add(1, Ordering::Relaxed),
                false => self.shared.deaf.fetch_sub(1, Ordering::Relaxed),
            };
        }
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf.load(Ordering::Relaxed)
    }

    pub(super) fn takes_its_answer(&self) {
        self.deaf(false);
        self.moved();
    }

    /// Whether more than `deaf_max` connections of its peer keep an answer waiting. If so, this one
    /// no longer counts: the caller closes it.
    pub(super) fn leaves_crowd(&self, deaf_max: usize) -> bool {
        let one_less = |deaf: usize| (deaf > deaf_max).then(|| deaf - 1);
        let left = self.shared.deaf.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
        if left.is_ok() {
            self.deaf.store(false, Ordering::Relaxed);
        }
        left.is_ok()
    }

    /// For a request that came together with the one before it. One client may send hundreds at
    /// once: they leave the thread to others in between, and one peer gets one answer at a time.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        yield_now().await;
        self.shared.turn.lock().await
    }

    /// For a request of which nobody counts what it costs. It holds no lock meanwhile: people behind one
    /// address do not wait for each other's answers.
    pub(super) async fn stranger_turn(&self) {
        rest(self.stranger_wait(Instant::now())).await;
    }

    fn stranger_wait(&self, now: Instant) -> Duration {
        let mut due = self.shared.stranger_due.lock();
        STRANGERS.wait(due.get_or_insert(now), 1, now)
    }

    pub(super) fn awaits_body(&self, awaits: bool) {
        self.awaits_body.store(awaits, Ordering::Relaxed);
    }

    fn evict(&self, why: &'static str) -> AdmissionDecision {
        tracing::debug!(peer = ?self.peer, why, "the connection that was idle longest is closed");
        self.evicted.notify_one();
        AdmissionDecision::Wait
    }

    /// Ends when another connection needs the place and this one still waits for its client.
    pub(super) async fn evicted(&self) {
        loop {
            self.evicted.notified().await;
            if self.waits_for_client() {
                return;
            }
        }
    }

    /// A guard of the request, and whether it came together with the one before it.
    pub(super) fn request(self: &Arc<ConnectionState>) -> (BusyGuard, bool) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.requests_begun.fetch_add(1, Ordering::Relaxed);
        let came_alone = self.heard.swap(false, Ordering::Relaxed);
        (BusyGuard(Arc::clone(self)), !came_alone)
    }
}

#[derive(Debug)]
pub(super) struct BusyGuard(Arc<ConnectionState>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
        self.0.moved();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn strangers_of_one_peer_share_a_pace() {
        let connections = ConnectionRegistry::new(ListenerLimits::default());
        let slot = async |address: &str| connections.slot(address.parse().unwrap()).await.unwrap();
        let (one, same, other) =
            (slot("10.0.0.1").await, slot("10.0.0.1").await, slot("10.0.0.2").await);
        let now = Instant::now();
        for nth in 0..STRANGERS_AT_ONCE {
            assert_eq!(one.seat.stranger_wait(now), Duration::ZERO, "{nth} at once");
        }
        let cases = [
            ("one more", &one, STRANGER_EVERY),
            ("on another connection of the peer", &same, 2 * STRANGER_EVERY),
            ("another peer", &other, Duration::ZERO),
        ];
        for (name, slot, want) in cases {
            assert_eq!(slot.seat.stranger_wait(now), want, "{name}");
        }
    }
}
