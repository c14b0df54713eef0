//! `couponry person`: what is known of a person, and how they are forgotten.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use coupon::ids::{BatchId, Reason, UserId};
use engine::Failure;
use engine::import::columns::KnownColumn;
use engine::import::{ColumnCell, ColumnReader};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use crate::client::{self, Refused, Repeat, ServiceClient, broken_off};
use crate::failure::{CliError, Ended, Result};
use crate::files::{self, unreadable};
use crate::open::Purpose;
use crate::output::{self, Out};
use crate::settings::Settings;

#[derive(Subcommand)]
pub(crate) enum PersonCommand {
    Show(ShowFlags),
    Erase(EraseFlags),
}

/// Print everything that is known of a person
///
/// Prints the JSON of GET /v1/people/USER, or CSV: coupons of both tiers with their histories, and whatever else names
/// the person. Looks at every row of the hot store. Refused attempts are known only to a running service: name it with
/// --url.
#[derive(Args)]
#[command(after_help = help_ending!("0 printed, or the reader closed the output; 1 failed, 2 usage error",
    "couponry person show 4711 --output 4711.json",
    "couponry person show 4711 --csv"))]
pub(crate) struct ShowFlags {
    /// User, by the user_id that the shop uses
    user: UserId,
    /// Print CSV, with a line for each event of a coupon
    #[arg(long)]
    csv: bool,
    /// Write to this file instead of standard output; it appears when it is complete, and only its owner can read it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Forget a person, or every person of a file
///
/// Everything that has the user_id gets a random name instead. `serve` finishes it: GET /v1/erasures and the console say
/// how far it is. Of one person, prints the erasure as JSON. Of a file, prints CSV with one line for each: user_id,
/// erasure_id, result.
#[derive(Args)]
#[command(after_help = help_ending!("0 done, 1 failed, 2 usage error, 3 some of a file were refused",
    "couponry person erase 4711 --reason 'asked by letter'",
    "couponry person erase --file people.csv --id april --reason 'no order for five years'"))]
pub(crate) struct EraseFlags {
    #[command(flatten)]
    who: Who,
    /// Reason, for people who look at the erasure later; at most 200 bytes
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    /// Name of the request, so that a repeat does nothing [default: a new name]. Needed with --file, whose erasures have
    /// it with the number of their line
    #[arg(long, value_name = "ID")]
    id: Option<BatchId>,
    /// Let `serve` compact as soon as the hot store is done, and not only at its next time
    #[arg(long)]
    now: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// User, by the user_id that the shop uses
    user: Option<UserId>,
    /// File of users: CSV with a header that names their column as an import does, such as `user_id`; `-` for standard
    /// input
    #[arg(long, requires = "id")]
    file: Option<PathBuf>,
}

pub(crate) async fn run(settings: &Settings, command: &PersonCommand) -> Result<Ended> {
    match command {
        PersonCommand::Show(flags) => {
            // The audit says who asked.
            client::with(settings, Purpose::Write, async |service| shown(service, flags).await)
                .await
        }
        PersonCommand::Erase(flags) => {
            client::with(settings, Purpose::Write, async |service| match &flags.who {
                Who { user: Some(user), .. } => {
                    let id = flags.id.as_ref().map(ToString::to_string);
                    let reply = erased(service, flags, user.as_str(), id).await?;
                    output::say_json(&reply)?;
                    Ok(Ended::Done)
                }
                Who { file: Some(file), .. } => all_erased(service, flags, file).await,
                Who { .. } => Err(CliError::usage("nobody is named: give a user, or a --file")),
            })
            .await
        }
    }
}

async fn shown(service: &ServiceClient, flags: &ShowFlags) -> Result<Ended> {
    if service.is_here() {
        output::note(
            "refused attempts are not in it: only the running service has them, see --url",
        );
    }
    let accept = if flags.csv { "text/csv" } else { "application/json" };
    let mut answer = service.stream(&["people", flags.user.as_str()], &[], accept).await?;
    let mut out = Out::to(flags.output.as_deref())?;
    let mut line = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(broken_off)? {
        line.extend_from_slice(&piece);
        // Whole lines, so that no character is cut.
        let end = line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        out.put(&String::from_utf8_lossy(&line[..end]))?;
        line.drain(..end);
    }
    out.put(&String::from_utf8_lossy(&line))?;
    out.finish()?;
    Ok(Ended::Done)
}

async fn erased(
    service: &ServiceClient,
    flags: &EraseFlags,
    user: &str,
    id: Option<String>,
) -> Result<Value, Refused> {
    let body = json!({"erasure_id": id, "reason": flags.reason.as_str(), "now": flags.now});
    let reply = service.post(&["people", user, "erase"], &body, Repeat::Harmless).await?;
    Ok(reply.body)
}

async fn all_erased(service: &ServiceClient, flags: &EraseFlags, path: &Path) -> Result<Ended> {
    let unreadable = |error| unreadable(path, Failure::from(error));
    let id = flags.id.as_ref().map(ToString::to_string).unwrap_or_default();
    if let Err(why) = format!("{id}:{}", u32::MAX).parse::<BatchId>() {
        return Err(CliError::usage(format!("--id with the number of a line behind it {why}")));
    }
    let (source, _) = files::readable(path).await?;
    let cells = ColumnReader::open(ReaderStream::new(source), KnownColumn::UserId).await;
    let mut cells = cells.map_err(unreadable)?;
    let (mut out, mut all, mut refused) = (Out::standard(), 0, 0);
    out.put("user_id,erasure_id,result\n")?;
    while let Some(found) = cells.next().await {
        let ColumnCell { line, text } = found.map_err(unreadable)?;
        // Nobody can undo it, so nothing is guessed.
        if !cells.is_named() {
            return Err(no_users(path));
        }
        if text.as_ref().is_ok_and(String::is_empty) {
            continue;
        }
        let user = text.as_deref().unwrap_or_default();
        let checked = match &text {
            Ok(text) => text.parse::<UserId>().map_err(|why| why.to_string()),
            Err(fault) => Err(fault.to_string()),
        };
        let named = Some(format!("{id}:{line}"));
        let (erasure, result) = match checked {
            Err(fault) => (String::new(), format!("line {line}: {fault}")),
            Ok(user) => match erased(service, flags, user.as_str(), named).await {
                Ok(body) => {
                    (body["erasure_id"].as_str().unwrap_or_default().to_owned(), "ok".to_owned())
                }
                Err(Refused::Problem(problem)) if problem.code == "NAME_TAKEN" => {
                    (String::new(), format!("{id}:{line} was somebody else: give another --id"))
                }
                Err(Refused::Problem(problem)) if matches!(problem.status, 400 | 409) => {
                    (String::new(), problem.sentence())
                }
                Err(other) => {
                    let again =
                        format!("run it again with --id {id}: what is done is not repeated");
                    return Err(CliError::from(other).and(&again));
                }
            },
        };
        all += 1;
        refused += u64::from(result != "ok");
        out.put(&engine::csv::row([user, &erasure, &result]))?;
        out.flush()?;
    }
    out.finish()?;
    match (all, refused) {
        (0, _) => Err(no_users(path)),
        (_, 0) => Ok(Ended::Done),
        _ => Ok(Ended::Partly),
    }
}

fn no_users(path: &Path) -> CliError {
    CliError::new(format!(
        "{} has no users: its first line must name their column, such as user_id",
        path.display()
    ))
}
