//! `couponry man`: writes the manual pages, for packages.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::failure::{CliError, Ended};

/// Write the manual pages into a folder, one for each command
///
/// Packages of couponry have them already: `man couponry`, `man couponry-serve`.
#[derive(Args)]
#[command(after_help = "\
Exit codes: 0 written, 1 failed, 2 usage error.

Example:
  couponry man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Folder that is there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(crate) fn run(args: &ManArgs, program: Command) -> Result<Ended, CliError> {
    let written = clap_mangen::generate_to(program, &args.folder);
    written.map(|()| Ended::Done).map_err(CliError::cannot("write to", &args.folder))
}
