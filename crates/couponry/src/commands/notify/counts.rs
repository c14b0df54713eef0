//! The result of a round of notices: its counts, its sentence, its exit code.

use super::notice::Notice;
use crate::failure::{CliError, Ended};
use crate::output::thousands;

/// Notices that did not arrive and are shown; the others are counted.
const SHOWN_MAX: usize = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NoticeCounts {
    /// Issued coupons that were read.
    pub(super) looked_at: u64,
    /// Notices that were sent, and the coupons in them.
    pub(super) sent: u64,
    pub(super) coupons: u64,
    /// Coupons that are due and whose notice was sent before.
    pub(super) already: u64,
    /// Notices that the receiver refused; the next round makes new ones.
    pub(super) refused: u64,
    /// Notices that may have arrived; the next round sends them again unchanged.
    pub(super) failed: u64,
    /// Whether the round stopped early because the receiver is down.
    pub(super) gave_up: bool,
    /// The reasons for the first notices that did not arrive.
    pub(super) shown: Vec<String>,
}

impl NoticeCounts {
    pub(super) fn add_sent(&mut self, notice: &Notice) {
        self.sent += 1;
        self.coupons += notice.keys.len() as u64;
    }

    /// Shows why a notice did not arrive, if it is one of the first.
    pub(super) fn show(&mut self, notice: &Notice, why: &str) {
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(format!("{} for {}: {why}", notice.id, notice.user));
        }
    }

    pub(super) fn summary(&self, dry_run: bool) -> String {
        let NoticeCounts { sent, coupons, already, refused, failed, .. } = self;
        let [sent, coupons, already] = [sent, coupons, already].map(|it| thousands(*it));
        let before = format!("{already} coupons were notified before");
        if dry_run {
            return format!("would send {sent} notices about {coupons} coupons; {before}");
        }
        let mut text = format!(
            "sent {sent} notices about {coupons} coupons; {before}; refused {}, failed {}",
            thousands(*refused),
            thousands(*failed)
        );
        if self.gave_up {
            text.push_str("; the receiver is down: the next run sends the rest");
        }
        text
    }

    /// # Errors
    /// Nothing arrived.
    pub(super) fn ended(&self) -> Result<Ended, CliError> {
        let failed = self.failed > 0 || self.gave_up;
        match (failed, self.sent > 0 || self.refused > 0) {
            (false, _) if self.refused == 0 => Ok(Ended::Done),
            (false, _) | (true, true) => Ok(Ended::Partly),
            (true, false) => {
                let sentence = "the receiver accepted nothing: run it again when it is up";
                Err(CliError::new(sentence))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        let counts = |sent, refused, failed, gave_up| NoticeCounts {
            sent,
            refused,
            failed,
            gave_up,
            ..NoticeCounts::default()
        };
        let cases = [
            ("nobody to notify", counts(0, 0, 0, false), Some(Ended::Done)),
            ("all sent", counts(5, 0, 0, false), Some(Ended::Done)),
            ("one refused", counts(5, 1, 0, false), Some(Ended::Partly)),
            ("all refused", counts(0, 5, 0, false), Some(Ended::Partly)),
            ("one failed", counts(5, 0, 1, false), Some(Ended::Partly)),
            ("given up half way", counts(5, 0, 20, true), Some(Ended::Partly)),
            ("all failed", counts(0, 0, 5, false), None),
            ("given up", counts(0, 0, 20, true), None),
        ];
        for (name, counts, want) in cases {
            assert_eq!(counts.ended().ok(), want, "{name}");
        }
    }

    #[test]
    fn summaries() {
        let counts = NoticeCounts {
            sent: 1_200,
            coupons: 1_300,
            already: 7,
            refused: 2,
            failed: 3,
            gave_up: true,
            ..NoticeCounts::default()
        };
        assert_eq!(
            counts.summary(false),
            "sent 1,200 notices about 1,300 coupons; 7 coupons were notified before; refused 2, \
             failed 3; the receiver is down: the next run sends the rest"
        );
        assert_eq!(
            counts.summary(true),
            "would send 1,200 notices about 1,300 coupons; 7 coupons were notified before"
        );
    }
}
