//! Spans of days: those that people ask for by name, and the one before.

use std::ops::RangeInclusive;

use coupon::calendar::{Date, Zone};

pub(crate) type DaySpan = RangeInclusive<Date>;

/// Days of a report if nobody says.
const DAYS: u32 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpanPreset {
    Yesterday,
    LastWeek,
    ThisMonth,
    LastMonth,
    Recent,
}

impl SpanPreset {
    pub(crate) const ALL: [SpanPreset; 5] = [
        SpanPreset::Yesterday,
        SpanPreset::LastWeek,
        SpanPreset::ThisMonth,
        SpanPreset::LastMonth,
        SpanPreset::Recent,
    ];

    pub(crate) fn days(self, today: Date) -> DaySpan {
        match self {
            SpanPreset::Yesterday => today.minus_days(1)..=today.minus_days(1),
            SpanPreset::LastWeek => {
                let sunday = today.minus_days(today.weekday() + 1);
                sunday.minus_days(6)..=sunday
            }
            SpanPreset::ThisMonth => first_of_month(today)..=today,
            SpanPreset::LastMonth => {
                let last = first_of_month(today).minus_days(1);
                first_of_month(last)..=last
            }
            SpanPreset::Recent => today.minus_days(DAYS - 1)..=today,
        }
    }
}

/// The whole month before a whole month, else as many days; `None` before 1970.
pub(crate) fn before(days: &DaySpan) -> Option<DaySpan> {
    let (from, to) = (*days.start(), *days.end());
    let count = number(to) - number(from) + 1;
    if number(from) <= count.max(31) {
        return None;
    }
    let last = from.minus_days(1);
    let is_month = first_of_month(to) == from && first_of_month(to.plus_days(1)) != from;
    Some(
        if is_month {
            first_of_month(last)
        } else {
            from.minus_days(u32::try_from(count).unwrap_or(0))
        }..=last,
    )
}

/// Days since 1970.
fn number(date: Date) -> i64 {
    i64::from(date.first_instant(&Zone::utc()).day().0)
}

fn first_of_month(date: Date) -> Date {
    let text = date.to_string();
    let day = text.get(8..).and_then(|day| day.parse::<u32>().ok()).unwrap_or(1);
    date.minus_days(day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: &str, to: &str) -> DaySpan {
        from.parse().unwrap()..=to.parse().unwrap()
    }

    #[test]
    fn presets() {
        let rows = [
            ("2026-11-20", SpanPreset::Yesterday, span("2026-11-19", "2026-11-19")),
            ("2026-11-20", SpanPreset::LastWeek, span("2026-11-09", "2026-11-15")),
            ("2026-11-16", SpanPreset::LastWeek, span("2026-11-09", "2026-11-15")),
            ("2026-11-15", SpanPreset::LastWeek, span("2026-11-02", "2026-11-08")),
            ("2026-11-01", SpanPreset::ThisMonth, span("2026-11-01", "2026-11-01")),
            ("2026-03-31", SpanPreset::LastMonth, span("2026-02-01", "2026-02-28")),
            ("2027-01-05", SpanPreset::LastMonth, span("2026-12-01", "2026-12-31")),
            ("2026-11-20", SpanPreset::Recent, span("2026-10-22", "2026-11-20")),
        ];
        for (today, preset, want) in rows {
            assert_eq!(preset.days(today.parse().unwrap()), want, "{today} {preset:?}");
        }
    }

    #[test]
    fn spans_before() {
        let rows = [
            ("a day", span("2026-11-20", "2026-11-20"), Some(span("2026-11-19", "2026-11-19"))),
            ("a week", span("2026-11-09", "2026-11-15"), Some(span("2026-11-02", "2026-11-08"))),
            ("a month", span("2026-03-01", "2026-03-31"), Some(span("2026-02-01", "2026-02-28"))),
            (
                "no whole one",
                span("2026-11-01", "2026-11-20"),
                Some(span("2026-10-12", "2026-10-31")),
            ),
            (
                "two months",
                span("2026-05-01", "2026-06-30"),
                Some(span("2026-03-01", "2026-04-30")),
            ),
            ("the first days", span("1970-01-05", "1970-01-10"), None),
        ];
        for (name, days, want) in rows {
            assert_eq!(before(&days), want, "{name}");
        }
    }
}
