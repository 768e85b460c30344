//! `dps x509 test-ca`: makes a root, an intermediate and devices' certificates for trying out.
//!
//! Keys are in files that only their owner can read, and no file is ever overwritten. The certificates are valid for a short
//! time, so that one that is forgotten at a service soon becomes worthless.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use dps_client::RegistrationId;
use dps_core::ErrorCode;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::certificate::moment_at;
use crate::failure::{Exit, Failure, Result};
use crate::files::{WhenThere, write_new_public, write_private};
use crate::output::Output;
use crate::shell::Quoted;

const DAY_S: u64 = 86_400;
/// For services whose clock is slightly behind.
const BACKDATED_S: u64 = DAY_S;

/// `dps x509 test-ca`.
#[derive(Debug, Args)]
pub(crate) struct TestCaArgs {
    /// The directory for the files; it is created if it does not exist. No existing file is changed
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// A device, whose certificate has this common name (repeatable)
    #[arg(long, value_name = "R", visible_alias = "rid", default_value = "dev-01")]
    pub(crate) registration_id: Vec<String>,
    /// How many days the certificates are valid
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=90))]
    pub(crate) days: u16,
    /// The kind of all keys
    #[arg(long, value_name = "NAME", value_enum, default_value_t = KeyKind::EcP256)]
    pub(crate) key_type: KeyKind,
}

/// The kinds of keys.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KeyKind {
    /// EC P-256
    EcP256,
    /// EC P-384
    EcP384,
}

impl KeyKind {
    fn algorithm(self) -> &'static SignatureAlgorithm {
        match self {
            Self::EcP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    not_after: String,
    root: Files,
    intermediate: Files,
    devices: Vec<Device>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    registration_id: String,
    #[serde(flatten)]
    files: Files,
}

/// The files of a certificate, with those above it where it is a device's, and of its key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Files {
    cert_file: PathBuf,
    key_file: PathBuf,
}

impl Files {
    /// A registration id begins with a letter or digit, and has no separator of paths; `:` is not allowed on every system.
    fn named(directory: &Path, name: &str) -> Self {
        let name = name.replace(':', "_");
        Self { cert_file: directory.join(format!("{name}.pem")), key_file: directory.join(format!("{name}.key.pem")) }
    }

    fn each(&self) -> [&PathBuf; 2] {
        [&self.cert_file, &self.key_file]
    }

    fn write(&self, certificates: &str, key: &KeyPair) -> Result<()> {
        let key = Zeroizing::new(key.serialize_pem());
        write_private(&self.key_file, key.as_bytes(), WhenThere::Refuse)?;
        write_new_public(&self.cert_file, certificates.as_bytes())
    }
}

/// Runs the command.
pub(super) fn run(args: &TestCaArgs, output: Output) -> Result<Exit> {
    let ids = args.registration_id.iter().map(|id| Ok(id.parse::<RegistrationId>()?)).collect::<Result<Vec<_>>>()?;
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let maker = Maker { kind: args.key_type, now_s, end_s: now_s + u64::from(args.days) * DAY_S };
    let device =
        |id: &RegistrationId| Device { registration_id: id.to_string(), files: Files::named(&args.out, id.as_str()) };
    let made = Made {
        not_after: moment_at(i64::try_from(maker.end_s).unwrap_or(i64::MAX)),
        root: Files::named(&args.out, "root-ca"),
        intermediate: Files::named(&args.out, "intermediate-ca"),
        devices: ids.iter().map(device).collect(),
    };
    check_files(&made)?;
    std::fs::create_dir_all(&args.out).map_err(|error| Failure::file("create", &args.out, &error))?;
    maker.make(&made)?;
    output.result(&made, |out| show(&made, out))?;
    Ok(Exit::Done)
}

/// Refuses existing files, and two files of the same name, before any is written.
fn check_files(made: &Made) -> Result<()> {
    let authorities = [("the root", &made.root), ("the intermediate", &made.intermediate)];
    let devices = made.devices.iter().map(|device| (device.registration_id.as_str(), &device.files));
    let mut owners = HashMap::new();
    for (owner, files) in authorities.into_iter().chain(devices) {
        for path in files.each() {
            // Some systems ignore letter case.
            if let Some(other) = owners.insert(path.as_os_str().to_ascii_lowercase(), owner) {
                return Err(Failure::usage(format!(
                    "{other} and {owner} would have the same file {}; use another registration id",
                    path.display()
                )));
            }
            if path.symlink_metadata().is_ok() {
                let words = format!("{} already exists and was not changed; use another directory", path.display());
                return Err(Failure::new(ErrorCode::File, words));
            }
        }
    }
    Ok(())
}

/// Makes certificates that are all valid for the same time.
struct Maker {
    kind: KeyKind,
    now_s: u64,
    end_s: u64,
}

impl Maker {
    fn make(&self, made: &Made) -> Result<()> {
        let (root, certificate) = self.authority("root", 1, None)?;
        made.root.write(&certificate.pem(), root.key())?;
        let (intermediate, certificate) = self.authority("intermediate", 0, Some(&root))?;
        made.intermediate.write(&certificate.pem(), intermediate.key())?;
        for Device { registration_id, files } in &made.devices {
            let key = self.key()?;
            let mut params = self.params(registration_id);
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            params.use_authority_key_identifier_extension = true;
            let own = params.signed_by(&key, &intermediate).map_err(failed)?;
            files.write(&(own.pem() + &certificate.pem()), &key)?;
        }
        Ok(())
    }

    /// Makes an authority, its own root if `issuer` is `None`. The common names of two authorities differ, since some
    /// programs look issuers up by name.
    fn authority(
        &self,
        what: &str,
        path_length: u8,
        issuer: Option<&Issuer<'static, KeyPair>>,
    ) -> Result<(Issuer<'static, KeyPair>, Certificate)> {
        let key = self.key()?;
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(key.subject_public_key_info()));
        let mut params = self.params(&format!("dps test {what} CA {a:02x}{b:02x}{c:02x}{d:02x}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = match issuer {
            None => params.self_signed(&key),
            Some(issuer) => {
                params.use_authority_key_identifier_extension = true;
                params.signed_by(&key, issuer)
            }
        };
        Ok((Issuer::new(params, key), certificate.map_err(failed)?))
    }

    fn key(&self) -> Result<KeyPair> {
        KeyPair::generate_for(self.kind.algorithm()).map_err(failed)
    }

    fn params(&self, common_name: &str) -> CertificateParams {
        let date = |unix_s| date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s);
        let mut params = CertificateParams::default();
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = date(self.now_s.saturating_sub(BACKDATED_S));
        params.not_after = date(self.end_s);
        params
    }
}

fn failed(error: impl Display) -> Failure {
    Failure::internal(format!("the certificate cannot be made: {error}"))
}

fn show(made: &Made, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "test certificates, valid until {}; never use them in production", made.not_after)?;
    writeln!(out, "  root          {}", made.root.cert_file.display())?;
    writeln!(out, "  intermediate  {}", made.intermediate.cert_file.display())?;
    for Device { registration_id, files } in &made.devices {
        writeln!(out, "  {registration_id:<12}  {} (key: {})", files.cert_file.display(), files.key_file.display())?;
    }
    let Some(first) = made.devices.first() else { return Ok(()) };
    let (root, intermediate) = (Quoted::path(&made.root.cert_file), Quoted::path(&made.intermediate.cert_file));
    let (own, key) = (Quoted::path(&first.files.cert_file), Quoted::path(&first.files.key_file));
    writeln!(out, "To try them with dps emulator (add --connection-string-file and --ca-file as it prints them):")?;
    writeln!(out, "  dps emulator certificate add test-root --file {root}")?;
    writeln!(out, "  dps enrollment-group create --group-id test --signing-cert-file {intermediate}")?;
    writeln!(out, "  dps register --id-scope S --cert-file {own} --cert-key-file {key}")
}
