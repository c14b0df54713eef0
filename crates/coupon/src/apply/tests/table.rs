//! The table of `docs/rules.md`, and what its words mean for one question.

use super::*;

/// One question, with everything that an answer can depend on.
pub(super) struct Case<'a> {
    pub(super) shape: &'a Shape,
    pub(super) day: Day,
    pub(super) held: Option<Held>,
    pub(super) handout: Handout,
    pub(super) events: usize,
    pub(super) asks: Asks,
    pub(super) asker: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Want {
    Replay,
    Refused(Refusal),
    Becomes { stands: Stands, held: Option<Held>, expires_at: i64 },
}
use Want::{Becomes, Refused, Replay};

impl Case<'_> {
    fn bearer(&self) -> bool {
        self.handout == Handout::Bearer
    }

    fn stands(&self) -> Stands {
        self.shape.stands
    }

    fn holder(&self) -> Option<&'static str> {
        self.stands().holder()
    }

    fn is_redeemed(&self) -> bool {
        matches!(self.stands(), Redeemed(..))
    }

    fn is_issued(&self) -> bool {
        matches!(self.stands(), Issued(_))
    }

    /// The user of "redeem, hold, release, cancel_redemption for a user".
    fn for_user(&self) -> Option<&'static str> {
        match self.asks {
            Asks::Redeem(by, _) | Asks::Hold(by, ..) => Some(by),
            Asks::Release(_) | Asks::Cancel(_) => self.asker,
            _ => None,
        }
    }

    fn redeems_or_holds(&self) -> Option<(&'static str, &'static str)> {
        match self.asks {
            Asks::Redeem(by, order) | Asks::Hold(by, order, _) => Some((by, order)),
            _ => None,
        }
    }

    fn is_cancelled(&self, order: &str) -> bool {
        self.shape.cancelled.iter().any(|(cancelled, _)| *cancelled == order)
    }

    fn running(&self) -> Option<Held> {
        self.held.filter(|held| NOW < held.until)
    }

    fn held_by_this_order(&self) -> Option<Held> {
        self.running().filter(|held| self.redeems_or_holds() == Some((held.by, held.order)))
    }

    /// The hold of another order; it lasts `clock_bound_ms` longer for this one.
    fn held_by_another_order(&self) -> Option<Held> {
        let stands_in_the_way = |held: &Held| match self.asks {
            Asks::Redeem(by, order) | Asks::Hold(by, order, _) => {
                (held.by, held.order) != (by, order)
            }
            Asks::Issue(to) => held.by != to,
            Asks::Revoke(_) | Asks::Void | Asks::Extend(_) => true,
            Asks::Release(_) | Asks::Cancel(_) => false,
        };
        self.held.filter(|held| NOW < held.until + BOUND).filter(stands_in_the_way)
    }

    fn becomes(&self, stands: Stands) -> Want {
        Becomes { stands, held: None, expires_at: self.day.expires_at }
    }

    fn redeems(&self) -> Want {
        let (by, order) = self.redeems_or_holds().unwrap();
        self.becomes(Redeemed(Some(by), order))
    }

    fn holds(&self, since: i64) -> Want {
        let Asks::Hold(by, order, until) = self.asks else { unreachable!() };
        let until = until.min(since + 7 * DAY_MS).min(self.day.expires_at + 15 * MINUTE);
        let held = Some(Held { by, order, since, until });
        Becomes { stands: self.stands(), held, expires_at: self.day.expires_at }
    }

    fn works_now(&self, otherwise: Want) -> Want {
        match self.day {
            Day { valid_from, .. } if NOW < valid_from => {
                Refused(Refusal::NotStarted { valid_from: Millis(valid_from) })
            }
            Day { expires_at, .. } if NOW >= expires_at => Refused(Refusal::Expired),
            Day { paused: true, .. } => Refused(Refusal::Paused),
            _ => otherwise,
        }
    }

    fn issues_now(&self, to: &'static str) -> Want {
        match self.day {
            Day { expires_at, .. } if NOW >= expires_at => Refused(Refusal::Expired),
            Day { paused: true, .. } => Refused(Refusal::Paused),
            Day { issue: (Some(from), _), .. } if NOW < from => {
                Refused(Refusal::IssueClosed { opens_at: Some(Millis(from)) })
            }
            Day { issue: (_, Some(until)), .. } if NOW >= until => {
                Refused(Refusal::IssueClosed { opens_at: None })
            }
            // Only a hold of the same user can be running here, and it runs on.
            Day { expires_at, .. } => {
                Becomes { stands: Issued(to), held: self.running(), expires_at }
            }
        }
    }

    fn extends(&self, to: i64) -> Want {
        match to - self.day.expires_at {
            0 => Replay,
            ..0 => Refused(Refusal::NotLater),
            _ if NOW >= self.day.expires_at + DAYS_30 => Refused(Refusal::ExpiryDayClosed),
            _ => Becomes { stands: self.stands(), held: None, expires_at: to },
        }
    }

    fn cancels(&self) -> Want {
        let days = i64::from(self.day.cancel_days);
        match days == 0 || NOW >= self.day.redeemed_at + days * DAY_MS {
            true => Refused(Refusal::CancelClosed),
            false => self.becomes(self.shape.before),
        }
    }
}

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) fits: fn(&Case) -> bool,
    pub(super) verdict: fn(&Case) -> Want,
}

/// The rules 1 to 23, in the order of `docs/rules.md`. Rule 5a and the `version` of revoke, void and
/// extend are in `edges.rs`: no [`Case`] names a `revoke_ref` or a version. Rule 24 is [`history_full`].
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "with no holder, or another one; not a bearer campaign",
        fits: |c| !c.bearer() && c.for_user().is_some_and(|user| c.holder() != Some(user)),
        verdict: |c| match (c.stands(), c.asker) {
            (Available, None) => Refused(Refusal::NotIssued),
            _ => Refused(Refusal::NotFound),
        },
    },
    Row {
        // Redeemed by nobody knows whom is somebody else's, too.
        name: "with another holder or another user's running hold; bearer campaign",
        fits: |c| {
            let others = |user| {
                c.holder().is_some_and(|holder| holder != user)
                    || matches!(c.stands(), Redeemed(None, _))
                    || c.running().is_some_and(|held| held.by != user)
            };
            let gives_back = matches!(c.asks, Asks::Release(_) | Asks::Cancel(_));
            c.bearer() && gives_back && c.for_user().is_some_and(others)
        },
        verdict: |_| Refused(Refusal::NotFound),
    },
    Row {
        name: "redeem by the holder with the order_ref of the live redemption",
        fits: |c| match (c.asks, c.stands()) {
            (Asks::Redeem(by, order), Redeemed(holder, live)) => {
                holder == Some(by) && live == order
            }
            _ => false,
        },
        verdict: |_| Replay,
    },
    // Rule 4 for a user: a replay would show them whose redemption it was.
    Row {
        name: "cancel_redemption of another user's order already cancelled",
        fits: |c| match (c.asks, c.asker) {
            (Asks::Cancel(order), Some(user)) => {
                c.shape.cancelled.iter().any(|(gone, whose)| *gone == order && *whose != user)
            }
            _ => false,
        },
        verdict: |_| Refused(Refusal::NotFound),
    },
    Row {
        name: "cancel_redemption of an order_ref already cancelled",
        fits: |c| matches!(c.asks, Asks::Cancel(order) if c.is_cancelled(order)),
        verdict: |_| Replay,
    },
    Row {
        name: "redeem or hold with the order_ref of a cancelled redemption",
        fits: |c| c.redeems_or_holds().is_some_and(|(_, order)| c.is_cancelled(order)),
        verdict: |_| Refused(Refusal::RedemptionCancelled),
    },
    Row {
        name: "Void: any other",
        fits: |c| matches!(c.stands(), Void(_)),
        verdict: |c| match c.asks {
            Asks::Void => Replay,
            _ => Refused(Refusal::Voided),
        },
    },
    Row {
        name: "Redeemed: redeem, hold, issue, revoke, void, extend",
        fits: |c| c.is_redeemed() && !matches!(c.asks, Asks::Release(_) | Asks::Cancel(_)),
        verdict: |_| Refused(Refusal::AlreadyRedeemed),
    },
    Row {
        name: "Redeemed: release",
        fits: |c| c.is_redeemed() && matches!(c.asks, Asks::Release(_)),
        verdict: |c| match (c.asks, c.stands()) {
            (Asks::Release(order), Redeemed(_, live)) if order == live => {
                Refused(Refusal::AlreadyRedeemed)
            }
            _ => Replay,
        },
    },
    Row {
        name: "Redeemed: cancel_redemption of its order",
        fits: |c| match (c.asks, c.stands()) {
            (Asks::Cancel(order), Redeemed(_, live)) => order == live,
            _ => false,
        },
        verdict: |c| c.cancels(),
    },
    Row {
        name: "not Redeemed, or by another order: cancel_redemption",
        fits: |c| matches!(c.asks, Asks::Cancel(_)),
        verdict: |_| Refused(Refusal::NotRedeemed),
    },
    Row {
        name: "Issued, bearer campaign: redeem, hold by another user",
        fits: |c| {
            c.bearer()
                && c.is_issued()
                && c.redeems_or_holds().is_some_and(|(by, _)| c.holder() != Some(by))
        },
        verdict: |_| Refused(Refusal::AlreadyIssued),
    },
    Row {
        name: "held by another order: redeem, hold, revoke, void, extend, issue to another user",
        fits: |c| c.held_by_another_order().is_some(),
        verdict: |c| {
            let until = c.held_by_another_order().unwrap().until + BOUND;
            Refused(Refusal::Held { until: Millis(until) })
        },
    },
    Row {
        name: "held by this order: redeem",
        fits: |c| matches!(c.asks, Asks::Redeem(..)) && c.held_by_this_order().is_some(),
        verdict: |c| c.redeems(),
    },
    Row {
        name: "Available: issue",
        fits: |c| c.stands() == Available && matches!(c.asks, Asks::Issue(_)),
        verdict: |c| match c.asks {
            Asks::Issue(to) => c.issues_now(to),
            _ => unreachable!(),
        },
    },
    Row {
        name: "Issued: issue to the same user, or another",
        fits: |c| matches!(c.asks, Asks::Issue(_)),
        verdict: |c| match c.asks {
            Asks::Issue(to) if c.holder() == Some(to) => Replay,
            _ => Refused(Refusal::AlreadyIssued),
        },
    },
    Row {
        name: "Issued; Available in a bearer campaign: redeem",
        fits: |c| matches!(c.asks, Asks::Redeem(..)),
        verdict: |c| c.works_now(c.redeems()),
    },
    // "The same order holding again moves `until` later if asked, never earlier."
    Row {
        name: "held by this order: hold, not later",
        fits: |c| {
            c.held_by_this_order().is_some_and(|own| match c.holds(own.since) {
                Becomes { held: Some(next), .. } => next.until <= own.until,
                _ => false,
            })
        },
        verdict: |_| Replay,
    },
    Row {
        name: "Issued; Available in a bearer campaign: hold",
        fits: |c| matches!(c.asks, Asks::Hold(..)),
        verdict: |c| c.works_now(c.holds(c.held_by_this_order().map_or(NOW, |own| own.since))),
    },
    Row {
        name: "Available: revoke",
        fits: |c| c.stands() == Available && matches!(c.asks, Asks::Revoke(_)),
        verdict: |_| Refused(Refusal::NotIssued),
    },
    Row {
        name: "held, or not: release",
        fits: |c| matches!(c.asks, Asks::Release(_)),
        verdict: |c| match c.running() {
            Some(held)
                if c.asks == Asks::Release(held.order)
                    && c.asker.is_none_or(|user| held.by == user) =>
            {
                c.becomes(c.stands())
            }
            _ => Replay,
        },
    },
    Row {
        name: "Issued: revoke",
        fits: |c| matches!(c.asks, Asks::Revoke(_)),
        verdict: |c| match c.asks {
            Asks::Revoke(from) if c.holder() == Some(from) => c.becomes(Available),
            _ => Refused(Refusal::NotIssued),
        },
    },
    Row {
        name: "Available, Issued: void",
        fits: |c| c.asks == Asks::Void,
        verdict: |c| c.becomes(Void(c.holder())),
    },
    Row {
        name: "Available, Issued, expired too: extend",
        fits: |c| matches!(c.asks, Asks::Extend(_)),
        verdict: |c| match c.asks {
            Asks::Extend(to) => c.extends(to),
            _ => unreachable!(),
        },
    },
];

/// Rule 24, which takes back what another row has accepted.
pub(super) fn history_full(case: &Case, verdict: Want) -> Want {
    let gives_back_or_kills =
        matches!(case.asks, Asks::Release(_) | Asks::Cancel(_) | Asks::Revoke(_) | Asks::Void);
    // A coupon that goes into its user's wallet while it is held keeps a place for the redeem
    // that the hold has promised.
    let promised = matches!((case.asks, &verdict), (Asks::Issue(_), Becomes { held: Some(_), .. }));
    match verdict {
        Becomes { .. } if !gives_back_or_kills && case.events + usize::from(promised) >= 29 => {
            Refused(Refusal::HistoryFull)
        }
        verdict => verdict,
    }
}
