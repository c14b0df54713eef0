//! `GET /metrics`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use coupon::time::Millis;
use engine::{BucketTraffic, Engine, FeedReader, RequestKind};

use crate::app::App;
use crate::figures;
use crate::metrics::keep_up;

pub(crate) fn routes(app: Arc<App>) -> Router {
    tokio::spawn(keep_up(Arc::downgrade(&app.access.figures)));
    Router::new().route("/metrics", get(async move || scrape(&app).await))
}

fn show_webhooks(gauge: &webhooks::Gauge) {
    let states = [("active", gauge.active), ("paused", gauge.paused), ("disabled", gauge.disabled)];
    for (state, count) in states {
        metrics::gauge!(figures::WEBHOOKS, "state" => state).set(count as f64);
    }
    metrics::gauge!(figures::WEBHOOKS_DOWN).set(gauge.down as f64);
    metrics::gauge!(figures::WEBHOOK_DELIVERIES_WAITING).set(gauge.pending as f64);
    let oldest = gauge.oldest_pending.unwrap_or_default();
    metrics::gauge!(figures::WEBHOOK_OLDEST_WAITING).set(oldest.as_secs_f64());
    let ended = [("delivered", gauge.delivered), ("failed", gauge.failed)];
    for (result, count) in ended {
        metrics::counter!(figures::WEBHOOK_DELIVERIES, "result" => result).absolute(count);
    }
    let failed = metrics::counter!(figures::WEBHOOK_ATTEMPTS_FAILED);
    failed.absolute(gauge.attempts_failed);
}

fn show_feed_readers(readers: Vec<FeedReader>, now: Millis) {
    for reader in readers {
        let seconds = reader.behind_ms(now) as f64 / 1_000.0;
        metrics::gauge!(figures::FEED_READER_BEHIND, "reader" => reader.name).set(seconds);
    }
}

/// Shows what the hot store has done since the start of this process.
fn show_hot(engine: &Engine) {
    let gauge = engine.hot().gauge();
    metrics::counter!(figures::HOT_READS).absolute(gauge.reads);
    metrics::counter!(figures::HOT_WRITES).absolute(gauge.writes);
    metrics::counter!(figures::HOT_COMMITS).absolute(gauge.commits);
    metrics::counter!(figures::HOT_SYNC).absolute(gauge.sync_micros);
    metrics::gauge!(figures::HOT_WRITES_WAITING).set(gauge.waiting as f64);
    let oldest = Duration::from_micros(gauge.oldest_waiting_micros);
    metrics::gauge!(figures::HOT_OLDEST_WAITING).set(oldest.as_secs_f64());
    let resolved = [
        ("applied", gauge.resolved_applied),
        ("refused", gauge.resolved_refused),
        ("unknown", gauge.left_unknown),
    ];
    for (how, count) in resolved {
        metrics::counter!(figures::HOT_UNKNOWN_RESOLVED, "how" => how).absolute(count);
    }
    metrics::counter!(figures::HOT_RESENT).absolute(gauge.resent);
    metrics::counter!(figures::EVENTS_ASIDE).absolute(gauge.events_aside);
}

/// Shows what went to the bucket of the archive since the start of this process.
fn show_cold(traffic: &BucketTraffic) {
    for kind in RequestKind::ALL {
        let requests = metrics::counter!(figures::COLD_REQUESTS, "kind" => kind.as_str());
        requests.absolute(traffic.requests(kind));
    }
    metrics::counter!(figures::COLD_REQUESTS_FAILED).absolute(traffic.failed());
    metrics::counter!(figures::COLD_SENT_BYTES).absolute(traffic.sent_bytes());
    metrics::counter!(figures::COLD_RECEIVED_BYTES).absolute(traffic.received_bytes());
}

/// A file of webhooks or a store that does not answer leaves its figures as they were.
async fn scrape(app: &App) -> impl IntoResponse + use<> {
    let figures = &app.access.figures;
    let webhooks = match &app.access.webhooks {
        Some(webhooks) => webhooks.gauge().await.ok(),
        None => None,
    };
    let readers = app.engine.feed_readers().await.unwrap_or_default();
    let text = figures.rendered(|| {
        show_hot(&app.engine);
        show_cold(app.engine.cold().traffic());
        webhooks.iter().for_each(show_webhooks);
        show_feed_readers(readers, app.engine.now());
        metrics::gauge!(figures::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    });
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text)
}
