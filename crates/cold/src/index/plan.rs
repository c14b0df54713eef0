//! Which files of the holder index are merged next: pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::live::LiveFile;
use crate::names;

/// How many times as large as the level above it a level may be. With ten, ten billion coupons take
/// five levels, and a look-up reads one file of each.
const FAN_OUT: u64 = 10;

/// Files of level 0 that may wait. Their ranges overlap, so a look-up reads each of them.
const NEW_FILES_MAX: usize = 3;

/// Files of level 0 that are merged at once. Each takes memory for one row group.
const NEW_AT_ONCE_MAX: usize = 16;

#[derive(Debug, PartialEq)]
pub(crate) struct IndexMerge {
    pub(crate) target: u8,
    pub(crate) files: Vec<Arc<LiveFile>>,
}

/// Level 0 has the newest rows. From level 1 on, the files of a level have disjoint ranges of
/// holders, and level n holds about `file_bytes` times ten to the power of n. A level above its
/// limit merges one file into the next level: the one that overlaps the fewest bytes there for its
/// size. On average over the files of a level, that overlap is the ratio of the two levels, so a
/// row is written at most about eleven times for each level.
pub(crate) fn due(files: &[Arc<LiveFile>], file_bytes: u64) -> Option<IndexMerge> {
    let levels = levels(files);
    let none = Vec::new();
    let level = |level: u8| levels.get(&level).unwrap_or(&none);
    let new = level(0);
    if new.len() > NEW_FILES_MAX {
        let mut files: Vec<Arc<LiveFile>> = new.iter().take(NEW_AT_ONCE_MAX).cloned().collect();
        if bytes(&files) < file_bytes {
            return Some(IndexMerge { target: 0, files });
        }
        let is_met = |file: &&Arc<LiveFile>| files.iter().any(|new| meet(file, new));
        let met: Vec<Arc<LiveFile>> = level(1).iter().filter(is_met).cloned().collect();
        files.extend(met);
        return Some(IndexMerge { target: 1, files });
    }
    let last = levels.keys().next_back().copied().unwrap_or(0);
    let is_over = |nth: &u8| {
        bytes(level(*nth)) > file_bytes.saturating_mul(FAN_OUT.saturating_pow(u32::from(*nth)))
    };
    let over = (1..=last).find(is_over)?;
    let below = level(over + 1);
    let cost = |file: &Arc<LiveFile>| {
        let met: u64 = bytes(within(below, file));
        (met.saturating_mul(1_024) / file.bytes.max(1), file.path.clone())
    };
    let file = level(over).iter().min_by_key(|file| cost(file))?;
    let files = std::iter::once(file).chain(within(below, file)).cloned().collect();
    Some(IndexMerge { target: over + 1, files })
}

/// The files of each level, ordered by their first holder.
fn levels(files: &[Arc<LiveFile>]) -> BTreeMap<u8, Vec<Arc<LiveFile>>> {
    let mut levels: BTreeMap<u8, Vec<Arc<LiveFile>>> = BTreeMap::new();
    for file in files {
        let level = names::level(&file.path).unwrap_or(0);
        levels.entry(level).or_default().push(Arc::clone(file));
    }
    for files in levels.values_mut() {
        files.sort_by(|a, b| (ends(a), &a.path).cmp(&(ends(b), &b.path)));
    }
    levels
}

/// The first and the last holder of a file. A file without statistics may have any holder.
fn ends(file: &LiveFile) -> (&str, &str) {
    let ends = file.bounds.holder.as_ref();
    ends.map_or(("", "\u{10ffff}"), |(first, last)| (first.as_str(), last.as_str()))
}

fn meet(one: &LiveFile, other: &LiveFile) -> bool {
    let ((first, last), (from, to)) = (ends(one), ends(other));
    first <= to && from <= last
}

/// The files of a level that overlap `file`. The files of the level are disjoint and in order.
fn within<'a>(level: &'a [Arc<LiveFile>], file: &LiveFile) -> &'a [Arc<LiveFile>] {
    let (from, to) = ends(file);
    let first = level.partition_point(|it| ends(it).1 < from);
    let behind = level.partition_point(|it| ends(it).0 <= to);
    &level[first..behind.max(first)]
}

fn bytes(files: &[Arc<LiveFile>]) -> u64 {
    files.iter().map(|file| file.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bounds::ColumnBounds;
    use crate::names::FileOrigin;
    use crate::schema;

    fn file(level: u8, holders: &str, bytes: u64) -> Arc<LiveFile> {
        let (first, last) = holders.split_once('-').unwrap();
        let holder = Some((first.to_owned(), last.to_owned()));
        Arc::new(LiveFile {
            schema: &schema::HOLDER_INDEX,
            path: format!("level={level}/{holders}"),
            origin: FileOrigin { day: names::INDEX, archive_commit: 1, rewrites: 0, through: 0 },
            rows: 1,
            bytes,
            bounds: ColumnBounds { holder, ..ColumnBounds::default() },
        })
    }

    #[test]
    fn the_merge_that_is_due() {
        let new = |count: usize, bytes| (0..count).map(move |_| file(0, "a-z", bytes));
        let level = |level, them: &[(&str, u64)]| -> Vec<Arc<LiveFile>> {
            them.iter().map(|(holders, bytes)| file(level, holders, *bytes)).collect()
        };
        let two = level(1, &[("a-f", 100), ("g-z", 100)]);
        type Want = Option<(u8, Vec<&'static str>)>;
        let cases: [(&str, Vec<Arc<LiveFile>>, Want); 6] = [
            ("nothing", vec![], None),
            ("few new ones", new(3, 100).chain(two.clone()).collect(), None),
            (
                "small new ones become one of their level",
                new(4, 10).chain(two.clone()).collect(),
                Some((0, vec!["a-z"; 4])),
            ),
            (
                "large new ones go down",
                new(4, 30).chain(two).collect(),
                Some((1, vec!["a-z", "a-z", "a-z", "a-z", "a-f", "g-z"])),
            ),
            (
                "a level that is full hands down what meets least",
                [
                    level(1, &[("a-f", 600), ("g-m", 600)]),
                    level(2, &[("b-c", 900), ("e-e", 100), ("f-g", 50), ("p-z", 900)]),
                ]
                .concat(),
                Some((2, vec!["g-m", "f-g"])),
            ),
            ("a level that is as full as it may be", level(1, &[("a-f", 500), ("g-m", 500)]), None),
        ];
        for (name, files, want) in cases {
            let due = due(&files, 100).map(|merge| {
                let names = merge.files.iter().map(|it| it.path.split_once('/').unwrap().1);
                (merge.target, names.map(str::to_owned).collect::<Vec<_>>())
            });
            let due = due.as_ref().map(|(target, names)| {
                (*target, names.iter().map(String::as_str).collect::<Vec<_>>())
            });
            assert_eq!(due, want, "{name}");
        }
    }
}
