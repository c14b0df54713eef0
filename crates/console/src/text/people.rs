//! People, roles and the audit.

use engine::{AuditKind, ErasureState};

use crate::roles::ConsoleAction;
use crate::text::{texts, texts_of};

texts! {
    staff_hint => "People who may sign in to the console. A role is good from the next page on.", "콘솔에 로그인할 수 있는 사람입니다. 역할은 다음 화면부터 적용됩니다.";
    invitation => "Invitation", "초대 링크";
    invitation_hint => "Send this link to the person. It works once, for three days, and is shown only now.", "이 링크를 상대에게 보내세요. 3일 동안 한 번만 쓸 수 있고 지금만 표시됩니다.";
    invite_means => "The store does not keep links, so open ones are in no list. Each works once, for three days, and only while you are an admin. If one has reached somebody else, sign yourself out everywhere: that ends all links that you have made.", "초대 링크는 저장하지 않으므로 목록이 없습니다. 링크는 3일 동안 한 번만, 만든 사람이 관리자인 동안에만 쓸 수 있습니다. 잘못 전달했다면 ‘모든 기기에서 로그아웃’을 누르세요. 내가 만든 링크가 모두 무효가 됩니다.";
    invited_by => "Invited by", "초대한 사람";
    import_only_available => "You can import codes that nobody has. Lines that say issued, redeemed or void are rejected: ask an admin to import those.", "아무도 받지 않은 코드만 가져올 수 있습니다. 발급, 사용, 폐기 상태인 줄은 거부됩니다. 그런 줄은 관리자에게 요청하세요.";
    invite => "Invite somebody", "초대하기";
    since => "Since", "추가한 날";
    you => "you", "나";
    remove => "Delete", "삭제";
    remove_ask(name) => "Delete the account {name}?", "{name} 계정을 삭제할까요?";
    who_may_what => "Who may do what", "역할별 권한";
    audit_hint => "Every change of a campaign, a batch, a key, a webhook and an account, newest first. What was done to a coupon is on its page.", "캠페인, 묶음, 키, 웹훅, 계정의 모든 변경을 최근 순으로 보여 줍니다. 쿠폰마다 한 일은 그 쿠폰의 화면에 있습니다.";
    day => "Day", "날짜";
    company_account => "Company account", "회사 계정";
    personal_data => "Personal data", "개인정보";
    personal_data_json => "Download everything (JSON)", "모두 내려받기(JSON)";
    personal_data_csv => "For the customer (CSV)", "고객 전달용 내려받기(CSV)";
    person_columns => "When,What,Campaign,Code,Last day,Reason", "일시,내용,캠페인,코드,만료일,사유";
    personal_data_by_admin => "An admin can say what is stored of this customer, and forget them.", "이 고객에 대해 저장된 내용을 알려 주거나 삭제하려면 관리자에게 요청하세요.";
    personal_data_hint => "The JSON file has everything that is stored of the customer. The CSV file can be handed to them: their coupons, and what happened to these, without the names of staff. The audit keeps who took a file. In a large store it takes some minutes. When they are forgotten, all of it gets a random name.", "JSON 파일에는 이 고객에 대해 저장된 모든 내용이 있습니다. CSV 파일은 고객에게 전달할 수 있으며, 쿠폰과 그 이력이 직원 이름 없이 들어 있습니다. 누가 내려받았는지 감사 기록에 남고, 저장소가 크면 몇 분 걸립니다. 삭제하면 모든 내용의 고객 ID가 임의의 값으로 바뀝니다.";
    erase => "Forget the customer", "고객 개인정보 삭제";
    erase_means => "Everything that has the name gets a random one, at once here and with the next compaction in the archive. This cannot be undone. Coupons, counts and sums stay.", "모든 곳에서 이 ID가 임의의 값으로 바뀝니다. 활성 저장소에서는 바로, 보관 저장소에서는 다음 보관 작업 때 바뀌며 되돌릴 수 없습니다. 쿠폰과 건수, 합계는 그대로입니다.";
    erase_name_again => "The name of the customer, once more", "고객 ID를 한 번 더 입력하세요";
    erase_other_name => "is another name than that of the page", "이 화면의 고객 ID와 다릅니다";
    erasures => "Forgotten customers", "개인정보를 삭제한 고객";
    erasures_hint => "How far each is. The archive follows with the next compaction.", "진행 상황입니다. 보관 저장소는 다음 보관 작업 때 처리됩니다.";
    erasures_none => "Nobody was forgotten", "개인정보를 삭제한 고객이 없습니다";
    erased_name => "New name", "바뀐 ID";
    erasure_asked => "Asked for", "요청";
    erasure_settled => "Store done", "저장소 완료";
    erasure_archived => "Archive done", "보관 저장소 완료";
}

texts_of! {
    /// What an erasure waits for.
    erasure_state(ErasureState):
        Finding => "Coupons", "쿠폰";
        Settling => "Store", "저장소";
        Overwriting => "Files", "파일";
        Archive => "Archive", "보관 저장소";
        Done => "Done", "완료";
}

texts_of! {
    /// What an action is, in the table of roles.
    action(ConsoleAction):
        Look => "Look at campaigns, coupons, customers, reports and the store", "캠페인, 쿠폰, 고객, 보고서, 저장소 조회";
        ReadAudit => "Read the audit", "감사 기록 조회";
        CreateCampaign => "Create a campaign", "캠페인 만들기";
        ChangeCampaign => "Change the terms of a campaign", "캠페인 조건 변경";
        PauseCampaign => "Pause and resume a campaign", "캠페인 일시 중지와 다시 시작";
        AddStock => "Add coupons", "쿠폰 추가";
        DownloadCodes => "Download codes", "코드 내려받기";
        Import => "Import codes", "코드 가져오기";
        Issue => "Give a coupon to a customer", "고객에게 쿠폰 발급";
        Revoke => "Take a coupon back", "쿠폰 회수";
        Void => "Void a coupon", "쿠폰 폐기";
        Extend => "Extend a coupon", "쿠폰 기간 연장";
        CancelRedemption => "Cancel a redemption", "사용 취소";
        ErasePeople => "Download everything about a customer, forget a customer", "고객 개인정보 내려받기와 삭제";
        DownloadReport => "Download redemptions", "사용 내역 내려받기";
        ManageWebhooks => "Pause and test webhooks, deliver again", "웹훅 일시 중지, 테스트, 재전송";
        ChangeWebhooks => "Create, change and delete webhooks", "웹훅 만들기, 변경, 삭제";
        Compact => "Run a compaction", "보관 작업 실행";
        RunQuery => "Run a saved query", "저장된 쿼리 실행";
        SaveQuery => "Write, save and delete queries", "쿼리 작성, 저장, 삭제";
        ManageStaff => "Invite and delete people, change roles", "직원 초대와 삭제, 역할 변경";
        SignOut => "Sign out", "로그아웃";
}

texts_of! {
    /// A word that the audit has as the value of a field.
    audit_word(str):
        "minted" => "made here", "자동 생성";
        "imported" => "imported", "가져옴";
        "the keys of the store" => "the keys of the store", "저장소 키(couponry console 명령)";
        "token" => "token", "토큰";
        "code" => "code", "코드";
        "csv" => "CSV", "CSV";
        "xlsx" => "workbook", "엑셀 파일";
        "sheet" => "sheet to print", "인쇄용 시트";
}

texts_of! {
    audit_event(AuditKind):
        CampaignCreated => "Campaign created", "캠페인 생성";
        CampaignUpdated => "Terms changed", "조건 변경";
        CampaignPaused => "Campaign paused", "캠페인 일시 중지";
        CampaignResumed => "Campaign resumed", "캠페인 다시 시작";
        CampaignSoldOut => "Campaign sold out", "캠페인 소진";
        BatchCreated => "Batch created", "묶음 생성";
        BatchImported => "File imported", "파일 가져오기";
        BatchPaused => "Batch paused", "묶음 일시 중지";
        BatchResumed => "Batch resumed", "묶음 다시 시작";
        DayArchived => "Expiry day archived", "만료일 보관 완료";
        CodesDownloaded => "Codes downloaded", "코드 내려받기";
        TokenMade => "Token made", "토큰 발급";
        KeyAdded => "Key added", "키 추가";
        KeyRetired => "Key retired", "키 폐기";
        StoreRestored => "Store restored from a backup", "백업에서 저장소 복원";
        CompactionAsked => "Compaction asked for", "보관 작업 요청";
        QuerySaved => "Query saved", "쿼리 저장";
        QueryDeleted => "Query deleted", "쿼리 삭제";
        QueryRun => "Query run", "쿼리 실행";
        WebhookCreated => "Webhook created", "웹훅 생성";
        WebhookUpdated => "Webhook changed", "웹훅 변경";
        WebhookDeleted => "Webhook deleted", "웹훅 삭제";
        WebhookSecretRotated => "Webhook got a new secret", "웹훅 비밀 키 교체";
        WebhookTested => "Webhook tested", "웹훅 테스트";
        WebhookRedelivered => "Delivered again by a webhook", "웹훅 재전송";
        StaffInvited => "Invitation made", "초대 링크 생성";
        StaffAdded => "Account added", "계정 추가";
        StaffUpdated => "Account changed", "계정 변경";
        StaffRemoved => "Account deleted", "계정 삭제";
        StaffSignedIn => "Signed in", "로그인";
        PersonShown => "Personal data read", "개인정보 조회";
        PersonErased => "Person forgotten", "개인정보 삭제";
}
