//! `couponry completion`: prints a script with which a shell completes the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Command};
use clap_complete::Shell;

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
    #[arg(value_parser = shell())]
    shell: Shell,
}

/// The shells that people use couponry in.
fn shell() -> impl TypedValueParser<Value = Shell> {
    let names = PossibleValuesParser::new(["bash", "zsh", "fish", "powershell"]);
    names.try_map(|name| name.parse::<Shell>())
}

pub(crate) fn run(args: &CompletionArgs, mut program: Command) -> Result<Ended, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "couponry", &mut script);
    output::done(String::from_utf8_lossy(&script).trim_end())
}
