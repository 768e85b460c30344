//! Key derivation by this project, and by the `hmac`, `sha2` and `base64` crates.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dps_client::GroupDeriver;
use dps_core::credentials::derive_device_key;
use dps_core::{Key, RegistrationId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// A group key of 64 bytes, like those that the service generates.
pub const GROUP_KEY: &str = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw==";
const ID: &str = "sn-000001";
const ROWS: usize = 1000;

/// Registration ids of a factory line: `sn-000001` and so on.
pub fn ids(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|number| format!("sn-{number:06}"))
}

/// The group's key, prepared by the `hmac` crate.
#[must_use]
pub fn prepare_by_crates() -> Hmac<Sha256> {
    Hmac::new_from_slice(&STANDARD.decode(GROUP_KEY).expect("base64")).expect("any length does")
}

/// Derives the key of one device in base64, by the crates.
pub fn by_crates(key: &Hmac<Sha256>, id: &str, out: &mut [u8; GroupDeriver::KEY_TEXT_LEN]) {
    let mut mac = key.clone();
    mac.update(id.as_bytes());
    STANDARD.encode_slice(mac.finalize().into_bytes(), out).expect("it fits");
}

/// Derives a row of a list of keys, by the crates.
pub fn line_by_crates(key: &Hmac<Sha256>, id: &str, out: &mut Vec<u8>) {
    let mut text = [0; GroupDeriver::KEY_TEXT_LEN];
    by_crates(key, id, &mut text);
    push_row(id, &text, out);
}

pub(crate) fn once() -> Box<dyn FnMut()> {
    let (id, mut out) = (registration_id(ID), [0; GroupDeriver::KEY_TEXT_LEN]);
    Box::new(move || {
        let key = Key::from_base64(black_box(GROUP_KEY)).expect("a key");
        derive_device_key(&key, black_box(id)).write_base64(black_box(&mut out)).expect("it fits");
    })
}

pub(crate) fn once_by_crates() -> Box<dyn FnMut()> {
    let mut out = [0; GroupDeriver::KEY_TEXT_LEN];
    Box::new(move || {
        let mut key = [0; 66];
        let length = STANDARD.decode_slice(black_box(GROUP_KEY), &mut key).expect("base64");
        let key = Hmac::new_from_slice(&key[..length]).expect("any length does");
        by_crates(&key, black_box(ID), black_box(&mut out));
    })
}

pub(crate) fn with_prepared() -> Box<dyn FnMut()> {
    let (deriver, id, mut out) = (deriver(), registration_id(ID), [0; GroupDeriver::KEY_TEXT_LEN]);
    Box::new(move || deriver.write_base64(black_box(id), black_box(&mut out)))
}

pub(crate) fn with_prepared_by_crates() -> Box<dyn FnMut()> {
    let (key, mut out) = (prepare_by_crates(), [0; GroupDeriver::KEY_TEXT_LEN]);
    Box::new(move || by_crates(&key, black_box(ID), black_box(&mut out)))
}

/// Ids are checked here, as is necessary for ids from a list; the peer does not check them.
pub(crate) fn rows() -> Box<dyn FnMut()> {
    let (deriver, ids, mut out) = (deriver(), ids(ROWS).collect::<Vec<_>>(), Vec::with_capacity(100 * ROWS));
    Box::new(move || {
        out.clear();
        for id in black_box(&ids) {
            let mut text = [0; GroupDeriver::KEY_TEXT_LEN];
            deriver.write_base64(registration_id(id), &mut text);
            push_row(id, &text, &mut out);
        }
        black_box(&mut out);
    })
}

pub(crate) fn rows_by_crates() -> Box<dyn FnMut()> {
    let (key, ids, mut out) = (prepare_by_crates(), ids(ROWS).collect::<Vec<_>>(), Vec::with_capacity(100 * ROWS));
    Box::new(move || {
        out.clear();
        for id in black_box(&ids) {
            line_by_crates(&key, id, &mut out);
        }
        black_box(&mut out);
    })
}

fn push_row(id: &str, key: &[u8; GroupDeriver::KEY_TEXT_LEN], out: &mut Vec<u8>) {
    for piece in [id.as_bytes(), b",", key, b"\n"] {
        out.extend_from_slice(piece);
    }
}

fn deriver() -> GroupDeriver {
    GroupDeriver::new(&Key::from_base64(GROUP_KEY).expect("a key"))
}

fn registration_id(id: &str) -> RegistrationId<'_> {
    RegistrationId::new(id).expect("an id")
}
