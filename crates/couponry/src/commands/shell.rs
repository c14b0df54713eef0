//! What a shell and a package need: `couponry completion` and `couponry man`.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::{CliError, Ended, Result};
use crate::output;

/// Print a completion script for a shell
///
/// The shell decides where the script belongs.
#[derive(Args)]
#[command(after_help = help_ending!("0 printed, 2 usage error",
    "couponry completion bash > /etc/bash_completion.d/couponry",
    "source <(couponry completion zsh)"))]
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

pub(crate) fn complete(args: &CompletionArgs, mut program: Command) -> Result<Ended> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "couponry", &mut script);
    output::done(String::from_utf8_lossy(&script).trim_end())
}

/// Write the manual pages into a folder, one for each command
///
/// Packages of couponry have them already: `man couponry`, `man couponry-serve`.
#[derive(Args)]
#[command(after_help = help_ending!("0 written, 1 failed, 2 usage error",
    "couponry man /usr/local/share/man/man1"))]
pub(crate) struct ManArgs {
    /// Folder that is there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(crate) fn write_pages(args: &ManArgs, program: Command) -> Result<Ended> {
    let written = clap_mangen::generate_to(program, &args.folder);
    written.map(|()| Ended::Done).map_err(CliError::cannot("write to", &args.folder))
}
