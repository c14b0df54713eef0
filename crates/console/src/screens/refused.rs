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
    /// Whether there is such a coupon, and the caller sees its whole code.
    pub(crate) is_coupon: bool,
    /// Its code has no more characters than the caller may see.
    pub(crate) attempt: Attempt,
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
        let Some(log) = self.console.setup.attempts.clone() else { return Ok(None) };
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

fn refused_row(t: PageTexts, mut attempt: Attempt, zone: &Zone, whole: bool) -> AttemptRow {
    let unknown = attempt.unknown.as_deref().unwrap_or_default();
    // There may be such a coupon, although the caller was told that there is none.
    let of_coupon = t.unknown_of_coupon(unknown);
    let is_coupon = if of_coupon.is_some() { whole } else { unknown.is_empty() };
    if of_coupon.is_some() && !whole {
        attempt.code = attempt.code.map(|code| masked(&code));
    }
    AttemptRow {
        when: t.moment(Millis(attempt.at), zone),
        action: t.tried(&attempt.action).unwrap_or(&attempt.action).to_owned(),
        why: of_coupon.unwrap_or_else(|| t.problem(&attempt.problem)).to_owned(),
        unknown: t.unknown_code(unknown).unwrap_or_default(),
        is_coupon,
        attempt,
    }
}
