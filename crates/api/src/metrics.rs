//! Figures for Prometheus.

use std::collections::HashMap;
use std::fmt;
use std::sync::Weak;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use coupon::campaign::ImportCounts;
use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::{
    Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use metrics_util::MetricKindMask;
use parking_lot::RwLock;
use server::route::known;

use crate::figures::{self, HTTP_REQUEST_DURATION, PROBLEMS};
use crate::problem_code::ApiErrorCode;

/// Seconds: from a read out of memory to a client that waits for a busy disk.
const BUCKETS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// A gauge that nobody has set for this time is not shown any more: a campaign that has ended, a reader that is gone.
/// All others are set several times within it.
const GAUGE_IDLE_MAX: Duration = Duration::from_secs(300);

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// The figures of one store. A process that serves several has one of these for each, so that nobody who may read
/// the figures of one space sees another's.
pub struct StoreMetrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// The series of each route: to ask the recorder for one takes as long as to route a request.
    requests: RwLock<HashMap<String, Vec<RequestSeries>>>,
    /// A counter for each problem code, in their order. All begin with the service: whoever looks at the growth of
    /// a counter that comes with the first problem misses that problem.
    problems: Vec<Counter>,
    over_the_rate: Counter,
}

struct RequestSeries {
    method: &'static str,
    status: StatusCode,
    seconds: Histogram,
}

impl Default for StoreMetrics {
    fn default() -> StoreMetrics {
        StoreMetrics::built(PrometheusBuilder::new())
    }
}

impl fmt::Debug for StoreMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Figures").finish_non_exhaustive()
    }
}

impl StoreMetrics {
    /// Those of a space, with its name as a label.
    pub fn of_space(name: &str) -> StoreMetrics {
        StoreMetrics::built(PrometheusBuilder::new().add_global_label("space", name))
    }

    fn built(builder: PrometheusBuilder) -> StoreMetrics {
        let matcher = Matcher::Full(HTTP_REQUEST_DURATION.to_owned());
        let builder = builder.idle_timeout(MetricKindMask::GAUGE, Some(GAUGE_IDLE_MAX));
        let builder = builder.set_buckets_for_metric(matcher, &BUCKETS).expect("there are buckets");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let (problems, over_the_rate) = metrics::with_local_recorder(&recorder, || {
            figures::describe();
            let counter =
                |code: &ApiErrorCode| metrics::counter!(PROBLEMS, "code" => code.as_str());
            let problems = ApiErrorCode::ALL.iter().map(counter).collect();
            (problems, metrics::counter!(figures::OVER_THE_RATE))
        });
        StoreMetrics { recorder, handle, requests: RwLock::default(), problems, over_the_rate }
    }

    /// `route` is that of [`server::route::RouteTemplate`].
    pub(crate) fn request(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = known(method);
        let record = |all: &HashMap<String, Vec<RequestSeries>>| {
            let series =
                all.get(route)?.iter().find(|it| (it.method, it.status) == (method, status))?;
            series.seconds.record(took.as_secs_f64());
            Some(())
        };
        if record(&self.requests.read()).is_some() {
            return;
        }
        let labels = [
            ("route", route.to_owned()),
            ("method", method.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        let seconds = self.with(|| metrics::histogram!(HTTP_REQUEST_DURATION, &labels));
        seconds.record(took.as_secs_f64());
        let mut all = self.requests.write();
        all.entry(route.to_owned()).or_default().push(RequestSeries { method, status, seconds });
    }

    pub(crate) fn problem(&self, code: ApiErrorCode) {
        if let Some(counter) = self.problems.get(code as usize) {
            counter.increment(1);
        }
    }

    /// All callers together sent too many. Not a problem: whoever looks for guessers there must not
    /// find these.
    pub(crate) fn over_the_rate(&self) {
        self.over_the_rate.increment(1);
    }

    pub(crate) fn imported(&self, counts: ImportCounts) {
        let ImportCounts { lines: _, imported, already_there, rejected } = counts;
        let results =
            [("imported", imported), ("already_there", already_there), ("rejected", rejected)];
        self.with(|| {
            for (result, lines) in results {
                metrics::counter!(figures::IMPORT_LINES, "result" => result).increment(lines);
            }
        });
    }

    /// Shows a figure that nothing in this crate measures.
    pub fn show(&self, name: &'static str, value: f64) {
        self.with(|| metrics::gauge!(name).set(value));
    }

    /// The same of a figure that has one value for each of a few kinds.
    pub fn show_of(&self, name: &'static str, kind: &'static str, value: f64) {
        self.with(|| metrics::gauge!(name, "kind" => kind).set(value));
    }

    /// The same of a figure of one of a few campaigns. It is gone five minutes after it was shown last.
    pub fn show_of_campaign(&self, name: &'static str, campaign: &str, value: f64) {
        self.with(|| metrics::gauge!(name, "campaign" => campaign.to_owned()).set(value));
    }

    /// All figures as Prometheus reads them, those that `show` sets now among them.
    pub(crate) fn rendered(&self, show: impl FnOnce()) -> String {
        self.with(show);
        self.handle.run_upkeep();
        self.handle.render()
    }

    /// Does `work`, whose macros then mean these figures.
    fn with<T>(&self, work: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, work)
    }
}

/// Samples pile up until a scrape folds them into the buckets. If nobody scrapes, this does, until
/// the figures are dropped.
pub(crate) async fn keep_up(figures: Weak<StoreMetrics>) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        let Some(figures) = figures.upgrade() else { return };
        figures.handle.run_upkeep();
    }
}
