//! Logging in to a token: once with each PIN, and never with a PIN that may lock the token.

use cryptoki::context::{Function, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use dps_core::ErrorCode;

use std::sync::PoisonError;

use super::failure::{TokenError, returned};
use super::pin::{Pin, fingerprint, refused_by};

/// Logs in, unless this process is logged in already or the token requires no login. `token` identifies it among all tokens.
///
/// # Errors
/// `pkcs11-login`, `pkcs11-wrong-pin`, `pkcs11-last-try` and `pkcs11-pin-locked`; `file` when the PIN cannot be read.
pub(super) fn login(
    module: &Pkcs11,
    slot: Slot,
    session: &Session,
    token: String,
    pin: Option<&Pin>,
) -> Result<(), TokenError> {
    let refused = refused_by(token);
    let mut refused = refused.lock().unwrap_or_else(PoisonError::into_inner);
    // Read under the lock: another thread may have logged in, or spent a try.
    let info = module.get_token_info(slot)?;
    match session.get_session_info()?.session_state() {
        SessionState::RoUser | SessionState::RwUser => return Ok(()),
        SessionState::RwSecurityOfficer => {
            return Err(no_login("the security officer is logged in; log out, since keys belong to the user"));
        }
        SessionState::RoPublic | SessionState::RwPublic if !info.login_required() => return Ok(()),
        SessionState::RoPublic | SessionState::RwPublic => {}
    }
    check_tries(&info)?;
    let pin = match pin {
        Some(pin) => Some(pin.read()?),
        None if info.protected_authentication_path() => None,
        None => return Err(no_login("it requires a PIN, which neither the URI nor an option has")),
    };
    let tried = pin.as_ref().map(fingerprint);
    if tried.is_some_and(|tried| refused.contains(&tried)) {
        let words = "it has refused this PIN before, so that the PIN was not tried again";
        return Err(TokenError::new(ErrorCode::Pkcs11WrongPin, words));
    }
    match session.login(UserType::User, pin.map(|pin| AuthPin::from(pin.expose())).as_ref()) {
        Ok(()) => refused.clear(),
        Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
        Err(error) => {
            let failed = explain(error);
            if failed.code == ErrorCode::Pkcs11WrongPin {
                refused.extend(tried);
            }
            return Err(failed);
        }
    }
    Ok(())
}

/// Refuses a token that a wrong PIN would lock, or that is locked.
fn check_tries(info: &TokenInfo) -> Result<(), TokenError> {
    if info.user_pin_locked() {
        return Err(TokenError::new(ErrorCode::Pkcs11PinLocked, "the token reports it; no PIN was tried"));
    }
    if info.user_pin_final_try() {
        return Err(TokenError::new(ErrorCode::Pkcs11LastTry, "the token reports that one try is left"));
    }
    Ok(())
}

fn explain(error: Error) -> TokenError {
    let Error::Pkcs11(value, function) = error else { return error.into() };
    let words = returned(function, &value);
    match value {
        RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange => {
            TokenError::new(ErrorCode::Pkcs11WrongPin, words)
        }
        RvError::PinExpired
        | RvError::UserPinNotInitialized
        | RvError::UserAnotherAlreadyLoggedIn
        | RvError::UserTooManyTypes
        | RvError::UserTypeInvalid
        | RvError::FunctionCanceled
        | RvError::FunctionRejected
        | RvError::FunctionNotSupported => no_login(&words),
        value => Error::Pkcs11(value, Function::Login).into(),
    }
}

pub(super) fn no_login(words: &str) -> TokenError {
    TokenError::new(ErrorCode::Pkcs11Login, words)
}
