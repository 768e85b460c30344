//! The emulator's MQTT session on any bytes, in any chunks, with the service or the hub that the device is assigned to: the
//! answers are the same, and nothing follows the end. What is due later is sent then.
#![no_main]

use dps_emulator::mqtt::{Effect, Session};
use dps_emulator::{CertificatePolicy, HttpRequest, IndividualEnrollment, Now, Service, ServiceOptions, SymmetricKey};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// When the device is assigned to its hub.
const BEFORE: Now = Now { monotonic_ms: 0, unix_ms: NOW.unix_ms - NOW.monotonic_ms };
/// 2026-01-01T00:00:00Z; the tokens in the corpus expire an hour later.
const NOW: Now = Now { monotonic_ms: 60_000, unix_ms: 1_767_225_600_000 };
/// When the last answer to a certificate request is due.
const LATER: Now = Now { monotonic_ms: NOW.monotonic_ms + 1000, unix_ms: NOW.unix_ms + 1000 };
const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";
/// Of the device for the service, until 2100.
const TOKEN: &str = "SharedAccessSignature sr=0ne00A1B2C3%2Fregistrations%2Fdev-01&sig=kZ4Yi3MENtbbvX3ITAXii3VnVQGFa30ra5zdp8cROfQ%3D&se=4102444800";

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    piece: u8,
    strict: bool,
    received: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let whole = Heard::from([input.received], input.strict);
    let pieces = Heard::from(input.received.chunks(usize::from(input.piece).max(1)), input.strict);
    assert_eq!(pieces, whole);
});

/// What a client receives, and whether it was accepted.
#[derive(Debug, PartialEq)]
struct Heard {
    bytes: Vec<u8>,
    closed: bool,
    connected: bool,
}

impl Heard {
    fn from<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, strict: bool) -> Self {
        let mut service = service(strict);
        let mut session = Session::new();
        let (mut bytes, mut closed) = (Vec::new(), false);
        for piece in pieces {
            for effect in session.receive(&mut service, NOW, piece) {
                assert!(!closed, "{effect:?} after the end");
                match effect {
                    Effect::Send(sent) => bytes.extend(sent),
                    Effect::Close => closed = true,
                    other => panic!("{other:?} without a fault"),
                }
            }
            if closed {
                break;
            }
        }
        // Not compared: each certificate has a new signature.
        if !closed {
            closed = session.advance(&mut service, LATER).contains(&Effect::Close);
            assert!(closed || session.due_in_ms(&service, LATER) != Some(0), "what is due was not sent");
        }
        Self { bytes, closed, connected: session.is_connected() }
    }
}

/// A service with a device that is assigned to its hub.
fn service(strict: bool) -> Service {
    let mut service = Service::new(ServiceOptions::new().strict_at_connect(strict)).unwrap();
    let device = IndividualEnrollment::new("dev-01").primary_key(SymmetricKey::from_base64(KEY).unwrap());
    let policy = CertificatePolicy::named("factory", "root", "devices");
    service.put_enrollment(BEFORE, device.certificate_policy(policy)).unwrap();
    let register = HttpRequest {
        method: "PUT",
        path_and_query: "/0ne00A1B2C3/registrations/dev-01/register?api-version=2021-06-01",
        headers: &[("Authorization", TOKEN)],
        body: b"{}",
    };
    assert_eq!(service.handle(BEFORE, &register).status, 202);
    service.advance(NOW);
    service
}
