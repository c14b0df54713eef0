//! How often something was done, by the hour or the day.

use std::collections::BTreeMap;

use attempts::Refused;
use coupon::calendar::format_instant;
use coupon::time::Millis;
use coupon::worth::WorthSums;
use engine::{Activity, CountsView};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::closed;

/// The largest sum that is shown: JSON of every language has it exactly.
const SHOWN_MAX: u64 = (1 << 53) - 1;

/// How often something was done.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
pub struct CountsBody {
    /// The time zone of the days.
    time_zone: String,
    /// One item for each hour or day, oldest first.
    #[schema(max_items = 775)]
    data: Vec<CountsOfTimeBody>,
    /// What all redemptions so far were worth, for each currency.
    #[schema(max_items = 200)]
    all_time: Vec<AmountSumsBody>,
}

/// What was done how often in an hour or a day.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = CountsOfTime)]
pub struct CountsOfTimeBody {
    /// Its first instant.
    begins_at: String,
    /// The day that it is, or is in.
    #[schema(format = Date)]
    on: String,
    /// How many coupons were issued.
    issued: u64,
    /// How many were redeemed, also if the redemption was cancelled later.
    redeemed: u64,
    /// How many redemptions were cancelled.
    redemptions_cancelled: u64,
    /// What these redemptions were worth, for each currency.
    #[schema(max_items = 200)]
    amounts: Vec<AmountSumsBody>,
    /// How many attempts were refused, for each reason.
    #[schema(max_items = 100)]
    refused: Vec<RefusedBody>,
}

/// How many attempts were refused for one reason.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Refused)]
pub struct RefusedBody {
    /// Why.
    #[schema(value_type = closed::ProblemCode)]
    problem: String,
    /// How many.
    count: u64,
}

/// What redemptions were worth, in the smallest unit of a currency. What they cost the shop is `discount` less
/// `discount_cancelled`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = AmountSums)]
pub struct AmountSumsBody {
    /// Three letters of ISO 4217.
    #[schema(min_length = 3, max_length = 3, example = "KRW")]
    currency: &'static str,
    /// How many redemptions said what their order costs, also if they were cancelled later.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    orders: u64,
    /// What these orders cost without a coupon.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    order_amount: u64,
    /// How much less these orders cost with it. Divided by `order_amount` it is the share that was given away.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    order_discount: u64,
    /// How much less all orders cost, also those of which nobody said the amount.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    discount: u64,
    /// How many of the redemptions that were cancelled said what their order costs.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    orders_cancelled: u64,
    /// What these orders cost without a coupon.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    order_amount_cancelled: u64,
    /// How much less these orders cost with it.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    order_discount_cancelled: u64,
    /// How much less all orders of cancelled redemptions cost.
    #[schema(maximum = 9_007_199_254_740_991_i64)]
    discount_cancelled: u64,
}

impl AmountSumsBody {
    fn all(sums: &WorthSums) -> Vec<AmountSumsBody> {
        let shown = |sum: u64| sum.min(SHOWN_MAX);
        let sums = sums.iter().map(|it| AmountSumsBody {
            currency: it.currency.as_str(),
            orders: it.redeemed.orders,
            order_amount: shown(it.redeemed.order_amount),
            order_discount: shown(it.redeemed.order_discount),
            discount: shown(it.redeemed.discount),
            orders_cancelled: it.cancelled.orders,
            order_amount_cancelled: shown(it.cancelled.order_amount),
            order_discount_cancelled: shown(it.cancelled.order_discount),
            discount_cancelled: shown(it.cancelled.discount),
        });
        sums.collect()
    }
}

/// The sums of a span, as `CountsOfTime` has them.
pub fn sums(sum: &Activity) -> Value {
    json!({
        "issued": sum.issued,
        "redeemed": sum.redeemed,
        "redemptions_cancelled": sum.cancelled,
        "amounts": AmountSumsBody::all(&sum.worth),
    })
}

impl CountsBody {
    pub(crate) fn of(
        view: &mut CountsView,
        all_time: &WorthSums,
        refused: Vec<Refused>,
    ) -> CountsBody {
        let mut by_time: BTreeMap<Millis, BTreeMap<String, u64>> = BTreeMap::new();
        for it in refused {
            if let Some(of) = view.of_quarter(it.quarter) {
                let counts = by_time.entry(of.begins_at).or_default();
                *counts.entry(it.problem).or_default() += it.count;
            }
        }
        let data = view.counts.iter().map(|it| {
            let refused = by_time.remove(&it.begins_at).unwrap_or_default().into_iter();
            CountsOfTimeBody {
                begins_at: format_instant(it.begins_at),
                on: it.on.to_string(),
                issued: it.activity.issued,
                redeemed: it.activity.redeemed,
                redemptions_cancelled: it.activity.cancelled,
                amounts: AmountSumsBody::all(&it.activity.worth),
                refused: refused.map(|(problem, count)| RefusedBody { problem, count }).collect(),
            }
        });
        CountsBody {
            time_zone: view.zone.name().to_owned(),
            data: data.collect(),
            all_time: AmountSumsBody::all(all_time),
        }
    }
}
