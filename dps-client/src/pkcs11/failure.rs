//! Why a token cannot be used: the entry in the error catalog, and the cause in words.

use cryptoki::context::Function;
use cryptoki::error::{Error, RvError};
use dps_core::{ErrorCode, Verdict};

use crate::error::DpsError;
use crate::worker::NoAnswer;

/// A failure of a token. Its words hold no secret and no text of the token that could control a terminal.
#[derive(Clone, Debug)]
pub(crate) struct TokenError {
    pub(super) code: ErrorCode,
    pub(super) words: String,
    /// Whether the session is not valid any more, so that a new one may work.
    pub(super) lost: bool,
}

impl TokenError {
    pub(super) fn new(code: ErrorCode, words: impl Into<String>) -> Self {
        Self { code, words: words.into(), lost: false }
    }

    pub(crate) fn into_error(self) -> DpsError {
        let message = format!("{}: {}", self.code.text(), self.words);
        DpsError::new(self.code, Verdict::Never, message).hinted(self.code.hints().iter())
    }
}

impl From<NoAnswer> for TokenError {
    fn from(why: NoAnswer) -> Self {
        let (code, words) = match why {
            NoAnswer::Timeout => {
                (ErrorCode::SignerTimeout, "the token did not answer; a call of its module is blocked")
            }
            NoAnswer::Stopped => (ErrorCode::SignerFailed, "the thread that works with the token has ended"),
            NoAnswer::Forked => {
                (ErrorCode::SignerFailed, "the process was forked after the key was made; make it again in the child")
            }
        };
        Self::new(code, words)
    }
}

/// What an error of the module means outside of a login.
impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        let Error::Pkcs11(value, function) = error else {
            return Self::new(ErrorCode::SignerFailed, format!("the module failed: {error}"));
        };
        let code = match value {
            RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
            | RvError::SlotIdInvalid => ErrorCode::Pkcs11NoToken,
            RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::FunctionNotSupported
            | RvError::CurveNotSupported
            | RvError::KeyTypeInconsistent
            | RvError::KeySizeRange
            | RvError::KeyFunctionNotPermitted => ErrorCode::Pkcs11Mechanism,
            RvError::PinLocked => ErrorCode::Pkcs11PinLocked,
            RvError::PinExpired | RvError::UserNotLoggedIn | RvError::UserPinNotInitialized => ErrorCode::Pkcs11Login,
            _ => ErrorCode::SignerFailed,
        };
        let lost = matches!(
            value,
            RvError::SessionHandleInvalid
                | RvError::SessionClosed
                | RvError::ObjectHandleInvalid
                | RvError::KeyHandleInvalid
                | RvError::OperationActive
                | RvError::UserNotLoggedIn
                | RvError::CryptokiNotInitialized
        );
        Self { code, words: returned(function, &value), lost }
    }
}

/// Which function of the module returned what.
pub(super) fn returned(function: Function, value: &RvError) -> String {
    match value {
        RvError::VendorDefined(number) | RvError::UnknownErrorCode(number) => {
            format!("C_{function:?} of the module returned {number:#x}")
        }
        _ => format!("C_{function:?} of the module returned {value:?}"),
    }
}
