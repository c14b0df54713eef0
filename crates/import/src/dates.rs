//! Dates as people, spreadsheets and databases write them: the only place that reads a cell as a day or
//! an instant.
//!
//! A form is read if it can mean one day only. Two digits are no year, and `03/04/2027` is one of two
//! days: the caller says which.

use std::str::FromStr;

use coupon::calendar::{Date, Zone, format_local, parse_instant};
use coupon::time::{DAY_MS, Millis};

/// What comes first in dates like `03/04/2027`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateOrder {
    /// Nobody has said, so they are refused.
    #[default]
    Unsaid,
    DayFirst,
    MonthFirst,
}

impl DateOrder {
    /// The text that [`FromStr`] reads; `None` if nobody has said.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            DateOrder::Unsaid => None,
            DateOrder::DayFirst => Some("day-first"),
            DateOrder::MonthFirst => Some("month-first"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is none of day-first and month-first")]
pub struct BadDateOrder;

impl FromStr for DateOrder {
    type Err = BadDateOrder;

    fn from_str(text: &str) -> Result<DateOrder, BadDateOrder> {
        let orders = [DateOrder::DayFirst, DateOrder::MonthFirst];
        orders.into_iter().find(|it| it.as_str() == Some(text)).ok_or(BadDateOrder)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateFault {
    #[error(
        "want a date that exists (2026-12-31 or 20261231) or an instant (2026-12-31T23:59:59Z)"
    )]
    Form,
    #[error("which is one of two days; say dates=day-first or dates=month-first")]
    Order,
    #[error("want a year of four digits")]
    ShortYear,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParsedDate {
    /// A day. Midnight without a zone is one too: so Excel and MySQL write a day.
    Day(Date),
    At(Millis),
}

/// The words between the numbers of a date, and of days of the week.
const FILLERS: &str =
    "년 월 일 시 분 초 mon tue wed thu fri sat sun monday tuesday wednesday thursday
    friday saturday sunday 월요일 화요일 수요일 목요일 금요일 토요일 일요일 화 수 목 금 토 of at t";

/// Each is also written by its first three letters.
const MONTHS: &str =
    "january february march april may june july august september october november december";

/// Longest cell that is read as a date, in bytes.
const DATE_LEN_MAX: usize = 64;

/// A time without an offset is one of `zone`.
pub(crate) fn read(cell: &str, zone: &Zone, order: DateOrder) -> Result<ParsedDate, DateFault> {
    if let Ok(date) = cell.parse::<Date>() {
        return Ok(ParsedDate::Day(date));
    }
    if let Ok(instant) = parse_instant(cell) {
        return Ok(ParsedDate::At(instant));
    }
    if cell.len() > DATE_LEN_MAX {
        return Err(DateFault::Form);
    }
    let (day, time) = match cell.find(':') {
        // The hour is the number before the colon, with a word for the half of the day before it.
        Some(colon) => split_time(cell, colon),
        None => (cell, ""),
    };
    let date = day_of(&parts(day).ok_or(DateFault::Form)?, order)?;
    if time.is_empty() {
        return Ok(ParsedDate::Day(date));
    }
    let (clock, offset) = clock_of(time).ok_or(DateFault::Form)?;
    let is_midnight = clock.bytes().all(|byte| b"0:.".contains(&byte));
    match offset {
        Some(offset) => Ok(ParsedDate::At(instant(date, &clock, offset)?)),
        None if is_midnight => Ok(ParsedDate::Day(date)),
        None => {
            let utc = instant(date, &clock, "Z")?;
            // The offset of the clocks of the zone near that time: they show no decimals.
            let near = date.first_instant(zone).plus_ms(utc.0 % DAY_MS / 1_000 * 1_000);
            let shown = parse_instant(&format!("{}Z", format_local(near, zone)));
            let ahead = shown.map_err(|_| DateFault::Form)?.0 - near.0;
            Ok(ParsedDate::At(utc.plus_ms(-ahead)))
        }
    }
}

fn instant(date: Date, clock: &str, offset: &str) -> Result<Millis, DateFault> {
    parse_instant(&format!("{date}T{clock}{offset}")).map_err(|_| DateFault::Form)
}

fn split_time(cell: &str, colon: usize) -> (&str, &str) {
    let before = cell[..colon].trim_end_matches(|c: char| c.is_ascii_digit());
    let halves = ["오전", "오후", "AM", "PM", "am", "pm"];
    let at = before.trim_end();
    let at = halves.iter().find_map(|half| at.strip_suffix(*half)).unwrap_or(before);
    cell.split_at(at.len())
}

/// A number with the count of its digits, or a month that was written as a word.
enum DatePart {
    Number(u32, usize),
    Month(u32),
}

/// The numbers and months of a day, without what stands between them; `None` for other words.
fn parts(text: &str) -> Option<Vec<DatePart>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_same = |c: char| match first.is_ascii_digit() {
            true => c.is_ascii_digit(),
            false => c.is_alphabetic(),
        };
        let len = rest.find(|c: char| !is_same(c)).unwrap_or(rest.len());
        if len == 0 {
            if !first.is_whitespace() && !matches!(first, '.' | '/' | '-' | ',' | '(' | ')') {
                return None;
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(len);
        rest = after;
        if first.is_ascii_digit() {
            parts.push(DatePart::Number(word.parse().ok()?, len));
            continue;
        }
        let word = word.to_lowercase();
        if FILLERS.split_whitespace().any(|filler| filler == word) {
            continue;
        }
        parts.push(DatePart::Month(month(&word)?));
    }
    Some(parts)
}

fn month(word: &str) -> Option<u32> {
    let at = MONTHS.split(' ').position(|name| word == name || word == &name[..3])?;
    u32::try_from(at + 1).ok()
}

fn day_of(parts: &[DatePart], order: DateOrder) -> Result<Date, DateFault> {
    use DatePart::{Month, Number};
    let (year, month, day) = match *parts {
        [Number(year, 4), Number(month, 1..=2) | Month(month), Number(day, 1..=2)]
        | [Number(day, 1..=2), Month(month), Number(year, 4)]
        | [Month(month), Number(day, 1..=2), Number(year, 4)] => (year, month, day),
        [Number(first, 1..=2), Number(second, 1..=2), Number(year, 4)] => match order {
            DateOrder::Unsaid => return Err(DateFault::Order),
            DateOrder::DayFirst => (year, second, first),
            DateOrder::MonthFirst => (year, first, second),
        },
        [Number(_, 1..=2) | Month(_), Number(_, 1..=2) | Month(_), Number(_, 1..=2)] => {
            return Err(DateFault::ShortYear);
        }
        _ => return Err(DateFault::Form),
    };
    format!("{year:04}-{month:02}-{day:02}").parse().map_err(|_| DateFault::Form)
}

/// `HH:MM:SS` with its decimals, and the offset if there is one.
fn clock_of(text: &str) -> Option<(String, Option<&str>)> {
    let at = text.find(|c: char| c.is_ascii_digit())?;
    let end = text[at..].find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.'));
    let (clock, after) = text[at..].split_at(end.unwrap_or(text.len() - at));
    let mut numbers = clock.split(':');
    let mut hour: u32 = numbers.next()?.parse().ok()?;
    let minute = numbers.next()?;
    let second = numbers.next().unwrap_or("00");
    if numbers.next().is_some() {
        return None;
    }
    let after = after.trim();
    let half = format!("{}{}", text[..at].trim(), after).to_lowercase();
    let offset = match half.as_str() {
        "" => None,
        "오전" | "am" | "오후" | "pm" if !(1..=12).contains(&hour) => return None,
        "오전" | "am" => {
            hour %= 12;
            None
        }
        "오후" | "pm" => {
            hour = hour % 12 + 12;
            None
        }
        "z" | "utc" | "gmt" => Some("Z"),
        _ if after.starts_with(['+', '-']) && text[..at].trim().is_empty() => Some(after),
        _ => return None,
    };
    Some((format!("{hour:02}:{minute}:{second}"), offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        let zone: Zone = "Asia/Seoul".parse().unwrap();
        let day = |text: &str| Ok(ParsedDate::Day(text.parse().unwrap()));
        let at = |text: &str| Ok(ParsedDate::At(parse_instant(text).unwrap()));
        let march = day("2027-03-04");
        let afternoon = at("2027-03-04T15:04:05+09:00");
        let cases = [
            ("ISO", "2027-03-04", march),
            ("digits", "20270304", march),
            ("slashes", "2027/03/04", march),
            ("short numbers", "2027/3/4", march),
            ("Korean dots", "2027. 3. 4.", march),
            ("Korean dots without blanks", "2027.03.04", march),
            ("Korean words", "2027년 3월 4일", march),
            ("Korean words together", "2027년03월04일", march),
            ("a day of the week", "2027-03-04 (목)", march),
            ("MySQL", "2027-03-04 00:00:00", march),
            ("Excel", "2027-03-04 0:00", march),
            ("a month by name", "4-Mar-2027", march),
            ("a month first", "March 4, 2027", march),
            ("with its weekday", "Thu, 4 Mar 2027", march),
            ("a time", "2027-03-04 15:04:05", afternoon),
            ("a time with T", "2027-03-04T15:04:05", afternoon),
            ("a Korean time", "2027. 3. 4. 오후 3:04:05", afternoon),
            ("an English time", "2027/03/04 3:04:05 PM", afternoon),
            ("with decimals", "2027-03-04 15:04:05.000", afternoon),
            ("midnight with decimals", "2027-03-04 00:00:00.000", march),
            ("noon", "2027-03-04 12:00 PM", at("2027-03-04T12:00:00+09:00")),
            ("midnight", "2027-03-04 오전 12:00:00", march),
            ("UTC", "2027-03-04 06:04:05 UTC", afternoon),
            ("an offset", "2027/3/4 07:04:05 +01:00", afternoon),
            ("an instant", "2027-03-04T06:04:05Z", afternoon),
            ("one of two days", "03/04/2027", Err(DateFault::Order)),
            ("also if only one exists", "31.12.2026", Err(DateFault::Order)),
            ("two digits", "27-03-04", Err(DateFault::ShortYear)),
            ("two digits last", "04/03/27", Err(DateFault::ShortYear)),
            ("two digits and a name", "4-Mar-27", Err(DateFault::ShortYear)),
            ("no such day", "2027/02/30", Err(DateFault::Form)),
            ("no such month", "4-Foo-2027", Err(DateFault::Form)),
            ("no such hour", "2027-03-04 25:00:00", Err(DateFault::Form)),
            ("no such hour of a half", "2027-03-04 오후 13:00:00", Err(DateFault::Form)),
            ("a number of a spreadsheet", "46450", Err(DateFault::Form)),
            ("a month", "2027-03", Err(DateFault::Form)),
            ("soon", "soon", Err(DateFault::Form)),
            ("nothing", ".", Err(DateFault::Form)),
        ];
        for (name, cell, want) in cases {
            assert_eq!(read(cell, &zone, DateOrder::Unsaid), want, "{name}: {cell}");
        }
        for (order, want) in
            [(DateOrder::DayFirst, day("2027-04-03")), (DateOrder::MonthFirst, march)]
        {
            assert_eq!(read("03/04/2027", &zone, order), want, "{order:?}");
        }
    }

    /// Times on the days on which clocks change are those of the clocks.
    #[test]
    fn clocks_that_change() {
        let berlin: Zone = "Europe/Berlin".parse().unwrap();
        let cases = [
            ("before they go forward", "2027-03-28 01:30:00", "2027-03-28T01:30:00+01:00"),
            ("after it", "2027-03-28 12:00:00", "2027-03-28T12:00:00+02:00"),
            ("before they go back", "2027-10-31 01:30:00", "2027-10-31T01:30:00+02:00"),
            ("after it", "2027-10-31 12:00:00", "2027-10-31T12:00:00+01:00"),
        ];
        for (name, cell, want) in cases {
            let want = Ok(ParsedDate::At(parse_instant(want).unwrap()));
            assert_eq!(read(cell, &berlin, DateOrder::Unsaid), want, "{name}");
        }
    }
}
