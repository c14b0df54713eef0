//! Which release of SQLite wrote the store last: earlier ones than ours can lose commits.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hot_sqlite::FILE_NAME;

use super::Verdict;

/// Offset of the field in the first page where SQLite writes its release.
const WRITTEN_BY_AT: usize = 96;

/// The first release that does not lose commits, as SQLite counts releases.
const SQLITE_WANTED: u32 = 3_051_003;

pub(super) fn written_by(path: &Path) -> Verdict {
    let mut header = [0; WRITTEN_BY_AT + 4];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    if let Err(error) = read {
        return Verdict::Fail(format!("cannot read {}: {error}", path.display()));
    }
    let mut number = [0; 4];
    number.copy_from_slice(&header[WRITTEN_BY_AT..]);
    release(u32::from_be_bytes(number))
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
