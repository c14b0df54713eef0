//! Reports, imports, the calendar, the store and events.

use engine::import::columns::KnownColumn;
use engine::import::states::StateWord;
use webhooks::DeliveryState;

use crate::machine::KeyUse;
use crate::plan::PlannedPass;
use crate::spans::SpanPreset;
use crate::text::{Lang, PageTexts, texts, texts_of};

texts! {
    cost => "Cost", "할인 비용";
    discount => "Discount", "할인";
    average_order => "Average order", "평균 주문 금액";
    discount_share => "Discount share", "할인 비율";
    reports_hint => "Redemptions by the day on which they were made. The cost is without those that were cancelled; numbers, average and share are with them.", "사용한 날을 기준으로 합니다. 할인 비용은 취소한 사용을 뺀 금액이고, 건수와 평균, 비율에는 취소한 사용도 들어 있습니다.";
    all_campaigns => "all campaigns", "모든 캠페인";
    compared_with(span) => "Compared with {span}.", "비교 기간: {span}.";
    imported_not_counted => "Redemptions that were imported are in this list alone: numbers and charts count what happened here.", "가져온 사용 내역은 이 목록에만 나옵니다. 건수와 차트에는 여기에서 일어난 일만 셉니다.";
    before(value) => "{value} before", "이전 기간 {value}";
    changed_by(percent, value) => "{percent}, {value} before", "{percent} (이전 기간 {value})";
    used_of_issued => "Redeemed per issued", "발급 대비 사용";
    use_rate => "Use rate", "사용률";
    use_rate_hint => "The use rate is the share of all coupons given out so far that is redeemed.", "사용률은 지금까지 발급한 쿠폰 가운데 사용한 비율입니다.";
    print => "Print", "인쇄";
    download_csv => "Download for a spreadsheet", "엑셀용 CSV 내려받기";
    redemption_columns => "code,campaign_id,campaign_name,batch_id,user_id,order_ref,redeemed_at,cancelled_at,cancel_reason,time_zone,order_amount,discount,currency", "코드,캠페인 ID,캠페인,묶음,고객,주문 번호,사용 일시,취소 일시,취소 사유,시간대,주문 금액,할인 금액,통화";
    redemptions => "Redemptions", "사용 내역";
    redemptions_none => "Nothing was redeemed on these days. Try a longer span.", "이 기간에 사용된 쿠폰이 없습니다. 기간을 늘려 보세요.";
    import_hint => "Codes of another system, as a CSV file or an Excel workbook. It can say who has them and what was used.", "다른 시스템의 코드를 CSV나 엑셀 파일로 가져옵니다. 보유자와 사용 내역도 담을 수 있습니다.";
    import_into => "Into which campaign?", "어느 캠페인으로 가져올까요?";
    download_template => "Download a template", "양식 내려받기";
    mode_check => "Check the file", "파일 확인";
    import_options => "Encoding, dates and batch", "가져오기 설정(인코딩, 날짜, 묶음)";
    encoding => "Encoding", "인코딩";
    guessed => "Guess it from the file", "파일에서 추정";
    columns => "Columns", "열";
    import_ignore => "Columns to skip", "건너뛸 열";
    import_values => "Values of the state", "상태 값";
    import_values_hint => "This is how each value is read: correct what is wrong. The lines of a value that is not understood are rejected; what need not come along, such as expired coupons, can be left out.", "값마다 인식한 뜻입니다. 잘못 인식한 값은 바로잡으세요. 뜻을 알 수 없는 값이 있는 줄은 거부됩니다. 만료된 쿠폰처럼 가져올 필요가 없는 줄은 제외할 수 있습니다.";
    import_dates => "Dates like 03/04/2027", "03/04/2027 형식의 날짜";
    import_dates_refused => "Reject them", "거부";
    import_day_first => "The day comes first", "일-월 순서";
    import_month_first => "The month comes first", "월-일 순서";
    batch_hint => "To go on with an import, use the name of its batch.", "중단된 가져오기를 이어 가려면 그 묶음의 이름을 쓰세요.";
    file => "File", "파일";
    upload => "Upload", "업로드";
    check_result => "What the file says", "파일 확인 결과";
    checked(lines, new, known, unchecked, rejected) => "{lines} lines: {new} new, {known} known already, {unchecked} not compared, {rejected} would be rejected.", "전체 {lines}줄: 새 코드 {new}, 이미 있음 {known}, 비교하지 않음 {unchecked}, 거부될 줄 {rejected}.";
    file_format(encoding, separator) => "Read as {encoding} with {separator}.", "{encoding}, {separator} 구분으로 읽었습니다.";
    into_batch(batch) => "The batch is {batch}.", "묶음 이름은 {batch}입니다.";
    separator_comma => "commas", "쉼표";
    separator_semicolon => "semicolons", "세미콜론";
    separator_tab => "tabs", "탭";
    first_lines => "The first lines", "처음 몇 줄";
    upload_broken => "The connection broke. What has arrived is kept; the file is sent again…", "연결이 끊어졌습니다. 도착한 내용은 그대로 있으며 파일을 다시 보냅니다…";
    upload_ended => "The connection broke too often. What has arrived is kept: send the file again, and it goes on.", "연결이 여러 번 끊어졌습니다. 도착한 내용은 그대로 있으니 파일을 다시 보내면 이어집니다.";
    send_again_hint => "Did the import break off? Send the same file into this batch again, and it goes on. Nothing is imported twice.", "가져오기가 중단되었나요? 같은 파일을 이 묶음에 다시 보내면 이어집니다. 두 번 가져오는 코드는 없습니다.";
    go_on_with_import => "Send the file again", "파일 다시 보내기";
    choose_again => "To go on, choose the same file again below.", "계속하려면 아래에서 같은 파일을 다시 고르세요.";
    import_columns => "Columns of the file", "파일의 열";
    import_columns_hint => "Each column has its meaning above it. Correct what was guessed wrong.", "열마다 위에 뜻이 표시됩니다. 잘못 추정한 열은 바로잡으세요.";
    import_export(system) => "This looks like an export of {system}: it is read as it is. A column that you change is read as you say.", "{system}에서 내보낸 파일로 보여 그대로 읽습니다. 열의 뜻을 바꾸면 고른 대로 읽습니다.";
    column_nth(nth) => "Meaning of column {nth}", "{nth}번째 열의 뜻";
    column_ignored => "Ignore", "무시";
    columns_ignored[count] => "{count} more column is ignored.", "{count} more columns are ignored.", "나머지 {count}개 열은 무시합니다.";
    first_line => "First line", "첫 줄";
    first_line_names => "Has the names of the columns", "열 이름";
    first_line_coupon => "Is a coupon already", "첫 번째 쿠폰";
    value_guessed(state) => "{state} (as it is read)", "{state} (자동 인식)";
    value_rejected => "Reject the lines", "줄 거부";
    value_left_out => "Leave out the lines", "줄 제외";
    lines_left_out[count] => "{count} line is left out.", "{count} lines are left out.", "{count}줄은 제외합니다.";
    lines_of_erased => "Lines of forgotten customers", "개인정보를 삭제한 고객의 줄";
    lines_are_of_others => "They are new customers: import them", "새 고객으로 보고 가져오기";
    import_lines[count] => "Import {count} line", "Import {count} lines", "{count}줄 가져오기";
    check_again => "Check again", "다시 확인";
    import_go_on => "Go on with the import", "이어서 가져오기";
    all_rejected => "Nothing would be imported: every line is rejected.", "모든 줄이 거부되어 가져올 줄이 없습니다.";
    first_problems => "The first problems", "처음 발견한 문제";
    batch_of_file => "the name of the file", "파일 이름";
    upload_signed_out => "You are signed out. Sign in in another tab and send the file again here: your choices are kept.", "로그아웃되었습니다. 다른 탭에서 로그인한 뒤 여기에서 다시 보내세요. 고른 내용은 그대로 있습니다.";
    none_imported[lines] => "Nothing was imported: the only line was rejected.", "Nothing was imported: all {lines} lines were rejected.", "전체 {lines}줄이 거부되어 아무것도 가져오지 않았습니다.";
    some_rejected[rejected, lines] => "{rejected} line of {lines} was rejected, and is not imported. The others are.", "{rejected} lines of {lines} were rejected, and are not imported. The others are.", "전체 {lines}줄 가운데 {rejected}줄은 거부되어 가져오지 않았습니다. 나머지는 가져왔습니다.";
    calendar_hint => "The campaigns that end on each day, and how many of their coupons are still out.", "날마다 끝나는 캠페인과 아직 사용되지 않은 쿠폰 수입니다.";
    calendar_counts => "The number on a day says how many campaigns end on it. Open the day to see them.", "날짜의 숫자는 그날 끝나는 캠페인 수입니다. 날짜를 누르면 목록이 나옵니다.";
    month_before => "Month before", "이전 달";
    month_after => "Next month", "다음 달";
    and_more[count] => "and {count} more", "and {count} more", "외 {count}개";
    still_out[count] => "{count} coupon still out", "{count} coupons still out", "미사용 {count}장";
    notices => "Notices", "만료 알림";
    notices_due[count] => "notices of {count} coupon", "notices of {count} coupons", "알림 예정 {count}장";
    notices_by_settings(days) => "Notices are due {days} days before the last day of a coupon. The numbers are those of campaigns by their last day.", "만료 알림은 쿠폰 만료 {days}일 전에 보냅니다. 숫자는 캠페인 만료일 기준입니다.";
    notices_to_nobody(days) => "Notices would be due {days} days before the last day of a coupon, but this server sends them to nobody: no webhook asks for notices of expiry.", "만료 알림은 쿠폰 만료 {days}일 전에 보내지만, 이 서버에는 받을 곳이 없습니다. 만료 알림을 받는 웹훅이 없습니다.";
    notices_sent[count] => "{count} notice sent", "{count} notices sent", "알림 {count}건 보냄";
    notices_sent_here => "Sent on this day", "이날 보낸 알림";
    sent_to => "To", "받는 곳";
    sent => "Sent", "보냄";
    no_room => "No room", "대기열 가득 참";
    notice_before[days, last] => "{days} day before {last}", "{days} days before {last}", "{last} 만료 {days}일 전";
    by_campaign => "By campaign", "캠페인별";
    sql => "Queries (SQL)", "쿼리(SQL)";
    sql_hint => "SQL over active and archived coupons. It reads and changes nothing.", "활성 쿠폰과 보관된 쿠폰을 SQL로 조회합니다. 읽기만 하고 아무것도 바꾸지 않습니다.";
    uses_of(name) => "{name}: redeemed within so many days of being issued", "{name}: 발급 후 며칠 안에 사용";
    uses => "Redeemed how soon?", "며칠 안에 사용했나?";
    sql_write => "Write a query", "쿼리 작성";
    sql_tables => "Tables: coupons, events, redemptions, campaigns. DESCRIBE coupons lists the columns of one.", "테이블: coupons, events, redemptions, campaigns. DESCRIBE coupons로 열 목록을 볼 수 있습니다.";
    sql_name_hint => "(to save it; one that has the name already is replaced)", "(저장할 때 필요하며, 같은 이름이 있으면 바뀝니다)";
    sql_run => "Run", "실행";
    sql_saved => "Saved queries", "저장된 쿼리";
    sql_none => "None yet. An operator or an admin writes and saves one.", "아직 없습니다. 운영자나 관리자가 작성하고 저장할 수 있습니다.";
    sql_rows(count) => "Rows: {count}", "행 수: {count}";
    sql_first_rows(shown, count) => "The first {shown} rows are shown; the query gave {count} or more. The file has more, up to 10,000.", "처음 {shown}행만 표시합니다. 쿼리 결과는 {count}행 이상이며, 파일에는 최대 10,000행까지 담깁니다.";
    sql_too_many => "gives more than the 10,000 rows of a file: narrow it down, or run couponry-history with --output", "결과가 파일 한도인 10,000행을 넘습니다. 조건을 좁히거나 couponry-history를 --output과 함께 실행하세요";
    sql_wrong(why) => "The query cannot be run: {why}", "쿼리를 실행할 수 없습니다: {why}";
    sql_slow => "The query takes longer than it may. Narrow it down, for instance by expires_on.", "쿼리가 너무 오래 걸립니다. expires_on 등으로 조건을 좁히세요.";
    sql_busy => "Other queries run at the moment. Try again.", "다른 쿼리가 실행 중입니다. 다시 시도하세요.";
    sql_away => "couponry-history does not answer. The log of this server says why.", "couponry-history가 응답하지 않습니다. 이 서버의 로그를 확인하세요.";
    sql_delete_ask(name) => "Delete the query {name}?", "{name} 쿼리를 삭제할까요?";
    more_campaigns => "More campaigns", "캠페인 더 보기";
    day_hint => "What ends on this day.", "이날 끝나는 캠페인과 쿠폰입니다.";
    day_no_campaigns => "No campaign ends on this day.", "이날 끝나는 캠페인이 없습니다.";
    day_no_coupons => "No coupon that somebody has ends on this day.", "이날 끝나는, 고객이 가진 쿠폰이 없습니다.";
    store_hint => "Where the coupons are, and what waits for the archive.", "쿠폰이 저장된 곳과 보관을 기다리는 만료일입니다.";
    store_takes_writes => "Coupons can be issued, redeemed and changed.", "쿠폰을 발급하고 사용하고 바꿀 수 있습니다.";
    store_in_words => "In plain words", "쉬운 말로 보기";
    store_in_terms => "For operators", "운영자용 정보";
    store_days_open[days] => "Coupons that can still change expire on {days} day.", "Coupons that can still change expire on {days} different days.", "아직 바뀔 수 있는 쿠폰의 만료일이 {days}개 있습니다.";
    store_days_waiting[days] => "Coupons of {days} day that is over wait for the archive.", "Coupons of {days} days that are over wait for the archive.", "지난 만료일 {days}개의 쿠폰이 보관을 기다립니다.";
    store_moves => "Finished coupons are moving to the archive now.", "지금 끝난 쿠폰을 보관하고 있습니다.";
    store_moved[coupons, at] => "{coupons} coupon moved to the archive the last time, at {at}.", "{coupons} coupons moved to the archive the last time, at {at}.", "{at}에 마지막으로 쿠폰 {coupons}장을 보관했습니다.";
    store_unmoved => "No coupon is in the archive yet.", "아직 보관한 쿠폰이 없습니다.";
    store_archive_means => "Coupons in the archive can be found as before, and reports count them.", "보관한 쿠폰도 그대로 조회할 수 있고 보고서에도 나옵니다.";
    store_free(bytes) => "This server has {bytes} of free disk.", "이 서버의 디스크 여유 공간은 {bytes}입니다.";
    tell_operator => "Tell an operator.", "운영자에게 알려 주세요.";
    mend_disk => "Free space on this disk, or mount it so that it can be written. No restart is needed.", "디스크 공간을 비우거나 쓸 수 있게 다시 연결하세요. 다시 시작할 필요는 없습니다.";
    mend_nodes => "Run nodetool status: it says which nodes are down.", "nodetool status 명령으로 멈춘 노드를 확인하세요.";
    mend_compaction => "Compact now, or run couponry compact: the result says what is in the way.", "지금 보관하거나 couponry compact 명령을 실행하세요. 무엇이 막고 있는지 알려 줍니다.";
    mend_archive => "Check the folder or the bucket of the setting cold, then run couponry compact --dry-run: it asks the archive again.", "설정 cold의 폴더나 버킷을 확인한 뒤 couponry compact --dry-run 명령으로 다시 확인하세요.";
    fault_archive => "The archive does not answer: its coupons cannot be found, and no coupon moves there.", "보관 저장소가 응답하지 않습니다. 보관한 쿠폰을 조회할 수 없고, 새로 보관할 수도 없습니다.";
    fault_compaction(why) => "The last compaction failed: {why}", "마지막 보관 작업이 실패했습니다: {why}";
    fault_node(node) => "Node {node} does not answer.", "노드 {node}⟨이/가⟩ 응답하지 않습니다.";
    writes_waiting => "Writes waiting", "대기 중인 쓰기";
    writes_since_start => "Writes since the start", "시작 이후 쓰기";
    commits_since_start => "Commits since the start", "시작 이후 커밋";
    reads_since_start => "Reads since the start", "시작 이후 읽기";
    late_days => "Days behind", "보관이 밀린 만료일";
    store_bytes => "Hot store", "활성 저장소";
    log_bytes => "Its log", "로그";
    free_bytes => "Free on its disk", "디스크 여유";
    memory_bytes => "Memory", "메모리";
    compactions => "Compactions", "보관 작업";
    compactions_none => "None yet.", "아직 없습니다.";
    compaction_idle => "Finished coupons move to the archive from time to time. You can have that done now.", "끝난 쿠폰은 주기적으로 보관 저장소로 옮겨집니다. 지금 바로 옮길 수도 있습니다.";
    compaction_runs => "A compaction is running. Another one can begin when it is over.", "보관 작업이 진행되고 있습니다. 끝나면 다시 시작할 수 있습니다.";
    compaction_asked(at) => "It was asked for at {at} and begins soon.", "{at}에 요청했고 곧 시작합니다.";
    compaction_at(day, rows, total) => "Expiry day {day}: {rows} of {total}", "만료일 {day}: {total} 중 {rows}";
    compaction_looks => "Looks for what can move", "옮길 쿠폰을 찾는 중";
    broke_off(at) => "Broke off; last heard of at {at}", "중단됨. 마지막 응답 {at}";
    by_itself => "by itself", "자동";
    by_whom => "By", "실행한 사람";
    machine => "Server", "서버";
    result => "Result", "결과";
    compact_now => "Compact now", "지금 보관하기";
    dry_run => "Dry run", "미리 보기";
    dry_run_hint => "What a compaction would do now. Nothing was changed.", "지금 보관 작업을 시작하면 처리할 내용입니다. 아직 아무것도 바꾸지 않았습니다.";
    dry_run_none => "Nothing to do: no day can be closed, and too few finished coupons wait.", "할 일이 없습니다. 마감할 날짜가 없고, 보관할 쿠폰도 아직 많지 않습니다.";
    dry_run_failed(why) => "A compaction could do nothing now: {why}", "지금은 보관 작업을 할 수 없습니다: {why}";
    plan_what => "What it would do", "할 일";
    finished_waiting => "Finished coupons", "끝난 쿠폰";
    lone_archive(folder) => "The archive of this server is the folder {folder}. The other servers of the store need the same one: set cold to s3://BUCKET/PREFIX on all of them, or to a folder that all of them have mounted.", "이 서버의 보관 저장소는 {folder} 폴더입니다. 다른 서버도 같은 곳을 써야 합니다. 모든 서버에서 cold를 s3://BUCKET/PREFIX로 설정하거나, 모두가 연결한 폴더로 설정하세요.";
    nodes => "Nodes of the cluster", "클러스터 노드";
    nodes_silent(why) => "The nodes cannot be asked: {why}", "노드의 상태를 확인할 수 없습니다: {why}";
    node => "Node", "노드";
    datacenter => "Data centre", "데이터 센터";
    node_version => "Release", "버전";
    clock_difference => "Difference of clocks", "시계 차이";
    node_silent => "Does not answer", "응답 없음";
    milliseconds_short(ms) => "{ms} ms", "{ms}ms";
    took => "Duration", "걸린 시간";
    size => "Size", "크기";
    run_failed => "Failed", "실패";
    seconds_short(seconds) => "{seconds} s", "{seconds}초";
    keys => "Keys and tokens", "키와 토큰";
    keys_hint => "The keys in the data folder of this server. All servers of a store need the same.", "이 서버의 데이터 폴더에 있는 키입니다. 저장소가 같은 모든 서버에 같은 키가 있어야 합니다.";
    key => "Key", "키";
    age => "Age", "경과";
    key_newest => "Newest", "최신";
    key_in_use => "In use", "사용 중";
    key_retired(at) => "Retired {at}", "{at} 폐기";
    tokens_made => "Made and retired lately", "최근 발급과 폐기";
    tokens_none => "No token and no key was made lately.", "최근 발급하거나 폐기한 토큰과 키가 없습니다.";
    tokens_hint => "A token is not stored: it is good until its time is over or its key is retired. The list has what the newest 500 entries of the audit say.", "토큰은 저장하지 않습니다. 기간이 끝나거나 키가 폐기될 때까지 유효합니다. 목록은 최근 감사 기록 500건에서 찾은 것입니다.";
    keys_by_hand => "Add or retire a key", "키 추가와 폐기";
    archive => "Archive", "보관 저장소";
    archive_empty => "Empty", "비어 있음";
    expiry_days => "Expiry days", "만료일";
    expiry_days_none => "No campaign yet: expiry days come with the first one.", "아직 캠페인이 없습니다. 첫 캠페인을 만들면 만료일이 생깁니다.";
    expiry_day => "Expiry day (UTC)", "만료일(UTC)";
    closes_after => "Can be closed after", "보관 예정 시각";
    archive_commits => "Archive commits", "보관 횟수";
    day_open => "Open", "열림";
    day_due => "Can be closed", "마감 가능";
    day_sealed => "Sealed", "마감";
    compact_by_hand => "Compact by hand", "명령으로 실행하기";
    events_hint => "What happens in the store, and the webhooks to which it is posted.", "저장소에서 일어나는 일과, 그것을 받는 웹훅입니다.";
    webhooks => "Webhooks", "웹훅";
    webhook => "Webhook", "웹훅";
    webhooks_off => "This server has no webhooks: events are not kept, or it is set not to post them.", "이 서버에는 웹훅이 없습니다. 이벤트를 보관하지 않거나 웹훅을 보내지 않도록 설정했습니다.";
    webhooks_first => "No webhook yet. Make the first one, and your systems hear of each coupon as it is issued and redeemed.", "아직 웹훅이 없습니다. ‘웹훅 만들기’를 누르면 쿠폰이 발급되고 사용될 때마다 사내 시스템으로 알릴 수 있습니다.";
    webhook_all_types => "all but holds, notices of expiry and the weekly report", "결제 대기, 만료 알림, 주간 보고서를 뺀 모든 이벤트";
    tried_next(at) => "next attempt {at}", "다음 시도 {at}";
    webhooks_none => "No webhook yet. An admin can create one.", "아직 웹훅이 없습니다. 관리자가 만들 수 있습니다.";
    new_webhook => "New webhook", "웹훅 만들기";
    change_webhook => "Change the webhook", "웹훅 변경";
    field_url_hint => "Where to post, as in https://shop.example.com/hooks. It must begin with https:// and be reached from the internet: addresses of your own network are refused.", "이벤트를 받을 주소입니다(예: https://shop.example.com/hooks). https://로 시작하고 인터넷에서 접속할 수 있어야 하며, 사내망 주소는 쓸 수 없습니다.";
    webhook_types_hint => "Choose none to get all of them but holds, notices of expiry and the weekly report.", "아무것도 고르지 않으면 결제 대기, 만료 알림, 주간 보고서를 뺀 모든 이벤트를 보냅니다.";
    webhook_begins => "It gets what happens from now on.", "지금부터 일어나는 일을 보냅니다.";
    webhook_secret => "Secret", "비밀 키";
    webhook_secret_once => "Copy it into the settings of the receiver now: it is not shown again. With it the receiver checks the signature of each event, as Standard Webhooks say, and drops what does not come from here.", "지금 복사해 수신 서버 설정에 넣으세요. 다시 표시하지 않습니다. 수신 서버는 이 키로 이벤트마다 서명을 확인하고(Standard Webhooks), 여기서 보내지 않은 것은 버립니다.";
    webhook_secret_hint => "With a new secret, the receiver has a day to take it over: the old one goes on signing until then.", "새 비밀 키를 만들어도 예전 키가 하루 동안 함께 서명하므로, 그동안 수신 서버의 키를 바꾸면 됩니다.";
    webhook_secret_leaked => "Somebody else knows the old secret: end it at once", "예전 키가 유출되었습니다. 바로 폐기합니다";
    webhook_secret_change => "Make a new secret", "새 비밀 키 만들기";
    webhook_delete => "Delete the webhook", "웹훅 삭제";
    webhook_delete_hint => "Nothing more is posted to it, and its secrets and the list of its deliveries are gone. This cannot be undone.", "더 이상 전송하지 않으며, 비밀 키와 전송 기록도 사라집니다. 되돌릴 수 없습니다.";
    webhook_active => "Active", "작동 중";
    webhook_failing => "Failing", "실패 중";
    webhook_disabled => "Disabled by its receiver", "수신 서버가 중단함";
    waiting => "Waiting", "대기";
    failed_in_a_row => "Failed in a row", "연속 실패";
    feed_readers => "Readers of the events", "이벤트 구독자";
    feed_readers_hint => "Programs that read the feed under a name, as the bridge to Kafka does. Whoever falls behind for longer than events are kept misses some.", "이름을 밝히고 피드를 읽는 프로그램입니다(예: Kafka 브리지). 이벤트 보관 기간보다 오래 지연되면 일부를 놓칩니다.";
    feed_readers_none => "None yet. A reader is listed once it says its name:", "아직 없습니다. 이름을 밝히고 읽으면 여기에 표시됩니다:";
    feed_reader => "Reader", "구독자";
    behind => "Behind", "지연";
    up_to_date => "Up to date", "최신";
    asked_last => "Asked last", "마지막 요청";
    minutes[count] => "{count} minute", "{count} minutes", "{count}분";
    hours[count] => "{count} hour", "{count} hours", "{count}시간";
    live_tail => "Live", "실시간";
    tail_start => "Start", "시작";
    tail_stop => "Stop", "멈춤";
    tail_hint => "Shows what happens while this page is open, the newest first.", "이 화면을 열어 둔 동안 일어나는 일을 최근 순으로 보여 줍니다.";
    needs_javascript => "The live view needs JavaScript.", "실시간 보기에는 JavaScript가 필요합니다.";
    send_test => "Send a test", "테스트 전송";
    deliveries => "Deliveries", "전송 내역";
    deliveries_none => "Nothing was posted yet.", "아직 전송한 이벤트가 없습니다.";
    deliver_again => "Deliver again", "다시 전송";
    attempts => "Attempts", "시도";
    answer => "Answer", "응답";
}

impl PageTexts {
    pub(crate) fn weekdays(self) -> [&'static str; 7] {
        match self.lang() {
            Lang::En => ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
            Lang::Ko => ["월", "화", "수", "목", "금", "토", "일"],
        }
    }
}

texts_of! {
    span_preset(SpanPreset):
        Yesterday => "Yesterday", "어제";
        LastWeek => "Last week", "지난주";
        ThisMonth => "This month", "이번 달";
        LastMonth => "Last month", "지난달";
        Recent => "30 days", "최근 30일";
}

texts_of! {
    planned_pass(PlannedPass):
        Finish => "Finish an earlier run", "이전 실행 마무리";
        Closed => "Move finished coupons", "끝난 쿠폰 옮기기";
        Expired => "Close the day and move all of it", "날짜를 마감하고 모두 옮기기";
}

texts_of! {
    key_use(KeyUse):
        Code => "Mints codes", "코드 생성";
        Token => "Signs tokens and sessions", "토큰과 로그인 서명";
}

texts_of! {
    delivery_state(DeliveryState):
        Pending => "Waiting", "대기";
        Delivered => "Delivered", "전송 완료";
        Failed => "Failed", "실패";
        Gap => "Events missing", "이벤트 누락";
}

texts_of! {
    import_column(KnownColumn):
        Code => "Code", "코드";
        ValidFrom => "First day", "시작일";
        ExpiresAt => "Last day", "만료일";
        State => "State", "상태";
        UserId => "Customer", "고객";
        IssuedAt => "Issued at", "발급 시각";
        RedeemedAt => "Redeemed at", "사용 시각";
        OrderRef => "Order", "주문 번호";
        OrderAmount => "Order amount", "주문 금액";
        Discount => "Discount", "할인 금액";
        Currency => "Currency", "통화";
}

texts_of! {
    /// What a file says that a coupon is.
    state_word(StateWord):
        Available => "Available", "발급 전";
        Issued => "Issued", "발급";
        Void => "Void", "폐기";
        Redeemed => "Redeemed", "사용";
}
