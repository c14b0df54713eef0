//! A prefix of a bucket on any server that speaks S3, configured by `s3://BUCKET/PREFIX` and the
//! usual `AWS_*` variables.

mod traffic;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};

use crate::retried::RetryingStore;

use self::traffic::CountingConnector;
pub use self::traffic::{BucketTraffic, RequestKind};

const SCHEME: &str = "s3://";

/// Timeout for opening a connection. `AWS_CONNECT_TIMEOUT` overrides it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

const RETRIES_MAX: usize = 10;

const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What the client reads as true.
const YES: [&str; 5] = ["1", "true", "on", "yes", "y"];

/// Length of a bucket's name in S3.
const BUCKET_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// How long to wait for a bucket that does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BucketPatience {
    /// For work that nobody waits for, such as a compaction: 60 s for a request with its body, so
    /// that a part of 8 MiB can be sent at 140 KB/s, and 90 s for its retries.
    #[default]
    Work,
    /// For a call that somebody waits for: 5 s for a request, and 10 s for its retries.
    Caller,
}

impl BucketPatience {
    /// Timeouts of one request with its body, and of an idempotent request with all its retries.
    /// `AWS_TIMEOUT` overrides the first.
    fn timeouts(self) -> (Duration, Duration) {
        match self {
            BucketPatience::Work => (Duration::from_secs(60), Duration::from_secs(90)),
            BucketPatience::Caller => (Duration::from_secs(5), Duration::from_secs(10)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketAddress {
    bucket: String,
    prefix: Path,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBucket(String);

impl FromStr for BucketAddress {
    type Err = BadBucket;

    /// Parses `s3://BUCKET/PREFIX`. Without a prefix the address is the whole bucket.
    fn from_str(text: &str) -> Result<BucketAddress, BadBucket> {
        let bad = |what: &str| BadBucket(format!("{text:?}: {what}, want s3://BUCKET/PREFIX"));
        let rest =
            text.strip_prefix(SCHEME).ok_or_else(|| bad("it is not the address of a bucket"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = |byte: u8| is_fit(byte) || matches!(byte, b'-' | b'.' | b'_');
        if !BUCKET_BYTES.contains(&bucket.len()) || !bucket.bytes().all(fits) {
            return Err(bad(
                "the name of a bucket has 3 to 63 characters of a-z, 0-9, '-' and '.'",
            ));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let prefix = Path::parse(prefix).map_err(|error| bad(&error.to_string()))?;
        Ok(BucketAddress { bucket: bucket.to_owned(), prefix })
    }
}

impl fmt::Display for BucketAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_ref() {
            "" => write!(f, "{SCHEME}{}", self.bucket),
            prefix => write!(f, "{SCHEME}{}/{prefix}", self.bucket),
        }
    }
}

impl BucketAddress {
    /// Takes only the `AWS_*` variables of `environment`. Sends no request.
    pub(crate) fn store(
        &self,
        environment: impl IntoIterator<Item = (String, String)>,
        patience: BucketPatience,
        traffic: &Arc<BucketTraffic>,
    ) -> Result<RetryingStore, BadBucket> {
        let (timeout, retry_timeout) = patience.timeouts();
        let client =
            ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(timeout);
        let backoff = BackoffConfig { max_backoff: PAUSE_MAX, ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout };
        let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retry);
        for (name, value) in environment {
            // Other names may be for other programs.
            let is_ours = name.starts_with("AWS_");
            if is_ours && let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        must_be_asked_for(&builder)?;
        let store = builder
            .with_bucket_name(&self.bucket)
            // A commit is an object that is created only once, so no variable may turn this off.
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_http_connector(CountingConnector(Arc::clone(traffic)))
            .build()
            .map_err(|error| BadBucket(format!("{self}: {error}")))?;
        Ok(RetryingStore(PrefixStore::new(store, self.prefix.clone())))
    }
}

/// Plain http would send secrets in the clear, so `AWS_ALLOW_HTTP` must allow it.
fn must_be_asked_for(builder: &AmazonS3Builder) -> Result<(), BadBucket> {
    let said = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
    // In the order of precedence of the client.
    let endpoint = said(AmazonS3ConfigKey::S3Endpoint).or(said(AmazonS3ConfigKey::Endpoint));
    let allowed = said(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    let is_allowed = allowed.is_some_and(|it| YES.contains(&it.to_ascii_lowercase().as_str()));
    match endpoint {
        Some(endpoint) if endpoint.starts_with("http://") && !is_allowed => Err(BadBucket(
            format!("the endpoint {endpoint} is plain http: set AWS_ALLOW_HTTP=true to allow it"),
        )),
        _ => Ok(()),
    }
}

pub(crate) fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let cases = [
            ("a prefix", "s3://shop-coupons/cold", Some("s3://shop-coupons/cold")),
            ("a longer one", "s3://shop/a/b/", Some("s3://shop/a/b")),
            ("the bucket alone", "s3://shop.eu", Some("s3://shop.eu")),
            ("with a slash", "s3://shop/", Some("s3://shop")),
            ("too short a name", "s3://ab/cold", None),
            ("capitals", "s3://Shop/cold", None),
            ("no bucket", "s3:///cold", None),
            ("another scheme", "gs://shop/cold", None),
            ("an empty folder", "s3://shop/a//b", None),
        ];
        for (name, text, want) in cases {
            let address = text.parse::<BucketAddress>().ok().map(|it| it.to_string());
            assert_eq!(address.as_deref(), want, "{name}");
        }
    }

    #[test]
    fn plain_http_is_asked_for() {
        let address: BucketAddress = "s3://shop/cold".parse().unwrap();
        let plain = ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000");
        let cases = [
            ("nothing said", vec![], true),
            ("https", vec![("AWS_ENDPOINT_URL", "https://s3.shop.example")], true),
            ("http", vec![plain], false),
            ("http, asked for", vec![plain, ("AWS_ALLOW_HTTP", "true")], true),
            ("asked for in another word", vec![plain, ("AWS_ALLOW_HTTP", "YES")], true),
            ("of S3 alone", vec![("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")], false),
        ];
        for (name, environment, want) in cases {
            let environment =
                environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let store = address.store(environment, BucketPatience::Work, &Arc::default());
            assert_eq!(store.is_ok(), want, "{name}");
        }
    }
}
