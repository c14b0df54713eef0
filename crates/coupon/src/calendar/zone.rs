//! Time zones: the only place where text becomes a [`Zone`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// Longest zone name accepted, in bytes. The longest name in the database has half of that.
pub const ZONE_LEN_MAX: usize = 64;

pub(super) static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// A time zone of the IANA database. Cheap to clone; two are equal when their names are.
#[derive(Clone)]
pub struct Zone(pub(super) TimeZone);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadZone {
    #[error("time zone has {found} bytes, want 1 to {ZONE_LEN_MAX}")]
    Length { found: usize },
    #[error("time zone is {found:?}, want a name of the IANA database like Asia/Seoul or UTC")]
    Unknown { found: Box<str> },
}

impl Zone {
    pub fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// The name as the database spells it.
    pub fn name(&self) -> &str {
        self.0.iana_name().expect("a zone is made from a name only")
    }

    /// How many seconds this zone is ahead of UTC at `second`, an instant in seconds.
    pub(super) fn offset_at(&self, second: i64) -> i64 {
        // The range of jiff ends a day before ours. No zone changes its offset after that.
        let second = second.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        let instant = Timestamp::from_second(second).expect("clamped to the range of jiff");
        i64::from(self.0.to_offset(instant).seconds())
    }
}

impl FromStr for Zone {
    type Err = BadZone;

    /// Looks up a name, ignoring case. Refuses POSIX rules, `local` and offsets.
    fn from_str(text: &str) -> Result<Zone, BadZone> {
        if !(1..=ZONE_LEN_MAX).contains(&text.len()) {
            return Err(BadZone::Length { found: text.len() });
        }
        let known = ZONES.get(text).ok().filter(|zone| {
            // The database has two placeholders that mean "no zone was set".
            !zone.is_unknown() && zone.iana_name().is_some_and(|name| name != "Factory")
        });
        known.map(Zone).ok_or_else(|| BadZone::Unknown { found: text.into() })
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn zone(name: &str) -> Zone {
        name.parse().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[test]
    fn zones() {
        let unknown = |found: &str| Err(BadZone::Unknown { found: found.into() });
        let long = "A".repeat(ZONE_LEN_MAX);
        let longer = "A".repeat(ZONE_LEN_MAX + 1);
        let cases = [
            ("UTC", "UTC", Ok("UTC")),
            ("the canonical spelling", "asia/seoul", Ok("Asia/Seoul")),
            ("three parts", "America/Argentina/Ushuaia", Ok("America/Argentina/Ushuaia")),
            ("ahead of all", "Pacific/Kiritimati", Ok("Pacific/Kiritimati")),
            ("behind all", "Etc/GMT+12", Ok("Etc/GMT+12")),
            ("empty", "", Err(BadZone::Length { found: 0 })),
            ("a name at the limit", &long, unknown(&long)),
            ("a name past it", &longer, Err(BadZone::Length { found: 65 })),
            ("a town that is none", "Asia/Atlantis", unknown("Asia/Atlantis")),
            ("the machine's", "local", unknown("local")),
            ("the machine's, as a file", "localtime", unknown("localtime")),
            ("a POSIX rule", "EST5EDT,M3.2.0,M11.1.0", unknown("EST5EDT,M3.2.0,M11.1.0")),
            ("a short POSIX rule", "KST-9", unknown("KST-9")),
            ("an offset", "+09:00", unknown("+09:00")),
            ("a path", "../../etc/passwd", unknown("../../etc/passwd")),
            ("a file's path", ":Asia/Seoul", unknown(":Asia/Seoul")),
            ("jiff's placeholder", "Etc/Unknown", unknown("Etc/Unknown")),
            ("the database's placeholder", "Factory", unknown("Factory")),
            ("a blank around it", " UTC", unknown(" UTC")),
        ];
        for (name, text, want) in cases {
            let found = text.parse::<Zone>();
            assert_eq!(found.as_ref().map(Zone::name), want.as_ref().copied(), "{name}");
        }
        assert_eq!(zone("utc"), Zone::utc());
        assert_ne!(zone("Etc/UTC"), Zone::utc(), "equal means equal in name");
    }

    #[test]
    fn every_zone_of_the_database_reads_back() {
        let mut count = 0;
        for name in ZONES.available().filter(|name| name.as_str() != "Factory") {
            assert_eq!(zone(name.as_str()).name(), name.as_str());
            assert!(name.as_str().len() <= ZONE_LEN_MAX / 2, "{name}");
            count += 1;
        }
        assert!(count > 400, "{count} zones");
    }

    #[test]
    fn an_error_says_what_was_found() {
        assert_eq!(
            "Mars/Base".parse::<Zone>().unwrap_err().to_string(),
            "time zone is \"Mars/Base\", want a name of the IANA database like Asia/Seoul or UTC",
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            let _ = text.parse::<Zone>();
        }
    }
}
