//! Refusals: the closed list of reasons why a rule refuses a change, each with its problem code and its sentences.

use crate::language::Lang;
use crate::time::Millis;

/// The refusals, each with the code on the wire, what logs and errors say, and the sentence for people in each
/// language.
macro_rules! refusals {
    ($(
        $(#[$doc:meta])*
        $name:ident $({ $($(#[$about:meta])* $field:ident: $type:ty),+ })? $word:literal $says:literal
            $en:literal $ko:literal;
    )*) => {
        /// A rule refused the change. Nothing was written.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        pub enum Refusal {
            $(
                $(#[$doc])*
                #[error($says)]
                $name $({ $($(#[$about])* $field: $type),+ })?,
            )*
        }

        impl Refusal {
            /// The problem code on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Refusal::$name { .. } => $word,)* }
            }

            pub fn sentence(self, lang: Lang) -> &'static str {
                match (self, lang) {
                    $((Refusal::$name { .. }, Lang::En) => $en,
                    (Refusal::$name { .. }, Lang::Ko) => $ko,)*
                }
            }
        }

        /// The sentence of a refusal of which only the problem code was kept; `None` if the code is of none.
        pub fn sentence_of(code: &str, lang: Lang) -> Option<&'static str> {
            match (code, lang) {
                $(($word, Lang::En) => Some($en), ($word, Lang::Ko) => Some($ko),)*
                _ => None,
            }
        }
    };
}

refusals! {
    /// There is no such coupon, or this caller may not know about it.
    NotFound "NOT_FOUND" "there is no such coupon"
        "There is no such coupon, campaign or account." "해당 쿠폰, 캠페인 또는 계정이 없습니다.";
    NotIssued "NOT_ISSUED" "the coupon has not been issued to anybody"
        "Nobody has been given this coupon yet." "아직 아무에게도 발급되지 않은 쿠폰입니다.";
    AlreadyIssued "ALREADY_ISSUED" "the coupon has been issued to somebody else"
        "The coupon belongs to somebody else." "다른 고객에게 발급된 쿠폰입니다.";
    /// The coupon's one live redemption belongs to another order.
    AlreadyRedeemed "ALREADY_REDEEMED" "the coupon has been redeemed"
        "The coupon has been redeemed already." "이미 사용된 쿠폰입니다.";
    /// The order's redemption of this coupon was cancelled; the order cannot redeem it again.
    RedemptionCancelled "REDEMPTION_CANCELLED" "this order's redemption was cancelled"
        "The redemption of this order was cancelled; a new purchase needs a new order number." "이 주문의 사용은 취소되었습니다. 다시 구매하려면 새 주문 번호가 필요합니다.";
    NotRedeemed "NOT_REDEEMED" "the coupon is not redeemed by this order"
        "This order has not redeemed the coupon." "이 주문은 이 쿠폰을 사용하지 않았습니다.";
    /// The redemption is older than the campaign's `cancel_days`.
    CancelClosed "CANCEL_CLOSED" "the redemption can no longer be cancelled"
        "The time in which the redemption could be cancelled is over." "사용을 취소할 수 있는 기간이 지났습니다.";
    Voided "VOIDED" "the coupon is void"
        "The coupon is void." "폐기된 쿠폰입니다.";
    Held {
        /// When that hold lapses.
        until: Millis
    } "HELD" "the coupon is held for another order"
        "Another order holds the coupon at the moment." "지금 다른 주문이 쿠폰을 잡고 있습니다.";
    NotStarted {
        valid_from: Millis
    } "NOT_STARTED" "the coupon is not valid yet"
        "The coupon does not work yet." "아직 사용 기간이 시작되지 않았습니다.";
    Expired "EXPIRED" "the coupon has expired"
        "The coupon has expired." "사용 기간이 지난 쿠폰입니다.";
    Paused "PAUSED" "the campaign or the batch is paused"
        "The campaign or the batch is paused." "캠페인 또는 묶음이 일시 중지되어 있습니다.";
    /// Outside the campaign's issue window.
    IssueClosed {
        /// When the window opens, if it lies ahead.
        opens_at: Option<Millis>
    } "ISSUE_CLOSED" "the campaign issues no coupons now"
        "The campaign gives out no coupons now." "지금은 이 캠페인에서 쿠폰을 발급하지 않습니다.";
    OrderTooSmall {
        /// The least order.
        min_order: u64,
        /// How much more the order must cost.
        missing: u64
    } "ORDER_TOO_SMALL" "the order is too small for the coupon"
        "The order is too small for this coupon." "주문 금액이 이 쿠폰의 최소 주문 금액보다 적습니다.";
    /// The benefit cannot be calculated without the order's amount.
    AmountRequired "AMOUNT_REQUIRED" "the coupon needs the amount of the order"
        "The amount of the order is needed for this coupon." "이 쿠폰에는 주문 금액이 필요합니다.";
    CurrencyMismatch "CURRENCY_MISMATCH" "the amounts are in another currency than the campaign, or in none"
        "The order has another currency than the coupon." "주문의 통화가 쿠폰의 통화와 다릅니다.";
    /// The order says another discount than the benefit makes, or one that is above the order.
    DiscountMismatch {
        /// The discount, or the most that it can be.
        discount: u64
    } "DISCOUNT_MISMATCH" "the coupon gives another discount"
        "The coupon gives another discount than the order says." "주문에 적힌 할인 금액이 쿠폰의 할인 금액과 다릅니다.";
    /// Less than the discount is left of the campaign's budget.
    BudgetSpent "BUDGET_SPENT" "too little is left of the campaign's budget"
        "Too little is left of the budget of this campaign." "이 캠페인의 할인 예산이 부족합니다.";
    NotLater "NOT_LATER" "the new expiry is not later than the present one"
        "The new last day is not later than the present one." "새 만료일이 현재 만료일보다 늦지 않습니다.";
    /// It is too late for a change: the partition may be archived at any moment.
    ExpiryDayClosed "EXPIRY_DAY_CLOSED" "the coupon's expiry day is closed"
        "The expiry day of the coupon is closed: nothing about it can change." "만료일이 마감되어 이 쿠폰은 더 이상 바꿀 수 없습니다.";
    VersionConflict "VERSION_CONFLICT" "the coupon has another version than the request names"
        "Somebody changed the coupon meanwhile. Look at it again first." "그 사이 다른 사람이 쿠폰을 변경했습니다. 다시 확인하세요.";
    HistoryFull "HISTORY_FULL" "the coupon's history is full"
        "The history of the coupon is full." "쿠폰 이력이 가득 찼습니다.";
    SoldOut "SOLD_OUT" "the campaign is sold out"
        "The campaign has no coupon left." "캠페인에 남은 쿠폰이 없습니다.";
    LimitPerUser "LIMIT_PER_USER" "the user has reached the campaign's limit"
        "The customer has as many coupons of this campaign as it allows." "고객이 이 캠페인에서 받을 수 있는 만큼 이미 받았습니다.";
    NotIssuable "NOT_ISSUABLE" "this campaign's coupons are not issued by this call"
        "The coupons of this campaign are not given out in this way." "이 캠페인의 쿠폰은 이 방법으로 발급하지 않습니다.";
    NameTaken "NAME_TAKEN" "the name is taken by something else"
        "The name was used for something else." "이미 다른 곳에 사용된 이름입니다.";
}

impl Refusal {
    /// When the same request may succeed, if that is known.
    pub fn retry_at(self) -> Option<Millis> {
        match self {
            Refusal::Held { until } => Some(until),
            Refusal::NotStarted { valid_from } => Some(valid_from),
            Refusal::IssueClosed { opens_at } => opens_at,
            _ => None,
        }
    }
}
