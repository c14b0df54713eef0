//! Reads the feed for all endpoints, and queues what they ask for.
//!
//! Endpoints at the same cursor share a read. Those that are less than a page behind others join them.

use std::collections::BTreeMap;

use super::{Held, Stopping, Trouble};
use crate::store::{Passage, Reader};
use crate::{Event, Read, Source, Start, WebhookError, Webhooks};

pub(super) async fn read_all(
    webhooks: &Webhooks,
    source: &dyn Source,
    held: &Held,
    mut stopping: Stopping,
) {
    let mut reading =
        Reading { webhooks, source, trouble: Trouble::with("webhooks cannot read the events") };
    loop {
        let round = tokio::select! {
            () = stopping.begun() => return,
            round = reading.round(held) => round,
        };
        let has_more = match round {
            Ok(has_more) => has_more,
            Err(error) => {
                reading.trouble.say(&error.to_string());
                false
            }
        };
        if !has_more && stopping.wait(webhooks.options.look_every, &held.feed).await {
            return;
        }
    }
}

struct Moved {
    next: String,
    is_end: bool,
}

struct Reading<'a> {
    webhooks: &'a Webhooks,
    source: &'a dyn Source,
    trouble: Trouble,
}

impl Reading<'_> {
    /// Reads a page for each endpoint. Returns whether there is more to read.
    async fn round(&mut self, held: &Held) -> Result<bool, WebhookError> {
        let Webhooks { store, options, .. } = self.webhooks;
        let readers = store.readers(held.now(), options).await;
        let mut groups: BTreeMap<Option<String>, Vec<Reader>> = BTreeMap::new();
        for reader in readers {
            groups.entry(reader.cursor.clone()).or_default().push(reader);
        }
        let (mut has_more, mut ahead) = (false, Vec::new());
        while let Some((cursor, group)) = groups.pop_first() {
            let others = groups.keys().flatten().chain(&ahead).cloned().collect::<Vec<String>>();
            let Some(page) = self.page(cursor.as_deref(), group, &others).await? else { continue };
            // Those that stand there wait, and go on together with these.
            let meets = groups.remove(&Some(page.next.clone())).is_some();
            has_more |= meets || !page.is_end;
            ahead.push(page.next);
        }
        Ok(has_more)
    }

    /// Reads a page for the endpoints at `cursor`, at most until `others` stand there. Returns `None` if they did not
    /// move.
    async fn page(
        &mut self,
        cursor: Option<&str>,
        group: Vec<Reader>,
        others: &[String],
    ) -> Result<Option<Moved>, WebhookError> {
        let start = cursor.map_or(Start::Newest, Start::After);
        let (found, next, is_end) = match self.source.read(start, self.webhooks.options.page).await
        {
            Read::Page { events, next, is_end } => {
                // An endpoint that begins gets nothing that was before.
                let events = if cursor.is_some() { events } else { Vec::new() };
                let (events, next, is_end) = until_others(events, next, is_end, others);
                (Passage::Events(events), next, is_end)
            }
            Read::Gone { next, why } if cursor == Some(next.as_str()) => {
                self.trouble.say(&why);
                return Ok(None);
            }
            Read::Gone { next, why } => {
                tracing::warn!(error = %why, endpoints = group.len(), "webhooks miss events");
                (Passage::Gap(why), next, false)
            }
            Read::Unavailable { why } => {
                self.trouble.say(&why);
                return Ok(None);
            }
        };
        self.trouble.over();
        if cursor == Some(next.as_str()) {
            return Ok(None);
        }
        self.queue(group, found, next.clone()).await?;
        Ok(Some(Moved { next, is_end }))
    }

    async fn queue(
        &self,
        group: Vec<Reader>,
        found: Passage,
        next: String,
    ) -> Result<(), WebhookError> {
        let now = self.webhooks.options.now();
        if self.webhooks.store.read_on(&group, &found, &next, now).await > 0 {
            self.webhooks.queued.notify_one();
        }
        Ok(())
    }
}

/// Ends a page where other endpoints stand, so that they go on together.
fn until_others(
    mut events: Vec<Event>,
    next: String,
    is_end: bool,
    others: &[String],
) -> (Vec<Event>, String, bool) {
    match events.iter().position(|event| others.contains(&event.cursor)) {
        Some(at) if at + 1 < events.len() => {
            events.truncate(at + 1);
            let next = events.last().map_or(next, |event| event.cursor.clone());
            (events, next, false)
        }
        Some(_) | None => (events, next, is_end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_meet() {
        let event = |nth: &str| Event {
            id: nth.to_owned(),
            cursor: format!("c{nth}"),
            event_type: "coupon.redeemed".to_owned(),
            only_by_name: false,
            at_ms: 0,
            campaign: None,
            code: None,
            data: serde_json::Value::Null,
        };
        let cases: [(_, &[&str], _, _, _); 4] = [
            ("alone", &[], 3, "c3", true),
            ("another one on the way", &["c2"], 2, "c2", false),
            ("two on the way", &["c1", "c2"], 1, "c1", false),
            ("another one at the end", &["c3"], 3, "c3", true),
        ];
        for (name, others, count, want, want_end) in cases {
            let others: Vec<String> = others.iter().map(|&it| it.to_owned()).collect();
            let events = ["1", "2", "3"].map(event).to_vec();
            let (events, next, is_end) = until_others(events, "c3".to_owned(), true, &others);
            assert_eq!((events.len(), next.as_str(), is_end), (count, want, want_end), "{name}");
        }
    }
}
