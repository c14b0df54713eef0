//! `couponry webhook`: tools for those who receive events.

use std::net::SocketAddr;
use std::path::PathBuf;

use api::WebhookRequest;
use clap::{Args, Subcommand};
use server::accept::{self, ListenerLimits};
use tokio::net::TcpListener;
use webhooks::Secrets;

use crate::failure::{CliError, Ended, Result};
use crate::{output, serve};

/// What to do.
#[derive(Subcommand)]
pub(crate) enum WebhookCommand {
    Listen(ListenArgs),
}

/// Print what a webhook posts
///
/// Listens on an address of this machine. Prints its URL, and then for each POST the `webhook-id`, whether
/// the signature is right, and the body, as JSON. Needs no data and no settings. Ends with Ctrl-C.
///
/// `couponry serve --webhook-allow-private` posts to an address of this machine.
#[derive(Args)]
#[command(after_help = help_ending!("0 stopped by a signal, 1 could not listen, 2 usage error",
    "couponry webhook listen --on 127.0.0.1:3000 --secret-file secret.txt"))]
pub(crate) struct ListenArgs {
    /// Listen on this address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    on: SocketAddr,
    /// Check signatures with the secrets in this file, one on each line
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Answer with this status, to see what couponry does then
    #[arg(long, value_name = "STATUS", default_value_t = 204,
        value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,
}

pub(crate) async fn run(command: &WebhookCommand) -> Result<Ended> {
    let WebhookCommand::Listen(args) = command;
    let secrets = args.secret_file.as_ref().map(|path| {
        let text = std::fs::read_to_string(path).map_err(CliError::cannot("read", path))?;
        let named = |why| CliError::usage(format!("{} {why}", path.display()));
        Secrets::read(&text).map_err(named)
    });
    let secrets = secrets.transpose()?;
    let stop = serve::stopped()?;
    let bound = TcpListener::bind(args.on).await;
    let listener = bound.map_err(CliError::listening(args.on, "--on"))?;
    let address = listener.local_addr().map_err(CliError::because("cannot listen"))?;
    output::say_json(&serde_json::json!({"url": format!("http://{address}/")}))?;
    output::note("a server posts to this address only with --webhook-allow-private");
    let status = args.status;
    let app = api::receiver(move |arrived| {
        let line = line(&arrived, secrets.as_ref());
        // Nobody reads on: the sender is answered anyway.
        let _ = output::say_json(&line);
        status
    });
    let served =
        accept::serve(listener, app, api::two_hosts, ListenerLimits::default(), stop).await;
    served.map_err(CliError::because("the listener stopped"))?;
    Ok(Ended::Done)
}

fn line(arrived: &WebhookRequest, secrets: Option<&Secrets>) -> serde_json::Value {
    let body = serde_json::from_str(&arrived.body);
    let body = body.unwrap_or_else(|_| serde_json::Value::String(arrived.body.clone()));
    serde_json::json!({
        "webhook_id": arrived.id,
        "signature": secrets.map(|secrets| if is_signed(arrived, secrets) { "right" } else { "wrong" }),
        "body": body,
    })
}

/// Whether one of the signatures was made with one of the secrets.
fn is_signed(arrived: &WebhookRequest, secrets: &Secrets) -> bool {
    let Some(timestamp) = arrived.timestamp else { return false };
    let wanted = secrets.sign(&arrived.id, timestamp, &arrived.body);
    let mut found = arrived.signatures.split_whitespace();
    found.any(|found| wanted.split_whitespace().any(|wanted| wanted == found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed() {
        let arrived = WebhookRequest {
            id: "msg_1".to_owned(),
            timestamp: None,
            signatures: String::new(),
            body: r#"{"type":"test"}"#.to_owned(),
        };
        let want = serde_json::json!({
            "webhook_id": "msg_1", "signature": null, "body": {"type": "test"},
        });
        assert_eq!(line(&arrived, None), want, "scripts read these names");
    }

    #[test]
    fn signatures() {
        let secrets = Secrets::read("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        let arrived = |id: &str, timestamp: Option<i64>, signatures: String| WebhookRequest {
            id: id.to_owned(),
            timestamp,
            signatures,
            body: "{}".to_owned(),
        };
        let good = secrets.sign("msg_1", 7, "{}");
        let cases = [
            ("right", arrived("msg_1", Some(7), good.clone()), true),
            ("the second one", arrived("msg_1", Some(7), format!("v1,AAAA {good}")), true),
            ("of another message", arrived("msg_2", Some(7), good.clone()), false),
            ("of another time", arrived("msg_1", Some(8), good.clone()), false),
            ("without a time", arrived("msg_1", None, good), false),
            ("none", arrived("msg_1", Some(7), String::new()), false),
        ];
        for (name, arrived, want) in cases {
            assert_eq!(is_signed(&arrived, &secrets), want, "{name}");
        }
    }
}
