//! Forms about campaigns.

use coupon::campaign::Handout;

use crate::text::{texts, texts_of};

texts! {
    form_what => "What is it?", "어떤 캠페인인가요?";
    form_how => "How do the coupons reach people?", "쿠폰이 고객에게 어떻게 전달되나요?";
    form_when => "From when until when?", "언제부터 언제까지인가요?";
    form_worth => "What is it worth?", "얼마나 할인하나요?";
    benefit_none => "Only the shop knows", "쇼핑몰에서 정합니다";
    benefit_amount => "An amount off the order", "정액 할인";
    benefit_percent => "A percentage off the order", "정률 할인";
    benefit_text => "Something else, such as a free coffee", "기타(예: 커피 한 잔)";
    amounts_hint => "Amounts as on a price tag: 5,000 with KRW, 4.99 with USD.", "금액은 가격표처럼 입력하세요. KRW는 5,000이나 5천, USD는 4.99입니다.";
    want_currency => "choose the currency first", "통화를 먼저 입력하세요";
    want_amount => "want an amount of 0 or more, such as 5,000", "5,000처럼 0 이상의 금액을 입력하세요";
    form_limits => "How many each, and may a redemption be cancelled?", "한 사람이 몇 장까지 받고, 사용을 취소할 수 있나요?";
    name_example => "Spring sale: 10 % off", "봄맞이 10% 할인";
    optional => "(optional)", "(선택)";
    id_proposed => "(in addresses and files; empty: from the name)", "(주소와 파일 이름에 쓰입니다. 비우면 이름으로 만듭니다)";
    at_once => "(empty: at once)", "(비우면 즉시)";
    only_shared => "(for one word for everybody)", "(모두 같은 코드일 때)";
    stock_hint => "100,000 or 10만. A hundred million take no longer than one. More can be added later; leave it empty to import codes.", "100,000, 10만, 십만처럼 쓰세요. 1억 장도 한 장만큼 빨리 만들어집니다. 나중에 더 추가할 수 있고, 코드를 가져오려면 비워 두세요.";
    prefix_hint => "Printed before each code, as in SPRING-7K2M-9QXD-4TRB-H0VE: 1 to 12 capital letters and digits.", "코드 앞에 붙습니다(예: SPRING-7K2M-9QXD-4TRB-H0VE). 영문 대문자와 숫자 1~12자입니다.";
    budget_hint => "A redemption that costs more than is left of the budget is refused.", "남은 예산보다 할인 금액이 크면 사용이 거부됩니다.";
    valid_days_hint => "Each coupon ends so many days after it was given out, and never later than the last day above.", "쿠폰마다 발급한 날부터 이 일수가 지나면 만료됩니다. 위의 만료일을 넘기지는 않습니다.";
    open_days_hint => "In days; 0 means never. So long after the last day, support agents can still extend a coupon.", "일 단위이며 0이면 할 수 없습니다. 연장 가능 일수는 만료일이 지난 뒤에도 상담원이 쿠폰을 연장할 수 있는 기간입니다.";
    show_preview => "Check it", "확인하기";
    preview => "What this means", "이렇게 진행됩니다";
    create_now => "Create the campaign", "캠페인 만들기";
    preview_no_stock(name) => "{name} begins without coupons: you add them later.", "{name} 캠페인은 쿠폰 없이 시작하고, 쿠폰은 나중에 추가합니다.";
    preview_stock[stock, name] => "{name} gets {stock} coupon.", "{name} gets {stock} coupons.", "{name} 캠페인에 쿠폰 {stock}장을 만듭니다.";
    preview_shop => "The shop or a support agent gives them to customers. Codes that are mailed or printed do not work.", "쇼핑몰이나 상담원이 고객에게 발급합니다. 코드를 보내거나 인쇄해 나눠 주면 쓸 수 없습니다.";
    preview_self => "Customers can take one themselves while there are some.", "남아 있는 동안 고객이 직접 받을 수 있습니다.";
    preview_bearer => "Whoever shows a code can use it. Treat the list of codes like cash.", "코드를 가진 사람은 누구나 사용할 수 있습니다. 코드 목록을 현금처럼 다루세요.";
    preview_shared(word) => "Everybody types {word} and gets a coupon of their own.", "모두 {word}⟨을/를⟩ 입력하고 각자의 쿠폰을 받습니다.";
    preview_valid(from, until, zone) => "They work from {from} to the end of {until} ({zone}).", "{from}부터 {until}까지 사용할 수 있습니다({zone}).";
    preview_valid_days[days] => "Each ends {days} day after it was given out, if that is earlier.", "Each ends {days} days after it was given out, if that is earlier.", "만료일 전이라도 발급 후 {days}일이 지나면 만료됩니다.";
    preview_budget(budget) => "All redemptions together may cost {budget}.", "모든 사용의 할인 금액은 합쳐서 {budget}까지입니다.";
    preview_limit[limit] => "One person can have {limit} coupon.", "One person can have {limit} coupons.", "한 사람이 {limit}장까지 받을 수 있습니다.";
    preview_no_limit => "One person can have any number of them.", "한 사람이 받는 수량에 제한이 없습니다.";
    preview_no_cancel => "A redemption cannot be cancelled.", "사용한 뒤에는 취소할 수 없습니다.";
    preview_cancel[days] => "A redemption can be cancelled for {days} day; then the coupon works again.", "A redemption can be cancelled for {days} days; then the coupon works again.", "사용 후 {days}일 동안 취소할 수 있고, 취소하면 쿠폰을 다시 쓸 수 있습니다.";
    want_number => "want a number", "숫자를 입력하세요";
    ask_pause(name) => "Pause {name}?", "{name}⟨을/를⟩ 일시 중지할까요?";
    ask_resume(name) => "Resume {name}?", "{name}⟨을/를⟩ 다시 시작할까요?";
    pause_means => "Nothing of it can be issued or redeemed until it is resumed. An order that holds a coupon can still redeem it.", "다시 시작할 때까지 발급도 사용도 되지 않습니다. 이미 결제 대기 중인 주문은 쿠폰을 사용할 수 있습니다.";
    resume_means => "Its coupons can be issued and redeemed again at once.", "바로 발급하고 사용할 수 있습니다.";
    pause_batch_means => "While a batch is paused, none of its coupons can be issued or redeemed: for example if its list of codes has leaked.", "묶음을 일시 중지하면 그 쿠폰은 발급도 사용도 되지 않습니다. 예를 들어 코드 목록이 유출되었을 때 사용하세요.";
    stock_at_present(left, stock) => "{left} of {stock} coupons are available at present.", "현재 {stock}장 중 {left}장이 발급 전입니다.";
    conflict => "What you have changed, and what somebody else has", "내가 바꾼 내용과 다른 사람이 바꾼 내용";
    conflict_hint => "The form below has yours where you have changed something, and theirs everywhere else. Compare, correct it and save.", "아래 입력란에는 내가 바꾼 값이 그대로 있고, 나머지는 다른 사람이 저장한 값입니다. 비교해 고친 뒤 저장하세요.";
    conflict_was => "Before", "이전";
    conflict_theirs => "Theirs, saved", "다른 사람(저장됨)";
    conflict_mine => "Mine", "내 입력";
    limit_upwards => "It can only be raised: nobody loses a coupon.", "늘릴 수만 있습니다. 이미 받은 쿠폰은 사라지지 않습니다.";
    terms_fixed => "What cannot change", "바꿀 수 없는 조건";
    terms_fixed_why => "Codes with these terms may be out already. For other terms duplicate the campaign.", "이미 이 조건으로 나간 코드가 있을 수 있습니다. 다른 조건이 필요하면 캠페인을 복제하세요.";
    end_later => "It can only become later. Codes that nobody has got follow at once, all other coupons one after the other; the page of the campaign says how far they are.", "늦출 수만 있습니다. 아직 아무도 받지 않은 코드는 바로, 이미 발급했거나 가져온 쿠폰은 차례로 새 만료일을 따릅니다. 진행 상황은 캠페인 화면에 나옵니다.";
    field_extended => "Coupons extended", "연장된 쿠폰";
    extended_soon => "begins in a moment", "곧 시작합니다";
    extended_so_far(extended) => "{extended} so far", "지금까지 {extended}장";
    extended_but(extended, refused) => "{extended}; {refused} wait for an order or have a full history, and are tried again within an hour", "{extended}장 ({refused}장은 결제 대기 중이거나 이력이 가득 차 한 시간 안에 다시 시도합니다)";
}

texts_of! {
    /// Who gives whom a coupon.
    handout_hint(Handout):
        Shop => "Your shop’s system or a support agent gives each coupon to a customer. Codes that you mail or print would work nowhere.", "쇼핑몰 시스템이나 상담원이 고객마다 발급합니다. 코드를 메일이나 종이로 나눠 주면 어디에서도 쓸 수 없습니다.";
        SelfService => "First come, first served: a customer who is signed in takes one in your shop, which needs a button for that.", "로그인한 고객이 쇼핑몰에서 선착순으로 받습니다. 쇼핑몰에 쿠폰 받기 버튼이 있어야 합니다.";
        Bearer => "You send or print the codes, and whoever shows one first uses it. A list that leaks is money that is lost.", "코드를 메일로 보내거나 인쇄해 나눠 주고, 먼저 쓰는 사람이 사용합니다. 목록이 유출되면 그만큼 손해입니다.";
        Shared => "You tell everybody a word such as SUMMER. Whoever types it gets a coupon of their own, while there are some.", "SUMMER 같은 단어 하나를 알립니다. 입력한 고객마다 쿠폰이 한 장씩 발급되고, 수량이 다하면 끝납니다.";
}
