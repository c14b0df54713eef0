//! How fast one caller may read lists and events.
//!
//! A read that looks at thousands of rows costs as much as a hundred redemptions, so a read is counted by the time
//! that it takes, in *turns* of [`TURN`]. Before it begins it takes [`EXPECTED`] turns, so that reads side by
//! side do not get past the pace; when it ends, those that it used are counted instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Uri;
use engine::{Caller, Role};
use passwords::places::{CallerPlaces, TakenPlace};
use server::pace::{PaceLimiter, PaceRule, rest};

/// Reads that one caller may have under way or waiting: a page of a shop opens a handful.
pub(crate) const READING_MAX: u32 = 64;

/// Time of a core that is one turn: a look-up of one coupon. A build without optimisation, which runs only tests, needs
/// many times as long.
const TURN: Duration = Duration::from_micros(if cfg!(debug_assertions) { 10_000 } else { 100 });

/// Turns that a read takes before it begins: 2.5 ms, a full page.
const EXPECTED: u32 = 25;

/// Most turns that count for one read of a user: 6 ms, a hundred of their coupons with the campaigns. One that takes
/// longer waits for others, or for the archive.
const USED_OF_USER_MAX: u32 = 60;

/// The same for all others: 20 ms, a page that looks at 5,000 coupons or 10,000 events.
const USED_OF_SERVICE_MAX: u32 = 200;

/// Turns for whoever has rested, without a wait.
const BURST_MAX: u32 = 256;

/// A user's own reads, and those of a shop for one user, get one turn in this time: a hundredth of a core, as for
/// requests about codes.
const PACE_OF_USER: Duration = Duration::from_millis(10);

/// All other reads of a caller: a quarter of a core, which is 10,000 events a second, and more.
const PACE_OF_SERVICE: Duration = Duration::from_micros(400);

#[derive(Debug)]
pub(crate) struct ReadLimiter {
    of_user: PaceLimiter,
    of_service: PaceLimiter,
    under_way: CallerPlaces,
    has_no_pace: bool,
}

impl ReadLimiter {
    pub(crate) fn new(callers_max: usize, has_no_pace: bool) -> ReadLimiter {
        let waiting = READING_MAX * EXPECTED;
        let pace = |every| PaceLimiter::new(PaceRule::new(every, BURST_MAX, waiting), callers_max);
        ReadLimiter {
            of_user: pace(PACE_OF_USER),
            of_service: pace(PACE_OF_SERVICE),
            under_way: CallerPlaces::new(READING_MAX),
            has_no_pace,
        }
    }

    /// Waits for a turn of `caller`, with the address of their request if it names a user. `None` for one more than
    /// [`READING_MAX`].
    pub(crate) async fn turn(
        self: &Arc<ReadLimiter>,
        caller: &Caller,
        uri: Option<&Uri>,
    ) -> Option<ReadTurn> {
        let (key, of) = counted(caller, uri);
        let place = self.under_way.take(&key)?;
        let wait = match self.has_no_pace {
            true => Duration::ZERO,
            false => self.pace(of).wait(&key, EXPECTED, Instant::now()),
        };
        // Made before the wait: if the client goes meanwhile, its drop gives the turns back.
        let mut turn = ReadTurn { reads: Arc::clone(self), key, of, begun: None, _place: place };
        rest(wait).await;
        turn.begun = Some(Instant::now());
        Some(turn)
    }

    fn pace(&self, of: ReaderKind) -> &PaceLimiter {
        match of {
            ReaderKind::User => &self.of_user,
            ReaderKind::Service => &self.of_service,
        }
    }
}

fn used(of: ReaderKind, took: Duration) -> u32 {
    let most = match of {
        ReaderKind::User => USED_OF_USER_MAX,
        ReaderKind::Service => USED_OF_SERVICE_MAX,
    };
    let turns = took.as_nanos().div_ceil(TURN.as_nanos());
    u32::try_from(turns).unwrap_or(most).clamp(1, most)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReaderKind {
    User,
    Service,
}

/// Whom a read is counted for. A shop has many users to answer, so its reads for one of them do not count for the
/// others.
fn counted(caller: &Caller, uri: Option<&Uri>) -> (String, ReaderKind) {
    let query = uri.and_then(Uri::query).unwrap_or_default();
    let named = query.split('&').find_map(|param| param.strip_prefix("user_id="));
    match (caller.role, named) {
        (Role::User, _) => (caller.to_string(), ReaderKind::User),
        (Role::Shop, Some(user)) => (format!("{caller} {user}"), ReaderKind::User),
        (Role::Shop, None) | (Role::Operator | Role::Admin, _) => {
            (caller.to_string(), ReaderKind::Service)
        }
    }
}

/// A read under way, until it is dropped.
pub(crate) struct ReadTurn {
    reads: Arc<ReadLimiter>,
    key: String,
    of: ReaderKind,
    /// When it had waited for its turn.
    begun: Option<Instant>,
    _place: TakenPlace,
}

impl Drop for ReadTurn {
    fn drop(&mut self) {
        if self.reads.has_no_pace {
            return;
        }
        let used = self.begun.map_or(0, |begun| used(self.of, begun.elapsed()));
        self.reads.pace(self.of).settle(&self.key, EXPECTED, used);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_read_is_counted_for() {
        let cases = [
            ("a user", Role::User, "/v1/coupons", "user:ann", ReaderKind::User),
            (
                "who names another",
                Role::User,
                "/v1/coupons?user_id=bob",
                "user:ann",
                ReaderKind::User,
            ),
            (
                "a shop for a user",
                Role::Shop,
                "/v1/coupons?limit=9&user_id=b",
                "shop:ann b",
                ReaderKind::User,
            ),
            ("a shop", Role::Shop, "/v1/events?campaign_id=zzz", "shop:ann", ReaderKind::Service),
            (
                "an operator",
                Role::Operator,
                "/v1/coupons?user_id=bob",
                "operator:ann",
                ReaderKind::Service,
            ),
            ("an admin", Role::Admin, "/v1/audit", "admin:ann", ReaderKind::Service),
        ];
        for (name, role, uri, key, of) in cases {
            let caller = Caller::new(role, "ann".parse().unwrap());
            let found = counted(&caller, Some(&uri.parse().unwrap()));
            assert_eq!(found, (key.to_owned(), of), "{name}");
        }
    }

    #[test]
    fn a_read_is_counted_by_what_it_took() {
        let cases = [
            ("nothing", 0, 0, 1, 1),
            ("a look-up", 1, 0, 1, 1),
            ("a bit more", 1, 1, 2, 2),
            ("a page with campaigns", 56, 0, 56, 56),
            ("all of it", 60, 0, 60, 60),
            ("a bit more than that", 60, 1, 60, 61),
            ("all that one looks at", 200, 0, 60, 200),
            ("one that waited for others", 9_000, 0, 60, 200),
        ];
        for (name, turns, more_ns, of_user, of_service) in cases {
            let took = TURN * turns + Duration::from_nanos(more_ns);
            let found = (used(ReaderKind::User, took), used(ReaderKind::Service, took));
            assert_eq!(found, (of_user, of_service), "{name}");
        }
    }

    #[test]
    fn whoever_reads_much_waits() {
        let reads = ReadLimiter::new(10, false);
        let now = Instant::now();
        for (of, every) in
            [(ReaderKind::User, PACE_OF_USER), (ReaderKind::Service, PACE_OF_SERVICE)]
        {
            let read = |used| {
                let wait = reads.pace(of).wait("ann", EXPECTED, now);
                reads.pace(of).settle("ann", EXPECTED, used);
                wait
            };
            assert_eq!((read(200), read(200)), Default::default(), "{of:?} has rested");
            assert_eq!(read(1), (400 - BURST_MAX + 1) * every, "{of:?} read too much");
            assert!(reads.pace(of).wait("bob", EXPECTED, now).is_zero(), "another {of:?}");
        }
    }
}
