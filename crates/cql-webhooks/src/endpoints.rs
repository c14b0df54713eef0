//! The rows of endpoints: what callers said of each, its state and its secrets, as JSON.
//!
//! Every change is a conditional update that raises `generation`. A process that posts reads all of them at each
//! renewal of its leases.

use std::collections::BTreeSet;

use cql_session::{Attempts, CALL_LIMIT, StatementProfile};
use hot::HotError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use webhooks::store::Turn;
use webhooks::{
    ENDPOINTS_MAX, Endpoint, EndpointChanges, EndpointState, NewEndpoint, Rotation, SECRETS_MAX,
    Secret, SecretTimes, Secrets, WebhookError,
};

use crate::ClusterStore;
use crate::error::{Result, Trouble, to_json, unreadable};
use crate::progress::Progress;

/// What is known of an endpoint. Fields that a later release adds must have a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    /// The values with which it was made: a repeat must have the same.
    request: String,
    pub(crate) url: String,
    description: Option<String>,
    pub(crate) types: Option<BTreeSet<String>>,
    pub(crate) campaign: Option<String>,
    pub(crate) ordered: bool,
    state: State,
    since: i64,
    pub(crate) created_at: i64,
    /// The cursor behind which it begins.
    pub(crate) begins_at: Option<String>,
    /// Raised when what waits is to be tried at once.
    pub(crate) restarts: u64,
    secrets: Vec<SecretOf>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Active,
    Paused,
    Disabled(String),
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SecretOf {
    secret: String,
    created_at: i64,
    until: Option<i64>,
    rotation: Option<String>,
}

impl std::fmt::Debug for SecretOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretOf(hidden)")
    }
}

impl SecretOf {
    fn new(rotation: Option<String>, now: i64) -> Result<SecretOf> {
        let secret = Secret::random().ok_or(WebhookError::NoRandom)?.reveal().to_owned();
        Ok(SecretOf { secret, created_at: now, until: None, rotation })
    }

    fn parsed(&self) -> Result<Secret> {
        Secret::parse(&self.secret).map_err(|why| unreadable(format!("a secret {why}")))
    }
}

impl Terms {
    fn new(new: NewEndpoint, secret: SecretOf, now: i64) -> Terms {
        let request = new.request();
        let NewEndpoint { webhook_id: _, url, description, types, campaign, ordered, cursor } = new;
        Terms {
            request,
            url,
            description,
            types,
            campaign,
            ordered,
            state: State::Active,
            since: now,
            created_at: now,
            begins_at: cursor,
            restarts: 0,
            secrets: vec![secret],
        }
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state == State::Active
    }

    pub(crate) fn is_disabled(&self) -> bool {
        matches!(self.state, State::Disabled(_))
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.state == State::Paused
    }

    /// Those that sign at `now`; all of them if the clock is not trusted, so that a wrong one ends none.
    pub(crate) fn signing(&self, now: i64, trusted: bool) -> Result<Secrets> {
        let signs = |it: &&SecretOf| !trusted || it.until.is_none_or(|until| until > now);
        let newest_first = self.secrets.iter().rev().filter(signs);
        Ok(Secrets::from(newest_first.map(SecretOf::parsed).collect::<Result<Vec<Secret>>>()?))
    }

    fn newest_secret(&self) -> Result<Secret> {
        let newest = self.secrets.last().ok_or_else(|| unreadable("no secret".to_owned()))?;
        newest.parsed()
    }

    fn apply(&mut self, name: &str, changes: EndpointChanges) {
        let before = self.shown(name, &Progress::default());
        let moved = changes.url.as_ref().is_some_and(|url| *url != before.url);
        let Endpoint { url, description, types, campaign, ordered, .. } = changes.applied(before);
        Terms { url, description, types, campaign, ordered, ..self.clone() }.clone_into(self);
        self.restarts += u64::from(moved);
    }

    /// Returns whether that changed anything.
    fn turn(&mut self, turn: Turn, now: i64) -> bool {
        let next = match turn {
            Turn::Pause => State::Paused,
            Turn::Resume => State::Active,
        };
        if self.state == next {
            return false;
        }
        (self.state, self.since) = (next, now);
        self.restarts += u64::from(turn == Turn::Resume);
        true
    }

    /// Adds a secret, and ends the others after the overlap.
    fn add_secret(&mut self, secret: SecretOf, overlap_ms: i64, now: i64) -> Result<()> {
        if overlap_ms == 0 {
            self.secrets.clear();
        }
        if self.secrets.len() >= SECRETS_MAX {
            return Err(WebhookError::TooManySecrets.into());
        }
        let until = now.saturating_add(overlap_ms);
        for other in &mut self.secrets {
            other.until = Some(other.until.map_or(until, |earlier| earlier.min(until)));
        }
        self.secrets.push(secret);
        Ok(())
    }

    /// Forgets the secrets whose time is over. Returns whether there were any.
    fn forget_secrets(&mut self, now: i64) -> bool {
        let before = self.secrets.len();
        self.secrets.retain(|it| it.until.is_none_or(|until| until > now));
        self.secrets.len() < before
    }

    fn shown(&self, name: &str, progress: &Progress) -> Endpoint {
        let state = match &self.state {
            State::Active => EndpointState::Active,
            State::Paused => EndpointState::Paused { since: self.since },
            State::Disabled(why) => EndpointState::Disabled { why: why.clone(), since: self.since },
        };
        let times = |it: &SecretOf| SecretTimes { created_at: it.created_at, until: it.until };
        Endpoint {
            webhook_id: name.to_owned(),
            url: self.url.clone(),
            description: self.description.clone(),
            types: self.types.clone(),
            campaign: self.campaign.clone(),
            ordered: self.ordered,
            state,
            created_at: self.created_at,
            pending: progress.pending,
            failures: progress.failures,
            failing_since: progress.failing_since,
            secrets: self.secrets.iter().map(times).collect(),
        }
    }
}

type Row = (String, i64, i64, String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndpointRow {
    pub(crate) name: String,
    /// Never used again for another endpoint.
    pub(crate) number: i64,
    pub(crate) generation: i64,
    pub(crate) terms: Terms,
}

impl EndpointRow {
    fn read((name, number, generation, terms): Row) -> std::result::Result<EndpointRow, HotError> {
        let terms = serde_json::from_str(&terms)
            .map_err(|why| HotError::Damaged(format!("the webhook {name}: {why}")))?;
        Ok(EndpointRow { name, number, generation, terms })
    }

    pub(crate) fn shown(&self, progress: &Progress) -> Endpoint {
        self.terms.shown(&self.name, progress)
    }
}

impl ClusterStore {
    /// All endpoints, in the order of their names.
    pub(crate) async fn endpoint_rows(&self) -> Result<Vec<EndpointRow>> {
        let cql = "SELECT webhook_id, number, generation, terms FROM webhook WHERE part = ?";
        let rows: Vec<Row> = self.session.rows(StatementProfile::Read, cql, (self.part,)).await?;
        Ok(rows.into_iter().map(EndpointRow::read).collect::<std::result::Result<_, _>>()?)
    }

    async fn find_endpoint(
        &self,
        name: &str,
    ) -> std::result::Result<Option<EndpointRow>, HotError> {
        let cql = "SELECT webhook_id, number, generation, terms FROM webhook \
                   WHERE part = ? AND webhook_id = ?";
        // Through Paxos: a change that was begun is over then.
        let row = self.session.row_with(StatementProfile::Serial, cql, (self.part, name)).await?;
        row.map(EndpointRow::read).transpose()
    }

    pub(crate) async fn endpoint_row(&self, name: &str) -> Result<EndpointRow> {
        Ok(self.find_endpoint(name).await?.ok_or(WebhookError::NotFound)?)
    }

    pub(crate) async fn create_endpoint(
        &self,
        name: &str,
        new: NewEndpoint,
        now: i64,
    ) -> Result<(EndpointRow, Secret, bool)> {
        let terms = Terms::new(new, SecretOf::new(None, now)?, now);
        // Half of 128 random bits, and positive.
        let number = i64::try_from(Uuid::new_v4().as_u128() >> 65).unwrap_or(i64::MAX);
        let mut attempts = Attempts::new("the new webhook", CALL_LIMIT);
        loop {
            if let Some(found) = attempts.looked(self.find_endpoint(name).await)? {
                if found.terms.request != terms.request {
                    return Err(WebhookError::NameTaken.into());
                }
                let secret = found.terms.newest_secret()?;
                let is_new = found.number == number;
                return Ok((found, secret, is_new));
            }
            if self.endpoint_rows().await?.len() >= ENDPOINTS_MAX {
                return Err(WebhookError::TooMany.into());
            }
            let cql = "INSERT INTO webhook (part, webhook_id, number, generation, terms) \
                       VALUES (?, ?, ?, ?, ?) IF NOT EXISTS";
            let values = (self.part, name, number, 0_i64, to_json(&terms)?);
            attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await?;
        }
    }

    /// Changes the terms of an endpoint. `change` returns whether there is anything left to do.
    async fn change_endpoint(
        &self,
        name: &str,
        now: i64,
        change: impl Fn(&mut Terms) -> Result<bool> + Send + Sync,
    ) -> Result<EndpointRow> {
        let mut attempts = Attempts::new("the change of the webhook", CALL_LIMIT);
        loop {
            let found = attempts.looked(self.find_endpoint(name).await)?;
            let mut row = found.ok_or(WebhookError::NotFound)?;
            if !change(&mut row.terms)? {
                return Ok(row);
            }
            let cql = "UPDATE webhook SET terms = ?, generation = ? WHERE part = ? \
                       AND webhook_id = ? IF generation = ? AND number = ?";
            let seen = row.generation;
            row.generation += 1;
            let values = (to_json(&row.terms)?, row.generation, self.part, name, seen, row.number);
            if attempts.wrote(self.session.change(attempts.profile(), cql, values).await).await? {
                // If this process posts to it, not only from the next renewal on.
                self.with_lane(row.number, |lane| lane.take_over(row.clone(), now));
                return Ok(row);
            }
        }
    }

    pub(crate) async fn update_endpoint(
        &self,
        name: &str,
        changes: EndpointChanges,
        now: i64,
    ) -> Result<EndpointRow> {
        let change = |terms: &mut Terms| {
            let before = terms.clone();
            terms.apply(name, changes.clone());
            Ok(*terms != before)
        };
        self.change_endpoint(name, now, change).await
    }

    pub(crate) async fn turn_endpoint(
        &self,
        name: &str,
        turn: Turn,
        now: i64,
    ) -> Result<EndpointRow> {
        self.change_endpoint(name, now, |terms| Ok(terms.turn(turn, now))).await
    }

    /// Returns whether it was active.
    pub(crate) async fn disable_endpoint(&self, row: &EndpointRow, now: i64) -> Result<bool> {
        let disable = |terms: &mut Terms| {
            let is_active = terms.is_active();
            if is_active {
                terms.state = State::Disabled("the receiver answered 410 Gone".to_owned());
                terms.since = now;
            }
            Ok(is_active)
        };
        match self.change_endpoint(&row.name, now, disable).await {
            Ok(after) => Ok(after.number == row.number && after.terms.is_disabled()),
            Err(Trouble::Webhook(WebhookError::NotFound)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn rotate_secret(
        &self,
        name: &str,
        rotation: Rotation,
        now: i64,
    ) -> Result<(Secret, bool)> {
        let made = SecretOf::new(rotation.rotate_ref.clone(), now)?;
        let overlap = i64::try_from(rotation.overlap.as_millis()).unwrap_or(i64::MAX);
        let of_rotation = |terms: &Terms| {
            let same = |it: &&SecretOf| {
                it.secret == made.secret || (it.rotation.is_some() && it.rotation == made.rotation)
            };
            terms.secrets.iter().find(same).cloned()
        };
        let rotate = |terms: &mut Terms| match of_rotation(terms) {
            Some(_) => Ok(false),
            None => terms.add_secret(made.clone(), overlap, now).map(|()| true),
        };
        let row = self.change_endpoint(name, now, rotate).await?;
        let found = of_rotation(&row.terms).unwrap_or_else(|| made.clone());
        Ok((found.parsed()?, found.secret == made.secret))
    }

    pub(crate) async fn forget_secrets(&self, now: i64) -> Result<()> {
        for row in self.endpoint_rows().await? {
            if row.terms.clone().forget_secrets(now) {
                let forget = |terms: &mut Terms| Ok(terms.forget_secrets(now));
                match self.change_endpoint(&row.name, now, forget).await {
                    Ok(_) | Err(Trouble::Webhook(WebhookError::NotFound)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    pub(crate) async fn delete_endpoint(&self, name: &str) -> Result<EndpointRow> {
        let mut attempts = Attempts::new("the end of the webhook", CALL_LIMIT);
        let mut deleted: Option<EndpointRow> = None;
        loop {
            let found = attempts.looked(self.find_endpoint(name).await)?;
            match (found, deleted.take()) {
                // Ours, or a successor that somebody has made since.
                (None, Some(row)) => return Ok(row),
                (Some(other), Some(row)) if other.number != row.number => return Ok(row),
                (None, None) => return Err(WebhookError::NotFound.into()),
                (Some(row), _) => {
                    let cql = "DELETE FROM webhook WHERE part = ? AND webhook_id = ? IF number = ?";
                    let values = (self.part, name, row.number);
                    let wrote = self.session.change(attempts.profile(), cql, values).await;
                    if attempts.wrote(wrote).await? {
                        return Ok(row);
                    }
                    deleted = Some(row);
                }
            }
        }
    }
}
