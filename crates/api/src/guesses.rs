//! How often one user may ask for codes that do not exist, and how many requests one caller may
//! have under way.

use std::future::Future;

use coupon::ids::UserId;
use coupon::refusal::Refusal;
use engine::{ACCOUNT_PREFIX, Caller, Failure, Role};

use crate::problem::Problem;
use crate::throttle::Throttle;

/// Unknown codes that one user may ask for within [`GUESS_WINDOW_MS`]: more than anybody mistypes.
pub const GUESSES_MAX: u32 = 20;

/// The window in which unknown codes are counted.
pub const GUESS_WINDOW_MS: i64 = 10 * 60 * 1_000;

/// Unknown codes that all accounts made here may ask for together within [`GUESS_WINDOW_MS`].
///
/// Accounts are free, so a limit for each is no limit for somebody who makes many. Of 1,000 honest
/// buyers a hundred mistype a code within ten minutes; past it only an account without a mistake
/// of its own is answered.
pub const GUESSES_HERE_MAX: u32 = 1_000;

/// Requests about codes, and issues, that one user may have under way: a check-out has a handful.
/// Guesses side by side are all answered before the first is counted, and one user's writes wait
/// in line with everybody's, so there may not be many.
pub const ASKING_MAX: u32 = 64;

/// The one key of a throttle for the whole process.
const EVERYBODY: &str = "";

/// Counts for users.
#[derive(Debug)]
pub(crate) struct Guesses {
    of_user: Throttle,
    of_accounts_here: Throttle,
    asking: Throttle,
}

impl Guesses {
    /// For at most so many users at a time.
    pub(crate) fn new(users_max: usize) -> Guesses {
        Guesses {
            of_user: Throttle::new(GUESSES_MAX, GUESS_WINDOW_MS, users_max),
            of_accounts_here: Throttle::new(GUESSES_HERE_MAX, GUESS_WINDOW_MS, 1),
            asking: Throttle::new(ASKING_MAX, GUESS_WINDOW_MS, users_max),
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
    ) -> Result<T, Problem> {
        let Some(user) = counted(caller, named) else { return Ok(work.await?) };
        if let Some(wait) = self.of_user.blocked(user, now) {
            return Err(Problem::too_many("too many unknown codes for this user", wait));
        }
        self.account_may_ask(user, now)?;
        let _asking = self.begin(user, now)?;
        let done = work.await;
        if let Err(Failure::Refused { refusal: Refusal::NotFound, .. }) = &done {
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
        now: i64,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Problem> {
        let Some(user) = counted(caller, named) else { return Ok(work.await?) };
        let _asking = self.begin(user, now)?;
        Ok(work.await?)
    }

    /// Past the budget of all accounts made here, one of them is answered while it has not asked
    /// for an unknown code itself, one request at a time: whoever only mistyped nothing goes on.
    fn account_may_ask(&self, user: &str, now: i64) -> Result<(), Problem> {
        if !is_made_here(user) {
            return Ok(());
        }
        let Some(wait) = self.of_accounts_here.blocked(EVERYBODY, now) else { return Ok(()) };
        if self.of_user.counted(user, now) == 0 && self.asking.counted(user, now) == 0 {
            return Ok(());
        }
        Err(Problem::too_many("too many unknown codes for the accounts of this server", wait))
    }

    fn begin<'a>(&'a self, user: &'a str, now: i64) -> Result<UnderWay<'a>, Problem> {
        UnderWay::begin(&self.asking, user, now)
            .ok_or_else(|| Problem::too_many("too many requests at once for this user", 1_000))
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

fn is_made_here(user: &str) -> bool {
    user.starts_with(ACCOUNT_PREFIX)
}

/// One request under way; also one whose client has gone.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    counts: &'a Throttle,
    key: &'a str,
}

impl<'a> UnderWay<'a> {
    /// `None` when `key` has as many as `counts` allows.
    pub(crate) fn begin(counts: &'a Throttle, key: &'a str, now: i64) -> Option<UnderWay<'a>> {
        if counts.blocked(key, now).is_some() {
            return None;
        }
        counts.count(key, now);
        Some(UnderWay { counts, key })
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.counts.take_back(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures::FutureExt;

    use super::*;
    use crate::problem::Code;

    const NOON: i64 = 1_763_596_800_000;

    fn user(name: &str) -> Caller {
        Caller { role: Role::User, subject: name.parse().unwrap() }
    }

    #[test]
    fn one_user_has_few_requests_under_way() {
        let guesses = Guesses::new(10);
        let (ann, bob) = (user("ann"), user("bob"));
        let shop = Caller { role: Role::Shop, subject: "till".parse().unwrap() };
        let named = "ann".parse::<UserId>().unwrap();
        // Issues and requests about codes, by herself and by a shop for her, count together.
        let mut under_way = Vec::new();
        for nth in 0..ASKING_MAX {
            let mut work = match nth % 3 {
                0 => guesses.one_of_few(&ann, None, NOON, pending::<Result<(), _>>()).boxed_local(),
                1 => guesses.unless_guessing(&ann, None, NOON, pending()).boxed_local(),
                _ => guesses.one_of_few(&shop, Some(&named), NOON, pending()).boxed_local(),
            };
            assert!((&mut work).now_or_never().is_none(), "number {nth} is under way");
            under_way.push(work);
        }
        let ask = |caller: &Caller| {
            let issue = guesses.one_of_few(caller, None, NOON, ready(Ok(()))).now_or_never();
            issue.expect("an answer").map_err(|problem| problem.code())
        };
        assert_eq!(ask(&ann), Err(Code::TooMany), "one too many");
        assert_eq!(ask(&bob), Ok(()), "another user");
        assert_eq!(ask(&shop), Ok(()), "a shop that names nobody");
        under_way.pop();
        assert_eq!(ask(&ann), Ok(()), "one has ended, or its client has gone");
    }
}
