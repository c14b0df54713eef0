//! Traces: the spans of requests, compactions and webhooks go to a collector of OpenTelemetry, by OTLP over HTTP.
//!
//! No request waits for the collector. What it does not take within a few seconds is lost, and the log says so once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::outbound::{self, whole};
use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use reqwest::{Client, Url};
use tokio::runtime::Handle;

use crate::failure::Result;
use crate::settings::Settings;

/// Time that the collector has for one batch, of at most 512 spans.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Time for the last spans when the service stops.
const LAST: Duration = Duration::from_secs(2);

/// Most bytes of an answer: the message of a collector that refused some spans.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Where OTLP takes traces.
const PATH: &str = "v1/traces";

/// The variables whose headers OTLP sends along: they have the token of the collector.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];

#[derive(Default)]
pub(super) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Begins to send, if the settings name a collector. Spans that are begun before it go nowhere.
    pub(super) fn start(settings: &Settings) -> Result<Traces> {
        let Some((url, client)) = collector(settings)? else { return Ok(Traces::default()) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender { client, runtime: Handle::current(), away: Arc::default() })
            .with_endpoint(url)
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| settings.traces.unusable(error))?;
        // Whoever calls has decided already whether the whole trace is recorded.
        let share = Sampler::TraceIdRatioBased(settings.traces_percent.value as f64 / 100.0);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_sampler(Sampler::ParentBased(Box::new(share)))
            .with_batch_exporter(exporter)
            .build();
        opentelemetry::global::set_tracer_provider(provider.clone());
        Ok(Traces(Some(provider)))
    }

    /// Sends what is left, for two seconds.
    pub(super) async fn stop(self) {
        let Some(provider) = self.0 else { return };
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST));
        if !matches!(stopped.await, Ok(Ok(()))) {
            tracing::warn!("the collector has not taken the last traces");
        }
    }
}

/// Where the collector of the settings is, and what posts to it.
///
/// # Errors
/// Usage: an address that cannot be used, or to which others could read the headers that go along; a
/// share that is none.
pub(super) fn collector(settings: &Settings) -> Result<Option<(Url, Client)>> {
    let percent = settings.traces_percent.value;
    if percent > 100 {
        let why = format!("it is {percent}, want 0 to 100");
        return Err(settings.traces_percent.unusable(why));
    }
    let Some(address) = &settings.traces.value else { return Ok(None) };
    let url = match HEADERS.into_iter().find(|name| std::env::var_os(name).is_some()) {
        None => outbound::parsed(address).map_err(|why| why.to_string()),
        Some(name) => outbound::checked(address).map_err(|why| format!("with {name} it {why}")),
    };
    let mut url = url.map_err(|why| settings.traces.unusable(why))?;
    if url.path() == "/" {
        url.set_path(PATH);
    }
    let client = outbound::client(&url, TIMEOUT).build();
    Ok(Some((url, client.map_err(|error| settings.traces.unusable(error))?)))
}

/// Which service this is. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say it otherwise.
fn resource() -> Resource {
    let builder = Resource::builder();
    let builder = match std::env::var_os("OTEL_SERVICE_NAME") {
        None => builder.with_service_name(env!("CARGO_PKG_NAME")),
        Some(_) => builder,
    };
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    builder.with_attribute(version).build()
}

#[derive(Debug)]
struct Sender {
    client: Client,
    /// The exporter has a thread of its own, which no timer and no socket of this runtime would wake.
    runtime: Handle,
    /// Whether the last batch was lost.
    away: Arc<AtomicBool>,
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (client, away) = (self.client.clone(), Arc::clone(&self.away));
        let sent = self.runtime.spawn(async move {
            let answered = answer(&client, request).await;
            log(&away, &answered);
            answered
        });
        sent.await?
    }
}

async fn answer(client: &Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let answer = client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    let body = whole(answer, ANSWER_BYTES_MAX).await.map_err(|unread| unread.to_string())?;
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    Ok(response)
}

/// Says when batches begin to be lost, and when they arrive again.
fn log(away: &AtomicBool, answered: &Result<Response<Bytes>, HttpError>) {
    let why = match answered {
        Ok(response) if response.status().is_success() => None,
        Ok(response) => Some(format!("it answers {}", response.status())),
        Err(error) => Some(error.to_string()),
    };
    let was_away = away.swap(why.is_some(), Ordering::Relaxed);
    match (why, was_away) {
        (Some(why), false) => {
            tracing::warn!(why, "traces are lost: the collector does not take them")
        }
        (None, true) => tracing::info!("the collector takes traces again"),
        _ => {}
    }
}
