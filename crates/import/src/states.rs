//! States: what other systems write about a coupon's state, in English and Korean.
//!
//! Only words that mean one thing are here. What `Y` or `1` means depends on the name of its column,
//! and anything else is for the caller to say.

use std::fmt;
use std::str::FromStr;

use super::columns::{clipped, normal};

coupon::words! {
    /// In this order: of several states that a row says, the last one counts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    pub enum StateWord {
        Available = "available",
        Issued = "issued",
        Void = "void",
        Redeemed = "redeemed",
    }
}

impl StateWord {
    /// What other systems write, as [`normal`] writes it.
    fn words(self) -> &'static str {
        match self {
            StateWord::Available => {
                "available active unused notused unredeemed new open enabled valid publish
                 미사용 미사용중 사용전 사용안함 사용가능 미발급 정상 유효 활성"
            }
            StateWord::Issued => "issued assigned distributed 발급 발급됨 발급완료 지급 지급완료",
            StateWord::Redeemed => "redeemed used consumed 사용 사용됨 사용함 사용완료 사용후",
            StateWord::Void => {
                "void voided inactive disabled revoked cancelled canceled deleted trash draft
                 폐기 폐기됨 폐기완료 취소 취소됨 회수 삭제 삭제됨 사용중지 사용불가 비활성"
            }
        }
    }

    fn named(cell: &str) -> Option<StateWord> {
        let cell = normal(cell);
        let is_named = |state: &StateWord| {
            cell == state.as_str() || state.words().split_whitespace().any(|word| word == cell)
        };
        StateWord::ALL.into_iter().find(is_named)
    }
}

/// How the cells of a column say a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StateSign {
    /// In a word.
    Word,
    /// By yes and no, with the states that they mean.
    Flag { yes: StateWord, no: StateWord },
    /// By how often it was used; more than never means this state.
    Uses(StateWord),
    /// By how often it can be used at all. Coupons here are used once.
    Limit,
}

use StateWord::{Available, Issued, Redeemed, Void};

/// Names of columns that say a state by yes and no, or by a number. `사용여부` is `used`, and not
/// `in use`.
const SIGNS: [(&str, StateSign); 5] = [
    (
        "used isused useyn usedyn redeemed isredeemed 사용여부 사용유무",
        StateSign::Flag { yes: Redeemed, no: Available },
    ),
    ("issued isissued 발급여부 지급여부", StateSign::Flag { yes: Issued, no: Available }),
    (
        "active isactive enabled valid isvalid 유효여부",
        StateSign::Flag { yes: Available, no: Void },
    ),
    (
        "deleted isdeleted voided disabled 폐기여부 삭제여부 회수여부",
        StateSign::Flag { yes: Void, no: Available },
    ),
    (
        "timesused usagecount usecount usedcount usescount uses redemptioncount redemptions
         timesredeemed numberofuses 사용횟수 사용건수 사용수",
        StateSign::Uses(Redeemed),
    ),
];

/// What is in names of columns about a state or a use.
const STEMS: [&str; 11] = [
    "status", "state", "used", "usage", "redeem", "active", "사용", "상태", "여부", "유무", "폐기",
];

/// Names with a stem that are about something else.
const HARMLESS: &str = "paused 사용자 사용처 사용조건 사용방법 사용기 사용안내 statement estate";

const YES: [&str; 6] = ["y", "yes", "true", "t", "1", "예"];
const NO: [&str; 6] = ["n", "no", "false", "f", "0", "아니오"];

impl StateSign {
    pub(crate) fn of(name: &str) -> StateSign {
        let name = normal(name);
        let of_name = SIGNS.iter().find(|(names, _)| names.split_whitespace().any(|it| it == name));
        of_name.map_or(StateSign::Word, |(_, sign)| *sign)
    }

    /// `None` if nobody can know.
    pub(crate) fn read(self, cell: &str, values: &ValueMap) -> Option<StateWord> {
        if let Some(state) = values.state(cell) {
            return Some(state);
        }
        let is = |words: &[&str]| words.iter().any(|word| cell.eq_ignore_ascii_case(word));
        match self {
            // Empty is without a limit.
            StateSign::Limit => (cell == "1").then_some(Available),
            _ if cell.is_empty() => Some(Available),
            StateSign::Flag { yes, .. } if is(&YES) => Some(yes),
            StateSign::Flag { no, .. } if is(&NO) => Some(no),
            StateSign::Word | StateSign::Flag { .. } => StateWord::named(cell),
            StateSign::Uses(used) => {
                let uses = cell.parse::<u64>().ok()?;
                Some(if uses == 0 { Available } else { used })
            }
        }
    }

    /// Whether a cell that means `available` says in the words of another system that the coupon was not used: it may
    /// belong to somebody.
    pub(crate) fn says_unused(self, cell: &str, values: &ValueMap) -> bool {
        let is_ours = cell.is_empty() || normal(cell) == Available.as_str();
        self != StateSign::Limit && !is_ours && values.state(cell).is_none()
    }
}

pub(crate) fn is_state_name(name: &str) -> bool {
    let name = normal(name);
    let is_harmless = HARMLESS.split(' ').any(|word| name.contains(word));
    StateSign::of(&name) != StateSign::Word
        || !is_harmless && STEMS.iter().any(|stem| name.contains(stem))
}

/// Whether a cell of a column that nobody named looks like a state: yes, no, or a word for one.
pub(crate) fn is_state_value(cell: &str) -> bool {
    let is_flag = |words: &[&str]| words[..4].iter().any(|word| cell.eq_ignore_ascii_case(word));
    is_flag(&YES) || is_flag(&NO) || StateWord::named(cell).is_some()
}

/// What the values of a file mean, as a caller says it: `사용완료:redeemed,Y:void`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueMap {
    states: Vec<(String, StateWord)>,
    /// Values whose lines are left out, as if they were not in the file.
    left_out: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "has {0:?}, want VALUE:STATE with available, issued, redeemed or void, as in Y:redeemed,N:available"
)]
pub struct BadValueMap(String);

impl ValueMap {
    /// The same, which leaves out the lines with one of these values.
    #[must_use]
    pub fn leaving_out<'a>(mut self, values: impl Iterator<Item = &'a str>) -> ValueMap {
        self.left_out.extend(values.map(|value| value.trim().to_lowercase()));
        self
    }

    pub(crate) fn leaves_out(&self, cell: &str) -> bool {
        !self.left_out.is_empty() && self.left_out.contains(&cell.to_lowercase())
    }

    fn state(&self, cell: &str) -> Option<StateWord> {
        let cell = cell.to_lowercase();
        self.states.iter().find(|(value, _)| *value == cell).map(|(_, state)| *state)
    }
}

/// Of values that no text has to separate: they may have commas.
impl FromIterator<(String, StateWord)> for ValueMap {
    fn from_iter<I: IntoIterator<Item = (String, StateWord)>>(values: I) -> ValueMap {
        let entry = |(value, state): (String, StateWord)| (value.trim().to_lowercase(), state);
        ValueMap { states: values.into_iter().map(entry).collect(), left_out: Vec::new() }
    }
}

impl FromStr for ValueMap {
    type Err = BadValueMap;

    fn from_str(text: &str) -> Result<ValueMap, BadValueMap> {
        let entry = |entry: &str| {
            // A value may have a colon, a state has none.
            let (value, state) = entry.rsplit_once(':')?;
            let is_named = |it: &StateWord| state.trim().eq_ignore_ascii_case(it.as_str());
            let state = StateWord::ALL.into_iter().find(is_named)?;
            Some((value.to_owned(), state))
        };
        let read = |text: &str| entry(text).ok_or_else(|| BadValueMap(clipped(text)));
        text.split(',').map(read).collect()
    }
}

/// The text that it was read from, in small letters.
impl fmt::Display for ValueMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, (value, state)) in self.states.iter().enumerate() {
            let comma = if nth > 0 { "," } else { "" };
            write!(f, "{comma}{value}:{}", state.as_str())?;
        }
        Ok(())
    }
}
