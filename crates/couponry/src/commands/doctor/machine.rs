//! Checks of the machine: clock, data folder, free space, file system, SQLite.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use coupon::calendar::format_instant;
use coupon::time::Millis;
use hot_sqlite::FILE_NAME;

use super::Verdict;
use crate::failure::{CliError, Result};
use crate::files;

/// 2026-01-01. This release was made later, so an earlier clock is wrong.
const CLOCK_MIN: Millis = Millis(1_767_225_600_000);

/// Offset of the field in the first page where SQLite writes its release.
const WRITTEN_BY_AT: usize = 96;

/// The first release that does not lose commits, as SQLite counts releases.
const SQLITE_WANTED: u32 = 3_051_003;

/// Warn about less free space than this many times the limit.
const SPACE_TIMES: u64 = 4;

pub(super) fn clock_at(now: Millis) -> Verdict {
    let text = format!("it is {}", format_instant(now));
    match now >= CLOCK_MIN {
        true => Verdict::Ok(text),
        false => Verdict::Fail(format!("{text}, before this release was made: set the clock")),
    }
}

/// Whether others are kept out of what is in the data folder, and of the folder of the archive.
pub(super) fn contents(data: &Path, cold: Option<&Path>) -> Verdict {
    let is_open = |path: &Path| {
        path.metadata().is_ok_and(|about| about.permissions().mode() & files::OTHERS != 0)
    };
    let entries = std::fs::read_dir(data).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path()).chain(cold.map(Path::to_owned));
    let mut open: Vec<PathBuf> = paths.filter(|path| is_open(path)).collect();
    // Nobody comes to what is in a folder that is closed.
    open.retain(|path| !path.starts_with(data) || is_open(data));
    open.sort();
    open.dedup();
    match open.is_empty() {
        true => Verdict::Ok("only the owner can open what is in it, and the archive".to_owned()),
        false => {
            let open: Vec<String> = open.iter().map(|path| path.display().to_string()).collect();
            Verdict::Warn(format!(
                "others can read or change {}: `chmod go=` them",
                open.join(", ")
            ))
        }
    }
}

/// Whether the folder belongs to this user, and others are kept out.
pub(super) fn permissions(data: &Path) -> Result<Verdict> {
    let about = data.metadata().map_err(CliError::because(data.display()))?;
    let (folder, mode) = (data.display(), about.permissions().mode() & 0o777);
    let us = rustix::process::geteuid().as_raw();
    if about.uid() != us {
        return Ok(Verdict::Warn(format!(
            "{folder} belongs to user {}, this is user {us}: run the commands as the user that \
             runs `serve`, so that `serve` can write the files they make",
            about.uid()
        )));
    }
    Ok(match mode & 0o077 {
        0 => Verdict::Ok(format!("only the owner can open {folder}")),
        _ => Verdict::Warn(format!(
            "{folder} has mode {mode:03o}, so others can read coupons: chmod 700 it"
        )),
    })
}

pub(super) fn free_space(folder: &Path, min: u64) -> Result<Verdict> {
    let free = files::free_bytes(folder).map_err(CliError::because(folder.display()))?;
    Ok(room(free, min))
}

fn room(free: u64, min: u64) -> Verdict {
    let text = format!("{} MiB; writes stop below {} MiB", free >> 20, min >> 20);
    match free {
        free if free < min => Verdict::Fail(text),
        free if free < min.saturating_mul(SPACE_TIMES) => Verdict::Warn(text),
        _ => Verdict::Ok(text),
    }
}

/// Whether the file system keeps the data and honours locks.
#[cfg(target_os = "linux")]
pub(super) fn file_system(folder: &Path) -> Verdict {
    match rustix::fs::statfs(folder) {
        Ok(stat) => kind(stat.f_type as u64),
        Err(error) => Verdict::Fail(format!("{}: {error}", folder.display())),
    }
}

/// Only Linux tells.
#[cfg(not(target_os = "linux"))]
pub(super) fn file_system(_: &Path) -> Verdict {
    Verdict::Ok("unknown on this system".into())
}

/// The numbers of `statfs(2)`.
#[cfg(target_os = "linux")]
fn kind(number: u64) -> Verdict {
    match number {
        0x0102_1994 | 0x8584_58f6 => {
            Verdict::Warn("in memory: a restart of the machine deletes the data".into())
        }
        0x794c_7630 => {
            Verdict::Warn("of a container, which deletes the data with it: mount a volume".into())
        }
        0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b => {
            let text = "on the network, where SQLite's locks do not hold: use a local disk";
            Verdict::Fail(text.into())
        }
        _ => Verdict::Ok("probably a local disk".into()),
    }
}

/// Which release of SQLite wrote the store last: earlier ones than ours can lose commits.
pub(super) fn written_by(path: &Path) -> Result<Verdict> {
    let mut header = [0; WRITTEN_BY_AT + 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    read.map_err(CliError::cannot("read", path))?;
    let [.., a, b, c, d] = header;
    Ok(release(u32::from_be_bytes([a, b, c, d])))
}

fn release(number: u32) -> Verdict {
    let text = |number: u32| {
        format!("{}.{}.{}", number / 1_000_000, number / 1_000 % 1_000, number % 1_000)
    };
    let (found, wanted) = (text(number), text(SQLITE_WANTED));
    match number >= SQLITE_WANTED {
        true => Verdict::Ok(format!("{FILE_NAME} was last written by SQLite {found}")),
        false => Verdict::Warn(format!(
            "{FILE_NAME} was last written by SQLite {found}, which can lose commits: write it \
             only with couponry, or with SQLite {wanted} and later"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        let cases = [
            ("the first moment of 2026", CLOCK_MIN, "ok"),
            ("the last of 2025", CLOCK_MIN.plus_ms(-1), "FAIL"),
        ];
        for (name, now, want) in cases {
            assert_eq!(clock_at(now).word(), want, "{name}");
        }
        assert_eq!(format_instant(CLOCK_MIN), "2026-01-01T00:00:00.000Z");
    }

    #[test]
    fn rooms() {
        let cases = [
            ("below the limit", 255, "FAIL"),
            ("at the limit", 256, "warn"),
            ("below four times", 1_023, "warn"),
            ("four times", 1_024, "ok"),
        ];
        for (name, mib, want) in cases {
            assert_eq!(room(mib << 20, 256 << 20).word(), want, "{name}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn kinds() {
        let cases =
            [("tmpfs", 0x0102_1994, "warn"), ("nfs", 0x6969, "FAIL"), ("ext4", 0xef53, "ok")];
        for (name, number, want) in cases {
            assert_eq!(kind(number).word(), want, "{name}");
        }
    }

    #[test]
    fn releases() {
        let cases = [
            ("the first good one", 3_051_003, true),
            ("one before", 3_051_002, false),
            ("a later one", 3_100_000, true),
        ];
        for (name, number, good) in cases {
            assert_eq!(matches!(release(number), Verdict::Ok(_)), good, "{name}");
        }
        let Verdict::Ok(text) = release(3_051_003) else { panic!("it is good") };
        assert!(text.ends_with("SQLite 3.51.3"), "{text}");
    }
}
