//! How often one user may ask for codes that do not exist, and how many requests one caller may have under way.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use coupon::ids::UserId;
use coupon::refusal::Refusal;
use engine::{ACCOUNT_PREFIX, Caller, Failure, Role};
use passwords::places::{CallerPlaces, TakenPlace};
use passwords::throttle::Throttle;
use server::accept::PER_PEER_MAX;
use server::pace::{PaceLimiter, PaceRule, rest};
use tokio::time::sleep;

use crate::problem::{Problem, Result};

/// Unknown codes that one user may ask for within [`GUESS_WINDOW_MS`]: more than anybody mistypes.
pub const GUESSES_MAX: u32 = 20;

pub const GUESS_WINDOW_MS: i64 = 10 * 60 * 1_000;

/// Unknown codes that all accounts made here may ask for together within [`GUESS_WINDOW_MS`].
///
/// Accounts are free, so a limit for each is no limit for somebody who makes many. Of 1,000 honest buyers a hundred
/// mistype a code within ten minutes; past it only an account without a mistake of its own is answered.
pub const GUESSES_HERE_MAX: u32 = 1_000;

/// Requests about codes, and issues, that one user may have under way: a check-out has a handful.
/// Guesses side by side are all answered before the first is counted, and one user's writes wait
/// in line with everybody's, so there may not be many.
pub const ASKING_MAX: u32 = 64;

/// So many own requests of a user who has rested are answered without a wait.
const BURST_MAX: u32 = 256;

/// After [`BURST_MAX`], one request in this time; the next ones wait. A replay takes some 0.1 ms of
/// a core, so one user who asks as fast as they are answered takes a hundredth of it.
const PACE: Duration = Duration::from_millis(10);

/// How long a user's own request past [`ASKING_MAX`] waits for its refusal at least: a thousand
/// clients that ask again at once would keep the threads busy with nothing but refusals.
const REFUSED_AFTER: Duration = Duration::from_secs(1);

/// Refusals are spread over a time that grows in so many steps, or those thousand would come back together.
const REFUSED_IN: u32 = 64;

/// One of those steps: the last refusal comes after three seconds.
const REFUSED_STEP: Duration = Duration::from_nanos(31_250_000);

/// Refusals that wait at a time, over all users; one more is given at once. Each keeps a connection
/// that cannot be closed in favour of somebody else. A peer that is no trusted proxy cannot open more
/// than this, so that none of its refusals comes at once, and half of all connections remain.
const REFUSED_MAX: u32 = PER_PEER_MAX as u32;

/// The one key of a limit for the whole process.
pub(crate) const EVERYBODY: &str = "";

#[derive(Debug)]
pub(crate) struct GuessLimiter {
    of_user: Throttle,
    of_accounts_here: Throttle,
    asking: CallerPlaces,
    /// A user's own requests, those that wait for their turn too.
    own: CallerPlaces,
    pace: PaceLimiter,
    refused: AtomicU32,
    refusals: CallerPlaces,
}

impl GuessLimiter {
    pub(crate) fn new(users_max: usize) -> GuessLimiter {
        GuessLimiter {
            of_user: Throttle::new(GUESSES_MAX, GUESS_WINDOW_MS, users_max),
            of_accounts_here: Throttle::new(GUESSES_HERE_MAX, GUESS_WINDOW_MS, 1),
            asking: CallerPlaces::new(ASKING_MAX),
            own: CallerPlaces::new(ASKING_MAX),
            pace: PaceLimiter::new(PaceRule::new(PACE, BURST_MAX, ASKING_MAX), users_max),
            refused: AtomicU32::new(0),
            refusals: CallerPlaces::new(REFUSED_MAX),
        }
    }

    /// Does `work`, unless its user asks for unknown codes one after the other. A shop is counted
    /// for the user it names, never as a whole.
    pub(crate) async fn unless_guessing<T>(
        &self,
        caller: &Caller,
        named: Option<&UserId>,
        now: i64,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T> {
        let Some(user) = counted(caller, named) else { return Ok(work.await?) };
        if let Some(wait) = self.of_user.blocked(user, now) {
            return Err(Problem::too_many("too many unknown codes for this user", wait));
        }
        self.account_may_ask(user, now)?;
        let _asking = self.begin(caller, user).await?;
        let done = work.await;
        for _ in 0..done.as_ref().err().map_or(0, unknown_codes) {
            self.of_user.count(user, now);
            if is_made_here(user) {
                self.of_accounts_here.count(EVERYBODY, now);
            }
        }
        Ok(done?)
    }

    /// Does `work`, unless its user has too much under way.
    pub(crate) async fn one_of_few<T>(
        &self,
        caller: &Caller,
        named: Option<&UserId>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T> {
        let Some(user) = counted(caller, named) else { return Ok(work.await?) };
        let _asking = self.begin(caller, user).await?;
        Ok(work.await?)
    }

    /// Past the budget of all accounts made here, one of them is answered while it has not asked
    /// for an unknown code itself, one request at a time: whoever only mistyped nothing goes on.
    fn account_may_ask(&self, user: &str, now: i64) -> Result<()> {
        if !is_made_here(user) {
            return Ok(());
        }
        let Some(wait) = self.of_accounts_here.blocked(EVERYBODY, now) else { return Ok(()) };
        let asking = self.own.taken(user) + self.asking.taken(user);
        if self.of_user.counted(user, now) == 0 && asking == 0 {
            return Ok(());
        }
        Err(Problem::too_many("too many unknown codes for the accounts of this server", wait))
    }

    /// Waits for the turn of a request. It is under way until its places are dropped.
    async fn begin(&self, caller: &Caller, user: &str) -> Result<(TakenPlace, Option<TakenPlace>)> {
        // A shop that names a user has others to answer: it does not wait, and what waits here is not in its way.
        let own = match caller.role {
            Role::User => match self.own.take(user) {
                Some(own) => Some(own),
                None => return Err(self.refused(caller).await),
            },
            Role::Shop | Role::Operator | Role::Admin => None,
        };
        if own.is_some() {
            rest(self.pace.wait(user, 1, Instant::now())).await;
        }
        match self.asking.take(user) {
            Some(asking) => Ok((asking, own)),
            None => Err(self.refused(caller).await),
        }
    }

    /// The refusal of one request too many; a user's own comes late.
    pub(crate) async fn refused(&self, caller: &Caller) -> Problem {
        if caller.role == Role::User
            && let Some(_place) = self.refusals.take(EVERYBODY)
        {
            let step = self.refused.fetch_add(1, Ordering::Relaxed) % REFUSED_IN;
            sleep(REFUSED_AFTER + step * REFUSED_STEP).await;
        }
        Problem::too_many("too many requests at once for this user", 1_000)
    }
}

fn counted<'a>(caller: &'a Caller, named: Option<&'a UserId>) -> Option<&'a str> {
    let user = match caller.role {
        Role::User => Some(&caller.subject),
        Role::Shop => named,
        Role::Operator | Role::Admin => None,
    };
    user.map(UserId::as_str)
}

/// How many codes of a failed request nobody knows.
fn unknown_codes(failure: &Failure) -> usize {
    match failure {
        Failure::Refused { refusal: Refusal::NotFound, .. } => 1,
        Failure::OrderRefused(coupons) => {
            coupons.iter().filter(|(_, refusal)| *refusal == Refusal::NotFound).count()
        }
        _ => 0,
    }
}

fn is_made_here(user: &str) -> bool {
    user.starts_with(ACCOUNT_PREFIX)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::FutureExt;

    use super::*;
    use crate::problem_code::ApiErrorCode;

    const NOON: i64 = 1_763_596_800_000;

    fn user(name: &str) -> Caller {
        Caller::new(Role::User, name.parse().unwrap())
    }

    #[tokio::test]
    async fn one_user_has_few_requests_under_way() {
        let guesses = GuessLimiter::new(10);
        let (ann, bob) = (user("ann"), user("bob"));
        let shop = Caller::new(Role::Shop, "till".parse().unwrap());
        let named = "ann".parse::<UserId>().unwrap();
        // Issues and requests about codes, by herself and by a shop for her, count together.
        let mut under_way = Vec::new();
        for nth in 0..ASKING_MAX {
            let mut work = match nth % 3 {
                0 => guesses.one_of_few(&ann, None, pending::<Result<(), _>>()).boxed_local(),
                1 => guesses.unless_guessing(&ann, None, NOON, pending()).boxed_local(),
                _ => guesses.one_of_few(&shop, Some(&named), pending()).boxed_local(),
            };
            assert!((&mut work).now_or_never().is_none(), "number {nth} is under way");
            under_way.push(work);
        }
        let ask = |caller: Caller, named: Option<UserId>| {
            let guesses = &guesses;
            async move {
                let issue = guesses.one_of_few(&caller, named.as_ref(), ready(Ok(())));
                issue.await.map_err(|problem| problem.code())
            }
        };
        let before = Instant::now();
        assert_eq!(ask(ann.clone(), None).await, Err(ApiErrorCode::TooMany), "one too many");
        assert!(before.elapsed() >= REFUSED_AFTER, "a loop of refusals is a slow one");
        assert_eq!(ask(bob.clone(), None).await, Ok(()), "another user");
        assert_eq!(ask(shop.clone(), None).await, Ok(()), "a shop that names nobody");
        under_way.pop();
        assert_eq!(
            ask(shop.clone(), Some(named.clone())).await,
            Ok(()),
            "one has ended, or its client has gone"
        );
    }

    #[test]
    fn one_user_is_paced() {
        let guesses = GuessLimiter::new(10);
        let (ann, bob) = (user("ann"), user("bob"));
        let shop = Caller::new(Role::Shop, "till".parse().unwrap());
        let named = "ann".parse::<UserId>().unwrap();
        let waits = |caller: &Caller, named: Option<&UserId>| {
            let issue = guesses.one_of_few(caller, named, ready(Ok(()))).boxed_local();
            issue.now_or_never().is_none()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _here = runtime.enter();
        // A machine that does other things between two of them gives her some more.
        let at_once = (0..100 * BURST_MAX).take_while(|_| !waits(&ann, None)).count();
        assert!(at_once >= BURST_MAX as usize, "{at_once} at once");
        assert!(at_once < 100 * BURST_MAX as usize, "she is never made to wait");
        assert!(!waits(&bob, None), "another user");
        assert!(!waits(&shop, Some(&named)), "a shop has many to answer");
    }
}
