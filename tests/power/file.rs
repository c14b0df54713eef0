//! The bytes of one file: what is durable, and what a power cut may lose or tear.

use std::sync::Arc;

use super::dice::Dice;
use super::disk::Numbered;

/// A disk writes whole sectors.
const SECTOR: usize = 512;

#[derive(Default)]
pub(super) struct FileState {
    synced: Vec<u8>,
    pending: Vec<Numbered<Change>>,
}

enum Change {
    Write { at: usize, bytes: Arc<[u8]> },
    Truncate(usize),
}

/// How much of the changes a cut keeps.
enum Keeps {
    Nothing,
    Everything,
    /// The first so many, and a part of the next one.
    First(usize),
    Some,
}

impl FileState {
    pub(super) fn write(&mut self, number: u64, at: usize, bytes: Arc<[u8]>) {
        self.pending.push((number, Change::Write { at, bytes }));
    }

    pub(super) fn truncate(&mut self, number: u64, size: usize) {
        self.pending.push((number, Change::Truncate(size)));
    }

    /// Makes durable what was done before a moment.
    pub(super) fn sync(&mut self, before: u64) {
        let done = self.pending.partition_point(|(number, _)| *number < before);
        for (_, change) in self.pending.drain(..done) {
            change.apply(&mut self.synced, |_| true);
        }
    }

    /// The bytes after a power cut, and what was lost.
    pub(super) fn cut(&self, dice: &mut Dice) -> (Vec<u8>, Option<String>) {
        let mut bytes = self.synced.clone();
        if self.pending.is_empty() {
            return (bytes, None);
        }
        let sizes = self.sizes();
        let keeps = match dice.below(8) {
            0 | 1 => Keeps::Nothing,
            2 => Keeps::Everything,
            3 | 4 => Keeps::First(dice.below(self.pending.len())),
            _ => Keeps::Some,
        };
        let (mut kept, mut torn) = (0, 0);
        for (nth, (_, change)) in self.pending.iter().enumerate() {
            let (is_kept, is_torn) = match &keeps {
                Keeps::Nothing => (false, false),
                Keeps::Everything => (true, false),
                Keeps::First(whole) => (nth < *whole, nth == *whole),
                Keeps::Some => match dice.below(5) {
                    0 | 1 => (true, false),
                    2 | 3 => (false, false),
                    _ => (false, true),
                },
            };
            kept += usize::from(is_kept);
            torn += usize::from(is_torn);
            if is_kept {
                change.apply(&mut bytes, |_| true);
            } else if is_torn {
                // Some sectors of it, or those before one of them.
                let (scattered, first) = (dice.chance(50), dice.below(1 + change.sectors()));
                change.apply(&mut bytes, |nth| match scattered {
                    true => dice.chance(50),
                    false => nth < first,
                });
            }
        }
        let size = match keeps {
            Keeps::Nothing => self.synced.len(),
            Keeps::Everything => sizes[sizes.len() - 1],
            Keeps::First(whole) => sizes[whole + dice.below(2)],
            Keeps::Some => sizes[dice.below(sizes.len())],
        };
        bytes.resize(size, 0);
        let (all, last) = (self.pending.len(), sizes[sizes.len() - 1]);
        let told = format!("{kept} of {all} writes, {torn} torn, {size} of {last} bytes");
        (bytes, Some(told))
    }

    /// The size of the file before the first change, and after each.
    fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![self.synced.len()];
        for (_, change) in &self.pending {
            let before = sizes[sizes.len() - 1];
            sizes.push(match change {
                Change::Write { at, bytes } => before.max(at + bytes.len()),
                Change::Truncate(size) => *size,
            });
        }
        sizes
    }
}

impl Change {
    /// Sectors that it touches.
    fn sectors(&self) -> usize {
        match self {
            Change::Write { at, bytes } => (at + bytes.len()).div_ceil(SECTOR) - at / SECTOR,
            Change::Truncate(_) => 1,
        }
    }

    /// Applies those sectors of the change whose numbers `keeps` accepts, from 0 on.
    fn apply(&self, to: &mut Vec<u8>, mut keeps: impl FnMut(usize) -> bool) {
        match self {
            Change::Truncate(size) => {
                if keeps(0) {
                    to.resize(*size, 0);
                }
            }
            Change::Write { at, bytes } => {
                let (first, end) = (at / SECTOR, at + bytes.len());
                for sector in first..end.div_ceil(SECTOR) {
                    if !keeps(sector - first) {
                        continue;
                    }
                    let from = (*at).max(sector * SECTOR);
                    let until = end.min((sector + 1) * SECTOR);
                    if to.len() < until {
                        to.resize(until, 0);
                    }
                    to[from..until].copy_from_slice(&bytes[from - at..until - at]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_what_was_synced() {
        let mut file = FileState::default();
        file.write(0, 0, vec![1; 2_000].into());
        file.sync(1);
        file.write(1, 1_000, vec![2; 3_000].into());
        let mut kinds = [false; 3];
        for part in 0..200 {
            let (bytes, told) = file.cut(&mut Dice::of(1, part));
            assert!(told.is_some() && (2_000..=4_000).contains(&bytes.len()));
            assert!(bytes[..1_000].iter().all(|it| *it == 1));
            assert!(bytes[1_000..2_000].iter().all(|it| [1, 2].contains(it)));
            let new = bytes[1_000..].iter().filter(|it| **it == 2).count();
            kinds[match new {
                0 => 0,
                3_000 => 1,
                _ => 2,
            }] = true;
        }
        assert_eq!(kinds, [true; 3], "lost, kept and torn");
        file.sync(2);
        let (bytes, told) = file.cut(&mut Dice::of(1, 1));
        assert_eq!((bytes.len(), told), (4_000, None));
    }
}
