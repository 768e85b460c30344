//! The emulator's MQTT session on any bytes, in any chunks: the answers are the same, and nothing follows the end.
#![no_main]

use dps_emulator::mqtt::{Effect, Session};
use dps_emulator::{IndividualEnrollment, Now, Service, ServiceOptions, SymmetricKey};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// 2026-01-01T00:00:00Z; the tokens in the corpus expire an hour later.
const NOW: Now = Now { monotonic_ms: 0, unix_ms: 1_767_225_600_000 };
const KEY: &str = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=";

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
        let mut service = Service::new(ServiceOptions::new().strict_at_connect(strict)).unwrap();
        let device = IndividualEnrollment::new("dev-01").primary_key(SymmetricKey::from_base64(KEY).unwrap());
        service.put_enrollment(NOW, device).unwrap();
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
        Self { bytes, closed, connected: session.is_connected() }
    }
}
