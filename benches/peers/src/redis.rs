//! Redis behind the front: a write is one script, and so one round trip.
//!
//! Keys: `campaign:ID` a hash with what is left, `claims:ID` a hash from user to code, and `c:CODE`
//! a hash that is the coupon. There are no indexes and no events.

mod server;

pub(crate) use server::Server;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use futures::StreamExt;
use loadtest::stock;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Script, pipe};

use crate::Failure;
use crate::front::{self, Answer, Batch, Coupon, Redemption, Refusal};
use crate::terms::{Campaign, Campaigns, FreshCodes, Millis};

/// Connections; each carries the calls of many at once. A few, so that no socket is a queue.
const CONNECTIONS: usize = 4;

/// Coupons that an import sends at once.
const PIPELINE: usize = 1_000;

/// Coupons in a Redis that a [`Server`] runs.
pub(crate) struct Store {
    connections: Vec<MultiplexedConnection>,
    turn: AtomicUsize,
    redeem: Script,
    issue: Script,
    campaigns: Campaigns,
    codes: FreshCodes,
}

impl Store {
    async fn open(client: &redis::Client) -> Result<Store, Failure> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(client.get_multiplexed_async_connection().await?);
        }
        Ok(Store {
            connections,
            turn: AtomicUsize::new(0),
            redeem: Script::new(include_str!("redis/redeem.lua")),
            issue: Script::new(include_str!("redis/issue.lua")),
            campaigns: Campaigns::default(),
            codes: FreshCodes::new(),
        })
    }

    fn connection(&self) -> MultiplexedConnection {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        self.connections[turn % CONNECTIONS].clone()
    }

    async fn campaign_of_id(&self, campaign_id: &str) -> Result<Option<Arc<Campaign>>, Failure> {
        if let Some(campaign) = self.campaigns.of_id(campaign_id) {
            return Ok(Some(campaign));
        }
        let key = format!("campaign:{campaign_id}");
        let fields = ["valid_from", "expires_at"];
        let found: (Option<i64>, Option<i64>) = self.connection().hmget(key, &fields).await?;
        let (Some(valid_from), Some(expires_at)) = found else { return Ok(None) };
        Ok(Some(self.campaigns.keep(Campaign {
            campaign_id: campaign_id.to_owned(),
            number: 0,
            valid_from: Millis(valid_from),
            expires_at: Millis(expires_at),
        })))
    }

    async fn imported(&self, campaign: &Campaign, lines: &[String]) -> Result<Option<()>, Failure> {
        let now = Millis::now().0;
        let mut all = pipe();
        for line in lines {
            let fields: Vec<&str> = line.trim_end().split(',').collect();
            let [code, state, user_id] = fields[..] else { return Ok(None) };
            let key = format!("c:{code}");
            let texts =
                [("state", state), ("campaign", &campaign.campaign_id), ("holder", user_id)];
            let numbers = [
                ("valid_from", campaign.valid_from.0),
                ("expires_at", campaign.expires_at.0),
                ("issued_at", now),
                ("created_at", now),
                ("modified_at", now),
                ("version", 1),
            ];
            let command = all.cmd("HSET").arg(key);
            for field in texts {
                command.arg(field);
            }
            for field in numbers {
                command.arg(field);
            }
            command.ignore();
        }
        all.query_async::<()>(&mut self.connection()).await?;
        Ok(Some(()))
    }
}

impl front::Store for Store {
    async fn redeem(
        &self,
        code: String,
        user_id: String,
        order_ref: String,
    ) -> Result<Answer<Redemption>, Failure> {
        let mut call = self.redeem.key(format!("c:{code}"));
        call.arg(&user_id).arg(&order_ref).arg(Millis::now().0);
        let (word, campaign_id, at): (String, String, String) =
            call.invoke_async(&mut self.connection()).await?;
        let redeemed_at = Millis(at.parse().unwrap_or_default());
        let redemption =
            Redemption { code, campaign_id, user_id, order_ref, redeemed_at, cancelled_at: None };
        match word.as_str() {
            "made" => Ok(Answer::Made(redemption)),
            "again" => Ok(Answer::Again(redemption)),
            "already" => Ok(Answer::Refused(Refusal::AlreadyRedeemed)),
            "expired" => Ok(Answer::Refused(Refusal::Expired)),
            "not_found" => Ok(Answer::Refused(Refusal::NotFound)),
            other => Err(format!("redeem.lua said {other:?}").into()),
        }
    }

    async fn issue(&self, campaign_id: &str, user_id: String) -> Result<Answer<Coupon>, Failure> {
        let Some(campaign) = self.campaign_of_id(campaign_id).await? else {
            return Ok(Answer::Refused(Refusal::NotFound));
        };
        let (code, now) = (self.codes.next(), Millis::now());
        let mut call = self.issue.key(format!("campaign:{campaign_id}"));
        call.key(format!("claims:{campaign_id}")).key(format!("c:{code}"));
        call.arg(&user_id).arg(&code).arg(campaign_id);
        call.arg(campaign.valid_from.0).arg(campaign.expires_at.0).arg(now.0);
        let (word, had): (String, String) = call.invoke_async(&mut self.connection()).await?;
        match word.as_str() {
            "made" => Ok(Answer::Made(Coupon::issued(code, &campaign, user_id, now))),
            "again" => match self.coupon(&had).await? {
                Some(coupon) => Ok(Answer::Again(coupon)),
                None => Err(format!("{user_id} has a claim without a coupon").into()),
            },
            "sold_out" => Ok(Answer::Refused(Refusal::SoldOut)),
            other => Err(format!("issue.lua said {other:?}").into()),
        }
    }

    async fn coupon(&self, code: &str) -> Result<Option<Coupon>, Failure> {
        let fields: HashMap<String, String> =
            self.connection().hgetall(format!("c:{code}")).await?;
        Ok((!fields.is_empty()).then(|| coupon_from(code, fields)))
    }

    async fn campaign(&self, campaign_id: &str, stock: u64) -> Result<Answer<()>, Failure> {
        if self.campaign_of_id(campaign_id).await?.is_some() {
            return Ok(Answer::Again(()));
        }
        let campaign = Campaign::new(campaign_id);
        let (from, until) = (campaign.valid_from.0, campaign.expires_at.0);
        let fields = [("left", stock as i64), ("valid_from", from), ("expires_at", until)];
        let key = format!("campaign:{campaign_id}");
        let () = self.connection().hset_multiple(key, &fields).await?;
        self.campaigns.keep(campaign);
        Ok(Answer::Made(()))
    }

    async fn import(
        &self,
        campaign_id: &str,
        batch_id: String,
        lines: Body,
    ) -> Result<Answer<Batch>, Failure> {
        let Some(campaign) = self.campaign_of_id(campaign_id).await? else {
            return Ok(Answer::Refused(Refusal::NotFound));
        };
        let mut parts = lines.into_data_stream();
        let (mut waiting, mut begun, mut count) = (Vec::new(), String::new(), 0);
        let mut header = Some(stock::HEADER.trim_end());
        loop {
            let part = parts.next().await.transpose()?;
            let ended = part.is_none();
            begun.push_str(std::str::from_utf8(&part.unwrap_or_default())?);
            let whole = if ended { begun.len() } else { begun.rfind('\n').map_or(0, |at| at + 1) };
            let rest = begun.split_off(whole);
            for line in std::mem::replace(&mut begun, rest).lines() {
                match header.take() {
                    Some(header) if header == line => {}
                    Some(_) => return Ok(Answer::Refused(Refusal::Invalid)),
                    None => waiting.push(line.to_owned()),
                }
            }
            for lines in waiting.chunks(PIPELINE).filter(|lines| ended || lines.len() == PIPELINE) {
                if self.imported(&campaign, lines).await?.is_none() {
                    return Ok(Answer::Refused(Refusal::Invalid));
                }
                count += lines.len();
            }
            waiting.drain(..waiting.len() - waiting.len() % PIPELINE);
            if ended {
                let lines = count as u64;
                return Ok(Answer::Made(Batch { batch_id, lines, imported: lines }));
            }
        }
    }
}

fn coupon_from(code: &str, mut fields: HashMap<String, String>) -> Coupon {
    let instant = |name: &str| fields.get(name).and_then(|text| text.parse().ok()).map(Millis);
    let always = |name: &str| instant(name).unwrap_or(Millis(0));
    let (valid_from, expires_at) = (always("valid_from"), always("expires_at"));
    let (issued_at, redeemed_at) = (instant("issued_at"), instant("redeemed_at"));
    let (created_at, modified_at) = (always("created_at"), always("modified_at"));
    let version = fields.get("version").and_then(|text| text.parse().ok()).unwrap_or_default();
    Coupon {
        code: code.to_owned(),
        campaign_id: fields.remove("campaign").unwrap_or_default(),
        state: fields.remove("state").unwrap_or_default(),
        expired: expires_at.0 <= Millis::now().0,
        paused: false,
        holder: fields.remove("holder"),
        valid_from,
        expires_at,
        time_zone: "UTC",
        held_until: None,
        issued_at,
        redeemed_at,
        order_ref: fields.remove("order_ref"),
        created_at,
        modified_at,
        version,
        tier: "hot",
    }
}
