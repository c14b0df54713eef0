//! Applies one action to every code of a file, and prints one line of CSV for each.

use std::path::Path;

use command_line::{CommandProgress, WorkKind};
use coupon::code::CodeText;
use engine::Failure;
use engine::import::{CodeOfFile, CodeReader};
use futures::future::join_all;
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::calls::Call;
use crate::client::{Refused, ServiceClient};
use crate::failure::{CliError, Ended};
use crate::files;
use crate::output::{self, Out, thousands};

/// Codes that are worked on at a time; their changes share a commit.
const AT_ONCE: usize = 64;

/// The result if an earlier call did the same.
const REPLAY: &str = "replay";

/// The result of what is no code.
const INVALID: &str = "INVALID";

/// A code, its result, and the detail of it.
type Row = (String, String, String);

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    ok: u64,
    replayed: u64,
    refused: u64,
}

impl Counts {
    fn add(&mut self, result: &str) {
        match result {
            "ok" => self.ok += 1,
            REPLAY => self.replayed += 1,
            _ => self.refused += 1,
        }
    }

    fn all(&self) -> u64 {
        self.ok + self.replayed + self.refused
    }
}

/// Does `call` with the codes of the file, group by group, and prints the results in the order
/// of the file.
pub(super) async fn run(
    service: &ServiceClient,
    call: &Call,
    path: &Path,
) -> Result<Ended, CliError> {
    let (source, _) = files::readable(path).await?;
    let unreadable = |failure| unreadable(path, failure);
    let progress = CommandProgress::new(WorkKind::Change, None, output::is_terminal());
    let mut out = Out::standard();
    out.put("code,result,detail\n")?;
    let mut counts = Counts::default();
    let written = async {
        let codes = CodeReader::open(ReaderStream::new(source)).await;
        let mut codes = codes.map_err(|error| unreadable(error.into()))?;
        let mut group: Vec<String> = Vec::with_capacity(AT_ONCE);
        while let Some(found) = codes.next().await {
            let CodeOfFile { line, text } = found.map_err(|error| unreadable(error.into()))?;
            let code = match text {
                Ok(code) if code.is_empty() => continue,
                Ok(code) => code,
                Err(fault) => {
                    write_group(service, call, &mut group, &mut out, &mut counts).await?;
                    counts.add(INVALID);
                    let detail = format!("line {line}: {fault}");
                    out.put(&engine::csv::row(["", INVALID, detail.as_str()]))?;
                    continue;
                }
            };
            // A group has no code twice, so that the lines of a code are done in their order.
            if group.len() == AT_ONCE || group.iter().any(|other| same(other, &code)) {
                write_group(service, call, &mut group, &mut out, &mut counts).await?;
                progress.set(counts.all() - counts.refused, counts.all());
            }
            group.push(code);
        }
        write_group(service, call, &mut group, &mut out, &mut counts).await
    };
    let written = progress.during(written).await;
    drop(progress);
    if let Err(error) = written {
        let done = thousands(counts.all());
        let again = match call.only_reads() {
            true => "run it again",
            false => "run it again with the same file: what is done is a replay",
        };
        // A reader may want only half of a list. Half of the changes is a failure.
        let error = match error.is_quiet() && !call.only_reads() {
            true => CliError::new("the reader closed the output"),
            false => error,
        };
        return Err(error.and(&format!("{done} codes are done; {again}")));
    }
    out.finish()?;
    ended(&counts)
}

/// Whether two texts may be the same code: a minted code may have its prefix or not.
fn same(one: &str, other: &str) -> bool {
    match (one.parse::<CodeText>(), other.parse::<CodeText>()) {
        (Ok(one), Ok(other)) => {
            one.foreign() == other.foreign()
                || one.minted().is_some_and(|minted| other.minted() == Some(minted))
        }
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// Does `call` with a whole group at a time, and writes the results in their order.
async fn write_group(
    service: &ServiceClient,
    call: &Call,
    group: &mut Vec<String>,
    out: &mut Out,
    counts: &mut Counts,
) -> Result<(), CliError> {
    let calls = group.drain(..).map(|code| done(service, call, code));
    for row in join_all(calls).await {
        let (code, result, detail) = row?;
        counts.add(&result);
        out.put(&engine::csv::row([code.as_str(), result.as_str(), detail.as_str()]))?;
    }
    out.flush()
}

fn ended(counts: &Counts) -> Result<Ended, CliError> {
    let Counts { ok, replayed, refused } = *counts;
    if refused > 0 && refused == counts.all() {
        return Err(CliError::new(format!("all {} codes were refused", thousands(refused))));
    }
    output::note(&format!(
        "{} codes: {} ok, {} replay, {} refused",
        thousands(counts.all()),
        thousands(ok),
        thousands(replayed),
        thousands(refused)
    ));
    Ok(if refused > 0 { Ended::Partly } else { Ended::Done })
}

/// A refusal is a result; a failure of the store ends the whole run.
async fn done(service: &ServiceClient, call: &Call, code: String) -> Result<Row, CliError> {
    if let Err(error) = code.parse::<CodeText>() {
        return Ok((code, INVALID.to_owned(), error.to_string()));
    }
    let (result, detail) = match call.send(service, &code).await {
        Ok(reply) if reply.is_replay => (REPLAY.to_owned(), detail(call, &reply.body)),
        Ok(reply) => ("ok".to_owned(), detail(call, &reply.body)),
        // It is about this coupon, so others may be fine.
        Err(Refused::Problem(problem)) if matches!(problem.status, 400 | 404 | 409) => {
            let detail = problem.sentence();
            (problem.code, detail)
        }
        Err(other) => return Err(other.into()),
    };
    Ok((code, result, detail))
}

/// The detail of an answer in a list of results: the state of a coupon, or what a check found.
fn detail(call: &Call, body: &Value) -> String {
    match call {
        Call::Show { .. } => {
            let mut words = vec![body["state"].as_str().unwrap_or_default()];
            words.extend((body["expired"] == true).then_some("expired"));
            words.extend((body["paused"] == true).then_some("paused"));
            words.extend(body["held_until"].is_string().then_some("held"));
            words.join(" ")
        }
        Call::Check { .. } if body["redeemable"] == true => "redeemable".to_owned(),
        Call::Check { .. } => body["refusal"].as_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

fn unreadable(path: &Path, failure: Failure) -> CliError {
    let name = path.display();
    match failure {
        Failure::BrokenOff(why) => CliError::new(format!("cannot read {name}: {why}")),
        other => CliError::new(format!("{name}: {}", CliError::from(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        let cases = [
            ("all well", Counts { ok: 2, replayed: 1, refused: 0 }, Some(Ended::Done)),
            ("some refused", Counts { ok: 0, replayed: 1, refused: 2 }, Some(Ended::Partly)),
            ("all refused", Counts { ok: 0, replayed: 0, refused: 2 }, None),
            ("no codes", Counts::default(), Some(Ended::Done)),
        ];
        for (name, counts, want) in cases {
            assert_eq!(ended(&counts).ok(), want, "{name}");
        }
    }

    #[test]
    fn the_same_code() {
        let cases = [
            ("other hyphens and case", "7K2M-9QXD-4TRB-H0VE", "7k2m9qxd4trbh0ve", true),
            ("with its prefix", "SPRING-7K2M-9QXD-4TRB-H0VE", "7K2M9QXD4TRBH0VE", true),
            ("another", "7K2M-9QXD-4TRB-H0VE", "7K2M-9QXD-4TRB-H0VF", false),
            ("short ones", "ABCD", "abcd", true),
            ("two that are none", "A", "A", false),
        ];
        for (name, one, other, want) in cases {
            assert_eq!(same(one, other), want, "{name}");
        }
    }

    #[test]
    fn counting() {
        let mut counts = Counts::default();
        ["ok", REPLAY, "VOIDED", "INVALID"].into_iter().for_each(|result| counts.add(result));
        assert_eq!(counts, Counts { ok: 1, replayed: 1, refused: 2 });
    }
}
