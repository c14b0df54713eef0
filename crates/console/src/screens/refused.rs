//! Refused attempts, as screens show them.

use attempts::{Attempt, AttemptLog, Kept, Wanted, masked};
use coupon::calendar::Zone;
use coupon::time::Millis;

use crate::desk::PageContext;
use crate::roles::ConsoleAction;
use crate::text::PageTexts;
use crate::trouble::{ConsoleError, ConsoleResult};

const SHOWN_MAX: usize = 50;

pub(crate) struct AttemptRow {
    pub(crate) when: String,
    pub(crate) action: String,
    pub(crate) why: String,
    /// A code that no coupon has: what may be wrong with it.
    pub(crate) unknown: &'static str,
    pub(crate) code: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) order: Option<String>,
    pub(crate) actor: Option<String>,
}

impl PageContext {
    /// The newest attempts that fit, with the times of a zone; none where they are not kept.
    pub(crate) async fn refused(
        &self,
        wanted: Wanted,
        zone: &Zone,
    ) -> ConsoleResult<Vec<AttemptRow>> {
        let found = self.of_attempts(move |log| log.find(&wanted, SHOWN_MAX)).await?;
        let kept = found.map(|found| found.attempts).unwrap_or_default();
        // A coupon that the caller was not shown: who may give one sees its code.
        let whole = self.may(ConsoleAction::Issue);
        let row = |kept: Kept| refused_row(self.t, kept.attempt, zone, whole);
        Ok(kept.into_iter().map(row).collect())
    }

    /// Reads the file of attempts on a thread where it may take its time.
    pub(crate) async fn of_attempts<T: Send + 'static>(
        &self,
        read: impl FnOnce(&AttemptLog) -> Result<T, attempts::FileError> + Send + 'static,
    ) -> ConsoleResult<Option<T>> {
        let Some(log) = self.console.attempts.clone() else { return Ok(None) };
        match tokio::task::spawn_blocking(move || read(&log)).await {
            Ok(Ok(found)) => Ok(Some(found)),
            Ok(Err(error)) => {
                tracing::error!(%error, "the file of refused attempts did not answer");
                Err(ConsoleError::Broken)
            }
            Err(_) => Err(ConsoleError::Broken),
        }
    }
}

fn refused_row(t: PageTexts, attempt: Attempt, zone: &Zone, whole: bool) -> AttemptRow {
    let action = match &*attempt.action {
        "issue" => t.tried_issue().to_owned(),
        "check" => t.tried_check().to_owned(),
        "hold" => t.tried_hold().to_owned(),
        "redeem" => t.tried_redeem().to_owned(),
        "cancel-redemption" => t.tried_cancel().to_owned(),
        "sign-in" => t.tried_sign_in().to_owned(),
        "staff-sign-in" => t.tried_staff_sign_in().to_owned(),
        other => other.to_owned(),
    };
    // There may be such a coupon, although the caller was told that there is none.
    let of_coupon = match attempt.unknown.as_deref() {
        Some("of_another_user") => Some(t.unknown_of_another_user()),
        Some("not_issued") => Some(t.unknown_not_issued()),
        Some(_) | None => None,
    };
    let unknown = match attempt.unknown.as_deref() {
        Some("mistyped") => t.unknown_mistyped(),
        Some("forged") => t.unknown_forged(),
        Some("other") => t.unknown_other(),
        Some(_) | None => "",
    };
    AttemptRow {
        when: t.moment(Millis(attempt.at), zone),
        action,
        why: of_coupon.map_or_else(|| t.problem(&attempt.problem), str::to_owned),
        unknown,
        code: match of_coupon {
            Some(_) if !whole => attempt.code.map(|code| masked(&code)),
            Some(_) | None => attempt.code,
        },
        user: attempt.user,
        order: attempt.order,
        actor: attempt.actor,
    }
}
