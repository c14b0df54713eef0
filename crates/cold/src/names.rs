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
    /// The last erasure whose person the rows do not name; 0 before the first.
    pub(crate) through: u64,
}

impl FileOrigin {
    /// The end of the name of a new file: `0000000001-….parquet`, or `0000000001-r2-e7-….parquet` after two merges and
    /// seven erasures. Only the name says so.
    fn name(self) -> String {
        let FileOrigin { archive_commit, rewrites, through, .. } = self;
        let mark = |letter: char, number: u64| match number {
            0 => String::new(),
            some => format!("{letter}{some}-"),
        };
        let marks = mark('r', rewrites.into()) + &mark('e', through);
        format!("{archive_commit:0ARCHIVE_COMMIT_DIGITS$}-{marks}{}.parquet", Uuid::new_v4())
    }
}

/// A day as in messages and folder names: `2026-12-31`.
pub(crate) fn iso(day: Day) -> String {
    Date::of(day.start(), &Zone::utc()).to_string()
}

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

/// A new file of `coupons`: `expiry_day=2026-12-31/0000000001-….parquet`.
pub(crate) fn coupons_file(origin: FileOrigin) -> String {
    format!("expiry_day={}/{}", iso(origin.day), origin.name())
}

/// A new file of `coupons_by_holder`: `month=2026-12/2026-12-31-0000000001-….parquet`.
pub(crate) fn by_holder_file(origin: FileOrigin) -> String {
    format!("month={}/{}-{}", month(origin.day), iso(origin.day), origin.name())
}

/// A new file of the holder index: `level=1/0000000001-….parquet`.
pub(crate) fn index_file(level: u8, origin: FileOrigin) -> String {
    format!("level={level}/{}", origin.name())
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
        return origin_of(INDEX, name);
    }
    let (day, rest) = match folder.strip_prefix("expiry_day=") {
        Some(day) => (day, name),
        None => {
            let month_here = folder.strip_prefix("month=")?;
            let (day, rest) = name.split_at_checked(month_here.len() + "-31".len())?;
            (day.strip_prefix(month_here).map(|_| day)?, rest.strip_prefix('-')?)
        }
    };
    origin_of(day_from_iso(day)?, rest)
}

/// Parses what [`FileOrigin::name`] wrote.
fn origin_of(day: Day, name: &str) -> Option<FileOrigin> {
    let (archive_commit, rest) = name.strip_suffix(".parquet")?.split_once('-')?;
    let (rewrites, rest) = marked(rest, 'r')?;
    let (through, id) = marked(rest, 'e')?;
    if archive_commit.len() != ARCHIVE_COMMIT_DIGITS || Uuid::try_parse(id).is_err() {
        return None;
    }
    let (archive_commit, rewrites) = (archive_commit.parse().ok()?, rewrites.try_into().ok()?);
    Some(FileOrigin { day, archive_commit, rewrites, through })
}

/// The number behind `letter`, 0 if there is no such mark, and the rest.
fn marked(text: &str, letter: char) -> Option<(u64, &str)> {
    // An id may begin with an e, too: its digits are hexadecimal.
    let mark = text.strip_prefix(letter).filter(|_| Uuid::try_parse(text).is_err());
    match mark.and_then(|mark| mark.split_once('-')) {
        Some((number, rest)) => Some((number.parse().ok().filter(|some| *some > 0)?, rest)),
        None => Some((0, text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back() {
        let day = day_from_iso("2026-12-31").unwrap();
        assert_eq!(month(day), "2026-12");
        for (archive_commit, through) in [(1, 0), (9_999_999_999, 0), (1, 7), (2, u64::MAX)] {
            for rewrites in [0, 1, 2, u8::MAX] {
                let written = FileOrigin { day, archive_commit, rewrites, through };
                assert_eq!(origin(&coupons_file(written)), Some(written));
                assert_eq!(origin(&by_holder_file(written)), Some(written));
                let written = FileOrigin { day: INDEX, ..written };
                assert_eq!(origin(&index_file(3, written)), Some(written));
                assert_eq!(level(&index_file(3, written)), Some(3));
            }
        }
        for day in [day, INDEX] {
            assert_eq!(day_of_partition_id(&partition_id(day)), Some(day));
        }
        // An id that begins with an e and digits is no mark.
        let path = "level=0/0000000001-e1234567-0000-4000-8000-000000000000.parquet";
        assert_eq!(origin(path).map(|it| it.through), Some(0));
    }

    #[test]
    fn other_names_are_not_ours() {
        let id = "00000000-0000-4000-8000-000000000000";
        let cases = [
            ("another writer's", "expiry_day=2026-12-31/part-00000.parquet".to_owned()),
            ("no archive commit", format!("expiry_day=2026-12-31/{id}.parquet")),
            ("a short archive commit", format!("expiry_day=2026-12-31/1-{id}.parquet")),
            ("rewritten no times", format!("expiry_day=2026-12-31/0000000001-r0-{id}.parquet")),
            ("through no erasure", format!("expiry_day=2026-12-31/0000000001-e0-{id}.parquet")),
            ("marks in the other order", format!("level=0/0000000001-e1-r1-{id}.parquet")),
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
