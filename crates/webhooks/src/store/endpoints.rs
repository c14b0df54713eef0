//! The rows of endpoints: what callers said of each, its state and its secrets, as JSON.
//!
//! Every change replaces a row and raises `generation`. A process that posts reads all of them at each
//! renewal of its leases.

use std::collections::BTreeSet;

use hot::tables::{RecordKind, RecordPut, RecordRange, RecordSync};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::numbers::{millis, numbered};
use super::progress::LaneProgress;
use super::{DELETED, Result, WebhookStore, damaged, from_json, to_json};
use crate::endpoint::{check_pair, invalid};
use crate::signature::{SECRETS_MAX, Secret, Secrets};
use crate::{
    ENDPOINTS_MAX, Endpoint, EndpointChanges, EndpointState, NewEndpoint, Rotation, SecretTimes,
    WebhookError,
};

/// All endpoints are one partition, by their names.
const ENDPOINT: RecordKind = RecordKind { name: "webhook", sync: RecordSync::AtOnce };

/// What is known of an endpoint. Fields that a later release adds must have a default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndpointTerms {
    /// The values with which it was made: a repeat must have the same.
    request: String,
    pub(crate) url: String,
    description: Option<String>,
    pub(crate) types: Option<BTreeSet<String>>,
    pub(crate) campaign: Option<String>,
    pub(crate) ordered: bool,
    pub(crate) state: StoredState,
    since: i64,
    pub(crate) created_at: i64,
    /// The cursor behind which it begins.
    pub(crate) begins_at: Option<String>,
    /// Raised when the waiting deliveries must be tried at once.
    pub(crate) restarts: u64,
    secrets: Vec<StoredSecret>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StoredState {
    Active,
    Paused,
    Disabled(String),
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredSecret {
    secret: String,
    created_at: i64,
    until: Option<i64>,
    rotation: Option<String>,
}

impl std::fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StoredSecret(hidden)")
    }
}

impl StoredSecret {
    fn new(rotation: Option<String>, now: i64) -> Result<StoredSecret> {
        let secret = Secret::random().ok_or(WebhookError::NoRandom)?.reveal().to_owned();
        Ok(StoredSecret { secret, created_at: now, until: None, rotation })
    }

    fn parsed(&self) -> Result<Secret> {
        Secret::parse(&self.secret).map_err(|why| damaged(format!("a secret of a webhook {why}")))
    }
}

impl EndpointTerms {
    fn new(new: NewEndpoint, secret: StoredSecret, now: i64) -> EndpointTerms {
        let request = new.request();
        let NewEndpoint { webhook_id: _, url, description, types, campaign, ordered, cursor } = new;
        EndpointTerms {
            request,
            url,
            description,
            types,
            campaign,
            ordered,
            state: StoredState::Active,
            since: now,
            created_at: now,
            begins_at: cursor,
            restarts: 0,
            secrets: vec![secret],
        }
    }

    /// Whether the endpoint gets something of this type and these campaigns.
    pub(crate) fn asks_for(
        &self,
        event_type: &str,
        only_by_name: bool,
        campaigns: &[String],
    ) -> bool {
        let is_asked_for = self.types.as_ref().map_or(!only_by_name, |it| it.contains(event_type));
        is_asked_for && self.campaign.as_ref().is_none_or(|campaign| campaigns.contains(campaign))
    }

    pub(crate) fn is_active(&self) -> bool {
        self.state == StoredState::Active
    }

    pub(crate) fn is_disabled(&self) -> bool {
        matches!(self.state, StoredState::Disabled(_))
    }

    /// Those that sign at `now`; all of them if the clock is not trusted, so that a wrong one ends none.
    pub(crate) fn signing(&self, now: i64, trusted: bool) -> Result<Secrets> {
        let signs = |it: &&StoredSecret| !trusted || it.until.is_none_or(|until| until > now);
        let newest_first = self.secrets.iter().rev().filter(signs);
        Ok(Secrets(newest_first.map(StoredSecret::parsed).collect::<Result<_>>()?))
    }

    fn newest_secret(&self) -> Result<Secret> {
        let newest = self.secrets.last().ok_or_else(|| damaged("a webhook has no secret"))?;
        newest.parsed()
    }

    /// Changes what the caller names. With another URL, what waits is tried at once. Returns whether anything changed.
    pub(crate) fn apply(&mut self, changes: EndpointChanges) -> Result<bool> {
        let before = self.clone();
        let EndpointTerms { url, description, types, campaign, ordered, .. } = self.clone();
        let names_types = changes.types.is_some();
        self.url = changes.url.unwrap_or(url);
        self.description = changes.description.unwrap_or(description);
        self.types = changes.types.unwrap_or(types);
        self.campaign = changes.campaign.unwrap_or(campaign);
        self.ordered = changes.ordered.unwrap_or(ordered);
        self.restarts += u64::from(self.url != before.url);
        // A caller names one of the two, and the other stays.
        check_pair(self.types.as_ref(), self.campaign.as_deref()).map_err(|error| {
            let why = "goes with no report.weekly, which is about all campaigns";
            if names_types { error } else { invalid("campaign_id", why) }
        })?;
        Ok(*self != before)
    }

    /// Pauses, resumes or disables. After a resume, what waits is tried at once. Returns whether anything changed.
    pub(crate) fn turn(&mut self, next: StoredState, now: i64) -> bool {
        if self.state == next {
            return false;
        }
        self.restarts += u64::from(next == StoredState::Active);
        (self.state, self.since) = (next, now);
        true
    }

    /// Adds a secret, and ends the others after the overlap.
    fn add_secret(&mut self, secret: StoredSecret, overlap_ms: i64, now: i64) -> Result<()> {
        // Before the limit is checked: without an overlap the old secrets make room.
        if overlap_ms == 0 {
            self.secrets.clear();
        }
        if self.secrets.len() >= SECRETS_MAX {
            return Err(WebhookError::TooManySecrets);
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
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndpointRow {
    pub(crate) name: String,
    /// Never used again for another endpoint.
    pub(crate) number: i64,
    pub(crate) generation: i64,
    pub(crate) terms: EndpointTerms,
}

impl EndpointRow {
    pub(crate) fn shown(&self, progress: &LaneProgress) -> Endpoint {
        let terms = &self.terms;
        let state = match &terms.state {
            StoredState::Active => EndpointState::Active,
            StoredState::Paused => EndpointState::Paused { since: terms.since },
            StoredState::Disabled(why) => {
                EndpointState::Disabled { why: why.clone(), since: terms.since }
            }
        };
        let times = |it: &StoredSecret| SecretTimes { created_at: it.created_at, until: it.until };
        Endpoint {
            webhook_id: self.name.clone(),
            url: terms.url.clone(),
            description: terms.description.clone(),
            types: terms.types.clone(),
            campaign: terms.campaign.clone(),
            ordered: terms.ordered,
            state,
            created_at: terms.created_at,
            pending: progress.pending,
            failures: progress.failures,
            failing_since: progress.failing_since,
            secrets: terms.secrets.iter().map(times).collect(),
        }
    }
}

impl WebhookStore {
    /// All endpoints, in the order of their names.
    pub(crate) async fn endpoint_rows(&self) -> Result<Vec<EndpointRow>> {
        let rows = self.json_rows(&ENDPOINT.part(""), RecordRange::first(usize::MAX)).await?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    async fn find_endpoint(&self, name: &str) -> Result<Option<(EndpointRow, Vec<u8>)>> {
        let part = ENDPOINT.part("");
        let found = self.tables.get(&part, name.as_bytes()).await?;
        found.map(|text| Ok((from_json(&part, &text)?, text))).transpose()
    }

    pub(crate) async fn endpoint_row(&self, name: &str) -> Result<EndpointRow> {
        Ok(self.find_endpoint(name).await?.ok_or(WebhookError::NotFound)?.0)
    }

    pub(super) async fn replace_endpoint(
        &self,
        seen: Option<&[u8]>,
        next: &EndpointRow,
    ) -> Result<bool> {
        let row = RecordPut::new(next.name.as_str(), to_json(next)?);
        Ok(self.tables.replace(&ENDPOINT.part(""), seen, row).await?)
    }

    /// Makes an endpoint, or finds the one that an earlier call made with the same values. Returns its newest secret,
    /// and whether it was made.
    pub(crate) async fn create_endpoint(
        &self,
        new: NewEndpoint,
    ) -> Result<(EndpointRow, Secret, bool)> {
        let now = self.now();
        let made = || format!("whk_{}", Uuid::now_v7().simple());
        let name = new.webhook_id.clone().unwrap_or_else(made);
        let terms = EndpointTerms::new(new, StoredSecret::new(None, now)?, now);
        // Half of 128 random bits, and positive.
        let number = i64::try_from(Uuid::new_v4().as_u128() >> 65).unwrap_or(i64::MAX);
        let row = EndpointRow { name, number, generation: 0, terms };
        loop {
            if let Some((found, _)) = self.find_endpoint(&row.name).await? {
                if found.terms.request != row.terms.request {
                    return Err(WebhookError::NameTaken);
                }
                let secret = found.terms.newest_secret()?;
                return Ok((found, secret, false));
            }
            // After the look for an earlier call: a repeat succeeds also at the limit.
            if self.endpoint_rows().await?.len() >= ENDPOINTS_MAX {
                return Err(WebhookError::TooMany);
            }
            if self.replace_endpoint(None, &row).await? {
                let secret = row.terms.newest_secret()?;
                return Ok((row, secret, true));
            }
        }
    }

    /// Changes an endpoint. `change` returns whether there is anything left to do.
    pub(crate) async fn change_endpoint(
        &self,
        name: &str,
        change: impl Fn(&mut EndpointRow) -> Result<bool> + Send + Sync,
    ) -> Result<EndpointRow> {
        loop {
            let found = self.find_endpoint(name).await?;
            let (mut row, seen) = found.ok_or(WebhookError::NotFound)?;
            if !change(&mut row)? {
                return Ok(row);
            }
            row.generation += 1;
            if self.replace_endpoint(Some(&seen), &row).await? {
                // If this process posts to it, not only from the next renewal on.
                self.with_lane(row.number, |lane| lane.take_over(row.clone(), self.now()));
                return Ok(row);
            }
        }
    }

    /// Returns whether it was active.
    pub(crate) async fn disable_endpoint(&self, row: &EndpointRow) -> Result<bool> {
        let now = self.now();
        let disabled = StoredState::Disabled("the receiver answered 410 Gone".to_owned());
        // One that was made again under the name has another number, and its receiver has not answered.
        let disable = |it: &mut EndpointRow| {
            let is_it = it.number == row.number && it.terms.is_active();
            Ok(is_it && it.terms.turn(disabled.clone(), now))
        };
        match self.change_endpoint(&row.name, disable).await {
            Ok(after) => Ok(after.number == row.number && after.terms.is_disabled()),
            Err(WebhookError::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn rotate(&self, name: &str, rotation: Rotation) -> Result<(Secret, bool)> {
        let now = self.now();
        let made = StoredSecret::new(rotation.rotate_ref, now)?;
        let overlap = millis(rotation.overlap);
        let of_rotation = |terms: &EndpointTerms| {
            let same = |it: &&StoredSecret| {
                it.secret == made.secret || (it.rotation.is_some() && it.rotation == made.rotation)
            };
            terms.secrets.iter().find(same).cloned()
        };
        let rotate = |it: &mut EndpointRow| match of_rotation(&it.terms) {
            Some(_) => Ok(false),
            None => it.terms.add_secret(made.clone(), overlap, now).map(|()| true),
        };
        let row = self.change_endpoint(name, rotate).await?;
        let found = of_rotation(&row.terms).unwrap_or_else(|| made.clone());
        Ok((found.parsed()?, found.secret == made.secret))
    }

    pub(crate) async fn forget_secrets(&self, now: i64) -> Result<()> {
        for row in self.endpoint_rows().await? {
            if row.terms.clone().forget_secrets(now) {
                let forget = |it: &mut EndpointRow| Ok(it.terms.forget_secrets(now));
                match self.change_endpoint(&row.name, forget).await {
                    Ok(_) | Err(WebhookError::NotFound) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Deletes an endpoint, and then what is left of it; [`WebhookStore::clean`] goes on with that.
    pub(crate) async fn delete_endpoint(&self, name: &str) -> Result<()> {
        let webhook = self.endpoint_row(name).await?.number;
        // First: after a crash, `clean` finds what is left of it.
        let todo = RecordPut::new(numbered(webhook), self.now().to_string());
        self.tables.put(&DELETED.part(""), vec![todo]).await?;
        self.remove_endpoint(name, webhook).await?;
        // Before the rest: this process must write no more rows of the endpoint.
        self.forget_lane(webhook);
        self.delete_rest(webhook, false).await
    }

    pub(super) async fn remove_endpoint(&self, name: &str, webhook: i64) -> Result<()> {
        while let Some((row, seen)) = self.find_endpoint(name).await? {
            // A successor that somebody has made since stays.
            let is_successor = row.number != webhook;
            let end = RecordPut::delete(name);
            if is_successor || self.tables.replace(&ENDPOINT.part(""), Some(&seen), end).await? {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        let types = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let (redeemed, held) = ("coupon.redeemed", "coupon.held");
        type Case<'a> =
            (&'a str, &'a str, &'a [&'a str], Option<BTreeSet<String>>, Option<&'a str>, bool);
        let cases: [Case<'_>; 12] = [
            ("everything", redeemed, &["c"], None, None, true),
            ("its type", redeemed, &[], types(&[held, redeemed]), None, true),
            ("another type", redeemed, &[], types(&[held]), None, false),
            ("a hold", held, &[], None, None, false),
            ("a hold by name", held, &[], types(&[held]), None, true),
            ("its campaign", redeemed, &["c"], None, Some("c"), true),
            ("another campaign", redeemed, &["d"], None, Some("c"), false),
            ("no campaign", redeemed, &[], None, Some("c"), false),
            ("only the type", redeemed, &["d"], types(&[redeemed]), Some("c"), false),
            ("the first of two campaigns", redeemed, &["a", "b"], None, Some("a"), true),
            ("the second of them", redeemed, &["a", "b"], None, Some("b"), true),
            ("neither", redeemed, &["a", "b"], None, Some("c"), false),
        ];
        for (name, event_type, campaigns, types, campaign, want) in cases {
            let new = NewEndpoint {
                webhook_id: None,
                url: String::new(),
                description: None,
                types,
                campaign: campaign.map(str::to_owned),
                ordered: false,
                cursor: None,
            };
            let terms = EndpointTerms::new(new, StoredSecret::new(None, 0).unwrap(), 0);
            let campaigns: Vec<String> = campaigns.iter().map(|&it| it.to_owned()).collect();
            assert_eq!(terms.asks_for(event_type, event_type == held, &campaigns), want, "{name}");
        }
    }
}
