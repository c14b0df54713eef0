//! Refused attempts: what is kept of them, for people who look why a coupon did not work.

use std::future::Future;
use std::sync::Arc;

use attempts::{Attempt, AttemptLog, FileError, masked};
use coupon::code::CodeText;
use coupon::ids::{OrderRef, UserId};
use engine::{Caller, Failure, OrderRequest, Role};
use passwords::peer::Peer;

use crate::app::App;
use crate::guesses::EVERYBODY;
use crate::problem::{Problem, Result, SEE_LOG};
use crate::problem_code::ApiErrorCode;

pub(crate) struct TriedCall<'a> {
    /// One of [`crate::closed::ATTEMPT_ACTIONS`].
    pub(crate) action: &'static str,
    pub(crate) code: Option<&'a CodeText>,
    /// Whom the caller names.
    pub(crate) user: Option<&'a UserId>,
    pub(crate) order: Option<&'a OrderRef>,
}

impl<'a> TriedCall<'a> {
    pub(crate) fn of_code(
        action: &'static str,
        code: &'a CodeText,
        user: Option<&'a UserId>,
        order: Option<&'a OrderRef>,
    ) -> TriedCall<'a> {
        TriedCall { action, code: Some(code), user, order }
    }
}

impl App {
    /// Does `work`, which is about a code, unless its user guesses; keeps that it was refused.
    pub(crate) async fn tried<T>(
        &self,
        caller: &Caller,
        peer: Peer,
        trial: &TriedCall<'_>,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T> {
        let done =
            self.guesses.unless_guessing(caller, trial.user, self.engine.now().0, work).await;
        if let Err(problem) = &done {
            self.refused(Some(caller), peer, trial, problem.code(), problem.campaign_id());
        }
        done
    }

    /// The same of all coupons of an order; keeps each that was refused.
    pub(crate) async fn tried_order<T>(
        &self,
        caller: &Caller,
        peer: Peer,
        action: &'static str,
        request: &OrderRequest,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T> {
        let (user, order) = (request.user.as_ref(), Some(&request.order));
        let done = self.guesses.unless_guessing(caller, user, self.engine.now().0, work).await;
        let Err(problem) = &done else { return done };
        if problem.refused_coupons().is_empty() {
            let trial = TriedCall { action, code: None, user, order };
            self.refused(Some(caller), peer, &trial, problem.code(), None);
        }
        for (text, refusal) in problem.refused_coupons() {
            let named = request.codes.iter().find(|(named, _)| named == text);
            let code = named.and_then(|(_, code)| code.as_ref());
            let trial = TriedCall { action, code, user, order };
            self.refused(Some(caller), peer, &trial, (*refusal).into(), None);
        }
        done
    }

    /// Keeps that something was refused; `campaign_id` is that of the coupon, if the caller may see it.
    pub(crate) fn refused(
        &self,
        caller: Option<&Caller>,
        peer: Peer,
        trial: &TriedCall<'_>,
        problem: ApiErrorCode,
        campaign_id: Option<&str>,
    ) {
        let Some(log) = &self.access.attempts else { return };
        if !is_kept(problem) {
            return;
        }
        let own = caller.filter(|caller| caller.role == Role::User).map(|caller| &caller.subject);
        let not_found = trial.code.filter(|_| problem == ApiErrorCode::NotFound);
        let shown = trial.code.map(|code| self.engine.printed_text(code));
        let attempt = Attempt {
            at: self.engine.now().0,
            action: trial.action.into(),
            code: shown.map(|shown| if not_found.is_some() { masked(&shown) } else { shown }),
            // An unknown one has no sums.
            campaign: campaign_id.filter(|_| problem != ApiErrorCode::NotFound).map(str::to_owned),
            user: trial.user.or(own).map(ToString::to_string),
            order: trial.order.map(ToString::to_string),
            actor: caller.map(ToString::to_string),
            peer: (peer != Peer::NOWHERE).then(|| peer.to_string()),
            problem: problem.as_str().into(),
            unknown: None,
        };
        let now = attempt.at;
        match not_found.filter(|_| self.unknown_looked_at.blocked(EVERYBODY, now).is_none()) {
            Some(code) => {
                self.unknown_looked_at.count(EVERYBODY, now);
                self.keep_not_found(log, code.clone(), attempt);
            }
            None => log.keep(attempt),
        }
    }

    /// Beside the answer, not before it: the time would tell a guesser how close they are.
    fn keep_not_found(&self, log: &Arc<AttemptLog>, code: CodeText, mut attempt: Attempt) {
        let (log, engine) = (Arc::clone(log), Arc::clone(&self.engine));
        tokio::spawn(async move {
            // A store that does not answer says nothing; the attempt is kept all the same.
            if let Ok(reason) = engine.not_found_reason(&code).await {
                attempt.unknown = Some(reason.as_str().into());
                if reason.is_coupon() {
                    // The page of the coupon shows it, so people who may see coupons find it by its code.
                    attempt.code = Some(engine.printed_text(&code));
                }
            }
            log.keep(attempt);
        });
    }
}

/// Whether a problem is kept. How often somebody asks too often is only up to them, and an outage would
/// fill the file with everybody's attempts: the metrics count both.
fn is_kept(problem: ApiErrorCode) -> bool {
    problem.status() < 500 && problem != ApiErrorCode::TooMany
}

/// Reads the file of attempts on a thread for blocking work.
pub(crate) async fn read_file<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(read).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            let detail = "the file of refused attempts did not answer";
            Err(Problem::caused(ApiErrorCode::StoreUnavailable, detail, &error))
        }
        Err(panicked) => Err(Problem::caused(ApiErrorCode::Internal, SEE_LOG, &panicked)),
    }
}
