//! Minimum and maximum of columns, as an entry of the log or a footer has them.

use coupon::calendar::parse_instant;
use coupon::time::Millis;
use serde_json::Value;

/// Minimum and maximum of columns of a file or of a row group. A missing pair excludes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnBounds {
    pub code: Option<(String, String)>,
    pub campaign: Option<(String, String)>,
    pub holder: Option<(String, String)>,
    pub expires_at: Option<(Millis, Millis)>,
    pub modified_at: Option<(Millis, Millis)>,
    /// The first and the last redemption that was not cancelled; the first is the later one if there is none.
    pub redeemed_at: Option<(Millis, Millis)>,
    pub version: Option<(u64, u64)>,
    /// The archive commits that brought the rows to cold.
    pub archived_in: Option<(u64, u64)>,
}

impl ColumnBounds {
    /// Of the statistics of an add action; `None` if they have no number of rows.
    pub(crate) fn from_stats(text: &str) -> Option<(u64, ColumnBounds)> {
        let stats: Value = serde_json::from_str(text).ok()?;
        let rows = stats["numRecords"].as_u64()?;
        let ends = |column: &str| {
            let end = |side: &str| stats[side][column].as_str().map(str::to_owned);
            Some((end("minValues")?, end("maxValues")?))
        };
        let instants = |column: &str| {
            let (from, to) = ends(column)?;
            Some((parse_instant(&from).ok()?, parse_instant(&to).ok()?))
        };
        let numbers = |column: &str| {
            Some((stats["minValues"][column].as_u64()?, stats["maxValues"][column].as_u64()?))
        };
        let bounds = ColumnBounds {
            code: ends("code"),
            campaign: ends("campaign_id"),
            // Not in the log, which nobody rewrites: it must not name persons.
            holder: None,
            expires_at: instants("expires_at"),
            modified_at: instants("modified_at"),
            redeemed_at: match stats["nullCount"]["redeemed_at"].as_u64() {
                Some(nulls) if nulls == rows => Some(NEVER),
                Some(_) | None => instants("redeemed_at"),
            },
            version: numbers("version"),
            archived_in: numbers("archived_in"),
        };
        Some((rows, bounds))
    }
}

/// The bounds of instants where there is none.
pub(crate) const NEVER: (Millis, Millis) = (Millis(i64::MAX), Millis(i64::MIN));

pub(crate) fn may_hold(ends: Option<&(String, String)>, value: &str) -> bool {
    ends.is_none_or(|(from, to)| from.as_str() <= value && value <= to.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_are_read() {
        let text = r#"{"numRecords":2,"minValues":{"code":"AAAA","expires_at":"2026-12-31T00:00:00.001Z"},
            "maxValues":{"code":"BBBB","expires_at":"2026-12-31T00:00:00.002Z"}}"#;
        let (rows, bounds) = ColumnBounds::from_stats(text).unwrap();
        assert_eq!(rows, 2);
        let cases =
            [("AAA9", false), ("AAAA", true), ("ABAB", true), ("BBBB", true), ("BBBC", false)];
        for (code, want) in cases {
            assert_eq!(may_hold(bounds.code.as_ref(), code), want, "{code}");
        }
        let (from, to) = bounds.expires_at.unwrap();
        assert_eq!(to.0 - from.0, 1);
        assert_eq!(bounds.campaign, None);
        assert!(may_hold(bounds.campaign.as_ref(), "any"));
        assert_eq!(ColumnBounds::from_stats("{}"), None);
        assert_eq!(ColumnBounds::from_stats("x"), None);
    }
}
