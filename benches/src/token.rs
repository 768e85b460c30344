//! The token with which a device registers, made by this project, and with `format!` and the usual crates.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dps_core::credentials::{Resource, SasToken};
use dps_core::{Endpoint, IdScope, Identity, Key, RegistrationId, UnixSeconds};
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::Sha256;

const ID_SCOPE: &str = "0ne00123ABC";
const ID: &str = "sn-000001";
const DEVICE_KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
const EXPIRY: u64 = 1_767_225_600;
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(crate) fn identity() -> Identity<'static> {
    Identity {
        endpoint: Endpoint::GLOBAL,
        id_scope: IdScope::new(ID_SCOPE).expect("a scope"),
        registration_id: RegistrationId::new(ID).expect("an id"),
    }
}

/// Makes a token from the device's key in base64.
pub(crate) fn ours() -> Box<dyn FnMut()> {
    let mut buffer = [0; 512];
    Box::new(move || {
        let token = write(black_box(DEVICE_KEY), &mut buffer);
        black_box(token);
    })
}

fn write<'b>(key: &str, buffer: &'b mut [u8]) -> &'b str {
    let key = Key::from_base64(key).expect("a key");
    let identity = identity();
    let resource = Resource::registration(identity.id_scope, identity.registration_id);
    let token = SasToken::prepare(&resource, UnixSeconds::new(EXPIRY), buffer).expect("it fits");
    let signature = key.sign(token.to_sign());
    token.finish(&signature).as_str()
}

pub(crate) fn by_crates() -> Box<dyn FnMut()> {
    Box::new(|| {
        black_box(write_by_crates(black_box(DEVICE_KEY)));
    })
}

fn write_by_crates(key: &str) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let resource = escaped(&format!("{ID_SCOPE}/registrations/{ID}"));
    let key = STANDARD.decode(key).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length does");
    mac.update(format!("{resource}\n{EXPIRY}").as_bytes());
    let signature = escaped(&STANDARD.encode(mac.finalize().into_bytes()));
    format!("SharedAccessSignature sr={resource}&sig={signature}&se={EXPIRY}&skn=registration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_implementations_write_the_same_token() {
        assert_eq!(write(DEVICE_KEY, &mut [0; 512]), write_by_crates(DEVICE_KEY));
    }
}
