//! A key in a token: found by its URI, and used through one session.
//!
//! Every call here may block for as long as the module does. It belongs on the thread of a [`Worker`](super::Worker).

use std::sync::Arc;

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::slot::{Slot, TokenInfo};
use dps_core::ErrorCode;

use super::Access;
use super::failure::TokenError;
use super::login::{login, no_login};
use super::method::Method;
use super::module;

/// How many names of tokens an error has.
const NAMES_MAX: usize = 5;

/// What a key is used for, and so what kind of object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Signing tokens: a symmetric key.
    Hmac,
    /// Signing in TLS: a private key.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    Tls,
}

impl Purpose {
    fn class(self) -> ObjectClass {
        match self {
            Self::Hmac => ObjectClass::SECRET_KEY,
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Tls => ObjectClass::PRIVATE_KEY,
        }
    }

    /// The value of the attribute `type`.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Hmac => "secret-key",
            #[cfg(any(feature = "http", feature = "mqtt"))]
            Self::Tls => "private",
        }
    }
}

/// A key in a token. The session is opened when it is first used.
pub(crate) struct Token {
    access: Arc<Access>,
    purpose: Purpose,
    open: Option<Open>,
}

/// A session, and the key in it.
pub(super) struct Open {
    pub(super) module: Pkcs11,
    pub(super) slot: Slot,
    pub(super) session: Session,
    pub(super) key: ObjectHandle,
}

impl Token {
    pub(super) fn new(access: Arc<Access>, purpose: Purpose) -> Self {
        Self { access, purpose, open: None }
    }

    /// Signs a message.
    pub(super) fn sign(&mut self, method: Method, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        self.with_session(|open| open.sign(method, message))
    }

    /// Works with the session, which is opened if there is none. One that is not valid any more, since the token was removed and
    /// inserted again or the application has logged out, is opened once more, and the work is done again.
    pub(super) fn with_session<T>(&mut self, work: impl Fn(&Open) -> Result<T, TokenError>) -> Result<T, TokenError> {
        let mut is_new = false;
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                none => {
                    is_new = true;
                    none.insert(Open::new(&self.access, self.purpose)?)
                }
            };
            let failed = match work(open) {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            // The next use begins anew, whatever state the session is in.
            self.open = None;
            if is_new || !failed.lost {
                return Err(failed);
            }
        }
    }
}

impl Open {
    fn new(access: &Access, purpose: Purpose) -> Result<Self, TokenError> {
        let module = module::load(access.module.as_deref())?;
        let (slot, info) = find_token(&module, access)?;
        let session = module.open_ro_session(slot)?;
        let module_name = access.module.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        let identity =
            [&module_name, info.label(), info.manufacturer_id(), info.model(), info.serial_number()].join("\n");
        login(&module, slot, &session, identity, access.pin())?;
        let key = find_key(&session, access, purpose)?;
        Ok(Self { module, slot, session, key })
    }

    fn sign(&self, method: Method, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let data = method.data(message);
        method.with_mechanism(|mechanism| Ok(self.session.sign(mechanism, self.key, &data)?)).map_err(
            |failed: TokenError| {
                let words = format!("{}: {}", method.name(), failed.words);
                TokenError { words, ..failed }
            },
        )
    }

    /// Whether the token offers a mechanism.
    #[cfg_attr(not(any(feature = "http", feature = "mqtt")), expect(dead_code, reason = "for keys of TLS"))]
    pub(super) fn mechanisms(&self) -> Result<Vec<MechanismType>, TokenError> {
        Ok(self.module.get_mechanism_list(self.slot)?)
    }
}

/// The only token that matches the URI.
fn find_token(module: &Pkcs11, access: &Access) -> Result<(Slot, TokenInfo), TokenError> {
    let uri = &access.uri;
    if uri.has_any("library-") {
        let library = module.get_library_info()?;
        let version = format!("{}.{}", library.library_version().major(), library.library_version().minor());
        let matches = uri.matches("library-manufacturer", library.manufacturer_id())
            && uri.matches("library-description", library.library_description())
            && uri.matches("library-version", &version);
        if !matches {
            return Err(TokenError::new(
                ErrorCode::Pkcs11NoToken,
                format!("{uri} is of another library than the module"),
            ));
        }
    }
    let mut others = Vec::new();
    let mut found = Vec::new();
    for slot in module.get_slots_with_token()? {
        // A token that cannot be read is not the one.
        let Ok(info) = module.get_token_info(slot) else { continue };
        if !info.token_initialized() {
            continue;
        }
        if is_in_slot(module, slot, access) && is_token(&info, access) {
            found.push((slot, info));
        } else {
            others.push(format!("{:?}", info.label()));
        }
    }
    let count = found.len();
    match (found.pop(), count) {
        (Some(only), 1) => Ok(only),
        (Some(_), _) => Err(TokenError::new(
            ErrorCode::Pkcs11SeveralObjects,
            format!("{count} tokens match {uri}; add token= or serial= to it"),
        )),
        (None, _) if others.is_empty() => {
            Err(TokenError::new(ErrorCode::Pkcs11NoToken, format!("the module has no initialized token for {uri}")))
        }
        (None, _) => {
            others.truncate(NAMES_MAX);
            let words = format!("{uri} does not match the tokens of the module: {}", others.join(", "));
            Err(TokenError::new(ErrorCode::Pkcs11NoToken, words))
        }
    }
}

fn is_in_slot(module: &Pkcs11, slot: Slot, access: &Access) -> bool {
    let uri = &access.uri;
    let by_id = uri.matches("slot-id", &slot.id().to_string());
    by_id
        && (!uri.has_any("slot-description") && !uri.has_any("slot-manufacturer")
            || module.get_slot_info(slot).is_ok_and(|info| {
                uri.matches("slot-description", info.slot_description())
                    && uri.matches("slot-manufacturer", info.manufacturer_id())
            }))
}

fn is_token(info: &TokenInfo, access: &Access) -> bool {
    let uri = &access.uri;
    uri.matches("token", info.label())
        && uri.matches("manufacturer", info.manufacturer_id())
        && uri.matches("model", info.model())
        && uri.matches("serial", info.serial_number())
}

/// The only key that matches the URI.
fn find_key(session: &Session, access: &Access, purpose: Purpose) -> Result<ObjectHandle, TokenError> {
    let uri = &access.uri;
    let mut template = vec![Attribute::Class(purpose.class())];
    template.extend(uri.get("id").map(|id| Attribute::Id(id.to_vec())));
    template.extend(uri.get("object").map(|label| Attribute::Label(label.to_vec())));
    let found = session.find_objects(&template)?;
    let key = match found.as_slice() {
        [key] => *key,
        [] => {
            let words = format!("there is no object of type {} for {uri}", purpose.kind());
            return Err(TokenError::new(ErrorCode::Pkcs11NoObject, words));
        }
        several => {
            let (count, kind) = (several.len(), purpose.kind());
            let words = format!("{count} objects of type {kind} match {uri}; add object= or id= to it");
            return Err(TokenError::new(ErrorCode::Pkcs11SeveralObjects, words));
        }
    };
    let always = session.get_attributes(key, &[AttributeType::AlwaysAuthenticate]);
    if always.is_ok_and(|attributes| attributes.contains(&Attribute::AlwaysAuthenticate(true))) {
        return Err(no_login("the key requires a login for each signature, which is not supported"));
    }
    Ok(key)
}
