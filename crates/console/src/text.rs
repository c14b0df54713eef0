//! Texts of the console for people, in English and in Korean. Those of refusals are in [`coupon::refusal`].
//!
//! Each message is one row of [`texts`] or [`texts_of`] with both languages, so one that lacks a language does not
//! compile, and so does one that does not use what it was given. No sentence is put together from pieces. `[n]`
//! counts something: English has a form for one and a form for more.

mod campaigns;
mod common;
mod coupons;
mod details;
mod forms;
mod operations;
mod people;
mod words;

use std::borrow::Borrow;
use std::fmt;

use coupon::benefit::Benefit;
use coupon::calendar::{Date, Zone, format_local};
use coupon::campaign::CampaignWorth;
pub use coupon::language::Lang;
use coupon::money::{Currency, grouped};
use coupon::time::Millis;

use crate::direction::isolated;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTexts {
    lang: Lang,
}

/// Makes a method of [`PageTexts`] of each row.
macro_rules! texts {
    ($($name:ident $(($($arg:ident),+))? $([$n:ident $(, $more:ident)*])? => $($text:literal),+;)*) => {
        impl $crate::text::PageTexts {
            $($crate::text::texts!(@one $name $(($($arg),+))? $([$n $(, $more)*])? $($text),+);)*
        }
    };
    (@one $name:ident $en:literal, $ko:literal) => {
        pub(crate) fn $name(self) -> &'static str {
            self.either($en, $ko)
        }
    };
    (@one $name:ident ($($arg:ident),+) $en:literal, $ko:literal) => {
        pub(crate) fn $name(self, $($arg: impl std::fmt::Display),+) -> String {
            match self.lang() {
                $crate::text::Lang::En => format!($en),
                $crate::text::Lang::Ko => $crate::text::with_particles(&format!($ko)),
            }
        }
    };
    (@one $name:ident [$n:ident $(, $more:ident)*] $one:literal, $other:literal, $ko:literal) => {
        pub(crate) fn $name(
            self,
            $n: impl std::borrow::Borrow<u64>
            $(, $more: impl std::fmt::Display)*
        ) -> String {
            let is_one = *$n.borrow() == 1;
            let $n = self.number($n);
            match self.lang() {
                $crate::text::Lang::En if is_one => format!($one),
                $crate::text::Lang::En => format!($other),
                $crate::text::Lang::Ko => $crate::text::with_particles(&format!($ko)),
            }
        }
    };
}
pub(crate) use texts;

/// Makes a method of [`PageTexts`] that says each variant of an enum, or each of some words (`str`).
macro_rules! texts_of {
    ($(#[$doc:meta])* $name:ident(str): $($($word:literal)|+ => $en:literal, $ko:literal;)*) => {
        impl $crate::text::PageTexts {
            $(#[$doc])*
            pub(crate) fn $name(self, word: &str) -> Option<&'static str> {
                let (en, ko) = match word {
                    $($($word)|+ => ($en, $ko),)*
                    _ => return None,
                };
                Some(self.either(en, ko))
            }
        }
    };
    ($(#[$doc:meta])* $name:ident($kind:ident): $($variant:ident => $en:literal, $ko:literal;)*) => {
        impl $crate::text::PageTexts {
            $(#[$doc])*
            pub(crate) fn $name(self, of: &$kind) -> &'static str {
                let (en, ko) = match of {
                    $($kind::$variant => ($en, $ko),)*
                };
                self.either(en, ko)
            }
        }
    };
}
pub(crate) use texts_of;

/// Makes a method of [`PageTexts`] of each label, and one that finds them by the names of the fields.
macro_rules! texts_of_fields {
    ($($($field:literal)|+ $name:ident => $en:literal, $ko:literal;)*) => {
        $crate::text::texts! { $($name => $en, $ko;)* }
        impl $crate::text::PageTexts {
            pub(crate) fn label_of(self, field: &str) -> Option<&'static str> {
                match field {
                    $($($field)|+ => Some(self.$name()),)*
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use texts_of_fields;

impl PageTexts {
    pub fn new(lang: Lang) -> PageTexts {
        PageTexts { lang }
    }

    pub(crate) fn lang(self) -> Lang {
        self.lang
    }

    pub(crate) fn either(self, en: &'static str, ko: &'static str) -> &'static str {
        match self.lang {
            Lang::En => en,
            Lang::Ko => ko,
        }
    }

    /// A number with groups of three: both languages write a comma.
    pub(crate) fn number(self, number: impl Borrow<u64>) -> String {
        grouped(&number.borrow().to_string())
    }

    /// A zone as people call it.
    pub(crate) fn zone(self, zone: impl Borrow<Zone>) -> String {
        let name = zone.borrow().name();
        if name == "Asia/Seoul" { self.either("Asia/Seoul", "한국 시간") } else { name }.to_owned()
    }

    /// A benefit as people of a shop write it: the answers of the API keep their words.
    pub(crate) fn benefit(self, benefit: &Benefit, currency: Currency) -> Option<String> {
        let said = benefit.sentence(currency, self.lang)?;
        if self.lang == Lang::En {
            return Some(said);
        }
        let said = said.replace("이상 주문하면", "이상 구매 시");
        let mut parts = said.split('₩');
        let first = parts.next().unwrap_or_default().to_owned();
        let won = |part: &str| {
            let end = part.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(part.len());
            format!("{}원{}", &part[..end], &part[end..])
        };
        Some(first + &parts.map(won).collect::<String>())
    }

    /// What a buyer reads.
    pub(crate) fn title(self, worth: &CampaignWorth) -> Option<String> {
        let benefit = || self.benefit(&worth.benefit?, worth.currency?);
        worth.title.text(self.lang).map(str::to_owned).or_else(benefit)
    }

    /// What coupons are worth, for whoever runs the campaign: what buyers read, and the benefit itself.
    pub(crate) fn worth(self, worth: &CampaignWorth) -> Option<String> {
        let benefit = worth.benefit.zip(worth.currency).and_then(|(it, of)| self.benefit(&it, of));
        let said = worth.title.text(self.lang).map(str::to_owned).into_iter().chain(benefit);
        Some(said.collect::<Vec<String>>().join(" · ")).filter(|it| !it.is_empty())
    }

    /// A size, in the largest unit of which there is one.
    pub(crate) fn bytes(self, bytes: u64) -> String {
        const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
        let (mut whole, mut tenths, mut unit) = (bytes, 0, 0);
        while whole >= 1_000 && unit + 1 < UNITS.len() {
            (whole, tenths, unit) = (whole / 1_000, whole % 1_000 / 100, unit + 1);
        }
        let number = self.number(whole);
        match (unit, whole) {
            (1.., 0..10) => format!("{number}.{tenths} {}", UNITS[unit]),
            _ => format!("{number} {}", UNITS[unit]),
        }
    }

    pub(crate) fn seconds(self, ms: u64) -> String {
        self.seconds_short(format!("{}.{}", self.number(ms / 1_000), ms % 1_000 / 100))
    }

    /// A long time, in the largest unit of which there are two.
    pub(crate) fn long_time(self, ms: u64) -> String {
        let minutes = ms / 60_000;
        match (minutes / 60, minutes / 60 / 24) {
            (_, days @ 2..) => self.days(days),
            (hours @ 2.., _) => self.hours(hours),
            _ if minutes >= 2 => self.minutes(minutes),
            _ => self.seconds(ms),
        }
    }

    /// A share of all, in whole percents, rounded: half a percent is one. Less is shown in tenths.
    pub(crate) fn share(self, part: u64, all: u64) -> String {
        let (part, all) = (u128::from(part), u128::from(all.max(1)));
        match ((part * 200 + all) / (2 * all), (part * 2_000 + all) / (2 * all)) {
            (0, tenths @ 1..) => format!("0.{tenths}%"),
            (percents, _) => format!("{percents}%"),
        }
    }

    pub(crate) fn date(self, date: Date) -> String {
        self.civil(&date.to_string())
    }

    /// An instant in a zone, to the minute.
    pub(crate) fn moment(self, at: impl Borrow<Millis>, zone: &Zone) -> String {
        let local = format_local(*at.borrow(), zone);
        let (Some(day), Some(time)) = (local.get(..10), local.get(11..16)) else { return local };
        format!("{} {time}{}", self.civil(day), mark_of(zone))
    }

    /// The time of day of an instant in a zone, to the second.
    pub(crate) fn clock(self, at: Millis, zone: &Zone) -> String {
        let local = format_local(at, zone);
        local.get(11..19).map_or(local.clone(), str::to_owned)
    }

    fn civil(self, day: &str) -> String {
        let [year, _, _] = parts_of_day(day);
        match self.lang {
            Lang::En => format!("{} {year}", self.civil_short(day)),
            Lang::Ko => format!("{year}년 {}", self.civil_short(day)),
        }
    }

    fn civil_short(self, day: &str) -> String {
        let [_, month, day] = parts_of_day(day);
        match self.lang {
            Lang::En => format!("{day} {}", short_month(month)),
            Lang::Ko => format!("{month}월 {day}일"),
        }
    }

    /// A day of a chart, without its year.
    pub(crate) fn short_date(self, date: Date) -> String {
        let text = date.to_string();
        match (self.lang, parts_of_day(&text)) {
            (Lang::En, _) => self.civil_short(&text),
            (Lang::Ko, [_, month, day]) => format!("{month}. {day}."),
        }
    }

    /// A day, without its year if that is the present one.
    pub(crate) fn near_date(self, date: Date, today: Date) -> String {
        let (text, today) = (date.to_string(), today.to_string());
        if text.get(..4) == today.get(..4) { self.civil_short(&text) } else { self.civil(&text) }
    }

    /// An instant in a zone, to the minute, without its year if that is the present one.
    pub(crate) fn near_moment(
        self,
        at: impl Borrow<Millis>,
        zone: &Zone,
        now: impl Borrow<Millis>,
    ) -> String {
        let (at, now) = (*at.borrow(), *now.borrow());
        let time: String = self.clock(at, zone).chars().take(5).collect();
        let date = self.near_date(Date::of(at, zone), Date::of(now, zone));
        format!("{date} {time}{}", mark_of(zone))
    }

    /// From one day to another, with a year once, and with none in the present year.
    pub(crate) fn span(self, from: Date, to: Date, today: Date) -> String {
        let [one, other] = [from, to].map(|date| date.to_string());
        let year = |date: &str| date.get(..4).map(str::to_owned);
        let is_once = year(&one) == year(&other) && year(&one) != year(&today.to_string());
        match (self.lang, is_once) {
            // English says the year behind the last day, Korean before the first.
            (Lang::En, true) => self.period(self.civil_short(&one), self.civil(&other)),
            (Lang::Ko, true) => self.period(self.civil(&one), self.civil_short(&other)),
            (_, false) => self.period(self.near_date(from, today), self.near_date(to, today)),
        }
    }

    pub(crate) fn month(self, year: u16, month: u16) -> String {
        match self.lang {
            Lang::En => format!("{} {year}", short_month(month)),
            Lang::Ko => format!("{year}년 {month}월"),
        }
    }
}

/// Behind a time of a campaign to which nobody has given a zone: nobody's clock shows it.
pub(crate) fn mark_of(zone: &Zone) -> &'static str {
    if *zone == Zone::utc() { " UTC" } else { "" }
}

/// The year, the month and the day of `2027-03-09`.
fn parts_of_day(day: &str) -> [u16; 3] {
    let mut parts = day.splitn(3, '-').map(|part| part.parse().unwrap_or(0));
    [(); 3].map(|()| parts.next().unwrap_or(0))
}

fn short_month(month: u16) -> &'static str {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    MONTHS.get(usize::from(month).wrapping_sub(1)).copied().unwrap_or("?")
}

/// What somebody else wrote, within a sentence: isolated, so that letters that are read from right to left, and marks
/// of direction, do not turn the words around them.
pub(crate) struct IsolatedText<T>(pub(crate) T);

impl<T: fmt::Display> fmt::Display for IsolatedText<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&isolated(&self.0.to_string()))
    }
}

/// The forms of a Korean particle: behind a consonant, behind a vowel.
const PARTICLES: [(&str, &str, &str); 4] = [
    ("⟨은/는⟩", "은", "는"),
    ("⟨이/가⟩", "이", "가"),
    ("⟨을/를⟩", "을", "를"),
    ("⟨으로/로⟩", "으로", "로"),
];

/// Puts the form of each particle that its word takes. The last letter or digit in front of it decides.
pub(crate) fn with_particles(text: &str) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('⟨') {
        let (before, behind) = rest.split_at(at);
        done.push_str(before);
        match PARTICLES.iter().find(|(mark, ..)| behind.starts_with(mark)) {
            Some((mark, consonant, vowel)) => {
                let is_direction = *vowel == "로";
                done.push_str(if takes_consonant(&done, is_direction) { consonant } else { vowel });
                rest = &behind[mark.len()..];
            }
            None => {
                done.push('⟨');
                rest = &behind['⟨'.len_utf8()..];
            }
        }
    }
    done.push_str(rest);
    done
}

/// Whether the last sound of a text is a consonant. Before `로` a final ㄹ counts as a vowel.
fn takes_consonant(text: &str, is_direction: bool) -> bool {
    let Some(last) = text.chars().rev().find(|c| c.is_alphanumeric()) else { return false };
    match last {
        '가'..='힣' => {
            let tail = (u32::from(last) - u32::from('가')) % 28;
            tail != 0 && !(is_direction && tail == 8)
        }
        // As they are read: 영 일 이 삼 사 오 육 칠 팔 구.
        '1' | '7' | '8' => !is_direction,
        '0' | '3' | '6' => true,
        '2' | '4' | '5' | '9' => false,
        // As they are spelt: 엘 엠 엔 알; other words of English end as they are written.
        'l' | 'L' | 'r' | 'R' => !is_direction,
        'm' | 'M' | 'n' | 'N' => true,
        'b' | 'c' | 'k' | 'p' | 't' => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn particles() {
        let cases = [
            ("a consonant", "쿠폰⟨은/는⟩", "쿠폰은"),
            ("a vowel", "캠페인 코드⟨은/는⟩", "캠페인 코드는"),
            ("a subject", "여름⟨이/가⟩", "여름이"),
            ("an object", "사유⟨을/를⟩ 쓰세요", "사유를 쓰세요"),
            ("behind a bracket", "\u{2068}봄\u{2069}⟨을/를⟩", "\u{2068}봄\u{2069}을"),
            ("a final ㄹ", "서울⟨으로/로⟩", "서울로"),
            ("another consonant", "부산⟨으로/로⟩", "부산으로"),
            ("zero", "10⟨을/를⟩", "10을"),
            ("two", "2⟨을/를⟩", "2를"),
            ("one, of direction", "1⟨으로/로⟩", "1로"),
            ("a Latin word", "eva⟨이/가⟩", "eva가"),
            ("a Latin consonant", "min⟨이/가⟩", "min이"),
            ("two of them", "봄⟨이/가⟩ 코드⟨을/를⟩", "봄이 코드를"),
            ("no particle", "⟨x⟩", "⟨x⟩"),
            ("nothing before it", "⟨은/는⟩", "는"),
        ];
        for (name, text, want) in cases {
            assert_eq!(with_particles(text), want, "{name}");
        }
    }

    #[test]
    fn numbers_and_dates() {
        let (en, ko) = (PageTexts::new(Lang::En), PageTexts::new(Lang::Ko));
        let numbers = [(0, "0"), (999, "999"), (1_000, "1,000"), (100_000_000, "100,000,000")];
        for (number, want) in numbers {
            assert_eq!(en.number(number), want);
        }
        let seoul: Zone = "Asia/Seoul".parse().unwrap();
        let at = coupon::calendar::parse_instant("2027-03-08T15:30:00Z").unwrap();
        assert_eq!(en.moment(at, &seoul), "9 Mar 2027 00:30");
        assert_eq!(ko.moment(at, &seoul), "2027년 3월 9일 00:30");
        assert_eq!(en.moment(at, &Zone::utc()), "8 Mar 2027 15:30 UTC");
        assert_eq!(ko.near_moment(at, &Zone::utc(), at), "3월 8일 15:30 UTC");
        assert_eq!(ko.month(2027, 3), "2027년 3월");
        let day = |text: &str| text.parse::<Date>().unwrap();
        let today = day("2027-06-01");
        let spans = [
            ("this year", "2027-03-01", "2027-03-31", "1 Mar to 31 Mar", "3월 1일 ~ 3월 31일"),
            (
                "a later year",
                "2028-03-01",
                "2028-03-31",
                "1 Mar to 31 Mar 2028",
                "2028년 3월 1일 ~ 3월 31일",
            ),
            (
                "two years",
                "2027-12-01",
                "2028-01-31",
                "1 Dec to 31 Jan 2028",
                "12월 1일 ~ 2028년 1월 31일",
            ),
        ];
        for (name, from, to, english, korean) in spans {
            assert_eq!(en.span(day(from), day(to), today), english, "{name}");
            assert_eq!(ko.span(day(from), day(to), today), korean, "{name}");
        }
        let now = coupon::calendar::parse_instant("2027-12-31T15:00:00Z").unwrap();
        assert_eq!(en.near_moment(at, &seoul, at), "9 Mar 00:30");
        assert_eq!(ko.near_moment(at, &seoul, now), "2027년 3월 9일 00:30");
        let shares = [
            ("none of none", 0, 0, "0%"),
            ("below a half", 144, 10_000, "1%"),
            ("a half", 5, 1_000, "1%"),
            ("two of three", 2, 3, "67%"),
            ("all", u64::MAX, u64::MAX, "100%"),
        ];
        for (name, part, all, want) in shares {
            assert_eq!(en.share(part, all), want, "{name}");
        }
    }
}
