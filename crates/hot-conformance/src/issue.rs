//! Issue: exactly as many coupons as there are, and to nobody more than the limit.

mod limits;
mod races;
mod replaced;
mod stock;

use coupon::refusal::Refusal;

use crate::kit::Said;

pub(crate) use limits::{
    a_cancelled_one_is_still_his, a_long_history_costs_little, a_user_gives_sixteen_names,
    one_each, three_each,
};
pub(crate) use races::{
    exactly_a_thousand_one_each, exactly_a_thousand_three_each, taken_back_while_others_ask,
};
pub(crate) use replaced::{
    nobody_replaces_for_himself, replaced_once, replaced_when_nothing_else_helps,
};
pub(crate) use stock::{
    a_spent_name_and_a_coupon_that_came_back, bearer_stock_is_not_issued, imported_stock,
    one_with_a_full_history_is_passed_over, paused_stock, the_issue_window,
    thousands_in_a_row_are_skipped, valid_days_count_from_the_issue, wear_is_spread,
    what_is_gone_is_skipped,
};

const SOLD_OUT: Said = Said::Refused(Refusal::SoldOut);
