//! Applies one action to every line of a file, and prints one line of CSV for each.

use std::path::Path;

use command_line::{CommandProgress, WorkKind};
use engine::import::{ColumnCell, ColumnReader};
use futures::stream::{self, StreamExt};
use serde_json::Value;
use tokio_util::io::ReaderStream;

use super::calls::Call;
use super::flags::LineSubject;
use crate::client::{Refused, Reply, ServiceClient};
use crate::failure::{CliError, Ended, Result};
use crate::files::{self, unreadable};
use crate::output::{self, Out, thousands};

/// Lines whose changes are sent in one request. The service takes 1,000, and 1 MiB: longer than so many of the longest
/// codes, names and reasons.
const GROUP_LINES: usize = 500;

const READS_AT_ONCE: usize = 64;

const REPLAY: &str = "replay";

/// The result of a line that names nothing.
const INVALID: &str = "INVALID";

/// The answer to a line, or why it was not sent.
type LineAnswer = Result<Result<Reply, Refused>, String>;

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

/// Does `call` with the lines of the file, group by group, and prints the results in the order of the file.
pub(super) async fn run(
    service: &ServiceClient,
    call: &Call,
    subject: LineSubject<'_>,
    path: &Path,
) -> Result<Ended> {
    let (source, _) = files::readable(path).await?;
    let unreadable = |failure| unreadable(path, failure);
    let progress = CommandProgress::new(WorkKind::Change, None, output::is_terminal());
    let mut run =
        FileRun { service, call, subject, out: Out::standard(), counts: Counts::default() };
    run.out.put(subject.header())?;
    let written = async {
        let cells = ColumnReader::open(ReaderStream::new(source), subject.column()).await;
        let mut cells = cells.map_err(|error| unreadable(error.into()))?;
        let mut group: Vec<Result<String, String>> = Vec::with_capacity(GROUP_LINES);
        while let Some(found) = cells.next().await {
            let ColumnCell { line, text } = found.map_err(|error| unreadable(error.into()))?;
            if text.as_ref().is_ok_and(String::is_empty) {
                continue;
            }
            group.push(text.map_err(|fault| format!("line {line}: {fault}")));
            if group.len() == GROUP_LINES {
                run.write_group(&mut group).await?;
                progress.set(run.counts.all() - run.counts.refused, run.counts.all());
            }
        }
        run.write_group(&mut group).await
    };
    let written = progress.during(written).await;
    drop(progress);
    let FileRun { out, counts, .. } = run;
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
        return Err(error.and(&format!("{done} lines are done; {again}")));
    }
    out.finish()?;
    ended(&counts)
}

struct FileRun<'a> {
    service: &'a ServiceClient,
    call: &'a Call,
    subject: LineSubject<'a>,
    out: Out,
    counts: Counts,
}

impl FileRun<'_> {
    /// Does a whole group, which is empty then, and writes the results in their order.
    async fn write_group(&mut self, group: &mut Vec<Result<String, String>>) -> Result<()> {
        let answers = match self.call {
            // It has no place among the operations of one request.
            Call::Show { .. } => self.asked_one_by_one(group).await,
            _ => self.asked_together(group).await?,
        };
        for (line, answer) in group.drain(..).zip(answers) {
            let text = line.unwrap_or_default();
            let (code, result, detail) = self.row(answer)?;
            self.counts.add(&result);
            let row = match self.subject {
                LineSubject::Coupons => engine::csv::row([text.as_str(), &result, &detail]),
                LineSubject::People(_) => {
                    engine::csv::row([text.as_str(), &code, &result, &detail])
                }
            };
            self.out.put(&row)?;
        }
        self.out.flush()
    }

    async fn asked_one_by_one(&self, group: &[Result<String, String>]) -> Vec<LineAnswer> {
        let asked = group.iter().map(async |line| {
            let text = self.checked(line)?;
            Ok(self.call.send(self.service, text).await)
        });
        stream::iter(asked).buffered(READS_AT_ONCE).collect().await
    }

    async fn asked_together(&self, group: &[Result<String, String>]) -> Result<Vec<LineAnswer>> {
        let checked: Vec<Result<&str, String>> =
            group.iter().map(|line| self.checked(line)).collect();
        let named = checked.iter().flatten();
        let operations: Vec<Value> = named
            .map(|text| match self.subject {
                LineSubject::Coupons => self.call.operation(text),
                LineSubject::People(campaign) => self.call.operation_on_stock(campaign, text),
            })
            .collect();
        let answers = self.service.batch(&operations, self.call.repeat()).await?;
        let mut answers = answers.into_iter();
        let gone = || Err(Refused::Lost("the answer has too few results".to_owned()));
        let lines =
            checked.into_iter().map(|line| line.map(|_| answers.next().unwrap_or_else(gone)));
        Ok(lines.collect())
    }

    fn checked<'a>(&self, line: &'a Result<String, String>) -> Result<&'a str, String> {
        let text = line.as_ref().map_err(String::clone)?;
        self.subject.fault(text).map_or(Ok(text), Err)
    }

    /// The code, the result and the detail of an answer. A refusal is a result; a failure of the store ends the whole
    /// run.
    fn row(&self, answer: LineAnswer) -> Result<(String, String, String)> {
        let reply = match answer {
            Err(fault) => return Ok((String::new(), INVALID.to_owned(), fault)),
            Ok(Ok(reply)) => reply,
            // It is about this line, so others may be fine.
            Ok(Err(Refused::Problem(problem))) if matches!(problem.status, 400 | 404 | 409) => {
                let detail = problem.sentence();
                return Ok((String::new(), problem.code, detail));
            }
            Ok(Err(other)) => return Err(other.into()),
        };
        let code = reply.body["code"].as_str().unwrap_or_default().to_owned();
        let result = if reply.is_replay { REPLAY } else { "ok" };
        Ok((code, result.to_owned(), detail(self.call, &reply.body)))
    }
}

fn ended(counts: &Counts) -> Result<Ended> {
    let Counts { ok, replayed, refused } = *counts;
    if refused > 0 && refused == counts.all() {
        return Err(CliError::new(format!("all {} lines were refused", thousands(refused))));
    }
    output::note(&format!(
        "{} lines: {} ok, {} replay, {} refused",
        thousands(counts.all()),
        thousands(ok),
        thousands(replayed),
        thousands(refused)
    ));
    Ok(if refused > 0 { Ended::Partly } else { Ended::Done })
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
    fn counting() {
        let mut counts = Counts::default();
        ["ok", REPLAY, "VOIDED", "INVALID"].into_iter().for_each(|result| counts.add(result));
        assert_eq!(counts, Counts { ok: 1, replayed: 1, refused: 2 });
    }
}
