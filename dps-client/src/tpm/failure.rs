//! Why a TPM cannot be used: the entry in the error catalogue, and the cause in words.

use dps_core::{ErrorCode, Verdict};
use dps_tpm::ErrorKind;

use crate::error::DpsError;
use crate::worker::NoAnswer;

/// A failure of a TPM. Its words hold no secret.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(super) code: ErrorCode,
    pub(super) words: String,
}

impl Failure {
    pub(super) fn new(code: ErrorCode, words: impl Into<String>) -> Self {
        Self { code, words: words.into() }
    }

    pub(crate) fn into_error(self) -> DpsError {
        let message = format!("{}: {}", self.code.text(), self.words);
        DpsError::new(self.code, Verdict::Never, message).hinted(self.code.hints().iter())
    }
}

impl From<dps_tpm::Error> for Failure {
    fn from(error: dps_tpm::Error) -> Self {
        let code = match error.kind() {
            ErrorKind::Unavailable => ErrorCode::TpmUnavailable,
            ErrorKind::Lost => ErrorCode::TpmLost,
            ErrorKind::Timeout => ErrorCode::SignerTimeout,
            ErrorKind::WrongPassword => ErrorCode::TpmWrongPassword,
            ErrorKind::Lockout => ErrorCode::TpmLockout,
            ErrorKind::MalformedChallenge => ErrorCode::ActivationFailed,
            ErrorKind::ForeignChallenge => ErrorCode::TpmForeignChallenge,
            ErrorKind::NoSlot => ErrorCode::TpmNoSlot,
            ErrorKind::KeyMissing => ErrorCode::TpmKeyMissing,
            _ => ErrorCode::TpmFailed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<NoAnswer> for Failure {
    fn from(why: NoAnswer) -> Self {
        match why {
            NoAnswer::Timeout => Self::new(ErrorCode::SignerTimeout, "the TPM did not answer in time"),
            NoAnswer::Stopped => Self::new(ErrorCode::TpmFailed, "the thread that works with the TPM has ended"),
            NoAnswer::Forked => {
                let words = "the process was forked after the client was made; make it again in the child";
                Self::new(ErrorCode::TpmFailed, words)
            }
        }
    }
}
