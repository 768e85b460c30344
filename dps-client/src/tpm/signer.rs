//! Signing in a TPM: tokens of a registration with the key of its challenge, those for the hub with the key of the assignment.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dps_core::{ActivateError, ErrorCode, SignError, Signature};
use dps_tpm::{Access, ImportedKey, PublicKeys};

use super::Tpm;
use super::failure::Failure;
use crate::error::DpsError;
use crate::worker::{NoAnswer, Worker};

/// The thread that works with a TPM.
pub(super) type TpmWorker = Worker<Access>;

/// Signs in a TPM. A clone shares the thread, and nothing of the registration that is under way.
pub(crate) struct TpmSigner {
    worker: Arc<TpmWorker>,
    /// How long an activation or a signature may take.
    limit: Duration,
    /// When the registration ends that is under way, so that its work for the TPM does not go on after it.
    until: Option<Instant>,
    /// The key of the challenge, while a registration is under way. It is in this process, for this TPM alone to read.
    challenge: Option<ImportedKey>,
    failure: Option<Failure>,
}

impl TpmSigner {
    pub(crate) fn start(tpm: &Tpm, limit: Duration) -> Result<Self, DpsError> {
        let worker = tpm.worker().map_err(Failure::into_error)?;
        Ok(Self { worker: Arc::new(worker), limit, until: None, challenge: None, failure: None })
    }

    /// Connects with the TPM for one piece of work, so that other programs can use it in between.
    async fn work<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&mut dps_tpm::Tpm) -> Result<T, dps_tpm::Error> + Send + 'static,
    ) -> Result<T, Failure> {
        let limit = deadline(limit);
        let deadline = self.until.map_or(limit, |until| until.min(limit));
        self.worker.ask(move |access: &mut Access| work(&mut access.connect(deadline)?).map_err(Failure::from)).await
    }

    /// Begins a registration that ends after `limit`: reads the keys by which the service knows the TPM, and checks what the
    /// registration needs.
    pub(crate) async fn prepare(&mut self, limit: Duration) -> Result<PublicKeys, DpsError> {
        self.until = Some(deadline(limit));
        self.within(limit, dps_tpm::Tpm::prepare).await
    }

    /// Works with the TPM, also if it is still busy with what somebody else waited for.
    async fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce(&mut dps_tpm::Tpm) -> Result<T, dps_tpm::Error> + Send + 'static,
    ) -> Result<T, DpsError> {
        let done = tokio::time::timeout(limit, self.work(limit, work)).await;
        done.unwrap_or_else(|_| Err(NoAnswer::Timeout.into())).map_err(Failure::into_error)
    }

    pub(crate) async fn activate(&mut self, challenge: &[u8]) -> Result<(), ActivateError> {
        let challenge = challenge.to_vec();
        match self.work(self.limit, move |tpm| tpm.import(&challenge)).await {
            Ok(key) => {
                self.challenge = Some(key);
                Ok(())
            }
            Err(failed) => {
                self.note(failed);
                Err(ActivateError)
            }
        }
    }

    pub(crate) async fn sign(&mut self, to_sign: &[u8]) -> Result<Signature, SignError> {
        let (to_sign, challenge) = (to_sign.to_vec(), self.challenge.clone());
        let signed = self.work(self.limit, move |tpm| match challenge {
            Some(key) => tpm.sign_with(&key, &to_sign),
            None => tpm.sign(&to_sign),
        });
        match signed.await {
            Ok(signature) => Ok(Signature::new(*signature)),
            Err(failed) => {
                self.note(failed);
                Err(SignError)
            }
        }
    }

    /// Keeps the key of the assignment in the TPM.
    pub(crate) async fn keep(&self, key: Vec<u8>, limit: Duration) -> Result<(), DpsError> {
        self.within(limit, move |tpm| {
            let key = tpm.import(&key)?;
            tpm.keep(&key)
        })
        .await
    }

    fn note(&mut self, failed: Failure) {
        tracing::debug!(code = failed.code.name(), words = failed.words, "the TPM failed");
        self.failure = Some(failed);
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.worker.is_busy()
    }

    /// Why a failure with this code is one of the TPM.
    pub(crate) fn failure(&self, code: ErrorCode) -> Option<DpsError> {
        let of_tpm = matches!(code, ErrorCode::SignerFailed | ErrorCode::ActivationFailed);
        self.failure.clone().filter(|_| of_tpm).map(Failure::into_error)
    }
}

pub(super) fn deadline(limit: Duration) -> Instant {
    let now = Instant::now();
    // A limit that the clock cannot represent is as good as none.
    now.checked_add(limit).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 3600))
}

impl Clone for TpmSigner {
    fn clone(&self) -> Self {
        Self { worker: Arc::clone(&self.worker), limit: self.limit, until: None, challenge: None, failure: None }
    }
}

impl fmt::Debug for TpmSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TpmSigner(..)")
    }
}
