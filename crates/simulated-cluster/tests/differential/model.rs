//! The simulated rows: three replicas, of which each statement reaches two or three.

use std::sync::Arc;

use cql_session::BoundValue;
use scylla::deserialize::FrameSlice;
use scylla::deserialize::row::{ColumnIterator, DeserializeRow};
use scylla::frame::response::result::ColumnSpec;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::value::Row;
use simulated_cluster::cql::{
    CqlStatement, Mutation, ReadAnswer, ReplicaData, ReplicaRead, StatementKind, clock_row,
};
use simulated_cluster::rng::Rng;

use crate::engine::ParameterValue;

/// The length of a value that is not set, in the native protocol.
const UNSET: i32 = -2;

pub(crate) struct SimulatedReplicas {
    replicas: [ReplicaData; 3],
    rng: Rng,
    /// The write time of the last conditional update.
    ballot_us: i64,
    now_s: i64,
}

impl SimulatedReplicas {
    pub(crate) fn new(rng: Rng, now_us: i64) -> SimulatedReplicas {
        let replicas = [ReplicaData::default(), ReplicaData::default(), ReplicaData::default()];
        SimulatedReplicas { replicas, rng, ballot_us: now_us, now_s: now_us / 1_000_000 }
    }

    /// The rows of the answer, each as it is sent; none of a plain write.
    pub(crate) fn run(
        &mut self,
        statement: &Arc<CqlStatement>,
        values: &[BoundValue],
        written_us: i64,
    ) -> Result<Vec<Vec<u8>>, String> {
        match statement.kind() {
            StatementKind::Read => {
                let rows = self.read(&statement.read(values)?);
                statement.answer(values, &rows, self.now_s)
            }
            StatementKind::Write => {
                let mutation = statement.mutation(values, written_us, self.now_s)?;
                self.apply(&mutation);
                Ok(Vec::new())
            }
            StatementKind::Conditional => {
                self.ballot_us += 1;
                let rows = self.read(&statement.condition_read(values)?);
                let decided = statement.decide(values, &rows, self.ballot_us, self.now_s)?;
                decided.mutation.iter().for_each(|mutation| self.apply(mutation));
                Ok(decided.rows)
            }
            StatementKind::Clock => Ok(vec![clock_row(self.now_s * 1_000)]),
        }
    }

    /// Two replicas, which have every write between them.
    fn read(&mut self, read: &ReplicaRead) -> ReadAnswer {
        let without = self.replica();
        let mut all = ReadAnswer::default();
        for (at, replica) in self.replicas.iter().enumerate() {
            if at != without {
                all.merge(replica.read(read));
            }
        }
        all
    }

    fn apply(&mut self, mutation: &Mutation) {
        let without = self.rng.chance(700).then(|| self.replica());
        for (at, replica) in self.replicas.iter_mut().enumerate() {
            if Some(at) != without {
                replica.apply(mutation);
            }
        }
    }

    fn replica(&mut self) -> usize {
        usize::try_from(self.rng.below(3)).unwrap()
    }
}

/// The values as they are sent.
pub(crate) fn bound(parameters: &[ColumnSpec<'_>], values: &[ParameterValue]) -> Vec<BoundValue> {
    let mut bytes = Vec::new();
    let context = RowSerializationContext::from_specs(parameters);
    values.serialize(&context, &mut RowWriter::new(&mut bytes)).unwrap();
    let (mut all, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let (value, after) = after.split_at(usize::try_from(length).unwrap_or_default());
        rest = after;
        all.push(match length {
            UNSET => BoundValue::Unset,
            ..0 => BoundValue::Null,
            _ => BoundValue::Value(value.to_vec()),
        });
    }
    all
}

/// Rows as the engine itself says that they are to be read.
pub(crate) fn rows_in(columns: &[ColumnSpec<'_>], rows: &[Vec<u8>]) -> Vec<Row> {
    let read = |row: &Vec<u8>| {
        let cells = FrameSlice::new_borrowed(row);
        Row::deserialize(ColumnIterator::new(columns, cells)).unwrap()
    };
    rows.iter().map(read).collect()
}
