//! How often something was done, by the hour or the day.

use std::collections::BTreeMap;

use attempts::Refused;
use coupon::calendar::format_instant;
use coupon::time::Millis;
use engine::CountsView;
use serde::Serialize;
use utoipa::ToSchema;

use crate::closed;

/// How often something was done.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Counts)]
pub struct CountsBody {
    /// The time zone of the days.
    time_zone: String,
    /// One item for each hour or day, oldest first.
    #[schema(max_items = 775)]
    data: Vec<CountsOfTimeBody>,
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

impl CountsBody {
    pub(crate) fn of(view: &mut CountsView, refused: Vec<Refused>) -> CountsBody {
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
                refused: refused.map(|(problem, count)| RefusedBody { problem, count }).collect(),
            }
        });
        CountsBody { time_zone: view.zone.name().to_owned(), data: data.collect() }
    }
}
