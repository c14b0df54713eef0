//! Cutting a large archive commit into ranges of holders that fit into memory.

use std::ops::Bound;

use arrow::array::RecordBatch;
use coupon::ids::UserId;

use crate::cursor::RowDecoder;
use crate::decode::{self, BadRow};
use crate::error::Result;
use crate::live::ColdFile;
use crate::persons::PersonNames;
use crate::store::ColdStore;

/// Holders that are sampled to find ranges of about the same size.
const SAMPLES: u64 = 65_536;

pub(crate) type HolderRange = (Bound<UserId>, Bound<UserId>);

pub(crate) const EVERYBODY: HolderRange = (Bound::Unbounded, Bound::Unbounded);

impl ColdStore {
    pub(super) async fn pieces(&self, files: &[ColdFile]) -> Result<Vec<HolderRange>> {
        let max = self.inner.options.holder_rows_max.max(1) as u64;
        let rows: u64 = files.iter().map(ColdFile::rows).sum();
        if rows <= max {
            return Ok(vec![EVERYBODY]);
        }
        let step = usize::try_from(rows.div_ceil(SAMPLES)).unwrap_or(usize::MAX);
        let (mut samples, mut held) = (Vec::new(), 0);
        for file in files {
            let reading =
                RowDecoder::of(&["holder"], move |batch, names| sample(batch, names, step));
            let mut rows = self.open(&file.live, reading).await?;
            while let Some(batches) = rows.next().await? {
                for batch in batches {
                    held += batch.held;
                    samples.extend(batch.holders);
                }
            }
        }
        samples.sort_unstable();
        // A quarter less than fits, because a sample is not exact.
        Ok(cut(&samples, held.div_ceil((max * 3 / 4).max(1))))
    }
}

/// At most `count` ranges that cover all holders, each with as many of the sorted `samples`.
fn cut(samples: &[UserId], count: u64) -> Vec<HolderRange> {
    let count = usize::try_from(count).unwrap_or(usize::MAX).max(1);
    let mut ends: Vec<&UserId> =
        (1..count).filter_map(|nth| samples.get(nth * samples.len() / count)).collect();
    ends.dedup();
    let mut pieces = Vec::new();
    let mut from = Bound::Unbounded;
    for end in ends {
        pieces.push((from, Bound::Excluded(end.clone())));
        from = Bound::Included(end.clone());
    }
    pieces.push((from, Bound::Unbounded));
    pieces
}

struct HolderSample {
    holders: Vec<UserId>,
    held: u64,
}

fn sample(
    batch: &RecordBatch,
    names: &PersonNames,
    step: usize,
) -> Result<Vec<HolderSample>, BadRow> {
    let column = decode::texts(batch, "holder")?;
    let mut holders = Vec::new();
    for row in (0..batch.num_rows()).step_by(step) {
        holders.extend(column.optional(row)?.map(|holder| names.user(holder)));
    }
    let held = (0..batch.num_rows()).filter(|row| column.get(*row).is_some()).count() as u64;
    Ok(vec![HolderSample { holders, held }])
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;

    #[test]
    fn pieces_cover_every_holder_once() {
        let holders = |names: &[&str]| names.iter().map(|it| it.parse().unwrap()).collect();
        let cases: [(&str, Vec<UserId>, u64, usize); 5] = [
            ("one piece", holders(&["a", "b", "c"]), 1, 1),
            ("three", holders(&["a", "b", "c"]), 3, 3),
            ("no sample", holders(&[]), 3, 1),
            ("one holder has nearly all", holders(&["a", "b", "b", "b", "b"]), 4, 2),
            ("more pieces than samples", holders(&["a", "b"]), 9, 3),
        ];
        for (name, samples, count, want) in cases {
            let pieces = cut(&samples, count);
            assert_eq!(pieces.len(), want, "{name}");
            for holder in holders(&["0", "a", "aa", "b", "c", "z"]) {
                let within = pieces.iter().filter(|piece| piece.contains(&holder)).count();
                assert_eq!(within, 1, "{name}: {holder}");
            }
        }
    }
}
