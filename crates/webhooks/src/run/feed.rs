//! Reads the feed for all endpoints, and queues what they ask for.
//!
//! Endpoints at the same cursor share a read. Those that are less than a page behind others join them.

use tokio::sync::Notify;

use super::{StopSignal, TroubleLog};
use crate::store::FeedPassage;
use crate::{Event, Read, Source, Start, Webhooks};

pub(super) async fn read_all(
    webhooks: &Webhooks,
    source: &dyn Source,
    leased: &Notify,
    mut stopping: StopSignal,
) {
    let trouble = TroubleLog::new("webhooks cannot read the events");
    let mut reader = FeedReader { webhooks, source, trouble };
    loop {
        let has_more = tokio::select! {
            () = stopping.begun() => return,
            has_more = reader.round() => has_more,
        };
        if !has_more && stopping.wait(webhooks.store.options.look_every, leased).await {
            return;
        }
    }
}

struct FeedReader<'a> {
    webhooks: &'a Webhooks,
    source: &'a dyn Source,
    trouble: TroubleLog,
}

impl FeedReader<'_> {
    /// Reads a page for each endpoint. Returns whether there is more to read.
    async fn round(&mut self) -> bool {
        let store = &self.webhooks.store;
        store.tend().await;
        let mut groups = store.readers();
        let (mut has_more, mut ahead) = (false, Vec::new());
        while let Some((cursor, group)) = groups.pop_first() {
            let others = groups.keys().flatten().chain(&ahead).cloned().collect::<Vec<String>>();
            let page = self.page(cursor.as_deref(), &group, &others).await;
            let Some((next, is_end)) = page else { continue };
            // Those that stand there wait, and go on together with these.
            let meets = groups.remove(&Some(next.clone())).is_some();
            has_more |= meets || !is_end;
            ahead.push(next);
        }
        has_more
    }

    /// Reads a page for the endpoints at `cursor`, at most until `others` stand there. Returns where they stand then,
    /// and whether the feed ends there; `None` if they did not move.
    async fn page(
        &mut self,
        cursor: Option<&str>,
        group: &[i64],
        others: &[String],
    ) -> Option<(String, bool)> {
        let Webhooks { store, queued, .. } = self.webhooks;
        let start = cursor.map_or(Start::Newest, Start::After);
        let (found, next, is_end) = match self.source.read(start, store.options.page).await {
            Read::Page { events, next, is_end } => {
                // An endpoint that begins gets nothing that was before.
                let events = if cursor.is_some() { events } else { Vec::new() };
                let (events, next, is_end) = until_others(events, next, is_end, others);
                (FeedPassage::Events(events), next, is_end)
            }
            Read::Gone { next, why } if cursor != Some(next.as_str()) => {
                tracing::warn!(error = %why, endpoints = group.len(), "webhooks miss events");
                (FeedPassage::Gap(why), next, false)
            }
            Read::Gone { why, .. } | Read::Unavailable { why } => {
                self.trouble.say(&why);
                return None;
            }
        };
        self.trouble.over();
        if cursor == Some(next.as_str()) {
            return None;
        }
        if store.read_on(group, cursor, &found, &next).await > 0 {
            queued.notify_one();
        }
        Some((next, is_end))
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
