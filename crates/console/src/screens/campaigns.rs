//! All campaigns: filter, search, sort.

use std::cmp::Reverse;

use askama::Template;
use coupon::calendar::Date;
use coupon::campaign::Campaign;
use coupon::code::half_width;
use coupon::ids::{BatchId, CampaignId};
use coupon::refusal::Refusal;
use engine::{AuditKind, CampaignView, PAGE_MAX};

use crate::chart::stacked;
use crate::desk::PageContext;
use crate::index::CampaignSnapshot;
use crate::phase::CampaignPhase;
use crate::roles::ConsoleAction;
use crate::text::{IsolatedText, mark_of};
use crate::trouble::ConsoleResult;

/// Rows of a page: with the lines of each, it stays below 60 kB.
const PAGE: usize = 30;

/// Campaigns that can be chosen by name: the newest. The page of each leads to what is about it.
const OFFERED: usize = 100;

pub(crate) fn named(view: &CampaignView) -> (String, String) {
    (view.campaign.id.to_string(), view.campaign.name.clone())
}

/// Campaigns by their names, the newest first, and the one that was asked for.
pub(crate) fn offered(
    listed: &CampaignSnapshot,
    asked: Option<&CampaignId>,
) -> Vec<(String, String)> {
    let mut newest: Vec<&CampaignView> = listed.campaigns.iter().collect();
    newest.sort_by_key(|it| Reverse(it.campaign.created_at));
    let mut offered: Vec<(String, String)> = newest.into_iter().take(OFFERED).map(named).collect();
    if let Some(id) = asked
        && !offered.iter().any(|(known, _)| known == id.as_str())
    {
        offered.insert(0, (id.to_string(), listed.name(id)));
    }
    offered
}

impl PageContext {
    pub(crate) fn phase(&self, view: &CampaignView) -> CampaignPhase {
        let campaign = &view.campaign;
        if campaign.expires_at <= self.now {
            CampaignPhase::Ended
        } else if campaign.paused {
            CampaignPhase::Paused
        } else if campaign.valid_from > self.now {
            CampaignPhase::Planned
        } else if view.counts().stock > 0 && view.counts().available() == 0 {
            CampaignPhase::SoldOut
        } else {
            CampaignPhase::Running
        }
    }

    pub(crate) fn period(&self, view: &CampaignView) -> String {
        let (t, campaign) = (self.t, &view.campaign);
        let first = Date::of(campaign.valid_from, &campaign.zone);
        t.span(first, campaign.expires_on(), self.today()) + mark_of(&campaign.zone)
    }

    /// Says since when a campaign is paused, or else the batch of a coupon that is, and why.
    pub(crate) async fn pause_said(
        &self,
        campaign: &Campaign,
        batch: Option<&BatchId>,
    ) -> ConsoleResult<Option<String>> {
        let t = self.t;
        let batch = batch.filter(|_| !campaign.paused);
        if batch.is_none() && !campaign.paused {
            return Ok(None);
        }
        let (kind, what, name) = match batch {
            Some(id) => (AuditKind::BatchPaused, t.batch(), t.batch_name(id)),
            None => (AuditKind::CampaignPaused, t.campaign(), campaign.name.clone()),
        };
        let reader = &self.reader()?;
        let entries = self.engine().audit(reader, Some(&campaign.id), None, PAGE_MAX).await?;
        let mut entries = entries.into_iter().flatten().map(|it| it.entry);
        let pause = entries.find(|it| it.event.kind == kind && it.event.batch.as_ref() == batch);
        let Some(act) = pause.map(|it| it.act) else {
            return Ok(Some(t.refusal(Refusal::Paused).to_owned()));
        };
        let why = act.reason.map_or_else(|| t.no_reason().to_owned(), |it| it.to_string());
        let at = t.moment(act.at, &campaign.zone);
        Ok(Some(t.is_paused(what, IsolatedText(name), at, IsolatedText(why))))
    }

    /// The bar of a campaign: what became of its coupons.
    pub(crate) fn bar(&self, view: &CampaignView) -> String {
        let (t, counts) = (self.t, view.counts());
        let title = t.bar_title(
            t.number(counts.redeemed),
            t.number(counts.issued),
            t.number(counts.available()),
            t.number(counts.void),
        );
        let parts = [
            ("redeemed", counts.redeemed),
            ("issued", counts.issued),
            ("available", counts.available()),
            ("void", counts.void),
        ];
        stacked(&parts, &title)
    }
}

#[derive(Template)]
#[template(path = "campaigns.html")]
struct CampaignsPage<'a> {
    d: &'a PageContext,
    rows: Vec<&'a CampaignView>,
    shown: String,
    at: String,
    q: &'a str,
    state: &'a str,
    sort: &'a str,
    next: Option<String>,
    is_first: bool,
    is_empty: bool,
    curl: String,
}

/// The head of a column.
struct ListHead {
    label: &'static str,
    class: &'static str,
    /// Where the list is sorted by it: the other way round if it is already.
    link: Option<String>,
    /// How it is sorted now, as `aria-sort` says it.
    order: &'static str,
}

impl CampaignsPage<'_> {
    fn heads(&self) -> [ListHead; 6] {
        let t = self.d.t;
        [
            self.head(t.field_name(), "", "name"),
            self.head(t.state(), "", ""),
            self.head(t.use_of_stock(), "bar-cell", ""),
            self.head(t.left(), "n", "left"),
            self.head(t.state_redeemed(), "n", "redeemed"),
            self.head(t.valid(), "", "ends"),
        ]
    }

    /// By what it is sorted, in whatever direction.
    fn sorted(&self) -> &str {
        self.sort.trim_start_matches('-')
    }

    fn head(&self, label: &'static str, class: &'static str, word: &str) -> ListHead {
        let is_it = self.sort == word;
        // Most redemptions come first, and of all others the least.
        let order = if word.is_empty() || self.sorted() != word {
            "none"
        } else if is_it == (word == "redeemed") {
            "descending"
        } else {
            "ascending"
        };
        let link = (!word.is_empty()).then(|| {
            let mut query = self.d.query.clone();
            query.0.retain(|(name, _)| !["from", "done"].contains(&name.as_str()));
            query.set("sort", &if is_it { format!("-{word}") } else { word.to_owned() });
            format!("/console/campaigns?{}", query.encoded())
        });
        ListHead { label, class, link, order }
    }
}

pub(crate) async fn page(desk: PageContext) -> ConsoleResult {
    let t = desk.t;
    let listed = desk.all_campaigns().await?;
    let (q, state) = (desk.query.shown("q"), desk.query.shown("state"));
    let sort = desk.query.get("sort").unwrap_or("created");
    let wanted = q.to_lowercase();
    let mut found: Vec<&CampaignView> = listed
        .campaigns
        .iter()
        .filter(|it| state.is_empty() || desk.phase(it).as_str() == state)
        .filter(|it| fits(it, &wanted))
        .collect();
    sort_by(&mut found, sort);
    let skip = desk.query.may::<usize>("from")?.unwrap_or(0);
    let behind = skip.saturating_add(PAGE);
    let next = (found.len() > behind).then(|| desk.with("from", &behind.to_string()));
    let rows: Vec<&CampaignView> = found.iter().copied().skip(skip).take(PAGE).collect();
    desk.read_sparks(&rows).await;
    let page = CampaignsPage {
        d: &desk,
        rows,
        shown: t.campaigns_shown(found.len() as u64),
        at: t.clock(listed.at, &desk.zone),
        q,
        state,
        sort,
        next,
        is_first: skip == 0,
        is_empty: listed.campaigns.is_empty(),
        curl: desk.curl_get("/v1/campaigns?limit=50"),
    };
    desk.page(&page)
}

/// Whether it has these words, which are in lower case, in its name or its id, or this word as its code.
pub(crate) fn fits(view: &CampaignView, wanted: &str) -> bool {
    let campaign = &view.campaign;
    wanted.is_empty()
        || campaign.name.to_lowercase().contains(wanted)
        || campaign.id.as_str().to_lowercase().contains(wanted)
        || campaign
            .shared_code
            .as_ref()
            .is_some_and(|it| it.as_str().to_lowercase() == *half_width(wanted))
}

fn sort_by(found: &mut [&CampaignView], sort: &str) {
    match sort.trim_start_matches('-') {
        "name" => found.sort_by(|one, other| one.campaign.name.cmp(&other.campaign.name)),
        "ends" => found.sort_by_key(|it| it.campaign.expires_at),
        "left" => found.sort_by_key(|it| it.counts().available()),
        "redeemed" => found.sort_by_key(|it| u64::MAX - it.counts().redeemed),
        _ => found.sort_by_key(|it| -it.campaign.created_at.0),
    }
    if sort.starts_with('-') {
        found.reverse();
    }
}
