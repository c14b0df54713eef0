//! What an answer of couponry means for a command. A table without I/O.

use std::time::Duration;

use super::answer::CommandOutcome;
use super::limits::{INTERNAL_TRIES_MAX, WAIT_FIRST, WAIT_MAX, WAIT_MAX_NO_ANSWER};
use crate::http::{ApiReply, NoAnswer};

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CallVerdict {
    /// It is the answer.
    Answer(CommandOutcome),
    /// Send the same request again, after this time.
    Again { wait: Duration, who: WaitScope },
}

/// Who waits before the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitScope {
    /// This lane: the answer is about one coupon or one user.
    Lane,
    /// Everybody: couponry as a whole has no room, or its store is away.
    All,
    /// Everybody, and the token is read again.
    AllWithNewToken,
}

/// The verdict on the answer to try number `tries`, counted from 1.
///
/// 429 and 503 never end a command, however long they last: couponry executed nothing, or says itself
/// that the same request finds out.
pub(crate) fn verdict(reply: &Result<ApiReply, NoAnswer>, tries: u32) -> CallVerdict {
    let Ok(reply) = reply else {
        let wait = backoff(tries, WAIT_MAX_NO_ANSWER);
        return CallVerdict::Again { wait, who: WaitScope::Lane };
    };
    let Some(problem) = &reply.problem else {
        return CallVerdict::Answer(CommandOutcome::Accepted);
    };
    let wait = backoff(tries, WAIT_MAX).max(reply.retry_after.unwrap_or_default());
    let again = |who| CallVerdict::Again { wait, who };
    match (reply.status, problem.code.as_str()) {
        (401, _) => again(WaitScope::AllWithNewToken),
        (503, "OVERLOADED" | "STORE_FULL" | "STORE_UNAVAILABLE") => again(WaitScope::All),
        // TOO_MANY is about one user; OUTCOME_UNKNOWN, STORE_DAMAGED and COLD_UNAVAILABLE about one coupon.
        (408 | 429 | 503, _) => again(WaitScope::Lane),
        (500.., _) if tries < INTERNAL_TRIES_MAX => again(WaitScope::Lane),
        (500.., _) => CallVerdict::Answer(CommandOutcome::Unknown),
        (_, _) => CallVerdict::Answer(CommandOutcome::Refused),
    }
}

/// Twice as long after each try.
fn backoff(tries: u32, most: Duration) -> Duration {
    WAIT_FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(most)
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::http::ProblemDocument;

    fn problem(status: u16, code: &str, retry_after: Option<u64>) -> Result<ApiReply, NoAnswer> {
        let (code, detail, next_cursor) = (code.to_owned(), None, None);
        let body = RawValue::from_string("{}".to_owned()).expect("JSON");
        let retry_after = retry_after.map(Duration::from_secs);
        let problem = Some(ProblemDocument { status, code, detail, next_cursor });
        Ok(ApiReply { status, retry_after, body, problem })
    }

    #[test]
    fn verdicts() {
        let done = || {
            let body = RawValue::from_string("{}".to_owned()).expect("JSON");
            Ok(ApiReply { status: 200, retry_after: None, body, problem: None })
        };
        let answer = CallVerdict::Answer;
        use CommandOutcome::{Accepted, Refused, Unknown};
        use WaitScope::{All, AllWithNewToken, Lane};
        let most = INTERNAL_TRIES_MAX;
        let again = |ms, who| CallVerdict::Again { wait: Duration::from_millis(ms), who };
        let cases = [
            ("done", done(), 1, answer(Accepted)),
            ("a rule refuses", problem(409, "ALREADY_REDEEMED", None), 1, answer(Refused)),
            ("held: an answer", problem(409, "HELD", None), 1, answer(Refused)),
            ("unknown code", problem(404, "NOT_FOUND", None), 1, answer(Refused)),
            ("a bad body", problem(400, "INVALID", None), 1, answer(Refused)),
            ("the role", problem(403, "FORBIDDEN", None), 1, answer(Refused)),
            ("an old token", problem(401, "UNAUTHENTICATED", None), 1, again(100, AllWithNewToken)),
            ("one user", problem(429, "TOO_MANY", Some(9)), 1, again(9_000, Lane)),
            ("overloaded", problem(503, "OVERLOADED", Some(1)), 1, again(1_000, All)),
            ("overloaded again", problem(503, "OVERLOADED", Some(1)), 5, again(1_600, All)),
            ("for an hour", problem(503, "STORE_UNAVAILABLE", Some(2)), 999, again(30_000, All)),
            ("one coupon", problem(503, "STORE_DAMAGED", Some(30)), 1, again(30_000, Lane)),
            ("not known", problem(503, "OUTCOME_UNKNOWN", Some(2)), 1, again(2_000, Lane)),
            ("a slow body", problem(408, "TIMEOUT", None), 1, again(100, Lane)),
            ("a fault", problem(500, "INTERNAL", None), most - 1, again(30_000, Lane)),
            ("a lasting fault", problem(500, "INTERNAL", None), most, answer(Unknown)),
            ("none", Err(NoAnswer("broken".to_owned())), 1, again(100, Lane)),
            ("none for an hour", Err(NoAnswer("broken".to_owned())), 999, again(2_000, Lane)),
        ];
        for (name, reply, tries, want) in cases {
            assert_eq!(verdict(&reply, tries), want, "{name}");
        }
    }
}
