//! Names of files and folders: the only place where a day, a month or an archive commit becomes
//! part of a name.
//!
//! The name of a file has the day and the archive commit that wrote it. So a sweep can tell,
//! without opening the file, whether its writer may still commit it.

use coupon::calendar::{Date, Zone};
use coupon::time::Day;
use object_store::path::Path;
use uuid::Uuid;

/// Digits of an archive commit in a name, so that names sort in the order of archive commits.
const ARCHIVE_COMMIT_DIGITS: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileOrigin {
    pub(crate) day: Day,
    pub(crate) archive_commit: u64,
    /// How often merges have rewritten rows of the file, at most; 0 for rows out of hot.
    pub(crate) rewrites: u8,
}

/// A day as in messages and folder names: `2026-12-31`.
pub(crate) fn iso(day: Day) -> String {
    Date::of(day.start(), &Zone::utc()).to_string()
}

/// Parses what [`iso`] wrote.
pub(crate) fn day_from_iso(text: &str) -> Option<Day> {
    let date: Date = text.parse().ok()?;
    let day = date.first_instant(&Zone::utc()).day();
    (iso(day) == text).then_some(day)
}

/// The month of a day: `2026-12`.
pub(crate) fn month(day: Day) -> String {
    let mut text = iso(day);
    text.truncate(text.len() - "-31".len());
    text
}

/// The holder index has no partitions by day. Its files and commits are kept under this day, which
/// no coupon has.
pub(crate) const INDEX: Day = Day(i32::MIN);

const INDEX_ID: &str = "holder_index";

/// The Delta transaction id of every commit to the partition of a day.
pub(crate) fn partition_id(day: Day) -> String {
    match day {
        INDEX => INDEX_ID.to_owned(),
        day => format!("partition/{}", iso(day)),
    }
}

pub(crate) fn day_of_partition_id(id: &str) -> Option<Day> {
    match id {
        INDEX_ID => Some(INDEX),
        id => day_from_iso(id.strip_prefix("partition/")?),
    }
}

/// A new file of `coupons`: `expiry_day=2026-12-31/0000000001-….parquet`, or
/// `expiry_day=2026-12-31/0000000002-r1-….parquet` if a merge rewrote its rows. Only the name says
/// so.
pub(crate) fn coupons_file(origin: FileOrigin) -> String {
    let (day, archive_commit, id) = (iso(origin.day), origin.archive_commit, Uuid::new_v4());
    let rewrites = match origin.rewrites {
        0 => String::new(),
        some => format!("r{some}-"),
    };
    format!("expiry_day={day}/{archive_commit:0ARCHIVE_COMMIT_DIGITS$}-{rewrites}{id}.parquet")
}

/// A new file of `coupons_by_holder`: `month=2026-12/2026-12-31-0000000001-….parquet`.
pub(crate) fn by_holder_file(day: Day, archive_commit: u64) -> String {
    let (month, day, id) = (month(day), iso(day), Uuid::new_v4());
    format!("month={month}/{day}-{archive_commit:0ARCHIVE_COMMIT_DIGITS$}-{id}.parquet")
}

/// A new file of the holder index: `level=1/0000000001-….parquet`.
pub(crate) fn index_file(level: u8, archive_commit: u64) -> String {
    format!("level={level}/{archive_commit:0ARCHIVE_COMMIT_DIGITS$}-{}.parquet", Uuid::new_v4())
}

pub(crate) fn level(path: &str) -> Option<u8> {
    path.strip_prefix("level=")?.split_once('/')?.0.parse().ok()
}

/// The version in the name of an object of a log, and its kind: `json` or `checkpoint.parquet`.
pub(crate) fn log_object(object: &Path) -> Option<(u64, &str)> {
    let (version, what) = object.filename()?.split_once('.')?;
    let is_version = version.len() == 20 && version.bytes().all(|byte| byte.is_ascii_digit());
    is_version.then_some((version.parse().ok()?, what))
}

/// Parses the name of a file of any of the three tables; `None` if couponry did not name it.
pub(crate) fn origin(path: &str) -> Option<FileOrigin> {
    let (folder, name) = path.split_once('/')?;
    if level(path).is_some() {
        let (archive_commit, rewrites) = archive_commit_of(name)?;
        return Some(FileOrigin { day: INDEX, archive_commit, rewrites });
    }
    let (day, rest) = match folder.strip_prefix("expiry_day=") {
        Some(day) => (day, name),
        None => {
            let month_here = folder.strip_prefix("month=")?;
            let (day, rest) = name.split_at_checked(month_here.len() + "-31".len())?;
            (day.strip_prefix(month_here).map(|_| day)?, rest.strip_prefix('-')?)
        }
    };
    let (archive_commit, rewrites) = archive_commit_of(rest)?;
    Some(FileOrigin { day: day_from_iso(day)?, archive_commit, rewrites })
}

/// The archive commit in `0000000001-….parquet`, and the 2 in `0000000001-r2-….parquet`.
fn archive_commit_of(name: &str) -> Option<(u64, u8)> {
    let (archive_commit, id) = name.strip_suffix(".parquet")?.split_once('-')?;
    let (rewrites, id) = match id.strip_prefix('r').and_then(|id| id.split_once('-')) {
        // No id begins with an r: its digits are hexadecimal.
        Some((rewrites, id)) => (rewrites.parse().ok().filter(|some| *some > 0)?, id),
        None => (0, id),
    };
    if archive_commit.len() != ARCHIVE_COMMIT_DIGITS || Uuid::try_parse(id).is_err() {
        return None;
    }
    Some((archive_commit.parse().ok()?, rewrites))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back() {
        let day = day_from_iso("2026-12-31").unwrap();
        assert_eq!(month(day), "2026-12");
        for archive_commit in [1, 9_999_999_999] {
            for rewrites in [0, 1, 2, u8::MAX] {
                let written = FileOrigin { day, archive_commit, rewrites };
                assert_eq!(origin(&coupons_file(written)), Some(written));
            }
            let of_holders = FileOrigin { day, archive_commit, rewrites: 0 };
            assert_eq!(origin(&by_holder_file(day, archive_commit)), Some(of_holders));
        }
        for day in [day, INDEX] {
            assert_eq!(day_of_partition_id(&partition_id(day)), Some(day));
        }
        let path = index_file(3, 7);
        assert_eq!(origin(&path), Some(FileOrigin { day: INDEX, archive_commit: 7, rewrites: 0 }));
        assert_eq!(level(&path), Some(3));
    }

    #[test]
    fn other_names_are_not_ours() {
        let id = "00000000-0000-4000-8000-000000000000";
        let cases = [
            ("another writer's", "expiry_day=2026-12-31/part-00000.parquet".to_owned()),
            ("no archive commit", format!("expiry_day=2026-12-31/{id}.parquet")),
            ("a short archive commit", format!("expiry_day=2026-12-31/1-{id}.parquet")),
            ("rewritten no times", format!("expiry_day=2026-12-31/0000000001-r0-{id}.parquet")),
            ("too often", format!("expiry_day=2026-12-31/0000000001-r256-{id}.parquet")),
            ("no such day", format!("expiry_day=2026-02-30/0000000001-{id}.parquet")),
            ("a day of another month", format!("month=2026-12/2026-11-30-0000000001-{id}.parquet")),
            ("no level", format!("level=x/0000000001-{id}.parquet")),
            ("the log", "_delta_log/00000000000000000000.json".to_owned()),
            ("no folder", format!("0000000001-{id}.parquet")),
            ("a name outside ASCII", "month=2026-12/ääääääääääää".to_owned()),
        ];
        for (name, path) in cases {
            assert_eq!(origin(&path), None, "{name}");
        }
    }
}
