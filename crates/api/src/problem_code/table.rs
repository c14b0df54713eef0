//! The table of problem codes: the only place that says what a code means in each language, its status,
//! what the caller may do, and which operations return it.
//!
//! A new code is a row here, a page in `docs/problems`, and, where the rules say it, a variant of
//! [`Refusal`]. Line 2 of the page says status and retry once more; a test compares it with the
//! row.

use coupon::language::Lang;
use coupon::refusal::{Refusal, sentence_of};

use super::row::{Retry, problems};

problems! {
    Invalid "INVALID" 400 Never "The request is not valid"
        "요청의 항목이 잘못되었습니다.";
    Unauthenticated "UNAUTHENTICATED" 401 Never "A valid token is needed"
        "유효한 토큰이 필요합니다."
        hint "send `Authorization: Bearer TOKEN`; `couponry token --role admin` prints one where this server keeps its data"
        "`Authorization: Bearer TOKEN`을 보내세요. 서버의 데이터가 있는 곳에서 `couponry token --role admin` 명령이 토큰을 출력합니다.";
    Forbidden "FORBIDDEN" 403 Never "The token's role may not do this"
        "이 토큰의 역할로는 할 수 없는 작업입니다.";
    NotFound: Refusal "NOT_FOUND" 404 Never "There is nothing here that you may see"
        "해당 항목이 없거나 볼 수 없습니다.";
    MethodNotAllowed "METHOD_NOT_ALLOWED" 405 Never "The path does not have this method"
        "이 경로에서 쓸 수 없는 메서드입니다.";
    /// The body did not come in time, or a query took longer than it may.
    Timeout "TIMEOUT" 408 Same "The request took too long"
        "요청 처리 시간이 초과되었습니다.";
    /// Another order has redeemed the coupon.
    AlreadyRedeemed: Refusal "ALREADY_REDEEMED" 409 Never "The coupon has been redeemed";
    AlreadyIssued: Refusal "ALREADY_ISSUED" 409 Never "The coupon has been issued to somebody else";
    NotIssued: Refusal "NOT_ISSUED" 409 Never "The coupon has not been issued"
        hint "issue it to the user first; codes that anybody may use need a campaign with handout bearer"
        "먼저 사용자에게 발급하세요. 누구나 쓸 수 있는 코드는 handout이 bearer인 캠페인에서 만드세요.";
    /// One of the coupons, or several; nothing was done with the others either.
    OrderRefused "ORDER_REFUSED" 409 Never "A coupon of the order was refused"
        "주문의 쿠폰 중 사용할 수 없는 것이 있습니다."
        hint "leave out or change the coupons that `coupons` lists, and send the others again"
        "coupons에 나온 쿠폰을 빼거나 바꾸어 나머지만 다시 보내세요.";
    Expired: Refusal "EXPIRED" 409 Never "The coupon has expired";
    Voided: Refusal "VOIDED" 409 Never "The coupon is void";
    SoldOut: Refusal "SOLD_OUT" 409 Never "No coupon is left to issue";
    LimitPerUser: Refusal "LIMIT_PER_USER" 409 Never
        "The user has as many coupons as the campaign allows"
        hint "an admin can raise per_user_limit, or revoke one of the user's coupons"
        "관리자가 per_user_limit을 올리거나 사용자의 쿠폰 하나를 회수할 수 있습니다.";
    /// The redemption is older than the campaign's `cancel_days`.
    CancelClosed: Refusal "CANCEL_CLOSED" 409 Never "The redemption can no longer be cancelled";
    /// The order's redemption was cancelled; the order cannot redeem the coupon again.
    RedemptionCancelled: Refusal "REDEMPTION_CANCELLED" 409 Never
        "This order's redemption was cancelled"
        hint "use a new order_ref for the next attempt to pay, for example 991-2"
        "다음 결제 시도에는 991-2처럼 새 order_ref를 사용하세요.";
    NotRedeemed: Refusal "NOT_REDEEMED" 409 Never "The coupon is not redeemed by this order";
    NotLater: Refusal "NOT_LATER" 409 Never "The new expiry is not later";
    ExpiryDayClosed: Refusal "EXPIRY_DAY_CLOSED" 409 Never "The expiry day is closed"
        hint "use a later expiry; for an old coupon, issue another with issue_ref replaces:CODE"
        "더 늦은 만료일을 지정하세요. 오래된 쿠폰 대신 issue_ref를 replaces:CODE로 하여 새로 발급하세요.";
    /// The coupon has as many events as it may have.
    HistoryFull: Refusal "HISTORY_FULL" 409 Never "The history or the campaign is full"
        "쿠폰 이력 또는 캠페인이 가득 찼습니다.";
    VersionConflict: Refusal "VERSION_CONFLICT" 409 Never "The coupon has another version";
    NotIssuable: Refusal "NOT_ISSUABLE" 409 Never "These coupons are not issued by this call"
        hint "the page of this code says which call or which token to use instead"
        "대신 쓸 호출이나 토큰은 이 코드의 문서에 있습니다.";
    NameTaken: Refusal "NAME_TAKEN" 409 Never "Another request has used this name";
    LoginTaken "LOGIN_TAKEN" 409 Never "The login_id already has an account"
        "이미 계정이 있는 login_id입니다.";
    Held: Refusal { .. } "HELD" 409 Later "The coupon is held for another order"
        hint "the hold ends at retry_at; a shop or an admin can release it earlier"
        "retry_at에 풀립니다. 상점이나 관리자는 더 일찍 풀 수 있습니다.";
    OrderTooSmall: Refusal { .. } "ORDER_TOO_SMALL" 409 Never "The order is too small for the coupon"
        hint "missing has how much more the order must cost, in the currency's smallest unit"
        "missing에 주문 금액이 얼마나 모자라는지 통화의 최소 단위로 나옵니다.";
    AmountRequired: Refusal "AMOUNT_REQUIRED" 409 Never "The coupon needs the amount of the order"
        hint "send order_amount: 30000 is ₩30,000, and 3000 is $30.00"
        "order_amount를 보내세요. ₩30,000은 30000, $30.00은 3000입니다.";
    CurrencyMismatch: Refusal "CURRENCY_MISMATCH" 409 Never
        "The amounts are in another currency, or in none"
        hint "send amounts in the campaign's currency; if it has none, send currency with them"
        "캠페인의 통화로 금액을 보내세요. 캠페인에 통화가 없으면 currency를 함께 보내세요.";
    DiscountMismatch: Refusal { .. } "DISCOUNT_MISMATCH" 409 Never "The coupon gives another discount"
        hint "discount has what the coupon gives, or the most that it can be; leave it out of the request"
        "discount에 쿠폰의 할인 금액 또는 가능한 최대 금액이 나옵니다. 요청에서는 discount를 빼세요.";
    BudgetSpent: Refusal "BUDGET_SPENT" 409 Never "Too little is left of the budget"
        hint "sell without the coupon, or raise the budget of its campaign"
        "쿠폰 없이 판매하거나 캠페인의 예산을 늘리세요.";
    NotStarted: Refusal { .. } "NOT_STARTED" 409 Later "The coupon is not valid yet";
    /// The request came outside of the campaign's issue window.
    IssueClosed: Refusal { .. } "ISSUE_CLOSED" 409 Later "The campaign issues no coupons now";
    Paused: Refusal "PAUSED" 409 Later "The campaign or the batch is paused";
    CursorGone "CURSOR_GONE" 410 Never "The events behind the cursor are gone"
        "커서 다음의 이벤트가 이미 삭제되었습니다."
        hint "go on from next_cursor, and compare your data with GET /v1/coupons"
        "next_cursor부터 계속하고, 가진 데이터를 GET /v1/coupons와 비교하세요.";
    /// The campaign has another `ETag` than the request names.
    PreconditionFailed "PRECONDITION_FAILED" 412 Never "It has changed since you read it"
        "읽은 뒤에 내용이 변경되었습니다."
        hint "read it again, decide again, and send the new ETag as If-Match"
        "다시 읽고 판단한 뒤 새 ETag를 If-Match로 보내세요.";
    TooLarge "TOO_LARGE" 413 Never "The body is too large"
        "본문이 너무 큽니다.";
    UnsupportedMediaType "UNSUPPORTED_MEDIA_TYPE" 415 Never
        "The body has the wrong Content-Type, or a Content-Encoding"
        "본문의 Content-Type이 잘못되었거나 Content-Encoding이 있습니다.";
    Unprocessable "UNPROCESSABLE" 422 Never "The file's header cannot be used"
        "파일의 머리글을 사용할 수 없습니다."
        hint "name the columns in the first line, or leave the header out"
        "첫 줄에 열 이름을 쓰거나 머리글을 빼세요.";
    /// Too many wrong codes, or sign-ins; how long to wait differs from case to case.
    TooMany "TOO_MANY" 429 Later "Too many attempts"
        "시도 횟수가 너무 많습니다."
        hint "wait for the seconds in Retry-After"
        "Retry-After에 있는 초만큼 기다리세요.";
    Internal "INTERNAL" 500 Same "The server has a fault"
        "서버에 오류가 있습니다.";
    NotKept "NOT_KEPT" 501 Never "This store does not keep that"
        "이 저장소는 해당 정보를 보관하지 않습니다.";
    Overloaded "OVERLOADED" 503 Later wait 1 "Too many requests are waiting"
        "대기 중인 요청이 너무 많습니다.";
    /// The disk takes no writes; somebody has to look after it.
    StoreFull "STORE_FULL" 503 Later wait 30 "The store cannot be written"
        "저장소에 쓸 수 없습니다. 디스크가 가득 찼거나 읽기 전용입니다."
        hint "free some space on the server's disk; then it accepts writes without a restart"
        "서버 디스크의 공간을 비우세요. 다시 시작하지 않아도 쓰기를 받습니다.";
    StoreUnavailable "STORE_UNAVAILABLE" 503 Later wait 2 "The store is unavailable"
        "저장소가 응답하지 않습니다.";
    /// What the store holds cannot be true; somebody has to look after it.
    StoreDamaged "STORE_DAMAGED" 503 Later wait 30
        "The store is damaged at this coupon"
        "저장소 일부가 손상되었습니다.";
    /// The coupon was archived, and the archive does not answer; somebody has to look after it.
    ColdUnavailable "COLD_UNAVAILABLE" 503 Later wait 30 "The archive is unavailable"
        "보관 저장소가 응답하지 않습니다.";
    OutcomeUnknown "OUTCOME_UNKNOWN" 503 Same wait 2 "The write may have happened"
        "처리되었는지 아직 확인되지 않았습니다."
        hint "send exactly the same request again; the answer says what happened"
        "같은 요청을 그대로 다시 보내세요. 처리되었는지 응답에 나옵니다.";
}

macro_rules! codes {
    ($($name:ident)*) => { &[$(ApiErrorCode::$name),*] };
}

/// Of every operation that reads the store; the groups below likewise.
const READ: &[ApiErrorCode] = codes![StoreDamaged StoreUnavailable Internal];

const WRITE: &[ApiErrorCode] = codes![
    Overloaded StoreDamaged StoreFull StoreUnavailable OutcomeUnknown Internal
];

const TOKEN: &[ApiErrorCode] = codes![Unauthenticated Forbidden];

/// Every operation that has a JSON body.
const BODY: &[ApiErrorCode] = codes![Invalid Timeout TooLarge UnsupportedMediaType];

/// Every operation that may meet an archived coupon.
const COLD: &[ApiErrorCode] = codes![NotFound ColdUnavailable];

/// Every operation about a coupon whose code a caller may guess.
const CODE: &[ApiErrorCode] = codes![NotFound ColdUnavailable TooMany];

/// Refusals of redeem and hold.
const REDEEM: &[ApiErrorCode] = codes![
    NotIssued AlreadyIssued AlreadyRedeemed RedemptionCancelled Voided Held NotStarted Expired
    Paused HistoryFull SoldOut LimitPerUser IssueClosed OrderTooSmall AmountRequired CurrencyMismatch
    DiscountMismatch
];

/// Makes [`ANSWERED`] out of rows: an operation, and what it answers, as groups and as single codes in brackets.
macro_rules! answered {
    (@group [$($name:ident)*]) => { codes![$($name)*] };
    (@group $group:ident) => { $group };
    ($($operation:ident($($group:tt)*))*) => {
        &[$((stringify!($operation), &[$(answered!(@group $group)),*])),*]
    };
}

/// Which operation returns which codes, in the order in which its description lists them. That order differs between
/// operations, so it is not the order of the rows. Every operation can also return METHOD_NOT_ALLOWED.
const ANSWERED: &[(&str, &[&[ApiErrorCode]])] = answered! {
    read_coupon([Invalid] TOKEN CODE READ)
    list_coupons([Invalid] COLD TOKEN READ)
    check(BODY TOKEN CODE READ)
    hold(BODY TOKEN CODE WRITE REDEEM)
    redeem(BODY TOKEN CODE WRITE REDEEM [BudgetSpent])
    release(BODY TOKEN CODE WRITE [AlreadyRedeemed Voided ExpiryDayClosed])
    cancel_redemption(BODY TOKEN CODE WRITE [NotRedeemed CancelClosed Voided])
    check_order(BODY TOKEN [NotFound TooMany ColdUnavailable OrderRefused] READ)
    hold_order(BODY TOKEN [NotFound TooMany ColdUnavailable OrderRefused] WRITE)
    redeem_order(BODY TOKEN [NotFound TooMany ColdUnavailable OrderRefused] WRITE)
    cancel_order(BODY TOKEN CODE WRITE [OrderRefused])
    read_order([NotKept] TOKEN COLD READ)
    issue_coupon(BODY TOKEN CODE WRITE [AlreadyIssued AlreadyRedeemed Voided Held Expired Paused
        IssueClosed LimitPerUser HistoryFull NotIssuable])
    do_operations(BODY TOKEN READ)
    revoke(BODY TOKEN COLD WRITE [NotIssued AlreadyRedeemed Voided Held ExpiryDayClosed
        VersionConflict NameTaken])
    void_coupon(BODY TOKEN COLD WRITE [AlreadyRedeemed Held VersionConflict ExpiryDayClosed])
    extend(BODY TOKEN COLD WRITE [AlreadyRedeemed Voided Held VersionConflict NotLater
        ExpiryDayClosed HistoryFull])
    create_campaign(BODY TOKEN WRITE [NameTaken ExpiryDayClosed SoldOut])
    change_campaign(BODY TOKEN [NotFound NotLater ExpiryDayClosed HistoryFull PreconditionFailed] WRITE)
    list_campaigns([Invalid] TOKEN READ)
    read_campaign(TOKEN [NotFound] READ)
    issue(BODY TOKEN COLD WRITE [SoldOut LimitPerUser NotIssuable NameTaken Expired Paused
        IssueClosed AlreadyRedeemed TooMany])
    create_batch(BODY TOKEN COLD WRITE [NameTaken Expired ExpiryDayClosed SoldOut HistoryFull
        Unprocessable])
    list_batches([Invalid NotFound] TOKEN READ)
    read_batch([NotFound] TOKEN READ)
    change_batch(BODY TOKEN [NotFound] WRITE)
    list_codes([Invalid] COLD TOKEN READ)
    list_events([Invalid CursorGone NotKept TooMany] TOKEN READ)
    list_attempts([Invalid NotKept] TOKEN READ)
    read_counts([Invalid NotKept] TOKEN READ)
    read_campaign_counts([Invalid NotFound NotKept] TOKEN READ)
    list_redemptions([Invalid NotKept] COLD TOKEN READ)
    list_audit([Invalid NotKept] TOKEN READ)
    list_campaign_audit([Invalid NotFound NotKept] TOKEN READ)
    create_webhook(BODY TOKEN READ [NameTaken NotKept OutcomeUnknown])
    list_webhooks([Invalid NotKept] TOKEN READ)
    read_webhook([NotFound NotKept] TOKEN READ)
    change_webhook(BODY TOKEN READ [NotFound NotKept OutcomeUnknown])
    delete_webhook([Invalid NotFound NotKept OutcomeUnknown] TOKEN READ)
    rotate_secret(BODY TOKEN READ [NotFound NotKept TooMany OutcomeUnknown])
    test_webhook(BODY TOKEN READ [NotFound NotKept TooMany])
    list_deliveries([Invalid NotFound NotKept] TOKEN READ)
    redeliver(BODY TOKEN READ [NotFound NotKept OutcomeUnknown])
    import_template([Unauthenticated])
    create_user(BODY [Forbidden LoginTaken TooMany] WRITE)
    create_session(BODY [Unauthenticated Forbidden TooMany] READ)
    delete_user(TOKEN [Invalid NotFound] WRITE)
    read_person(TOKEN [NotFound] WRITE)
    erase_person(BODY TOKEN [NotFound] WRITE [NameTaken])
    list_erasures([Invalid] TOKEN READ)
    read_erasure([NotFound] TOKEN READ)
    healthz()
    readyz()
};

/// Which problems an operation can return; nothing for an operation that has no row. The tests look
/// every answer up here.
pub(crate) fn problems_of(operation: &str) -> impl Iterator<Item = ApiErrorCode> {
    let row = ANSWERED.iter().find(|(name, _)| *name == operation);
    row.into_iter().flat_map(|(_, groups)| groups.iter()).flat_map(|group| group.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_answered_by_an_operation() {
        let answered: Vec<ApiErrorCode> =
            ANSWERED.iter().flat_map(|(name, _)| problems_of(name)).collect();
        for code in ApiErrorCode::ALL {
            let by_all = *code == ApiErrorCode::MethodNotAllowed;
            assert!(by_all || answered.contains(code), "{} is in no row", code.as_str());
        }
    }

    /// The title and the hint of each code are there in Korean. A sentence that the console has too is the same there.
    #[test]
    fn every_code_has_korean_texts() {
        let is_korean = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
        for code in ApiErrorCode::ALL {
            assert!(is_korean(code.title_in(Lang::Ko)), "{}", code.as_str());
            let hints = (code.hint_in(Lang::En), code.hint_in(Lang::Ko));
            assert_eq!(hints.0.is_some(), hints.1.is_some_and(is_korean), "{}", code.as_str());
        }
        let console = include_str!("../../../console/src/text/words.rs");
        let both =
            codes![Invalid StoreFull StoreUnavailable StoreDamaged ColdUnavailable OutcomeUnknown];
        for code in both {
            let said = format!("\"{}\";", code.title_in(Lang::Ko));
            assert!(console.contains(&said), "the console says {} otherwise", code.as_str());
        }
    }

    #[test]
    fn an_operation_answers_a_code_once() {
        for (name, _) in ANSWERED {
            let codes: Vec<&str> = problems_of(name).map(ApiErrorCode::as_str).collect();
            for (at, code) in codes.iter().enumerate() {
                assert!(!codes[..at].contains(code), "{name} lists {code} twice");
            }
        }
    }
}
