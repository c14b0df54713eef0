//! Help about settings: the topic `couponry help settings`, and the line in every other help that
//! names it.

use clap::{Command, Parser};

use super::table::{Row, TABLE};

/// The line in the help of every command.
const LINE: &str =
    "Settings, such as --data and --hot, work with every command: see `couponry help settings`.";

const OPENING: &str = "\
Settings, which every command takes

A flag overrides an environment variable, which overrides a key in the settings file couponry.toml,
which overrides the default. `couponry config` prints each setting with its origin.
";

/// The text of `couponry help settings`.
pub(crate) fn topic() -> String {
    let rows = TABLE.iter().map(entry);
    [OPENING.to_owned()].into_iter().chain(rows).collect::<Vec<_>>().join("\n")
}

fn entry(row: &Row) -> String {
    let Row { name, is_key, env, form, default, sentence } = row;
    let head = match form {
        Some(form) => format!("--{} <{form}>", name.replace('_', "-")),
        None => (*name).to_owned(),
    };
    let mut sources = vec![format!("environment {env}")];
    if *is_key {
        sources.push(format!("key {name}"));
    }
    sources.push(match default.is_empty() {
        true => "no default".to_owned(),
        false => format!("default {default}"),
    });
    format!("{head}\n    {sentence}\n    [{}]\n", sources.join(", "))
}

/// Parses the command line. The help of every command has its own options first, then one line
/// that names `couponry help settings`.
pub fn parsed<T: Parser>() -> T {
    let mut matches = with_line(T::command()).get_matches();
    let parsed = T::from_arg_matches_mut(&mut matches);
    parsed.unwrap_or_else(|error| error.format(&mut T::command()).exit())
}

fn with_line(command: Command) -> Command {
    let after = match command.get_after_help() {
        Some(after) => format!("{LINE}\n\n{after}"),
        None => LINE.to_owned(),
    };
    command.after_help(after).mut_subcommands(with_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let row = |form| Row {
            name: "free_min_mib",
            is_key: true,
            env: "COUPONRY_FREE_MIN_MIB",
            form,
            default: "256",
            sentence: "Refuse writes",
        };
        let rest = "    Refuse writes\n    [environment COUPONRY_FREE_MIN_MIB, key free_min_mib, \
                    default 256]\n";
        assert_eq!(entry(&row(Some("MIB"))), format!("--free-min-mib <MIB>\n{rest}"));
        assert_eq!(entry(&row(None)), format!("free_min_mib\n{rest}"));
    }
}
