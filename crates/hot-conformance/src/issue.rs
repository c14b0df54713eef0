//! Issue: never more coupons than the stock, and no user gets more than the limit.

mod limits;
mod races;
mod replaced;
mod stock;

use coupon::refusal::Refusal;

use crate::kit::ChangeOutcome;

pub(crate) use limits::{
    a_cancelled_coupon_keeps_its_holder, a_long_claim_costs_little, one_each,
    sixteen_issue_refs_are_stored, three_each,
};
pub(crate) use races::{
    exactly_a_thousand_one_each, exactly_a_thousand_three_each, revoked_while_others_issue,
};
pub(crate) use replaced::{
    replaced_once, replaced_only_if_it_cannot_work_again, users_may_not_replace,
};
pub(crate) use stock::{
    a_full_history_is_skipped, a_revoked_coupon_is_issued_again, bearer_stock_is_not_issued,
    imported_stock, issue_window, issues_are_spread_over_coupons, paused_stock_is_not_issued,
    thousands_of_used_serials_are_skipped, used_serials_are_skipped, valid_days_count_from_issue,
};

const SOLD_OUT: ChangeOutcome = ChangeOutcome::Refused(Refusal::SoldOut);
