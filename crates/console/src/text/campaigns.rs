//! The overview and campaigns.

use coupon::campaign::Handout;

use crate::phase::CampaignPhase;
use crate::text::{texts, texts_of};

texts! {
    codes_left[count] => "{count} code that nobody has", "{count} codes that nobody has", "아직 발급하지 않은 코드 {count}개";
    codes_files => "Files", "파일";
    code_column => "code", "쿠폰코드";
    worth_column => "worth", "혜택";
    codes_useless => "Nobody can use these codes until they are given out", "발급하기 전에는 아무도 쓸 수 없는 코드입니다";
    codes_useless_files => "The files are for systems that give out named codes, and for checks. To send or print codes that work at once, make the campaign as “Whoever shows the code”.", "이 파일은 코드를 직접 골라 발급하는 시스템이나 대조 작업에 쓰세요. 바로 쓸 수 있는 코드를 보내거나 인쇄하려면 ‘코드를 가진 사람 누구나’ 캠페인을 만드세요.";
    codes_as_bearer => "Duplicate as “Whoever shows the code”", "‘코드를 가진 사람 누구나’로 복제";
    download_csv_codes => "Download a CSV file", "CSV 파일 내려받기";
    codes_csv_for => "A text file, of any size.", "크기 제한이 없는 텍스트 파일입니다.";
    codes_workbook_for => "The same as a spreadsheet.", "같은 내용의 엑셀 파일입니다.";
    codes_sheet_for => "Codes with QR codes, 1,000 on a sheet, to print and cut. Drawing a full sheet takes some seconds.", "QR 코드와 함께 인쇄해 자를 수 있습니다. 한 시트에 1,000개까지 나오며, 그리는 데 몇 초 걸립니다.";
    download_workbook => "Download a workbook", "엑셀 파일 내려받기";
    workbook_too_small(rows) => "a workbook has only {rows} rows for codes: download the CSV file", "엑셀 파일에는 코드를 {rows}줄까지만 담을 수 있습니다. CSV 파일을 내려받으세요";
    sheet => "Sheet to print", "인쇄용 시트";
    sheet_hint => "Print the page; the menu is not printed. The audit shows who opened it.", "이 화면을 인쇄하세요. 메뉴는 인쇄되지 않습니다. 누가 열었는지는 감사 기록에 남습니다.";
    sheet_has[count] => "{count} code that nobody has.", "{count} codes that nobody has.", "아직 발급하지 않은 코드 {count}개입니다.";
    sheet_next => "Next sheet", "다음 시트";
    sheet_none => "No minted code is left that nobody has.", "발급하지 않은 코드가 남아 있지 않습니다.";
    funnel => "From stock to use", "발급에서 사용까지";
    funnel_issued => "Given out, without voided ones", "발급(폐기 제외)";
    cancelled_since(day) => "Cancelled since {day}", "{day} 이후 사용 취소";
    share_title => "Share", "비율";
    of_stock(share) => "{share} of the stock", "전체 수량의 {share}";
    of_issued(share) => "{share} of those given out", "발급한 수량의 {share}";
    today => "Today", "오늘";
    new_campaign => "New campaign", "새 캠페인";
    no_campaigns => "No campaigns yet", "아직 캠페인이 없습니다";
    no_campaigns_hint => "A campaign is an offer: how many coupons, for whom and until when.", "캠페인은 쿠폰을 몇 장, 누구에게, 언제까지 발급할지 정한 것입니다.";
    begin_as_marketer => "Make the first one, then give its coupons to customers.", "첫 캠페인을 만든 뒤 고객에게 쿠폰을 발급하세요.";
    begin_as_support => "A marketer makes the first one. Then you find coupons and customers with the search above, take coupons back or extend them, and give goodwill.", "마케팅 담당자가 첫 캠페인을 만들면, 위 검색창에서 쿠폰과 고객을 찾아 회수하거나 연장하고 사과 쿠폰을 지급할 수 있습니다.";
    begin_as_operator => "A marketer makes the first one. Meanwhile look at the store, its archive and the keys, and at the webhooks.", "마케팅 담당자가 첫 캠페인을 만듭니다. 그동안 시스템 상태와 키, 웹훅을 확인해 두세요.";
    begin_as_viewer => "A marketer makes the first one; then you see here how it goes.", "마케팅 담당자가 첫 캠페인을 만들면 여기에서 진행 상황을 볼 수 있습니다.";
    spark_said(issued, redeemed) => "The 30 days before today: {issued} issued, {redeemed} redeemed", "오늘 이전 30일: 발급 {issued}장, 사용 {redeemed}장";
    spark_legend => "Lines: the 30 days before today", "선: 오늘 이전 30일";
    needs_attention => "Needs attention", "확인이 필요합니다";
    attention_writable(why) => "The store takes no writes: {why}", "저장소에 쓸 수 없습니다: {why}";
    attention_clock(why) => "The clock: {why}", "시계: {why}";
    attention_late[days] => "{days} expiry day is not archived, two days after it could be.", "{days} expiry days are not archived, two days after they could be.", "보관이 이틀 넘게 지연된 만료일이 {days}개 있습니다.";
    attention_webhook[failures, id] => "Webhook {id}: {failures} delivery failed in a row.", "Webhook {id}: {failures} deliveries failed in a row.", "웹훅 {id}: 연속 {failures}번 전송에 실패했습니다.";
    of_yesterday(value) => "{value} on the whole of yesterday", "어제 하루 {value}";
    cancelled_today => "Redemptions cancelled", "사용 취소";
    refused_today => "Refused", "거부";
    running_campaigns => "Running campaigns", "진행 중인 캠페인";
    cancelled => "Cancelled", "사용 취소";
    last_days => "The last 14 days", "최근 14일";
    chart_of_days => "Issued and redeemed, by the day", "일별 발급과 사용";
    chart_of_hours => "Issued and redeemed, by the hour", "시간별 발급과 사용";
    chart_point(when, issued, redeemed) => "{when}: {issued} issued, {redeemed} redeemed", "{when} 발급 {issued}, 사용 {redeemed}";
    chart_quiet => "Nothing was issued or redeemed in this time.", "이 기간에는 발급도 사용도 없습니다.";
    chart_open => "not over yet", "집계 중";
    by_day => "By the day", "일별";
    by_hour => "By the hour", "시간별";
    ending_soon => "Ending this week", "7일 안에 종료";
    ending_none => "No campaign ends within seven days.", "7일 안에 끝나는 캠페인이 없습니다.";
    ends_on(day, outstanding) => "until {day}; {outstanding} still out", "{day}까지, 미사용 {outstanding}장";
    running_out => "Running out", "소진 임박";
    running_out_none => "Every running campaign has a tenth of its stock left.", "진행 중인 모든 캠페인에 수량이 10% 이상 남아 있습니다.";
    left_of(left, stock) => "{left} of {stock} left", "{stock}장 중 {left}장 남음";
    refused_by_reason => "Refused today, by reason", "오늘 거부된 사유";
    refused_none => "Nothing was refused today.", "오늘 거부된 시도가 없습니다.";
    campaigns_shown[count] => "{count} campaign", "{count} campaigns", "캠페인 {count}개";
    as_of(at) => "as of {at}", "{at} 기준";
    all => "All", "전체";
    sort => "Sort by", "정렬";
    apply => "Apply", "적용";
    nothing_fits => "Nothing fits", "조건에 맞는 항목이 없습니다";
    clear_filter => "Clear the filter", "조건 지우기";
    use_of_stock => "Use of the stock", "사용 현황";
    left => "Left", "남은 수량";
    valid => "Valid", "사용 기간";
    period(from, until) => "{from} to {until}", "{from} ~ {until}";
    sort_created => "Newest first", "최근 생성순";
    sort_name => "Name", "이름순";
    sort_ends => "Ends soonest", "먼저 끝나는 순";
    sort_left => "Least left", "남은 수량 적은 순";
    sort_redeemed => "Most redeemed", "사용 많은 순";
    bar_title(redeemed, issued, available, void) => "{redeemed} redeemed, {issued} issued, {available} available, {void} void", "사용 {redeemed}, 발급 {issued}, 발급 전 {available}, 폐기 {void}";
    is_paused(what, name, at, why) => "{what} {name} has been paused since {at}: {why}", "{what} {name}: {at}부터 일시 중지되어 있습니다. 사유: {why}";
    no_reason => "no reason was given", "적지 않음";
    pause => "Pause", "일시 중지";
    resume => "Resume", "다시 시작";
    more_stock => "More coupons", "쿠폰 추가";
    change_terms => "Change the terms", "조건 변경";
    duplicate => "Duplicate", "복제";
    next_steps => "What comes next", "다음에 할 일";
    step_codes => "Codes", "코드";
    step_no_coupons => "There are no coupons yet: add some, or import codes.", "아직 쿠폰이 없습니다. 쿠폰을 추가하거나 코드를 가져오세요.";
    step_no_file => "Nothing to do: each coupon gets its code when it is given out.", "따로 할 일이 없습니다. 코드는 쿠폰을 발급할 때 정해집니다.";
    step_hand_out => "Download the codes, then send or print them.", "코드를 내려받아 보내거나 인쇄하세요.";
    step_tell(word) => "Tell people the word {word}.", "고객에게 공용 코드 {word}⟨을/를⟩ 알리세요.";
    step_shop => "Shop integration", "쇼핑몰 연동";
    step_test => "Test it with one coupon", "쿠폰 한 장으로 테스트";
    step_test_how => "Use one coupon for an order of a test customer. When the numbers of this page change, the shop is connected. Then cancel the redemption on the page of the coupon.", "테스트 고객의 주문에 쿠폰 한 장을 사용해 보세요. 이 화면의 숫자가 바뀌면 연동된 것입니다. 그런 다음 쿠폰 화면에서 사용을 취소하세요.";
    step_test_give => "Give one to test-customer", "test-customer에게 발급";
    sold_out_in_hours[hours] => "Sold out in about {hours} hour at the rate of the last 24 hours.", "Sold out in about {hours} hours at the rate of the last 24 hours.", "최근 24시간 속도라면 약 {hours}시간 뒤 소진됩니다.";
    sold_out_in_days[days] => "Sold out in about {days} day at the rate of the last 24 hours.", "Sold out in about {days} days at the rate of the last 24 hours.", "최근 24시간 속도라면 약 {days}일 뒤 소진됩니다.";
    left_at_end[left, day] => "About {left} will be left when giving out ends on {day}, at the rate of the last 24 hours.", "About {left} will be left when giving out ends on {day}, at the rate of the last 24 hours.", "최근 24시간 속도라면 발급이 끝나는 {day}에 약 {left}장이 남습니다.";
    terms => "Terms", "조건";
    batches => "Batches", "쿠폰 묶음";
    batch => "Batch", "쿠폰 묶음";
    first_batch => "first", "기본 묶음";
    kind => "Kind", "종류";
    created => "Created", "생성";
    batch_minted => "made here", "자동 생성";
    batch_imported => "imported", "가져옴";
    no_batches => "No coupons yet: add some, or import codes.", "아직 쿠폰이 없습니다. 쿠폰을 추가하거나 코드를 가져오세요.";
    download_codes => "Download codes", "코드 내려받기";
    who_did_what => "Who did what", "작업 기록";
    choose(name) => "Choose {name}", "{name} 선택";
    chosen_why => "Chosen campaigns: why?", "선택한 캠페인: 사유";
    lines => "Lines", "전체 줄";
    lines_imported => "Imported", "가져옴";
    lines_known => "Already there", "이미 있음";
    lines_rejected => "Rejected", "거부";
    line => "Line", "줄";
    text => "Text", "내용";
    download_rejected => "Download rejected lines", "거부된 줄 내려받기";
    repair_hint => "Download them, repair them in the sheet, and import the file again. The reasons are for people: the import skips that column.", "내려받아 고친 뒤 다시 가져오세요. 사유 열은 참고용이며 가져올 때 무시합니다.";
    days[count] => "{count} day", "{count} days", "{count}일";
}

texts_of! {
    handout(Handout):
        Shop => "The shop gives them out", "쇼핑몰이 발급";
        SelfService => "Customers take one themselves, too", "고객이 직접 받기";
        Bearer => "Whoever shows the code", "코드를 가진 사람 누구나";
        Shared => "One word for everybody", "모두 같은 코드";
}

texts_of! {
    /// What becomes of codes that are handed out as they are.
    codes_use(Handout):
        Shop => "The shop or a support agent gives each coupon to a customer first. A code that is mailed or printed before that is refused by every shop as NOT_ISSUED.", "쇼핑몰이나 상담원이 먼저 고객에게 발급해야 하는 쿠폰입니다. 그 전에 코드를 보내거나 인쇄해 나눠 주면 모든 쇼핑몰에서 ‘발급되지 않은 쿠폰’(NOT_ISSUED)으로 거부됩니다.";
        SelfService => "Customers take these coupons themselves, or the shop gives them out. A code that is mailed or printed before that is refused by every shop as NOT_ISSUED.", "고객이 직접 받거나 쇼핑몰이 발급해야 하는 쿠폰입니다. 그 전에 코드를 보내거나 인쇄해 나눠 주면 모든 쇼핑몰에서 ‘발급되지 않은 쿠폰’(NOT_ISSUED)으로 거부됩니다.";
        Bearer => "Whoever shows one of these codes can use it at once. Treat the file like cash.", "이 코드를 가진 사람은 누구나 바로 사용할 수 있습니다. 파일을 현금처럼 다루세요.";
        Shared => "Customers type the shared word, and get one of these coupons behind it. The codes by themselves are refused by every shop as NOT_ISSUED: tell people the word.", "고객이 공용 코드를 입력하면 이 쿠폰 가운데 하나가 발급됩니다. 개별 코드는 모든 쇼핑몰에서 ‘발급되지 않은 쿠폰’(NOT_ISSUED)으로 거부되므로 공용 코드를 알려 주세요.";
}

texts_of! {
    /// When the shop calls which call.
    step_shop_calls(Handout):
        Shop => "When a customer gets a coupon, the back end of the shop calls:", "고객에게 쿠폰을 발급할 때 쇼핑몰 서버가 다음을 호출합니다.";
        SelfService => "When a customer presses the button of the shop, its back end calls:", "고객이 쿠폰 받기 버튼을 누르면 쇼핑몰 서버가 다음을 호출합니다.";
        Bearer => "When a customer pays with a code, the back end of the shop calls, with that code:", "고객이 코드를 입력하고 결제하면 쇼핑몰 서버가 그 코드로 다음을 호출합니다.";
        Shared => "When a customer pays with the word, the back end of the shop calls:", "고객이 공용 코드를 입력하고 결제하면 쇼핑몰 서버가 다음을 호출합니다.";
}

texts_of! {
    phase(CampaignPhase):
        Planned => "Planned", "예정";
        Running => "Running", "진행 중";
        SoldOut => "Sold out", "소진";
        Paused => "Paused", "일시 중지";
        Ended => "Ended", "종료";
}
