//! Deliveries as rows: of those that wait, and of the log.
//!
//! A delivery has two rows, its facts and its body. The facts of all deliveries of a partition come before their bodies,
//! so that a list reads no body.

use hot::tables::{RecordPart, RecordPut, RecordRange};
use serde::{Deserialize, Serialize};

use super::numbers::{number_of, numbered};
use super::{Result, WebhookStore, from_json, to_json};
use crate::post::AttemptAnswer;
use crate::{Delivery, DeliveryState};

/// In a key, before the number.
const FACTS: u8 = 0;
const BODY: u8 = 1;

pub(super) const WRITE_BYTES_MAX: usize = 512 << 10;

/// What a row says of a delivery, besides its number and state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeliveryFacts {
    /// The header `webhook-id`; a gap has none.
    pub(crate) id: Option<String>,
    pub(crate) event_type: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) attempts: u64,
    pub(crate) redelivered: u64,
    pub(crate) tried_at: Option<i64>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) duration_ms: Option<u64>,
    pub(crate) next_at: i64,
    pub(crate) ended_at: Option<i64>,
    /// Whether it was announced, and is no event of the feed.
    pub(crate) announced: bool,
}

impl DeliveryFacts {
    pub(crate) fn new(id: &str, event_type: &str, code: Option<&str>, now: i64) -> DeliveryFacts {
        DeliveryFacts {
            id: Some(id.to_owned()),
            event_type: Some(event_type.to_owned()),
            code: code.map(str::to_owned),
            created_at: now,
            next_at: now,
            ..DeliveryFacts::default()
        }
    }

    pub(crate) fn tried(&self, answered: &AttemptAnswer, now: i64) -> DeliveryFacts {
        let AttemptAnswer { status, error, duration_ms, .. } = answered;
        DeliveryFacts {
            attempts: self.attempts + 1,
            tried_at: Some(now),
            status: *status,
            error: error.clone(),
            duration_ms: Some(*duration_ms),
            ..self.clone()
        }
    }

    /// The facts of a delivery that begins again, or is tried at once.
    pub(crate) fn again(&self, has_ended: bool, now: i64) -> DeliveryFacts {
        DeliveryFacts {
            attempts: if has_ended { 0 } else { self.attempts },
            redelivered: self.redelivered + 1,
            next_at: now,
            ended_at: None,
            ..self.clone()
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeliveryRow {
    pub(crate) number: i64,
    pub(crate) state: DeliveryState,
    pub(crate) facts: DeliveryFacts,
    /// `None` writes none: the one that is there stays.
    pub(crate) body: Option<String>,
}

impl DeliveryRow {
    pub(crate) fn waiting(number: i64, facts: DeliveryFacts, body: Option<String>) -> DeliveryRow {
        DeliveryRow { number, state: DeliveryState::Pending, facts, body }
    }

    pub(crate) fn shown(self, name: &str) -> Delivery {
        let DeliveryRow { number, state, facts, body: _ } = self;
        let is_pending = state == DeliveryState::Pending;
        Delivery {
            number,
            webhook_id: name.to_owned(),
            state,
            event_id: facts.id,
            event_type: facts.event_type,
            code: facts.code,
            created_at: facts.created_at,
            attempts: facts.attempts,
            redelivered: facts.redelivered,
            tried_at: facts.tried_at,
            status: facts.status,
            error: facts.error,
            duration_ms: facts.duration_ms,
            next_at: is_pending.then_some(facts.next_at),
            ended_at: facts.ended_at,
        }
    }
}

fn key_of(what: u8, number: i64) -> Vec<u8> {
    [&[what], numbered(number).as_slice()].concat()
}

pub(super) fn keys_of(numbers: &[i64]) -> impl Iterator<Item = Vec<u8>> {
    numbers.iter().flat_map(|number| [FACTS, BODY].map(|what| key_of(what, *number)))
}

/// The facts of a partition, without the bodies.
pub(super) fn all_facts() -> RecordRange {
    RecordRange::first(usize::MAX).before([BODY])
}

/// The facts of the last deliveries of a partition before a number.
pub(super) fn last_facts(limit: usize, before: i64) -> RecordRange {
    RecordRange::last(limit).before(key_of(FACTS, before))
}

impl WebhookStore {
    /// Writes deliveries of one partition in this order, with as many writes as their size asks for.
    pub(super) async fn put_deliveries(
        &self,
        part: &RecordPart,
        deliveries: &[&DeliveryRow],
    ) -> Result<()> {
        let (mut write, mut size) = (Vec::new(), 0);
        for DeliveryRow { number, facts, body, .. } in deliveries {
            let body = body.as_deref().map(|body| RecordPut::new(key_of(BODY, *number), body));
            let facts = RecordPut::new(key_of(FACTS, *number), to_json(facts)?);
            let rows: Vec<RecordPut> = body.into_iter().chain([facts]).collect();
            let more =
                rows.iter().filter_map(|row| row.value.as_ref()).map(Vec::len).sum::<usize>();
            if size + more > WRITE_BYTES_MAX && !write.is_empty() {
                self.tables.put(part, std::mem::take(&mut write)).await?;
                size = 0;
            }
            size += more;
            write.extend(rows);
        }
        Ok(self.tables.put(part, write).await?)
    }

    pub(super) async fn read_facts(
        &self,
        part: &RecordPart,
        range: RecordRange,
    ) -> Result<Vec<(i64, DeliveryFacts)>> {
        let rows = self.json_rows(part, range).await?;
        rows.into_iter().map(|(key, facts)| Ok((number_of(&key[1..])?, facts))).collect()
    }

    /// A delivery of a partition with its body, if it has one.
    pub(super) async fn read_delivery(
        &self,
        part: &RecordPart,
        number: i64,
        state: DeliveryState,
    ) -> Result<Option<DeliveryRow>> {
        // An empty row has ended.
        let facts = self.tables.get(part, &key_of(FACTS, number)).await?;
        let Some(facts) = facts.filter(|facts| !facts.is_empty()) else { return Ok(None) };
        let body = self.tables.get(part, &key_of(BODY, number)).await?;
        let body = body.filter(|body| !body.is_empty());
        let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
        Ok(Some(DeliveryRow { number, state, facts: from_json(part, &facts)?, body }))
    }
}
