//! Why something was refused or did not work.

use crate::text::{texts, texts_of};

texts! {
    signed_out => "You are signed out.", "로그아웃되었습니다.";
    role_may_not => "Your role may not do this.", "현재 역할로는 할 수 없는 작업입니다.";
    ask_an_admin => "Ask an admin of the console for another role.", "콘솔 관리자에게 역할 변경을 요청하세요.";
    ask_an_operator => "Ask whoever runs the server.", "서버 운영 담당자에게 문의하세요.";
    form_is_foreign => "The form came from another site, so nothing was changed.", "다른 사이트에서 보낸 요청이어서 아무것도 변경하지 않았습니다.";
    open_again => "Open the console again and send the form from there.", "콘솔을 다시 열고 그 화면에서 보내세요.";
    form_too_long => "The form is too long.", "입력 내용이 너무 깁니다.";
    form_too_slow => "The form did not arrive in time.", "입력한 내용을 제때 받지 못했습니다.";
    go_back => "Go back, correct it and send it again. Your input is still there.", "뒤로 가서 고친 뒤 다시 보내세요. 입력한 내용은 그대로 있습니다.";
    back_there => "Back to where you were", "이전 화면으로 돌아가기";
    no_such_page => "There is no such page.", "없는 페이지입니다.";
    search_instead => "Check the address, or search for it.", "주소를 확인하거나 검색해 보세요.";
    not_kept => "This store does not keep what the page shows.", "이 저장소는 이 화면의 정보를 보관하지 않습니다.";
    not_kept_hint => "A setting says that it is not kept: events_keep, or post_webhooks for webhooks.", "설정(events_keep, 웹훅은 post_webhooks)에 따라 보관하지 않습니다.";
    too_many => "Too many requests at the moment.", "지금 요청이 몰리고 있습니다.";
    try_later => "Nothing was changed. Try again in a moment.", "변경된 내용은 없습니다. 잠시 후 다시 시도하세요.";
    broken => "The page cannot be shown.", "페이지를 표시할 수 없습니다.";
    see_log => "The log of the server says why.", "서버 로그에서 원인을 확인하세요.";
    nothing_changed => "Nothing was changed.", "변경된 내용은 없습니다.";
    webhook_said(why) => "The webhook answers: {why}", "웹훅 응답: {why}";
    field_is_wrong(field, why) => "{field}: {why}.", "{field}: {why}.";
    bad_file(why) => "The file cannot be imported: {why}", "파일을 가져올 수 없습니다: {why}";
    upload_broke_off => "The upload broke off. The lines that arrived are imported.", "업로드가 중단되었습니다. 도착한 줄은 가져왔습니다.";
    send_file_again => "Send the same file again: it goes on where it stopped, and nothing is imported twice.", "같은 파일을 다시 보내세요. 멈춘 곳부터 이어지며 두 번 가져오지 않습니다.";
    import_stopped(imported, rejected) => "The import stopped: {imported} lines are imported, {rejected} are rejected.", "가져오기가 중단되었습니다. {imported}줄을 가져왔고 {rejected}줄은 거부되었습니다.";
    no_code_key => "The server has no key to make codes with.", "서버에 코드를 만들 키가 없습니다.";
    store_unavailable => "The store does not answer.", "저장소가 응답하지 않습니다.";
    store_full => "The store takes no writes: its disk is full or read-only.", "저장소에 쓸 수 없습니다. 디스크가 가득 찼거나 읽기 전용입니다.";
    outcome_unknown => "Nobody knows yet whether it was done.", "처리되었는지 아직 확인되지 않았습니다.";
    send_again => "Send the same again: it is done once at most.", "같은 요청을 다시 보내세요. 여러 번 보내도 한 번만 처리됩니다.";
    cold_unavailable => "The archive does not answer.", "보관 저장소가 응답하지 않습니다.";
    store_damaged => "A part of the store is damaged.", "저장소 일부가 손상되었습니다.";
    changed_meanwhile => "Somebody changed the campaign while this form was open.", "이 화면을 열어 둔 사이에 다른 사람이 캠페인을 변경했습니다.";
    open_form_again => "Open the form again: it then has what they changed.", "화면을 다시 열면 변경된 내용이 보입니다.";
}

texts_of! {
    /// A problem code of the API that is not about a coupon, or that has another word here.
    problem_of_caller(str):
        "INVALID" => "The request had wrong fields.", "요청의 항목이 잘못되었습니다.";
        "UNAUTHENTICATED" => "The password or the token was wrong.", "비밀번호 또는 토큰이 잘못되었습니다.";
        "HELD" => "Another order holds the coupon at the moment.", "지금 다른 주문이 결제 대기 중인 쿠폰입니다.";
        "FORBIDDEN" => "The caller may not do that.", "이 작업을 할 권한이 없습니다.";
}
