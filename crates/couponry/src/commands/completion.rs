//! `couponry completion`: what a shell needs to complete the command line.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{Ended, Sorry};
use crate::output;

/// Print a completion script for a shell
///
/// Prints the script on standard output; where it belongs depends on the shell.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 printed, 2 wrong call.

Examples:
  couponry completion bash > /etc/bash_completion.d/couponry
  source <(couponry completion zsh)")]
pub(crate) struct CompletionAsk {
    /// Which shell
    #[arg(value_enum)]
    shell: Known,
}

#[derive(Clone, Copy, ValueEnum)]
enum Known {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
}

impl Known {
    fn shell(self) -> Shell {
        match self {
            Known::Bash => Shell::Bash,
            Known::Zsh => Shell::Zsh,
            Known::Fish => Shell::Fish,
            Known::PowerShell => Shell::PowerShell,
        }
    }
}

pub(crate) fn run(ask: &CompletionAsk) -> Result<Ended, Sorry> {
    let mut script = Vec::new();
    let shell = ask.shell.shell();
    clap_complete::generate(shell, &mut Cli::command(), "couponry", &mut script);
    output::say(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Ended::Done)
}
