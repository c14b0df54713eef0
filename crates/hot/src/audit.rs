//! Who changed what, besides coupons: campaigns, batches, and the store itself.
//!
//! A store writes an entry together with the change that it is about. Entries are never deleted.

use async_trait::async_trait;
use coupon::calendar::format_instant;
use coupon::campaign::{Batch, Campaign, ImportCounts};
use coupon::ids::{Actor, BatchId, CampaignId, Reason};
use coupon::time::Millis;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Who changes something, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    pub actor: Actor,
    pub at: Millis,
    pub reason: Option<Reason>,
}

impl Act {
    /// Something that couponry does by itself.
    pub fn of_system(part: &str, at: Millis) -> Act {
        Act { actor: Actor::new(&format!("system:{part}")), at, reason: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    pub act: Act,
    pub event: AuditEvent,
}

/// A change of something that is no coupon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    pub kind: AuditKind,
    /// The campaign, if it was one or belongs to one.
    pub campaign: Option<CampaignId>,
    /// The batch, if it was one.
    pub batch: Option<BatchId>,
    pub changes: Vec<FieldChange>,
}

/// A field before and after a change, as text. `None`: it had no value, or was not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its name, as the API has it.
    pub field: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

coupon::words! {
/// The kinds of audit events, in the order of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditKind {
    CampaignCreated = "campaign.created",
    CampaignUpdated = "campaign.updated",
    CampaignPaused = "campaign.paused",
    CampaignResumed = "campaign.resumed",
    /// A campaign's last available coupon found a holder.
    CampaignSoldOut = "campaign.sold_out",
    /// A batch was minted, or opened for an import.
    BatchCreated = "batch.created",
    BatchImported = "batch.imported",
    BatchPaused = "batch.paused",
    BatchResumed = "batch.resumed",
    /// All coupons of an expiry day are in cold.
    DayArchived = "day.archived",
    /// Somebody began to download codes that nobody has.
    CodesDownloaded = "codes.downloaded",
    TokenMade = "token.made",
    KeyAdded = "key.added",
    KeyRetired = "key.retired",
    StoreRestored = "store.restored",
    CompactionAsked = "compaction.asked",
    QuerySaved = "query.saved",
    QueryDeleted = "query.deleted",
    QueryRun = "query.run",
    WebhookCreated = "webhook.created",
    /// A webhook was changed, paused or resumed.
    WebhookUpdated = "webhook.updated",
    WebhookDeleted = "webhook.deleted",
    WebhookSecretRotated = "webhook.secret_rotated",
    WebhookTested = "webhook.tested",
    /// A delivery of a webhook was begun anew.
    WebhookRedelivered = "webhook.redelivered",
    StaffInvited = "staff.invited",
    StaffAdded = "staff.added",
    /// Somebody got another role or password, or was signed out everywhere.
    StaffUpdated = "staff.updated",
    StaffRemoved = "staff.removed",
    StaffSignedIn = "staff.signed_in",
    /// Somebody began to read everything that is known of a person.
    PersonShown = "person.shown",
    /// Somebody asked that a person is forgotten.
    PersonErased = "person.erased",
}
}

impl AuditKind {
    pub fn named(name: &str) -> Option<AuditKind> {
        AuditKind::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// Whether the event feed tells of it when it is entered. Downloads, tokens, keys, webhooks and people are for auditors
    /// alone.
    pub fn is_told(self) -> bool {
        // By the order of the variants: those after this one are for auditors alone.
        self <= AuditKind::DayArchived
    }

    /// Whether the event feed has it: what it tells of when it is entered, and persons, of whom it tells when nothing has
    /// their name.
    pub fn is_in_feed(self) -> bool {
        self.is_told() || self == AuditKind::PersonErased
    }
}

impl AuditEvent {
    pub fn of_store(kind: AuditKind, changes: Vec<FieldChange>) -> AuditEvent {
        AuditEvent { kind, campaign: None, batch: None, changes }
    }

    /// What the feed alone says of a person, for those who must forget them too: under which name others know them.
    pub fn person_erased(user: Option<&str>, name: Option<&str>) -> AuditEvent {
        let field = "user_id".to_owned();
        let change =
            FieldChange { field, from: user.map(str::to_owned), to: name.map(str::to_owned) };
        AuditEvent::of_store(AuditKind::PersonErased, vec![change])
    }

    pub fn of_campaign(kind: AuditKind, id: &CampaignId, changes: Vec<FieldChange>) -> AuditEvent {
        AuditEvent { kind, campaign: Some(id.clone()), batch: None, changes }
    }

    pub fn campaign_created(campaign: &Campaign) -> AuditEvent {
        let changes =
            terms(campaign).into_iter().filter_map(|(field, to)| Some(given(field, to?))).collect();
        AuditEvent::of_campaign(AuditKind::CampaignCreated, &campaign.id, changes)
    }

    /// What a change of terms has done: a pause or its end by itself, and everything else together.
    pub fn campaign_changed(before: &Campaign, after: &Campaign) -> Vec<AuditEvent> {
        let mut events = Vec::new();
        let fields = terms(before).into_iter().zip(terms(after));
        let fields = fields.filter(|((_, from), (_, to))| from != to);
        let change = |((field, from), (_, to)): ((&str, _), (&str, _))| FieldChange {
            field: field.to_owned(),
            from,
            to,
        };
        let changes: Vec<FieldChange> = fields.map(change).collect();
        if !changes.is_empty() {
            events.push(AuditEvent::of_campaign(AuditKind::CampaignUpdated, &after.id, changes));
        }
        if before.paused != after.paused {
            let kind = match after.paused {
                true => AuditKind::CampaignPaused,
                false => AuditKind::CampaignResumed,
            };
            events.push(AuditEvent::of_campaign(kind, &after.id, Vec::new()));
        }
        events
    }

    pub fn batch_created(
        campaign: &CampaignId,
        batch: &BatchId,
        minted: Option<u64>,
    ) -> AuditEvent {
        let kind = if minted.is_some() { "minted" } else { "imported" };
        let mut changes = vec![given("kind", kind)];
        changes.extend(minted.map(|count| given("count", count)));
        AuditEvent::of_batch(AuditKind::BatchCreated, campaign, batch, changes)
    }

    pub fn batch_paused(batch: &Batch) -> AuditEvent {
        let kind = if batch.paused { AuditKind::BatchPaused } else { AuditKind::BatchResumed };
        AuditEvent::of_batch(kind, &batch.campaign, &batch.id, Vec::new())
    }

    pub fn batch_imported(
        campaign: &CampaignId,
        batch: &BatchId,
        counts: &ImportCounts,
    ) -> AuditEvent {
        let changes = [
            ("lines", counts.lines),
            ("imported", counts.imported),
            ("already_there", counts.already_there),
            ("rejected", counts.rejected),
        ];
        let changes = changes.map(|(field, count)| given(field, count));
        AuditEvent::of_batch(AuditKind::BatchImported, campaign, batch, changes.into())
    }

    /// Codes of a campaign, or of one of its batches, that somebody began to download.
    pub fn codes_downloaded(
        campaign: &CampaignId,
        batch: Option<&BatchId>,
        format: &str,
    ) -> AuditEvent {
        let changes = vec![given("format", format)];
        let event = AuditEvent::of_campaign(AuditKind::CodesDownloaded, campaign, changes);
        AuditEvent { batch: batch.cloned(), ..event }
    }

    fn of_batch(
        kind: AuditKind,
        campaign: &CampaignId,
        batch: &BatchId,
        changes: Vec<FieldChange>,
    ) -> AuditEvent {
        let event = AuditEvent::of_campaign(kind, campaign, changes);
        AuditEvent { batch: Some(batch.clone()), ..event }
    }
}

/// A field that has this value now, and had none before.
pub fn given(field: &str, to: impl ToString) -> FieldChange {
    FieldChange { field: field.to_owned(), from: None, to: Some(to.to_string()) }
}

/// The terms of a campaign without its pause, as text.
fn terms(campaign: &Campaign) -> Vec<(&'static str, Option<String>)> {
    let number = |number: u16| number.to_string();
    let worth = &campaign.worth;
    vec![
        ("name", Some(campaign.name.clone())),
        ("handout", Some(campaign.handout.as_str().to_owned())),
        ("shared_code", campaign.shared_code.as_ref().map(ToString::to_string)),
        ("code_prefix", campaign.code_prefix.as_ref().map(ToString::to_string)),
        ("valid_from", Some(format_instant(campaign.valid_from))),
        ("expires_at", Some(format_instant(campaign.expires_at))),
        ("time_zone", Some(campaign.zone.name().to_owned())),
        ("valid_days", campaign.valid_days.map(number)),
        ("issue_from", campaign.issue_from.map(format_instant)),
        ("issue_until", campaign.issue_until.map(format_instant)),
        ("per_user_limit", campaign.per_user_limit.map(number)),
        ("cancel_days", Some(number(campaign.cancel_days))),
        ("extend_days", Some(number(campaign.extend_days))),
        ("metadata", campaign.metadata.clone()),
        ("currency", worth.currency.map(|it| it.as_str().to_owned())),
        ("benefit", worth.benefit.map(|it| it.to_string())),
        ("title_en", worth.title.en.clone()),
        ("title_ko", worth.title.ko.clone()),
        ("budget", worth.budget.map(|it| it.to_string())),
    ]
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// Its place in the list that was read: the next read may begin behind it.
    pub place: String,
    pub entry: AuditEntry,
}

#[async_trait]
pub trait Audit: Send + Sync {
    /// Writes an entry about the store itself.
    async fn record(&self, entry: AuditEntry) -> Result<()>;

    /// At most `limit` entries of a campaign and its batches, or of all, newest first, behind `after`.
    async fn audit(
        &self,
        campaign: Option<CampaignId>,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<Audited>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::testing::campaign;

    #[test]
    fn kinds_by_name() {
        for kind in AuditKind::ALL {
            assert_eq!(AuditKind::named(kind.as_str()), Some(kind));
        }
        assert_eq!(AuditKind::named("campaign.deleted"), None);
        assert!(AuditKind::DayArchived.is_told() && !AuditKind::CodesDownloaded.is_told());
    }

    #[test]
    fn changes_of_terms() {
        let before = campaign();
        let renamed = Campaign { name: "Other".into(), ..before.clone() };
        let both = Campaign { paused: true, per_user_limit: Some(9), ..renamed.clone() };
        // The terms after, and what was done: its kind and the fields.
        let cases = [
            ("nothing", &before, ""),
            ("a name", &renamed, "campaign.updated name"),
            (
                "a name, a limit and a pause",
                &both,
                "campaign.updated name,per_user_limit; campaign.paused ",
            ),
        ];
        for (name, after, want) in cases {
            let events: Vec<String> = AuditEvent::campaign_changed(&before, after)
                .iter()
                .map(|event| {
                    let fields: Vec<&str> =
                        event.changes.iter().map(|change| change.field.as_str()).collect();
                    format!("{} {}", event.kind.as_str(), fields.join(","))
                })
                .collect();
            assert_eq!(events.join("; "), want, "{name}");
        }
    }
}
