//! The frame, signing in, and words that every screen uses.

use engine::StaffRole;

use crate::text::{texts, texts_of, texts_of_fields};
use crate::theme::PageTheme;

texts! {
    skip => "Skip to the content", "본문으로 건너뛰기";
    menu => "Menu", "메뉴";
    main_navigation => "Main navigation", "주 메뉴";
    overview => "Overview", "개요";
    campaigns => "Campaigns", "캠페인";
    coupons_and_customers => "Coupons and customers", "쿠폰·고객";
    find => "Find a coupon", "쿠폰 찾기";
    reports => "Reports", "보고서";
    report => "Report", "보고서";
    calendar => "Calendar", "달력";
    import => "Import", "가져오기";
    events => "Events", "이벤트";
    store => "Store", "시스템 상태";
    staff => "Staff", "직원";
    audit => "Audit", "감사 기록";
    search => "Search", "검색";
    search_hint => "Code, customer or order", "코드, 고객 또는 주문";
    preferences => "Preferences", "환경 설정";
    language => "Language", "언어";
    theme => "Theme", "화면 테마";
    time_zone => "Time zone", "시간대";
    save => "Save", "저장";
    copy => "Copy", "복사";
    cancel => "Cancel", "돌아가기";
    first_page => "First page", "첫 페이지";
    next_page => "Next page", "다음 페이지";
    sign_out => "Sign out", "로그아웃";
    sign_out_everywhere => "Sign out everywhere", "모든 기기에서 로그아웃";
    sign_in => "Sign in", "로그인";
    sign_in_hint => "No account yet? Open the link that `couponry console` prints, or ask an admin for an invitation.", "계정이 없나요? `couponry console` 명령이 출력하는 링크를 열거나 관리자에게 초대를 요청하세요.";
    sign_in_wrong => "The name or the password is wrong.", "이름 또는 비밀번호가 잘못되었습니다.";
    sign_in_blocked[minutes] => "Too many wrong passwords. Try again in {minutes} minute.", "Too many wrong passwords. Try again in {minutes} minutes.", "비밀번호를 너무 많이 틀렸습니다. {minutes}분 뒤에 다시 시도하세요.";
    sign_in_busy => "Too many people are signing in. Try again in a moment.", "로그인하는 사람이 너무 많습니다. 잠시 후 다시 시도하세요.";
    sign_in_at_provider => "Sign in with your company account", "회사 계정으로 로그인";
    sign_in_in_tab => "Sign in with your company account in a new tab", "새 탭에서 회사 계정으로 로그인";
    signed_in_go_on => "I have signed in: go on", "로그인했습니다. 계속하기";
    not_signed_in_yet => "Nobody has signed in with this browser yet. What you typed is kept.", "이 브라우저에서는 아직 로그인하지 않았습니다. 입력한 내용은 그대로 있습니다.";
    or_with_password => "Or with a password of this console:", "또는 이 콘솔의 비밀번호로 로그인:";
    signed_in => "You are signed in", "로그인했습니다";
    go_on_to_console => "Go on", "계속";
    identity_late => "That took too long, or was begun in another browser. Sign in again.", "시간이 지났거나 다른 브라우저에서 시작한 로그인입니다. 다시 로그인하세요.";
    identity_cancelled => "The sign-in with your company account was cancelled.", "회사 계정 로그인을 취소했습니다.";
    identity_away => "The identity provider of your company does not answer. Try again, or sign in with a password.", "회사의 로그인 서비스가 응답하지 않습니다. 다시 시도하거나 비밀번호로 로그인하세요.";
    identity_refused => "The identity provider of your company does not confirm this sign-in. Sign in again.", "회사의 로그인 서비스가 이 로그인을 확인하지 않았습니다. 다시 로그인하세요.";
    identity_no_role(name) => "The company account {name} has no role for couponry. Ask whoever manages accounts at your company for one.", "회사 계정 {name}에는 couponry 역할이 없습니다. 회사의 계정 관리자에게 요청하세요.";
    identity_name(name) => "The name {name} of your company account cannot be a name here: it takes letters, digits and signs without spaces, up to 128 bytes.", "회사 계정 이름 {name}⟨은/는⟩ 여기에서 쓸 수 없습니다. 공백 없이 글자, 숫자, 기호로 128바이트까지 쓸 수 있습니다.";
    identity_name_taken(name) => "The name {name} is of somebody who signs in with a password. Ask an admin to delete that account first.", "{name} 이름은 비밀번호로 로그인하는 사람이 쓰고 있습니다. 먼저 그 계정을 지워 달라고 관리자에게 요청하세요.";
    identity_name_has_twin(name) => "The name {name} looks like that of somebody who has an account here. Ask an admin to delete that account, or to change one of the names at your company.", "{name} 이름은 이미 계정이 있는 다른 사람의 이름과 구별하기 어렵습니다. 그 계정을 지우거나 회사 계정 이름을 바꿔 달라고 관리자에게 요청하세요.";
    session_over => "Your session is over. Sign in to go on: what you typed is kept.", "로그인이 만료되었습니다. 다시 로그인하면 입력한 내용으로 계속할 수 있습니다.";
    go_on_title => "Send your form", "입력한 내용 보내기";
    go_on_text => "You are signed in again. This is what you typed:", "다시 로그인했습니다. 입력한 내용은 다음과 같습니다.";
    go_on => "Send it now", "지금 보내기";
    welcome_title => "Make your account", "계정 만들기";
    welcome_text(role) => "With this link you get an account with the role {role}. It works once.", "이 링크로 {role} 역할의 계정을 만들 수 있습니다. 한 번만 사용할 수 있습니다.";
    name_taken => "The name has an account already: choose another. A link for this name can give it a new password.", "이미 있는 이름입니다. 다른 이름을 고르세요. 이 이름을 지정한 링크로만 새 비밀번호를 정할 수 있습니다.";
    name_has_twin => "The name looks like that of somebody else here, with other characters: choose one that people can tell from it.", "다른 사람의 이름과 글자는 다르지만 똑같아 보입니다. 구별할 수 있는 이름을 고르세요.";
    welcome_bad => "The link was used, has expired, or is not whole.", "이미 사용했거나, 기간이 지났거나, 일부가 잘린 링크입니다.";
    welcome_bad_hint => "Run `couponry console` for a new one, or ask an admin.", "`couponry console` 명령으로 새 링크를 만들거나 관리자에게 요청하세요.";
    password_rule => "8 to 128 characters; a sentence is good.", "8~128자로 입력하세요. 문장으로 만들면 외우기 쉽고 안전합니다.";
    name_rule => "Letters, digits and signs without blanks, such as an e-mail address. The audit shows it.", "공백 없이 글자, 숫자, 기호로 입력하세요(예: 이메일 주소). 감사 기록에 표시됩니다.";
    make_account => "Make the account", "계정 만들기";
    as_curl => "The same with curl", "curl로 같은 작업하기";
    keyboard => "Keyboard", "단축키";
    keyboard_help => "This help", "이 도움말";
    keyboard_close => "Close", "닫기";
    as_table => "As a table", "표로 보기";
    in_zone(zone) => "Times in {zone}.", "시간대: {zone}";
    yes => "Yes", "예";
    no => "No", "아니요";
    state_available => "Available", "발급 전";
    state_issued => "Issued", "발급";
    state_redeemed => "Redeemed", "사용";
    state_void => "Void", "폐기";
    state_expired => "Expired", "만료";
    when => "When", "일시";
    who => "Who", "작업자";
    what => "What", "내용";
    why => "Why", "사유";
    code => "Code", "코드";
    campaign => "Campaign", "캠페인";
    customer => "Customer", "고객";
    order => "Order", "주문";
    state => "State", "상태";
    unlimited => "no limit", "제한 없음";
}

texts_of_fields! {
    "campaign_id" field_campaign_id => "Short name", "짧은 이름";
    "name" | "description" field_name => "Name", "이름";
    "stock" | "count" field_stock => "How many", "수량";
    "handout" field_handout => "How they reach people", "전달 방법";
    "shared_code" field_shared_code => "The shared word", "공용 코드";
    "code_prefix" field_code_prefix => "Beginning of each code", "코드 앞부분";
    "valid_from" field_valid_from => "First day", "시작일";
    "expires_at" | "expires_on" field_expires_on => "Last day", "만료일";
    "valid_days" field_valid_days => "Days after issue", "발급 후 사용 일수";
    "issue_from" field_issue_from => "Give out from", "발급 시작";
    "issue_until" field_issue_until => "Give out until", "발급 종료";
    "per_user_limit" field_per_user_limit => "Coupons per person", "1인당 수량";
    "cancel_days" field_cancel_days => "Days to cancel a redemption", "사용 취소 가능 기간";
    "extend_days" field_extend_days => "Days to extend after the end", "만료 후 연장 가능 일수";
    "metadata" field_metadata => "The shop's own data (JSON)", "쇼핑몰 자체 정보(JSON)";
    "currency" field_currency => "Currency", "통화";
    "benefit" | "benefit.kind" field_benefit => "Benefit", "혜택";
    "budget" field_budget => "Budget", "할인 예산";
    "benefit.amount" field_amount => "Amount off", "할인 금액";
    "benefit.percent" field_percent => "Percent off", "할인율(%)";
    "benefit.max_discount" field_max_discount => "At most", "최대 할인 금액";
    "benefit.min_order" field_min_order => "Smallest order", "최소 주문 금액";
    "title_en" | "benefit.title" | "benefit.title.en" field_title_en => "What buyers read, in English", "구매자에게 보이는 문구(영어)";
    "title_ko" | "benefit.title.ko" field_title_ko => "What buyers read, in Korean", "구매자에게 보이는 문구(한국어)";
    "reason" field_reason => "Reason", "사유";
    "password" field_password => "Password", "비밀번호";
    "role" field_role => "Role", "역할";
    "from" field_from => "From", "시작일";
    "to" field_to => "To", "종료일";
    "url" field_url => "Address", "주소";
    "types" field_types => "Events", "이벤트 종류";
    "format" field_format => "Format", "형식";
    "delivery_id" | "number" field_delivery => "Delivery", "전송 번호";
    "seconds" | "ttl_seconds" field_seconds => "Good for, in seconds", "유효 시간(초)";
}

texts_of! {
    role(StaffRole):
        Viewer => "Viewer", "조회";
        Marketer => "Marketer", "마케팅";
        Support => "Support", "상담";
        Operator => "Operator", "운영";
        Admin => "Admin", "관리자";
}

texts_of! {
    theme_name(PageTheme):
        System => "As the system", "시스템 설정";
        Light => "Light", "밝게";
        Dark => "Dark", "어둡게";
}

texts_of! {
    /// What was just done, by the word that the address has for it.
    notice(str):
        "created" => "The campaign is there. What comes next is below.", "캠페인을 만들었습니다. 다음에 할 일은 아래에 있습니다.";
        "changed" | "saved" => "The change is saved.", "변경 내용을 저장했습니다.";
        "paused" => "It is paused: nothing of it can be issued or redeemed.", "일시 중지했습니다. 발급과 사용이 모두 멈춥니다.";
        "paused-webhook" => "The webhook is paused: nothing is posted meanwhile.", "웹훅을 일시 중지했습니다. 그동안 아무것도 전송하지 않습니다.";
        "paused-all" => "They are paused: nothing of them can be issued or redeemed.", "선택한 캠페인을 일시 중지했습니다. 발급과 사용이 모두 멈춥니다.";
        "resumed-all" => "They are resumed.", "선택한 캠페인을 다시 시작했습니다.";
        "some" => "Only some of them were changed: the list says which. Choose the others and send it again.", "일부만 변경했습니다. 목록에서 상태를 확인하고 나머지를 선택해 다시 보내세요.";
        "resumed" => "It is resumed.", "다시 시작했습니다.";
        "stock" => "The new coupons are there.", "쿠폰을 추가했습니다.";
        "issued" => "The customer has the coupon.", "고객에게 쿠폰을 발급했습니다.";
        "had" => "Nothing was given: the customer had got this coupon before. Below is how it is now.", "발급하지 않았습니다. 고객이 이 쿠폰을 이미 받았습니다. 현재 상태는 아래와 같습니다.";
        "same" => "Nothing was changed: this was done before. Below is how it is now.", "변경된 내용이 없습니다. 이미 처리된 작업입니다. 현재 상태는 아래와 같습니다.";
        "revoked" => "The coupon was taken back.", "쿠폰을 회수했습니다.";
        "voided" => "The coupon is void.", "쿠폰을 폐기했습니다.";
        "extended" => "The coupon works longer now.", "쿠폰 기간을 연장했습니다.";
        "cancelled" => "The redemption is cancelled.", "사용을 취소했습니다.";
        "imported" => "The file is imported.", "파일을 가져왔습니다.";
        "compacting" => "The compaction begins.", "보관 작업을 시작합니다.";
        "redelivered" => "The delivery is queued again.", "다시 전송하도록 등록했습니다.";
        "test-failed" => "The receiver did not accept the test: the first of the deliveries below has its answer.", "수신 서버가 테스트 이벤트를 받지 않았습니다. 아래 전송 내역의 첫 줄에 응답이 있습니다.";
        "tested" => "The receiver accepted the test.", "수신 서버가 테스트 이벤트를 받았습니다.";
        "erased" => "The customer is forgotten: nothing is found by the old name.", "고객의 개인정보를 삭제했습니다. 예전 ID로는 아무것도 찾을 수 없습니다.";
        "removed" => "The account is deleted.", "계정을 삭제했습니다.";
        "deleted" => "It is deleted.", "삭제했습니다.";
        "signed-out" => "All sessions of the account are over.", "계정의 모든 로그인을 끝냈습니다.";
}
