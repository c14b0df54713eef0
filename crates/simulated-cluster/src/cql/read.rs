//! A read as a replica gets it, and the positions of its pages.

use std::sync::Arc;

use super::partition::{ReplicaPartition, RowRange};
use super::partition_key::{PartitionKey, RingPart};

/// A read with its values. It is the same for each replica.
#[derive(Clone, Debug)]
pub struct ReplicaRead {
    pub(crate) table: Arc<str>,
    /// In their order; `None` for all of the table.
    pub(crate) keys: Option<Vec<PartitionKey>>,
    /// Only partitions of this part of the ring.
    pub(crate) part: Option<RingPart>,
    pub(crate) span: RowRange,
    pub(crate) with_statics: bool,
    pub(crate) is_reversed: bool,
    pub(crate) position: Option<PagePosition>,
}

/// Where a page of a read ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagePosition {
    pub(crate) key: PartitionKey,
    /// The sortable key of the last row; `None` behind the whole partition.
    pub(crate) row: Option<Arc<[u8]>>,
    /// Rows of all pages until here.
    pub(crate) taken: u32,
    /// The same, of this partition.
    pub(crate) taken_here: u32,
}

impl ReplicaRead {
    /// The rest of this read behind a position.
    pub fn after(self, position: PagePosition) -> ReplicaRead {
        ReplicaRead { position: Some(position), ..self }
    }

    /// What it sees of a partition.
    pub(crate) fn slice_of(
        &self,
        key: &PartitionKey,
        partition: &ReplicaPartition,
    ) -> Option<ReplicaPartition> {
        match &self.position {
            Some(position) if *key < position.key => None,
            Some(position) if *key == position.key => {
                let row = position.row.as_ref()?;
                let rest = match self.is_reversed {
                    true => RowRange { start: Arc::from([]), end: Some(Arc::clone(row)) },
                    // No key begins with all of another one.
                    false => RowRange { start: [&**row, &[0]].concat().into(), end: None },
                };
                Some(partition.slice(&self.span.common(&rest), self.with_statics))
            }
            _ => Some(partition.slice(&self.span, self.with_statics)),
        }
    }
}

impl PagePosition {
    /// As the paging state of the protocol.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.taken.to_be_bytes());
        out.extend_from_slice(&self.taken_here.to_be_bytes());
        for part in [self.key.table().as_bytes(), self.key.bytes()] {
            out.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(part);
        }
        if let Some(row) = &self.row {
            out.push(1);
            out.extend_from_slice(row);
        }
        out
    }

    /// From [`Self::to_bytes`]; `None` if it is no position.
    pub fn from_bytes(bytes: &[u8]) -> Option<PagePosition> {
        let mut rest = bytes;
        let (taken, taken_here) = (number(&mut rest)?, number(&mut rest)?);
        let table: Arc<str> = std::str::from_utf8(part(&mut rest)?).ok()?.into();
        let key = PartitionKey::of(&table, part(&mut rest)?);
        let row = rest.split_first().map(|(_, row)| Arc::from(row));
        Some(PagePosition { key, row, taken, taken_here })
    }
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (number, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*number))
}

fn part<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (part, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(part)
}
