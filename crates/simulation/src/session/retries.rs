//! When the driver sends a statement again: its default policy, and none for conditional updates.

use cql_session::StatementProfile;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};

/// What has been repeated of one statement.
#[derive(Default)]
pub(super) struct Retries {
    after_unavailable: bool,
    after_read_timeout: bool,
}

/// What follows an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Again,
    Elsewhere,
    Never,
}

impl Retries {
    /// What follows `error`. Its statement may be repeated, unless it is a conditional update.
    pub(super) fn after(&mut self, profile: StatementProfile, error: &RequestAttemptError) -> Next {
        if profile.is_conditional() || profile == StatementProfile::Serial {
            return Next::Never;
        }
        match error {
            RequestAttemptError::BrokenConnectionError(_)
            | RequestAttemptError::UnableToAllocStreamId => Next::Elsewhere,
            RequestAttemptError::DbError(error, _) => self.after_refusal(error),
            _ => Next::Never,
        }
    }

    fn after_refusal(&mut self, error: &DbError) -> Next {
        match error {
            DbError::Overloaded
            | DbError::ServerError
            | DbError::TruncateError
            | DbError::IsBootstrapping => Next::Elsewhere,
            DbError::Unavailable { .. } if !self.after_unavailable => {
                self.after_unavailable = true;
                Next::Elsewhere
            }
            DbError::ReadTimeout { received, required, data_present, .. }
                if !self.after_read_timeout && received >= required && !data_present =>
            {
                self.after_read_timeout = true;
                Next::Again
            }
            _ => Next::Never,
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
        let mut retries = Retries::default();
        assert_eq!(retries.after(StatementProfile::Read, &unavailable()), Next::Elsewhere);
        assert_eq!(retries.after(StatementProfile::Read, &unavailable()), Next::Never, "once");
        let error = DbError::WriteTimeout {
            consistency: Consistency::LocalQuorum,
            received: 1,
            required: 2,
            write_type: WriteType::Simple,
        };
        let error = RequestAttemptError::DbError(error, String::new());
        assert_eq!(retries.after(StatementProfile::Write, &error), Next::Never);
    }

    #[test]
    fn a_conditional_update_is_sent_once() {
        for profile in [StatementProfile::Change, StatementProfile::Again] {
            assert_eq!(Retries::default().after(profile, &unavailable()), Next::Never);
        }
    }
}
