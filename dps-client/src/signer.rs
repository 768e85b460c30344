//! Signing: by a key in memory, or by a custom signer (a PKCS#11 token, a secure element, a service).
//!
//! A signer that blocks gets a thread of its own, so that a stuck device holds up neither a deadline nor the runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[cfg(any(feature = "http", feature = "mqtt"))]
use dps_core::NoSigner;
use dps_core::credentials::{Resource, SasToken};
use dps_core::{
    ActivateError, Attestation, ErrorCode, Hint, Key, SignError, Signature, Signer, TooSmall, UnixSeconds, Verdict,
};
use dps_files::SecretString;
use tokio::sync::{Mutex, oneshot};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::error::DpsError;
use crate::key::on_wiped_stack;
use crate::names::RegistrationId;
#[cfg(feature = "pkcs11")]
use crate::pkcs11::TokenSigner;
#[cfg(feature = "tpm")]
use crate::tpm::TpmSigner;
#[cfg(any(feature = "http", feature = "mqtt"))]
use crate::x509::X509;

/// A signer whose work can move between threads; write `async fn sign` to implement it.
pub trait SendSigner: Send {
    /// HMAC-SHA256 of `to_sign` under the device's key.
    ///
    /// # Errors
    /// [`SignError`]; the registration ends with it.
    fn sign(&mut self, to_sign: &[u8]) -> impl Future<Output = Result<Signature, SignError>> + Send;
}

type Signing<'s> = Pin<Box<dyn Future<Output = Result<Signature, SignError>> + Send + 's>>;

/// A [`SendSigner`] behind a pointer.
pub(crate) trait DynSigner: Send {
    fn sign_boxed<'s>(&'s mut self, to_sign: &'s [u8]) -> Signing<'s>;
}

impl<S: SendSigner> DynSigner for S {
    fn sign_boxed<'s>(&'s mut self, to_sign: &'s [u8]) -> Signing<'s> {
        Box::pin(self.sign(to_sign))
    }
}

/// Why something took too long.
pub(crate) const TOKEN_IS_BUSY: &str = "the PKCS#11 token was still signing";

/// The device's credential, shared by registrations and hub credentials.
#[derive(Clone)]
pub(crate) enum Credential {
    Key(Arc<Key>),
    Own(Arc<Mutex<Box<dyn DynSigner>>>),
    /// A symmetric key in a token.
    #[cfg(feature = "pkcs11")]
    Token(TokenSigner),
    /// Keys in a TPM, which the service sends.
    #[cfg(feature = "tpm")]
    Tpm(TpmSigner),
    /// Presented in TLS; no token is signed.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    Certificate(X509),
}

impl Signer for Credential {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        match self {
            // HMAC keeps the key on the stack, masked.
            Self::Key(key) => Ok(on_wiped_stack(|| key.sign(to_sign))),
            Self::Own(signer) => signer.lock().await.sign_boxed(to_sign).await,
            #[cfg(feature = "pkcs11")]
            Self::Token(signer) => signer.sign(to_sign).await,
            #[cfg(feature = "tpm")]
            Self::Tpm(signer) => signer.sign(to_sign).await,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(_) => NoSigner.sign(to_sign).await,
        }
    }

    async fn activate(&mut self, challenge: &[u8]) -> Result<(), ActivateError> {
        let _ = challenge;
        match self {
            #[cfg(feature = "tpm")]
            Self::Tpm(signer) => signer.activate(challenge).await,
            _ => Err(ActivateError),
        }
    }
}

/// The public keys of a TPM; of other credentials nothing.
#[derive(Default)]
pub(crate) struct PublicKeys {
    #[cfg(feature = "tpm")]
    of_tpm: Option<dps_tpm::PublicKeys>,
}

impl PublicKeys {
    /// How the TPM proves who the device is.
    pub(crate) fn tpm(&self) -> Option<dps_core::Tpm<'_>> {
        #[cfg(feature = "tpm")]
        if let Some(keys) = &self.of_tpm {
            return Some(dps_core::Tpm::new(&keys.endorsement, &keys.storage_root));
        }
        None
    }
}

impl Credential {
    /// How the device proves who it is, for the state machine; for a TPM, [`PublicKeys::tpm`].
    pub(crate) fn attestation(&self) -> &'static dyn Attestation {
        match self {
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(_) => &dps_core::X509,
            _ => &dps_core::SymmetricKey,
        }
    }

    /// Begins a registration that ends after `limit`: reads what the state machine needs of a TPM.
    ///
    /// # Errors
    /// Why the TPM cannot be used.
    pub(crate) async fn public_keys(&mut self, limit: Duration) -> Result<PublicKeys, DpsError> {
        let _ = limit;
        match self {
            #[cfg(feature = "tpm")]
            Self::Tpm(signer) => Ok(PublicKeys { of_tpm: Some(signer.prepare(limit).await?) }),
            _ => Ok(PublicKeys::default()),
        }
    }

    /// Keeps the key for the hub that an assignment has for a TPM.
    ///
    /// # Errors
    /// Why the TPM did not keep it; `invalid-reply` without such a key.
    pub(crate) async fn keep_hub_key(&self, key: Option<Vec<u8>>, limit: Duration) -> Result<(), DpsError> {
        let _ = (key.as_ref(), limit);
        match self {
            #[cfg(feature = "tpm")]
            Self::Tpm(signer) => match key {
                Some(key) => signer.keep(key, limit).await,
                None => {
                    let code = ErrorCode::InvalidReply;
                    let message = format!("{}: the assignment has no key for the TPM", code.text());
                    Err(DpsError::new(code, Verdict::Never, message).hinted(code.hints().iter()))
                }
            },
            _ => Ok(()),
        }
    }

    /// Checks what can be known on the device of a certificate, and logs warnings. The clock is read for a certificate alone:
    /// a supplied one may fail, which only a caller that needs the time should see.
    ///
    /// # Errors
    /// What cannot work.
    pub(crate) fn judge(&self, id: &RegistrationId, clock: &Clock) -> Result<Vec<Hint>, DpsError> {
        let _ = (id, clock);
        match self {
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(device) => {
                let warnings = device.judge(id, clock.now())?;
                warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
                Ok(warnings.iter().filter_map(|warning| warning.problem().hint()).collect())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Checks again what may have changed since: the validity of a certificate; for a TPM, whose first token is signed after a
    /// challenge, that the time is known.
    ///
    /// # Errors
    /// What cannot work any more.
    pub(crate) fn judge_again(&self, id: &RegistrationId, clock: &Clock) -> Result<(), DpsError> {
        let _ = (id, clock);
        match self {
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(device) => device.judge(id, clock.now()).map(drop),
            #[cfg(feature = "tpm")]
            Self::Tpm(_) => clock.needed_now().map(drop),
            _ => Ok(()),
        }
    }

    /// The likeliest causes of a refusal, as far as the credential itself tells them.
    pub(crate) fn likely_causes(&self) -> &'static [Hint] {
        match self {
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(device) => device.likely_causes(),
            _ => &[],
        }
    }

    /// Whether tokens are signed with it.
    pub(crate) fn signs(&self) -> bool {
        match self {
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(_) => false,
            _ => true,
        }
    }

    /// Whether TLS handshakes block while they sign, so that they need a thread of their own.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub(crate) fn blocks_handshakes(&self) -> bool {
        matches!(self, Self::Certificate(device) if device.blocks())
    }

    /// Why this credential is the cause of a failure with this code, where it knows more than the code.
    pub(crate) fn cause_of(&self, code: ErrorCode) -> Option<DpsError> {
        let _ = code;
        match self {
            #[cfg(feature = "pkcs11")]
            Self::Token(signer) if code == ErrorCode::SignerFailed => signer.failure(),
            #[cfg(feature = "tpm")]
            Self::Tpm(signer) => signer.failure(code),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(_) if code == ErrorCode::Timeout && self.is_busy() => {
                let code = ErrorCode::SignerTimeout;
                let message = format!("{}: {TOKEN_IS_BUSY}", code.text());
                Some(DpsError::new(code, Verdict::Never, message).hinted(code.hints().iter()))
            }
            _ => None,
        }
    }

    /// Whether a token is signing.
    pub(crate) fn is_busy(&self) -> bool {
        match self {
            #[cfg(feature = "pkcs11")]
            Self::Token(signer) => signer.is_busy(),
            #[cfg(feature = "tpm")]
            Self::Tpm(signer) => signer.is_busy(),
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(device) => device.is_busy(),
            _ => false,
        }
    }

    /// Makes a token for `resource` that is valid until `expires_at`.
    pub(crate) async fn sign_token(
        &mut self,
        resource: Resource<'_>,
        expires_at: SystemTime,
    ) -> Result<SecretString, DpsError> {
        let seconds = expires_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut buffer = Zeroizing::new(vec![0; resource.token_max()]);
        let too_small = |short: TooSmall| DpsError::new(ErrorCode::Internal, Verdict::Never, short.to_string());
        let token = SasToken::prepare(&resource, UnixSeconds::new(seconds), &mut buffer).map_err(too_small)?;
        let code = ErrorCode::SignerFailed;
        let signature = self.sign(token.to_sign()).await.map_err(|SignError| {
            self.cause_of(code).unwrap_or_else(|| DpsError::new(code, Verdict::Never, code.text().to_owned()))
        })?;
        Ok(SecretString::from(token.finish(&signature).as_str()))
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(..)",
            Self::Own(_) => "Signer(..)",
            #[cfg(feature = "pkcs11")]
            Self::Token(_) => "Pkcs11Key(..)",
            #[cfg(feature = "tpm")]
            Self::Tpm(_) => "Tpm(..)",
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Certificate(_) => "X509(..)",
        })
    }
}

struct Job {
    to_sign: Zeroizing<Vec<u8>>,
    answer: oneshot::Sender<Result<Signature, SignError>>,
}

/// A signer that blocks, on a thread of its own. The thread ends with it, once it is done with what it is doing.
///
/// ```
/// use dps_client::BlockingSigner;
/// use dps_client::dps_core::{Key, Signature};
///
/// let key = Key::from_bytes(b"0123456789abcdef")?; // a token's session, say
/// let signer = BlockingSigner::new(move |to_sign: &[u8]| Ok::<Signature, std::io::Error>(key.sign(to_sign)))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BlockingSigner(mpsc::Sender<Job>);

impl BlockingSigner {
    /// Starts the thread. An error of `sign` is logged under the target `dps_client`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new<E: fmt::Display>(
        mut sign: impl FnMut(&[u8]) -> Result<Signature, E> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("dps-signer".into()).spawn(move || {
            for job in queue {
                let signature = sign(&job.to_sign).map_err(|error| {
                    tracing::warn!(%error, "the signer failed");
                    SignError
                });
                // Nobody waits any more when the registration was dropped.
                let _ = job.answer.send(signature);
            }
        })?;
        Ok(Self(jobs))
    }
}

impl SendSigner for BlockingSigner {
    async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(Job { to_sign: Zeroizing::new(to_sign.to_vec()), answer }).map_err(|_| SignError)?;
        answered.await.map_err(|_| SignError)?
    }
}

impl fmt::Debug for BlockingSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockingSigner(..)")
    }
}
