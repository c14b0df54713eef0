//! Decides from an error of the driver whether the statement can have been applied.

use hot::HotError;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Consistency;

/// What is known of a conditional update.
#[derive(Debug)]
pub enum Cas {
    Applied,
    /// Its condition did not hold.
    Refused,
    /// It may have been applied, or may be applied later: any node may finish it.
    Unknown(ExecutionError),
    /// It was not applied and never will be.
    NotSent(ExecutionError),
}

impl Cas {
    /// Whether an update that is sent only once was applied.
    ///
    /// # Errors
    /// [`HotError::Unknown`], [`HotError::Unavailable`].
    pub fn known(self) -> Result<bool, HotError> {
        match self {
            Cas::Applied => Ok(true),
            Cas::Refused => Ok(false),
            Cas::Unknown(why) => Err(HotError::Unknown(why.into())),
            Cas::NotSent(why) => Err(HotError::Unavailable(why.into())),
        }
    }
}

pub(crate) fn of_conditional(error: ExecutionError) -> Cas {
    if was_not_sent(&error) { Cas::NotSent(error) } else { Cas::Unknown(error) }
}

/// Whether the statement cannot have been applied. When in doubt: no.
fn was_not_sent(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::BadQuery(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(_)
        | ExecutionError::ConnectionPoolError(_) => true,
        ExecutionError::LastAttemptError(attempt) => match attempt {
            RequestAttemptError::SerializationError(_)
            | RequestAttemptError::CqlRequestSerialization(_)
            | RequestAttemptError::UnableToAllocStreamId => true,
            RequestAttemptError::DbError(error, _) => refused_by_engine(error),
            _ => false,
        },
        // Our own timeout, and errors that a later driver may add.
        _ => false,
    }
}

fn refused_by_engine(error: &DbError) -> bool {
    match error {
        // Counted before the first message of Paxos. With another level it is the commit that had
        // too few replicas: decided, and not everywhere yet.
        DbError::Unavailable { consistency, .. } => {
            matches!(consistency, Consistency::Serial | Consistency::LocalSerial)
        }
        DbError::SyntaxError
        | DbError::Invalid
        | DbError::Unauthorized
        | DbError::AuthenticationError
        | DbError::IsBootstrapping => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use scylla::errors::{OperationType, WriteType};

    use super::*;

    fn engine(error: DbError) -> ExecutionError {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, String::new()))
    }

    fn timeout(write_type: WriteType) -> ExecutionError {
        engine(DbError::WriteTimeout {
            consistency: Consistency::LocalSerial,
            received: 1,
            required: 2,
            write_type,
        })
    }

    fn unavailable(consistency: Consistency) -> ExecutionError {
        engine(DbError::Unavailable { consistency, required: 2, alive: 1 })
    }

    #[test]
    fn what_is_known_of_a_conditional_write() {
        let cases = [
            ("Paxos ran out of time", timeout(WriteType::Cas), false),
            ("the commit ran out of time", timeout(WriteType::Simple), false),
            (
                "the prepare round ran out of time",
                engine(DbError::ReadTimeout {
                    consistency: Consistency::LocalSerial,
                    received: 1,
                    required: 2,
                    data_present: false,
                }),
                false,
            ),
            (
                "a replica failed",
                engine(DbError::WriteFailure {
                    consistency: Consistency::LocalSerial,
                    received: 1,
                    required: 2,
                    numfailures: 1,
                    write_type: WriteType::Cas,
                }),
                false,
            ),
            ("too few replicas for Paxos", unavailable(Consistency::LocalSerial), true),
            ("too few replicas for the commit", unavailable(Consistency::LocalQuorum), false),
            ("overloaded", engine(DbError::Overloaded), false),
            ("an error of the engine", engine(DbError::ServerError), false),
            (
                "a rate limit",
                engine(DbError::RateLimitReached {
                    op_type: OperationType::Write,
                    rejected_by_coordinator: false,
                }),
                false,
            ),
            ("a statement that makes no sense", engine(DbError::Invalid), true),
            ("no node is known", ExecutionError::EmptyPlan, true),
            (
                "our own time-out",
                ExecutionError::RequestTimeout(std::time::Duration::from_secs(3)),
                false,
            ),
        ];
        for (name, error, not_sent) in cases {
            assert_eq!(matches!(of_conditional(error), Cas::NotSent(_)), not_sent, "{name}");
        }
    }
}
