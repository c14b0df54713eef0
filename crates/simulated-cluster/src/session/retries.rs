//! When the driver sends a statement again: its default policy, and none for conditional updates.

use cql_session::StatementProfile;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

/// What has been repeated of one statement.
#[derive(Default)]
pub(super) struct RetryState {
    after_unavailable: bool,
    after_read_timeout: bool,
}

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextAttempt {
    Again,
    Elsewhere,
    Never,
}

impl RetryState {
    /// What follows `error`. Its statement may be repeated, unless it is a conditional update.
    pub(super) fn after(
        &mut self,
        profile: StatementProfile,
        error: &RequestAttemptError,
    ) -> NextAttempt {
        if profile.is_conditional() || profile == StatementProfile::Serial {
            return NextAttempt::Never;
        }
        match error {
            RequestAttemptError::BrokenConnectionError(_)
            | RequestAttemptError::UnableToAllocStreamId => NextAttempt::Elsewhere,
            RequestAttemptError::DbError(error, _) => self.after_refusal(error),
            _ => NextAttempt::Never,
        }
    }

    fn after_refusal(&mut self, error: &DbError) -> NextAttempt {
        match error {
            DbError::Overloaded
            | DbError::ServerError
            | DbError::TruncateError
            | DbError::IsBootstrapping => NextAttempt::Elsewhere,
            DbError::Unavailable { .. } if !self.after_unavailable => {
                self.after_unavailable = true;
                NextAttempt::Elsewhere
            }
            DbError::ReadTimeout { received, required, data_present, .. }
                if !self.after_read_timeout && received >= required && !data_present =>
            {
                self.after_read_timeout = true;
                NextAttempt::Again
            }
            _ => NextAttempt::Never,
        }
    }
}

/// Whether the driver waits for its second series of attempts after this error of the first.
pub(super) fn can_be_ignored(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::ConnectionPoolError(_) => true,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => {
            error.can_speculative_retry()
        }
        ExecutionError::LastAttemptError(error) => {
            matches!(error, RequestAttemptError::BrokenConnectionError(_))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use scylla::errors::WriteType;
    use scylla::statement::Consistency;

    use super::*;

    fn unavailable() -> RequestAttemptError {
        let error =
            DbError::Unavailable { consistency: Consistency::LocalQuorum, required: 2, alive: 1 };
        RequestAttemptError::DbError(error, String::new())
    }

    #[test]
    fn as_the_default_policy() {
        let mut retries = RetryState::default();
        assert_eq!(retries.after(StatementProfile::Read, &unavailable()), NextAttempt::Elsewhere);
        assert_eq!(
            retries.after(StatementProfile::Read, &unavailable()),
            NextAttempt::Never,
            "once"
        );
        let error = DbError::WriteTimeout {
            consistency: Consistency::LocalQuorum,
            received: 1,
            required: 2,
            write_type: WriteType::Simple,
        };
        let error = RequestAttemptError::DbError(error, String::new());
        assert_eq!(retries.after(StatementProfile::Write, &error), NextAttempt::Never);
    }

    #[test]
    fn a_conditional_update_is_sent_once() {
        for profile in [StatementProfile::Change, StatementProfile::Again] {
            assert_eq!(RetryState::default().after(profile, &unavailable()), NextAttempt::Never);
        }
    }
}
