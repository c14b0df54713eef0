//! A prefix of a bucket: any server that speaks S3, named by `s3://BUCKET/PREFIX` and the usual
//! `AWS_*` variables.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ClientOptions, RetryConfig};

use crate::retried::Retried;

/// The scheme of a bucket's address.
const SCHEME: &str = "s3://";

/// How long a connection may take to come about; `AWS_CONNECT_TIMEOUT` says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How often a request is repeated that may be.
const RETRIES_MAX: usize = 10;

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What the client takes for yes.
const YES: [&str; 5] = ["1", "true", "on", "yes", "y"];

/// Bytes of a bucket's name, as S3 has it.
const BUCKET_BYTES: std::ops::RangeInclusive<usize> = 3..=63;

/// How long a bucket that does not answer is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Patience {
    /// As long as work may take that nobody waits for, such as a compaction: a request and its body
    /// 60 s, so that a part of 8 MiB may come at 140 KB/s, and its repeats 90 s.
    #[default]
    Work,
    /// As long as a caller waits: 5 s, and 10 s.
    Caller,
}

impl Patience {
    /// How long one request may take, its body included; `AWS_TIMEOUT` says otherwise.
    fn request(self) -> Duration {
        match self {
            Patience::Work => Duration::from_secs(60),
            Patience::Caller => Duration::from_secs(5),
        }
    }

    /// For how long a request is repeated that may be.
    fn repeats(self) -> Duration {
        match self {
            Patience::Work => Duration::from_secs(90),
            Patience::Caller => Duration::from_secs(10),
        }
    }
}

/// The address of a cold tier in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketAddress {
    bucket: String,
    prefix: Path,
}

/// Why an address, or what the environment says about it, is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadBucket(String);

impl FromStr for BucketAddress {
    type Err = BadBucket;

    /// Reads `s3://BUCKET/PREFIX`; without a prefix the whole bucket is meant.
    fn from_str(text: &str) -> Result<BucketAddress, BadBucket> {
        let bad = |what: &str| BadBucket(format!("{text:?}: {what}, want s3://BUCKET/PREFIX"));
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| bad("it is no bucket"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let fits = |byte: u8| is_fit(byte) || matches!(byte, b'-' | b'.' | b'_');
        if !BUCKET_BYTES.contains(&bucket.len()) || !bucket.bytes().all(fits) {
            return Err(bad("a bucket's name has 3 to 63 of a-z, 0-9, '-' and '.'"));
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
    /// The store behind the address, reached as the `AWS_*` variables of `environment` say. Nothing
    /// is asked of it yet.
    pub(crate) fn store(
        &self,
        environment: impl IntoIterator<Item = (String, String)>,
        patience: Patience,
    ) -> Result<Retried<PrefixStore<AmazonS3>>, BadBucket> {
        let client = ClientOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(patience.request());
        let backoff = BackoffConfig { max_backoff: PAUSE_MAX, ..BackoffConfig::default() };
        let retry =
            RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: patience.repeats() };
        let mut builder = AmazonS3Builder::new().with_client_options(client).with_retry(retry);
        for (name, value) in environment {
            // What is meant for another program is none of ours.
            let is_ours = name.starts_with("AWS_");
            if is_ours && let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        must_be_asked_for(&builder)?;
        let store = builder
            .with_bucket_name(&self.bucket)
            // A commit is a key that is created once, whatever the environment says.
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .build()
            .map_err(|error| BadBucket(format!("{self}: {error}")))?;
        Ok(Retried(PrefixStore::new(store, self.prefix.clone())))
    }
}

/// Secrets go over plain http only where somebody has said so.
fn must_be_asked_for(builder: &AmazonS3Builder) -> Result<(), BadBucket> {
    let said = |key: AmazonS3ConfigKey| builder.get_config_value(&key);
    // In the order in which the client takes them.
    let endpoint = said(AmazonS3ConfigKey::S3Endpoint).or(said(AmazonS3ConfigKey::Endpoint));
    let allowed = said(AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    let is_allowed = allowed.is_some_and(|it| YES.contains(&it.to_ascii_lowercase().as_str()));
    match endpoint {
        Some(endpoint) if endpoint.starts_with("http://") && !is_allowed => {
            Err(BadBucket(format!(
                "the endpoint {endpoint} is plain http: set AWS_ALLOW_HTTP=true if that is meant"
            )))
        }
        _ => Ok(()),
    }
}

/// The variables of this process.
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
            let store = address.store(environment, Patience::Work);
            assert_eq!(store.is_ok(), want, "{name}");
        }
    }
}
