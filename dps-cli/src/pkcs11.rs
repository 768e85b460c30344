//! Keys in PKCS#11 tokens: the options that name them, and what this program does with one.
//!
//! A PIN is never an argument. A module is loaded by commands that sign, and only when they sign first.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::failure::{Failure, Result};
use crate::files::{is_stdin, warn_if_open};
pub(crate) use key::TokenKey;

/// Which key in which token.
#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct Pkcs11Args {
    /// A key in a PKCS#11 token (RFC 7512), such as pkcs11:token=T;object=K: the private key of --cert-file, or without it
    /// the device's symmetric key
    #[arg(long, value_name = "URI", groups = ["key", "certificate_key"])]
    pub(crate) pkcs11_uri: Option<String>,
    /// The token's module, a shared library. Default: p11-kit's proxy
    #[arg(long, value_name = "FILE", requires = "pkcs11_uri")]
    pub(crate) pkcs11_module: Option<PathBuf>,
    /// A file with the token's PIN, instead of the URI's pin-source (- for stdin)
    #[arg(long, value_name = "FILE|-", requires = "pkcs11_uri")]
    pub(crate) pkcs11_pin_file: Option<PathBuf>,
}

impl Pkcs11Args {
    /// Returns how many of these inputs are to be read from stdin.
    pub(crate) fn stdin_inputs(&self) -> usize {
        usize::from(self.pin_file().is_some_and(is_stdin))
    }

    fn pin_file(&self) -> Option<&Path> {
        self.pkcs11_pin_file.as_deref()
    }

    /// Returns the key that the options name, if they name one. The token is not used yet; a PIN from stdin is read.
    ///
    /// The parser does not require an option that another one excludes.
    pub(crate) fn key(&self) -> Result<Option<TokenKey>> {
        if self.pkcs11_uri.is_none() && (self.pkcs11_module.is_some() || self.pkcs11_pin_file.is_some()) {
            return Err(Failure::usage("--pkcs11-module and --pkcs11-pin-file require --pkcs11-uri"));
        }
        self.pin_file().into_iter().for_each(warn_if_open);
        self.pkcs11_uri.as_deref().map(|uri| TokenKey::new(uri, self)).transpose()
    }
}

#[cfg(feature = "pkcs11")]
mod key {
    use std::fmt;
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    use dps_client::{CertificateChain, IdentityStore, OperationalKey, Pkcs11Key, ProvisioningClientBuilder, X509};
    use dps_core::Signature;

    use super::Pkcs11Args;
    use crate::failure::Result;
    use crate::files::{is_stdin, read_line_secret};

    /// A key in a token.
    #[derive(Clone, Debug)]
    pub(crate) struct TokenKey {
        key: Pkcs11Key,
        pin_file: Option<PathBuf>,
    }

    impl TokenKey {
        pub(super) fn new(uri: &str, args: &Pkcs11Args) -> Result<Self> {
            let mut key = Pkcs11Key::from_uri(uri)?;
            if let Some(path) = &args.pkcs11_module {
                key = key.module(path);
            }
            let pin_file = args.pin_file().filter(|path| !is_stdin(path)).map(Path::to_owned);
            key = match (&pin_file, args.pin_file()) {
                (Some(path), _) => key.pin_file(path),
                (None, Some(stdin)) => key.pin(read_line_secret(stdin, "the PIN")?),
                (None, None) => key,
            };
            Ok(Self { key, pin_file })
        }

        /// The file with the PIN, if it has one by an option.
        pub(crate) fn pin_file(&self) -> Option<&Path> {
            self.pin_file.as_deref()
        }

        /// Sets it as the symmetric key of a client.
        pub(crate) fn apply_to(&self, builder: ProvisioningClientBuilder) -> ProvisioningClientBuilder {
            builder.pkcs11_key(self.key.clone())
        }

        /// Signs with the symmetric key. Blocks, for `timeout` at most.
        pub(crate) fn sign(&self, to_sign: &[u8], timeout: Duration) -> Result<Signature> {
            Ok(self.key.sign(to_sign, timeout)?)
        }

        /// Uses it as the private key of the first certificate. Blocks.
        pub(crate) fn certificate(&self, chain: CertificateChain) -> Result<X509> {
            Ok(X509::from_pkcs11(chain, &self.key)?)
        }

        /// Uses it as the key that a certificate is issued for. Blocks.
        pub(crate) fn operational(&self) -> Result<OperationalKey> {
            Ok(OperationalKey::from_pkcs11(&self.key)?)
        }

        /// Loads an identity with it, if its key is in a token.
        pub(crate) fn open_with(&self, store: IdentityStore) -> IdentityStore {
            store.pkcs11_key(&self.key)
        }
    }

    /// The URI without a PIN.
    impl fmt::Display for TokenKey {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.key.fmt(f)
        }
    }
}

#[cfg(not(feature = "pkcs11"))]
mod key {
    use std::fmt;
    use std::path::Path;
    use std::time::Duration;

    use dps_client::{CertificateChain, IdentityStore, OperationalKey, ProvisioningClientBuilder, X509};
    use dps_core::Signature;

    use super::Pkcs11Args;
    use crate::failure::{Failure, Result};

    /// A key in a token, of which this build has none.
    #[derive(Clone, Debug)]
    pub(crate) enum TokenKey {}

    impl TokenKey {
        pub(super) fn new(_: &str, _: &Pkcs11Args) -> Result<Self> {
            Err(Failure::option("a PKCS#11 URI: this program was built without PKCS#11 (feature `pkcs11`)"))
        }

        pub(crate) fn pin_file(&self) -> Option<&Path> {
            match *self {}
        }

        pub(crate) fn apply_to(&self, _: ProvisioningClientBuilder) -> ProvisioningClientBuilder {
            match *self {}
        }

        pub(crate) fn sign(&self, _: &[u8], _: Duration) -> Result<Signature> {
            match *self {}
        }

        pub(crate) fn certificate(&self, _: CertificateChain) -> Result<X509> {
            match *self {}
        }

        pub(crate) fn operational(&self) -> Result<OperationalKey> {
            match *self {}
        }

        pub(crate) fn open_with(&self, _: IdentityStore) -> IdentityStore {
            match *self {}
        }
    }

    impl fmt::Display for TokenKey {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            match *self {}
        }
    }
}
