//! What Prometheus reads: `GET /metrics` at the address of `--metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::desk::{AssignmentLoad, AssignmentTable};
use super::partition::CommandPartition;
use super::progress::ConsumeCounts;
use crate::error::{BridgeError, Result};

/// The most connections at a time; further ones wait to be accepted. Prometheus needs one.
const CONNECTIONS_MAX: usize = 16;

/// From the first byte to the last: a caller who needs longer keeps a place from others.
const CALL: Duration = Duration::from_secs(10);

/// Pause after the system has refused a connection, as it does without free file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers at this address as long as the runtime lives.
///
/// # Errors
/// The address is not free, or not of this machine.
pub(crate) fn serve(
    address: SocketAddr,
    runtime: &Runtime,
    counts: Arc<ConsumeCounts>,
    desk: Arc<AssignmentTable>,
) -> Result<()> {
    let listener = runtime
        .block_on(TcpListener::bind(address))
        .map_err(|error| BridgeError::failed(format!("cannot listen at {address}"), error))?;
    tracing::info!("metrics are at http://{address}/metrics");
    runtime.spawn(async move {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (counts, desk) = (Arc::clone(&counts), Arc::clone(&desk));
                    tokio::spawn(async move {
                        let _cut_off = timeout(CALL, answer(stream, &counts, &desk)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(error = %error, "cannot accept a connection for metrics");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    });
    Ok(())
}

/// Answers one request, and closes the connection.
async fn answer(stream: TcpStream, counts: &ConsumeCounts, desk: &AssignmentTable) {
    let service = service_fn(|request: Request<Incoming>| async move {
        let is_known = request.method() == Method::GET && request.uri().path() == "/metrics";
        let body = if is_known { text(counts, desk) } else { "ask for GET /metrics\n".to_owned() };
        let mut response = Response::new(Full::new(Bytes::from(body)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT));
        if !is_known {
            *response.status_mut() = StatusCode::NOT_FOUND;
        }
        Ok::<_, Infallible>(response)
    });
    // Whoever goes away in the middle does not get the rest.
    let _gone = http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn text(counts: &ConsumeCounts, desk: &AssignmentTable) -> String {
    let AssignmentLoad { partitions, taken, running: _ } = desk.load();
    let behind = counts.lag(&desk.each(CommandPartition::first_unanswered));
    let sent_again = counts.again.load(Ordering::Relaxed);
    let answers = counts.answers().map(|(outcome, count)| {
        format!("couponry_kafka_answers_total{{outcome=\"{outcome}\"}} {count}\n")
    });
    let answers = answers.concat();
    format!(
        "\
# HELP couponry_kafka_behind_commands Commands without an answer in the partitions of this process.
# TYPE couponry_kafka_behind_commands gauge
couponry_kafka_behind_commands {behind}
# HELP couponry_kafka_taken_commands Those of them that are in its memory.
# TYPE couponry_kafka_taken_commands gauge
couponry_kafka_taken_commands {taken}
# HELP couponry_kafka_partitions Partitions of this process.
# TYPE couponry_kafka_partitions gauge
couponry_kafka_partitions {partitions}
# HELP couponry_kafka_answers_total Commands with an answer, by what it is.
# TYPE couponry_kafka_answers_total counter
{answers}\
# HELP couponry_kafka_sent_again_total Requests to couponry that had to be sent again.
# TYPE couponry_kafka_sent_again_total counter
couponry_kafka_sent_again_total {sent_again}
"
    )
}
