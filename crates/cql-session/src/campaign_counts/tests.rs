use super::*;

const HOUR_MS: i64 = 3_600_000;

/// Draws that follow from a seed.
struct Draws(u64);

impl Draws {
    fn below(&mut self, below: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// What is in the table, and what a process has read of it.
#[derive(Clone, Default)]
struct Table {
    merged: CountRows,
    rows: CountRows,
}

impl Table {
    fn total(&self) -> i64 {
        let mut all = self.merged.clone();
        all.extend(self.rows.clone());
        all.values().map(|row| row.sums[0]).sum()
    }

    fn write(&mut self, key: &CountKey, sum: i64, now: i64) {
        let sums = [sum, 0, 0, 0, 0, 0, 0];
        self.rows.insert(key.clone(), CountRow { sums, written: now * 1_000, copied: 0 });
    }

    fn delete(&mut self, (key, copy): &(CountKey, CountRow)) {
        self.rows.retain(|at, row| at != key || row.written > copy.written);
    }
}

/// A process that counts, or was killed.
struct Counting {
    key: CountKey,
    sum: i64,
    written_at: i64,
}

/// One that merges, after each of its steps.
enum Merging {
    Begun(CountRows),
    Read { old: CountRows, next: CountRows, ended: Vec<(CountKey, CountRow)> },
}

fn key(number: u128) -> CountKey {
    (Uuid::from_u128(number), String::new())
}

/// Returns how many rows and copies there were at most. Panics if a read finds another sum than what was written.
fn run(seed: u64) -> usize {
    let mut draws = Draws(seed);
    let (mut table, mut now, mut total, mut most) = (Table::default(), 10 * DAY_MS, 0, 0);
    let (mut counting, mut made) = (Vec::<Counting>::new(), 0);
    let mut merging: [Option<Merging>; 3] = [None, None, None];
    let mut reading: Option<(CountRows, i64)> = None;
    for _ in 0..1_500 {
        match draws.below(12) {
            0 | 1 => {
                made += 1;
                counting.push(Counting { key: key(made), sum: 0, written_at: now });
            }
            // Killed: nobody writes its row again.
            2 if counting.len() > 2 => drop(counting.remove(0)),
            3..=5 if !counting.is_empty() => {
                let at = draws.below(counting.len() as u64) as usize;
                let it = &mut counting[at];
                // Up to two days later: its writes could not be answered, or it was stopped.
                if now - it.written_at >= 2 * DAY_MS {
                    continue;
                }
                (it.sum, it.written_at, total) = (it.sum + 1, now, total + 1);
                table.write(&it.key, it.sum, now);
            }
            6..=9 => {
                let slot = &mut merging[draws.below(3) as usize];
                *slot = match slot.take() {
                    None => Some(Merging::Begun(table.merged.clone())),
                    Some(Merging::Begun(old)) => {
                        let (next, ended) = merge(&old, &table.rows, now);
                        Some(Merging::Read { old, next, ended })
                    }
                    Some(Merging::Read { old, next, mut ended }) => {
                        if let Some(first) = ended.pop() {
                            table.delete(&first);
                            // Or it is killed between two deletes.
                            (draws.below(9) > 0).then_some(Merging::Read { old, next, ended })
                        } else {
                            if table.merged == old && draws.below(9) > 0 {
                                table.merged = from_text(&to_text(&next).unwrap()).unwrap();
                            }
                            None
                        }
                    }
                };
            }
            10 => {
                // A call takes seconds, and days pass between two of them.
                if merging.iter().all(Option::is_none) && reading.is_none() {
                    now += HOUR_MS * draws.below(16) as i64;
                }
                now += 1;
            }
            _ => match reading.take() {
                None => reading = Some((table.merged.clone(), total)),
                Some((merged, before)) => {
                    let found = Table { merged, rows: table.rows.clone() }.total();
                    assert!((before..=total).contains(&found), "seed {seed}: {found}, not {total}");
                }
            },
        }
        assert_eq!(table.total(), total, "seed {seed}");
        most = most.max(table.rows.len() + table.merged.len());
    }
    // Some days later all that ended are one.
    for _ in 0..8 {
        now += DAY_MS;
        let (next, ended) = merge(&table.merged, &table.rows, now);
        ended.iter().for_each(|row| table.delete(row));
        table.merged = next;
    }
    assert_eq!((table.rows.len(), table.merged.len()), (0, 1), "seed {seed}");
    assert_eq!(table.total(), total, "seed {seed}");
    most
}

#[test]
fn nothing_is_lost_or_added_twice() {
    let most = (0..40).map(run).max();
    assert!(most > Some(20), "{most:?}: hardly any rows waited");
}

#[test]
fn only_so_many_are_copied_at_a_time() {
    let rows: CountRows = (1..=1_500)
        .map(|number| (key(number), CountRow { sums: [1; 7], written: 0, copied: 0 }))
        .collect();
    let (next, ended) = merge(&CountRows::new(), &rows, DAY_MS);
    assert_eq!((next.len(), ended.len()), (MERGED_MAX, 0));
}

#[test]
fn rows_of_a_copy_and_of_today_stay() {
    let row = |written| CountRow { sums: [1; 7], written, copied: 0 };
    let rows: CountRows = [((Uuid::nil(), String::new()), row(0)), (key(1), row(1_000))].into();
    let (next, ended) = merge(&CountRows::new(), &rows, DAY_MS);
    assert_eq!((next.len(), ended.len()), (0, 0));
}
