//! Tokens written by the core and read by the emulator, which share no code: they are accepted until they expire, and
//! refused if anything in them is changed.
#![no_main]

use dps_core::credentials::{Resource, SasToken, derive_device_key};
use dps_core::{IdScope, Key, RegistrationId, UnixSeconds};
use dps_emulator::{EnrollmentGroup, HttpRequest, Now, Service, ServiceOptions, SymmetricKey};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

const ID_SCOPE: &str = "0ne00A1B2C3";
const DIGITS: &[u8; 67] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+/=&";

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    key: [u8; 16],
    key_length: u8,
    id: [u8; 8],
    now_ms: u64,
    life_s: i32,
    change_at: u16,
    change_to: u8,
    /// Any string as a token.
    forged: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    let key = &input.key.repeat(4)[..16 + usize::from(input.key_length) % 49];
    let id = id_of(input.id);
    let expiry = (input.now_ms / 1000).saturating_add_signed(i64::from(input.life_s));
    let token = token(key, &id, UnixSeconds::new(expiry));
    let is_valid = expiry.saturating_mul(1000) > input.now_ms;
    let is_taken = |token: &str| register(key, &id, token, input.now_ms);
    assert_eq!(is_taken(&token), is_valid, "{token}");

    let mut changed = token.clone();
    // The key name is not part of the string to sign.
    let at = usize::from(input.change_at) % token.find("&skn").unwrap();
    let digit = char::from(DIGITS[usize::from(input.change_to) % DIGITS.len()]);
    changed.replace_range(at..=at, digit.encode_utf8(&mut [0; 4]));
    // Another spelling may be accepted: letter case of the scheme and of a signature's escapes.
    assert!(!is_taken(&changed) || changed.eq_ignore_ascii_case(&token), "{changed}");
    assert!(!is_taken(input.forged), "{}", input.forged);
});

/// A registration id that begins and ends as one has to.
fn id_of(bytes: [u8; 8]) -> String {
    const CHARACTERS: &[u8; 66] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:";
    let inner: String =
        bytes.iter().map(|byte| char::from(CHARACTERS[usize::from(*byte) % CHARACTERS.len()])).collect();
    format!("d{inner}1")
}

fn token(group_key: &[u8], id: &str, expiry: UnixSeconds) -> String {
    let registration_id = RegistrationId::new(id).unwrap();
    let id_scope = IdScope::new(ID_SCOPE).unwrap();
    let device_key = derive_device_key(&Key::from_bytes(group_key).unwrap(), registration_id);
    let resource = Resource::registration(id_scope, registration_id);
    let mut buffer = vec![0; resource.token_max()];
    let token = SasToken::prepare(&resource, expiry, &mut buffer).unwrap();
    let signature = device_key.sign(token.to_sign());
    token.finish(&signature).as_str().to_owned()
}

/// Returns whether the emulator accepts the token.
fn register(group_key: &[u8], id: &str, token: &str, now_ms: u64) -> bool {
    let now = Now { monotonic_ms: 0, unix_ms: now_ms };
    let mut service = Service::new(ServiceOptions::new().id_scope(ID_SCOPE)).unwrap();
    let mut key = [0; 88];
    let key = Key::from_bytes(group_key).unwrap().write_base64(&mut key).unwrap().to_owned();
    let group = EnrollmentGroup::new("line-1").primary_key(SymmetricKey::from_base64(&key).unwrap());
    service.put_group(now, group).unwrap();
    let request = HttpRequest {
        method: "PUT",
        path_and_query: &format!("/{ID_SCOPE}/registrations/{id}/register?api-version=2021-06-01"),
        headers: &[("Authorization", token), ("Content-Type", "application/json")],
        body: b"{}",
    };
    match service.handle(now, &request).status {
        202 => true,
        401 => false,
        other => panic!("status {other}"),
    }
}
