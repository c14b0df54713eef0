//! Reports, imports, the calendar, the store and events.

use crate::text::{Lang, Texts, texts};

texts! {
    reports_hint => "Redemptions by the day on which they were made; one that was cancelled later is in the list, too.", "사용한 날을 기준으로 합니다. 나중에 취소된 사용도 목록에 있습니다.";
    download_csv => "Download for a spreadsheet", "스프레드시트용 내려받기";
    redemptions => "Redemptions", "사용 내역";
    redemptions_none => "Nothing was redeemed on these days. Try a longer span.", "이 기간에 사용된 쿠폰이 없습니다. 기간을 늘려 보세요.";
    import_hint => "Codes of another system, as a CSV file. It can say who has them and what was used.", "다른 시스템의 코드를 CSV 파일로 가져옵니다. 보유자와 사용 내역도 담을 수 있습니다.";
    import_into => "Into which campaign?", "어느 캠페인으로 가져올까요?";
    download_template => "Download a template", "양식 내려받기";
    import_mode => "What should happen?", "무엇을 할까요?";
    mode_check => "Check the file", "파일 확인";
    mode_check_hint => "Reads all of it and changes nothing.", "전체를 읽고 아무것도 바꾸지 않습니다.";
    mode_import => "Import it", "가져오기";
    mode_import_hint => "If it breaks off, send the same file again: it goes on where it stopped.", "중단되면 같은 파일을 다시 보내세요. 멈춘 곳부터 이어집니다.";
    import_options => "Encoding, columns and batch", "인코딩, 열, 묶음";
    encoding => "Encoding", "인코딩";
    guessed => "Guess it from the file", "파일에서 추정";
    columns => "Columns", "열";
    columns_hint => "Which column is what, if its header does not say: code:1,expires_at:3", "머리글에 없을 때 어느 열이 무엇인지: code:1,expires_at:3";
    batch_hint => "To go on with an import, use the name of its batch.", "중단된 가져오기를 이어 가려면 그 묶음의 이름을 쓰세요.";
    file => "File", "파일";
    send_file => "Send the file", "파일 보내기";
    upload => "Upload", "업로드";
    check_result => "What the file says", "파일 확인 결과";
    checked(lines, new, known, unchecked, rejected) => "{lines} lines: {new} new, {known} known already, {unchecked} not compared, {rejected} would be rejected.", "전체 {lines}줄: 새 코드 {new}, 이미 있음 {known}, 비교하지 않음 {unchecked}, 거부될 줄 {rejected}.";
    file_format(encoding, separator, columns) => "Read as {encoding} with {separator}; columns: {columns}", "{encoding}, {separator} 구분. 열: {columns}";
    separator_comma => "commas", "쉼표";
    separator_semicolon => "semicolons", "세미콜론";
    separator_tab => "tabs", "탭";
    first_lines => "The first lines", "처음 몇 줄";
    choose_again => "To import it, choose the file again above and select “Import it”.", "가져오려면 위에서 파일을 다시 고르고 ‘가져오기’를 선택하세요.";
    calendar_hint => "The campaigns that end on each day, and how many of their coupons are still out.", "날마다 끝나는 캠페인과 아직 사용되지 않은 쿠폰 수입니다.";
    month_before => "Month before", "이전 달";
    month_after => "Next month", "다음 달";
    and_more[count] => "and {count} more", "and {count} more", "외 {count}개";
    still_out[count] => "{count} coupon still out", "{count} coupons still out", "미사용 {count}장";
    notices => "Notices", "만료 알림";
    notices_due[count] => "notices of {count} coupon", "notices of {count} coupons", "알림 {count}장";
    notices_by_settings(days) => "Notices are due {days} days before the last day of a coupon. The numbers are those of campaigns by their last day; whoever sends the notices remembers which were sent.", "만료 알림은 쿠폰 만료 {days}일 전에 보냅니다. 숫자는 캠페인 만료일 기준이며, 이미 보낸 알림은 보내는 쪽에만 기록됩니다.";
    notices_to_nobody(days) => "Notices would be due {days} days before the last day of a coupon, but this server sends them to nobody: no webhook asks for coupons.expiring, and notify_webhook is not set.", "만료 알림은 쿠폰 만료 {days}일 전에 보내지만, 이 서버에는 받을 곳이 없습니다. coupons.expiring을 받는 웹훅도 notify_webhook 설정도 없습니다.";
    notice_before[days, last] => "{days} day before {last}", "{days} days before {last}", "{last} 만료 {days}일 전";
    by_campaign => "By campaign", "캠페인별";
    by_campaign_most => "Of the campaigns with the most redemptions so far. Choose one above to see another.", "지금까지 가장 많이 사용된 캠페인만 표시합니다. 다른 캠페인은 위에서 고르세요.";
    day_hint => "What ends on this day.", "이 날 끝나는 것입니다.";
    day_no_campaigns => "No campaign ends on this day.", "이 날 끝나는 캠페인이 없습니다.";
    day_no_coupons => "No coupon that somebody has ends on this day.", "이 날 끝나는 발급된 쿠폰이 없습니다.";
    store_hint => "Where the coupons are, and what waits for the archive.", "쿠폰이 있는 곳과 보관을 기다리는 것입니다.";
    store_takes_writes => "The store takes writes.", "저장소에 쓸 수 있습니다.";
    writes_waiting => "Writes waiting", "대기 중인 쓰기";
    writes_since_start => "Writes since the start", "시작 이후 쓰기";
    commits_since_start => "Commits since the start", "시작 이후 커밋";
    reads_since_start => "Reads since the start", "시작 이후 읽기";
    late_days => "Days behind", "밀린 날";
    store_bytes => "Hot store", "핫 저장소";
    log_bytes => "Its log", "로그";
    free_bytes => "Free on its disk", "디스크 여유";
    memory_bytes => "Memory", "메모리";
    compactions => "Compactions", "압축 실행";
    compactions_none => "This server has run none since it started. One that was run by hand is not here.", "이 서버가 시작된 뒤 실행한 압축이 없습니다. 직접 실행한 압축은 여기에 없습니다.";
    took => "Duration", "걸린 시간";
    size => "Size", "크기";
    run_failed => "Failed", "실패";
    seconds_short(seconds) => "{seconds} s", "{seconds}초";
    keys => "Keys and tokens", "키와 토큰";
    keys_hint => "The keys in the data folder of this server. All servers of a store need the same.", "이 서버 데이터 폴더의 키입니다. 한 저장소의 모든 서버에 같은 키가 있어야 합니다.";
    key => "Key", "키";
    age => "Age", "나이";
    key_of_codes => "Mints codes", "코드 발급";
    key_of_tokens => "Signs tokens and sessions", "토큰과 로그인 서명";
    key_newest => "Newest", "최신";
    key_in_use => "In use", "사용 중";
    key_retired(at) => "Retired {at}", "{at} 폐기";
    tokens_made => "Made and retired lately", "최근 발급과 폐기";
    tokens_none => "No token and no key was made lately.", "최근 발급하거나 폐기한 토큰과 키가 없습니다.";
    tokens_hint => "A token is not stored: it is good until its time is over or its key is retired. The list has what the newest 500 entries of the audit say.", "토큰은 저장하지 않습니다. 기간이 끝나거나 키가 폐기될 때까지 유효합니다. 목록은 최근 감사 기록 500건에서 찾은 것입니다.";
    keys_by_hand => "Add or retire a key", "키 추가와 폐기";
    archive => "Archive", "보관 저장소";
    archive_in_use => "In use", "사용 중";
    archive_empty => "Empty", "비어 있음";
    archive_silent => "Does not answer", "응답 없음";
    expiry_days => "Expiry days", "만료일";
    expiry_days_none => "No campaign yet: expiry days come with the first one.", "아직 캠페인이 없습니다. 첫 캠페인을 만들면 만료일이 생깁니다.";
    expiry_day => "Expiry day (UTC)", "만료일(UTC)";
    closes_after => "Can be closed after", "마감 가능 시각";
    archive_commits => "Archive commits", "보관 커밋";
    day_open => "Open", "열림";
    day_due => "Can be closed", "마감 가능";
    day_late => "Behind", "밀림";
    day_sealed => "Sealed", "봉인됨";
    compact_by_hand => "Compact by hand", "직접 압축하기";
    events_hint => "What happens in the store, and the webhooks to which it is posted.", "저장소에서 일어나는 일과 그것을 받는 웹훅입니다.";
    webhooks => "Webhooks", "웹훅";
    webhook => "Webhook", "웹훅";
    webhooks_off => "This server posts no webhooks: events are not kept, or the store is a cluster.", "이 서버는 웹훅을 보내지 않습니다. 이벤트를 보관하지 않거나 클러스터 저장소입니다.";
    webhooks_none => "No webhook yet. Create one with the API:", "아직 웹훅이 없습니다. API로 만드세요:";
    webhook_active => "Active", "작동 중";
    webhook_failing => "Failing", "실패 중";
    webhook_disabled => "Disabled by its receiver", "수신 서버가 중단함";
    waiting => "Waiting", "대기";
    failed_in_a_row => "Failed in a row", "연속 실패";
    live_tail => "Live", "실시간";
    tail_start => "Start", "시작";
    tail_stop => "Stop", "멈춤";
    tail_hint => "Shows what happens while this page is open, the newest first.", "이 화면을 여는 동안 일어나는 일을 최근 순으로 보여 줍니다.";
    needs_javascript => "The live view needs JavaScript.", "실시간 보기에는 JavaScript가 필요합니다.";
    send_test => "Send a test", "시험 전송";
    test_failed(why) => "the receiver did not accept the test: {why}", "수신 서버가 시험 이벤트를 받지 않았습니다: {why}";
    deliveries => "Deliveries", "전송 내역";
    deliveries_none => "Nothing was posted yet.", "아직 전송한 것이 없습니다.";
    deliver_again => "Deliver again", "다시 전송";
    delivery_pending => "Waiting", "대기";
    delivery_delivered => "Delivered", "전송됨";
    delivery_failed => "Failed", "실패";
    delivery_gap => "Events missing", "이벤트 누락";
    attempts => "Attempts", "시도";
    answer => "Answer", "응답";
}

impl Texts {
    /// The days of a week, from Monday on.
    pub(crate) fn weekdays(self) -> [&'static str; 7] {
        match self.lang() {
            Lang::En => ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
            Lang::Ko => ["월", "화", "수", "목", "금", "토", "일"],
        }
    }
}
