//! `dps emulator ca`: the certificate authority of an emulator that runs here, as devices need it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dps_core::ErrorCode;
use dps_emulator::Certificate;
use serde::Serialize;

use super::running::RunningArgs;
use crate::failure::{Exit, Failure, Result};
use crate::files::write_public;
use crate::output::{Output, write_lines};
use crate::runtime::blocking;

/// The largest certificate authority, in bytes.
const PEM_MAX: u64 = 64 * 1024;

/// `dps emulator ca`.
#[derive(Debug, Args)]
pub(crate) struct CaArgs {
    /// The form: PEM, or C source for firmware
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "pem")]
    format: Format,
    /// Write it to this file, which everybody can read and which is replaced if it exists. Default: print it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    running: RunningArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// PEM
    Pem,
    /// An array of characters in C, with the PEM
    C,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    ca_pem: &'a str,
    ca_sha256: String,
    file: Option<&'a Path>,
}

/// Runs the command.
pub(super) async fn run(args: CaArgs, output: Output) -> Result<Exit> {
    let ca_file = args.running.find().await?.ca_file;
    let pem = blocking(move || read(&ca_file)).await?;
    let sha256 = Certificate::from_pem(&pem)
        .map_err(|error| Failure::internal(format!("the emulator's CA cannot be used: {error}")))?
        .info()
        .sha256_thumbprint
        .to_ascii_lowercase();
    let text = match args.format {
        Format::Pem => pem.clone(),
        Format::C => c_source(&pem, &sha256),
    };
    if let Some(out) = args.out.clone() {
        let text = text.clone();
        blocking(move || write_public(&out, text.as_bytes())).await?;
    }
    let written = Written { ca_pem: &pem, ca_sha256: sha256, file: args.out.as_deref() };
    output.result(&written, |out| show(&written, &text, out))?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<String> {
    let content = dps_files::read(path, PEM_MAX).map_err(|error| Failure::file("read", path, &error))?;
    let text = String::from_utf8(content.to_vec());
    text.map_err(|_| Failure::new(ErrorCode::File, format!("{} is not PEM", path.display())))
}

fn show(written: &Written<'_>, text: &str, out: &mut dyn Write) -> io::Result<()> {
    match written.file {
        Some(file) => writeln!(out, "{} written, SHA-256 {}", file.display(), written.ca_sha256),
        None => write_lines(out, text),
    }
}

/// The PEM as a string of C, one line of it per line.
fn c_source(pem: &str, sha256: &str) -> String {
    let lines: Vec<String> = pem.lines().map(|line| format!("    \"{line}\\n\"")).collect();
    format!(
        "/* The certificate authority of a local provisioning service (dps emulator), for tests only.\n \
         * SHA-256 {sha256} */\nstatic const char dps_emulator_ca_pem[] =\n{};\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c_source_is_a_string_of_the_lines() {
        let source = c_source("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", "ab12");
        assert!(source.contains("SHA-256 ab12 */\nstatic const char dps_emulator_ca_pem[] =\n"), "{source}");
        assert!(source.ends_with("    \"AA==\\n\"\n    \"-----END CERTIFICATE-----\\n\";\n"), "{source}");
    }
}
