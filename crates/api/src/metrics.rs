//! Figures for Prometheus.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use engine::Engine;
use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use webhooks::Webhooks;

use crate::app::App;
use crate::figures::{self, HTTP_REQUEST_DURATION, PROBLEMS};
use crate::problem::Code;

/// Seconds: from a read out of memory to a client that waits for a busy disk.
const BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Time between two rounds of [`keep_up`].
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// One recorder a process: the macros of `metrics` know no other.
fn recorder() -> Option<&'static PrometheusHandle> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let made = HANDLE.get_or_init(|| {
        let built = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Full(HTTP_REQUEST_DURATION.to_owned()), &BUCKETS)
            .and_then(PrometheusBuilder::install_recorder);
        if let Err(error) = &built {
            tracing::error!(error = %error, "there will be no metrics");
        }
        figures::describe();
        built.ok()
    });
    made.as_ref()
}

/// One time series of [`HTTP_REQUEST_DURATION`]: of a method, a status and a route.
struct Series {
    method: &'static str,
    status: StatusCode,
    seconds: Histogram,
}

/// Counts one request. `route` is a template, so that codes make no time series.
pub(crate) fn request(route: &str, method: &Method, status: StatusCode, took: Duration) {
    // The series of each route: to ask the recorder for one takes as long as to route a request.
    static SERIES: LazyLock<RwLock<HashMap<String, Vec<Series>>>> = LazyLock::new(RwLock::default);
    let method = known(method);
    let record = |all: &HashMap<String, Vec<Series>>| {
        let series =
            all.get(route)?.iter().find(|it| (it.method, it.status) == (method, status))?;
        series.seconds.record(took.as_secs_f64());
        Some(())
    };
    if record(&SERIES.read().unwrap_or_else(PoisonError::into_inner)).is_some() {
        return;
    }
    let labels = [
        ("route", route.to_owned()),
        ("method", method.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    let seconds = metrics::histogram!(HTTP_REQUEST_DURATION, &labels);
    seconds.record(took.as_secs_f64());
    let mut all = SERIES.write().unwrap_or_else(PoisonError::into_inner);
    all.entry(route.to_owned()).or_default().push(Series { method, status, seconds });
}

/// Counts one problem that was answered.
pub(crate) fn problem(code: Code) {
    if let Some(counter) = problem_counters().get(code as usize) {
        counter.increment(1);
    }
}

/// A counter for each problem code, in their order. All begin with the service: whoever looks at the
/// growth of a counter that comes with the first problem misses that problem.
fn problem_counters() -> &'static [Counter] {
    static COUNTERS: LazyLock<Vec<Counter>> = LazyLock::new(|| {
        let counter = |code: &Code| metrics::counter!(PROBLEMS, "code" => code.as_str());
        Code::ALL.iter().map(counter).collect()
    });
    &COUNTERS
}

/// A client may send any word as a method; each would be a time series of its own.
fn known(method: &Method) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|word| *word == method.as_str()).unwrap_or("other")
}

/// Samples pile up until somebody folds them into the buckets; a scrape does, and where nobody
/// scrapes this does.
async fn keep_up() {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        if let Some(recorder) = recorder() {
            recorder.run_upkeep();
        }
    }
}

/// Shows whether this machine's clock has jumped and is not trusted yet.
pub fn show_clock(has_jumped: bool) {
    show(figures::CLOCK_JUMPED, f64::from(u8::from(has_jumped)));
}

/// Shows a figure that nothing in this crate measures.
pub fn show(name: &'static str, value: f64) {
    recorder();
    metrics::gauge!(name).set(value);
}

/// The same of a figure that has one value for each of a few kinds.
pub fn show_of(name: &'static str, kind: &'static str, value: f64) {
    recorder();
    metrics::gauge!(name, "kind" => kind).set(value);
}

pub(crate) fn routes(app: Arc<App>) -> Router {
    recorder();
    problem_counters();
    tokio::spawn(keep_up());
    Router::new().route("/metrics", get(async move || scrape(&app).await))
}

/// Shows how webhooks are. If their file does not answer, the figures stay as they were.
async fn show_webhooks(webhooks: &Webhooks) {
    let Ok(gauge) = webhooks.gauge().await else { return };
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

/// Shows how far behind the readers of the feed are. If the store does not answer, the figures stay as they were.
async fn show_feed_readers(engine: &Engine) {
    let Ok(readers) = engine.feed_readers().await else { return };
    let now = engine.now();
    for reader in readers {
        let seconds = reader.behind_ms(now) as f64 / 1_000.0;
        metrics::gauge!(figures::FEED_READER_BEHIND, "reader" => reader.name).set(seconds);
    }
}

async fn scrape(app: &App) -> impl IntoResponse + use<> {
    let gauge = app.engine.gauge();
    metrics::counter!(figures::HOT_READS).absolute(gauge.reads);
    metrics::counter!(figures::HOT_WRITES).absolute(gauge.writes);
    metrics::counter!(figures::HOT_COMMITS).absolute(gauge.commits);
    metrics::gauge!(figures::HOT_WRITES_WAITING).set(gauge.waiting as f64);
    let resolved = [
        ("applied", gauge.resolved_applied),
        ("refused", gauge.resolved_refused),
        ("unknown", gauge.left_unknown),
    ];
    for (how, count) in resolved {
        metrics::counter!(figures::HOT_UNKNOWN_RESOLVED, "how" => how).absolute(count);
    }
    metrics::counter!(figures::HOT_RESENT).absolute(gauge.resent);
    if let Some(webhooks) = &app.access.webhooks {
        show_webhooks(webhooks).await;
    }
    show_feed_readers(&app.engine).await;
    metrics::gauge!(figures::BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let text = recorder().map_or_else(String::new, |recorder| {
        recorder.run_upkeep();
        recorder.render()
    });
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], text)
}
