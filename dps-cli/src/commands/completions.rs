//! `dps completions`: the completion script of a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Cli;
use crate::exit::Exit;
use crate::failure::Result;
use crate::output::{Output, write_lines};

/// Prints the script for `shell`.
pub(crate) fn run(shell: Shell) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dps", &mut script);
    Output::new(false).text(|out| write_lines(out, &String::from_utf8_lossy(&script)))?;
    Ok(Exit::Done)
}
