//! The counts of a run, and the history of one coupon, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::history::{Answered, Operation, Told};
use super::load::Recorded;

/// Counts of a run.
#[derive(Debug, Default)]
pub(super) struct Counts {
    operations: usize,
    /// By request and outcome.
    by_answer: BTreeMap<(&'static str, String), usize>,
    pub(super) answered: usize,
    pub(super) unknown: usize,
    /// The service said that nothing changed, or was not reached.
    pub(super) nothing: usize,
    /// Longest time without any answer.
    longest_gap: Duration,
    took: Duration,
}

impl Counts {
    pub(super) fn of(recorded: &[Recorded]) -> Counts {
        let mut counts = Counts { operations: recorded.len(), ..Counts::default() };
        let mut answers = vec![Duration::ZERO];
        for Recorded { operation, word, .. } in recorded {
            *counts.by_answer.entry((operation.ask.as_str(), word.clone())).or_default() += 1;
            match operation.told {
                Told::Answer(_) => {
                    counts.answered += 1;
                    answers.push(operation.returned);
                }
                Told::Unknown => counts.unknown += 1,
                Told::Nothing => counts.nothing += 1,
            }
        }
        answers.sort();
        let gaps = answers.windows(2).map(|pair| pair[1] - pair[0]);
        counts.longest_gap = gaps.max().unwrap_or_default();
        counts.took = answers.last().copied().unwrap_or_default();
        counts
    }

    /// How many of these requests had this answer.
    pub(super) fn count(&self, asked: &str, answer: &str) -> usize {
        let found =
            self.by_answer.iter().filter(|((ask, word), _)| *ask == asked && word == answer);
        found.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { operations, answered, unknown, nothing, longest_gap, took, .. } = self;
        writeln!(
            f,
            "{operations} operations in {took:.1?}: {answered} answered, {unknown} unknown, \
             {nothing} not done; longest time without an answer {longest_gap:.1?}"
        )?;
        let mut asked = "";
        for ((ask, word), count) in &self.by_answer {
            if *ask != asked {
                write!(f, "{}  {ask:<8}", if asked.is_empty() { "" } else { "\n" })?;
                asked = ask;
            }
            write!(f, " {word} {count};")?;
        }
        writeln!(f)
    }
}

/// One line for each operation, by invocation.
pub(super) fn lines(history: &[Operation]) -> String {
    let mut sorted: Vec<&Operation> = history.iter().collect();
    sorted.sort_by_key(|it| it.invoked);
    let line = |it: &&Operation| {
        let Operation { client, invoked, returned, ask, told } = it;
        format!(
            "{invoked:>12.6?} to {returned:>12.6?} client {client:>2} {ask:?}: {}\n",
            brief(told)
        )
    };
    sorted.iter().map(line).collect()
}

fn brief(told: &Told) -> String {
    let Told::Answer(answered) = told else { return format!("{told:?}") };
    let Answered { status, problem, coupon, redemption } = &**answered;
    let mut text = format!("{status} {problem}");
    if let Some(shown) = coupon {
        text.push_str(&format!(
            " [version {} {} holder {:?} order {:?} held {:?} until {} events {:?}]",
            shown.version,
            shown.state,
            shown.holder,
            shown.order,
            shown.held_days,
            shown.expires_at.0,
            shown.events.as_ref().map(Vec::len)
        ));
    }
    if let Some(shown) = redemption {
        text.push_str(&format!(" {shown:?}"));
    }
    text
}
