//! The certificates of an enrollment, or its TPM: the options that name them, and the files that they are read from.
//!
//! Which certificates an enrollment can have is decided by the service; here only files are refused that contain none.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use dps_core::ErrorCode;
use serde_json::{Value, json};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::failure::{Failure, Result};

/// The largest file that is read, in bytes: far more than a chain needs.
const FILE_MAX: u64 = 256 * 1024;

/// The certificates or the TPM of an individual enrollment, instead of keys.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// Let the device authenticate with this certificate instead of a key (PEM or DER; the first one in the file)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["primary_key_file", "key_out"])]
    pub(crate) cert_file: Option<PathBuf>,
    /// A second certificate of the device, such as the one that will replace the first
    #[arg(long, value_name = "FILE", requires = "cert_file")]
    pub(crate) secondary_cert_file: Option<PathBuf>,
    /// Let the device authenticate with the TPM that has this endorsement key: the base64 of its TPM2B_PUBLIC, which is not a
    /// secret
    #[arg(long, value_name = "BASE64", conflicts_with_all = ["cert_file", "primary_key_file", "key_out"])]
    pub(crate) endorsement_key: Option<String>,
}

/// The certificates of a group, instead of keys.
#[derive(Debug, Args)]
pub(crate) struct SigningCertificateArgs {
    /// Let devices authenticate with certificates that this CA certificate signed, itself or through others (PEM or
    /// DER), instead of keys
    #[arg(long, value_name = "FILE", conflicts_with_all = ["primary_key_file", "key_out"])]
    pub(crate) signing_cert_file: Option<PathBuf>,
    /// A second CA certificate, such as the one that will replace the first
    #[arg(long, value_name = "FILE", requires = "signing_cert_file")]
    pub(crate) secondary_signing_cert_file: Option<PathBuf>,
    /// The name of a verified CA certificate of the service, to be used as --signing-cert-file
    #[arg(long, value_name = "NAME", conflicts_with_all = ["signing_cert_file", "primary_key_file", "key_out"])]
    pub(crate) ca_reference: Option<String>,
    /// The name of a second CA certificate
    #[arg(long, value_name = "NAME", requires = "ca_reference")]
    pub(crate) secondary_ca_reference: Option<String>,
}

impl DeviceArgs {
    /// Returns the attestation, or `None` if the enrollment has keys. Reads the files.
    pub(super) fn attestation(&self) -> Result<Option<Value>> {
        if let Some(endorsement_key) = &self.endorsement_key {
            return Ok(Some(json!({ "type": "tpm", "tpm": { "endorsementKey": endorsement_key } })));
        }
        let read = |path: &PathBuf| read_first(path).map(shown);
        Ok(slots(self.cert_file.as_ref().map(read), self.secondary_cert_file.as_ref().map(read))?
            .map(|slots| x509("clientCertificates", slots)))
    }
}

impl SigningCertificateArgs {
    /// Returns the attestation, or `None` if the group has keys. Reads the files.
    pub(super) fn attestation(&self) -> Result<Option<Value>> {
        let read = |path: &PathBuf| read_only(path).map(shown);
        let files =
            slots(self.signing_cert_file.as_ref().map(read), self.secondary_signing_cert_file.as_ref().map(read))?;
        if let Some(files) = files {
            return Ok(Some(x509("signingCertificates", files)));
        }
        let name = |name: &String| Ok(Value::from(name.as_str()));
        Ok(slots(self.ca_reference.as_ref().map(name), self.secondary_ca_reference.as_ref().map(name))?
            .map(|names| x509("caReferences", names)))
    }
}

fn slots(primary: Option<Result<Value>>, secondary: Option<Result<Value>>) -> Result<Option<Value>> {
    let Some(primary) = primary.transpose()? else { return Ok(None) };
    let mut slots = json!({ "primary": primary });
    if let Some(secondary) = secondary.transpose()? {
        slots["secondary"] = secondary;
    }
    Ok(Some(slots))
}

fn x509(member: &str, slots: Value) -> Value {
    json!({ "type": "x509", "x509": { member: slots } })
}

fn shown(certificate: String) -> Value {
    json!({ "certificate": certificate })
}

/// Returns the only certificate of a file, as the base64 of its DER.
pub(crate) fn read_only(path: &Path) -> Result<String> {
    let found = read(path)?;
    match found.as_slice() {
        [only] => Ok(STANDARD.encode(only)),
        several => Err(wrong(path, &format!("it contains {} certificates; use a file with one", several.len()))),
    }
}

/// Returns the first certificate of a file, which in a chain is the device's own.
fn read_first(path: &Path) -> Result<String> {
    read(path).map(|found| STANDARD.encode(&found[0]))
}

/// Returns the DER of every certificate in a file, at least one.
fn read(path: &Path) -> Result<Vec<Vec<u8>>> {
    let content = dps_files::read(path, FILE_MAX).map_err(|error| Failure::file("read", path, &error))?;
    let is_pem = content.windows(10).any(|window| window == b"-----BEGIN");
    let found: Vec<Vec<u8>> = if is_pem {
        let blocks: std::result::Result<Vec<Pem>, _> = Pem::iter_from_buffer(&content).collect();
        let blocks = blocks.map_err(|_| wrong(path, "its PEM is damaged"))?;
        blocks.into_iter().filter(|block| block.label == "CERTIFICATE").map(|block| block.contents).collect()
    } else {
        vec![content.to_vec()]
    };
    if found.is_empty() {
        return Err(wrong(path, "its PEM contains no CERTIFICATE"));
    }
    let is_certificate = |der: &Vec<u8>| X509Certificate::from_der(der).is_ok_and(|(rest, _)| rest.is_empty());
    match found.iter().position(|der| !is_certificate(der)) {
        None => Ok(found),
        Some(_) if !is_pem => Err(wrong(path, "it is neither PEM nor the DER of a certificate")),
        Some(at) => Err(wrong(path, &format!("certificate {} in it is damaged", at + 1))),
    }
}

fn wrong(path: &Path, what: &str) -> Failure {
    Failure::new(ErrorCode::InvalidOption, format!("{} is not valid: {what}", path.display()))
}
