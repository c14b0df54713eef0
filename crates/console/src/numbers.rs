//! Numbers and words as people type them: `100,000`, `10만`, `1만 5천`, `3천만 원`, `십만`, `ＳＵＭＭＥＲ`.

use coupon::code::half_width;
use coupon::money::grouped;

use crate::fields::FormFields;

/// Fields with a code, or a part of one.
const WORDS: [&str; 2] = ["shared_code", "code_prefix"];

/// Fields with a whole number.
const COUNTS: [&str; 6] =
    ["stock", "count", "valid_days", "per_user_limit", "cancel_days", "extend_days"];

/// Fields with an amount of money, which may have decimals.
const AMOUNTS: [&str; 4] =
    ["budget", "benefit.amount", "benefit.max_discount", "benefit.min_order"];

const UNITS: [(char, u64); 5] =
    [('억', 100_000_000), ('만', 10_000), ('천', 1_000), ('백', 100), ('십', 10)];

/// The digits in words. `일` is what days are counted in, too: 이십일 may be 20 or 21.
const DIGITS: [char; 9] = ['일', '이', '삼', '사', '오', '육', '칠', '팔', '구'];

/// What is counted, behind the number.
const COUNTED: [char; 6] = ['장', '원', '개', '명', '일', '%'];

impl FormFields {
    /// The numbers as digits. What is none stays as it was typed, and is refused by name.
    pub(crate) fn with_numbers(mut self) -> FormFields {
        for (name, value) in &mut self.0 {
            let name = name.as_str();
            let digits = || whole(value).map(|number| number.to_string());
            let read = if WORDS.contains(&name) {
                Some(half_width(value).into_owned())
            } else if COUNTS.contains(&name) {
                digits()
            } else if name == "benefit.percent" {
                Some(value.trim().trim_end_matches(COUNTED).trim_end().to_owned())
            } else if AMOUNTS.contains(&name) && !value.is_ascii() {
                digits().map(|it| grouped(&it))
            } else {
                None
            };
            if let Some(read) = read {
                *value = read;
            }
        }
        self
    }
}

fn whole(text: &str) -> Option<u64> {
    let number = text.trim().trim_end_matches(COUNTED);
    let is_in_words = number.contains(|c: char| c == '십' || DIGITS.contains(&c));
    if is_in_words && text.trim().ends_with(DIGITS[0]) {
        return None;
    }
    let digit = |c: char| match DIGITS.iter().zip('1'..='9').find(|(word, _)| **word == c) {
        Some((_, digit)) => digit,
        None => c,
    };
    let number: String = number.chars().filter(|c| !c.is_whitespace()).map(digit).collect();
    of_units(&number, &UNITS)
}

/// The sum of the largest unit and all below it.
fn of_units(text: &str, units: &[(char, u64)]) -> Option<u64> {
    let Some(((unit, size), smaller)) = units.split_first() else { return digits(text) };
    let Some((many, more)) = text.split_once(*unit) else { return of_units(text, smaller) };
    let many = match many.split_once('.') {
        Some((whole, part)) => {
            let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
            let part = digits(part)?.checked_mul(*size)?;
            (part % scale == 0).then_some(())?;
            digits(whole)?.checked_mul(*size)?.checked_add(part / scale)?
        }
        None if many.is_empty() => *size,
        // Of ten thousands there may be thousands, hundreds and tens, of a thousand only a digit.
        None => {
            let below = if *size > 1_000 { &UNITS[2..] } else { &[] };
            of_units(many, below)?.checked_mul(*size)?
        }
    };
    let more = if more.is_empty() { 0 } else { of_units(more, smaller)? };
    many.checked_add(more)
}

/// Digits, maybe with a comma before every three: `1,5` is none, as it may be one and a half.
fn digits(text: &str) -> Option<u64> {
    let plain = text.replace(',', "");
    let is_number = !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_digit());
    let is_right = plain == text || grouped(&plain) == text;
    plain.parse().ok().filter(|_| is_number && is_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let cases = [
            ("digits", "100000", Some(100_000)),
            ("commas", "100,000", Some(100_000)),
            ("ten thousands", "10만", Some(100_000)),
            ("with what is counted", "10만 장", Some(100_000)),
            ("two units", "1만 5천", Some(15_000)),
            ("a unit of a unit", "3천만원", Some(30_000_000)),
            ("digits behind a unit", "1억2,500", Some(100_002_500)),
            ("a part of a unit", "1.5만", Some(15_000)),
            ("a unit alone", "만", Some(10_000)),
            ("zero", "0", Some(0)),
            ("words", "일억오천만원", Some(150_000_000)),
            ("tens in words", "이십만 장", Some(200_000)),
            ("a unit of each size", "삼천오백이십", Some(3_520)),
            ("words and digits", "1억 오천만", Some(150_000_000)),
            ("days", "30일", Some(30)),
            ("days, or one more", "이십일", None),
            ("a part of one", "0.00001만", None),
            ("a comma for decimals", "1,5", None),
            ("a point", "1.5", None),
            ("a sign", "-5", None),
            ("a word", "seven", None),
            ("units in no order", "5천3만2억", None),
            ("too many", "999999999999억", None),
            ("nothing", "", None),
        ];
        for (name, text, want) in cases {
            assert_eq!(whole(text), want, "{name}");
        }
    }

    #[test]
    fn fields_with_numbers() {
        let cases = [
            ("a count", "stock", "10만", "100000"),
            ("an amount", "budget", "1천만", "10,000,000"),
            ("an amount with decimals", "budget", "4.99", "4.99"),
            ("a percentage", "benefit.percent", "12.5 %", "12.5"),
            ("no number", "stock", "seven", "seven"),
            ("a name", "name", "10만", "10만"),
            ("a wide word", "shared_code", "ＳＵＭＭＥＲ", "SUMMER"),
        ];
        for (name, field, typed, want) in cases {
            let fields = FormFields(vec![(field.to_owned(), typed.to_owned())]).with_numbers();
            assert_eq!(fields.shown(field), want, "{name}");
        }
    }
}
