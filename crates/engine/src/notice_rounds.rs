//! How many notices were sent, round by round, as one short list that all processes share.
//!
//! The list only tells people: `notice_positions` keeps a notice from being sent twice.

use coupon::time::Millis;
use hot::Fact;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::facts::FactKind;
use crate::failure::Result;

/// Rounds that the list has: those of some months, within 60 KiB. Each change writes all of it.
pub const NOTICE_ROUNDS_MAX: usize = 400;

/// Longest name of a destination, in characters.
const TO_CHARS_MAX: usize = 80;

/// Rounds of one destination that sent nothing count as one if they began within so many milliseconds: a receiver
/// that is down makes one an hour.
const FAILED_TOGETHER_MS: i64 = 24 * 3_600_000;

const ROUNDS: FactKind<Vec<NoticeRound>> = FactKind::telling(Fact::NoticeRounds);

/// One round to one destination that had something to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeRound {
    /// When it began, in milliseconds since 1970.
    pub began_at: i64,
    /// The destination.
    pub to: String,
    pub sent: u64,
    pub coupons: u64,
    /// Notices that did not reach all who asked for them.
    pub failed: u64,
}

impl NoticeRound {
    fn is_idle(&self) -> bool {
        self.sent == 0 && self.failed == 0
    }
}

impl Engine {
    /// The last rounds of all processes, the newest first. One read.
    pub async fn notice_rounds(&self) -> Result<Vec<NoticeRound>> {
        ROUNDS.load(self.hot()).await
    }

    /// Enters a round, unless it had nothing to send.
    pub async fn note_notice_round(&self, mut round: NoticeRound) -> Result<()> {
        if round.is_idle() {
            return Ok(());
        }
        round.to = round.to.chars().take(TO_CHARS_MAX).collect();
        let change = |rounds: &mut Vec<NoticeRound>| {
            enter(rounds, round.clone());
            Ok(true)
        };
        ROUNDS.change(self.hot(), change).await.map(drop)
    }
}

fn enter(rounds: &mut Vec<NoticeRound>, round: NoticeRound) {
    let began = Millis(round.began_at);
    let is_replaced = |it: &NoticeRound| {
        let ms = began.0.saturating_sub(it.began_at);
        it.sent == 0 && it.to == round.to && (0..FAILED_TOGETHER_MS).contains(&ms)
    };
    rounds.retain(|it| !is_replaced(it));
    let at = rounds.partition_point(|it| it.began_at > round.began_at);
    rounds.insert(at, round);
    rounds.truncate(NOTICE_ROUNDS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_763_596_800_000;

    fn round(hours: i64, to: &str, sent: u64, failed: u64) -> NoticeRound {
        let began_at = NOON + hours * 3_600_000;
        NoticeRound { began_at, to: to.into(), sent, coupons: sent, failed }
    }

    #[test]
    fn which_rounds_stay() {
        let cases = [
            ("all that sent something", [(0, "a", 1, 0), (1, "a", 1, 1)], vec![1, 0]),
            ("a receiver that is down", [(0, "a", 0, 9), (1, "a", 0, 9)], vec![1]),
            ("and is up again", [(0, "a", 0, 9), (1, "a", 9, 0)], vec![1]),
            ("two receivers", [(0, "a", 0, 9), (1, "b", 0, 9)], vec![1, 0]),
            ("down on two days", [(0, "a", 0, 9), (24, "a", 0, 9)], vec![24, 0]),
            ("one that took long", [(1, "b", 1, 0), (0, "a", 1, 0)], vec![1, 0]),
        ];
        for (name, entered, want) in cases {
            let mut rounds = Vec::new();
            for (hours, to, sent, failed) in entered {
                enter(&mut rounds, round(hours, to, sent, failed));
            }
            let hours: Vec<i64> =
                rounds.iter().map(|it| (it.began_at - NOON) / 3_600_000).collect();
            assert_eq!(hours, want, "{name}");
        }
        assert!(round(0, "a", 0, 0).is_idle());
        let mut many = Vec::new();
        (0..1_000).for_each(|hours| enter(&mut many, round(hours, "a", 1, 0)));
        assert_eq!((many.len(), many[0].began_at), (NOTICE_ROUNDS_MAX, NOON + 999 * 3_600_000));
    }
}
