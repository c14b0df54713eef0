//! Coupons, customers and what was tried.

use crate::coupon_action::CouponAction;
use crate::goodwill::GoodwillReason;
use crate::text::{texts, texts_of};

texts! {
    coupons => "Coupons", "쿠폰";
    search_what => "What are you looking for?", "무엇을 찾으시나요?";
    search_what_hint => "Type or paste a code in any spelling, the name of a customer, an order number, or the name of a campaign. From every page: press /.", "코드(대소문자나 하이픈은 상관없습니다), 고객 ID, 주문 번호, 캠페인 이름을 입력하세요. 어느 화면에서든 / 키를 누르면 검색할 수 있습니다.";
    search_none => "Nothing found", "검색 결과가 없습니다";
    search_none_hint => "No coupon, customer, order or campaign has this name. A customer is known here who has a coupon, or of whom an attempt was refused; an order that redeemed, or was refused.", "일치하는 쿠폰, 고객, 주문, 캠페인이 없습니다. 쿠폰이 있거나 거부된 시도가 있는 고객과, 쿠폰을 사용했거나 거부된 주문만 나옵니다.";
    did_you_mean => "Did you mean this code?", "이 코드를 찾으셨나요?";
    did_you_mean_hint => "It differs in one or two characters, or two neighbours are swapped.", "한두 글자가 다르거나 이웃한 두 글자가 바뀌었습니다.";
    half_a_code[count] => "A code has 16 characters, and this has {count}. Ask for the rest of it, or search for the customer or the order.", "A code has 16 characters, and this has {count}. Ask for the rest of it, or search for the customer or the order.", "코드는 16자인데 {count}자만 입력했습니다. 나머지 글자를 확인하거나 고객 ID 또는 주문 번호로 검색하세요.";
    give_newcomer(user) => "{user} is a new customer: give them a coupon", "{user}: 새 고객이면 쿠폰 지급";
    customer_is_unknown => "is not known here: check the spelling, and say that they are new", "아직 여기에 없는 고객입니다. 철자를 확인하고, 새 고객이면 새 고객이라고 표시하세요";
    is_newcomer => "I have checked the spelling: nobody with this ID is known here yet", "고객 ID를 확인했습니다. 아직 여기에 없는 고객입니다";
    refused_to_other(user) => "{user} tried to use it and was refused: it is not theirs.", "{user} 고객이 사용하려다 거부되었습니다. 이 고객의 쿠폰이 아닙니다.";
    has_coupons[count] => "{count} coupon", "{count} coupons", "쿠폰 {count}장";
    has_only_refused => "no coupon, but attempts that were refused", "쿠폰 없음, 거부된 시도 있음";
    has_many_coupons => "more than 50 coupons", "쿠폰 50장 이상";
    order_redeemed(at, campaign) => "redeemed on {at} in {campaign}", "{at}에 {campaign} 캠페인에서 사용";
    order_cancelled(at, campaign) => "redeemed on {at} in {campaign}, then cancelled", "{at}에 {campaign} 캠페인에서 사용 후 취소";
    is_available(day) => "Nobody has this coupon yet. It works until the end of {day}.", "아직 아무에게도 발급되지 않았습니다. {day}까지 사용할 수 있습니다.";
    is_available_expired(day) => "Nobody had this coupon, and it ended on {day}.", "아무에게도 발급되지 않은 채 {day}에 만료되었습니다.";
    is_issued_not_now(user) => "{user} has this coupon, and cannot use it at the moment.", "{user} 고객이 보유하고 있지만 지금은 사용할 수 없습니다.";
    works_until(day) => "until {day}", "{day}까지";
    is_issued(user, day) => "{user} has this coupon and can use it until the end of {day}.", "{user} 고객이 보유하고 있으며 {day}까지 사용할 수 있습니다.";
    is_issued_expired(user, day) => "{user} had this coupon and did not use it before it ended on {day}.", "{user} 고객이 보유했지만 만료일({day})까지 사용하지 않았습니다.";
    is_redeemed(user, order, at) => "Redeemed by {user} for order {order} on {at}. It cannot be used again.", "{user} 고객이 {at}에 주문 {order}⟨으로/로⟩ 사용했습니다. 다시 사용할 수 없습니다.";
    is_redeemed_by_nobody(order, at) => "Redeemed for order {order} on {at}. It cannot be used again.", "{at}에 주문 {order}⟨으로/로⟩ 사용되었습니다. 다시 사용할 수 없습니다.";
    is_void(at) => "Void since {at}: nobody can use it.", "{at}에 폐기되어 아무도 사용할 수 없습니다.";
    works_from(at) => "It does not work before {at}.", "{at}부터 사용할 수 있습니다.";
    is_held(order, at) => "Order {order} holds it until {at}.", "주문 {order}⟨이/가⟩ {at}까지 결제 대기 중입니다.";
    can_be_cancelled(at) => "The redemption can be cancelled until {at}.", "{at}까지 사용을 취소할 수 있습니다.";
    cannot_be_cancelled => "The time in which the redemption could be cancelled is over.", "사용을 취소할 수 있는 기간이 지났습니다.";
    all_of_customer => "All coupons of this customer", "이 고객의 모든 쿠폰";
    what_happened => "What happened", "이력";
    nothing_happened => "Nothing has happened to this coupon yet.", "아직 이 쿠폰에는 이력이 없습니다.";
    what_was_refused => "What was refused", "거부된 시도";
    refused_nothing => "No attempt was refused.", "거부된 시도가 없습니다.";
    details => "Details", "세부 정보";
    tier => "Kept in", "저장 위치";
    tier_hot => "the active store", "활성 저장소";
    tier_cold(day) => "the archive, in the files of {day}", "보관 저장소의 {day} 파일";
    version => "Version", "버전";
    imported_by(batch, name) => "imported from {batch} by {name}", "{batch} 파일에서 가져옴 ({name})";
    was_issued(user) => "Given to {user}", "{user} 고객에게 발급";
    was_redeemed(user, order) => "Redeemed by {user} for order {order}", "{user} 고객이 주문 {order}⟨으로/로⟩ 사용";
    was_redeemed_by_nobody(order) => "Redeemed for order {order}", "주문 {order}⟨으로/로⟩ 사용";
    budget_left(budget, left) => "{budget}, of which {left} is left", "{budget} (남은 예산 {left})";
    was_less_of(discount, order) => "{discount} off {order}", "주문 {order}, 할인 {discount}";
    was_less(discount) => "{discount} off", "{discount} 할인";
    was_of(order) => "an order of {order}", "주문 금액 {order}";
    was_cancelled(order) => "Redemption of order {order} cancelled", "주문 {order}의 사용 취소";
    was_revoked(user) => "Taken back from {user}", "{user} 고객에게서 회수";
    was_voided => "Voided", "폐기";
    was_extended(day) => "Extended to {day}", "{day}까지 연장";
    new_last_day => "New last day", "새 만료일";
    customer_has_none => "No coupons", "쿠폰이 없습니다";
    customer_has_none_hint => "This customer has no coupon. One that was taken back is not in the list.", "이 고객에게는 쿠폰이 없습니다. 회수한 쿠폰은 목록에 나오지 않습니다.";
    give_a_coupon => "Give a coupon", "쿠폰 지급";
    goodwill_meant => "Support agents may give it to a customer as goodwill", "상담원이 고객에게 사과나 보상으로 지급할 수 있습니다";
    goodwill_text => "What else, in 25 characters", "기타 사유(25자 이내)";
    goodwill_text_missing => "say in a few words what else it is", "기타 사유를 입력하세요";
    goodwill_none => "No running campaign is meant for goodwill.", "상담원이 지급할 수 있는 캠페인이 없습니다.";
    goodwill_how => "A marketer ticks “Support agents may give it…” on the terms of a campaign that the shop gives out, and it must have coupons left.", "쇼핑몰이 발급하고 수량이 남은 캠페인의 ‘조건 변경’에서 마케팅 담당자가 ‘상담원이 고객에게 사과나 보상으로 지급’을 선택해야 합니다.";
    goodwill_not_meant => "is not meant for goodwill", "상담원이 지급할 수 있는 캠페인이 아닙니다";
    gifts_left(left) => "You can give {left} more today.", "오늘 {left}장 더 지급할 수 있습니다.";
    gifts_all_given => "You have given as many coupons today as one person may.", "오늘 지급할 수 있는 쿠폰을 모두 지급했습니다.";
    gifts_hint => "Nothing was changed. You can give more tomorrow; an operator sets how many it are a day.", "바뀐 것은 없습니다. 내일 다시 지급할 수 있습니다. 하루 한도는 운영자가 정합니다.";
    done_for_customer => "What was done for this customer", "이 고객에게 한 일";
    done_for_customer_none => "Nobody has done anything at the console to the coupons above.", "위 쿠폰에 콘솔에서 한 일이 없습니다.";
    my_day => "What I did today", "오늘 한 일";
    my_day_no_coupons => "You have not changed any coupon today.", "오늘 변경한 쿠폰이 없습니다.";
    my_day_hint(changes) => "The coupons of your last {changes} changes, with any browser. The page of a coupon has everything that was done to it.", "어느 브라우저에서든 변경한 쿠폰이 최근 {changes}건까지 나옵니다. 쿠폰 화면에는 그 쿠폰의 모든 이력이 있습니다.";
    my_day_others => "Everything else", "그 밖에 한 일";
    for_order(order, at) => "order {order}, {at}", "주문 {order}, {at}";
}

texts_of! {
    goodwill_reason(GoodwillReason):
        Delay => "Delivered late", "배송 지연";
        Goods => "Faulty goods", "상품 불량";
        Coupon => "A coupon did not work", "쿠폰 오류";
        Service => "A bad experience", "불편 사과";
        Other => "Something else", "기타";
}

texts_of! {
    coupon_action(CouponAction):
        Issue => "Give to a customer", "고객에게 발급";
        Revoke => "Take back", "회수";
        Void => "Void", "폐기";
        Extend => "Extend", "기간 연장";
        CancelRedemption => "Cancel the redemption", "사용 취소";
}

texts_of! {
    /// What becomes of the coupon then.
    coupon_action_means(CouponAction):
        Issue => "The customer can use it at once.", "고객이 바로 사용할 수 있습니다.";
        Revoke => "The customer loses it, and it can be given to somebody else.", "고객의 쿠폰이 회수되고, 다른 고객에게 발급할 수 있게 됩니다.";
        Void => "Nobody can use it any more. This cannot be undone.", "더 이상 아무도 사용할 수 없습니다. 되돌릴 수 없습니다.";
        Extend => "It works until the end of the new last day. It can only become later.", "새 만료일까지 사용할 수 있습니다. 더 늦은 날짜로만 바꿀 수 있습니다.";
        CancelRedemption => "The coupon goes back to its customer and works again. The order cannot redeem it a second time.", "쿠폰이 고객에게 돌아가 다시 사용할 수 있습니다. 같은 주문으로는 다시 사용할 수 없습니다.";
}

texts_of! {
    /// What somebody tried, by the word of the API.
    tried(str):
        "issue" => "Give out:", "발급:";
        "check" => "Check:", "확인:";
        "hold" => "Hold:", "결제 대기:";
        "redeem" => "Redeem:", "사용:";
        "cancel-redemption" => "Cancel:", "사용 취소:";
        "sign-in" => "Sign in:", "로그인:";
        "staff-sign-in" => "Sign in to the console:", "콘솔 로그인:";
}

texts_of! {
    /// What happened to a coupon, by the word of the events.
    event_of_coupon(str):
        "coupon.issued" => "Issued", "쿠폰 발급";
        "coupon.redeemed" => "Redeemed", "쿠폰 사용";
        "coupon.redemption_cancelled" => "Redemption cancelled", "사용 취소";
        "coupon.revoked" => "Taken back", "쿠폰 회수";
        "coupon.voided" => "Voided", "쿠폰 폐기";
        "coupon.extended" => "Extended", "기간 연장";
        "coupon.held" => "Held", "결제 대기";
        "coupon.released" => "Released", "결제 대기 해제";
        "coupons.expiring" => "Expiring soon", "만료 알림";
        "report.weekly" => "Weekly report", "주간 보고서";
        "webhook.test" => "Test", "테스트";
}

texts_of! {
    /// Why the caller was told that there is no such coupon, although there is one.
    unknown_of_coupon(str):
        "of_another_user" => "The code is right, and the coupon is of another customer.", "코드는 맞지만 다른 고객의 쿠폰입니다.";
        "not_issued" => "The code is right, and the customer has not got the coupon: it must be given out first.", "코드는 맞지만 고객에게 발급되지 않은 쿠폰입니다. 먼저 발급해야 합니다.";
}

texts_of! {
    /// What is wrong with a code that no coupon has.
    unknown_code(str):
        "mistyped" => "The code was mistyped.", "코드를 잘못 입력했습니다.";
        "forged" => "The code is of another shop, or invented.", "다른 쇼핑몰의 코드이거나 지어낸 코드입니다.";
        "other" => "The code is not one of ours.", "이 서비스의 코드가 아닙니다.";
}
