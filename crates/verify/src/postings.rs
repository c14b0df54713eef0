//! The postings of the [balance](crate::balance): what coupons should find in the directory and among the
//! claims, and what is there.
//!
//! They need not be exact: whatever has its posting on one side alone is read and judged by itself, so a
//! posting too few or too many costs time and hides nothing.

use std::sync::Arc;

use coupon::campaign::Campaign;
use coupon::coupon::{Coupon, EventKind};
use coupon::time::Day;
use hot::inventory::{ClaimItem, EntryIs, EntryItem};
use parking_lot::Mutex;

use crate::balance::{Balance, BalanceEntry, BalanceSide};
use crate::rules::{self, CodeHome, CodeView};

/// The balance of a run; `None` where everything is looked up by itself.
pub(crate) type SharedBalance = Option<Arc<Mutex<Balance>>>;

pub(crate) fn post<'a, T: 'a>(
    balanced: &SharedBalance,
    items: impl IntoIterator<Item = &'a T>,
    add: impl Fn(&mut Balance, &'a T),
) {
    let Some(balance) = balanced else { return };
    let mut balance = balance.lock();
    items.into_iter().for_each(|item| add(&mut balance, item));
}

/// What the coupon of a view should find elsewhere.
pub(crate) fn of_view(balance: &mut Balance, view: &CodeView) {
    let (Some(coupon), Some(terms)) = (view.coupon(), &view.terms) else { return };
    if rules::needs_entry(&view.home, view.day) && view.forward_to().is_none() {
        let genesis = coupon.genesis();
        let dates = match view.home {
            CodeHome::Minted { .. } => None,
            CodeHome::Foreign => Some([genesis.valid_from, genesis.expires_at]),
        };
        let entry = BalanceEntry::Entry {
            code: &view.code,
            day: view.day,
            campaign: genesis.campaign.as_str(),
            batch: genesis.batch.as_str(),
            dates,
        };
        balance.add(BalanceSide::Coupon, &entry, view.day);
    }
    of_holders(balance, view.day, coupon, terms);
}

/// The entries in the claims of everybody who ever became the holder.
fn of_holders(balance: &mut Balance, day: Day, coupon: &Coupon, terms: &Campaign) {
    let mut holder = None;
    for (number, event) in (1_i64..).zip(coupon.events()) {
        let (user, reference, issue) = match &event.kind {
            EventKind::Issued { to, reference, .. } => (to, reference.as_ref(), Some(number)),
            EventKind::Redeemed { by: Some(by), .. } if holder.is_none() => (by, None, None),
            EventKind::Revoked { .. } => {
                holder = None;
                continue;
            }
            EventKind::Redeemed { .. }
            | EventKind::RedemptionCancelled { .. }
            | EventKind::Voided { .. }
            | EventKind::Extended { .. } => continue,
        };
        holder = Some(user);
        // Without a limit only a name needs an entry.
        if terms.per_user_limit.is_some() || reference.is_some() {
            let campaign = &coupon.genesis().campaign;
            let code = coupon.code().as_str();
            let claim = BalanceEntry::Claim { campaign, user, code, reference, issue };
            balance.add(BalanceSide::Coupon, &claim, day);
        }
    }
}

/// `None` for an entry that names no coupon.
pub(crate) fn entry<'a>(entry: &'a EntryItem) -> Option<(BalanceEntry<'a>, Day)> {
    let EntryIs::Coupon { owner, day, line } = &entry.is else { return None };
    let posting = BalanceEntry::Entry {
        code: &entry.code,
        day: *day,
        campaign: owner.campaign.as_str(),
        batch: owner.batch.as_str(),
        dates: line.as_ref().map(|(from, until, _)| [*from, *until]),
    };
    Some((posting, *day))
}

pub(crate) fn claim(claim: &ClaimItem) -> BalanceEntry<'_> {
    BalanceEntry::Claim {
        campaign: &claim.campaign,
        user: &claim.user,
        code: claim.code.as_str(),
        reference: claim.reference.as_ref(),
        issue: claim.issue,
    }
}
