//! Clients for the tests of the listeners: a device with a valid token, one with a forged one, and the packets that
//! they send.

use std::sync::Arc;

use super::open::OpenConnection;
use super::shared::{Clock, Shared};
use crate::credentials::SymmetricKey;
use crate::encoding::encode_base64;
use crate::enrollment::IndividualEnrollment;
use crate::events::{Accepted, Transport};
use crate::options::ServiceOptions;
use crate::service::Service;
use crate::x509::ClientCertificates;

/// A service with one enrollment, `dev-01`.
pub(super) fn shared() -> Arc<Shared> {
    let shared = Shared::new(Service::new(ServiceOptions::new()).unwrap(), Clock::new(0), None);
    let enrollment = IndividualEnrollment::new("dev-01").primary_key(key());
    shared.service().put_enrollment(shared.clock.now(), enrollment).unwrap();
    Arc::new(shared)
}

/// A connection of a client without a certificate.
pub(super) fn opened(shared: &Arc<Shared>, transport: Transport) -> OpenConnection {
    let certificates = &ClientCertificates::none();
    let accepted = Accepted { transport, peer: None, tls: None, certificates, failure: None };
    OpenConnection::record(Arc::clone(shared), accepted)
}

fn key() -> SymmetricKey {
    SymmetricKey::from_base64("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=").unwrap()
}

/// A token that is signed with the key of `dev-01`.
pub(super) fn good_token(shared: &Shared, id: &str) -> String {
    token(shared, id, |text| encode_base64(&key().sign(text.as_bytes())))
}

/// A token of the right shape whose signature is invalid.
pub(super) fn forged_token(shared: &Shared, id: &str) -> String {
    token(shared, id, |_| "Zm9yZ2Vk".to_owned())
}

fn token(shared: &Shared, id: &str, sign: impl Fn(&str) -> String) -> String {
    let sr = format!("{}%2fregistrations%2f{id}", shared.service().id_scope());
    let se = shared.clock.now().unix_s() + 1_000_000;
    format!("SharedAccessSignature sr={sr}&sig={}&se={se}", sign(&format!("{sr}\n{se}")))
}

/// CONNECT with keep-alive 0.
pub(super) fn connect(shared: &Shared, id: &str, token: &str) -> Vec<u8> {
    let user = format!("{}/registrations/{id}/api-version=2021-06-01", shared.service().id_scope());
    packet(0x10, &[&text("MQTT"), &[4, 0xc2, 0, 0], &text(id), &text(&user), &text(token)])
}

/// SUBSCRIBE for replies, and PUBLISH of a register call.
pub(super) fn register() -> Vec<u8> {
    let subscribe = packet(0x82, &[&[0, 1], &text("$dps/registrations/res/#"), &[0]]);
    let publish = packet(0x30, &[&text("$dps/registrations/PUT/iotdps-register/?$rid=1")]);
    [subscribe, publish].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes(), text.as_bytes()].concat()
}

fn packet(first: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = match body.len() {
        length @ 0..128 => vec![length as u8],
        length => vec![length as u8 | 0x80, (length >> 7) as u8],
    };
    [&[first], length.as_slice(), body.as_slice()].concat()
}
