//! CQL as ScyllaDB and Cassandra answer it, for the tables of couponry and the statements of its
//! store: no network, no clock, no randomness. Anything else is an error that has the text.
//!
//! A replica's rows are [`ReplicaData`]. Cells, row markers and deletions have write times, and merging
//! them is commutative, associative and idempotent, so replicas that got the same writes in any
//! order are equal. What a replica answers is a part of its data ([`ReadAnswer`]): answers merge in the
//! same way, and a [`CqlStatement`] turns the merged rows into those that the client gets.

mod answer;
mod clock;
mod condition;
mod data;
mod dialect;
mod execution;
mod lexer;
mod parser;
mod partition;
mod partition_key;
mod prepare;
mod read;
mod relations;
mod row;
mod schema;
mod statement;
mod types;
mod value_term;
mod write;

#[cfg(test)]
mod tests;

pub use clock::{READ_CLOCK, clock_row};
pub use condition::UpdateDecision;
pub use data::{Mutation, ReadAnswer, ReplicaData};
pub(crate) use execution::StatementExecution;
pub use partition_key::PartitionKey;
pub(crate) use partition_key::RingPart;
pub use read::{PagePosition, ReplicaRead};
pub use schema::KeyspaceSchema;
pub use statement::{CqlStatement, StatementKind};
pub use types::{cells, put_cell};
