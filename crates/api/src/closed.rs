//! Enums: the values that a field or a parameter can have, as named schemas of the OpenAPI
//! document. A generator of clients creates one type for each.
//!
//! The bodies keep their `&'static str`; the types here only describe it, and have no values. A
//! test compares each enum with the list of the domain.

use std::borrow::Cow;

use engine::import::columns::KnownColumn;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::problem_code::{self, ApiErrorCode};

pub(crate) const STATES: [&str; 4] = ["available", "issued", "redeemed", "void"];

/// The names of what can be tried, as `action` has them. The last one is a sign-in to the console.
pub(crate) const ATTEMPT_ACTIONS: [&str; 7] =
    ["issue", "check", "hold", "redeem", "cancel-redemption", "sign-in", "staff-sign-in"];

macro_rules! closed {
    ($($(#[doc = $doc:literal])* $name:ident: $words:expr;)*) => {$(
        $(#[doc = $doc])*
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                one_of(concat!($($doc),*), $words)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    )*};
}

closed! {
    /// The present state of a coupon. `available`: no user has it. `issued`: a user has it.
    /// `redeemed`: an order used it. `void`: it can no longer be issued or redeemed.
    CouponState: STATES;

    /// Where a coupon is stored. `hot`: in the store of coupons that may still change. `cold`: in
    /// the archive. An archived coupon no longer changes.
    Tier: ["hot", "cold"];

    /// What happened to a coupon.
    EventKind: [
        "issued", "redeemed", "redemption_cancelled", "revoked", "voided", "extended",
    ];

    /// What happened, as the event feed says it. `coupon.held` and `coupon.released` come only if they are asked for.
    EventType: engine::EventType::all().map(engine::EventType::as_str);

    /// What a webhook can ask for: an event of the feed, or `coupons.expiring`, the notice of a user whose coupons
    /// expire soon. `coupon.held`, `coupon.released` and `coupons.expiring` come only if they are asked for.
    WebhookType: engine::webhook_types();

    /// Whether events are posted to a webhook. `paused`: somebody paused it. `disabled`: its receiver answered 410.
    WebhookState: ["active", "paused", "disabled"];

    /// How far a delivery is. `pending`: it waits for its first or its next attempt. `delivered`: the receiver
    /// answered with a 2xx. `failed`: no attempt of three days was successful. `gap`: events were missing in the
    /// feed, because the webhook was behind for too long or the store was restored.
    DeliveryState: webhooks::DeliveryState::ALL.map(webhooks::DeliveryState::as_str);

    /// What a coupon is to an order. `refused`: the order cannot have it. `redeemable`: the order could redeem it now.
    /// `held`: the order holds it. `redeemed`: the order used it. `cancelled`: the order has given it back. `missing`: the
    /// order has begun to redeem its coupons, and not come to this one.
    OrderCouponState: engine::OrderCouponState::ALL.map(engine::OrderCouponState::as_str);

    /// Over which time to add up.
    CountsBy: ["hour", "day"];

    /// What was tried.
    AttemptAction: ATTEMPT_ACTIONS;

    /// Why a code was answered with `NOT_FOUND`. `of_another_user`: another user has the coupon. `not_issued`: no
    /// user has it. The others are codes that no coupon has. `mistyped`: a minted code with one wrong character, or
    /// two neighbours changed for each other. `forged`: it looks like a minted code, and this server has not
    /// minted it. `other`: it does not look like a minted code.
    UnknownCode: ["of_another_user", "not_issued", "mistyped", "forged", "other"];

    /// What was done to a campaign, a batch or the store itself.
    AuditType: engine::AuditKind::ALL.map(engine::AuditKind::as_str);

    /// How far an erasure is. `finding`: coupons in the hot store get the new name. `settling`: everything else in it does.
    /// `overwriting`: files of the hot store are overwritten. `archive`: the next compaction writes files of the cold tier
    /// again. `done`: nothing has the old name.
    ErasureState: engine::ErasureState::ALL.map(engine::ErasureState::as_str);

    /// How the coupons of a campaign reach people. `shop`: a shop or an admin issues them. `self`:
    /// users may also issue one to themselves. `bearer`: anybody who has the code may redeem it.
    /// `shared`: everybody uses the same code, and each user gets a coupon of their own.
    Handout: ["shop", "self", "bearer", "shared"];

    /// How a discount is calculated. `amount`: so much less. `percent`: a share of the order, and perhaps at
    /// most so much. `text`: what only the title says; the shop knows the discount.
    BenefitKind: ["amount", "percent", "text"];

    /// Where the codes of a batch come from: `minted` by this server, or `imported` from another system.
    BatchKind: ["minted", "imported"];

    /// What went wrong, for programs. `/docs/problems/{code}` says what to do.
    ProblemCode: words(ApiErrorCode::ALL);

    /// Why a rule refuses a change of a coupon. These are some of the problem codes.
    Refusal: words(ApiErrorCode::REFUSALS);

    /// What to do after a problem. `never`: do not repeat the request automatically; it fails until
    /// something is changed. `later`: nothing was changed, except that an import may have imported
    /// some lines; send the same request later. `same`: the write may have happened; send exactly
    /// the same request again, and the answer says what happened.
    Retry: problem_code::Retry::ALL.iter().map(|retry| retry.as_str());

    /// Why an import rejects a line. `EMPTY`: the line is empty. `TOO_LONG`: it has more than 4,096 bytes. `NOT_UTF8`:
    /// it is not UTF-8. `BAD_ENCODING`: it has bytes that are no text in the encoding of the file. `QUOTE`: a quotation
    /// mark is not closed in its line. `CELLS`: it has more or fewer cells than the file has columns. `HEADER`: it is a
    /// header again. `BAD_CODE`: the code has characters or a length that no code has, or a spreadsheet damaged it.
    /// `BAD_DATE`: a cell is no date and no instant, or `redeemed_at` is in the future. `ORDER_OF_DATES`: two dates are
    /// in the wrong order. `BAD_STATE`: the state is not `available`, `issued`, `redeemed` or `void`. `MISPLACED`: a
    /// cell has a value that a coupon in this state cannot have. `MISSING_USER`: an issued coupon has no `user_id`.
    /// `MISSING_REDEEMED_AT`: a redeemed coupon has no `redeemed_at`. `BAD_USER`: `user_id` is not valid. `BAD_ORDER`:
    /// `order_ref` is not valid. `LOOKS_MINTED`: the code looks like one that this server minted. `CODE_TAKEN`: the
    /// code exists with other dates or in another campaign. `REPEATED_CODE`: an earlier line of the file has the code
    /// in another spelling. `FORBIDDEN`: the caller may not make coupons what the line says. `ERASED`: the
    /// person was erased, and the import does not say `again=true`. Each other value is a
    /// problem code: it says which rule does not allow the line.
    RejectedReason: [
        "EMPTY", "TOO_LONG", "NOT_UTF8", "BAD_ENCODING", "QUOTE", "CELLS", "HEADER", "BAD_CODE",
        "BAD_DATE", "ORDER_OF_DATES", "BAD_STATE", "MISPLACED", "MISSING_USER",
        "MISSING_REDEEMED_AT", "BAD_USER", "BAD_ORDER", "BAD_AMOUNT", "BAD_CURRENCY", "LOOKS_MINTED", "CODE_TAKEN",
        "REPEATED_CODE", "FORBIDDEN", "ERASED",
        "ALREADY_ISSUED", "ALREADY_REDEEMED", "REDEMPTION_CANCELLED", "VOIDED", "HELD",
        "EXPIRY_DAY_CLOSED", "HISTORY_FULL",
    ];

    /// The meaning of a column of an imported file.
    ImportColumn: KnownColumn::ALL.map(KnownColumn::as_str);

    /// What comes first in a date of an imported file that has its year last.
    DateOrder: ["day-first", "month-first"];

    /// The character between two cells of an imported file: a comma, a semicolon or a tab.
    Separator: [",", ";", "\t"];

    /// The order of a list of coupons. `latest`: the latest expiry comes first. `soonest`: the
    /// soonest expiry comes first.
    ListOrder: ["latest", "soonest"];

    /// What a list can add to its items.
    Expand: ["campaign"];

    /// The process runs.
    AliveStatus: ["ok"];
}

fn words(codes: &'static [ApiErrorCode]) -> impl Iterator<Item = &'static str> {
    codes.iter().map(|code| code.as_str())
}

fn one_of(doc: &str, words: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    let schema = ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(doc.trim()))
        .enum_values(Some(words));
    schema.into()
}

#[cfg(test)]
mod tests {
    use coupon::calendar::Zone;
    use coupon::code::BadCode;
    use coupon::coupon::{EventKind as Event, Redemption, State};
    use coupon::ids::{BadName, OrderRef, UserId};
    use coupon::time::Millis;
    use engine::import::dates::DateFault;
    use engine::import::record::RowError;
    use serde_json::Value;

    use super::*;

    fn words_of<T: PartialSchema>() -> Vec<String> {
        let schema = serde_json::to_value(T::schema()).expect("JSON");
        let words = schema["enum"].as_array().expect("an enum").iter();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn ann() -> UserId {
        "ann".parse().unwrap()
    }

    fn order() -> OrderRef {
        "991".parse().unwrap()
    }

    #[test]
    fn states() {
        let at = Millis(0);
        let redemption =
            Redemption { by: Some(ann()), order: order(), at, worth: None, cancelled_at: None };
        let all = [
            State::Available,
            State::Issued { holder: ann() },
            State::Redeemed { redemption, holder_before: None },
            State::Void { holder: None },
        ];
        assert_eq!(words_of::<CouponState>(), all.each_ref().map(State::as_str));
        // A new state does not compile until it is in the list above.
        for state in all {
            match state {
                State::Available
                | State::Issued { .. }
                | State::Redeemed { .. }
                | State::Void { .. } => {}
            }
        }
    }

    #[test]
    fn events() {
        let (expires_at, zone, reason) = (Millis(0), Zone::utc(), None);
        let all = [
            Event::Issued { to: ann(), reference: None, expires_at: None },
            Event::Redeemed { by: None, order: order(), worth: None },
            Event::RedemptionCancelled { order: order(), reason: None },
            Event::Revoked { from: ann(), reference: None, reason: None },
            Event::Voided { reason: None },
            Event::Extended { expires_at, zone, reason },
        ];
        assert_eq!(words_of::<EventKind>(), all.each_ref().map(Event::as_str));
        // A new kind does not compile until it is in the list above.
        for kind in all {
            match kind {
                Event::Issued { .. }
                | Event::Redeemed { .. }
                | Event::RedemptionCancelled { .. }
                | Event::Revoked { .. }
                | Event::Voided { .. }
                | Event::Extended { .. } => {}
            }
        }
    }

    #[test]
    fn campaigns_and_batches() {
        use coupon::campaign::{BatchKind as MetricKind, Handout as Way};
        let all = [Way::Shop, Way::SelfService, Way::Bearer, Way::Shared];
        assert_eq!(words_of::<Handout>(), all.map(Way::as_str));
        for way in all {
            match way {
                Way::Shop | Way::SelfService | Way::Bearer | Way::Shared => {}
            }
        }
        // A minted batch has a run of serials, which this crate cannot make.
        assert_eq!(words_of::<BatchKind>(), ["minted", MetricKind::Imported.as_str()]);
    }

    #[test]
    fn problems() {
        assert_eq!(
            words_of::<ProblemCode>(),
            ApiErrorCode::ALL.iter().map(|it| it.as_str()).collect::<Vec<_>>()
        );
        let known = words_of::<ProblemCode>();
        for refusal in words_of::<Refusal>() {
            assert!(known.contains(&refusal), "{refusal}");
        }
        assert_eq!(words_of::<Retry>(), ["never", "later", "same"]);
    }

    #[test]
    fn imports() {
        let (column, found) = (KnownColumn::Code, String::new());
        let name = || BadName::Length { found: 0, max: 64 };
        let order_of_dates = RowError::OrderOfDates {
            first: column,
            first_found: found.clone(),
            then: column,
            then_found: found.clone(),
            relation: "before",
        };
        let all = [
            RowError::Empty,
            RowError::TooLong,
            RowError::NotUtf8 { at: 0 },
            RowError::Encoding { encoding: "CP949" },
            RowError::Quote,
            RowError::Cells { found: 1, want: "2".to_owned() },
            RowError::Header,
            RowError::BadCode(BadCode::Length { found: 0 }),
            RowError::DamagedCode { found: found.clone() },
            RowError::BadDate { column, found: found.clone(), fault: DateFault::Form },
            order_of_dates,
            RowError::BadState { found: found.clone() },
            RowError::Misplaced { column, found, state: "issued" },
            RowError::MissingUser,
            RowError::MissingRedeemedAt,
            RowError::BadUser(name()),
            RowError::BadOrder(name()),
            RowError::BadAmount { column: KnownColumn::Discount, found: String::new() },
            RowError::BadCurrency { found: String::new(), want: "KRW" },
        ];
        let mut reasons: Vec<&str> = all.iter().map(RowError::as_str).collect();
        reasons.dedup();
        let listed = words_of::<RejectedReason>();
        assert_eq!(listed[..reasons.len()], reasons, "those of a line alone come first");
        let refusals = words_of::<Refusal>();
        for reason in &listed[reasons.len()..] {
            let by_import = ["LOOKS_MINTED", "CODE_TAKEN", "REPEATED_CODE", "FORBIDDEN", "ERASED"]
                .contains(&reason.as_str());
            assert!(by_import || refusals.contains(reason), "{reason}");
        }
        assert_eq!(words_of::<ImportColumn>(), KnownColumn::ALL.map(KnownColumn::as_str));
    }
}
