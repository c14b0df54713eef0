//! Keys and tokens: which keys there are, and which tokens were made. Never a secret.

use askama::Template;
use coupon::time::DAY_MS;
use engine::AuditKind;

use crate::desk::PageContext;
use crate::machine::KeyInfo;
use crate::roles::ConsoleAction;
use crate::screens::audit::{AuditRow, entries};
use crate::trouble::ConsoleResult;

/// Entries of the audit that are looked at for tokens and keys.
const AUDITED: usize = 500;

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage<'a> {
    d: &'a PageContext,
    /// Newest first.
    keys: Vec<KeyInfo>,
    /// What was done with keys and tokens lately; `None` where no audit is kept.
    made: Option<Vec<AuditRow>>,
}

impl KeysPage<'_> {
    /// The class and the words of the state of a key.
    fn state(&self, key: &KeyInfo) -> (&'static str, String) {
        let t = self.d.t;
        match &key.retired_at {
            Some(at) => ("ended", t.key_retired(self.d.at(at))),
            None if key.is_newest => ("running", t.key_newest().to_owned()),
            None => ("planned", t.key_in_use().to_owned()),
        }
    }

    fn age(&self, key: &KeyInfo) -> String {
        let days = (self.d.now.0 - key.made_at.0).max(0) / DAY_MS;
        self.d.t.days(days.unsigned_abs())
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let machine = desk.machine().await?;
    let is_about = |entry: &AuditRow| {
        matches!(entry.kind, AuditKind::TokenMade | AuditKind::KeyAdded | AuditKind::KeyRetired)
    };
    let made = entries(&desk, None, &desk.zone, AUDITED).await?;
    let page = KeysPage {
        d: &desk,
        keys: machine.keys.into_iter().rev().collect(),
        made: made.map(|entries| entries.into_iter().filter(is_about).collect()),
    };
    desk.page(&page)
}
