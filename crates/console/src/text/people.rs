//! People, roles and the audit.

use engine::AuditKind;

use crate::roles::ConsoleAction;
use crate::text::{PageTexts, texts};

texts! {
    staff_hint => "People who may sign in to the console. A role is good from the next page on.", "콘솔에 로그인할 수 있는 사람입니다. 역할은 다음 화면부터 적용됩니다.";
    invitation => "Invitation", "초대 링크";
    invitation_hint => "Send this link to the person. It works once, for three days, and is shown only now.", "이 링크를 상대에게 보내세요. 3일 동안 한 번만 쓸 수 있고 지금만 표시됩니다.";
    invited_by => "Invited by", "초대한 사람";
    import_only_available => "You can import codes that nobody has. Lines that say issued, redeemed or void are rejected: ask an admin to import those.", "아무도 받지 않은 코드만 가져올 수 있습니다. 발급, 사용, 폐기 상태인 줄은 거부됩니다. 그런 줄은 관리자에게 요청하세요.";
    invite => "Invite somebody", "초대하기";
    since => "Since", "추가한 날";
    you => "you", "나";
    remove => "Delete", "삭제";
    remove_ask(name) => "Delete the account {name}?", "{name} 계정을 삭제할까요?";
    who_may_what => "Who may do what", "역할별 권한";
    audit_hint => "Every change of a campaign, a batch, a key, a webhook and an account, newest first. What was done to a coupon is on its page.", "캠페인, 묶음, 키, 웹훅, 계정의 모든 변경을 최근 순으로 보여 줍니다. 쿠폰에 한 일은 쿠폰 화면에 있습니다.";
    audit_none => "Nothing was changed yet.", "아직 변경된 것이 없습니다.";
    action_look => "Look at campaigns, coupons, customers, reports and the store", "캠페인, 쿠폰, 고객, 보고서, 저장소 조회";
    action_read_audit => "Read the audit", "감사 기록 조회";
    action_create_campaign => "Create a campaign", "캠페인 만들기";
    action_change_campaign => "Change the terms of a campaign", "캠페인 조건 변경";
    action_pause_campaign => "Pause and resume a campaign", "캠페인 일시 중지와 다시 시작";
    action_add_stock => "Add coupons", "쿠폰 추가";
    action_download_codes => "Download codes", "코드 내려받기";
    action_import => "Import codes", "코드 가져오기";
    action_issue => "Give a coupon to a customer", "고객에게 쿠폰 발급";
    action_revoke => "Take a coupon back", "쿠폰 회수";
    action_void => "Void a coupon", "쿠폰 폐기";
    action_extend => "Extend a coupon", "쿠폰 기간 연장";
    action_cancel_redemption => "Cancel a redemption", "사용 취소";
    action_download_report => "Download redemptions", "사용 내역 내려받기";
    action_manage_webhooks => "Pause and test webhooks, deliver again", "웹훅 일시 중지, 시험, 재전송";
    company_account => "Company account", "회사 계정";
    action_compact => "Run a compaction", "압축 실행";
    action_manage_staff => "Invite and delete people, change roles", "직원 초대와 삭제, 역할 변경";
    action_sign_out => "Sign out", "로그아웃";
    audit_campaign_created => "Campaign created", "캠페인 생성";
    audit_campaign_updated => "Terms changed", "조건 변경";
    audit_campaign_paused => "Campaign paused", "캠페인 일시 중지";
    audit_campaign_resumed => "Campaign resumed", "캠페인 다시 시작";
    audit_campaign_sold_out => "Campaign sold out", "캠페인 소진";
    audit_batch_created => "Batch created", "묶음 생성";
    audit_batch_imported => "File imported", "파일 가져옴";
    audit_batch_paused => "Batch paused", "묶음 일시 중지";
    audit_batch_resumed => "Batch resumed", "묶음 다시 시작";
    audit_day_archived => "Expiry day archived", "만료일 보관 완료";
    audit_codes_downloaded => "Codes downloaded", "코드 내려받음";
    audit_token_made => "Token made", "토큰 발급";
    audit_key_added => "Key added", "키 추가";
    audit_key_retired => "Key retired", "키 폐기";
    audit_store_restored => "Store restored from a backup", "백업에서 저장소 복원";
    action_run_query => "Run a saved query", "저장된 쿼리 실행";
    action_save_query => "Write, save and delete queries", "쿼리 작성, 저장, 삭제";
    audit_query_saved => "Query saved", "쿼리 저장";
    audit_query_deleted => "Query deleted", "쿼리 삭제";
    audit_query_run => "Query run", "쿼리 실행";
    audit_compaction_asked => "Compaction asked for", "압축 실행 요청";
    audit_webhook_created => "Webhook created", "웹훅 생성";
    audit_webhook_updated => "Webhook changed", "웹훅 변경";
    audit_webhook_deleted => "Webhook deleted", "웹훅 삭제";
    audit_webhook_rotated => "Webhook got a new secret", "웹훅 비밀 값 교체";
    audit_webhook_tested => "Webhook tested", "웹훅 시험";
    audit_webhook_redelivered => "Delivered again by a webhook", "웹훅 재전송";
    audit_staff_invited => "Invitation made", "초대 링크 생성";
    audit_staff_added => "Account added", "계정 추가";
    audit_staff_updated => "Account changed", "계정 변경";
    audit_staff_removed => "Account deleted", "계정 삭제";
    audit_staff_signed_in => "Signed in", "로그인";
}

impl PageTexts {
    /// What an action is, in the table of roles.
    pub(crate) fn action(self, action: ConsoleAction) -> &'static str {
        match action {
            ConsoleAction::Look => self.action_look(),
            ConsoleAction::ReadAudit => self.action_read_audit(),
            ConsoleAction::CreateCampaign => self.action_create_campaign(),
            ConsoleAction::ChangeCampaign => self.action_change_campaign(),
            ConsoleAction::PauseCampaign => self.action_pause_campaign(),
            ConsoleAction::AddStock => self.action_add_stock(),
            ConsoleAction::DownloadCodes => self.action_download_codes(),
            ConsoleAction::Import => self.action_import(),
            ConsoleAction::Issue => self.action_issue(),
            ConsoleAction::Revoke => self.action_revoke(),
            ConsoleAction::Void => self.action_void(),
            ConsoleAction::Extend => self.action_extend(),
            ConsoleAction::CancelRedemption => self.action_cancel_redemption(),
            ConsoleAction::DownloadReport => self.action_download_report(),
            ConsoleAction::ManageWebhooks => self.action_manage_webhooks(),
            ConsoleAction::Compact => self.action_compact(),
            ConsoleAction::RunQuery => self.action_run_query(),
            ConsoleAction::SaveQuery => self.action_save_query(),
            ConsoleAction::ManageStaff => self.action_manage_staff(),
            ConsoleAction::SignOut => self.action_sign_out(),
        }
    }

    pub(crate) fn audit_event(self, kind: AuditKind) -> &'static str {
        match kind {
            AuditKind::CampaignCreated => self.audit_campaign_created(),
            AuditKind::CampaignUpdated => self.audit_campaign_updated(),
            AuditKind::CampaignPaused => self.audit_campaign_paused(),
            AuditKind::CampaignResumed => self.audit_campaign_resumed(),
            AuditKind::CampaignSoldOut => self.audit_campaign_sold_out(),
            AuditKind::BatchCreated => self.audit_batch_created(),
            AuditKind::BatchImported => self.audit_batch_imported(),
            AuditKind::BatchPaused => self.audit_batch_paused(),
            AuditKind::BatchResumed => self.audit_batch_resumed(),
            AuditKind::DayArchived => self.audit_day_archived(),
            AuditKind::CodesDownloaded => self.audit_codes_downloaded(),
            AuditKind::TokenMade => self.audit_token_made(),
            AuditKind::KeyAdded => self.audit_key_added(),
            AuditKind::KeyRetired => self.audit_key_retired(),
            AuditKind::StoreRestored => self.audit_store_restored(),
            AuditKind::CompactionAsked => self.audit_compaction_asked(),
            AuditKind::QuerySaved => self.audit_query_saved(),
            AuditKind::QueryDeleted => self.audit_query_deleted(),
            AuditKind::QueryRun => self.audit_query_run(),
            AuditKind::WebhookCreated => self.audit_webhook_created(),
            AuditKind::WebhookUpdated => self.audit_webhook_updated(),
            AuditKind::WebhookDeleted => self.audit_webhook_deleted(),
            AuditKind::WebhookSecretRotated => self.audit_webhook_rotated(),
            AuditKind::WebhookTested => self.audit_webhook_tested(),
            AuditKind::WebhookRedelivered => self.audit_webhook_redelivered(),
            AuditKind::StaffInvited => self.audit_staff_invited(),
            AuditKind::StaffAdded => self.audit_staff_added(),
            AuditKind::StaffUpdated => self.audit_staff_updated(),
            AuditKind::StaffRemoved => self.audit_staff_removed(),
            AuditKind::StaffSignedIn => self.audit_staff_signed_in(),
        }
    }
}
