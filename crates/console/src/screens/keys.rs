//! Keys and tokens: which keys there are, and which tokens were made. Never a secret.

use askama::Template;
use coupon::time::DAY_MS;
use engine::AuditKind;

use crate::desk::PageContext;
use crate::machine::KeyInfo;
use crate::screens::audit::{AuditRow, entries};
use crate::trouble::ConsoleResult;

/// Entries of the audit that are looked at for tokens and keys.
const AUDITED: usize = 500;

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage<'a> {
    d: &'a PageContext,
    keys: Vec<KeyRow>,
    /// What was done with keys and tokens lately; `None` where no audit is kept.
    made: Option<Vec<AuditRow>>,
}

struct KeyRow {
    use_of: &'static str,
    id: String,
    made: String,
    age: String,
    state: &'static str,
    label: String,
}

/// `GET /console/keys`
pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let machine = desk.machine().await?;
    let is_about = |entry: &AuditRow| {
        matches!(entry.kind, AuditKind::TokenMade | AuditKind::KeyAdded | AuditKind::KeyRetired)
    };
    let made = entries(&desk, None, &desk.zone, None, AUDITED).await?;
    let page = KeysPage {
        d: &desk,
        keys: machine.keys.iter().rev().map(|key| row(&desk, key)).collect(),
        made: made.map(|entries| entries.into_iter().filter(is_about).collect()),
    };
    desk.page(&page)
}

fn row(desk: &PageContext, key: &KeyInfo) -> KeyRow {
    let t = desk.t;
    let age = (desk.now.0 - key.made_at.0).max(0) / DAY_MS;
    let (state, label) = match &key.retired_at {
        Some(at) => ("ended", t.key_retired(desk.at(at))),
        None if key.is_newest => ("running", t.key_newest().to_owned()),
        None => ("planned", t.key_in_use().to_owned()),
    };
    KeyRow {
        use_of: t.key_use(&key.use_of),
        id: key.id.clone(),
        made: desk.at(&key.made_at),
        age: t.days(age.unsigned_abs()),
        state,
        label,
    }
}
