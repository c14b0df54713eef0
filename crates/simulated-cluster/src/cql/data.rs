//! The rows of a replica, what writes change in them, and what reads see of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::partition::ReplicaPartition;
use super::partition_key::PartitionKey;
use super::read::{PagePosition, ReplicaRead};

/// What one write changes in one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    key: PartitionKey,
    pub(crate) change: ReplicaPartition,
}

/// The rows of one replica.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplicaData {
    partitions: BTreeMap<PartitionKey, ReplicaPartition>,
}

/// What one replica, or some together, answer a read. The answers of two replicas to one read are
/// equal if they have the same rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadAnswer {
    pub(crate) partitions: BTreeMap<PartitionKey, ReplicaPartition>,
    /// Where the page begins.
    pub(crate) position: Option<PagePosition>,
}

impl Mutation {
    pub(crate) fn of(key: PartitionKey, change: ReplicaPartition) -> Mutation {
        Mutation { key, change }
    }

    pub(crate) fn key(&self) -> &PartitionKey {
        &self.key
    }

    /// Whether it changes nothing: every value was unset.
    pub fn is_empty(&self) -> bool {
        self.change.is_empty()
    }
}

impl ReplicaData {
    /// Applies a write. The order of writes makes no difference.
    pub fn apply(&mut self, mutation: &Mutation) {
        if !mutation.is_empty() {
            merge_into(&mut self.partitions, &mutation.key, &mutation.change);
        }
    }

    /// What a read sees of it.
    pub fn read(&self, read: &ReplicaRead) -> ReadAnswer {
        let mut rows = ReadAnswer { partitions: BTreeMap::new(), position: read.position.clone() };
        let mut see = |key: &PartitionKey, partition: &ReplicaPartition| {
            if read.part.is_some_and(|part| !part.has(key.token())) {
                return;
            }
            if let Some(slice) = read.slice_of(key, partition).filter(|slice| !slice.is_empty()) {
                rows.partitions.insert(key.clone(), slice);
            }
        };
        match &read.keys {
            Some(keys) => {
                for key in keys {
                    if let Some(partition) = self.partitions.get(key) {
                        see(key, partition);
                    }
                }
            }
            None => {
                let from = read.position.as_ref().map(|position| position.key.clone());
                let from = from.unwrap_or_else(|| PartitionKey::first_of(&read.table));
                let of_table = self
                    .partitions
                    .range(from..)
                    .take_while(|(key, _)| key.table() == &*read.table);
                for (key, partition) in of_table {
                    see(key, partition);
                }
            }
        }
        rows
    }

    /// Drops deletions, and values that expired before a second.
    pub(crate) fn purge(&mut self, now_s: i64) {
        self.partitions.retain(|_, partition| partition.purge(now_s));
    }

    /// Keeps only some partitions.
    pub(crate) fn retain(&mut self, keeps: impl Fn(&PartitionKey) -> bool) {
        self.partitions.retain(|key, _| keeps(key));
    }

    /// Takes over everything that another replica has.
    pub fn merge_from(&mut self, other: &ReplicaData) {
        for (key, partition) in &other.partitions {
            merge_into(&mut self.partitions, key, partition);
        }
    }
}

impl ReadAnswer {
    /// Deletions and expired values in it.
    pub(crate) fn tombstones(&self, now_s: i64) -> usize {
        self.partitions.values().map(|partition| partition.tombstones(now_s)).sum()
    }

    /// Adds what another replica answered to the same read.
    pub fn merge(&mut self, other: ReadAnswer) {
        for (key, partition) in other.partitions {
            match self.partitions.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(partition);
                }
                Entry::Occupied(mut entry) if *entry.get() != partition => {
                    entry.get_mut().merge(&partition);
                }
                Entry::Occupied(_) => {}
            }
        }
    }

    /// What a replica with less must be sent: one mutation for each partition.
    pub fn repairs(&self) -> impl Iterator<Item = Mutation> {
        self.partitions.iter().map(|(key, rows)| Mutation::of(key.clone(), rows.clone()))
    }
}

fn merge_into(
    partitions: &mut BTreeMap<PartitionKey, ReplicaPartition>,
    key: &PartitionKey,
    other: &ReplicaPartition,
) {
    match partitions.get_mut(key) {
        Some(mine) => mine.merge(other),
        None => {
            partitions.insert(key.clone(), other.clone());
        }
    }
}
