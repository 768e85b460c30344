//! `dps x509 check`: judges the certificate of a device, its chain and its key.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use clap::Args;
use dps_client::{CertificateChain, ChainCheck, Finding, RegistrationId};
use serde::Serialize;

use crate::certificate::Certificate;
use crate::failure::{Exit, Result};
use crate::files::{is_stdin, warn_if_open};
use crate::output::Output;
use crate::x509::{KeyFile, read_chain, sentence};

/// `dps x509 check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The chain: the device's certificate first, then each one's issuer (PEM or DER). Several files are read in their order
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A file with the private key, which must fit the device's certificate (- for stdin)
    #[arg(long, value_name = "FILE|-")]
    pub(crate) key_file: Option<PathBuf>,
    /// A file with the passphrase of an encrypted private key (- for stdin; or set DPS_CERT_KEY_PASSPHRASE to it)
    #[arg(long, value_name = "FILE|-", requires = "key_file")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The registration id, which must be the common name
    #[arg(long, value_name = "R", visible_alias = "rid")]
    pub(crate) registration_id: Option<String>,
    /// A file with the roots, or other verified certificates of the service, that the chain must reach
    #[arg(long, value_name = "PEM")]
    pub(crate) expect_root: Option<PathBuf>,
}

impl CheckArgs {
    pub(super) fn stdin_inputs(&self) -> usize {
        [&self.key_file, &self.passphrase_file].into_iter().flatten().filter(|path| is_stdin(path)).count()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Judged<'a> {
    files: &'a [PathBuf],
    certificates: Vec<Certificate>,
    findings: Vec<FindingJson<'a>>,
}

/// A finding in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingJson<'a> {
    severity: String,
    id: &'static str,
    certificate: usize,
    subject: &'a str,
    message: &'a str,
    advice: &'static str,
}

impl<'a> FindingJson<'a> {
    fn new(finding: &'a Finding) -> Self {
        Self {
            severity: finding.severity().to_string(),
            id: finding.problem().name(),
            certificate: finding.certificate(),
            subject: finding.subject(),
            message: finding.what(),
            advice: finding.advice(),
        }
    }
}

/// Runs the command.
pub(super) fn run(args: CheckArgs, output: Output) -> Result<Exit> {
    let mut check = ChainCheck::new().at(SystemTime::now());
    if let Some(id) = &args.registration_id {
        check = check.registration_id(&id.parse::<RegistrationId>()?);
    }
    if let Some(path) = &args.expect_root {
        check = check.expect_root(CertificateChain::from_file(path)?);
    }
    let chain = read_chain(&args.files)?;
    let findings = match args.key_file {
        Some(path) => {
            let key = KeyFile { path, passphrase_file: args.passphrase_file };
            key.secrets().for_each(warn_if_open);
            check.device(&key.read(&chain)?)
        }
        None => check.chain(&chain),
    };
    let judged = Judged {
        files: &args.files,
        certificates: chain.iter().map(Certificate::from_der).collect(),
        findings: findings.iter().map(FindingJson::new).collect(),
    };
    output.result(&judged, |out| write(&judged.certificates, &findings, out))?;
    Ok(if findings.is_empty() { Exit::Done } else { Exit::Findings })
}

fn write(certificates: &[Certificate], findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        let (severity, id) = (finding.severity(), finding.problem());
        writeln!(out, "{severity}[{id}]: {}", sentence(finding, certificates.len()))?;
        writeln!(out, "  {}", finding.advice())?;
    }
    if findings.is_empty() {
        writeln!(out, "no problem was found")?;
    }
    for (index, certificate) in certificates.iter().enumerate() {
        let [first, second] = certificate.lines();
        writeln!(out, "certificate {}: {first}", index + 1)?;
        writeln!(out, "{second}")?;
    }
    Ok(())
}
