//! `dps edge windows`: the same provisioning as PowerShell commands, without the key.

use std::path::Path;

use serde::Serialize;

use super::Config;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::{Output, write_lines};

#[derive(Serialize)]
struct Commands {
    powershell: String,
}

pub(super) fn run(file: &Path, key_file: &str, output: Output) -> Result<Exit> {
    let config = Config::load(file)?;
    let provisioning = config.provisioning(config.reading())?;
    let powershell = dps_edge::windows_commands(&provisioning, key_file)
        .map_err(|error| Failure::option(format!("{}: {error}", file.display())))?;
    let commands = Commands { powershell };
    output.result(&commands, |out| write_lines(out, &commands.powershell))?;
    Ok(Exit::Done)
}
