//! The certificate of a device with its chain and private key, from files.
//!
//! What is wrong with a chain is judged by `dps_client::ChainCheck`; here files are read, and errors name them.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;
use dps_client::{CertificateChain, Finding, Passphrase, X509};
use dps_core::ErrorCode;

use crate::failure::{Failure, Result};
use crate::files::{is_stdin, read_line_secret, read_secret_bytes, source_name, warn_if_open};
use crate::key::is_set;
use crate::pkcs11::TokenKey;

/// The environment variable with the passphrase of a certificate's key.
const PASSPHRASE_VARIABLE: &str = "DPS_CERT_KEY_PASSPHRASE";
/// The largest file of a private key, in bytes; it may contain certificates too.
const KEY_FILE_MAX: usize = 256 * 1024;

/// Where the certificate and its key are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct CertificateArgs {
    /// A file with the device's certificate, followed by the intermediate certificates up to a verified one (PEM or DER)
    #[arg(long, value_name = "FILE", requires = "certificate_key", group = "credential")]
    pub(crate) cert_file: Option<PathBuf>,
    /// A file with the private key of --cert-file: PKCS#8, SEC1 or PKCS#1 as PEM or DER (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "cert_file", group = "certificate_key")]
    pub(crate) cert_key_file: Option<PathBuf>,
    /// A file with the passphrase of an encrypted private key (- for stdin; or set DPS_CERT_KEY_PASSPHRASE to it)
    #[arg(long, value_name = "FILE|-", requires = "cert_key_file")]
    pub(crate) cert_key_passphrase_file: Option<PathBuf>,
}

impl CertificateArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        [&self.cert_key_file, &self.cert_key_passphrase_file]
            .into_iter()
            .flatten()
            .filter(|path| is_stdin(path))
            .count()
    }

    /// Returns the choice of a certificate, if there is one. Its key is in a file, unless it is in a token.
    ///
    /// The parser does not require an option that another one excludes.
    pub(crate) fn choice(&self, token: Option<TokenKey>) -> Result<Option<CertificateChoice>> {
        if self.cert_key_file.is_none() && self.cert_key_passphrase_file.is_some() {
            return Err(Failure::usage("--cert-key-passphrase-file requires --cert-key-file"));
        }
        let Some(certificate) = self.cert_file.clone() else {
            let alone = Failure::usage("--cert-key-file requires --cert-file");
            return if self.cert_key_file.is_some() { Err(alone) } else { Ok(None) };
        };
        let key = match (token, self.cert_key_file.clone()) {
            (Some(token), _) => CertificateKey::Token(token),
            (None, Some(path)) => {
                CertificateKey::File(KeyFile { path, passphrase_file: self.cert_key_passphrase_file.clone() })
            }
            (None, None) => return Err(Failure::usage("--cert-file requires --cert-key-file or --pkcs11-uri")),
        };
        Ok(Some(CertificateChoice { certificate, key }))
    }
}

/// A device's certificate and its key, before they are read.
#[derive(Debug)]
pub(crate) struct CertificateChoice {
    pub(crate) certificate: PathBuf,
    pub(crate) key: CertificateKey,
}

/// Where the private key of a certificate is.
#[derive(Debug)]
pub(crate) enum CertificateKey {
    File(KeyFile),
    Token(TokenKey),
}

impl CertificateChoice {
    /// Reads certificate and key. Prints a warning when others can read the key or its passphrase. Blocks while reading.
    pub(crate) fn read(&self) -> Result<X509> {
        let chain = read_chain(std::slice::from_ref(&self.certificate))?;
        if let CertificateKey::File(file) = &self.key {
            file.secrets().for_each(warn_if_open);
        }
        self.key.read(&chain)
    }
}

impl CertificateKey {
    /// Reads the key of the first certificate of `chain`, or opens its token. Blocks meanwhile.
    pub(crate) fn read(&self, chain: &CertificateChain) -> Result<X509> {
        match self {
            Self::File(file) => file.read(chain),
            Self::Token(key) => key.certificate(chain.clone()),
        }
    }

    /// The files whose content is a secret.
    pub(crate) fn secrets(&self) -> Vec<&Path> {
        match self {
            Self::File(file) => file.secrets().collect(),
            Self::Token(key) => key.pin_file().into_iter().collect(),
        }
    }
}

impl fmt::Display for CertificateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.write_str(&source_name(&file.path)),
            Self::Token(key) => key.fmt(f),
        }
    }
}

/// A file with a private key, and the file with its passphrase if there is one.
#[derive(Debug)]
pub(crate) struct KeyFile {
    pub(crate) path: PathBuf,
    pub(crate) passphrase_file: Option<PathBuf>,
}

impl KeyFile {
    /// The files whose content is a secret.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.path.as_path()).chain(self.passphrase_file.as_deref()).filter(|path| !is_stdin(path))
    }

    /// Reads the key of the first certificate of `chain`. The passphrase comes from its file, or else from the environment.
    /// Blocks while reading.
    pub(crate) fn read(&self, chain: &CertificateChain) -> Result<X509> {
        let passphrase = match &self.passphrase_file {
            Some(path) => Some(read_passphrase(path)?),
            None if is_set(PASSPHRASE_VARIABLE) => Some(Passphrase::from_env(PASSPHRASE_VARIABLE)?),
            None => None,
        };
        let key = read_secret_bytes(&self.path, KEY_FILE_MAX, "the private key")?;
        let certificates: Vec<u8> = chain.iter().flatten().copied().collect();
        let device = match &passphrase {
            Some(passphrase) => X509::from_encrypted_pem(&certificates, &key, passphrase),
            None => X509::from_pem(&certificates, &key),
        };
        device.map_err(|error| {
            let mut failure = Failure::from(error).in_source(source_name(&self.path));
            if failure.code == ErrorCode::WrongPassphrase && passphrase.is_none() {
                failure.message += &format!("; use the option for a passphrase file, or set {PASSPHRASE_VARIABLE}");
            }
            failure
        })
    }
}

/// Reads the certificates of these files, in this order.
pub(crate) fn read_chain(paths: &[PathBuf]) -> Result<CertificateChain> {
    let chains = paths.iter().map(CertificateChain::from_file).collect::<std::result::Result<Vec<_>, _>>()?;
    match <[CertificateChain; 1]>::try_from(chains) {
        Ok([only]) => Ok(only),
        Err(several) => {
            let certificates: Vec<u8> = several.iter().flat_map(CertificateChain::iter).flatten().copied().collect();
            Ok(CertificateChain::from_pem(&certificates)?)
        }
    }
}

fn read_passphrase(path: &Path) -> Result<Passphrase> {
    if is_stdin(path) {
        return read_line_secret(path, "the passphrase").map(Passphrase::new);
    }
    Ok(Passphrase::from_file(path)?)
}

/// Returns where and what a finding is; `of` is the number of certificates.
pub(crate) fn sentence(finding: &Finding, of: usize) -> String {
    format!("certificate {} of {of} ({}) {}", finding.certificate(), finding.subject(), finding.what())
}
