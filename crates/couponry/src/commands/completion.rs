//! `couponry completion`: prints a script with which a shell completes the command line.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{CliError, Ended};
use crate::output;

/// Print a completion script for a shell
///
/// The shell decides where the script belongs.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 printed, 2 usage error.

Examples:
  couponry completion bash > /etc/bash_completion.d/couponry
  source <(couponry completion zsh)")]
pub(crate) struct CompletionArgs {
    /// Shell that runs the script
    #[arg(value_enum)]
    shell: ShellName,
}

#[derive(Clone, Copy, ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
}

impl ShellName {
    fn shell(self) -> Shell {
        match self {
            ShellName::Bash => Shell::Bash,
            ShellName::Zsh => Shell::Zsh,
            ShellName::Fish => Shell::Fish,
            ShellName::PowerShell => Shell::PowerShell,
        }
    }
}

pub(crate) fn run(args: &CompletionArgs) -> Result<Ended, CliError> {
    let mut script = Vec::new();
    let shell = args.shell.shell();
    clap_complete::generate(shell, &mut Cli::command(), "couponry", &mut script);
    output::say(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Ended::Done)
}
