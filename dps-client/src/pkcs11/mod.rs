//! Keys in PKCS#11 tokens: a symmetric key that signs inside its token, and the private key of a certificate.
//!
//! A key never leaves its token. Calls of a module may block, so that they are made on a thread of their own, and everyone who waits
//! for one stops waiting at a deadline.

#[cfg(any(feature = "http", feature = "mqtt"))]
mod asn1;
mod failure;
mod login;
mod method;
mod module;
mod pin;
#[cfg(any(feature = "http", feature = "mqtt"))]
mod tls;
mod token;
mod uri;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dps_core::{ErrorCode, SignError, Signature};
use dps_files::SecretString;
use zeroize::Zeroizing;

pub(crate) use failure::TokenError;
#[cfg(any(feature = "http", feature = "mqtt"))]
pub(crate) use tls::open_private_key;

use crate::error::DpsError;
use method::Method;
use pin::Pin;
use token::{Purpose, Token};
use uri::Uri;

/// The thread that works with a token.
pub(crate) type Worker = crate::worker::Worker<Token>;

/// A key in a PKCS#11 token, by its URI (RFC 7512).
///
/// It is a symmetric key of 16 to 64 bytes that may sign with `CKM_SHA256_HMAC`
/// ([`ProvisioningClientBuilder::pkcs11_key`](crate::ProvisioningClientBuilder::pkcs11_key)), or the private key of a certificate
/// (`X509::from_pkcs11`): EC P-256, EC P-384, or RSA with 2048 to 4096 bits. The URI must match exactly one token and one
/// key of that type in it.
///
/// Making a `Pkcs11Key` neither loads a module nor reads a file. The module is loaded, and the token logged in to, when the
/// key is used first. A module that the application has initialized is used as it is, and none is ever finalized.
///
/// A PIN that the token refused is not tried again in this process until the token has accepted another one
/// (`pkcs11-wrong-pin`). A token that reports that one try is left (`pkcs11-last-try`), or that its PIN is locked
/// (`pkcs11-pin-locked`), is not logged in to. A clone shares everything.
///
/// ```
/// use dps_client::{ErrorCode, Pkcs11Key, ProvisioningClient};
///
/// # fn main() -> Result<(), dps_client::DpsError> {
/// let key = Pkcs11Key::from_uri("pkcs11:token=Gateway;object=device-id?pin-source=file:/run/secrets/pin")?
///     .module("/usr/lib/softhsm/libsofthsm2.so");
/// let client = ProvisioningClient::builder()
///     .id_scope("0ne00A1B2C3")
///     .registration_id("dev-01")
///     .pkcs11_key(key)
/// #   .proxy(dps_client::ProxyChoice::Direct)
/// #   .roots(dps_client::Roots::replace_pem(rcgen::generate_simple_self_signed(vec![]).unwrap().cert.pem().as_bytes())?)
///     .build()?;
/// # let _ = client;
/// // Arguments can be seen by other users, so that a PIN is not accepted in them.
/// let refused = Pkcs11Key::from_uri("pkcs11:token=Gateway?pin-value=1234").unwrap_err();
/// assert_eq!(refused.code(), ErrorCode::InvalidPkcs11Uri);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Pkcs11Key(Arc<Access>);

/// How to find a key and log in.
#[derive(Clone)]
struct Access {
    uri: Uri,
    module: Option<PathBuf>,
    /// Instead of the URI's.
    pin: Option<Pin>,
}

impl Access {
    fn pin(&self) -> Option<&Pin> {
        self.pin.as_ref().or(self.uri.pin())
    }
}

impl Pkcs11Key {
    /// Parses a URI from anywhere but a configuration file, such as an argument. `pin-source` must be the URI of a file, as in
    /// `pin-source=file:/run/secrets/pin`.
    ///
    /// # Errors
    /// `invalid-pkcs11-uri`; also when it has a `pin-value`, a `module-path`, a `module-name`, or a program as its `pin-source`.
    pub fn from_uri(uri: &str) -> Result<Self, DpsError> {
        Self::parse(uri, false)
    }

    /// Parses a URI from a configuration file, where `pin-value` is accepted, as IoT Edge's files have it. The caller wipes the
    /// text.
    ///
    /// # Errors
    /// As [`from_uri`](Self::from_uri), but for `pin-value`.
    pub fn from_configuration(uri: &str) -> Result<Self, DpsError> {
        Self::parse(uri, true)
    }

    fn parse(uri: &str, allow_pin: bool) -> Result<Self, DpsError> {
        Ok(Self(Arc::new(Access { uri: Uri::parse(uri, allow_pin)?, module: None, pin: None })))
    }

    /// Sets the token's module, a shared library. Default: p11-kit's proxy, which has the tokens of every module that the
    /// system is configured with. It is code that is run: it must not come from a URI, or from anyone who may not run code here.
    #[must_use]
    pub fn module(mut self, path: impl AsRef<Path>) -> Self {
        Arc::make_mut(&mut self.0).module = Some(path.as_ref().to_owned());
        self
    }

    /// Sets the PIN, instead of the URI's.
    #[must_use]
    pub fn pin(mut self, pin: SecretString) -> Self {
        Arc::make_mut(&mut self.0).pin = Some(Pin::Value(pin));
        self
    }

    /// Sets a file with the PIN, instead of the URI's PIN. It is read at each login; a line break at its end is not part of the
    /// PIN. Of a FIFO, what was written into it within 30 s.
    #[must_use]
    pub fn pin_file(mut self, path: impl AsRef<Path>) -> Self {
        Arc::make_mut(&mut self.0).pin = Some(Pin::File(path.as_ref().to_owned()));
        self
    }

    /// Uses the PIN of another key, if this one has none: for IoT Edge's `pkcs11_base_slot`, which has the PIN of its token.
    #[must_use]
    pub fn or_pin_of(mut self, other: &Self) -> Self {
        if !self.has_pin() {
            Arc::make_mut(&mut self.0).pin = other.0.pin().cloned();
        }
        self
    }

    /// Returns whether a PIN is known, from the URI or set.
    #[must_use]
    pub fn has_pin(&self) -> bool {
        self.0.pin().is_some()
    }

    /// Signs with the symmetric key: HMAC-SHA256 of `to_sign`. Blocks this thread until the token has signed, for `timeout` at most.
    ///
    /// A registration signs by itself, without blocking its runtime.
    ///
    /// # Errors
    /// `invalid-pkcs11-uri`, `pkcs11-module`, `pkcs11-no-token`, `pkcs11-no-object`, `pkcs11-several-objects`,
    /// `pkcs11-login`, `pkcs11-wrong-pin`, `pkcs11-last-try`, `pkcs11-pin-locked`, `pkcs11-mechanism`, `signer-failed`,
    /// `signer-timeout`, and `file` when the PIN cannot be read.
    pub fn sign(&self, to_sign: &[u8], timeout: Duration) -> Result<Signature, DpsError> {
        let to_sign = to_sign.to_vec();
        let worker = self.worker(Purpose::Hmac)?;
        worker.ask_within(timeout, move |token| hmac(token, &to_sign)).map_err(TokenError::into_error)
    }

    /// Starts the thread that works with the key.
    fn worker(&self, purpose: Purpose) -> Result<Worker, DpsError> {
        let kind = purpose.kind();
        if self.0.uri.get("type").is_some_and(|wanted| wanted != kind.as_bytes()) {
            return Err(uri::invalid(&format!("its type is not that of the key: write type={kind}, or leave it out")));
        }
        let started = Worker::start("dps-pkcs11", Token::new(Arc::clone(&self.0), purpose));
        started.map_err(|error| {
            let words = format!("a thread cannot be started: {error}");
            TokenError::new(ErrorCode::Internal, words).into_error()
        })
    }
}

/// The URI without its query, where a PIN may be.
impl fmt::Display for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.uri.fmt(f)
    }
}

impl fmt::Debug for Pkcs11Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Key")
            .field("uri", &self.to_string())
            .field("module", &self.0.module)
            .finish_non_exhaustive()
    }
}

fn hmac(token: &mut Token, to_sign: &[u8]) -> Result<Signature, TokenError> {
    let signature = Zeroizing::new(token.sign(Method::Hmac, to_sign)?);
    let bytes = <[u8; 32]>::try_from(signature.as_slice());
    bytes.map(Signature::new).map_err(|_| {
        TokenError::new(ErrorCode::SignerFailed, format!("the token returned {} bytes, not 32", signature.len()))
    })
}

/// Signs tokens with a symmetric key. A clone shares the thread, and not the failure.
#[derive(Debug)]
pub(crate) struct TokenSigner {
    worker: Arc<Worker>,
    failure: Option<TokenError>,
}

impl TokenSigner {
    pub(crate) fn start(key: &Pkcs11Key) -> Result<Self, DpsError> {
        Ok(Self { worker: Arc::new(key.worker(Purpose::Hmac)?), failure: None })
    }

    pub(crate) async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        let to_sign = to_sign.to_vec();
        let signed = self.worker.ask(move |token| hmac(token, &to_sign)).await;
        signed.map_err(|failed| {
            tracing::debug!(code = failed.code.name(), words = failed.words, "the token failed");
            self.failure = Some(failed);
            SignError
        })
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.worker.is_busy()
    }

    /// Why the last signature failed.
    pub(crate) fn failure(&self) -> Option<DpsError> {
        self.failure.clone().map(TokenError::into_error)
    }
}

impl Clone for TokenSigner {
    fn clone(&self) -> Self {
        Self { worker: Arc::clone(&self.worker), failure: None }
    }
}
