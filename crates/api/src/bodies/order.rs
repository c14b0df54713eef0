//! Requests about several coupons of one order.

use coupon::benefit::OrderAmount;
use coupon::code::{CodeText, TEXT_LEN_MAX};
use coupon::ids::{OrderRef, Reason};
use coupon::worth::OrderMoney;
use engine::OrderRequest;
use serde::Deserialize;
use utoipa::ToSchema;

use super::FieldReader;
use crate::problem::Result;

/// The coupons of an order, and what it costs.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OrderRequest)]
pub struct OrderBody {
    /// The user who pays the order.
    user_id: String,
    /// The codes of the coupons, each once, in the order in which they are applied: 1 to 20.
    #[schema(min_items = 1, max_items = 20)]
    coupons: Vec<String>,
    /// What the order costs without any coupon, as in redeem. A percentage is of what the coupons before have left.
    order_amount: Option<u64>,
    /// The currency of the amounts, if a campaign has none.
    currency: Option<String>,
}

/// The same, and for how long.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderHoldRequest {
    /// The user who pays the order.
    user_id: String,
    /// The codes of the coupons, each once, in the order in which they are applied: 1 to 20.
    #[schema(min_items = 1, max_items = 20)]
    coupons: Vec<String>,
    /// For how many seconds: 1 to 604,800. If it is left out, it is 900.
    #[schema(minimum = 1, maximum = 604_800, example = 900)]
    pub(crate) seconds: Option<u32>,
    /// As in redeem.
    order_amount: Option<u64>,
    /// As in redeem.
    currency: Option<String>,
}

/// Which coupons of an order to give back.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelOrderRequest {
    /// Give back only what this user has redeemed. A shared code in `coupons` needs it if the order has redeemed several
    /// coupons of it.
    user_id: Option<String>,
    /// The codes of the coupons. If it is left out, all that the order has redeemed.
    #[schema(min_items = 1, max_items = 20)]
    coupons: Option<Vec<String>>,
    /// Why, for the histories of the coupons.
    reason: Option<String>,
}

macro_rules! of_order {
    ($request:ty) => {
        impl $request {
            pub(crate) fn read(&self, order: OrderRef) -> Result<OrderRequest> {
                let mut reading = FieldReader::default();
                let user = reading.may("user_id", Some(&self.user_id));
                let currency = reading.may("currency", self.currency.as_deref());
                let amount = self.order_amount.map(OrderAmount::from);
                let money = OrderMoney { amount, currency, discount: None };
                let codes = codes_of(&mut reading, &self.coupons);
                reading.done(Some(OrderRequest { order, user, codes, money }))
            }
        }
    };
}

of_order!(OrderBody);
of_order!(OrderHoldRequest);

impl CancelOrderRequest {
    pub(crate) fn read(&self, order: OrderRef) -> Result<(OrderRequest, Option<Reason>)> {
        let mut reading = FieldReader::default();
        let user = reading.may("user_id", self.user_id.as_deref());
        let reason = reading.may("reason", self.reason.as_deref());
        if self.coupons.as_ref().is_some_and(Vec::is_empty) {
            reading.fault("coupons", "is empty: leave it out to give back all of them");
        }
        let codes = codes_of(&mut reading, self.coupons.as_deref().unwrap_or_default());
        let request = OrderRequest { order, user, codes, money: OrderMoney::default() };
        reading.done(Some((request, reason)))
    }
}

/// A text that cannot be a code is one that does not exist. The answer repeats it, so it may not be longer than a code.
fn codes_of(reading: &mut FieldReader, texts: &[String]) -> Vec<(String, Option<CodeText>)> {
    if let Some(long) = texts.iter().map(String::len).find(|len| *len > TEXT_LEN_MAX) {
        let detail = format!("has a text of {long} bytes, want at most {TEXT_LEN_MAX}");
        reading.fault("coupons", detail);
    }
    texts.iter().map(|text| (text.clone(), text.parse().ok())).collect()
}
