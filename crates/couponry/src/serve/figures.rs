//! The figures for Prometheus that come from the machine and from what all processes of a store have entered:
//! sizes, keys, compactions, notices.

use std::sync::Arc;
use std::time::Duration;

use ::console::KeyUse;
use api::{StoreMetrics, figures as names};
use coupon::time::Millis;
use engine::{CompactionRun, Engine, PAGE_MAX};

use super::machine;
use crate::open;
use crate::settings::Settings;

/// How often the figures are read: as often as Prometheus asks by default.
const EVERY: Duration = Duration::from_secs(15);

/// How often campaigns are counted, which is more work, in rounds of [`EVERY`].
const COUNTED_EVERY: u64 = 2;

/// Campaigns whose stock is shown: each is two time series.
const CAMPAIGNS_SHOWN: usize = 50;

/// Shows the figures until it is dropped.
pub(super) async fn watch(settings: Settings, engine: Arc<Engine>, figures: Arc<StoreMetrics>) {
    for round in 0_u64.. {
        if round.is_multiple_of(COUNTED_EVERY) {
            show_stock(&figures, &engine).await;
        }
        show_machine(&figures, &settings, engine.now()).await;
        show_store(&figures, &engine).await;
        tokio::time::sleep(EVERY).await;
    }
}

async fn show_machine(figures: &StoreMetrics, settings: &Settings, now: Millis) {
    let data = settings.data.value.clone();
    // A disk that hangs must not hold up requests.
    let read = tokio::task::spawn_blocking(move || machine::machine(&data));
    let Ok(machine) = read.await else { return };
    let sizes = [
        (names::STORE_BYTES, machine.store_bytes),
        (names::WAL_BYTES, machine.log_bytes),
        (names::DISK_FREE_BYTES, machine.free_bytes),
        (names::MEMORY_BYTES, machine.memory_bytes),
    ];
    for (name, bytes) in sizes {
        if let Some(bytes) = bytes {
            figures.show(name, bytes as f64);
        }
    }
    for newest in machine.keys.iter().filter(|key| key.is_newest) {
        let kind = match newest.use_of {
            KeyUse::Code => "code",
            KeyUse::Token => "token",
        };
        figures.show_of(names::KEY_AGE, kind, seconds(now.0.saturating_sub(newest.made_at.0)));
    }
}

/// A store that does not answer leaves its figures as they were, but for the one that says so.
async fn show_store(figures: &StoreMetrics, engine: &Engine) {
    let (now, is_writable) = (engine.now(), engine.hot().writable().await.is_ok());
    figures.show(names::WRITABLE, f64::from(u8::from(is_writable)));
    if let Ok(runs) = engine.compaction_runs().await {
        show_compactions(figures, &runs);
    }
    if let Ok(plans) = engine.partitions().partitions().await {
        let late = plans.iter().filter(|plan| plan.is_late(now)).count();
        figures.show(names::EXPIRY_DAYS_LATE, late as f64);
    }
    if let Ok(rounds) = engine.notice_rounds().await
        && let Some(last) = rounds.first()
    {
        let sent = rounds.iter().find(|round| round.sent > 0);
        figures.show(names::NOTICES_LAST_SENT, sent.map_or(0.0, |round| seconds(round.began_at)));
        figures.show(names::NOTICES_LAST_FAILED, last.failed as f64);
    }
}

/// Shows how many coupons are left of the campaigns that are on sale, the emptiest first, of the first thousand in the
/// order of their ids.
async fn show_stock(figures: &StoreMetrics, engine: &Engine) {
    let Ok(campaigns) = engine.campaigns(&open::caller(), None, PAGE_MAX).await else { return };
    let now = engine.now();
    let on_sale = campaigns.iter().filter(|it| !it.campaign.paused && now < it.campaign.expires_at);
    let mut stocks: Vec<(&str, u64, u64)> = on_sale
        .filter_map(|it| {
            let (counts, _) = it.counts?;
            Some((it.campaign.id.as_str(), counts.stock, counts.available()))
        })
        .filter(|(_, stock, _)| *stock > 0)
        .collect();
    let part = |(_, stock, left): &(&str, u64, u64)| *left as f64 / *stock as f64;
    stocks.sort_by(|one, other| part(one).total_cmp(&part(other)));
    for (campaign, stock, left) in stocks.into_iter().take(CAMPAIGNS_SHOWN) {
        figures.show_of_campaign(names::CAMPAIGN_STOCK, campaign, stock as f64);
        figures.show_of_campaign(names::CAMPAIGN_LEFT, campaign, left as f64);
    }
}

fn show_compactions(figures: &StoreMetrics, runs: &[CompactionRun]) {
    let ended = || runs.iter().filter_map(|run| run.ended.as_ref().map(|end| (run, end)));
    if let Some((_, end)) = ended().next() {
        figures.show(names::COMPACTION_FAILED, f64::from(u8::from(end.failed.is_some())));
    }
    if let Some((run, end)) = ended().find(|(_, end)| end.failed.is_none()) {
        figures.show(names::COMPACTION_LAST_SUCCESS, seconds(run.seen_at));
        figures.show(names::COMPACTION_LAST_DURATION, end.took_ms as f64 / 1_000.0);
        figures.show(names::COMPACTION_LAST_COUPONS, end.rows as f64);
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}
