//! Random values for the parameters of a statement, of so few kinds that rows and write times
//! collide.

use std::borrow::Cow;

use scylla::cluster::metadata::Table;
use scylla::frame::response::result::{CollectionType, ColumnSpec, ColumnType, NativeType};
use scylla::value::{CqlDate, CqlTimestamp, CqlValue, MaybeUnset};
use simulated_cluster::rng::Rng;
use uuid::Uuid;

use crate::engine::ParameterValue;

/// Different values of each column of a key.
const KEYS: u64 = 3;
/// Different partitions of a lane in each table, for each column of the partition key.
const PARTITIONS: u64 = 2;

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParameterRole {
    WriteTime,
    TimeToLive,
    Limit,
    /// A column of the partition key; or several values of it.
    Partition,
    Clustering,
    /// A column that the statement sets, which may stay as it is.
    Set,
    /// A value that is compared, or a part of a collection.
    Other,
}

/// What each parameter of a statement is for.
pub(crate) fn roles(cql: &str, parameters: &[ColumnSpec<'_>], table: &Table) -> Vec<ParameterRole> {
    let [written, ttl] = ["USING TIMESTAMP ", " TTL "].map(|word| marker_after(cql, word));
    let limits: Vec<usize> =
        cql.match_indices("LIMIT ?").map(|(at, _)| markers(&cql[..at])).collect();
    let set_until = cql.find(" WHERE ").map_or(usize::MAX, |at| markers(&cql[..at]));
    let role = |(at, spec): (usize, &ColumnSpec<'_>)| {
        let name = spec.name().trim_start_matches("in(").trim_end_matches(')');
        let is_of = |key: &[String]| key.iter().any(|column| column == name);
        match () {
            () if Some(at) == written => ParameterRole::WriteTime,
            () if Some(at) == ttl => ParameterRole::TimeToLive,
            () if limits.contains(&at) => ParameterRole::Limit,
            () if is_of(&table.partition_key) => ParameterRole::Partition,
            () if is_of(&table.clustering_key) => ParameterRole::Clustering,
            () if at < set_until && table.columns.contains_key(name) => ParameterRole::Set,
            () => ParameterRole::Other,
        }
    };
    parameters.iter().enumerate().map(role).collect()
}

/// How many parameters a text has.
fn markers(text: &str) -> usize {
    text.matches(['?', ':']).count()
}

fn marker_after(cql: &str, word: &str) -> Option<usize> {
    cql.find(word).map(|at| markers(&cql[..at]))
}

/// The values of one lane, which shares no partition with the others.
#[derive(Clone, Copy)]
pub(crate) struct StatementLane {
    pub(crate) seed: u64,
    pub(crate) number: u64,
    /// The time at which the run began, in microseconds.
    pub(crate) now_us: i64,
}

impl StatementLane {
    /// A write time. Those of conditional updates are the engine's own and between these.
    pub(crate) fn write_time(&self, rng: &mut Rng) -> i64 {
        let tie = i64::try_from(rng.below(4)).unwrap();
        match rng.chance(80) {
            true => self.now_us + 86_400_000_000 + tie,
            false => 1_000_000 + tie,
        }
    }

    pub(crate) fn value(
        &self,
        role: ParameterRole,
        spec: &ColumnSpec<'_>,
        rng: &mut Rng,
    ) -> ParameterValue {
        let is_key_of_map = spec.name().starts_with("key(");
        let is_collection = matches!(spec.typ(), ColumnType::Collection { .. });
        let value = match role {
            ParameterRole::WriteTime => CqlValue::BigInt(self.write_time(rng)),
            ParameterRole::TimeToLive => {
                CqlValue::Int(i32::try_from(rng.between(3_000, 3_002)).unwrap())
            }
            ParameterRole::Limit => CqlValue::Int(i32::try_from(rng.between(1, 3)).unwrap()),
            ParameterRole::Partition => self.partition(spec.typ(), rng),
            ParameterRole::Clustering => of(spec.typ(), KEYS, rng),
            ParameterRole::Set if rng.chance(80) => return MaybeUnset::Unset,
            ParameterRole::Set | ParameterRole::Other
                if !is_collection && !is_key_of_map && rng.chance(150) =>
            {
                return MaybeUnset::Set(None);
            }
            ParameterRole::Set | ParameterRole::Other => of(spec.typ(), KEYS + 1, rng),
        };
        MaybeUnset::Set(Some(value))
    }

    fn partition(&self, of: &ColumnType<'_>, rng: &mut Rng) -> CqlValue {
        let which = rng.below(PARTITIONS);
        self.partition_at(of, which)
    }

    fn partition_at(&self, of: &ColumnType<'_>, which: u64) -> CqlValue {
        let number = self.seed % 1_000_000 * 1_000 + self.number * PARTITIONS + which;
        let small = u32::try_from(number).unwrap();
        match of {
            ColumnType::Native(NativeType::Int) => CqlValue::Int(i32::try_from(small).unwrap()),
            ColumnType::Native(NativeType::BigInt) => CqlValue::BigInt(i64::from(small)),
            ColumnType::Native(NativeType::Date) => CqlValue::Date(CqlDate((1 << 31) + small)),
            ColumnType::Native(NativeType::Text) => {
                CqlValue::Text(format!("{:x}-{}-{which}", self.seed, self.number))
            }
            ColumnType::Native(NativeType::Blob) => CqlValue::Blob(number.to_be_bytes().into()),
            ColumnType::Native(NativeType::Uuid) => CqlValue::Uuid(Uuid::from_u128(
                u128::from(self.seed) << 64 | u128::from(self.number << 8 | which),
            )),
            ColumnType::Collection { typ: CollectionType::List(inner), .. } => {
                CqlValue::List((0..PARTITIONS).map(|at| self.partition_at(inner, at)).collect())
            }
            other => panic!("no partition key has the type {other:?}"),
        }
    }
}

/// One of `most` values of a type.
fn of(typ: &ColumnType<'_>, most: u64, rng: &mut Rng) -> CqlValue {
    let number = rng.below(most);
    let signed = i64::try_from(number).unwrap();
    match typ {
        ColumnType::Native(NativeType::Boolean) => CqlValue::Boolean(number % 2 == 1),
        ColumnType::Native(NativeType::Int) => CqlValue::Int(i32::try_from(signed).unwrap() - 1),
        ColumnType::Native(NativeType::BigInt) => CqlValue::BigInt(signed - 1),
        ColumnType::Native(NativeType::Date) => {
            CqlValue::Date(CqlDate((1 << 31) + 20_000 + u32::try_from(number).unwrap()))
        }
        ColumnType::Native(NativeType::Timestamp) => {
            CqlValue::Timestamp(CqlTimestamp(signed * 1_000))
        }
        ColumnType::Native(NativeType::Uuid) => CqlValue::Uuid(Uuid::from_u128(number.into())),
        ColumnType::Native(NativeType::Blob) => {
            let bytes: [&[u8]; 4] = [&[0], &[], &[0, 0], &[7, 255]];
            CqlValue::Blob(bytes[usize::try_from(number).unwrap() % bytes.len()].to_owned())
        }
        ColumnType::Native(NativeType::Text) => {
            let texts = ["a", "", "ab", "available"];
            CqlValue::Text(texts[usize::try_from(number).unwrap() % texts.len()].to_owned())
        }
        ColumnType::Collection { typ: CollectionType::List(inner), .. } => {
            CqlValue::List(vec![of(inner, most, rng)])
        }
        ColumnType::Collection { typ: CollectionType::Set(inner), .. } => {
            CqlValue::Set(vec![of(inner, most, rng)])
        }
        ColumnType::Collection { typ: CollectionType::Map(key, value), .. } => {
            CqlValue::Map(vec![(of(key, most, rng), of(value, most, rng))])
        }
        ColumnType::UserDefinedType { definition, .. } => {
            let field = |(name, typ): &(Cow<'_, str>, ColumnType<'_>)| {
                let value = (!rng.chance(300)).then(|| of(typ, most, rng));
                (name.clone().into_owned(), value)
            };
            CqlValue::UserDefinedType {
                keyspace: definition.keyspace.clone().into_owned(),
                name: definition.name.clone().into_owned(),
                fields: definition.field_types.iter().map(field).collect(),
            }
        }
        other => panic!("no column has the type {other:?}"),
    }
}
