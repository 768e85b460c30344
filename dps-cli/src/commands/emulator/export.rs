//! `dps emulator export`: the configuration that starts an equal emulator.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use dps_core::ErrorCode;
use dps_emulator::{ExportError, ExportedConfig};
use serde_json::json;

use crate::admin::{OwnerArgs, connect};
use crate::failure::{Exit, Failure, Result};
use crate::output::Output;
use crate::runtime::blocking;
use crate::shell::{Quoted, program};

/// `dps emulator export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Write emulator.toml into this directory, which is created if it is missing; no existing file is changed. Default:
    /// print the configuration
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// Also write the keys into files of the directory, which only their owner can read
    #[arg(long, requires = "dir")]
    pub(crate) show_keys: bool,
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
}

/// Runs the command.
pub(super) async fn run(args: ExportArgs, output: Output) -> Result<Exit> {
    let reply = connect(args.owner).await?.configuration(args.show_keys).await?;
    let exported = ExportedConfig::from_reply(reply).map_err(failure)?;
    let Some(dir) = args.dir else {
        let answer = json!({ "configuration": exported.toml(), "keyFiles": key_files(&exported) });
        output.result(&answer, |out| exported.toml().lines().try_for_each(|line| writeln!(out, "{line}")))?;
        return Ok(Exit::Done);
    };
    let (file, exported) = blocking(move || {
        let file = exported.save(&dir).map_err(failure)?;
        Ok((file, exported))
    })
    .await?;
    let answer = json!({ "file": file, "keyFiles": key_files(&exported), "keysWritten": args.show_keys });
    output.result(&answer, |out| {
        let keys = exported.key_files().count();
        let quoted = Quoted::path(&file);
        writeln!(out, "{} written", file.display())?;
        match (keys, args.show_keys) {
            (0, _) => {}
            (_, true) => writeln!(out, "{keys} keys written beside it, in files that only their owner can read")?,
            (_, false) => writeln!(out, "its {keys} keys are masked: use --show-keys to write them too")?,
        }
        start_line(out, &quoted)
    })?;
    Ok(Exit::Done)
}

fn start_line(out: &mut dyn Write, file: &Quoted) -> io::Result<()> {
    writeln!(out, "To start an equal emulator: {} emulator --config {file}", program())
}

fn key_files(exported: &ExportedConfig) -> Vec<&str> {
    exported.key_files().map(|file| file.name.as_str()).collect()
}

fn failure(error: ExportError) -> Failure {
    let code = if matches!(error, ExportError::Reply(_)) { ErrorCode::InvalidReply } else { ErrorCode::File };
    Failure::new(code, error.to_string())
}
