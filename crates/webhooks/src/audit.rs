//! What an auditor reads of endpoints. Whoever changes one enters it, as only they know for whom.

use hot::audit::{AuditEvent, AuditKind, FieldChange, given};

use crate::{Endpoint, EndpointState};

impl Endpoint {
    /// Something that happened to an endpoint, which the event names first.
    pub fn event(kind: AuditKind, webhook_id: &str, mut changes: Vec<FieldChange>) -> AuditEvent {
        let id = Some(webhook_id.to_owned());
        changes.insert(0, FieldChange { field: "webhook_id".into(), from: id.clone(), to: id });
        AuditEvent::of_store(kind, changes)
    }

    pub fn created_event(&self) -> AuditEvent {
        let values = self.audited().into_iter();
        let values = values.filter_map(|(field, to)| Some(given(field, to?))).collect();
        AuditEvent::of_store(AuditKind::WebhookCreated, values)
    }

    /// `None` if nothing is different from `before`.
    pub fn changed_event(&self, before: &Endpoint) -> Option<AuditEvent> {
        // Of another query, the audit says that the URL changed.
        let has_moved = |field: &str| field == "url" && before.url != self.url;
        let pairs = before.audited().into_iter().zip(self.audited());
        let changed = pairs.filter(|(from, to)| from != to || has_moved(from.0));
        let changes: Vec<FieldChange> = changed
            .map(|((name, from), (_, to))| FieldChange { field: name.to_owned(), from, to })
            .collect();
        let is_same = changes.is_empty();
        (!is_same).then(|| Endpoint::event(AuditKind::WebhookUpdated, &self.webhook_id, changes))
    }

    /// Its values as text, without the query of its URL.
    fn audited(&self) -> [(&'static str, Option<String>); 7] {
        let types = self.types.as_ref();
        let types = types.map(|it| it.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
        let paused = matches!(self.state, EndpointState::Paused { .. });
        [
            ("webhook_id", Some(self.webhook_id.clone())),
            ("url", Some(self.url_without_query())),
            ("description", self.description.clone()),
            ("types", types),
            ("campaign_id", self.campaign.clone()),
            ("ordered", Some(self.ordered.to_string())),
            ("paused", Some(paused.to_string())),
        ]
    }
}
