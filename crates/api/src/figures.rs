//! The names of all metrics of the service, what each counts, and in which unit: the only place that has them.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! figures {
    ($($(#[doc = $doc:literal])* $name:ident $kind:ident $unit:ident $text:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: &str = $text;)*

        /// All of them: name, kind, unit, what it says.
        pub(crate) const ALL: &[(&str, MetricKind, Unit, &str)] =
            &[$(($name, MetricKind::$kind, Unit::$unit, concat!($($doc),*))),*];
    };
}

figures! {
    /// How long requests took, by route, method and status.
    HTTP_REQUEST_DURATION Histogram Seconds "couponry_http_request_duration_seconds";
    /// Answers that were problem documents, by problem code.
    PROBLEMS Counter Count "couponry_problems_total";
    /// Requests that were refused because of `requests_per_s`; they are no problems of the line above.
    OVER_THE_RATE Counter Count "couponry_over_the_rate_total";
    /// Lines of files that were imported over HTTP, by result: imported, already there or rejected.
    IMPORT_LINES Counter Count "couponry_import_lines_total";
    /// Look-ups in the hot store.
    HOT_READS Counter Count "couponry_hot_reads_total";
    /// Changes of the hot store.
    HOT_WRITES Counter Count "couponry_hot_writes_total";
    /// Commits of the hot store; on SQLite, changes divided by commits is the average size of a group.
    HOT_COMMITS Counter Count "couponry_hot_commits_total";
    /// Time that these commits took to become durable, on SQLite; divided by commits it is the average.
    HOT_SYNC Counter Microseconds "couponry_hot_sync_microseconds_total";
    /// How long the oldest change has waited that waits for the writer.
    HOT_OLDEST_WAITING Gauge Seconds "couponry_hot_oldest_waiting_seconds";
    /// Changes that wait for the writer.
    HOT_WRITES_WAITING Gauge Count "couponry_hot_writes_waiting";
    /// How writes of unknown outcome ended, on a cluster.
    HOT_UNKNOWN_RESOLVED Counter Count "couponry_hot_unknown_resolved_total";
    /// Writes that were sent again, on a cluster.
    HOT_RESENT Counter Count "couponry_hot_resent_total";
    /// How often this process put an event aside because its coupon could not be read, or a part of the
    /// feed, on a cluster.
    EVENTS_ASIDE Counter Count "couponry_events_aside_total";
    /// Requests to the bucket of the archive, with every retry, by what they do; those of compactions here are among them.
    COLD_REQUESTS Counter Count "couponry_cold_requests_total";
    /// Requests to the bucket that had no answer, or 429 or 5xx.
    COLD_REQUESTS_FAILED Counter Count "couponry_cold_requests_failed_total";
    /// Bytes that were sent to the bucket.
    COLD_SENT_BYTES Counter Bytes "couponry_cold_sent_bytes_total";
    /// Bytes that came from the bucket.
    COLD_RECEIVED_BYTES Counter Bytes "couponry_cold_received_bytes_total";
    /// Webhooks by state.
    WEBHOOKS Gauge Count "couponry_webhooks";
    /// Active webhooks whose receiver fails.
    WEBHOOKS_DOWN Gauge Count "couponry_webhooks_down";
    /// Deliveries of webhooks that wait.
    WEBHOOK_DELIVERIES_WAITING Gauge Count "couponry_webhook_deliveries_waiting";
    /// How long the oldest delivery has waited.
    WEBHOOK_OLDEST_WAITING Gauge Seconds "couponry_webhook_oldest_waiting_seconds";
    /// Deliveries that ended, by result.
    WEBHOOK_DELIVERIES Counter Count "couponry_webhook_deliveries_total";
    /// Attempts to deliver that failed.
    WEBHOOK_ATTEMPTS_FAILED Counter Count "couponry_webhook_attempts_failed_total";
    /// How old the oldest event may be with which a named reader of the events has not dealt.
    FEED_READER_BEHIND Gauge Seconds "couponry_feed_reader_behind_seconds";
    /// All coupons of a campaign that is on sale; of at most 50 campaigns, those of which the smallest part is left.
    CAMPAIGN_STOCK Gauge Count "couponry_campaign_stock";
    /// Its coupons that nobody has got.
    CAMPAIGN_LEFT Gauge Count "couponry_campaign_left";
    /// 1 while the clock of this machine is not trusted.
    CLOCK_JUMPED Gauge Count "couponry_clock_jumped";
    /// 1 while the store takes writes.
    WRITABLE Gauge Count "couponry_writable";
    /// Size of the file of the hot store.
    STORE_BYTES Gauge Bytes "couponry_store_bytes";
    /// Size of its write-ahead log.
    WAL_BYTES Gauge Bytes "couponry_wal_bytes";
    /// Free space on the disk of the data folder.
    DISK_FREE_BYTES Gauge Bytes "couponry_disk_free_bytes";
    /// What this process has in memory.
    MEMORY_BYTES Gauge Bytes "couponry_memory_bytes";
    /// Age of the newest key, by kind: the one that mints codes or signs tokens.
    KEY_AGE Gauge Seconds "couponry_key_age_seconds";
    /// When the last compaction ended that did not fail, as seconds since 1970.
    COMPACTION_LAST_SUCCESS Gauge Seconds "couponry_compaction_last_success_timestamp_seconds";
    /// How long that compaction took.
    COMPACTION_LAST_DURATION Gauge Seconds "couponry_compaction_last_duration_seconds";
    /// Coupons that it copied to the archive.
    COMPACTION_LAST_COUPONS Gauge Count "couponry_compaction_last_coupons";
    /// 1 if the last compaction that ended has failed.
    COMPACTION_FAILED Gauge Count "couponry_compaction_failed";
    /// Expiry days that should have been archived more than two days ago.
    EXPIRY_DAYS_LATE Gauge Count "couponry_expiry_days_late";
    /// When notices were sent last, as seconds since 1970.
    NOTICES_LAST_SENT Gauge Seconds "couponry_notices_last_sent_timestamp_seconds";
    /// Notices of the last round that had any and that did not arrive.
    NOTICES_LAST_FAILED Gauge Count "couponry_notices_last_failed";
    /// The release of this process, always 1.
    BUILD_INFO Gauge Count "couponry_build_info";
}

pub(crate) fn describe() {
    for (name, kind, unit, help) in ALL {
        let (unit, help) = (*unit, help.trim());
        match kind {
            MetricKind::Counter => describe_counter!(*name, unit, help),
            MetricKind::Gauge => describe_gauge!(*name, unit, help),
            MetricKind::Histogram => describe_histogram!(*name, unit, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/operations.md` has a row for each.
    #[test]
    fn operators_can_read_about_each() {
        let page = include_str!("../../../docs/operations.md");
        for (name, kind, _, help) in ALL {
            assert!(page.contains(&format!("`{name}")), "{name} is not in docs/operations.md");
            assert_eq!(name.ends_with("_total"), *kind == MetricKind::Counter, "{name}");
            assert!(help.trim().ends_with('.'), "{name}");
        }
    }
}
