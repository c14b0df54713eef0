//! The buckets of a partition in the order of codes, with a bounded number of rows in memory: pure.
//!
//! A code's bucket is a hash of it, so every bucket may have the next code, and each needs a row in
//! memory. How many more rows are read ahead follows from the number of buckets, not from their
//! content: all queues together hold [`HELD_ROWS_MAX`] rows, or [`AHEAD_MIN`] for each bucket if
//! there are very many buckets.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use coupon::code::Code;

/// Rows that all queues hold: some 65 MB of ordinary coupons, 220 MB where each has a full history.
pub const HELD_ROWS_MAX: usize = 65_536;

/// Rows of one bucket at the least: a read for each single row would double the reads.
const AHEAD_MIN: usize = 4;

/// Rows of one bucket at the most: a page of the driver's own size.
const AHEAD_MAX: usize = 1_000;

/// Rows that one read of several buckets brings at the most: a page of the driver's own size.
const TOGETHER_ROWS_MAX: usize = 2_000;

/// The queues of all buckets, and which of them has the next code.
pub struct Window<R> {
    queues: Vec<BucketQueue<R>>,
    next: BinaryHeap<Reverse<(Code, usize)>>,
    /// Rows that a queue has room for.
    ahead: usize,
    /// Queues that have to be read before the next code is known.
    dry: usize,
}

struct BucketQueue<R> {
    rows: VecDeque<(Code, R)>,
    /// The last code that was read, whether or not its row is listed.
    last: Option<Code>,
    ended: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its number among those that are merged.
    pub bucket: usize,
    /// Rows after this code.
    pub after: Option<Code>,
    pub limit: usize,
}

pub struct Page<R> {
    /// Those that are listed, with their codes.
    pub rows: Vec<(Code, R)>,
    /// The last code that was read.
    pub last: Option<Code>,
    pub ended: bool,
}

impl<R> Window<R> {
    /// A window that begins after `after`, before anything was read.
    pub fn new(buckets: usize, after: Option<&Code>) -> Window<R> {
        let queue = || BucketQueue { rows: VecDeque::new(), last: after.cloned(), ended: false };
        Window {
            queues: (0..buckets).map(|_| queue()).collect(),
            next: BinaryHeap::with_capacity(buckets),
            ahead: (HELD_ROWS_MAX / buckets.max(1)).clamp(AHEAD_MIN, AHEAD_MAX),
            dry: buckets,
        }
    }

    /// The reads that have to be made before the next row is known, and others that are due soon,
    /// so that many run at a time. Empty while every bucket has a row or has ended.
    pub fn wanted(&self) -> Vec<Wanted> {
        if self.dry == 0 {
            return Vec::new();
        }
        let is_due = |queue: &BucketQueue<R>| !queue.ended && queue.rows.len() <= self.ahead / 2;
        let due = self.queues.iter().enumerate().filter(|(_, queue)| is_due(queue));
        due.map(|(bucket, queue)| Wanted {
            bucket,
            after: queue.last.clone(),
            limit: self.ahead - queue.rows.len(),
        })
        .collect()
    }

    /// Takes what a read of [`Window::wanted`] has found.
    pub fn fill(&mut self, bucket: usize, page: Page<R>) {
        let queue = &mut self.queues[bucket];
        let was_empty = queue.rows.is_empty();
        let first = page.rows.first().map(|(code, _)| code.clone());
        queue.rows.extend(page.rows);
        queue.last = page.last.or(queue.last.take());
        queue.ended = page.ended;
        if was_empty {
            if first.is_some() || queue.ended {
                self.dry -= 1;
            }
            self.next.extend(first.map(|code| Reverse((code, bucket))));
        }
    }

    /// The row with the next code; only where nothing is wanted.
    pub fn pop(&mut self) -> Option<(Code, R)> {
        let Reverse((_, bucket)) = self.next.pop()?;
        let queue = &mut self.queues[bucket];
        let (code, row) = queue.rows.pop_front()?;
        match queue.rows.front() {
            Some((next, _)) => self.next.push(Reverse((next.clone(), bucket))),
            None => self.dry += usize::from(!queue.ended),
        }
        Some((code, row))
    }

    #[cfg(test)]
    fn held(&self) -> usize {
        self.queues.iter().map(|queue| queue.rows.len()).sum()
    }
}

/// The same reads, some of which one statement can make, at most `buckets_max`: those of buckets
/// that continue after the same code, as all do before anything was read.
pub fn together(wanted: &[Wanted], buckets_max: usize) -> impl Iterator<Item = &[Wanted]> {
    let alike = wanted.chunk_by(|one, next| (&one.after, one.limit) == (&next.after, next.limit));
    alike.flat_map(move |some| {
        let limit = some.first().map_or(1, |first| first.limit.max(1));
        some.chunks((TOGETHER_ROWS_MAX / limit).clamp(1, buckets_max))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes of a partition, spread over its buckets as their hash would.
    fn partition(buckets: usize, count: u64) -> Vec<Vec<Code>> {
        let mut found: Vec<Vec<Code>> = vec![Vec::new(); buckets];
        for nth in 0..count {
            let mixed = (nth + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let code = format!("{mixed:016X}").parse().unwrap();
            found[(mixed.wrapping_mul(0xff51_afd7_ed55_8ccd) >> 33) as usize % buckets].push(code);
        }
        found.iter_mut().for_each(|codes| codes.sort_unstable());
        found
    }

    /// One read, as the store would make it: of the rows only those are listed that `lists` says.
    fn read(codes: &[Code], wanted: &Wanted, lists: impl Fn(&Code) -> bool) -> Page<()> {
        let from = wanted.after.as_ref().map_or(0, |after| codes.partition_point(|it| it <= after));
        let found = &codes[from..codes.len().min(from + wanted.limit)];
        Page {
            rows: found.iter().filter(|code| lists(code)).map(|code| (code.clone(), ())).collect(),
            last: found.last().cloned(),
            ended: found.len() < wanted.limit,
        }
    }

    #[test]
    fn a_partition_is_merged_with_so_many_rows_held() {
        let all = |_: &Code| true;
        let some = |code: &Code| !code.as_str().ends_with('0');
        type Lists = fn(&Code) -> bool;
        let cases: [(&str, usize, u64, Lists); 6] = [
            ("nothing there", 16, 0, all),
            ("one bucket", 1, 5_000, all),
            ("fewer rows than buckets", 4_096, 100, all),
            ("a full partition", 4_096, 300_000, all),
            ("of which some are not listed", 4_096, 100_000, some),
            ("more buckets than rows may be held", 20_000, 100_000, all),
        ];
        for (name, buckets, count, lists) in cases {
            let codes = partition(buckets, count);
            let mut want: Vec<&Code> = codes.iter().flatten().filter(|code| lists(code)).collect();
            want.sort_unstable();
            let mut window = Window::new(buckets, None);
            let (mut found, mut held, mut reads) = (Vec::new(), 0, 0);
            loop {
                for wanted in window.wanted() {
                    assert!(wanted.limit > 0, "{name}");
                    window.fill(wanted.bucket, read(&codes[wanted.bucket], &wanted, lists));
                    reads += 1;
                    held = held.max(window.held());
                }
                match window.pop() {
                    Some((code, ())) => found.push(code),
                    None if window.wanted().is_empty() => break,
                    None => {}
                }
            }
            assert!(found.iter().eq(want), "{name}: {} codes", found.len());
            let max = HELD_ROWS_MAX.max(buckets * AHEAD_MIN);
            assert!(held <= max, "{name}: {held} rows held");
            // Each read brings at least half of what a queue has room for, but the last ones.
            let each = (window.ahead / 2) as u64;
            assert!(reads <= count / each + 2 * buckets as u64, "{name}: {reads} reads");
        }
    }

    #[test]
    fn reads_that_begin_at_one_code_are_made_together() {
        let cases = [
            ("more buckets than a statement may read", 4_096, 64),
            ("many rows of each bucket", 256, 7),
            ("as many rows as a statement may bring", 16, 2),
            ("one bucket", 1, 1),
        ];
        for (name, buckets, want) in cases {
            let mut window: Window<()> = Window::new(buckets, None);
            let wanted = window.wanted();
            let reads: Vec<&[Wanted]> = together(&wanted, 64).collect();
            assert_eq!(reads.concat(), wanted, "{name}");
            assert_eq!(reads.iter().map(|read| read.len()).max(), Some(want), "{name}");
            // Afterwards each bucket continues after a code of its own.
            let codes = partition(buckets, (2 * buckets * window.ahead) as u64);
            for wanted in &wanted {
                window.fill(wanted.bucket, read(&codes[wanted.bucket], wanted, |_| true));
            }
            while window.pop().is_some() && window.wanted().is_empty() {}
            let wanted = window.wanted();
            assert!(together(&wanted, 64).all(|read| read.len() == 1), "{name}");
        }
    }

    /// A page of a list begins after the last code of the page before.
    #[test]
    fn it_begins_behind_a_code() {
        let codes = partition(64, 1_000);
        let mut all: Vec<Code> = codes.iter().flatten().cloned().collect();
        all.sort_unstable();
        let mut window = Window::new(64, Some(&all[499]));
        let mut found = Vec::new();
        loop {
            for wanted in window.wanted() {
                window.fill(wanted.bucket, read(&codes[wanted.bucket], &wanted, |_| true));
            }
            match window.pop() {
                Some((code, ())) => found.push(code),
                None => break,
            }
        }
        assert_eq!(found, all[500..]);
    }
}
