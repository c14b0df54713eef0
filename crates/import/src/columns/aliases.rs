//! Aliases: what other systems call each column, in English and Korean.
//!
//! Only names that can mean one thing are here. `번호`, `id` or `date` could be several columns, so
//! nobody guesses them; the caller maps them.

use super::KnownColumn;

/// Names as [`super::normal`] writes them, with blanks between them.
pub(super) fn of(column: KnownColumn) -> &'static str {
    match column {
        KnownColumn::Code => {
            "couponcode couponnumber couponno vouchercode vouchernumber promocode promotioncode
             discountcode giftcode serialnumber
             쿠폰번호 쿠폰코드 쿠폰시리얼번호 시리얼번호 시리얼코드 난수번호 난수코드
             프로모션코드 할인코드 바우처코드 바우처번호 상품권번호"
        }
        KnownColumn::ValidFrom => {
            "validfrom validfromdate startdate startsat startson startat begindate
             시작일 시작일자 시작일시 사용시작일 유효시작일 유효기간시작 유효기간시작일"
        }
        KnownColumn::ExpiresAt => {
            "expiresat expireson expires expireat expiredat expiry expirydate expiration
             expirationdate expiredate enddate endsat endson validuntil validto validthrough
             만료일 만료일자 만료일시 만료날짜 만기일 종료일 종료일자 종료일시 사용종료일
             사용기한 유효종료일 유효기간 유효기한 유효기간종료 유효기간종료일 유효기간만료일"
        }
        KnownColumn::State => "status couponstatus couponstate 상태 쿠폰상태",
        KnownColumn::UserId => {
            "userid customerid memberid holder
             회원id 회원아이디 회원번호 사용자id 사용자아이디 고객id 고객아이디 고객번호
             유저id 유저아이디"
        }
        KnownColumn::IssuedAt => {
            "issuedat issuedon issuedate issueddate
             발급일 발급일자 발급일시 지급일 지급일자 지급일시"
        }
        KnownColumn::RedeemedAt => {
            "redeemedat redeemedon redeemdate redeemeddate redemptiondate usedat usedon useddate
             사용일 사용일자 사용일시 사용날짜"
        }
        KnownColumn::OrderRef => "orderref orderid orderno ordernumber 주문번호 주문id",
        // An amount of won has one meaning; other shops' may be cents or have a point.
        KnownColumn::OrderAmount => "orderamount 주문금액",
        KnownColumn::Discount => "할인금액 할인액",
        KnownColumn::Currency => "currencycode 통화 통화코드",
    }
}
