//! `couponry campaign list`: all campaigns, as a table or as JSON lines.

use api::views::CampaignBody;
use coupon::time::Millis;
use engine::{CampaignView, Engine, PAGE_MAX};

use crate::failure::CliError;
use crate::open;
use crate::output::{self, Out, Side, thousands};

/// Prints one JSON object a line.
pub(super) async fn lines(engine: &Engine) -> Result<(), CliError> {
    let mut out = Out::standard();
    let mut after = None;
    loop {
        let page = engine.campaigns(&open::caller(), after, PAGE_MAX).await?;
        let Some(last) = page.last() else { return out.finish() };
        after = Some(last.campaign.id.clone());
        for view in &page {
            let line = serde_json::to_string(&CampaignBody::from(view));
            out.put(&line.map_err(CliError::of)?)?;
            out.put("\n")?;
        }
    }
}

/// Prints a table.
pub(super) async fn table(engine: &Engine) -> Result<(), CliError> {
    let head = ["CAMPAIGN", "HANDOUT", "STOCK", "ISSUED", "REDEEMED", "VOID", "LAST DAY", "STATE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut after = None;
    loop {
        let page = engine.campaigns(&open::caller(), after, PAGE_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.campaign.id.clone());
        rows.extend(page.iter().map(|view| row(view, engine.now())));
    }
    let (left, right) = (Side::Left, Side::Right);
    let sides = [left, left, right, right, right, right, left, left];
    output::say(output::table(&sides, &rows).trim_end())
}

fn row(view: &CampaignView, now: Millis) -> Vec<String> {
    let (campaign, counts) = (&view.campaign, view.counts.map(|(counts, _)| counts));
    let counts = counts.unwrap_or_default();
    let state = match (campaign.paused, now >= campaign.expires_at) {
        (_, true) => "expired",
        (true, false) => "paused",
        (false, false) => "runs",
    };
    vec![
        campaign.id.to_string(),
        campaign.handout.as_str().to_owned(),
        thousands(counts.stock),
        thousands(counts.issued),
        thousands(counts.redeemed),
        thousands(counts.void),
        campaign.expires_on().to_string(),
        state.to_owned(),
    ]
}
