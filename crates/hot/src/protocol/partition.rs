//! When a partition ends, and what its end means for a coupon.

use coupon::apply::{Action, HOLD_PAST_EXPIRY_MS};
use coupon::campaign::Campaign;
use coupon::coupon::{Coupon, State};
use coupon::minted::SERIALS_PER_DAY;
use coupon::refusal::Refusal;
use coupon::time::{Day, Millis};

use crate::CLOSED_BOUND_MS;

/// The answer to a change that the rules admit and the seal of the partition does not.
pub fn refused_by_seal(action: &Action) -> Refusal {
    match action {
        Action::Issue { .. } | Action::Redeem { .. } | Action::Hold { .. } => Refusal::Expired,
        Action::CancelRedemption { .. } => Refusal::CancelClosed,
        Action::Release { .. }
        | Action::Revoke { .. }
        | Action::Void { .. }
        | Action::Extend { .. } => Refusal::ExpiryDayClosed,
    }
}

/// A coupon moves only when it may last past its partition's day, and never back: after an extension, or
/// with the first change of one whose campaign got a later end.
pub fn partition_after(day: Day, after: &Coupon) -> Day {
    if after.lasts_until() > day.end() { Day::expiry_day_of(after.lasts_until()) } else { day }
}

/// The instant until which a partition stays open for a campaign with coupons in it: as long as its
/// cancelling and extending need it, a hold that runs past the expiry, and the difference of two clocks.
/// Codes of the day of an earlier end work until the campaign ends.
pub fn seal_after(day: Day, campaign: &Campaign) -> Millis {
    let works_longer = campaign.earlier_days().any(|earlier| earlier == day);
    let day = if works_longer { day.max(campaign.expiry_day()) } else { day };
    let open_days = campaign.cancel_days.max(campaign.extend_days);
    day.end().plus_days(open_days).plus_ms(HOLD_PAST_EXPIRY_MS + CLOSED_BOUND_MS)
}

/// Whether a campaign can get a batch of new codes.
///
/// # Errors
/// [`Refusal::Expired`].
pub fn may_mint(terms: &Campaign, now: Millis) -> Result<(), Refusal> {
    match now < terms.expires_at {
        true => Ok(()),
        false => Err(Refusal::Expired),
    }
}

/// The next free serial of a day after a batch has taken `count` of them from `first` on.
///
/// # Errors
/// [`Refusal::SoldOut`] if the day has fewer left.
pub fn serials_after(first: u64, count: u64) -> Result<u64, Refusal> {
    let next = first.checked_add(count).filter(|next| *next <= SERIALS_PER_DAY);
    next.ok_or(Refusal::SoldOut)
}

/// When nothing can change a coupon any more, on an open day: the instant from which it can be
/// moved to cold, and the one since which it is final.
pub fn closed_at(coupon: &Coupon, cancel_days: u16) -> Option<(Millis, Millis)> {
    match coupon.state() {
        State::Void { .. } => Some((coupon.modified_at(), coupon.modified_at())),
        State::Redeemed { redemption, .. } => {
            let since = redemption.at.plus_days(cancel_days);
            Some((since.plus_ms(bound_ms(cancel_days)), since))
        }
        State::Available | State::Issued { .. } => None,
    }
}

/// Whether a coupon is closed at `now`; without `now`, whether it will be if nothing changes it. A
/// redemption that was cancelled and made once more counts from the last time. A void coupon is
/// closed whatever the clock says: no clock makes it valid again.
pub fn is_closed(coupon: &Coupon, cancel_days: u16, now: Option<Millis>) -> bool {
    let is_void = matches!(coupon.state(), State::Void { .. });
    closed_at(coupon, cancel_days).is_some_and(|(at, _)| is_void || now.is_none_or(|now| at <= now))
}

/// The last instant at which a coupon can have been redeemed that is closed at `now`.
pub fn closed_until(cancel_days: u16, now: Millis) -> Millis {
    now.plus_ms(-Millis(0).plus_days(cancel_days).0 - bound_ms(cancel_days))
}

/// Where nothing can be cancelled, no clock can admit it.
fn bound_ms(cancel_days: u16) -> i64 {
    if cancel_days > 0 { CLOSED_BOUND_MS } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::{NOW, campaign, coupon, issued, redeemed, voided};

    #[test]
    fn serials_of_a_day() {
        let (last, all) = (SERIALS_PER_DAY - 1, SERIALS_PER_DAY);
        let cases = [
            ("the first ones", 0, 10, Ok(10)),
            ("the last one", last, 1, Ok(all)),
            ("one more than are left", last, 2, Err(Refusal::SoldOut)),
            ("the whole day", 0, all, Ok(all)),
            ("of a used day", all, 1, Err(Refusal::SoldOut)),
            ("more than a number holds", 1, u64::MAX, Err(Refusal::SoldOut)),
        ];
        for (name, first, count, want) in cases {
            assert_eq!(serials_after(first, count), want, "{name}");
        }
    }

    #[test]
    fn days_of_earlier_ends() {
        let day = |days: i32| Day(campaign().expiry_day().0 + days);
        let terms = Campaign {
            expires_at: day(9).end(),
            earlier_ends: vec![day(0).end(), day(2).start().plus_ms(1), day(9).end().plus_ms(-1)],
            ..campaign()
        };
        assert!(terms.earlier_days().eq([day(0), day(2)]));
        // A name, a day, and the one whose end counts for it.
        let cases = [
            ("its day", 9, 9),
            ("of its first end", 0, 9),
            ("of its second end", 2, 9),
            ("between two ends: a coupon with a date of its own", 1, 1),
            ("after its end", 12, 12),
        ];
        for (name, of, want) in cases {
            let before = Campaign { earlier_ends: Vec::new(), ..terms.clone() };
            assert_eq!(seal_after(day(of), &terms), seal_after(day(want), &before), "{name}");
        }
    }

    #[test]
    fn minted_until_it_expires() {
        let end = campaign().expires_at;
        assert_eq!(may_mint(&campaign(), end.plus_ms(-1)), Ok(()), "in the last millisecond");
        assert_eq!(may_mint(&campaign(), end), Err(Refusal::Expired), "expired");
    }

    #[test]
    fn closed_coupons() {
        let of = |kinds| coupon("CODE01", kinds);
        let (spent, void) = (|| of(vec![redeemed("ann", "1")]), || of(vec![voided()]));
        // Each event of a coupon is from this instant.
        let at = spent().modified_at();
        let (open, over) = (at.plus_days(2), at.plus_days(2).plus_ms(CLOSED_BOUND_MS));
        let late = NOW.plus_days(10);
        // A name, a coupon, the days in which it can be cancelled, the moment; whether it is closed.
        let cases = [
            ("available", of(vec![]), 0, Some(late), false),
            ("issued", of(vec![issued("ann")]), 0, Some(late), false),
            ("issued, at any time", of(vec![issued("ann")]), 0, None, false),
            ("redeemed, and can be cancelled", spent(), 2, Some(open), false),
            ("a clock may still admit that", spent(), 2, Some(over.plus_ms(-1)), false),
            ("no clock admits that", spent(), 2, Some(over), true),
            ("redeemed, at any time", spent(), 2, None, true),
            ("cannot be cancelled", spent(), 0, Some(at), true),
            ("redeemed later than now", spent(), 0, Some(at.plus_ms(-1)), false),
            ("void", void(), 2, Some(at), true),
            ("void, by a clock that was set back", void(), 2, Some(at.plus_ms(-1)), true),
        ];
        for (name, coupon, cancel_days, now, want) in cases {
            assert_eq!(is_closed(&coupon, cancel_days, now), want, "{name}");
            let is_spent = matches!(coupon.state(), State::Redeemed { .. });
            if let Some(now) = now.filter(|_| is_spent) {
                assert_eq!(at <= closed_until(cancel_days, now), want, "{name}: the last instant");
            }
        }
    }
}
