//! The operational key of `dps register --issue`: made here, in a file, or in a PKCS#11 token.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dps_client::{IdentityStore, KeyAlgorithm, OperationalKey};

use crate::failure::{Failure, Result};
use crate::files::{is_stdin, warn_if_open};
use crate::pkcs11::{Pkcs11Args, TokenKey};

/// The key that a certificate is requested for.
#[derive(Debug, Args)]
#[command(next_help_heading = "Issued certificate")]
pub(crate) struct OperationalKeyArgs {
    /// The kind of the key that is made for the certificate. Default: ec-p256
    #[arg(long, value_name = "NAME", value_enum, conflicts_with = "operational_pkcs11_uri")]
    key_type: Option<KeyType>,
    /// Use the private key in FILE (PEM or DER, not encrypted) instead of making one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_type", "operational_pkcs11_uri"])]
    operational_key_file: Option<PathBuf>,
    #[command(flatten)]
    token: OperationalTokenArgs,
}

/// The token with the key of a certificate.
#[derive(Debug, Args)]
#[command(next_help_heading = "Issued certificate")]
pub(crate) struct OperationalTokenArgs {
    /// Use a private key that is in a PKCS#11 token (RFC 7512), with its public key, instead of making one
    #[arg(long, value_name = "URI")]
    operational_pkcs11_uri: Option<String>,
    /// The module of that token, a shared library. Default: p11-kit's proxy
    #[arg(long, value_name = "FILE", requires = "operational_pkcs11_uri")]
    operational_pkcs11_module: Option<PathBuf>,
    /// A file with the PIN of that token, instead of the URI's pin-source (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "operational_pkcs11_uri")]
    operational_pkcs11_pin_file: Option<PathBuf>,
}

/// The kinds of keys.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum KeyType {
    /// EC P-256
    EcP256,
    /// EC P-384
    EcP384,
    /// RSA with 2048 bits
    #[value(name = "rsa-2048")]
    Rsa2048,
}

impl OperationalKeyArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        self.token.stdin_inputs()
    }

    /// Whether any option is set, which a registration without a certificate cannot honor.
    pub(crate) fn is_set(&self) -> bool {
        self.key_type.is_some() || self.operational_key_file.is_some() || self.token.operational_pkcs11_uri.is_some()
    }

    /// Reads the options; a PIN from stdin is read too.
    pub(crate) fn source(&self) -> Result<KeySource> {
        Ok(match (self.token.key()?, &self.operational_key_file) {
            (Some(key), _) => KeySource::Token(key),
            (None, Some(path)) => KeySource::File(path.clone()),
            (None, None) => KeySource::New(match self.key_type {
                None | Some(KeyType::EcP256) => KeyAlgorithm::EcP256,
                Some(KeyType::EcP384) => KeyAlgorithm::EcP384,
                Some(KeyType::Rsa2048) => KeyAlgorithm::Rsa2048,
            }),
        })
    }
}

impl OperationalTokenArgs {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        usize::from(self.operational_pkcs11_pin_file.as_deref().is_some_and(is_stdin))
    }

    /// Returns the key in a token, if one is named.
    ///
    /// The parser does not require an option that another one excludes.
    pub(crate) fn key(&self) -> Result<Option<TokenKey>> {
        let has_part = self.operational_pkcs11_module.is_some() || self.operational_pkcs11_pin_file.is_some();
        if has_part && self.operational_pkcs11_uri.is_none() {
            let message =
                "--operational-pkcs11-module and --operational-pkcs11-pin-file require --operational-pkcs11-uri";
            return Err(Failure::usage(message));
        }
        let named = Pkcs11Args {
            pkcs11_uri: self.operational_pkcs11_uri.clone(),
            pkcs11_module: self.operational_pkcs11_module.clone(),
            pkcs11_pin_file: self.operational_pkcs11_pin_file.clone(),
        };
        named.key()
    }
}

/// Where the key of the next certificate comes from.
pub(crate) enum KeySource {
    New(KeyAlgorithm),
    File(PathBuf),
    Token(TokenKey),
}

impl KeySource {
    /// Makes the key, or reads it. Blocks while a token is opened.
    pub(crate) fn key(&self) -> Result<OperationalKey> {
        match self {
            Self::New(algorithm) => Ok(OperationalKey::generate(*algorithm)?),
            Self::File(path) => {
                warn_if_open(path);
                Ok(OperationalKey::from_file(path)?)
            }
            Self::Token(key) => key.operational(),
        }
    }

    /// The key in a token, with which an identity is loaded whose key is there.
    pub(crate) fn token(&self) -> Option<&TokenKey> {
        match self {
            Self::Token(key) => Some(key),
            _ => None,
        }
    }
}

/// The store in this directory, whose identity may have its key in this token.
pub(crate) fn identity_store(directory: &Path, token: Option<&TokenKey>) -> IdentityStore {
    let store = IdentityStore::new(directory);
    match token {
        Some(key) => key.open_with(store),
        None => store,
    }
}
