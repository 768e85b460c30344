//! `dps emulator certificate`: the CA certificates of an emulator that is running. At Azure they are managed with its
//! portal and its own tools.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin::{OwnerArgs, connect};
use crate::commands::enrollment::{certificate_line, read_certificate};
use crate::failure::{Exit, Result};
use crate::output::Output;
use crate::runtime::blocking;

/// `dps emulator certificate …`.
#[derive(Debug, Subcommand)]
pub(crate) enum CertificateCommand {
    /// Store a CA certificate under a name, or replace the one of that name
    Add(CertificateAddArgs),
    /// List the CA certificates
    List {
        #[command(flatten)]
        owner: OwnerArgs,
    },
    /// Delete a CA certificate; enrollments that refer to it stay, and their devices are refused
    Delete {
        /// The name of the certificate
        #[arg(value_parser = NonEmptyStringValueParser::new())]
        name: String,
        #[command(flatten)]
        owner: OwnerArgs,
    },
}

/// `dps emulator certificate add`.
#[derive(Debug, Args)]
pub(crate) struct CertificateAddArgs {
    /// The name, to which enrollments can refer
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub(crate) name: String,
    /// The file with the certificate (PEM or DER)
    #[arg(long, value_name = "PEM")]
    pub(crate) file: PathBuf,
    /// Store it as one whose proof of possession is missing: the service refuses chains that lead to it
    #[arg(long)]
    pub(crate) unverified: bool,
    #[command(flatten)]
    pub(crate) owner: OwnerArgs,
}

impl CertificateCommand {
    pub(super) fn stdin_inputs(&self) -> usize {
        match self {
            Self::Add(CertificateAddArgs { owner, .. }) | Self::List { owner } | Self::Delete { owner, .. } => {
                owner.stdin_inputs()
            }
        }
    }
}

/// Runs the command.
pub(super) async fn run(command: CertificateCommand, output: Output) -> Result<Exit> {
    match command {
        CertificateCommand::Add(CertificateAddArgs { name, file, unverified, owner }) => {
            let certificate = blocking(move || read_certificate(&file)).await?;
            let upload = json!({ "certificate": certificate, "isVerified": !unverified });
            let answer = connect(owner).await?.put_ca_certificate(&name, &upload).await?;
            output.result(&answer, |out| show(&answer, out))?;
        }
        CertificateCommand::List { owner } => {
            let answer = connect(owner).await?.ca_certificates().await?;
            output.result(&answer, |out| match answer["certificates"].as_array().map(Vec::as_slice) {
                None | Some([]) => writeln!(out, "there are no CA certificates"),
                Some(certificates) => certificates.iter().try_for_each(|certificate| show(certificate, out)),
            })?;
        }
        CertificateCommand::Delete { name, owner } => {
            let answer = connect(owner).await?.delete_ca_certificate(&name).await?;
            output.result(&answer, |out| writeln!(out, "CA certificate {name} deleted"))?;
        }
    }
    Ok(Exit::Done)
}

fn show(certificate: &Value, out: &mut dyn Write) -> io::Result<()> {
    let name = certificate["name"].as_str().unwrap_or("?");
    let state = if certificate["isVerified"] == true { "verified" } else { "not verified" };
    writeln!(out, "{name}  {state}  {}", certificate_line(&certificate["info"]))
}
