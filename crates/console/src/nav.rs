//! The frame of every page: where one can go, and what was just done.

use engine::AuditKind;
use webhooks::DeliveryState;

use crate::desk::PageContext;
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::text::{Lang, PageTexts};

impl PageContext {
    /// Where somebody can go: the address, the words, and the name of the icon.
    pub(crate) fn entries(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let t = self.t;
        let all = [
            ("/console", t.overview(), "overview", ConsoleAction::Look),
            ("/console/campaigns", t.campaigns(), "campaigns", ConsoleAction::Look),
            ("/console/coupons", t.find(), "search", ConsoleAction::Look),
            ("/console/today", t.my_day(), "today", ConsoleAction::Issue),
            ("/console/reports", t.reports(), "reports", ConsoleAction::Look),
            ("/console/calendar", t.calendar(), "calendar", ConsoleAction::Look),
            ("/console/import", t.import(), "import", ConsoleAction::Import),
            ("/console/events", t.events(), "events", ConsoleAction::Look),
            ("/console/store", t.store(), "store", ConsoleAction::Look),
            ("/console/staff", t.staff(), "staff", ConsoleAction::ManageStaff),
            ("/console/audit", t.audit(), "audit", ConsoleAction::ReadAudit),
        ];
        let shown = all.into_iter().filter(|(.., action)| self.may(*action));
        shown.map(|(href, label, icon, _)| (href, label, icon)).collect()
    }

    pub(crate) fn is_here(&self, href: &str) -> bool {
        let path = self.path_alone().trim_end_matches('/');
        let is_below = path.strip_prefix(href).is_some_and(|rest| rest.starts_with('/'));
        path == href
            || (is_below && href != "/console")
            || (href == "/console/coupons" && path.starts_with("/console/customers"))
            || (href == "/console/store" && path == "/console/keys")
    }

    /// Whether what the address says was done now, and not by an earlier request.
    pub(crate) fn is_new(&self) -> bool {
        !matches!(self.query.get("done"), Some("had" | "same" | "some" | "test-failed"))
    }

    /// What was just done, as the address says.
    pub(crate) fn notice(&self) -> Option<&'static str> {
        self.t.notice(self.query.get("done")?)
    }
}

impl PageTexts {
    /// What happened: in English as programs read it, which is plain enough.
    pub(crate) fn event(self, name: &str) -> String {
        let korean = || {
            let of_store = || AuditKind::named(name).map(|kind| self.audit_event(&kind));
            self.event_of_coupon(name).or_else(of_store)
        };
        match self.lang() {
            Lang::En => name.to_owned(),
            Lang::Ko => korean().unwrap_or(name).to_owned(),
        }
    }

    /// A batch: the one that a campaign is made with has a name that nobody has chosen.
    pub(crate) fn batch_name(self, id: impl ToString) -> String {
        match (self.lang(), id.to_string()) {
            (Lang::Ko, id) if id == "first" => self.first_batch().to_owned(),
            (_, id) => id,
        }
    }

    pub(crate) fn field(self, name: &str) -> &str {
        match name {
            "goodwill" => self.goodwill_meant(),
            "time_zone" | "zone" => self.time_zone(),
            "user" | "user_id" => self.customer(),
            "order_ref" => self.order(),
            "kind" => self.kind(),
            "day" | "expiry_day" => self.expiry_day(),
            "campaign" => self.campaign(),
            "batch_id" => self.batch(),
            "columns" => self.columns(),
            "ignore" => self.import_ignore(),
            "values" => self.import_values(),
            "dates" => self.import_dates(),
            "encoding" => self.encoding(),
            "file" => self.file(),
            "xlsx" => self.download_workbook(),
            "sql" => self.sql(),
            "webhook_id" => self.webhook(),
            "delivered" => self.delivery_state(&DeliveryState::Delivered),
            "paused" => self.phase(&CampaignPhase::Paused),
            "lines" => self.lines(),
            "imported" => self.lines_imported(),
            "already_there" => self.lines_known(),
            "rejected" => self.lines_rejected(),
            "id" => self.key(),
            "link" => self.invitation(),
            "invited_by" => self.invited_by(),
            other => self.label_of(other).unwrap_or(other),
        }
    }
}
